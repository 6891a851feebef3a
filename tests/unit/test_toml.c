// SPDX-License-Identifier: Apache-2.0
// Question: does the parser read TOML 1.0, refuse what is not, say where, and stay within its memory? Method:
// texts of our own with the tree they must give (as compact text), refused texts with place and words of the
// message, limits, and every smaller arena.
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "core/toml/toml.h"

enum { DUMP_BYTES = 4096, ARENA_BYTES = 64 << 10 };

static _Alignas(16) char arena[ARENA_BYTES];

static char *put_string(char *to, const char *text, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i++)
        to += sprintf(to, (unsigned char)text[i] < ' ' ? "<%02x>" : "%c", (unsigned char)text[i]);
    return to;
}

static char *dump(char *to, const struct gn_toml_node *n)
{
    static const char *const open[] = {[GN_TOML_ARRAY] = "[", [GN_TOML_TABLE] = "{"};
    const struct gn_toml_time *t = &n->time;
    switch ((enum gn_toml_kind)n->kind) {
    case GN_TOML_STRING: return stpcpy(put_string(stpcpy(to, "'"), n->text, n->text_bytes), "'");
    case GN_TOML_INTEGER: return to + sprintf(to, "%lld", (long long)n->integer);
    case GN_TOML_FLOAT: return to + sprintf(to, "%.17gf", n->number);
    case GN_TOML_BOOL: return stpcpy(to, n->boolean ? "true" : "false");
    case GN_TOML_OFFSET_DATETIME:
    case GN_TOML_LOCAL_DATETIME:
        return to + sprintf(to, "%c%u-%u-%u,%u:%u:%u.%09u%+d(%s)",
                            n->kind == GN_TOML_OFFSET_DATETIME ? 'O' : 'L', t->year, t->month, t->day,
                            t->hour, t->minute, t->second, t->nanosecond, t->offset_minutes, t->text);
    case GN_TOML_LOCAL_DATE: return to + sprintf(to, "D%u-%u-%u(%s)", t->year, t->month, t->day, t->text);
    case GN_TOML_LOCAL_TIME:
        return to + sprintf(to, "T%u:%u:%u.%09u(%s)", t->hour, t->minute, t->second, t->nanosecond, t->text);
    case GN_TOML_ARRAY:
    case GN_TOML_TABLE: break;
    }
    to = stpcpy(to, open[n->kind]);
    for (const struct gn_toml_node *m = n->first; m; m = m->next) {
        if (m != n->first)
            to = stpcpy(to, " ");
        if (n->kind == GN_TOML_TABLE) {
            to = put_string(to, m->key, m->key_bytes);
            to = stpcpy(to, "=");
        }
        to = dump(to, m);
    }
    return stpcpy(to, n->kind == GN_TOML_ARRAY ? "]" : "}");
}

static struct gn_toml_node *parse_bytes(const char *text, size_t bytes)
{
    struct gn_toml_error error;
    struct gn_toml_node *root;
    if (gn_toml_parse(text, bytes, arena, sizeof arena, &root, &error) != 0)
        fail_msg("%u:%u: %s in: %s", error.line, error.column, error.text, text);
    return root;
}

static struct gn_toml_node *parse(const char *text) { return parse_bytes(text, strlen(text)); }

static const struct good {
    const char *text, *tree;
} goods[] = {
    {"", "{}"},
    {"\xef\xbb\xbf"
     "a=1",
     "{a=1}"},
    {" \t\r\n# nothing\n#\t\xc3\xa4", "{}"},
    {"a = 1 # one\nb=-2\r\nc = +3", "{a=1 b=-2 c=3}"},
    {"n = 1_000_000\nm = -9223372036854775808\nx = 9223372036854775807",
     "{n=1000000 m=-9223372036854775808 x=9223372036854775807}"},
    {"h=0xDead_beef\no=0o755\nb=0b1_0\nm=0x7fffffffffffffff\nz=-0",
     "{h=3735928559 o=493 b=2 m=9223372036854775807 z=0}"},
    {"f=[1.5, -0.25, 5e+2, 1E-2, 6_0.0_1, 0e0, +1.0]",
     "{f=[1.5f -0.25f 500f 0.01f 60.009999999999998f 0f 1f]}"},
    {"f=[3.1415926535897931, 1.7976931348623157e308, 5e-324, 1e-400]",
     "{f=[3.1415926535897931f 1.7976931348623157e+308f 4.9406564584124654e-324f 0f]}"},
    {"f=[inf, -inf, +inf]", "{f=[inff -inff inff]}"},
    {"t=true\nf=false", "{t=true f=false}"},
    // strings
    {"s=\"\"\nl=''", "{s='' l=''}"},
    {"s=\"\\b\\t\\n\\f\\r\\\"\\\\\\u00e9\\U0001F600\\u0000.\"",
     "{s='<08><09><0a><0c><0d>\"\\\xc3\xa9\xf0\x9f\x98\x80<00>.'}"},
    {"s='C:\\no\\escape'", "{s='C:\\no\\escape'}"},
    {"s=\"\"\"\nline\n two\"\"\"", "{s='line<0a> two'}"},
    {"s=\"\"\"a \\  \n\n  \t b\\\r\n c\"\"\"", "{s='a bc'}"},
    {"s=\"\"\"a\r\nb\"\"\"", "{s='a<0d><0a>b'}"},
    {"s=\"\"\"\"two\"\" in\"\"\"\"\"", "{s='\"two\"\" in\"\"'}"},
    {"s='''\r\nno \\n here'''''", "{s='no \\n here'''}"},
    {"s=\"\"\"\"\"\"\nl=''''''", "{s='' l=''}"},
    // dates
    {"d=1979-05-27T07:32:00Z", "{d=O1979-5-27,7:32:0.000000000+0(1979-05-27T07:32:00Z)}"},
    {"d=1979-05-27 00:32:00.999999-07:30",
     "{d=O1979-5-27,0:32:0.999999000-450(1979-05-27 00:32:00.999999-07:30)}"},
    {"d=1979-05-27t07:32:60z", "{d=O1979-5-27,7:32:60.000000000+0(1979-05-27t07:32:60z)}"},
    {"d=2000-02-29T23:59:59.1234567891",
     "{d=L2000-2-29,23:59:59.123456789+0(2000-02-29T23:59:59.1234567891)}"},
    {"d=1979-05-27 # date\nt=07:32:00.5", "{d=D1979-5-27(1979-05-27) t=T7:32:0.500000000(07:32:00.5)}"},
    {"d=[1979-05-27 ,0000-01-01]", "{d=[D1979-5-27(1979-05-27) D0-1-1(0000-01-01)]}"},
    // arrays and inline tables
    {"a=[]\nb=[ [1,2], ['x'], ]", "{a=[] b=[[1 2] ['x']]}"},
    {"a=[ # c\n1\n,\n\n2 # d\n, # e\n]", "{a=[1 2]}"},
    {"a=[1,'x',{b=1},[2.0]]", "{a=[1 'x' {b=1} [2f]]}"},
    {"p = { x = 1 , y.z = 2, y.w = [\n3,\n] }\ne={}", "{p={x=1 y={z=2 w=[3]}} e={}}"},
    // keys
    {"a-b_1=1\n1234=2\n\"q k\"=3\n'l\"'=4\n\"\"=5\n\"\\u0000\"=6", "{a-b_1=1 1234=2 q k=3 l\"=4 =5 <00>=6}"},
    {"a.b.c=1\na . b . d=2\n3.14=3\n\"x.y\".'z'=4", "{a={b={c=1 d=2}} 3={14=3} x.y={z=4}}"},
    {"a=1\nab=2\nabc=3\nb=4\naa=5", "{a=1 ab=2 abc=3 b=4 aa=5}"},
    {"inf=1\ntrue=2\n1979-05-27=3", "{inf=1 true=2 1979-05-27=3}"},
    // tables
    {"[a]\nb=1\n[ c . \"d e\" ] # x\nf=2", "{a={b=1} c={d e={f=2}}}"},
    {"[a.b.c]\nx=1\n[a]\ny=2", "{a={b={c={x=1}} y=2}}"},
    {"[a]\nb.c=1\n[a.b.d]\ne=2", "{a={b={c=1 d={e=2}}}}"},
    {"[[r]]\na=1\n[[r]]\n[[r]]\na=3", "{r=[{a=1} {} {a=3}]}"},
    {"[[f]]\n[f.p]\nc=1\n[[f.v]]\nn=1\n[[f.v]]\n[[f]]\n[[f.v]]\nn=9",
     "{f=[{p={c=1} v=[{n=1} {}]} {v=[{n=9}]}]}"},
    {"[[a.b]]\nx=1\n[a]\ny=2", "{a={b=[{x=1}] y=2}}"},
};

enum { GOODS = sizeof goods / sizeof *goods };

static void texts_give_their_trees(void **state)
{
    (void)state;
    for (const struct good *g = goods; g < goods + GOODS; g++) {
        char tree[DUMP_BYTES] = "";
        dump(tree, parse(g->text));
        assert_string_equal(tree, g->tree);
    }
}

static const struct bad {
    const char *text;
    uint32_t line, column;
    const char *says; // words of the message
} bads[] = {
    {"a", 1, 2, "= and a value"},
    {"a = \n", 1, 5, "value is expected"},
    {"a = 1 b = 2", 1, 7, "end of the line"},
    {"= 1", 1, 1, "key is expected"},
    {"a. = 1", 1, 4, "key is expected"},
    {".a = 1", 1, 1, "key is expected"},
    {"a b = 1", 1, 3, "= and a value"},
    {"x=1\n\xc3\xa4 = 1", 2, 1, "key is expected"},
    {"\"\"\"a\"\"\" = 1", 1, 1, "multi-line"},
    {"a = 1\n\n  a = 2", 3, 3, "already defined as an integer in line 1"},
    {"a = 1\na.b = 2", 2, 1, "already defined"},
    {"a.b = 1\na = 2", 2, 1, "already defined as a table"},
    {"a = {b = 1}\na.c = 2", 2, 1, "already defined"},
    {"a = {b = 1, b = 2}", 1, 13, "already defined"},
    {"a = {b.c = 1, b = 2}", 1, 15, "already defined"},
    {"[a]\n[a]", 2, 2, "already defined as a table in line 1"},
    {"[a.b]\n[a]\nb=1", 3, 1, "already defined"},
    {"[a]\nb.c=1\n[a.b]", 3, 4, "already defined"},
    {"[a.b.c]\n[a]\nb.d=1", 3, 1, "already defined"},
    {"a={}\n[a]", 2, 2, "already defined"},
    {"a={}\n[a.b]", 2, 2, "already defined"},
    {"a=[]\n[[a]]", 2, 3, "already defined as an array in line 1"},
    {"a=[{}]\n[a.b]", 2, 2, "already defined"},
    {"[[a]]\n[a]", 2, 2, "already defined as an array of tables"},
    {"[a]\n[[a]]", 2, 3, "already defined"},
    {"[[a.b]]\n[[a]]", 2, 3, "already defined"},
    {"a=1\n[a.b]", 2, 2, "already defined as an integer"},
    {"[a", 1, 3, "]"},
    {"[a\n]", 1, 3, "]"},
    {"[[a]", 1, 4, "]]"},
    {"[[a] ]", 1, 4, "]]"},
    {"[ [a]]", 1, 3, "key is expected"},
    {"[]", 1, 2, "key is expected"},
    {"[a] b=1", 1, 5, "end of the line"},
    // values
    {"a = hello", 1, 5, "\"hello\" is no value"},
    {"a = True", 1, 5, "is no value"},
    {"a = 01", 1, 5, "cannot start with 0"},
    {"a = +0x1", 1, 5, "is no value"},
    {"a = 0X1", 1, 5, "is no value"},
    {"a = 0x", 1, 5, "is no value"},
    {"a = 0xg", 1, 5, "base 16"},
    {"a = 0o8", 1, 5, "base 8"},
    {"a = 0b2", 1, 5, "base 2"},
    {"a = 1__0", 1, 5, "is no value"},
    {"a = _1", 1, 5, "is no value"},
    {"a = 1_", 1, 5, "is no value"},
    {"a = 9223372036854775808", 1, 5, "64 bits"},
    {"a = -9223372036854775809", 1, 5, "64 bits"},
    {"a = 0xffffffffffffffff", 1, 5, "64 bits"},
    {"a = 1.", 1, 5, "both sides"},
    {"a = .5", 1, 5, "is no value"},
    {"a = 1.e5", 1, 5, "both sides"},
    {"a = 1e", 1, 5, "behind the e"},
    {"a = 1e5.0", 1, 5, "is no value"},
    {"a = 1e309", 1, 5, "does not fit"},
    {"a = 00.5", 1, 5, "cannot start with 0"},
    {"a = Inf", 1, 5, "is no value"},
    {"a = --1", 1, 5, "is no value"},
    {"a = 1979-13-01", 1, 5, "no date"},
    {"a = 1979-00-01", 1, 5, "no date"},
    {"a = 1979-02-29", 1, 5, "no date"},
    {"a = 1900-02-29", 1, 5, "no date"},
    {"a = 1979-5-27", 1, 5, "no date"},
    {"a = 1979-05-27T", 1, 5, "no date"},
    {"a = 1979-05-27T7:32:00", 1, 5, "no date"},
    {"a = 1979-05-27T07:32", 1, 5, "no date"},
    {"a = 1979-05-27T24:00:00", 1, 5, "no date"},
    {"a = 1979-05-27T07:32:00.", 1, 5, "no date"},
    {"a = 1979-05-27T07:32:00+1:00", 1, 5, "no date"},
    {"a = 1979-05-27T07:32:00+24:00", 1, 5, "no date"},
    {"a = 07:60:00", 1, 5, "no date"},
    {"a = 07:32:61", 1, 5, "no date"},
    {"a = 07:32:00Z", 1, 5, "no date"},
    {"a = 1979-05-27  07:32:00", 1, 17, "end of the line"},
    // strings
    {"a = \"x", 1, 5, "not closed"},
    {"a = \"x\ny\"", 1, 5, "not closed before the line ends"},
    {"a = 'x", 1, 5, "not closed"},
    {"\na = \"\"\"x\n", 2, 5, "not closed"},
    {"a = '''x''", 1, 5, "not closed"},
    {"a = \"\\x41\"", 1, 6, "unknown escape"},
    {"a = \"\\e\"", 1, 6, "unknown escape"},
    {"a = \"\\u12g4\"", 1, 10, "4 hexadecimal digits"},
    {"a = \"\\U0001\"", 1, 12, "8 hexadecimal digits"},
    {"a = \"\\ud800\"", 1, 6, "U+D800"},
    {"a = \"\\U00110000\"", 1, 6, "U+110000"},
    {"a = \"x\\ \"", 1, 7, "unknown escape"},
    {"a = \"\"\"x\\ y\"\"\"", 1, 9, "unknown escape"},
    {"a = \"\x01\"", 1, 6, "control character 0x01"},
    {"a = 'x\x7f'", 1, 7, "control character 0x7f"},
    {"a = '''x\ry'''", 1, 9, "control character 0x0d"},
    {"a = \"\"\"x\"\"\"\"\"\"", 1, 14, "end of the line"},
    {"# \x02", 1, 3, "control character 0x02"},
    {"a = 1 # x\ry", 1, 10, "control character 0x0d"},
    {"a = 1\rb = 2", 1, 6, "end of the line"},
    // arrays and inline tables
    {"a = [1 2]", 1, 8, "comma or ]"},
    {"a = [1,,2]", 1, 8, "value is expected"},
    {"a = [,]", 1, 6, "value is expected"},
    {"a = [\n1,\n", 3, 1, "value is expected"},
    {"a = [1\nb = 2", 2, 1, "comma or ] is expected in the array of line 1"},
    {"a = {b = 1,}", 1, 12, "no comma at its end"},
    {"a = {,}", 1, 6, "key is expected"},
    {"a = {b = 1\n}", 1, 11, "one line"},
    {"a = {\nb = 1}", 1, 6, "key is expected"},
    {"a = {b}", 1, 7, "= and a value"},
    {"a = {b = 1 c = 2}", 1, 12, "comma or }"},
    // UTF-8
    {"a = \"\x80\"", 1, 6, "0x80 is not valid UTF-8"},
    {"a = 1\n# \xc0\xaf", 2, 3, "0xc0 is not valid"},
    {"# \xed\xa0\x80", 1, 3, "0xed"},
    {"# \xf4\x90\x80\x80", 1, 3, "0xf4"},
    {"# \xe0\x9f\xbf", 1, 3, "0xe0"},
    {"# \xe2\x82", 1, 3, "0xe2"},
    {"a = 1\n\xef\xbb\xbf"
     "b = 1",
     2, 1, "key is expected"},
};

static void bad_texts_are_refused_with_their_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bads / sizeof *bads; i++) {
        const struct bad *b = &bads[i];
        struct gn_toml_error error = {0};
        struct gn_toml_node *root = (void *)arena;
        int rc = gn_toml_parse(b->text, strlen(b->text), arena, sizeof arena, &root, &error);
        if (rc != -EINVAL || root || error.line != b->line || error.column != b->column ||
            !strstr(error.text, b->says))
            fail_msg("%s: %d at %u:%u: %s", b->text, rc, error.line, error.column, error.text);
    }
}

// Any beginning of a good text is parsed or refused, never anything else; the bytes behind are not there (the
// sanitizer watches the heap).
static void cut_texts_end_in_order(void **state)
{
    (void)state;
    for (const struct good *g = goods; g < goods + GOODS; g++) {
        for (size_t bytes = 0; bytes <= strlen(g->text); bytes++) {
            char *text = malloc(bytes ? bytes : 1);
            memcpy(text, g->text, bytes);
            struct gn_toml_error error;
            struct gn_toml_node *root;
            int rc = gn_toml_parse(text, bytes, arena, sizeof arena, &root, &error);
            assert_true(rc == 0 || rc == -EINVAL);
            free(text);
        }
    }
}

static void a_smaller_arena_is_said(void **state)
{
    (void)state;
    for (const struct good *g = goods; g < goods + GOODS; g++) {
        size_t enough = GN_TOML_ARENA_BYTES(strlen(g->text));
        struct gn_toml_error error = {0};
        struct gn_toml_node *root;
        bool fitted = false;
        for (size_t bytes = 0; bytes <= enough; bytes++) {
            char *memory = malloc(bytes ? bytes : 1);
            int rc = gn_toml_parse(g->text, strlen(g->text), memory, bytes, &root, &error);
            assert_true(rc == 0 ||
                        (rc == -ENOMEM && !fitted && strstr(error.text, "too small") && error.line >= 1));
            fitted = rc == 0;
            free(memory);
        }
        assert_true(fitted);
    }
}

static void depth_is_bounded(void **state)
{
    (void)state;
    struct gn_toml_error error;
    struct gn_toml_node *root;
    static const struct {
        const char *before, *unit, *end;
    } kinds[] = {
        {"a=", "[", "]"}, {"a=", "{a=", "}"}, {"a", ".a", "=1"}, {"[a", ".a", "]"}, {"[[a", ".a", "]]"}};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        for (int over = 0; over < 2; over++) {
            char text[2048], *to = stpcpy(text, kinds[k].before);
            int count = over ? GN_TOML_DEPTH_MAX + 1 : GN_TOML_DEPTH_MAX - 2;
            for (int i = 0; i < count; i++)
                to = stpcpy(to, kinds[k].unit);
            if (k == 1)
                to = stpcpy(to, "1");
            for (int i = 0; i < (k < 2 ? count : 1); i++)
                to = stpcpy(to, kinds[k].end);
            int rc = gn_toml_parse(text, strlen(text), arena, sizeof arena, &root, &error);
            assert_int_equal(rc, over ? -EINVAL : 0);
            assert_true(!over || strstr(error.text, "deeper than 128"));
        }
    }
    // Depth adds up over a header, dotted keys and values.
    char text[2048], *to = stpcpy(text, "[a");
    for (int i = 0; i < 60; i++)
        to = stpcpy(to, ".a");
    to = stpcpy(to, "]\nb");
    for (int i = 0; i < 60; i++)
        to = stpcpy(to, ".b");
    stpcpy(to, "=[[[[[[[[[[]]]]]]]]]]");
    assert_int_equal(gn_toml_parse(text, strlen(text), arena, sizeof arena, &root, &error), -EINVAL);
    assert_int_equal(error.line, 2);
}

static void numbers_and_texts_have_a_limit(void **state)
{
    (void)state;
    char text[2048] = "a=0.";
    struct gn_toml_error error;
    struct gn_toml_node *root;
    memset(text + 4, '1', 500);
    assert_true(fabs(parse(text)->first->number - 1.0 / 9) < 1e-16);
    memset(text + 4, '1', 600);
    assert_int_equal(gn_toml_parse(text, strlen(text), arena, sizeof arena, &root, &error), -EINVAL);
    assert_non_null(strstr(error.text, "512 characters"));
    assert_int_equal(
        gn_toml_parse("", (size_t)GN_TOML_TEXT_BYTES_MAX + 1, arena, sizeof arena, &root, &error), -E2BIG);
}

static void places_are_those_of_the_text(void **state)
{
    (void)state;
    struct gn_toml_node *root = parse("# c\n[s]\n  key.sub = [ 1,\n     '\xc3\xa4', 2]\n[[t]]\nx={ y = 1}\n");
    const struct gn_toml_node *s = gn_toml_get(root, "s", 1), *key = gn_toml_get(s, "key", 3);
    const struct gn_toml_node *sub = gn_toml_get(key, "sub", 3), *last = sub->last;
    assert_int_equal(s->key_line, 2);
    assert_int_equal(s->key_column, 2);
    assert_int_equal(key->key_line, 3);
    assert_int_equal(key->key_column, 3);
    assert_int_equal(sub->key_column, 7);
    assert_int_equal(sub->column, 13);
    assert_int_equal(sub->count, 3);
    assert_int_equal(last->line, 4);
    assert_int_equal(last->column, 12); // the a umlaut has two bytes
    assert_int_equal(last->key_line, 0);
    const struct gn_toml_node *y = gn_toml_get(gn_toml_get(gn_toml_get(root, "t", 1)->first, "x", 1), "y", 1);
    assert_int_equal(y->line, 6);
    assert_int_equal(y->key_column, 5);
    assert_int_equal(y->column, 9);
}

static void members_are_found_by_their_exact_key(void **state)
{
    (void)state;
    struct gn_toml_node *root = parse("a=1\nab=2\n\"a\\u0000\"=3\n\"a\\u0000b\"=4\n\"\"=5");
    assert_int_equal(gn_toml_get(root, "a", 1)->integer, 1);
    assert_int_equal(gn_toml_get(root, "ab", 2)->integer, 2);
    assert_int_equal(gn_toml_get(root, "a\0", 2)->integer, 3);
    assert_int_equal(gn_toml_get(root, "a\0b", 3)->integer, 4);
    assert_int_equal(gn_toml_get(root, "", 0)->integer, 5);
    assert_null(gn_toml_get(root, "b", 1));
    assert_null(gn_toml_get(root, "abc", 3));
    assert_null(gn_toml_get(root, "a\0c", 3));
    assert_null(gn_toml_get(root->first, "a", 1)); // no table
    assert_null(gn_toml_get(parse(""), "a", 1));
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

enum { HARD_BYTES = 4 << 20 };

// Texts that would be quadratic with lists of members, with a walk over long common beginnings, or with a
// rescan of lines.
static size_t write_hard_text(char *text, unsigned kind)
{
    char *to = text, *end = text + HARD_BYTES - 8192, *prefix = malloc(4097);
    memset(prefix, 'k', 4096);
    prefix[4096] = 0;
    for (unsigned i = 0; to < end; i++) {
        switch (kind) {
        case 0: to += sprintf(to, "k%u=1\n", i); break;
        case 1: to += sprintf(to, "%s%u=1\n", prefix, i); break;
        case 2: to += sprintf(to, "[[a]]\n[a.b%u]\n", i); break;
        case 3: to += sprintf(to, i ? ",1" : "a=[1"); break;
        case 4: // every length of one letter, then many short keys: walks that would go deep
            if (i < 2000)
                to += sprintf(to, "%.*s=1\n", (int)i + 1, prefix);
            else
                to += sprintf(to, "l%u=1\n", i);
            break;
        case 5: to += sprintf(to, i ? ",k%u=1" : "a={k%u=1", i); break;
        default: to += sprintf(to, i ? "\\n" : "a=\""); break;
        }
    }
    to = stpcpy(to, kind == 3 ? "]" : kind == 5 ? "}" : kind == 6 ? "\"" : "");
    free(prefix);
    return (size_t)(to - text);
}

static void hard_texts_take_linear_time(void **state)
{
    (void)state;
    char *text = malloc(HARD_BYTES);
    size_t arena_bytes = GN_TOML_ARENA_BYTES(HARD_BYTES);
    void *memory = malloc(arena_bytes);
    for (unsigned kind = 0; kind < 7; kind++) {
        size_t bytes = write_hard_text(text, kind);
        struct gn_toml_error error;
        struct gn_toml_node *root;
        double start = seconds();
        int rc = gn_toml_parse(text, bytes, memory, arena_bytes, &root, &error);
        double took = seconds() - start;
        print_message("hard text %u: %zu bytes, rc %d, %.0f ms\n", kind, bytes, rc, took * 1e3);
        if (rc != 0)
            fail_msg("%u:%u: %s", error.line, error.column, error.text);
        assert_true(took < 10); // about 0.2 s; quadratic would be minutes
    }
    free(text);
    free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_give_their_trees),
        cmocka_unit_test(bad_texts_are_refused_with_their_place),
        cmocka_unit_test(cut_texts_end_in_order),
        cmocka_unit_test(a_smaller_arena_is_said),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(numbers_and_texts_have_a_limit),
        cmocka_unit_test(places_are_those_of_the_text),
        cmocka_unit_test(members_are_found_by_their_exact_key),
        cmocka_unit_test(hard_texts_take_linear_time),
    };
    return cmocka_run_group_tests_name("toml", tests, NULL, NULL);
}
