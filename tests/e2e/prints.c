// SPDX-License-Identifier: Apache-2.0
// Does what kernels print reach the program's stdout whole, and in order with what the program prints itself?
#include <stdio.h>

#include "tests/e2e/e2e.h"

int main(void)
{
    e2e_open(0);
    CUfunction say = e2e_kernel("say"), say_much = e2e_kernel("say_much");
    CUdeviceptr value = e2e_alloc(4);
    CUstream stream;
    CU(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    for (int round = 0; round < 40; round++) {
        void *parameters[] = {&round, &value};
        printf("program, round %d\n", round);
        fflush(stdout);
        CU(cuMemsetD32Async(value, (unsigned)round * 7, 1, stream));
        CU(cuLaunchKernel(say, 1, 1, 1, 1, 1, 1, 0, stream, parameters, NULL));
        if (round % 3)
            CU(cuStreamSynchronize(stream)); // what was printed is out when a call that waits returns
        else
            CU(cuCtxSynchronize());
    }
    int lines = 3000; // some 200 KB: more than one message carries
    void *parameters[] = {&lines};
    CU(cuLaunchKernel(say_much, 1, 1, 1, 1, 1, 1, 0, stream, parameters, NULL));
    CU(cuStreamSynchronize(stream));
    printf("program, at the end\n");
    CU(cuMemFree(value));
    return e2e_finish();
}
