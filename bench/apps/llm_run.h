// SPDX-License-Identifier: Apache-2.0
// The model on the device: weights, caches and activations in device memory, and the launches of a prefill
// and of a decode step.
//
// Any failing driver call ends the program (llm_cuda.h), so these functions have no errors to return but
// those said.
#ifndef BENCH_APPS_LLM_RUN_H
#define BENCH_APPS_LLM_RUN_H

#include "bench/apps/llm_options.h"

struct llm_run;

struct llm_run_stats {
    char device[128];
    uint64_t upload_bytes;                    // weights
    uint64_t device_bytes_peak;               // allocated at the same time, as asked for
    uint32_t prefill_kernels, decode_kernels; // launches of the last prefill and of the last decode step
    uint64_t step_up_bytes, step_down_bytes;  // copied in the last step, a prompt's tokens apart
    uint64_t prompt_checksum; // of the last token's logits of the last prompt; 0: not asked for
    double fill_ms;           // of the load: reading or making the weights' values
};

// What a style has on the host between steps; NULL where it has none.
struct llm_host_state {
    float *k, *v;                      // [layer][sequence][position][width]
    float *logits;                     // [sequence][vocab]
    uint64_t logit_count, rows;        // rows of k, and of v: width floats each
    uint32_t context, width, position; // positions from `position` on hold no token yet
};

// Opens device 0 and puts the weights where the style has them. Returns 0, or a negative errno when the
// weights cannot be had; `error` then says which tensor.
int llm_run_open(const struct llm_weights *weights, const struct llm_options *options, struct llm_run **out,
                 struct st_error *error);
void llm_run_close(struct llm_run *run);

// Processes the prompts (`sequences` times prompt_tokens tokens, one prompt after the other) and gives each
// sequence's next token. Once a run.
void llm_run_prefill(struct llm_run *run, const int32_t *prompts, int32_t *next);

// One more token for each sequence, after the one given last; there must be room in the context.
void llm_run_decode(struct llm_run *run, int32_t *next);

// The logits that the last tokens were chosen from: sequences * vocab floats.
void llm_run_logits(const struct llm_run *run, float *logits);

// The program may read and change what is there between steps.
void llm_run_host_state(const struct llm_run *run, struct llm_host_state *state);

void llm_run_stats_get(const struct llm_run *run, struct llm_run_stats *stats);

#endif
