// SPDX-License-Identifier: Apache-2.0
// The plain uses of a host buffer: reading and writing bytes of it, and copies of all bounds, overlaps and orders from and to it.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/e2e/touch.h"

enum { PAGE = TOUCH_PAGE, BYTES = TOUCH_BYTES };

static void read_bytes(void)
{
    uint8_t *host = touch_map(BYTES);
    static const size_t at[] = {0, BYTES - 1, BYTES / 2, BYTES / 2 + PAGE - 1, 5 * PAGE};
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
            touch_down(host, BYTES, 1000 * round + (unsigned)i);
            EXPECT(host[at[i]] == touch_model[at[i]]);
            touch_up("one byte read", host, BYTES);
        }
        touch_down(host, BYTES, 77 + round);
        touch_up("none read", host, BYTES);
        touch_down(host, BYTES, 88 + round);
        EXPECT(!memcmp(host + 3 * PAGE, touch_model + 3 * PAGE, PAGE));
        EXPECT(!memcmp(host + 9 * PAGE - 7, touch_model + 9 * PAGE - 7, 14));
        touch_up("a page read", host, BYTES);
        touch_print("all read", host, BYTES);
        touch_up("and sent again", host, BYTES);
    }
    touch_unmap(host, BYTES);
}

static void read_in_order(void)
{
    uint8_t *host = touch_map(BYTES);
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        touch_down(host, BYTES, round);
        for (size_t i = BYTES; i >= PAGE; i -= PAGE) // backwards
            EXPECT(host[i - 1] == touch_model[i - 1]);
        touch_down(host, BYTES, 10 + round);
        for (size_t i = 0; i < BYTES; i += 3 * PAGE) // a page of three
            EXPECT(host[i] == touch_model[i]);
        touch_up("strides", host, BYTES);
        touch_down(host, BYTES, 20 + round);
        EXPECT(!memcmp(host, touch_model, BYTES));
    }
    touch_unmap(host, BYTES);
}

static void put(uint8_t *host, size_t at, uint8_t value) { host[at] = touch_model[at] = value; }

static void write_bytes(void)
{
    uint8_t *host = touch_map(BYTES);
    static const size_t at[] = {0, 1, PAGE - 1, PAGE, BYTES / 2 + 5, BYTES - 1};
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
            touch_down(host, BYTES, 100 * round + (unsigned)i);
            put(host, at[i], (uint8_t)(round + i));
            touch_up("one byte written", host, BYTES);
            put(host, at[i], (uint8_t)(round + i + 100));
            touch_up("and once more", host, BYTES);
            touch_up("and not again", host, BYTES);
        }
        touch_down(host, BYTES, 500 + round);
        memset(host + PAGE + 100, 7, 2 * PAGE);
        memset(touch_model + PAGE + 100, 7, 2 * PAGE);
        touch_up("some pages written", host, BYTES);
        memset(host, 9, BYTES);
        memset(touch_model, 9, BYTES);
        touch_up("all written", host, BYTES);
        touch_down(host, BYTES, 600 + round);
        memset(host, 8, BYTES); // nothing of it was read
        memset(touch_model, 8, BYTES);
        touch_up("all overwritten", host, BYTES);
    }
    touch_unmap(host, BYTES);
}

// Starts and sizes that are no pages', on both sides.
static void odd_ranges(void)
{
    static const size_t starts[] = {0, 1, 100, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE - 3};
    static const size_t sizes[] = {1, 10, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE, 3 * PAGE + 17, 9 * PAGE - 1};
    uint8_t *host = touch_map(BYTES);
    uint64_t digest = 0;
    for (size_t s = 0; s < sizeof starts / sizeof *starts; s++)
        for (size_t n = 0; n < sizeof sizes / sizeof *sizes; n++) {
            unsigned seed = (unsigned)(s * 100 + n);
            size_t from = starts[s] * 7 % 999, size = sizes[n];
            memset(host, 0xa5, BYTES);
            memset(touch_model, 0xa5, BYTES);
            touch_seed(touch_source, BYTES, seed);
            CU(cuMemcpyDtoH(host + starts[s], touch_source + from, size));
            touch_truth(touch_model + starts[s], from, size, seed);
            EXPECT(touch_arrives(host + starts[s], starts[s], size));
            if (seed % 2)
                put(host, starts[s] + size / 2, 1);
            EXPECT(touch_arrives(host, 0, BYTES / 2));
            EXPECT(!memcmp(host, touch_model, BYTES));
            digest += touch_digest(host, BYTES);
        }
    printf("odd ranges: %016llx\n", (unsigned long long)digest);
    touch_unmap(host, BYTES);
}

static void down_part(uint8_t *host, size_t offset, size_t size_bytes, unsigned seed)
{
    touch_seed(touch_source, BYTES, seed);
    CU(cuMemcpyDtoH(host + offset, touch_source + offset, size_bytes));
    touch_truth(touch_model + offset, offset, size_bytes, seed);
}

static void overlaps(void)
{
    uint8_t *host = touch_map(BYTES);
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        down_part(host, 0, BYTES, round);
        down_part(host, 3 * PAGE, 4 * PAGE, 10 + round); // within
        touch_up("a part anew", host, BYTES);
        down_part(host, 5 * PAGE + 5, 6 * PAGE + 2, 20 + round); // across, and not on pages
        touch_up("a part across", host, BYTES);
        down_part(host, PAGE, BYTES - 2 * PAGE, 30 + round); // around it
        touch_up("around", host, BYTES);
        EXPECT(host[4 * PAGE] == touch_model[4 * PAGE]);
        put(host, 6 * PAGE + 1, 3);
        down_part(host, 6 * PAGE, PAGE, 40 + round); // what was written goes
        touch_up("over what was written", host, BYTES);
        put(host, 8 * PAGE + 1, 3);
        down_part(host, 7 * PAGE, PAGE + 1, 50 + round); // and one byte less than that stays
        put(host, 8 * PAGE + 2, 4);
        EXPECT(touch_arrives(host + 2 * PAGE, 2 * PAGE, 3 * PAGE));
        EXPECT(touch_arrives(host + 7 * PAGE + 9, 7 * PAGE + 9, 2 * PAGE));
        touch_up("parts sent", host, BYTES);
        EXPECT(!memcmp(host, touch_model, BYTES));
    }
    touch_unmap(host, BYTES);
}

static void two_halves(void)
{
    uint8_t *host = touch_map(BYTES);
    CUdeviceptr a = e2e_alloc(BYTES), b = e2e_alloc(BYTES);
    for (unsigned round = 0; round < 2 * TOUCH_ROUNDS; round++) {
        size_t half = BYTES / 2 + (round % 2 ? 100 : 0);
        touch_seed(a, BYTES, 1000 + round);
        touch_seed(b, BYTES, 2000 + round);
        CU(cuMemcpyDtoH(host, a, half));
        CU(cuMemcpyDtoH(host + half, b, BYTES - half));
        touch_truth(touch_model, 0, half, 1000 + round);
        touch_truth(touch_model + half, 0, BYTES - half, 2000 + round);
        touch_up("two halves as one", host, BYTES);
        CU(cuMemcpyDtoH(host, a, BYTES));
        touch_truth(touch_model, 0, BYTES, 1000 + round);
        EXPECT(touch_arrives(host + half, half, BYTES - half) && touch_arrives(host, 0, half));
        if (round > TOUCH_ROUNDS)
            put(host, half, 5);
        touch_up("one as two halves", host, BYTES);
    }
    touch_unmap(host, BYTES);
}

// The device buffers change after the download; the host's bytes do not.
static void source_changes(void)
{
    uint8_t *host = touch_map(BYTES), *other = touch_map(BYTES);
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        touch_down(host, BYTES, round);
        touch_seed(touch_source, BYTES, 999);
        touch_up("after a kernel", host, BYTES);
        touch_down(host, BYTES, 10 + round);
        CU(cuMemsetD8(touch_source, 5, BYTES));
        EXPECT(host[PAGE] == touch_model[PAGE]);
        touch_up("after a memset", host, BYTES);
        touch_down(host, BYTES, 20 + round);
        memset(other, 6, BYTES);
        CU(cuMemcpyHtoD(touch_source, other, BYTES));
        touch_up("after a copy", host, BYTES);
        touch_down(host, BYTES, 30 + round);
        touch_up("before its own destination changes", host, BYTES);
        CU(cuMemsetD8(touch_sink, 1, BYTES));
        touch_up("after it", host, BYTES);
        e2e_add(touch_add, NULL, touch_sink, BYTES / 4, 1);
        touch_up("after a kernel there", host, BYTES);
        CU(cuMemcpyDtoH(host, touch_sink, BYTES)); // its own bytes back
        touch_up("to and fro", host, BYTES);
    }
    touch_unmap(host, BYTES);
    touch_unmap(other, BYTES);
}

// Host to host, through the driver.
static void within_the_host(void)
{
    uint8_t *host = touch_map(BYTES), *other = touch_map(BYTES);
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        touch_down(host, BYTES, round);
        CU(cuMemcpy((CUdeviceptr)(uintptr_t)other, (CUdeviceptr)(uintptr_t)host, BYTES / 2 + 1));
        EXPECT(!memcmp(other, touch_model, BYTES / 2 + 1));
        touch_up("read by a copy", host, BYTES);
        touch_down(host, BYTES, 50 + round);
        CU(cuMemcpyAsync((CUdeviceptr)(uintptr_t)(host + 7), (CUdeviceptr)(uintptr_t)other, 3 * PAGE, NULL));
        CU(cuStreamSynchronize(NULL));
        memcpy(touch_model + 7, other, 3 * PAGE);
        touch_up("written by a copy", host, BYTES);
    }
    touch_unmap(host, BYTES);
    touch_unmap(other, BYTES);
}

// A column of a buffer, in rows that are no pages.
static void rows(void)
{
    enum { PITCH = 3000, WIDTH = 1111, ROWS = BYTES / PITCH };
    uint8_t *host = touch_map(BYTES);
    CUDA_MEMCPY2D down = {.srcMemoryType = CU_MEMORYTYPE_DEVICE, .srcPitch = PITCH, .dstMemoryType = CU_MEMORYTYPE_HOST, .dstHost = host,
                          .dstPitch = PITCH, .dstXInBytes = 100, .srcXInBytes = 100, .WidthInBytes = WIDTH, .Height = ROWS};
    CUDA_MEMCPY2D up = {.srcMemoryType = CU_MEMORYTYPE_HOST, .srcHost = host, .srcPitch = PITCH, .dstMemoryType = CU_MEMORYTYPE_DEVICE,
                        .dstPitch = PITCH, .WidthInBytes = PITCH, .Height = ROWS};
    CUDA_MEMCPY3D box = {.srcMemoryType = CU_MEMORYTYPE_HOST, .srcHost = host, .srcPitch = 512, .srcHeight = 8, .WidthInBytes = 300, .Height = 5,
                         .Depth = 9, .dstMemoryType = CU_MEMORYTYPE_DEVICE, .dstPitch = 512, .dstHeight = 8, .dstDevice = touch_sink};
    down.srcDevice = touch_source, up.dstDevice = touch_sink;
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        touch_down(host, BYTES, round);
        touch_seed(touch_source, BYTES, 70 + round);
        CU(cuMemcpy2D(&down));
        for (size_t y = 0; y < ROWS; y++)
            touch_truth(touch_model + y * PITCH + 100, y * PITCH + 100, WIDTH, 70 + round);
        CU(cuMemcpy2D(&up));
        EXPECT(touch_device_is(touch_sink, touch_model, ROWS * PITCH));
        touch_up("rows", host, BYTES);
        touch_down(host, BYTES, 90 + round);
        CU(cuMemsetD8(touch_sink, 0, BYTES));
        CU(cuMemcpy3D(&box));
        bool right = true;
        for (size_t z = 0; z < 9; z++)
            for (size_t y = 0; y < 5; y++)
                right &= touch_device_is(touch_sink + z * 4096 + y * 512, touch_model + z * 4096 + y * 512, 300);
        EXPECT(right);
        touch_up("boxes", host, BYTES);
    }
    touch_unmap(host, BYTES);
}

// Sizes that have several of whatever there is: chunks, granules, read-ahead.
static void large(void)
{
    uint8_t *host = touch_map(TOUCH_MOST);
    for (unsigned round = 0; round < 2; round++) {
        touch_down(host, TOUCH_MOST, round);
        for (size_t at = 0; at < TOUCH_MOST; at += 700001)
            EXPECT(host[at] == touch_model[at]);
        for (size_t at = 123457; at < TOUCH_MOST; at += 900001)
            put(host, at, (uint8_t)at);
        touch_up("large", host, TOUCH_MOST);
        EXPECT(!memcmp(host, touch_model, TOUCH_MOST));
        touch_up("large, again", host, TOUCH_MOST);
    }
    touch_unmap(host, TOUCH_MOST);
}

// More buffers than anybody would keep a list of, in turn.
static void many_buffers(void)
{
    enum { BUFFERS = 300, EACH = 4 * PAGE };
    uint8_t *host = touch_map(BUFFERS * EACH);
    for (unsigned round = 0; round < 2; round++) {
        touch_seed(touch_source, BUFFERS * EACH, round);
        touch_truth(touch_model, 0, BUFFERS * EACH, round);
        for (size_t i = 0; i < BUFFERS; i++) {
            size_t at = (i * 7) % BUFFERS * EACH;
            CU(cuMemcpyDtoH(host + at, touch_source + at, EACH));
        }
        for (size_t i = 0; i < BUFFERS; i += 3)
            put(host, i * EACH + i, (uint8_t)i);
        for (size_t i = 0; i < BUFFERS; i++)
            EXPECT(touch_arrives(host + i * EACH, i * EACH, EACH));
        touch_up("all of them", host, BUFFERS * EACH);
    }
    touch_unmap(host, BUFFERS * EACH);
}

const struct touch_case touch_ranges[] = {
    {"read_bytes", read_bytes},
    {"read_in_order", read_in_order},
    {"write_bytes", write_bytes},
    {"odd_ranges", odd_ranges},
    {"overlaps", overlaps},
    {"two_halves", two_halves},
    {"source_changes", source_changes},
    {"within_the_host", within_the_host},
    {"rows", rows},
    {"large", large},
    {"many_buffers", many_buffers},
    {NULL, NULL},
};
