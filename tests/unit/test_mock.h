// SPDX-License-Identifier: Apache-2.0
// What the mock driver's tests share: each case in a process of its own, as a driver's state and GENIE_MOCK are a process's.
#ifndef GN_TESTS_UNIT_TEST_MOCK_H
#define GN_TESTS_UNIT_TEST_MOCK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "include/cuda_prototypes.h"

static int failures; // of the child

static inline void expect_at(const char *file, int line, const char *what, long got, long want)
{
    if (got == want)
        return;
    fprintf(stderr, "%s:%d: %s: got %ld, want %ld\n", file, line, what, got, want);
    failures++;
}

#define EXPECT(got, want) expect_at(__FILE__, __LINE__, #got, (long)(got), (long)(want))
#define OK(call)          EXPECT(call, CUDA_SUCCESS)
#define TRUE(condition)   EXPECT(!!(condition), 1)

// Runs `body` in a child with GENIE_MOCK=options; its failed expectations, a crash or a minute without an end fail the test.
static inline void in_child(const char *options, void (*body)(void))
{
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        setenv("GENIE_MOCK", options, 1);
        alarm(60);
        failures = 0;
        body();
        fflush(NULL);
        exit(failures ? 1 : 0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status))
        fprintf(stderr, "%s: the child ended with status 0x%x\n", options, (unsigned)status);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static inline uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

// Kernels for tests. add: *p += v, by one thread a block. wait: until *p != 0 (a value that a stream or the host writes), then *q = 1.
// fill: p[i] = i for each thread. poke: writes one byte at an address. stop: trap.
static const char kernels[] =
    ".version 7.5\n"
    ".target sm_75\n"
    ".address_size 64\n"
    ".global .align 4 .u32 counter = 5;\n"
    ".const .align 8 .f64 pi = 0d400921FB54442D18;\n"
    ".visible .entry add(.param .u64 p, .param .u32 v)\n"
    "{\n"
    " .reg .b64 %rd<3>; .reg .b32 %r<4>; .reg .pred %p<2>;\n"
    " mov.u32 %r2, %tid.x; setp.ne.u32 %p1, %r2, 0; @%p1 bra done;\n"
    " ld.param.u64 %rd1, [p]; ld.param.u32 %r1, [v]; cvta.to.global.u64 %rd2, %rd1;\n"
    " atom.global.add.u32 %r3, [%rd2], %r1;\n"
    "done: ret;\n"
    "}\n"
    ".visible .entry wait(.param .u64 p, .param .u64 q)\n"
    "{\n"
    " .reg .b64 %rd<3>; .reg .b32 %r<2>; .reg .pred %p<2>;\n"
    " ld.param.u64 %rd1, [p]; ld.param.u64 %rd2, [q];\n"
    "again: atom.global.or.b32 %r1, [%rd1], 0; setp.eq.u32 %p1, %r1, 0; @%p1 bra again;\n"
    " st.global.u32 [%rd2], 1;\n"
    " ret;\n"
    "}\n"
    ".visible .entry fill(.param .u64 p)\n"
    "{\n"
    " .reg .b64 %rd<4>; .reg .b32 %r<5>;\n"
    " ld.param.u64 %rd1, [p]; mov.u32 %r1, %tid.x; mov.u32 %r2, %ctaid.x; mov.u32 %r3, %ntid.x;\n"
    " mad.lo.s32 %r4, %r2, %r3, %r1; mul.wide.u32 %rd2, %r4, 4; add.s64 %rd3, %rd1, %rd2; st.global.u32 [%rd3], %r4;\n"
    " ret;\n"
    "}\n"
    ".visible .entry poke(.param .u64 p)\n"
    "{\n"
    " .reg .b64 %rd<2>; .reg .b32 %r<2>;\n"
    " ld.param.u64 %rd1, [p]; mov.u32 %r1, 7; st.global.u8 [%rd1], %r1;\n"
    " ret;\n"
    "}\n"
    ".visible .entry stop()\n"
    "{\n"
    " trap; ret;\n"
    "}\n"
    ".visible .entry count()\n"
    "{\n"
    " .reg .b32 %r<2>;\n"
    " atom.global.add.u32 %r1, [counter], 1;\n"
    " ret;\n"
    "}\n"
    ".visible .entry bounded() .maxntid 64, 1, 1\n"
    "{\n"
    " ret;\n"
    "}\n";

struct fixture { // a context and what most cases need in it
    CUcontext context;
    CUmodule module;
    CUfunction add, wait, fill, poke, stop, count;
    CUdeviceptr word; // 4,096 bytes of zeros
};

static inline struct fixture set_up(void)
{
    struct fixture f = {0};
    CUdevice device;
    OK(cuInit(0));
    OK(cuDeviceGet(&device, 0));
    OK(cuCtxCreate_v2(&f.context, 0, device));
    OK(cuModuleLoadData(&f.module, kernels));
    OK(cuModuleGetFunction(&f.add, f.module, "add"));
    OK(cuModuleGetFunction(&f.wait, f.module, "wait"));
    OK(cuModuleGetFunction(&f.fill, f.module, "fill"));
    OK(cuModuleGetFunction(&f.poke, f.module, "poke"));
    OK(cuModuleGetFunction(&f.stop, f.module, "stop"));
    OK(cuModuleGetFunction(&f.count, f.module, "count"));
    OK(cuMemAlloc_v2(&f.word, 4096));
    OK(cuMemsetD8_v2(f.word, 0, 4096));
    OK(cuCtxSynchronize()); // streams that do not wait for the default stream must find it done
    return f;
}

static inline CUresult add(const struct fixture *f, CUdeviceptr p, unsigned v, CUstream stream)
{
    void *params[] = {&p, &v};
    return cuLaunchKernel(f->add, 1, 1, 1, 1, 1, 1, 0, stream, params, NULL);
}

// A kernel that runs until *flag is written.
static inline CUresult hold(const struct fixture *f, CUdeviceptr flag, CUdeviceptr then, CUstream stream)
{
    void *params[] = {&flag, &then};
    return cuLaunchKernel(f->wait, 1, 1, 1, 1, 1, 1, 0, stream, params, NULL);
}

static inline unsigned word_at(CUdeviceptr p)
{
    unsigned v = 0xdeadbeef;
    OK(cuMemcpyDtoH_v2(&v, p, 4));
    return v;
}

#endif
