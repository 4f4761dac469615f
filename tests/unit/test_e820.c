/* The memory map that kernels are told. */
#include "bios/e820.h"
#include "bios/layout.h"

#include <check.h>
#include <stdlib.h>

static const u64 sizes[] = {1 * MIB, 2 * MIB,    128 * MIB, 3 * GIB - 4 * KIB,
                            3 * GIB, 3500 * MIB, 64 * GIB};

static struct e820 map_of(u64 ram)
{
    struct e820 map;
    e820_build(&map, ram < PCI_HOLE_BASE ? ram : PCI_HOLE_BASE, ram);
    return map;
}

START_TEST(entries_are_sorted_and_do_not_overlap)
{
    struct e820 map = map_of(sizes[_i]);
    for (unsigned i = 1; i < map.count; i++)
        ck_assert_uint_le(map.entry[i - 1].base + map.entry[i - 1].size, map.entry[i].base);
}
END_TEST

START_TEST(usable_memory_is_all_ram_but_384_kib_and_the_ebda)
{
    struct e820 map = map_of(sizes[_i]);
    u64 usable = 0;
    for (unsigned i = 0; i < map.count; i++)
        if (map.entry[i].type == E820_RAM)
            usable += map.entry[i].size;
    ck_assert_uint_eq(usable, sizes[_i] - 384 * KIB - LAYOUT_EBDA_BYTES);
}
END_TEST

START_TEST(memory_beyond_3_gib_begins_at_4_gib)
{
    struct e820 map = map_of(3500 * MIB);
    ck_assert(e820_is_ram(&map, PCI_HOLE_BASE - 1, 1));
    ck_assert(!e820_is_ram(&map, PCI_HOLE_BASE, 1));
    ck_assert(e820_is_ram(&map, 4 * GIB, 428 * MIB));
    ck_assert(!e820_is_ram(&map, 4 * GIB, 428 * MIB + 1));
}
END_TEST

START_TEST(the_bios_area_and_the_apic_are_reserved)
{
    struct e820 map = map_of(128 * MIB);
    ck_assert(!e820_is_ram(&map, LAYOUT_ACPI, 1));
    ck_assert(!e820_is_ram(&map, LAYOUT_EBDA, 1));
    ck_assert(!e820_is_ram(&map, LAYOUT_LAPIC, 1));
    ck_assert(!e820_is_ram(&map, 0xa0000, 1));
}
END_TEST

START_TEST(ranges_that_wrap_or_are_empty_are_no_ram)
{
    struct e820 map = map_of(128 * MIB);
    ck_assert(!e820_is_ram(&map, MIB, 0));
    ck_assert(!e820_is_ram(&map, MIB, ~0ull));
    ck_assert(!e820_is_ram(&map, ~0ull, 2));
    ck_assert(!e820_is_ram(&map, MIB, 127 * MIB + 1));
    ck_assert(e820_is_ram(&map, MIB, 127 * MIB));
}
END_TEST

START_TEST(the_guest_sees_20_bytes_an_entry)
{
    struct e820 map = map_of(128 * MIB);
    u8 buf[E820_MAX * E820_ENTRY_BYTES];
    ck_assert_uint_eq(e820_encode(&map, buf), map.count * 20);
    ck_assert_uint_eq(buf[16], E820_RAM);
    ck_assert_uint_eq(buf[8] | buf[9] << 8 | buf[10] << 16, 0x9fc00);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("e820");
    TCase *t = tcase_create("map");
    SRunner *r;
    int failed;
    tcase_add_loop_test(t, entries_are_sorted_and_do_not_overlap, 0, ARRAY_SIZE(sizes));
    tcase_add_loop_test(t, usable_memory_is_all_ram_but_384_kib_and_the_ebda, 0, ARRAY_SIZE(sizes));
    tcase_add_test(t, memory_beyond_3_gib_begins_at_4_gib);
    tcase_add_test(t, the_bios_area_and_the_apic_are_reserved);
    tcase_add_test(t, ranges_that_wrap_or_are_empty_are_no_ram);
    tcase_add_test(t, the_guest_sees_20_bytes_an_entry);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
