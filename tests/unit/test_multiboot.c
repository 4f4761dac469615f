/* Multiboot 1 and PVH: synthesized kernels, the information they are given, their entry states. */
#include "tests/unit/boot_fixture.h"

#include <zlib.h>

#define KERNEL_BYTES 0x2000u

static struct board b;
static struct err e;
static u8 image[KERNEL_BYTES];

/* A kernel of the header's own addresses: loaded at 1 MiB, entered at 1 MiB + 64. */
static void make_kludge(u32 flags)
{
    u8 *h = image + 0x20;
    memset(image, 0xcc, sizeof image);
    flags |= 0x10000;
    st_le32(h, 0x1badb002);
    st_le32(h + 4, flags);
    st_le32(h + 8, 0u - 0x1badb002u - flags);
    st_le32(h + 12, 0x100020); /* header_addr */
    st_le32(h + 16, 0x100000); /* load_addr */
    st_le32(h + 20, 0x100000 + KERNEL_BYTES);
    st_le32(h + 24, 0x104000); /* bss_end_addr */
    st_le32(h + 28, 0x100040); /* entry_addr */
}

/* An ELF32 executable with one segment: file offset 1000h, linked at C0100000h, loaded at 1 MiB. */
static void make_elf32(void)
{
    u8 *p = image + 52;
    memset(image, 0, sizeof image);
    memcpy(image, "\177ELF\1\1\1", 7);
    st_le16(image + 16, 2);
    st_le16(image + 18, 3);
    st_le32(image + 20, 1);
    st_le32(image + 24, 0xc0100010);
    st_le32(image + 28, 52);
    st_le16(image + 42, 32);
    st_le16(image + 44, 2);
    st_le32(p, 1);
    st_le32(p + 4, 0x1000);
    st_le32(p + 8, 0xc0100000);
    st_le32(p + 12, 0x100000);
    st_le32(p + 16, 0x1000);
    st_le32(p + 20, 0x3000);
    memset(image + 0x1000, 0x5a, 0x1000);
}

static void add_multiboot_header(u32 flags)
{
    u8 *h = image + 0x1000;
    st_le32(h, 0x1badb002);
    st_le32(h + 4, flags);
    st_le32(h + 8, 0u - 0x1badb002u - flags);
}

static void add_pvh_note(u32 entry)
{
    u8 *p = image + 52 + 32, *n = image + 0x1800;
    st_le32(p, 4); /* PT_NOTE */
    st_le32(p + 4, 0x1800);
    st_le32(p + 16, 40);
    st_le32(n, 4); /* a note of another type first */
    st_le32(n + 4, 4);
    st_le32(n + 8, 1);
    memcpy(n + 12, "Xen", 4);
    st_le32(n + 20, 4);
    st_le32(n + 24, 4);
    st_le32(n + 28, 18);
    memcpy(n + 32, "Xen", 4);
    st_le32(n + 36, entry);
}

static void boot(void)
{
    board_up(&b, 16 * MIB, "x86-64-v2");
    b.cfg.append = "verbose";
    ck_assert_msg(boot_bytes(&b, image, sizeof image, &e), "%s", e.msg);
}

static bool refused(void)
{
    bool ok;
    memset(&e, 0, sizeof e);
    board_up(&b, 16 * MIB, "x86-64-v2");
    ok = boot_bytes(&b, image, sizeof image, &e);
    board_down(&b);
    return !ok && e.exit_code == EXIT_USAGE && e.msg[0];
}

static const char *guest_string(gpa_t gpa)
{
    static char text[256];
    read_guest(&b, gpa, text, sizeof text);
    text[sizeof text - 1] = '\0';
    return text;
}

static void assert_flat_32_bit_entry(u32 eip)
{
    ck_assert_uint_eq(b.cpu->rip, eip);
    ck_assert_uint_eq(b.cpu->cr0 & (CR0_PE | CR0_PG), CR0_PE);
    ck_assert(b.cpu->seg[SEG_CS].attr & SEG_DB);
    ck_assert_uint_eq(b.cpu->seg[SEG_CS].base, 0);
    ck_assert_uint_eq(b.cpu->seg[SEG_DS].limit, 0xffffffff);
    ck_assert(!(cpu_get_eflags(b.cpu) & (EFLAGS_IF | EFLAGS_VM)));
}

START_TEST(a_kernel_with_its_own_addresses_is_placed_and_its_bss_cleared)
{
    make_kludge(0);
    boot();
    assert_flat_32_bit_entry(0x100040);
    ck_assert_uint_eq(b.cpu->gpr[RAX], 0x2badb002);
    ck_assert_uint_eq(dma_read32(&b.phys, 0x100000), 0xcccccccc);
    ck_assert_uint_eq(dma_read32(&b.phys, 0x100000 + KERNEL_BYTES), 0);
    board_down(&b);
}
END_TEST

START_TEST(an_elf_kernel_goes_to_physical_addresses_and_so_does_its_entry)
{
    make_elf32();
    add_multiboot_header(3);
    boot();
    assert_flat_32_bit_entry(0x100010);
    ck_assert_uint_eq(dma_read32(&b.phys, 0x100ffc), 0x5a5a5a5a);
    ck_assert_uint_eq(dma_read32(&b.phys, 0x101000), 0);
    board_down(&b);
}
END_TEST

static void link_at(u32 base)
{
    u8 *h = image + 0x20;
    make_kludge(0);
    st_le32(h + 12, base + 0x20);
    st_le32(h + 16, base);
    st_le32(h + 20, base + KERNEL_BYTES);
    st_le32(h + 24, base + KERNEL_BYTES);
    st_le32(h + 28, base + 0x40);
}

START_TEST(a_kernel_may_lie_at_8000h_but_not_on_what_the_loader_left)
{
    link_at(0x8000);
    boot();
    assert_flat_32_bit_entry(0x8040);
    ck_assert_uint_eq(dma_read32(&b.phys, 0x8000), 0xcccccccc);
    board_down(&b);
    link_at(0x7000); /* page tables */
    ck_assert(refused());
    link_at(0xf000); /* into the boot information */
    ck_assert(refused());
}
END_TEST

START_TEST(the_information_tells_memory_map_command_line_and_loader)
{
    u8 info[116];
    make_kludge(3);
    boot();
    read_guest(&b, b.cpu->gpr[RBX], info, sizeof info);
    ck_assert_uint_eq(ld_le32(info) & 0x24d, 0x24d);
    ck_assert_uint_eq(ld_le32(info + 4), 639);
    ck_assert_uint_eq(ld_le32(info + 8), 15 * 1024);
    ck_assert_ptr_nonnull(strstr(guest_string(ld_le32(info + 16)), " verbose"));
    ck_assert_str_eq(guest_string(ld_le32(info + 64)), "Parallax");
    ck_assert_uint_eq(ld_le32(info + 44) % 24, 0);
    ck_assert_uint_eq(dma_read32(&b.phys, ld_le32(info + 48)), 20);
    ck_assert_uint_eq(dma_read64(&b.phys, ld_le32(info + 48) + 12), 0x9fc00);
    board_down(&b);
}
END_TEST

START_TEST(modules_are_page_aligned_above_the_kernel_with_their_strings)
{
    char one[32], two[32], list[128];
    u8 info[116], mods[32];
    temp_file(one, "module one", 10);
    temp_file(two, "2", 1);
    snprintf(list, sizeof list, "%s root=x $(y),%s", one, two);
    make_kludge(0);
    board_up(&b, 16 * MIB, "x86-64-v2");
    b.cfg.initrd = list;
    ck_assert_msg(boot_bytes(&b, image, sizeof image, &e), "%s", e.msg);
    unlink(one);
    unlink(two);
    read_guest(&b, b.cpu->gpr[RBX], info, sizeof info);
    ck_assert_uint_eq(ld_le32(info + 20), 2);
    read_guest(&b, ld_le32(info + 24), mods, sizeof mods);
    ck_assert_uint_eq(ld_le32(mods), 0x104000);
    ck_assert_uint_eq(ld_le32(mods + 4), 0x10400a);
    ck_assert_uint_eq(ld_le32(mods + 16), 0x105000);
    ck_assert_mem_eq(guest_string(0x104000), "module one", 10);
    ck_assert_ptr_nonnull(strstr(guest_string(ld_le32(mods + 8)), " root=x $(y)"));
    board_down(&b);
}
END_TEST

START_TEST(demands_of_the_header_that_nobody_knows_are_refused)
{
    make_kludge(8);
    ck_assert(refused());
    make_kludge(0x20000); /* optional features may be unknown */
    ck_assert(!refused());
}
END_TEST

START_TEST(addresses_that_contradict_each_other_are_refused)
{
    static const struct {
        u8 at;
        u32 value;
    } bad[] = {
        {12, 0x90000},                 /* header before the load address */
        {16, 0x100021},                /* load address after the header */
        {16, 0x1000},                  /* would begin before the file */
        {20, 0x100001 + KERNEL_BYTES}, /* more than the file has */
        {20, 0x10},                    /* end before begin */
        {24, 0x100001},                /* bss ends before the data */
        {24, 0xf0000000},              /* bss larger than memory */
    };
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        make_kludge(0);
        st_le32(image + 0x20 + bad[i].at, bad[i].value);
        ck_assert_msg(refused(), "row %u was accepted", i);
    }
}
END_TEST

/* ---- PVH ------------------------------------------------------------------------------------ */

START_TEST(a_pvh_note_names_the_entry_point)
{
    u8 info[56];
    char sig[8];
    make_elf32();
    add_pvh_note(0x100020);
    boot();
    assert_flat_32_bit_entry(0x100020);
    ck_assert_uint_eq(b.cpu->tr.limit, 0x67);
    ck_assert_uint_eq(b.cpu->cr4, 0);
    read_guest(&b, b.cpu->gpr[RBX], info, sizeof info);
    ck_assert_uint_eq(ld_le32(info), 0x336ec578);
    ck_assert_uint_eq(ld_le32(info + 4), 1);
    ck_assert_uint_eq(ld_le32(info + 12), 0);
    ck_assert_str_eq(guest_string(ld_le64(info + 24)), "verbose");
    read_guest(&b, ld_le64(info + 32), sig, 8);
    ck_assert_mem_eq(sig, "RSD PTR ", 8);
    ck_assert_uint_eq(ld_le32(info + 48), 7);
    ck_assert_uint_eq(dma_read64(&b.phys, ld_le64(info + 40) + 8), 0x9fc00);
    board_down(&b);
}
END_TEST

START_TEST(pvh_modules_are_listed_with_their_arguments)
{
    char one[32], list[64];
    u8 info[56], mod[32];
    temp_file(one, "initrd", 6);
    snprintf(list, sizeof list, "%s some args", one);
    make_elf32();
    add_pvh_note(0x100020);
    board_up(&b, 16 * MIB, "x86-64-v2");
    b.cfg.initrd = list;
    ck_assert_msg(boot_bytes(&b, image, sizeof image, &e), "%s", e.msg);
    unlink(one);
    read_guest(&b, b.cpu->gpr[RBX], info, sizeof info);
    ck_assert_uint_eq(ld_le32(info + 12), 1);
    read_guest(&b, ld_le64(info + 16), mod, sizeof mod);
    ck_assert_uint_eq(ld_le64(mod), 0x103000);
    ck_assert_uint_eq(ld_le64(mod + 8), 6);
    ck_assert_str_eq(guest_string(ld_le64(mod + 16)), "some args");
    board_down(&b);
}
END_TEST

START_TEST(elf_segments_that_lie_are_refused)
{
    static const struct {
        u8 at;
        u32 value;
    } bad[] = {
        {4, 0x1001},                    /* offset: beyond the end */
        {4, 0xfffff000},  {12, 0x1000}, /* physical: over our own data */
        {12, 0x9f000},                  /* into the EBDA and the VGA window */
        {12, 0xe0000},                  /* over the BIOS */
        {12, 0xfffff000},               /* wraps */
        {16, 0x4000},                   /* file size: beyond the end */
        {20, 0xfff},                    /* memory size: less than in the file */
        {20, 0xffffffff},               /* more than there is */
    };
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        make_elf32();
        add_pvh_note(0x100020);
        st_le32(image + 52 + bad[i].at, bad[i].value);
        ck_assert_msg(refused(), "row %u was accepted", i);
    }
}
END_TEST

START_TEST(a_gzip_kernel_is_unpacked)
{
    u8 packed[KERNEL_BYTES + 256];
    z_stream z = {0};
    make_kludge(0);
    ck_assert_int_eq(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = image;
    z.avail_in = sizeof image;
    z.next_out = packed;
    z.avail_out = sizeof packed;
    ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
    board_up(&b, 16 * MIB, "x86-64-v2");
    ck_assert_msg(boot_bytes(&b, packed, z.total_out, &e), "%s", e.msg);
    assert_flat_32_bit_entry(0x100040);
    for (size_t cut = 18; cut < z.total_out; cut += 7) { /* truncated anywhere */
        memset(&e, 0, sizeof e);
        ck_assert(!boot_bytes(&b, packed, cut, &e));
        ck_assert_int_eq(e.exit_code, EXIT_USAGE);
    }
    deflateEnd(&z);
    board_down(&b);
}
END_TEST

START_TEST(the_demo_guest_is_loaded_or_says_why_not)
{
    board_up(&b, 16 * MIB, "x86-64-v2");
    memset(&e, 0, sizeof e);
    if (boot_load_demo(&b.cfg, &e))
        assert_flat_32_bit_entry((u32)b.cpu->rip);
    else
        ck_assert_ptr_nonnull(strstr(e.msg, "not built in"));
    board_down(&b);
    board_up(&b, 16 * MIB, "486");
    ck_assert(!boot_load_demo(&b.cfg, &e));
    board_down(&b);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("multiboot");
    TCase *t = tcase_create("multiboot"), *p = tcase_create("pvh");
    tcase_add_test(t, a_kernel_with_its_own_addresses_is_placed_and_its_bss_cleared);
    tcase_add_test(t, an_elf_kernel_goes_to_physical_addresses_and_so_does_its_entry);
    tcase_add_test(t, a_kernel_may_lie_at_8000h_but_not_on_what_the_loader_left);
    tcase_add_test(t, the_information_tells_memory_map_command_line_and_loader);
    tcase_add_test(t, modules_are_page_aligned_above_the_kernel_with_their_strings);
    tcase_add_test(t, demands_of_the_header_that_nobody_knows_are_refused);
    tcase_add_test(t, addresses_that_contradict_each_other_are_refused);
    tcase_add_test(t, a_gzip_kernel_is_unpacked);
    tcase_add_test(p, a_pvh_note_names_the_entry_point);
    tcase_add_test(p, pvh_modules_are_listed_with_their_arguments);
    tcase_add_test(p, elf_segments_that_lie_are_refused);
    tcase_add_test(p, the_demo_guest_is_loaded_or_says_why_not);
    suite_add_tcase(s, t);
    suite_add_tcase(s, p);
    return run_suite(s);
}
