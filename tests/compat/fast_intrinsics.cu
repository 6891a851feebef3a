// SPDX-License-Identifier: Apache-2.0
// Do the fast intrinsics (__sinf, __expf, __logf, __fdividef, ...) stay within their documented errors, with
// some room, and are the exact ones (__saturatef, __frsqrt_rn) exact?
#include "compat.cuh"
#include <cmath>

constexpr int results = 11;

__global__ void fast(const float *a, const float *b, float *out, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    float x = a[i], y = b[i], s, c;
    __sincosf(x, &s, &c);
    float r[results] = {__sinf(x),
                        __cosf(x),
                        __expf(x),
                        __exp10f(x * 0.25f),
                        __logf(y),
                        __log2f(y),
                        __fdividef(x, y),
                        __powf(y, x),
                        __saturatef(x),
                        __frsqrt_rn(y),
                        __frcp_rn(y) + 0 * (s + c)};
    for (int k = 0; k < results; k++)
        out[k * n + i] = r[k];
}

int main()
{
    const int n = 2048;
    std::vector<float> a(n), b(n);
    Random random(17);
    for (int i = 0; i < n; i++) {
        a[i] = random.uniform(-3.14159f, 3.14159f);
        b[i] = random.uniform(0.5f, 2.0f);
    }
    float *da = to_device(a), *db = to_device(b), *out = device_alloc<float>((size_t)results * n);
    fast<<<n / 256, 256>>>(da, db, out, n);
    CHECK(cudaGetLastError());
    std::vector<float> got = to_host(out, (size_t)results * n);

    // Absolute bounds where the documentation gives absolute ones, relative otherwise (negative here); 0 is
    // exact.
    const double bounds[results] = {1e-6, 1e-6, -1e-6, -1e-6, 1e-6, 1e-6, -4e-7, -4e-6, 0, -1.2e-7, -1.2e-7};
    double worst[results] = {};
    for (int i = 0; i < n; i++) {
        double x = a[i], y = b[i];
        const double want[results] = {
            std::sin(x),  std::cos(x), std::exp(x),    std::pow(10.0, x * 0.25),  std::log(y),
            std::log2(y), x / y,       std::pow(y, x), x < 0 ? 0 : x > 1 ? 1 : x, 1 / std::sqrt(y),
            1 / y};
        for (int k = 0; k < results; k++) {
            double error = std::fabs(got[(size_t)k * n + i] - want[k]);
            if (!(error < 1e30))
                error = 1e30;
            worst[k] = std::max(worst[k], bounds[k] < 0 ? error / std::fabs(want[k]) : error);
        }
    }
    for (int k = 0; k < results; k++) {
        if (worst[k] > std::fabs(bounds[k]))
            printf("intrinsic %d: error %.3g\n", k, worst[k]);
        EXPECT(worst[k] <= std::fabs(bounds[k]));
    }
    return finish("fast_intrinsics");
}
