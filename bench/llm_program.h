// SPDX-License-Identifier: Apache-2.0
// One run of llm_decode in a lane: what it says of itself, and what the client counted.
#ifndef GN_BENCH_LLM_PROGRAM_H
#define GN_BENCH_LLM_PROGRAM_H

#include <jansson.h>

#include "bench/lane.h"

enum { GN_LLM_ARGS_MAX = 24 };

struct gn_llm_run {
    json_t *said; // its line of JSON; NULL: none
    bool counted; // the figures below are there
    double round_trips;
    double commands_up, commands_down, payload_up, payload_down; // bytes at the socket; up: to the server
    char why[200];                                               // "": it ran
};

// Runs it with these arguments (NULL-terminated) besides --json and --print-tokens, and waits for its end.
void gn_llm_run(struct gn_place *p, struct gn_lane *lane, const char *mock, const char *const *args,
                struct gn_llm_run *run);
void gn_llm_run_free(struct gn_llm_run *run);

double gn_llm_number(const struct gn_llm_run *run, const char *key); // NaN: it did not say it
const json_t *gn_llm_tokens(const struct gn_llm_run *run);           // of all sequences, or NULL

#endif
