// SPDX-License-Identifier: Apache-2.0
// Fills. The asynchronous calls are generated; here is what a driver refuses at the call. The others are the
// asynchronous ones on the default stream: for device memory CUDA does not wait for them either.
#include "api_calls.h"
#include "api_wire.h"
#include "interpose/copy/copy_box.h"
#include "interpose/memory/memory_map.h"
#include "interpose/refuse.h"
#include "interpose/shadow/shadow.h"
#include "interpose/stream/stream.h"

static CUresult check_range(struct gn_call *c, uint64_t address, uint64_t span_bytes)
{
    switch (gn_memory_where(address, span_bytes, 0)) {
    case GN_WHERE_DEVICE: return CUDA_SUCCESS;
    case GN_WHERE_PINNED: return gn_refuse(c, "pinned host memory is out of the device's reach");
    default: return CUDA_ERROR_INVALID_VALUE;
    }
}

static CUresult check_line(struct gn_call *c, uint64_t address, size_t count, unsigned element_bytes)
{
    uint64_t size_bytes;
    if (address % element_bytes || __builtin_mul_overflow(count, (size_t)element_bytes, &size_bytes))
        return CUDA_ERROR_INVALID_VALUE;
    return count ? check_range(c, address, size_bytes) : CUDA_SUCCESS;
}

static CUresult check_rows(struct gn_call *c, uint64_t address, size_t pitch_bytes, size_t width,
                           size_t height, unsigned element_bytes)
{
    struct gn_shape shape = {.rows = height, .slices = 1};
    struct gn_end end;
    uint64_t span_bytes;
    if (address % element_bytes || (height > 1 && pitch_bytes % element_bytes) ||
        __builtin_mul_overflow(width, (size_t)element_bytes, &shape.width_bytes))
        return CUDA_ERROR_INVALID_VALUE;
    if (gn_shape_is_empty(&shape))
        return CUDA_SUCCESS;
    struct gn_place place = {.base = address, .pitch_bytes = height > 1 ? pitch_bytes : 0};
    if (gn_end_place(&end, &place, &shape) || gn_end_span(&end, &shape, &span_bytes))
        return CUDA_ERROR_INVALID_VALUE;
    return check_range(c, address, span_bytes);
}

CUresult gn_check_cuMemsetD8Async(struct gn_call *c, CUdeviceptr dstDevice, unsigned char uc, size_t N,
                                  CUstream hStream)
{
    (void)uc;
    uint64_t id;
    CUresult r = gn_id_stream(c, hStream, &id);
    return r ? r : check_line(c, dstDevice, N, 1);
}

CUresult gn_check_cuMemsetD16Async(struct gn_call *c, CUdeviceptr dstDevice, unsigned short us, size_t N,
                                   CUstream hStream)
{
    (void)us;
    uint64_t id;
    CUresult r = gn_id_stream(c, hStream, &id);
    return r ? r : check_line(c, dstDevice, N, 2);
}

CUresult gn_check_cuMemsetD32Async(struct gn_call *c, CUdeviceptr dstDevice, unsigned int ui, size_t N,
                                   CUstream hStream)
{
    (void)ui;
    uint64_t id;
    CUresult r = gn_id_stream(c, hStream, &id);
    return r ? r : check_line(c, dstDevice, N, 4);
}

CUresult gn_check_cuMemsetD2D8Async(struct gn_call *c, CUdeviceptr dstDevice, size_t dstPitch,
                                    unsigned char uc, size_t Width, size_t Height, CUstream hStream)
{
    (void)uc;
    uint64_t id;
    CUresult r = gn_id_stream(c, hStream, &id);
    return r ? r : check_rows(c, dstDevice, dstPitch, Width, Height, 1);
}

CUresult gn_check_cuMemsetD2D16Async(struct gn_call *c, CUdeviceptr dstDevice, size_t dstPitch,
                                     unsigned short us, size_t Width, size_t Height, CUstream hStream)
{
    (void)us;
    uint64_t id;
    CUresult r = gn_id_stream(c, hStream, &id);
    return r ? r : check_rows(c, dstDevice, dstPitch, Width, Height, 2);
}

CUresult gn_check_cuMemsetD2D32Async(struct gn_call *c, CUdeviceptr dstDevice, size_t dstPitch,
                                     unsigned int ui, size_t Width, size_t Height, CUstream hStream)
{
    (void)ui;
    uint64_t id;
    CUresult r = gn_id_stream(c, hStream, &id);
    return r ? r : check_rows(c, dstDevice, dstPitch, Width, Height, 4);
}

CUresult gn_cuMemsetD8_v2(struct gn_call *c, CUdeviceptr dstDevice, unsigned char uc, size_t N)
{
    struct gn_args_cuMemsetD8Async a = {.dstDevice = dstDevice, .uc = uc, .N = N};
    CUresult r = check_line(c, dstDevice, N, 1);
    if (!r)
        r = gn_id_stream(c, NULL, &a.hStream);
    return r ? r : gn_post(c, GN_OP_cuMemsetD8Async, &a);
}

CUresult gn_cuMemsetD16_v2(struct gn_call *c, CUdeviceptr dstDevice, unsigned short us, size_t N)
{
    struct gn_args_cuMemsetD16Async a = {.dstDevice = dstDevice, .us = us, .N = N};
    CUresult r = check_line(c, dstDevice, N, 2);
    if (!r)
        r = gn_id_stream(c, NULL, &a.hStream);
    return r ? r : gn_post(c, GN_OP_cuMemsetD16Async, &a);
}

CUresult gn_cuMemsetD32_v2(struct gn_call *c, CUdeviceptr dstDevice, unsigned int ui, size_t N)
{
    struct gn_args_cuMemsetD32Async a = {.dstDevice = dstDevice, .ui = ui, .N = N};
    CUresult r = check_line(c, dstDevice, N, 4);
    if (!r)
        r = gn_id_stream(c, NULL, &a.hStream);
    return r ? r : gn_post(c, GN_OP_cuMemsetD32Async, &a);
}

CUresult gn_cuMemsetD2D8_v2(struct gn_call *c, CUdeviceptr dstDevice, size_t dstPitch, unsigned char uc,
                            size_t Width, size_t Height)
{
    struct gn_args_cuMemsetD2D8Async a = {
        .dstDevice = dstDevice, .dstPitch = dstPitch, .uc = uc, .Width = Width, .Height = Height};
    CUresult r = check_rows(c, dstDevice, dstPitch, Width, Height, 1);
    if (!r)
        r = gn_id_stream(c, NULL, &a.hStream);
    return r ? r : gn_post(c, GN_OP_cuMemsetD2D8Async, &a);
}

CUresult gn_cuMemsetD2D16_v2(struct gn_call *c, CUdeviceptr dstDevice, size_t dstPitch, unsigned short us,
                             size_t Width, size_t Height)
{
    struct gn_args_cuMemsetD2D16Async a = {
        .dstDevice = dstDevice, .dstPitch = dstPitch, .us = us, .Width = Width, .Height = Height};
    CUresult r = check_rows(c, dstDevice, dstPitch, Width, Height, 2);
    if (!r)
        r = gn_id_stream(c, NULL, &a.hStream);
    return r ? r : gn_post(c, GN_OP_cuMemsetD2D16Async, &a);
}

CUresult gn_cuMemsetD2D32_v2(struct gn_call *c, CUdeviceptr dstDevice, size_t dstPitch, unsigned int ui,
                             size_t Width, size_t Height)
{
    struct gn_args_cuMemsetD2D32Async a = {
        .dstDevice = dstDevice, .dstPitch = dstPitch, .ui = ui, .Width = Width, .Height = Height};
    CUresult r = check_rows(c, dstDevice, dstPitch, Width, Height, 4);
    if (!r)
        r = gn_id_stream(c, NULL, &a.hStream);
    return r ? r : gn_post(c, GN_OP_cuMemsetD2D32Async, &a);
}

// --- stream memory operations: on one aligned word of device memory

static CUresult check_word(struct gn_call *c, uint64_t address, unsigned word_bytes, CUstream stream)
{
    uint64_t id;
    CUresult r = gn_id_stream(c, stream, &id);
    return r ? r : check_line(c, address, 1, word_bytes);
}

static CUresult check_wait(struct gn_call *c, uint64_t address, unsigned word_bytes, unsigned flags,
                           CUstream stream)
{
    gn_shadow_stream_waits();
    return flags & ~(unsigned)(CU_STREAM_WAIT_VALUE_NOR | CU_STREAM_WAIT_VALUE_FLUSH)
               ? CUDA_ERROR_INVALID_VALUE
               : check_word(c, address, word_bytes, stream);
}

static CUresult check_write(struct gn_call *c, uint64_t address, unsigned word_bytes, unsigned flags,
                           CUstream stream)
{
    return flags & ~(unsigned)CU_STREAM_WRITE_VALUE_NO_MEMORY_BARRIER ? CUDA_ERROR_INVALID_VALUE
                                                                      : check_word(c, address, word_bytes, stream);
}

CUresult gn_check_cuStreamWaitValue32_v2(struct gn_call *c, CUstream stream, CUdeviceptr addr,
                                         cuuint32_t value, unsigned int flags)
{
    (void)value;
    return check_wait(c, addr, 4, flags, stream);
}

CUresult gn_check_cuStreamWaitValue64_v2(struct gn_call *c, CUstream stream, CUdeviceptr addr,
                                         cuuint64_t value, unsigned int flags)
{
    (void)value;
    return check_wait(c, addr, 8, flags, stream);
}

CUresult gn_check_cuStreamWriteValue32_v2(struct gn_call *c, CUstream stream, CUdeviceptr addr,
                                          cuuint32_t value, unsigned int flags)
{
    (void)value;
    return check_write(c, addr, 4, flags, stream);
}

CUresult gn_check_cuStreamWriteValue64_v2(struct gn_call *c, CUstream stream, CUdeviceptr addr,
                                          cuuint64_t value, unsigned int flags)
{
    (void)value;
    return check_write(c, addr, 8, flags, stream);
}
