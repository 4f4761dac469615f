/* Multiboot 2: synthesized kernels, the tags that they are given, what is refused. */
#include "tests/unit/boot_fixture.h"

#define KERNEL_BYTES 0x2000u
#define LOAD_AT 0x100000u

static struct board b;
static struct err e;
static u8 image[KERNEL_BYTES];
static u32 header_at, tags_end; /* offsets in the image */

static void begin_header(u32 at)
{
    header_at = at;
    tags_end = at + 16;
    st_le32(image + at, 0xe85250d6);
}

/* Appends a tag with the words given. */
static void add_tag(u16 type, u16 flags, const u32 *words, u32 count)
{
    u8 *t = image + tags_end;
    st_le16(t, type);
    st_le16(t + 2, flags);
    st_le32(t + 4, 8 + count * 4);
    for (u32 i = 0; i < count; i++)
        st_le32(t + 8 + i * 4, words[i]);
    tags_end += (u32)align_up(8 + count * 4, 8);
}

static void set_checksum(void)
{
    u8 *h = image + header_at;
    st_le32(h + 12, 0u - ld_le32(h) - ld_le32(h + 4) - ld_le32(h + 8));
}

static void end_header(void)
{
    add_tag(0, 0, NULL, 0);
    st_le32(image + header_at + 8, tags_end - header_at);
    set_checksum();
}

static void begin_addresses(void)
{
    memset(image, 0xcc, sizeof image);
    memset(image + 0x40, 0, 0x100);
    begin_header(0x40);
    add_tag(2, 0, (u32[]){LOAD_AT + 0x40, LOAD_AT, LOAD_AT + KERNEL_BYTES, LOAD_AT + 0x4000}, 4);
    add_tag(3, 0, (u32[]){LOAD_AT + 0x200}, 1);
}

static void make_kernel(void)
{
    begin_addresses();
    end_header();
}

/* An ELF32 executable: file offset 1000h, linked at C0100000h, loaded at 1 MiB; the header in its
 * middle. */
static void begin_elf32(void)
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
    st_le16(image + 44, 1);
    st_le32(p, 1);
    st_le32(p + 4, 0x1000);
    st_le32(p + 8, 0xc0100000);
    st_le32(p + 12, LOAD_AT);
    st_le32(p + 16, 0x1000);
    st_le32(p + 20, 0x3000);
    begin_header(0x1100);
}

static void boot(void)
{
    board_up(&b, 16 * MIB, "x86-64-v2");
    b.cfg.append = "verbose";
    memset(&e, 0, sizeof e);
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

/* The n-th tag of a type in the boot information, header included; its size in *size; 0: none. */
static gpa_t find_tag(u32 type, unsigned n, u32 *size)
{
    gpa_t info = b.cpu->gpr[RBX], end = info + dma_read32(&b.phys, info);
    for (gpa_t at = info + 8; at + 8 <= end; at += align_up(*size, 8)) {
        u32 t = dma_read32(&b.phys, at);
        *size = dma_read32(&b.phys, at + 4);
        ck_assert_uint_ge(*size, 8);
        ck_assert(at + *size <= end);
        if (t == type && n-- == 0)
            return at;
        if (t == 0)
            break;
    }
    return 0;
}

static const char *guest_string(gpa_t gpa)
{
    static char text[256];
    read_guest(&b, gpa, text, sizeof text);
    text[sizeof text - 1] = '\0';
    return text;
}

START_TEST(a_kernel_with_an_address_tag_is_placed_and_entered_with_the_magic)
{
    make_kernel();
    boot();
    ck_assert_uint_eq(b.cpu->rip, LOAD_AT + 0x200);
    ck_assert_uint_eq(b.cpu->gpr[RAX], 0x36d76289);
    ck_assert_uint_eq(b.cpu->gpr[RBX] % 8, 0);
    ck_assert_uint_eq(b.cpu->cr0 & (CR0_PE | CR0_PG), CR0_PE);
    ck_assert_uint_eq(dma_read32(&b.phys, LOAD_AT), 0xcccccccc);
    ck_assert_uint_eq(dma_read32(&b.phys, LOAD_AT + KERNEL_BYTES), 0);
    board_down(&b);
}
END_TEST

START_TEST(a_load_address_of_minus_one_means_the_file_from_its_start)
{
    make_kernel();
    st_le32(image + 0x40 + 16 + 12, 0xffffffff);
    boot();
    ck_assert_uint_eq(dma_read32(&b.phys, LOAD_AT), 0xcccccccc);
    ck_assert_uint_eq(dma_read32(&b.phys, LOAD_AT + 0x40), 0xe85250d6);
    board_down(&b);
}
END_TEST

START_TEST(an_elf_kernel_is_entered_at_its_entry_or_at_that_of_the_tag)
{
    begin_elf32();
    end_header();
    boot();
    ck_assert_uint_eq(b.cpu->rip, LOAD_AT + 0x10);
    board_down(&b);
    begin_elf32();
    add_tag(3, 0, (u32[]){LOAD_AT + 0x80}, 1);
    end_header();
    boot();
    ck_assert_uint_eq(b.cpu->rip, LOAD_AT + 0x80);
    board_down(&b);
}
END_TEST

START_TEST(the_information_has_command_line_loader_memory_and_acpi)
{
    u32 size;
    gpa_t at;
    char text[8];
    make_kernel();
    boot();
    at = find_tag(1, 0, &size);
    ck_assert_uint_ne(at, 0);
    ck_assert_ptr_nonnull(strstr(guest_string(at + 8), " verbose"));
    ck_assert_uint_eq(size, 8 + strlen(guest_string(at + 8)) + 1);
    ck_assert_str_eq(guest_string(find_tag(2, 0, &size) + 8), "Parallax");
    at = find_tag(4, 0, &size);
    ck_assert_uint_eq(dma_read32(&b.phys, at + 8), 639);
    ck_assert_uint_eq(dma_read32(&b.phys, at + 12), 15 * 1024);
    at = find_tag(6, 0, &size);
    ck_assert_uint_eq(dma_read32(&b.phys, at + 8), 24);
    ck_assert_uint_eq(dma_read32(&b.phys, at + 12), 0);
    ck_assert_uint_eq((size - 16) % 24, 0);
    ck_assert_uint_eq(dma_read64(&b.phys, at + 16 + 8), 0x9fc00);
    ck_assert_uint_eq(dma_read32(&b.phys, at + 16 + 16), 1);
    at = find_tag(15, 0, &size);
    ck_assert_uint_eq(size, 8 + 36);
    read_guest(&b, at + 8, text, 8);
    ck_assert_mem_eq(text, "RSD PTR ", 8);
    ck_assert_uint_ne(find_tag(14, 0, &size), 0);
    ck_assert_uint_eq(find_tag(8, 0, &size), 0); /* no frame buffer was asked for */
    ck_assert_uint_eq(find_tag(21, 0, &size), 0);
    ck_assert_uint_ne(find_tag(0, 0, &size), 0);
    board_down(&b);
}
END_TEST

START_TEST(modules_have_a_tag_each_with_their_strings)
{
    char one[32], two[32], list[128];
    u32 size;
    gpa_t at;
    temp_file(one, "module one", 10);
    temp_file(two, "2", 1);
    snprintf(list, sizeof list, "%s root=x,%s", one, two);
    make_kernel();
    board_up(&b, 16 * MIB, "x86-64-v2");
    b.cfg.initrd = list;
    ck_assert_msg(boot_bytes(&b, image, sizeof image, &e), "%s", e.msg);
    unlink(one);
    unlink(two);
    at = find_tag(3, 0, &size);
    ck_assert_uint_eq(dma_read32(&b.phys, at + 8), LOAD_AT + 0x4000);
    ck_assert_uint_eq(dma_read32(&b.phys, at + 12), LOAD_AT + 0x400a);
    ck_assert_ptr_nonnull(strstr(guest_string(at + 16), " root=x"));
    at = find_tag(3, 1, &size);
    ck_assert_uint_eq(dma_read32(&b.phys, at + 8), LOAD_AT + 0x5000);
    ck_assert_uint_eq(find_tag(3, 2, &size), 0);
    board_down(&b);
}
END_TEST

START_TEST(text_buffer_and_load_base_are_told_to_those_who_ask)
{
    u32 size;
    gpa_t at;
    begin_elf32();
    add_tag(5, 1, (u32[]){1024, 768, 32}, 3);
    add_tag(10, 0, (u32[]){LOAD_AT, 0xffffffff, 0x1000, 0}, 4);
    end_header();
    boot();
    at = find_tag(8, 0, &size);
    ck_assert_uint_eq(size, 32);
    ck_assert_uint_eq(dma_read64(&b.phys, at + 8), 0xb8000);
    ck_assert_uint_eq(dma_read32(&b.phys, at + 16), 160);
    at = find_tag(21, 0, &size);
    ck_assert_uint_eq(dma_read32(&b.phys, at + 8), LOAD_AT);
    board_down(&b);
}
END_TEST

START_TEST(what_is_demanded_but_unknown_is_refused_what_is_wished_is_not)
{
    begin_addresses();
    add_tag(99, 0, NULL, 0);
    end_header();
    ck_assert(refused());
    begin_addresses();
    add_tag(99, 1, NULL, 0);
    add_tag(1, 1, (u32[]){7, 12, 0xffffffff}, 3);
    add_tag(1, 0, (u32[]){1, 3, 4, 6, 14, 15}, 6);
    end_header();
    ck_assert(!refused());
    begin_addresses();
    add_tag(1, 0, (u32[]){6, 7}, 2); /* VBE information */
    end_header();
    ck_assert(refused());
    begin_addresses();
    add_tag(1, 0, (u32[]){0xffffffff}, 1);
    end_header();
    ck_assert(refused());
}
END_TEST

START_TEST(headers_that_lie_are_refused)
{
    static const struct {
        u32 at, value; /* offset from the header's start */
    } bad[] = {
        {4, 4},            /* MIPS */
        {8, 0x10},         /* shorter than its tags */
        {8, 0},            /* shorter than itself */
        {8, KERNEL_BYTES}, /* beyond the file */
        {8, 0xffffffff},
        {16 + 4, 7},      /* a tag shorter than a tag */
        {16 + 4, 12},     /* than its fields */
        {16 + 4, 0x1000}, /* longer than the header */
        {16 + 4, 0xfffffff8},
        {16 + 8, 0x1000},              /* header address below the load address */
        {16 + 12, 0x100041},           /* load address above the header */
        {16 + 16, LOAD_AT + 0x100000}, /* more than the file has */
        {16 + 20, 0xf0000000},         /* more than memory */
        {16 + 24, 77},                 /* the entry's tag of an unknown type */
    };
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        make_kernel();
        st_le32(image + header_at + bad[i].at, bad[i].value);
        set_checksum();
        ck_assert_msg(refused(), "row %u was accepted", i);
    }
}
END_TEST

START_TEST(the_header_is_found_on_8_bytes_within_32_KiB_and_its_sum_must_be_zero)
{
    make_kernel();
    st_le32(image + header_at + 12, 0);
    ck_assert(refused());
    memset(image, 0, sizeof image);
    begin_header(0x44); /* not a multiple of 8 */
    end_header();
    ck_assert(refused());
}
END_TEST

int main(void)
{
    Suite *s = suite_create("multiboot2");
    TCase *t = tcase_create("multiboot2");
    tcase_add_test(t, a_kernel_with_an_address_tag_is_placed_and_entered_with_the_magic);
    tcase_add_test(t, a_load_address_of_minus_one_means_the_file_from_its_start);
    tcase_add_test(t, an_elf_kernel_is_entered_at_its_entry_or_at_that_of_the_tag);
    tcase_add_test(t, the_information_has_command_line_loader_memory_and_acpi);
    tcase_add_test(t, modules_have_a_tag_each_with_their_strings);
    tcase_add_test(t, text_buffer_and_load_base_are_told_to_those_who_ask);
    tcase_add_test(t, what_is_demanded_but_unknown_is_refused_what_is_wished_is_not);
    tcase_add_test(t, headers_that_lie_are_refused);
    tcase_add_test(t, the_header_is_found_on_8_bytes_within_32_KiB_and_its_sum_must_be_zero);
    suite_add_tcase(s, t);
    return run_suite(s);
}
