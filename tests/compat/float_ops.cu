// SPDX-License-Identifier: Apache-2.0
// Are the float and double operations that IEEE 754 defines exactly (arithmetic, division, square root, fused
// multiply-add, rounding to integers, remainders, scaling) bit for bit the CPU's, subnormals and infinities
// included?
#include "compat.cuh"
#include <cmath>
#include <limits>

constexpr int op_count = 24;

template <typename T> __host__ __device__ T apply(int op, T a, T b, T c)
{
    int exponent = 0;

    switch (op) {
    case 0: return a + b;
    case 1: return a - b;
    case 2: return a * b;
    case 3: return a / b;
    case 4: return sqrt(fabs(a));
    case 5: return fma(a, b, c);
    case 6: return a == T(0) && b == T(0) ? T(0) : fmin(a, b);
    case 7: return a == T(0) && b == T(0) ? T(0) : fmax(a, b);
    case 8: return fabs(a);
    case 9: return -a;
    case 10: return floor(a);
    case 11: return ceil(a);
    case 12: return trunc(a);
    case 13: return rint(a);
    case 14: return round(a);
    case 15: return copysign(a, b);
    case 16: return fmod(a, b);
    case 17: return remainder(a, b);
    case 18: return ldexp(a, 3);
    case 19: return frexp(a, &exponent) + (T)(std::isfinite(a) ? exponent : 0);
    case 20: return nextafter(a, b);
    case 21: return fdim(a, b);
    case 22: return (T)((a < b) + 2 * (a <= b) + 4 * (a == b) + 8 * (a != b) + 16 * (a > b) + 32 * (a >= b));
    default: return (T)((std::isnan(a) ? 1 : 0) + (std::isinf(a) ? 2 : 0) + (std::signbit(a) ? 4 : 0));
    }
}

template <typename T> __global__ void apply_all(const T *a, const T *b, const T *c, T *out, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    for (int op = 0; op < op_count; op++)
        out[op * n + i] = apply<T>(op, a[i], b[i], c[i]);
}

// The payload and sign of a NaN are the machine's choice.
template <typename T> static std::vector<T> one_nan(std::vector<T> v)
{
    for (T &x : v)
        if (std::isnan(x))
            x = std::numeric_limits<T>::quiet_NaN();
    return v;
}

template <typename T> static void check_type(const char *name)
{
    using L = std::numeric_limits<T>;
    const T edges[] = {T(0),
                       T(-0.0),
                       T(1),
                       T(-1),
                       T(0.5),
                       T(1.5),
                       T(2.5),
                       T(-2.5),
                       T(3),
                       L::min(),
                       L::denorm_min(),
                       -L::denorm_min() * 5,
                       L::max(),
                       -L::max(),
                       L::infinity(),
                       -L::infinity(),
                       L::quiet_NaN(),
                       L::epsilon(),
                       T(1) + L::epsilon(),
                       T(8388607.5),
                       T(1e-30),
                       T(-1e30)};
    std::vector<T> a, b, c;
    Random random(sizeof(T));
    for (T x : edges)
        for (T y : edges) {
            a.push_back(x);
            b.push_back(y);
            c.push_back(edges[random.below(sizeof(edges) / sizeof(T))]);
        }
    for (int i = 0; i < 2000; i++) {
        int spread = i % 2 ? 8 : sizeof(T) == 4 ? 120 : 900;
        auto value = [&] {
            return std::ldexp((T)random.uniform(-1, 1), (int)random.below(2 * spread) - spread);
        };
        a.push_back(value());
        b.push_back(value());
        c.push_back(i % 5 ? value() : -a.back() * b.back());
    }

    int n = (int)a.size();
    std::vector<T> want((size_t)op_count * n);
    for (int op = 0; op < op_count; op++)
        for (int i = 0; i < n; i++)
            want[(size_t)op * n + i] = apply<T>(op, a[i], b[i], c[i]);
    want = one_nan(want);

    T *da = to_device(a), *db = to_device(b), *dc = to_device(c), *out = device_alloc<T>(want.size());
    apply_all<T><<<(n + 127) / 128, 128>>>(da, db, dc, out, n);
    CHECK(cudaGetLastError());
    std::vector<T> got = one_nan(to_host(out, want.size()));
    for (int op = 0; op < op_count; op++)
        expect_equal((std::string(name) + " op " + std::to_string(op)).c_str(),
                     std::vector<T>(got.begin() + (size_t)op * n, got.begin() + (size_t)(op + 1) * n),
                     std::vector<T>(want.begin() + (size_t)op * n, want.begin() + (size_t)(op + 1) * n));
    printf("%s %016llx\n", name, (unsigned long long)digest(got));
}

int main()
{
    check_type<float>("float");
    check_type<double>("double");
    return finish("float_ops");
}
