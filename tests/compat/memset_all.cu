// SPDX-License-Identifier: Apache-2.0
// Do 1D, 2D and 3D memsets, synchronous and in a stream, at odd offsets and sizes, write exactly their bytes?
#include "compat.cuh"

int main()
{
    const int n = 5000;
    unsigned char *p = device_alloc<unsigned char>(n);
    std::vector<unsigned char> want(n, 0xcd);
    auto fill = [&](int from, int count, int value) {
        std::fill(want.begin() + from, want.begin() + from + count, (unsigned char)value);
    };

    CHECK(cudaMemset(p, 0xcd, n));
    CHECK(cudaMemset(p + 1, 7, 3));
    fill(1, 3, 7);
    CHECK(cudaMemset(p + 1001, 0x1ff, 999)); // the low byte counts
    fill(1001, 999, 0xff);
    CHECK(cudaMemset(p + 10, 1, 0));
    expect_equal("1D", to_host(p, n), want);

    cudaStream_t stream;
    CHECK(cudaStreamCreate(&stream));
    for (int k = 0; k < 50; k++) {
        CHECK(cudaMemsetAsync(p + 2000 + k * 17, k, 40, stream));
        fill(2000 + k * 17, 40, k);
    }
    CHECK(cudaStreamSynchronize(stream));
    expect_equal("1D in a stream", to_host(p, n), want);

    const int width = 53, height = 19;
    size_t pitch = 0;
    unsigned char *q = nullptr;
    CHECK(cudaMallocPitch(&q, &pitch, width, height));
    std::vector<unsigned char> whole(pitch * height, 0x10);
    CHECK(cudaMemset(q, 0x10, pitch * height));
    CHECK(cudaMemset2D(q, pitch, 0x22, width, height));
    CHECK(cudaMemset2DAsync(q + 3 * pitch + 5, pitch, 0x33, 11, 6, stream));
    CHECK(cudaStreamSynchronize(stream));
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            whole[y * pitch + x] = y >= 3 && y < 9 && x >= 5 && x < 16 ? 0x33 : 0x22;
    expect_equal("2D", to_host(q, pitch * height), whole);

    cudaPitchedPtr b = {};
    const int d = 4;
    CHECK(cudaMalloc3D(&b, make_cudaExtent(width, height, d)));
    const size_t bytes = b.pitch * height * d;
    std::vector<unsigned char> box(bytes, 0);
    CHECK(cudaMemset(b.ptr, 0, bytes));
    CHECK(cudaMemset3D(b, 0x44, make_cudaExtent(width, height, d)));
    cudaPitchedPtr part = b;
    part.ptr = (char *)b.ptr + b.pitch * height; // from the second slice on
    CHECK(cudaMemset3DAsync(part, 0x55, make_cudaExtent(10, 4, 2), stream));
    CHECK(cudaStreamSynchronize(stream));
    for (int z = 0; z < d; z++)
        for (int y = 0; y < height; y++)
            for (int x = 0; x < width; x++)
                box[(z * height + y) * b.pitch + x] = z >= 1 && z < 3 && y < 4 && x < 10 ? 0x55 : 0x44;
    expect_equal("3D", to_host((unsigned char *)b.ptr, bytes), box);
    printf("1D digest %016llx\n", (unsigned long long)digest(want));
    return finish("memset_all");
}
