// SPDX-License-Identifier: Apache-2.0
// Does __half compute as IEEE binary16: conversions of all 65,536 values, arithmetic, fma, comparisons,
// rounding modes?
#include "half_bits.cuh"
#include <cuda_fp16.h>

constexpr int results = 12;

__global__ void widen(float *out) // every value there is
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    out[i] = __half2float(__ushort_as_half((unsigned short)i));
}

__global__ void narrow(const float *in, uint16_t *out, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    out[i] = __half_as_ushort(__float2half(in[i]));
    out[n + i] = __half_as_ushort(__float2half_rz(in[i]));
}

__global__ void arithmetic(const uint16_t *a, const uint16_t *b, const uint16_t *c, uint16_t *out, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    __half x = __ushort_as_half(a[i]), y = __ushort_as_half(b[i]), z = __ushort_as_half(c[i]);
    __half r[results] = {__hadd(x, y),    __hsub(x, y), __hmul(x, y), __hdiv(x, y),
                         __hfma(x, y, z), -x,           __habs(x),    hsqrt(__habs(x)),
                         hfloor(x),       hrint(x),     __hmax(x, y), __hmin(x, y)};
    for (int k = 0; k < results; k++)
        out[k * n + i] = __half_as_ushort(r[k]);
    out[results * n + i] = (uint16_t)(__hlt(x, y) | __hle(x, y) << 1 | __heq(x, y) << 2 | __hgt(x, y) << 3 |
                                      (x >= y) << 4 | (x != y) << 5 | (int)__hisnan(x) << 6);
}

static bool same(uint16_t got, uint16_t want)
{
    return got == want || (std::isnan(value_of(half_format, got)) && std::isnan(value_of(half_format, want)));
}

int main()
{
    float *wide = device_alloc<float>(65536);
    widen<<<256, 256>>>(wide);
    std::vector<float> all = to_host(wide, 65536);
    for (int i = 0; i < 65536; i++) {
        double want = value_of(half_format, (uint16_t)i);
        EXPECT(std::isnan(want) ? std::isnan(all[i]) : same_bits(all[i], (float)want));
    }

    const int n = 6000;
    std::vector<uint16_t> a(n), b(n), c(n);
    std::vector<float> floats(n);
    Random random(16);
    for (int i = 0; i < n; i++) {
        // The first pairs are any bits, NaN and infinity included; the others lie near each other.
        a[i] = (uint16_t)random.next();
        b[i] = i < n / 2 ? (uint16_t)random.next() : (uint16_t)((a[i] & 0x7c00) ^ (random.next() & 0x87ff));
        c[i] = (uint16_t)random.next();
        floats[i] = (float)value_of(half_format, a[i] & 0x7bff) * (1 + random.uniform(-1, 1) / 1024);
        if (i % 8 == 0) // exactly between two halves
            floats[i] =
                (float)((value_of(half_format, a[i] & 0x7bff) + value_of(half_format, (a[i] & 0x7bff) + 1)) /
                        2);
    }
    uint16_t *out = device_alloc<uint16_t>((size_t)(results + 1) * n);
    narrow<<<(n + 127) / 128, 128>>>(to_device(floats), out, n);
    std::vector<uint16_t> got = to_host(out, 2 * n);
    for (int i = 0; i < n; i++) {
        uint16_t nearest = bits_of(half_format, floats[i]), zero = nearest;
        if (std::fabs(value_of(half_format, zero)) > std::fabs(floats[i]))
            zero--;
        EXPECT(same(got[i], nearest));
        EXPECT(same(got[n + i], zero));
    }

    arithmetic<<<(n + 127) / 128, 128>>>(to_device(a), to_device(b), to_device(c), out, n);
    CHECK(cudaGetLastError());
    got = to_host(out, (size_t)(results + 1) * n);
    for (int i = 0; i < n; i++) {
        double x = value_of(half_format, a[i]), y = value_of(half_format, b[i]),
               z = value_of(half_format, c[i]);
        // A product and a sum of halves fit an extended-precision mantissa, so each line rounds once.
        const long double want[results] = {x + y,
                                           x - y,
                                           x * y,
                                           x / y,
                                           (long double)x * y + z,
                                           -x,
                                           std::fabs(x),
                                           std::sqrt(std::fabs(x)),
                                           std::floor(x),
                                           std::rint(x),
                                           std::fmax(x, y),
                                           std::fmin(x, y)};
        for (int k = 0; k < results; k++) {
            if (k >= 10 && x == 0 && y == 0)
                continue;
            bool ok = same(got[(size_t)k * n + i], bits_of(half_format, want[k]));
            if (!ok)
                printf("op %d of %04x %04x %04x: got %04x, want %04x\n", k, a[i], b[i], c[i],
                       got[(size_t)k * n + i], bits_of(half_format, want[k]));
            EXPECT(ok);
        }
        int flags = (x < y) | (x <= y) << 1 | (x == y) << 2 | (x > y) << 3 | (x >= y) << 4 |
                    (x != y && !std::isnan(x) && !std::isnan(y)) << 5 | (std::isnan(x) ? 64 : 0);
        // What != says of a NaN is left open: mask its bit where one is there.
        int asked = std::isnan(x) || std::isnan(y) ? 0x5f : 0x7f;
        EXPECT((got[(size_t)results * n + i] & asked) == (flags & asked));
    }
    return finish("half_ops");
}
