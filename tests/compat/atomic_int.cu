// SPDX-License-Identifier: Apache-2.0
// Do all 32-bit integer atomics work on global and on shared memory, and is what they return what was there
// before? Every operation chosen gives one final value whatever the order; the returned values are checked as
// a set.
#include "compat.cuh"

struct Cells {
    int add, sub, min, max, and_, or_, xor_, exch;
    unsigned inc, dec, umin, umax, uadd;
};

__device__ static void operate(Cells *c, int i)
{
    atomicAdd(&c->add, i);
    atomicSub(&c->sub, i * 3);
    atomicMin(&c->min, 5000 - i * 7);
    atomicMax(&c->max, i * 11 - 5000);
    atomicAnd(&c->and_, ~(1 << (i % 20)));
    atomicOr(&c->or_, 1 << (i % 17));
    atomicXor(&c->xor_, (int)((unsigned)i * 0x01010101u));
    atomicInc(&c->inc, 99);
    atomicDec(&c->dec, 49);
    atomicMin(&c->umin, 0x80000000u + (unsigned)i);
    atomicMax(&c->umax, 0x90000000u + (unsigned)i);
    atomicAdd(&c->uadd, 0x10000001u);
}

__global__ void on_global(Cells *c)
{
    operate(c, blockIdx.x * blockDim.x + threadIdx.x);
}

__global__ void on_shared(Cells *out)
{
    __shared__ Cells c;
    if (threadIdx.x == 0)
        c = {0, 0, INT32_MAX, INT32_MIN, -1, 0, 0, 0, 0, 0, ~0u, 0, 0};
    __syncthreads();
    operate(&c, blockIdx.x * blockDim.x + threadIdx.x);
    __syncthreads();
    if (threadIdx.x == 0)
        out[blockIdx.x] = c;
}

// Tickets: each value exactly once. The exchange chain loses none: the start, plus all put in, less the last
// one.
__global__ void returns(unsigned *counter, unsigned *seen, unsigned *slot, unsigned long long *taken)
{
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    atomicAdd(&seen[atomicAdd(counter, 1u)], 1u);
    atomicAdd(taken, (unsigned long long)atomicExch(slot, i + 1));
}

static Cells reduced(int first, int last)
{
    Cells c = {0, 0, INT32_MAX, INT32_MIN, -1, 0, 0, 0, 0, 0, ~0u, 0, 0};
    for (int i = first; i < last; i++) {
        c.add += i;
        c.sub -= i * 3;
        c.min = std::min(c.min, 5000 - i * 7);
        c.max = std::max(c.max, i * 11 - 5000);
        c.and_ &= ~(1 << (i % 20));
        c.or_ |= 1 << (i % 17);
        c.xor_ ^= (int)((unsigned)i * 0x01010101u);
        c.inc = c.inc >= 99 ? 0 : c.inc + 1;
        c.dec = c.dec == 0 || c.dec > 49 ? 49 : c.dec - 1;
        c.umin = std::min(c.umin, 0x80000000u + (unsigned)i);
        c.umax = std::max(c.umax, 0x90000000u + (unsigned)i);
        c.uadd += 0x10000001u;
    }
    return c;
}

int main()
{
    const int block = 64, blocks = 7, n = block * blocks;
    Cells start = reduced(0, 0);
    Cells *dc = to_device(std::vector<Cells>(1, start)), *ds = device_alloc<Cells>(blocks);
    on_global<<<blocks, block>>>(dc);
    on_shared<<<blocks, block>>>(ds);
    CHECK(cudaGetLastError());
    EXPECT(same_bits(to_host(dc, 1)[0], reduced(0, n)));
    std::vector<Cells> shared = to_host(ds, blocks);
    for (int b = 0; b < blocks; b++)
        EXPECT(same_bits(shared[b], reduced(b * block, (b + 1) * block)));

    unsigned *counter = device_alloc<unsigned>(1), *seen = device_alloc<unsigned>(n),
             *slot = device_alloc<unsigned>(1);
    unsigned long long *taken = device_alloc<unsigned long long>(1);
    CHECK(cudaMemset(counter, 0, sizeof(unsigned)));
    CHECK(cudaMemset(seen, 0, n * sizeof(unsigned)));
    CHECK(cudaMemset(slot, 0, sizeof(unsigned)));
    CHECK(cudaMemset(taken, 0, sizeof(unsigned long long)));
    returns<<<blocks, block>>>(counter, seen, slot, taken);
    expect_equal("tickets", to_host(seen, n), std::vector<unsigned>(n, 1u));
    EXPECT(to_host(counter, 1)[0] == (unsigned)n);
    EXPECT(to_host(taken, 1)[0] + to_host(slot, 1)[0] == (unsigned long long)n * (n + 1) / 2);
    return finish("atomic_int");
}
