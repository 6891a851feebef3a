// SPDX-License-Identifier: Apache-2.0
// Do the four shuffles move lanes as documented, for every type, for sub-widths, for odd lanes, and inside
// divergent code?
#include "compat.cuh"

constexpr unsigned full = 0xffffffffu;
constexpr int results = 12;

__global__ void shuffles(const int *in, int *out)
{
    int lane = threadIdx.x % 32, i = blockIdx.x * blockDim.x + threadIdx.x, n = gridDim.x * blockDim.x,
        v = in[i];
    int r[results] = {__shfl_sync(full, v, 5),
                      __shfl_sync(full, v, lane * 7),
                      __shfl_up_sync(full, v, 3),
                      __shfl_down_sync(full, v, 9),
                      __shfl_xor_sync(full, v, 21),
                      __shfl_sync(full, v, 3, 8),
                      __shfl_up_sync(full, v, 2, 4),
                      __shfl_down_sync(full, v, 1, 16),
                      __shfl_xor_sync(full, v, 2, 8),
                      __shfl_xor_sync(full, v, 12, 8),
                      0,
                      0};
    long long wide = __shfl_down_sync(full, (long long)v * (1 << 20), 4);
    double d = __shfl_xor_sync(full, v * 0.5, 1);
    r[10] = (int)(wide >> 20);
    r[11] = (int)(d * 2);
    for (int k = 0; k < results; k++)
        out[k * n + i] = r[k];
}

__global__ void warp_sums(const float *in, float *out, int *even, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    float sum = i < n ? in[i] : 0;
    for (int step = 16; step > 0; step /= 2)
        sum += __shfl_down_sync(full, sum, step);
    if (threadIdx.x % 32 == 0)
        out[i / 32] = sum;
    if (threadIdx.x % 2 == 0) { // half of the lanes, named by the mask
        int v = (int)threadIdx.x;
        for (int step = 2; step < 32; step *= 2)
            v += __shfl_xor_sync(0x55555555u, v, step);
        even[i / 2] = v;
    }
}

static int source(int k, int lane)
{
    int group8 = lane & ~7;
    switch (k) {
    case 0: return 5;
    case 1: return lane * 7 % 32;
    case 2: return lane < 3 ? lane : lane - 3;
    case 3: return lane + 9 > 31 ? lane : lane + 9;
    case 4: return lane ^ 21;
    case 5: return group8 + 3;
    case 6: return lane % 4 < 2 ? lane : lane - 2;
    case 7: return lane % 16 == 15 ? lane : lane + 1;
    case 8: return lane ^ 2;
    // A xor that leaves the group: to an earlier group its value, to a later one the lane's own.
    case 9: return (lane ^ 12) > (lane | 7) ? lane : lane ^ 12;
    case 10: return lane + 4 > 31 ? lane : lane + 4;
    default: return lane ^ 1;
    }
}

int main()
{
    const int n = 256;
    std::vector<int> in(n), want(results * n);
    Random random(11);
    for (int &v : in)
        v = (int)random.below(1u << 30) - (1 << 29);
    for (int k = 0; k < results; k++)
        for (int i = 0; i < n; i++)
            want[k * n + i] = in[(i & ~31) + source(k, i % 32)];
    int *out = device_alloc<int>(want.size());
    shuffles<<<2, n / 2>>>(to_device(in), out);
    CHECK(cudaGetLastError());
    std::vector<int> got = to_host(out, want.size());
    for (int k = 0; k < results; k++)
        expect_equal(("shuffle " + std::to_string(k)).c_str(),
                     std::vector<int>(got.begin() + k * n, got.begin() + (k + 1) * n),
                     std::vector<int>(want.begin() + k * n, want.begin() + (k + 1) * n));

    std::vector<float> values(1000), sums(32, 0.0f);
    for (int i = 0; i < 1000; i++) {
        values[i] = (float)random.below(1000);
        sums[i / 32] += values[i];
    }
    float *dsums = device_alloc<float>(32);
    int *even = device_alloc<int>(512);
    warp_sums<<<8, 128>>>(to_device(values), dsums, even, 1000);
    expect_equal("sums", to_host(dsums, 32), sums);
    std::vector<int> sums_even = to_host(even, 512);
    for (int i = 0; i < 512; i++) {
        int first = i * 2 % 128 / 32 * 32; // of the thread's warp in its block
        EXPECT(sums_even[i] == 16 * first + 240);
    }
    printf("digest %016llx\n", (unsigned long long)digest(got));
    return finish("warp_shuffle");
}
