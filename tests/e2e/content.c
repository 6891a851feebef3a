// SPDX-License-Identifier: Apache-2.0
// Uploads whose content a server may have already: large and small ones, at odd places, pageable and pinned, by several threads, again and again,
// changed in between. With "swapped" one buffer is used for all layers of a model in turn. With "changed" one byte is another than without; with "whole" only one buffer goes up, once. What arrives is what was sent.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "e2e.h"

enum { LARGE = E2E_SIZE(20 << 20, 3 << 20), PART = 777777, THREADS = 4, EACH = E2E_SIZE(1 << 20, 300 << 10) };

static bool changed;

static void expect_there(const char *name, CUdeviceptr device, const uint8_t *bytes, size_t size_bytes)
{
    uint8_t *back = calloc(1, size_bytes);
    CU(cuMemcpyDtoH(back, device, size_bytes));
    bool equal = !memcmp(back, bytes, size_bytes);
    printf("%s: %s\n", name, equal ? "equal" : "different");
    EXPECT(equal);
    free(back);
}

static void whole(uint8_t *bytes, const char *name)
{
    CUdeviceptr device = e2e_alloc(LARGE);
    e2e_pattern(bytes, LARGE, 1);
    bytes[LARGE / 2] ^= changed;
    CU(cuMemcpyHtoD(device, bytes, LARGE));
    expect_there(name, device, bytes, LARGE);
    CU(cuMemFree(device));
}

// The same bytes in parts of odd sizes, the first of them less than is worth a question.
static void in_parts(uint8_t *bytes)
{
    CUdeviceptr device = e2e_alloc(LARGE);
    CUstream stream;
    CU(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    e2e_pattern(bytes, LARGE, 1);
    bytes[LARGE / 2] ^= changed;
    for (size_t at = 0, n = 1000; at < LARGE; at += n, n = PART) {
        n = n < LARGE - at ? n : LARGE - at;
        CU(cuMemcpyHtoDAsync(device + at, bytes + at, n, stream));
    }
    CU(cuStreamSynchronize(stream));
    expect_there("in parts", device, bytes, LARGE);
    // Over it, from the middle on, before anything waits.
    CUfunction fill = e2e_kernel("fill");
    e2e_fill(fill, stream, device, 1000, 5);
    CU(cuMemcpyHtoDAsync(device + 4096, bytes, LARGE - 4096, stream));
    uint32_t words[2000];
    CU(cuMemcpyDtoHAsync(words, device, sizeof words, stream));
    CU(cuStreamSynchronize(stream));
    EXPECT(e2e_is_filled(words, 1000, 5) && !memcmp(words + 1024, bytes, sizeof words - 4096));
    CU(cuStreamDestroy(stream));
    CU(cuMemFree(device));
}

// A buffer that is used again for something else as soon as the call is back.
static void reused(void)
{
    enum { COUNT = 8 };
    uint8_t *bytes = malloc(PART);
    CUdeviceptr device = e2e_alloc(COUNT * PART);
    for (uint32_t round = 0; round < 2; round++)
        for (uint32_t i = 0; i < COUNT; i++) {
            e2e_pattern(bytes, PART, 100 + i);
            CU(cuMemcpyHtoD(device + i * PART, bytes, PART));
        }
    memset(bytes, 0, PART);
    for (uint32_t i = 0; i < COUNT; i++) {
        CU(cuMemcpyDtoH(bytes, device + i * PART, PART));
        EXPECT(e2e_is_pattern(bytes, PART, 100 + i));
    }
    printf("a buffer used again\n");
    CU(cuMemFree(device));
    free(bytes);
}

// As a program that reads the weights of one layer after the other into the same host buffer, step by step, and uploads them. With "wait" it
// stays until it is told to end.
static void swapped(bool wait)
{
    enum { LAYERS = 4, STEPS = 5, LAYER = E2E_SIZE(2 << 20, 600 << 10) };
    uint8_t *bytes = malloc(LAYER), *back = malloc(LAYER);
    CUdeviceptr device = e2e_alloc(LAYER);
    for (uint32_t step = 0; step < STEPS; step++)
        for (uint32_t layer = 0; layer < LAYERS; layer++) {
            e2e_pattern(bytes, LAYER, 500 + layer + (step == 3 && layer == 2)); // one is the next one's once
            CU(cuMemcpyHtoD(device, bytes, LAYER));
            memset(bytes, 0, 4096);
            CU(cuMemcpyDtoH(back, device, LAYER));
            EXPECT(e2e_is_pattern(back, LAYER, 500 + layer + (step == 3 && layer == 2)));
        }
    printf("layers in turn: %d bytes each\n", LAYER);
    fflush(stdout);
    if (wait)
        getchar();
    CU(cuMemFree(device));
    free(bytes);
    free(back);
}

static CUcontext context;

static void one_thread(unsigned number)
{
    CU(cuCtxSetCurrent(context));
    uint8_t *bytes = malloc(EACH), *back = malloc(EACH);
    CUdeviceptr device = e2e_alloc(EACH);
    for (uint32_t i = 0; i < 6; i++) {
        e2e_pattern(bytes, EACH, 1000 + number % 2 + i % 3); // two threads each have the same
        CU(cuMemcpyHtoD(device, bytes, EACH));
        CU(cuMemcpyDtoH(back, device, EACH));
        EXPECT(!memcmp(bytes, back, EACH));
    }
    CU(cuMemFree(device));
    free(bytes);
    free(back);
}

int main(int argc, char **argv)
{
    changed = argc > 1 && !strcmp(argv[argc - 1], "changed");
    context = e2e_open(0);
    uint8_t *bytes = malloc(LARGE), *pinned;
    CU(cuMemHostAlloc((void **)&pinned, LARGE, 0));
    bool only_swapped = argc > 1 && !strcmp(argv[1], "swapped"), only_whole = argc > 1 && !strcmp(argv[1], "whole");
    if (only_swapped)
        swapped(argc > 2);
    else
        whole(bytes, "pageable");
    if (!only_swapped && !only_whole) {
        whole(pinned, "pinned");
        in_parts(pinned);
        reused();
        e2e_threads(THREADS, one_thread);
    }
    CU(cuMemFreeHost(pinned));
    free(bytes);
    return e2e_finish();
}
