// SPDX-License-Identifier: Apache-2.0
// Do parameters of 4 KiB (the classic limit) arrive whole, also when launched a thousand times with changing
// contents while earlier launches still wait?
#include "compat.cuh"

struct Block {
    unsigned v[1018];
}; // 4,072 bytes, and 24 for the others: 4,096 in all

__global__ void digest_block(Block b, unsigned long long *out, unsigned long long salt, int at)
{
    unsigned long long h = salt;
    for (int i = 0; i < 1018; i++)
        h = (h ^ b.v[i]) * 0x100000001b3ull;
    out[at] = h;
}

__global__ void pick(Block b, unsigned *out, int round)
{
    out[round] = b.v[(round * 37 + threadIdx.x) % 1018];
}

static unsigned long long on_cpu(const Block &b, unsigned long long salt)
{
    unsigned long long h = salt;
    for (unsigned v : b.v)
        h = (h ^ v) * 0x100000001b3ull;
    return h;
}

int main()
{
    static_assert(sizeof(Block) + 8 + 8 + 4 <= 4096, "within the limit");
    Block b;
    Random random(4096);
    unsigned long long *out = device_alloc<unsigned long long>(16);
    std::vector<unsigned long long> want(16);
    for (int k = 0; k < 16; k++) {
        for (unsigned &v : b.v)
            v = (unsigned)random.next();
        digest_block<<<1, 1>>>(b, out, (unsigned long long)k * 77, k);
        want[k] = on_cpu(b, (unsigned long long)k * 77);
    }
    CHECK(cudaGetLastError());
    expect_equal("digests", to_host(out, 16), want);

    const int rounds = 1000;
    unsigned *picked = device_alloc<unsigned>(rounds);
    std::vector<unsigned> expected(rounds);
    for (int r = 0; r < rounds; r++) { // the parameters are read at the launch, not later
        b.v[r * 37 % 1018] = (unsigned)r * 2654435761u;
        pick<<<1, 1>>>(b, picked, r);
        expected[r] = b.v[r * 37 % 1018];
        b.v[r * 37 % 1018] = 0xdeadbeef;
    }
    CHECK(cudaGetLastError());
    expect_equal("picked", to_host(picked, rounds), expected);
    printf("last digest %016llx\n", want[15]);
    return finish("large_parameters");
}
