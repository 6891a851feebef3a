// SPDX-License-Identifier: Apache-2.0
// Do hand-written PTX statements in a kernel (special registers, lop3, bit fields, carries, predicates) work?
#include "compat.cuh"

__device__ static uint32_t lane_id()
{
    uint32_t r;
    asm volatile("mov.u32 %0, %%laneid;" : "=r"(r));
    return r;
}
__device__ static uint32_t mask_lt()
{
    uint32_t r;
    asm volatile("mov.u32 %0, %%lanemask_lt;" : "=r"(r));
    return r;
}

constexpr int results = 10;

__global__ void statements(const uint32_t *a, const uint32_t *b, uint32_t *out, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    uint32_t x = a[i], y = b[i], r[results], low, high;

    r[0] = lane_id();
    r[1] = mask_lt();
    asm("lop3.b32 %0, %1, %2, %3, 0x96;" : "=r"(r[2]) : "r"(x), "r"(y), "r"(0x0f0f0f0fu));
    asm("bfe.u32 %0, %1, 5, 11;" : "=r"(r[3]) : "r"(x));
    asm("bfi.b32 %0, %1, %2, 8, 12;" : "=r"(r[4]) : "r"(x), "r"(y));
    asm("add.cc.u32 %0, %2, %3;\n\taddc.u32 %1, 0, 0;" : "=r"(low), "=r"(high) : "r"(x), "r"(y));
    r[5] = low;
    r[6] = high;
    asm("{\n\t.reg .pred p;\n\tsetp.gt.u32 p, %1, %2;\n\tselp.u32 %0, 17, 4, p;\n\t@p add.u32 %0, %0, 1;\n\t}"
        : "=r"(r[7])
        : "r"(x), "r"(y));
    asm("bfind.u32 %0, %1;" : "=r"(r[8]) : "r"(x));
    asm("mad.hi.u32 %0, %1, %2, %1;" : "=r"(r[9]) : "r"(x), "r"(y));
    for (int k = 0; k < results; k++)
        out[k * n + i] = r[k];
}

int main()
{
    const int n = 1024;
    std::vector<uint32_t> a(n), b(n), want((size_t)results * n);
    Random random(13);
    for (int i = 0; i < n; i++) {
        uint32_t x = a[i] = i ? (uint32_t)random.next() >> random.below(32) : 0,
                 y = b[i] = (uint32_t)random.next();
        const uint32_t r[results] = {(uint32_t)i % 32,
                                     (1u << (i % 32)) - 1,
                                     x ^ y ^ 0x0f0f0f0fu,
                                     x >> 5 & 0x7ff,
                                     (y & ~0xfff00u) | (x & 0xfff) << 8,
                                     x + y,
                                     (uint32_t)(((uint64_t)x + y) >> 32),
                                     x > y ? 18u : 4u,
                                     x ? 31u - (uint32_t)__builtin_clz(x) : ~0u,
                                     (uint32_t)((uint64_t)x * y >> 32) + x};
        for (int k = 0; k < results; k++)
            want[(size_t)k * n + i] = r[k];
    }
    uint32_t *out = device_alloc<uint32_t>(want.size());
    statements<<<n / 128, 128>>>(to_device(a), to_device(b), out, n);
    CHECK(cudaGetLastError());
    std::vector<uint32_t> got = to_host(out, want.size());
    for (int k = 0; k < results; k++)
        expect_equal(("statement " + std::to_string(k)).c_str(),
                     std::vector<uint32_t>(got.begin() + k * n, got.begin() + (k + 1) * n),
                     std::vector<uint32_t>(want.begin() + k * n, want.begin() + (k + 1) * n));
    printf("digest %016llx\n", (unsigned long long)digest(got));
    return finish("inline_ptx");
}
