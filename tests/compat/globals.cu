// SPDX-License-Identifier: Apache-2.0
// Do __device__ globals keep initialisers and values between kernels, can the host read, write and address
// them, and do pointers between globals hold?
// also raw: -compress-mode=none
// also ptx: -gencode arch=compute_75,code=compute_75
#include "compat.cuh"

struct Node {
    int value;
    Node *next;
};

__device__ int counter = 40;
__device__ float table[16] = {0.5f, 1.5f, 2.5f};
__device__ unsigned char bytes[3] = {9, 8, 7};
__device__ int *pointer;
__device__ Node tail = {30, nullptr}, middle = {20, &tail}, head = {10, &middle};
__device__ const char greeting[] = "hello from the device";
static __device__ long long hidden = -1;

__global__ void bump(int by)
{
    atomicAdd(&counter, by);
    if (threadIdx.x < 16 && blockIdx.x == 0)
        table[threadIdx.x] += threadIdx.x;
    if (threadIdx.x == 0 && blockIdx.x == 0)
        hidden += 1000;
}

__global__ void follow(int *sum, int *length)
{
    *sum = 0;
    for (Node *n = &head; n; n = n->next)
        *sum += n->value;
    *sum += pointer[5] + bytes[1];
    *length = 0;
    while (greeting[*length])
        ++*length;
}

int main()
{
    int value = 0;
    CHECK(cudaMemcpyFromSymbol(&value, counter, sizeof(value)));
    EXPECT(value == 40);
    bump<<<4, 32>>>(2);
    bump<<<2, 32>>>(1);
    CHECK(cudaMemcpyFromSymbol(&value, counter, sizeof(value)));
    EXPECT(value == 40 + 4 * 32 * 2 + 2 * 32);
    float values[16];
    CHECK(cudaMemcpyFromSymbol(values, table, sizeof(values)));
    const float first[3] = {0.5f, 1.5f, 2.5f};
    for (int i = 0; i < 16; i++)
        EXPECT(values[i] == (i < 3 ? first[i] : 0) + 2 * i);
    long long secret = 0;
    CHECK(cudaMemcpyFromSymbol(&secret, hidden, sizeof(secret)));
    EXPECT(secret == 1999);

    // The address is an ordinary device pointer, the same every time.
    void *address = nullptr, *again = nullptr;
    size_t size = 0;
    CHECK(cudaGetSymbolAddress(&address, table));
    CHECK(cudaGetSymbolAddress(&again, table));
    CHECK(cudaGetSymbolSize(&size, table));
    EXPECT(address == again && size == 16 * sizeof(float));
    CHECK(cudaMemset((float *)address + 8, 0, 8 * sizeof(float)));
    CHECK(cudaMemcpyFromSymbol(values, table, sizeof(values)));
    EXPECT(values[7] == 14 && values[8] == 0 && values[15] == 0);
    CHECK(cudaGetSymbolSize(&size, bytes));
    EXPECT(size == 3);

    // A device pointer put into a global, part of an array written asynchronously.
    std::vector<int> list = {0, 1, 2, 3, 4, 555};
    int *dlist = to_device(list);
    CHECK(cudaMemcpyToSymbol(pointer, &dlist, sizeof(dlist)));
    const unsigned char one = 100;
    CHECK(cudaMemcpyToSymbolAsync(bytes, &one, 1, 1, cudaMemcpyHostToDevice, 0));
    int *results = device_alloc<int>(2);
    follow<<<1, 1>>>(results, results + 1);
    std::vector<int> got = to_host(results, 2);
    EXPECT(got[0] == 10 + 20 + 30 + 555 + 100);
    EXPECT(got[1] == 21);
    EXPECT_ERROR(cudaGetSymbolAddress(&address, (const void *)&value), cudaErrorInvalidSymbol);
    printf("counter %d, sum %d\n", value, got[0]);
    return finish("globals");
}
