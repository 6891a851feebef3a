// SPDX-License-Identifier: Apache-2.0
// Question: do several texts become one module as a device linker makes it, and is what does not fit together
// refused with the text, the line and the name? Method: small texts, linked, run, and their results looked
// at.
#include "test_ptx.h"

enum { TEXTS_MAX = 4, OUT_WORDS = 8 };

#define HEAD ".version 7.5\n.target sm_75\n.address_size 64\n"
// A kernel that leaves the value of %r0 .. in out[0] ..; `store` is what it does at its end.
#define KERNEL(declarations, body)                                                                           \
    HEAD declarations ".visible .entry k(.param .u64 out) {\n.reg .b32 %r<9>; .reg .b64 %d<9>;\n"            \
                      "ld.param.u64 %d0, [out];\n" body "ret; }\n"
#define CALL(result, name) "{ .param .b32 q; call.uni (q), " name ", (); ld.param.b32 " result ", [q]; }\n"
#define GIVES(linkage, name, value)                                                                          \
    linkage ".func (.param .b32 q) " name "() { .reg .b32 %r; mov.u32 %r, " value                            \
            "; st.param.b32 [q], %r; ret; }\n"
#define DECLARES(name) ".extern .func (.param .b32 q) " name "();\n"

static int parse(const char *const *texts, struct ptx_module **m, struct ptx_error *e)
{
    struct ptx_text list[TEXTS_MAX];
    size_t count = 0;
    for (; count < TEXTS_MAX && texts[count]; count++)
        list[count] = (struct ptx_text){texts[count], strlen(texts[count])};
    return ptx_parse_many(list, count, 75, m, e);
}

static struct ptx_module *load(const char *const *texts)
{
    struct ptx_module *m = NULL;
    struct ptx_error e;
    uint64_t at[64];
    if (parse(texts, &m, &e))
        fail_msg("text %u, line %u, column %u: %s", e.unit + 1, e.line, e.column, e.text);
    assert_true(ptx_var_count(m) <= 64);
    for (size_t i = 0; i < ptx_var_count(m); i++) {
        struct ptx_var v;
        ptx_var_at(m, i, &v);
        at[i] = (uint64_t)(uintptr_t)t_alloc(v.size_bytes + 1);
    }
    assert_int_equal(ptx_link(m, at, &e), 0);
    return m;
}

// Links, runs k with one thread, and holds the words that it leaves against `want`.
static void run(const char *const *texts, const uint32_t *want, size_t count)
{
    t_reset();
    uint32_t *out = t_alloc(OUT_WORDS * sizeof *out);
    const void *params[2] = {out, NULL};
    struct ptx_fault fault;
    struct ptx_module *m = load(texts);
    if (t_run(m, 1, 1, params, 1, false, &fault))
        fail_msg("fault %d in text %u, line %u", fault.kind, fault.unit + 1, fault.line);
    for (size_t i = 0; i < count; i++)
        if (out[i] != want[i])
            fail_msg("word %zu is %u, not %u", i, out[i], want[i]);
    ptx_free(m);
}
#define RUN(texts, ...)                                                                                      \
    run(texts, (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / 4)

static void names_meet(void **state)
{
    (void)state;
    const char *user = KERNEL(DECLARES("f") ".extern .global .align 4 .b8 table[];\n"
                                            ".extern .const .align 4 .b8 fixed[8];\n",
                              CALL("%r0", "f") "ld.global.u32 %r1, [table+4]; ld.const.u32 %r2, [fixed+4];\n"
                                               "mov.u64 %d1, table; ld.global.u32 %r3, [%d1+8];\n"
                                               "st.global.v4.u32 [%d0], {%r0, %r1, %r2, %r3};\n");
    const char *owner =
        HEAD ".visible .global .align 4 .b32 table[3] = {10, 20, 30};\n"
             ".visible .const .align 4 .b32 fixed[2] = {1, 2};\n" GIVES(".visible ", "f", "77");
    const char *nothing = HEAD "";
    RUN(((const char *[]){user, owner, NULL}), 77, 20, 2, 30);
    RUN(((const char *[]){owner, user, NULL}), 77, 20, 2, 30);
    RUN(((const char *[]){nothing, owner, nothing, user}), 77, 20, 2, 30);
}

// Every text has a function, a variable and a constant of the same names: each uses its own.
static void private_names_stay(void **state)
{
    (void)state;
#define SAME(value) GIVES("", "f", value) ".global .u32 g = " value ";\n.const .u32 c = " value ";\n"
    const char *a =
        KERNEL(SAME("1") DECLARES("other"),
               CALL("%r0", "f") CALL("%r1", "other") "ld.global.u32 %r2, [g]; ld.const.u32 %r3, [c];\n"
                                                     "st.global.v4.u32 [%d0], {%r0, %r1, %r2, %r3};\n");
    const char *b = HEAD SAME("20") ".visible .func (.param .b32 q) other() { .reg .b32 %r<9>;\n" CALL(
        "%r0",
        "f") "ld.global.u32 %r1, [g]; ld.const.u32 %r2, [c]; add.u32 %r0, %r0, %r1; add.u32 %r0, %r0, %r2;\n"
             "st.param.b32 [q], %r0; ret; }\n";
    RUN(((const char *[]){a, b, NULL}), 1, 60, 1, 1);
    RUN(((const char *[]){b, a, NULL}), 1, 60, 1, 1);
    // What is private in one text is not what another means by its .extern.
    const char *visible = HEAD GIVES(".visible ", "f", "300");
    const char *user = KERNEL(DECLARES("f"), CALL("%r0", "f") "st.global.u32 [%d0], %r0;\n");
    const char *hidden = HEAD GIVES("", "f", "5");
    RUN(((const char *[]){hidden, user, visible, NULL}), 300);
    struct ptx_module *m;
    struct ptx_error e;
    assert_int_equal(parse((const char *[]){hidden, user, NULL}, &m, &e), -EINVAL);
    assert_int_equal(e.unit, 1);
}

static void weak_gives_way(void **state)
{
    (void)state;
    const char *user =
        KERNEL(DECLARES("f") ".extern .global .u32 g;\n",
               CALL("%r0", "f") "ld.global.u32 %r1, [g]; st.global.v2.u32 [%d0], {%r0, %r1};\n");
#define DEFINES(linkage, value) HEAD GIVES(linkage, "f", value) linkage ".global .u32 g = " value ";\n"
    const char *weak1 = DEFINES(".weak ", "1"), *weak2 = DEFINES(".weak ", "2"),
               *strong = DEFINES(".visible ", "3");
    RUN(((const char *[]){user, weak1, weak2, NULL}), 1, 1); // the first
    RUN(((const char *[]){weak2, weak1, user, NULL}), 2, 2);
    RUN(((const char *[]){weak1, strong, user, weak2}), 3, 3);
    RUN(((const char *[]){user, strong, weak1, NULL}), 3, 3);
    // A text's own use of its weak definition goes to the one that won, too; so does what a template's kernel
    // is.
    const char *own = KERNEL(GIVES(".weak ", "f", "9"), CALL("%r0", "f") "st.global.u32 [%d0], %r0;\n");
    RUN(((const char *[]){own, strong, NULL}), 3);
    const char *kernel = HEAD ".weak .entry t() { ret; }\n";
    struct ptx_module *m = load((const char *[]){kernel, kernel, NULL});
    assert_int_equal(ptx_func_count(m), 1);
    ptx_free(m);
    // What only a beaten definition needs is not missed.
    const char *needy = HEAD DECLARES(
        "nowhere") ".extern .global .u32 never;\n.weak .func (.param .b32 q) f() {\n"
                   ".reg .b32 %r;\n" CALL("%r", "nowhere") "ld.global.u32 %r, [never]; ret; }\n";
    RUN(((const char *[]){needy, strong, user, NULL}), 3, 3);
}

static void common_is_merged(void **state)
{
    (void)state;
    struct ptx_var v;
    const char *user =
        KERNEL(".extern .global .u32 g[];\n", "ld.global.u32 %r0, [g]; st.global.u32 [%d0], %r0;\n");
    const char *small = HEAD ".common .global .align 4 .b32 g[2];\n",
               *large = HEAD ".common .global .align 64 .b32 g[9];\n";
    for (int i = 0; i < 2; i++) {
        struct ptx_module *m = load((const char *[]){i ? small : large, user, i ? large : small, NULL});
        assert_int_equal(ptx_var_count(m), 1);
        ptx_var_at(m, 0, &v);
        assert_int_equal(v.size_bytes, 36);
        assert_int_equal(v.align_bytes, 64);
        ptx_free(m);
    }
    const char *three = HEAD ".extern .global .align 4 .b32 g[3];\n";
    const char *orders[][4] = {
        {three, small, large, NULL}, {small, three, large, NULL}, {large, small, three, NULL}};
    for (int i = 0; i < 3; i++) {
        struct ptx_module *m = load(orders[i]);
        ptx_var_at(m, 0, &v);
        assert_int_equal(v.size_bytes, 36);
        ptx_free(m);
    }
    RUN(((const char *[]){user, small, large, NULL}), 0);
    RUN(((const char *[]){user, small, HEAD ".visible .global .align 4 .b32 g[2] = {5, 6};\n", NULL}), 5);
}

static void addresses_cross_texts(void **state)
{
    (void)state;
    const char *user = KERNEL(
        DECLARES("f") ".extern .global .u64 pointer;\n.global .u64 mine = f;\n.global .u64 inner = "
                      "generic(table)+4;\n"
                      ".extern .global .align 4 .b32 table[2];\n",
        "p: .callprototype (.param .b32 _) _ ();\n"
        "ld.global.u64 %d1, [pointer]; { .param .b32 q; call (q), %d1, (), p; ld.param.b32 %r0, [q]; }\n"
        "mov.u64 %d2, f; { .param .b32 q; call (q), %d2, (), p; ld.param.b32 %r1, [q]; }\n"
        "ld.global.u64 %d3, [mine]; { .param .b32 q; call (q), %d3, (), p; ld.param.b32 %r2, [q]; }\n"
        "ld.global.u64 %d4, [inner]; ld.global.u32 %r3, [%d4];\n"
        "st.global.v4.u32 [%d0], {%r0, %r1, %r2, %r3};\n");
    // `f` of the first text is private, so that indices of functions move.
    const char *owner = HEAD GIVES("", "hidden", "8") ".visible .global .u64 pointer = hidden;\n" GIVES(
        ".visible ", "f", "9") ".visible .global .align 4 .b32 table[2] = {3, 4};\n";
    const char *loser = HEAD GIVES(".weak ", "f", "1");
    RUN(((const char *[]){user, owner, NULL}), 8, 9, 9, 4);
    RUN(((const char *[]){loser, user, owner, NULL}), 8, 9, 9, 4);
}

static void aliases_are_exported(void **state)
{
    (void)state;
    const char *owner =
        HEAD ".visible .func (.param .b32 q) other();\n" GIVES(".visible ", "f", "4") ".alias other, f;\n";
    const char *user = KERNEL(DECLARES("other"), CALL("%r0", "other") "st.global.u32 [%d0], %r0;\n");
    RUN(((const char *[]){user, owner, NULL}), 4);
    RUN(((const char *[]){owner, user, NULL}), 4);
}

static void shared_memory(void **state)
{
    (void)state;
    // s is one variable of two texts, mine is private to each, and dynamic begins behind all of it.
    const char *a = KERNEL(
        ".extern .shared .align 16 .b8 dynamic[];\n.weak .shared .align 4 .b32 s;\n"
        ".shared .align 4 .b32 mine;\n" DECLARES("f"),
        "mov.u32 %r1, 11; st.shared.u32 [s], %r1; st.shared.u32 [mine], %r1; st.shared.u32 [dynamic], "
        "12;\n" CALL("%r0", "f") "ld.shared.u32 %r1, [mine]; ld.shared.u32 %r2, [dynamic];\n"
                                 "mov.u32 %r3, dynamic; st.global.v4.u32 [%d0], {%r0, %r1, %r2, %r3};\n");
    const char *b =
        HEAD ".extern .shared .align 16 .b8 dynamic[];\n.weak .shared .align 4 .b32 s;\n"
             ".shared .align 4 .b32 mine;\n.visible .func (.param .b32 q) f() { .reg .b32 %r<9>;\n"
             "ld.shared.u32 %r0, [s]; ld.shared.u32 %r1, [dynamic]; add.u32 %r0, %r0, %r1;\n"
             "st.shared.u32 [mine], 99; st.param.b32 [q], %r0; ret; }\n";
    RUN(((const char *[]){a, b, NULL}), 23, 11, 12, 16);
}

static void device_functions_are_no_externals(void **state)
{
    (void)state;
#define PRINT                                                                                                \
    "{ .reg .b32 %x; .reg .b64 %f; .param .b64 a; .param .b64 b; .param .b32 r; mov.u64 %f, text;\n"         \
    "st.param.b64 [a], %f; st.param.b64 [b], 0; call.uni (r), vprintf, (a, b); }\n"
#define PRINTS(text)                                                                                         \
    ".extern .func (.param .b32 q) vprintf(.param .b64 a, .param .b64 b);\n.global .align 1 .b8 text[3] "    \
    "= " text ";\n"
    const char *a = KERNEL(PRINTS("{97, 10, 0}") ".extern .func g();\n", PRINT "call.uni g, ();\n");
    const char *b = HEAD PRINTS("{98, 10, 0}") ".visible .func g() {\n" PRINT "ret; }\n";
    RUN(((const char *[]){a, b, NULL}), 0);
    assert_string_equal(t_printed, "a\nb\n");
}

static void versions_and_faults(void **state)
{
    (void)state;
    const char *old = KERNEL(".extern .func g();\n", "call.uni g, ();\n");
    const char *new = ".version 8.1\n.target sm_70\n.address_size 64\n.visible .func g()\n{\ntrap; }\n";
    struct ptx_module *m = load((const char *[]){old, new, NULL});
    struct ptx_fault fault = {0};
    const void *params[2] = {0};
    assert_int_equal(ptx_version(m), 81);
    assert_int_equal(ptx_target_sm(m), 75);
    assert_int_equal(t_run(m, 1, 1, params, 1, false, &fault), -EFAULT);
    assert_int_equal(fault.kind, PTX_FAULT_TRAP);
    assert_int_equal(fault.unit, 1);
    assert_int_equal(fault.line, 6);
    ptx_free(m);
}

static void refused(void **state)
{
    (void)state;
    static const struct {
        const char *texts[TEXTS_MAX];
        unsigned unit, line;
        const char *reason;
    } rows[] = {
        {{HEAD, "rubbish"}, 1, 1, "directive"},
        {{HEAD, ""}, 1, 1, ".version"}, // the first one's does not count
        {{HEAD, ".version 7.5\n"}, 1, 1, ".target"},
        {{HEAD, HEAD, ".version 7.5\n.target sm_90\n"}, 2, 2, "sm_90"},
        {{HEAD GIVES(".visible ", "f", "1"), HEAD "\n" GIVES(".visible ", "f", "2")},
         1,
         5,
         "f is defined twice: also in text 1, line 4"},
        {{HEAD ".visible .global .u32 g;\n", HEAD, HEAD ".visible .global .u32 g;\n"},
         2,
         4,
         "g is defined twice: also in text 1"},
        {{HEAD ".visible .entry k() { ret; }\n", HEAD ".visible .entry k() { ret; }\n"}, 1, 4, "twice"},
        {{HEAD GIVES(".visible ", "f", "1"), HEAD ".extern .func f();\n"}, 1, 4, "other parameters"},
        {{HEAD ".extern .func f(.param .b32 a);\n", HEAD ".visible .func f(.param .b64 a) { ret; }\n"},
         1,
         4,
         "other parameters"},
        {{HEAD ".visible .func f() { ret; }\n", HEAD ".visible .global .u32 f;\n"},
         1,
         4,
         "a variable in another"},
        {{HEAD ".extern .global .u32 f;\n", HEAD ".visible .func f() { ret; }\n"},
         1,
         4,
         "a variable in another"},
        {{HEAD ".visible .const .u32 g;\n", HEAD ".extern .global .u32 g;\n"}, 1, 4, "another space"},
        {{HEAD ".visible .global .u32 g[4];\n", HEAD ".extern .global .u32 g[5];\n"},
         1,
         4,
         "20 bytes, but 16"},
        {{HEAD ".extern .global .u32 g[];\n", HEAD ".extern .global .u32 g[4];\n",
          HEAD ".extern .global .u32 g[5];\n"},
         2,
         4,
         "20 bytes"},
        {{HEAD, KERNEL(DECLARES("f"), "\n" CALL("%r0", "f"))}, 1, 9, "calls f, which is not defined"},
        {{HEAD, KERNEL(DECLARES("f"), "mov.u64 %d1, f;\n")}, 1, 4, "takes its address"},
        {{HEAD, HEAD DECLARES("f") ".global .u64 p = f;\n"}, 1, 4, "takes its address"},
        {{HEAD, KERNEL(".extern .global .u32 g;\n", "ld.global.u32 %r0, [g];\n")}, 1, 4, "g is extern"},
        {{HEAD, HEAD ".extern .const .u32 c;\n.global .u64 p = c;\n"}, 1, 4, "c is extern"},
        {{HEAD ".global .u32 here;\n", HEAD ".global .u64 p = here;\n"},
         1,
         4,
         "here is not a function"}, // not declared here
        {{HEAD ".func f() { ret; }\n", KERNEL("", "call.uni f, ();\n")}, 1, 7, "declared"},
        {{KERNEL(".visible .func a();\n.visible .func b();\n.alias a, b;\n.alias b, a;\n",
                 "call.uni a, ();\n")},
         0,
         4,
         "alias"},
        {{HEAD ".visible .func a() { ret; }\n.visible .func b() { ret; }\n.alias a, b;\n"},
         0,
         6,
         "something already"},
        {{HEAD ".visible .func a(.param .b32 x);\n.visible .func b() { ret; }\n.alias a, b;\n"},
         0,
         6,
         "other parameters"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ptx_error e;
        struct ptx_module *m = NULL;
        int r = parse(rows[i].texts, &m, &e);
        if (r != -EINVAL || m || e.unit != rows[i].unit || e.line != rows[i].line ||
            !strstr(e.text, rows[i].reason))
            fail_msg("row %zu gave %d in text %u at line %u: %s (want text %u, line %u and '%s')", i, r,
                     e.unit, e.line, e.text, rows[i].unit, rows[i].line, rows[i].reason);
        assert_true(e.column > 0);
    }
}

static void limits(void **state)
{
    (void)state;
    enum { MANY = 4097 };
    static struct ptx_text texts[MANY];
    struct ptx_module *m;
    struct ptx_error e;
    for (int i = 0; i < MANY; i++)
        texts[i] =
            (struct ptx_text){HEAD ".weak .global .u32 g = 1;\n", strlen(HEAD ".weak .global .u32 g = 1;\n")};
    assert_int_equal(ptx_parse_many(texts, 0, 75, &m, &e), -EINVAL);
    assert_int_equal(ptx_parse_many(texts, MANY, 75, &m, &e), -E2BIG);
    assert_non_null(strstr(e.text, "4096"));
    assert_int_equal(ptx_parse_many(texts, MANY - 1, 75, &m, &e), 0);
    assert_int_equal(ptx_var_count(m), 1);
    ptx_free(m);
    texts[1].size_bytes = (256u << 20) - 10; // is not read: the sum is looked at first
    assert_int_equal(ptx_parse_many(texts, 2, 75, &m, &e), -E2BIG);
    assert_int_equal(e.unit, 1);
}

// Every prefix of the second text, wherever it ends, links or is refused.
static void cut_short(void **state)
{
    (void)state;
    const char *whole =
        HEAD ".weak .global .align 8 .u64 t[2] = {generic(t)+8, f};\n.common .global .u32 c;\n" GIVES(
            ".visible ", "f",
            "3") ".visible .func (.param .b32 q) g();\n.alias g, f;\n.extern .shared .b8 s[];\n"
                 ".weak .entry e() { .reg .b64 %d; mov.u64 %d, t; ret; }\n";
    const char *first =
        KERNEL(DECLARES("f") DECLARES("g") ".extern .global .align 8 .u64 t[2];\n.extern .global .u32 c;\n",
               CALL("%r0", "f") CALL("%r1", "g") "ld.global.u64 %d1, [t]; ld.global.u32 %r1, [c];\n");
    size_t accepted = 0;
    for (size_t i = 0; i <= strlen(whole); i++) {
        char *copy = malloc(i + 1); // so that reading beyond is seen
        struct ptx_text texts[2] = {{first, strlen(first)}, {copy, i}};
        struct ptx_module *m = NULL;
        struct ptx_error e;
        memcpy(copy, whole, i);
        if (ptx_parse_many(texts, 2, 75, &m, &e))
            assert_true(!m && e.text[0]);
        else
            accepted++;
        ptx_free(m);
        free(copy);
    }
    assert_true(accepted > 1 && accepted < strlen(whole));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_meet),
        cmocka_unit_test(private_names_stay),
        cmocka_unit_test(weak_gives_way),
        cmocka_unit_test(common_is_merged),
        cmocka_unit_test(addresses_cross_texts),
        cmocka_unit_test(aliases_are_exported),
        cmocka_unit_test(shared_memory),
        cmocka_unit_test(device_functions_are_no_externals),
        cmocka_unit_test(versions_and_faults),
        cmocka_unit_test(refused),
        cmocka_unit_test(limits),
        cmocka_unit_test(cut_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
