// SPDX-License-Identifier: Apache-2.0
// The offloading style: the weights stay on the device, the cache lives on the host. The device has room for
// one layer's keys and values; each layer's go up before its attention and come down after it, as in
// frameworks that serve contexts larger than the device.
#include "bench/apps/llm_parts.h"

#include <errno.h>
#include <string.h>

static int load(struct llm_run *run, const struct llm_weights *weights, struct st_error *error)
{
    uint64_t cache_bytes = llm_cache_floats(run, run->shape->layers) * sizeof(float);
    run->host_k = llm_host_new(run, cache_bytes);
    run->host_v = llm_host_new(run, cache_bytes);
    run->host_tokens = llm_host_new(run, run->sequences * sizeof(int32_t));
    if (!run->host_k || !run->host_v || !run->host_tokens)
        return -ENOMEM;
    return llm_load_device(run, weights, error);
}

static void layer_begin(struct llm_run *run, uint32_t layer)
{
    uint64_t floats = llm_cache_floats(run, 1);
    llm_host_up(run, run->k_cache, run->host_k + layer * floats, floats * sizeof(float));
    llm_host_up(run, run->v_cache, run->host_v + layer * floats, floats * sizeof(float));
}

static void layer_end(struct llm_run *run, uint32_t layer)
{
    uint64_t floats = llm_cache_floats(run, 1);
    llm_host_down(run, run->host_k + layer * floats, run->k_cache, floats * sizeof(float));
    llm_host_down(run, run->host_v + layer * floats, run->v_cache, floats * sizeof(float));
}

static void step_end(struct llm_run *run, int32_t *next)
{
    llm_host_down(run, run->host_tokens, run->tokens, run->sequences * sizeof(int32_t));
    llm_host_finish(run);
    memcpy(next, run->host_tokens, run->sequences * sizeof *next);
}

const struct llm_style_calls llm_offload = {
    .load = load, .layer_begin = layer_begin, .layer_end = layer_end, .step_end = step_end};
