// SPDX-License-Identifier: Apache-2.0
// The launches of a forward pass, in one stream.
#include "bench/apps/llm_parts.h"

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

const char *const llm_kernel_names[LLM_KERNELS] = {
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

struct grid {
    uint32_t x, y, z;
};

#define ARGS(...) ((void *[]){__VA_ARGS__})

static void launch(struct llm_run *run, enum llm_kernel kernel, struct grid grid, uint32_t threads,
                   uint32_t shared_bytes, void **args)
{
    CU(cuLaunchKernel(run->kernels[kernel], grid.x, grid.y, grid.z, threads, 1, 1, shared_bytes, run->stream,
                      args, NULL));
    run->launches++;
}

static uint32_t divide_up(uint32_t a, uint32_t b) { return (a + b - 1) / b; }

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

static void attention(struct llm_run *run, uint32_t layer, struct llm_batch batch)
{
    const struct llm_shape *shape = run->shape;
    uint32_t width = shape->width, context = shape->context;
    uint64_t layer_bytes = (uint64_t)run->sequences * context * width * sizeof(float);
    uint64_t at = layer % run->cache_layers * layer_bytes;
    CUdeviceptr keys = run->k_cache + at, values = run->v_cache + at;
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

static void layer_forward(struct llm_run *run, uint32_t layer, struct llm_batch batch)
{
    uint32_t width = run->shape->width, first = llm_layer_tensor(layer, 0);
    const CUdeviceptr *part = run->tensors + first;
    layernorm(run, run->normed, run->x, part[LLM_LN1_GAIN], part[LLM_LN1_BIAS], batch.rows, width);
    matmul(run, batch.rows,
           (struct product){run->qkv, run->normed, first + LLM_QKV, first + LLM_QKV_BIAS, 0, 3 * width, width,
                            0});
    if (run->style->layer_begin)
        run->style->layer_begin(run, layer);
    attention(run, layer, batch);
    if (run->style->layer_end)
        run->style->layer_end(run, layer);
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

static void head(struct llm_run *run, CUdeviceptr normed, CUdeviceptr logits, uint32_t rows)
{
    uint32_t vocab = run->shape->vocab, width = run->shape->width;
    launch(run, LM_HEAD, (struct grid){divide_up(vocab, SKINNY_WARPS), divide_up(rows, SKINNY_ROWS), 1},
           SKINNY_WARPS * WARP, 0, ARGS(&normed, &logits, &run->tensors[LLM_WTE], &rows, &vocab, &width));
}

void llm_forward_logits(struct llm_run *run, struct llm_batch batch)
{
    layernorm(run, run->normed, run->x, run->tensors[LLM_LNF_GAIN], run->tensors[LLM_LNF_BIAS], batch.rows,
              run->shape->width);
    head(run, run->normed, run->prompt_logits, batch.rows);
}

void llm_forward(struct llm_run *run, CUdeviceptr tokens, struct llm_batch batch)
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
    head(run, run->last, run->logits, sequences);
    launch(run, ARGMAX, (struct grid){sequences, 1, 1}, ARGMAX_THREADS, 0,
           ARGS(&run->tokens, &run->logits, &vocab));
    run->position = batch.position + batch.tokens;
}
