/* test_labs.c: the checker of lab 5 takes a device as it should be, and finds the usual mistakes.
 */
#include "frontends/lab.h"
#include "tests/unit/labs_accumulator.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static char *said;

static struct lab_verdict judge(const struct dev_class *cls)
{
    size_t size;
    struct lab_verdict v = {.out = open_memstream(&said, &size)};

    ck_assert(v.out != NULL);
    lab_judge_device(cls, &v);
    fclose(v.out);
    return v;
}

static void teardown(void)
{
    free(said);
    said = NULL;
}

START_TEST(a_device_as_it_should_be_has_no_wrong_point)
{
    struct lab_verdict v = judge(&accumulator_class);

    ck_assert_msg(!v.wrong && v.right > 8, "%s", said);
}
END_TEST

START_TEST(a_missing_row_a_missing_reset_and_kept_ports_are_found)
{
    struct lab_verdict v = judge(&half_accumulator_class);

    ck_assert_uint_eq(v.wrong, 4);
    ck_assert(strstr(said, "wrong: a reset clears both. Hint: .reset"));
    ck_assert(strstr(
        said, "wrong: a state that is saved and loaded again is the same. Hint: each register"));
    ck_assert(strstr(
        said, "wrong: the field table has a row for the sum and one for the count (it has 1)"));
    ck_assert(strstr(said, "wrong: it gives its ports back when it goes"));
}
END_TEST

START_TEST(without_a_device_the_first_point_says_where_it_goes)
{
    struct lab_verdict v = judge(NULL);

    ck_assert_uint_eq(v.wrong, 1);
    ck_assert(strstr(said, "DEVICE(accumulator)"));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("labs");
    TCase *t = tcase_create("device");
    SRunner *r = srunner_create(s);

    tcase_add_checked_fixture(t, NULL, teardown);
    tcase_add_test(t, a_device_as_it_should_be_has_no_wrong_point);
    tcase_add_test(t, a_missing_row_a_missing_reset_and_kept_ports_are_found);
    tcase_add_test(t, without_a_device_the_first_point_says_where_it_goes);
    suite_add_tcase(s, t);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
