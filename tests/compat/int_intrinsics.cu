// SPDX-License-Identifier: Apache-2.0
// Do the 32-bit integer intrinsics (counts, permutes, high products, averages, funnel shifts, dot products)
// give what their documentation says? The CPU has each written out.
#include "compat.cuh"

constexpr int results = 24;

__global__ void intrinsics(const uint32_t *a, const uint32_t *b, const uint32_t *c, uint32_t *out, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    uint32_t x = a[i], y = b[i], z = c[i];
    uint32_t r[results] = {(uint32_t)__popc(x),
                           (uint32_t)__clz((int)x),
                           (uint32_t)__ffs((int)x),
                           __brev(x),
                           __byte_perm(x, y, z & 0x7777),
                           __umulhi(x, y),
                           (uint32_t)__mulhi((int)x, (int)y),
                           __umul24(x, y),
                           (uint32_t)__mul24((int)x, (int)y),
                           __usad(x, y, z),
                           __sad((int)x, (int)y, z),
                           __uhadd(x, y),
                           __urhadd(x, y),
                           (uint32_t)__hadd((int)x, (int)y),
                           (uint32_t)__rhadd((int)x, (int)y),
                           __funnelshift_l(x, y, z),
                           __funnelshift_r(x, y, z),
                           __funnelshift_lc(x, y, z & 63),
                           __funnelshift_rc(x, y, z & 63),
                           __dp4a(x, y, z),
                           (uint32_t)__dp4a((int)x, (int)y, (int)z),
                           __dp2a_lo(x, y, z),
                           (uint32_t)__dp2a_hi((int)x, (int)y, (int)z),
                           __byte_perm(x, y, 0x0123)};
    for (int k = 0; k < results; k++)
        out[k * n + i] = r[k];
}

static uint32_t permute(uint32_t x, uint32_t y, uint32_t selector)
{
    uint64_t bytes = (uint64_t)y << 32 | x;
    uint32_t r = 0;
    for (int k = 0; k < 4; k++)
        r |= (uint32_t)(bytes >> (8 * (selector >> (4 * k) & 7)) & 0xff) << (8 * k);
    return r;
}

static int32_t low24(uint32_t x)
{
    return (int32_t)(x << 8) >> 8;
}
static int s8(uint32_t x, int k)
{
    return (int8_t)(x >> (8 * k));
}
static int s16(uint32_t x, int k)
{
    return (int16_t)(x >> (16 * k));
}

static uint32_t reverse(uint32_t x)
{
    uint32_t r = 0;
    for (int k = 0; k < 32; k++)
        r |= (x >> k & 1) << (31 - k);
    return r;
}

static uint32_t expected(int k, uint32_t x, uint32_t y, uint32_t z)
{
    uint64_t yx = (uint64_t)y << 32 | x;
    int64_t sx = (int32_t)x, sy = (int32_t)y;
    uint32_t clamped = (z & 63) > 32 ? 32 : (z & 63), sum = z;

    switch (k) {
    case 0: return (uint32_t)__builtin_popcount(x);
    case 1: return x ? (uint32_t)__builtin_clz(x) : 32;
    case 2: return (uint32_t)__builtin_ffs((int)x);
    case 3: return reverse(x);
    case 4: return permute(x, y, z);
    case 5: return (uint32_t)((uint64_t)x * y >> 32);
    case 6: return (uint32_t)(sx * sy >> 32);
    case 7: return (x & 0xffffff) * (y & 0xffffff);
    case 8: return (uint32_t)((int64_t)low24(x) * low24(y));
    case 9: return (x > y ? x - y : y - x) + z;
    case 10: return (uint32_t)(sx > sy ? sx - sy : sy - sx) + z;
    case 11: return (uint32_t)(((uint64_t)x + y) >> 1);
    case 12: return (uint32_t)(((uint64_t)x + y + 1) >> 1);
    case 13: return (uint32_t)((sx + sy) >> 1);
    case 14: return (uint32_t)((sx + sy + 1) >> 1);
    case 15: return (uint32_t)(yx << (z & 31) >> 32);
    case 16: return (uint32_t)(yx >> (z & 31));
    case 17: return clamped == 32 ? x : (uint32_t)(yx << clamped >> 32);
    case 18: return (uint32_t)(yx >> clamped);
    case 19:
        for (int b = 0; b < 4; b++)
            sum += (x >> (8 * b) & 0xff) * (y >> (8 * b) & 0xff);
        return sum;
    case 20:
        for (int b = 0; b < 4; b++)
            sum += (uint32_t)(s8(x, b) * s8(y, b));
        return sum;
    case 21: return z + (x & 0xffff) * (y & 0xff) + (x >> 16) * (y >> 8 & 0xff);
    case 22: return z + (uint32_t)(s16(x, 0) * s8(y, 2)) + (uint32_t)(s16(x, 1) * s8(y, 3));
    default: return permute(x, y, 0x0123);
    }
}

int main()
{
    const int n = 4096;
    std::vector<uint32_t> a(n), b(n), c(n), want((size_t)results * n);
    Random random(32);
    for (int i = 0; i < n; i++) {
        a[i] = i == 0 ? 0 : i == 1 ? 0xffffffffu : (uint32_t)(random.next() >> 32) >> random.below(32);
        b[i] = i == 1 ? 0xffffffffu : (uint32_t)(random.next() >> 32) >> random.below(32);
        c[i] = (uint32_t)random.next() & 0x7fff7777u;
        for (int k = 0; k < results; k++)
            want[(size_t)k * n + i] = expected(k, a[i], b[i], k == 4 ? c[i] & 0x7777 : c[i]);
    }
    uint32_t *da = to_device(a), *db = to_device(b), *dc = to_device(c),
             *out = device_alloc<uint32_t>(want.size());
    intrinsics<<<n / 256, 256>>>(da, db, dc, out, n);
    std::vector<uint32_t> got = to_host(out, want.size());
    for (int k = 0; k < results; k++)
        expect_equal(("intrinsic " + std::to_string(k)).c_str(),
                     std::vector<uint32_t>(got.begin() + k * n, got.begin() + (k + 1) * n),
                     std::vector<uint32_t>(want.begin() + k * n, want.begin() + (k + 1) * n));
    printf("digest %016llx\n", (unsigned long long)digest(got));
    return finish("int_intrinsics");
}
