// SPDX-License-Identifier: Apache-2.0
// Do pinned, registered, write-combined and pageable host memory all copy right, synchronously and not, at
// odd offsets; is a pageable source free to change once the call is back; are double registration and wrong
// frees refused?
#include "compat.cuh"

__global__ void negate(int *data, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        data[i] = ~data[i];
}

static void round_trip(const char *name, char *memory, size_t offset, cudaStream_t stream)
{
    const int n = 10000;
    int *host = reinterpret_cast<int *>(memory + offset), *device = device_alloc<int>(n);
    for (int i = 0; i < n; i++)
        host[i] = i * 5 - 7;
    CHECK(cudaMemcpyAsync(device, host, n * sizeof(int), cudaMemcpyDefault, stream));
    negate<<<(n + 127) / 128, 128, 0, stream>>>(device, n);
    CHECK(cudaMemcpyAsync(host, device, n * sizeof(int), cudaMemcpyDefault, stream));
    CHECK(cudaStreamSynchronize(stream));
    int wrong = 0;
    for (int i = 0; i < n; i++)
        wrong += host[i] != ~(i * 5 - 7);
    if (wrong)
        printf("%s: %d wrong\n", name, wrong);
    EXPECT(wrong == 0);
    CHECK(cudaFree(device));
}

int main()
{
    const size_t size = 64 * 1024;
    cudaStream_t stream;
    char *pinned = nullptr, *combined = nullptr, *portable = nullptr;
    std::vector<char> pageable(size), registered(size);

    CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    CHECK(cudaMallocHost(&pinned, size));
    CHECK(cudaHostAlloc(&combined, size, cudaHostAllocWriteCombined));
    CHECK(cudaHostAlloc(&portable, size, cudaHostAllocPortable));
    CHECK(cudaHostRegister(registered.data(), size, cudaHostRegisterPortable));
    for (size_t offset : {(size_t)0, (size_t)4, (size_t)4100}) {
        round_trip("pinned", pinned, offset, stream);
        round_trip("write-combined", combined, offset, stream);
        round_trip("portable", portable, offset, stream);
        round_trip("registered", registered.data(), offset, stream);
        round_trip("pageable", pageable.data(), offset, stream);
        round_trip("default stream", pinned, offset, 0);
    }

    // Pageable sources may be overwritten at once: twenty copies out of the same changing array.
    const int n = 5000;
    std::vector<int> source(n);
    int *device = device_alloc<int>(20 * n);
    for (int k = 0; k < 20; k++) {
        std::fill(source.begin(), source.end(), k * 11);
        CHECK(
            cudaMemcpyAsync(device + k * n, source.data(), n * sizeof(int), cudaMemcpyHostToDevice, stream));
    }
    std::fill(source.begin(), source.end(), -1);
    CHECK(cudaStreamSynchronize(stream));
    std::vector<int> got = to_host(device, 20 * n);
    for (int i = 0; i < 20 * n; i++)
        EXPECT(got[i] == i / n * 11);

    EXPECT_ERROR(cudaHostRegister(registered.data(), size, cudaHostRegisterDefault),
                 cudaErrorHostMemoryAlreadyRegistered);
    CHECK(cudaHostUnregister(registered.data()));
    EXPECT_ERROR(cudaHostUnregister(registered.data()), cudaErrorHostMemoryNotRegistered);
    EXPECT_ERROR(cudaFreeHost(pageable.data()), cudaErrorInvalidValue);
    EXPECT_ERROR(cudaFree(pageable.data()), cudaErrorInvalidValue);
    (void)cudaGetLastError();
    for (char *p : {pinned, combined, portable})
        CHECK(cudaFreeHost(p));
    CHECK(cudaFreeHost(nullptr));
    CHECK(cudaStreamDestroy(stream));
    return finish("host_memory");
}
