// SPDX-License-Identifier: Apache-2.0
// A whole small application: SHA-256 of many messages of every length up to 200 bytes, one a thread, rounds
// and padding on the device, checked against the same code on the CPU and against the two published vectors.
#include "compat.cuh"

static const uint32_t round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
__constant__ uint32_t device_constants[64];

struct Digest {
    uint32_t h[8];
};

__host__ __device__ static uint32_t rotate(uint32_t x, int by)
{
    return x >> by | x << (32 - by);
}

__host__ __device__ static void compress(uint32_t *h, const unsigned char *block, const uint32_t *k)
{
    uint32_t w[64], s[8];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
               (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    for (int i = 16; i < 64; i++) {
        uint32_t a = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3;
        uint32_t b = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + a + w[i - 7] + b;
    }
    for (int i = 0; i < 8; i++)
        s[i] = h[i];
    for (int i = 0; i < 64; i++) {
        uint32_t e = rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25),
                 choice = (s[4] & s[5]) ^ (~s[4] & s[6]);
        uint32_t a = rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22),
                 majority = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
        uint32_t t = s[7] + e + choice + k[i] + w[i];
        for (int j = 7; j > 0; j--)
            s[j] = s[j - 1];
        s[4] += t;
        s[0] = t + a + majority;
    }
    for (int i = 0; i < 8; i++)
        h[i] += s[i];
}

__host__ __device__ static Digest sha256(const unsigned char *message, unsigned length, const uint32_t *k)
{
    Digest d = {
        {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
    unsigned char block[64];
    unsigned blocks = (length + 8) / 64 + 1;
    for (unsigned b = 0; b < blocks; b++) {
        for (unsigned i = 0; i < 64; i++) {
            unsigned at = b * 64 + i;
            block[i] = at < length ? message[at] : at == length ? 0x80 : 0;
        }
        if (b == blocks - 1) // the length in bits, big-endian; it fits the low four bytes
            for (int i = 0; i < 4; i++)
                block[60 + i] = (unsigned char)(length * 8 >> (24 - 8 * i));
        compress(d.h, block, k);
    }
    return d;
}

__global__ void hash(const unsigned char *text, const unsigned *lengths, Digest *out, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        out[i] = sha256(text + (size_t)i * 200, lengths[i], device_constants);
}

int main()
{
    const int n = 202;
    std::vector<unsigned char> text(n * 200);
    std::vector<unsigned> lengths(n);
    Random random(256);
    for (unsigned char &c : text)
        c = (unsigned char)random.next();
    for (int i = 0; i < n; i++)
        lengths[i] = i < 201 ? i : 3;
    memcpy(&text[201 * 200], "abc", 3);
    CHECK(cudaMemcpyToSymbol(device_constants, round_constants, sizeof(round_constants)));
    Digest *out = device_alloc<Digest>(n);
    hash<<<(n + 63) / 64, 64>>>(to_device(text), to_device(lengths), out, n);
    CHECK(cudaGetLastError());
    std::vector<Digest> got = to_host(out, n);
    for (int i = 0; i < n; i++)
        EXPECT(same_bits(got[i], sha256(&text[(size_t)i * 200], lengths[i], round_constants)));
    EXPECT(got[0].h[0] == 0xe3b0c442 && got[0].h[7] == 0x7852b855);     // the empty message
    EXPECT(got[201].h[0] == 0xba7816bf && got[201].h[7] == 0xf20015ad); // "abc"
    printf("digest of the digests %016llx\n", (unsigned long long)digest(got));
    return finish("app_sha256");
}
