// SPDX-License-Identifier: Apache-2.0
// Do 3D allocations and copies (extents, positions, pitches and slices on both sides) move exactly the box?
#include "compat.cuh"

__global__ void add_position(cudaPitchedPtr p, int width, int height, int depth)
{
    int x = threadIdx.x, y = blockIdx.x, z = blockIdx.y;
    if (x < width && y < height && z < depth) {
        int *row = (int *)((char *)p.ptr + (z * p.ysize + y) * p.pitch);
        row[x] += x + 100 * y + 10000 * z;
    }
}

int main()
{
    const int w = 37, h = 11, d = 6;
    std::vector<int> in(w * h * d), want(in.size());
    for (int i = 0; i < w * h * d; i++) {
        in[i] = i * 7;
        want[i] = in[i] + i % w + 100 * (i / w % h) + 10000 * (i / w / h);
    }

    cudaPitchedPtr p = {};
    cudaExtent extent = make_cudaExtent(w * sizeof(int), h, d);
    CHECK(cudaMalloc3D(&p, extent));
    EXPECT(p.pitch >= w * sizeof(int) && p.xsize == w * sizeof(int) && p.ysize == (size_t)h);
    cudaMemcpy3DParms up = {};
    up.srcPtr = make_cudaPitchedPtr(in.data(), w * sizeof(int), w, h);
    up.dstPtr = p;
    up.extent = extent;
    up.kind = cudaMemcpyHostToDevice;
    CHECK(cudaMemcpy3D(&up));
    add_position<<<dim3(h, d), 64>>>(p, w, h, d);

    std::vector<int> out(in.size(), -1);
    cudaMemcpy3DParms down = {};
    down.srcPtr = p;
    down.dstPtr = make_cudaPitchedPtr(out.data(), w * sizeof(int), w, h);
    down.extent = extent;
    down.kind = cudaMemcpyDeviceToHost;
    CHECK(cudaMemcpy3D(&down));
    expect_equal("whole", out, want);

    // A box from the middle to another place of a taller and wider host array, asynchronously. x counts
    // bytes.
    const int W = 50, H = 20, D = 8;
    int *pinned = nullptr;
    cudaStream_t stream;
    CHECK(cudaStreamCreate(&stream));
    CHECK(cudaMallocHost(&pinned, W * H * D * sizeof(int)));
    memset(pinned, 0, W * H * D * sizeof(int));
    cudaMemcpy3DParms box = {};
    box.srcPtr = p;
    box.srcPos = make_cudaPos(5 * sizeof(int), 2, 1);
    box.dstPtr = make_cudaPitchedPtr(pinned, W * sizeof(int), W, H);
    box.dstPos = make_cudaPos(9 * sizeof(int), 10, 3);
    box.extent = make_cudaExtent(20 * sizeof(int), 7, 4);
    box.kind = cudaMemcpyDefault;
    CHECK(cudaMemcpy3DAsync(&box, stream));
    CHECK(cudaStreamSynchronize(stream));
    std::vector<int> got(pinned, pinned + W * H * D), expected(W * H * D, 0);
    for (int z = 0; z < 4; z++)
        for (int y = 0; y < 7; y++)
            for (int x = 0; x < 20; x++)
                expected[((z + 3) * H + y + 10) * W + x + 9] = want[((z + 1) * h + y + 2) * w + x + 5];
    expect_equal("box", got, expected);

    // Device to device, overlapping nothing: slice 0 onto slice 5.
    cudaMemcpy3DParms slice = {};
    slice.srcPtr = slice.dstPtr = p;
    slice.dstPos = make_cudaPos(0, 0, 5);
    slice.extent = make_cudaExtent(w * sizeof(int), h, 1);
    slice.kind = cudaMemcpyDeviceToDevice;
    CHECK(cudaMemcpy3D(&slice));
    CHECK(cudaMemcpy3D(&down));
    std::copy(want.begin(), want.begin() + w * h, want.begin() + 5 * w * h);
    expect_equal("slice", out, want);
    printf("digest %016llx\n", (unsigned long long)digest(out));
    CHECK(cudaFree(p.ptr));
    CHECK(cudaFreeHost(pinned));
    return finish("copy_3d");
}
