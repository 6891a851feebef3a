// SPDX-License-Identifier: Apache-2.0
// --touch-kv: reads or changes the host's copy of the cache between steps, at random, as a program may at any
// time. What it read goes into a checksum, and what it wrote into the next tokens: so a run that was given
// other bytes than the driver's prints something else.
#ifndef BENCH_APPS_LLM_TOUCH_H
#define BENCH_APPS_LLM_TOUCH_H

#include "bench/apps/llm_run.h"

struct llm_touch {
    uint64_t state, checksum;
    uint32_t steps, reads, changes;
};

void llm_touch_begin(struct llm_touch *touch, uint64_t seed);
// After a step, with the host's cache at rest: reads some of it, changes some of it, or leaves it alone.
void llm_touch_step(struct llm_touch *touch, const struct llm_host_state *state);
void llm_touch_end(struct llm_touch *touch, const struct llm_host_state *state); // reads all of it

#endif
