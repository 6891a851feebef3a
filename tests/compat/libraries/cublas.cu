// SPDX-License-Identifier: Apache-2.0
// Does cuBLAS start, take calls and end? Its kernels are machine code, which the mock device counts and does not run (GENIE_MOCK=sass=skip), so
// only the calls are looked at, not what they compute.
#include <cstdio>
#include <cublas_v2.h>
#include <vector>

static int bad;

#define SAY(call) say(#call, (int)(call))
static void say(const char *call, int status)
{
    printf("%s: %d\n", call, status);
    bad += status != 0;
}

int main()
{
    const int n = 64;
    const float one = 1, zero = 0;
    std::vector<float> host(n * n, 1.f);
    float *a, *b, *c;
    cublasHandle_t handle;
    cudaStream_t stream;
    int version;
    SAY(cublasCreate(&handle));
    if (bad)
        return 1;
    SAY(cudaMalloc(&a, n * n * sizeof *a));
    SAY(cudaMalloc(&b, n * n * sizeof *b));
    SAY(cudaMalloc(&c, n * n * sizeof *c));
    SAY(cublasSetMatrix(n, n, sizeof *a, host.data(), n, a, n));
    SAY(cudaStreamCreate(&stream));
    SAY(cublasSetStream(handle, stream));
    SAY(cublasGetVersion(handle, &version));
    SAY(cublasSscal(handle, n, &one, a, 1));
    SAY(cublasSaxpy(handle, n, &one, a, 1, b, 1));
    SAY(cublasSgemv(handle, CUBLAS_OP_N, n, n, &one, a, n, b, 1, &zero, c, 1));
    SAY(cublasSgemm(handle, CUBLAS_OP_N, CUBLAS_OP_N, n, n, n, &one, a, n, b, n, &zero, c, n));
    SAY(cublasSgeam(handle, CUBLAS_OP_N, CUBLAS_OP_T, n, n, &one, a, n, &zero, b, n, c, n));
    SAY(cublasStrsm(handle, CUBLAS_SIDE_LEFT, CUBLAS_FILL_MODE_LOWER, CUBLAS_OP_N, CUBLAS_DIAG_UNIT, n, n, &one, a, n, b, n));
    SAY(cudaDeviceSynchronize());
    SAY(cublasGetMatrix(n, n, sizeof *a, a, n, host.data(), n));
    printf("%g\n", host[n + 1]); // what was set: nothing here computes
    SAY(cublasDestroy(handle));
    return bad != 0;
}
