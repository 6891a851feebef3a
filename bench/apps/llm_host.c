// SPDX-License-Identifier: Apache-2.0
// The host's side: where the weights go when they are loaded, and buffers that are copied to and from the
// device.
#include "bench/apps/llm_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

static void nudge(float *value)
{
    uint32_t bits;
    memcpy(&bits, value, sizeof bits);
    bits ^= 1;
    memcpy(value, &bits, sizeof bits);
}

// One tensor's values, timed apart: making random numbers is no part of a load.
static int fill(struct llm_run *run, const struct llm_weights *weights, const struct llm_tensor *tensor,
                float *out, struct st_error *error)
{
    double start = now_ms();
    int status = llm_weights_fill(weights, tensor, out);
    uint64_t first = run->filled_floats, nudged = run->nudged_weight;
    run->filled_floats += tensor->floats;
    if (!status && nudged >= first && nudged - first < tensor->floats)
        nudge(&out[nudged - first]);
    run->stats.fill_ms += now_ms() - start;
    if (status) {
        *error = (struct st_error){0};
        snprintf(error->text, sizeof error->text, "reading tensor %s: %s", tensor->name, strerror(-status));
    }
    return status;
}

int llm_load_device(struct llm_run *run, const struct llm_weights *weights, struct st_error *error)
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
    for (uint32_t i = 0; i < llm_tensor_count(shape) && !status; i++) {
        llm_tensor_at(shape, i, &tensor);
        status = fill(run, weights, &tensor, buffer, error);
        if (status)
            break;
        CU(cuMemcpyHtoD(run->tensors[i], buffer, tensor.floats * sizeof(float)));
        run->stats.upload_bytes += tensor.floats * sizeof(float);
    }
    free(buffer);
    return status;
}

int llm_load_host(struct llm_run *run, const struct llm_weights *weights, struct st_error *error)
{
    const struct llm_shape *shape = run->shape;
    struct llm_tensor tensor;
    int status = 0;
    run->host_groups = calloc(llm_group_count(shape), sizeof *run->host_groups);
    if (!run->host_groups)
        return -ENOMEM;
    for (uint32_t i = 0; i < llm_group_count(shape); i++) {
        run->host_groups[i] = llm_host_new(run, llm_group_floats(shape, i) * sizeof(float));
        if (!run->host_groups[i])
            return -ENOMEM;
    }
    for (uint32_t i = 0; i < llm_tensor_count(shape) && !status; i++) {
        llm_tensor_at(shape, i, &tensor);
        status = fill(run, weights, &tensor, run->host_groups[tensor.group] + tensor.offset_floats, error);
    }
    return status;
}

// --- buffers

void *llm_host_new(struct llm_run *run, uint64_t size_bytes)
{
    void *memory = NULL;
    if (!run->is_pinned)
        return calloc(1, size_bytes);
    CU(cuMemHostAlloc(&memory, size_bytes, 0));
    memset(memory, 0, size_bytes);
    return memory;
}

void llm_host_free(struct llm_run *run, void *memory)
{
    if (!run->is_pinned)
        free(memory);
    else if (memory)
        CU(cuMemFreeHost(memory));
}

void llm_host_up(struct llm_run *run, CUdeviceptr to, const void *from, uint64_t size_bytes)
{
    if (run->is_pinned)
        CU(cuMemcpyHtoDAsync(to, from, size_bytes, run->stream));
    else
        CU(cuMemcpyHtoD(to, from, size_bytes));
    run->stats.step_up_bytes += size_bytes;
}

void llm_host_down(struct llm_run *run, void *to, CUdeviceptr from, uint64_t size_bytes)
{
    if (run->is_pinned)
        CU(cuMemcpyDtoHAsync(to, from, size_bytes, run->stream));
    else
        CU(cuMemcpyDtoH(to, from, size_bytes));
    run->stats.step_down_bytes += size_bytes;
}

void llm_host_finish(struct llm_run *run)
{
    if (run->is_pinned)
        CU(cuStreamSynchronize(run->stream));
}
