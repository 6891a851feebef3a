// SPDX-License-Identifier: Apache-2.0
// Does constant memory hold its initialisers and what the host puts there (whole, in part, asynchronously,
// device to device), up to 64 KiB, in scalars, arrays and structures?
#include "compat.cuh"

struct Settings {
    int rows;
    float scale;
    char tag[5];
    short bias;
};

__constant__ int initialised[8] = {1, -2, 3, -4, 5, -6, 7, -8};
__constant__ Settings settings = {4, 2.5f, "abcd", -9};
__constant__ float polynomial[12];
__constant__ unsigned char large[60 * 1024];
static __constant__ double hidden = 0.125;

__global__ void read_small(float *out)
{
    int i = threadIdx.x;
    float v = 0;
    for (int k = 11; k >= 0; k--)
        v = v * 2 + polynomial[k];
    out[i] = v + initialised[i % 8] * settings.scale + settings.bias + settings.tag[i % 4] + (float)hidden;
}

__global__ void read_large(unsigned *sums)
{
    unsigned sum = 0;
    for (int i = threadIdx.x; i < (int)sizeof(large); i += blockDim.x)
        sum += large[i] * (unsigned)(i % 13);
    sums[threadIdx.x] = sum;
}

int main()
{
    const int n = 64;
    float coefficients[12], *out = device_alloc<float>(n);
    int initial[8] = {1, -2, 3, -4, 5, -6, 7, -8};
    Settings s = {4, 2.5f, "abcd", -9};
    double tiny = 0.125;
    for (int i = 0; i < 12; i++)
        coefficients[i] = (float)(i - 5);
    auto check = [&](const char *what) {
        read_small<<<1, n>>>(out);
        std::vector<float> got = to_host(out, n), want(n);
        float p = 0;
        for (int k = 11; k >= 0; k--)
            p = p * 2 + coefficients[k];
        for (int i = 0; i < n; i++)
            want[i] = p + initial[i % 8] * s.scale + s.bias + s.tag[i % 4] + (float)tiny; // all exact
        expect_equal(what, got, want);
        printf("%s: %g\n", what, got[0]);
    };

    CHECK(cudaMemcpyToSymbol(polynomial, coefficients, sizeof(coefficients)));
    check("initialisers");
    Settings back = {};
    CHECK(cudaMemcpyFromSymbol(&back, settings, sizeof(back)));
    EXPECT(back.rows == 4 && back.scale == 2.5f && back.bias == -9 && strcmp(back.tag, "abcd") == 0);

    s.scale = -0.5f;
    s.bias = 77;
    CHECK(cudaMemcpyToSymbol(settings, &s, sizeof(s)));
    initial[3] = 100;
    CHECK(cudaMemcpyToSymbol(initialised, &initial[3], sizeof(int), 3 * sizeof(int)));
    check("whole and part");

    cudaStream_t stream;
    CHECK(cudaStreamCreate(&stream));
    tiny = 8;
    CHECK(cudaMemcpyToSymbolAsync(hidden, &tiny, sizeof(tiny), 0, cudaMemcpyHostToDevice, stream));
    float *from_device = to_device(std::vector<float>{50, 60});
    CHECK(cudaMemcpyToSymbol(polynomial, from_device, 2 * sizeof(float), 4 * sizeof(float),
                             cudaMemcpyDeviceToDevice));
    coefficients[4] = 50;
    coefficients[5] = 60;
    CHECK(cudaStreamSynchronize(stream));
    check("asynchronous and from the device");

    std::vector<unsigned char> bytes(sizeof(large));
    std::vector<unsigned> want(128, 0);
    for (size_t i = 0; i < bytes.size(); i++) {
        bytes[i] = (unsigned char)(i * 31 + i / 256);
        want[i % 128] += bytes[i] * (unsigned)(i % 13);
    }
    unsigned *sums = device_alloc<unsigned>(128);
    CHECK(cudaMemcpyToSymbol(large, bytes.data(), bytes.size()));
    read_large<<<1, 128>>>(sums);
    expect_equal("60 KiB", to_host(sums, 128), want);
    EXPECT_ERROR(cudaMemcpyToSymbol(polynomial, coefficients, sizeof(coefficients), 4),
                 cudaErrorInvalidValue);
    return finish("constants");
}
