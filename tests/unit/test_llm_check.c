// SPDX-License-Identifier: Apache-2.0
// Question: does llm_decode's --check pass what is right and fail what is wrong? Method: logits from the
// reference itself, rounded as a device would, then damaged in one place each.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "bench/apps/llm_check.h"

static const struct llm_shape micro = {"micro", 1, 64, 1, 128, 32};
enum { VOCAB = 128, COUNT = 3, SEQUENCES = 2 };
static const int32_t prompts[SEQUENCES * COUNT] = {1, 2, 3, 100, 90, 80};

struct fixture {
    struct llm_weights weights;
    struct llm_check check;
    float logits[SEQUENCES * VOCAB];
    int32_t best[SEQUENCES];
    double largest; // of the last sequence
};

static struct fixture begin(void)
{
    struct fixture f;
    struct st_error error;
    struct llm_reference *reference;
    double row[VOCAB];
    assert_int_equal(llm_weights_open(&micro, NULL, 3, &f.weights, &error), 0);
    assert_int_equal(llm_reference_open(&f.weights, SEQUENCES, 8, &reference), 0);
    for (int s = 0; s < SEQUENCES; s++) {
        for (int i = 0; i < COUNT; i++)
            llm_reference_step(reference, (uint32_t)s, prompts[s * COUNT + i], row);
        f.best[s] = 0;
        f.largest = 0;
        for (int i = 0; i < VOCAB; i++) {
            f.logits[s * VOCAB + i] = (float)row[i];
            f.best[s] = row[i] > row[f.best[s]] ? i : f.best[s];
            f.largest = fmax(f.largest, fabs(row[i]));
        }
    }
    llm_reference_close(reference);
    assert_int_equal(llm_check_open(&f.weights, SEQUENCES, 8, &f.check), 0);
    return f;
}

// Ends the fixture and says whether it passed.
static bool passed(struct fixture *f)
{
    llm_check_step(&f->check, prompts, COUNT, f->logits, f->best);
    bool result = llm_check_passed(&f->check);
    assert_int_equal(f->check.rows, SEQUENCES);
    llm_check_close(&f->check);
    return result;
}

static void right_logits_pass(void **state)
{
    (void)state;
    struct fixture f = begin();
    assert_true(passed(&f));
    assert_true(f.check.worst_error < 1e-6);
    f = begin();
    f.logits[2 * VOCAB - 1] += (float)(0.9 * LLM_CHECK_TOLERANCE * f.largest);
    assert_true(passed(&f));
    assert_true(f.check.worst_error > 0.8 * LLM_CHECK_TOLERANCE);
}

static void wrong_logits_fail(void **state)
{
    (void)state;
    struct fixture f = begin();
    f.logits[2 * VOCAB - 1] += (float)(1.1 * LLM_CHECK_TOLERANCE * f.largest);
    assert_false(passed(&f));
    assert_int_equal(f.check.bad_rows, 1);
    f = begin();
    f.logits[5] = NAN;
    assert_false(passed(&f));
    f = begin();
    f.logits[VOCAB + 5] = -INFINITY;
    assert_false(passed(&f));
    f = begin(); // the two sequences exchanged
    float copy[VOCAB];
    memcpy(copy, f.logits, sizeof copy);
    memcpy(f.logits, f.logits + VOCAB, sizeof copy);
    memcpy(f.logits + VOCAB, copy, sizeof copy);
    assert_false(passed(&f));
    assert_int_equal(f.check.bad_rows, 2);
}

static void wrong_choices_fail(void **state)
{
    (void)state;
    struct fixture f = begin();
    f.best[1] ^= 1;
    assert_false(passed(&f));
    assert_int_equal(f.check.bad_choices, 1);
    assert_int_equal(f.check.bad_rows, 0);
}

static void nothing_compared_is_no_pass(void **state)
{
    (void)state;
    struct fixture f = begin();
    assert_false(llm_check_passed(&f.check));
    llm_check_close(&f.check);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(right_logits_pass),
        cmocka_unit_test(wrong_logits_fail),
        cmocka_unit_test(wrong_choices_fail),
        cmocka_unit_test(nothing_compared_is_no_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
