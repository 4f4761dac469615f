/*
 * test_oracle.c: random instructions from the opcode table, sequences of them, and loops give the
 * same state on the host CPU, on the interpreter and on the translator: integer, x87, MMX, SSE;
 * 64-bit and 32-bit code. See oracle.h.
 *
 * 10^6 instructions; PARALLAX_ORACLE_COUNT and PARALLAX_ORACLE_SEED choose other numbers,
 * PARALLAX_ORACLE_ROW a single row by name. Check's CK_RUN_CASE chooses single, sequence or loop.
 *
 * A loop's program is made from its number; the first is the seed. What a report calls program N
 * comes again with PARALLAX_ORACLE_SEED=N PARALLAX_ORACLE_COUNT=4.
 */
#include "base/bits.h"
#include "base/rng.h"
#include "cpu/cpu.h"
#include "tests/insn/oracle.h"
#include "tests/insn/oracle_exceptions.h"
#include "tests/insn/rows.h"
#ifdef HAVE_CAPSTONE
#include <capstone/capstone.h>
#endif
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#ifdef __SANITIZE_ADDRESS__ /* takes ten times as long; there it looks for other things */
#define DEFAULT_COUNT 200000ull
#else
#define DEFAULT_COUNT 1000000ull
#endif
#define DEFAULT_SEED 1ull

/* ---- differences ----------------------------------------------------------------------------- */

#define REPORT_MAX 200u
#define BYTES_TEXT (3 * ORACLE_LOOP_BYTES + 1)

struct difference {
    unsigned row, code, engine, insns;
    const char *what;
    u64 count;
    char detail[BYTES_TEXT + 1000];
};

struct report {
    struct difference item[REPORT_MAX];
    unsigned items;
    u64 run, different, excused;
};

static const char *bytes_text(const struct oracle_case *c, char out[BYTES_TEXT])
{
    char *p = out;
    for (unsigned i = 0; i < c->len; i++)
        p += sprintf(p, "%02x ", c->bytes[i]);
    return out;
}

static const char *const engine_names[ORACLE_ENGINES] = {
    "interpreter",         "translator",
    "translator, no hits", "translator as users have it",
    "translator, shared",  "translator, little memory",
};

static struct difference *report_find(struct report *r, const struct oracle_case *c,
                                      unsigned engine, const char *what)
{
    for (unsigned i = 0; i < r->items; i++)
        if (r->item[i].row == c->row && r->item[i].code == c->code && r->item[i].engine == engine &&
            !strcmp(r->item[i].what, what))
            return &r->item[i];
    return NULL;
}

static void report_add(struct report *r, const struct oracle_case *c, unsigned engine,
                       const char *what, const char *detail)
{
    struct difference *d = report_find(r, c, engine, what);
    char bytes[BYTES_TEXT];

    r->different++;
    if (!d && r->items < REPORT_MAX) {
        d = &r->item[r->items++];
        *d = (struct difference){
            .row = c->row, .code = c->code, .engine = engine, .insns = c->count, .what = what};
        snprintf(d->detail, sizeof d->detail,
                 "program %llu at %x: %s%s; cw %04x sw %04x ft %02x st0 %04x:%016llx st1 "
                 "%04x:%016llx mxcsr %04x flags %03x",
                 (unsigned long long)c->program, c->at, bytes_text(c, bytes), detail,
                 ld_le16(c->before.fx), ld_le16(c->before.fx + 2), c->before.fx[4],
                 ld_le16(c->before.fx + 40), (unsigned long long)ld_le64(c->before.fx + 32),
                 ld_le16(c->before.fx + 56), (unsigned long long)ld_le64(c->before.fx + 48),
                 ld_le16(c->before.fx + 24), (unsigned)c->before.flags);
    }
    if (d)
        d->count++;
}

/* ---- running --------------------------------------------------------------------------------- */

struct run {
    struct oracle_guest *guest[ARRAY_SIZE(engine_names)]; /* by enum oracle_engine; NULL: none */
    struct rng rng;
    u64 gates;
    struct oracle_rows rows;
    struct report report;
#ifdef HAVE_CAPSTONE
    csh capstone;
    cs_insn *insn;
#endif
};

static bool row_is_testable(const struct run *run, unsigned row, unsigned code)
{
    const struct insn_row *r = &insn_rows[row];
    const char *only = getenv("PARALLAX_ORACLE_ROW");

    if (r->cls != IDENT && r->cls != STRING && r->cls != HELPER)
        return false;
    if (r->gate != GATE_NONE && !(run->gates >> r->gate & 1))
        return false;
    if (r->attr & (code == 64 ? A_I64 : A_O64))
        return false;
    if (code == 32 && r->attr & (A_W1 | A_A64) && !row_is_vex(r))
        return false;
    return only ? !strcmp(only, r->name) : !is_excluded(r);
}

#ifdef HAVE_CAPSTONE
/* The translator's output is whole instructions, from the first byte to the last. */
static void decode_again(struct run *run, const struct oracle_guest *g)
{
    u64 left, address = 0;
    const u8 *p = oracle_guest_code(g, &left);

    while (left && cs_disasm_iter(run->capstone, &p, &left, &address, run->insn))
        ;
    ck_assert_msg(left == 0, "the translator emitted what is no instruction: %02x %02x %02x", p[0],
                  p[1], p[2]);
}
#endif

static void judge(struct run *run, const struct oracle_case *c, const struct oracle_result *host,
                  unsigned engine)
{
    static struct oracle_result ours;
    struct oracle_comparison m = {.c = c, .host = host, .ours = &ours};

    oracle_guest_run(run->guest[engine], c, &ours);
    oracle_compare(&m);
#ifdef HAVE_CAPSTONE
    if (engine != ORACLE_INTERP && one_in(&run->rng, 64))
        decode_again(run, run->guest[engine]);
#endif
    if (!m.what)
        return;
    if (c->count == 1 &&
        is_vendor_difference(&(struct oracle_view){c, &insn_rows[c->row], host, &ours, m.what}))
        run->report.excused++;
    else
        report_add(&run->report, c, engine, m.what, m.detail);
}

static void judge_all(struct run *run, const struct oracle_case *c,
                      const struct oracle_result *host)
{
    run->report.run += c->count;
    judge(run, c, host, ORACLE_INTERP);
    if (run->guest[ORACLE_JIT])
        judge(run, c, host, ORACLE_JIT);
    if (run->guest[ORACLE_JIT_COLD] && one_in(&run->rng, 4))
        judge(run, c, host, ORACLE_JIT_COLD);
}

/* False when no instruction came of it. */
static bool run_one(struct run *run, unsigned row, unsigned code)
{
    static struct oracle_case c;
    static struct oracle_result host;

    if (!oracle_generate(&run->rng, row, code, run->gates, &c))
        return false;
    oracle_native_run(&c, &host);
    judge_all(run, &c, &host);
    return true;
}

/* `count` instructions of the row, unless the row has none in this code. */
static void run_row(struct run *run, unsigned row, unsigned code, u64 count)
{
    u64 failed = 0;

    for (u64 i = 0; i < count && failed < 100 + count / 4;) {
        if (run_one(run, row, code))
            i++;
        else
            failed++;
    }
}

static u64 env_number(const char *name, u64 otherwise)
{
    const char *s = getenv(name);
    return s ? strtoull(s, NULL, 0) : otherwise;
}

static void choose_rows(struct run *run, unsigned code)
{
    run->rows.count = 0;
    for (unsigned row = 0; row < insn_row_count; row++)
        if (row_is_testable(run, row, code)) {
            ck_assert_uint_lt(run->rows.count, ARRAY_SIZE(run->rows.row));
            run->rows.row[run->rows.count++] = (u16)row;
        }
    ck_assert_uint_gt(run->rows.count, 0);
}

static void run_singles(struct run *run, unsigned code, u64 count)
{
    for (unsigned i = 0; i < run->rows.count; i++)
        run_row(run, run->rows.row[i], code, count / run->rows.count + 1);
}

static void run_sequences(struct run *run, unsigned code, u64 count)
{
    static struct oracle_case c;
    static struct oracle_result host;

    c.code = code;
    while (run->report.run < count)
        if (oracle_generate_sequence(&run->rng, &run->rows, run->gates, run->guest[ORACLE_INTERP],
                                     &c, &host))
            judge_all(run, &c, &host);
}

/* Runs it in one engine; a difference in the count of instructions is one, too. */
static u64 judge_loop(struct run *run, const struct oracle_case *c,
                      const struct oracle_result *host, unsigned engine, u64 insns)
{
    static struct oracle_result ours;
    struct oracle_comparison m = {.c = c, .host = host, .ours = &ours};

    oracle_guest_run(run->guest[engine], c, &ours);
    oracle_compare(&m);
    if (!m.what && insns && ours.insns != insns) {
        m.what = "count of instructions";
        snprintf(m.detail, sizeof m.detail, "%llu instead of %llu", (unsigned long long)ours.insns,
                 (unsigned long long)insns);
    }
    if (m.what)
        report_add(&run->report, c, engine, m.what, m.detail);
    return ours.insns;
}

/* Of FS and GS in 32-bit code the host's kernel knows nothing; there the interpreter judges. */
static void run_loop(struct run *run, struct oracle_loop *l, const bool engine[ORACLE_ENGINES])
{
    static struct oracle_result host;
    struct oracle_case *c = &l->c;
    bool native = c->code == 64 || !l->segments;
    u64 insns = 0;

    oracle_loop_state(l);
    if (native)
        oracle_native_run(c, &host);
    else
        oracle_guest_run(run->guest[ORACLE_INTERP], c, &host);
    ck_assert_msg(host.rip - c->at <= c->len, "program %llu was left at %llx",
                  (unsigned long long)c->program, (unsigned long long)host.rip);
    c->undefined =
        host.trap == ORACLE_NO_TRAP ? l->undefined_at_end : l->undefined[host.rip - c->at];
    if (!native)
        insns = host.insns;
    else if (engine[ORACLE_INTERP])
        insns = judge_loop(run, c, &host, ORACLE_INTERP, 0);
    for (unsigned i = ORACLE_INTERP + 1; i < ORACLE_ENGINES; i++)
        if (engine[i] && run->guest[i])
            judge_loop(run, c, &host, i, insns);
    run->report.run += c->count;
}

/* Programs are numbered from the seed on. Each runs several times, in some of the engines, whose
 * code for it stays: the later runs begin with traces. */
static void run_loops(struct run *run, unsigned code, u64 count)
{
    static struct oracle_loop l;
    u64 number = env_number("PARALLAX_ORACLE_SEED", DEFAULT_SEED);

    while (run->report.run < count / 2) {
        bool engine[ORACLE_ENGINES] = {0};
        oracle_generate_loop(number++, code, run->gates, &l);
        for (unsigned i = 0; i < ORACLE_ENGINES; i++)
            engine[i] = one_in(&l.rng, 3);
        for (unsigned runs = 2 + (unsigned)rng_below(&l.rng, 4); runs; runs--)
            run_loop(run, &l, engine);
    }
    for (unsigned i = ORACLE_INTERP + 1; i < ORACLE_ENGINES; i++)
        if (run->guest[i])
            ck_assert_uint_ge(oracle_guest_traces(run->guest[i]), count / 2000);
}

/* 32-bit loops that something was found by. ECX and EDX point into DATA, and so does GS. */
static const struct {
    unsigned at, len; /* offset in CODE */
    u8 bytes[96];
} found[] = {
    /* A trace that begins where the first loop ends goes once round the second, to where that block
     * ends without a jump: the next instruction lies in two pages. The block's own code wants the
     * flags in another way, so the interpreter goes on: behind INC EBX, not at it. */
    {.at = 0xfa7,
     .len = 93,
     .bytes = {0xc7, 0xc3, 0xa2, 0xf4, 0xff, 0xff, 0x66, 0x0f, 0x6e, 0xd0, 0x8b, 0xaa, 0xaa, 0x03,
               0x00, 0x00, 0x81, 0xfe, 0x2c, 0x00, 0x00, 0x00, 0x83, 0x19, 0xbc, 0x81, 0xc1, 0x08,
               0x00, 0x00, 0x00, 0x81, 0xf9, 0x00, 0x19, 0x03, 0x0a, 0x0f, 0x82, 0x06, 0x00, 0x00,
               0x00, 0x81, 0xe9, 0x00, 0x12, 0x00, 0x00, 0x8d, 0x5b, 0x01, 0x81, 0xfb, 0x00, 0x00,
               0x00, 0x00, 0x0f, 0x85, 0xc6, 0xff, 0xff, 0xff, 0xc7, 0xc3, 0x65, 0xf5, 0xff, 0xff,
               0x8b, 0x69, 0x68, 0x65, 0x0f, 0xbf, 0x2d, 0x60, 0x00, 0x00, 0x00, 0x66, 0x89, 0x72,
               0x48, 0xff, 0xc3, 0x0f, 0x85, 0xe9, 0xff, 0xff, 0xff}},
};

static void run_found(struct run *run, unsigned code, u64 count)
{
    static struct oracle_loop l = {.bases = BIT(RCX) | BIT(RDX), .segments = true};
    bool engine[ORACLE_ENGINES];

    (void)count;
    for (unsigned i = 0; i < ORACLE_ENGINES; i++)
        engine[i] = true;
    for (unsigned i = 0; i < ARRAY_SIZE(found); i++) {
        l.c.code = code;
        l.c.at = found[i].at;
        l.c.len = found[i].len;
        memcpy(l.c.bytes, found[i].bytes, l.c.len);
        l.c.count = 2;
        l.c.program = i + 1;
        l.c.seg_base[1] = ORACLE_DATA + 0x800;
        rng_seed(&l.rng, l.c.program);
        for (unsigned runs = 0; runs < 10; runs++)
            run_loop(run, &l, engine);
    }
}

static void print_report(const struct report *r, unsigned code, u64 seed)
{
    for (unsigned i = 0; i < r->items; i++) {
        const struct difference *d = &r->item[i];
        printf("%s, %u-bit %s (%u instructions): %s, %llu times, e.g. %s\n",
               engine_names[d->engine], d->code, insn_rows[d->row].name, d->insns, d->what,
               (unsigned long long)d->count, d->detail);
    }
    printf("oracle: %u-bit code, seed %llu: %llu instructions, %llu differ, %llu by vendor\n", code,
           (unsigned long long)seed, (unsigned long long)r->run, (unsigned long long)r->different,
           (unsigned long long)r->excused);
    fflush(stdout); /* a failing child does not */
}

static void open_run(struct run *run, unsigned code, u64 seed)
{
    *run = (struct run){0};
    for (unsigned i = 0; i < ARRAY_SIZE(engine_names); i++)
        run->guest[i] = oracle_guest_open(i);
    ck_assert_ptr_nonnull(run->guest[ORACLE_INTERP]);
    if (!run->guest[ORACLE_JIT])
        printf("oracle: there is no translator here; the interpreter only\n");
    run->gates = host_gates();
    rng_seed(&run->rng, seed + code);
    choose_rows(run, code);
#ifdef HAVE_CAPSTONE
    ck_assert(cs_open(CS_ARCH_X86, CS_MODE_64, &run->capstone) == CS_ERR_OK);
    run->insn = cs_malloc(run->capstone);
#endif
}

static void close_run(struct run *run)
{
    for (unsigned i = 0; i < ARRAY_SIZE(engine_names); i++)
        oracle_guest_close(run->guest[i]);
#ifdef HAVE_CAPSTONE
    cs_free(run->insn, 1);
    cs_close(&run->capstone);
#endif
}

static void test_code(unsigned code, void (*what)(struct run *, unsigned, u64))
{
    u64 count = env_number("PARALLAX_ORACLE_COUNT", DEFAULT_COUNT) / 2;
    u64 seed = env_number("PARALLAX_ORACLE_SEED", DEFAULT_SEED);
    static struct run run;

    ck_assert(oracle_native_open());
    if (!oracle_native_can(code)) {
        printf("oracle: this host has no %u-bit code segment; nothing compared\n", code);
        return;
    }
    open_run(&run, code, seed);
    what(&run, code, count);
    print_report(&run.report, code, seed);
    close_run(&run);
    ck_assert_uint_eq(run.report.different, 0);
}

START_TEST(random_64_bit_instructions_do_what_the_host_cpu_does)
{
    test_code(64, run_singles);
}
END_TEST

START_TEST(random_32_bit_instructions_do_what_the_host_cpu_does)
{
    test_code(32, run_singles);
}
END_TEST

START_TEST(random_64_bit_sequences_do_what_the_host_cpu_does)
{
    test_code(64, run_sequences);
}
END_TEST

START_TEST(random_32_bit_sequences_do_what_the_host_cpu_does)
{
    test_code(32, run_sequences);
}
END_TEST

START_TEST(random_64_bit_loops_do_what_the_host_cpu_does)
{
    test_code(64, run_loops);
}
END_TEST

START_TEST(loops_that_translators_got_wrong_do_what_the_host_cpu_does)
{
    test_code(32, run_found);
}
END_TEST

START_TEST(random_32_bit_loops_do_what_the_host_cpu_does)
{
    test_code(32, run_loops);
}
END_TEST

int main(void)
{
#if !defined(__x86_64__) || !defined(__linux__)
    printf("oracle: this host is not x86-64 Linux; nothing compared\n");
    return 77; /* CTest: skipped */
#endif
#ifdef __SANITIZE_THREAD__ /* its runtime does not survive the foreign FS base and signal frames   \
                            */
    printf("oracle: not under ThreadSanitizer\n");
    return 77;
#endif
    Suite *s = suite_create("oracle");
    TCase *single = tcase_create("single"), *sequence = tcase_create("sequence"),
          *loop = tcase_create("loop");
    SRunner *runner;
    int failures;

    tcase_set_timeout(single, 0);
    tcase_add_test(single, random_64_bit_instructions_do_what_the_host_cpu_does);
    tcase_add_test(single, random_32_bit_instructions_do_what_the_host_cpu_does);
    suite_add_tcase(s, single);
    tcase_set_timeout(sequence, 0);
    tcase_add_test(sequence, random_64_bit_sequences_do_what_the_host_cpu_does);
    tcase_add_test(sequence, random_32_bit_sequences_do_what_the_host_cpu_does);
    suite_add_tcase(s, sequence);
    tcase_set_timeout(loop, 0);
    tcase_add_test(loop, loops_that_translators_got_wrong_do_what_the_host_cpu_does);
    tcase_add_test(loop, random_64_bit_loops_do_what_the_host_cpu_does);
    tcase_add_test(loop, random_32_bit_loops_do_what_the_host_cpu_does);
    suite_add_tcase(s, loop);
    runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    failures = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failures != 0;
}
