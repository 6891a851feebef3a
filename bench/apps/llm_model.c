// SPDX-License-Identifier: Apache-2.0
// What a GPT-2-shaped model consists of: sizes, the list of its tensors, and where their values come from (a
// file, or a seed).
//
// The random weights are scaled so that the model is lively: layers and positions outweigh the token
// embedding in the residual stream, and attention is sharp. With the small numbers that training starts from,
// greedy decoding repeats one token, which would hide most mistakes.
#include "bench/apps/llm_model.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct llm_shape llm_shapes[] = {
    {"tiny", 4, 256, 4, 4096, 256},
    {"124m", 12, 768, 12, 50257, 1024}, // GPT-2
    {"xl", 48, 1600, 25, 50257, 1024},  // GPT-2 XL
    {0},
};

enum init { INIT_GAIN, INIT_BIAS, INIT_MATRIX, INIT_QKV, INIT_WTE, INIT_WPE, INITS };

struct part {
    const char *name;
    enum { ONE, WIDTH, WIDTH_3, WIDTH_4, VOCAB, CONTEXT } rows, columns;
    enum init init;
    bool is_turned;
};

static const struct part whole_parts[LLM_WHOLE_PARTS] = {
    [LLM_WTE] = {"wte.weight", VOCAB, WIDTH, INIT_WTE, false},
    [LLM_WPE] = {"wpe.weight", CONTEXT, WIDTH, INIT_WPE, false},
    [LLM_LNF_GAIN] = {"ln_f.weight", ONE, WIDTH, INIT_GAIN, false},
    [LLM_LNF_BIAS] = {"ln_f.bias", ONE, WIDTH, INIT_BIAS, false},
};

static const struct part layer_parts[LLM_LAYER_PARTS] = {
    [LLM_LN1_GAIN] = {"ln_1.weight", ONE, WIDTH, INIT_GAIN, false},
    [LLM_LN1_BIAS] = {"ln_1.bias", ONE, WIDTH, INIT_BIAS, false},
    [LLM_QKV] = {"attn.c_attn.weight", WIDTH_3, WIDTH, INIT_QKV, true},
    [LLM_QKV_BIAS] = {"attn.c_attn.bias", ONE, WIDTH_3, INIT_BIAS, false},
    [LLM_PROJ] = {"attn.c_proj.weight", WIDTH, WIDTH, INIT_MATRIX, true},
    [LLM_PROJ_BIAS] = {"attn.c_proj.bias", ONE, WIDTH, INIT_BIAS, false},
    [LLM_LN2_GAIN] = {"ln_2.weight", ONE, WIDTH, INIT_GAIN, false},
    [LLM_LN2_BIAS] = {"ln_2.bias", ONE, WIDTH, INIT_BIAS, false},
    [LLM_FC] = {"mlp.c_fc.weight", WIDTH_4, WIDTH, INIT_MATRIX, true},
    [LLM_FC_BIAS] = {"mlp.c_fc.bias", ONE, WIDTH_4, INIT_BIAS, false},
    [LLM_FC2] = {"mlp.c_proj.weight", WIDTH, WIDTH_4, INIT_MATRIX, true},
    [LLM_FC2_BIAS] = {"mlp.c_proj.bias", ONE, WIDTH, INIT_BIAS, false},
};

const struct llm_shape *llm_shape_find(const char *name)
{
    for (const struct llm_shape *shape = llm_shapes; shape->name; shape++)
        if (strcmp(shape->name, name) == 0)
            return shape;
    return NULL;
}

static uint32_t size_of(const struct llm_shape *shape, int kind)
{
    switch (kind) {
    case WIDTH: return shape->width;
    case WIDTH_3: return 3 * shape->width;
    case WIDTH_4: return 4 * shape->width;
    case VOCAB: return shape->vocab;
    case CONTEXT: return shape->context;
    default: return 1;
    }
}

static uint64_t part_floats(const struct llm_shape *shape, const struct part *part)
{
    return (uint64_t)size_of(shape, part->rows) * size_of(shape, part->columns);
}

uint32_t llm_tensor_count(const struct llm_shape *shape)
{
    return LLM_WHOLE_PARTS + shape->layers * LLM_LAYER_PARTS;
}

uint32_t llm_layer_tensor(uint32_t layer, enum llm_layer_part part)
{
    return LLM_WHOLE_PARTS + layer * LLM_LAYER_PARTS + (uint32_t)part;
}

uint32_t llm_group_count(const struct llm_shape *shape)
{
    return 1 + shape->layers;
}

uint64_t llm_group_floats(const struct llm_shape *shape, uint32_t group)
{
    const struct part *parts = group ? layer_parts : whole_parts;
    size_t count = group ? LLM_LAYER_PARTS : LLM_WHOLE_PARTS;
    uint64_t floats = 0;
    for (size_t i = 0; i < count; i++)
        floats += part_floats(shape, &parts[i]);
    return floats;
}

uint64_t llm_parameters(const struct llm_shape *shape)
{
    return llm_group_floats(shape, 0) + shape->layers * llm_group_floats(shape, 1);
}

void llm_tensor_at(const struct llm_shape *shape, uint32_t index, struct llm_tensor *tensor)
{
    bool is_whole = index < LLM_WHOLE_PARTS;
    uint32_t layer = is_whole ? 0 : (index - LLM_WHOLE_PARTS) / LLM_LAYER_PARTS;
    uint32_t place = is_whole ? index : (index - LLM_WHOLE_PARTS) % LLM_LAYER_PARTS;
    const struct part *parts = is_whole ? whole_parts : layer_parts, *part = &parts[place];
    *tensor = (struct llm_tensor){
        .rows = size_of(shape, part->rows),
        .columns = size_of(shape, part->columns),
        .is_turned = part->is_turned,
        .is_vector = part->rows == ONE,
        .init = part->init,
        .group = is_whole ? 0 : 1 + layer,
        .floats = part_floats(shape, part),
    };
    for (uint32_t i = 0; i < place; i++)
        tensor->offset_floats += part_floats(shape, &parts[i]);
    if (is_whole)
        snprintf(tensor->name, sizeof tensor->name, "%s", part->name);
    else
        snprintf(tensor->name, sizeof tensor->name, "h.%u.%s", layer, part->name);
}

// The number of a counter-based generator (splitmix64's mixing steps): every value can be made alone, in any
// order.
static uint64_t mix(uint64_t key, uint64_t counter)
{
    uint64_t z = key + (counter + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t key_of(uint64_t seed, const char *name)
{
    uint64_t key = mix(seed, 0);
    for (; *name; name++)
        key = mix(key, (unsigned char)*name);
    return key;
}

// Uniform in [-1, 1), a multiple of 2^-23: the same on every machine.
static float uniform(uint32_t bits)
{
    return (float)(int32_t)(bits >> 8) * 0x1p-23f - 1.0f;
}

static void fill_random(const struct llm_weights *weights, const struct llm_tensor *tensor, float *out)
{
    // Half-widths of uniform distributions, whose standard deviation is 1/sqrt(3) of that. A matrix keeps the
    // spread of its input, but queries and keys get twice that (scores then have a standard deviation of 4),
    // and so do logits: a normalised vector times a row of wte.
    float width = (float)weights->shape->width;
    const float reaches[INITS] = {
        [INIT_GAIN] = 0.1f,
        [INIT_BIAS] = 0.1f,
        [INIT_MATRIX] = sqrtf(3.0f / (float)tensor->columns),
        [INIT_QKV] = 2.0f * sqrtf(3.0f / width),
        [INIT_WTE] = 2.0f * sqrtf(3.0f / width),
        [INIT_WPE] = 4.0f * sqrtf(3.0f / width),
    };
    float centre = tensor->init == INIT_GAIN ? 1.0f : 0.0f, reach = reaches[tensor->init];
    uint64_t key = key_of(weights->seed, tensor->name);
    for (uint64_t i = 0; i < tensor->floats; i += 2) { // counts are even: widths are multiples of 64
        uint64_t bits = mix(key, i / 2);
        out[i] = centre + reach * uniform((uint32_t)bits);
        out[i + 1] = centre + reach * uniform((uint32_t)(bits >> 32));
    }
}

static const struct st_tensor *find_in_file(const struct llm_weights *weights, const char *name)
{
    char full[ST_NAME_BYTES_MAX];
    snprintf(full, sizeof full, "%s%s", weights->prefix, name);
    return st_index_find(&weights->file.index, full);
}

static int refuse(struct st_error *error, const struct llm_tensor *want, const struct st_tensor *have)
{
    uint32_t first = want->is_turned ? want->columns : want->rows,
             second = want->is_turned ? want->rows : want->columns;
    *error = (struct st_error){0};
    if (!have)
        snprintf(error->text, sizeof error->text, "there is no tensor %s", want->name);
    else if (have->dtype == ST_OTHER)
        snprintf(error->text, sizeof error->text, "tensor %s is neither F32 nor F16 nor BF16", want->name);
    else if (want->is_vector)
        snprintf(error->text, sizeof error->text, "tensor %s must have the shape [%u]", want->name, second);
    else
        snprintf(error->text, sizeof error->text, "tensor %s must have the shape [%u, %u]", want->name, first,
                 second);
    return -EINVAL;
}

// Every tensor of the model must be in the file, in the shape that the model has.
static int check_file(struct llm_weights *weights, struct st_error *error)
{
    weights->prefix = "transformer.";
    if (!find_in_file(weights, whole_parts[LLM_WTE].name))
        weights->prefix = "";
    for (uint32_t i = 0; i < llm_tensor_count(weights->shape); i++) {
        struct llm_tensor want;
        llm_tensor_at(weights->shape, i, &want);
        const struct st_tensor *have = find_in_file(weights, want.name);
        uint32_t first = want.is_turned ? want.columns : want.rows,
                 second = want.is_turned ? want.rows : want.columns;
        bool fits = have && have->dtype != ST_OTHER &&
                    (want.is_vector ? have->rank == 1 && have->shape[0] == second
                                    : have->rank == 2 && have->shape[0] == first && have->shape[1] == second);
        if (!fits)
            return refuse(error, &want, have);
    }
    return 0;
}

int llm_weights_open(const struct llm_shape *shape, const char *path, uint64_t seed,
                     struct llm_weights *weights, struct st_error *error)
{
    *weights = (struct llm_weights){.shape = shape, .seed = seed, .prefix = ""};
    if (!path)
        return 0;
    int status = st_open(path, &weights->file, error);
    if (status)
        return status;
    weights->has_file = true;
    status = check_file(weights, error);
    if (status)
        llm_weights_close(weights);
    return status;
}

void llm_weights_close(struct llm_weights *weights)
{
    if (weights->has_file)
        st_close(&weights->file);
    weights->has_file = false;
}

// out[rows][columns] from in[columns][rows], in squares that stay in the first-level cache.
static void turn(const float *in, float *out, uint32_t rows, uint32_t columns)
{
    enum { SQUARE = 32 };
    for (uint32_t r = 0; r < rows; r += SQUARE)
        for (uint32_t c = 0; c < columns; c += SQUARE)
            for (uint32_t i = r; i < r + SQUARE && i < rows; i++)
                for (uint32_t j = c; j < c + SQUARE && j < columns; j++)
                    out[(size_t)i * columns + j] = in[(size_t)j * rows + i];
}

int llm_weights_fill(const struct llm_weights *weights, const struct llm_tensor *tensor, float *out)
{
    if (!weights->has_file) {
        fill_random(weights, tensor, out);
        return 0;
    }
    const struct st_tensor *have = find_in_file(weights, tensor->name);
    if (!tensor->is_turned)
        return st_read(&weights->file, have, out);
    float *copy = malloc(tensor->floats * sizeof *copy);
    if (!copy)
        return -ENOMEM;
    int status = st_read(&weights->file, have, copy);
    if (!status)
        turn(copy, out, tensor->rows, tensor->columns);
    free(copy);
    return status;
}

void llm_prompt(const struct llm_shape *shape, uint64_t seed, uint32_t sequence, uint32_t count,
                int32_t *tokens)
{
    uint64_t key = mix(key_of(seed, "prompt"), sequence);
    for (uint32_t i = 0; i < count; i++)
        tokens[i] = (int32_t)(mix(key, i) % shape->vocab);
}
