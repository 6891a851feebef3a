// SPDX-License-Identifier: Apache-2.0
// Does a three-kernel prefix sum (warp shuffles, block sums, carry) over a length that is no multiple of
// anything agree with the CPU, inclusive and exclusive, in int and long long?
// also raw: -compress-mode=none
// also speed: -compress-mode=speed
// also fat: -gencode arch=compute_75,code=[sm_75,compute_75] -gencode arch=compute_90,code=sm_90
// also debug: -G
// also rdc: -rdc=true -gencode arch=compute_75,code=compute_75
#include "compat.cuh"

constexpr int block = 256;

template <typename T> __device__ T warp_inclusive(T v)
{
    for (int step = 1; step < 32; step *= 2) {
        T other = __shfl_up_sync(0xffffffffu, v, step);
        if (threadIdx.x % 32 >= step)
            v += other;
    }
    return v;
}

template <typename T> __global__ void scan_blocks(const T *in, T *out, T *sums, int n)
{
    __shared__ T warps[block / 32];
    int i = blockIdx.x * block + threadIdx.x, warp = threadIdx.x / 32;
    T v = warp_inclusive<T>(i < n ? in[i] : T(0));
    if (threadIdx.x % 32 == 31)
        warps[warp] = v;
    __syncthreads();
    if (warp == 0) {
        T w = warp_inclusive<T>(threadIdx.x < block / 32 ? warps[threadIdx.x] : T(0));
        if (threadIdx.x < block / 32)
            warps[threadIdx.x] = w;
    }
    __syncthreads();
    if (warp > 0)
        v += warps[warp - 1];
    if (i < n)
        out[i] = v;
    if (threadIdx.x == block - 1)
        sums[blockIdx.x] = v;
}

template <typename T> __global__ void add_carry(T *data, const T *sums, int n)
{
    int i = blockIdx.x * block + threadIdx.x;
    if (i < n && blockIdx.x > 0)
        data[i] += sums[blockIdx.x - 1];
}

template <typename T> __global__ void to_exclusive(const T *inclusive, const T *in, T *out, int n)
{
    int i = blockIdx.x * block + threadIdx.x;
    if (i < n)
        out[i] = inclusive[i] - in[i];
}

template <typename T> static void check_type(const char *name, int n)
{
    std::vector<T> in(n), inclusive(n), exclusive(n);
    Random random(21);
    T sum = 0;
    for (int i = 0; i < n; i++) {
        in[i] = (T)random.below(2000) - 1000;
        exclusive[i] = sum;
        inclusive[i] = sum += in[i];
    }
    int blocks = (n + block - 1) / block;
    T *din = to_device(in), *dout = device_alloc<T>(n), *sums = device_alloc<T>(blocks),
      *total = device_alloc<T>(1), *dex = device_alloc<T>(n);
    scan_blocks<T><<<blocks, block>>>(din, dout, sums, n);
    scan_blocks<T><<<1, block>>>(sums, sums, total, blocks);
    add_carry<T><<<blocks, block>>>(dout, sums, n);
    to_exclusive<T><<<blocks, block>>>(dout, din, dex, n);
    CHECK(cudaGetLastError());
    expect_equal((std::string(name) + " inclusive").c_str(), to_host(dout, n), inclusive);
    expect_equal((std::string(name) + " exclusive").c_str(), to_host(dex, n), exclusive);
    EXPECT(to_host(total, 1)[0] == sum);
    printf("%s %d: %016llx\n", name, n, (unsigned long long)digest(inclusive));
}

int main()
{
    check_type<int>("int", 1);
    check_type<int>("int", 30011);
    check_type<long long>("long long", 20021);
    return finish("scan");
}
