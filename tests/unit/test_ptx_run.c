// SPDX-License-Identifier: Apache-2.0
// Does a launch behave as on a device: memory spaces and faults, divergence, barriers, warps' exchanges,
// atomics, calls, printf, the grid barrier?
#include "test_ptx.h"

#include <pthread.h>
#include <time.h>
#include <unistd.h>

#define HEAD ".version 8.0\n.target sm_80\n.address_size 64\n"
#define ENTRY                                                                                                \
    ".visible .entry k(.param .u64 out, .param .u64 in) {\n.reg .b64 %rd<10>; .reg .b32 %r<20>; .reg .b16 "  \
    "%h<4>; .reg .pred %p<6>; .reg .f32 %f<6>;\n"                                                            \
    "ld.param.u64 %rd1, [out]; ld.param.u64 %rd2, [in]; mov.u32 %r1, %tid.x; mov.u32 %r2, %ctaid.x; "        \
    "mov.u32 %r3, %ntid.x;\n"                                                                                \
    "mad.lo.u32 %r4, %r2, %r3, %r1; mad.wide.u32 %rd3, %r4, 4, %rd1;\n"
#define STORE "st.global.u32 [%rd3], %r10;\n}\n"

static uint32_t *out(const char *text, uint32_t blocks, uint32_t threads, unsigned workers, bool cooperative)
{
    t_reset();
    uint32_t *o = t_alloc(1 << 18);
    void *in = t_alloc(1 << 16);
    for (int i = 0; i < 1 << 14; i++)
        ((uint32_t *)in)[i] = (uint32_t)i * 3;
    t_kernel(text, blocks, threads, workers, cooperative, o, in);
    return o;
}

static void memory(void **state)
{
    (void)state;
    uint32_t *o =
        out(HEAD ".const .align 4 .b32 table[4] = {10, 20, 30, 40};\n.global .align 4 .u32 two[2][2] = {{1, "
                 "2}, {3}};\n.global .align 8 .u64 address = generic(two)+4;\n"
                 ".global .align 1 .b8 masks[4] = {0xff(two), 0xff00(two)};\n" ENTRY
                 ".shared .align 4 .b8 tile[256]; .local .align 8 .b8 frame[16];\n"
                 "shl.b32 %r5, %r1, 2; mov.u32 %r6, tile; add.s32 %r6, %r6, %r5; st.shared.u32 [%r6], %r1; "
                 "bar.sync 0; ld.shared.u32 %r10, [tile+8];\n"
                 "and.b32 %r7, %r1, 3; mul.wide.u32 %rd4, %r7, 4; mov.u64 %rd5, table; add.s64 %rd5, %rd5, "
                 "%rd4; ld.const.u32 %r8, [%rd5]; add.u32 %r10, %r10, %r8;\n"
                 "ld.global.u64 %rd6, [address]; ld.u32 %r9, [%rd6]; mad.lo.u32 %r10, %r9, 100, %r10;\n"
                 "st.local.v2.u32 [frame], {%r10, %r1}; mov.u64 %rd7, frame; cvta.local.u64 %rd7, %rd7; "
                 "ld.v2.u32 {%r10, %r11}, [%rd7]; mad.lo.u32 %r10, %r11, 1000, %r10;\n"
                 "ld.global.u8 %h1, [masks]; mov.u64 %rd8, two; cvt.u16.u64 %h2, %rd8; and.b16 %h2, %h2, "
                 "255; setp.eq.u16 %p1, %h1, %h2; @!%p1 trap;\n"
                 "cvta.shared.u64 %rd9, 4; ld.u32 %r12, [%rd9]; add.u32 %r10, %r12, %r10; isspacep.shared "
                 "%p2, %rd9; @!%p2 trap; isspacep.global %p3, %rd1; @!%p3 trap;\n" STORE,
            1, 64, 1, false);
    for (uint32_t i = 0; i < 64; i++)
        assert_int_equal(o[i], 2 + 10 * (1 + (i & 3)) + 200 + 1000 * i + 1);
}

static enum ptx_fault_kind faults(const char *body, uint32_t thread, unsigned line)
{
    char text[2048];
    struct ptx_fault fault;
    snprintf(text, sizeof text, "%s%s\nret;\n}\n",
             HEAD ENTRY
             ".shared .align 8 .b8 s[64]; .local .align 8 .b8 l[32];\nsetp.ne.u32 %p1, %r1, 37; @%p1 exit;\n",
             body);
    t_reset();
    struct ptx_module *m = t_load(text);
    void *params[2] = {t_alloc(256), t_alloc(256)};
    int r = t_run(m, 4, 64, params, 2, false, &fault);
    assert_int_equal(r, fault.kind ? -EFAULT : 0);
    if (fault.kind) {
        assert_int_equal(fault.thread[0], thread);
        assert_int_equal(fault.line, line);
    }
    ptx_free(m);
    return fault.kind;
}

static void fault_kinds(void **state)
{
    (void)state;
    const unsigned line = 10; // of the body
    static const struct {
        const char *body;
        enum ptx_fault_kind kind;
    } rows[] = {{"ld.global.u32 %r5, [16];", PTX_FAULT_ADDRESS},
                {"st.global.u32 [%rd1+2097152], %r1;", PTX_FAULT_ADDRESS},
                {"ld.global.u32 %r5, [%rd1+2];", PTX_FAULT_MISALIGNED},
                {"ld.global.v4.u32 {%r5, %r6, %r7, %r8}, [%rd1+8];", PTX_FAULT_MISALIGNED},
                {"ld.shared.u32 %r5, [s+320];", PTX_FAULT_ADDRESS},
                {"ld.shared.u32 %r5, [s+316];", PTX_FAULT_NONE},
                {"mov.u32 %r6, -4; ld.shared.u32 %r5, [%r6];", PTX_FAULT_ADDRESS},
                {"st.local.u32 [l+4096], %r1;", PTX_FAULT_ADDRESS},
                {"ld.u32 %r5, [%rd1-1048576];", PTX_FAULT_ADDRESS},
                {"atom.global.add.u32 %r5, [0], 1;", PTX_FAULT_ADDRESS},
                {"atom.global.add.u64 %rd5, [%rd1+4], 1;", PTX_FAULT_MISALIGNED},
                {"trap;", PTX_FAULT_TRAP},
                {"brkpt;", PTX_FAULT_INSTRUCTION},
                {"{ .reg .b64 f; mov.u64 f, 64; call f, (); }", PTX_FAULT_INSTRUCTION},
                {"bar.sync 99;", PTX_FAULT_INSTRUCTION},
                {"mov.u64 %rd5, 0x1000000000000; ld.u32 %r5, [%rd5+320];", PTX_FAULT_ADDRESS},
                {"ld.global.u32 %r5, [%rd1];", PTX_FAULT_NONE}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        enum ptx_fault_kind kind = faults(rows[i].body, 37, line);
        if (kind != rows[i].kind)
            fail_msg("%s: fault %d, want %d", rows[i].body, kind, rows[i].kind);
    }
}

static void divergence(void **state)
{
    (void)state;
    // Collatz steps: every lane leaves the loop at its own time; then all are together again.
    uint32_t *o =
        out(HEAD ENTRY
            "mov.u32 %r10, 0; add.u32 %r5, %r4, 1;\nLOOP: setp.le.u32 %p1, %r5, 1; @%p1 bra DONE;\nadd.u32 "
            "%r10, %r10, 1; and.b32 %r6, %r5, 1; setp.eq.u32 %p2, %r6, 0;\n"
            "@%p2 bra EVEN; mad.lo.u32 %r5, %r5, 3, 1; bra LOOP;\nEVEN: shr.u32 %r5, %r5, 1; bra "
            "LOOP;\nDONE: activemask.b32 %r7; popc.b32 %r7, %r7; mad.lo.u32 %r10, %r7, 1000, %r10;\n" STORE,
            4, 96, 2, false);
    for (uint32_t i = 0; i < 384; i++) {
        uint32_t n = i + 1, steps = 0;
        for (; n > 1; steps++)
            n = n & 1 ? 3 * n + 1 : n / 2;
        assert_int_equal(o[i], 32000 + steps);
    }
    // A branch table, and lanes beyond the block.
    o = out(HEAD ENTRY
            "ts: .branchtargets A, B, C;\nand.b32 %r5, %r1, 3; min.u32 %r5, %r5, 2; brx.idx %r5, ts;\nA: "
            "mov.u32 %r10, 7; bra E; B: mov.u32 %r10, 8; bra E; C: mov.u32 %r10, 9;\nE:" STORE,
            1, 45, 1, false);
    for (uint32_t i = 0; i < 45; i++)
        assert_int_equal(o[i], (i & 3) == 0 ? 7 : (i & 3) == 1 ? 8 : 9);
    // Lanes of one warp that wait for another lane of it, which stands later in the code.
    o = out(HEAD ".global .u32 flag;\n" ENTRY
                 "setp.eq.u32 %p1, %r1, 31; @%p1 bra GIVE;\nWAIT: ld.volatile.global.u32 %r5, [flag]; "
                 "setp.eq.u32 %p2, %r5, 0; @%p2 bra WAIT;\nmov.u32 %r10, %r5; bra END;\n"
                 "GIVE: mov.u32 %r6, 0;\nWORK: add.u32 %r6, %r6, 1; setp.lt.u32 %p3, %r6, 9999; @%p3 bra "
                 "WORK; st.volatile.global.u32 [flag], %r6; mov.u32 %r10, 1;\nEND:" STORE,
            1, 32, 1, false);
    assert_int_equal(o[0], 9999);
    assert_int_equal(o[31], 1);
}

static void barriers(void **state)
{
    (void)state;
    // Warps in halves: named barriers with counts, and a reduction over the block.
    uint32_t *o =
        out(HEAD ENTRY
            ".shared .u32 s[4]; shr.u32 %r5, %r1, 6; add.u32 %r6, %r5, 1; and.b32 %r7, %r1, 63; setp.ne.u32 "
            "%p1, %r7, 5; shl.b32 %r8, %r5, 2; mov.u32 %r9, s; add.u32 %r8, %r8, %r9;\n"
            "@!%p1 st.shared.u32 [%r8], %r1; bar.sync %r6, 64; ld.shared.u32 %r10, [%r8];\nsetp.lt.u32 %p2, "
            "%r1, 20; barrier.cta.red.popc.u32 %r11, 0, %p2; mad.lo.u32 %r10, %r11, 1000, %r10;\n"
            "bar.red.and.pred %p3, 0, %p2; @%p3 trap; bar.red.or.pred %p4, 0, %p2; @!%p4 trap; "
            "bar.red.and.pred %p3, 0, !%p5;\n" STORE,
            3, 128, 2, false);
    for (uint32_t i = 0; i < 384; i++)
        assert_int_equal(o[i], 20000 + (i % 128 < 64 ? 5 : 69));
    // Threads that have ended do not hold up the others.
    o = out(HEAD ENTRY "setp.gt.u32 %p1, %r1, 70; @%p1 exit; bar.sync 0; mov.u32 %r10, 3;\n" STORE, 1, 128, 1,
            false);
    assert_int_equal(o[70], 3);
    assert_int_equal(o[71], 0);
    // One warp produces, another consumes: arrive and sync.
    o = out(HEAD ENTRY ".shared .u32 s; setp.gt.u32 %p1, %r1, 31; @%p1 bra TAKE; mov.u32 %r5, 77; "
                       "st.shared.u32 [s], %r5; bar.arrive 3, 64; mov.u32 %r10, 1; bra END;\nTAKE: bar.sync "
                       "3, 64; ld.shared.u32 %r10, [s];\nEND:" STORE,
            1, 64, 1, false);
    assert_int_equal(o[0], 1);
    assert_int_equal(o[40], 77);
}

static void warp(void **state)
{
    (void)state;
    uint32_t *o = out(
        HEAD ENTRY "shfl.sync.down.b32 %r5|%p1, %r1, 1, 31, -1; selp.u32 %r6, 100, 0, %p1; add.u32 %r10, "
                   "%r5, %r6; shfl.sync.bfly.b32 %r7, %r1, 16, 31, -1; mad.lo.u32 %r10, %r7, 1000, %r10;\n"
                   "shfl.sync.idx.b32 %r8, %r1, 2, 0x1c03, -1; mad.lo.u32 %r10, %r8, 100000, %r10;\n" STORE,
        1, 32, 1, false);
    for (uint32_t i = 0; i < 32; i++)
        assert_int_equal(o[i], (i < 31 ? i + 1 + 100 : i) + (i ^ 16) * 1000 + ((i & ~3u) + 2) * 100000);
    // Votes of two tiles at once, matches, reductions, an election.
    o = out(HEAD ENTRY "setp.lt.u32 %p1, %r1, 16; selp.b32 %r5, 0xffff, 0xffff0000, %p1; and.b32 %r6, %r1, "
                       "1; setp.eq.u32 %p2, %r6, 0; vote.sync.ballot.b32 %r10, %p2, %r5;\n"
                       "and.b32 %r7, %r1, 7; match.any.sync.b32 %r8, %r7, -1; popc.b32 %r8, %r8; xor.b32 "
                       "%r10, %r10, %r8; redux.sync.add.u32 %r9, %r1, -1; xor.b32 %r10, %r10, %r9;\n"
                       "elect.sync %r11|%p3, %r5; selp.u32 %r12, 64, 0, %p3; xor.b32 %r10, %r10, %r12; "
                       "match.all.sync.b32 %r13|%p4, %r2, -1; @!%p4 trap;\n" STORE,
            1, 32, 1, false);
    for (uint32_t i = 0; i < 32; i++)
        assert_int_equal(o[i], (i < 16 ? 0x5555u : 0x55550000u) ^ 4 ^ 496 ^ (i == 0 || i == 16 ? 64 : 0));
    // Divergent lanes come together at the shuffle.
    o = out(
        HEAD ENTRY
        "mov.u32 %r5, 0; setp.lt.u32 %p1, %r1, 9; @%p1 bra A; add.u32 %r5, %r1, 1; bra B;\nA: mul.lo.u32 "
        "%r5, %r1, 10; bra C;\nB: add.u32 %r5, %r5, 1;\nC: shfl.sync.idx.b32 %r10, %r5, 3, 31, -1;\n" STORE,
        1, 32, 1, false);
    for (uint32_t i = 0; i < 32; i++)
        assert_int_equal(o[i], 30);
}

static void atomics(void **state)
{
    (void)state;
    out(HEAD ENTRY "atom.global.add.u32 %r5, [%rd1], 1; atom.global.max.s32 %r6, [%rd1+4], %r4; "
                   "red.global.add.f32 [%rd1+8], 0f3F800000; atom.global.inc.u32 %r7, [%rd1+12], 9;\n"
                   "atom.global.or.b32 %r8, [%rd1+16], %r4; atom.global.add.u64 %rd5, [%rd1+24], 3;\nL: "
                   "ld.volatile.global.u32 %r9, [%rd1+32]; add.u32 %r11, %r9, 2; atom.global.cas.b32 %r12, "
                   "[%rd1+32], %r9, %r11; setp.ne.u32 %p1, %r12, %r9; @%p1 bra L;\n"
                   "cvt.u16.u32 %h1, %r4; atom.global.cas.b16 %h2, [%rd1+36], 0, 5; ret;\n}\n",
        40, 96, 2, false);
    const uint32_t *o = (uint32_t *)t_device, n = 3840;
    assert_int_equal(o[0], n);
    assert_int_equal(o[1], n - 1);
    float sum;
    memcpy(&sum, &o[2], 4);
    assert_true(sum == n);
    assert_int_equal(o[3], n % 10);
    assert_int_equal(o[4], 4095);
    assert_int_equal(o[6], 3 * n);
    assert_int_equal(o[8], 2 * n);
    assert_int_equal(o[9], 5);
}

static void calls(void **state)
{
    (void)state;
    uint32_t *o =
        out(HEAD ".func (.param .b32 r) fib(.param .b32 n);\n.func (.reg .u32 r) twice(.reg .u32 a) { "
                 "add.u32 r, a, a; ret; }\n.func (.param .b32 r) plus1(.param .b32 a) { .reg .b32 x; "
                 "ld.param.u32 x, [a]; add.u32 x, x, 1; st.param.b32 [r], x; ret; }\n"
                 ".func (.param .b32 r) plus2(.param .b32 a) { .reg .b32 x; ld.param.u32 x, [a]; add.u32 x, "
                 "x, 2; st.param.b32 [r], x; ret; }\n.global .u64 table[2] = {plus1, plus2};\n"
                 ".func (.param .b32 r) fib(.param .b32 n) { .reg .b32 %r<6>; .reg .pred p; ld.param.u32 "
                 "%r1, [n]; setp.lt.s32 p, %r1, 2; @p bra E; sub.u32 %r2, %r1, 1;\n"
                 "{ .param .b32 a; .param .b32 b; st.param.b32 [a], %r2; call.uni (b), fib, (a); "
                 "ld.param.b32 %r3, [b]; } sub.u32 %r2, %r1, 2; { .param .b32 a; .param .b32 b; st.param.b32 "
                 "[a], %r2; call.uni (b), fib, (a); ld.param.b32 %r4, [b]; }\n"
                 "add.u32 %r1, %r3, %r4;\nE: st.param.b32 [r], %r1; ret; }\n" ENTRY
                 "rem.u32 %r5, %r1, 13;\n{ .param .b32 a; .param .b32 b; st.param.b32 [a], %r5; call (b), "
                 "fib, (a); ld.param.b32 %r10, [b]; }\ncall (%r10), twice, (%r10);\n"
                 "and.b32 %r6, %r1, 1; mul.wide.u32 %rd4, %r6, 8; mov.u64 %rd5, table; add.s64 %rd5, %rd5, "
                 "%rd4; ld.global.u64 %rd6, [%rd5];\n"
                 "{ .param .b32 a; .param .b32 b; st.param.b32 [a], %r10; pr: .callprototype (.param .b32 _) "
                 "_ (.param .b32 _); call (b), %rd6, (a), pr; ld.param.b32 %r10, [b]; }\n" STORE,
            2, 64, 1, false);
    static const uint32_t fib[] = {0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144};
    for (uint32_t i = 0; i < 128; i++)
        assert_int_equal(o[i], fib[i % 64 % 13] * 2 + 1 + (i & 1));
    // Without an end, a recursion is a stack fault and not a crash.
    t_reset();
    struct ptx_module *m = t_load(HEAD ".func f() { call f, (); ret; }\n.visible .entry k(.param .u64 out, "
                                       ".param .u64 in) { call f, (); ret; }\n");
    struct ptx_fault fault;
    void *params[2] = {NULL, NULL};
    assert_int_equal(t_run(m, 2, 64, params, 1, false, &fault), -EFAULT);
    assert_int_equal(fault.kind, PTX_FAULT_STACK);
    ptx_free(m);
}

static void printing(void **state)
{
    (void)state;
    const char *text =
        HEAD ".extern .func (.param .b32 r) vprintf(.param .b64 f, .param .b64 a);\n.extern .func "
             "__assertfail(.param .b64 m, .param .b64 f, .param .b32 l, .param .b64 n, .param .b64 c);\n"
             ".global .align 1 .b8 fmt[34] = {91, 37, 53, 100, 124, 37, 45, 53, 115, 124, 37, 48, 56, 108, "
             "108, 120, 124, 37, 46, 50, 102, 124, 37, 37, 124, 37, 99, 93, 10, 0};\n"
             ".global .align 1 .b8 abc[4] = {97, 98, 99, 0};\n" ENTRY
             ".local .align 8 .b8 args[40];\nsetp.gt.u32 %p1, %r1, 1; @%p1 exit; mov.u64 %rd4, args; "
             "cvta.local.u64 %rd5, %rd4;\n"
             "neg.s32 %r5, %r1; st.local.u32 [%rd4], %r5; mov.u64 %rd6, abc; st.local.u64 [%rd4+8], %rd6; "
             "mov.u64 %rd7, 0xbeef; st.local.u64 [%rd4+16], %rd7; mov.u64 %rd8, 0x3ff8000000000000; "
             "st.local.u64 [%rd4+24], %rd8;\n"
             "mov.u32 %r6, 33; st.local.u32 [%rd4+32], %r6; mov.u64 %rd9, fmt; { .param .b64 f; .param .b64 "
             "a; .param .b32 r; st.param.b64 [f], %rd9; st.param.b64 [a], %rd5; call (r), vprintf, (f, a); "
             "ld.param.b32 %r10, [r]; }\n"
             "setp.eq.u32 %p2, %r1, 1; @!%p2 bra END; { .param .b64 m; .param .b64 f; .param .b32 l; .param "
             ".b64 n; .param .b64 c; st.param.b64 [m], %rd6; st.param.b64 [f], %rd6; st.param.b32 [l], 12; "
             "st.param.b64 [n], %rd6; st.param.b64 [c], 1;\n"
             "call __assertfail, (m, f, l, n, c); }\nEND:" STORE;
    t_reset();
    struct ptx_module *m = t_load(text);
    void *params[2] = {t_alloc(256), t_alloc(256)};
    struct ptx_fault fault;
    assert_int_equal(t_run(m, 1, 32, params, 1, false, &fault), -EFAULT);
    assert_int_equal(fault.kind, PTX_FAULT_ASSERT);
    assert_string_equal(t_printed, "[    0|abc  |0000beef|1.50|%|!]\n[   -1|abc  |0000beef|1.50|%|!]\n"
                                   "abc:12: abc: block: [0,0,0], thread: [1,0,0] Assertion `abc` failed.\n");
    ptx_free(m);
}

// The grid barrier as cooperative_groups makes it, out of the workspace whose address is in %envreg1 and 2.
static void grid_barrier(void **state)
{
    (void)state;
    const char *text = HEAD ENTRY
        "mov.u32 %r5, %envreg2; mov.u32 %r6, %envreg1; mov.b64 %rd4, {%r5, %r6}; atom.global.add.u32 %r7, "
        "[%rd1], 1;\nbar.sync 0; setp.ne.u32 %p1, %r1, 0; @%p1 bra OVER;\n"
        "mov.u32 %r8, %nctaid.x; mov.u32 %r9, -2147483647; sub.s32 %r9, %r9, %r8; setp.eq.u32 %p2, %r2, 0; "
        "selp.b32 %r11, %r9, 1, %p2; membar.gl; atom.add.release.gpu.u32 %r12, [%rd4+4], %r11;\n"
        "SPIN: ld.acquire.gpu.u32 %r13, [%rd4+4]; xor.b32 %r14, %r13, %r12; setp.gt.s32 %p3, %r14, -1; @%p3 "
        "bra SPIN;\nOVER: bar.sync 0; ld.volatile.global.u32 %r10, [%rd1]; st.global.u32 [%rd3+1024], %r10; "
        "ret; }\n";
    for (unsigned workers = 1; workers < 4; workers++) {
        const uint32_t *o = out(text, 24, 96, workers, true);
        for (uint32_t i = 0; i < 24 * 96; i++)
            assert_int_equal(o[256 + i], 24 * 96);
    }
    // A block that waits for a later one without a cooperative launch: a device has both resident, and so has
    // the engine.
    const uint32_t *o =
        out(HEAD ENTRY
            "setp.eq.u32 %p1, %r2, 3; @%p1 st.volatile.global.u32 [%rd1], 5;\nSPIN: ld.volatile.global.u32 "
            "%r10, [%rd1]; setp.eq.u32 %p2, %r10, 0; @%p2 bra SPIN; st.global.u32 [%rd3+64], %r10; ret; }\n",
            4, 32, 1, false);
    assert_int_equal(o[16], 5);
}

static volatile bool stop;
static void *stop_soon(void *arg)
{
    (void)arg;
    usleep(30000);
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    return NULL;
}
static void stopping(void **state)
{
    (void)state;
    t_reset();
    static const char *const texts[] = {HEAD ENTRY "L: bra L; }\n",
                                        HEAD ENTRY "setp.eq.u32 %p1, %r1, 0; @%p1 bar.sync 1, 64; ret; }\n"};
    for (int i = 0; i < 2; i++) {
        struct ptx_module *m = t_load(texts[i]);
        const void *params[2] = {t_device, t_device};
        struct ptx_fault fault;
        struct ptx_launch l = {.func = ptx_func_find(m, "k"),
                               .grid = {3, 1, 1},
                               .block = {32, 1, 1},
                               .cluster = {1, 1, 1},
                               .params = params,
                               .sm_count = 1,
                               .threads = 2,
                               .memory = &t_memory,
                               .stop = &stop};
        pthread_t t;
        __atomic_store_n(&stop, false, __ATOMIC_RELAXED);
        assert_int_equal(pthread_create(&t, NULL, stop_soon, NULL), 0);
        assert_int_equal(ptx_run(&l, &fault), -EFAULT);
        assert_int_equal(fault.kind, PTX_FAULT_STOPPED);
        pthread_join(t, NULL);
        ptx_free(m);
    }
}

static void device_heap(void **state)
{
    (void)state;
    uint32_t *o =
        out(HEAD
            ".extern .func (.param .b64 r) malloc(.param .b64 n);\n.extern .func free(.param .b64 p);\n" ENTRY
            "{ .param .b64 n; .param .b64 r; st.param.b64 [n], 48; call (r), malloc, (n); ld.param.b64 %rd4, "
            "[r]; }\nst.u32 [%rd4+44], %r4; ld.u32 %r10, [%rd4+44];\n{ .param .b64 q; st.param.b64 [q], "
            "%rd4; call free, (q); }\n" STORE,
            8, 64, 2, false);
    for (uint32_t i = 0; i < 512; i++)
        assert_int_equal(o[i], i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory),   cmocka_unit_test(fault_kinds), cmocka_unit_test(divergence),
        cmocka_unit_test(barriers), cmocka_unit_test(warp),        cmocka_unit_test(atomics),
        cmocka_unit_test(calls),    cmocka_unit_test(printing),    cmocka_unit_test(grid_barrier),
        cmocka_unit_test(stopping), cmocka_unit_test(device_heap)};
    return cmocka_run_group_tests_name("ptx launches", tests, NULL, NULL);
}
