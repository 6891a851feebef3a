// SPDX-License-Identifier: Apache-2.0
// The copies of rows and slices: CUDA's descriptors of them, brought to one form.
#include "api_calls.h"
#include "interpose/copy/copy.h"

struct end { // one end of a descriptor of any kind
    CUmemorytype type;
    const void *host;
    CUdeviceptr device;
    struct gn_place place; // base is filled in here
};

static CUresult convert(struct gn_call *c, struct end *end, const struct gn_shape *shape, enum gn_side *side,
                        struct gn_end *out)
{
    const struct gn_device_snapshot *device = gn_device(c->context->device);
    switch ((int)end->type) {
    case CU_MEMORYTYPE_HOST:
        *side = GN_SIDE_HOST;
        end->place.base = (uintptr_t)end->host;
        break;
    case CU_MEMORYTYPE_DEVICE:
        *side = GN_SIDE_DEVICE;
        end->place.base = end->device;
        break;
    case CU_MEMORYTYPE_UNIFIED:
        *side = GN_SIDE_ANY;
        end->place.base = end->device;
        break;
    default: return CUDA_ERROR_INVALID_VALUE; // an array, too: none can have been made, so what is said to be one is not
    }
    if (device && device->attribute_known[CU_DEVICE_ATTRIBUTE_MAX_PITCH] &&
        end->place.pitch_bytes > (uint64_t)device->attributes[CU_DEVICE_ATTRIBUTE_MAX_PITCH])
        return CUDA_ERROR_INVALID_VALUE;
    return gn_end_place(out, &end->place, shape) ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

static CUresult run(struct gn_call *c, struct end *from, struct end *to, const struct gn_shape *shape,
                    bool async, CUstream stream)
{
    struct gn_copy copy = {.shape = *shape, .async = async, .stream = stream};
    uint64_t id;
    CUresult r = gn_id_stream(c, async ? stream : NULL, &id);
    if (r || gn_shape_is_empty(shape)) // of nothing, only the stream is looked at
        return r;
    r = convert(c, from, shape, &copy.from_side, &copy.from);
    if (!r)
        r = convert(c, to, shape, &copy.to_side, &copy.to);
    return r ? r : gn_copy_run(c, &copy);
}

static CUresult rows(struct gn_call *c, const CUDA_MEMCPY2D *d, bool async, CUstream stream)
{
    if (!d)
        return CUDA_ERROR_INVALID_VALUE;
    struct gn_shape shape = {d->WidthInBytes, d->Height, 1};
    struct end from = {
        d->srcMemoryType, d->srcHost, d->srcDevice, {0, d->srcXInBytes, d->srcY, 0, d->srcPitch, 0}};
    struct end to = {
        d->dstMemoryType, d->dstHost, d->dstDevice, {0, d->dstXInBytes, d->dstY, 0, d->dstPitch, 0}};
    return run(c, &from, &to, &shape, async, stream);
}

static CUresult slices(struct gn_call *c, const CUDA_MEMCPY3D *d, bool async, CUstream stream)
{
    if (!d || d->srcLOD || d->dstLOD || d->reserved0 || d->reserved1)
        return CUDA_ERROR_INVALID_VALUE;
    struct gn_shape shape = {d->WidthInBytes, d->Height, d->Depth};
    struct end from = {d->srcMemoryType,
                       d->srcHost,
                       d->srcDevice,
                       {0, d->srcXInBytes, d->srcY, d->srcZ, d->srcPitch, d->srcHeight}};
    struct end to = {d->dstMemoryType,
                     d->dstHost,
                     d->dstDevice,
                     {0, d->dstXInBytes, d->dstY, d->dstZ, d->dstPitch, d->dstHeight}};
    return run(c, &from, &to, &shape, async, stream);
}

static CUresult peer_slices(struct gn_call *c, const CUDA_MEMCPY3D_PEER *d, bool async, CUstream stream)
{
    if (!d || d->srcLOD || d->dstLOD)
        return CUDA_ERROR_INVALID_VALUE;
    if ((d->srcContext && !gn_context_find(d->srcContext)) ||
        (d->dstContext && !gn_context_find(d->dstContext)))
        return CUDA_ERROR_INVALID_CONTEXT;
    struct gn_shape shape = {d->WidthInBytes, d->Height, d->Depth};
    struct end from = {d->srcMemoryType,
                       d->srcHost,
                       d->srcDevice,
                       {0, d->srcXInBytes, d->srcY, d->srcZ, d->srcPitch, d->srcHeight}};
    struct end to = {d->dstMemoryType,
                     d->dstHost,
                     d->dstDevice,
                     {0, d->dstXInBytes, d->dstY, d->dstZ, d->dstPitch, d->dstHeight}};
    CUresult r = async ? CUDA_SUCCESS : gn_copy_peer_begin(c, d->srcContext, d->dstContext);
    if (!r)
        r = run(c, &from, &to, &shape, async, stream);
    return async ? r : gn_copy_peer_end(c, r);
}

CUresult gn_cuMemcpy2D_v2(struct gn_call *c, const CUDA_MEMCPY2D *pCopy)
{
    return rows(c, pCopy, false, NULL);
}
CUresult gn_cuMemcpy2DUnaligned_v2(struct gn_call *c, const CUDA_MEMCPY2D *pCopy)
{
    return rows(c, pCopy, false, NULL);
}
CUresult gn_cuMemcpy2DAsync_v2(struct gn_call *c, const CUDA_MEMCPY2D *pCopy, CUstream hStream)
{
    return rows(c, pCopy, true, hStream);
}
CUresult gn_cuMemcpy3D_v2(struct gn_call *c, const CUDA_MEMCPY3D *pCopy)
{
    return slices(c, pCopy, false, NULL);
}
CUresult gn_cuMemcpy3DAsync_v2(struct gn_call *c, const CUDA_MEMCPY3D *pCopy, CUstream hStream)
{
    return slices(c, pCopy, true, hStream);
}
CUresult gn_cuMemcpy3DPeer(struct gn_call *c, const CUDA_MEMCPY3D_PEER *pCopy)
{
    return peer_slices(c, pCopy, false, NULL);
}

CUresult gn_cuMemcpy3DPeerAsync(struct gn_call *c, const CUDA_MEMCPY3D_PEER *pCopy, CUstream hStream)
{
    return peer_slices(c, pCopy, true, hStream);
}
