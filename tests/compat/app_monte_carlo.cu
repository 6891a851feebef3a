// SPDX-License-Identifier: Apache-2.0
// A whole small application: counter-based random numbers (Philox, ten rounds) in parallel streams of work,
// an estimate of pi whose count must equal the CPU's exactly, and moments of Box-Muller normals within
// statistical bounds.
#include "compat.cuh"
#include <cmath>

__host__ __device__ static void philox(uint32_t key0, uint32_t key1, uint32_t c0, uint32_t c1, uint32_t *out)
{
    uint32_t c2 = 0, c3 = 0;
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)0xD2511F53u * c0, b = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(b >> 32) ^ c1 ^ key0, n2 = (uint32_t)(a >> 32) ^ c3 ^ key1;
        c1 = (uint32_t)b;
        c3 = (uint32_t)a;
        c0 = n0;
        c2 = n2;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

__host__ __device__ static int inside(uint32_t x, uint32_t y)
{
    uint64_t a = x >> 1, b = y >> 1; // 31 bits each, so that the squares and their sum fit
    return a * a + b * b < (uint64_t)1 << 62;
}

__host__ __device__ static int sample(uint32_t seed, uint32_t i)
{
    uint32_t r[4];
    philox(seed, 7, i, 0, r);
    return inside(r[0], r[1]) + inside(r[2], r[3]);
}

__global__ void count(unsigned *hits, uint32_t seed, uint32_t first, uint32_t samples)
{
    unsigned mine = 0;
    for (uint32_t i = blockIdx.x * blockDim.x + threadIdx.x; i < samples; i += gridDim.x * blockDim.x)
        mine += (unsigned)sample(seed, first + i);
    for (int step = 16; step > 0; step /= 2)
        mine += __shfl_xor_sync(0xffffffffu, mine, step);
    if (threadIdx.x % 32 == 0)
        atomicAdd(hits, mine);
}

__global__ void normals(float *out, uint32_t seed, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    uint32_t r[4];
    philox(seed, 1, (uint32_t)i, 1, r);
    float radius = sqrtf(-2.0f * logf((float)(r[0] >> 8) * 5.9604645e-8f + 2.9802322e-8f));
    float angle = 6.2831853f * ((float)(r[1] >> 8) * 5.9604645e-8f);
    out[2 * i] = radius * cosf(angle);
    out[2 * i + 1] = radius * sinf(angle);
}

int main()
{
    const uint32_t per_stream = 6000;
    const int streams = 4, n = 8192;
    unsigned *hits = device_alloc<unsigned>(streams);
    cudaStream_t stream[streams];
    CHECK(cudaMemset(hits, 0, streams * sizeof(unsigned)));
    for (int s = 0; s < streams; s++) {
        CHECK(cudaStreamCreate(&stream[s]));
        count<<<8, 96, 0, stream[s]>>>(&hits[s], 42, s * per_stream, per_stream);
        CHECK(cudaGetLastError());
    }
    std::vector<unsigned> got = to_host(hits, streams);
    unsigned all = 0;
    for (int s = 0; s < streams; s++) {
        unsigned want = 0;
        for (uint32_t i = 0; i < per_stream; i++)
            want += (unsigned)sample(42, s * per_stream + i);
        EXPECT(got[s] == want);
        all += want;
        CHECK(cudaStreamDestroy(stream[s]));
    }
    double pi = 4.0 * all / (2.0 * streams * per_stream);
    EXPECT(std::fabs(pi - M_PI) < 0.04);
    printf("hits %u, pi about %.4f\n", all, pi);

    float *out = device_alloc<float>(2 * n);
    normals<<<n / 128, 128>>>(out, 9, n);
    double sum = 0, squares = 0, fourth = 0;
    for (float v : to_host(out, 2 * n)) {
        sum += v;
        squares += (double)v * v;
        fourth += (double)v * v * v * v;
    }
    EXPECT(std::fabs(sum / (2 * n)) < 0.04 && std::fabs(squares / (2 * n) - 1) < 0.06 &&
           std::fabs(fourth / (2 * n) - 3) < 0.5);
    return finish("app_monte_carlo");
}
