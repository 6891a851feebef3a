// SPDX-License-Identifier: Apache-2.0
// The model on the device: weights, caches and activations in device memory, and the launches of a prefill
// and of a decode step.
//
// Everything goes to one stream. The tokens that a step chose stay on the device, where the next step's
// embedding finds them; the position is a kernel argument. So a decode step uploads nothing, and waits once:
// for the copy of the chosen tokens to the host.
#include "bench/apps/llm_run.h"
#include "bench/apps/llm_cuda.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const char llm_kernels_ptx[]; // llm_kernels_ptx.S

enum { // as in llm_kernels.cu, which says what each grid means
    WARP = 32,
    SKINNY_ROWS = 8,
    SKINNY_WARPS = 4,
    SKINNY_ROWS_BEST = 32, // up to so many rows the product is bound by reading the weights
    TILE = 64,
    TILE_THREADS = 128,
    QUERIES_MAX = 16,
    DECODE_THREADS = 256,
    ROW_THREADS = 128,
    ARGMAX_THREADS = 1024,
};

enum kernel {
    EMBED,
    LAYERNORM,
    SKINNY,
    TILED,
    KV_APPEND,
    ATTENTION_PREFILL,
    ATTENTION_DECODE,
    LM_HEAD,
    ARGMAX,
    KERNELS
};

static const char *const kernel_names[KERNELS] = {
    [EMBED] = "embed_tokens",
    [LAYERNORM] = "layernorm_rows",
    [SKINNY] = "matmul_skinny",
    [TILED] = "matmul_tiled",
    [KV_APPEND] = "kv_append",
    [ATTENTION_PREFILL] = "attention_prefill",
    [ATTENTION_DECODE] = "attention_decode",
    [LM_HEAD] = "lm_head",
    [ARGMAX] = "argmax_rows",
};

struct llm_run {
    const struct llm_shape *shape;
    uint32_t sequences, prompt_tokens;
    uint32_t position; // of the next token to be embedded, the same in every sequence
    CUdevice device;
    CUcontext context;
    CUstream stream;
    CUmodule module;
    CUfunction kernels[KERNELS];
    CUdeviceptr *groups;                       // weights: an allocation a group (llm_model.h)
    CUdeviceptr *tensors;                      // by tensor number, inside the groups
    CUdeviceptr k_cache, v_cache;              // [layer][sequence][position][width]
    CUdeviceptr x, normed, qkv, mixed, hidden; // [row][width], qkv three and hidden four times that
    CUdeviceptr last, logits;                  // [sequence][width], [sequence][vocab]
    CUdeviceptr prompts, tokens;               // [sequence][index], [sequence]
    uint32_t launches;
    struct llm_run_stats stats;
};

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

// Fills and uploads one tensor after the other, through one buffer.
static int upload(struct llm_run *run, const struct llm_weights *weights, struct st_error *error)
{
    const struct llm_shape *shape = run->shape;
    struct llm_tensor tensor;
    uint64_t most_floats = 0;
    for (uint32_t i = 0; i < llm_tensor_count(shape); i++) {
        llm_tensor_at(shape, i, &tensor);
        most_floats = tensor.floats > most_floats ? tensor.floats : most_floats;
    }
    float *buffer = malloc(most_floats * sizeof *buffer);
    if (!buffer)
        return -ENOMEM;
    int status = 0;
    for (uint32_t i = 0; i < llm_tensor_count(shape); i++) {
        llm_tensor_at(shape, i, &tensor);
        status = llm_weights_fill(weights, &tensor, buffer);
        if (status) {
            *error = (struct st_error){0};
            snprintf(error->text, sizeof error->text, "reading tensor %s: %s", tensor.name,
                     strerror(-status));
            break;
        }
        run->tensors[i] = run->groups[tensor.group] + tensor.offset_floats * sizeof(float);
        CU(cuMemcpyHtoD(run->tensors[i], buffer, tensor.floats * sizeof(float)));
        run->stats.upload_bytes += tensor.floats * sizeof(float);
    }
    free(buffer);
    return status;
}

static void allocate_all(struct llm_run *run)
{
    const struct llm_shape *shape = run->shape;
    uint64_t width = shape->width, rows = (uint64_t)run->sequences * run->prompt_tokens;
    uint64_t cache_floats = (uint64_t)shape->layers * run->sequences * shape->context * width;
    for (uint32_t i = 0; i < llm_group_count(shape); i++)
        run->groups[i] = allocate_floats(run, llm_group_floats(shape, i));
    run->k_cache = allocate_floats(run, cache_floats);
    run->v_cache = allocate_floats(run, cache_floats);
    run->x = allocate_floats(run, rows * width);
    run->normed = allocate_floats(run, rows * width);
    run->qkv = allocate_floats(run, rows * width * 3);
    run->mixed = allocate_floats(run, rows * width);
    run->hidden = allocate_floats(run, rows * width * 4);
    run->last = allocate_floats(run, run->sequences * width);
    run->logits = allocate_floats(run, (uint64_t)run->sequences * shape->vocab);
    run->prompts = allocate(run, rows * sizeof(int32_t));
    run->tokens = allocate(run, run->sequences * sizeof(int32_t));
    CU(cuMemsetD32Async(run->k_cache, 0, cache_floats, run->stream));
    CU(cuMemsetD32Async(run->v_cache, 0, cache_floats, run->stream));
}

int llm_run_open(const struct llm_weights *weights, uint32_t sequences, uint32_t prompt_tokens,
                 struct llm_run **out, struct st_error *error)
{
    struct llm_run *run = calloc(1, sizeof *run);
    *error = (struct st_error){.text = "out of memory"};
    if (!run)
        return -ENOMEM;
    run->shape = weights->shape;
    run->sequences = sequences;
    run->prompt_tokens = prompt_tokens;
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
    for (int i = 0; i < KERNELS; i++)
        CU(cuModuleGetFunction(&run->kernels[i], run->module, kernel_names[i]));
    allocate_all(run);
    status = upload(run, weights, error);
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
    for (uint32_t i = 0; i < llm_group_count(run->shape); i++)
        CU(cuMemFree(run->groups[i]));
    CU(cuModuleUnload(run->module));
    CU(cuStreamDestroy(run->stream));
    CU(cuDevicePrimaryCtxRelease(run->device));
    free(run->groups);
    free(run->tensors);
    free(run);
}

// --- launches

struct grid {
    uint32_t x, y, z;
};

#define ARGS(...) ((void *[]){__VA_ARGS__})

static void launch(struct llm_run *run, enum kernel kernel, struct grid grid, uint32_t threads,
                   uint32_t shared_bytes, void **args)
{
    CU(cuLaunchKernel(run->kernels[kernel], grid.x, grid.y, grid.z, threads, 1, 1, shared_bytes, run->stream,
                      args, NULL));
    run->launches++;
}

static uint32_t divide_up(uint32_t a, uint32_t b)
{
    return (a + b - 1) / b;
}

static void layernorm(struct llm_run *run, CUdeviceptr out, CUdeviceptr in, CUdeviceptr gain,
                      CUdeviceptr bias, uint32_t rows, uint32_t in_stride)
{
    uint32_t width = run->shape->width;
    launch(run, LAYERNORM, (struct grid){rows, 1, 1}, ROW_THREADS, 0,
           ARGS(&out, &in, &gain, &bias, &width, &in_stride));
}

struct product { // out = in * weight^T + bias, GELU, + residual (0: none)
    CUdeviceptr out, in;
    uint32_t weight, bias; // tensor numbers
    CUdeviceptr residual;
    uint32_t outputs, inputs, with_gelu;
};

static void matmul(struct llm_run *run, uint32_t rows, struct product p)
{
    CUdeviceptr weight = run->tensors[p.weight], bias = run->tensors[p.bias];
    void **args =
        ARGS(&p.out, &p.in, &weight, &bias, &p.residual, &rows, &p.outputs, &p.inputs, &p.with_gelu);
    if (rows <= SKINNY_ROWS_BEST) {
        struct grid grid = {divide_up(p.outputs, SKINNY_WARPS), divide_up(rows, SKINNY_ROWS), 1};
        launch(run, SKINNY, grid, SKINNY_WARPS * WARP, 0, args);
    } else {
        struct grid grid = {divide_up(p.outputs, TILE), divide_up(rows, TILE), 1};
        launch(run, TILED, grid, TILE_THREADS, 0, args);
    }
}

// New tokens that go through the layers together: `tokens` of them in each sequence, the first at `position`.
struct batch {
    uint32_t tokens, position, rows;
};

static void attention(struct llm_run *run, uint32_t layer, struct batch batch)
{
    const struct llm_shape *shape = run->shape;
    uint32_t width = shape->width, context = shape->context;
    uint64_t layer_bytes = (uint64_t)run->sequences * context * width * sizeof(float);
    CUdeviceptr keys = run->k_cache + layer * layer_bytes, values = run->v_cache + layer * layer_bytes;
    launch(run, KV_APPEND, (struct grid){batch.rows, 1, 1}, ROW_THREADS, 0,
           ARGS(&keys, &values, &run->qkv, &width, &context, &batch.tokens, &batch.position));
    void **args =
        ARGS(&run->mixed, &run->qkv, &batch.position, &keys, &values, &width, &context, &batch.tokens);
    if (batch.tokens == 1) { // attention_decode has no last argument
        launch(run, ATTENTION_DECODE, (struct grid){1, shape->heads, run->sequences}, DECODE_THREADS,
               context * (uint32_t)sizeof(float), args);
        return;
    }
    // Short prompts are spread over two blocks at least.
    uint32_t queries = divide_up(batch.tokens, 2);
    queries = queries < QUERIES_MAX ? queries : QUERIES_MAX;
    struct grid grid = {divide_up(batch.tokens, queries), shape->heads, run->sequences};
    launch(run, ATTENTION_PREFILL, grid, queries * WARP, 0, args);
}

static void layer_forward(struct llm_run *run, uint32_t layer, struct batch batch)
{
    uint32_t width = run->shape->width, first = llm_layer_tensor(layer, 0);
    const CUdeviceptr *part = run->tensors + first;
    layernorm(run, run->normed, run->x, part[LLM_LN1_GAIN], part[LLM_LN1_BIAS], batch.rows, width);
    matmul(run, batch.rows,
           (struct product){run->qkv, run->normed, first + LLM_QKV, first + LLM_QKV_BIAS, 0, 3 * width, width,
                            0});
    attention(run, layer, batch);
    matmul(run, batch.rows,
           (struct product){run->x, run->mixed, first + LLM_PROJ, first + LLM_PROJ_BIAS, run->x, width, width,
                            0});
    layernorm(run, run->normed, run->x, part[LLM_LN2_GAIN], part[LLM_LN2_BIAS], batch.rows, width);
    matmul(run, batch.rows,
           (struct product){run->hidden, run->normed, first + LLM_FC, first + LLM_FC_BIAS, 0, 4 * width,
                            width, 1});
    matmul(run, batch.rows,
           (struct product){run->x, run->hidden, first + LLM_FC2, first + LLM_FC2_BIAS, run->x, width,
                            4 * width, 0});
}

// From the tokens at `tokens` to the chosen ones in run->tokens and on the host.
static void forward(struct llm_run *run, CUdeviceptr tokens, struct batch batch, int32_t *next)
{
    const struct llm_shape *shape = run->shape;
    uint32_t width = shape->width, vocab = shape->vocab, sequences = run->sequences;
    run->launches = 0;
    launch(run, EMBED, (struct grid){batch.rows, 1, 1}, ROW_THREADS, 0,
           ARGS(&run->x, &tokens, &run->tensors[LLM_WTE], &run->tensors[LLM_WPE], &width, &batch.tokens,
                &batch.position));
    for (uint32_t layer = 0; layer < shape->layers; layer++)
        layer_forward(run, layer, batch);
    // Only the last token of each sequence goes on.
    CUdeviceptr last_rows = run->x + (uint64_t)(batch.tokens - 1) * width * sizeof(float);
    layernorm(run, run->last, last_rows, run->tensors[LLM_LNF_GAIN], run->tensors[LLM_LNF_BIAS], sequences,
              batch.tokens * width);
    launch(run, LM_HEAD, (struct grid){divide_up(vocab, SKINNY_WARPS), divide_up(sequences, SKINNY_ROWS), 1},
           SKINNY_WARPS * WARP, 0,
           ARGS(&run->last, &run->logits, &run->tensors[LLM_WTE], &sequences, &vocab, &width));
    launch(run, ARGMAX, (struct grid){sequences, 1, 1}, ARGMAX_THREADS, 0,
           ARGS(&run->tokens, &run->logits, &vocab));
    CU(cuMemcpyDtoH(next, run->tokens, sequences * sizeof *next));
    run->position = batch.position + batch.tokens;
}

void llm_run_prefill(struct llm_run *run, const int32_t *prompts, int32_t *next)
{
    uint32_t rows = run->sequences * run->prompt_tokens;
    CU(cuMemcpyHtoD(run->prompts, prompts, rows * sizeof *prompts));
    forward(run, run->prompts, (struct batch){run->prompt_tokens, 0, rows}, next);
    run->stats.prefill_kernels = run->launches;
}

void llm_run_decode(struct llm_run *run, int32_t *next)
{
    forward(run, run->tokens, (struct batch){1, run->position, run->sequences}, next);
    run->stats.decode_kernels = run->launches;
}

void llm_run_logits(const struct llm_run *run, float *logits)
{
    CU(cuMemcpyDtoH(logits, run->logits, (uint64_t)run->sequences * run->shape->vocab * sizeof *logits));
}

void llm_run_stats_get(const struct llm_run *run, struct llm_run_stats *stats)
{
    *stats = run->stats;
}
