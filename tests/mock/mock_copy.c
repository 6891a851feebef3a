// SPDX-License-Identifier: Apache-2.0
// Copies: checked at the call, done in stream order, with CUDA's rules on when host memory is read and written.
//
// Pinned memory is read and written when the stream gets there. Pageable memory is not the device's to touch later: a small source is taken
// into the operation before the call returns, a large one makes the call wait; a pageable destination always does.
#include "tests/mock/mock_copy.h"

#include <stdlib.h>
#include <string.h>

#include "api_mock.h"
#include "tests/mock/mock_arena.h"
#include "tests/mock/mock_limits.h"
#include "tests/mock/mock_print.h"
#include "tests/mock/mock_sched.h"
#include "tests/mock/mock_state.h"
#include "tests/mock/mock_stream.h"
#include "tests/mock/mock_time.h"
#include "tests/mock/mock_turn.h"

// A pageable source up to this size is taken along, so that the call returns at once; a driver's staging buffers are of this order. More
// would let a program queue up any amount of memory.
#define CAPTURE_BYTES_MAX ((size_t)1 << 20)

struct copy_op {
    struct mock_op op;
    struct mock_box dst, src;
    struct mock_extent extent;
    unsigned char captured[]; // rows without gaps
};

// --- boxes

// Bytes from the first to the last one of the box; false when that does not fit an address.
static bool box_reach(const struct mock_box *b, struct mock_extent e, size_t *reach)
{
    size_t rows, slices;
    if (__builtin_mul_overflow(e.height - 1, b->pitch, &rows) ||
        __builtin_mul_overflow(e.depth - 1, b->slice, &slices) || __builtin_add_overflow(rows, slices, reach) ||
        __builtin_add_overflow(*reach, e.width, reach))
        return false;
    return *reach <= UINT64_MAX - b->address;
}

CUresult mock_box_check(struct mock_box *b, struct mock_extent e, enum mock_expect expect)
{
    struct mock_memory_info info;
    size_t reach;
    if (!b->address || !box_reach(b, e, &reach))
        return CUDA_ERROR_INVALID_VALUE;
    b->device = -1;
    b->place = MOCK_PLACE_PAGEABLE;
    b->is_read_only = false;
    if (mock_memory_find_locked(b->address, &info)) {
        // Freed or never allocated device memory, or plain host memory where a device address is due.
        if (mock_memory_is_device(b->address) || expect == MOCK_EXPECT_DEVICE)
            return CUDA_ERROR_INVALID_VALUE;
        return CUDA_SUCCESS;
    }
    if (info.device < 0 && reach > info.size_bytes - (b->address - info.start)) {
        // Runs out of a pinned range: fine for the host, and then it is as good as pageable.
        return expect == MOCK_EXPECT_DEVICE ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
    }
    if (reach > info.size_bytes - (b->address - info.start))
        return CUDA_ERROR_INVALID_VALUE;
    if (info.flags & MOCK_MAPPED) { // a copy runs on the context's device or on the memory's
        unsigned access = mock_memory_access(&info, mock_context_here()->device) | mock_memory_access(&info, (unsigned)info.device);
        if (!access)
            return CUDA_ERROR_INVALID_VALUE;
        b->is_read_only = access != CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
    }
    b->device = info.device;
    b->place = info.device < 0 ? MOCK_PLACE_PINNED : MOCK_PLACE_DEVICE;
    return CUDA_SUCCESS;
}

// --- doing it

static void copy_rows(uint64_t dst, size_t dst_pitch, size_t dst_slice, uint64_t src, size_t src_pitch,
                      size_t src_slice, struct mock_extent e)
{
    for (size_t z = 0; z < e.depth && mock_time_moves(e.width * e.height * e.depth); z++)
        for (size_t y = 0; y < e.height; y++)
            memmove((void *)(uintptr_t)(dst + z * dst_slice + y * dst_pitch),
                    (const void *)(uintptr_t)(src + z * src_slice + y * src_pitch), e.width);
}

static CUresult run_copy(struct mock_op *op)
{
    struct copy_op *c = (struct copy_op *)op;
    struct mock_memory_info info;
    // Freeing waits for queued work, but what another context frees is its own affair: then the device would fault.
    if ((c->dst.place == MOCK_PLACE_DEVICE && mock_memory_find(c->dst.address, &info)) ||
        (c->src.place == MOCK_PLACE_DEVICE && mock_memory_find(c->src.address, &info)))
        return CUDA_ERROR_ILLEGAL_ADDRESS;
    copy_rows(c->dst.address, c->dst.pitch, c->dst.slice, c->src.address, c->src.pitch, c->src.slice, c->extent);
    return CUDA_SUCCESS;
}

// A whole box of contiguous rows is one row: no loop, and one memmove.
static void flatten(struct mock_box *dst, struct mock_box *src, struct mock_extent *e)
{
    if (e->height > 1 && dst->pitch == e->width && src->pitch == e->width &&
        (e->depth == 1 || (dst->slice == e->width * e->height && src->slice == e->width * e->height))) {
        e->width *= e->height * e->depth;
        e->height = e->depth = 1;
    }
}

// A small copy whose turn it is.
static CUresult copy_now(struct mock_turn *turn, const struct mock_box *dst, const struct mock_box *src, struct mock_extent e,
                         bool wait)
{
    struct mock_context *context = turn->stream->context;
    copy_rows(dst->address, dst->pitch, dst->slice, src->address, src->pitch, src->slice, e);
    mock_turn_end(turn, mock_time_copy(dst, src, e.width * e.height * e.depth));
    if (!wait)
        return CUDA_SUCCESS;
    mock_context_hold(context);
    CUresult r = mock_turn_wait(turn);
    mock_print_flush(context);
    mock_context_drop(context);
    return r;
}

static CUresult submit_copy(struct mock_stream *s, struct mock_box dst, struct mock_box src, struct mock_extent e, bool is_async)
{
    if (dst.is_read_only)
        return CUDA_ERROR_INVALID_VALUE;
    flatten(&dst, &src, &e);
    struct mock_turn turn;
    size_t bytes = e.width * e.height * e.depth;
    bool wait = dst.place == MOCK_PLACE_PAGEABLE ||
                (!is_async && !(dst.place == MOCK_PLACE_DEVICE && src.place == MOCK_PLACE_DEVICE)) ||
                (src.place == MOCK_PLACE_PAGEABLE && bytes > CAPTURE_BYTES_MAX);
    if (bytes <= mock_turn_bytes_max() && mock_turn_take(s, NULL, &turn))
        return copy_now(&turn, &dst, &src, e, wait);
    // A pageable source that cannot be read at once is taken along.
    bool takes = !wait && src.place == MOCK_PLACE_PAGEABLE, capture = takes && !mock_turn_is_due(s, NULL);
    struct copy_op *c = malloc(sizeof *c + (capture ? bytes : 0));
    if (!c)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *c = (struct copy_op){
        .op = {.lane = MOCK_LANE_WORK, .is_light = true, .run = run_copy, .release = mock_op_free,
               .duration_ns = mock_time_copy(&dst, &src, bytes)},
        .dst = dst, .src = src, .extent = e};
    if (capture) {
        uint64_t at = (uint64_t)(uintptr_t)c->captured;
        copy_rows(at, e.width, e.width * e.height, src.address, src.pitch, src.slice, e);
        c->src.address = at;
        c->src.pitch = e.width;
        c->src.slice = e.width * e.height;
    }
    if (!wait && (capture || !takes))
        return mock_submit(s, &c->op, NULL);
    struct mock_context *context = s->context;
    mock_context_hold(context);
    CUresult r = mock_submit_and_wait(s, &c->op, wait);
    if (wait)
        mock_print_flush(context);
    mock_context_drop(context);
    return r;
}

static CUresult copy_linear(uint64_t dst, enum mock_expect dst_expect, uint64_t src, enum mock_expect src_expect,
                            size_t bytes, CUstream stream, bool is_async)
{
    struct mock_stream *s;
    struct mock_extent e = {bytes, 1, 1};
    struct mock_box d = {.address = dst, .pitch = bytes, .slice = bytes}, f = d;
    f.address = src;
    CUresult r = mock_stream_resolve(stream, &s);
    if (r == CUDA_SUCCESS)
        r = s->context->error;
    if (r != CUDA_SUCCESS || !bytes)
        return r;
    r = mock_box_check(&d, e, dst_expect);
    if (r == CUDA_SUCCESS)
        r = mock_box_check(&f, e, src_expect);
    return r == CUDA_SUCCESS ? submit_copy(s, d, f, e, is_async) : r;
}

// --- linear copies. The synchronous ones run in the default stream of the call.

static uint64_t host(const void *p) { return (uint64_t)(uintptr_t)p; }

CUresult mock_cuMemcpy(CUdeviceptr dst, CUdeviceptr src, size_t ByteCount)
{
    return copy_linear(dst, MOCK_EXPECT_ANY, src, MOCK_EXPECT_ANY, ByteCount, NULL, false);
}

CUresult mock_cuMemcpyAsync(CUdeviceptr dst, CUdeviceptr src, size_t ByteCount, CUstream hStream)
{
    return copy_linear(dst, MOCK_EXPECT_ANY, src, MOCK_EXPECT_ANY, ByteCount, hStream, true);
}

CUresult mock_cuMemcpyDtoD_v2(CUdeviceptr dstDevice, CUdeviceptr srcDevice, size_t ByteCount)
{
    return copy_linear(dstDevice, MOCK_EXPECT_DEVICE, srcDevice, MOCK_EXPECT_DEVICE, ByteCount, NULL, false);
}

CUresult mock_cuMemcpyDtoDAsync_v2(CUdeviceptr dstDevice, CUdeviceptr srcDevice, size_t ByteCount, CUstream hStream)
{
    return copy_linear(dstDevice, MOCK_EXPECT_DEVICE, srcDevice, MOCK_EXPECT_DEVICE, ByteCount, hStream, true);
}

CUresult mock_cuMemcpyDtoH_v2(void *dstHost, CUdeviceptr srcDevice, size_t ByteCount)
{
    return copy_linear(host(dstHost), MOCK_EXPECT_HOST, srcDevice, MOCK_EXPECT_DEVICE, ByteCount, NULL, false);
}

CUresult mock_cuMemcpyDtoHAsync_v2(void *dstHost, CUdeviceptr srcDevice, size_t ByteCount, CUstream hStream)
{
    return copy_linear(host(dstHost), MOCK_EXPECT_HOST, srcDevice, MOCK_EXPECT_DEVICE, ByteCount, hStream, true);
}

CUresult mock_cuMemcpyHtoD_v2(CUdeviceptr dstDevice, const void *srcHost, size_t ByteCount)
{
    return copy_linear(dstDevice, MOCK_EXPECT_DEVICE, host(srcHost), MOCK_EXPECT_HOST, ByteCount, NULL, false);
}

CUresult mock_cuMemcpyHtoDAsync_v2(CUdeviceptr dstDevice, const void *srcHost, size_t ByteCount, CUstream hStream)
{
    return copy_linear(dstDevice, MOCK_EXPECT_DEVICE, host(srcHost), MOCK_EXPECT_HOST, ByteCount, hStream, true);
}

static CUresult peers(CUcontext dst, CUcontext src)
{
    const struct mock_context *d = mock_context_get(dst), *s = mock_context_get(src);
    return d && s && mock_context_is_usable(d) && mock_context_is_usable(s) ? CUDA_SUCCESS
                                                                            : CUDA_ERROR_INVALID_CONTEXT;
}

// A synchronous copy between contexts is in order with all that is queued in both of them, before it and after it.
static void settle(CUcontext handle)
{
    struct mock_context *c = mock_context_get(handle);
    if (c)
        mock_context_wait(c);
}

static CUresult settled(CUresult copied)
{
    if (copied == CUDA_SUCCESS)
        mock_context_wait(mock_context_here());
    return copied;
}

CUresult mock_cuMemcpyPeer(CUdeviceptr dstDevice, CUcontext dstContext, CUdeviceptr srcDevice, CUcontext srcContext,
                           size_t ByteCount)
{
    CUresult r = peers(dstContext, srcContext);
    if (r != CUDA_SUCCESS)
        return r;
    settle(srcContext);
    settle(dstContext);
    return settled(mock_cuMemcpyDtoD_v2(dstDevice, srcDevice, ByteCount));
}

CUresult mock_cuMemcpyPeerAsync(CUdeviceptr dstDevice, CUcontext dstContext, CUdeviceptr srcDevice,
                                CUcontext srcContext, size_t ByteCount, CUstream hStream)
{
    CUresult r = peers(dstContext, srcContext);
    return r == CUDA_SUCCESS ? mock_cuMemcpyDtoDAsync_v2(dstDevice, srcDevice, ByteCount, hStream) : r;
}

// --- 2D and 3D copies: all become the 3D form with contexts, whose fields are a superset

static CUresult side(struct mock_box *box, struct mock_extent e, CUmemorytype type, const void *host_at,
                     CUdeviceptr device_at, size_t x, size_t y, size_t z, size_t pitch, size_t rows)
{
    size_t slice, slices, rows_before, skip;
    if (type < CU_MEMORYTYPE_HOST || type > CU_MEMORYTYPE_UNIFIED || type == CU_MEMORYTYPE_ARRAY) // the mock makes no arrays
        return CUDA_ERROR_INVALID_VALUE;
    if (pitch > MOCK_PITCH_MAX) // also of one row, where it is not used
        return CUDA_ERROR_INVALID_VALUE;
    if (!pitch && e.height == 1 && e.depth == 1)
        pitch = x + e.width;
    if (!rows && e.depth == 1)
        rows = y + e.height;
    if (x > SIZE_MAX - e.width || pitch < x + e.width || y > SIZE_MAX - e.height || (e.depth > 1 && rows < y + e.height))
        return CUDA_ERROR_INVALID_VALUE;
    box->address = type == CU_MEMORYTYPE_HOST ? host(host_at) : device_at;
    if (!box->address || __builtin_mul_overflow(pitch, rows, &slice) || __builtin_mul_overflow(z, slice, &slices) ||
        __builtin_mul_overflow(y, pitch, &rows_before) || __builtin_add_overflow(rows_before, slices, &skip) ||
        __builtin_add_overflow(skip, x, &skip) || __builtin_add_overflow(box->address, skip, &box->address))
        return CUDA_ERROR_INVALID_VALUE;
    box->pitch = pitch;
    box->slice = slice;
    return mock_box_check(box, e, type == CU_MEMORYTYPE_HOST     ? MOCK_EXPECT_HOST
                                  : type == CU_MEMORYTYPE_DEVICE ? MOCK_EXPECT_DEVICE
                                                                 : MOCK_EXPECT_ANY);
}

static CUresult copy_box(const CUDA_MEMCPY3D_PEER *p, CUstream stream, bool is_async)
{
    struct mock_extent e = {p->WidthInBytes, p->Height, p->Depth};
    struct mock_box dst, src;
    struct mock_stream *s;
    CUresult r = mock_stream_resolve(stream, &s);
    if (r == CUDA_SUCCESS)
        r = s->context->error;
    if (r != CUDA_SUCCESS || !e.width || !e.height || !e.depth)
        return r;
    r = side(&src, e, p->srcMemoryType, p->srcHost, p->srcDevice, p->srcXInBytes, p->srcY, p->srcZ, p->srcPitch,
             p->srcHeight);
    if (r == CUDA_SUCCESS)
        r = side(&dst, e, p->dstMemoryType, p->dstHost, p->dstDevice, p->dstXInBytes, p->dstY, p->dstZ, p->dstPitch,
                 p->dstHeight);
    return r == CUDA_SUCCESS ? submit_copy(s, dst, src, e, is_async) : r;
}

static CUresult copy_2d(const CUDA_MEMCPY2D *p, CUstream stream, bool is_async)
{
    if (!p)
        return CUDA_ERROR_INVALID_VALUE;
    CUDA_MEMCPY3D_PEER b = {
        .srcXInBytes = p->srcXInBytes, .srcY = p->srcY, .srcMemoryType = p->srcMemoryType, .srcHost = p->srcHost,
        .srcDevice = p->srcDevice, .srcArray = p->srcArray, .srcPitch = p->srcPitch,
        .dstXInBytes = p->dstXInBytes, .dstY = p->dstY, .dstMemoryType = p->dstMemoryType, .dstHost = p->dstHost,
        .dstDevice = p->dstDevice, .dstArray = p->dstArray, .dstPitch = p->dstPitch,
        .WidthInBytes = p->WidthInBytes, .Height = p->Height, .Depth = 1};
    return copy_box(&b, stream, is_async);
}

static CUresult copy_3d(const CUDA_MEMCPY3D *p, CUstream stream, bool is_async)
{
    // The two structures differ only in what the reserved words mean.
    _Static_assert(sizeof(CUDA_MEMCPY3D) == sizeof(CUDA_MEMCPY3D_PEER), "the same layout");
    CUDA_MEMCPY3D_PEER b;
    if (!p || p->srcLOD || p->dstLOD)
        return CUDA_ERROR_INVALID_VALUE;
    memcpy(&b, p, sizeof b);
    return copy_box(&b, stream, is_async);
}

static CUresult copy_3d_peer(const CUDA_MEMCPY3D_PEER *p, CUstream stream, bool is_async)
{
    if (!p || p->srcLOD || p->dstLOD)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult r = peers(p->dstContext, p->srcContext);
    if (r != CUDA_SUCCESS || is_async)
        return r == CUDA_SUCCESS ? copy_box(p, stream, true) : r;
    settle(p->srcContext);
    settle(p->dstContext);
    return settled(copy_box(p, stream, false));
}

CUresult mock_cuMemcpy2D_v2(const CUDA_MEMCPY2D *pCopy) { return copy_2d(pCopy, NULL, false); }

CUresult mock_cuMemcpy2DUnaligned_v2(const CUDA_MEMCPY2D *pCopy) { return copy_2d(pCopy, NULL, false); }

CUresult mock_cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D *pCopy, CUstream hStream)
{
    return copy_2d(pCopy, hStream, true);
}

CUresult mock_cuMemcpy3D_v2(const CUDA_MEMCPY3D *pCopy) { return copy_3d(pCopy, NULL, false); }

CUresult mock_cuMemcpy3DAsync_v2(const CUDA_MEMCPY3D *pCopy, CUstream hStream)
{
    return copy_3d(pCopy, hStream, true);
}

CUresult mock_cuMemcpy3DPeer(const CUDA_MEMCPY3D_PEER *pCopy) { return copy_3d_peer(pCopy, NULL, false); }

CUresult mock_cuMemcpy3DPeerAsync(const CUDA_MEMCPY3D_PEER *pCopy, CUstream hStream)
{
    return copy_3d_peer(pCopy, hStream, true);
}
