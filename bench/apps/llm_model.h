// SPDX-License-Identifier: Apache-2.0
// What a GPT-2-shaped model consists of: sizes, the list of its tensors, and where their values come from (a
// file, or a seed).
#ifndef BENCH_APPS_LLM_MODEL_H
#define BENCH_APPS_LLM_MODEL_H

#include "bench/apps/safetensors.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LLM_HEAD_FLOATS = 64 }; // the kernels are made for this head size, which the whole GPT-2 family has

struct llm_shape {
    const char *name;
    uint32_t layers, width, heads, vocab, context; // width = heads * LLM_HEAD_FLOATS
};

extern const struct llm_shape llm_shapes[];               // ended by a NULL name
const struct llm_shape *llm_shape_find(const char *name); // or NULL

enum llm_whole_part { LLM_WTE, LLM_WPE, LLM_LNF_GAIN, LLM_LNF_BIAS, LLM_WHOLE_PARTS };
enum llm_layer_part {
    LLM_LN1_GAIN,
    LLM_LN1_BIAS,
    LLM_QKV,
    LLM_QKV_BIAS,
    LLM_PROJ,
    LLM_PROJ_BIAS,
    LLM_LN2_GAIN,
    LLM_LN2_BIAS,
    LLM_FC,
    LLM_FC_BIAS,
    LLM_FC2,
    LLM_FC2_BIAS,
    LLM_LAYER_PARTS
};

// A tensor in this program's layout. Matrices are [rows = outputs][columns = inputs], so that what makes one
// output is contiguous; the files have the layers' matrices the other way round.
struct llm_tensor {
    char name[48];          // as in the file
    uint32_t rows, columns; // a vector has one row
    bool is_turned;         // the file has [columns][rows]
    bool is_vector;         // the file has [columns]
    uint8_t init;           // enum init of llm_model.c
    uint32_t group;         // 0: the whole model's tensors, 1 + n: layer n's; a group is one allocation
    uint64_t offset_floats; // in its group, a multiple of 64
    uint64_t floats;
};

// Tensors are numbered: the whole model's, in the order of enum llm_whole_part, then each layer's, in the
// order of enum llm_layer_part.
uint32_t llm_tensor_count(const struct llm_shape *shape);
uint32_t llm_layer_tensor(uint32_t layer, enum llm_layer_part part);
void llm_tensor_at(const struct llm_shape *shape, uint32_t index, struct llm_tensor *tensor);
uint32_t llm_group_count(const struct llm_shape *shape);
uint64_t llm_group_floats(const struct llm_shape *shape, uint32_t group);
uint64_t llm_parameters(const struct llm_shape *shape);

struct llm_weights {
    const struct llm_shape *shape;
    uint64_t seed;
    const char *prefix; // of the names in the file: "" or "transformer."
    bool has_file;
    struct st_file file;
};

// Takes the values from `path`, or from `seed` where path is NULL. A file must have every tensor in the right
// shape and a known type; tensors that the model does not have are ignored. Returns 0, or a negative errno
// with *error filled in.
int llm_weights_open(const struct llm_shape *shape, const char *path, uint64_t seed,
                     struct llm_weights *weights, struct st_error *error);
void llm_weights_close(struct llm_weights *weights);

// Writes the tensor's values (tensor->floats) to `out`. Returns 0 or a negative errno.
int llm_weights_fill(const struct llm_weights *weights, const struct llm_tensor *tensor, float *out);

// A prompt of random tokens for one sequence.
void llm_prompt(const struct llm_shape *shape, uint64_t seed, uint32_t sequence, uint32_t count,
                int32_t *tokens);

#endif
