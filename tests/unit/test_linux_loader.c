/* The Linux loader on synthesized images: placing, boot_params, and the three entry states. */
#include "bios/e820.h"
#include "tests/unit/boot_fixture.h"
#include "tests/unit/linux_image.h"

static struct board b;
static struct err e;
static u8 image[IMAGE_BYTES];

static void boot(u64 ram, const char *model)
{
    board_up(&b, ram, model);
    b.cfg.append = "console=ttyS0";
    ck_assert_msg(boot_bytes(&b, image, sizeof image, &e), "%s", e.msg);
}

static u8 *boot_params(void)
{
    static u8 zp[4096];
    read_guest(&b, b.cpu->gpr[RSI], zp, sizeof zp);
    return zp;
}

static void assert_guest_string(gpa_t gpa, const char *want)
{
    char got[256] = {0};
    read_guest(&b, gpa, got, strlen(want) + 1);
    ck_assert_str_eq(got, want);
}

static void assert_guest_bytes(gpa_t gpa, const char *want)
{
    char got[16];
    read_guest(&b, gpa, got, strlen(want));
    ck_assert_mem_eq(got, want, strlen(want));
}

START_TEST(a_64_bit_kernel_is_entered_in_long_mode_at_its_second_entry)
{
    make_bzimage(image);
    boot(128 * MIB, "x86-64-v2");
    ck_assert_uint_eq(b.cpu->rip, 0x1000000 + 0x200);
    ck_assert(cpu_in_long_mode(b.cpu));
    ck_assert(b.cpu->seg[SEG_CS].attr & SEG_L);
    ck_assert_uint_eq(b.cpu->seg[SEG_CS].sel, 0x10);
    ck_assert_uint_eq(b.cpu->seg[SEG_DS].sel, 0x18);
    ck_assert(!(cpu_get_eflags(b.cpu) & EFLAGS_IF));
    assert_guest_bytes(0x1000000, "START");
    board_down(&b);
}
END_TEST

START_TEST(the_first_4_gib_are_identity_mapped_at_64_bit_entry)
{
    static const gva_t va[] = {0, 0x1000000, 0xbfffffff, 0xfee00000, 0xffffffff};
    make_bzimage(image);
    boot(128 * MIB, "x86-64-v2");
    for (unsigned i = 0; i < ARRAY_SIZE(va); i++) {
        struct walk_result r;
        walk(&b.phys, &b.cpu->paging, va[i], (struct walk_access){.kind = ACCESS_WRITE}, &r);
        ck_assert(r.ok);
        ck_assert_uint_eq(r.gpa, va[i]);
    }
    board_down(&b);
}
END_TEST

START_TEST(a_cpu_without_long_mode_gets_the_32_bit_entry)
{
    make_bzimage(image);
    boot(128 * MIB, "pentium3");
    ck_assert_uint_eq(b.cpu->rip, 0x1000000);
    ck_assert_uint_eq(b.cpu->cr0 & (CR0_PE | CR0_PG), CR0_PE);
    ck_assert(b.cpu->seg[SEG_CS].attr & SEG_DB);
    ck_assert_uint_eq(b.cpu->seg[SEG_CS].limit, 0xffffffff);
    ck_assert_uint_eq(b.cpu->gpr[RBX] | b.cpu->gpr[RBP] | b.cpu->gpr[RDI], 0);
    board_down(&b);
}
END_TEST

START_TEST(boot_params_tell_memory_command_line_and_acpi)
{
    u8 *zp;
    char sig[8];
    make_bzimage(image);
    boot(3500 * MIB, "x86-64-v2");
    zp = boot_params();
    ck_assert_mem_eq(zp + 0x202, "HdrS", 4);
    ck_assert_uint_eq(zp[0x210], 0xff);
    ck_assert_uint_eq(ld_le32(zp + 0x23c), 0);
    assert_guest_string(ld_le32(zp + 0x228), "console=ttyS0");
    ck_assert_uint_eq(zp[0x1e8], 8);
    ck_assert_uint_eq(ld_le64(zp + 0x2d0 + 7 * 20), 4 * GIB);
    ck_assert_uint_eq(ld_le64(zp + 0x2d0 + 7 * 20 + 8), 428 * MIB);
    read_guest(&b, ld_le64(zp + 0x70), sig, 8);
    ck_assert_mem_eq(sig, "RSD PTR ", 8);
    ck_assert_uint_eq(zp[0x07], 80);
    ck_assert_uint_eq(zp[0x0e], 25);
    board_down(&b);
}
END_TEST

START_TEST(nothing_beyond_the_setup_header_is_copied)
{
    make_bzimage(image);
    memset(image + 0x202 + 0x6a, 0xee, 64);
    boot(128 * MIB, "x86-64-v2");
    ck_assert_uint_eq(boot_params()[0x202 + 0x6a], 0);
    ck_assert_uint_eq(boot_params()[0x202 + 0x69], image[0x202 + 0x69]);
    board_down(&b);
}
END_TEST

START_TEST(a_kernel_that_cannot_be_moved_lies_at_1_mib)
{
    make_bzimage(image);
    image[0x234] = 0;
    st_le64(image + 0x258, 0x100000);
    boot(128 * MIB, "x86-64-v2");
    ck_assert_uint_eq(b.cpu->rip, 0x100200);
    assert_guest_bytes(0x100000, "START");
    board_down(&b);
}
END_TEST

static void with_initrd(size_t len, char *path)
{
    u8 *rd = malloc(len);
    ck_assert_ptr_nonnull(rd);
    memset(rd, 0x77, len);
    memcpy(rd, "INITRD", 7);
    temp_file(path, rd, len);
    free(rd);
    b.cfg.initrd = path;
}

START_TEST(the_initrd_lies_as_high_as_memory_and_the_kernel_allow)
{
    static const struct {
        u64 ram;
        u32 max;
        u64 top;
    } row[] = {
        {128 * MIB, 0x7fffffff, 128 * MIB},
        {128 * MIB, 0x3ffffff, 64 * MIB},
        {3500 * MIB, 0x7fffffff, 2 * GIB},
        {3500 * MIB, 0xffffffff, 3 * GIB},
    };
    char path[32];
    u8 *zp;
    make_bzimage(image);
    st_le32(image + 0x22c, row[_i].max);
    board_up(&b, row[_i].ram, "x86-64-v2");
    with_initrd(5000, path);
    ck_assert_msg(boot_bytes(&b, image, sizeof image, &e), "%s", e.msg);
    unlink(path);
    zp = boot_params();
    ck_assert_uint_eq(ld_le32(zp + 0x218), row[_i].top - 2 * PAGE_SIZE);
    ck_assert_uint_eq(ld_le32(zp + 0x21c), 5000);
    assert_guest_string(ld_le32(zp + 0x218), "INITRD");
    board_down(&b);
}
END_TEST

START_TEST(an_initrd_that_would_overlap_the_unpacked_kernel_is_refused)
{
    char path[32];
    make_bzimage(image);
    board_up(&b, 33 * MIB, "x86-64-v2"); /* the kernel's memory ends at 32 MiB */
    with_initrd(MIB + 1, path);
    ck_assert(!boot_bytes(&b, image, sizeof image, &e));
    unlink(path);
    ck_assert_int_eq(e.exit_code, EXIT_USAGE);
    ck_assert_ptr_nonnull(strstr(e.msg, "initrd"));
    ck_assert_ptr_nonnull(strstr(e.hint, "-m"));
    board_down(&b);
}
END_TEST

START_TEST(an_old_zimage_is_entered_in_real_mode_with_the_old_command_line)
{
    u8 seg[0x400];
    make_zimage(image);
    boot(16 * MIB, "486");
    ck_assert(cpu_in_real(b.cpu));
    ck_assert_uint_eq(b.cpu->seg[SEG_CS].sel, 0x9020);
    ck_assert_uint_eq(b.cpu->seg[SEG_CS].base, 0x90200);
    ck_assert_uint_eq(b.cpu->rip, 0);
    ck_assert_uint_eq(b.cpu->seg[SEG_SS].sel, 0x9000);
    ck_assert_uint_eq(b.cpu->gpr[RSP], 0x9800);
    assert_guest_bytes(0x10000, "START");
    read_guest(&b, 0x90000, seg, sizeof seg);
    ck_assert_uint_eq(ld_le16(seg + 0x20), 0xa33f);
    assert_guest_string(0x90000 + ld_le16(seg + 0x22), "console=ttyS0");
    board_down(&b);
}
END_TEST

START_TEST(a_bzimage_older_than_2_06_is_entered_in_real_mode_with_a_heap)
{
    u8 seg[0x400];
    make_bzimage(image);
    st_le16(image + 0x206, 0x202);
    boot(16 * MIB, "486");
    ck_assert(cpu_in_real(b.cpu));
    assert_guest_bytes(0x100000, "START");
    read_guest(&b, 0x90000, seg, sizeof seg);
    ck_assert_uint_eq(seg[0x211], 0x81);
    ck_assert_uint_eq(ld_le16(seg + 0x224), 0xde00);
    assert_guest_string(ld_le32(seg + 0x228), "console=ttyS0");
    board_down(&b);
}
END_TEST

START_TEST(a_bzimage_that_names_no_32_bit_entry_is_entered_in_real_mode)
{
    make_bzimage(image);
    st_le16(image + 0x206, 0x207);
    st_le32(image + 0x214, 0);
    boot(16 * MIB, "x86-64-v2");
    ck_assert(cpu_in_real(b.cpu));
    ck_assert_uint_eq(b.cpu->seg[SEG_CS].base, 0x90200);
    assert_guest_bytes(0x100000, "START");
    board_down(&b);
}
END_TEST

START_TEST(a_command_line_longer_than_the_kernel_takes_is_refused)
{
    static char text[3000];
    memset(text, 'x', sizeof text - 1);
    make_bzimage(image);
    board_up(&b, 128 * MIB, "x86-64-v2");
    b.cfg.append = text;
    ck_assert(!boot_bytes(&b, image, sizeof image, &e));
    ck_assert_ptr_nonnull(strstr(e.msg, "2047"));
    text[2047] = '\0';
    ck_assert(boot_bytes(&b, image, sizeof image, &e));
    board_down(&b);
}
END_TEST

START_TEST(every_vector_leads_into_the_bios_area)
{
    u8 ivt[1024], op;
    make_zimage(image);
    boot(16 * MIB, "486");
    read_guest(&b, 0, ivt, sizeof ivt);
    for (unsigned v = 0; v < 256; v++) {
        gpa_t at = ((u32)ld_le16(ivt + v * 4 + 2) << 4) + ld_le16(ivt + v * 4);
        ck_assert_uint_ge(at, LAYOUT_SERVICES);
        ck_assert_uint_lt(at, LAYOUT_HIGH);
        read_guest(&b, at, &op, 1);
        ck_assert_uint_ne(op, 0);
    }
    ck_assert_uint_eq(dma_read16(&b.phys, 0x400), 0x3f8);
    ck_assert_uint_eq(dma_read16(&b.phys, 0x40e), 0x9fc0);
    ck_assert_uint_eq(dma_read16(&b.phys, 0x413), 639);
    board_down(&b);
}
END_TEST

START_TEST(real_mode_setup_code_can_ask_the_services_for_memory)
{
    static const u8 code[] = {
        0x66, 0x31, 0xdb,                   /* xor ebx, ebx */
        0xbf, 0x00, 0x30,                   /* mov di, 3000h */
        0x66, 0xb8, 0x20, 0xe8, 0x00, 0x00, /* again: mov eax, E820h */
        0x66, 0xba, 0x50, 0x41, 0x4d, 0x53, /* mov edx, "SMAP" */
        0x66, 0xb9, 0x14, 0x00, 0x00, 0x00, /* mov ecx, 20 */
        0xcd, 0x15,                         /* int 15h */
        0x72, 0x08,                         /* jc done */
        0x83, 0xc7, 0x14,                   /* add di, 20 */
        0x66, 0x85, 0xdb,                   /* test ebx, ebx */
        0x75, 0xe0,                         /* jnz again */
        0xb8, 0x01, 0xe8, 0xcd, 0x15,       /* done: mov ax, E801h; int 15h */
        0x89, 0xc5,                         /* mov bp, ax */
        0xb4, 0x99, 0xcd, 0x15,             /* mov ah, 99h; int 15h: unsupported */
        0xf4,                               /* hlt */
    };
    u8 want[E820_MAX * E820_ENTRY_BYTES], got[sizeof want];
    struct e820 map;
    size_t len;
    make_zimage(image);
    memcpy(image + 0x26c, code, sizeof code); /* where the header's jump leads */
    boot(16 * MIB, "486");
    ck_assert_int_eq(cpu_run(b.cpu, 10000), STOP_HALTED);
    e820_build(&map, 16 * MIB, 16 * MIB);
    len = e820_encode(&map, want);
    ck_assert_uint_eq(b.cpu->gpr[RDI] & 0xffff, 0x3000 + len);
    read_guest(&b, 0x93000, got, len);
    ck_assert_mem_eq(got, want, len);
    ck_assert_uint_eq(b.cpu->gpr[RBP] & 0xffff, 15 * 1024);
    ck_assert_uint_eq(b.cpu->gpr[RBX] & 0xffff, 0);
    ck_assert_uint_eq(b.cpu->gpr[RAX] >> 8 & 0xff, 0x86);
    ck_assert(cpu_get_eflags(b.cpu) & EFLAGS_CF);
    board_down(&b);
}
END_TEST

START_TEST(memtest86_is_loaded_by_the_same_protocol)
{
    static const struct {
        const char *path;
        u64 entry;
    } row[] = {{"/boot/memtest86+x64.bin", 0x100200}, {"/boot/memtest86+ia32.bin", 0x100000}};
    if (access(row[_i].path, R_OK) != 0)
        return;
    board_up(&b, 64 * MIB, "x86-64-v2");
    b.cfg.kernel = row[_i].path;
    ck_assert_msg(boot_load(&b.cfg, &e), "%s", e.msg);
    ck_assert_uint_eq(b.cpu->rip, row[_i].entry);
    board_down(&b);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("linux_loader");
    TCase *t = tcase_create("boot");
    tcase_add_test(t, a_64_bit_kernel_is_entered_in_long_mode_at_its_second_entry);
    tcase_add_test(t, the_first_4_gib_are_identity_mapped_at_64_bit_entry);
    tcase_add_test(t, a_cpu_without_long_mode_gets_the_32_bit_entry);
    tcase_add_test(t, boot_params_tell_memory_command_line_and_acpi);
    tcase_add_test(t, nothing_beyond_the_setup_header_is_copied);
    tcase_add_test(t, a_kernel_that_cannot_be_moved_lies_at_1_mib);
    tcase_add_loop_test(t, the_initrd_lies_as_high_as_memory_and_the_kernel_allow, 0, 4);
    tcase_add_test(t, an_initrd_that_would_overlap_the_unpacked_kernel_is_refused);
    tcase_add_test(t, an_old_zimage_is_entered_in_real_mode_with_the_old_command_line);
    tcase_add_test(t, a_bzimage_older_than_2_06_is_entered_in_real_mode_with_a_heap);
    tcase_add_test(t, a_bzimage_that_names_no_32_bit_entry_is_entered_in_real_mode);
    tcase_add_test(t, a_command_line_longer_than_the_kernel_takes_is_refused);
    tcase_add_test(t, every_vector_leads_into_the_bios_area);
    tcase_add_test(t, real_mode_setup_code_can_ask_the_services_for_memory);
    tcase_add_loop_test(t, memtest86_is_loaded_by_the_same_protocol, 0, 2);
    suite_add_tcase(s, t);
    return run_suite(s);
}
