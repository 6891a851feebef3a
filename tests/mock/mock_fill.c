// SPDX-License-Identifier: Apache-2.0
// Memsets of 8, 16 and 32 bits, linear and pitched.
#include <stdlib.h>
#include <string.h>

#include "api_mock.h"
#include "tests/mock/mock_arena.h"
#include "tests/mock/mock_copy.h"
#include "tests/mock/mock_limits.h"
#include "tests/mock/mock_sched.h"
#include "tests/mock/mock_stream.h"
#include "tests/mock/mock_time.h"
#include "tests/mock/mock_turn.h"

struct fill_op {
    struct mock_op op;
    struct mock_box box;
    struct mock_extent extent; // width in bytes
    uint32_t value;
    unsigned element_bytes;
};

static void fill_row(unsigned char *at, size_t bytes, uint32_t value, unsigned element_bytes)
{
    if (element_bytes == 1 || value == 0) {
        memset(at, (int)(value & 0xff), bytes);
    } else if (element_bytes == 2) {
        uint16_t *words = (uint16_t *)at, word = (uint16_t)value;
        for (size_t i = 0; i < bytes / 2; i++)
            words[i] = word;
    } else {
        uint32_t *words = (uint32_t *)at;
        for (size_t i = 0; i < bytes / 4; i++)
            words[i] = value;
    }
}

static void fill_rows(const struct mock_box *box, struct mock_extent e, uint32_t value, unsigned element_bytes)
{
    for (size_t y = 0; y < e.height && mock_time_moves(e.width * e.height); y++)
        fill_row((unsigned char *)(uintptr_t)(box->address + y * box->pitch), e.width, value, element_bytes);
}

static CUresult run_fill(struct mock_op *op)
{
    struct fill_op *f = (struct fill_op *)op;
    struct mock_memory_info info;
    if (mock_memory_find(f->box.address, &info))
        return CUDA_ERROR_ILLEGAL_ADDRESS;
    fill_rows(&f->box, f->extent, f->value, f->element_bytes);
    return CUDA_SUCCESS;
}

static CUresult fill(CUdeviceptr dst, size_t pitch, uint32_t value, unsigned element_bytes, size_t width,
                     size_t height, CUstream stream, bool is_async)
{
    struct mock_stream *s;
    struct mock_turn turn;
    struct mock_extent e = {.height = height, .depth = 1};
    CUresult r = mock_stream_resolve(stream, &s);
    if (r == CUDA_SUCCESS)
        r = s->context->error;
    if (r != CUDA_SUCCESS || !width || !height)
        return r;
    if (__builtin_mul_overflow(width, element_bytes, &e.width) || dst % element_bytes)
        return CUDA_ERROR_INVALID_VALUE;
    if (height > 1 && (pitch < e.width || pitch > MOCK_PITCH_MAX || pitch % element_bytes))
        return CUDA_ERROR_INVALID_VALUE;
    struct mock_box box = {.address = dst, .pitch = pitch};
    r = mock_box_check(&box, e, MOCK_EXPECT_DEVICE);
    if (r == CUDA_SUCCESS && box.is_read_only)
        r = CUDA_ERROR_INVALID_VALUE;
    if (r != CUDA_SUCCESS)
        return r;
    // Asynchronous even without the name, unless the target is host memory.
    bool wait = !is_async && box.place != MOCK_PLACE_DEVICE;
    if (e.width <= mock_turn_bytes_max() / e.height && mock_turn_take(s, NULL, &turn)) {
        fill_rows(&box, e, value, element_bytes);
        mock_turn_end(&turn, mock_time_fill(e.width * e.height));
        return wait ? mock_turn_wait(&turn) : CUDA_SUCCESS;
    }
    struct fill_op *f = malloc(sizeof *f);
    if (!f)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *f = (struct fill_op){.op = {.lane = MOCK_LANE_WORK, .is_light = true, .run = run_fill, .release = mock_op_free,
                                 .duration_ns = mock_time_fill(e.width * e.height)},
                          .box = box, .extent = e, .value = value, .element_bytes = element_bytes};
    return wait ? mock_submit_and_wait(s, &f->op, true) : mock_submit(s, &f->op, NULL);
}

CUresult mock_cuMemsetD8_v2(CUdeviceptr dstDevice, unsigned char uc, size_t N)
{
    return fill(dstDevice, 0, uc, 1, N, 1, NULL, false);
}

CUresult mock_cuMemsetD8Async(CUdeviceptr dstDevice, unsigned char uc, size_t N, CUstream hStream)
{
    return fill(dstDevice, 0, uc, 1, N, 1, hStream, true);
}

CUresult mock_cuMemsetD16_v2(CUdeviceptr dstDevice, unsigned short us, size_t N)
{
    return fill(dstDevice, 0, us, 2, N, 1, NULL, false);
}

CUresult mock_cuMemsetD16Async(CUdeviceptr dstDevice, unsigned short us, size_t N, CUstream hStream)
{
    return fill(dstDevice, 0, us, 2, N, 1, hStream, true);
}

CUresult mock_cuMemsetD32_v2(CUdeviceptr dstDevice, unsigned int ui, size_t N)
{
    return fill(dstDevice, 0, ui, 4, N, 1, NULL, false);
}

CUresult mock_cuMemsetD32Async(CUdeviceptr dstDevice, unsigned int ui, size_t N, CUstream hStream)
{
    return fill(dstDevice, 0, ui, 4, N, 1, hStream, true);
}

CUresult mock_cuMemsetD2D8_v2(CUdeviceptr dstDevice, size_t dstPitch, unsigned char uc, size_t Width, size_t Height)
{
    return fill(dstDevice, dstPitch, uc, 1, Width, Height, NULL, false);
}

CUresult mock_cuMemsetD2D8Async(CUdeviceptr dstDevice, size_t dstPitch, unsigned char uc, size_t Width,
                                size_t Height, CUstream hStream)
{
    return fill(dstDevice, dstPitch, uc, 1, Width, Height, hStream, true);
}

CUresult mock_cuMemsetD2D16_v2(CUdeviceptr dstDevice, size_t dstPitch, unsigned short us, size_t Width, size_t Height)
{
    return fill(dstDevice, dstPitch, us, 2, Width, Height, NULL, false);
}

CUresult mock_cuMemsetD2D16Async(CUdeviceptr dstDevice, size_t dstPitch, unsigned short us, size_t Width,
                                 size_t Height, CUstream hStream)
{
    return fill(dstDevice, dstPitch, us, 2, Width, Height, hStream, true);
}

CUresult mock_cuMemsetD2D32_v2(CUdeviceptr dstDevice, size_t dstPitch, unsigned int ui, size_t Width, size_t Height)
{
    return fill(dstDevice, dstPitch, ui, 4, Width, Height, NULL, false);
}

CUresult mock_cuMemsetD2D32Async(CUdeviceptr dstDevice, size_t dstPitch, unsigned int ui, size_t Width,
                                 size_t Height, CUstream hStream)
{
    return fill(dstDevice, dstPitch, ui, 4, Width, Height, hStream, true);
}
