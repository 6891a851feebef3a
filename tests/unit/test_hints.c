// SPDX-License-Identifier: Apache-2.0
// Question: is a sidecar read as documented, and is everything wrong in one told with its place?
// Method: the documented example field by field; a table of wrong texts, each with the beginning of its first problem; several problems at once.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/hints/hints.h"

static struct gn_hints hints;
static struct gn_config_error error;
static char told[100][GN_CONFIG_ERROR_BYTES];
static uint32_t told_count;

static void tell(void *context, const char *text)
{
    (void)context;
    assert_true(told_count < 100);
    snprintf(told[told_count++], GN_CONFIG_ERROR_BYTES, "%s", text);
}

static int read_text(const char *text)
{
    const struct gn_config_listener listener = {.tell = tell};
    size_t bytes = strlen(text), arena_bytes = GN_TOML_ARENA_BYTES(bytes);
    void *arena = malloc(arena_bytes);
    told_count = 0;
    error.text[0] = 0;
    int rc = gn_hints_read(&hints, "x.toml", text, bytes, arena, arena_bytes, &error, &listener);
    memset(arena, 0xa5, arena_bytes); // nothing may point there
    free(arena);
    assert_true((rc == 0) == (told_count == 0));
    if (rc)
        assert_string_equal(error.text, told[0]);
    return rc;
}

static const char example[] = "schema = 1\n"
                              "[app]\n"
                              "name = 'llm_decode'\n"
                              "match = { exe = 'llm_*', argv = ['*--style stateless*'], env = 'MODE=fast*', image = '0123abcd' }\n"
                              "[[region]]\n"
                              "class = 'kv_cache'\n"
                              "match = { kernel = 'attention_*', arg = [3, 4], size = '4KiB..2MiB' }\n"
                              "keep = 'remote'\n"
                              "evict = 'last'\n"
                              "session = 'a-${CONVERSATION_ID}'\n"
                              "[[region]]\n"
                              "class = 'weights'\n"
                              "match = { written_by = 'host', order = 'before first launch', library = 'libtorch*', env = ['A=1', 'B='] }\n"
                              "dedupe = true\n"
                              "[[phase]]\n"
                              "name = 'decode'\n"
                              "match = { kernel = 'attention_*', grid_x = 1 }\n"
                              "goal = 'latency'\n"
                              "repeat = true\n"
                              "[[breakpoint]]\n"
                              "name = 'layer20'\n"
                              "after = { kernel = 'layernorm_*', nth = 20 }\n"
                              "save = ['weights', 'kv_cache']\n";

static void the_example_is_read(void **state)
{
    (void)state;
    if (read_text(example))
        fail_msg("%s", error.text);
    const struct gn_hint_region *kv = &hints.regions[0], *weights = &hints.regions[1];
    assert_int_equal(hints.region_count, 2);
    assert_string_equal(hints.app.name, "llm_decode");
    assert_string_equal(hints.app.exe, "llm_*");
    assert_string_equal(hints.app.argv[0], "*--style stateless*");
    assert_string_equal(hints.app.env.list[0].name, "MODE");
    assert_string_equal(hints.app.env.list[0].glob, "fast*");
    assert_int_equal(kv->class, GN_CLASS_KV_CACHE);
    assert_string_equal(kv->match.kernel, "attention_*");
    assert_int_equal(kv->match.arg_count, 2);
    assert_int_equal(kv->match.args[1], 4);
    assert_int_equal(kv->match.size.low, 4096);
    assert_int_equal(kv->match.size.high, 2 << 20);
    assert_int_equal(kv->keep, GN_KEEP_REMOTE);
    assert_int_equal(kv->evict, GN_EVICT_LAST);
    assert_string_equal(kv->session, "a-${CONVERSATION_ID}");
    assert_int_equal(weights->class, GN_CLASS_WEIGHTS);
    assert_int_equal(weights->match.writer, GN_WRITER_HOST);
    assert_int_equal(weights->match.when, GN_WHEN_BEFORE_LAUNCH);
    assert_string_equal(weights->match.caller, "libtorch*");
    assert_int_equal(weights->match.env.count, 2);
    assert_string_equal(weights->match.env.list[1].glob, "");
    assert_true(weights->dedupe);
    assert_int_equal(hints.phase_count, 1);
    assert_int_equal(hints.phases[0].grid_x.high, 1);
    assert_int_equal(hints.phases[0].goal, GN_GOAL_LATENCY);
    assert_true(hints.phases[0].repeat);
    assert_int_equal(hints.breakpoints[0].nth, 20);
    assert_int_equal(hints.breakpoints[0].save, 1 << GN_CLASS_WEIGHTS | 1 << GN_CLASS_KV_CACHE);
}

// Wrong texts. What they have behind "schema = 1\n", so that their first line is 2; and the beginning of the first problem behind "x.toml:".
#define REGION "[[region]]\nclass = 'kv_cache'\n"
#define GOOD   REGION "match = { kernel = 'a' }\n"
static const struct {
    const char *text, *problem;
} wrong[] = {
    {"x", "2:2: = and a value are expected"},
    {"region = 1", "2:10: region must be tables"},
    {"[regions]", "2:2: unknown section [regions]; did you mean [region]"},
    {"[[region]]\nclas = 'weights'", "3:1: unknown key \"clas\" in [[region]]; did you mean \"class\"?"},
    {"[[region]]\nclass = 'weight'", "3:9: class cannot be \"weight\"; \"weights\", \"kv_cache\""},
    {"[[region]]\nclass = 3", "3:9: class must be \"weights\""},
    {"[[region]]\nmatch = {size = '1K'}", "2:3: \"class\" is missing in [[region]]"},
    {REGION, "3:9: match says nothing"},
    {REGION "match = {}", "3:9: match says nothing"},
    {REGION "match = 3", "4:9: [match] is a section, not an integer"},
    {REGION "match = {kernl = 'a'}", "4:10: unknown key \"kernl\" in [[region.match]]; did you mean \"kernel\"?"},
    {REGION "match = {kernel = 3}", "4:19: kernel must be a string"},
    {REGION "match = {kernel = ''}", "4:19: kernel: matches nothing"},
    {REGION "match = {kernel = '[a'}", "4:19: kernel: has a [ without its ]"},
    {REGION "match = {arg = 3}", "4:16: arg needs a kernel"},
    {REGION "match = {kernel = 'a', arg = -1}", "4:30: arg is out of range; it may be from 0 to 4094"},
    {REGION "match = {kernel = 'a', arg = 4095}", "4:30: arg is out of range"},
    {REGION "match = {kernel = 'a', arg = [0, 'b']}", "4:34: arg must hold integers only, not a string"},
    {REGION "match = {kernel = 'a', arg = '3'}", "4:30: arg must be an integer or an array of integers"},
    {REGION "match = {kernel = 'a', arg = []}", "4:30: arg: names no argument"},
    {REGION "match = {kernel = 'a', arg = [1, 1]}", "4:30: arg: names an argument twice"},
    {REGION "match = {kernel = 'a', arg = [0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]}", "4:30: arg: names more than 16"},
    {REGION "match = {size = 'big'}", "4:17: size: must be a size like"},
    {REGION "match = {size = '> '}", "4:17: size: must be a size like"},
    {REGION "match = {size = '1K..2K..3K'}", "4:17: size: has something behind its range"},
    {REGION "match = {size = '2M..1M'}", "4:17: size: is a range whose end comes before"},
    {REGION "match = {size = '< 0'}", "4:17: size: holds for no number"},
    {REGION "match = {size = '0'}", "4:17: size: is 0, and no allocation is"},
    {REGION "match = {size = 0}", "4:17: size: is 0"},
    {REGION "match = {size = -1}", "4:17: size: must be a size"},
    {REGION "match = {size = '99999999999T'}", "4:17: size: has a number above"},
    {REGION "match = {size = 1.5}", "4:17: size must be a string or an integer"},
    {REGION "match = {order = 'first'}", "4:18: order: must be \"before first launch\""},
    {REGION "match = {order = '0th allocation'}", "4:18: order: has no number"},
    {REGION "match = {order = 'xth allocation'}", "4:18: order: has no number"},
    {REGION "match = {order = 0}", "4:18: order: counts allocations from 1 on"},
    {REGION "match = {order = '1K'}", "4:18: order: must be"},
    {REGION "match = {written_by = 'gpu'}", "4:23: written_by cannot be \"gpu\"; \"host\", \"kernel\" or \"copy\""},
    {REGION "match = {env = 'A'}", "4:16: env: must be \"NAME=glob\""},
    {REGION "match = {env = '=a'}", "4:16: env: must be \"NAME=glob\""},
    {REGION "match = {env = ['A=[']}", "4:16: env: has a [ without"},
    {REGION "match = {env = []}", "4:16: env: names no variable"},
    {REGION "match = {env = 1}", "4:16: env must be a string or an array of strings"},
    {REGION "match = {env = ['A=','A=','A=','A=','A=','A=','A=','A=','A=']}", "4:16: env: names more than 8"},
    {GOOD "keep = 'server'", "5:8: keep cannot be \"server\"; \"local\" or \"remote\""},
    {GOOD "dedupe = 1", "5:10: dedupe must be true or false"},
    {GOOD "evict = 'soon'", "5:9: evict cannot be \"soon\""},
    {GOOD "session = ''", "5:11: session: is empty"},
    {GOOD "session = 'a$b'", "5:11: session: has a $"},
    {GOOD "session = '${}'", "5:11: session: has a $"},
    {GOOD "session = '${A'", "5:11: session: has a $"},
    {GOOD "session = '${1A}'", "5:11: session: has a $"},
    {GOOD "evict = 'never'\nsession = '${A}'", "5:9: evict = \"never\" and a session contradict"},
    {"[[region]]\nclass = 'weights'\nmatch = {size = 1}\nkeep = 'remote'", "5:8: keep = \"remote\" holds back copies to the host, and weights"},
    {"[[region]]\nclass = 'scratch'\nmatch = {size = 1}\nkeep = 'remote'", "5:8: keep = \"remote\" holds back"},
    {"[[region]]\nclass = 'input'\nmatch = {size = 1}\nkeep = 'remote'", "5:8: keep = \"remote\" holds back"},
    {"[[region]]\nclass = 'scratch'\nmatch = {size = 1}\nevict = 'never'", "5:9: evict = \"never\" makes no sense for scratch"},
    {"[[region]]\nclass = 'weights'\nmatch = {size = 1}\nsession = 'x'", "5:11: session is for what a conversation leaves"},
    {GOOD "[[region]]\nclass = 'output'\nmatch = {kernel = 'a'}", "6:9: this rule never applies: the one of line 3, for kv_cache, matches the same and comes first; which"},
    {GOOD GOOD, "6:9: this rule never applies: the one of line 3, for kv_cache, matches the same and comes first"},
    {GOOD REGION "match = {kernel = 'a', arg = 1}", "6:9: this rule never applies: the one of line 3, for kv_cache, matches all that this one does"},
    {REGION "match = {size = '>= 1'}\n" GOOD, "6:9: this rule never applies"},
    {REGION "match = {env = 'A=1'}\n" REGION "match = {env = ['B=1', 'A=1'], size = 3}", "6:9: this rule never applies"},
    {REGION "match = {order = '1..5'}\n" REGION "match = {order = '2nd allocation'}", "6:9: this rule never applies"},
    {REGION "match = {library = '*'}\n" REGION "match = {library = 'x'}", "6:9: this rule never applies"},
    {"[app]\nmatch = {exe = '['}", "3:16: exe: has a ["},
    {"[app]\nmatch = {exe = ['a']}", "3:16: exe must be a string"},
    {"[app]\nmatch = {image = 'ABCDEF01'}", "3:18: image: must be the program's build id"},
    {"[app]\nmatch = {image = '1234567'}", "3:18: image: must be"},
    {"[app]\nmatch = {argv = []}", "3:17: argv: has no glob"},
    {"[app]\nmatch = {argc = 1}", "3:10: unknown key \"argc\" in [app.match]; did you mean \"argv\"?"},
    {"[app]\nexe = 'a'", "3:1: unknown key \"exe\" in [app]; it belongs in [app.match]"},
    {"[app]\nname = ''", "3:8: name: is empty"},
    {"[[app]]\nname = 'a'", "2:3: [app] is a section"},
    {"[[phase]]\nname = 'p'", "2:3: \"kernel\" is missing in [[phase.match]]"},
    {"[[phase]]\nname = 'p'\nmatch = {kernel = 'a', grid_x = '1K'}", "4:33: grid_x: must be a number"},
    {"[[phase]]\nmatch = {kernel = 'a'}", "2:3: \"name\" is missing in [[phase]]"},
    {"[[phase]]\nname = 'p'\nmatch = {kernel = 'a'}\ngoal = 'speed'", "5:8: goal cannot be \"speed\""},
    {"[[phase]]\nname = 'p'\nmatch = {kernel = 'a'}\n[[phase]]\nname = 'p'\nmatch = {kernel = 'b'}", "6:8: there is a phase \"p\" in line 3 already"},
    {"[[phase]]\nname = 'p'\nmatch = {kernel = 'a'}\n[[phase]]\nname = 'q'\nmatch = {kernel = 'a'}", "6:8: this phase and \"p\" of line 3 match the same"},
    {"[[breakpoint]]\nname = 'b'\nafter = {nth = 3}", "4:9: \"kernel\" is missing in [[breakpoint.after]]"},
    {"[[breakpoint]]\nname = 'b'\nafter = {kernel = 'a', nth = 0}", "4:30: nth is out of range; it may be from 1 to 1000000"},
    {"[[breakpoint]]\nname = 'b'\nafter = {kernel = 'a'}\nsave = ['kv']", "5:8: save: must hold classes"},
    {"[[breakpoint]]\nname = 'b'\nafter = {kernel = 'a'}\nsave = 'weights'", "5:8: save must be an array of strings"},
    {"[[breakpoint]]\nname = 'b'\nafter = {kernel = 'a'}\nsave = ['weights']", "3:8: breakpoint \"b\" saves weights, and no [[region]]"},
};

static void wrong_texts_are_told(void **state)
{
    char text[1024];
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        snprintf(text, sizeof text, "schema = 1\n%s\n", wrong[i].text);
        if (!read_text(text))
            fail_msg("taken: %s", wrong[i].text);
        if (strncmp(error.text, "x.toml:", 7) || strncmp(error.text + 7, wrong[i].problem, strlen(wrong[i].problem)))
            fail_msg("%s\n gives     %s\n expected  x.toml:%s", wrong[i].text, error.text, wrong[i].problem);
    }
}

static void the_schema_is_needed(void **state)
{
    (void)state;
    assert_int_not_equal(read_text(""), 0);
    assert_string_equal(error.text, "x.toml:1:1: \"schema\" is missing");
    assert_int_not_equal(read_text("schema = 2"), 0);
    assert_non_null(strstr(error.text, "1:10: schema: is not 1"));
    assert_int_not_equal(read_text("schema = 'a'"), 0);
    assert_int_equal(read_text("schema = 1"), 0); // and nothing else
    assert_int_equal(hints.region_count, 0);
}

static void all_problems_are_told(void **state)
{
    (void)state;
    assert_int_not_equal(read_text("scheme = 1\n[[region]]\nclass = 'x'\nkeep = 3\nmatch = {arg = 'a', size = 'q'}\n[nowhere]\n[app]\nmatch = {exe = 1}\n"), 0);
    assert_int_equal(told_count, 8); // scheme, class, keep, arg, size, nowhere, exe; schema missing
    assert_non_null(strstr(told[0], "did you mean \"schema\"?"));
    assert_non_null(strstr(told[7], "\"schema\" is missing"));
    // Contradictions come once the keys are good, and all of them.
    assert_int_not_equal(read_text("schema = 1\n[[region]]\nclass='weights'\nmatch={arg=1}\nkeep='remote'\n[[region]]\nclass='scratch'\nmatch={arg=1}\n"), 0);
    assert_int_equal(told_count, 4); // arg twice, keep, the same match
}

static void numbers_are_bounded(void **state)
{
    static char text[200 << 10];
    size_t at = (size_t)sprintf(text, "schema = 1\n");
    (void)state;
    for (int i = 1; i <= GN_HINTS_REGIONS_MAX; i++)
        at += (size_t)sprintf(text + at, "[[region]]\nclass = 'input'\nmatch = {size = %d}\n", i);
    assert_int_equal(read_text(text), 0);
    assert_int_equal(hints.region_count, GN_HINTS_REGIONS_MAX);
    sprintf(text + at, "[[region]]\nclass = 'input'\nmatch = {size = 1000}\n");
    assert_int_not_equal(read_text(text), 0);
    assert_non_null(strstr(error.text, "there may be 64 rules"));
    at = (size_t)sprintf(text, "schema = 1\n");
    for (int i = 0; i < 60; i++) {
        at += (size_t)sprintf(text + at, "[[region]]\nclass = 'kv_cache'\nmatch = {size = %d}\nsession = '", i + 1);
        memset(text + at, 'x', 500);
        at += 500;
        at += (size_t)sprintf(text + at, "'\n");
    }
    assert_int_not_equal(read_text(text), 0);
    assert_non_null(strstr(error.text, "more than 16 KiB"));
}

static void ranges(void **state)
{
    static const struct {
        const char *text;
        uint64_t low, high;
    } good[] = {{"5", 5, 5}, {" 5 ", 5, 5}, {"> 5", 6, UINT64_MAX}, {">=5", 5, UINT64_MAX}, {"< 5", 0, 4}, {"<= 5", 0, 5}, {"2..5", 2, 5}, {"2 .. 5", 2, 5},
                {"2..", 2, UINT64_MAX}, {"..5", 0, 5}, {"0", 0, 0}, {"7..7", 7, 7}};
    struct gn_hint_range r;
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_null(gn_hints_parse_range(good[i].text, false, &r));
        assert_true(r.low == good[i].low && r.high == good[i].high);
    }
    assert_null(gn_hints_parse_range("> 1MiB", true, &r));
    assert_int_equal(r.low, (1 << 20) + 1);
    static const char *const bad[] = {"", " ", ">", "..", "a", "5a", "5..a", "=5", "5 6", "> 5 6", "-1", "> 18446744073709551615", "1..2..3", ". .", "5.", "1.5"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (!gn_hints_parse_range(bad[i], false, &r))
            fail_msg("\"%s\" is taken", bad[i]);
    enum gn_hint_when when;
    assert_null(gn_hints_parse_order("3rd allocation", &when, &r));
    assert_true(when == GN_WHEN_NUMBER && r.low == 3 && r.high == 3);
    assert_null(gn_hints_parse_order("12-th allocation", &when, &r));
    assert_int_equal(r.low, 12);
    assert_null(gn_hints_parse_order("> 3", &when, &r));
    assert_int_equal(r.low, 4);
}

static const char *fake(const char *name) { return !strcmp(name, "MODE") ? "faster" : !strcmp(name, "EMPTY") ? "" : NULL; }

static void programs(void **state)
{
    const struct gn_hint_program good = {"llm_decode", "--style stateless -n 3", "0123abcdef", fake};
    struct gn_hint_program p = good;
    (void)state;
    assert_int_equal(read_text(example), 0);
    assert_null(gn_hints_app_differs(&hints, &p, false));
    p.exe = "other";
    assert_non_null(gn_hints_app_differs(&hints, &p, true));
    p = good;
    p.argv = "--style offload";
    assert_non_null(gn_hints_app_differs(&hints, &p, false));
    p = good;
    p.image = "0123abc";
    assert_non_null(gn_hints_app_differs(&hints, &p, false));
    p.image = "";
    assert_non_null(gn_hints_app_differs(&hints, &p, false));
    assert_int_equal(read_text("schema = 1\n[app]\nmatch = {env = ['MODE=slow']}"), 0);
    assert_non_null(gn_hints_app_differs(&hints, &good, false));
    assert_int_equal(read_text("schema = 1\n[app]\nmatch = {env = ['NOT=*']}"), 0);
    assert_non_null(gn_hints_app_differs(&hints, &good, false));
    assert_int_equal(read_text("schema = 1\n[app]\nname = 'x'"), 0); // without a condition: only when it is named
    assert_non_null(gn_hints_app_differs(&hints, &good, false));
    assert_null(gn_hints_app_differs(&hints, &good, true));
}

static void sessions(void **state)
{
    char out[16];
    (void)state;
    assert_int_equal(gn_hints_expand("a-${MODE}-b${EMPTY}", fake, out, sizeof out), 0);
    assert_string_equal(out, "a-faster-b");
    assert_int_equal(gn_hints_expand("${NOT}", fake, out, sizeof out), -2);
    assert_int_equal(gn_hints_expand("${MODE}${MODE}${MODE}", fake, out, sizeof out), -36);
    assert_int_equal(gn_hints_expand("123456789012345", fake, out, sizeof out), 0);
    assert_int_equal(gn_hints_expand("1234567890123456", fake, out, sizeof out), -36);
}

static void the_schema_table_is_sound(void **state)
{
    (void)state;
    const char *reason = gn_config_check_schema(&gn_hints_schema);
    if (reason)
        fail_msg("%s", reason);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_is_read), cmocka_unit_test(wrong_texts_are_told), cmocka_unit_test(the_schema_is_needed),
        cmocka_unit_test(all_problems_are_told), cmocka_unit_test(numbers_are_bounded), cmocka_unit_test(ranges), cmocka_unit_test(programs),
        cmocka_unit_test(sessions), cmocka_unit_test(the_schema_table_is_sound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
