/* test_flags.c: the lazy flags against flags computed bit by bit. */
#include "cpu/flags.h"
#include <check.h>

static bool parity_even(unsigned v)
{
    bool even = true;
    for (v &= 0xff; v; v &= v - 1)
        even = !even;
    return even;
}

/* EFLAGS of a + b + c or a - b - c on 8 bits, from the definitions of SDM vol. 1, 3.4.3.1. */
static u32 reference(unsigned a, unsigned b, unsigned c, bool subtract)
{
    int wide = subtract ? (int)a - (int)b - (int)c : (int)(a + b + c);
    int narrow = subtract ? (s8)a - (s8)b - (int)c : (s8)a + (s8)b + (int)c;
    int nibble = subtract ? (int)(a & 15) - (int)(b & 15) - (int)c : (int)((a & 15) + (b & 15) + c);
    u8 res = (u8)wide;
    return (wide < 0 || wide > 255 ? EFLAGS_CF : 0) | (parity_even(res) ? EFLAGS_PF : 0) |
           (nibble < 0 || nibble > 15 ? EFLAGS_AF : 0) | (res == 0 ? EFLAGS_ZF : 0) |
           (res & 0x80 ? EFLAGS_SF : 0) | (narrow < -128 || narrow > 127 ? EFLAGS_OF : 0);
}

START_TEST(sums_and_differences_of_all_bytes_have_the_defined_flags)
{
    struct flags f;
    for (unsigned a = 0; a < 256; a++) {
        for (unsigned b = 0; b < 256; b++) {
            for (unsigned c = 0; c < 2; c++) {
                flags_add(&f, a, b, (u64)a + b + c, 8);
                ck_assert_uint_eq(flags_get(&f), reference(a, b, c, false));
                flags_sub(&f, a, b, (u64)a - b - c, 8);
                ck_assert_uint_eq(flags_get(&f), reference(a, b, c, true));
            }
        }
    }
}
END_TEST

/* The top byte of a wide operation behaves as the 8-bit operation when the rest is neutral. */
START_TEST(wide_operations_take_carry_sign_and_overflow_from_the_top)
{
    const u32 top = EFLAGS_CF | EFLAGS_SF | EFLAGS_OF | EFLAGS_ZF;
    struct flags f;
    for (unsigned a = 0; a < 256; a += 3) {
        for (unsigned b = 0; b < 256; b += 5) {
            u64 x = (u64)a << 56, y = (u64)b << 56;
            flags_sub(&f, x, y, x - y, 64);
            ck_assert_uint_eq(flags_get(&f) & top, reference(a, b, 0, true) & top);
            flags_add(&f, x >> 32, y >> 32, (x >> 32) + (y >> 32), 32);
            ck_assert_uint_eq(flags_get(&f) & top, reference(a, b, 0, false) & top);
            flags_add(&f, x >> 48, y >> 48, (x >> 48) + (y >> 48), 16);
            ck_assert_uint_eq(flags_get(&f) & top, reference(a, b, 0, false) & top);
        }
    }
}
END_TEST

/* The n-th combination of the six flags. */
static u32 combination(unsigned n)
{
    return (n & 1 ? EFLAGS_CF : 0) | (n & 2 ? EFLAGS_PF : 0) | (n & 4 ? EFLAGS_AF : 0) |
           (n & 8 ? EFLAGS_ZF : 0) | (n & 16 ? EFLAGS_SF : 0) | (n & 32 ? EFLAGS_OF : 0);
}

START_TEST(every_combination_of_flags_can_be_set_and_read_back)
{
    struct flags f;
    for (unsigned n = 0; n < 64; n++) {
        flags_set(&f, combination(n));
        ck_assert_uint_eq(flags_get(&f), combination(n));
    }
}
END_TEST

START_TEST(setting_the_carry_keeps_the_other_flags)
{
    struct flags f;
    for (unsigned n = 0; n < 64; n++) {
        for (unsigned c = 0; c < 2; c++) {
            flags_set(&f, combination(n));
            flag_set_c(&f, c);
            ck_assert_uint_eq(flags_get(&f), (combination(n) & ~EFLAGS_CF) | c);
        }
    }
}
END_TEST

START_TEST(conditions_follow_the_table_of_the_manual)
{
    struct flags f;
    for (unsigned n = 0; n < 64; n++) {
        u32 e = combination(n);
        bool c = e & EFLAGS_CF, z = e & EFLAGS_ZF, s = e & EFLAGS_SF, o = e & EFLAGS_OF;
        bool p = e & EFLAGS_PF;
        bool expect[8] = {o, c, z, c || z, s, p, s != o, z || s != o};
        flags_set(&f, e);
        for (unsigned cc = 0; cc < 16; cc++)
            ck_assert_int_eq(flags_cond(&f, cc), expect[cc >> 1] != (cc & 1));
    }
}
END_TEST

START_TEST(logical_results_clear_carry_overflow_and_auxiliary)
{
    struct flags f;
    for (unsigned v = 0; v < 256; v++) {
        flags_logic(&f, v | 0xabcd00, 8); /* garbage above the operand does not matter */
        ck_assert_uint_eq(flags_get(&f), (parity_even(v) ? EFLAGS_PF : 0) |
                                             (v == 0 ? EFLAGS_ZF : 0) | (v & 0x80 ? EFLAGS_SF : 0));
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("flags");
    TCase *t = tcase_create("lazy flags");
    SRunner *r;
    int failures;
    tcase_add_test(t, sums_and_differences_of_all_bytes_have_the_defined_flags);
    tcase_add_test(t, wide_operations_take_carry_sign_and_overflow_from_the_top);
    tcase_add_test(t, every_combination_of_flags_can_be_set_and_read_back);
    tcase_add_test(t, setting_the_carry_keeps_the_other_flags);
    tcase_add_test(t, conditions_follow_the_table_of_the_manual);
    tcase_add_test(t, logical_results_clear_carry_overflow_and_auxiliary);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    failures = srunner_ntests_failed(r);
    srunner_free(r);
    return failures != 0;
}
