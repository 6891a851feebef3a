// SPDX-License-Identifier: Apache-2.0
// int_ops.cuh: every C operator on one integer type, compiled for both sides, for the int_* programs.
#pragma once

#include "compat.cuh"
#include <limits>
#include <type_traits>

constexpr int op_count = 18;

// Wrap-around arithmetic happens in an unsigned type at least as wide as unsigned int, so that nothing here
// is undefined.
template <typename T> __host__ __device__ T apply(int op, T a, T b)
{
    using U =
        typename std::conditional<(sizeof(T) < 4), uint32_t, typename std::make_unsigned<T>::type>::type;
    U x = (U)a, y = (U)b;
    unsigned shift = (unsigned)(y % (sizeof(T) * 8));

    switch (op) {
    case 0: return (T)(x + y);
    case 1: return (T)(x - y);
    case 2: return (T)(x * y);
    case 3: return (T)(a / b);
    case 4: return (T)(a % b);
    case 5: return (T)(x & y);
    case 6: return (T)(x | y);
    case 7: return (T)(x ^ y);
    case 8: return (T)(x << shift);
    case 9: return (T)(a >> shift);
    case 10: return a < b ? a : b;
    case 11: return a > b ? a : b;
    case 12: return (T)(U(0) - x);
    case 13: return (T)~x;
    case 14:
        return (T)((a < b) | (a <= b) << 1 | (a == b) << 2 | (a != b) << 3 | (a > b) << 4 | (a >= b) << 5);
    case 15: return (T)(x * y + (x ^ y));
    case 16: return (T)(a / (T)10);
    default: return (T)(a % (T)7);
    }
}

template <typename T> __global__ void apply_all(const T *a, const T *b, T *out, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    for (int op = 0; op < op_count; op++)
        out[op * n + i] = apply<T>(op, a[i], b[i]);
}

// Quotients that C leaves undefined (by zero, the minimum by -1) get another divisor.
template <typename T> T safe_divisor(T a, T b)
{
    if (b == 0)
        return (T)3;
    if (std::is_signed<T>::value && a == std::numeric_limits<T>::min() && b == (T)-1)
        return (T)5;
    return b;
}

template <typename T> void check_operators(const char *name, std::vector<T> a, std::vector<T> b)
{
    int n = (int)a.size();
    for (int i = 0; i < n; i++)
        b[i] = safe_divisor(a[i], b[i]);

    std::vector<T> want((size_t)op_count * n);
    for (int op = 0; op < op_count; op++)
        for (int i = 0; i < n; i++)
            want[(size_t)op * n + i] = apply<T>(op, a[i], b[i]);

    T *da = to_device(a), *db = to_device(b), *dout = device_alloc<T>(want.size());
    apply_all<T><<<(n + 127) / 128, 128>>>(da, db, dout, n);
    CHECK(cudaGetLastError());
    std::vector<T> got = to_host(dout, want.size());
    for (int op = 0; op < op_count; op++) {
        std::string what = std::string(name) + " op " + std::to_string(op);
        expect_equal(what.c_str(),
                     std::vector<T>(got.begin() + (size_t)op * n, got.begin() + (size_t)(op + 1) * n),
                     std::vector<T>(want.begin() + (size_t)op * n, want.begin() + (size_t)(op + 1) * n));
    }
    printf("%s %016llx\n", name, (unsigned long long)digest(got));
    CHECK(cudaFree(da));
    CHECK(cudaFree(db));
    CHECK(cudaFree(dout));
}

// The edges of the type against each other, then random pairs of every magnitude.
template <typename T> void check_type(const char *name, int random_pairs)
{
    using L = std::numeric_limits<T>;
    const T edges[] = {0,
                       1,
                       2,
                       3,
                       7,
                       10,
                       (T)-1,
                       (T)-2,
                       (T)-7,
                       L::min(),
                       (T)(L::min() + 1),
                       L::max(),
                       (T)(L::max() - 1),
                       (T)(L::max() / 2),
                       (T)(L::max() / 3)};
    std::vector<T> a, b;
    for (T x : edges)
        for (T y : edges) {
            a.push_back(x);
            b.push_back(y);
        }
    Random random(sizeof(T) * 2 + std::is_signed<T>::value);
    for (int i = 0; i < random_pairs; i++) {
        a.push_back((T)(random.next() >> random.below(64)));
        b.push_back((T)(random.next() >> random.below(64)));
    }
    check_operators<T>(name, a, b);
}
