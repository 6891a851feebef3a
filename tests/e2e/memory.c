// SPDX-License-Identifier: Apache-2.0
// Allocating and freeing in order with the device's work: a block that is freed while a kernel still writes to it must not be another's before
// that kernel is done, whoever allocates and whatever stream is used. Memory info, address ranges, pitches; memory that fits is to be had.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/e2e/e2e.h"

enum { WORDS = 1 << 16, ROUNDS = 40, MIB = 1 << 20 };

static CUcontext context;
static CUfunction fill, grind, poke;

// A kernel that takes its time, then writes to the block; freed at once; whoever gets the place next must find what he writes.
static void order(unsigned seed, CUstream slow, CUstream quick)
{
    uint32_t *got = malloc(WORDS * 4);
    CUdeviceptr scratch = e2e_alloc(4);
    unsigned rounds = 20000;
    CU(cuMemsetD32(scratch, 1, 1));
    for (unsigned i = 0; i < e2e_tries(ROUNDS); i++) {
        CUdeviceptr first = e2e_alloc(WORDS * 4);
        void *params[] = {&scratch, &rounds};
        e2e_launch(grind, slow, 1, params);
        e2e_fill(fill, slow, first, WORDS, seed);
        CU(cuMemFree(first));
        CUdeviceptr second = e2e_alloc(WORDS * 4);
        e2e_fill(fill, quick, second, WORDS, seed + 1000 + i);
        CU(cuMemcpyDtoHAsync(got, second, WORDS * 4, quick));
        CU(cuStreamSynchronize(quick));
        EXPECT(e2e_is_filled(got, WORDS, seed + 1000 + i));
        CU(cuMemcpyDtoH(got, second, WORDS * 4));
        EXPECT(e2e_is_filled(got, WORDS, seed + 1000 + i));
        CU(cuMemFree(second));
    }
    CU(cuMemFree(scratch));
    free(got);
}

static CUstream streams[16];

static void in_a_thread(unsigned number)
{
    CU(cuCtxSetCurrent(context));
    order(number * 100000, streams[2 * number], streams[2 * number + 1]);
}

// Blocks go from thread to thread: freed by one, allocated by the next, with work in flight all the time.
static void churn_in_a_thread(unsigned number)
{
    enum { HELD = 24 };
    CUdeviceptr held[HELD] = {0};
    unsigned sizes[HELD] = {0}, values[HELD] = {0}, state = number + 1;
    uint32_t *got = malloc(WORDS * 4);
    CU(cuCtxSetCurrent(context));
    for (unsigned i = 0; i < e2e_tries(600); i++) {
        state = state * 1664525 + 1013904223;
        unsigned k = (state >> 8) % HELD;
        if (held[k]) {
            if (state >> 30 == 0) {
                CU(cuMemcpyDtoHAsync(got, held[k], sizes[k] * 4, streams[number]));
                CU(cuStreamSynchronize(streams[number]));
                EXPECT(e2e_is_filled(got, sizes[k], values[k]));
            }
            CU(cuMemFree(held[k]));
            held[k] = 0;
        } else {
            sizes[k] = 1 + (state >> 16) % (state >> 28 ? 5000 : WORDS);
            values[k] = state;
            held[k] = e2e_alloc(sizes[k] * 4);
            e2e_fill(fill, streams[number], held[k], sizes[k], values[k]);
        }
    }
    for (unsigned k = 0; k < HELD; k++)
        if (held[k]) {
            CU(cuMemcpyDtoHAsync(got, held[k], sizes[k] * 4, streams[number]));
            CU(cuStreamSynchronize(streams[number]));
            EXPECT(e2e_is_filled(got, sizes[k], values[k]));
            CU(cuMemFree(held[k]));
        }
    free(got);
}

static void info(void)
{
    size_t before, now, total, sizes[] = {4, 1000, 300000, 5 * MIB, 100 * MIB};
    CUdeviceptr blocks[5], base;
    CU(cuMemGetInfo(&before, &total));
    for (unsigned i = 0; i < 5; i++) {
        size_t size;
        blocks[i] = e2e_alloc(sizes[i]);
        CU(cuMemGetInfo(&now, &total));
        printf("%zu bytes: %zu less are free\n", sizes[i], before - now);
        CU(cuMemGetAddressRange(&base, &size, blocks[i] + sizes[i] - 1));
        EXPECT(base == blocks[i] && size == sizes[i] && blocks[i] % 512 == 0);
    }
    for (unsigned i = 0; i < 5; i++)
        CU(cuMemFree(blocks[i]));
    CU(cuMemGetInfo(&now, &total));
    printf("all freed: %zu\n", before - now);
    for (unsigned i = 0; i < 5; i++) {
        WANT(CUDA_ERROR_NOT_FOUND, cuMemGetAddressRange(&base, &now, blocks[i]));
        WANT(CUDA_ERROR_INVALID_VALUE, cuMemFree(blocks[i]));
    }
}

static void pitches(void)
{
    size_t widths[] = {1, 511, 512, 513, 5000, 100000}, pitch;
    CUdeviceptr block;
    for (unsigned i = 0; i < 6; i++) {
        CU(cuMemAllocPitch(&block, &pitch, widths[i], 7, 4));
        printf("width %zu: pitch %zu\n", widths[i], pitch);
        CU(cuMemsetD2D8(block, pitch, 3, widths[i], 7));
        CU(cuMemFree(block));
    }
    WANT(CUDA_ERROR_OUT_OF_MEMORY, cuMemAllocPitch(&block, &pitch, 1 << 20, (size_t)1 << 40, 4));
    WANT(CUDA_ERROR_OUT_OF_MEMORY, cuMemAllocPitch(&block, &pitch, 1 << 20, (size_t)1 << 50, 4));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemAllocPitch(&block, &pitch, 16, 1, 5));
}

// Memory goes with its context: one of the program's own, and the primary one when it is reset; blocks freed while another is current.
static void with_contexts(int device)
{
    CUcontext own, other, primary;
    CUdeviceptr blocks[6], base;
    size_t before, now, total, size;
    uint32_t word = 0;
    CU(cuDevicePrimaryCtxRetain(&primary, device));
    CU(cuCtxPushCurrent(primary));
    CU(cuMemGetInfo(&before, &total));
    CU(cuCtxCreate(&own, NULL, 0, device));
    CU(cuCtxCreate(&other, NULL, 0, device));
    for (unsigned i = 0; i < 6; i++) {
        CU(cuCtxSetCurrent(i % 3 == 0 ? own : i % 3 == 1 ? other : primary));
        blocks[i] = e2e_alloc(i < 3 ? 1000 : 3 * MIB);
        CU(cuMemsetD32(blocks[i], 50 + i, 10));
    }
    CU(cuCtxSetCurrent(primary));
    CU(cuMemFree(blocks[0])); // another one's
    CU(cuMemGetInfo(&now, &total));
    printf("device %d, in three contexts: %zu less are free\n", device, before - now);
    CU(cuCtxDestroy(own));
    CU(cuMemGetInfo(&now, &total));
    printf("without the first: %zu\n", before - now);
    WANT(CUDA_ERROR_NOT_FOUND, cuMemGetAddressRange(&base, &size, blocks[3]));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemFree(blocks[3]));
    blocks[3] = e2e_alloc(3 * MIB);
    CU(cuMemcpyDtoH(&word, blocks[4], 4));
    printf("another's is as it was: %u\n", word);
    CU(cuCtxDestroy(other));
    CU(cuMemGetInfo(&now, &total));
    printf("without the second: %zu\n", before - now);
    CU(cuDevicePrimaryCtxReset(device));
    CU(cuDevicePrimaryCtxRetain(&primary, device));
    CU(cuCtxSetCurrent(primary));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemFree(blocks[5]));
    CU(cuMemGetInfo(&now, &total));
    printf("after a reset: %ld\n", (long)(before - now));
    blocks[0] = e2e_alloc(100);
    CU(cuMemsetD32(blocks[0], 7, 25));
    CU(cuMemcpyDtoH(&word, blocks[0] + 96, 4));
    printf("and on: %u\n", word);
    CU(cuMemFree(blocks[0]));
    CU(cuCtxPopCurrent(&primary));
    CU(cuDevicePrimaryCtxRelease(device));
}

// As much as there is, in blocks of one size; freed in part and taken again. What is left at the end does not hold another block, but where a
// device has two areas (granules and the rest) each leaves something: less than a granule.
static void all_of_it(size_t size)
{
    enum { MOST = 140000 };
    static CUdeviceptr blocks[MOST];
    unsigned count = 0;
    size_t before, total, span = (size + 511) / 512 * 512;
    CUresult r = CUDA_SUCCESS;
    CU(cuMemGetInfo(&before, &total));
    while (count < MOST && (r = cuMemAlloc(&blocks[count], size)) == CUDA_SUCCESS)
        count++;
    printf("blocks of %zu bytes: %s\n", size, e2e_name(r));
    EXPECT(count * span <= before && before - count * span < span + 2 * MIB);
    for (unsigned i = 0; i < count; i += 2)
        CU(cuMemFree(blocks[i]));
    unsigned again = 0;
    for (unsigned i = 0; i < count; i += 2) {
        r = cuMemAlloc(&blocks[i], size);
        again += r == CUDA_SUCCESS;
        blocks[i] = r == CUDA_SUCCESS ? blocks[i] : 0;
    }
    EXPECT(again + (2 * MIB + span - 1) / span >= (count + 1) / 2);
    for (unsigned i = 0; i < count; i++)
        CU(cuMemFree(blocks[i]));
}

static void in_one_piece(size_t device_bytes)
{
    CUdeviceptr block;
    size_t now, total;
    CU(cuMemGetInfo(&now, &total));
    CU(cuMemAlloc(&block, device_bytes - 2 * MIB));
    CU(cuMemFree(block));
    printf("nearly all in one piece\n");
}

// A kernel that writes far beyond its memory; the context is lost.
static void far_beyond(void)
{
    CUdeviceptr block = e2e_alloc(64), at = block + ((size_t)8 << 30);
    unsigned value = 1;
    void *params[] = {&at, &value};
    e2e_launch(poke, NULL, 1, params);
    WANT(CUDA_ERROR_ILLEGAL_ADDRESS, cuCtxSynchronize());
    WANT(CUDA_ERROR_ILLEGAL_ADDRESS, cuMemAlloc(&block, 4));
    WANT(CUDA_ERROR_ILLEGAL_ADDRESS, cuMemFree(block));
}

// So many times, in sizes that share granules and in some that do not, and what is free in between: for who counts round trips.
static void loop(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        CUdeviceptr blocks[4];
        size_t pitch, now, total;
        CU(cuMemAlloc(&blocks[0], 4096));
        CU(cuMemAlloc(&blocks[1], 100));
        CU(cuMemAlloc(&blocks[2], 3 * MIB));
        CU(cuMemAllocPitch(&blocks[3], &pitch, 1000, 100, 4));
        for (unsigned k = 0; k < 4; k++)
            CU(cuMemFree(blocks[k]));
        if (i == 0)
            CU(cuMemGetInfo(&now, &total));
    }
    printf("%u times\n", count);
}

int main(int argc, char **argv)
{
    if (argc > 2) {
        // "taken": this process has something where devices' ranges are asked for.
        if (!strcmp(argv[1], "taken"))
            EXPECT(mmap((void *)0x300000100000, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == (void *)0x300000100000);
        e2e_open(0);
        loop((unsigned)atoi(argv[2]));
        return e2e_finish();
    }
    size_t small_device_bytes = argc > 1 ? (size_t)atoi(argv[1]) * MIB : 0;
    context = e2e_open(0);
    fill = e2e_kernel("fill");
    grind = e2e_kernel("grind");
    poke = e2e_kernel("poke");
    for (unsigned i = 0; i < 16; i++)
        CU(cuStreamCreate(&streams[i], CU_STREAM_NON_BLOCKING));
    if (small_device_bytes) {
        all_of_it(MIB);
        all_of_it(3 * MIB);
        all_of_it(1000);
        all_of_it(700000);
        in_one_piece(small_device_bytes);
    } else {
        info();
        pitches();
        order(0, streams[0], streams[1]);
        e2e_threads(4, in_a_thread);
        e2e_threads(8, churn_in_a_thread);
    }
    far_beyond();
    int devices;
    CU(cuDeviceGetCount(&devices));
    CU(cuDevicePrimaryCtxReset(0)); // which mends it
    for (int i = 0; i < devices && !small_device_bytes; i++)
        with_contexts(i);
    return e2e_finish();
}
