// SPDX-License-Identifier: Apache-2.0
// Question: are kernels and parameter layouts read right from PTX text? Method: texts of our own with the
// layout that CUDA's rules give, refused ones with place and reason, and every cut of a good one.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/image/image.h"

enum { PARAMS_MAX = 64, DUMP_BYTES = 1024 };

static const struct good {
    const char *text, *entries; // "name:offset+size,...;" each
} goods[] = {
    {"", ""},
    {".version 7.5 .target sm_75", ""},
    {".entry k(){}", "k:/0;"},
    {".entry k{}", "k:/0;"},
    {".visible .entry k ( ) { ret; }", "k:/0;"},
    {".entry k(.param .u64 p){}", "k:0+8/8;"},
    {".entry k(.param .f32 a,.param .u64 p,.param .u8 c,.param .u16 h){}", "k:0+4,8+8,16+1,18+2/20;"},
    {".entry k(.param .align 8 .b8 s[16], .param .align 1 .b8 t[3], .param .b32 i){}",
     "k:0+16,16+3,20+4/24;"},
    {".entry k(.param .b8 c, .param .align 16 .b8 s[20], .param .b8 d){}", "k:0+1,16+20,36+1/37;"},
    {".entry k(.param .u32 i, .param .u64 .ptr .global .align 128 p){}", "k:0+4,8+8/16;"},
    {".entry k(.param .u64 .ptr p, .param .u64 .ptr .shared .align 4 q, .param .u64 .ptr .const .align 8 "
     "r){}",
     "k:0+8,8+8,16+8/24;"},
    {".entry k(.param .b64 a[2][3], .param .f16 h[0x3], .param .s16 o[010]){}", "k:0+48,48+6,54+16/70;"},
    {".entry k(.param .b8 z, .param .f64 d, .param .b128 q){}", "k:0+1,8+8,16+16/32;"},
    {".entry k(.param .b8 z, .param .v4 .f32 v, .param .v2 .b8 w){}", "k:0+1,16+16,32+2/34;"},
    {".entry k(.param .texref t, .param .surfref s, .param .samplerref r){}", "k:0+8,8+8,16+8/24;"},
    {".entry k(.param .b32 %p){}", "k:0+4/4;"},
    {".entry k(.param .b8 a[32764]){}", "k:0+32764/32764;"},
    {".entry k(.param .b32 a[8U]){}", "k:0+32/32;"},
    // around entries
    {".entry a(.param .b32 x) .maxntid 128, 1, 1 .minnctapersm 2 { } .entry b() .pragma \"nounroll;{\"; {}",
     "a:0+4/4;"},
    {".entry a() .maxntid 1 { {{}} { ld.param.u32 %r, [x]; } }\n.entry b(){}", "a:/0;b:/0;"},
    {".func (.param .b32 r) f (.param .b32 .entryx) { .entry no() } .entry yes(){}", "yes:/0;"},
    {".extern .entry decl(.param .b32 x);\n.entry k(){}", "k:/0;"},
    {"// .entry a(){}\n/* .entry b(){} { */ .entry c(/* ) */ .param // x\n .b32 p)/**/{/*}*/}", "c:0+4/4;"},
    {".file 1 \"a\\\"b.entry x(){}{\" .entry k(){ .loc 1 2 3; \"}\" }", "k:/0;"},
    {".global .align 4 .b8 t[4] = {1, 2, 3, 4}; .entry k(){}", "k:/0;"},
    {".visible.entry k(.param.align 4.b8 s[8]){}", "k:0+8/8;"},
    {".section .debug_str { .b8 1,2 } .entry k(){}", "k:/0;"},
};

static char *dump(const char *text, size_t size, char *to, int *rc, struct gn_image_error *error)
{
    struct gn_ptx_iter it;
    struct gn_ptx_entry e;
    struct gn_image_param params[PARAMS_MAX];
    char *start = to;
    *to = 0;
    gn_ptx_begin(&it, text, size);
    while ((*rc = gn_ptx_next(&it, &e, params, PARAMS_MAX)) > 0) {
        to += sprintf(to, "%.*s:", (int)e.name_bytes, e.name);
        for (uint32_t i = 0; i < e.param_count; i++)
            to += sprintf(to, "%s%u+%u", i ? "," : "", params[i].offset_bytes, params[i].size_bytes);
        to += sprintf(to, "/%u;", e.param_bytes);
    }
    *error = it.error;
    return start;
}

static void layouts_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof goods / sizeof *goods; i++) {
        char text[DUMP_BYTES];
        int rc;
        struct gn_image_error error;
        dump(goods[i].text, strlen(goods[i].text) + 1, text, &rc, &error);
        assert_string_equal(text, goods[i].entries);
        assert_int_equal(rc, 0);
    }
}

static void text_ends_with_its_nul(void **state)
{
    (void)state;
    static const char two[] = ".entry k(){}\0.entry hidden(){}";
    char text[DUMP_BYTES];
    int rc;
    struct gn_image_error error;
    assert_string_equal(dump(two, sizeof two, text, &rc, &error), "k:/0;");
    assert_int_equal(rc, 0);
}

static const struct bad {
    const char *text;
    int rc;
    uint64_t at;
    const char *says;
} bads[] = {
    {".entry", -EINVAL, 6, "name of an entry"},
    {".entry (", -EINVAL, 7, "name of an entry"},
    {".entry .k(){}", -EINVAL, 7, "name of an entry"},
    {".entry k", -EINVAL, 7, "without a body"},
    {".entry k(", -EINVAL, 9, ".param expected"},
    {".entry k(.param", -EINVAL, 15, "without a type"},
    {".entry k(.param .b32", -EINVAL, 20, "name of a parameter"},
    {".entry k(.param .b32)", -EINVAL, 20, "name of a parameter"},
    {".entry k(.param .b32 x", -EINVAL, 22, ", or ) expected"},
    {".entry k(.param .b32 x,)", -EINVAL, 23, ".param expected"},
    {".entry k(.param .b32 x .param .b32 y)", -EINVAL, 23, ", or ) expected"},
    {".entry k(.reg .b32 x)", -EINVAL, 9, ".param expected"},
    {".entry k(.param x)", -EINVAL, 16, "without a type"},
    {".entry k(.param .b31 x)", -EINVAL, 16, "unknown attribute"},
    {".entry k(.param .pred x)", -EINVAL, 16, "unknown attribute"},
    {".entry k(.param .global .b64 x)", -EINVAL, 16, "unknown attribute"},
    {".entry k(.param .b32 .b32 x)", -EINVAL, 21, "two types"},
    {".entry k(.param .align 3 .b32 x)", -EINVAL, 16, "power of two"},
    {".entry k(.param .align 0 .b32 x)", -EINVAL, 23, "number from 1"},
    {".entry k(.param .align .b32 x)", -EINVAL, 23, "number from 1"},
    {".entry k(.param .align 99999999999999999999 .b32 x)", -EINVAL, 23, "number from 1"},
    {".entry k(.param .b32 x[])", -EINVAL, 23, "number from 1"},
    {".entry k(.param .b32 x[0])", -EINVAL, 23, "number from 1"},
    {".entry k(.param .b32 x[-1])", -EINVAL, 23, "number from 1"},
    {".entry k(.param .b32 x[4", -EINVAL, 24, "] expected"},
    {".entry k(.param .b32 x[4294967297])", -EINVAL, 23, "number from 1"},
    {".entry k(.param .b32 x[08])", -EINVAL, 23, "number from 1"},
    {".entry k(.param .b32 x[8192])", -E2BIG, 22, "larger than a parameter block"},
    {".entry k(.param .b8 x[32764][32764][32764][32764][32764])", -E2BIG, 28,
     "larger than a parameter block"},
    {".entry k(.param .b8 x[32764], .param .b8 y)", -E2BIG, 30, "more parameter bytes"},
    {".entry k(.param .b8 y, .param .align 16384 .b8 x[16384])", -E2BIG, 23, "more parameter bytes"},
    {".entry k(){", -EINVAL, 10, "without its partner"},
    {"}", -EINVAL, 0, "without its partner"},
    {"{ {}", -EINVAL, 0, "without its partner"},
    {".entry k(){ \"} ", -EINVAL, 12, "string without an end"},
    {"\"x\\", -EINVAL, 0, "string without an end"},
};

static void bad_texts_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bads / sizeof *bads; i++) {
        char text[DUMP_BYTES];
        int rc;
        struct gn_image_error error;
        size_t size = strlen(bads[i].text);
        char *copy = malloc(size + !size);
        memcpy(copy, bads[i].text, size);
        dump(copy, size, text, &rc, &error);
        free(copy);
        if (rc != bads[i].rc || !strstr(error.reason, bads[i].says) || error.offset_bytes != bads[i].at)
            fail_msg("%s: rc %d at %llu: %s", bads[i].text, rc, (unsigned long long)error.offset_bytes,
                     error.reason);
    }
}

static void cuts_end_in_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof goods / sizeof *goods; i++) {
        for (size_t size = 0; size < strlen(goods[i].text); size++) {
            char text[DUMP_BYTES], *copy = malloc(size + !size);
            int rc;
            struct gn_image_error error;
            memcpy(copy, goods[i].text, size);
            dump(copy, size, text, &rc, &error);
            assert_true(rc == 0 || (rc == -EINVAL && error.reason));
            free(copy);
        }
    }
}

static void one_entry_is_found_by_name(void **state)
{
    (void)state;
    static const char text[] =
        ".entry ab(.param .b64 x, .param .b64 y, .param .b64 z){} .entry a(.param .b32 x, .param .b64 y){}";
    struct gn_ptx_entry e;
    struct gn_image_param params[2];
    struct gn_image_error error;
    assert_int_equal(gn_image_params_ptx(text, sizeof text, "a", params, 2, &e, &error), 0);
    assert_int_equal(e.param_count, 2);
    assert_int_equal(e.param_bytes, 16);
    assert_int_equal(params[1].offset_bytes, 8);
    assert_int_equal(gn_image_params_ptx(text, sizeof text, "ab", params, 2, &e, &error), -ENOSPC);
    assert_int_equal(gn_image_params_ptx(text, sizeof text, "ab", NULL, 0, &e, &error), 0);
    assert_int_equal(e.param_count, 3);
    assert_int_equal(gn_image_params_ptx(text, sizeof text, "abc", params, 2, &e, NULL), -ENOENT);
    assert_int_equal(gn_image_params_ptx(text, sizeof text, "", params, 2, &e, NULL), -ENOENT);
    assert_int_equal(gn_image_params_ptx(".entry b(", 9, "a", params, 2, &e, &error), -EINVAL);
    assert_non_null(error.reason);
    struct gn_ptx_iter it;
    gn_ptx_begin(&it, ".entry b(", 9);
    assert_int_equal(gn_ptx_next(&it, &e, NULL, 0), -EINVAL);
    assert_int_equal(gn_ptx_next(&it, &e, NULL, 0), -EINVAL); // sticky
}

static void targets_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t sm;
    } cases[] = {
        {".version 7.5\n.target sm_75\n", 75},
        {".version 8.0 .target sm_90a, texmode_independent", 90},
        {"// .target sm_50\n.target sm_100f", 100},
        {".version 7.5", 0},
        {".target", 0},
        {".target compute_75", 0},
        {".target sm_", 0},
        {"{ .target sm_75 }", 0},
        {"\"", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(gn_ptx_target(cases[i].text, strlen(cases[i].text)), cases[i].sm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layouts_are_read),           cmocka_unit_test(text_ends_with_its_nul),
        cmocka_unit_test(bad_texts_are_refused),      cmocka_unit_test(cuts_end_in_order),
        cmocka_unit_test(one_entry_is_found_by_name), cmocka_unit_test(targets_are_told),
    };
    return cmocka_run_group_tests_name("image_ptx", tests, NULL, NULL);
}
