// SPDX-License-Identifier: Apache-2.0
// Do the SIMD-in-a-word intrinsics (two 16-bit or four 8-bit lanes) compute lane by lane?
#include "compat.cuh"

constexpr int results = 12;

__global__ void simd(const uint32_t *a, const uint32_t *b, uint32_t *out, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    uint32_t x = a[i], y = b[i];
    uint32_t r[results] = {__vadd4(x, y),      __vsub4(x, y),   __vadd2(x, y),    __vsub2(x, y),
                           __vmaxs4(x, y),     __vminu2(x, y),  __vcmpgtu4(x, y), __vcmpeq2(x, y),
                           __vabsdiffu4(x, y), __vaddus4(x, y), __vavgu4(x, y),   __vabs2(x)};
    for (int k = 0; k < results; k++)
        out[k * n + i] = r[k];
}

static uint32_t lane(int k, uint32_t x, uint32_t y, int bits)
{
    uint32_t mask = bits == 8 ? 0xff : 0xffff;
    int sx = bits == 8 ? (int8_t)x : (int16_t)x, sy = bits == 8 ? (int8_t)y : (int16_t)y;

    switch (k) {
    case 0:
    case 2: return (x + y) & mask;
    case 1:
    case 3: return (x - y) & mask;
    case 4: return (uint32_t)(sx > sy ? sx : sy) & mask;
    case 5: return x < y ? x : y;
    case 6: return x > y ? mask : 0;
    case 7: return x == y ? mask : 0;
    case 8: return x > y ? x - y : y - x;
    case 9: return x + y > mask ? mask : x + y;
    case 10: return (x + y + 1) >> 1;
    default: return (uint32_t)(sx < 0 ? -sx : sx) & mask;
    }
}

static uint32_t expected(int k, uint32_t x, uint32_t y)
{
    int bits = k == 2 || k == 3 || k == 5 || k == 7 || k == 11 ? 16 : 8;
    uint32_t mask = bits == 8 ? 0xff : 0xffff, r = 0;
    for (int at = 0; at < 32; at += bits)
        r |= lane(k, x >> at & mask, y >> at & mask, bits) << at;
    return r;
}

int main()
{
    const int n = 3000;
    std::vector<uint32_t> a(n), b(n), want((size_t)results * n);
    Random random(4);
    for (int i = 0; i < n; i++) {
        a[i] = (uint32_t)random.next();
        b[i] = i % 3 ? (uint32_t)random.next() : a[i] ^ (1u << random.below(32));
        for (int k = 0; k < results; k++)
            want[(size_t)k * n + i] = expected(k, a[i], b[i]);
    }
    uint32_t *da = to_device(a), *db = to_device(b), *out = device_alloc<uint32_t>(want.size());
    simd<<<(n + 63) / 64, 64>>>(da, db, out, n);
    std::vector<uint32_t> got = to_host(out, want.size());
    for (int k = 0; k < results; k++)
        expect_equal(("simd " + std::to_string(k)).c_str(),
                     std::vector<uint32_t>(got.begin() + k * n, got.begin() + (k + 1) * n),
                     std::vector<uint32_t>(want.begin() + k * n, want.begin() + (k + 1) * n));
    printf("digest %016llx\n", (unsigned long long)digest(got));
    return finish("int_simd");
}
