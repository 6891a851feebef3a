// SPDX-License-Identifier: Apache-2.0
// Copies to the host of every kind that a thread waits for: of sizes around those of pieces, to odd places, into boxes, by several threads at
// once; every byte is looked at, those beside the copy too. With E2E_ROUNDS: so many copies of 32 MiB, and on standard error how fast they were.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/e2e/e2e.h"

enum { BLOCK_BYTES = 32 << 20, PIECE_BYTES = 1 << 20, THREADS = 6, ROUNDS = 12, EDGE = 64 };

static CUcontext context;
static CUdeviceptr block;
static uint8_t *pattern;

static void one(uint8_t *to, size_t from, size_t size_bytes)
{
    memset(to, 0x77, EDGE);
    memset(to + EDGE + size_bytes, 0x77, EDGE);
    CU(cuMemcpyDtoH(to + EDGE, block + from, size_bytes));
    EXPECT(!memcmp(to + EDGE, pattern + from, size_bytes));
    for (int i = 0; i < EDGE; i++)
        EXPECT(to[i] == 0x77 && to[EDGE + size_bytes + i] == 0x77);
}

static void sizes(void)
{
    static const size_t around[] = {1, 4096, 4097, 64 << 10, PIECE_BYTES, 3 * PIECE_BYTES, 9 * PIECE_BYTES};
    uint8_t *to = malloc(10 * PIECE_BYTES + 2 * EDGE);
    for (size_t i = 0; i < sizeof around / sizeof *around; i++)
        for (size_t less = 0; less < 2 && less < around[i]; less++) {
            one(to, i * 7, around[i] - less);
            one(to + 3, i * 7 + 1, around[i] + 5 * less);
        }
    free(to);
    printf("sizes: done\n");
}

static void box(size_t width, size_t height, size_t pitch)
{
    uint8_t *to = malloc(pitch * height), *want = malloc(pitch * height);
    memset(to, 0x5a, pitch * height);
    memset(want, 0x5a, pitch * height);
    for (size_t y = 0; y < height; y++)
        memcpy(want + y * pitch, pattern + y * (width + 13), width);
    CUDA_MEMCPY2D c = {.srcMemoryType = CU_MEMORYTYPE_DEVICE, .srcDevice = block, .srcPitch = width + 13,
                       .dstMemoryType = CU_MEMORYTYPE_HOST, .dstHost = to, .dstPitch = pitch, .WidthInBytes = width, .Height = height};
    CU(cuMemcpy2D(&c));
    EXPECT(!memcmp(to, want, pitch * height));
    free(to);
    free(want);
}

static void one_of_many(unsigned index)
{
    uint8_t *to = malloc(4 * PIECE_BYTES + 2 * EDGE);
    CU(cuCtxSetCurrent(context));
    for (unsigned round = 0; round < e2e_tries(ROUNDS); round++)
        one(to, index * PIECE_BYTES + round * 333, (round % 4 + 1) * PIECE_BYTES - index * 100);
    free(to);
}

// What is read after a copy to the device is what that brought, whichever way either takes.
static void there_and_back(void)
{
    uint8_t *from = malloc(5 * PIECE_BYTES), *to = malloc(5 * PIECE_BYTES);
    CUdeviceptr other = e2e_alloc(5 * PIECE_BYTES);
    for (unsigned round = 0; round < e2e_tries(ROUNDS); round++) {
        e2e_pattern(from, 5 * PIECE_BYTES, round);
        memset(to, 0, 5 * PIECE_BYTES);
        CU(cuMemcpyHtoD(other, from, 5 * PIECE_BYTES));
        CU(cuMemcpyDtoH(to, other, 5 * PIECE_BYTES));
        EXPECT(!memcmp(from, to, 5 * PIECE_BYTES));
    }
    CU(cuMemFree(other));
    free(from);
    free(to);
    printf("there and back: done\n");
}

static void measure(unsigned rounds)
{
    struct timespec a, b;
    uint8_t *to = malloc(BLOCK_BYTES);
    CU(cuMemcpyDtoH(to, block, BLOCK_BYTES)); // warm
    clock_gettime(CLOCK_MONOTONIC, &a);
    for (unsigned i = 0; i < rounds; i++)
        CU(cuMemcpyDtoH(to, block, BLOCK_BYTES));
    clock_gettime(CLOCK_MONOTONIC, &b);
    EXPECT(!memcmp(to, pattern, BLOCK_BYTES));
    fprintf(stderr, "to the host: %.1f MB/s\n", (double)BLOCK_BYTES * rounds / 1e6 / ((double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9));
    free(to);
}

int main(void)
{
    const char *rounds = getenv("E2E_ROUNDS");
    context = e2e_open(0);
    block = e2e_alloc(BLOCK_BYTES);
    pattern = malloc(BLOCK_BYTES);
    e2e_pattern(pattern, BLOCK_BYTES, 3);
    CU(cuMemcpyHtoD(block, pattern, BLOCK_BYTES));
    if (rounds) {
        measure((unsigned)atoi(rounds));
    } else {
        sizes();
        box(1 << 20, 5, (1 << 20) + 77);
        box(70001, 33, 70100);
        box(100, 9000, 128);
        printf("boxes: done\n");
        e2e_threads(THREADS, one_of_many);
        printf("threads: done\n");
        there_and_back();
    }
    CU(cuMemFree(block));
    CU(cuCtxDestroy(context));
    free(pattern);
    return e2e_finish();
}
