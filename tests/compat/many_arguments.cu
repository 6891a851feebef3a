// SPDX-License-Identifier: Apache-2.0
// Do kernels with very many arguments of mixed types get each of them right, by <<<>>> and by
// cudaLaunchKernel?
#include "compat.cuh"

__global__ void forty(char a0, short a1, int a2, long long a3, float a4, double a5, unsigned char a6,
                      unsigned a7, bool a8, double a9, char b0, short b1, int b2, long long b3, float b4,
                      double b5, unsigned char b6, unsigned b7, bool b8, double b9, char c0, short c1, int c2,
                      long long c3, float c4, double c5, unsigned char c6, unsigned c7, bool c8, double c9,
                      char d0, short d1, int d2, long long d3, float d4, double d5, unsigned char d6,
                      unsigned d7, double *out, int n)
{
    double v[38] = {
        (double)a0, (double)a1, (double)a2, (double)a3, a4, a5, (double)a6, (double)a7, (double)a8, a9,
        (double)b0, (double)b1, (double)b2, (double)b3, b4, b5, (double)b6, (double)b7, (double)b8, b9,
        (double)c0, (double)c1, (double)c2, (double)c3, c4, c5, (double)c6, (double)c7, (double)c8, c9,
        (double)d0, (double)d1, (double)d2, (double)d3, d4, d5, (double)d6, (double)d7};
    for (int i = 0; i < n; i++)
        out[i] = v[i];
}

__global__ void none() {}

int main()
{
    double *out = device_alloc<double>(38);
    forty<<<1, 1>>>(1, -2, 3, -4, 5.5f, -6.5, 7, 8, true, 9.25, 11, -12, 13, -14, 15.5f, -16.5, 17, 18, false,
                    19.25, 21, -22, 23, -24, 25.5f, -26.5, 27, 28, true, 29.25, 31, -32, 33, -34, 35.5f,
                    -36.5, 37, 38, out, 38);
    CHECK(cudaGetLastError());
    std::vector<double> want = {1,   -2,   3,     -4,    5.5, -6.5, 7,     8,   1,    9.25,  11,  -12,  13,
                                -14, 15.5, -16.5, 17,    18,  0,    19.25, 21,  -22,  23,    -24, 25.5, -26.5,
                                27,  28,   1,     29.25, 31,  -32,  33,    -34, 35.5, -36.5, 37,  38};
    expect_equal("launched", to_host(out, 38), want);

    // The same through pointers; each pointer leads to a value of exactly the parameter's size.
    char c = 50;
    short s = 51;
    int i = 52, n = 38;
    long long l = -53;
    float f = 54.5f;
    double d = 55.5;
    unsigned char u = 250;
    unsigned w = 4000000000u;
    bool t = true;
    void *arguments[40];
    void *const ten[10] = {&c, &s, &i, &l, &f, &d, &u, &w, &t, &d};
    const double values[10] = {50, 51, 52, -53, 54.5, 55.5, 250, 4000000000.0, 1, 55.5};
    for (int k = 0; k < 38; k++) {
        arguments[k] = ten[k % 10];
        want[k] = values[k % 10];
    }
    arguments[38] = &out;
    arguments[39] = &n;
    CHECK(cudaLaunchKernel(forty, dim3(1), dim3(1), arguments, 0, nullptr));
    expect_equal("by pointers", to_host(out, 38), want);

    for (int k = 0; k < 100; k++)
        none<<<k % 7 + 1, k % 65 + 1>>>();
    CHECK(cudaDeviceSynchronize());
    printf("%zu values\n", want.size());
    return finish("many_arguments");
}
