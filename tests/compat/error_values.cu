// SPDX-License-Identifier: Apache-2.0
// Are wrong arguments refused with the right code at the call itself, without harm to later calls?
#include "compat.cuh"

__global__ void add_one(int *p)
{
    p[threadIdx.x]++;
}

int main()
{
    int *device = device_alloc<int>(32), host[32] = {}, count = 0, value = 0;
    cudaStream_t stream = nullptr;
    cudaEvent_t event = nullptr;
    void *p = nullptr;
    CHECK(cudaMemset(device, 0, 32 * sizeof(int)));
    CHECK(cudaGetDeviceCount(&count));

    EXPECT_ERROR(cudaMalloc((void **)nullptr, 16), cudaErrorInvalidValue);
    EXPECT_ERROR(cudaMallocHost((void **)nullptr, 16), cudaErrorInvalidValue);
    EXPECT_ERROR(cudaHostAlloc(&p, 16, 0xff00), cudaErrorInvalidValue);
    EXPECT_ERROR(cudaMemcpy(device, nullptr, 16, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
    EXPECT_ERROR(cudaMemcpy(nullptr, host, 16, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
    EXPECT_ERROR(cudaMemcpy(device, host, 16, (cudaMemcpyKind)77), cudaErrorInvalidMemcpyDirection);
    EXPECT_ERROR(cudaMemcpyAsync(nullptr, host, 16, cudaMemcpyHostToDevice, 0), cudaErrorInvalidValue);
    EXPECT_ERROR(cudaMemset(nullptr, 0, 16), cudaErrorInvalidValue);
    EXPECT_ERROR(cudaMemset(device, 0, (size_t)1 << 44), cudaErrorInvalidValue);
    EXPECT_ERROR(cudaSetDevice(count), cudaErrorInvalidDevice);
    EXPECT_ERROR(cudaSetDevice(-1), cudaErrorInvalidDevice);
    EXPECT_ERROR(cudaDeviceGetAttribute(&value, cudaDevAttrWarpSize, count + 5), cudaErrorInvalidDevice);
    EXPECT_ERROR(cudaDeviceGetAttribute(&value, (cudaDeviceAttr)100000, 0), cudaErrorInvalidValue);
    EXPECT_ERROR(cudaDeviceGetAttribute(nullptr, cudaDevAttrWarpSize, 0), cudaErrorInvalidValue);
    EXPECT_ERROR(cudaStreamCreateWithFlags(&stream, 0x80), cudaErrorInvalidValue);
    EXPECT_ERROR(cudaStreamCreate(nullptr), cudaErrorInvalidValue);
    EXPECT_ERROR(cudaEventCreateWithFlags(&event, 0x8000), cudaErrorInvalidValue);
    EXPECT_ERROR(cudaEventRecord(nullptr, 0), cudaErrorInvalidResourceHandle);
    EXPECT_ERROR(cudaEventSynchronize(nullptr), cudaErrorInvalidResourceHandle);
    EXPECT_ERROR(cudaStreamWaitEvent(0, nullptr, 0), cudaErrorInvalidResourceHandle);
    EXPECT_ERROR(cudaMallocPitch(&p, nullptr, 10, 10), cudaErrorInvalidValue);
    cudaError_t limit = cudaDeviceSetLimit((cudaLimit)99, 1);
    EXPECT(limit == cudaErrorUnsupportedLimit || limit == cudaErrorInvalidValue);

    // The last error is that of the last call which failed; a call that succeeds leaves it; reading it clears
    // it.
    EXPECT_ERROR(cudaMemset(nullptr, 0, 16), cudaErrorInvalidValue);
    CHECK(cudaDeviceSynchronize());
    EXPECT_ERROR(cudaGetLastError(), cudaErrorInvalidValue);
    EXPECT_ERROR(cudaGetLastError(), cudaSuccess);

    // Nothing of all this was done, and nothing is broken. Empty copies are fine whatever they point to.
    CHECK(cudaMemcpy(nullptr, nullptr, 0, cudaMemcpyDeviceToHost));
    CHECK(cudaMemset(device, 1, 0));
    add_one<<<1, 32>>>(device);
    CHECK(cudaMemcpy(host, device, sizeof(host), cudaMemcpyDeviceToHost));
    for (int v : host)
        EXPECT(v == 1);
    int current = -1;
    CHECK(cudaGetDevice(&current));
    EXPECT(current == 0);
    return finish("error_values");
}
