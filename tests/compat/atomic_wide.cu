// SPDX-License-Identifier: Apache-2.0
// Do 64-bit integer atomics, float, double, half2 and bfloat16 additions, and the block and system scopes
// work? Floating-point addends are small whole numbers, so that every order gives the same sum.
#include "compat.cuh"
#include <cuda_bf16.h>
#include <cuda_fp16.h>

struct Cells {
    unsigned long long add, umin, umax, and_, or_, xor_, exch;
    long long smin, smax;
    double d;
    float f;
    int block, system;
    __half2 h2;
    __half h;
    __nv_bfloat16 b;
};

__device__ static void operate(Cells *c, int i)
{
    atomicAdd(&c->add, 0x100000001ull * (unsigned)i);
    atomicMin(&c->umin, (1ull << 40) - (unsigned)i);
    atomicMax(&c->umax, (1ull << 50) + (unsigned)i);
    atomicAnd(&c->and_, ~(1ull << (i % 61)));
    atomicOr(&c->or_, 1ull << (i % 57));
    atomicXor(&c->xor_, (unsigned long long)i * 0x123456789ull);
    atomicExch(&c->exch, 0xabcdef0123456789ull);
    atomicMin(&c->smin, -(long long)i * (1ll << 33));
    atomicMax(&c->smax, (long long)i * (1ll << 33));
    atomicAdd(&c->d, i * 0.5);
    atomicAdd(&c->f, (float)(i % 8));
    atomicAdd_block(&c->block, 2);
    atomicAdd_system(&c->system, 3);
    atomicAdd(&c->h2, __floats2half2_rn(1.0f, 0.5f));
    atomicAdd(&c->h, __float2half(i % 2 ? 1.0f : -1.0f));
    atomicAdd(&c->b, __float2bfloat16(i % 4 ? 0.25f : 0.0f));
}

__device__ static void clear(Cells *c)
{
    memset(c, 0, sizeof(*c));
    c->umin = c->and_ = ~0ull;
}

__global__ void prepare(Cells *c)
{
    clear(c);
}
__global__ void on_global(Cells *c)
{
    operate(c, threadIdx.x);
}

__global__ void on_shared(Cells *out)
{
    __shared__ __align__(16) unsigned char memory[sizeof(Cells)];
    Cells *c = reinterpret_cast<Cells *>(memory);
    if (threadIdx.x == 0)
        clear(c);
    __syncthreads();
    operate(c, threadIdx.x);
    __syncthreads();
    if (threadIdx.x == 0)
        *out = *c;
}

static void check(const char *where, const Cells &c, int n)
{
    unsigned long long add = 0, and_ = ~0ull, or_ = 0, xor_ = 0;
    double d = 0, f = 0;
    int quarters = 0;
    for (int i = 0; i < n; i++) {
        add += 0x100000001ull * (unsigned)i;
        and_ &= ~(1ull << (i % 61));
        or_ |= 1ull << (i % 57);
        xor_ ^= (unsigned long long)i * 0x123456789ull;
        d += i * 0.5;
        f += i % 8;
        quarters += i % 4 != 0;
    }
    printf("%s: add %llx, double %.1f, float %.0f, half2 %g %g, half %g, bfloat16 %g\n", where, c.add, c.d,
           c.f, __low2float(c.h2), __high2float(c.h2), __half2float(c.h), __bfloat162float(c.b));
    EXPECT(c.add == add && c.and_ == and_ && c.or_ == or_ && c.xor_ == xor_ &&
           c.exch == 0xabcdef0123456789ull);
    EXPECT(c.umin == (1ull << 40) - (n - 1) && c.umax == (1ull << 50) + (n - 1));
    EXPECT(c.smin == -(long long)(n - 1) * (1ll << 33) && c.smax == (long long)(n - 1) * (1ll << 33));
    EXPECT(c.d == d && c.f == (float)f && c.block == 2 * n && c.system == 3 * n);
    EXPECT(__low2float(c.h2) == n && __high2float(c.h2) == n * 0.5f && __half2float(c.h) == 0);
    EXPECT(__bfloat162float(c.b) == quarters * 0.25f);
}

int main()
{
    const int n = 192;
    Cells *dc = device_alloc<Cells>(1);
    prepare<<<1, 1>>>(dc);
    on_global<<<1, n>>>(dc);
    CHECK(cudaGetLastError());
    check("global", to_host(dc, 1)[0], n);
    on_shared<<<1, n>>>(dc);
    CHECK(cudaGetLastError());
    check("shared", to_host(dc, 1)[0], n);
    return finish("atomic_wide");
}
