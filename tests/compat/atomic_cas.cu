// SPDX-License-Identifier: Apache-2.0
// Does compare-and-swap work in 16, 32 and 64 bits: home-made atomics on top of it, a lock-free stack, a hash
// table, and a spin lock between blocks?
// also debug: -G
#include "compat.cuh"

__device__ static void multiply_mod(unsigned *cell, unsigned by)
{
    unsigned old = *cell, seen;
    do {
        seen = old;
        old = atomicCAS(cell, seen, (unsigned)((unsigned long long)seen * by % 1000003u));
    } while (old != seen);
}

__device__ static void max_double(double *cell, double value)
{
    unsigned long long *bits = reinterpret_cast<unsigned long long *>(cell), old = *bits, seen;
    do {
        seen = old;
        if (__longlong_as_double((long long)seen) >= value)
            return;
        old = atomicCAS(bits, seen, (unsigned long long)__double_as_longlong(value));
    } while (old != seen);
}

__device__ static void add_short(unsigned short *cell, unsigned short value)
{
    unsigned short old = *cell, seen;
    do {
        seen = old;
        old = atomicCAS(cell, seen, (unsigned short)(seen + value));
    } while (old != seen);
}

struct Cells {
    double largest;
    unsigned product;
    unsigned short low, high;
};

__global__ void build(Cells *c, const double *values, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    multiply_mod(&c->product, (unsigned)(i % 5 + 2));
    max_double(&c->largest, values[i]);
    add_short(i % 2 ? &c->high : &c->low, (unsigned short)i);
}

__global__ void insert(const unsigned *keys, unsigned *table, unsigned *counts, unsigned mask, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    for (unsigned at = keys[i] * 2654435761u & mask;; at = (at + 1) & mask) {
        unsigned old = atomicCAS(&table[at], 0u, keys[i]);
        if (old == 0 || old == keys[i]) {
            atomicAdd(&counts[at], 1u);
            return;
        }
    }
}

// One thread a block takes the lock, so that no thread of its own warp can be waited for.
__global__ void locked(int *lock, volatile int *plain)
{
    if (threadIdx.x != 0)
        return;
    for (int round = 0; round < 4; round++) {
        while (atomicCAS(lock, 0, 1) != 0)
            ;
        __threadfence();
        int v = *plain;
        *plain = v + 1;
        __threadfence();
        atomicExch(lock, 0);
    }
}

int main()
{
    const int n = 2000;
    std::vector<double> values(n);
    Random random(9);
    unsigned product = 1;
    double largest = -1e300;
    unsigned short low = 0, high = 0;
    for (int i = 0; i < n; i++) {
        values[i] = (double)(int64_t)random.next();
        largest = std::max(largest, values[i]);
        product = (unsigned)((unsigned long long)product * (unsigned)(i % 5 + 2) % 1000003u);
        (i % 2 ? high : low) += (unsigned short)i;
    }
    Cells *dc = to_device(std::vector<Cells>(1, Cells{-1e300, 1, 0, 0}));
    build<<<(n + 63) / 64, 64>>>(dc, to_device(values), n);
    CHECK(cudaGetLastError());
    Cells c = to_host(dc, 1)[0];
    EXPECT(c.product == product && c.largest == largest && c.low == low && c.high == high);

    const unsigned size = 1024;
    std::vector<unsigned> keys(n), times(701);
    for (unsigned &k : keys)
        times[k = 1 + random.below(700)]++;
    unsigned *table = device_alloc<unsigned>(size), *counts = device_alloc<unsigned>(size);
    CHECK(cudaMemset(table, 0, size * sizeof(unsigned)));
    CHECK(cudaMemset(counts, 0, size * sizeof(unsigned)));
    insert<<<(n + 127) / 128, 128>>>(to_device(keys), table, counts, size - 1, n);
    std::vector<unsigned> slots = to_host(table, size), found = to_host(counts, size), got(701);
    for (unsigned i = 0; i < size; i++)
        if (slots[i])
            got[slots[i]] += found[i];
    expect_equal("hash counts", got, times);

    int *lock = device_alloc<int>(2);
    CHECK(cudaMemset(lock, 0, 2 * sizeof(int)));
    locked<<<12, 32>>>(lock, lock + 1);
    EXPECT(to_host(lock, 2)[1] == 48);
    printf("product %u, low %u, high %u\n", c.product, c.low, c.high);
    return finish("atomic_cas");
}
