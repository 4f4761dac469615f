/*
 * test_capstone.c: the decoder against Capstone, over every row in each code size and over random
 * bytes: length, validity, name. Each difference that remains belongs to a class of `differences`
 * that says who is right and why; a difference without a class, or a class that never occurs,
 * fails.
 *
 * PARALLAX_LONG_TESTS=1 raises the random byte strings from 10^6 to 10^7.
 */
#include "cpu/decode.h"
#include "tests/insn/rows.h"
#include <capstone/capstone.h>
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define SHORT_STRINGS 1000000u
#define LONG_STRINGS 10000000u
#define TRIES_PER_ROW 100u

/* One decoding by both. */
struct trial {
    unsigned code;
    u8 bytes[ROW_BYTES];
    enum decode_status status;
    struct insn in;
    const char *ours; /* "(bad)" for #UD, "(long)" for more than 15 bytes */
    unsigned cs_len;  /* 0: Capstone finds no instruction */
    const char *cs;
    /* parsed by the test itself, for the classes */
    unsigned at; /* of the first byte that is no prefix */
    bool lock, p66, rep, rex_w;
};

enum difference_kind { NONE_AT_ALL, ONLY_CAPSTONE, ONLY_OURS, LENGTH, NAME };

struct difference {
    enum difference_kind kind;
    bool (*is)(const struct trial *t);
    const char *why;
};

#include "tests/insn/capstone_differences.h"

static unsigned long occurred[ARRAY_SIZE(differences)];

/* ---- comparing ------------------------------------------------------------------------------- */

static void find_opcode(struct trial *t)
{
    t->at = 0;
    t->lock = t->p66 = t->rex_w = false;
    t->rep = false;
    for (; t->at < 15; t->at++) {
        u8 b = t->bytes[t->at];
        bool rex = t->code == 64 && (b & 0xf0) == 0x40;
        if (rex) {
            t->rex_w = b & 8;
            continue;
        }
        if (b == 0xf0)
            t->lock = true;
        else if (b == 0x66)
            t->p66 = true;
        else if (b == 0xf2 || b == 0xf3)
            t->rep = true;
        else if (b != 0x26 && b != 0x2e && b != 0x36 && b != 0x3e && b != 0x64 && b != 0x65 &&
                 b != 0x67)
            break;
        t->rex_w = false;
    }
}

/* Capstone's mnemonic without "lock", "rep" and their like before it. */
static const char *bare_mnemonic(const char *m)
{
    static const char *const before[] = {"lock ",  "rep ",      "repe ",     "repne ", "repz ",
                                         "repnz ", "xacquire ", "xrelease ", "bnd "};
    for (unsigned i = 0; i < ARRAY_SIZE(before); i++)
        if (strncmp(m, before[i], strlen(before[i])) == 0)
            return bare_mnemonic(m + strlen(before[i]));
    return m;
}

/* Equal, or equal but for an operand size letter that Capstone adds, or a known synonym. */
static bool same_name(const char *ours, const char *cs)
{
    size_t n = strlen(ours);

    if (strcmp(ours, cs) == 0)
        return true;
    if (strncmp(ours, cs, n) == 0 && cs[n] && !cs[n + 1] && strchr("bwdql", cs[n]))
        return true;
    for (unsigned i = 0; i < ARRAY_SIZE(synonyms); i++)
        if (strcmp(synonyms[i].ours, ours) == 0 && strcmp(synonyms[i].capstone, cs) == 0)
            return true;
    return false;
}

static enum difference_kind compare(const struct trial *t)
{
    bool ours = t->status == DECODE_OK && t->in.row != ROW_INVALID;

    if (!ours && !t->cs_len)
        return NONE_AT_ALL;
    if (t->cs_len && t->status == DECODE_OK && t->in.len != t->cs_len)
        return LENGTH;
    if (!ours)
        return ONLY_CAPSTONE;
    if (!t->cs_len)
        return ONLY_OURS;
    return same_name(t->ours, t->cs) ? NONE_AT_ALL : NAME;
}

/* ---- reporting ------------------------------------------------------------------------------- */

#define REPORT_MAX 60u

struct unexplained {
    char key[160];
    char bytes[64];
    unsigned long count;
};

struct report {
    struct unexplained item[REPORT_MAX];
    unsigned items;
    unsigned long count;
};

static void report_add(struct report *r, const struct trial *t, enum difference_kind kind)
{
    static const char *const kinds[] = {"", "only Capstone", "only ours", "length", "name"};
    char key[160], *p;
    unsigned i;

    r->count++;
    snprintf(key, sizeof key, "%s: %u-bit ours %s, Capstone %s, %02x %02x", kinds[kind], t->code,
             t->ours, t->cs_len ? t->cs : "(bad)", t->bytes[t->at], t->bytes[t->at + 1]);
    for (i = 0; i < r->items; i++)
        if (strncmp(r->item[i].key, key, (size_t)(strrchr(key, ',') - key)) == 0)
            break;
    if (i == REPORT_MAX)
        return;
    if (i == r->items) {
        r->items++;
        memcpy(r->item[i].key, key, sizeof key);
        p = r->item[i].bytes;
        p += sprintf(p, "len %u/%u:", t->in.len, t->cs_len);
        for (unsigned n = 0; n < 15; n++)
            p += sprintf(p, " %02x", t->bytes[n]);
    }
    r->item[i].count++;
}

static void report_check(const struct report *r, const char *where)
{
    for (unsigned i = 0; i < r->items; i++)
        fprintf(stderr, "%s: %s: %lu times, e.g. %s\n", where, r->item[i].key, r->item[i].count,
                r->item[i].bytes);
    ck_assert_msg(r->count == 0, "%s: %lu differences without a reason", where, r->count);
}

/* ---- one trial ------------------------------------------------------------------------------- */

struct capstone {
    csh handle[3];
    cs_insn *insn;
};

static void capstone_open(struct capstone *c)
{
    static const cs_mode modes[3] = {CS_MODE_16, CS_MODE_32, CS_MODE_64};

    for (unsigned i = 0; i < 3; i++)
        ck_assert_int_eq(cs_open(CS_ARCH_X86, modes[i], &c->handle[i]), CS_ERR_OK);
    c->insn = cs_malloc(c->handle[0]);
}

static void capstone_close(struct capstone *c)
{
    cs_free(c->insn, 1);
    for (unsigned i = 0; i < 3; i++)
        cs_close(&c->handle[i]);
}

static void run_trial(struct capstone *c, struct trial *t, struct report *report)
{
    const u8 *code = t->bytes;
    size_t size = INSN_MAX_BYTES;
    u64 address = 0;
    enum difference_kind kind;

    t->in = (struct insn){0};
    t->status = decode(t->bytes, INSN_MAX_BYTES, t->code, false, ALL_GATES, &t->in);
    t->ours = t->status == DECODE_OK ? insn_row(&t->in)->name : "(long)";
    t->cs_len = 0;
    if (cs_disasm_iter(c->handle[t->code / 32], &code, &size, &address, c->insn)) {
        t->cs_len = c->insn->size;
        t->cs = bare_mnemonic(c->insn->mnemonic);
    }
    kind = compare(t);
    if (kind == NONE_AT_ALL)
        return;
    find_opcode(t);
    for (unsigned i = 0; i < ARRAY_SIZE(differences); i++) {
        if (differences[i].kind == kind && differences[i].is(t)) {
            occurred[i]++;
            return;
        }
    }
    report_add(report, t, kind);
}

static void run_rows(struct report *report)
{
    struct capstone c;
    struct rng rng;
    struct trial t;

    capstone_open(&c);
    rng_seed(&rng, 3);
    for (unsigned row = 0; row < insn_row_count; row++) {
        for (unsigned i = 0; i < 3 * TRIES_PER_ROW; i++) {
            t.code = 16u << i % 3;
            if (row_instruction(row, &rng, t.code, ALL_GATES, t.bytes, &t.in))
                run_trial(&c, &t, report);
        }
    }
    capstone_close(&c);
}

static void run_random(unsigned strings, struct report *report)
{
    struct capstone c;
    struct rng rng;
    struct trial t;

    capstone_open(&c);
    rng_seed(&rng, 4);
    for (unsigned i = 0; i < strings; i++) {
        for (unsigned n = 0; n < ROW_BYTES; n += 8) {
            u64 r = rng_next(&rng);
            memcpy(t.bytes + n, &r, 8);
        }
        /* Half of them in the maps that one random byte in 256 leads to. */
        if (i & 8)
            t.bytes[i >> 4 & 3] = 0x0f;
        if ((i & 63) == 1) { /* and some with several prefixes */
            t.bytes[0] = 0x67;
            t.bytes[1] = (u8)(0x40 | (t.bytes[1] & 15));
            t.bytes[2] = 0x0f;
        }
        if ((i & 15) == 2) { /* and EVEX with its constant bits */
            t.bytes[0] = 0x62;
            t.bytes[1] = (u8)((t.bytes[1] & 0xf0) | (1 + i % 3));
            t.bytes[2] |= 4;
        }
        if ((i & 15) == 3) { /* and VEX of the maps that there are */
            t.bytes[0] = 0xc4;
            t.bytes[1] = (u8)((t.bytes[1] & 0xe0) | (1 + i % 3) | (i & 16 ? 0xe0 : 0));
            t.bytes[2] |= i & 32 ? 0x78 : 0; /* vvvv names no register */
        }
        t.code = 16u << i % 3;
        run_trial(&c, &t, report);
    }
    capstone_close(&c);
}

/* ---- tests ----------------------------------------------------------------------------------- */

START_TEST(every_row_has_capstones_length_and_name)
{
    struct report r = {.items = 0};

    run_rows(&r);
    report_check(&r, "rows");
}
END_TEST

START_TEST(random_bytes_have_capstones_length_validity_and_name)
{
    struct report r = {.items = 0};

    run_random(getenv("PARALLAX_LONG_TESTS") ? LONG_STRINGS : SHORT_STRINGS, &r);
    report_check(&r, "random bytes");
}
END_TEST

START_TEST(every_class_of_difference_still_occurs)
{
    struct report r = {.items = 0};

    run_rows(&r);
    run_random(SHORT_STRINGS, &r);
    for (unsigned i = 0; i < ARRAY_SIZE(differences); i++)
        ck_assert_msg(occurred[i], "never seen: %s", differences[i].why);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("capstone");
    TCase *tc = tcase_create("capstone");
    SRunner *runner;
    int failures;

    tcase_set_timeout(tc, 280);
    tcase_add_test(tc, every_row_has_capstones_length_and_name);
    tcase_add_test(tc, random_bytes_have_capstones_length_validity_and_name);
    tcase_add_test(tc, every_class_of_difference_still_occurs);
    suite_add_tcase(s, tc);
    runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    failures = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failures != 0;
}
