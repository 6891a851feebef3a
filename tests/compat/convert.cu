// SPDX-License-Identifier: Apache-2.0
// Do conversions between integers, float and double round as named, saturate out of range, and map NaN as
// documented?
#include "compat.cuh"
#include <cfenv>
#include <cmath>

constexpr int modes = 4;
static const int host_modes[modes] = {FE_TONEAREST, FE_TOWARDZERO, FE_UPWARD, FE_DOWNWARD};

struct FromFloat {
    int i[modes];
    unsigned u[modes];
    long long l[modes];
    unsigned long long m[modes];
};

__global__ void from_float(const float *a, FromFloat *out, int n)
{
    int k = blockIdx.x * blockDim.x + threadIdx.x;
    if (k >= n)
        return;
    float x = a[k];
    out[k] = {{__float2int_rn(x), __float2int_rz(x), __float2int_ru(x), __float2int_rd(x)},
              {__float2uint_rn(x), __float2uint_rz(x), __float2uint_ru(x), __float2uint_rd(x)},
              {__float2ll_rn(x), __float2ll_rz(x), __float2ll_ru(x), __float2ll_rd(x)},
              {__float2ull_rn(x), __float2ull_rz(x), __float2ull_ru(x), __float2ull_rd(x)}};
}

struct FromDouble {
    int i[modes];
    unsigned u[modes];
    long long l[modes];
    float f[modes];
};

__global__ void from_double(const double *a, FromDouble *out, int n)
{
    int k = blockIdx.x * blockDim.x + threadIdx.x;
    if (k >= n)
        return;
    double x = a[k];
    out[k] = {{__double2int_rn(x), __double2int_rz(x), __double2int_ru(x), __double2int_rd(x)},
              {__double2uint_rn(x), __double2uint_rz(x), __double2uint_ru(x), __double2uint_rd(x)},
              {__double2ll_rn(x), __double2ll_rz(x), __double2ll_ru(x), __double2ll_rd(x)},
              {__double2float_rn(x), __double2float_rz(x), __double2float_ru(x), __double2float_rd(x)}};
}

struct FromInt {
    float i[modes], u[modes], l[modes], m[modes];
    double d[modes], e[modes];
};

__global__ void from_int(const long long *a, FromInt *out, int n)
{
    int k = blockIdx.x * blockDim.x + threadIdx.x;
    if (k >= n)
        return;
    long long l = a[k];
    unsigned long long m = (unsigned long long)l;
    int i = (int)l;
    unsigned u = (unsigned)m;
    out[k] = {{__int2float_rn(i), __int2float_rz(i), __int2float_ru(i), __int2float_rd(i)},
              {__uint2float_rn(u), __uint2float_rz(u), __uint2float_ru(u), __uint2float_rd(u)},
              {__ll2float_rn(l), __ll2float_rz(l), __ll2float_ru(l), __ll2float_rd(l)},
              {__ull2float_rn(m), __ull2float_rz(m), __ull2float_ru(m), __ull2float_rd(m)},
              {__ll2double_rn(l), __ll2double_rz(l), __ll2double_ru(l), __ll2double_rd(l)},
              {__ull2double_rn(m), __ull2double_rz(m), __ull2double_ru(m), __ull2double_rd(m)}};
}

// NaN gives 0 from float to 32 bits and 1 << (width - 1) in every other pair.
template <typename I> static I clamped(double x, int mode, bool wide)
{
    constexpr bool is_signed = I(-1) < I(0);
    constexpr int bits = sizeof(I) * 8;
    if (std::isnan(x))
        return wide ? (I)(1ull << (bits - 1)) : 0;
    fesetround(host_modes[mode]);
    volatile double in = x;
    double r = std::nearbyint(in);
    fesetround(FE_TONEAREST);
    double low = is_signed ? -std::ldexp(1.0, bits - 1) : 0,
           high = std::ldexp(1.0, is_signed ? bits - 1 : bits);
    if (r < low)
        return is_signed ? (I)(1ull << (bits - 1)) : 0;
    return r >= high ? (I)(is_signed ? ~(1ull << (bits - 1)) : ~0ull) : (I)r;
}

template <typename To, typename From> static To rounded(From x, int mode)
{
    fesetround(host_modes[mode]);
    volatile From in = x;
    volatile To r = (To)in;
    fesetround(FE_TONEAREST);
    return r;
}

static bool same(float a, float b)
{
    return (std::isnan(a) && std::isnan(b)) || same_bits(a, b);
}

int main()
{
    std::vector<double> values = {0,
                                  -0.0,
                                  0.5,
                                  -0.5,
                                  1.5,
                                  2.5,
                                  -2.5,
                                  0.49999997,
                                  2147483647,
                                  2147483648.0,
                                  -2147483648.0,
                                  -2147483904.0,
                                  4294967295.0,
                                  4294967296.0,
                                  1e10,
                                  -1e10,
                                  9.2e18,
                                  9223372036854775808.0,
                                  1.8e19,
                                  1.9e19,
                                  1e300,
                                  -1e300,
                                  INFINITY,
                                  -INFINITY,
                                  NAN,
                                  1e-40,
                                  1e-320,
                                  16777217.0,
                                  3.4028235677973366e38};
    Random random(2);
    for (int i = 0; i < 2000; i++)
        values.push_back(((double)random.next() / 9223372036854775808.0 - 1) *
                         std::ldexp(1.0, (int)random.below(66)));
    int n = (int)values.size(), blocks = (n + 63) / 64;

    std::vector<float> floats(n);
    std::vector<long long> integers(n);
    for (int i = 0; i < n; i++) {
        floats[i] = (float)values[i];
        integers[i] =
            i < 4 ? (long long)(0x7fffffffffffffffull + i) : (long long)(random.next() >> random.below(64));
    }
    FromFloat *f = device_alloc<FromFloat>(n);
    FromDouble *d = device_alloc<FromDouble>(n);
    FromInt *g = device_alloc<FromInt>(n);
    from_float<<<blocks, 64>>>(to_device(floats), f, n);
    from_double<<<blocks, 64>>>(to_device(values), d, n);
    from_int<<<blocks, 64>>>(to_device(integers), g, n);
    CHECK(cudaGetLastError());
    std::vector<FromFloat> ff = to_host(f, n);
    std::vector<FromDouble> fd = to_host(d, n);
    std::vector<FromInt> fi = to_host(g, n);

    for (int i = 0; i < n; i++)
        for (int m = 0; m < modes; m++) {
            long long l = integers[i];
            EXPECT(ff[i].i[m] == clamped<int>(floats[i], m, false));
            EXPECT(ff[i].u[m] == clamped<unsigned>(floats[i], m, false));
            EXPECT(ff[i].l[m] == clamped<long long>(floats[i], m, true));
            EXPECT(ff[i].m[m] == clamped<unsigned long long>(floats[i], m, true));
            EXPECT(fd[i].i[m] == clamped<int>(values[i], m, true));
            EXPECT(fd[i].u[m] == clamped<unsigned>(values[i], m, true));
            EXPECT(fd[i].l[m] == clamped<long long>(values[i], m, true));
            EXPECT(same(fd[i].f[m], rounded<float>(values[i], m)));
            EXPECT(same(fi[i].i[m], rounded<float>((int)l, m)));
            EXPECT(same(fi[i].u[m], rounded<float>((unsigned)l, m)));
            EXPECT(same(fi[i].l[m], rounded<float>(l, m)));
            EXPECT(same(fi[i].m[m], rounded<float>((unsigned long long)l, m)));
            EXPECT(same_bits(fi[i].d[m], rounded<double>(l, m)));
            EXPECT(same_bits(fi[i].e[m], rounded<double>((unsigned long long)l, m)));
        }
    printf("%d values, 4 rounding modes\n", n);
    return finish("convert");
}
