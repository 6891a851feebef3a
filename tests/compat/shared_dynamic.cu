// SPDX-License-Identifier: Apache-2.0
// Does dynamic shared memory work: several arrays in one launch-sized block, beside static shared, and more
// than 48 KiB after the function's attribute is raised (and refused before)?
#include "compat.cuh"

extern __shared__ __align__(16) unsigned char dynamic_shared[];

__global__ void parts(const int *in, double *doubles, int *ints, char *chars, int n)
{
    __shared__ int offset;
    double *d = reinterpret_cast<double *>(dynamic_shared);
    int *k = reinterpret_cast<int *>(d + n);
    char *c = reinterpret_cast<char *>(k + n);
    int i = threadIdx.x;

    if (i == 0)
        offset = in[0];
    __syncthreads();
    d[i] = in[i] * 0.25;
    k[i] = in[i] + offset;
    c[i] = (char)in[i];
    __syncthreads();
    doubles[i] = d[n - 1 - i];
    ints[i] = k[(i + 5) % n];
    chars[i] = c[i ^ 1];
}

// Reverses an array that only fits as a whole.
__global__ void reverse(int *data, int n)
{
    int *s = reinterpret_cast<int *>(dynamic_shared);
    for (int i = threadIdx.x; i < n; i += blockDim.x)
        s[i] = data[i];
    __syncthreads();
    for (int i = threadIdx.x; i < n; i += blockDim.x)
        data[i] = s[n - 1 - i];
}

int main()
{
    const int n = 96;
    std::vector<int> in(n);
    for (int i = 0; i < n; i++)
        in[i] = 7 + i * 13;
    double *dd = device_alloc<double>(n);
    int *di = device_alloc<int>(n);
    char *dc = device_alloc<char>(n);
    parts<<<1, n, n *(sizeof(double) + sizeof(int) + 1)>>>(to_device(in), dd, di, dc, n);
    CHECK(cudaGetLastError());
    std::vector<double> d = to_host(dd, n);
    std::vector<int> k = to_host(di, n);
    std::vector<char> c = to_host(dc, n);
    for (int i = 0; i < n; i++) {
        EXPECT(d[i] == in[n - 1 - i] * 0.25);
        EXPECT(k[i] == in[(i + 5) % n] + in[0]);
        EXPECT(c[i] == (char)in[i ^ 1]);
    }

    const int large = 15 * 1024; // 60 KiB, within the 64 KiB that the smallest supported device offers
    std::vector<int> v(large), want(large);
    for (int i = 0; i < large; i++)
        v[i] = want[large - 1 - i] = i * i;
    int *dv = to_device(v);
    reverse<<<1, 256, large * sizeof(int)>>>(dv, large);
    EXPECT_ERROR(cudaGetLastError(), cudaErrorInvalidValue);
    CHECK(
        cudaFuncSetAttribute(reverse, cudaFuncAttributeMaxDynamicSharedMemorySize, large * (int)sizeof(int)));
    reverse<<<1, 256, large * sizeof(int)>>>(dv, large);
    CHECK(cudaGetLastError());
    expect_equal("reverse", to_host(dv, large), want);
    return finish("shared_dynamic");
}
