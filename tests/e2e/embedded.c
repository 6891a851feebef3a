// SPDX-License-Identifier: Apache-2.0
// Does everything work in the embedded profile, and stay small? Linked with libgenie.a as embedded_heap.c counts it: copies larger than the
// ring, pitched ones, pinned ones that the server fetches, host functions, many posted commands, questions that end; one thread all the time.
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "interpose/genie.h"
#include "tests/e2e/e2e.h"
#include "tests/e2e/embedded_heap.h"

enum {
    LARGE_BYTES = 3 << 20, // of a ring of 64 KiB
    ROWS = 300, WIDTH = 500, PITCH = 768,
    LAUNCHES = 2000,       // some 150 KiB of commands
    HEAP_BYTES_MAX = 256 << 10,
};

static CUstream stream;
static CUfunction fill, add;
static unsigned threads_before;

static unsigned count_threads(void)
{
    unsigned n = 0;
    DIR *d = opendir("/proc/self/task");
    for (struct dirent *e; d && (e = readdir(d));)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static void large_copies(void)
{
    printf("-- copies larger than the ring\n");
    CUdeviceptr p = e2e_alloc(LARGE_BYTES);
    uint8_t *bytes = malloc(LARGE_BYTES), *pinned;
    CU(cuMemAllocHost((void **)&pinned, LARGE_BYTES));
    e2e_pattern(bytes, LARGE_BYTES, 1);
    CU(cuMemcpyHtoD(p, bytes, LARGE_BYTES));
    memset(bytes, 0, LARGE_BYTES);
    CU(cuMemcpyDtoH(bytes, p, LARGE_BYTES));
    EXPECT(e2e_is_pattern(bytes, LARGE_BYTES, 1));
    CU(cuMemcpyDtoHAsync(pinned, p, LARGE_BYTES, stream));
    CU(cuStreamSynchronize(stream));
    EXPECT(e2e_is_pattern(pinned, LARGE_BYTES, 1));
    e2e_pattern(pinned, LARGE_BYTES, 2);
    CU(cuMemcpyHtoDAsync(p, pinned, LARGE_BYTES, stream));
    CU(cuMemcpyDtoHAsync(pinned, p, LARGE_BYTES, stream));
    CU(cuMemcpyHtoDAsync(p, pinned, LARGE_BYTES, stream)); // behind a copy to the same memory: the server fetches it
    CU(cuMemsetD8Async(p, 7, 16, stream));
    CU(cuStreamSynchronize(stream));
    CU(cuMemcpyDtoH(bytes, p, LARGE_BYTES));
    EXPECT(bytes[0] == 7 && bytes[15] == 7 && !memcmp(bytes + 16, pinned + 16, LARGE_BYTES - 16));
    EXPECT(e2e_is_pattern(pinned, LARGE_BYTES, 2));
    CU(cuMemFreeHost(pinned));
    CU(cuMemFree(p));
    free(bytes);
}

static void pitched_copies(void)
{
    printf("-- pitched copies\n");
    static uint8_t from[ROWS * PITCH], to[ROWS * PITCH];
    CUdeviceptr p = e2e_alloc(ROWS * WIDTH);
    e2e_pattern(from, sizeof from, 3);
    CUDA_MEMCPY2D down = {.srcMemoryType = CU_MEMORYTYPE_HOST, .srcHost = from, .srcPitch = PITCH,
                          .dstMemoryType = CU_MEMORYTYPE_DEVICE, .dstDevice = p, .dstPitch = WIDTH,
                          .WidthInBytes = WIDTH, .Height = ROWS};
    CUDA_MEMCPY2D up = {.srcMemoryType = CU_MEMORYTYPE_DEVICE, .srcDevice = p, .srcPitch = WIDTH,
                        .dstMemoryType = CU_MEMORYTYPE_HOST, .dstHost = to, .dstPitch = PITCH,
                        .WidthInBytes = WIDTH, .Height = ROWS};
    CU(cuMemcpy2D(&down));
    CU(cuMemcpy2D(&up));
    for (unsigned y = 0; y < ROWS; y++)
        EXPECT(!memcmp(from + y * PITCH, to + y * PITCH, WIDTH) && !to[y * PITCH + WIDTH]);
    CU(cuMemFree(p));
}

static uint8_t *shared;
static unsigned calls;

static void write_shared(void *data)
{
    e2e_pattern(shared, LARGE_BYTES, (uint32_t)(uintptr_t)data);
    calls++;
}

static void host_functions(void)
{
    printf("-- host functions, and pinned memory that they write\n");
    CUdeviceptr p = e2e_alloc(LARGE_BYTES);
    uint8_t *bytes = malloc(LARGE_BYTES);
    CU(cuMemAllocHost((void **)&shared, LARGE_BYTES));
    for (uintptr_t i = 10; i < 14; i++) {
        CU(cuLaunchHostFunc(stream, write_shared, (void *)i));
        CU(cuMemcpyHtoDAsync(p, shared, LARGE_BYTES, stream)); // read when the function has returned
        if (i == 12)
            CU(cuMemcpyDtoHAsync(shared, p, 1, stream));
    }
    CU(cuStreamSynchronize(stream));
    EXPECT(calls == 4);
    CU(cuMemcpyDtoH(bytes, p, LARGE_BYTES));
    EXPECT(e2e_is_pattern(bytes, LARGE_BYTES, 13));
    CU(cuMemFreeHost(shared));
    CU(cuMemFree(p));
    free(bytes);
}

static void many_commands(void)
{
    printf("-- many commands, and questions instead of waiting\n");
    CUdeviceptr words = e2e_alloc(4096);
    CUevent event;
    CUresult r;
    unsigned back[1024];
    CU(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
    e2e_fill(fill, stream, words, 1024, 0);
    for (unsigned i = 0; i < LAUNCHES; i++)
        e2e_add(add, stream, words, 1024, 1);
    while ((r = cuStreamQuery(stream)) == CUDA_ERROR_NOT_READY) // sends what is posted
        ;
    WANT(CUDA_SUCCESS, r);
    e2e_add(add, stream, words, 1024, 1); // alone
    CU(cuEventRecord(event, stream));
    while ((r = cuEventQuery(event)) == CUDA_ERROR_NOT_READY)
        ;
    WANT(CUDA_SUCCESS, r);
    CU(cuMemcpyDtoH(back, words, sizeof back));
    EXPECT(e2e_is_filled(back, 1024, LAUNCHES + 1));
    CU(cuEventDestroy(event));
    CU(cuMemFree(words));
}

static void errors(void)
{
    printf("-- errors are told\n");
    CUdeviceptr p;
    WANT(CUDA_ERROR_OUT_OF_MEMORY, cuMemAlloc(&p, (size_t)1 << 45));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemFree(12345));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemsetD8((CUdeviceptr)77, 0, 10));
    WANT(CUDA_SUCCESS, cuCtxSynchronize());
}

int main(void)
{
    threads_before = count_threads(); // a sanitizer may have one of its own
    EXPECT(genie_set_option("profile", "small") == -EINVAL);
    EXPECT(genie_set_option("profile", "embedded") == 0);
    e2e_open(0);
    EXPECT(genie_set_option("profile", "default") == -EBUSY);
    fill = e2e_kernel("fill");
    add = e2e_kernel("add");
    CU(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    large_copies();
    pitched_copies();
    host_functions();
    many_commands();
    errors();
    EXPECT(count_threads() == threads_before);
    EXPECT(embedded_threads() == 0);
    fprintf(stderr, "heap: at most %lld bytes\n", (long long)embedded_heap_peak());
    EXPECT(embedded_heap_peak() < HEAP_BYTES_MAX);
    return e2e_finish();
}
