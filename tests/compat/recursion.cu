// SPDX-License-Identifier: Apache-2.0
// Does recursion work on the device (a real call stack, mutual recursion, different depths in one warp), and
// does the stack limit read back as set?
#include "compat.cuh"

__host__ __device__ static unsigned ackermann(unsigned m, unsigned n)
{
    if (m == 0)
        return n + 1;
    return n == 0 ? ackermann(m - 1, 1) : ackermann(m - 1, ackermann(m, n - 1));
}

__host__ __device__ static bool odd(unsigned n);
__host__ __device__ static bool even(unsigned n)
{
    return n == 0 ? true : odd(n - 1);
}
__host__ __device__ static bool odd(unsigned n)
{
    return n == 0 ? false : even(n - 1);
}

__host__ __device__ static int quick_select(int *v, int low, int high, int k)
{
    int pivot = v[(low + high) / 2], i = low, j = high;
    while (i <= j) {
        while (v[i] < pivot)
            i++;
        while (v[j] > pivot)
            j--;
        if (i <= j) {
            int t = v[i];
            v[i++] = v[j];
            v[j--] = t;
        }
    }
    if (k <= j)
        return quick_select(v, low, j, k);
    return k >= i ? quick_select(v, i, high, k) : v[k];
}

__global__ void run(unsigned *a, unsigned char *parity, int *medians, int *scratch)
{
    int i = threadIdx.x;
    a[i] = ackermann(2, i % 7);
    parity[i] = (unsigned char)(even(i) + 2 * odd(i + 1));
    int *mine = scratch + i * 31;
    for (int k = 0; k < 31; k++)
        mine[k] = (int)((unsigned)(i + 1) * (unsigned)(k + 3) * 2654435761u >> 8);
    medians[i] = quick_select(mine, 0, 30, 15);
}

int main()
{
    const int n = 64;
    size_t size = 0;
    CHECK(cudaDeviceSetLimit(cudaLimitStackSize, 8192));
    CHECK(cudaDeviceGetLimit(&size, cudaLimitStackSize));
    EXPECT(size >= 8192);

    unsigned *a = device_alloc<unsigned>(n);
    unsigned char *parity = device_alloc<unsigned char>(n);
    int *medians = device_alloc<int>(n), *scratch = device_alloc<int>(n * 31);
    run<<<1, n>>>(a, parity, medians, scratch);
    CHECK(cudaGetLastError());
    std::vector<unsigned> got_a = to_host(a, n);
    std::vector<unsigned char> got_parity = to_host(parity, n);
    std::vector<int> got_medians = to_host(medians, n);
    for (int i = 0; i < n; i++) {
        int v[31];
        for (int k = 0; k < 31; k++)
            v[k] = (int)((unsigned)(i + 1) * (unsigned)(k + 3) * 2654435761u >> 8);
        EXPECT(got_a[i] == ackermann(2, i % 7));
        EXPECT(got_parity[i] == (i % 2 ? 0 : 3));
        EXPECT(got_medians[i] == quick_select(v, 0, 30, 15));
    }
    printf("medians %016llx\n", (unsigned long long)digest(got_medians));
    return finish("recursion");
}
