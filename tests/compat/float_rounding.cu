// SPDX-License-Identifier: Apache-2.0
// Do the intrinsics with a rounding mode in their name (add, multiply, divide, reciprocal, square root, fma;
// nearest, toward zero, up, down) round as the CPU does when its own mode is set?
#include "compat.cuh"
#include <cfenv>
#include <cmath>

constexpr int kinds = 6, modes = 4;
static const int host_modes[modes] = {FE_TONEAREST, FE_TOWARDZERO, FE_UPWARD, FE_DOWNWARD};

__global__ void round_float(const float *a, const float *b, const float *c, float *out, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    float x = a[i], y = b[i], z = c[i], s = fabsf(x);
    float r[kinds * modes] = {__fadd_rn(x, y),    __fadd_rz(x, y),    __fadd_ru(x, y),    __fadd_rd(x, y),
                              __fmul_rn(x, y),    __fmul_rz(x, y),    __fmul_ru(x, y),    __fmul_rd(x, y),
                              __fdiv_rn(x, y),    __fdiv_rz(x, y),    __fdiv_ru(x, y),    __fdiv_rd(x, y),
                              __frcp_rn(x),       __frcp_rz(x),       __frcp_ru(x),       __frcp_rd(x),
                              __fsqrt_rn(s),      __fsqrt_rz(s),      __fsqrt_ru(s),      __fsqrt_rd(s),
                              __fmaf_rn(x, y, z), __fmaf_rz(x, y, z), __fmaf_ru(x, y, z), __fmaf_rd(x, y, z)};
    for (int k = 0; k < kinds * modes; k++)
        out[k * n + i] = r[k];
}

__global__ void round_double(const double *a, const double *b, const double *c, double *out, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    double x = a[i], y = b[i], z = c[i], s = fabs(x);
    double r[kinds * modes] = {__dadd_rn(x, y),   __dadd_rz(x, y),   __dadd_ru(x, y),   __dadd_rd(x, y),
                               __dmul_rn(x, y),   __dmul_rz(x, y),   __dmul_ru(x, y),   __dmul_rd(x, y),
                               __ddiv_rn(x, y),   __ddiv_rz(x, y),   __ddiv_ru(x, y),   __ddiv_rd(x, y),
                               __drcp_rn(x),      __drcp_rz(x),      __drcp_ru(x),      __drcp_rd(x),
                               __dsqrt_rn(s),     __dsqrt_rz(s),     __dsqrt_ru(s),     __dsqrt_rd(s),
                               __fma_rn(x, y, z), __fma_rz(x, y, z), __fma_ru(x, y, z), __fma_rd(x, y, z)};
    for (int k = 0; k < kinds * modes; k++)
        out[k * n + i] = r[k];
}

// volatile keeps the operation between the two changes of mode.
template <typename T> static T on_cpu(int kind, int mode, T a, T b, T c)
{
    volatile T x = a, y = b, z = c, r = 0;

    fesetround(host_modes[mode]);
    switch (kind) {
    case 0: r = x + y; break;
    case 1: r = x * y; break;
    case 2: r = x / y; break;
    case 3: r = T(1) / x; break;
    case 4: r = std::sqrt(x < 0 ? -x : x); break;
    default: r = std::fma(x, y, z); break;
    }
    fesetround(FE_TONEAREST);
    return r;
}

template <typename T, typename Kernel> static void check_type(const char *name, Kernel kernel)
{
    const int n = 3000;
    std::vector<T> a(n), b(n), c(n), want((size_t)kinds * modes * n);
    Random random(7 + sizeof(T));
    for (int i = 0; i < n; i++) {
        auto value = [&] {
            T mantissa = (T)(int64_t)random.next() / (T)9223372036854775808.0;
            return std::ldexp(mantissa == 0 ? T(0.5) : mantissa, (int)random.below(40) - 20);
        };
        a[i] = value();
        b[i] = value();
        c[i] = value();
        for (int k = 0; k < kinds * modes; k++)
            want[(size_t)k * n + i] = on_cpu<T>(k / modes, k % modes, a[i], b[i], c[i]);
    }
    T *da = to_device(a), *db = to_device(b), *dc = to_device(c), *out = device_alloc<T>(want.size());
    kernel<<<(n + 127) / 128, 128>>>(da, db, dc, out, n);
    CHECK(cudaGetLastError());
    std::vector<T> got = to_host(out, want.size());
    for (int k = 0; k < kinds * modes; k++)
        expect_equal(
            (std::string(name) + " kind " + std::to_string(k / modes) + " mode " + std::to_string(k % modes))
                .c_str(),
            std::vector<T>(got.begin() + k * n, got.begin() + (k + 1) * n),
            std::vector<T>(want.begin() + k * n, want.begin() + (k + 1) * n));
    printf("%s %016llx\n", name, (unsigned long long)digest(got));
}

int main()
{
    check_type<float>("float", round_float);
    check_type<double>("double", round_double);
    return finish("float_rounding");
}
