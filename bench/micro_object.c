// SPDX-License-Identifier: Apache-2.0
// Allocations, events, queries and modules.
#include <stdatomic.h>
#include <time.h>

#include "bench/micro.h"

enum { CALLS = 50, BLOCKS = 5, MODULE_LOADS = 3, ALLOCATION_BYTES = 4096 };
static const double turn_us = 100000;

static void run_malloc_free(struct gn_micro *m, const struct gn_micro_row *row,
                            struct gn_micro_result *result)
{
    CUdeviceptr p;
    (void)m;
    double begin = gn_micro_now_us();
    for (int b = 0; b < BLOCKS && gn_micro_goes_on(b, begin, turn_us); b++) {
        double from = gn_micro_now_us();
        for (int i = 0; i < CALLS; i++) {
            TRY(cuMemAlloc(&p, row->number));
            TRY(cuMemFree(p));
        }
        gn_micro_value(result, (gn_micro_now_us() - from) / CALLS);
        result->calls += CALLS;
    }
}

// Many allocations that live side by side; number 0: the allocating, 1: the freeing.
static void run_malloc_many(struct gn_micro *m, const struct gn_micro_row *row,
                            struct gn_micro_result *result)
{
    CUdeviceptr p[CALLS];
    (void)m;
    double begin = gn_micro_now_us();
    for (int b = 0; b < BLOCKS && gn_micro_goes_on(b, begin, turn_us); b++) {
        double from = gn_micro_now_us();
        for (int i = 0; i < CALLS; i++)
            TRY(cuMemAlloc(&p[i], ALLOCATION_BYTES));
        double between = gn_micro_now_us();
        for (int i = 0; i < CALLS; i++)
            TRY(cuMemFree(p[i]));
        gn_micro_value(result, (row->number ? gn_micro_now_us() - between : between - from) / CALLS);
        result->calls += CALLS;
    }
}

static void run_event_cycle(struct gn_micro *m, const struct gn_micro_row *row,
                            struct gn_micro_result *result)
{
    CUevent e;
    (void)row;
    double begin = gn_micro_now_us();
    for (int b = 0; b < BLOCKS && gn_micro_goes_on(b, begin, turn_us); b++) {
        double from = gn_micro_now_us();
        for (int i = 0; i < CALLS; i++) {
            TRY(cuEventCreate(&e, CU_EVENT_DISABLE_TIMING));
            TRY(cuEventRecord(e, m->stream));
            TRY(cuStreamWaitEvent(m->stream, e, 0));
            TRY(cuEventDestroy(e));
        }
        gn_micro_value(result, (gn_micro_now_us() - from) / CALLS);
        result->calls += CALLS;
    }
}

// --- queries: of work that is done, or that a host function holds up

enum { QUERY_STREAM = 1, QUERY_BUSY = 2 };

static _Atomic int hold;

static void held(void *arg)
{
    const struct timespec pause = {.tv_nsec = 100000};
    (void)arg;
    while (atomic_load(&hold))
        nanosleep(&pause, NULL);
}

static void query_block(struct gn_micro *m, CUevent event, uint64_t kind, struct gn_micro_result *result)
{
    CUresult wanted = kind & QUERY_BUSY ? CUDA_ERROR_NOT_READY : CUDA_SUCCESS;
    double from = gn_micro_now_us();
    for (int i = 0; i < CALLS; i++) {
        CUresult code = kind & QUERY_STREAM ? cuStreamQuery(m->stream) : cuEventQuery(event);
        if (code != wanted) {
            gn_micro_good(result, code ? code : CUDA_ERROR_UNKNOWN, "a query's answer");
            return;
        }
    }
    gn_micro_value(result, (gn_micro_now_us() - from) / CALLS);
    result->calls += CALLS;
}

static void run_query(struct gn_micro *m, const struct gn_micro_row *row, struct gn_micro_result *result)
{
    CUevent event;
    double begin = gn_micro_now_us();
    TRY(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
    atomic_store(&hold, 1);
    if (row->number & QUERY_BUSY)
        TRY(cuLaunchHostFunc(m->stream, held, NULL));
    TRY(cuEventRecord(event, m->stream));
    if (!(row->number & QUERY_BUSY))
        TRY(cuStreamSynchronize(m->stream));
    for (int b = 0; b < BLOCKS && !*result->failed && gn_micro_goes_on(b, begin, turn_us); b++)
        query_block(m, event, row->number, result);
    atomic_store(&hold, 0);
    TRY(cuStreamSynchronize(m->stream));
    TRY(cuEventDestroy(event));
}

// --- questions whose answers do not change, or that the client can keep count of

enum { ASK_DEVICE, ASK_FUNCTION, ASK_OCCUPANCY, ASK_POINTER, ASK_MEMORY, ASK_CONTEXT };

static CUresult ask(struct gn_micro *m, uint64_t question)
{
    static int value, blocks;
    static size_t room, total;
    static CUcontext context;
    switch (question) {
    case ASK_DEVICE: return cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 0);
    case ASK_FUNCTION: return cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_NUM_REGS, m->kernels[1]);
    case ASK_OCCUPANCY: return cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, m->kernels[1], 128, 0);
    case ASK_POINTER: return cuPointerGetAttribute(&value, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, m->memory);
    case ASK_MEMORY: return cuMemGetInfo(&room, &total);
    default: return cuCtxGetCurrent(&context);
    }
}

static void run_ask(struct gn_micro *m, const struct gn_micro_row *row, struct gn_micro_result *result)
{
    double begin = gn_micro_now_us();
    for (int b = 0; b < BLOCKS && gn_micro_goes_on(b, begin, turn_us); b++) {
        double from = gn_micro_now_us();
        for (int i = 0; i < CALLS; i++)
            TRY(ask(m, row->number));
        gn_micro_value(result, (gn_micro_now_us() - from) / CALLS);
        result->calls += CALLS;
    }
}

static void run_module(struct gn_micro *m, const struct gn_micro_row *row, struct gn_micro_result *result)
{
    CUmodule module;
    CUfunction function;
    (void)row;
    for (int i = 0; i < MODULE_LOADS; i++) {
        double from = gn_micro_now_us();
        TRY(cuModuleLoadData(&module, gn_micro_image));
        TRY(cuModuleGetFunction(&function, module, "many"));
        TRY(cuStreamSynchronize(m->stream));
        gn_micro_value(result, gn_micro_now_us() - from);
        TRY(cuModuleUnload(module));
        result->calls++;
    }
}

const struct gn_micro_row gn_micro_object_rows[] = {
    {"malloc_free", "us", "allocate and free 4 KiB", run_malloc_free, .number = ALLOCATION_BYTES},
    {"malloc_free_1MiB", "us", "allocate and free 1 MiB", run_malloc_free, .number = 1 << 20},
    {"malloc", "us", "allocate 4 KiB, 50 side by side", run_malloc_many, .number = 0},
    {"free", "us", "free 4 KiB, 50 side by side", run_malloc_many, .number = 1},
    {"event_cycle", "us", "event create, record, wait and destroy", run_event_cycle, .number = 0},
    {"event_query_ready", "us", "query of an event that has happened", run_query, .number = 0},
    {"event_query_busy", "us", "query of an event that has not happened", run_query, .number = QUERY_BUSY},
    {"stream_query_ready", "us", "query of an idle stream", run_query, .number = QUERY_STREAM},
    {"stream_query_busy", "us", "query of a busy stream", run_query, .number = QUERY_STREAM | QUERY_BUSY},
    {"device_attribute", "us", "a device attribute", run_ask, .number = ASK_DEVICE},
    {"function_attribute", "us", "a function's attribute, asked again", run_ask, .number = ASK_FUNCTION},
    {"occupancy", "us", "occupancy of a kernel, asked again", run_ask, .number = ASK_OCCUPANCY},
    {"pointer_attribute", "us", "what kind of memory a pointer is to", run_ask, .number = ASK_POINTER},
    {"mem_info", "us", "free and total memory", run_ask, .number = ASK_MEMORY},
    {"context_current", "us", "the current context", run_ask, .number = ASK_CONTEXT},
    {"module_warm", "us", "load of an image that the driver has seen, a function, synchronise", run_module,
     .number = 0},
    {.name = ""},
};
