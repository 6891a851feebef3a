// SPDX-License-Identifier: Apache-2.0
// Does cudaMemGetInfo follow allocations, do allocations keep apart and aligned, is running out an error that
// leaves the program usable, and is everything free again afterwards?
#include "compat.cuh"
#include <algorithm>

__global__ void stamp(unsigned char *p, size_t size, unsigned char value)
{
    for (size_t i = blockIdx.x * blockDim.x + threadIdx.x; i < size; i += gridDim.x * blockDim.x)
        p[i] = value;
}

int main()
{
    CHECK(cudaFree(nullptr)); // the context first, so that its own memory is counted out
    size_t free0 = 0, total = 0, free1 = 0, same_total = 0;
    CHECK(cudaMemGetInfo(&free0, &total));
    EXPECT(total >= 64u << 20 && free0 <= total && free0 > 0);

    const size_t big = 48u << 20;
    char *p = device_alloc<char>(big);
    CHECK(cudaMemGetInfo(&free1, &same_total));
    EXPECT(same_total == total && free1 <= free0 - big && free1 + big + (16u << 20) >= free0);
    CHECK(cudaFree(p));

    // Many sizes at once: aligned to 256 bytes, no two overlapping, each with its own contents.
    const size_t sizes[] = {1, 2, 255, 256, 257, 4095, 4096, 65537, 1 << 20, 3, 100000, 7};
    const int n = (int)(sizeof(sizes) / sizeof(sizes[0]));
    std::vector<unsigned char *> q(n);
    for (int i = 0; i < n; i++) {
        q[i] = device_alloc<unsigned char>(sizes[i]);
        EXPECT((uintptr_t)q[i] % 256 == 0);
        stamp<<<2, 128>>>(q[i], sizes[i], (unsigned char)(i + 1));
    }
    for (int i = 0; i < n; i++) {
        std::vector<unsigned char> got = to_host(q[i], sizes[i]);
        EXPECT(std::count(got.begin(), got.end(), i + 1) == (long)sizes[i]);
        for (int j = 0; j < i; j++)
            EXPECT(q[i] >= q[j] + sizes[j] || q[j] >= q[i] + sizes[i]);
    }
    for (int i = n - 1; i >= 0; i--)
        CHECK(cudaFree(q[i]));

    void *none = (void *)1;
    EXPECT_ERROR(cudaMalloc(&none, total + (1ull << 30)), cudaErrorMemoryAllocation);
    EXPECT_ERROR(cudaGetLastError(), cudaErrorMemoryAllocation);
    EXPECT_ERROR(cudaGetLastError(), cudaSuccess);
    CHECK(cudaMalloc(&none, 0));
    EXPECT(none == nullptr);

    // A thousand rounds of allocate and free do not use anything up.
    for (int i = 0; i < 1000; i++)
        CHECK(cudaFree(device_alloc<char>(1 + (size_t)i * 997 % 300000)));
    CHECK(cudaMemGetInfo(&free1, &same_total));
    EXPECT(free1 + (32u << 20) >= free0);
    printf("%d sizes, 1000 rounds\n", n);
    return finish("memory_info");
}
