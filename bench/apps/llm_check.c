// SPDX-License-Identifier: Apache-2.0
// --check: follows a run with the CPU reference, step by step, and judges the device's logits and choices.
//
// The reference is fed the tokens that the device chose, so that one close call does not make all that
// follows incomparable.
#include "bench/apps/llm_check.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

int llm_check_open(const struct llm_weights *weights, uint32_t sequences, uint32_t capacity,
                   struct llm_check *check)
{
    *check = (struct llm_check){.sequences = sequences, .vocab = weights->shape->vocab};
    check->expected = malloc(check->vocab * sizeof *check->expected);
    if (!check->expected)
        return -ENOMEM;
    int status = llm_reference_open(weights, sequences, capacity, &check->reference);
    if (status)
        free(check->expected);
    return status;
}

void llm_check_close(struct llm_check *check)
{
    llm_reference_close(check->reference);
    free(check->expected);
}

static void compare_row(struct llm_check *check, const float *logits, int32_t chosen)
{
    const double *expected = check->expected;
    double largest = 0, error = 0;
    uint32_t best = 0;
    bool is_number = true;
    for (uint32_t i = 0; i < check->vocab; i++) {
        largest = fmax(largest, fabs(expected[i]));
        best = expected[i] > expected[best] ? i : best;
        is_number = is_number && isfinite(logits[i]);
        error = fmax(error, fabs((double)logits[i] - expected[i]));
    }
    double second = -INFINITY;
    for (uint32_t i = 0; i < check->vocab; i++)
        if (i != best)
            second = fmax(second, expected[i]);
    // Both candidates may be off by the tolerance, in opposite directions.
    bool is_close = expected[best] - second <= 2 * LLM_CHECK_TOLERANCE * largest;
    check->rows++;
    check->worst_error = fmax(check->worst_error, error / largest);
    check->bad_rows += !is_number || !(error <= LLM_CHECK_TOLERANCE * largest);
    check->close_rows += is_close;
    check->bad_choices += !is_close && chosen != (int32_t)best;
}

void llm_check_step(struct llm_check *check, const int32_t *tokens, uint32_t count, const float *logits,
                    const int32_t *chosen)
{
    for (uint32_t s = 0; s < check->sequences; s++) {
        const int32_t *mine = tokens + (size_t)s * count;
        for (uint32_t i = 0; i < count; i++)
            llm_reference_step(check->reference, s, mine[i], i + 1 == count ? check->expected : NULL);
        compare_row(check, logits + (size_t)s * check->vocab, chosen[s]);
    }
}

bool llm_check_passed(const struct llm_check *check)
{
    return check->rows && !check->bad_rows && !check->bad_choices;
}
