// SPDX-License-Identifier: Apache-2.0
// The command line of llm_decode.
#ifndef BENCH_APPS_LLM_OPTIONS_H
#define BENCH_APPS_LLM_OPTIONS_H

#include "bench/apps/llm_model.h"

enum llm_style { LLM_STATEFUL, LLM_STATELESS, LLM_OFFLOAD }; // where the state lives between steps

struct llm_options {
    const struct llm_shape *shape;
    uint32_t sequences, prompt_tokens, steps;
    uint64_t seed;
    const char *weights_path; // NULL: random
    enum llm_style style;
    const char *style_name;
    bool is_pageable; // host buffers: plain memory instead of the driver's
    bool touches;     // --touch-kv
    uint64_t touch_seed;
    bool nudges; // --nudge-weight
    uint64_t nudged_weight;
    bool prompt_logits;
    bool print_tokens, json, check;
};

// Fills *options. A bad option prints what is wrong and ends the program with exit code 2; --help ends it
// with 0.
void llm_options_parse(int argc, char **argv, struct llm_options *options);

#endif
