// SPDX-License-Identifier: Apache-2.0
// --check: follows a run with the CPU reference, step by step, and judges the device's logits and choices.
#ifndef BENCH_APPS_LLM_CHECK_H
#define BENCH_APPS_LLM_CHECK_H

#include "bench/apps/llm_reference.h"

// A logit may differ from the reference by this share of the largest one of its row. Float32 sums over some
// thousand terms keep six digits; layers with sharp attention lose one or two of them.
#define LLM_CHECK_TOLERANCE 1e-4

struct llm_check {
    struct llm_reference *reference;
    uint32_t sequences, vocab;
    double *expected;     // one row
    double worst_error;   // as a share of the row's largest logit
    uint32_t rows;        // compared
    uint32_t bad_rows;    // some logit outside the tolerance, or not a number
    uint32_t close_rows;  // the two best are within the tolerance of each other, so either choice is right
    uint32_t bad_choices; // another token than the reference's, in rows that are not close
};

// Returns 0 or a negative errno.
int llm_check_open(const struct llm_weights *weights, uint32_t sequences, uint32_t capacity,
                   struct llm_check *check);
void llm_check_close(struct llm_check *check);

// Feeds `count` tokens to each sequence (sequences * count, one sequence after the other), then compares the
// device's logits (sequences * vocab) and what it chose from them.
void llm_check_step(struct llm_check *check, const int32_t *tokens, uint32_t count, const float *logits,
                    const int32_t *chosen);

bool llm_check_passed(const struct llm_check *check);

#endif
