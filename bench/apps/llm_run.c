// SPDX-License-Identifier: Apache-2.0
// The model on the device: its memory, its steps, and what is told of them. The launches are in
// llm_forward.c, what is copied when in the file of each style.
#include "bench/apps/llm_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const char llm_kernels_ptx[]; // llm_kernels_ptx.S

void llm_cuda_check(CUresult result, const char *file, int line, const char *call)
{
    if (result == CUDA_SUCCESS)
        return;
    const char *name = NULL, *text = NULL;
    if (cuGetErrorName(result, &name) != CUDA_SUCCESS || !name)
        name = "unknown error";
    if (cuGetErrorString(result, &text) != CUDA_SUCCESS || !text)
        text = "no description";
    fflush(stdout);
    fprintf(stderr, "llm_decode: %s:%d: %s: %s (%d): %s\n", file, line, call, name, (int)result, text);
    exit(1);
}

// --- memory

static CUdeviceptr allocate(struct llm_run *run, uint64_t size_bytes)
{
    CUdeviceptr at;
    CU(cuMemAlloc(&at, size_bytes));
    run->stats.device_bytes_peak += size_bytes; // nothing is freed before the end
    return at;
}

static CUdeviceptr allocate_floats(struct llm_run *run, uint64_t count)
{
    return allocate(run, count * sizeof(float));
}

uint64_t llm_cache_floats(const struct llm_run *run, uint32_t layers)
{
    return (uint64_t)layers * run->sequences * run->shape->context * run->shape->width;
}

static void allocate_all(struct llm_run *run, bool with_prompt_logits)
{
    const struct llm_shape *shape = run->shape;
    uint64_t width = shape->width, rows = (uint64_t)run->sequences * run->prompt_tokens;
    uint64_t cache_floats = llm_cache_floats(run, run->cache_layers);
    for (uint32_t i = 0; i < llm_group_count(shape); i++)
        run->groups[i] = allocate_floats(run, llm_group_floats(shape, i));
    for (uint32_t i = 0; i < llm_tensor_count(shape); i++) {
        struct llm_tensor tensor;
        llm_tensor_at(shape, i, &tensor);
        run->tensors[i] = run->groups[tensor.group] + tensor.offset_floats * sizeof(float);
    }
    run->k_cache = allocate_floats(run, cache_floats);
    run->v_cache = allocate_floats(run, cache_floats);
    run->x = allocate_floats(run, rows * width);
    run->normed = allocate_floats(run, rows * width);
    run->qkv = allocate_floats(run, rows * width * 3);
    run->mixed = allocate_floats(run, rows * width);
    run->hidden = allocate_floats(run, rows * width * 4);
    run->last = allocate_floats(run, run->sequences * width);
    run->logits = allocate_floats(run, (uint64_t)run->sequences * shape->vocab);
    if (with_prompt_logits)
        run->prompt_logits = allocate_floats(run, rows * shape->vocab);
    run->prompts = allocate(run, rows * sizeof(int32_t));
    run->tokens = allocate(run, run->sequences * sizeof(int32_t));
    CU(cuMemsetD32Async(run->k_cache, 0, cache_floats, run->stream));
    CU(cuMemsetD32Async(run->v_cache, 0, cache_floats, run->stream));
}

int llm_run_open(const struct llm_weights *weights, const struct llm_options *options, struct llm_run **out,
                 struct st_error *error)
{
    static const struct llm_style_calls *const styles[] = {
        [LLM_STATEFUL] = &llm_stateful, [LLM_STATELESS] = &llm_stateless, [LLM_OFFLOAD] = &llm_offload};
    struct llm_run *run = calloc(1, sizeof *run);
    *error = (struct st_error){.text = "out of memory"};
    if (!run)
        return -ENOMEM;
    run->shape = weights->shape;
    run->style = styles[options->style];
    run->is_pinned = !options->is_pageable;
    run->nudged_weight = options->nudges ? options->nudged_weight : UINT64_MAX;
    run->sequences = options->sequences;
    run->prompt_tokens = options->prompt_tokens;
    run->cache_layers = options->style == LLM_OFFLOAD ? 1 : run->shape->layers;
    run->groups = calloc(llm_group_count(run->shape), sizeof *run->groups);
    run->tensors = calloc(llm_tensor_count(run->shape), sizeof *run->tensors);
    int status = -ENOMEM;
    if (!run->groups || !run->tensors)
        goto fail;
    CU(cuInit(0));
    CU(cuDeviceGet(&run->device, 0));
    CU(cuDeviceGetName(run->stats.device, sizeof run->stats.device, run->device));
    CU(cuDevicePrimaryCtxRetain(&run->context, run->device));
    CU(cuCtxSetCurrent(run->context));
    CU(cuStreamCreate(&run->stream, CU_STREAM_DEFAULT));
    CU(cuModuleLoadData(&run->module, llm_kernels_ptx));
    for (int i = 0; i < LLM_KERNELS; i++)
        CU(cuModuleGetFunction(&run->kernels[i], run->module, llm_kernel_names[i]));
    allocate_all(run, options->prompt_logits);
    status = -ENOMEM;
    if (run->prompt_logits)
        run->host_prompt_logits = llm_host_new(run, (uint64_t)run->sequences * run->prompt_tokens *
                                                        run->shape->vocab * sizeof(float));
    if (!run->prompt_logits || run->host_prompt_logits)
        status = run->style->load(run, weights, error);
    if (status) {
        llm_run_close(run);
        return status;
    }
    CU(cuStreamSynchronize(run->stream));
    *out = run;
    return 0;
fail:
    free(run->groups);
    free(run->tensors);
    free(run);
    return status;
}

void llm_run_close(struct llm_run *run)
{
    const CUdeviceptr buffers[] = {run->k_cache, run->v_cache, run->x,      run->normed,
                                   run->qkv,     run->mixed,   run->hidden, run->last,
                                   run->logits,  run->prompts, run->tokens};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        CU(cuMemFree(buffers[i]));
    if (run->prompt_logits)
        CU(cuMemFree(run->prompt_logits));
    for (uint32_t i = 0; i < llm_group_count(run->shape); i++)
        CU(cuMemFree(run->groups[i]));
    for (uint32_t i = 0; i < llm_group_count(run->shape) && run->host_groups; i++)
        llm_host_free(run, run->host_groups[i]);
    free(run->host_groups);
    llm_host_free(run, run->host_k);
    llm_host_free(run, run->host_v);
    llm_host_free(run, run->host_logits);
    llm_host_free(run, run->host_prompt_logits);
    llm_host_free(run, run->host_tokens);
    CU(cuModuleUnload(run->module));
    CU(cuStreamDestroy(run->stream));
    CU(cuDevicePrimaryCtxRelease(run->device));
    free(run->groups);
    free(run->tensors);
    free(run);
}

// --- steps

static void step(struct llm_run *run, CUdeviceptr tokens, struct llm_batch batch, int32_t *next)
{
    run->stats.step_up_bytes = run->stats.step_down_bytes = 0;
    if (run->style->step_begin)
        run->style->step_begin(run);
    llm_forward(run, tokens, batch);
    run->style->step_end(run, next);
}

// As a program that asks for the logits of the whole prompt and looks at those of its last token.
static void read_prompt_logits(struct llm_run *run, struct llm_batch batch)
{
    uint64_t vocab = run->shape->vocab, checksum = 0xcbf29ce484222325u;
    llm_forward_logits(run, batch);
    llm_host_down(run, run->host_prompt_logits, run->prompt_logits, batch.rows * vocab * sizeof(float));
    llm_host_finish(run);
    const float *last = run->host_prompt_logits + (batch.rows - 1) * vocab;
    for (uint64_t i = 0; i < vocab; i++) {
        uint32_t bits;
        memcpy(&bits, last + i, sizeof bits);
        checksum = (checksum ^ bits) * 0x100000001b3u;
    }
    run->stats.prompt_checksum = checksum;
}

void llm_run_prefill(struct llm_run *run, const int32_t *prompts, int32_t *next)
{
    uint32_t rows = run->sequences * run->prompt_tokens;
    CU(cuMemcpyHtoD(run->prompts, prompts, rows * sizeof *prompts));
    struct llm_batch batch = {run->prompt_tokens, 0, rows};
    step(run, run->prompts, batch, next);
    if (run->prompt_logits)
        read_prompt_logits(run, batch);
    run->stats.prefill_kernels = run->launches;
}

void llm_run_decode(struct llm_run *run, int32_t *next)
{
    step(run, run->tokens, (struct llm_batch){1, run->position, run->sequences}, next);
    run->stats.decode_kernels = run->launches;
}

void llm_run_logits(const struct llm_run *run, float *logits)
{
    uint64_t size_bytes = (uint64_t)run->sequences * run->shape->vocab * sizeof *logits;
    if (run->host_logits)
        memcpy(logits, run->host_logits, size_bytes);
    else
        CU(cuMemcpyDtoH(logits, run->logits, size_bytes));
}

void llm_run_host_state(const struct llm_run *run, struct llm_host_state *state)
{
    *state = (struct llm_host_state){
        .k = run->host_k,
        .v = run->host_v,
        .logits = run->host_logits,
        .logit_count = (uint64_t)run->sequences * run->shape->vocab,
        .rows = (uint64_t)run->shape->layers * run->sequences * run->shape->context,
        .context = run->shape->context,
        .width = run->shape->width,
        .position = run->position,
    };
}

void llm_run_stats_get(const struct llm_run *run, struct llm_run_stats *stats) { *stats = run->stats; }
