// SPDX-License-Identifier: Apache-2.0
// The stateless style: nothing is taken to live on the device from one step to the next. Weights, cache and
// token go up before each step; cache, logits and token come down after it. That is what a remote procedure
// call without state does.
#include "bench/apps/llm_parts.h"

#include <errno.h>
#include <string.h>

static int load(struct llm_run *run, const struct llm_weights *weights, struct st_error *error)
{
    uint64_t cache_bytes = llm_cache_floats(run, run->shape->layers) * sizeof(float);
    run->host_k = llm_host_new(run, cache_bytes);
    run->host_v = llm_host_new(run, cache_bytes);
    run->host_logits = llm_host_new(run, (uint64_t)run->sequences * run->shape->vocab * sizeof(float));
    run->host_tokens = llm_host_new(run, run->sequences * sizeof(int32_t));
    if (!run->host_k || !run->host_v || !run->host_logits || !run->host_tokens)
        return -ENOMEM;
    return llm_load_host(run, weights, error);
}

static void step_begin(struct llm_run *run)
{
    const struct llm_shape *shape = run->shape;
    uint64_t cache_bytes = llm_cache_floats(run, shape->layers) * sizeof(float);
    for (uint32_t i = 0; i < llm_group_count(shape); i++)
        llm_host_up(run, run->groups[i], run->host_groups[i], llm_group_floats(shape, i) * sizeof(float));
    llm_host_up(run, run->k_cache, run->host_k, cache_bytes);
    llm_host_up(run, run->v_cache, run->host_v, cache_bytes);
    llm_host_up(run, run->tokens, run->host_tokens, run->sequences * sizeof(int32_t));
}

static void step_end(struct llm_run *run, int32_t *next)
{
    uint64_t cache_bytes = llm_cache_floats(run, run->shape->layers) * sizeof(float);
    llm_host_down(run, run->host_k, run->k_cache, cache_bytes);
    llm_host_down(run, run->host_v, run->v_cache, cache_bytes);
    llm_host_down(run, run->host_logits, run->logits,
                  (uint64_t)run->sequences * run->shape->vocab * sizeof(float));
    llm_host_down(run, run->host_tokens, run->tokens, run->sequences * sizeof(int32_t));
    llm_host_finish(run);
    memcpy(next, run->host_tokens, run->sequences * sizeof *next);
}

const struct llm_style_calls llm_stateless = {.load = load, .step_begin = step_begin, .step_end = step_end};
