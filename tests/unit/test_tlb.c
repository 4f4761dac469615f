/* test_tlb.c: what the first level of the TLB must not match. */
#include "mmu/tlb.h"
#include <check.h>
#include <stdlib.h>

#define WIDEST 64u

/* The translator's check (cpu/jit) of an access's last byte, counted from the tag. */
static bool hits(u64 neg, gva_t va, unsigned size)
{
    return (va + neg + size - 1) >> PAGE_SHIFT == 0;
}

/* Accesses that look up slot i and end in the next page, at the bottom and the top of memory. */
static bool any_hit(u64 neg, unsigned i)
{
    static const gva_t bases[] = {0, 0 - (gva_t)TLB_SLOTS * PAGE_SIZE};
    for (unsigned b = 0; b < 2; b++)
        for (unsigned size = 1; size <= WIDEST; size++)
            for (unsigned before = 0; before <= WIDEST; before++) {
                gva_t va = bases[b] + ((gva_t)(i + 1) << PAGE_SHIFT) - 1 - before;
                if (hits(neg, va, size))
                    return true;
            }
    return false;
}

START_TEST(an_empty_slot_matches_no_access_not_even_one_that_ends_in_another_page)
{
    struct tlb *t = calloc(1, sizeof *t);
    ck_assert_ptr_nonnull(t);
    tlb_init(t);
    for (unsigned m = 0; m < TLB_MODES; m++)
        for (unsigned i = 0; i < TLB_SLOTS; i++) {
            ck_assert_msg(!any_hit(t->l1[m].neg_r[i], i), "slot %u, reads", i);
            ck_assert_msg(!any_hit(t->l1[m].neg_w[i], i), "slot %u, writes", i);
        }
    free(t);
}
END_TEST

START_TEST(an_empty_slot_for_fetches_matches_no_page_of_its_own)
{
    struct tlb *t = calloc(1, sizeof *t);
    gpa_t gpa;
    ck_assert_ptr_nonnull(t);
    tlb_init(t);
    for (unsigned user = 0; user < 2; user++)
        for (unsigned i = 0; i < ITLB_SLOTS; i++)
            ck_assert(!tlb_fetch(t, (gva_t)i << PAGE_SHIFT, user, &gpa) &&
                      !tlb_fetch(t, ((gva_t)i << PAGE_SHIFT) - ITLB_SLOTS * PAGE_SIZE, user, &gpa));
    free(t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tlb");
    TCase *tc = tcase_create("tlb");
    SRunner *runner;
    int failures;

    tcase_add_test(tc, an_empty_slot_matches_no_access_not_even_one_that_ends_in_another_page);
    tcase_add_test(tc, an_empty_slot_for_fetches_matches_no_page_of_its_own);
    suite_add_tcase(s, tc);
    runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    failures = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failures != 0;
}
