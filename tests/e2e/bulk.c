// SPDX-License-Identifier: Apache-2.0
// Large copies both ways, of data that shrinks and of data that does not, pageable and pinned, whole and in boxes: what arrives is what was sent.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "e2e.h"

enum { BYTES = 16 << 20, PITCH = 3000, WIDTH = 2900, ROWS = 1000 };

static void fill_text(uint8_t *bytes, size_t size_bytes, uint32_t seed)
{
    for (size_t i = 0; i < size_bytes; i++)
        bytes[i] = (uint8_t)("the same few words, again and again; "[(i + seed) % 37] ^ (i >> 14 & 3));
}

static void fill(uint8_t *bytes, size_t size_bytes, bool shrinks, uint32_t seed)
{
    if (shrinks)
        fill_text(bytes, size_bytes, seed);
    else
        e2e_pattern(bytes, size_bytes, seed);
}

static void line(const char *name, uint8_t *from, uint8_t *to, bool shrinks, uint32_t seed)
{
    CUdeviceptr device = e2e_alloc(BYTES);
    fill(from, BYTES, shrinks, seed);
    memset(to, 0, BYTES);
    CU(cuMemcpyHtoDAsync(device, from, BYTES, NULL));
    CU(cuMemcpyDtoHAsync(to, device, BYTES, NULL));
    CU(cuCtxSynchronize());
    bool equal = !memcmp(from, to, BYTES);
    printf("%s, %s: %s\n", name, shrinks ? "text" : "noise", equal ? "equal" : "different");
    EXPECT(equal);
    CU(cuMemFree(device));
}

static void rows(uint8_t *from, uint8_t *to, bool shrinks)
{
    CUdeviceptr device;
    size_t pitch;
    CU(cuMemAllocPitch(&device, &pitch, WIDTH, ROWS, 4));
    fill(from, (size_t)PITCH * ROWS, shrinks, 9);
    memset(to, 0, (size_t)PITCH * ROWS);
    CUDA_MEMCPY2D up = {.srcMemoryType = CU_MEMORYTYPE_HOST, .srcHost = from, .srcPitch = PITCH, .dstMemoryType = CU_MEMORYTYPE_DEVICE,
                        .dstDevice = device, .dstPitch = pitch, .WidthInBytes = WIDTH, .Height = ROWS};
    CUDA_MEMCPY2D down = {.srcMemoryType = CU_MEMORYTYPE_DEVICE, .srcDevice = device, .srcPitch = pitch, .dstMemoryType = CU_MEMORYTYPE_HOST,
                          .dstHost = to, .dstPitch = PITCH, .WidthInBytes = WIDTH, .Height = ROWS};
    CU(cuMemcpy2D(&up));
    CU(cuMemcpy2D(&down));
    bool equal = true, kept = true;
    for (size_t y = 0; y < ROWS; y++) {
        equal = equal && !memcmp(from + y * PITCH, to + y * PITCH, WIDTH);
        for (size_t x = WIDTH; x < PITCH; x++)
            kept = kept && !to[y * PITCH + x];
    }
    printf("rows, %s: %s, between them %s\n", shrinks ? "text" : "noise", equal ? "equal" : "different", kept ? "nothing" : "something");
    EXPECT(equal && kept);
    CU(cuMemFree(device));
}

int main(void)
{
    uint8_t *pageable[2] = {malloc(BYTES), malloc(BYTES)}, *pinned[2];
    e2e_open(0);
    for (int i = 0; i < 2; i++) {
        EXPECT(pageable[i]);
        CU(cuMemAllocHost((void **)&pinned[i], BYTES));
    }
    for (int shrinks = 1; shrinks >= 0; shrinks--) {
        line("pageable", pageable[0], pageable[1], shrinks, 1);
        line("pinned", pinned[0], pinned[1], shrinks, 2);
        rows(pageable[0], pageable[1], shrinks);
    }
    for (int i = 0; i < 2; i++) {
        free(pageable[i]);
        CU(cuMemFreeHost(pinned[i]));
    }
    return e2e_finish();
}
