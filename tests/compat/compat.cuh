// SPDX-License-Identifier: Apache-2.0
// compat.cuh: what every compatibility program shares: error checks, expectations, random numbers, device
// buffers.
//
// A program is asked one thing, compares the device's answer with the CPU's, prints only what is the same on
// every device and at every run, and ends with `OK NAME` (exit 0) or with what differed (exit 1).
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

// Ends the program when a runtime call fails: nothing after it would mean anything.
#define CHECK(call)                                                                                          \
    do {                                                                                                     \
        cudaError_t check_ = (call);                                                                         \
        if (check_ != cudaSuccess) {                                                                         \
            printf("line %d: %s: %s\n", __LINE__, #call, cudaGetErrorName(check_));                          \
            exit(1);                                                                                         \
        }                                                                                                    \
    } while (0)

// Notes a difference and goes on, so that one run shows all of them (the first 20 are printed).
#define EXPECT(cond) expect_at(__LINE__, #cond, (cond))
#define EXPECT_ERROR(call, code)                                                                             \
    do {                                                                                                     \
        cudaError_t expect_ = (call);                                                                        \
        if (expect_ != (code))                                                                               \
            printf("line %d: %s: got %s, want %s\n", __LINE__, #call, cudaGetErrorName(expect_), #code);     \
        expect_at(__LINE__, #call, expect_ == (code));                                                       \
    } while (0)

inline int failures = 0;

inline void expect_at(int line, const char *what, bool ok)
{
    if (ok)
        return;
    if (failures++ < 20)
        printf("line %d: expected %s\n", line, what);
}

template <typename T> bool same_bits(const T &a, const T &b)
{
    return memcmp(&a, &b, sizeof(T)) == 0;
}

// Compares element by element, bit by bit, and names the first difference.
template <typename T>
void expect_equal(const char *what, const std::vector<T> &got, const std::vector<T> &want)
{
    size_t wrong = 0, first = 0;
    for (size_t i = 0; i < want.size() && i < got.size(); i++)
        if (!same_bits(got[i], want[i]) && wrong++ == 0)
            first = i;
    if (got.size() != want.size() || wrong) {
        failures++;
        printf("%s: %zu of %zu differ, first at %zu: got %.9g, want %.9g\n", what, wrong, want.size(), first,
               got.empty() ? 0.0 : (double)got[first], want.empty() ? 0.0 : (double)want[first]);
    }
}

// FNV-1a: a short form of a whole result for the output.
template <typename T> uint64_t digest(const std::vector<T> &v)
{
    uint64_t h = 0xcbf29ce484222325ull;
    const unsigned char *p = reinterpret_cast<const unsigned char *>(v.data());
    for (size_t i = 0; i < v.size() * sizeof(T); i++)
        h = (h ^ p[i]) * 0x100000001b3ull;
    return h;
}

inline int finish(const char *name)
{
    if (failures) {
        printf("FAILED %s: %d\n", name, failures);
        return 1;
    }
    printf("OK %s\n", name);
    return 0;
}

// splitmix64: the same sequence everywhere.
struct Random {
    uint64_t state;
    explicit Random(uint64_t seed) : state(seed) {}
    uint64_t next()
    {
        uint64_t z = (state += 0x9e3779b97f4a7c15ull);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
        return z ^ (z >> 31);
    }
    uint32_t below(uint32_t n) { return (uint32_t)(next() >> 32) % n; }
    float uniform(float lo, float hi) { return lo + (hi - lo) * ((float)(next() >> 40) / 16777216.0f); }
};

template <typename T> T *device_alloc(size_t n)
{
    T *p = nullptr;
    CHECK(cudaMalloc(&p, n * sizeof(T)));
    return p;
}

template <typename T> T *to_device(const std::vector<T> &v)
{
    T *p = device_alloc<T>(v.size());
    CHECK(cudaMemcpy(p, v.data(), v.size() * sizeof(T), cudaMemcpyHostToDevice));
    return p;
}

template <typename T> std::vector<T> to_host(const T *p, size_t n)
{
    std::vector<T> v(n);
    CHECK(cudaMemcpy(v.data(), p, n * sizeof(T), cudaMemcpyDeviceToHost));
    return v;
}
