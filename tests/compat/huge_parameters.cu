// SPDX-License-Identifier: Apache-2.0
// Do parameters beyond the classic 4 KiB, up to the limit of 32,764 bytes, arrive whole?
#include "compat.cuh"

template <int words> struct Words {
    unsigned v[words];
};

template <int words>
__global__ void sum(const __grid_constant__ Words<words> p, unsigned long long *out, int stride)
{
    unsigned long long mine = 0;
    for (int i = threadIdx.x; i < words; i += stride)
        mine += (unsigned long long)p.v[i] * (unsigned)(i + 1);
    atomicAdd(out, mine);
}

template <int words> static void check()
{
    static Words<words> p;
    unsigned long long want = 0, *out = device_alloc<unsigned long long>(1);
    Random random(words);
    for (int i = 0; i < words; i++) {
        p.v[i] = (unsigned)random.next();
        want += (unsigned long long)p.v[i] * (unsigned)(i + 1);
    }
    CHECK(cudaMemset(out, 0, sizeof(*out)));
    sum<words><<<1, 64>>>(p, out, 64);
    CHECK(cudaGetLastError());
    EXPECT(to_host(out, 1)[0] == want);
    printf("%d bytes: %llx\n", words * 4, want);
}

int main()
{
    check<100>();
    check<1020>();
    check<1025>();
    check<4096>();
    check<(32764 - 16) / 4>();
    return finish("huge_parameters");
}
