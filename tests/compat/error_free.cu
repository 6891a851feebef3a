// SPDX-License-Identifier: Apache-2.0
// Are double frees, frees of an inner pointer, and frees by the wrong function refused, without harm to other
// allocations?
#include "compat.cuh"

int main()
{
    char *a = device_alloc<char>(5000), *b = device_alloc<char>(5000), *pinned = nullptr;
    std::vector<char> pattern(5000);
    for (int i = 0; i < 5000; i++)
        pattern[i] = (char)(i * 7);
    CHECK(cudaMallocHost(&pinned, 5000));
    CHECK(cudaMemcpy(b, pattern.data(), 5000, cudaMemcpyHostToDevice));

    EXPECT_ERROR(cudaFree(b + 256), cudaErrorInvalidValue);
    EXPECT_ERROR(cudaFree(b + 1), cudaErrorInvalidValue);
    CHECK(cudaFree(a));
    EXPECT_ERROR(cudaFree(a), cudaErrorInvalidValue);
    EXPECT_ERROR(cudaFree((void *)0x1230), cudaErrorInvalidValue);
    EXPECT_ERROR(cudaFreeHost(b), cudaErrorInvalidValue);
    EXPECT_ERROR(cudaFreeHost(pinned + 64), cudaErrorInvalidValue);
    EXPECT_ERROR(cudaGetLastError(), cudaErrorInvalidValue);
    CHECK(cudaFree(nullptr));
    CHECK(cudaFreeHost(nullptr));

    EXPECT(to_host(b, 5000) == pattern);
    CHECK(cudaMemcpy(pinned, b, 5000, cudaMemcpyDeviceToHost));
    EXPECT(memcmp(pinned, pattern.data(), 5000) == 0);
    CHECK(cudaFreeHost(pinned));
    EXPECT_ERROR(cudaFreeHost(pinned), cudaErrorInvalidValue);
    CHECK(cudaFree(b));
    return finish("error_free");
}
