// SPDX-License-Identifier: Apache-2.0
// Are texts that are wrong, unsupported or hostile refused with a place and a reason, and do the answers
// about good ones hold?
#include "test_ptx.h"

#define HEAD ".version 7.5\n.target sm_75\n.address_size 64\n"
#define BODY(text)                                                                                           \
    HEAD ".visible .entry k(.param .u64 a, .param .u32 b) {\n.reg .b32 %r<10>; .reg .b64 %rd<10>; .reg "     \
         ".pred %p<4>; .reg .f32 %f<4>; .reg .b16 %h<4>;\n" text "\nret;\n}\n"

static int parse(const char *text, size_t size, struct ptx_error *e)
{
    struct ptx_module *m = NULL;
    int r = ptx_parse(text, size, 75, &m, e);
    ptx_free(m);
    return r;
}

static void refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned line;
        const char *reason;
    } rows[] = {
        {"", 1, ".version"},
        {".version 7.5\n", 1, ".target"},
        {".version 7.5\n.target sm_90\n", 2, "sm_90"},
        {HEAD ".address_size 32\n", 4, "64-bit"},
        {HEAD "rubbish", 4, "directive"},
        {HEAD ".global .u32 x[;\n", 4, "constant"},
        {HEAD ".global .u32 x = {1, 2};\n", 4, "'}'"},
        {HEAD ".global .u32 x[2] = {1, 2, 3};\n", 4, "more values"},
        {HEAD ".global .u32 x[2] = {{1}};\n", 4, "braces"},
        {HEAD ".global .u64 x = nowhere;\n", 4, "nowhere"},
        {HEAD ".global .u32 x;\n.global .u32 x;\n", 5, "twice"},
        {HEAD ".global .align 3 .u32 x;\n", 4, "alignment"},
        {HEAD ".global .u32 x = 1/0;\n", 4, "zero"},
        {HEAD ".global .texref t;\n", 4, "texref"},
        {HEAD "/* never", 4, "comment"},
        {HEAD ".file 1 \"x\n", 4, "string"},
        {HEAD ".global .u32 x = 99999999999999999999;\n", 4, "64 bits"},
        {BODY("wmma.load.a.sync.aligned.row.m16n16k16.f16 {%r1}, [%rd1];"), 6, "wmma is not implemented"},
        {BODY("tex.2d.v4.f32.f32 {%f1, %f2, %f3, %f1}, [t, {%f1, %f2}];"), 6, "tex is not implemented"},
        {BODY("add.s32 %r1, %r2;"), 6, "operands"},
        {BODY("add.s32 %r1, %r2, %rd1;"), 6, "width"},
        {BODY("add.s32.foo %r1, %r2, %r3;"), 6, ".foo"},
        {BODY("add %r1, %r2, %r3;"), 6, "type"},
        {BODY("add.s32 %r1, %r2, %r10;"), 6, "%r10"},
        {BODY("add.s32 1, %r2, %r3;"), 6, "destination"},
        {BODY("add.s32 %tid.x, %r2, %r3;"), 6, "destination"},
        {BODY("add.f32 %f1, %f2, 3;"), 6, "integer"},
        {BODY("add.s32 %r1, %r2, 0f3F800000;"), 6, "floating-point"},
        {BODY("bra nowhere;"), 6, "nowhere"},
        {BODY("x: x: ret;"), 6, "twice"},
        {BODY("{ y: } bra y;"), 6, "nowhere"},
        {BODY("ld.global.u32 %r1, [%r2];"), 6, "address"},
        {BODY("ld.param.u32 %r1, [b+4];"), 6, "param"},
        {BODY("ld.global.u32 %r1, %rd1;"), 6, "[ ]"},
        {BODY("st.const.u32 [%rd1], %r1;"), 6, "written"},
        {BODY("ld.global.v2.u32 {%r1, %r2, %r3}, [%rd1];"), 6, "registers"},
        {BODY("ld.global.u64 %r1, [%rd1];"), 6, "narrower"},
        {BODY("call f, ();"), 6, "declared"},
        {BODY("@%r1 ret;"), 6, "predicate"},
        {BODY("atom.global.add.f16 %h1, [%rd1];"), 6, "operands"},
        {BODY("setp.lo.s32 %p1, %r1, %r2;"), 6, "comparison"},
        {BODY("mov.u32 %r1, %nothing;"), 6, "%nothing"},
        {BODY("brx.idx %r1, %r2;"), 6, "targets"},
        {BODY(".reg .b32 %r<3>;"), 6, "twice"},
        {BODY(".global .u32 x;"), 6, "inside"},
        {BODY("lop3.b32 %r1, %r2, %r3, %r4, 256;"), 6, "256"},
        {BODY("fma.f32 %f1, %f2, %f3, %f1;"), 6, "rounding"},
        {BODY(".shared .b8 huge[300000]; mov.u32 %r1, huge;"), 1, "shared"},
        {BODY(".local .b8 huge[600000];"), 6, "local"},
        {HEAD ".extern .func g();\n.entry k() { call g, (); ret; }\n", 5, "not defined"},
        {HEAD ".func g() { ret; }\n.func g() { ret; }\n", 5, "twice"},
        {HEAD ".func g(.param .b32 x);\n.func g() { ret; }\n", 5, "other parameters"},
        {HEAD ".entry k() { ret;\n", 5, "end"},
        {HEAD ".entry k(.param .b8 x[40000]) { ret; }\n", 4, "parameters"},
        {HEAD ".extern .func (.param .b32 r) vprintf(.param .b64 f);\n.entry k() { .param .b64 f; .param "
              ".b32 r; call (r), vprintf, (f); ret; }\n",
         5, "other parameters"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ptx_error e;
        int r = parse(rows[i].text, strlen(rows[i].text), &e);
        if ((r != -EINVAL && r != -E2BIG) || e.line != rows[i].line || !strstr(e.text, rows[i].reason))
            fail_msg("%s\n  gave %d at line %u: %s (want line %u and '%s')", rows[i].text, r, e.line, e.text,
                     rows[i].line, rows[i].reason);
        assert_true(e.column > 0);
    }
}

// Every prefix of a text that uses much of the language is refused or accepted, and never crashes.
static void cut_short(void **state)
{
    (void)state;
    static const char text[] =
        HEAD ".global .align 8 .u64 x[2] = {generic(x)+8, 0xff00(x)};\n.func (.param .b32 r) f(.param .align "
             "4 .b8 p[8]) { .reg .b32 %a; ld.param.u32 %a, [p+4]; st.param.b32 [r], %a; ret; }\n"
             ".visible .entry k(.param .u64 a) .maxntid 128, 1, 1 {\n.reg .v4 .f32 v; .reg .b32 %r<9>; .reg "
             ".pred %p<3>; .loc 1 2 3\n{ .reg .b64 t; ld.param.u64 t, [a]; ld.global.v4.f32 {v.x, v.y, _, "
             "v.w}, [t+-16]; }\n"
             "@!%p1 bra L; setp.lt.and.f32 %p1|%p2, v.x, 0f3F800000, !%p2;\nL: { .param .b32 q; .param "
             ".align 4 .b8 w[8]; st.param.v2.b32 [w], {%r1, %r2}; call.uni (q), f, (w); ld.param.b32 %r3, "
             "[q]; }\n.pragma \"nounroll\";\nret; }\n";
    struct ptx_error e;
    if (parse(text, sizeof text - 1, &e))
        fail_msg("line %u: %s", e.line, e.text);
    for (size_t i = 0; i + 1 < sizeof text; i++) {
        char *copy = malloc(i + 1); // so that reading beyond is seen
        memcpy(copy, text, i);
        parse(copy, i, &e);
        free(copy);
    }
}

static void limits(void **state)
{
    (void)state;
    struct ptx_error e;
    // A million registers that nobody uses cost nothing; two entries too.
    const char *many = HEAD ".entry a() { .reg .b64 %r<1000000>; mov.u64 %r999999, 1; ret; }\n.entry b() { "
                            ".reg .b64 %r<1000000>; ret; }\n";
    struct ptx_module *m;
    assert_int_equal(ptx_parse(many, strlen(many), 75, &m, &e), 0);
    struct ptx_func_info info;
    ptx_func_info(ptx_func_at(m, 0), &info);
    assert_true(info.registers == 16);
    ptx_free(m);
    // Registers that live together are counted: 200000 of them are too many for a warp.
    size_t room = 32 << 20, n = 0;
    char *text = malloc(room);
    n += (size_t)sprintf(
        text, "%s",
        HEAD ".entry k(.param .u64 a) { .reg .b64 %r<200000>; .reg .b64 t; ld.param.u64 t, [a];\n");
    for (int i = 0; i < 200000; i++)
        n += (size_t)sprintf(text + n, "ld.global.u64 %%r%d, [t];\n", i);
    for (int i = 0; i < 200000; i++)
        n += (size_t)sprintf(text + n, "st.global.u64 [t], %%r%d;\n", i);
    n += (size_t)sprintf(text + n, "}\n");
    assert_int_equal(parse(text, n, &e), -E2BIG);
    // Nesting.
    n = (size_t)sprintf(text, "%s", HEAD ".entry k() {");
    for (int i = 0; i < 5000; i++)
        text[n++] = '{';
    assert_int_equal(parse(text, n, &e), -EINVAL);
    n = (size_t)sprintf(text, "%s", HEAD ".global .u32 x = ");
    for (int i = 0; i < 1000000; i++)
        text[n++] = "(-~"[i % 3];
    assert_int_equal(parse(text, n, &e), -EINVAL);
    free(text);
}

static void answers(void **state)
{
    (void)state;
    static const char text[] = ".version 7.4\n.target sm_70, debug\n.address_size 64\n.extern .shared .align "
                               "32 .b8 dynamic[];\n.shared .u32 unused[99];\n.shared .u64 used[3];\n"
                               ".extern .global .u32 elsewhere;\n.visible .const .align 16 .b8 c[5];\n.func "
                               "g() { .shared .b8 s[10]; .reg .b32 r; ld.shared.u8 r, [s]; ret; }\n"
                               ".entry k(.param .u8 a, .param .align 16 .b8 b[20], .param .f64 c) .reqntid "
                               "32, 2 { .shared .u8 own; .reg .b32 r; ld.shared.u8 r, [own]; ld.shared.u32 "
                               "r, [used]; mov.u32 r, dynamic; call g, (); exit; }\n"
                               ".entry other() { ret; }\n\0\0";
    struct ptx_module *m;
    struct ptx_error e;
    if (ptx_parse(text, sizeof text, 75, &m, &e))
        fail_msg("line %u: %s", e.line, e.text);
    assert_int_equal(ptx_version(m), 74);
    assert_int_equal(ptx_target_sm(m), 70);
    assert_int_equal(ptx_func_count(m), 2);
    assert_null(ptx_func_find(m, "g"));
    struct ptx_func_info info;
    ptx_func_info(ptx_func_find(m, "k"), &info);
    assert_int_equal(info.param_count, 3);
    assert_int_equal(info.params[1].offset_bytes, 16);
    assert_int_equal(info.params[1].size_bytes, 20);
    assert_int_equal(info.params[2].offset_bytes, 40);
    assert_int_equal(info.param_bytes, 48);
    assert_int_equal(info.static_shared_bytes, 1 + 7 + 24 + 10); // own, used and g's; not `unused`
    assert_int_equal(info.max_threads, 64);
    assert_int_equal(info.required_block[0], 32);
    assert_int_equal(info.required_block[1], 2);
    assert_int_equal(ptx_var_count(m), 1); // what is .extern and not used asks for nothing
    struct ptx_var v;
    ptx_var_at(m, 0, &v);
    assert_int_equal(v.space, PTX_SPACE_CONST);
    assert_int_equal(v.size_bytes, 5);
    assert_int_equal(v.align_bytes, 16);
    const uint64_t bad[1] = {(uint64_t)(uintptr_t)t_device + 8};
    assert_int_equal(ptx_link(m, bad, &e), -EINVAL); // not aligned to 16
    ptx_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(refused), cmocka_unit_test(cut_short),
                                       cmocka_unit_test(limits), cmocka_unit_test(answers)};
    return cmocka_run_group_tests_name("ptx texts", tests, NULL, NULL);
}
