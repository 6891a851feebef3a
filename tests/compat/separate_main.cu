// SPDX-License-Identifier: Apache-2.0
// Does separable compilation work: kernels here that call functions, read variables and follow function
// pointers of another file, joined by the device linker? (PTX only, so that the driver links and compiles for
// its own device.)
// nvcc: -rdc=true -gencode arch=compute_75,code=compute_75
// with: separate_other.cu
#include "compat.cuh"
#include "separate.cuh"

__global__ void here(const float *in, float *out, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        out[i] = other_function(in[i]) + other_table[i % 4] + other_constant;
}

__global__ void through_pointer(const float *in, float *out, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        out[i] = other_pointer(in[i]);
}

static __device__ float step = 5;
static __device__ __noinline__ float advance(float v)
{
    return v - step;
}

__global__ void own(float *data, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        data[i] = advance(data[i]);
}

int main()
{
    const int n = 300;
    std::vector<float> in(n), want(n);
    for (int i = 0; i < n; i++) {
        in[i] = (float)i;
        want[i] = i * 2.0f + 1 + (i % 4 + 1) * 10 + 0.5f;
    }
    float *din = to_device(in), *dout = device_alloc<float>(n);
    here<<<(n + 63) / 64, 64>>>(din, dout, n);
    CHECK(cudaGetLastError());
    expect_equal("function of the other file", to_host(dout, n), want);

    const float table[4] = {0, 0, 0, 100};
    CHECK(cudaMemcpyToSymbol(other_table, table, sizeof(table)));
    here<<<(n + 63) / 64, 64>>>(din, dout, n);
    for (int i = 0; i < n; i++)
        want[i] = i * 2.0f + 1 + table[i % 4] + 0.5f;
    expect_equal("variable of the other file", to_host(dout, n), want);

    through_pointer<<<(n + 63) / 64, 64>>>(din, dout, n);
    for (int i = 0; i < n; i++)
        want[i] = (float)(i * i);
    expect_equal("pointer of the other file", to_host(dout, n), want);

    run_other_kernel(dout, n); // launched by the other file's host code
    for (int i = 0; i < n; i++)
        want[i] = (want[i] + 1) * 3;
    expect_equal("kernels of the other file", to_host(dout, n), want);

    own<<<(n + 63) / 64, 64>>>(dout, n);
    merged_kernel<<<(n + 63) / 64, 64>>>(dout, n);
    for (int i = 0; i < n; i++)
        want[i] = (want[i] - 5) * 3;
    expect_equal("names that both files have", to_host(dout, n), want);
    return finish("separate_main");
}
