// SPDX-License-Identifier: Apache-2.0
// How long a device takes.
//
// A kernel takes its launch (kernel_us) and the bytes that it moves at the memory's rate (memory_gbps): decoding a token is bound by reading
// weights and cache, so the bytes are what matters. They come from the launch's own numbers where the kernel is known, and from its threads
// where it is not. What the caches spare and what the arithmetic costs is left out; a prompt of many rows, which is bound by arithmetic,
// comes out too short.
#include "tests/mock/mock_time.h"

#include <string.h>

#include "tests/mock/mock_state.h"

enum {
    FACTORS_MAX = 2,
    THREAD_BYTES = 32,         // of an unknown kernel: each thread reads and writes a few values, as in an elementwise kernel
    MOVED_BYTES_MAX = 4 << 10, // moves=off: what a program looks at, like a result or a flag, is really copied
};

// The bytes of the kernels of bench/apps/llm_kernels.cu: the product of some of the launch's 32-bit arguments.
static const struct known {
    const char *name;
    unsigned bytes;                // each
    unsigned factors[FACTORS_MAX]; // numbers of arguments
    bool times_z;                  // and of gridDim.z: sequences
} known[] = {
    {"matmul_skinny", 4, {6, 7}, false}, // outputs x inputs: the weights
    {"matmul_tiled", 4, {6, 7}, false},
    {"lm_head", 4, {4, 5}, false},         // vocabulary x width: the token table
    {"attention_decode", 8, {2, 5}, true}, // position x width, keys and values
    {"attention_prefill", 8, {7, 5}, true},
};

static uint64_t number(const struct ptx_func_info *info, const unsigned char *params, unsigned index)
{
    uint32_t value = 0;
    if (index < info->param_count && info->params[index].size_bytes == sizeof value)
        memcpy(&value, params + info->params[index].offset_bytes, sizeof value);
    return value;
}

static double kernel_bytes(const struct ptx_func_info *info, const struct mock_launch_shape *s, const unsigned char *params)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(known[i].name, info->name))
            continue;
        double bytes = known[i].bytes * (known[i].times_z ? (double)s->grid[2] : 1);
        for (unsigned f = 0; f < FACTORS_MAX; f++)
            bytes *= (double)number(info, params, known[i].factors[f]);
        return bytes;
    }
    return (double)THREAD_BYTES * (double)(s->grid[0] * s->grid[1] * s->grid[2]) * (double)(s->block[0] * s->block[1] * s->block[2]);
}

int64_t mock_time_kernel(const struct mock_function *f, const struct mock_launch_shape *shape, const unsigned char *params)
{
    const struct mock_options *o = &mock.options;
    if (o->memory_bytes_per_ns <= 0)
        return o->kernel_ns;
    return (o->kernel_ns > 0 ? o->kernel_ns : 0) + (int64_t)(kernel_bytes(f->info, shape, params) / o->memory_bytes_per_ns);
}

int64_t mock_time_copy(const struct mock_box *dst, const struct mock_box *src, uint64_t size_bytes)
{
    const struct mock_options *o = &mock.options;
    if (dst->device != src->device)
        return o->copy_bytes_per_ns > 0 ? o->copy_ns + (int64_t)((double)size_bytes / o->copy_bytes_per_ns) : -1;
    if (dst->device < 0 || o->memory_bytes_per_ns <= 0)
        return -1;
    return o->copy_ns + (int64_t)(2 * (double)size_bytes / o->memory_bytes_per_ns); // read and written
}

int64_t mock_time_fill(uint64_t size_bytes)
{
    const struct mock_options *o = &mock.options;
    return o->memory_bytes_per_ns > 0 ? o->copy_ns + (int64_t)((double)size_bytes / o->memory_bytes_per_ns) : -1;
}

bool mock_time_moves(uint64_t size_bytes) { return mock.options.moves || size_bytes <= MOVED_BYTES_MAX; }
