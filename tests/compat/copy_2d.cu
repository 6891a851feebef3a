// SPDX-License-Identifier: Apache-2.0
// Do pitched allocations and 2D copies (to, from and within the device, odd widths, sub-rectangles,
// synchronous and not) move exactly the rectangle and nothing beside it; is a width beyond the pitch refused?
#include "compat.cuh"

__global__ void invert(unsigned char *p, size_t pitch, int width, int height)
{
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y;
    if (x < width && y < height)
        p[y * pitch + x] = (unsigned char)~p[y * pitch + x];
}

int main()
{
    const int width = 199, height = 45, host_pitch = 211;
    size_t pitch = 0, pitch2 = 0;
    unsigned char *d = nullptr, *e = nullptr;
    CHECK(cudaMallocPitch(&d, &pitch, width, height));
    CHECK(cudaMallocPitch(&e, &pitch2, width, height));
    EXPECT(pitch >= (size_t)width && pitch % 32 == 0 && pitch == pitch2);

    std::vector<unsigned char> in((size_t)host_pitch * height), out(in.size(), 0xee), want(in.size(), 0xee);
    Random random(2);
    for (unsigned char &b : in)
        b = (unsigned char)random.next();

    // There and back whole, the padding of the host rows untouched.
    CHECK(cudaMemcpy2D(d, pitch, in.data(), host_pitch, width, height, cudaMemcpyHostToDevice));
    invert<<<dim3(2, height), 128>>>(d, pitch, width, height);
    CHECK(cudaMemcpy2D(e, pitch2, d, pitch, width, height, cudaMemcpyDeviceToDevice));
    CHECK(cudaMemcpy2D(out.data(), host_pitch, e, pitch2, width, height, cudaMemcpyDeviceToHost));
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            want[y * host_pitch + x] = (unsigned char)~in[y * host_pitch + x];
    EXPECT(out == want);

    // A rectangle inside, moved within the device and back to elsewhere, asynchronously from pinned memory.
    cudaStream_t stream;
    unsigned char *pinned = nullptr;
    CHECK(cudaStreamCreate(&stream));
    CHECK(cudaMallocHost(&pinned, out.size()));
    memset(pinned, 0x11, out.size());
    CHECK(cudaMemcpy2DAsync(e + 7 * pitch2 + 3, pitch2, d + 20 * pitch + 50, pitch, 61, 9,
                            cudaMemcpyDeviceToDevice, stream));
    CHECK(cudaMemcpy2DAsync(pinned + 5, host_pitch, e + 6 * pitch2 + 2, pitch2, 63, 11, cudaMemcpyDefault,
                            stream));
    CHECK(cudaStreamSynchronize(stream));
    for (int y = 0; y < height; y++)
        for (int x = 0; x < host_pitch; x++) {
            unsigned char expected = 0x11;
            if (y < 11 && x >= 5 && x < 5 + 63) {
                int ey = 6 + y, ex = 2 + x - 5;
                bool moved = ey >= 7 && ey < 16 && ex >= 3 && ex < 64;
                expected =
                    moved ? want[(ey - 7 + 20) * host_pitch + ex - 3 + 50] : want[ey * host_pitch + ex];
            }
            EXPECT(pinned[y * host_pitch + x] == expected);
        }

    // Host to host, an empty copy, and what must be refused.
    std::vector<unsigned char> small(4 * 10, 0);
    CHECK(cudaMemcpy2D(small.data(), 10, in.data(), host_pitch, 7, 4, cudaMemcpyHostToHost));
    for (int y = 0; y < 4; y++)
        for (int x = 0; x < 10; x++)
            EXPECT(small[y * 10 + x] == (x < 7 ? in[y * host_pitch + x] : 0));
    CHECK(cudaMemcpy2D(d, pitch, in.data(), host_pitch, 0, height, cudaMemcpyHostToDevice));
    EXPECT_ERROR(cudaMemcpy2D(d, pitch, in.data(), 10, width, height, cudaMemcpyHostToDevice),
                 cudaErrorInvalidPitchValue);
    (void)cudaGetLastError();
    printf("digest %016llx\n",
           (unsigned long long)digest(std::vector<unsigned char>(pinned, pinned + out.size())));
    CHECK(cudaFree(d));
    CHECK(cudaFree(e));
    CHECK(cudaFreeHost(pinned));
    return finish("copy_2d");
}
