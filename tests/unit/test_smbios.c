/* The SMBIOS tables: entry point, and a walk through the structures as an operating system does it.
 */
#include "base/bits.h"
#include "bios/layout.h"
#include "bios/smbios.h"

#include <check.h>
#include <stdlib.h>

static u8 mem[LAYOUT_SMBIOS_BYTES];

static void build(u64 ram, unsigned cpus)
{
    const struct smbios_config cfg = {
        .ram_bytes = ram, .cpus = cpus, .ram_low_bytes = ram < PCI_HOLE_BASE ? ram : PCI_HOLE_BASE};
    ck_assert_uint_le(smbios_build(&cfg, LAYOUT_SMBIOS, mem, sizeof mem), sizeof mem);
}

static u8 sum(const u8 *p, size_t len)
{
    u8 s = 0;
    while (len--)
        s = (u8)(s + *p++);
    return s;
}

static const u8 *next(const u8 *s)
{
    const u8 *p = s + s[1];
    while (p[0] || p[1])
        p++;
    return p + 2;
}

/* The nth structure of a type; NULL: none. */
static const u8 *find(u8 type, unsigned n)
{
    const u8 *s = mem + ld_le32(mem + 24) - LAYOUT_SMBIOS;
    for (unsigned i = ld_le16(mem + 28); i; i--, s = next(s))
        if (s[0] == type && n-- == 0)
            return s;
    return NULL;
}

static const char *text(const u8 *s, u8 number)
{
    const char *p = (const char *)s + s[1];
    while (--number)
        p += strlen(p) + 1;
    return p;
}

START_TEST(the_entry_point_is_valid)
{
    build(512 * MIB, 1);
    ck_assert_mem_eq(mem, "_SM_", 4);
    ck_assert_mem_eq(mem + 16, "_DMI_", 5);
    ck_assert_uint_eq(sum(mem, mem[5]), 0);
    ck_assert_uint_eq(sum(mem + 16, 15), 0);
    ck_assert_uint_eq(mem[6] << 8 | mem[7], 0x208);
}
END_TEST

START_TEST(count_length_and_largest_agree_with_the_structures)
{
    unsigned count = 0, largest = 0;
    build(512 * MIB, 3);
    const u8 *first = mem + ld_le32(mem + 24) - LAYOUT_SMBIOS, *s = first;
    for (bool end = false; !end; count++) {
        const u8 *n = next(s);
        end = s[0] == 127;
        if (n - s > (long)largest)
            largest = (unsigned)(n - s);
        s = n;
    }
    ck_assert_uint_eq(count, ld_le16(mem + 28));
    ck_assert_uint_eq((unsigned)(s - first), ld_le16(mem + 22));
    ck_assert_uint_eq(largest, ld_le16(mem + 8));
}
END_TEST

START_TEST(the_required_types_are_there_once)
{
    static const u8 types[] = {0, 1, 3, 4, 16, 17, 19, 32, 127};
    build(512 * MIB, 1);
    for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
        ck_assert_ptr_nonnull(find(types[i], 0));
        ck_assert_ptr_null(find(types[i], 1));
    }
    ck_assert_str_eq(text(find(0, 0), find(0, 0)[4]), "Parallax");
}
END_TEST

START_TEST(each_cpu_has_a_socket_of_its_own)
{
    build(512 * MIB, 255);
    ck_assert_ptr_nonnull(find(4, 254));
    ck_assert_ptr_null(find(4, 255));
    ck_assert_str_eq(text(find(4, 254), find(4, 254)[4]), "CPU 254");
    ck_assert_uint_ne(ld_le16(find(4, 0) + 2), ld_le16(find(4, 254) + 2));
}
END_TEST

START_TEST(memory_beyond_3_gib_is_mapped_at_4_gib)
{
    build(4 * GIB, 1);
    ck_assert_uint_eq(ld_le32(find(19, 0) + 8), (u32)(3 * GIB / KIB - 1));
    ck_assert_uint_eq(ld_le32(find(19, 1) + 4), (u32)(4 * GIB / KIB));
    ck_assert_uint_eq(ld_le32(find(19, 1) + 8), (u32)(5 * GIB / KIB - 1));
    ck_assert_uint_eq(ld_le16(find(17, 0) + 12), 4096);
}
END_TEST

START_TEST(large_memory_uses_the_extended_fields)
{
    build(1024 * GIB, 1);
    ck_assert_uint_eq(ld_le16(find(17, 0) + 12), 0x7fff);
    ck_assert_uint_eq(ld_le32(find(17, 0) + 28), 1024 * 1024);
    build(4096 * GIB, 1);
    ck_assert_uint_eq(ld_le32(find(16, 0) + 7), 0x80000000u);
    ck_assert_uint_eq(ld_le64(find(16, 0) + 15), 4096 * GIB);
    ck_assert_uint_eq(ld_le32(find(19, 1) + 4), 0xffffffffu);
    ck_assert_uint_eq(ld_le64(find(19, 1) + 23), 4096 * GIB + GIB - 1);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("smbios");
    TCase *t = tcase_create("structures");
    SRunner *r;
    int failed;
    tcase_add_test(t, the_entry_point_is_valid);
    tcase_add_test(t, count_length_and_largest_agree_with_the_structures);
    tcase_add_test(t, the_required_types_are_there_once);
    tcase_add_test(t, each_cpu_has_a_socket_of_its_own);
    tcase_add_test(t, memory_beyond_3_gib_is_mapped_at_4_gib);
    tcase_add_test(t, large_memory_uses_the_extended_fields);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
