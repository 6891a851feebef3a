// SPDX-License-Identifier: Apache-2.0
// Is a session that may have so many MiB of device memory (its argument) refused at the call that goes
// beyond, and free to go on below?
#include <stdio.h>
#include <stdlib.h>

#include "tests/e2e/e2e.h"

enum { MIB = 1 << 20, BLOCKS_MAX = 1000 };

int main(int argc, char **argv)
{
    unsigned limit_mib = argc > 1 ? (unsigned)atoi(argv[1]) : 0, count = 0;
    CUdeviceptr blocks[BLOCKS_MAX], block;
    CUresult r = CUDA_SUCCESS;
    size_t free_bytes, total_bytes;
    uint32_t got[256];
    e2e_open(0);
    CUfunction fill = e2e_kernel("fill");
    CU(cuMemGetInfo(&free_bytes, &total_bytes));
    EXPECT(total_bytes <= (size_t)limit_mib * MIB);
    while (count < BLOCKS_MAX && (r = cuMemAlloc(&blocks[count], MIB)) == CUDA_SUCCESS)
        count++;
    printf("%u blocks of 1 MiB\n", count);
    EXPECT(r == CUDA_ERROR_OUT_OF_MEMORY);
    EXPECT(count <= limit_mib && count + 2 >= limit_mib);
    for (unsigned round = 0; round < 20; round++) { // nothing leaks from a refusal
        EXPECT_CODE(CUDA_ERROR_OUT_OF_MEMORY, cuMemAlloc(&block, 2 * MIB));
        CU(cuMemFree(blocks[round]));
        CU(cuMemAlloc(&blocks[round], MIB));
    }
    e2e_fill(fill, NULL, blocks[0], 256, 8);
    CU(cuMemcpyDtoH(got, blocks[0], sizeof got));
    EXPECT(e2e_is_filled(got, 256, 8));
    for (unsigned i = 0; i < count; i++)
        CU(cuMemFree(blocks[i]));
    CU(cuMemAlloc(&block, (size_t)(limit_mib - 2) * MIB));
    CU(cuMemFree(block));
    return e2e_finish();
}
