// SPDX-License-Identifier: Apache-2.0
// Do device function pointers work: a table in device memory, a pointer fetched by the host and passed to a
// kernel, and calls that differ between the lanes of one warp?
// also rdc: -rdc=true -gencode arch=compute_75,code=compute_75
#include "compat.cuh"

typedef int (*Operation)(int, int);

__host__ __device__ static int add(int a, int b)
{
    return a + b;
}
__host__ __device__ static int subtract(int a, int b)
{
    return a - b;
}
__host__ __device__ static int multiply(int a, int b)
{
    return a * b;
}
__host__ __device__ static int larger(int a, int b)
{
    return a > b ? a : b;
}

__device__ Operation operations[4] = {add, subtract, multiply, larger};
__device__ Operation chosen = multiply;

__global__ void by_lane(const int *a, const int *b, int *out, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        out[i] = operations[(i ^ (i >> 3)) & 3](a[i], b[i]);
}

__global__ void by_argument(const int *a, const int *b, int *out, int n, Operation op)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        out[i] = op(op(a[i], b[i]), 3);
}

int main()
{
    const int n = 700;
    const Operation on_cpu[4] = {add, subtract, multiply, larger};
    std::vector<int> a(n), b(n), mixed(n), product(n), difference(n);
    Random random(31);
    for (int i = 0; i < n; i++) {
        a[i] = (int)random.below(20000) - 10000;
        b[i] = (int)random.below(20000) - 10000;
        mixed[i] = on_cpu[(i ^ (i >> 3)) & 3](a[i], b[i]);
        product[i] = a[i] * b[i] * 3;
        difference[i] = a[i] - b[i] - 3;
    }
    int *da = to_device(a), *db = to_device(b), *out = device_alloc<int>(n);
    by_lane<<<(n + 127) / 128, 128>>>(da, db, out, n);
    CHECK(cudaGetLastError());
    expect_equal("by lane", to_host(out, n), mixed);

    Operation op = nullptr, table[4];
    CHECK(cudaMemcpyFromSymbol(&op, chosen, sizeof(op)));
    by_argument<<<(n + 127) / 128, 128>>>(da, db, out, n, op);
    expect_equal("multiply", to_host(out, n), product);
    CHECK(cudaMemcpyFromSymbol(table, operations, sizeof(table)));
    EXPECT(table[2] == op && table[0] != table[1]);
    by_argument<<<(n + 127) / 128, 128>>>(da, db, out, n, table[1]);
    expect_equal("subtract", to_host(out, n), difference);

    // The host may also change the table.
    std::swap(table[0], table[1]);
    CHECK(cudaMemcpyToSymbol(operations, table, sizeof(table)));
    by_lane<<<(n + 127) / 128, 128>>>(da, db, out, n);
    for (int i = 0; i < n; i++) {
        int k = (i ^ (i >> 3)) & 3;
        mixed[i] = on_cpu[k < 2 ? 1 - k : k](a[i], b[i]);
    }
    expect_equal("swapped", to_host(out, n), mixed);
    printf("digest %016llx\n", (unsigned long long)digest(mixed));
    return finish("function_pointers");
}
