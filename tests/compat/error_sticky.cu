// SPDX-License-Identifier: Apache-2.0
// Does a kernel that goes wrong (a wild address, a null pointer, a misaligned access, a failed assert, a
// trap) report the right code at the next synchronisation and at every call from then on? Each case has a
// process of its own, forked before anything of CUDA is used, because such an error ends a context for good.
#include "compat.cuh"
#include <cassert>
#include <sys/wait.h>
#include <unistd.h>

__global__ void write_to(int *p, int value)
{
    p[threadIdx.x] = value;
}
__global__ void check_value(int v)
{
    assert(v < 10);
}

__global__ void trap_if(int v)
{
    if (v > 3)
        __trap();
}

static void expect_sticky(cudaError_t want)
{
    void *p = nullptr;
    EXPECT_ERROR(cudaDeviceSynchronize(), want);
    EXPECT_ERROR(cudaGetLastError(), want);
    EXPECT_ERROR(cudaMalloc(&p, 100), want);
    write_to<<<1, 1>>>(nullptr, 1);
    EXPECT_ERROR(cudaGetLastError(), want);
    cudaStream_t stream;
    EXPECT_ERROR(cudaStreamCreate(&stream), want);
    EXPECT_ERROR(cudaStreamSynchronize(0), want);
}

static void wild()
{
    write_to<<<1, 1>>>((int *)0x500000000000ull, 5);
    expect_sticky(cudaErrorIllegalAddress);
}

static void null_pointer()
{
    write_to<<<1, 1>>>(nullptr, 5);
    expect_sticky(cudaErrorIllegalAddress);
}

static void misaligned()
{
    int *p = device_alloc<int>(10);
    write_to<<<1, 1>>>((int *)((char *)p + 2), 5);
    expect_sticky(cudaErrorMisalignedAddress);
}

static void failed_assert()
{
    check_value<<<1, 2>>>(3);
    CHECK(cudaDeviceSynchronize());
    check_value<<<1, 2>>>(13); // says where on stderr
    expect_sticky(cudaErrorAssert);
}

static void by_event()
{
    cudaStream_t stream;
    cudaEvent_t event;
    CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    CHECK(cudaEventCreate(&event));
    write_to<<<1, 1, 0, stream>>>((int *)0x10, 5);
    (void)cudaEventRecord(event, stream);
    EXPECT_ERROR(cudaEventSynchronize(event), cudaErrorIllegalAddress);
    EXPECT_ERROR(cudaStreamQuery(stream), cudaErrorIllegalAddress);
    expect_sticky(cudaErrorIllegalAddress);
}

static void trapped()
{
    trap_if<<<1, 1>>>(2);
    CHECK(cudaDeviceSynchronize());
    trap_if<<<1, 1>>>(4);
    cudaError_t e = cudaDeviceSynchronize(); // the code depends on the architecture
    EXPECT(e == cudaErrorLaunchFailure || e == cudaErrorIllegalInstruction);
    expect_sticky(e);
}

int main()
{
    const struct {
        const char *name;
        void (*run)();
    } cases[] = {{"wild", wild},
                 {"null pointer", null_pointer},
                 {"misaligned", misaligned},
                 {"assert", failed_assert},
                 {"by event", by_event},
                 {"trap", trapped}};
    for (const auto &c : cases) {
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            c.run();
            fflush(stdout);
            _exit(failures != 0);
        }
        int status = -1;
        EXPECT(waitpid(child, &status, 0) == child);
        printf("%s: %s\n", c.name, status == 0 ? "as expected" : "failed");
        EXPECT(status == 0);
    }
    return finish("error_sticky");
}
