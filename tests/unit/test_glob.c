// SPDX-License-Identifier: Apache-2.0
// Question: do globs match what they say, refuse what is none, and stay fast on what is made to be slow?
// Method: tables; against a plain recursive matcher on all short patterns and texts; a pattern of many stars on a long text.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "core/hints/glob.h"

static const struct {
    const char *pattern, *text;
    bool matches;
} cases[] = {
    {"abc", "abc", true}, {"abc", "ab", false}, {"abc", "abcd", false}, {"", "", true}, {"", "a", false}, {"*", "", true}, {"*", "anything", true},
    {"attention_*", "attention_decode", true}, {"attention_*", "attention_", true}, {"attention_*", "attention", false}, {"*_decode", "attention_decode", true},
    {"*_decode", "attention_decoder", false}, {"a?c", "abc", true}, {"a?c", "ac", false}, {"?", "", false}, {"a*b*c", "a-b-b-c", true}, {"a*b*c", "a-c-b", false},
    {"[abc]", "b", true}, {"[abc]", "d", false}, {"[!abc]", "d", true}, {"[!abc]", "a", false}, {"[a-f0-9]", "7", true}, {"[a-f0-9]", "g", false},
    {"[]x]", "]", true}, {"[!]x]", "]", false}, {"[a-]", "-", true}, {"[-a]", "-", true}, {"[\\]]", "]", true}, {"[\\!a]", "!", true}, {"[[]", "[", true},
    {"\\*", "*", true}, {"\\*", "x", false}, {"\\[a]", "[a]", true}, {"*[0-9]", "layer12", true}, {"*[0-9]", "layer", false}, {"**a**", "bab", true},
    {"\xc3?", "\xc3\xa9", true}, {"[\x80-\xff]", "\xa9", true}, {"*aab", "aaaaaab", true}, {"*.so.[0-9]*", "libx.so.12", true},
};

static void tables(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (gn_glob_match(cases[i].pattern, cases[i].text) != cases[i].matches)
            fail_msg("\"%s\" and \"%s\"", cases[i].pattern, cases[i].text);
}

static void bad_patterns_are_refused(void **state)
{
    static const char *const bad[] = {"", "[", "[a", "a[", "[]", "[!]", "[!", "[a\\]", "\\", "a\\", "[z-a]", "x[b-a]y", "[\\z-a]"};
    static const char *const good[] = {"a", "*", "[a]", "[]]", "[!]]", "\\\\", "[a-]", "[-a]", "[\\]]", "[a-a]"};
    char longest[GN_GLOB_BYTES_MAX + 2];
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (!gn_glob_check(bad[i]))
            fail_msg("\"%s\" is taken", bad[i]);
        gn_glob_match(bad[i], "text"); // harmless
    }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (gn_glob_check(good[i]))
            fail_msg("\"%s\": %s", good[i], gn_glob_check(good[i]));
    memset(longest, '*', sizeof longest);
    longest[sizeof longest - 1] = 0;
    assert_non_null(gn_glob_check(longest));
    longest[sizeof longest - 2] = 0;
    assert_null(gn_glob_check(longest));
}

static bool plainly(const char *p, const char *t)
{
    if (!*p)
        return !*t;
    if (*p == '*')
        return plainly(p + 1, t) || (*t && plainly(p, t + 1));
    return *t && (*p == '?' || *p == *t) && plainly(p + 1, t + 1);
}

static void word(unsigned number, const char *letters, unsigned base, char out[8])
{
    unsigned i = 0;
    for (; number; number /= base)
        out[i++] = letters[(number - 1) % base], number -= 1;
    out[i] = 0;
}

static void as_a_plain_matcher(void **state)
{
    char pattern[8], text[8];
    (void)state;
    for (unsigned p = 0; p < 1365; p++) // all of up to five letters
        for (unsigned t = 0; t < 63; t++) {
            word(p, "ab?*", 4, pattern);
            word(t, "ab", 2, text);
            if (gn_glob_match(pattern, text) != plainly(pattern, text))
                fail_msg("\"%s\" and \"%s\"", pattern, text);
        }
}

static void many_stars_are_no_trouble(void **state)
{
    char pattern[GN_GLOB_BYTES_MAX + 1];
    char *text = test_malloc((32 << 10) + 1);
    struct timespec before, after;
    (void)state;
    for (size_t i = 0; i < GN_GLOB_BYTES_MAX; i++)
        pattern[i] = i % 2 ? 'a' : '*';
    pattern[GN_GLOB_BYTES_MAX - 1] = 'b';
    pattern[GN_GLOB_BYTES_MAX] = 0;
    memset(text, 'a', 32 << 10);
    text[32 << 10] = 0;
    clock_gettime(CLOCK_MONOTONIC, &before);
    assert_false(gn_glob_match(pattern, text));
    clock_gettime(CLOCK_MONOTONIC, &after);
    assert_true(after.tv_sec - before.tv_sec < 5); // with going back to every star it would be years
    test_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables),
        cmocka_unit_test(bad_patterns_are_refused),
        cmocka_unit_test(as_a_plain_matcher),
        cmocka_unit_test(many_stars_are_no_trouble),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
