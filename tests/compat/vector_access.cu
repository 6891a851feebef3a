// SPDX-License-Identifier: Apache-2.0
// Do vector loads and stores of every width, the cached and streaming variants (__ldg, __ldcg, __stcs, ...),
// volatile and byte accesses move the right bytes?
#include "compat.cuh"

template <typename V> __global__ void copy_plain(const V *in, V *out, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        out[n - 1 - i] = in[i];
}

template <typename V> __global__ void copy_cached(const V *__restrict__ in, V *__restrict__ out, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    V v;
    switch (i % 4) {
    case 0: v = __ldg(&in[i]); break;
    case 1: v = __ldcg(&in[i]); break;
    case 2: v = __ldcs(&in[i]); break;
    default: v = __ldca(&in[i]); break;
    }
    switch (i % 3) {
    case 0: __stcs(&out[n - 1 - i], v); break;
    case 1: __stcg(&out[n - 1 - i], v); break;
    default: __stwb(&out[n - 1 - i], v); break;
    }
}

template <typename V> __global__ void through_shared(const V *in, V *out, int n)
{
    __shared__ V s[64];
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        s[threadIdx.x] = in[i];
    __syncthreads();
    int base = blockIdx.x * blockDim.x, other = min(n - base, (int)blockDim.x) - 1 - (int)threadIdx.x;
    if (i < n) // the block's elements in reverse, so that each comes from another thread
        out[n - 1 - (base + other)] = s[other];
}

__global__ void by_bytes(const volatile unsigned char *in, volatile unsigned char *out, int bytes, int size)
{
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < bytes; i += gridDim.x * blockDim.x)
        out[bytes - size - i / size * size + i % size] = in[i];
}

template <typename V> static void check(const char *name)
{
    const int n = 333;
    std::vector<unsigned char> in(n * sizeof(V)), want(in.size());
    Random random(sizeof(V));
    for (int i = 0; i < n; i++)
        for (size_t b = 0; b < sizeof(V); b++)
            want[(n - 1 - i) * sizeof(V) + b] = in[i * sizeof(V) + b] = (unsigned char)random.next();
    unsigned char *din = to_device(in), *dout = device_alloc<unsigned char>(in.size());
    const V *vin = reinterpret_cast<const V *>(din);
    V *vout = reinterpret_cast<V *>(dout);
    auto verify = [&](const char *how) {
        CHECK(cudaGetLastError());
        expect_equal((std::string(name) + how).c_str(), to_host(dout, in.size()), want);
        CHECK(cudaMemset(dout, 0, in.size()));
    };
    copy_plain<V><<<3, 128>>>(vin, vout, n);
    verify(" plain");
    copy_cached<V><<<3, 128>>>(vin, vout, n);
    verify(" cached");
    through_shared<V><<<6, 64>>>(vin, vout, n);
    verify(" shared");
    by_bytes<<<2, 64>>>(din, dout, (int)in.size(), (int)sizeof(V));
    verify(" bytes");
    printf("%s %016llx\n", name, (unsigned long long)digest(want));
    CHECK(cudaFree(din));
    CHECK(cudaFree(dout));
}

int main()
{
    check<char>("char");
    check<uchar2>("uchar2");
    check<uchar4>("uchar4");
    check<short>("short");
    check<ushort2>("ushort2");
    check<short4>("short4");
    check<int>("int");
    check<uint2>("uint2");
    check<int4>("int4");
    check<float2>("float2");
    check<float4>("float4");
    check<long long>("long long");
    check<double>("double");
    check<double2>("double2");
    check<longlong2>("longlong2");
    return finish("vector_access");
}
