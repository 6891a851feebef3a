// SPDX-License-Identifier: Apache-2.0
// The same model in plain C on the CPU, one token at a time, in double precision: what the device's numbers
// are checked against.
#ifndef BENCH_APPS_LLM_REFERENCE_H
#define BENCH_APPS_LLM_REFERENCE_H

#include "bench/apps/llm_model.h"

struct llm_reference;

// Loads all weights and makes empty caches for `sequences` sequences of up to `capacity` tokens. Returns 0 or
// a negative errno.
int llm_reference_open(const struct llm_weights *weights, uint32_t sequences, uint32_t capacity,
                       struct llm_reference **out);
void llm_reference_close(struct llm_reference *reference);

// Appends one token (0 .. vocab-1) to a sequence, which must have room, and writes the logits of what comes
// next to `logits` (vocab doubles), unless it is NULL.
void llm_reference_step(struct llm_reference *reference, uint32_t sequence, int32_t token, double *logits);

#endif
