// SPDX-License-Identifier: Apache-2.0
// Do copies of many sizes around every likely chunk boundary, up to tens of MiB, at odd offsets on both
// sides, arrive complete, from pageable and from pinned memory, with a kernel between?
#include "compat.cuh"

__global__ void xor_words(uint64_t *p, size_t words, uint64_t with)
{
    for (size_t i = blockIdx.x * blockDim.x + threadIdx.x; i < words; i += gridDim.x * blockDim.x)
        p[i] ^= with;
}

int main()
{
    const size_t whole = 24u << 20;
    std::vector<unsigned char> source(whole), back(whole);
    Random random(24);
    for (size_t i = 0; i < whole; i += 8) {
        uint64_t v = random.next();
        memcpy(&source[i], &v, 8);
    }
    unsigned char *pinned = nullptr, *device = device_alloc<unsigned char>(whole);
    CHECK(cudaMallocHost(&pinned, whole));
    memcpy(pinned, source.data(), whole);

    for (size_t base : {(size_t)1, (size_t)16, (size_t)4096, (size_t)65536, (size_t)262144, (size_t)1 << 20,
                        (size_t)4 << 20})
        for (int delta : {-1, 0, 1, 7})
            for (size_t offset : {(size_t)0, (size_t)3}) {
                size_t size = base + delta;
                const unsigned char *from = offset ? pinned : source.data();
                CHECK(cudaMemset(device, 0, size + offset + 8));
                CHECK(cudaMemcpy(device + offset, from + 2 * offset, size, cudaMemcpyHostToDevice));
                std::fill(back.begin(), back.begin() + size + 16, (unsigned char)0xaa);
                CHECK(cudaMemcpy(back.data() + 1, device + offset, size, cudaMemcpyDeviceToHost));
                EXPECT(memcmp(back.data() + 1, source.data() + 2 * offset, size) == 0);
                EXPECT(back[0] == 0xaa && back[size + 1] == 0xaa);
            }

    CHECK(cudaMemcpyAsync(device, source.data(), whole, cudaMemcpyHostToDevice, 0));
    xor_words<<<64, 256>>>((uint64_t *)device, (size_t)1 << 16, 0x5555555555555555ull);
    CHECK(cudaMemcpyAsync(pinned, device, whole, cudaMemcpyDeviceToHost, 0));
    CHECK(cudaStreamSynchronize(0));
    for (size_t i = 0; i < (size_t)1 << 19; i++)
        source[i] ^= 0x55;
    EXPECT(memcmp(pinned, source.data(), whole) == 0);

    // Within the device, also to a place that the copy before wrote.
    CHECK(cudaMemcpy(device + (8u << 20), device, 8u << 20, cudaMemcpyDeviceToDevice));
    CHECK(cudaMemcpyAsync(device + (16u << 20), device + (8u << 20), 8u << 20, cudaMemcpyDeviceToDevice, 0));
    CHECK(cudaMemcpy(back.data(), device, whole, cudaMemcpyDeviceToHost));
    for (int part = 0; part < 3; part++)
        EXPECT(memcmp(back.data() + ((size_t)part << 23), source.data(), 8u << 20) == 0);
    printf("digest %016llx\n",
           (unsigned long long)digest(std::vector<unsigned char>(source.begin(), source.begin() + 100000)));
    CHECK(cudaFreeHost(pinned));
    CHECK(cudaFree(device));
    return finish("large_copies");
}
