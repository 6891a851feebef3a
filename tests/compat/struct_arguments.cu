// SPDX-License-Identifier: Apache-2.0
// Do kernel arguments of odd sizes and alignments arrive with exact bytes: 3-byte structures, packed ones,
// 16-byte vectors after a char, nested arrays, references in structures, an empty structure?
#include "compat.cuh"

struct Three {
    unsigned char v[3];
};
struct __attribute__((packed)) Packed {
    char c;
    int i;
    short s;
    double d;
};
struct __align__(16) Aligned
{
    float x, y;
    char tag;
};
struct Nested {
    Three threes[5];
    short shorts[3];
    struct {
        int a;
        long long b;
    } inner[2];
};
struct Empty {
};
struct Deep {
    const int *in;
    int n;
    struct {
        int *out;
        char pad;
        int count;
    } to;
};

__global__ void odd(char a, Three b, short c, Packed d, bool e, Aligned f, Empty, unsigned char g, double h,
                    float4 i, char last, double *out)
{
    double r[] = {(double)a,
                  (double)b.v[0],
                  (double)b.v[1],
                  (double)b.v[2],
                  (double)c,
                  (double)d.c,
                  (double)d.i,
                  (double)d.s,
                  d.d,
                  (double)e,
                  f.x,
                  f.y,
                  (double)f.tag,
                  (double)g,
                  h,
                  i.x,
                  i.y,
                  i.z,
                  i.w,
                  (double)last};
    for (int k = 0; k < (int)(sizeof(r) / sizeof(r[0])); k++)
        out[k] = r[k];
}

__global__ void nested(Nested n, int which, long long *out)
{
    long long sum = 0;
    for (int k = 0; k < 5; k++)
        sum = sum * 10 + n.threes[k].v[which];
    out[0] = sum;
    out[1] = n.shorts[0] + 10 * n.shorts[1] + 100 * n.shorts[2];
    out[2] = n.inner[0].a * n.inner[1].a;
    out[3] = n.inner[which % 2].b;
}

__global__ void deep(Deep d)
{
    int i = threadIdx.x;
    if (i < d.n)
        d.to.out[i] = d.in[d.n - 1 - i] * d.to.count + d.to.pad;
}

__global__ void vectors(char3 a, short3 b, int3 c, longlong2 d, double3 e, uchar1 f, double *out)
{
    *out = a.x + 2 * a.y + 3 * a.z + b.x * b.y * b.z + c.x + c.y + c.z + (double)d.x - (double)d.y +
           e.x * e.y * e.z + f.x;
}

int main()
{
    double *out = device_alloc<double>(20);
    odd<<<1, 1>>>('a', Three{{1, 2, 253}}, -1234, Packed{-7, 123456789, -300, 1e100}, true,
                  Aligned{1.5f, -2.5f, 'z'}, Empty{}, 255, 0.1, make_float4(1, 2, 3, 4), -128, out);
    CHECK(cudaGetLastError());
    expect_equal("odd", to_host(out, 20),
                 std::vector<double>{'a', 1,    2,   253, -1234, -7, 123456789, -300, 1e100, 1,
                                     1.5, -2.5, 'z', 255, 0.1,   1,  2,         3,    4,     -128});

    Nested n = {{{{1, 2, 3}}, {{4, 5, 6}}, {{7, 8, 9}}, {{1, 2, 3}}, {{4, 5, 6}}},
                {7, -8, 9},
                {{11, 1ll << 50}, {-13, -5}}};
    long long *sums = device_alloc<long long>(4);
    const long long want[3][4] = {
        {14714, 827, -143, 1ll << 50}, {25825, 827, -143, -5}, {36936, 827, -143, 1ll << 50}};
    for (int which = 0; which < 3; which++) {
        nested<<<1, 1>>>(n, which, sums);
        expect_equal("nested", to_host(sums, 4), std::vector<long long>(want[which], want[which] + 4));
    }

    std::vector<int> in(50), reversed(50);
    for (int i = 0; i < 50; i++) {
        in[i] = i * i;
        reversed[49 - i] = i * i * -3 + 77;
    }
    int *to = device_alloc<int>(50);
    deep<<<1, 64>>>(Deep{to_device(in), 50, {to, 77, -3}});
    expect_equal("deep", to_host(to, 50), reversed);

    vectors<<<1, 1>>>(make_char3(1, -2, 3), make_short3(4, -5, 6), make_int3(100, 200, 300),
                      make_longlong2(1ll << 40, 1), make_double3(0.5, 4, 8), make_uchar1(200), out);
    EXPECT(to_host(out, 1)[0] == 1 - 4 + 9 - 120 + 600 + 1099511627776.0 - 1 + 16 + 200);
    return finish("struct_arguments");
}
