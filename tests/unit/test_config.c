// SPDX-License-Identifier: Apache-2.0
// Question: does a settings file land in its struct, and is everything else answered with file, line, column
// and a useful sentence? Method: a schema with every type, good texts, bad texts with their whole message,
// and the unit parsers on their own.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/config.h"

enum { REGIONS_MAX = 2, ARENA_BYTES = 64 << 10 };

enum level { LEVEL_OFF, LEVEL_WARN, LEVEL_DEBUG };
static const char *const levels[] = {"off", "warn", "debug", NULL};

struct region {
    const char *name;
    uint64_t size_bytes;
    bool pinned;
};

struct settings {
    const char *driver;
    struct gn_config_strings listen;
    uint32_t sessions;
    int16_t nice;
    uint8_t small;
    uint64_t memory_bytes, idle_ns;
    enum level level;
    bool quiet;
    char token[16];
    struct region regions[REGIONS_MAX];
    uint32_t region_count;
};

static const char *set_token(void *target, const struct gn_config_key *key,
                             const struct gn_config_value *value)
{
    struct settings *s = target;
    (void)key;
    if (strlen(value->string) >= sizeof s->token)
        return "longer than 15 characters";
    strcpy(s->token, value->string);
    return NULL;
}

static void *begin_region(void *target, const struct gn_config_key *key, uint32_t index, const char **reason)
{
    struct settings *s = target;
    (void)key;
    if (index >= REGIONS_MAX) {
        *reason = "at most 2 regions";
        return NULL;
    }
    s->region_count = index + 1;
    return &s->regions[index];
}

static const char *end_region(void *target, void *element)
{
    (void)target;
    const struct region *region = element;
    return region->pinned && region->size_bytes > 4096 ? "a pinned region has at most 4K" : NULL;
}

static const struct gn_config_key region_keys[] = {
    {"", "name", GN_CONFIG_STRING, GN_CONFIG_FIELD(struct region, name), .required = true, .doc = "d"},
    {"", "size", GN_CONFIG_SIZE, GN_CONFIG_FIELD(struct region, size_bytes), .min = 1, .max = 1 << 20,
     .doc = "d"},
    {"use", "pinned", GN_CONFIG_BOOL, GN_CONFIG_FIELD(struct region, pinned), .doc = "d"},
};
static const struct gn_config_schema region_schema = {region_keys, 3};

static const struct gn_config_key keys[] = {
    {"", "driver", GN_CONFIG_STRING, GN_CONFIG_FIELD(struct settings, driver), .doc = "d"},
    {"", "listen", GN_CONFIG_STRINGS, GN_CONFIG_FIELD(struct settings, listen), .doc = "d"},
    {"", "region", GN_CONFIG_TABLES, .elements = &region_schema, .begin = begin_region, .end = end_region,
     .doc = "d"},
    {"limits", "max_sessions", GN_CONFIG_INTEGER, GN_CONFIG_FIELD(struct settings, sessions), .min = 1,
     .max = 4096, .doc = "d"},
    {"limits", "nice", GN_CONFIG_INTEGER, GN_CONFIG_FIELD(struct settings, nice), .min = -20, .max = 19,
     .doc = "d"},
    {"limits", "small", GN_CONFIG_INTEGER, GN_CONFIG_FIELD(struct settings, small), .doc = "d"},
    {"limits.memory", "device", GN_CONFIG_SIZE, GN_CONFIG_FIELD(struct settings, memory_bytes),
     .min = 1 << 20, .max = 1ll << 40, .doc = "d"},
    {"limits", "idle", GN_CONFIG_DURATION, GN_CONFIG_FIELD(struct settings, idle_ns), .min = 1000000,
     .max = 3600000000000, .doc = "d"},
    {"log", "level", GN_CONFIG_ENUM, GN_CONFIG_FIELD(struct settings, level), .names = levels, .doc = "d"},
    {"log", "quiet", GN_CONFIG_BOOL, GN_CONFIG_FIELD(struct settings, quiet), .doc = "d"},
    {"log", "token", GN_CONFIG_STRING, .set = set_token, .doc = "d"},
};
static const struct gn_config_schema schema = {keys, sizeof keys / sizeof *keys};

static _Alignas(16) char arena[ARENA_BYTES];
static struct gn_config_error error;

static int read_into(struct settings *s, const char *text)
{
    *s = (struct settings){.driver = "default", .sessions = 64, .idle_ns = 7};
    error.text[0] = 0;
    return gn_config_read(&schema, "s.toml", text, strlen(text), arena, sizeof arena, s, &error);
}

static void every_type_lands_in_its_field(void **state)
{
    (void)state;
    struct settings s;
    int rc = read_into(&s, "driver = '/lib/x'\nlisten = ['a:1', 'unix:/b']\n"
                           "[limits]\nmax_sessions = 12\nnice = -5\nsmall = 255\nidle = '2s'\n"
                           "[limits.memory]\ndevice = '8G'\n"
                           "[log]\nlevel = 'debug'\nquiet = true\ntoken = 'abc'\n"
                           "[[region]]\nname = 'one'\nsize = 77\n"
                           "[[region]]\nname = 'two'\nuse.pinned = true\n");
    assert_string_equal(error.text, "");
    assert_int_equal(rc, 0);
    assert_string_equal(s.driver, "/lib/x");
    assert_int_equal(s.listen.count, 2);
    assert_string_equal(s.listen.first->text, "a:1");
    assert_string_equal(s.listen.first->next->text, "unix:/b");
    assert_int_equal(s.sessions, 12);
    assert_int_equal(s.nice, -5);
    assert_int_equal(s.small, 255);
    assert_int_equal(s.memory_bytes, 8ull << 30);
    assert_int_equal(s.idle_ns, 2000000000);
    assert_int_equal(s.level, LEVEL_DEBUG);
    assert_true(s.quiet);
    assert_string_equal(s.token, "abc");
    assert_int_equal(s.region_count, 2);
    assert_string_equal(s.regions[0].name, "one");
    assert_int_equal(s.regions[0].size_bytes, 77);
    assert_string_equal(s.regions[1].name, "two");
    assert_true(s.regions[1].pinned);
}

static void absent_keys_keep_their_defaults(void **state)
{
    (void)state;
    struct settings s;
    assert_int_equal(read_into(&s, "[limits]\n[log]\n"), 0);
    assert_string_equal(s.driver, "default");
    assert_int_equal(s.sessions, 64);
    assert_int_equal(s.idle_ns, 7);
    assert_int_equal(s.region_count, 0);
    assert_null(s.listen.first);
}

static void spellings_of_tables_are_one(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "[limits.memory]\ndevice = '1M'",         "limits.memory.device = 1048576",
        "limits = {memory = {device = '1024K'}}", "[limits]\nmemory.device = '1MiB'",
        "limits.memory = { device = '1M' }",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct settings s;
        assert_int_equal(read_into(&s, texts[i]), 0);
        assert_int_equal(s.memory_bytes, 1 << 20);
    }
    struct settings s;
    assert_int_equal(read_into(&s, "region = [{name = 'a'}, {name = 'b', size = '1K'}]"), 0);
    assert_int_equal(s.region_count, 2);
    assert_int_equal(s.regions[1].size_bytes, 1024);
    assert_int_equal(read_into(&s, "limits.idle = 1.5"), 0);
    assert_int_equal(s.idle_ns, 1500000000);
    assert_int_equal(read_into(&s, "limits.idle = 3"), 0);
    assert_int_equal(s.idle_ns, 3000000000);
}

static const struct bad {
    const char *text, *message;
} bads[] = {
    // unknown
    {"\n  drivr = 'x'", "s.toml:2:3: unknown key \"drivr\"; did you mean \"driver\"?"},
    {"[limits]\nmax-sesions = 1",
     "s.toml:2:1: unknown key \"max-sesions\" in [limits]; did you mean \"max_sessions\"?"},
    {"[limits]\nMAX_SESSIONS = 1",
     "s.toml:2:1: unknown key \"MAX_SESSIONS\" in [limits]; did you mean \"max_sessions\"?"},
    {"[limits]\ninec = 1", "s.toml:2:1: unknown key \"inec\" in [limits]"},
    {"[limits]\nncie = 1", "s.toml:2:1: unknown key \"ncie\" in [limits]; did you mean \"nice\"?"},
    {"[limits]\nbanana = 1", "s.toml:2:1: unknown key \"banana\" in [limits]"},
    {"level = 'off'", "s.toml:1:1: unknown key \"level\"; it belongs in [log]"},
    {"[log]\ndriver = 'x'",
     "s.toml:2:1: unknown key \"driver\" in [log]; it belongs before the first section"},
    {"[limit]\nx = 1", "s.toml:1:2: unknown section [limit]; did you mean [limits]?"},
    {"[limits.memroy]\nx = 1", "s.toml:1:9: unknown section [limits.memroy]; did you mean [limits.memory]?"},
    {"[[regions]]\nname = 'x'", "s.toml:1:3: unknown section [regions]; did you mean [region]?"},
    {"[zzz]", "s.toml:1:2: unknown section [zzz]"},
    {"\"limits.memory\".device = 1",
     "s.toml:1:1: unknown section [\"limits.memory\"]; did you mean [limits.memory]?"},
    {"\"driver\\u0000\" = 1", "s.toml:1:1: unknown key \"driver?\"; did you mean \"driver\"?"},
    {"\"\" = 1", "s.toml:1:1: unknown key \"\""},
    {"[[region]]\nname = 'a'\nsiez = 1",
     "s.toml:3:1: unknown key \"siez\" in [[region]]; did you mean \"size\"?"},
    {"[[region]]\nname = 'a'\nuse.pined = true",
     "s.toml:3:5: unknown key \"pined\" in [[region.use]]; did you mean \"pinned\"?"},
    {"[[region]]\nname = 'a'\n[region.sub]", "s.toml:3:9: unknown section [region.sub]"},
    // missing
    {"[[region]]\nname = 'a'\n[[region]]\nsize = 1", "s.toml:3:3: \"name\" is missing in [[region]]"},
    // types
    {"driver = 1", "s.toml:1:10: driver must be a string, not an integer"},
    {"driver = 'a'\n[limits]\nmax_sessions = '12'",
     "s.toml:3:16: max_sessions must be an integer, not a string"},
    {"limits.max_sessions = 1.0", "s.toml:1:23: max_sessions must be an integer, not a float"},
    {"log.quiet = 1", "s.toml:1:13: quiet must be true or false, not an integer"},
    {"log.quiet = 1979-05-27", "s.toml:1:13: quiet must be true or false, not a local date"},
    {"listen = 'a'", "s.toml:1:10: listen must be an array of strings, not a string"},
    {"listen = ['a',\n 2]", "s.toml:2:2: listen must hold strings only, not an integer"},
    {"listen = [\"a\\u0000\"]", "s.toml:1:11: listen must not contain the character U+0000"},
    {"driver = \"a\\u0000b\"", "s.toml:1:10: driver must not contain the character U+0000"},
    {"limits.memory.device = 1.5", "s.toml:1:24: device must be a size like \"64K\", \"512MiB\" or \"8G\", "
                                   "or a number of bytes, not a float"},
    {"limits.idle = true",
     "s.toml:1:15: idle must be a duration like \"2s\" or \"50ms\", or a number of seconds, not a boolean"},
    {"limits = 1", "s.toml:1:10: [limits] is a section, not an integer"},
    {"[[limits]]", "s.toml:1:3: [limits] is a section, not an array of tables"},
    {"[driver]", "s.toml:1:2: driver must be a string, not a table"},
    {"[region]",
     "s.toml:1:2: region must be tables, each under its own header in double brackets, not a table"},
    {"region = [1]", "s.toml:1:11: region must hold tables only, not an integer"},
    // values
    {"limits.max_sessions = 0", "s.toml:1:23: max_sessions is out of range; it may be from 1 to 4096"},
    {"limits.max_sessions = 4097", "s.toml:1:23: max_sessions is out of range; it may be from 1 to 4096"},
    {"limits.nice = -21", "s.toml:1:15: nice is out of range; it may be from -20 to 19"},
    {"limits.small = 256", "s.toml:1:16: small is out of range; it may be from 0 to 255"},
    {"limits.small = -1", "s.toml:1:16: small is out of range; it may be from 0 to 255"},
    {"limits.memory.device = '2T'", "s.toml:1:24: device is out of range; it may be from 1M to 1T"},
    {"limits.memory.device = '99999999999T'", "s.toml:1:24: device is out of range; it may be from 1M to 1T"},
    {"limits.memory.device = -1", "s.toml:1:24: device is out of range; it may be from 1M to 1T"},
    {"limits.memory.device = '8GB'",
     "s.toml:1:24: \"8GB\" is no size; a number with K, M, G, T, KiB, MiB, GiB, TiB or nothing is expected"},
    {"limits.idle = '2 s'",
     "s.toml:1:15: \"2 s\" is no duration; a number with ns, us, ms, s, min or h is expected"},
    {"limits.idle = '2h'", "s.toml:1:15: idle is out of range; it may be from 1ms to 3600s"},
    {"limits.idle = 0.0001", "s.toml:1:15: idle is out of range; it may be from 1ms to 3600s"},
    {"limits.idle = nan", "s.toml:1:15: idle is out of range; it may be from 1ms to 3600s"},
    {"limits.idle = inf", "s.toml:1:15: idle is out of range; it may be from 1ms to 3600s"},
    {"limits.idle = -1", "s.toml:1:15: idle is out of range; it may be from 1ms to 3600s"},
    {"limits.idle = 9223372036854775807", "s.toml:1:15: idle is out of range; it may be from 1ms to 3600s"},
    {"log.level = 'verbose'",
     "s.toml:1:13: level cannot be \"verbose\"; \"off\", \"warn\" or \"debug\" is expected"},
    {"log.level = 1", "s.toml:1:13: level must be \"off\", \"warn\" or \"debug\", not an integer"},
    {"log.token = '1234567890123456'", "s.toml:1:13: token: longer than 15 characters"},
    {"[[region]]\nname='a'\n[[region]]\nname='b'\n[[region]]\nname='c'",
     "s.toml:5:3: region: at most 2 regions"},
    {"[[region]]\nname='a'\nsize='8K'\nuse.pinned=true",
     "s.toml:1:3: region: a pinned region has at most 4K"},
    {"[[region]]\nname='a'\nsize=0", "s.toml:3:6: size is out of range; it may be from 1 to 1M"},
    // the parser's
    {"driver = 'a'\ndriver = 'b'",
     "s.toml:2:1: \"driver\" is already defined as a string in line 1; it can be defined only once"},
    {"driver = a",
     "s.toml:1:10: \"a\" is no value; a number, date, true, false or a quoted string is expected"},
};

static void mistakes_are_answered(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bads / sizeof *bads; i++) {
        struct settings s;
        assert_int_equal(read_into(&s, bads[i].text), -EINVAL);
        assert_string_equal(error.text, bads[i].message);
    }
}

static void long_names_are_cut(void **state)
{
    (void)state;
    char text[3000], file[2000];
    struct settings s;
    memset(text, 'x', 2000);
    strcpy(text + 2000, " = 1");
    assert_int_equal(read_into(&s, text), -EINVAL);
    assert_true(strlen(error.text) < 150);
    assert_non_null(strstr(error.text, "xxx...\""));
    memset(file, 'f', sizeof file - 1);
    file[sizeof file - 1] = 0;
    assert_int_equal(gn_config_read(&schema, file, "x=1", 3, arena, sizeof arena, &s, &error), -EINVAL);
    assert_int_equal(strlen(error.text), GN_CONFIG_ERROR_BYTES - 1);
}

static void a_small_arena_is_said(void **state)
{
    (void)state;
    struct settings s;
    const char *text = "driver = 'x'";
    assert_int_equal(gn_config_read(&schema, "s.toml", text, strlen(text), arena, 200, &s, &error), -ENOMEM);
    assert_non_null(strstr(error.text, "too small"));
}

static void sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int rc;
        uint64_t bytes;
    } cases[] = {
        {"0", 0, 0},
        {"4096", 0, 4096},
        {"1B", 0, 1},
        {"64KiB", 0, 65536},
        {"64K", 0, 65536},
        {"512M", 0, 512ull << 20},
        {"8G", 0, 8ull << 30},
        {"2TiB", 0, 2ull << 40},
        {"18446744073709551615", 0, UINT64_MAX},
        {"18446744073709551616", -ERANGE, 0},
        {"16777216T", -ERANGE, 0},
        {"99999999999999999999999X", -EINVAL, 0},
        {"", -EINVAL, 0},
        {"G", -EINVAL, 0},
        {"-1", -EINVAL, 0},
        {"+1", -EINVAL, 0},
        {" 1", -EINVAL, 0},
        {"1 G", -EINVAL, 0},
        {"1.5G", -EINVAL, 0},
        {"1g", -EINVAL, 0},
        {"1KB", -EINVAL, 0},
        {"0x10", -EINVAL, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t bytes = 0;
        assert_int_equal(gn_config_parse_size(cases[i].text, &bytes), cases[i].rc);
        assert_int_equal(bytes, cases[i].bytes);
    }
}

static void durations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int rc;
        uint64_t ns;
    } cases[] = {
        {"2", 0, 2000000000},
        {"0.5", 0, 500000000},
        {"2s", 0, 2000000000},
        {"1.5s", 0, 1500000000},
        {"50ms", 0, 50000000},
        {"200us", 0, 200000},
        {"7ns", 0, 7},
        {"1.9ns", 0, 1},
        {"5min", 0, 300000000000},
        {"1h", 0, 3600000000000},
        {"0.25h", 0, 900000000000},
        {"0.000000001999s", 0, 1},
        {"18446744073", 0, 18446744073000000000u},
        {"18446744074", -ERANGE, 0},
        {"18446744073.8", -ERANGE, 0},
        {"99999999999999999999999ns", -ERANGE, 0},
        {"", -EINVAL, 0},
        {"s", -EINVAL, 0},
        {"-1s", -EINVAL, 0},
        {"1.", -EINVAL, 0},
        {".5", -EINVAL, 0},
        {"1.s", -EINVAL, 0},
        {"1 s", -EINVAL, 0},
        {"1m", -EINVAL, 0},
        {"1e3", -EINVAL, 0},
        {"1,5s", -EINVAL, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t ns = 0;
        assert_int_equal(gn_config_parse_duration(cases[i].text, &ns), cases[i].rc);
        assert_int_equal(ns, cases[i].ns);
    }
}

static void enums_and_nearest_names(void **state)
{
    (void)state;
    uint32_t index = 99;
    assert_int_equal(gn_config_parse_enum("debug", levels, &index), 0);
    assert_int_equal(index, LEVEL_DEBUG);
    assert_int_equal(gn_config_parse_enum("Debug", levels, &index), -EINVAL);
    assert_int_equal(gn_config_parse_enum("", levels, &index), -EINVAL);

    static const char *const names[] = {"memory", "max_sessions", "id", "level"};
    static const struct {
        const char *word, *near;
    } cases[] = {
        {"memroy", "memory"},
        {"memmory", "memory"},
        {"emory", "memory"},
        {"maxsessions", "max_sessions"},
        {"max-Sessions", "max_sessions"},
        {"ib", "id"},
        {"xy", NULL},
        {"lvel", "level"},
        {"label", NULL},
        {"something else", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *near = gn_config_nearest(cases[i].word, strlen(cases[i].word), names, 4);
        assert_string_equal(near ? near : "(none)", cases[i].near ? cases[i].near : "(none)");
    }
    char word[200];
    memset(word, 'm', sizeof word);
    assert_null(gn_config_nearest(word, sizeof word, names, 4));
}

// --- all problems at once, and values of several forms

struct heard {
    uint32_t problems, words, integers;
    char text[32], first[GN_CONFIG_ERROR_BYTES], last[GN_CONFIG_ERROR_BYTES];
};

static const char *hear_value(void *target, const struct gn_config_key *key, const struct gn_config_value *value)
{
    struct heard *h = target;
    if (key->type == GN_CONFIG_TEXT)
        snprintf(h->text, sizeof h->text, "%s", value->string);
    else if (key->type == GN_CONFIG_WORDS)
        h->words = value->strings.count;
    else
        h->integers = value->integers.count;
    return NULL;
}

static void hear_problem(void *context, const char *text)
{
    struct heard *h = context;
    snprintf(h->problems++ ? h->last : h->first, GN_CONFIG_ERROR_BYTES, "%s", text);
}

static const struct gn_config_key form_keys[] = {
    {"", "text", GN_CONFIG_TEXT, .set = hear_value, .doc = "d"},
    {"", "words", GN_CONFIG_WORDS, .set = hear_value, .doc = "d"},
    {"", "integers", GN_CONFIG_INTEGERS, .set = hear_value, .max = 9, .doc = "d"},
    {"", "needed", GN_CONFIG_TEXT, .set = hear_value, .required = true, .doc = "d"},
};
static const struct gn_config_schema form_schema = {form_keys, 4};

static int hear(struct heard *h, const char *text)
{
    const struct gn_config_listener listener = {hear_problem, h};
    *h = (struct heard){0};
    error.text[0] = 0;
    int rc = gn_config_read_all(&form_schema, "s.toml", text, strlen(text), arena, sizeof arena, h, &error, &listener);
    assert_true((rc < 0) == (h->problems > 0));
    assert_string_equal(error.text, h->first);
    return rc;
}

static void values_of_several_forms(void **state)
{
    struct heard h;
    (void)state;
    assert_null(gn_config_check_schema(&form_schema));
    assert_int_equal(hear(&h, "needed = -12\nwords = 'a'\nintegers = 3\n"), 0);
    assert_string_equal(h.text, "-12");
    assert_int_equal(h.words, 1);
    assert_int_equal(h.integers, 1);
    assert_int_equal(hear(&h, "needed = 'x y'\nwords = ['a', 'b']\nintegers = [3, 9, 0]\n"), 0);
    assert_string_equal(h.text, "x y");
    assert_int_equal(h.words, 2);
    assert_int_equal(h.integers, 3);
    assert_int_equal(hear(&h, "needed = 1\nwords = []\nintegers = []\n"), 0);
    static const char *const bad[] = {"text = 1.5", "text = true", "text = [1]", "text = \"a\\u0000\"", "words = 1", "words = ['a', 1]",
                                      "words = {a = 1}", "integers = 'a'", "integers = 10", "integers = [1, 10]", "integers = [1, '2']", "integers = -1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[64];
        snprintf(text, sizeof text, "needed = 1\n%s\n", bad[i]);
        if (hear(&h, text) != -EINVAL || h.problems != 1 || strncmp(h.first, "s.toml:2:", 9))
            fail_msg("%s: %s", bad[i], h.first);
    }
}

static void all_problems_are_told(void **state)
{
    struct heard h;
    static char many[8192];
    (void)state;
    assert_int_equal(hear(&h, "text = true\nunknown = 1\n[nowhere]\nx = 1\n"), -EINVAL);
    assert_int_equal(h.problems, 4);
    assert_string_equal(h.last, "s.toml:1:1: \"needed\" is missing");
    assert_int_equal(hear(&h, "text = true\nunknown 1\n"), -EINVAL); // what is no TOML has no second problem
    assert_int_equal(h.problems, 1);
    for (size_t i = 0, at = 0; i < 500; i++)
        at += (size_t)sprintf(many + at, "k%zu = 1\n", i);
    assert_int_equal(hear(&h, many), -EINVAL);
    assert_int_equal(h.problems, GN_CONFIG_PROBLEMS_MAX);
}

static void schemas_are_checked(void **state)
{
    (void)state;
    assert_null(gn_config_check_schema(&schema));
    static const struct gn_config_key bad_keys[] = {
        {"", "a", GN_CONFIG_INTEGER, .doc = "d"},
        {"", "a", GN_CONFIG_TEXT, .doc = "d"},
        {"", "a", GN_CONFIG_INTEGERS, .doc = "d"},
        {"", "a", GN_CONFIG_WORDS, .doc = "d"},
        {"", "a", GN_CONFIG_INTEGER, GN_CONFIG_FIELD(struct settings, small), .max = 256, .doc = "d"},
        {"", "a", GN_CONFIG_INTEGER, GN_CONFIG_FIELD(struct settings, nice), .min = -40000, .max = 1,
         .doc = "d"},
        {"", "a", GN_CONFIG_INTEGER, GN_CONFIG_FIELD(struct settings, nice), .min = 2, .max = 1, .doc = "d"},
        {"", "a", GN_CONFIG_SIZE, GN_CONFIG_FIELD(struct settings, memory_bytes), .min = -1, .max = 1,
         .doc = "d"},
        {"", "a", GN_CONFIG_STRING, GN_CONFIG_FIELD(struct settings, small), .doc = "d"},
        {"", "a", GN_CONFIG_BOOL, GN_CONFIG_FIELD(struct settings, sessions), .doc = "d"},
        {"", "a", GN_CONFIG_ENUM, GN_CONFIG_FIELD(struct settings, level), .doc = "d"},
        {"", "a", GN_CONFIG_TABLES, .doc = "d"},
        {"", "a", GN_CONFIG_BOOL, GN_CONFIG_FIELD(struct settings, quiet)},
    };
    for (size_t i = 0; i < sizeof bad_keys / sizeof *bad_keys; i++)
        assert_non_null(gn_config_check_schema(&(struct gn_config_schema){&bad_keys[i], 1}));
    const struct gn_config_key twice[] = {keys[0], keys[0]};
    assert_non_null(gn_config_check_schema(&(struct gn_config_schema){twice, 2}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_lands_in_its_field),
        cmocka_unit_test(absent_keys_keep_their_defaults),
        cmocka_unit_test(spellings_of_tables_are_one),
        cmocka_unit_test(mistakes_are_answered),
        cmocka_unit_test(long_names_are_cut),
        cmocka_unit_test(a_small_arena_is_said),
        cmocka_unit_test(sizes),
        cmocka_unit_test(durations),
        cmocka_unit_test(enums_and_nearest_names),
        cmocka_unit_test(values_of_several_forms),
        cmocka_unit_test(all_problems_are_told),
        cmocka_unit_test(schemas_are_checked),
    };
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
