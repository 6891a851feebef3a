// SPDX-License-Identifier: Apache-2.0
// A program to be killed, or to lose its server. It says "ready" when it is in the state that its argument
// names, so that a script knows when to strike, and then what the calls give.
//   once       computes a little and ends
//   seconds N  computes for N seconds, then ends
//   forever    computes until a call fails
//   hang       waits for a kernel that the mock never ends (GENIE_MOCK=hang=5)
//   hangs      the same with a thread that waits, one that copies from the device, one that allocates, one
//   that uploads idle       makes no call until a line comes on stdin, then one
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/e2e/e2e.h"

enum { WORDS = 100000, EXIT_LOST = 3 };

static CUcontext context;
static CUfunction fill;
static CUdeviceptr words;
static uint32_t got[WORDS];

static void ready(void)
{
    printf("ready\n");
    fflush(stdout);
}

static CUresult launch(unsigned value)
{
    unsigned count = WORDS;
    void *parameters[] = {&words, &count, &value};
    return cuLaunchKernel(fill, (WORDS + 127) / 128, 1, 1, 128, 1, 1, 0, NULL, parameters, NULL);
}

static CUresult compute(unsigned value)
{
    CUresult r = launch(value);
    if (!r)
        r = cuMemcpyDtoH(got, words, sizeof got);
    if (!r)
        EXPECT(e2e_is_filled(got, WORDS, value));
    return r;
}

// Once a connection is lost every call says so, and none waits.
static int lost(CUresult r)
{
    CUdeviceptr p;
    CUstream s;
    printf("lost: %s\n", e2e_name(r));
    for (int i = 0; i < 100; i++) {
        EXPECT(compute(1) == r);
        EXPECT(cuMemAlloc(&p, 100) == r);
        EXPECT(cuStreamCreate(&s, 0) == r);
        EXPECT(cuMemcpyHtoD(words, got, sizeof got) == r);
        EXPECT(cuCtxSynchronize() == r);
    }
    int bad = e2e_finish();
    return bad ? bad : EXIT_LOST;
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int for_seconds(double seconds)
{
    double end_s = now_s() + seconds;
    for (unsigned i = 0; now_s() < end_s; i++) {
        CUresult r = compute(i);
        if (r)
            return lost(r);
        if (!i)
            ready();
    }
    CU(cuMemFree(words));
    CU(cuCtxDestroy(context));
    return e2e_finish();
}

static CUresult results[4];

static void stuck(unsigned number)
{
    CUdeviceptr p;
    static uint8_t large[4 << 20];
    EXPECT(cuCtxSetCurrent(context) == CUDA_SUCCESS);
    switch (number) {
    case 0: results[0] = cuCtxSynchronize(); break;
    case 1: results[1] = cuMemcpyDtoH(got, words, sizeof got); break;
    case 2:
        while (!(results[2] = cuMemAlloc(&p, sizeof large)))
            usleep(1000);
        break;
    default:
        while (!(results[3] = cuMemcpyHtoD(words, large, sizeof got)))
            usleep(1000);
        break;
    }
}

static int hang(bool threads)
{
    for (unsigned i = 0; i < 4; i++)
        CU(compute(i));
    CU(launch(5)); // the one that hangs
    ready();
    if (!threads)
        return lost(cuCtxSynchronize());
    e2e_threads(4, stuck);
    for (int i = 1; i < 4; i++)
        EXPECT(results[i] == results[0]);
    return lost(results[0]);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "once";
    context = e2e_open(0);
    fill = e2e_kernel("fill");
    words = e2e_alloc(WORDS * 4);
    if (!strcmp(what, "seconds") && argc > 2)
        return for_seconds(atof(argv[2]));
    if (!strcmp(what, "forever"))
        return for_seconds(1e6);
    if (!strcmp(what, "hang") || !strcmp(what, "hangs"))
        return hang(what[4] == 's');
    if (!strcmp(what, "idle")) {
        CU(compute(1));
        ready();
        getchar();
        return lost(compute(2));
    }
    CU(compute(7));
    CU(cuMemFree(words));
    CU(cuCtxDestroy(context));
    return e2e_finish();
}
