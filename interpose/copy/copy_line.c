// SPDX-License-Identifier: Apache-2.0
// The copies of one range to another.
#include "api_calls.h"
#include "interpose/copy/copy.h"

static CUresult line(struct gn_call *c, uint64_t to, enum gn_side to_side, uint64_t from,
                     enum gn_side from_side, size_t size_bytes)
{
    struct gn_copy copy = {gn_shape_line(size_bytes),
                           gn_end_line(from, size_bytes),
                           gn_end_line(to, size_bytes),
                           from_side,
                           to_side,
                           false,
                           NULL};
    return gn_copy_run(c, &copy);
}

static CUresult line_async(struct gn_call *c, uint64_t to, enum gn_side to_side, uint64_t from,
                           enum gn_side from_side, size_t size_bytes, CUstream stream)
{
    struct gn_copy copy = {gn_shape_line(size_bytes),
                           gn_end_line(from, size_bytes),
                           gn_end_line(to, size_bytes),
                           from_side,
                           to_side,
                           true,
                           stream};
    return gn_copy_run(c, &copy);
}

CUresult gn_cuMemcpy(struct gn_call *c, CUdeviceptr dst, CUdeviceptr src, size_t ByteCount)
{
    return line(c, dst, GN_SIDE_ANY, src, GN_SIDE_ANY, ByteCount);
}

CUresult gn_cuMemcpyAsync(struct gn_call *c, CUdeviceptr dst, CUdeviceptr src, size_t ByteCount,
                          CUstream hStream)
{
    return line_async(c, dst, GN_SIDE_ANY, src, GN_SIDE_ANY, ByteCount, hStream);
}

CUresult gn_cuMemcpyHtoD_v2(struct gn_call *c, CUdeviceptr dstDevice, const void *srcHost, size_t ByteCount)
{
    return line(c, dstDevice, GN_SIDE_DEVICE, (uintptr_t)srcHost, GN_SIDE_HOST, ByteCount);
}

CUresult gn_cuMemcpyHtoDAsync_v2(struct gn_call *c, CUdeviceptr dstDevice, const void *srcHost,
                                 size_t ByteCount, CUstream hStream)
{
    return line_async(c, dstDevice, GN_SIDE_DEVICE, (uintptr_t)srcHost, GN_SIDE_HOST, ByteCount, hStream);
}

CUresult gn_cuMemcpyDtoH_v2(struct gn_call *c, void *dstHost, CUdeviceptr srcDevice, size_t ByteCount)
{
    return line(c, (uintptr_t)dstHost, GN_SIDE_HOST, srcDevice, GN_SIDE_DEVICE, ByteCount);
}

CUresult gn_cuMemcpyDtoHAsync_v2(struct gn_call *c, void *dstHost, CUdeviceptr srcDevice, size_t ByteCount,
                                 CUstream hStream)
{
    return line_async(c, (uintptr_t)dstHost, GN_SIDE_HOST, srcDevice, GN_SIDE_DEVICE, ByteCount, hStream);
}

CUresult gn_cuMemcpyDtoD_v2(struct gn_call *c, CUdeviceptr dstDevice, CUdeviceptr srcDevice, size_t ByteCount)
{
    return line(c, dstDevice, GN_SIDE_DEVICE, srcDevice, GN_SIDE_DEVICE, ByteCount);
}

CUresult gn_cuMemcpyDtoDAsync_v2(struct gn_call *c, CUdeviceptr dstDevice, CUdeviceptr srcDevice,
                                 size_t ByteCount, CUstream hStream)
{
    return line_async(c, dstDevice, GN_SIDE_DEVICE, srcDevice, GN_SIDE_DEVICE, ByteCount, hStream);
}

// One process at the server has all contexts and devices, so only the order is to be seen to.
CUresult gn_cuMemcpyPeer(struct gn_call *c, CUdeviceptr dstDevice, CUcontext dstContext,
                         CUdeviceptr srcDevice, CUcontext srcContext, size_t ByteCount)
{
    if (!gn_context_find(dstContext) || !gn_context_find(srcContext))
        return CUDA_ERROR_INVALID_CONTEXT;
    CUresult r = gn_copy_peer_begin(c, srcContext, dstContext);
    return r ? r : gn_copy_peer_end(c, line(c, dstDevice, GN_SIDE_DEVICE, srcDevice, GN_SIDE_DEVICE, ByteCount));
}

static bool is_alive(CUcontext handle)
{
    const struct gn_context *x = gn_context_find(handle);
    return x && atomic_load_explicit(&x->sticky, memory_order_relaxed) != CUDA_ERROR_CONTEXT_IS_DESTROYED;
}

CUresult gn_cuMemcpyPeerAsync(struct gn_call *c, CUdeviceptr dstDevice, CUcontext dstContext,
                              CUdeviceptr srcDevice, CUcontext srcContext, size_t ByteCount, CUstream hStream)
{
    if (!is_alive(dstContext) || !is_alive(srcContext))
        return CUDA_ERROR_INVALID_CONTEXT;
    return line_async(c, dstDevice, GN_SIDE_DEVICE, srcDevice, GN_SIDE_DEVICE, ByteCount, hStream);
}
