// SPDX-License-Identifier: Apache-2.0
// Does a program built with -use_fast_math (subnormals flushed, approximate division and square root, fast
// functions) stay near the CPU's results and flush subnormals to zero?
// nvcc: -use_fast_math
#include "compat.cuh"
#include <cmath>

__global__ void mixed(const float *a, const float *b, float *out, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    float x = a[i], y = b[i];
    out[i] = x / y;
    out[n + i] = sqrtf(y);
    out[2 * n + i] = sinf(x) * cosf(x) + expf(x);
    out[3 * n + i] = logf(y) + tanhf(x);
    out[4 * n + i] = rsqrtf(y) * powf(y, 1.5f);
}

__global__ void tiny(const float *a, float *out)
{
    out[0] = a[0] * a[1];
    out[1] = a[2] + a[3];
    out[2] = fmaf(a[0], a[1], a[4]);
}

int main()
{
    const int n = 1000;
    std::vector<float> a(n), b(n);
    Random random(5);
    for (int i = 0; i < n; i++) {
        a[i] = random.uniform(-3, 3);
        b[i] = random.uniform(0.5f, 4.0f);
    }
    float *da = to_device(a), *db = to_device(b), *out = device_alloc<float>(5 * n);
    mixed<<<8, 128>>>(da, db, out, n);
    CHECK(cudaGetLastError());
    std::vector<float> got = to_host(out, 5 * n);
    for (int i = 0; i < n; i++) {
        double x = a[i], y = b[i];
        const double want[5] = {x / y, std::sqrt(y), std::sin(x) * std::cos(x) + std::exp(x),
                                std::log(y) + std::tanh(x), std::pow(y, 1.5) / std::sqrt(y)};
        for (int k = 0; k < 5; k++) {
            // The fast tanh is good to 11 bits only.
            double allowed = k == 3 ? 2e-3 : 2e-5;
            EXPECT(std::fabs(got[k * n + i] - want[k]) <= allowed * (1 + std::fabs(want[k])));
        }
    }

    // 2^-70 * 2^-70 and a sum of two subnormals: zero with flushing, not without; the fused form keeps its
    // normal addend.
    const std::vector<float> small = {0x1p-70f, 0x1p-70f, 0x1p-130f, 0x1p-131f, 0x1p-100f};
    float *ds = to_device(small);
    tiny<<<1, 1>>>(ds, out);
    got = to_host(out, 3);
    EXPECT(got[0] == 0.0f);
    EXPECT(got[1] == 0.0f);
    EXPECT(got[2] == 0x1p-100f);
    return finish("fast_math_flag");
}
