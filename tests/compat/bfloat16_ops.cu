// SPDX-License-Identifier: Apache-2.0
// Does __nv_bfloat16 convert all its 65,536 values, and add, subtract, multiply and compare with one
// rounding?
#include "half_bits.cuh"
#include <cuda_bf16.h>

constexpr int results = 6;

__global__ void widen(float *out)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    out[i] = __bfloat162float(__ushort_as_bfloat16((unsigned short)i));
}

__global__ void arithmetic(const uint16_t *a, const uint16_t *b, const float *f, uint16_t *out, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    __nv_bfloat16 x = __ushort_as_bfloat16(a[i]), y = __ushort_as_bfloat16(b[i]);
    __nv_bfloat162 xy = __halves2bfloat162(x, y), swapped = __hadd2(xy, __lowhigh2highlow(xy));
    __nv_bfloat16 r[results] = {
        __hadd(x, y), __hsub(x, y), __hmul(x, y), __float2bfloat16(f[i]), __high2bfloat16(swapped), -x};
    for (int k = 0; k < results; k++)
        out[k * n + i] = __bfloat16_as_ushort(r[k]);
    out[results * n + i] = (uint16_t)((x < y) | (x == y) << 1 | (x > y) << 2);
}

int main()
{
    float *wide = device_alloc<float>(65536);
    widen<<<512, 128>>>(wide);
    std::vector<float> all = to_host(wide, 65536);
    for (int i = 0; i < 65536; i++) {
        double want = value_of(bfloat_format, (uint16_t)i);
        EXPECT(std::isnan(want) ? std::isnan(all[i]) : same_bits(all[i], (float)want));
    }

    const int n = 5000;
    std::vector<uint16_t> a(n), b(n);
    std::vector<float> f(n);
    Random random(8);
    for (int i = 0; i < n; i++) {
        // Exponents near 1, so that neither a product nor its rounding error leaves float's normal range.
        a[i] = bits_of(bfloat_format, std::ldexp(random.uniform(-1, 1), (int)random.below(40) - 20));
        b[i] = bits_of(bfloat_format, std::ldexp(random.uniform(-1, 1), (int)random.below(40) - 20));
        f[i] = std::ldexp(random.uniform(-1, 1), (int)random.below(200) - 100);
        if (i % 8 == 0)
            f[i] = (float)(value_of(bfloat_format, a[i]) + value_of(bfloat_format, a[i] + 1)) / 2;
    }
    uint16_t *out = device_alloc<uint16_t>((size_t)(results + 1) * n);
    arithmetic<<<(n + 127) / 128, 128>>>(to_device(a), to_device(b), to_device(f), out, n);
    CHECK(cudaGetLastError());
    std::vector<uint16_t> got = to_host(out, (size_t)(results + 1) * n);
    for (int i = 0; i < n; i++) {
        long double x = value_of(bfloat_format, a[i]), y = value_of(bfloat_format, b[i]);
        const long double want[results] = {x + y, x - y, x * y, f[i], x + y, -x};
        for (int k = 0; k < results; k++)
            EXPECT(got[(size_t)k * n + i] == bits_of(bfloat_format, want[k]));
        EXPECT(got[(size_t)results * n + i] == ((x < y) | (x == y) << 1 | (x > y) << 2));
    }
    printf("digest %016llx\n", (unsigned long long)digest(got));
    return finish("bfloat16_ops");
}
