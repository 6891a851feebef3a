// SPDX-License-Identifier: Apache-2.0
// The ordinary style: weights and cache stay on the device. The tokens that a step chose stay there too,
// where the next step's embedding finds them, and the position is a kernel argument: so a decode step uploads
// nothing, and waits once, for the copy of its tokens.
#include "bench/apps/llm_parts.h"

static void step_end(struct llm_run *run, int32_t *next)
{
    CU(cuMemcpyDtoH(next, run->tokens, run->sequences * sizeof *next));
    run->stats.step_down_bytes += run->sequences * sizeof *next;
}

const struct llm_style_calls llm_stateful = {.load = llm_load_device, .step_end = step_end};
