// SPDX-License-Identifier: Apache-2.0
// Do the paired half operations treat each half on its own, and do a half2 dot product and a softmax come out
// right?
#include "half_bits.cuh"
#include <cuda_fp16.h>

constexpr int results = 8;

__global__ void pairs(const uint32_t *a, const uint32_t *b, const uint32_t *c, uint32_t *out, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    __half2 x = *reinterpret_cast<const __half2 *>(&a[i]), y = *reinterpret_cast<const __half2 *>(&b[i]);
    __half2 z = *reinterpret_cast<const __half2 *>(&c[i]);
    __half2 r[results] = {__hadd2(x, y),
                          __hsub2(x, y),
                          __hmul2(x, y),
                          __hfma2(x, y, z),
                          __hneg2(x),
                          __lowhigh2highlow(x),
                          __halves2half2(__high2half(x), __low2half(y)),
                          __floats2half2_rn(__low2float(y), __high2float(x))};
    for (int k = 0; k < results; k++)
        out[k * n + i] = *reinterpret_cast<uint32_t *>(&r[k]);
}

__global__ void softmax(const __half2 *in, __half2 *out, int pairs)
{
    float sum = 0;
    for (int i = 0; i < pairs; i++) {
        __half2 e = h2exp(in[blockIdx.x * pairs + i]);
        float2 f = __half22float2(e);
        sum += f.x + f.y;
    }
    for (int i = threadIdx.x; i < pairs; i += blockDim.x) {
        float2 f = __half22float2(h2exp(in[blockIdx.x * pairs + i]));
        out[blockIdx.x * pairs + i] = __float22half2_rn(make_float2(f.x / sum, f.y / sum));
    }
}

int main()
{
    const int n = 4000;
    std::vector<uint32_t> a(n), b(n), c(n), want((size_t)results * n);
    Random random(22);
    auto lane = [&] {
        return bits_of(half_format, random.uniform(-40, 40) / (float)(1u << random.below(12)));
    };
    auto value = [](uint32_t word, int k) {
        return (long double)value_of(half_format, (uint16_t)(word >> (16 * k)));
    };
    for (int i = 0; i < n; i++) {
        for (std::vector<uint32_t> *v : {&a, &b, &c}) {
            uint32_t high = lane();
            (*v)[i] = high << 16 | lane();
        }
        for (int k = 0; k < 2; k++) {
            const long double x = value(a[i], k), y = value(b[i], k), z = value(c[i], k);
            const long double r[5] = {x + y, x - y, x * y, x * y + z, -x};
            for (int op = 0; op < 5; op++)
                want[(size_t)op * n + i] |= (uint32_t)bits_of(half_format, r[op]) << (16 * k);
        }
        want[(size_t)5 * n + i] = a[i] << 16 | a[i] >> 16;
        want[(size_t)6 * n + i] = b[i] << 16 | a[i] >> 16;
        want[(size_t)7 * n + i] = (b[i] & 0xffff) | (a[i] & 0xffff0000);
    }
    uint32_t *out = device_alloc<uint32_t>(want.size());
    pairs<<<(n + 127) / 128, 128>>>(to_device(a), to_device(b), to_device(c), out, n);
    CHECK(cudaGetLastError());
    std::vector<uint32_t> got = to_host(out, want.size());
    for (int k = 0; k < results; k++)
        expect_equal(("half2 op " + std::to_string(k)).c_str(),
                     std::vector<uint32_t>(got.begin() + k * n, got.begin() + (k + 1) * n),
                     std::vector<uint32_t>(want.begin() + k * n, want.begin() + (k + 1) * n));

    const int rows = 16, columns = 64;
    std::vector<uint16_t> logits(rows * columns);
    for (uint16_t &h : logits)
        h = bits_of(half_format, random.uniform(-4, 4));
    uint16_t *din = to_device(logits), *dout = device_alloc<uint16_t>(logits.size());
    softmax<<<rows, 32>>>((const __half2 *)din, (__half2 *)dout, columns / 2);
    std::vector<uint16_t> soft = to_host(dout, logits.size());
    for (int r = 0; r < rows; r++) {
        double sum = 0, total = 0;
        for (int i = 0; i < columns; i++)
            sum += std::exp(value_of(half_format, logits[r * columns + i]));
        for (int i = 0; i < columns; i++) {
            double p = std::exp(value_of(half_format, logits[r * columns + i])) / sum,
                   q = value_of(half_format, soft[r * columns + i]);
            EXPECT(std::fabs(p - q) <= 0.004 * p + 1e-6);
            total += q;
        }
        EXPECT(std::fabs(total - 1) < 0.004);
    }
    return finish("half2_ops");
}
