// SPDX-License-Identifier: Apache-2.0
// Does printf in a kernel come out on the host's stdout at synchronisation, with every conversion, width and
// precision, strings, 64-bit values, and in a thread's order? (Only one thread prints at a time: the order
// between threads is free.)
#include "compat.cuh"

__global__ void formats(int i, long long l, double d, const char *s)
{
    printf("plain text\n");
    printf("int %d %5d|%-5d|%05d %+d %i\n", i, i, i, i, i, -i);
    printf("unsigned %u %x %X %#x %o\n", (unsigned)i, (unsigned)i, (unsigned)i, (unsigned)i, (unsigned)i);
    printf("long %lld %llu %llx %ld\n", l, (unsigned long long)l, (unsigned long long)l, (long)-l);
    printf("double %f %.3f %10.2f|%-10.1f| %e %g\n", d, d, d, d, d, d);
    printf("float %f, char %c%c, percent %%\n", (float)d * 0.5f, 'o', 'k');
    printf("string '%s' '%8s' '%-8s'\n", s, "right", "left");
    printf("many %d %d %d %d %d %d %d %d %d %d\n", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10);
    printf("short %hd %hu\n", (short)-3, (unsigned short)65535);
}

__device__ const char text[] = "a global string";

__global__ void one_of_many(int which)
{
    if (blockIdx.x * blockDim.x + threadIdx.x == which)
        for (int i = 0; i < 3; i++)
            printf("block %d thread %d line %d\n", blockIdx.x, threadIdx.x, i);
}

__global__ void counted(int *returned)
{
    returned[0] = printf("no arguments\n");
    returned[1] = printf("two %d %s\n", 5, "words");
}

int main()
{
    setvbuf(stdout, nullptr, _IOLBF, 1 << 16); // so that the host's lines and the device's stay in order
    size_t size = 0;
    CHECK(cudaDeviceGetLimit(&size, cudaLimitPrintfFifoSize));
    EXPECT(size >= 64 * 1024);
    char *s = nullptr;
    CHECK(cudaGetSymbolAddress((void **)&s, text));

    printf("before\n");
    formats<<<1, 1>>>(42, 123456789012345ll, 3.14159265, s);
    CHECK(cudaDeviceSynchronize());
    printf("between\n");
    for (int which : {0, 33, 191}) {
        one_of_many<<<3, 64>>>(which);
        CHECK(cudaDeviceSynchronize());
    }
    int *returned = device_alloc<int>(2);
    counted<<<1, 1>>>(returned);
    std::vector<int> r = to_host(returned, 2);
    CHECK(cudaDeviceSynchronize());
    EXPECT(r[0] == 0 && r[1] == 2); // the number of arguments, as documented for the device
    return finish("device_printf");
}
