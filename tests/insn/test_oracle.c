/*
 * test_oracle.c: random instructions from the opcode table give the same state on the host CPU and
 * on the interpreter: integer, x87, MMX, SSE; 64-bit and 32-bit code. See oracle.h.
 *
 * 10^6 instructions; PARALLAX_ORACLE_COUNT and PARALLAX_ORACLE_SEED choose other numbers,
 * PARALLAX_ORACLE_ROW a single row by name.
 */
#include "base/bits.h"
#include "base/rng.h"
#include "cpu/cpu.h"
#include "tests/insn/oracle.h"
#include "tests/insn/oracle_exceptions.h"
#include "tests/insn/rows.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define DEFAULT_COUNT 1000000ull
#define DEFAULT_SEED 1ull

/* ---- differences ----------------------------------------------------------------------------- */

#define REPORT_MAX 200u

struct difference {
    unsigned row, code;
    const char *what;
    u64 count;
    char detail[700];
};

struct report {
    struct difference item[REPORT_MAX];
    unsigned items;
    u64 run, different, excused;
};

static const char *bytes_text(const struct oracle_case *c, char out[64])
{
    char *p = out;
    for (unsigned i = 0; i < c->len; i++)
        p += sprintf(p, "%02x ", c->bytes[i]);
    return out;
}

static unsigned print_bytes(char *p, size_t size, const u8 *b, unsigned n)
{
    unsigned len = 0;
    while (n-- > 0)
        len += (unsigned)snprintf(p + len, size - len, "%02x", b[n]);
    return len;
}

/* The differing bytes of a field, highest first: before, host, ours. */
static void print_field(char *p, size_t size, const char *name, const u8 *before, const u8 *host,
                        const u8 *ours, unsigned n)
{
    int len = snprintf(p, size, "%s before ", name);
    len += (int)print_bytes(p + len, size - (size_t)len, before, n);
    len += snprintf(p + len, size - (size_t)len, " host ");
    len += (int)print_bytes(p + len, size - (size_t)len, host, n);
    len += snprintf(p + len, size - (size_t)len, " ours ");
    print_bytes(p + len, size - (size_t)len, ours, n);
}

static struct difference *report_find(struct report *r, const struct oracle_case *c,
                                      const char *what)
{
    for (unsigned i = 0; i < r->items; i++)
        if (r->item[i].row == c->row && r->item[i].code == c->code &&
            !strcmp(r->item[i].what, what))
            return &r->item[i];
    return NULL;
}

static void report_add(struct report *r, const struct oracle_case *c, const char *what,
                       const char *detail)
{
    struct difference *d = report_find(r, c, what);
    char bytes[80];

    r->different++;
    if (!d && r->items < REPORT_MAX) {
        d = &r->item[r->items++];
        *d = (struct difference){.row = c->row, .code = c->code, .what = what};
        snprintf(
            d->detail, sizeof d->detail,
            "%s%s; cw %04x sw %04x ft %02x st0 %04x:%016llx st1 %04x:%016llx mxcsr %04x flags %03x",
            bytes_text(c, bytes), detail, ld_le16(c->before.fx), ld_le16(c->before.fx + 2),
            c->before.fx[4], ld_le16(c->before.fx + 40),
            (unsigned long long)ld_le64(c->before.fx + 32), ld_le16(c->before.fx + 56),
            (unsigned long long)ld_le64(c->before.fx + 48), ld_le16(c->before.fx + 24),
            (unsigned)c->before.flags);
    }
    if (d)
        d->count++;
}

/* ---- comparing ------------------------------------------------------------------------------- */

struct comparison {
    const struct oracle_case *c;
    const struct oracle_result *host, *ours;
    const char *what; /* NULL: equal so far */
    char detail[500];
};

static void differ(struct comparison *m, const char *what, const void *before, const void *host,
                   const void *ours, unsigned n)
{
    int len;

    if (m->what)
        return;
    m->what = what;
    len = snprintf(m->detail, sizeof m->detail, "trap %u ", m->host->trap);
    print_field(m->detail + len, sizeof m->detail - (size_t)len, what, before, host, ours, n);
}

static u64 defined_flags(const struct oracle_case *c, bool trapped)
{
    const struct insn_row *r = &insn_rows[c->row];
    u64 mask = EFLAGS_ARITH | EFLAGS_DF | EFLAGS_NT | EFLAGS_AC | EFLAGS_ID;

    if (c->flags_dead && !trapped)
        return mask;
    if (trapped && r->cls == STRING) /* how far a repeat came shows in RCX */
        return mask & ~(u64)EFLAGS_ARITH;
    return trapped ? mask : mask & ~(u64)r->fl_undef;
}

/* Whether a page of the host's kernel is present is no matter of ours. */
static u32 error_of(const struct oracle_result *r)
{
    return r->trap == EXC_PF && r->cr2 >> 63 ? r->error & ~1u : r->error;
}

static void compare_trap(struct comparison *m)
{
    const struct oracle_result *h = m->host, *o = m->ours;

    if (h->trap != o->trap) {
        m->what = "trap";
        snprintf(m->detail, sizeof m->detail,
                 "trap host %u (error %x cr2 %llx) ours %u (error %x cr2 %llx)", h->trap, h->error,
                 (unsigned long long)h->cr2, o->trap, o->error, (unsigned long long)o->cr2);
        return;
    }
    if (h->trap == EXC_PF && h->cr2 != o->cr2)
        differ(m, "cr2", &h->cr2, &h->cr2, &o->cr2, 8);
    if ((h->trap == EXC_PF || h->trap == EXC_GP || h->trap == EXC_SS) && error_of(h) != error_of(o))
        differ(m, "error code", &h->error, &h->error, &o->error, 4);
    if (h->rip != o->rip)
        differ(m, "rip", &h->rip, &h->rip, &o->rip, 8);
}

static void compare_gprs(struct comparison *m)
{
    static const char *const names[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                          "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};

    for (unsigned i = 0; i < (m->c->code == 64 ? 16u : 8u); i++) {
        const u64 *b = &m->c->before.gpr[i], *h = &m->host->after.gpr[i],
                  *o = &m->ours->after.gpr[i];
        if (*h != *o)
            differ(m, names[i], b, h, o, 8);
    }
}

static void compare_flags(struct comparison *m)
{
    bool trapped = m->host->trap != ORACLE_NO_TRAP;
    u64 mask = defined_flags(m->c, trapped);
    u64 b = m->c->before.flags, h = m->host->after.flags & mask, o = m->ours->after.flags & mask;

    if (h != o)
        differ(m, "flags", &b, &h, &o, 3);
}

static void differ_if(struct comparison *m, const char *what, const void *before, const void *host,
                      const void *ours, unsigned n)
{
    if (memcmp(host, ours, n))
        differ(m, what, before, host, ours, n);
}

/* AMD's FXSAVE stores the pointers only when an exception is pending; they are of the instruction
 * under test when it was not so before. */
static bool pointers_are_visible(const struct comparison *m)
{
    const u8 *b = m->c->before.fx, *h = m->host->after.fx;
    return m->host->trap == ORACLE_NO_TRAP && h[2] & 0x80 && !(b[2] & 0x80) &&
           is_x87_arithmetic(&insn_rows[m->c->row]);
}

static void compare_fx(struct comparison *m)
{
    const u8 *b = m->c->before.fx, *h = m->host->after.fx, *o = m->ours->after.fx;
    u16 mask = x87_status_mask(&insn_rows[m->c->row]);

    if (memcmp(h, o, 2))
        differ(m, "x87 control", b, h, o, 2);
    if ((ld_le16(h + 2) ^ ld_le16(o + 2)) & mask)
        differ(m, "x87 status", b + 2, h + 2, o + 2, 2);
    if (h[4] != o[4])
        differ(m, "x87 tags", b + 4, h + 4, o + 4, 1);
    if (pointers_are_visible(m)) {
        differ_if(m, "x87 opcode", b + 6, h + 6, o + 6, 2);
        differ_if(m, "x87 instruction pointer", b + 8, h + 8, o + 8, m->c->code / 8);
        if (m->c->in.mem)
            differ_if(m, "x87 operand pointer", b + 16, h + 16, o + 16, m->c->code / 8);
    }
    for (unsigned i = 32; i < 160; i += 16)
        if (memcmp(h + i, o + i, 10))
            differ(m, "x87 register", b + i, h + i, o + i, 10);
    if (memcmp(h + 24, o + 24, 4))
        differ(m, "mxcsr", b + 24, h + 24, o + 24, 4);
    for (unsigned i = 160; i < (m->c->code == 64 ? 416u : 288u); i += 16)
        if (memcmp(h + i, o + i, 16))
            differ(m, "xmm", b + i, h + i, o + i, 16);
}

static void compare_data(struct comparison *m)
{
    const u8 *b = m->c->data, *h = m->host->data, *o = m->ours->data;
    unsigned i = 0;

    if (m->what || !memcmp(h, o, ORACLE_DATA_BYTES))
        return;
    while (h[i] == o[i])
        i++;
    i = i > ORACLE_DATA_BYTES - 16 ? ORACLE_DATA_BYTES - 16 : i;
    differ(m, "memory", b + i, h + i, o + i, 16);
}

static void compare(struct comparison *m)
{
    m->what = NULL;
    compare_trap(m);
    compare_gprs(m);
    compare_flags(m);
    compare_fx(m);
    compare_data(m);
}

/* ---- running --------------------------------------------------------------------------------- */

struct run {
    struct oracle_guest *guest;
    struct rng rng;
    u64 gates;
    struct report report;
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

/* False when no instruction came of it. */
static bool run_one(struct run *run, unsigned row, unsigned code)
{
    static struct oracle_case c;
    static struct oracle_result host, ours;
    struct comparison m = {.c = &c, .host = &host, .ours = &ours};

    if (!oracle_generate(&run->rng, row, code, run->gates, &c))
        return false;
    run->report.run++;
    oracle_native_run(&c, &host);
    oracle_guest_run(run->guest, &c, &ours);
    compare(&m);
    if (!m.what)
        return true;
    if (is_vendor_difference(&(struct oracle_view){&c, &insn_rows[row], &host, &ours, m.what}))
        run->report.excused++;
    else
        report_add(&run->report, &c, m.what, m.detail);
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

static void run_all(struct run *run, unsigned code, u64 count)
{
    unsigned rows = 0;

    for (unsigned row = 0; row < insn_row_count; row++)
        rows += row_is_testable(run, row, code);
    ck_assert_uint_gt(rows, 0);
    for (unsigned row = 0; row < insn_row_count; row++)
        if (row_is_testable(run, row, code))
            run_row(run, row, code, count / rows + 1);
}

static void test_code(unsigned code)
{
    u64 count = env_number("PARALLAX_ORACLE_COUNT", DEFAULT_COUNT) / 2;
    u64 seed = env_number("PARALLAX_ORACLE_SEED", DEFAULT_SEED);
    static struct run run;

    ck_assert(oracle_native_open());
    if (!oracle_native_can(code)) {
        printf("oracle: this host has no %u-bit code segment; nothing compared\n", code);
        return;
    }
    run.guest = oracle_guest_open();
    ck_assert_ptr_nonnull(run.guest);
    run.gates = host_gates();
    rng_seed(&run.rng, seed + code);
    run_all(&run, code, count);
    for (unsigned i = 0; i < run.report.items; i++) {
        const struct difference *d = &run.report.item[i];
        printf("%u-bit %s: %s, %llu times, e.g. %s\n", d->code, insn_rows[d->row].name, d->what,
               (unsigned long long)d->count, d->detail);
    }
    printf("oracle: %u-bit code, seed %llu: %llu instructions, %llu differ, %llu by vendor\n", code,
           (unsigned long long)seed, (unsigned long long)run.report.run,
           (unsigned long long)run.report.different, (unsigned long long)run.report.excused);
    fflush(stdout); /* a failing child does not */
    oracle_guest_close(run.guest);
    ck_assert_uint_eq(run.report.different, 0);
}

START_TEST(random_64_bit_instructions_do_what_the_host_cpu_does)
{
    test_code(64);
}
END_TEST

START_TEST(random_32_bit_instructions_do_what_the_host_cpu_does)
{
    test_code(32);
}
END_TEST

int main(void)
{
#if !defined(__x86_64__) || !defined(__linux__)
    printf("oracle: this host is not x86-64 Linux; nothing compared\n");
    return 77; /* CTest: skipped */
#endif
#ifdef __SANITIZE_THREAD__ /* its runtime does not survive the foreign FS base and signal frames */
    printf("oracle: not under ThreadSanitizer\n");
    return 77;
#endif
    Suite *s = suite_create("oracle");
    TCase *tc = tcase_create("oracle");
    SRunner *runner;
    int failures;

    tcase_set_timeout(tc, 0);
    tcase_add_test(tc, random_64_bit_instructions_do_what_the_host_cpu_does);
    tcase_add_test(tc, random_32_bit_instructions_do_what_the_host_cpu_does);
    suite_add_tcase(s, tc);
    runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    failures = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failures != 0;
}
