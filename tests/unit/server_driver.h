// SPDX-License-Identifier: Apache-2.0
// A worker without a client, on a driver made of functions of the tests, which counts what is alive: for the
// handlers of the server's commands.
#ifndef GN_TESTS_UNIT_SERVER_DRIVER_H
#define GN_TESTS_UNIT_SERVER_DRIVER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/log.h"
#include "server/run/run.h"

// --- the driver: objects are numbers, counted by kind

static struct {
    int contexts, primaries, modules, libraries, streams, events, launches, loads;
    uint64_t next_address, memory;
    CUcontext current;
    CUresult fail; // what the next creating call answers
    uint8_t params[64];
    size_t params_bytes;
    CUlaunchConfig config;
    CUlaunchAttribute attribute;
    const void *image;
} d;

static inline void *number(uintptr_t n)
{
    return (void *)n;
}

static inline CUresult failing(void)
{
    CUresult r = d.fail;
    d.fail = CUDA_SUCCESS;
    return r;
}

#define MAKE(count, what)                                                                                    \
    (d.fail ? failing() : ((d.count)++, *(what) = number(0x1000 + ++serial), CUDA_SUCCESS))
static uintptr_t serial;

static inline CUresult retain(CUcontext *c, CUdevice dev)
{
    return dev > 1 ? CUDA_ERROR_INVALID_DEVICE
                   : (d.primaries++, *c = number(0x70 + (uintptr_t)dev), CUDA_SUCCESS);
}
static inline CUresult release(CUdevice dev)
{
    return (void)dev, d.primaries ? (d.primaries--, CUDA_SUCCESS) : CUDA_ERROR_INVALID_CONTEXT;
}
static inline CUresult reset(CUdevice dev)
{
    return (void)dev, CUDA_SUCCESS;
} // keeps the retain, as some drivers do
static inline CUresult create(CUcontext *c, unsigned flags, CUdevice dev)
{
    return (void)flags, (void)dev, MAKE(contexts, c);
}
static inline CUresult destroy(CUcontext c)
{
    return (void)c, d.contexts--, CUDA_SUCCESS;
}
static inline CUresult set_current(CUcontext c)
{
    return d.current = c, CUDA_SUCCESS;
}
static inline CUresult pop(CUcontext *c)
{
    return *c = NULL, CUDA_SUCCESS;
}
static inline CUresult push(CUcontext c)
{
    return (void)c, CUDA_SUCCESS;
}
static inline CUresult flags_of(unsigned *f)
{
    return *f = 8, CUDA_SUCCESS;
}
static inline CUresult range(int *least, int *greatest)
{
    return *least = 0, *greatest = -5, CUDA_SUCCESS;
}
static inline CUresult id_of(CUcontext c, unsigned long long *id)
{
    return *id = 1000 + (uintptr_t)c, CUDA_SUCCESS;
}
static inline CUresult stream_create(CUstream *s, unsigned flags, int priority)
{
    return (void)flags, (void)priority, MAKE(streams, s);
}
static inline CUresult stream_destroy(CUstream s)
{
    return (void)s, d.streams--, CUDA_SUCCESS;
}
static inline CUresult event_destroy(CUevent e)
{
    return (void)e, d.events--, CUDA_SUCCESS;
}
static inline CUresult load(CUmodule *m, const void *image)
{
    return d.loads++, d.image = image, MAKE(modules, m);
}
static inline CUresult unload(CUmodule m)
{
    return (void)m, d.modules--, CUDA_SUCCESS;
}
static inline CUresult library_unload(CUlibrary l)
{
    return (void)l, d.libraries--, CUDA_SUCCESS;
}
static inline CUresult library_module(CUmodule *m, CUlibrary l)
{
    return (void)l, *m = number(0x99), CUDA_SUCCESS;
}
static inline CUresult kernel(CUkernel *k, CUlibrary l, const char *name)
{
    return (void)l, *k = number(0x88), strcmp(name, "k") ? CUDA_ERROR_NOT_FOUND : CUDA_SUCCESS;
}
static inline CUresult function(CUfunction *f, CUmodule m, const char *name)
{
    return (void)m, *f = number(0x77), strcmp(name, "k") ? CUDA_ERROR_NOT_FOUND : CUDA_SUCCESS;
}

static inline CUresult library_load(CUlibrary *l, const void *code, CUjit_option *a, void **b, unsigned c,
                                    CUlibraryOption *e, void **f, unsigned g)
{
    (void)code, (void)a, (void)b, (void)c, (void)e, (void)f, (void)g;
    return MAKE(libraries, l);
}

static inline CUresult param(CUfunction f, size_t index, size_t *offset, size_t *size)
{
    assert_ptr_equal(f, number(0x77));
    *offset = index * 16;
    *size = 8 + index;
    return index < 300 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static inline CUresult alloc(CUdeviceptr *p, size_t bytes)
{
    if (d.fail)
        return failing();
    *p = d.next_address += 0x200;
    d.memory++;
    return bytes ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static inline CUresult alloc_pitch(CUdeviceptr *p, size_t *pitch, size_t width, size_t height,
                                   unsigned element)
{
    (void)element;
    *pitch = (width + 511) / 512 * 512;
    return alloc(p, *pitch * height);
}

static inline CUresult free_memory(CUdeviceptr p)
{
    return (void)p, d.memory--, CUDA_SUCCESS;
}

static inline void note_params(void **extra)
{
    d.launches++;
    d.params_bytes = extra ? *(size_t *)extra[3] : 0;
    if (extra)
        memcpy(d.params, extra[1], d.params_bytes < sizeof d.params ? d.params_bytes : sizeof d.params);
}

static inline CUresult launch(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                              unsigned bz, unsigned shared, CUstream s, void **params, void **extra)
{
    (void)f, (void)gx, (void)gy, (void)gz, (void)bx, (void)by, (void)bz, (void)shared, (void)s;
    assert_null(params);
    note_params(extra);
    return CUDA_SUCCESS;
}

static inline CUresult launch_ex(const CUlaunchConfig *config, CUfunction f, void **params, void **extra)
{
    (void)f;
    assert_null(params);
    d.config = *config;
    d.attribute = config->attrs[0];
    note_params(extra);
    return CUDA_SUCCESS;
}

static inline CUresult attribute_of(int *value, CUfunction_attribute a, CUfunction f)
{
    (void)f;
    *value = 100 + (int)a;
    return a < 16 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static inline CUresult count_of(unsigned *n, CUmodule m)
{
    return (void)m, *n = 3000, CUDA_SUCCESS;
}

static inline CUresult list_of(CUfunction *list, unsigned n, CUmodule m)
{
    (void)m;
    for (unsigned i = 0; i < n; i++)
        list[i] = number(i + 1);
    return CUDA_SUCCESS;
}

static inline CUresult name_of(const char **name, CUfunction f)
{
    static char text[32];
    snprintf(text, sizeof text, "kernel_%u", (unsigned)(uintptr_t)f);
    *name = text;
    return CUDA_SUCCESS;
}

// --- a worker without a client

static struct gn_status status;

static inline struct gn_worker fresh(void)
{
    memset(&d, 0, sizeof d);
    memset(&status, 0, sizeof status);
    d.next_address = 0x7f0000000000;
    struct gn_worker w = {
        .status = &status,
        .limits = {.image_bytes = 1 << 20, .window_bytes = 65536, .chunk_bytes = 65536, .handles = 5000}};
    w.driver.calls = (struct gn_driver_calls){
        .cuDevicePrimaryCtxRetain = retain,
        .cuDevicePrimaryCtxRelease_v2 = release,
        .cuDevicePrimaryCtxReset_v2 = reset,
        .cuCtxCreate_v2 = create,
        .cuCtxDestroy_v2 = destroy,
        .cuCtxSetCurrent = set_current,
        .cuCtxPopCurrent_v2 = pop,
        .cuCtxPushCurrent_v2 = push,
        .cuCtxGetFlags = flags_of,
        .cuCtxGetStreamPriorityRange = range,
        .cuCtxGetId = id_of,
        .cuStreamCreateWithPriority = stream_create,
        .cuStreamDestroy_v2 = stream_destroy,
        .cuEventDestroy_v2 = event_destroy,
        .cuModuleLoadData = load,
        .cuModuleUnload = unload,
        .cuModuleGetFunction = function,
        .cuFuncGetParamInfo = param,
        .cuLibraryLoadData = library_load,
        .cuLibraryUnload = library_unload,
        .cuLibraryGetModule = library_module,
        .cuLibraryGetKernel = kernel,
        .cuMemAlloc_v2 = alloc,
        .cuMemAllocPitch_v2 = alloc_pitch,
        .cuMemFree_v2 = free_memory,
        .cuLaunchKernel = launch,
        .cuLaunchKernelEx = launch_ex,
        .cuFuncGetAttribute = attribute_of,
        .cuModuleGetFunctionCount = count_of,
        .cuModuleEnumerateFunctions = list_of,
        .cuFuncGetName = name_of,
    };
    gn_log_setup(GN_LOG_OFF, 0);
    return w;
}

static inline uint64_t id(enum gn_kind kind, uint32_t index, uint32_t generation)
{
    return index | (uint64_t)kind << 24 | (uint64_t)generation << 32;
}

static inline struct gn_request request(uint16_t op)
{
    return (struct gn_request){.op = op};
}

// Runs gn_run_NAME with these arguments; `q` and `o` are there afterwards.
#define RUN(name, ...)                                                                                       \
    struct gn_request q = request(GN_OP_##name);                                                             \
    struct gn_out_##name o = {0};                                                                            \
    CUresult r = gn_run_##name(&w, &q, &(struct gn_args_##name){__VA_ARGS__}, &o);                           \
    (void)r, (void)o

#define EXPECT(name, code, ...)                                                                              \
    do {                                                                                                     \
        RUN(name, __VA_ARGS__);                                                                              \
        assert_int_equal(r, code);                                                                           \
        assert_null(q.error);                                                                                \
    } while (0)

#define ENDS(name, ...)                                                                                      \
    do {                                                                                                     \
        RUN(name, __VA_ARGS__);                                                                              \
        assert_non_null(q.error);                                                                            \
    } while (0)

#define PRIMARY id(GN_KIND_CONTEXT, 0, 1)

static inline void enter(struct gn_worker *pw, uint64_t context)
{
    struct gn_request q = request(GN_OP_scope);
    void *object;
    assert_true(gn_find_object(pw, &q, GN_KIND_CONTEXT, context, &object));
    pw->scope = object;
}

static inline struct gn_worker ready(void)
{
    struct gn_worker w = fresh();
    EXPECT(primary_retain, CUDA_SUCCESS, .device = 0, .context = PRIMARY);
    enter(&w, PRIMARY);
    return w;
}

// --- images

static const char ptx[] = ".version 7.5\n.target sm_75\n.address_size 64\n.visible .entry k(.param .u64 a, "
                          ".param .u32 b) { ret; }\n";

static inline CUresult part(struct gn_worker *pw, uint32_t upload, uint64_t total, uint64_t offset,
                            const void *data, size_t bytes, bool *ends)
{
    struct gn_payload payload = {.data = (void *)(uintptr_t)data, .size_bytes = bytes};
    struct gn_request q = request(GN_OP_image_part);
    struct gn_out_image_part o;
    q.payload = &payload;
    CUresult r = gn_run_image_part(
        pw, &q,
        &(struct gn_args_image_part){
            .total_bytes = total, .offset_bytes = offset, .upload = upload, .data_bytes = bytes},
        &o);
    *ends = q.error;
    return r;
}

static inline void give(struct gn_worker *pw, uint32_t upload, const void *data, size_t bytes)
{
    bool ends;
    size_t half = bytes / 2;
    assert_int_equal(part(pw, upload, bytes, 0, data, half, &ends), CUDA_SUCCESS);
    assert_int_equal(part(pw, upload, bytes, half, (const char *)data + half, bytes - half, &ends),
                     CUDA_SUCCESS);
    assert_false(ends);
}

#endif
