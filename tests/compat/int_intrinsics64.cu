// SPDX-License-Identifier: Apache-2.0
// Do the 64-bit intrinsics, 128-bit products and quotients, and wide multiply-adds compute as on the CPU?
#include "compat.cuh"

constexpr int results = 12;
using u128 = unsigned __int128;

// Everything that both compilers can say in the same words.
__host__ __device__ static void common(uint64_t x, uint64_t y, uint64_t *r)
{
    u128 product = (u128)x * y;
    u128 sum = ((u128)x << 64 | y) + ((u128)y << 64 | x);
    r[0] = (uint64_t)(product >> 64);
    r[1] = (uint64_t)product;
    r[2] = (uint64_t)(sum >> 64);
    r[3] = (uint64_t)sum;
    r[4] = (uint64_t)(product / (x | 1));
    r[5] = (uint64_t)(((u128)x << 40 | y) >> (y & 63));
    r[6] = (uint64_t)(uint32_t)x * (uint32_t)y + (x ^ y);
    r[7] = (uint64_t)((int64_t)(int32_t)x * (int32_t)y + (int64_t)(y >> 1));
}

__global__ void intrinsics(const uint64_t *a, const uint64_t *b, uint64_t *out, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    uint64_t x = a[i], y = b[i], r[results];
    common(x, y, r);
    r[8] =
        (uint64_t)__popcll(x) << 32 | (uint64_t)__clzll((long long)x) << 16 | (uint64_t)__ffsll((long long)x);
    r[9] = __brevll(x);
    r[10] = __umul64hi(x, y);
    r[11] = (uint64_t)__mul64hi((long long)x, (long long)y);
    for (int k = 0; k < results; k++)
        out[k * n + i] = r[k];
}

static uint64_t reverse(uint64_t x)
{
    uint64_t r = 0;
    for (int k = 0; k < 64; k++)
        r |= (x >> k & 1) << (63 - k);
    return r;
}

int main()
{
    const int n = 2048;
    std::vector<uint64_t> a(n), b(n), want((size_t)results * n);
    Random random(64);
    for (int i = 0; i < n; i++) {
        uint64_t x = a[i] = i == 0 ? 0 : i == 1 ? ~0ull : random.next() >> random.below(64);
        uint64_t y = b[i] = i == 1 ? ~0ull : random.next() >> random.below(64);
        uint64_t r[results];
        common(x, y, r);
        r[8] = (uint64_t)__builtin_popcountll(x) << 32 | (uint64_t)(x ? __builtin_clzll(x) : 64) << 16 |
               (uint64_t)__builtin_ffsll((long long)x);
        r[9] = reverse(x);
        r[10] = (uint64_t)((u128)x * y >> 64);
        r[11] = (uint64_t)((__int128)(int64_t)x * (int64_t)y >> 64);
        for (int k = 0; k < results; k++)
            want[(size_t)k * n + i] = r[k];
    }
    uint64_t *da = to_device(a), *db = to_device(b), *out = device_alloc<uint64_t>(want.size());
    intrinsics<<<(n + 95) / 96, 96>>>(da, db, out, n);
    std::vector<uint64_t> got = to_host(out, want.size());
    for (int k = 0; k < results; k++)
        expect_equal(("result " + std::to_string(k)).c_str(),
                     std::vector<uint64_t>(got.begin() + k * n, got.begin() + (k + 1) * n),
                     std::vector<uint64_t>(want.begin() + k * n, want.begin() + (k + 1) * n));
    printf("digest %016llx\n", (unsigned long long)digest(got));
    return finish("int_intrinsics64");
}
