// SPDX-License-Identifier: Apache-2.0
// Does cudaLaunchKernelEx (configuration structure with attributes) launch like <<<>>>: stream, shared
// memory, the cooperative attribute, a priority; and does cudaLaunchKernelExC take the arguments as an array?
#include "compat.cuh"
#include <cooperative_groups.h>

__global__ void scale(const float *in, float *out, int n, float by)
{
    extern __shared__ float staged[];
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        staged[threadIdx.x] = in[i] * by;
    __syncthreads();
    if (i < n)
        out[i] = staged[threadIdx.x];
}

__global__ void two_phases(int *data, int n)
{
    cooperative_groups::grid_group grid = cooperative_groups::this_grid();
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        data[i] = i;
    grid.sync();
    int other = i < n ? data[n - 1 - i] : 0;
    grid.sync();
    if (i < n)
        data[i] = other * 2;
}

int main()
{
    int n = 500;
    float by = 0.5f;
    std::vector<float> in(n), want(n);
    for (int i = 0; i < n; i++) {
        in[i] = (float)i;
        want[i] = i * 0.5f;
    }
    const float *din = to_device(in);
    float *dout = device_alloc<float>(n);
    cudaStream_t stream;
    CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    CHECK(cudaDeviceSynchronize());

    cudaLaunchConfig_t config = {};
    cudaLaunchAttribute attributes[2] = {};
    config.gridDim = dim3((n + 63) / 64);
    config.blockDim = dim3(64);
    config.dynamicSmemBytes = 64 * sizeof(float);
    config.stream = stream;
    CHECK(cudaLaunchKernelEx(&config, scale, din, dout, n, by));
    CHECK(cudaStreamSynchronize(stream));
    expect_equal("plain", to_host(dout, n), want);

    attributes[0].id = cudaLaunchAttributePriority;
    attributes[0].val.priority = 0;
    config.attrs = attributes;
    config.numAttrs = 1;
    void *arguments[] = {&din, &dout, &n, &by};
    CHECK(cudaMemset(dout, 0, n * sizeof(float)));
    CHECK(cudaDeviceSynchronize());
    CHECK(cudaLaunchKernelExC(&config, (const void *)scale, arguments));
    CHECK(cudaStreamSynchronize(stream));
    expect_equal("array of arguments, priority", to_host(dout, n), want);

    int *data = device_alloc<int>(n);
    attributes[1].id = cudaLaunchAttributeCooperative;
    attributes[1].val.cooperative = 1;
    config.numAttrs = 2;
    config.dynamicSmemBytes = 0;
    config.gridDim = dim3((n + 127) / 128);
    config.blockDim = dim3(128);
    CHECK(cudaLaunchKernelEx(&config, two_phases, data, n));
    CHECK(cudaStreamSynchronize(stream));
    std::vector<int> got = to_host(data, n);
    for (int i = 0; i < n; i++)
        EXPECT(got[i] == (n - 1 - i) * 2);

    config.numAttrs = 0;
    config.blockDim = dim3(2000);
    EXPECT_ERROR(cudaLaunchKernelEx(&config, scale, din, dout, n, by), cudaErrorInvalidConfiguration);
    (void)cudaGetLastError();
    CHECK(cudaStreamDestroy(stream));
    return finish("launch_extended");
}
