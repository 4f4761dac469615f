/* test_pv_parse.c: -pv: personalities, feature switches, refusals, help. */
#include "pv/kvm.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct phys phys;
static struct clock virtual_time;
static struct cpu *cpu;
static struct pv_env env;
static struct err e;

static void setup(void)
{
    memset(&phys, 0, sizeof phys);
    ck_assert(phys_init(&phys, MIB, &e));
    clock_init(&virtual_time, CLOCK_ICOUNT);
    cpu = cpu_alloc();
    cpu->clock = &virtual_time;
    cpu->phys = &phys;
    cpu->tsc_khz = 1000000;
    env = (struct pv_env){.phys = &phys, .clock = &virtual_time, .cpu = {cpu}, .cpus = 1};
    memset(&e, 0, sizeof e);
}

static void teardown(void)
{
    free(cpu);
    phys_destroy(&phys);
}

static u32 features_of(const char *spec)
{
    struct pv *pv = pv_create(spec, &env, &e);
    u32 r[4] = {0};

    ck_assert_msg(pv != NULL, "%s: %s", spec, e.msg);
    ck_assert(pv_cpuid(pv, KVM_CPUID_FEATURES, 0, r));
    pv_destroy(pv);
    return r[0];
}

static void refuse(const char *spec, const char *msg, const char *hint)
{
    memset(&e, 0, sizeof e);
    ck_assert_ptr_null(pv_create(spec, &env, &e));
    ck_assert_int_eq(e.exit_code, EXIT_USAGE);
    ck_assert_msg(strstr(e.msg, msg) != NULL, "'%s' lacks '%s'", e.msg, msg);
    ck_assert_msg(strstr(e.hint, hint) != NULL, "'%s' lacks '%s'", e.hint, hint);
}

START_TEST(none_shows_no_hypervisor_at_all)
{
    struct pv *pv = pv_create("none", &env, &e);
    u32 r[4] = {0};
    bool handled = true;
    u64 v;

    ck_assert(!pv_cpuid(pv, 1, 0, r));
    ck_assert_uint_eq(r[2], 0);
    ck_assert(!pv_cpuid(pv, 0x40000000, 0, r));
    pv_msr_read(pv, cpu, MSR_KVM_SYSTEM_TIME_NEW, &v, &handled);
    ck_assert(!handled);
    ck_assert(!pv_hypercall(pv, cpu));
    pv_enter(pv, cpu);
    pv_leave(pv, cpu, true);
    pv_destroy(pv);
}
END_TEST

START_TEST(null_shows_a_signature_and_nothing_else)
{
    struct pv *pv = pv_create("null", &env, &e);
    u32 r[4] = {0};
    char signature[13] = {0};
    bool handled = true;

    ck_assert(pv_cpuid(pv, 1, 0, r));
    ck_assert_uint_eq(r[2], 1u << 31);
    ck_assert(pv_cpuid(pv, 0x40000000, 0, r));
    ck_assert_uint_eq(r[0], 0x40000000);
    memcpy(signature, &r[1], 12);
    ck_assert_str_eq(signature, "ParallaxNull");
    ck_assert(!pv_cpuid(pv, 0x40000001, 0, r));
    pv_msr_write(pv, cpu, MSR_KVM_SYSTEM_TIME_NEW, 1, &handled);
    ck_assert(!handled);
    ck_assert(!pv_hypercall(pv, cpu));
    pv_destroy(pv);
}
END_TEST

START_TEST(no_name_means_none)
{
    struct pv *pv = pv_create(NULL, &env, &e);
    ck_assert_str_eq(pv->p->name, "none");
    pv_destroy(pv);
}
END_TEST

START_TEST(each_feature_switches_its_own_bits_off)
{
    u32 all = features_of("kvm,+all");

    for (const struct pv_feature *f = pv_kvm.features; f->name; f++) {
        char spec[64];
        u32 gone;

        snprintf(spec, sizeof spec, "kvm,+all,-%s", f->name);
        if (strcmp(f->name, "steal-time") == 0) {
            refuse(spec, "pv-tlb-flush needs steal-time", "+pv-tlb-flush");
            continue;
        }
        gone = all & ~features_of(spec);
        ck_assert_msg(gone == f->cpuid_bit, "%s: %#x", spec, gone);
    }
}
END_TEST

START_TEST(defaults_leave_out_what_needs_a_second_cpu)
{
    u32 bits = features_of("kvm");

    ck_assert(bits & BIT(3));
    ck_assert(bits & BIT(24));
    ck_assert(!(bits & (BIT(9) | BIT(13) | BIT(4))));
    ck_assert(features_of("kvm,+pv-tlb-flush") & BIT(9));
    ck_assert_uint_eq(features_of("kvm,-all"), 0);
    ck_assert_uint_eq(features_of("kvm,-all,+pv-eoi"), BIT(6));
    ck_assert(!(features_of("kvm,-kvmclock,-kvmclock2") & BIT(24)));
}
END_TEST

START_TEST(later_items_win)
{
    ck_assert(features_of("kvm,-pv-eoi,+pv-eoi") & BIT(6));
    ck_assert(!(features_of("kvm,+pv-eoi,-pv-eoi") & BIT(6)));
}
END_TEST

START_TEST(unknown_names_are_refused_with_the_nearest)
{
    refuse("kvn", "kvn", "'kvm'");
    refuse("", "unknown personality", "help");
    refuse("hypervisor-of-dreams", "hypervisor-of-dreams", "help");
    refuse("kvm,-pv-eio", "pv-eio", "'pv-eoi'");
    refuse("kvm,+kvm-clock", "kvm-clock", "'kvmclock'");
    refuse("kvm,pv-eoi", "neither", "kvm,+pv-eoi");
    refuse("kvm,", "neither", "");
    refuse("kvm,+", "no feature ''", "help");
    refuse("none,+pv-eoi", "has no feature", "no features");
    refuse("null,-all", "has no feature", "no features");
    refuse("kvm,+clocksource-stable,-kvmclock,-kvmclock2", "needs kvmclock", "+clocksource-stable");
}
END_TEST

START_TEST(a_very_long_name_is_refused_and_not_overrun)
{
    char spec[4096];

    memset(spec, 'k', sizeof spec - 1);
    spec[sizeof spec - 1] = '\0';
    refuse(spec, "unknown personality", "");
    memcpy(spec, "kvm,+", 5);
    refuse(spec, "has no feature", "");
}
END_TEST

START_TEST(help_names_every_personality_and_feature)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    pv_help(out);
    fclose(out);
    ck_assert_ptr_nonnull(strstr(text, "none"));
    ck_assert_ptr_nonnull(strstr(text, "null"));
    for (const struct pv_feature *f = pv_kvm.features; f->name; f++)
        ck_assert_ptr_nonnull(strstr(text, f->name));
    free(text);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("pv_parse");
    TCase *c = tcase_create("pv_parse");
    SRunner *r = srunner_create(s);
    int failures;

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, none_shows_no_hypervisor_at_all);
    tcase_add_test(c, null_shows_a_signature_and_nothing_else);
    tcase_add_test(c, no_name_means_none);
    tcase_add_test(c, each_feature_switches_its_own_bits_off);
    tcase_add_test(c, defaults_leave_out_what_needs_a_second_cpu);
    tcase_add_test(c, later_items_win);
    tcase_add_test(c, unknown_names_are_refused_with_the_nearest);
    tcase_add_test(c, a_very_long_name_is_refused_and_not_overrun);
    tcase_add_test(c, help_names_every_personality_and_feature);
    suite_add_tcase(s, c);
    srunner_run_all(r, CK_NORMAL);
    failures = srunner_ntests_failed(r);
    srunner_free(r);
    return failures != 0;
}
