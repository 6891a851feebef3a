// SPDX-License-Identifier: Apache-2.0
// Error cases: copies of one, two and three dimensions, and fills.
#include "tests/errors/table.h"

static void lines(struct table *t)
{
    struct fixture *f = &t->f;
    section(t, "Copies", A_CONTEXT, 0);
    CASE("to the device, beyond the end", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemcpyHtoD: returns",
         cuMemcpyHtoD(f->memory, f->host, MEMORY_BYTES + 1));
    CASE("to the device, over the end", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemcpyHtoD: returns",
         cuMemcpyHtoD(f->memory + 1, f->host, MEMORY_BYTES));
    CASE("to the device, from before the start", CUDA_ERROR_INVALID_VALUE, AT_CALL, ASSUMED, "", cuMemcpyHtoD(f->memory - 1, f->host, 8));
    CASE("to the device, so many bytes that the end wraps", CUDA_ERROR_INVALID_VALUE, AT_CALL, ASSUMED, "",
         cuMemcpyHtoD(f->memory, f->host, SIZE_MAX - 64));
    CASE("to the device, from NULL", CUDA_ERROR_INVALID_VALUE, AT_CALL, REPORTED, "lupine#432, driver 590.48",
         cuMemcpyHtoD(f->memory, NULL, 16));
    CASE("to address 0", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemcpyHtoD: returns", cuMemcpyHtoD(0, f->host, 4));
    CASE("to freed memory", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemcpyHtoD: returns", cuMemcpyHtoD(f->freed, f->host, 4));
    CASE("to an address of nothing", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemcpyHtoD: returns",
         cuMemcpyHtoD(0x5000, f->host, 4));
    CASE("to pageable memory as the device's", CUDA_ERROR_INVALID_VALUE, AT_CALL, ASSUMED, "",
         cuMemcpyHtoD((CUdeviceptr)(uintptr_t)f->host, f->host + 64, 4));
    CASE("to the host, beyond the end", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemcpyDtoH: returns",
         cuMemcpyDtoH(f->host, f->memory, MEMORY_BYTES + 1));
    CASE("to the host, over the end", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemcpyDtoH: returns",
         cuMemcpyDtoH(f->host, f->memory + MEMORY_BYTES - 4, 8));
    CASE("to the host, into NULL", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemcpyDtoH: returns", cuMemcpyDtoH(NULL, f->memory, 4));
    CASE("to the host, from freed memory", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemcpyDtoH: returns",
         cuMemcpyDtoH(f->host, f->freed, 4));
    CASE("on the device, beyond the source's end", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemcpyDtoD: returns",
         cuMemcpyDtoD(f->memory, f->their_memory + 8, MEMORY_BYTES));
    CASE("on the device, beyond the destination's end", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemcpyDtoD: returns",
         cuMemcpyDtoD(f->memory + 8, f->their_memory, MEMORY_BYTES));
    CASE("of addresses, beyond the end", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemcpy: returns",
         cuMemcpy(f->memory, (CUdeviceptr)(uintptr_t)f->host, MEMORY_BYTES + 1));
    CASE("asynchronous, to the device, beyond the end", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemcpyHtoDAsync: returns",
         cuMemcpyHtoDAsync(f->memory, f->host, MEMORY_BYTES + 1, f->stream));
    CASE("asynchronous, pinned, beyond the device's end", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemcpyHtoDAsync: returns",
         cuMemcpyHtoDAsync(f->memory + MEMORY_BYTES - 8, f->pinned, 16, f->stream));
    CASE("asynchronous, to the host, beyond the end", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemcpyDtoHAsync: returns",
         cuMemcpyDtoHAsync(f->host, f->memory, MEMORY_BYTES + 1, f->stream));
    CASE("asynchronous, to pinned memory beyond the device's end", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemcpyDtoHAsync: returns",
         cuMemcpyDtoHAsync(f->pinned, f->memory + MEMORY_BYTES - 8, 16, f->stream));
    CASE("asynchronous, on the device, beyond the end", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemcpyDtoDAsync: returns",
         cuMemcpyDtoDAsync(f->memory, f->memory + 8, MEMORY_BYTES, f->stream));
    CASE("asynchronous, of addresses, from NULL", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemcpyAsync: returns",
         cuMemcpyAsync(f->memory, 0, 16, f->stream));
    CASE("no bytes, from NULL", CUDA_SUCCESS, AT_CALL, REPORTED, "lupine#432, driver 590.48", cuMemcpyHtoD(f->memory, NULL, 0));
    CASE("no bytes to the host", CUDA_SUCCESS, AT_CALL, ASSUMED, "", cuMemcpyDtoH(NULL, f->memory, 0));
    CASE("to another context's memory", CUDA_SUCCESS, AT_CALL, DOCUMENTED, "Unified Addressing", cuMemcpyHtoD(f->their_memory, f->host, 16));
    CASE("in another context's stream", CUDA_SUCCESS, AT_CALL, ASSUMED, "", cuMemcpyHtoDAsync(f->memory, f->host, 16, f->their_stream));
    section(t, "Copies between destroyed contexts", A_CONTEXT, UNDEFINED);
    CASE("to one", CUDA_ERROR_INVALID_CONTEXT, AT_CALL, ASSUMED, "", cuMemcpyPeer(f->memory, f->dead_context, f->memory + 64, f->context, 16));
    CASE("from one", CUDA_ERROR_INVALID_CONTEXT, AT_CALL, ASSUMED, "", cuMemcpyPeer(f->memory, f->context, f->memory + 64, f->dead_context, 16));
}

static CUDA_MEMCPY2D plane(struct fixture *f)
{
    return (CUDA_MEMCPY2D){.srcMemoryType = CU_MEMORYTYPE_HOST,
                           .srcHost = f->host,
                           .srcPitch = 64,
                           .dstMemoryType = CU_MEMORYTYPE_DEVICE,
                           .dstDevice = f->memory,
                           .dstPitch = 64,
                           .WidthInBytes = 64,
                           .Height = MEMORY_BYTES / 64};
}
// One field of the plane is another.
#define PLANE(field, value) (c = plane(f), c.field = (value), cuMemcpy2D(&c))

static void planes(struct table *t)
{
    struct fixture *f = &t->f;
    CUDA_MEMCPY2D c;
    section(t, "Copies of two dimensions", A_CONTEXT, 0);
    CASE("nothing said", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemcpy2D: returns", cuMemcpy2D(NULL));
    CASE("wider than the source's pitch", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemcpy2D", PLANE(srcPitch, 63));
    CASE("wider than the destination's pitch", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemcpy2D", PLANE(dstPitch, 63));
    CASE("beginning within the source's row, and over its end", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemcpy2D",
         PLANE(srcXInBytes, 1));
    CASE("beginning within the destination's row, and over its end", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemcpy2D",
         PLANE(dstXInBytes, 1));
    CASE("more rows than the destination has", CUDA_ERROR_INVALID_VALUE, AT_CALL, REPORTED, "hip-tests, on NVIDIA",
         PLANE(Height, MEMORY_BYTES / 64 + 1));
    CASE("beginning at a later row, and over the end", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemcpy2D: returns", PLANE(dstY, 1));
    CASE("a pitch that no device has", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemcpy2D", PLANE(dstPitch, (size_t)1 << 40));
    CASE("the same, of one row", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemcpy2D: any pitch",
         (c = plane(f), c.Height = 1, c.dstPitch = (size_t)1 << 40, cuMemcpy2D(&c)));
    CASE("so many rows that the end wraps", CUDA_ERROR_INVALID_VALUE, AT_CALL, ASSUMED, "", PLANE(Height, SIZE_MAX / 32));
    CASE("an unknown kind of source", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemcpy2D: returns",
         PLANE(srcMemoryType, (CUmemorytype)77));
    CASE("no kind of destination", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemcpy2D: returns", PLANE(dstMemoryType, (CUmemorytype)0));
    CASE("from no array", CUDA_ERROR_INVALID_VALUE, AT_CALL, REPORTED, "hip-tests, on NVIDIA", PLANE(srcMemoryType, CU_MEMORYTYPE_ARRAY));
    CASE("from NULL", CUDA_ERROR_INVALID_VALUE, AT_CALL, REPORTED, "hip-tests, on NVIDIA", PLANE(srcHost, NULL));
    CASE("to address 0", CUDA_ERROR_INVALID_VALUE, AT_CALL, REPORTED, "hip-tests, on NVIDIA", PLANE(dstDevice, 0));
    CASE("to freed memory", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemcpy2D: returns", PLANE(dstDevice, f->freed));
    CASE("asynchronous, wider than the pitch", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemcpy2DAsync",
         (c = plane(f), c.srcPitch = 63, cuMemcpy2DAsync(&c, f->stream)));
    CASE("unaligned, wider than the pitch", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemcpy2DUnaligned",
         (c = plane(f), c.srcPitch = 63, cuMemcpy2DUnaligned(&c)));
    CASE("rows of no bytes", CUDA_SUCCESS, AT_CALL, REPORTED, "hip-tests, on NVIDIA", PLANE(WidthInBytes, 0));
    CASE("no rows", CUDA_SUCCESS, AT_CALL, REPORTED, "hip-tests, on NVIDIA", PLANE(Height, 0));
}

static CUDA_MEMCPY3D box(struct fixture *f)
{
    return (CUDA_MEMCPY3D){.srcMemoryType = CU_MEMORYTYPE_HOST,
                           .srcHost = f->host,
                           .srcPitch = 64,
                           .srcHeight = 8,
                           .dstMemoryType = CU_MEMORYTYPE_DEVICE,
                           .dstDevice = f->memory,
                           .dstPitch = 64,
                           .dstHeight = 8,
                           .WidthInBytes = 64,
                           .Height = 8,
                           .Depth = 8};
}
#define BOX(field, value) (c = box(f), c.field = (value), cuMemcpy3D(&c))

static void boxes(struct table *t)
{
    struct fixture *f = &t->f;
    CUDA_MEMCPY3D c;
    CUDA_MEMCPY3D_PEER p;
    section(t, "Copies of three dimensions", A_CONTEXT, 0);
    CASE("nothing said", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemcpy3D: returns", cuMemcpy3D(NULL));
    CASE("wider than the source's pitch", CUDA_ERROR_INVALID_VALUE, AT_CALL, REPORTED, "hip-tests, on NVIDIA", BOX(srcPitch, 63));
    CASE("wider than the destination's pitch", CUDA_ERROR_INVALID_VALUE, AT_CALL, REPORTED, "hip-tests, on NVIDIA", BOX(dstPitch, 63));
    CASE("more rows than the source's slices have", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemcpy3D", BOX(srcHeight, 7));
    CASE("more rows than the destination's slices have", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemcpy3D", BOX(dstHeight, 7));
    CASE("beginning at a later row, and over the slice's end", CUDA_ERROR_INVALID_VALUE, AT_CALL, REPORTED, "hip-tests, on NVIDIA", BOX(srcY, 1));
    CASE("more slices than there are", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemcpy3D: returns", BOX(Depth, 9));
    CASE("beginning at a later slice, and over the end", CUDA_ERROR_INVALID_VALUE, AT_CALL, REPORTED, "hip-tests, on NVIDIA", BOX(dstZ, 1));
    CASE("beginning within the row, and over its end", CUDA_ERROR_INVALID_VALUE, AT_CALL, REPORTED, "hip-tests, on NVIDIA", BOX(srcXInBytes, 1));
    CASE("a pitch that reaches beyond", CUDA_ERROR_INVALID_VALUE, AT_CALL, REPORTED, "hip-tests, on NVIDIA", BOX(dstPitch, 0x7fffffff));
    CASE("a level of detail", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemcpy3D", BOX(srcLOD, 1));
    CASE("so many slices that the end wraps", CUDA_ERROR_INVALID_VALUE, AT_CALL, ASSUMED, "", BOX(Depth, SIZE_MAX / 256));
    CASE("from NULL", CUDA_ERROR_INVALID_VALUE, AT_CALL, REPORTED, "hip-tests, on NVIDIA", BOX(srcHost, NULL));
    CASE("asynchronous, more slices than there are", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemcpy3DAsync: returns",
         (c = box(f), c.Depth = 9, cuMemcpy3DAsync(&c, f->stream)));
    CASE("between devices, nothing said", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemcpy3DPeer: returns", cuMemcpy3DPeer(NULL));
    CASE("between devices, no kinds of memory", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemcpy3DPeer: returns",
         (p = (CUDA_MEMCPY3D_PEER){.WidthInBytes = 1, .Height = 1, .Depth = 1, .srcContext = f->context, .dstContext = f->context},
          cuMemcpy3DPeer(&p)));
    CASE("no slices", CUDA_SUCCESS, AT_CALL, REPORTED, "hip-tests, on NVIDIA", BOX(Depth, 0));
}

static void fills(struct table *t)
{
    struct fixture *f = &t->f;
    section(t, "Fills", A_CONTEXT, 0);
    CASE("beyond the end", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemsetD8: returns", cuMemsetD8(f->memory, 1, MEMORY_BYTES + 1));
    CASE("words beyond the end", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemsetD32: returns",
         cuMemsetD32(f->memory, 1, MEMORY_BYTES / 4 + 1));
    CASE("so many words that the end wraps", CUDA_ERROR_INVALID_VALUE, AT_CALL, ASSUMED, "", cuMemsetD32(f->memory, 1, SIZE_MAX / 2 + 2));
    CASE("16 bits at an odd address", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemsetD16: returns", cuMemsetD16(f->memory + 1, 1, 4));
    CASE("32 bits at half a word", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemsetD32: returns", cuMemsetD32(f->memory + 2, 1, 4));
    CASE("address 0", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemsetD8: returns", cuMemsetD8(0, 1, 4));
    CASE("freed memory", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemsetD8: returns", cuMemsetD8(f->freed, 1, 4));
    CASE("pageable memory", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemsetD8: returns",
         cuMemsetD8((CUdeviceptr)(uintptr_t)f->host, 1, 4));
    CASE("rows wider than the pitch", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemsetD2D8: returns",
         cuMemsetD2D8(f->memory, 64, 1, 65, 2));
    CASE("more rows than there are", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemsetD2D8: returns",
         cuMemsetD2D8(f->memory, 64, 1, 64, MEMORY_BYTES / 64 + 1));
    CASE("16 bits and an odd pitch", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemsetD2D16: returns",
         cuMemsetD2D16(f->memory, 65, 1, 2, 2));
    CASE("32 bits and a pitch of half words", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemsetD2D32: returns",
         cuMemsetD2D32(f->memory, 66, 1, 2, 2));
    CASE("asynchronous, beyond the end", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemsetD8Async: returns",
         cuMemsetD8Async(f->memory, 1, MEMORY_BYTES + 1, f->stream));
    CASE("asynchronous words beyond the end", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemsetD32Async: returns",
         cuMemsetD32Async(f->memory, 1, MEMORY_BYTES / 4 + 1, f->stream));
    CASE("asynchronous, at an odd address", CUDA_ERROR_INVALID_VALUE, AT_CALL, DOCUMENTED, "cuMemsetD16Async: returns",
         cuMemsetD16Async(f->memory + 1, 1, 4, f->stream));
    CASE("no bytes", CUDA_SUCCESS, AT_CALL, ASSUMED, "", cuMemsetD8(f->memory, 1, 0));
    CASE("no rows", CUDA_SUCCESS, AT_CALL, ASSUMED, "", cuMemsetD2D8(f->memory, 64, 1, 64, 0));
}

void cases_copy(struct table *t)
{
    lines(t);
    planes(t);
    boxes(t);
    fills(t);
}
