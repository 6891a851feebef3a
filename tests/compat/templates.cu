// SPDX-License-Identifier: Apache-2.0
// Do templated kernels (types, values, functors, lambdas, variadic packs, constexpr) with long mangled names
// resolve and run?
// nvcc: --extended-lambda
// also debug: -G
#include "compat.cuh"

template <typename T> struct Square {
    __host__ __device__ T operator()(T v) const { return v * v; }
};
template <typename T> struct Affine {
    T scale, offset;
    __host__ __device__ T operator()(T v) const { return v * scale + offset; }
};
template <typename F, typename G> struct Compose {
    F f;
    G g;
    template <typename T> __host__ __device__ T operator()(T v) const { return f(g(v)); }
};

template <typename T, typename F, int unroll> __global__ void transform(const T *in, T *out, int n, F f)
{
    int base = (blockIdx.x * blockDim.x + threadIdx.x) * unroll;
#pragma unroll
    for (int k = 0; k < unroll; k++)
        if (base + k < n)
            out[base + k] = f(in[base + k]);
}

template <int n> struct Fibonacci {
    static constexpr long long value = Fibonacci<n - 1>::value + Fibonacci<n - 2>::value;
};
template <> struct Fibonacci<0> {
    static constexpr long long value = 0;
};
template <> struct Fibonacci<1> {
    static constexpr long long value = 1;
};

template <int... numbers> __global__ void fibonacci(long long *out)
{
    const long long values[] = {Fibonacci<numbers>::value...};
    if (threadIdx.x < sizeof...(numbers))
        out[threadIdx.x] = values[threadIdx.x];
}

template <typename... Ts> __host__ __device__ double sum_of(Ts... values)
{
    return (double(values) + ...);
}

template <typename... Ts> __global__ void sum(double *out, Ts... values)
{
    *out = sum_of(values...);
}

template <typename T, typename F> static void check(const char *name, F f)
{
    const int n = 1000;
    std::vector<T> in(n), want(n);
    for (int i = 0; i < n; i++) {
        in[i] = (T)(i - 300);
        want[i] = f(in[i]);
    }
    T *din = to_device(in), *dout = device_alloc<T>(n);
    transform<T, F, 4><<<(n / 4 + 63) / 64, 64>>>(din, dout, n, f);
    CHECK(cudaGetLastError());
    expect_equal(name, to_host(dout, n), want);
    CHECK(cudaMemset(dout, 0, n * sizeof(T)));
    transform<T, F, 1><<<(n + 63) / 64, 64>>>(din, dout, n, f);
    expect_equal(name, to_host(dout, n), want);
    printf("%s %016llx\n", name, (unsigned long long)digest(want));
}

int main()
{
    check<int>("square int", Square<int>{});
    check<double>("affine double", Affine<double>{3, -7});
    check<float>("composed float", Compose<Square<float>, Affine<float>>{{}, {2, 5}});
    check<short>("affine of square", Compose<Affine<short>, Square<short>>{{1, 3}, {}});
    long long secret = 12345;
    check<long long>("lambda", [secret] __host__ __device__(long long v) { return v ^ secret; });

    long long *numbers = device_alloc<long long>(5);
    fibonacci<0, 1, 10, 50, 90><<<1, 32>>>(numbers);
    expect_equal("fibonacci", to_host(numbers, 5),
                 std::vector<long long>{0, 1, 55, 12586269025ll, 2880067194370816120ll});
    double *out = device_alloc<double>(1);
    sum<<<1, 1>>>(out, 1, 2.5f, (short)-3, 4.25, 'A', 1ull << 40, true);
    EXPECT(to_host(out, 1)[0] == sum_of(1, 2.5f, (short)-3, 4.25, 'A', 1ull << 40, true));
    return finish("templates");
}
