// SPDX-License-Identifier: Apache-2.0
// Does static shared memory work: a tiled transpose with padding, a tiled matrix product, structures and
// bytes in shared?
#include "compat.cuh"

constexpr int tile = 16;

__global__ void transpose(const int *in, int *out, int width, int height)
{
    __shared__ int block[tile][tile + 1];
    int x = blockIdx.x * tile + threadIdx.x, y = blockIdx.y * tile + threadIdx.y;
    if (x < width && y < height)
        block[threadIdx.y][threadIdx.x] = in[y * width + x];
    __syncthreads();
    x = blockIdx.y * tile + threadIdx.x;
    y = blockIdx.x * tile + threadIdx.y;
    if (x < height && y < width)
        out[y * height + x] = block[threadIdx.x][threadIdx.y];
}

__global__ void multiply(const float *a, const float *b, float *c, int n)
{
    __shared__ float sa[tile][tile], sb[tile][tile];
    int row = blockIdx.y * tile + threadIdx.y, column = blockIdx.x * tile + threadIdx.x;
    float sum = 0;
    for (int t = 0; t < n / tile; t++) {
        sa[threadIdx.y][threadIdx.x] = a[row * n + t * tile + threadIdx.x];
        sb[threadIdx.y][threadIdx.x] = b[(t * tile + threadIdx.y) * n + column];
        __syncthreads();
        for (int k = 0; k < tile; k++)
            sum += sa[threadIdx.y][k] * sb[k][threadIdx.x];
        __syncthreads();
    }
    c[row * n + column] = sum;
}

struct Mixed {
    char c;
    short s;
    int i;
    double d;
};

__global__ void mixed(Mixed *out)
{
    __shared__ Mixed items[64];
    __shared__ unsigned char bytes[67];
    int i = threadIdx.x;
    items[i] = {(char)i, (short)(-i * 3), i * 1000, i * 0.5};
    bytes[i] = (unsigned char)(255 - i);
    __syncthreads();
    Mixed m = items[63 - i];
    m.c = (char)(m.c + (bytes[63 - i] & 1));
    out[i] = m;
}

int main()
{
    const int width = 150, height = 77, n = 64;
    std::vector<int> in(width * height), turned(width * height);
    Random random(1);
    for (int i = 0; i < width * height; i++) {
        in[i] = (int)random.next();
        turned[(i % width) * height + i / width] = in[i];
    }
    int *dout = device_alloc<int>(in.size());
    dim3 block(tile, tile), grid((width + tile - 1) / tile, (height + tile - 1) / tile);
    transpose<<<grid, block>>>(to_device(in), dout, width, height);
    expect_equal("transpose", to_host(dout, in.size()), turned);

    // Small whole numbers: every sum is exact, so the order of additions does not matter.
    std::vector<float> a(n * n), b(n * n), c(n * n, 0.0f);
    for (int i = 0; i < n * n; i++) {
        a[i] = (float)random.below(32) - 16;
        b[i] = (float)random.below(32) - 16;
    }
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            for (int k = 0; k < n; k++)
                c[i * n + j] += a[i * n + k] * b[k * n + j];
    float *dc = device_alloc<float>(n * n);
    multiply<<<dim3(n / tile, n / tile), block>>>(to_device(a), to_device(b), dc, n);
    std::vector<float> product = to_host(dc, n * n);
    expect_equal("product", product, c);

    Mixed *dm = device_alloc<Mixed>(64);
    mixed<<<1, 64>>>(dm);
    std::vector<Mixed> m = to_host(dm, 64);
    for (int i = 0; i < 64; i++) {
        int j = 63 - i;
        EXPECT(m[i].c == (char)(j + ((255 - j) & 1)) && m[i].s == (short)(-j * 3) && m[i].i == j * 1000 &&
               m[i].d == j * 0.5);
    }
    printf("product %016llx\n", (unsigned long long)digest(product));
    return finish("shared_static");
}
