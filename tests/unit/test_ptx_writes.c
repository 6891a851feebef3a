// SPDX-License-Identifier: Apache-2.0
// Question: is it told right through which parameters a kernel may write, and never too little? Method: the kernels of this project,
// whose writes are known from their source; and texts that carry an address around in every way that PTX has.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/ptx/ptx_writes.h"

enum { CELLS = 1 << 14, DUMP_BYTES = 2048 };

static struct gn_ptx_walk walk;
static struct gn_ptx_cell cells[CELLS];

// "name:offset,...;" for each kernel, or "name:?;".
static const char *dump(const char *text, size_t size_bytes, uint32_t cell_count)
{
    static char to[DUMP_BYTES];
    struct gn_ptx_writes w;
    int r;
    size_t at = 0;
    to[0] = 0;
    gn_ptx_writes_begin(&walk, text, size_bytes, cells, cell_count);
    while ((r = gn_ptx_writes_next(&walk, &w)) == 1) {
        at += (size_t)snprintf(to + at, sizeof to - at, "%.*s:%s", (int)w.name_bytes, w.name, w.unknown ? "?" : "");
        for (uint32_t i = 0; i < w.word_count; i++)
            at += (size_t)snprintf(to + at, sizeof to - at, "%s%u", i ? "," : "", w.word_bytes[i]);
        at += (size_t)snprintf(to + at, sizeof to - at, ";");
    }
    if (r)
        snprintf(to + at, sizeof to - at, "error");
    return to;
}

// Kernels with parameters p (at 0), q (8), n (16, 32 bits), m (20, 32 bits), s (24, a structure of 24 bytes).
#define HEAD ".version 7.5\n.target sm_75\n.address_size 64\n"
#define KERNEL                                                                                                                   \
    ".visible .entry k(.param .u64 p, .param .u64 q, .param .u32 n, .param .u32 m, .param .align 8 .b8 s[24])\n{\n"              \
    ".reg .pred %p<4>;\n.reg .b32 %r<20>;\n.reg .b64 %rd<20>;\n.reg .f32 %f<9>;\n.reg .f64 %fd<9>;\n"                             \
    "ld.param.u64 %rd1, [p];\nld.param.u64 %rd2, [q];\nld.param.u32 %r1, [n];\nld.param.u32 %r2, [m];\n"
#define STORE " st.global.u32 [%rd9], %r1;\nret;\n}\n"

static const struct row {
    const char *what, *text, *expected;
} rows[] = {
    {"nothing is written", HEAD KERNEL "ld.global.u32 %r3, [%rd1]; ret; }", "k:;"},
    {"one parameter", HEAD KERNEL "mov.u64 %rd9, %rd1;" STORE, "k:0;"},
    {"an address in generic space", HEAD KERNEL "st.u8 [%rd2+3], %r1; }", "k:8;"},
    {"with an offset of 32 bits", HEAD KERNEL "mul.wide.u32 %rd3, %r1, 4; add.s64 %rd9, %rd2, %rd3;" STORE, "k:8;"},
    {"negative offsets", HEAD KERNEL "st.global.v2.u32 [%rd2+-8], {%r1, %r2}; st.global.u32 [%rd2-4], %r1; }", "k:8;"},
    {"cvta", HEAD KERNEL "cvta.to.global.u64 %rd9, %rd1;" STORE, "k:0;"},
    {"selp of two", HEAD KERNEL "selp.b64 %rd9, %rd1, %rd2, %p1;" STORE, "k:0,8;"},
    {"a difference added", HEAD KERNEL "sub.s64 %rd3, %rd2, %rd1; add.s64 %rd9, %rd1, %rd3;" STORE, "k:0,8;"},
    {"under a predicate", HEAD KERNEL "@!%p1 st.global.u32 [%rd1], %r1; @%p2 bra L; L: ret; }", "k:0;"},
    {"a loop that carries it back", HEAD KERNEL "L: mov.u64 %rd9, %rd8; mov.u64 %rd8, %rd7; mov.u64 %rd7, %rd6; mov.u64 %rd6, %rd2;"
                                                " @%p1 bra L;" STORE,
     "k:8;"},
    {"the store stands before the address", HEAD KERNEL "bra B; A: st.global.u32 [%rd9], %r1; ret; B: mov.u64 %rd9, %rd1; bra A; }", "k:0;"},
    {"two registers that swap", HEAD KERNEL "mov.u64 %rd9, %rd1; mov.u64 %rd3, %rd2; xor.b64 %rd9, %rd9, %rd3; xor.b64 %rd3, %rd9, %rd3;" STORE,
     "k:0,8;"},
    {"atomics and reductions", HEAD KERNEL "atom.global.add.u32 %r3, [%rd1], 1; red.global.add.u32 [%rd2], 1; }", "k:0,8;"},
    {"atomics in shared memory", HEAD ".shared .align 4 .b8 x[4];" KERNEL "atom.shared.add.u32 %r3, [x], 1; red.shared.add.u32 [x], 1; }", "k:;"},
    {"a structure", HEAD KERNEL "ld.param.u64 %rd9, [s+16];" STORE, "k:40;"},
    {"a structure, two at once", HEAD KERNEL "ld.param.v2.u64 {%rd3, %rd9}, [s+8];" STORE, "k:40;"},
    {"a structure, with a sink", HEAD KERNEL "ld.param.v2.b64 {_, %rd9}, [s];" STORE, "k:32;"},
    {"a float that is an address", HEAD KERNEL "ld.param.f64 %fd1, [q]; mov.b64 %rd9, %fd1;" STORE, "k:8;"},
    {"local and shared memory", HEAD KERNEL ".local .align 8 .b8 d[8]; .reg .b64 SP; mov.u64 SP, d; cvta.local.u64 %rd9, SP;" STORE, "k:;"},
    {"a variable", HEAD ".visible .global .align 4 .u32 v;" KERNEL "st.global.u32 [v], %r1; mov.u64 %rd9, v;" STORE, "k:;"},
    {"a variable or a parameter", HEAD ".global .u32 v;" KERNEL "mov.u64 %rd3, v; selp.b64 %rd9, %rd1, %rd3, %p1;" STORE, "k:0;"},
    {"a variable that is somebody else's", HEAD ".extern .global .u32 v;" KERNEL "mov.u64 %rd9, v;" STORE, "k:;"},
    {"scopes", HEAD KERNEL "{ .reg .b64 t; mov.u64 t, %rd1; { .reg .b64 t; mov.u64 t, %rd2; } mov.u64 %rd9, t; }" STORE, "k:0,8;"},
    {"printing", HEAD ".extern .func (.param .b32 r) vprintf (.param .b64 a, .param .b64 b);" KERNEL
                      "{ .param .b64 p0; st.param.b64 [p0+0], %rd1; .param .b32 r0; call.uni (r0), vprintf, (p0, p0); ld.param.b32 %r3, [r0+0]; } }",
     "k:;"},
    {"division by a constant", HEAD KERNEL "mul.wide.u32 %rd3, %r1, 3435973837; shr.u64 %rd4, %rd3, 34; shl.b64 %rd5, %rd4, 2;"
                                           " add.s64 %rd9, %rd1, %rd5;" STORE,
     "k:0;"},
    {"masks", HEAD KERNEL "and.b64 %rd9, %rd1, 18446744073709551600;" STORE, "k:0;"},
    {"shuffles of halves", HEAD KERNEL "mov.b64 {%r3, %r4}, %rd1; shfl.sync.idx.b32 %r5|%p1, %r3, 0, 31, -1; mov.b64 %rd9, {%r5, %r4};" STORE, "k:?;"},
    {"vectors of registers", HEAD KERNEL ".reg .v2 .b64 v; ld.param.v2.b64 v, [s]; mov.b64 %rd9, v.y;" STORE, "k:24;"},
    {"debug lines", HEAD ".file 1 \"a;b.cu\"\n" KERNEL ".loc 1 2 3, function_name $L, inlined_at 1 2 3\n mov.u64 %rd9, %rd1;" STORE, "k:0;"},
    {"pragmas and targets", HEAD KERNEL ".pragma \"nounroll;\"; T: .branchtargets A, B; A: B: brx.idx %r1, T; mov.u64 %rd9, %rd1;" STORE, "k:0;"},
    {"an asynchronous copy into shared memory", HEAD ".shared .align 16 .b8 x[64];" KERNEL
                                                "mov.u32 %r5, x; cp.async.ca.shared.global [%r5], [%rd1], 16; cp.async.cg.shared.global.L2::128B [%r5], "
                                                "[%rd2], 16; cp.async.commit_group; cp.async.wait_group 0; }",
     "k:;"},
    {"matrices", HEAD KERNEL "wmma.store.d.sync.aligned.row.m16n16k16.global.f32 [%rd2], {%f1,%f2,%f3,%f4,%f5,%f6,%f7,%f8}, %r1; }", "k:8;"},
    {"a device function", HEAD ".func f(.param .b64 a, .param .b64 b) { .reg .b64 %d<3>; .reg .b32 %r<2>; ld.param.b64 %d1, [b];"
                               " st.b32 [%d1], %r1; ret; }" KERNEL
                               "{ .param .b64 x; st.param.b64 [x], %rd1; .param .b64 y; st.param.b64 [y], %rd2; call.uni f, (x, y); } }",
     "k:8;"},
    {"its result", HEAD ".func (.param .b64 o) f(.param .b64 a, .param .b64 b) { .reg .b64 %d<3>; ld.param.b64 %d1, [a];"
                        " st.param.b64 [o], %d1; ret; }" KERNEL
                        "{ .param .b64 x; st.param.b64 [x], %rd2; .param .b64 y; .param .b64 o; call.uni (o), f, (x, y);"
                        " ld.param.b64 %rd9, [o]; }" STORE,
     "k:8;"},
    {"a device function with a local", HEAD ".func f(.param .b64 a) { .reg .b64 %d<3>; .reg .b32 %r<2>; ld.param.b64 %d1, [a]; st.b32 [%d1], %r1; }" KERNEL
                                            ".local .b8 l[8]; mov.u64 %rd3, l; { .param .b64 x; st.param.b64 [x], %rd3; call.uni f, (x); } }",
     "k:;"},
    {"two kernels", HEAD ".entry a(.param .u64 x) { .reg .b64 %r<2>; ld.param.u64 %r1, [x]; st.global.u64 [%r1], %r1; }"
                         ".entry b(.param .u64 x) { .reg .b64 %r<2>; ld.param.u64 %r1, [x]; }",
     "a:0;b:;"},
    {"a declaration", HEAD ".extern .entry d(.param .u64 x); .entry b() { ret; }", "b:;"},

    {"a device function with a number", HEAD ".func put(.param .b64 a, .param .b32 i) { .reg .b64 %d<4>; .reg .b32 %i; ld.param.b64 %d1, [a]; ld.param.b32 %i, [i];"
                                        " mul.wide.u32 %d2, %i, 4; add.s64 %d3, %d1, %d2; st.b32 [%d3], %i; }" KERNEL
                                        "{ .param .b64 x; st.param.b64 [x+0], %rd2; .param .b32 y; st.param.b32 [y+0], %r1; call.uni put, (x, y); } }",
     "k:8;"},

    // where an address may come from that nobody has told
    {"halves of an argument", HEAD ".func (.param .b64 o) f(.param .b64 a) { .reg .b64 %d<3>; ld.param.b64 %d1, [a]; st.param.b64 [o], %d1; }" KERNEL
                              "{ .param .b64 x; st.param.b32 [x], %r1; st.param.b32 [x+4], %r2; .param .b64 o; call.uni (o), f, (x); ld.param.b64 %rd3, [o];"
                              " add.s64 %rd9, %rd1, %rd3; }" STORE,
     "k:?;"},
    {"halves of a result", HEAD ".func (.param .b64 o) f() { .reg .b32 %r<3>; st.param.b32 [o], %r1; st.param.b32 [o+4], %r2; }" KERNEL
                           "{ .param .b64 o; call.uni (o), f, (); ld.param.b64 %rd3, [o]; add.s64 %rd9, %rd1, %rd3; }" STORE,
     "k:?;"},
    {"halves of a local parameter", HEAD KERNEL "{ .param .b64 x; st.param.v2.b32 [x], {%r1, %r2}; ld.param.b64 %rd3, [x]; add.s64 %rd9, %rd1, %rd3; }" STORE,
     "k:?;"},
    {"through global memory", HEAD KERNEL "ld.global.u64 %rd9, [%rd1];" STORE, "k:?;"},
    {"through global memory as a float", HEAD KERNEL "ld.global.f64 %fd1, [%rd1]; mov.b64 %rd9, %fd1;" STORE, "k:?;"},
    {"through a vector", HEAD KERNEL "ld.global.v2.b64 {%rd8, %rd9}, [%rd1];" STORE, "k:?;"},
    {"through shared memory", HEAD ".shared .align 8 .b8 x[8];" KERNEL "st.shared.u64 [x], %rd1; ld.shared.u64 %rd9, [x];" STORE, "k:?;"},
    {"through local memory", HEAD KERNEL ".local .b8 x[8]; st.local.u64 [x], %rd1; ld.local.u64 %rd9, [x];" STORE, "k:?;"},
    {"through a constant", HEAD ".const .u64 c;" KERNEL "ld.const.u64 %rd9, [c];" STORE, "k:?;"},
    {"through halves of memory", HEAD KERNEL "ld.global.v2.u32 {%r3, %r4}, [%rd1]; mov.b64 %rd9, {%r3, %r4};" STORE, "k:?;"},
    {"through halves and a shift", HEAD KERNEL "cvt.u64.u32 %rd3, %r1; cvt.u64.u32 %rd4, %r2; shl.b64 %rd5, %rd3, 32; or.b64 %rd6, %rd5, %rd4;"
                                               " add.s64 %rd9, %rd1, %rd6;" STORE,
     "k:?;"},
    {"a shift by a register", HEAD KERNEL "cvt.u64.u32 %rd3, %r1; shl.b64 %rd4, %rd3, %r2; add.s64 %rd9, %rd1, %rd4;" STORE, "k:?;"},
    {"through halves and a product", HEAD KERNEL "cvt.u64.u32 %rd3, %r1; mul.lo.u64 %rd4, %rd3, 4294967296; add.s64 %rd9, %rd1, %rd4;" STORE, "k:?;"},
    {"through halves and a sum of products", HEAD KERNEL "mul.wide.u32 %rd3, %r1, 2147483648; mad.wide.u32 %rd9, %r2, 1, %rd3;" STORE, "k:?;"},
    {"through a bit field", HEAD KERNEL "bfi.b64 %rd9, %rd3, %rd1, 32, 32;" STORE, "k:?;"},
    {"halves of a parameter", HEAD KERNEL "ld.param.u32 %r3, [p]; cvt.u64.u32 %rd3, %r3; add.s64 %rd9, %rd3, %rd2;" STORE, "k:?;"},
    {"a float made an integer", HEAD KERNEL "cvt.rzi.u64.f32 %rd3, %f1; add.s64 %rd9, %rd1, %rd3;" STORE, "k:?;"},
    {"an address in the text", HEAD KERNEL "st.global.u32 [140737488355328], %r1; }", "k:?;"},
    {"an address in the text, moved", HEAD KERNEL "mov.u64 %rd9, 0x7f0000000000;" STORE, "k:?;"},
    {"numbers alone", HEAD KERNEL "cvt.u64.u32 %rd9, %r1;" STORE, "k:?;"},
    {"a register nobody wrote", HEAD KERNEL STORE, "k:?;"},
    {"a clock", HEAD KERNEL "mov.u64 %rd9, %clock64;" STORE, "k:?;"},
    {"parameters by an address", HEAD KERNEL "mov.b64 %rd3, s; ld.param.u64 %rd9, [%rd3+8];" STORE, "k:?;"},
    {"parameters at a computed place", HEAD KERNEL "ld.param.u64 %rd9, [%rd3];" STORE, "k:?;"},
    {"an atomic's result", HEAD KERNEL "atom.global.exch.b64 %rd9, [%rd1], %rd2;" STORE, "k:?;"},
    {"a function nobody knows", HEAD ".extern .func f(.param .b64 a);" KERNEL "{ .param .b64 x; st.param.b64 [x], %rd1; call.uni f, (x); } }", "k:?;"},
    {"a function that comes later", HEAD ".func f(.param .b64 a);" KERNEL "{ .param .b64 x; call.uni f, (x); } } .func f(.param .b64 a) { ret; }", "k:?;"},
    {"a call through a register", HEAD KERNEL "P: .callprototype _ (.param .b64 _); call %rd1, (x), P; }", "k:?;"},
    {"a printer of its own", HEAD ".func vprintf(.param .b64 a) { .reg .b64 %d<2>; ld.global.u64 %d1, [%d1]; st.global.u64 [%d1], 0; }" KERNEL
                                  "{ .param .b64 x; call.uni vprintf, (x); } }",
     "k:?;"},
    {"a function that writes anywhere", HEAD ".func f() { .reg .b64 %d<2>; ld.global.u64 %d1, [%d1]; st.global.u64 [%d1], 0; }" KERNEL "call f; }", "k:?;"},
    {"memory of the device's heap", HEAD ".extern .func (.param .b64 r) malloc (.param .b64 a);" KERNEL
                                         "{ .param .b64 x; .param .b64 r; call.uni (r), malloc, (x); ld.param.b64 %rd9, [r]; }" STORE,
     "k:?;"},
    {"surfaces", HEAD ".global .surfref t;" KERNEL "sust.b.1d.b32.trap [t, {%r1}], {%r2}; }", "k:?;"},
    {"bulk copies out", HEAD KERNEL "cp.async.bulk.global.shared::cta.bulk_group [%rd1], [%r1], 16; }", "k:?;"},
    {"bulk reductions", HEAD KERNEL "cp.reduce.async.bulk.global.shared::cta.bulk_group.add.u32 [%rd1], [%r1], 16; }", "k:?;"},
    {"several devices at once", HEAD KERNEL "multimem.red.global.add.f32 [%rd1], %f1; }", "k:?;"},
    {"an instruction of the future", HEAD KERNEL "frobnicate.b32 %r1, %r2; }", "k:?;"},
    {"memory that is discarded", HEAD KERNEL "discard.global.L2 [%rd1], 128; }", "k:?;"},
    {"one name for a register and a variable", HEAD ".global .u64 x;" KERNEL ".reg .b64 x; mov.u64 x, %rd1; mov.u64 %rd9, x;" STORE, "k:?;"},
    {"a name of a range that is a variable", HEAD ".global .u64 t3;" KERNEL ".reg .b64 t<5>; mov.u64 %rd9, t3;" STORE, "k:?;"},
    {"a name nobody declared", HEAD KERNEL "mov.u64 %rd9, %undeclared;" STORE, "k:?;"},
    {"a target nobody declared", HEAD KERNEL "mov.u64 %undeclared, %rd1; }", "k:?;"},
    {"registers of the module", HEAD ".reg .b64 %g; .entry k() { ret; }", "k:?;"},
    {"results in registers", HEAD ".func (.reg .b64 o) f(.reg .b64 a) { mov.u64 o, a; } " KERNEL "call (%rd9), f, (%rd1);" STORE, "k:?;"},

    {"more results than are remembered", HEAD ".func (.param .b32 a, .param .b32 b, .param .b32 c, .param .b32 d, .param .b32 e, .param .b32 f, .param .b32 g,"
                                         " .param .b32 h, .param .b32 i, .param .b32 j) f() { ret; }" KERNEL "call (x), f; }", "k:?;"},

    // texts that are none
    {"no text", "", ""},
    {"no body", HEAD ".entry k(", ""},
    {"a body that is cut off", HEAD KERNEL "st.global.u32 [%rd1], %r1;", "error"},
    {"braces", "}}}}", ""},
    {"a string without an end", HEAD ".entry k() { \"", "error"},
};

static void test_rows(void **state)
{
    (void)state;
    int failed = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *got = dump(rows[i].text, strlen(rows[i].text), CELLS);
        if (strcmp(got, rows[i].expected)) {
            print_error("%s: %s instead of %s\n", rows[i].what, got, rows[i].expected);
            failed++;
        }
    }
    assert_int_equal(failed, 0);
}

static char *file_text(const char *path, size_t *size_bytes)
{
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    char *text = calloc(1, 1 << 20);
    *size_bytes = fread(text, 1, (1 << 20) - 1, f);
    fclose(f);
    return text;
}

static void test_own_kernels(void **state)
{
    (void)state;
    static const struct {
        const char *path, *expected;
    } files[] = {
        {"bench/apps/llm_kernels.ptx", "embed_tokens:0;layernorm_rows:0;matmul_skinny:0;lm_head:8;matmul_tiled:0;kv_append:0,8;"
                                       "attention_prefill:0;attention_decode:0;argmax_rows:0;"},
        {"tests/e2e/kernels.ptx", "fill:0;add:0;copy:0;poke:0;grind:0;count_up:0;dynamic:0;small_blocks:0;nothing:;say:;say_much:;"},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        size_t size_bytes;
        char *text = file_text(files[i].path, &size_bytes);
        assert_string_equal(dump(text, size_bytes, CELLS), files[i].expected);
        free(text);
    }
}

// Whatever is cut off, and however little room there is: no kernel is said to write less than it does.
static void test_cuts_and_room(void **state)
{
    (void)state;
    static const char text[] = HEAD KERNEL "selp.b64 %rd9, %rd1, %rd2, %p1;" STORE;
    for (size_t cut = 0; cut < sizeof text - 1; cut++) {
        char *copy = malloc(cut ? cut : 1); // exactly so long, for the sanitizers
        memcpy(copy, text, cut);
        const char *got = dump(copy, cut, CELLS);
        assert_true(!strcmp(got, "") || !strcmp(got, "error") || !strcmp(got, "k:0,8;"));
        free(copy);
    }
    for (uint32_t room = 1; room <= 1024; room *= 2) {
        const char *got = dump(text, sizeof text - 1, room);
        assert_true(!strcmp(got, "k:?;") || !strcmp(got, "k:0,8;"));
        assert_true(room < 64 || !strcmp(got, "k:0,8;"));
    }
}

// More words of parameters than a set has bits: those beyond are unknown.
static void test_many_words(void **state)
{
    (void)state;
    static char text[32 << 10];
    for (unsigned words = GN_PTX_WORDS_MAX - 1; words <= GN_PTX_WORDS_MAX + 1; words++) {
        int at = snprintf(text, sizeof text, HEAD ".entry k(.param .align 8 .b8 s[%u]) { .reg .b64 %%rd<100>;\n", 8 * words);
        for (unsigned i = 0; i < words; i++)
            at += snprintf(text + at, sizeof text - (size_t)at, "ld.param.u64 %%rd%u, [s+%u];\n", i, 8 * i);
        snprintf(text + at, sizeof text - (size_t)at, "st.global.u64 [%%rd%u], 0; }", words - 1);
        char expected[32];
        snprintf(expected, sizeof expected, words > GN_PTX_WORDS_MAX ? "k:?;" : "k:%u;", 8 * (words - 1));
        assert_string_equal(dump(text, strlen(text), CELLS), expected);
    }
}

// A chain of copies against the order of the text takes a pass each: beyond the limit it is unknown, and the time stays bounded.
static void test_long_chain(void **state)
{
    (void)state;
    static char text[64 << 10];
    for (unsigned length = 2; length <= 64; length *= 2) {
        int at = snprintf(text, sizeof text, HEAD ".entry k(.param .u64 p) { .reg .b64 %%c<100>; L:\n");
        for (unsigned i = length; i; i--)
            at += snprintf(text + at, sizeof text - (size_t)at, "mov.u64 %%c%u, %%c%u;\n", i, i - 1);
        snprintf(text + at, sizeof text - (size_t)at, "ld.param.u64 %%c0, [p]; st.global.u64 [%%c%u], 0; bra L; }", length);
        const char *got = dump(text, strlen(text), CELLS);
        assert_string_equal(got, length + 2 > GN_PTX_PASSES_MAX ? "k:?;" : "k:0;");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),       cmocka_unit_test(test_own_kernels), cmocka_unit_test(test_cuts_and_room),
        cmocka_unit_test(test_many_words), cmocka_unit_test(test_long_chain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
