// SPDX-License-Identifier: Apache-2.0
// Are the double-precision functions of the maths library within 4 units in the last place (8 for pow) of the
// CPU's extended-precision results?
#include "compat.cuh"
#include <cmath>

constexpr int functions = 20;

// One list for both sides: the device in double, the CPU in long double.
#define CASES                                                                                                \
    switch (k) {                                                                                             \
    case 0: return sin(x);                                                                                   \
    case 1: return cos(x);                                                                                   \
    case 2: return tan(x);                                                                                   \
    case 3: return exp(x);                                                                                   \
    case 4: return exp2(x);                                                                                  \
    case 5: return expm1(x);                                                                                 \
    case 6: return log(y);                                                                                   \
    case 7: return log2(y);                                                                                  \
    case 8: return log10(y);                                                                                 \
    case 9: return log1p(y);                                                                                 \
    case 10: return pow(y, x * 0.0625f);                                                                     \
    case 11: return cbrt(x);                                                                                 \
    case 12: return hypot(x, y);                                                                             \
    case 13: return atan(x);                                                                                 \
    case 14: return atan2(x, y);                                                                             \
    case 15: return asin(x * 0.0078125f);                                                                    \
    case 16: return sinh(x * 0.125f);                                                                        \
    case 17: return tanh(x * 0.125f);                                                                        \
    case 18: return erf(x * 0.03125f);                                                                       \
    default: return sqrt(y) * 0.5f;                                                                          \
    }

__device__ static double on_device(int k, double x, double y)
{
    CASES
}

static long double on_cpu(int k, long double x, long double y)
{
    using namespace std;
    CASES
}

__global__ void all_functions(const double *a, const double *b, double *out, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        for (int k = 0; k < functions; k++)
            out[k * n + i] = on_device(k, a[i], b[i]);
}

static double ulps(double got, long double want)
{
    if (!std::isfinite(got))
        return 1e9;
    long double unit = std::ldexp(1.0L, std::ilogb(want == 0 ? 1e-300L : want) - 52);
    return (double)(std::fabs((long double)got - want) / unit);
}

int main()
{
    const int n = 1024;
    std::vector<double> a(n), b(n);
    Random random(53);
    for (int i = 0; i < n; i++) {
        a[i] = ((double)random.next() / 18446744073709551616.0 - 0.5) * (i % 3 ? 200 : 2);
        b[i] = (double)(random.next() >> 1) / 9223372036854775808.0 * 1000 + 1e-6;
    }
    double *da = to_device(a), *db = to_device(b), *out = device_alloc<double>((size_t)functions * n);
    all_functions<<<n / 64, 64>>>(da, db, out, n);
    CHECK(cudaGetLastError());
    std::vector<double> got = to_host(out, (size_t)functions * n);
    for (int k = 0; k < functions; k++) {
        double worst = 0;
        for (int i = 0; i < n; i++)
            worst = std::max(worst, ulps(got[(size_t)k * n + i], on_cpu(k, a[i], b[i])));
        double bound = k == 10 ? 8 : 4;
        if (worst > bound)
            printf("function %d: %.1f ulp\n", k, worst);
        EXPECT(worst <= bound);
    }
    return finish("double_math");
}
