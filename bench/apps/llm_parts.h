// SPDX-License-Identifier: Apache-2.0
// What the files of a run share: the run itself, its host buffers, and what a style does at which point of a
// step.
#ifndef BENCH_APPS_LLM_PARTS_H
#define BENCH_APPS_LLM_PARTS_H

#include "bench/apps/llm_cuda.h"
#include "bench/apps/llm_run.h"

enum llm_kernel {
    EMBED,
    LAYERNORM,
    SKINNY,
    TILED,
    KV_APPEND,
    ATTENTION_PREFILL,
    ATTENTION_DECODE,
    LM_HEAD,
    ARGMAX,
    LLM_KERNELS
};
extern const char *const llm_kernel_names[LLM_KERNELS];

// New tokens that go through the layers together: `tokens` of them in each sequence, the first at `position`.
struct llm_batch {
    uint32_t tokens, position, rows;
};

// A style: where state lives between steps. NULL: nothing to do there.
struct llm_style_calls {
    // Puts the weights where the style has them and makes its host buffers. 0, or a negative errno with
    // *error.
    int (*load)(struct llm_run *run, const struct llm_weights *weights, struct st_error *error);
    void (*step_begin)(struct llm_run *run);
    void (*layer_begin)(struct llm_run *run, uint32_t layer); // before the layer's keys and values are needed
    void (*layer_end)(struct llm_run *run, uint32_t layer);   // after its attention
    void (*step_end)(struct llm_run *run, int32_t *next);     // waits for the step and gives its tokens
};
extern const struct llm_style_calls llm_stateful, llm_stateless, llm_offload;

struct llm_run {
    const struct llm_shape *shape;
    const struct llm_style_calls *style;
    uint32_t sequences, prompt_tokens;
    uint32_t position; // of the next token to be embedded, the same in every sequence
    uint32_t
        cache_layers; // layers that the device's cache has room for: all, or one that serves each in turn
    CUdevice device;
    CUcontext context;
    CUstream stream;
    CUmodule module;
    CUfunction kernels[LLM_KERNELS];
    CUdeviceptr *groups;                       // weights: an allocation a group (llm_model.h)
    CUdeviceptr *tensors;                      // by tensor number, inside the groups
    CUdeviceptr k_cache, v_cache;              // [layer][sequence][position][width]
    CUdeviceptr x, normed, qkv, mixed, hidden; // [row][width], qkv three and hidden four times that
    CUdeviceptr last, logits;                  // [sequence][width], [sequence][vocab]
    CUdeviceptr prompts, tokens;               // [sequence][index], [sequence]
    CUdeviceptr prompt_logits;                 // [sequence][index][vocab]; 0: not asked for
    // On the host; NULL where the style has none.
    uint64_t filled_floats; // weights so far, tensor after tensor
    uint64_t nudged_weight; // its lowest bit is flipped; UINT64_MAX: none
    bool is_pinned;         // from the driver, and copied in stream order; else plain memory, copied at once
    float **host_groups;    // weights, laid out as on the device
    float *host_k, *host_v; // the cache of all layers
    float *host_logits, *host_prompt_logits;
    int32_t *host_tokens;
    uint32_t launches;
    struct llm_run_stats stats;
};

uint64_t llm_cache_floats(const struct llm_run *run, uint32_t layers);

// From the tokens at `tokens` to the chosen ones in run->tokens.
void llm_forward(struct llm_run *run, CUdeviceptr tokens, struct llm_batch batch);

// The logits of all rows of the batch that llm_forward was given last, to run->prompt_logits.
void llm_forward_logits(struct llm_run *run, struct llm_batch batch);

// --- llm_host.c
// Writes each tensor, one after the other, through one buffer to the device. 0, or a negative errno with
// *error.
int llm_load_device(struct llm_run *run, const struct llm_weights *weights, struct st_error *error);
// The same to host buffers, one a group.
int llm_load_host(struct llm_run *run, const struct llm_weights *weights, struct st_error *error);
void *llm_host_new(struct llm_run *run, uint64_t size_bytes); // zeroed; NULL: no memory
void llm_host_free(struct llm_run *run, void *memory);        // NULL is fine
// Copies between a host buffer and the device: pinned ones happen in stream order, others are over when the
// call returns.
void llm_host_up(struct llm_run *run, CUdeviceptr to, const void *from, uint64_t size_bytes);
void llm_host_down(struct llm_run *run, void *to, CUdeviceptr from, uint64_t size_bytes);
void llm_host_finish(struct llm_run *run); // what went down is there

#endif
