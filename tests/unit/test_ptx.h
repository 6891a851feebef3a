// SPDX-License-Identifier: Apache-2.0
// What the tests of the PTX engine share: memory of a pretended device, loading of texts, and running a few
// instructions on many inputs.
#ifndef GN_TESTS_UNIT_TEST_PTX_H
#define GN_TESTS_UNIT_TEST_PTX_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/mock/ptx/ptx.h"

enum { T_DEVICE_BYTES = 1 << 20, T_PRINT_BYTES = 1 << 16, T_OPS_MAX = 1 << 14, T_THREADS_MAX = 4096 };

static _Alignas(256) uint8_t t_device[T_DEVICE_BYTES]; // one allocation: what lies outside is a fault
static size_t t_used;
static char t_printed[T_PRINT_BYTES];
static size_t t_printed_bytes;

static inline int t_lookup(void *ctx, uint64_t address, bool write, uint64_t *start, uint64_t *end)
{
    (void)ctx;
    (void)write;
    if (address - (uint64_t)(uintptr_t)t_device >= T_DEVICE_BYTES)
        return -EFAULT;
    *start = (uint64_t)(uintptr_t)t_device;
    *end = *start + T_DEVICE_BYTES;
    return 0;
}

static inline void t_print(void *ctx, const char *text, size_t size)
{
    (void)ctx;
    if (size > T_PRINT_BYTES - 1 - t_printed_bytes)
        size = T_PRINT_BYTES - 1 - t_printed_bytes;
    memcpy(t_printed + t_printed_bytes, text, size);
    t_printed_bytes += size;
    t_printed[t_printed_bytes] = 0;
}

static inline void *t_alloc(size_t size)
{
    void *p = t_device + t_used;
    t_used += (size + 255) & ~(size_t)255;
    assert_true(t_used <= T_DEVICE_BYTES);
    return p;
}

static inline void t_reset(void)
{
    t_used = t_printed_bytes = 0;
    t_printed[0] = 0;
    memset(t_device, 0, sizeof t_device);
}

static inline struct ptx_module *t_load(const char *text)
{
    struct ptx_module *m = NULL;
    struct ptx_error e;
    int r = ptx_parse(text, strlen(text), 90, &m, &e);
    if (r)
        fail_msg("line %u, column %u: %s", e.line, e.column, e.text);
    uint64_t at[64];
    assert_true(ptx_var_count(m) <= 64);
    for (size_t i = 0; i < ptx_var_count(m); i++) {
        struct ptx_var v;
        ptx_var_at(m, i, &v);
        at[i] = (uint64_t)(uintptr_t)t_alloc(v.size_bytes + 1);
    }
    assert_int_equal(ptx_link(m, at, &e), 0);
    return m;
}

static const struct ptx_memory t_memory = {.lookup = t_lookup, .print = t_print};

// Runs kernel `k` and returns what ptx_run does.
static inline int t_run(struct ptx_module *m, uint32_t blocks, uint32_t threads, const void *params,
                        unsigned workers, bool cooperative, struct ptx_fault *fault)
{
    const struct ptx_func *f = ptx_func_find(m, "k");
    assert_non_null(f);
    struct ptx_launch l = {.func = f,
                           .grid = {blocks, 1, 1},
                           .block = {threads, 1, 1},
                           .cluster = {1, 1, 1},
                           .params = params,
                           .cooperative = cooperative,
                           .dynamic_shared_bytes = 256,
                           .sm_count = 4,
                           .threads = workers,
                           .memory = &t_memory};
    return ptx_run(&l, fault);
}

// A text that must run without a fault on one block: parameters are the addresses of `out` and `in`.
static inline void t_kernel(const char *text, uint32_t blocks, uint32_t threads, unsigned workers,
                            bool cooperative, void *out, const void *in)
{
    struct ptx_module *m = t_load(text);
    struct ptx_fault fault;
    const void *params[2] = {out, in};
    int r = t_run(m, blocks, threads, params, workers, cooperative, &fault);
    if (r)
        fail_msg("fault %d in line %u, thread %u, address %llx", fault.kind, fault.line, fault.thread[0],
                 (unsigned long long)fault.address);
    ptx_free(m);
}

// Runs `body` for each of `count` inputs. It finds the inputs in %a0..2 (64 bits), %ra0..2 (32), %ha0..2
// (16), %fa0..2 and %da0..2 (floats of the same bits); it leaves its result in %r64, or writes %r32, %r16,
// %rf, %rd or %p and moves it there with the line that `kind` chooses.
static inline void t_ops(const char *body, const char *kind, const uint64_t (*in)[3], uint64_t *out,
                         uint32_t count)
{
    static char text[T_OPS_MAX];
    static const char *const moves[][2] = {
        {"r64", ""},
        {"r32", "cvt.u64.u32 %r64, %r32;"},
        {"r16", "cvt.u64.u16 %r64, %r16;"},
        {"rf", "mov.b32 %r32, %rf; cvt.u64.u32 %r64, %r32;"},
        {"rd", "mov.b64 %r64, %rd;"},
        {"p", "selp.u64 %r64, 1, 0, %p;"},
        {"pq", "selp.u64 %r64, 1, 0, %p; selp.u64 %q64, 2, 0, %q; or.b64 %r64, %r64, %q64;"}};
    const char *move = NULL;
    for (size_t i = 0; i < sizeof moves / sizeof *moves; i++)
        if (!strcmp(moves[i][0], kind))
            move = moves[i][1];
    assert_non_null(move);
    t_reset();
    int n =
        snprintf(text, sizeof text,
                 ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry k(.param .u64 out, .param "
                 ".u64 in) {\n"
                 ".reg .b64 %%a<3>; .reg .b32 %%ra<3>; .reg .b16 %%ha<3>; .reg .f32 %%fa<3>; .reg .f64 "
                 "%%da<3>; .reg .b64 %%r64, %%q64, %%t<4>;\n"
                 ".reg .b32 %%r32, %%i, %%x<4>; .reg .b16 %%r16, %%y<4>; .reg .f32 %%rf; .reg .f64 %%rd; "
                 ".reg .pred %%p, %%q, %%s;\n"
                 "mov.u32 %%i, %%ctaid.x; mov.u32 %%x1, %%ntid.x; mov.u32 %%x2, %%tid.x; mad.lo.u32 %%i, "
                 "%%i, %%x1, %%x2;\n"
                 "ld.param.u64 %%t1, [in]; mad.wide.u32 %%t1, %%i, 24, %%t1; ld.param.u64 %%t2, [out]; "
                 "mad.wide.u32 %%t2, %%i, 8, %%t2;\n"
                 "setp.ge.u32 %%s, %%i, %u; @%%s exit;\n"
                 "ld.global.u64 %%a0, [%%t1]; ld.global.u64 %%a1, [%%t1+8]; ld.global.u64 %%a2, [%%t1+16];\n"
                 "cvt.u32.u64 %%ra0, %%a0; cvt.u32.u64 %%ra1, %%a1; cvt.u32.u64 %%ra2, %%a2; cvt.u16.u64 "
                 "%%ha0, %%a0; cvt.u16.u64 %%ha1, %%a1;\n"
                 "cvt.u16.u64 %%ha2, %%a2; mov.b32 %%fa0, %%ra0; mov.b32 %%fa1, %%ra1; mov.b32 %%fa2, %%ra2; "
                 "mov.b64 %%da0, %%a0; mov.b64 %%da1, %%a1;\n"
                 "mov.b64 %%da2, %%a2;\n%s\n%s\nst.global.u64 [%%t2], %%r64;\n}\n",
                 count, body, move);
    assert_true(n > 0 && (size_t)n < sizeof text);
    uint64_t *din = t_alloc(count * sizeof *in), *dout = t_alloc(count * sizeof *dout);
    memcpy(din, in, count * sizeof *in);
    t_kernel(text, (count + 63) / 64, 64, 1, false, dout, din);
    memcpy(out, dout, count * sizeof *dout);
}

static inline void t_check(const char *body, const char *kind, const uint64_t (*in)[3], uint32_t count,
                           uint64_t (*want)(uint64_t, uint64_t, uint64_t))
{
    static uint64_t out[T_THREADS_MAX];
    assert_true(count <= T_THREADS_MAX);
    t_ops(body, kind, in, out, count);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t w = want(in[i][0], in[i][1], in[i][2]);
        if (out[i] != w)
            fail_msg("%s\n  of %llx, %llx, %llx: got %llx, want %llx", body, (unsigned long long)in[i][0],
                     (unsigned long long)in[i][1], (unsigned long long)in[i][2], (unsigned long long)out[i],
                     (unsigned long long)w);
    }
}

// One input, one result.
static inline void t_one(const char *body, const char *kind, uint64_t a, uint64_t b, uint64_t c,
                         uint64_t want)
{
    const uint64_t in[1][3] = {{a, b, c}};
    uint64_t out;
    t_ops(body, kind, in, &out, 1);
    if (out != want)
        fail_msg("%s\n  of %llx, %llx, %llx: got %llx, want %llx", body, (unsigned long long)a,
                 (unsigned long long)b, (unsigned long long)c, (unsigned long long)out,
                 (unsigned long long)want);
}

// Inputs that find the edges: every combination of `edges`, then random ones.
static inline uint32_t t_inputs(uint64_t (*in)[3], const uint64_t *edges, uint32_t edge_count, uint32_t most)
{
    uint32_t n = 0;
    uint64_t x = 0x9e3779b97f4a7c15u;
    for (uint32_t i = 0; i < edge_count * edge_count && n < most; i++, n++) {
        in[n][0] = edges[i / edge_count];
        in[n][1] = edges[i % edge_count];
        in[n][2] = edges[(i * 7 + i / edge_count) % edge_count];
    }
    for (; n < most; n++)
        for (int k = 0; k < 3; k++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            in[n][k] = n & 1 ? x : x >> (x & 63);
        }
    return n;
}

#endif
