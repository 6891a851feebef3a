// SPDX-License-Identifier: Apache-2.0
// Does the whole path hold what programs ask of it in number and size? Threads, streams and events,
// allocations, one very large allocation, kernel parameters up to the limit, long names, large copies, boxes
// of odd sizes.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/e2e/e2e.h"

enum {
    THREADS = 64,
    STREAMS = 10000,
    ALLOCATIONS = 100000,
    NAME_BYTES = 4096,
    PARAMETER_WORDS = (32764 - 8) / 4,
    COPY_BYTES = E2E_SIZE(64 << 20, 16 << 20),
};

static CUcontext context;
static CUfunction fill, add;

// --- threads

static void one_of_many(unsigned number)
{
    enum { WORDS = 3000 };
    CUstream stream;
    CUdeviceptr blocks[3];
    uint32_t *got = malloc(WORDS * 4);
    CU(cuCtxSetCurrent(context));
    CU(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    for (unsigned i = 0; i < 3; i++)
        blocks[i] = e2e_alloc(WORDS * 4);
    for (unsigned round = 0; round < 5; round++) {
        for (unsigned i = 0; i < 3; i++) {
            e2e_fill(fill, stream, blocks[i], WORDS, number * 1000 + i);
            e2e_add(add, stream, blocks[i], WORDS, round);
        }
        CU(cuStreamSynchronize(stream));
        for (unsigned i = 0; i < 3; i++) {
            CU(cuMemcpyDtoHAsync(got, blocks[i], WORDS * 4, stream));
            EXPECT(e2e_is_filled(got, WORDS, number * 1000 + i + round));
        }
    }
    for (unsigned i = 0; i < 3; i++)
        CU(cuMemFree(blocks[i]));
    CU(cuStreamDestroy(stream));
    free(got);
}

// --- handles

static void streams_and_events(void)
{
    unsigned count = e2e_tries(STREAMS);
    CUstream *streams = calloc(count, sizeof *streams);
    CUevent *events = calloc(count, sizeof *events);
    uint32_t *got = calloc(count, 4);
    CUdeviceptr words = e2e_alloc(count * 4);
    for (unsigned i = 0; i < count; i++) {
        CU(cuStreamCreate(&streams[i], CU_STREAM_NON_BLOCKING));
        CU(cuEventCreate(&events[i], CU_EVENT_DISABLE_TIMING));
    }
    // Each stream waits for the one before it: a chain through all of them.
    for (unsigned i = 0; i < count; i++) {
        if (i)
            CU(cuStreamWaitEvent(streams[i], events[i - 1], 0));
        CU(cuMemsetD32Async(words + i * 4, i, 1, streams[i]));
        if (i)
            CU(cuMemcpyDtoDAsync(words + (i - 1) * 4, words + i * 4, 4, streams[i]));
        CU(cuEventRecord(events[i], streams[i]));
    }
    CU(cuEventSynchronize(events[count - 1]));
    for (unsigned i = 0; i < count; i++)
        EXPECT_CODE(CUDA_SUCCESS, i % 64 ? CUDA_SUCCESS : cuEventQuery(events[i]));
    CU(cuMemcpyDtoH(got, words, count * 4));
    for (unsigned i = 0; i < count; i++)
        EXPECT(got[i] == (i + 1 < count ? i + 1 : i));
    for (unsigned i = 0; i < count; i++) {
        CU(cuStreamDestroy(streams[i]));
        CU(cuEventDestroy(events[i]));
    }
    CU(cuMemFree(words));
    free(streams);
    free(events);
    free(got);
    printf("streams and events: done\n");
}

static int by_address(const void *a, const void *b)
{
    CUdeviceptr x = *(const CUdeviceptr *)a, y = *(const CUdeviceptr *)b;
    return x < y ? -1 : x > y;
}

static void allocations(void)
{
    unsigned count = e2e_tries(ALLOCATIONS);
    CUdeviceptr *blocks = calloc(count, sizeof *blocks), *sorted = calloc(count, sizeof *sorted);
    uint32_t word;
    for (unsigned i = 0; i < count; i++) {
        blocks[i] = e2e_alloc(16 + i % 5 * 100);
        CU(cuMemsetD32Async(blocks[i], i, 4, NULL));
    }
    memcpy(sorted, blocks, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, by_address);
    for (unsigned i = 1; i < count; i++)
        EXPECT(sorted[i] - sorted[i - 1] >= 16);
    for (unsigned i = 0; i < count; i += count / 50 + 1) {
        CU(cuMemcpyDtoH(&word, blocks[i] + 12, 4));
        EXPECT(word == i);
    }
    for (unsigned i = 0; i < count; i++)
        CU(cuMemFree(blocks[(i * 7919ull) % count])); // 7919 is a prime: each once, in no order
    CUdeviceptr again = e2e_alloc(1 << 20);
    CU(cuMemFree(again));
    free(blocks);
    free(sorted);
    printf("allocations: done\n");
}

static void very_large(void)
{
    const size_t size_bytes = (size_t)8 << 30;
    CUdeviceptr block = e2e_alloc(size_bytes), base;
    size_t span;
    uint32_t got[256];
    CU(cuMemGetAddressRange(&base, &span, block + size_bytes / 2));
    EXPECT(base == block);
    EXPECT(span == size_bytes);
    e2e_fill(fill, NULL, block, 256, 5);
    e2e_fill(fill, NULL, block + size_bytes - 1024, 256, 6);
    CU(cuMemcpyDtoH(got, block, 1024));
    EXPECT(e2e_is_filled(got, 256, 5));
    CU(cuMemcpyDtoH(got, block + size_bytes - 1024, 1024));
    EXPECT(e2e_is_filled(got, 256, 6));
    CU(cuMemcpyDtoD(block + size_bytes / 2 + 4, block + size_bytes - 1024, 1024));
    CU(cuMemcpyDtoH(got, block + size_bytes / 2 + 4, 1024));
    EXPECT(e2e_is_filled(got, 256, 6));
    EXPECT_CODE(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoH(got, block + size_bytes - 1020, 1024));
    CU(cuMemFree(block));
    printf("an allocation of 8 GiB: done\n");
}

// --- kernels

static const char huge_ptx[] = // a kernel takes so much since PTX 8.1
    ".version 8.1\n.target sm_75\n.address_size 64\n"
    ".visible .entry weigh(.param .u64 out, .param .align 4 .b8 block[32756])\n"
    "{\n"
    "  .reg .pred %p<2>;\n  .reg .b32 %r<6>;\n  .reg .b64 %rd<4>;\n"
    "  ld.param.u64 %rd1, [out];\n"
    "  cvta.to.global.u64 %rd3, %rd1;\n"
    "  mov.b64 %rd2, block;\n"
    "  mov.u32 %r1, 0;\n"
    "  mov.u32 %r2, 0;\n"
    "again:\n"
    "  ld.param.u32 %r3, [%rd2];\n"
    "  add.s32 %r1, %r1, 1;\n"
    "  mad.lo.s32 %r2, %r3, %r1, %r2;\n"
    "  add.s64 %rd2, %rd2, 4;\n"
    "  setp.lt.u32 %p1, %r1, 8189;\n"
    "  @%p1 bra again;\n"
    "  st.global.u32 [%rd3], %r2;\n"
    "  ret;\n"
    "}\n";

static void huge_parameters(void)
{
    CUmodule module;
    CUfunction weigh;
    CUdeviceptr out = e2e_alloc(4);
    static uint32_t block[PARAMETER_WORDS];
    void *parameters[] = {&out, block};
    CU(cuModuleLoadData(&module, huge_ptx));
    CU(cuModuleGetFunction(&weigh, module, "weigh"));
    for (unsigned round = 0; round < e2e_tries(40); round++) {
        uint32_t want = 0, got;
        e2e_pattern((uint8_t *)block, sizeof block, round);
        for (uint32_t i = 0; i < PARAMETER_WORDS; i++)
            want += block[i] * (i + 1);
        CU(cuLaunchKernel(weigh, 1, 1, 1, 1, 1, 1, 0, NULL, parameters, NULL));
        memset(block, 0, sizeof block); // they are taken when the call returns
        CU(cuMemcpyDtoH(&got, out, 4));
        EXPECT(got == want);
    }
    CU(cuModuleUnload(module));
    CU(cuMemFree(out));
    printf("32,764 bytes of parameters: done\n");
}

static void long_names(void)
{
    static char name[NAME_BYTES + 1], text[2 * NAME_BYTES + 500];
    CUmodule module;
    CUfunction f;
    CUdeviceptr variable;
    size_t size;
    uint32_t word = 0;
    const char *known;
    memset(name, 'n', NAME_BYTES);
    snprintf(text, sizeof text,
             ".version 7.5\n.target sm_75\n.address_size 64\n.visible .global .align 4 .u32 v_%s = 17;\n"
             ".visible .entry %s()\n{\n  ret;\n}\n",
             name + 2, name);
    CU(cuModuleLoadData(&module, text));
    CU(cuModuleGetFunction(&f, module, name));
    CU(cuFuncGetName(&known, f));
    EXPECT(!strcmp(known, name));
    CU(cuLaunchKernel(f, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL));
    CU(cuCtxSynchronize());
    memcpy(name, "v_", 2);
    CU(cuModuleGetGlobal(&variable, &size, module, name));
    CU(cuMemcpyDtoH(&word, variable, 4));
    EXPECT(word == 17);
    name[NAME_BYTES - 1] = 'm';
    EXPECT_CODE(CUDA_ERROR_NOT_FOUND, cuModuleGetFunction(&f, module, name));
    EXPECT_CODE(CUDA_ERROR_NOT_FOUND, cuModuleGetGlobal(&variable, &size, module, name));
    CU(cuModuleUnload(module));
    printf("names of 4 KiB: done\n");
}

// --- copies

static void large_copies(void)
{
    const size_t size_bytes = e2e_tries(64) < 64 ? COPY_BYTES / 4 : COPY_BYTES;
    static const struct {
        size_t host, device, less;
    } odd[] = {{0, 0, 0}, {1, 3, 7}, {13, 4096, 4099}, {4095, 1, 4101}};
    uint8_t *from = malloc(size_bytes + 4096), *to = malloc(size_bytes + 4096);
    void *pinned;
    CUdeviceptr block = e2e_alloc(size_bytes);
    CUstream stream;
    CU(cuStreamCreate(&stream, 0));
    for (unsigned i = 0; i < 4; i++) {
        size_t n = size_bytes - odd[i].less;
        e2e_pattern(from + odd[i].host, n, i);
        to[odd[i].host + n] = 0x77;
        CU(cuMemcpyHtoD(block + odd[i].device, from + odd[i].host, n));
        CU(cuMemcpyDtoH(to + odd[i].host, block + odd[i].device, n));
        EXPECT(e2e_is_pattern(to + odd[i].host, n, i));
        EXPECT(to[odd[i].host + n] == 0x77);
    }
    CU(cuMemAllocHost(&pinned, size_bytes));
    e2e_pattern(pinned, size_bytes, 9);
    CU(cuMemcpyHtoDAsync(block, pinned, size_bytes, stream));
    CU(cuMemcpyDtoHAsync(to, block, size_bytes, stream));
    CU(cuStreamSynchronize(stream));
    EXPECT(e2e_is_pattern(to, size_bytes, 9));
    memset(pinned, 0, size_bytes);
    CU(cuMemcpyDtoHAsync(pinned, block, size_bytes, stream));
    CU(cuStreamSynchronize(stream));
    EXPECT(e2e_is_pattern(pinned, size_bytes, 9));
    CU(cuMemFreeHost(pinned));
    CU(cuStreamDestroy(stream));
    CU(cuMemFree(block));
    free(from);
    free(to);
    printf("large copies: done\n");
}

// A box out of a larger one goes up, across the device's memory, and down into the middle of another one.
static void box(size_t width, size_t height, size_t depth, size_t host_pitch, size_t x)
{
    const size_t rows = height + 3, host_bytes = host_pitch * rows * (depth + 2);
    uint8_t *from = malloc(host_bytes), *to = malloc(host_bytes), *want = malloc(host_bytes);
    CUdeviceptr a, b;
    size_t pitch, pitch_b;
    CU(cuMemAllocPitch(&a, &pitch, width, height * depth, 4));
    CU(cuMemAllocPitch(&b, &pitch_b, width + 600, height * depth, 4));
    e2e_pattern(from, host_bytes, (uint32_t)width);
    memset(to, 0x5a, host_bytes);
    memset(want, 0x5a, host_bytes);
    for (size_t z = 0; z < depth; z++)
        for (size_t y = 0; y < height; y++)
            memcpy(want + (z * rows + y + 2) * host_pitch + x + 1,
                   from + ((z + 1) * rows + y + 1) * host_pitch + x, width);
    CUDA_MEMCPY3D up = {.srcMemoryType = CU_MEMORYTYPE_HOST,
                        .srcHost = from,
                        .srcPitch = host_pitch,
                        .srcHeight = rows,
                        .srcXInBytes = x,
                        .srcY = 1,
                        .srcZ = 1,
                        .dstMemoryType = CU_MEMORYTYPE_DEVICE,
                        .dstDevice = a,
                        .dstPitch = pitch,
                        .dstHeight = height,
                        .WidthInBytes = width,
                        .Height = height,
                        .Depth = depth};
    CUDA_MEMCPY3D across = {.srcMemoryType = CU_MEMORYTYPE_DEVICE,
                            .srcDevice = a,
                            .srcPitch = pitch,
                            .srcHeight = height,
                            .dstMemoryType = CU_MEMORYTYPE_DEVICE,
                            .dstDevice = b,
                            .dstPitch = pitch_b,
                            .dstHeight = height,
                            .dstXInBytes = 333,
                            .WidthInBytes = width,
                            .Height = height,
                            .Depth = depth};
    CUDA_MEMCPY3D down = {.srcMemoryType = CU_MEMORYTYPE_DEVICE,
                          .srcDevice = b,
                          .srcPitch = pitch_b,
                          .srcHeight = height,
                          .srcXInBytes = 333,
                          .dstMemoryType = CU_MEMORYTYPE_HOST,
                          .dstHost = to,
                          .dstPitch = host_pitch,
                          .dstHeight = rows,
                          .dstXInBytes = x + 1,
                          .dstY = 2,
                          .WidthInBytes = width,
                          .Height = height,
                          .Depth = depth};
    CU(cuMemcpy3D(&up));
    CU(cuMemcpy3DAsync(&across, NULL));
    CU(cuMemcpy3D(&down));
    EXPECT(!memcmp(to, want, host_bytes));
    CU(cuMemFree(a));
    CU(cuMemFree(b));
    free(from);
    free(to);
    free(want);
}

static void plane(size_t width, size_t height, size_t host_pitch)
{
    uint8_t *from = malloc(host_pitch * height), *to = malloc(host_pitch * height),
            *want = malloc(host_pitch * height);
    CUdeviceptr a;
    size_t pitch;
    CUstream stream;
    CU(cuStreamCreate(&stream, 0));
    CU(cuMemAllocPitch(&a, &pitch, width, height, 16));
    e2e_pattern(from, host_pitch * height, (uint32_t)height);
    memset(to, 0xa5, host_pitch * height);
    memset(want, 0xa5, host_pitch * height);
    for (size_t y = 0; y < height; y++)
        memcpy(want + y * host_pitch, from + y * host_pitch, width);
    CUDA_MEMCPY2D up = {.srcMemoryType = CU_MEMORYTYPE_HOST,
                        .srcHost = from,
                        .srcPitch = host_pitch,
                        .dstMemoryType = CU_MEMORYTYPE_DEVICE,
                        .dstDevice = a,
                        .dstPitch = pitch,
                        .WidthInBytes = width,
                        .Height = height};
    CUDA_MEMCPY2D down = {.srcMemoryType = CU_MEMORYTYPE_DEVICE,
                          .srcDevice = a,
                          .srcPitch = pitch,
                          .dstMemoryType = CU_MEMORYTYPE_HOST,
                          .dstHost = to,
                          .dstPitch = host_pitch,
                          .WidthInBytes = width,
                          .Height = height};
    CU(cuMemcpy2DAsync(&up, stream));
    memset(from, 0, host_pitch * height);
    CU(cuMemcpy2DAsync(&down, stream));
    CU(cuStreamSynchronize(stream));
    EXPECT(!memcmp(to, want, host_pitch * height));
    CU(cuMemFree(a));
    CU(cuStreamDestroy(stream));
    free(from);
    free(to);
    free(want);
}

int main(void)
{
    context = e2e_open(0);
    CUmodule module = e2e_module();
    CU(cuModuleGetFunction(&fill, module, "fill"));
    CU(cuModuleGetFunction(&add, module, "add"));
    e2e_threads(THREADS, one_of_many);
    printf("64 threads: done\n");
    streams_and_events();
    allocations();
    very_large();
    huge_parameters();
    long_names();
    large_copies();
    plane(1, 1, 1);
    plane(1001, 77, 1234);
    plane(3, 5000, 5);
    plane(70001, 33, 70100);
    plane(600000, 3, 600001);
    printf("planes of odd sizes: done\n");
    box(333, 17, 9, 400, 5);
    box(1, 1, 1, 7, 3);
    box(90001, 3, 4, 100001, 77);
    box(4096, 16, 16, 5000, 100);
    printf("boxes of odd sizes: done\n");
    CU(cuModuleUnload(module));
    CU(cuCtxDestroy(context));
    return e2e_finish();
}
