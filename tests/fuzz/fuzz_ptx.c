// SPDX-License-Identifier: Apache-2.0
// Fuzzes the PTX engine: whatever parses is linked and launched on a small device that is stopped soon. A NUL
// separates texts that are to be linked together.
#include "tests/mock/ptx/ptx.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TEXTS_MAX = 4, DEVICE_BYTES = 1 << 16, VARS_MAX = 64, RUN_NS = 3000000 };

static _Alignas(4096) uint8_t device[DEVICE_BYTES], variables[DEVICE_BYTES];
static volatile bool stop;
static _Atomic uint64_t deadline_ns; // 0: nothing runs

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

// Stops launches that take too long: random programs loop.
static void *watch(void *arg)
{
    (void)arg;
    for (;;) {
        uint64_t d = atomic_load(&deadline_ns);
        if (d && now_ns() > d)
            __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return NULL;
}

static int lookup(void *ctx, uint64_t address, bool write, uint64_t *start, uint64_t *end)
{
    (void)ctx;
    (void)write;
    uint8_t *const ranges[] = {device, variables};
    for (int i = 0; i < 2; i++)
        if (address - (uint64_t)(uintptr_t)ranges[i] < DEVICE_BYTES) {
            *start = (uint64_t)(uintptr_t)ranges[i];
            *end = *start + DEVICE_BYTES;
            return 0;
        }
    return -EFAULT;
}

static void print(void *ctx, const char *text, size_t size_bytes)
{
    (void)ctx;
    volatile char last = size_bytes ? text[size_bytes - 1] : 0; // the record must be readable
    (void)last;
}

static bool link_it(struct ptx_module *m)
{
    uint64_t at[VARS_MAX], used = 0;
    struct ptx_error e;
    if (ptx_var_count(m) > VARS_MAX)
        return false;
    for (size_t i = 0; i < ptx_var_count(m); i++) {
        struct ptx_var v;
        ptx_var_at(m, i, &v);
        used = (used + v.align_bytes - 1) / v.align_bytes * v.align_bytes;
        if (v.size_bytes > DEVICE_BYTES || used + v.size_bytes > DEVICE_BYTES)
            return false;
        at[i] = (uint64_t)(uintptr_t)variables + used;
        used += v.size_bytes;
    }
    return !ptx_link(m, at, &e);
}

static void launch(struct ptx_module *m, size_t index)
{
    static const struct ptx_memory memory = {.lookup = lookup, .print = print};
    const struct ptx_func *f = ptx_func_at(m, index);
    struct ptx_func_info info;
    ptx_func_info(f, &info);
    uint64_t *params = calloc(1, info.param_bytes + 8u);
    for (uint32_t i = 0; params && i < info.param_bytes / 8; i++)
        params[i] = (uint64_t)(uintptr_t)device;
    struct ptx_fault fault;
    struct ptx_launch l = {.func = f,
                           .grid = {2, 1, 1},
                           .block = {40, 1, 1},
                           .cluster = {1, 1, 1},
                           .params = params,
                           .dynamic_shared_bytes = 64,
                           .cooperative = index & 1,
                           .sm_count = 2,
                           .threads = 1,
                           .memory = &memory,
                           .stop = &stop};
    __atomic_store_n(&stop, false, __ATOMIC_RELAXED);
    atomic_store(&deadline_ns, now_ns() + RUN_NS);
    if (params)
        ptx_run(&l, &fault);
    atomic_store(&deadline_ns, 0);
    free(params);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    pthread_t t;
    return pthread_create(&t, NULL, watch, NULL);
}

// Each text in memory of its own, so that reading beyond it is seen. The last one has what is left, with its
// NULs.
static int parse(const uint8_t *data, size_t size, struct ptx_module **m, struct ptx_error *e)
{
    struct ptx_text texts[TEXTS_MAX];
    char *copies[TEXTS_MAX];
    size_t count = 0;
    for (const uint8_t *end; count < TEXTS_MAX && (size || !count); count++) {
        end = size && count + 1 < TEXTS_MAX ? memchr(data, 0, size) : NULL;
        size_t bytes = end ? (size_t)(end - data) : size, taken = end ? bytes + 1 : bytes;
        copies[count] = malloc(bytes ? bytes : 1);
        if (bytes)
            memcpy(copies[count], data, bytes);
        texts[count] = (struct ptx_text){copies[count], bytes};
        data += taken;
        size -= taken;
    }
    int r = ptx_parse_many(texts, count, 90, m, e);
    if (r && (*m || !e->text[0] || e->unit >= count))
        abort(); // a refusal says why and where, and leaves nothing
    while (count)
        free(copies[--count]);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ptx_module *m = NULL;
    struct ptx_error e;
    if (parse(data, size, &m, &e))
        return 0;
    if (link_it(m))
        for (size_t i = 0; i < ptx_func_count(m) && i < 3; i++)
            launch(m, i);
    ptx_free(m);
    return 0;
}
