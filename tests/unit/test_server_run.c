// SPDX-License-Identifier: Apache-2.0
// Question: do the commands of the server keep names, memory and images in order, whatever a client sends? Method: the handlers themselves on
// a driver made of functions of this test, which counts what is alive.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/log.h"
#include "server/run.h"
#include "tests/unit/image_build.h"

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

static void *number(uintptr_t n) { return (void *)n; }

static CUresult failing(void)
{
    CUresult r = d.fail;
    d.fail = CUDA_SUCCESS;
    return r;
}

#define MAKE(count, what) (d.fail ? failing() : ((d.count)++, *(what) = number(0x1000 + ++serial), CUDA_SUCCESS))
static uintptr_t serial;

static CUresult retain(CUcontext *c, CUdevice dev) { return dev > 1 ? CUDA_ERROR_INVALID_DEVICE : (d.primaries++, *c = number(0x70 + (uintptr_t)dev), CUDA_SUCCESS); }
static CUresult release(CUdevice dev) { return (void)dev, d.primaries ? (d.primaries--, CUDA_SUCCESS) : CUDA_ERROR_INVALID_CONTEXT; }
static CUresult reset(CUdevice dev) { return (void)dev, CUDA_SUCCESS; } // keeps the retain, as some drivers do
static CUresult create(CUcontext *c, unsigned flags, CUdevice dev) { return (void)flags, (void)dev, MAKE(contexts, c); }
static CUresult destroy(CUcontext c) { return (void)c, d.contexts--, CUDA_SUCCESS; }
static CUresult set_current(CUcontext c) { return d.current = c, CUDA_SUCCESS; }
static CUresult pop(CUcontext *c) { return *c = NULL, CUDA_SUCCESS; }
static CUresult push(CUcontext c) { return (void)c, CUDA_SUCCESS; }
static CUresult flags_of(unsigned *f) { return *f = 8, CUDA_SUCCESS; }
static CUresult range(int *least, int *greatest) { return *least = 0, *greatest = -5, CUDA_SUCCESS; }
static CUresult id_of(CUcontext c, unsigned long long *id) { return *id = 1000 + (uintptr_t)c, CUDA_SUCCESS; }
static CUresult stream_create(CUstream *s, unsigned flags, int priority) { return (void)flags, (void)priority, MAKE(streams, s); }
static CUresult stream_destroy(CUstream s) { return (void)s, d.streams--, CUDA_SUCCESS; }
static CUresult event_destroy(CUevent e) { return (void)e, d.events--, CUDA_SUCCESS; }
static CUresult load(CUmodule *m, const void *image) { return d.loads++, d.image = image, MAKE(modules, m); }
static CUresult unload(CUmodule m) { return (void)m, d.modules--, CUDA_SUCCESS; }
static CUresult library_unload(CUlibrary l) { return (void)l, d.libraries--, CUDA_SUCCESS; }
static CUresult library_module(CUmodule *m, CUlibrary l) { return (void)l, *m = number(0x99), CUDA_SUCCESS; }
static CUresult kernel(CUkernel *k, CUlibrary l, const char *name) { return (void)l, *k = number(0x88), strcmp(name, "k") ? CUDA_ERROR_NOT_FOUND : CUDA_SUCCESS; }
static CUresult function(CUfunction *f, CUmodule m, const char *name) { return (void)m, *f = number(0x77), strcmp(name, "k") ? CUDA_ERROR_NOT_FOUND : CUDA_SUCCESS; }

static CUresult library_load(CUlibrary *l, const void *code, CUjit_option *a, void **b, unsigned c, CUlibraryOption *e, void **f, unsigned g)
{
    (void)code, (void)a, (void)b, (void)c, (void)e, (void)f, (void)g;
    return MAKE(libraries, l);
}

static CUresult param(CUfunction f, size_t index, size_t *offset, size_t *size)
{
    assert_ptr_equal(f, number(0x77));
    *offset = index * 16;
    *size = 8 + index;
    return index < 300 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult alloc(CUdeviceptr *p, size_t bytes)
{
    if (d.fail)
        return failing();
    *p = d.next_address += 0x200;
    d.memory++;
    return bytes ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult alloc_pitch(CUdeviceptr *p, size_t *pitch, size_t width, size_t height, unsigned element)
{
    (void)element;
    *pitch = (width + 511) / 512 * 512;
    return alloc(p, *pitch * height);
}

static CUresult free_memory(CUdeviceptr p) { return (void)p, d.memory--, CUDA_SUCCESS; }

static void note_params(void **extra)
{
    d.launches++;
    d.params_bytes = extra ? *(size_t *)extra[3] : 0;
    if (extra)
        memcpy(d.params, extra[1], d.params_bytes < sizeof d.params ? d.params_bytes : sizeof d.params);
}

static CUresult launch(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, CUstream s,
                       void **params, void **extra)
{
    (void)f, (void)gx, (void)gy, (void)gz, (void)bx, (void)by, (void)bz, (void)shared, (void)s;
    assert_null(params);
    note_params(extra);
    return CUDA_SUCCESS;
}

static CUresult launch_ex(const CUlaunchConfig *config, CUfunction f, void **params, void **extra)
{
    (void)f;
    assert_null(params);
    d.config = *config;
    d.attribute = config->attrs[0];
    note_params(extra);
    return CUDA_SUCCESS;
}

static CUresult attribute_of(int *value, CUfunction_attribute a, CUfunction f)
{
    (void)f;
    *value = 100 + (int)a;
    return a < 16 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult count_of(unsigned *n, CUmodule m) { return (void)m, *n = 3000, CUDA_SUCCESS; }

static CUresult list_of(CUfunction *list, unsigned n, CUmodule m)
{
    (void)m;
    for (unsigned i = 0; i < n; i++)
        list[i] = number(i + 1);
    return CUDA_SUCCESS;
}

static CUresult name_of(const char **name, CUfunction f)
{
    static char text[32];
    snprintf(text, sizeof text, "kernel_%u", (unsigned)(uintptr_t)f);
    *name = text;
    return CUDA_SUCCESS;
}

// --- a worker without a client

static struct gn_status status;

static struct gn_worker fresh(void)
{
    memset(&d, 0, sizeof d);
    memset(&status, 0, sizeof status);
    d.next_address = 0x7f0000000000;
    struct gn_worker w = {.status = &status, .limits = {.image_bytes = 1 << 20, .window_bytes = 65536, .chunk_bytes = 65536, .handles = 5000}};
    w.driver.calls = (struct gn_driver_calls){
        .cuDevicePrimaryCtxRetain = retain, .cuDevicePrimaryCtxRelease_v2 = release, .cuDevicePrimaryCtxReset_v2 = reset,
        .cuCtxCreate_v2 = create, .cuCtxDestroy_v2 = destroy, .cuCtxSetCurrent = set_current,
        .cuCtxPopCurrent_v2 = pop, .cuCtxPushCurrent_v2 = push, .cuCtxGetFlags = flags_of, .cuCtxGetStreamPriorityRange = range,
        .cuCtxGetId = id_of, .cuStreamCreateWithPriority = stream_create, .cuStreamDestroy_v2 = stream_destroy,
        .cuEventDestroy_v2 = event_destroy, .cuModuleLoadData = load, .cuModuleUnload = unload, .cuModuleGetFunction = function,
        .cuFuncGetParamInfo = param, .cuLibraryLoadData = library_load, .cuLibraryUnload = library_unload,
        .cuLibraryGetModule = library_module, .cuLibraryGetKernel = kernel, .cuMemAlloc_v2 = alloc, .cuMemAllocPitch_v2 = alloc_pitch,
        .cuMemFree_v2 = free_memory, .cuLaunchKernel = launch, .cuLaunchKernelEx = launch_ex, .cuFuncGetAttribute = attribute_of,
        .cuModuleGetFunctionCount = count_of, .cuModuleEnumerateFunctions = list_of, .cuFuncGetName = name_of,
    };
    gn_log_setup(GN_LOG_OFF, 0);
    return w;
}

static uint64_t id(enum gn_kind kind, uint32_t index, uint32_t generation) { return index | (uint64_t)kind << 24 | (uint64_t)generation << 32; }

static struct gn_request request(uint16_t op) { return (struct gn_request){.op = op}; }

// Runs gn_run_NAME with these arguments; `q` and `o` are there afterwards.
#define RUN(name, ...)                                                                                                                    \
    struct gn_request q = request(GN_OP_##name);                                                                                          \
    struct gn_out_##name o = {0};                                                                                                         \
    CUresult r = gn_run_##name(&w, &q, &(struct gn_args_##name){__VA_ARGS__}, &o);                                                         \
    (void)r, (void)o

#define EXPECT(name, code, ...)                                                                                                           \
    do {                                                                                                                                  \
        RUN(name, __VA_ARGS__);                                                                                                           \
        assert_int_equal(r, code);                                                                                                        \
        assert_null(q.error);                                                                                                             \
    } while (0)

#define ENDS(name, ...)                                                                                                                   \
    do {                                                                                                                                  \
        RUN(name, __VA_ARGS__);                                                                                                           \
        assert_non_null(q.error);                                                                                                         \
    } while (0)

#define PRIMARY id(GN_KIND_CONTEXT, 0, 1)

static void enter(struct gn_worker *pw, uint64_t context)
{
    struct gn_request q = request(GN_OP_scope);
    void *object;
    assert_true(gn_find_object(pw, &q, GN_KIND_CONTEXT, context, &object));
    pw->scope = object;
}

static struct gn_worker ready(void)
{
    struct gn_worker w = fresh();
    EXPECT(primary_retain, CUDA_SUCCESS, .device = 0, .context = PRIMARY);
    enter(&w, PRIMARY);
    return w;
}

// --- contexts

static void primary_contexts_are_counted(void **s)
{
    struct gn_worker w = fresh();
    (void)s;
    {
        RUN(primary_retain, .device = 0, .context = PRIMARY);
        assert_int_equal(r, CUDA_SUCCESS);
        assert_int_equal(o.id, 1000 + 0x70);
        assert_int_equal(o.flags, 8);
        assert_int_equal(o.greatest_priority, -5);
    }
    EXPECT(primary_retain, CUDA_SUCCESS, .device = 0, .context = PRIMARY);
    assert_int_equal(d.primaries, 1);
    EXPECT(primary_release, CUDA_SUCCESS, .context = PRIMARY);
    assert_int_equal(d.primaries, 1);
    EXPECT(primary_release, CUDA_SUCCESS, .context = PRIMARY);
    assert_int_equal(d.primaries, 0);
    EXPECT(primary_release, CUDA_ERROR_INVALID_CONTEXT, .context = PRIMARY);
    EXPECT(primary_retain, CUDA_ERROR_INVALID_DEVICE, .device = 7, .context = id(GN_KIND_CONTEXT, 1, 1));
    EXPECT(primary_retain, CUDA_SUCCESS, .device = 0, .context = PRIMARY); // the same name again
    ENDS(primary_retain, .device = 1, .context = PRIMARY);                 // another device under it
    EXPECT(context_destroy, CUDA_ERROR_INVALID_CONTEXT, .context = PRIMARY);
    gn_run_close(&w);
}

static void a_reset_ends_a_primary_context(void **s)
{
    struct gn_worker w = ready();
    uint64_t address, size;
    (void)s;
    EXPECT(primary_retain, CUDA_SUCCESS, .device = 0, .context = PRIMARY); // twice: a reset ends both
    EXPECT(stream_create, CUDA_SUCCESS, .stream = id(GN_KIND_STREAM, 1, 1));
    {
        RUN(memory_alloc, .size_bytes = 100);
        address = o.address;
    }
    EXPECT(primary_reset, CUDA_SUCCESS, .device = 0, .context = PRIMARY);
    assert_int_equal(d.primaries, 0);
    assert_false(gn_memory_find(&w, address, &size));
    assert_int_equal(w.memory_used_bytes, 0);
    assert_null(w.scope);
    EXPECT(stream_destroy, CUDA_ERROR_INVALID_HANDLE, .stream = id(GN_KIND_STREAM, 1, 1));
    EXPECT(primary_release, CUDA_ERROR_INVALID_CONTEXT, .context = PRIMARY);
    EXPECT(primary_retain, CUDA_SUCCESS, .device = 0, .context = PRIMARY); // under the same name
    assert_non_null(w.scope);
    EXPECT(stream_create, CUDA_SUCCESS, .stream = id(GN_KIND_STREAM, 1, 2));
    EXPECT(primary_release, CUDA_SUCCESS, .context = PRIMARY);
    assert_int_equal(d.primaries, 0);
    EXPECT(primary_reset, CUDA_SUCCESS, .device = 1, .context = 0); // never retained
    gn_run_close(&w);
}

static void the_scope_comes_back_with_its_context(void **s)
{
    struct gn_worker w = ready();
    (void)s;
    EXPECT(primary_release, CUDA_SUCCESS, .context = PRIMARY);
    assert_null(w.scope);
    EXPECT(primary_retain, CUDA_SUCCESS, .device = 0, .context = PRIMARY);
    assert_non_null(w.scope);
    assert_ptr_equal(d.current, number(0x70));
    gn_run_close(&w);
}

static void a_destroyed_context_takes_all_along(void **s)
{
    struct gn_worker w = ready();
    uint64_t mine = id(GN_KIND_CONTEXT, 7, 1), other, size;
    (void)s;
    {
        RUN(memory_alloc, .size_bytes = 1);
        other = o.address;
    }
    EXPECT(context_create, CUDA_ERROR_NOT_SUPPORTED, .context = mine, .flags = CU_CTX_COREDUMP_ENABLE);
    EXPECT(context_create, CUDA_ERROR_INVALID_VALUE, .context = mine, .flags = 0x10000);
    EXPECT(context_create, CUDA_SUCCESS, .context = mine);
    enter(&w, mine);
    for (uint32_t i = 0; i < 500; i++) {
        EXPECT(stream_create, CUDA_SUCCESS, .stream = id(GN_KIND_STREAM, 100 + i, 1));
        EXPECT(memory_alloc, CUDA_SUCCESS, .size_bytes = 1000);
    }
    assert_int_equal(atomic_load(&status.handles), 502);
    EXPECT(context_destroy, CUDA_SUCCESS, .context = mine);
    assert_int_equal(d.contexts, 0);
    assert_null(w.scope);
    assert_int_equal(atomic_load(&status.handles), 1);
    assert_int_equal(w.memory_used_bytes, 512);
    assert_true(gn_memory_find(&w, other, &size));
    EXPECT(memory_alloc, CUDA_ERROR_INVALID_CONTEXT, .size_bytes = 1);
    EXPECT(context_destroy, CUDA_ERROR_INVALID_CONTEXT, .context = mine);
    gn_run_close(&w);
}

// --- handles

static void names_that_cannot_be_end_the_session(void **s)
{
    static const uint64_t bad[] = {0, 3, 0x7f1234567890, UINT64_MAX, 1ull << 32, (uint64_t)GN_KINDS << 24 | 1ull << 32};
    struct gn_worker w = ready();
    (void)s;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ENDS(stream_destroy, .stream = bad[i]);
        ENDS(stream_create, .stream = bad[i]);
        ENDS(launch, .function = bad[i], .stream = 1);
        assert_int_equal(d.streams, 0); // what was made for a bad name is not kept
    }
    ENDS(stream_destroy, .stream = 1); // default streams are not destroyed
    ENDS(stream_destroy, .stream = id(GN_KIND_EVENT, 1, 1));
    ENDS(stream_create, .stream = id(GN_KIND_STREAM, 1, 0));
    ENDS(stream_create, .stream = id(GN_KIND_STREAM, 1, GN_HANDLE_GENERATIONS));
    ENDS(stream_create, .stream = id(GN_KIND_STREAM, GN_HANDLE_CHUNKS_MAX * GN_HANDLE_CHUNK_SLOTS, 1));
    EXPECT(stream_create, CUDA_SUCCESS, .stream = id(GN_KIND_STREAM, 1, 1));
    ENDS(stream_create, .stream = id(GN_KIND_STREAM, 1, 1)); // twice
    ENDS(stream_create, .stream = id(GN_KIND_STREAM, 1, 2)); // over a live one
    assert_int_equal(d.streams, 1);
    gn_run_close(&w);
}

static void a_failed_creation_makes_a_name_that_does_nothing(void **s)
{
    struct gn_worker w = ready();
    uint64_t name = id(GN_KIND_STREAM, 1, 1);
    (void)s;
    d.fail = CUDA_ERROR_OUT_OF_MEMORY;
    EXPECT(stream_create, CUDA_ERROR_OUT_OF_MEMORY, .stream = name);
    {
        RUN(launch, .function = id(GN_KIND_FUNCTION, 3, 1), .stream = name);
        assert_int_equal(r, CUDA_ERROR_INVALID_HANDLE);
        assert_true(q.dropped);
        assert_null(q.error);
    }
    EXPECT(stream_destroy, CUDA_ERROR_INVALID_HANDLE, .stream = name);
    EXPECT(stream_create, CUDA_SUCCESS, .stream = id(GN_KIND_STREAM, 1, 2));
    gn_run_close(&w);
}

static void handles_are_limited(void **s)
{
    struct gn_worker w = ready();
    (void)s;
    EXPECT(stream_create, CUDA_SUCCESS, .stream = id(GN_KIND_STREAM, 4999, 1));
    EXPECT(stream_create, CUDA_ERROR_OUT_OF_MEMORY, .stream = id(GN_KIND_STREAM, 5000, 1));
    assert_int_equal(d.streams, 1);
    assert_true(w.handles.chunk_count <= 5);
    EXPECT(stream_destroy, CUDA_ERROR_INVALID_HANDLE, .stream = id(GN_KIND_STREAM, 5000, 1));
    gn_run_close(&w);
}

// --- memory

static void memory_is_accounted(void **s)
{
    struct gn_worker w = ready();
    uint64_t a, b, size;
    (void)s;
    w.limits.memory_bytes = 4096;
    {
        RUN(memory_alloc, .size_bytes = 3000);
        assert_int_equal(r, CUDA_SUCCESS);
        a = o.address;
    }
    assert_int_equal(atomic_load(&status.memory_bytes), 3072);
    EXPECT(memory_alloc, CUDA_ERROR_OUT_OF_MEMORY, .size_bytes = 1025);
    EXPECT(memory_alloc, CUDA_ERROR_OUT_OF_MEMORY, .size_bytes = UINT64_MAX);
    EXPECT(memory_alloc, CUDA_ERROR_INVALID_VALUE, .size_bytes = 0); // the driver's own word
    {
        RUN(memory_alloc, .size_bytes = 1024);
        assert_int_equal(r, CUDA_SUCCESS);
        b = o.address;
    }
    EXPECT(memory_alloc, CUDA_ERROR_OUT_OF_MEMORY, .size_bytes = 1);
    EXPECT(memory_free, CUDA_ERROR_INVALID_VALUE, .address = a + 8); // not the beginning
    EXPECT(memory_free, CUDA_ERROR_INVALID_VALUE, .address = 0xdead0000);
    EXPECT(memory_free, CUDA_SUCCESS, .address = 0);
    EXPECT(memory_free, CUDA_SUCCESS, .address = a);
    EXPECT(memory_free, CUDA_ERROR_INVALID_VALUE, .address = a); // twice
    assert_true(gn_memory_find(&w, b, &size));
    assert_int_equal(size, 1024);
    assert_int_equal(w.memory_used_bytes, 1024);
    // 300 wide is 512 of pitch, which only the driver knows
    EXPECT(memory_alloc_pitch, CUDA_SUCCESS, .width_bytes = 300, .height = 5, .element_bytes = 4);
    uint64_t alive = d.memory;
    EXPECT(memory_alloc_pitch, CUDA_ERROR_OUT_OF_MEMORY, .width_bytes = 10, .height = 3, .element_bytes = 4);
    assert_int_equal(d.memory, alive); // given back
    EXPECT(memory_alloc_pitch, CUDA_ERROR_OUT_OF_MEMORY, .width_bytes = UINT64_MAX / 2, .height = 3, .element_bytes = 4);
    gn_run_close(&w);
}

static void many_allocations_come_and_go(void **s)
{
    enum { MANY = 100000 };
    static uint64_t addresses[MANY];
    struct gn_worker w = ready();
    uint64_t mine = id(GN_KIND_CONTEXT, 7, 1), size;
    (void)s;
    EXPECT(context_create, CUDA_SUCCESS, .context = mine);
    for (int i = 0; i < MANY; i++) {
        enter(&w, i % 3 ? PRIMARY : mine);
        RUN(memory_alloc, .size_bytes = 512);
        assert_int_equal(r, CUDA_SUCCESS);
        addresses[i] = o.address;
    }
    for (int i = 1; i < MANY; i += 7) {
        EXPECT(memory_free, CUDA_SUCCESS, .address = addresses[i]);
        addresses[i] = 0;
    }
    EXPECT(context_destroy, CUDA_SUCCESS, .context = mine);
    uint64_t left = 0;
    for (int i = 0; i < MANY; i++) {
        bool there = addresses[i] && i % 3;
        if (addresses[i])
            assert_int_equal(gn_memory_find(&w, addresses[i], &size), there);
        left += there;
    }
    assert_int_equal(w.memory_used_bytes, 512 * left);
    for (int i = MANY - 1; i >= 0; i--)
        if (addresses[i] && i % 3)
            EXPECT(memory_free, CUDA_SUCCESS, .address = addresses[i]);
    assert_int_equal(w.memory_used_bytes, 0);
    gn_run_close(&w);
}

// --- images

static const char ptx[] = ".version 7.5\n.target sm_75\n.address_size 64\n.visible .entry k(.param .u64 a, .param .u32 b) { ret; }\n";

static CUresult part(struct gn_worker *pw, uint32_t upload, uint64_t total, uint64_t offset, const void *data, size_t bytes, bool *ends)
{
    struct gn_payload payload = {.data = (void *)(uintptr_t)data, .size_bytes = bytes};
    struct gn_request q = request(GN_OP_image_part);
    struct gn_out_image_part o;
    q.payload = &payload;
    CUresult r = gn_run_image_part(pw, &q, &(struct gn_args_image_part){.total_bytes = total, .offset_bytes = offset, .upload = upload, .data_bytes = bytes}, &o);
    *ends = q.error;
    return r;
}

static void give(struct gn_worker *pw, uint32_t upload, const void *data, size_t bytes)
{
    bool ends;
    size_t half = bytes / 2;
    assert_int_equal(part(pw, upload, bytes, 0, data, half, &ends), CUDA_SUCCESS);
    assert_int_equal(part(pw, upload, bytes, half, (const char *)data + half, bytes - half, &ends), CUDA_SUCCESS);
    assert_false(ends);
}

static void images_are_put_together(void **s)
{
    struct gn_worker w = ready();
    (void)s;
    for (uint32_t i = 0; i < 100; i++) { // more than places: each is free again after its load
        give(&w, i, ptx, sizeof ptx - (i & 1)); // with or without its NUL
        EXPECT(module_load, CUDA_SUCCESS, .module = id(GN_KIND_MODULE, 10 + i, 1), .upload = i);
    }
    assert_int_equal(d.modules, 100);
    give(&w, 5, ptx, sizeof ptx);
    d.fail = CUDA_ERROR_INVALID_PTX;
    EXPECT(module_load, CUDA_ERROR_INVALID_PTX, .module = id(GN_KIND_MODULE, 200, 1), .upload = 5);
    EXPECT(module_load, CUDA_ERROR_INVALID_IMAGE, .module = id(GN_KIND_MODULE, 200, 2), .upload = 5); // it is gone
    gn_run_close(&w);
}

static void pieces_out_of_place_end_the_session(void **s)
{
    struct gn_worker w = ready();
    char bytes[64] = "";
    bool ends;
    (void)s;
    part(&w, 1, 0, 0, bytes, 0, &ends);
    assert_true(ends);
    part(&w, 1, 10, 8, bytes, 3, &ends);
    assert_true(ends);
    part(&w, 1, 10, UINT64_MAX - 1, bytes, 8, &ends);
    assert_true(ends);
    assert_int_equal(part(&w, 1, 100, 0, bytes, 50, &ends), CUDA_SUCCESS);
    part(&w, 1, 100, 40, bytes, 10, &ends); // over what is there
    assert_true(ends);
    part(&w, 1, 100, 60, bytes, 10, &ends); // leaving a gap
    assert_true(ends);
    part(&w, 1, 101, 50, bytes, 10, &ends); // of another size
    assert_true(ends);
    EXPECT(module_load, CUDA_ERROR_INVALID_IMAGE, .module = id(GN_KIND_MODULE, 1, 1), .upload = 1); // half of it
    assert_int_equal(d.loads, 0);
    gn_run_close(&w);
}

static void images_are_limited(void **s)
{
    struct gn_worker w = ready();
    char bytes[64] = "";
    bool ends;
    (void)s;
    assert_int_equal(part(&w, 1, (1 << 20) + 1, 0, bytes, 50, &ends), CUDA_ERROR_OUT_OF_MEMORY);
    assert_int_equal(part(&w, 1, (1 << 20) + 1, 50, bytes, 50, &ends), CUDA_SUCCESS); // told once
    assert_false(ends);
    EXPECT(module_load, CUDA_ERROR_OUT_OF_MEMORY, .module = id(GN_KIND_MODULE, 1, 1), .upload = 1);
    assert_int_equal(part(&w, 2, 1 << 19, 0, bytes, 50, &ends), CUDA_SUCCESS);
    assert_int_equal(part(&w, 3, 1 << 19, 0, bytes, 50, &ends), CUDA_SUCCESS);
    assert_int_equal(part(&w, 4, 1, 0, bytes, 1, &ends), CUDA_ERROR_OUT_OF_MEMORY);
    EXPECT(library_load, CUDA_ERROR_INVALID_IMAGE, .library = id(GN_KIND_LIBRARY, 1, 1), .upload = 2); // makes room
    assert_int_equal(part(&w, 5, 1, 0, bytes, 1, &ends), CUDA_SUCCESS);
    for (uint32_t i = 100; i < 100 + GN_UPLOADS_MAX; i++)
        part(&w, i, 1, 0, bytes, 1, &ends);
    assert_int_equal(part(&w, 999, 2, 0, bytes, 1, &ends), CUDA_ERROR_OUT_OF_MEMORY);
    assert_int_equal(part(&w, 999, 2, 1, bytes, 1, &ends), CUDA_ERROR_OUT_OF_MEMORY);
    assert_false(ends);
    gn_run_close(&w);
}

static void a_driver_sees_no_image_that_lies(void **s)
{
    struct gn_worker w = ready();
    uint64_t wrapper[3] = {0x1466243b1, 0x4141414141414141, 0};
    uint8_t fatbin[64] = {0x50, 0xed, 0x55, 0xba, 1, 0, 16, 0, 0xff, 0xff, 0xff, 0x7f}, elf[64] = {0x7f, 'E', 'L', 'F', 2, 1, 1};
    const struct {
        const void *data;
        size_t bytes;
    } bad[] = {{wrapper, sizeof wrapper}, {fatbin, sizeof fatbin}, {elf, sizeof elf}, {"\1\2\3\4", 4}, {"", 1}, {"\x7f" "EL", 3}};
    (void)s;
    for (uint32_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        give(&w, i, bad[i].data, bad[i].bytes);
        EXPECT(module_load, CUDA_ERROR_INVALID_IMAGE, .module = id(GN_KIND_MODULE, 1, i + 1), .upload = i);
    }
    assert_int_equal(d.loads, 0);
    gn_run_close(&w);
}

// --- what is in modules and libraries

static void functions_go_with_their_module(void **s)
{
    struct gn_worker w = ready();
    uint64_t module = id(GN_KIND_MODULE, 1, 1), f = id(GN_KIND_FUNCTION, 2, 1);
    (void)s;
    give(&w, 1, ptx, sizeof ptx);
    EXPECT(module_load, CUDA_SUCCESS, .module = module, .upload = 1);
    {
        RUN(module_get_function, .module = module, .function = f, .name = "kxx", .name_bytes = 1); // no NUL on the wire
        uint32_t words[601];
        assert_int_equal(r, CUDA_SUCCESS);
        assert_int_equal(o.layout_bytes, sizeof words);
        memcpy(words, o.layout, sizeof words);
        assert_int_equal(words[0], 300);
        assert_int_equal(words[1 + 2 * 299], 299 * 16);
        assert_int_equal(words[2 + 2 * 299], 8 + 299);
    }
    EXPECT(module_get_function, CUDA_ERROR_NOT_FOUND, .module = module, .function = id(GN_KIND_FUNCTION, 3, 1), .name = "nix", .name_bytes = 3);
    ENDS(module_get_function, .module = module, .function = id(GN_KIND_FUNCTION, 3, 1), .name = "k\0k", .name_bytes = 3);
    EXPECT(launch, CUDA_SUCCESS, .function = f, .stream = 1);
    EXPECT(module_unload, CUDA_SUCCESS, .module = module);
    EXPECT(launch, CUDA_ERROR_INVALID_HANDLE, .function = f, .stream = 1);
    assert_int_equal(d.launches, 1);
    assert_int_equal(atomic_load(&status.handles), 1);
    gn_run_close(&w);
}

static void parts_of_a_library_go_with_it(void **s)
{
    struct gn_worker w = ready();
    uint64_t library = id(GN_KIND_LIBRARY, 1, 1), k = id(GN_KIND_KERNEL, 2, 1), module = id(GN_KIND_MODULE, 3, 1);
    (void)s;
    give(&w, 1, ptx, sizeof ptx);
    w.driver.calls.cuKernelGetParamInfo = NULL; // a driver before 12.4: the layout is in the image
    EXPECT(library_load, CUDA_SUCCESS, .library = library, .upload = 1);
    {
        RUN(library_get_kernel, .library = library, .kernel = k, .name = "k", .name_bytes = 1);
        const uint32_t words[] = {2, 0, 8, 8, 4};
        assert_int_equal(r, CUDA_SUCCESS);
        assert_int_equal(o.layout_bytes, sizeof words);
        assert_memory_equal(o.layout, words, sizeof words);
    }
    EXPECT(library_get_module, CUDA_SUCCESS, .library = library, .module = module);
    EXPECT(module_unload, CUDA_ERROR_INVALID_HANDLE, .module = module); // it is the library's
    EXPECT(module_get_function, CUDA_SUCCESS, .module = module, .function = id(GN_KIND_FUNCTION, 4, 1), .name = "k", .name_bytes = 1);
    EXPECT(launch, CUDA_SUCCESS, .function = k, .stream = 2);
    gn_forget_context(&w, PRIMARY); // libraries are the process's
    EXPECT(library_unload, CUDA_SUCCESS, .library = library);
    EXPECT(launch, CUDA_ERROR_INVALID_HANDLE, .function = k, .stream = 2);
    assert_int_equal(atomic_load(&status.handles), 0);
    assert_int_equal(d.libraries, 0);
    gn_run_close(&w);
}

static void layouts_come_from_a_fatbin_too(void **s)
{
    struct gn_worker w = ready();
    uint64_t module = id(GN_KIND_MODULE, 1, 1);
    struct image_bytes image = fatbin_begin();
    (void)s;
    fatbin_add(&image, &(struct fatbin_part){.kind = GN_FATBIN_PTX, .sm = 75, .payload = ptx, .payload_size = sizeof ptx});
    w.driver.calls.cuFuncGetParamInfo = NULL;
    give(&w, 1, image.data, image.size);
    free(image.data);
    EXPECT(module_load, CUDA_SUCCESS, .module = module, .upload = 1);
    {
        RUN(module_get_function, .module = module, .function = id(GN_KIND_FUNCTION, 2, 1), .name = "k", .name_bytes = 1);
        assert_int_equal(r, CUDA_SUCCESS);
        assert_int_equal(o.layout_bytes, 20);
    }
    EXPECT(module_unload, CUDA_SUCCESS, .module = module);
    gn_run_close(&w);
}

static void names_and_attributes_are_listed(void **s)
{
    struct gn_worker w = ready();
    uint64_t module = id(GN_KIND_MODULE, 1, 1), f = id(GN_KIND_FUNCTION, 2, 1);
    (void)s;
    give(&w, 1, ptx, sizeof ptx);
    EXPECT(module_load, CUDA_SUCCESS, .module = module, .upload = 1);
    {
        RUN(module_functions, .module = module);
        const char *at = o.names, *end = at + o.names_bytes;
        char expected[32];
        unsigned n = 0;
        assert_int_equal(r, CUDA_SUCCESS);
        assert_int_equal(o.count, 3000);
        for (; at < end; at += strlen(at) + 1) {
            snprintf(expected, sizeof expected, "kernel_%u", ++n);
            assert_string_equal(at, expected);
        }
        assert_int_equal(n, 3000);
    }
    EXPECT(module_get_function, CUDA_SUCCESS, .module = module, .function = f, .name = "k", .name_bytes = 1);
    {
        RUN(function_attributes, .function = f, .device = 0xffffffff);
        int32_t values[16];
        assert_int_equal(r, CUDA_SUCCESS);
        assert_int_equal(o.values_bytes, sizeof values); // as many as this driver knows
        memcpy(values, o.values, sizeof values);
        assert_int_equal(values[0], 100);
        assert_int_equal(values[15], 115);
    }
    EXPECT(library_kernels, CUDA_ERROR_INVALID_HANDLE, .library = id(GN_KIND_LIBRARY, 9, 1));
    gn_run_close(&w);
}

// --- launches

static void launches_carry_parameters_and_attributes(void **s)
{
    struct gn_worker w = ready();
    uint64_t module = id(GN_KIND_MODULE, 1, 1), f = id(GN_KIND_FUNCTION, 2, 1), event = id(GN_KIND_EVENT, 3, 1);
    CUlaunchAttribute list[GN_LAUNCH_ATTRIBUTES_MAX + 1] = {0};
    struct gn_request made = request(GN_OP_cuEventCreate);
    (void)s;
    give(&w, 1, ptx, sizeof ptx);
    EXPECT(module_load, CUDA_SUCCESS, .module = module, .upload = 1);
    EXPECT(module_get_function, CUDA_SUCCESS, .module = module, .function = f, .name = "k", .name_bytes = 1);
    gn_keep(&w, &made, GN_KIND_EVENT, event, number(0xe7e7), CUDA_SUCCESS);
    d.events = 1;
    EXPECT(launch, CUDA_SUCCESS, .function = f, .stream = 1, .params = "12345678", .params_bytes = 8);
    assert_int_equal(d.params_bytes, 8);
    assert_memory_equal(d.params, "12345678", 8);
    EXPECT(launch, CUDA_SUCCESS, .function = f, .stream = 1);
    assert_int_equal(d.params_bytes, 0);
    list[0].id = CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT;
    list[0].value.launchCompletionEvent.event = number(event);
    EXPECT(launch, CUDA_SUCCESS, .function = f, .stream = 2, .grid_x = 9, .attributes = list, .attributes_bytes = 72);
    assert_int_equal(d.config.gridDimX, 9);
    assert_int_equal(d.config.numAttrs, 1);
    assert_ptr_equal(d.attribute.value.launchCompletionEvent.event, number(0xe7e7));
    assert_int_equal(atomic_load(&status.launches), 3);
    EXPECT(launch, CUDA_SUCCESS, .function = f, .stream = 2, .attributes = list + 1, .attributes_bytes = 72 * GN_LAUNCH_ATTRIBUTES_MAX);
    list[0].value.launchCompletionEvent.event = number(0x41414141); // no event: nothing the driver may follow
    ENDS(launch, .function = f, .stream = 2, .attributes = list, .attributes_bytes = 72);
    ENDS(launch, .function = f, .stream = 2, .attributes = list, .attributes_bytes = 71);
    ENDS(launch, .function = f, .stream = 2, .attributes = list, .attributes_bytes = 72 * (GN_LAUNCH_ATTRIBUTES_MAX + 1));
    static const unsigned refused[] = {CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE, 15, 17, 0x7fffffff, 0xffffffff};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        memcpy(&list[0].id, &refused[i], sizeof refused[i]);
        EXPECT(launch, CUDA_ERROR_NOT_SUPPORTED, .function = f, .stream = 2, .attributes = list, .attributes_bytes = 72);
    }
    assert_int_equal(d.launches, 4);
    EXPECT(event_destroy, CUDA_SUCCESS, .event = event);
    assert_int_equal(d.events, 0);
    gn_run_close(&w);
}

static void a_driver_may_lack_functions(void **s)
{
    struct gn_worker w = ready();
    (void)s;
    memset(&w.driver.calls, 0, sizeof w.driver.calls);
    EXPECT(stream_create, CUDA_ERROR_NOT_SUPPORTED, .stream = id(GN_KIND_STREAM, 1, 1));
    EXPECT(memory_alloc, CUDA_ERROR_NOT_SUPPORTED, .size_bytes = 1);
    EXPECT(context_get_limit, CUDA_ERROR_NOT_SUPPORTED, .limit = 0);
    EXPECT(context_create, CUDA_ERROR_NOT_SUPPORTED, .context = id(GN_KIND_CONTEXT, 5, 1));
    gn_run_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(primary_contexts_are_counted),
        cmocka_unit_test(a_reset_ends_a_primary_context),
        cmocka_unit_test(the_scope_comes_back_with_its_context),
        cmocka_unit_test(a_destroyed_context_takes_all_along),
        cmocka_unit_test(names_that_cannot_be_end_the_session),
        cmocka_unit_test(a_failed_creation_makes_a_name_that_does_nothing),
        cmocka_unit_test(handles_are_limited),
        cmocka_unit_test(memory_is_accounted),
        cmocka_unit_test(many_allocations_come_and_go),
        cmocka_unit_test(images_are_put_together),
        cmocka_unit_test(pieces_out_of_place_end_the_session),
        cmocka_unit_test(images_are_limited),
        cmocka_unit_test(a_driver_sees_no_image_that_lies),
        cmocka_unit_test(functions_go_with_their_module),
        cmocka_unit_test(parts_of_a_library_go_with_it),
        cmocka_unit_test(layouts_come_from_a_fatbin_too),
        cmocka_unit_test(names_and_attributes_are_listed),
        cmocka_unit_test(launches_carry_parameters_and_attributes),
        cmocka_unit_test(a_driver_may_lack_functions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
