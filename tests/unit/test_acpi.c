/* The ACPI tables: structure, checksums, and what iasl thinks of them. */
#include "base/bits.h"
#include "bios/acpi.h"
#include "bios/layout.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static const unsigned cpu_counts[] = {1, 2, 16, 255};

static u8 mem[LAYOUT_ACPI_BYTES];
static struct acpi_tables at;

static void build(unsigned cpus)
{
    const struct acpi_config cfg = {.cpus = cpus};
    acpi_build(&cfg, LAYOUT_ACPI, mem, sizeof mem, &at);
}

static u8 sum(const u8 *p, size_t len)
{
    u8 s = 0;
    while (len--)
        s = (u8)(s + *p++);
    return s;
}

/* The table at a guest address that another table names. */
static const u8 *table(u64 gpa, const char *signature)
{
    const u8 *t = mem + (gpa - LAYOUT_ACPI);
    ck_assert_uint_lt(gpa - LAYOUT_ACPI, sizeof mem);
    ck_assert_mem_eq(t, signature, 4);
    return t;
}

START_TEST(every_table_sums_to_zero)
{
    build(cpu_counts[_i]);
    const u32 tables[] = {at.rsdt, at.xsdt, at.fadt, at.dsdt, at.madt, at.hpet};
    for (unsigned i = 0; i < ARRAY_SIZE(tables); i++)
        ck_assert_uint_eq(sum(mem + tables[i], ld_le32(mem + tables[i] + 4)), 0);
    ck_assert_uint_eq(sum(mem + at.rsdp, 20), 0);
    ck_assert_uint_eq(sum(mem + at.rsdp, 36), 0);
    ck_assert_uint_le(at.bytes, sizeof mem);
}
END_TEST

START_TEST(the_root_pointer_is_found_by_the_scan_of_16_byte_steps)
{
    bool found = false;
    build(1);
    for (unsigned i = 0; i < sizeof mem && !found; i += 16)
        found = memcmp(mem + i, "RSD PTR ", 8) == 0;
    ck_assert(found);
    ck_assert_uint_eq(at.rsdp % 16, 0);
}
END_TEST

START_TEST(both_roots_lead_to_the_same_tables)
{
    build(2);
    const u8 *rsdt = table(ld_le32(mem + at.rsdp + 16), "RSDT");
    const u8 *xsdt = table(ld_le64(mem + at.rsdp + 24), "XSDT");
    unsigned n = (ld_le32(rsdt + 4) - ACPI_HEADER_BYTES) / 4;
    ck_assert_uint_eq(n, 3);
    ck_assert_uint_eq((ld_le32(xsdt + 4) - ACPI_HEADER_BYTES) / 8, n);
    for (unsigned i = 0; i < n; i++)
        ck_assert_uint_eq(ld_le32(rsdt + 36 + 4 * i), ld_le64(xsdt + 36 + 8 * i));
    table(ld_le32(rsdt + 36), "FACP");
    table(ld_le32(rsdt + 40), "APIC");
    table(ld_le32(rsdt + 44), "HPET");
}
END_TEST

START_TEST(the_fadt_names_the_ports_of_the_power_management_chip)
{
    build(1);
    const u8 *f = mem + at.fadt;
    table(ld_le32(f + 36), "FACS");
    table(ld_le32(f + 40), "DSDT");
    ck_assert_uint_eq(ld_le32(f + 36) % 64, 0);
    ck_assert_uint_eq(ld_le32(f + 40), ld_le64(f + 140));
    ck_assert_uint_eq(ld_le16(f + 46), 9);
    ck_assert_uint_eq(ld_le32(f + 56), 0x600);
    ck_assert_uint_eq(ld_le32(f + 64), 0x604);
    ck_assert_uint_eq(ld_le32(f + 76), 0x608);
    ck_assert_uint_eq(ld_le32(f + 80), 0x620);
    ck_assert_uint_eq(ld_le64(f + 148 + 4), 0x600);
    ck_assert_uint_eq(ld_le64(f + 208 + 4), 0x608);
}
END_TEST

START_TEST(the_madt_lists_each_cpu_and_the_interrupt_overrides)
{
    unsigned lapics = 0, ioapics = 0, timer = 0, sci = 0, nmi = 0;
    build(cpu_counts[_i]);
    const u8 *m = mem + at.madt, *end = m + ld_le32(m + 4);
    for (const u8 *p = m + 44; p < end; p += p[1]) {
        ck_assert_uint_ge(p[1], 2);
        ck_assert(p + p[1] <= end);
        lapics += p[0] == 0 && p[3] == lapics;
        ioapics += p[0] == 1 && ld_le32(p + 4) == LAYOUT_IOAPIC;
        timer += p[0] == 2 && p[3] == 0 && ld_le32(p + 4) == 2;
        sci += p[0] == 2 && p[3] == 9 && ld_le32(p + 4) == 9 && ld_le16(p + 8) == 0x0d;
        nmi += p[0] == 4 && p[2] == 0xff && p[5] == 1;
    }
    ck_assert_uint_eq(lapics, cpu_counts[_i]);
    ck_assert_uint_eq(ioapics, 1);
    ck_assert_uint_eq(timer, 1);
    ck_assert_uint_eq(sci, 1);
    ck_assert_uint_eq(nmi, 1);
}
END_TEST

START_TEST(the_oem_is_six_characters_whatever_the_user_says)
{
    const struct acpi_config cfg = {.cpus = 1, .oem = "LONGER THAN SIX"};
    acpi_build(&cfg, LAYOUT_ACPI, mem, sizeof mem, &at);
    ck_assert_mem_eq(mem + at.fadt + 10, "LONGER", 6);
    ck_assert_mem_eq(mem + at.fadt + 16, "PARALLAX", 8);
}
END_TEST

/* ---- AML ------------------------------------------------------------------------------------ */

START_TEST(package_lengths_have_the_shortest_encoding_that_fits)
{
    static const struct {
        size_t body;
        u8 first, bytes;
    } want[] = {{1, 0x02, 1}, {62, 0x3f, 1}, {63, 0x41, 2}, {4093, 0x4f, 2}, {4094, 0x81, 3}};
    for (unsigned i = 0; i < ARRAY_SIZE(want); i++) {
        u8 buf[8192] = {0};
        struct aml a = {.buf = buf, .cap = sizeof buf};
        size_t mark = aml_if(&a);
        for (size_t n = 0; n < want[i].body; n++)
            aml_null(&a);
        aml_end(&a, mark);
        ck_assert_uint_eq(a.len, 1 + want[i].bytes + want[i].body);
        ck_assert_uint_eq(buf[1], want[i].first);
    }
}
END_TEST

START_TEST(a_full_buffer_sets_overflow_and_writes_nothing_beyond)
{
    u8 buf[16] = {0};
    struct aml a = {.buf = buf, .cap = 8};
    size_t mark = aml_device(&a, "ABCD");
    aml_name(&a, "_UID");
    aml_int(&a, 0x12345678);
    aml_end(&a, mark);
    ck_assert(a.overflow);
    for (unsigned i = 8; i < sizeof buf; i++)
        ck_assert_uint_eq(buf[i], 0);
}
END_TEST

START_TEST(pnp_ids_are_compressed_to_the_known_integers)
{
    u8 buf[8];
    struct aml a = {.buf = buf, .cap = sizeof buf};
    aml_eisaid(&a, "PNP0A03");
    ck_assert_uint_eq(ld_le32(buf + 1), 0x030ad041);
}
END_TEST

/* ---- iasl ----------------------------------------------------------------------------------- */

static void write_table(const char *dir, const char *name, const u8 *t)
{
    char path[128];
    FILE *f;
    snprintf(path, sizeof path, "%s/%s.dat", dir, name);
    f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(t, 1, ld_le32(t + 4), f), ld_le32(t + 4));
    fclose(f);
}

/* Runs a command in dir; its output is in dir/log. */
static int run_in(const char *dir, const char *command)
{
    char line[256];
    int r;
    snprintf(line, sizeof line, "cd %s && %s >>log 2>&1", dir, command);
    r = system(line);
    return WIFEXITED(r) ? WEXITSTATUS(r) : -1;
}

START_TEST(iasl_disassembles_and_recompiles_every_table_without_errors)
{
    static const char *const names[] = {"facp", "apic", "hpet", "dsdt"};
    char dir[] = "/tmp/parallax-acpi-XXXXXX", command[128];
    if (system("command -v iasl >/dev/null 2>&1") != 0)
        return;
    build(cpu_counts[_i]);
    ck_assert_ptr_nonnull(mkdtemp(dir));
    write_table(dir, "facp", mem + at.fadt);
    write_table(dir, "apic", mem + at.madt);
    write_table(dir, "hpet", mem + at.hpet);
    write_table(dir, "dsdt", mem + at.dsdt);
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        snprintf(command, sizeof command, "iasl -d %s.dat", names[i]);
        ck_assert_msg(run_in(dir, command) == 0, "%s: see %s/log", command, dir);
        snprintf(command, sizeof command, "iasl -we -oa -p again_%s %s.dsl", names[i], names[i]);
        ck_assert_msg(run_in(dir, command) == 0, "%s: see %s/log", command, dir);
    }
    /* The same bytes but for the compiler's id and revision, and so the checksum. */
    ck_assert_msg(run_in(dir, "cmp -i 36 dsdt.dat again_dsdt.aml") == 0, "see %s/log", dir);
    ck_assert_int_eq(run_in(dir, "grep -q 'Error\\b.*[1-9]' log && exit 1; exit 0"), 0);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    ck_assert_int_eq(system(command), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("acpi");
    TCase *t = tcase_create("tables");
    SRunner *r;
    int failed;
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, every_table_sums_to_zero, 0, ARRAY_SIZE(cpu_counts));
    tcase_add_test(t, the_root_pointer_is_found_by_the_scan_of_16_byte_steps);
    tcase_add_test(t, both_roots_lead_to_the_same_tables);
    tcase_add_test(t, the_fadt_names_the_ports_of_the_power_management_chip);
    tcase_add_loop_test(t, the_madt_lists_each_cpu_and_the_interrupt_overrides, 0,
                        ARRAY_SIZE(cpu_counts));
    tcase_add_test(t, the_oem_is_six_characters_whatever_the_user_says);
    tcase_add_test(t, package_lengths_have_the_shortest_encoding_that_fits);
    tcase_add_test(t, a_full_buffer_sets_overflow_and_writes_nothing_beyond);
    tcase_add_test(t, pnp_ids_are_compressed_to_the_known_integers);
    tcase_add_loop_test(t, iasl_disassembles_and_recompiles_every_table_without_errors, 0,
                        ARRAY_SIZE(cpu_counts));
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
