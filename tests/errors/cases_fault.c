// SPDX-License-Identifier: Apache-2.0
// Error cases: the driver itself fails a call that is posted through Genie. run.sh tells the mock to fail the first call of each of these names
// (a copy or a fill has another name at the server), with the code of its row.
#include "tests/errors/table.h"

void cases_fault(struct table *t)
{
    struct fixture *f = &t->f;
    section(t, "The driver fails a call", A_FAULT, ALONE);
    CASE("a launch", CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, WHENEVER, DOCUMENTED, "cuLaunchKernel: returns", launch(f, f->nothing, f->stream));
    CASE("a fill", CUDA_ERROR_OUT_OF_MEMORY, WHENEVER, ASSUMED, "", cuMemsetD8(f->memory, 1, 16));
    CASE("an asynchronous fill", CUDA_ERROR_OUT_OF_MEMORY, WHENEVER, ASSUMED, "", cuMemsetD32Async(f->memory, 1, 4, f->stream));
    CASE("a copy to the device", CUDA_ERROR_OUT_OF_MEMORY, WHENEVER, ASSUMED, "", cuMemcpyHtoD(f->memory, f->host, 16));
    CASE("a copy from pinned memory", CUDA_ERROR_OUT_OF_MEMORY, WHENEVER, ASSUMED, "", cuMemcpyHtoDAsync(f->memory, f->pinned, 16, f->stream));
    CASE("a copy on the device", CUDA_ERROR_OUT_OF_MEMORY, WHENEVER, ASSUMED, "", cuMemcpyDtoD(f->memory, f->memory + 64, 16));
    CASE("a value written", CUDA_ERROR_OUT_OF_MEMORY, WHENEVER, ASSUMED, "", cuStreamWriteValue32(f->stream, f->memory, 1, 0));
    CASE("a cache configuration", CUDA_ERROR_OUT_OF_MEMORY, WHENEVER, ASSUMED, "", cuCtxSetCacheConfig(CU_FUNC_CACHE_PREFER_L1));
}
