// SPDX-License-Identifier: Apache-2.0
// What a call costs its caller: launches in bursts and alone, synchronise, copies, allocation, events; and the heap that the client takes.
//
// An ordinary driver-API program: run it on a driver directly, with the shim preloaded, or linked with libgenie.a. Times are medians over
// rounds; on a shared machine compare within one run only.
#include <cuda.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 21, BURST = 300, CALLS = 100 };

// --- the heap of the whole process, by counting allocator calls
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void __libc_free(void *);
static _Atomic int64_t heap_bytes, heap_peak_bytes;

static void counted(int64_t change)
{
    int64_t now = atomic_fetch_add(&heap_bytes, change) + change, peak = atomic_load(&heap_peak_bytes);
    while (now > peak && !atomic_compare_exchange_weak(&heap_peak_bytes, &peak, now))
        ;
}
static int64_t usable(void *p) { return p ? (int64_t)malloc_usable_size(p) : 0; }

void *malloc(size_t size)
{
    void *p = __libc_malloc(size);
    counted(usable(p));
    return p;
}
void *calloc(size_t count, size_t size)
{
    void *p = __libc_calloc(count, size);
    counted(usable(p));
    return p;
}
void *realloc(void *old, size_t size)
{
    int64_t before = usable(old);
    void *p = __libc_realloc(old, size);
    counted(usable(p) - before);
    return p;
}
void free(void *p)
{
    counted(-usable(p));
    __libc_free(p);
}

static void check(CUresult r, const char *what)
{
    const char *name = "?";
    if (r == CUDA_SUCCESS)
        return;
    cuGetErrorName(r, &name);
    fprintf(stderr, "launch_path: %s: %s\n", what, name);
    exit(1);
}
#define CHECK(call) check(call, #call)

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b) { return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b); }

static const char kernels[] = ".version 6.4\n.target sm_50\n.address_size 64\n"
                              ".visible .entry none() { ret; }\n"
                              ".visible .entry eight(.param .u64 a, .param .u64 b, .param .u32 c, .param .u32 d, .param .u32 e, .param .u32 f,"
                              " .param .f32 g, .param .f32 h) { ret; }\n"
                              ".visible .entry wide(.param .align 8 .b8 a[256]) { ret; }\n";

static CUfunction functions[3];
static CUstream stream;
static CUdeviceptr memory;
static CUevent event;
static void *params[8];

static void launch(int which) { CHECK(cuLaunchKernel(functions[which], 1, 1, 1, 32, 1, 1, 0, stream, params, NULL)); }

static void burst_none(void) { for (int i = 0; i < BURST; i++) launch(0); }
static void burst_eight(void) { for (int i = 0; i < BURST; i++) launch(1); }
static void burst_wide(void) { for (int i = 0; i < BURST; i++) launch(2); }
static void idle(void) { CHECK(cuStreamSynchronize(stream)); }
static void sync_only(void) { for (int i = 0; i < CALLS; i++) CHECK(cuStreamSynchronize(stream)); }
static void launch_sync(void)
{
    for (int i = 0; i < CALLS; i++) {
        launch(1);
        CHECK(cuStreamSynchronize(stream));
    }
}
static void step(void)
{
    uint32_t word;
    for (int i = 0; i < BURST; i++)
        launch(1);
    CHECK(cuMemcpyDtoHAsync(&word, memory, sizeof word, stream));
}
static void alloc_free(void)
{
    for (int i = 0; i < CALLS; i++) {
        CUdeviceptr p;
        CHECK(cuMemAlloc(&p, 4096));
        CHECK(cuMemFree(p));
    }
}
static void event_cycle(void)
{
    for (int i = 0; i < CALLS; i++) {
        CUevent e;
        CHECK(cuEventCreate(&e, CU_EVENT_DISABLE_TIMING));
        CHECK(cuEventRecord(e, stream));
        CHECK(cuStreamWaitEvent(stream, e, 0));
        CHECK(cuEventDestroy(e));
    }
}
static void upload_small(void)
{
    static const uint8_t bytes[1024];
    for (int i = 0; i < CALLS; i++)
        CHECK(cuMemcpyHtoDAsync(memory, bytes, sizeof bytes, stream));
}

static const struct {
    const char *name;
    void (*run)(void), (*after)(void); // after: outside the time
    int calls;
} rows[] = {
    {"launch, no parameters, in bursts", burst_none, idle, BURST},
    {"launch, 8 parameters, in bursts", burst_eight, idle, BURST},
    {"launch, 256 bytes of parameters, in bursts", burst_wide, idle, BURST},
    {"launch + synchronise", launch_sync, idle, CALLS},
    {"synchronise with nothing to do", sync_only, idle, CALLS},
    {"300 launches + 4-byte copy back", step, idle, 1},
    {"allocate + free 4 KiB", alloc_free, idle, CALLS},
    {"event create, record, wait, destroy", event_cycle, idle, CALLS},
    {"1 KiB to the device, pageable", upload_small, idle, CALLS},
};

int main(void)
{
    uint64_t values[8] = {0};
    CUdevice device;
    CUcontext context;
    CUmodule module;
    for (int i = 0; i < 8; i++)
        params[i] = &values[i];
    double begin = now_ns();
    int64_t heap_before = atomic_load(&heap_bytes);
    CHECK(cuInit(0));
    CHECK(cuDeviceGet(&device, 0));
    CHECK(cuDevicePrimaryCtxRetain(&context, device));
    CHECK(cuCtxSetCurrent(context));
    CHECK(cuMemAlloc(&memory, 1 << 20));
    printf("%-46s %10.0f us\n", "first call: init to first allocation", (now_ns() - begin) / 1000);
    CHECK(cuModuleLoadData(&module, kernels));
    static const char *const names[] = {"none", "eight", "wide"};
    for (int i = 0; i < 3; i++)
        CHECK(cuModuleGetFunction(&functions[i], module, names[i]));
    CHECK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    CHECK(cuEventCreate(&event, 0));
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        double times[ROUNDS];
        for (int i = -3; i < ROUNDS; i++) {
            double from = now_ns();
            rows[r].run();
            double to = now_ns();
            rows[r].after();
            if (i >= 0)
                times[i] = (to - from) / rows[r].calls;
        }
        qsort(times, ROUNDS, sizeof *times, by_value);
        printf("%-46s %10.0f ns a call   (5%% %.0f, 95%% %.0f)\n", rows[r].name, times[ROUNDS / 2], times[1], times[ROUNDS - 2]);
    }
    printf("%-46s %10lld KiB\n", "peak heap of the client", (long long)(atomic_load(&heap_peak_bytes) - heap_before) / 1024);
    CHECK(cuModuleUnload(module));
    CHECK(cuMemFree(memory));
    CHECK(cuDevicePrimaryCtxRelease(device));
    return 0;
}
