// SPDX-License-Identifier: Apache-2.0
// A table of what calls cost: each row is a piece of a program, and the round trips that it may make. Where TRIPS_FILE names a file to write
// statistics to and Genie is there to write them, they are counted and compared; the results are printed either way.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/e2e/e2e.h"

static int (*write_stats)(const char *path);
static const char *stats_path;
static CUcontext context;
static CUmodule module;
static CUfunction fill, dynamic;
static CUstream stream;
static CUdeviceptr words;
static CUevent event;

extern const char e2e_kernels_ptx[];

static long round_trips(void)
{
    long count = -1;
    char line[4096];
    FILE *f = !write_stats || write_stats(stats_path) ? NULL : fopen(stats_path, "r");
    while (f && count < 0 && fgets(line, sizeof line, f))
        sscanf(line, " \"round_trips\": %ld", &count);
    if (f)
        fclose(f);
    return count;
}

// --- the rows

static void initialise(void)
{
    CUdevice device;
    CU(cuInit(0));
    CU(cuDeviceGet(&device, 0));
    CU(cuCtxCreate(&context, NULL, 0, device));
}

static void ask_devices(void)
{
    int count, value, version;
    char name[64];
    CUdevice device;
    size_t bytes;
    CU(cuDriverGetVersion(&version));
    CU(cuDeviceGetCount(&count));
    for (int i = 0; i < count; i++) {
        CU(cuDeviceGet(&device, i));
        CU(cuDeviceGetName(name, sizeof name, device));
        CU(cuDeviceTotalMem(&bytes, device));
        for (int a = 1; a < 120; a++)
            cuDeviceGetAttribute(&value, (CUdevice_attribute)a, device);
    }
    printf("%d devices, the last one is %s\n", count, name);
}

static void ask_context(void)
{
    CUcontext now;
    CUdevice device;
    unsigned version, flags;
    int least, greatest;
    CUfunc_cache config;
    unsigned long long id;
    CU(cuCtxGetCurrent(&now));
    CU(cuCtxGetDevice(&device));
    CU(cuCtxGetApiVersion(now, &version));
    CU(cuCtxGetFlags(&flags));
    CU(cuCtxGetId(now, &id));
    CU(cuCtxGetStreamPriorityRange(&least, &greatest));
    CU(cuCtxSetCacheConfig(CU_FUNC_CACHE_PREFER_L1));
    CU(cuCtxGetCacheConfig(&config));
    CU(cuCtxPopCurrent(&now));
    CU(cuCtxPushCurrent(now));
    printf("device %d, priorities %d to %d, cache %d\n", device, least, greatest, (int)config);
}

static void ask_limit(void)
{
    size_t bytes;
    CU(cuCtxGetLimit(&bytes, CU_LIMIT_STACK_SIZE));
    printf("stack %zu\n", bytes);
}

static void load_module(void) { CU(cuModuleLoadData(&module, e2e_kernels_ptx)); }
static void get_function(void) { CU(cuModuleGetFunction(&fill, module, "fill")); }
static void get_another(void) { CU(cuModuleGetFunction(&dynamic, module, "dynamic")); }
static void allocate(void) { words = e2e_alloc(1 << 20); }
static void launch(void) { e2e_fill(fill, NULL, words, 1000, 7); }

static void read_back(void)
{
    uint32_t got[1000];
    CU(cuMemcpyDtoH(got, words, sizeof got));
    EXPECT(e2e_is_filled(got, 1000, 7));
}

static void write_and_set(void)
{
    uint32_t some[64] = {1, 2, 3};
    CU(cuMemcpyHtoD(words, some, sizeof some));
    CU(cuMemsetD32(words, 5, 64));
    CU(cuMemcpyDtoD(words + 4096, words, 256));
}

static void ask_function(void)
{
    int registers, threads, shared;
    size_t offset, size;
    const char *name;
    CUmodule of;
    CU(cuFuncGetAttribute(&registers, CU_FUNC_ATTRIBUTE_NUM_REGS, fill));
    CU(cuFuncGetAttribute(&threads, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, fill));
    CU(cuFuncGetAttribute(&shared, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, fill));
    CU(cuFuncGetName(&name, fill));
    CU(cuFuncGetParamInfo(fill, 1, &offset, &size));
    CU(cuFuncGetModule(&of, fill));
    EXPECT(of == module);
    printf("%s: %d registers, %d threads, %d shared, parameter 1 at %zu\n", name, registers, threads, shared, offset);
}

static void set_attributes(void)
{
    int value;
    CU(cuFuncSetAttribute(dynamic, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 60 << 10));
    CU(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, dynamic));
    CU(cuFuncSetAttribute(dynamic, CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT, 50));
    printf("dynamic shared memory %d\n", value);
}

static void launch_large(void)
{
    unsigned count = 60 << 8;
    CUdeviceptr at = words;
    CU(cuLaunchKernel(dynamic, 1, 1, 1, 32, 1, 1, 60 << 10, NULL, (void *[]){&at, &count}, NULL));
}

static void set_too_much(void)
{
    WANT(CUDA_ERROR_INVALID_VALUE,
         cuFuncSetAttribute(dynamic, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 1 << 20));
    WANT(CUDA_ERROR_INVALID_VALUE, cuFuncSetAttribute(dynamic, CU_FUNC_ATTRIBUTE_NUM_REGS, 10));
}

static void launch_too_large(void)
{
    CUdeviceptr at = words;
    unsigned count = 1, value = 1;
    void *of_fill[] = {&at, &count, &value};
    CU(cuFuncSetAttribute(dynamic, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 50 << 10));
    WANT(CUDA_ERROR_INVALID_VALUE,
         cuLaunchKernel(dynamic, 1, 1, 1, 32, 1, 1, 60 << 10, NULL, (void *[]){&at, &count}, NULL));
    WANT(CUDA_ERROR_INVALID_VALUE, cuLaunchKernel(fill, 1, 1, 1, 2048, 1, 1, 0, NULL, of_fill, NULL));
}

static void occupancy(void)
{
    int blocks, flagged, grid, block;
    size_t bytes;
    CU(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, fill, 256, 1024));
    CU(cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(&flagged, fill, 128, 0, CU_OCCUPANCY_DISABLE_CACHING_OVERRIDE));
    CU(cuOccupancyMaxPotentialBlockSize(&grid, &block, fill, NULL, 0, 0));
    CU(cuOccupancyAvailableDynamicSMemPerBlock(&bytes, fill, 2, 128));
    printf("occupancy %d %d, best %d x %d, shared %zu\n", blocks, flagged, grid, block, bytes);
}

static void occupancy_of_clusters(void)
{
    int clusters = -1, largest = -1;
    CUlaunchAttribute pair = {.id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION, .value.clusterDim = {2, 1, 1}};
    CUlaunchConfig config = {.gridDimX = 8, .gridDimY = 1, .gridDimZ = 1, .blockDimX = 64, .blockDimY = 1, .blockDimZ = 1,
                             .attrs = &pair, .numAttrs = 1};
    CUresult a = cuOccupancyMaxActiveClusters(&clusters, fill, &config);
    CUresult b = cuOccupancyMaxPotentialClusterSize(&largest, fill, &config);
    printf("clusters: %s %d, %s %d\n", e2e_name(a), clusters, e2e_name(b), largest);
}

static void make_streams(void)
{
    unsigned flags;
    int priority;
    unsigned long long id;
    CUcontext of;
    CUstream another;
    CU(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    CU(cuStreamGetFlags(stream, &flags));
    CU(cuStreamGetPriority(stream, &priority));
    CU(cuStreamGetId(stream, &id));
    CU(cuStreamGetCtx(stream, &of));
    CU(cuStreamCreate(&another, 0));
    CU(cuStreamDestroy(another));
    EXPECT(of == context && flags == CU_STREAM_NON_BLOCKING);
}

static void event_cycle(void)
{
    CUevent e;
    CU(cuEventCreate(&e, CU_EVENT_DISABLE_TIMING));
    CU(cuEventQuery(e));
    CU(cuEventSynchronize(e));
    CU(cuEventRecord(e, stream));
    CU(cuStreamWaitEvent(NULL, e, 0));
    CU(cuEventDestroy(e));
}

static void ask_pointer(void)
{
    CUmemorytype type;
    CUdeviceptr base;
    size_t bytes;
    int ordinal;
    CU(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, words + 8));
    CU(cuPointerGetAttribute(&ordinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, words + 8));
    CU(cuMemGetAddressRange(&base, &bytes, words + 100));
    EXPECT(base == words && type == CU_MEMORYTYPE_DEVICE);
    printf("%zu bytes on device %d\n", bytes, ordinal);
}

static void poll_event(void)
{
    CU(cuEventRecord(event, stream));
    while (cuEventQuery(event) == CUDA_ERROR_NOT_READY) {
    }
    CU(cuEventQuery(event));
}

static void wait_for_event(void)
{
    CU(cuEventRecord(event, stream));
    CU(cuEventSynchronize(event));
    CU(cuEventQuery(event));
}

static void poll_stream(void)
{
    CU(cuMemsetD32Async(words, 1, 100, stream));
    while (cuStreamQuery(stream) == CUDA_ERROR_NOT_READY) {
    }
    CU(cuStreamQuery(stream));
}

static void wait_for_stream(void)
{
    CU(cuMemsetD32Async(words, 1, 100, stream));
    CU(cuStreamSynchronize(stream));
    CU(cuStreamQuery(stream));
}

static void ask_what_is_idle(void)
{
    CU(cuEventQuery(event));
    CU(cuStreamQuery(stream));
    CU(cuCtxSetCurrent(context));
    CU(cuStreamQuery(stream));
}

static void make_event(void) { CU(cuEventCreate(&event, 0)); }

static void synchronise(void) { CU(cuCtxSynchronize()); }

static const struct {
    const char *name;
    void (*run)(void);
    int trips;
} rows[] = {
    {"initialise, make a context", initialise, 1}, // hello and welcome come before there is a session to count
    {"ask for devices", ask_devices, 0},
    {"ask for the context", ask_context, 0},
    {"ask for a limit", ask_limit, 1},
    {"ask for a limit again", ask_limit, 0},
    {"load a module", load_module, 1},
    {"look up a function", get_function, 1},
    {"look up a function again", get_function, 0},
    {"look up another", get_another, 1},
    {"allocate", allocate, 1},
    {"launch for the first time", launch, 0},
    {"read back", read_back, 1},
    {"write, set, copy", write_and_set, 0},
    {"ask for a function", ask_function, 0},
    {"set attributes", set_attributes, 0},
    {"launch with more shared memory", launch_large, 0},
    {"set attributes that cannot be", set_too_much, 2},
    {"launch what cannot be", launch_too_large, 1}, // a launch is refused by what the server says now
    {"occupancy", occupancy, 4},
    {"occupancy again", occupancy, 0},
    {"occupancy of clusters", occupancy_of_clusters, 2},
    {"occupancy of clusters again", occupancy_of_clusters, 0},
    {"set attributes again", set_attributes, 0},
    {"occupancy after that", occupancy, 4},
    {"make streams", make_streams, 0},
    {"use an event", event_cycle, 0},
    {"ask for a pointer", ask_pointer, 0},
    {"make an event", make_event, 0},
    {"poll an event for the first time", poll_event, 1},
    {"poll an event again", poll_event, 0},
    {"poll an event once more", poll_event, 0},
    {"wait for an event, ask for it", wait_for_event, 1},
    {"poll a stream", poll_stream, 1},
    {"wait for a stream, ask for it", wait_for_stream, 1},
    {"ask for what is idle", ask_what_is_idle, 0},
    {"synchronise", synchronise, 1},
};

int main(void)
{
    stats_path = getenv("TRIPS_FILE");
    if (stats_path)
        write_stats = (int (*)(const char *))dlsym(RTLD_DEFAULT, "genie_stats_write");
    EXPECT(!stats_path || write_stats);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        long before = round_trips();
        printf("%s\n", rows[i].name);
        rows[i].run();
        long after = round_trips();
        if (write_stats && after - before != rows[i].trips) {
            printf("  %ld round trips, expected %d\n", after - before, rows[i].trips);
            EXPECT(!"the round trips are as expected");
        }
    }
    return e2e_finish();
}
