/*
 * test_softfloat.c: soft float against fixed vectors, and on x86-64 hosts against the host's own SSE
 * and x87 instructions over random and special operands, with every rounding mode, precision and
 * mask, exception flags included.
 */
#include "base/rng.h"
#include "cpu/softfloat.h"
#include "cpu/x87_trans.h"
#include "tests/unit/float_operands.h"
#include <check.h>
#include <inttypes.h>
#include <stdlib.h>

#define CASES 120000

/* ---- fixed vectors --------------------------------------------------------------------------- */

static struct sf_ctx masked(unsigned rounding)
{
    return (struct sf_ctx){.rounding = (u8)rounding, .masks = SF_ALL, .precision = 64};
}

START_TEST(tininess_is_detected_after_rounding)
{
    struct sf_ctx c = masked(SF_NEAREST);
    f64_t below = 0x380ffffff8000000ull; /* 2^-126 (1 - 2^-26) */
    ck_assert_uint_eq(f64_to_f32(&c, below), 0x00800000); /* inexact, but no underflow */
    ck_assert_uint_eq(c.flags, SF_PE);
    c = masked(SF_ZERO);
    ck_assert_uint_eq(f64_to_f32(&c, below), 0x007fffff);
    ck_assert_uint_eq(c.flags, SF_UE | SF_PE);
}
END_TEST

START_TEST(masked_overflow_gives_infinity_or_the_greatest_by_rounding)
{
    static const u32 positive[4] = {0x7f800000, 0x7f7fffff, 0x7f800000, 0x7f7fffff};
    static const u32 negative[4] = {0xff800000, 0xff800000, 0xff7fffff, 0xff7fffff};
    for (unsigned r = 0; r < 4; r++) {
        struct sf_ctx c = masked(r);
        ck_assert_uint_eq(f32_mul(&c, 0x7f000000, 0x7f000000), positive[r]);
        ck_assert_uint_eq(c.flags, SF_OE | SF_PE);
        c = masked(r);
        ck_assert_uint_eq(f32_mul(&c, 0xff000000, 0x7f000000), negative[r]);
    }
}
END_TEST

START_TEST(sse_returns_the_first_operands_nan_and_x87_the_larger)
{
    struct sf_ctx c = masked(SF_NEAREST);
    ck_assert_uint_eq(f32_add(&c, 0x7fc00001, 0x7fc00002), 0x7fc00001);
    ck_assert_uint_eq(c.flags, 0);
    ck_assert_uint_eq(f32_add(&c, 0x7f800001, 0x7fc00002), 0x7fc00001);
    ck_assert_uint_eq(c.flags, SF_IE);

    struct f80 a = {0xc000000000000001ull, 0x7fff}, b = {0xc000000000000002ull, 0xffff};
    c = masked(SF_NEAREST);
    struct f80 r = f80_add(&c, a, b);
    ck_assert_uint_eq(r.mant, b.mant);
    ck_assert_uint_eq(r.se, b.se);
}
END_TEST

START_TEST(unmasked_invalid_stops_before_later_exceptions)
{
    struct sf_ctx c = masked(SF_NEAREST);
    c.masks &= (u8)~SF_DE;
    f32_mul(&c, 0x00000001, 0x00000001);
    ck_assert_uint_eq(c.flags, SF_DE);
    ck_assert(sf_unmasked(&c));
    ck_assert_uint_eq(sf_raised(&c), SF_DE);
}
END_TEST

START_TEST(unmasked_x87_underflow_biases_the_exponent)
{
    struct sf_ctx c = masked(SF_NEAREST);
    struct f80 tiny = {F80_J, 1};
    c.masks &= (u8)~SF_UE;
    struct f80 r = f80_mul(&c, tiny, tiny); /* 2^(2 * (1 - 16383)) */
    ck_assert_uint_eq(c.flags, SF_UE);
    ck_assert_uint_eq(r.mant, F80_J);
    ck_assert_uint_eq(r.se, 2 * (1 - 16383) + 24576 + 16383);
}
END_TEST

START_TEST(unnormals_are_invalid_and_pseudo_denormals_are_not)
{
    struct sf_ctx c = masked(SF_NEAREST);
    struct f80 unnormal = {0x4000000000000000ull, 0x3fff}, one = {F80_J, 0x3fff};
    struct f80 pseudo = {F80_J, 0}, zero = {0, 0};
    ck_assert_int_eq(f80_classify(unnormal), F80_UNSUPPORTED);
    struct f80 r = f80_add(&c, unnormal, one);
    ck_assert_uint_eq(c.flags, SF_IE);
    ck_assert_uint_eq(r.mant, 0xc000000000000000ull);
    c = masked(SF_NEAREST);
    r = f80_add(&c, pseudo, zero);
    ck_assert_uint_eq(c.flags, SF_DE);
    ck_assert_uint_eq(r.se, 1);
    ck_assert_uint_eq(r.mant, F80_J);
}
END_TEST

START_TEST(bcd_keeps_eighteen_digits_and_the_sign_of_zero)
{
    struct sf_ctx c = masked(SF_NEAREST);
    u8 bcd[10];
    f80_to_bcd(&c, f80_from_s64(-999999999999999999ll), bcd);
    for (int i = 0; i < 9; i++)
        ck_assert_uint_eq(bcd[i], 0x99);
    ck_assert_uint_eq(bcd[9], 0x80);
    ck_assert_uint_eq(c.flags, 0);
    f80_to_bcd(&c, f80_from_s64(1000000000000000000ll), bcd);
    ck_assert_uint_eq(c.flags, SF_IE);
    ck_assert_uint_eq(bcd[7], 0xc0);
    ck_assert_uint_eq(bcd[9], 0xff);
    u8 minus_zero[10] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80};
    ck_assert_uint_eq(f80_from_bcd(minus_zero).se, 0x8000);
}
END_TEST

START_TEST(predicates_follow_their_table)
{
    struct sf_ctx c = masked(SF_NEAREST);
    u32 one = 0x3f800000, two = 0x40000000, nan = 0x7fc00000;
    static const bool lt[16] = {0, 1, 1, 0, 1, 0, 0, 1, 0, 1, 1, 0, 1, 0, 0, 1};
    static const bool un[16] = {0, 0, 0, 1, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 0, 1};
    for (unsigned p = 0; p < 32; p++) {
        ck_assert_int_eq(f32_predicate(&c, one, two, p), lt[p & 15]);
        ck_assert_int_eq(f32_predicate(&c, one, nan, p), un[p & 15]);
    }
}
END_TEST

/* SDM vol. 1 table 14-9 (F16C). */
START_TEST(halves_are_exact_in_single_and_come_back)
{
    for (unsigned h = 0; h < 0x10000; h++) {
        struct sf_ctx c = masked(SF_NEAREST);
        bool nan = (h & 0x7fff) > 0x7c00, signalling = nan && !(h & 0x200);
        bool denormal = !(h & 0x7c00) && h & 0x3ff;
        f32_t single = f16_to_f32(&c, (f16_t)h);

        ck_assert_uint_eq(c.flags, signalling ? SF_IE : 0); /* denormals raise nothing */
        c = masked(SF_NEAREST);
        ck_assert_uint_eq(f32_to_f16(&c, single), signalling ? h | 0x200 : h);
        ck_assert_uint_eq(c.flags, 0);
        if (denormal) { /* a normal single: its exponent tells the highest bit */
            unsigned top = 31 - (unsigned)__builtin_clz(h & 0x3ff);
            ck_assert_uint_eq(single >> 23 & 0xff, 127 - 24 + top);
        }
    }
}
END_TEST

START_TEST(halves_are_rounded_as_the_context_says)
{
    static const struct {
        f32_t from;
        u8 rounding, flags;
        f16_t to;
    } rows[] = {
        {0x3f801000, SF_NEAREST, SF_PE, 0x3c00}, /* 1 + 2^-11: a tie, to even */
        {0x3f803000, SF_NEAREST, SF_PE, 0x3c02}, /* 1 + 3 * 2^-11 */
        {0x3f801000, SF_UP, SF_PE, 0x3c01},
        {0xbf801000, SF_UP, SF_PE, 0xbc00},
        {0x477fe000, SF_NEAREST, 0, 0x7bff},             /* 65504, the greatest */
        {0x477ff000, SF_NEAREST, SF_OE | SF_PE, 0x7c00}, /* 65520 */
        {0x477fefff, SF_NEAREST, SF_PE, 0x7bff},
        {0x477ff000, SF_ZERO, SF_PE, 0x7bff},
        {0x33800000, SF_NEAREST, 0, 1},             /* 2^-24, the least */
        {0x33000000, SF_NEAREST, SF_UE | SF_PE, 0}, /* half of it: to even */
        {0x33000001, SF_NEAREST, SF_UE | SF_PE, 1},
        {0x33000000, SF_UP, SF_UE | SF_PE, 1},
        {0x387fe000, SF_NEAREST, SF_UE | SF_PE, 0x0400}, /* tiny; rounded to the least normal */
        {0x00000001, SF_NEAREST, SF_DE | SF_UE | SF_PE, 0},
        {0x7f800000, SF_NEAREST, 0, 0x7c00},
        {0xff800001, SF_NEAREST, SF_IE, 0xfe00},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        struct sf_ctx c = masked(rows[i].rounding);
        ck_assert_msg(f32_to_f16(&c, rows[i].from) == rows[i].to, "row %u", i);
        ck_assert_msg(c.flags == rows[i].flags, "row %u: flags %x", i, c.flags);
    }
}
END_TEST

START_TEST(fma_rounds_once)
{
    struct sf_ctx c = masked(SF_NEAREST);
    /* (1 + 2^-52)^2 - (1 + 2^-51) = 2^-104 */
    f64_t a = 0x3ff0000000000001ull, d = 0xbff0000000000002ull;
    ck_assert_uint_eq(f64_fma(&c, a, a, d, 0), (u64)(1023 - 104) << 52);
    ck_assert_uint_eq(c.flags, 0);
    ck_assert_uint_eq(f64_fma(&c, a, a, d, SF_NEG_PRODUCT | SF_NEG_ADDEND),
                      (u64)(1023 - 104) << 52 | BIT64(63));
}
END_TEST

static void mix(u64 *digest, u64 v)
{
    *digest = (*digest ^ v) * 0x100000001b3ull;
}

static void mix80(u64 *digest, struct f80 v)
{
    mix(digest, v.mant);
    mix(digest, v.se);
}

static void mix_single_and_double(u64 *digest, struct rng *r, struct sf_ctx *c)
{
    u32 a = rnd32(r), b = rnd32(r), d = rnd32(r);
    u64 p = rnd64(r), q = rnd64(r), s = rnd64(r);
    mix(digest, f32_add(c, a, b) ^ (u64)f32_mul(c, a, b) << 32);
    mix(digest, f32_div(c, a, b) ^ (u64)f32_sqrt(c, a) << 32);
    mix(digest, f32_fma(c, a, b, d, 0) ^ (u64)f32_sub(c, a, d) << 32);
    mix(digest, f64_add(c, p, q));
    mix(digest, f64_sub(c, p, s));
    mix(digest, f64_mul(c, p, q));
    mix(digest, f64_div(c, p, q));
    mix(digest, f64_sqrt(c, p));
    mix(digest, f64_fma(c, p, q, s, 0));
    mix(digest, f64_to_f32(c, p) ^ f32_to_f64(c, a));
    mix(digest, (u64)f64_to_s64(c, p, false) ^ f64_from_s64(c, (s64)q));
}

static void mix_extended(u64 *digest, struct rng *r, struct sf_ctx *c)
{
    struct f80 a = rnd80(r), b = rnd80(r), v = {0, 0}, w = {0, 0};
    u64 q;
    bool partial;
    mix80(digest, f80_add(c, a, b));
    mix80(digest, f80_mul(c, a, b));
    mix80(digest, f80_div(c, a, b));
    mix80(digest, f80_sqrt(c, a));
    mix80(digest, f80_rem(c, a, b, true, &q, &partial));
    mix80(digest, x87_f2xm1(c, a));
    mix80(digest, x87_yl2x(c, a, b));
    mix80(digest, x87_yl2xp1(c, a, b));
    mix80(digest, x87_patan(c, a, b));
    x87_sincos(c, a, &v, &w);
    mix80(digest, v);
    mix80(digest, w);
}

START_TEST(results_are_the_same_on_every_host)
{
    u64 digest = 0xcbf29ce484222325ull;
    struct rng r;
    rng_seed(&r, 1);
    for (int i = 0; i < 20000; i++) {
        struct sf_ctx c = sf_from_x87_cw((u16)(0x37f | rng_below(&r, 4) << 10));
        mix_single_and_double(&digest, &r, &c);
        mix_extended(&digest, &r, &c);
        mix(&digest, c.flags);
    }
    ck_assert_uint_eq(digest, 17972479083650660950ull);
}
END_TEST

#if defined(__x86_64__)
#include "tests/unit/softfloat_host.h"
#endif

int main(void)
{
    Suite *s = suite_create("softfloat");
    TCase *t = tcase_create("vectors");
    tcase_add_test(t, tininess_is_detected_after_rounding);
    tcase_add_test(t, masked_overflow_gives_infinity_or_the_greatest_by_rounding);
    tcase_add_test(t, sse_returns_the_first_operands_nan_and_x87_the_larger);
    tcase_add_test(t, unmasked_invalid_stops_before_later_exceptions);
    tcase_add_test(t, unmasked_x87_underflow_biases_the_exponent);
    tcase_add_test(t, unnormals_are_invalid_and_pseudo_denormals_are_not);
    tcase_add_test(t, bcd_keeps_eighteen_digits_and_the_sign_of_zero);
    tcase_add_test(t, predicates_follow_their_table);
    tcase_add_test(t, halves_are_exact_in_single_and_come_back);
    tcase_add_test(t, halves_are_rounded_as_the_context_says);
    tcase_add_test(t, fma_rounds_once);
    tcase_add_test(t, results_are_the_same_on_every_host);
    suite_add_tcase(s, t);
#if defined(__x86_64__)
    suite_add_tcase(s, host_tests());
#endif
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
