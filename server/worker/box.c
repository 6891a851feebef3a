// SPDX-License-Identifier: Apache-2.0
// Boxes of device memory.
#include "server/worker/box.h"

#include "server/run/run.h"

enum { BOX_BITS_MAX = 48 }; // more than any device's memory; keeps sums of offsets and addresses from wrapping

// From the first byte of `count` lines of `line_bytes`, `step_bytes` apart, to behind the last. false: they overlap, or reach too far.
static bool span(uint64_t count, uint64_t line_bytes, uint64_t step_bytes, uint64_t *span_bytes)
{
    *span_bytes = line_bytes;
    if (count == 1) // then the step means nothing
        return true;
    return step_bytes >= line_bytes && !__builtin_mul_overflow(count - 1, step_bytes, span_bytes) &&
           !__builtin_add_overflow(*span_bytes, line_bytes, span_bytes) && !(*span_bytes >> BOX_BITS_MAX);
}

bool gn_device_box_bytes(const struct gn_device_box *box, uint64_t *size_bytes)
{
    uint64_t bytes, slice, all;
    return box->width_bytes && box->rows && box->slices && !__builtin_mul_overflow(box->width_bytes, box->rows, &bytes) &&
           !__builtin_mul_overflow(bytes, box->slices, &bytes) && !(bytes >> BOX_BITS_MAX) &&
           span(box->rows, box->width_bytes, box->pitch_bytes, &slice) && span(box->slices, slice, box->slice_bytes, &all) &&
           (*size_bytes = bytes, true);
}

static bool is_contiguous(const struct gn_device_box *box)
{
    return (box->rows == 1 || box->pitch_bytes == box->width_bytes) &&
           (box->slices == 1 || box->slice_bytes == box->width_bytes * box->rows);
}

struct gn_piece gn_device_box_piece(const struct gn_device_box *box, uint64_t offset, uint64_t most_bytes)
{
    uint64_t total = box->width_bytes * box->rows * box->slices, left = total - offset;
    uint64_t most = left < most_bytes ? left : most_bytes;
    if (is_contiguous(box))
        return (struct gn_piece){.address = box->address + offset, .pitch_bytes = most, .width_bytes = most, .rows = 1};
    uint64_t line = offset / box->width_bytes, column = offset % box->width_bytes;
    uint64_t slice = line / box->rows, row = line % box->rows, rest = box->width_bytes - column;
    struct gn_piece p = {.address = box->address + slice * box->slice_bytes + row * box->pitch_bytes + column,
                         .pitch_bytes = box->pitch_bytes,
                         .width_bytes = rest < most ? rest : most,
                         .rows = 1};
    if (!column && most >= box->width_bytes) {
        p.rows = most / box->width_bytes;
        p.rows = p.rows < box->rows - row ? p.rows : box->rows - row;
    }
    return p;
}

CUresult gn_piece_write(struct gn_worker *w, const struct gn_piece *to, const void *from, CUstream stream)
{
    if (to->rows == 1)
        return GN_DRIVER(w, cuMemcpyHtoDAsync_v2, to->address, from, to->width_bytes, stream);
    CUDA_MEMCPY2D c = {.srcMemoryType = CU_MEMORYTYPE_HOST, .srcHost = from, .srcPitch = to->width_bytes,
                       .dstMemoryType = CU_MEMORYTYPE_DEVICE, .dstDevice = to->address, .dstPitch = to->pitch_bytes,
                       .WidthInBytes = to->width_bytes, .Height = to->rows};
    return GN_DRIVER(w, cuMemcpy2DAsync_v2, &c, stream);
}

CUresult gn_piece_read(struct gn_worker *w, const struct gn_piece *from, void *to, CUstream stream)
{
    if (from->rows == 1)
        return GN_DRIVER(w, cuMemcpyDtoHAsync_v2, to, from->address, from->width_bytes, stream);
    CUDA_MEMCPY2D c = {.srcMemoryType = CU_MEMORYTYPE_DEVICE, .srcDevice = from->address, .srcPitch = from->pitch_bytes,
                       .dstMemoryType = CU_MEMORYTYPE_HOST, .dstHost = to, .dstPitch = from->width_bytes,
                       .WidthInBytes = from->width_bytes, .Height = from->rows};
    return GN_DRIVER(w, cuMemcpy2DAsync_v2, &c, stream);
}
