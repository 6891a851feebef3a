// SPDX-License-Identifier: Apache-2.0
// The same model in plain C on the CPU, one token at a time, in double precision: what the device's numbers
// are checked against.
//
// It shares the list of tensors with the device side, and nothing else: weights are float32, every sum and
// every activation is double, so what differs is the device's rounding.
#include "bench/apps/llm_reference.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

struct llm_reference {
    const struct llm_shape *shape;
    uint32_t capacity;
    float **tensors;                                    // by tensor number
    double *keys;                                       // [sequence][layer][position][width]
    double *values;                                     // likewise
    uint32_t *lengths;                                  // [sequence] tokens so far
    double *x, *normed, *qkv, *mixed, *hidden, *scores; // of the token that is worked on
};

static double dot(const double *a, const float *b, uint32_t count)
{
    double sum[4] = {0}; // four sums keep the processor's adder busy
    for (uint32_t i = 0; i < count; i += 4)
        for (uint32_t j = 0; j < 4; j++)
            sum[j] += a[i + j] * (double)b[i + j];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

static void layernorm(double *out, const double *in, const float *gain, const float *bias, uint32_t width)
{
    double mean = 0, variance = 0;
    for (uint32_t i = 0; i < width; i++)
        mean += in[i] / width;
    for (uint32_t i = 0; i < width; i++)
        variance += (in[i] - mean) * (in[i] - mean) / width;
    double scale = 1 / sqrt(variance + 1e-5);
    for (uint32_t i = 0; i < width; i++)
        out[i] = (in[i] - mean) * scale * (double)gain[i] + (double)bias[i];
}

// out[o] = sum of weight[o][i] * in[i], + bias[o] unless bias is NULL.
static void matmul(double *out, const double *in, const float *weight, const float *bias, uint32_t outputs,
                   uint32_t inputs)
{
    for (uint32_t o = 0; o < outputs; o++)
        out[o] = dot(in, weight + (size_t)o * inputs, inputs) + (bias ? (double)bias[o] : 0);
}

static double gelu(double x)
{
    return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

static double *cache_at(const struct llm_reference *ref, double *cache, uint32_t sequence, uint32_t layer,
                        uint32_t position)
{
    return cache +
           (((size_t)sequence * ref->shape->layers + layer) * ref->capacity + position) * ref->shape->width;
}

// One head over positions 0..position, the newest of which is in the cache already.
static void attention(struct llm_reference *ref, uint32_t sequence, uint32_t layer, uint32_t head,
                      uint32_t position)
{
    uint32_t size = ref->shape->width / ref->shape->heads, first = head * size;
    const double *query = ref->qkv + first;
    double *out = ref->mixed + first, best = -INFINITY, sum = 0;
    for (uint32_t p = 0; p <= position; p++) {
        const double *key = cache_at(ref, ref->keys, sequence, layer, p) + first;
        double score = 0;
        for (uint32_t i = 0; i < size; i++)
            score += query[i] * key[i];
        ref->scores[p] = score / sqrt(size);
        best = fmax(best, ref->scores[p]);
    }
    for (uint32_t p = 0; p <= position; p++) {
        ref->scores[p] = exp(ref->scores[p] - best);
        sum += ref->scores[p];
    }
    for (uint32_t i = 0; i < size; i++)
        out[i] = 0;
    for (uint32_t p = 0; p <= position; p++) {
        const double *value = cache_at(ref, ref->values, sequence, layer, p) + first;
        for (uint32_t i = 0; i < size; i++)
            out[i] += ref->scores[p] / sum * value[i];
    }
}

static void layer_step(struct llm_reference *ref, uint32_t sequence, uint32_t layer, uint32_t position)
{
    const struct llm_shape *shape = ref->shape;
    uint32_t width = shape->width;
    float **part = ref->tensors + llm_layer_tensor(layer, 0);
    layernorm(ref->normed, ref->x, part[LLM_LN1_GAIN], part[LLM_LN1_BIAS], width);
    matmul(ref->qkv, ref->normed, part[LLM_QKV], part[LLM_QKV_BIAS], 3 * width, width);
    double *key = cache_at(ref, ref->keys, sequence, layer, position);
    double *value = cache_at(ref, ref->values, sequence, layer, position);
    for (uint32_t i = 0; i < width; i++) {
        key[i] = ref->qkv[width + i];
        value[i] = ref->qkv[2 * width + i];
    }
    for (uint32_t head = 0; head < shape->heads; head++)
        attention(ref, sequence, layer, head, position);
    matmul(ref->normed, ref->mixed, part[LLM_PROJ], part[LLM_PROJ_BIAS], width, width);
    for (uint32_t i = 0; i < width; i++)
        ref->x[i] += ref->normed[i];
    layernorm(ref->normed, ref->x, part[LLM_LN2_GAIN], part[LLM_LN2_BIAS], width);
    matmul(ref->hidden, ref->normed, part[LLM_FC], part[LLM_FC_BIAS], 4 * width, width);
    for (uint32_t i = 0; i < 4 * width; i++)
        ref->hidden[i] = gelu(ref->hidden[i]);
    matmul(ref->normed, ref->hidden, part[LLM_FC2], part[LLM_FC2_BIAS], width, 4 * width);
    for (uint32_t i = 0; i < width; i++)
        ref->x[i] += ref->normed[i];
}

void llm_reference_step(struct llm_reference *ref, uint32_t sequence, int32_t token, double *logits)
{
    uint32_t width = ref->shape->width, position = ref->lengths[sequence]++;
    const float *token_row = ref->tensors[LLM_WTE] + (size_t)token * width;
    const float *position_row = ref->tensors[LLM_WPE] + (size_t)position * width;
    for (uint32_t i = 0; i < width; i++)
        ref->x[i] = (double)token_row[i] + (double)position_row[i];
    for (uint32_t layer = 0; layer < ref->shape->layers; layer++)
        layer_step(ref, sequence, layer, position);
    if (!logits)
        return;
    layernorm(ref->normed, ref->x, ref->tensors[LLM_LNF_GAIN], ref->tensors[LLM_LNF_BIAS], width);
    matmul(logits, ref->normed, ref->tensors[LLM_WTE], NULL, ref->shape->vocab, width);
}

static int load_tensors(struct llm_reference *ref, const struct llm_weights *weights)
{
    uint32_t count = llm_tensor_count(ref->shape);
    if (!(ref->tensors = calloc(count, sizeof *ref->tensors)))
        return -ENOMEM;
    for (uint32_t i = 0; i < count; i++) {
        struct llm_tensor tensor;
        llm_tensor_at(ref->shape, i, &tensor);
        if (!(ref->tensors[i] = malloc(tensor.floats * sizeof(float))))
            return -ENOMEM;
        int status = llm_weights_fill(weights, &tensor, ref->tensors[i]);
        if (status)
            return status;
    }
    return 0;
}

int llm_reference_open(const struct llm_weights *weights, uint32_t sequences, uint32_t capacity,
                       struct llm_reference **out)
{
    const struct llm_shape *shape = weights->shape;
    size_t cache = (size_t)sequences * shape->layers * capacity * shape->width, width = shape->width;
    struct llm_reference *ref = calloc(1, sizeof *ref);
    if (!ref)
        return -ENOMEM;
    ref->shape = shape;
    ref->capacity = capacity;
    ref->lengths = calloc(sequences, sizeof *ref->lengths);
    ref->keys = malloc(cache * sizeof(double));
    ref->values = malloc(cache * sizeof(double));
    ref->x = malloc((11 * width + capacity) * sizeof(double));
    int status = -ENOMEM;
    if (ref->lengths && ref->keys && ref->values && ref->x) {
        ref->normed = ref->x + width;
        ref->qkv = ref->normed + width;
        ref->mixed = ref->qkv + 3 * width;
        ref->hidden = ref->mixed + width;
        ref->scores = ref->hidden + 4 * width;
        status = load_tensors(ref, weights);
    }
    if (status)
        llm_reference_close(ref);
    else
        *out = ref;
    return status;
}

void llm_reference_close(struct llm_reference *ref)
{
    for (uint32_t i = 0; ref->tensors && i < llm_tensor_count(ref->shape); i++)
        free(ref->tensors[i]);
    free(ref->tensors);
    free(ref->lengths);
    free(ref->keys);
    free(ref->values);
    free(ref->x);
    free(ref);
}
