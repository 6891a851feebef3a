// SPDX-License-Identifier: Apache-2.0
// Question: does the parser read TOML 1.0 as the public toml-test suite defines it? Method: every file that
// the suite lists for 1.0; valid ones must give the tagged JSON beside them, invalid ones must be refused
// with a place inside the text. The suite is no part of the project: it is looked for in GENIE_TOML_TEST,
// else at ../shared/data/toml-test, and the tests skip without it.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "core/toml/toml.h"

enum {
    PATH_BYTES = 1024,
    VALID_LEAST = 200,
    INVALID_LEAST = 400
}; // it lists 210 and 499; a cut-off list must not pass

static const char *suite(void)
{
    const char *path = getenv("GENIE_TOML_TEST");
    return path ? path : "../shared/data/toml-test";
}

static char *load(const char *name, size_t *size_bytes)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", suite(), name);
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    fseek(file, 0, SEEK_END);
    size_t size = (size_t)ftell(file);
    rewind(file);
    char *data = malloc(size + 1);
    *size_bytes = fread(data, 1, size, file);
    data[*size_bytes] = 0;
    fclose(file);
    return data;
}

// jansson takes no NUL in keys, but TOML does: on both sides of the comparison U+E000, which the suite does
// not use, stands in for it.
static void replace_nul_escapes(char *json)
{
    for (char *at = json; (at = strchr(at, '\\'));) {
        if (strncmp(at, "\\u0000", 6) == 0)
            memcpy(at, "\\ue000", 6);
        at += 2;
    }
}

static char *replace_nuls(const char *text, size_t bytes, size_t *replaced_bytes)
{
    char *out = malloc(3 * bytes + 1), *to = out;
    for (size_t i = 0; i < bytes; i++) {
        if (text[i])
            *to++ = text[i];
        else
            to = stpcpy(to, "\xee\x80\x80");
    }
    *to = 0;
    *replaced_bytes = (size_t)(to - out);
    return out;
}

static bool string_equals(const char *text, size_t bytes, const json_t *want)
{
    size_t replaced_bytes;
    char *replaced = replace_nuls(text, bytes, &replaced_bytes);
    bool equal = json_string_length(want) == replaced_bytes &&
                 memcmp(json_string_value(want), replaced, replaced_bytes) == 0;
    free(replaced);
    return equal;
}

static const json_t *member_named(const json_t *object, const char *key, size_t bytes)
{
    size_t replaced_bytes;
    char *replaced = replace_nuls(key, bytes, &replaced_bytes);
    const json_t *member = json_object_get(object, replaced);
    free(replaced);
    return member;
}

// Walks a date-time in the suite's spelling and ours at once: same fields, fractions alike up to trailing
// zeros.
static bool time_equals(const struct gn_toml_node *node, const char *want)
{
    const struct gn_toml_time *t = &node->time;
    char text[64], *to = text;
    if (node->kind != GN_TOML_LOCAL_TIME)
        to += sprintf(to, "%04u-%02u-%02u", t->year, t->month, t->day);
    if (node->kind == GN_TOML_OFFSET_DATETIME || node->kind == GN_TOML_LOCAL_DATETIME)
        *to++ = 'T';
    *to = 0;
    if (node->kind == GN_TOML_LOCAL_DATE)
        return strcmp(text, want) == 0;
    to += sprintf(to, "%02u:%02u:%02u", t->hour, t->minute, t->second);
    size_t length = strlen(text);
    if (strncmp(text, want, length) != 0)
        return false;
    uint32_t nanosecond = 0;
    want += length;
    if (*want == '.') {
        uint32_t unit = 100000000;
        for (want++; *want >= '0' && *want <= '9'; want++, unit /= 10)
            nanosecond += (uint32_t)(*want - '0') * unit;
    }
    if (nanosecond != t->nanosecond)
        return false;
    if (node->kind == GN_TOML_OFFSET_DATETIME && t->offset_minutes)
        snprintf(text, sizeof text, "%c%02d:%02d", t->offset_minutes < 0 ? '-' : '+',
                 abs(t->offset_minutes) / 60, abs(t->offset_minutes) % 60);
    else
        strcpy(text, node->kind == GN_TOML_OFFSET_DATETIME ? "Z" : "");
    return strcmp(text, want) == 0;
}

static bool float_equals(double value, const char *want)
{
    double wanted = strtod(want, NULL);
    return (isnan(value) && isnan(wanted)) || value == wanted;
}

static bool scalar_equals(const struct gn_toml_node *node, const char *type, const json_t *want)
{
    static const char *const types[] = {
        [GN_TOML_STRING] = "string",
        [GN_TOML_INTEGER] = "integer",
        [GN_TOML_FLOAT] = "float",
        [GN_TOML_BOOL] = "bool",
        [GN_TOML_OFFSET_DATETIME] = "datetime",
        [GN_TOML_LOCAL_DATETIME] = "datetime-local",
        [GN_TOML_LOCAL_DATE] = "date-local",
        [GN_TOML_LOCAL_TIME] = "time-local",
    };
    const char *text = json_string_value(want);
    char number[32];
    if (node->kind >= sizeof types / sizeof *types || strcmp(types[node->kind], type) != 0)
        return false;
    switch ((enum gn_toml_kind)node->kind) {
    case GN_TOML_STRING: return string_equals(node->text, node->text_bytes, want);
    case GN_TOML_INTEGER:
        snprintf(number, sizeof number, "%lld", (long long)node->integer);
        return strcmp(number, text) == 0;
    case GN_TOML_FLOAT: return float_equals(node->number, text);
    case GN_TOML_BOOL: return strcmp(text, node->boolean ? "true" : "false") == 0;
    default: return time_equals(node, text);
    }
}

static bool equals(const struct gn_toml_node *node, const json_t *want)
{
    const char *type = json_string_value(json_object_get(want, "type"));
    const json_t *value = json_object_get(want, "value");
    if (json_is_array(want)) {
        if (node->kind != GN_TOML_ARRAY || node->count != json_array_size(want))
            return false;
        size_t i = 0;
        for (const struct gn_toml_node *n = node->first; n; n = n->next) {
            if (!equals(n, json_array_get(want, i++)))
                return false;
        }
        return true;
    }
    if (type && json_is_string(value) && json_object_size(want) == 2)
        return scalar_equals(node, type, value);
    if (node->kind != GN_TOML_TABLE || node->count != json_object_size(want))
        return false;
    for (const struct gn_toml_node *n = node->first; n; n = n->next) {
        const json_t *member = member_named(want, n->key, n->key_bytes);
        if (!member || !equals(n, member) || gn_toml_get(node, n->key, n->key_bytes) != n)
            return false;
    }
    return true;
}

struct parsed {
    char *text;
    void *arena;
    struct gn_toml_node *root;
    struct gn_toml_error error;
    size_t text_bytes;
    int rc;
};

static struct parsed parse(const char *name)
{
    struct parsed d = {.text = load(name, &d.text_bytes)};
    if (!d.text)
        fail_msg("%s/%s cannot be read", suite(), name);
    size_t arena_bytes = GN_TOML_ARENA_BYTES(d.text_bytes);
    d.arena = malloc(arena_bytes);
    d.rc = gn_toml_parse(d.text, d.text_bytes, d.arena, arena_bytes, &d.root, &d.error);
    return d;
}

static void release(struct parsed *d)
{
    free(d->text);
    free(d->arena);
}

static bool check_valid(const char *name)
{
    char json_name[PATH_BYTES];
    snprintf(json_name, sizeof json_name, "%.*s.json", (int)(strlen(name) - strlen(".toml")), name);
    size_t json_bytes;
    char *json_text = load(json_name, &json_bytes);
    json_error_t json_error;
    if (json_text)
        replace_nul_escapes(json_text);
    json_t *want = json_text ? json_loadb(json_text, json_bytes, 0, &json_error) : NULL;
    if (!want)
        fail_msg("%s: no JSON", json_name);
    struct parsed d = parse(name);
    bool good = d.rc == 0 && equals(d.root, want);
    if (d.rc != 0)
        print_error("%s:%u:%u: refused: %s\n", name, d.error.line, d.error.column, d.error.text);
    else if (!good)
        print_error("%s: other values than its JSON\n", name);
    release(&d);
    json_decref(want);
    free(json_text);
    return good;
}

static bool check_invalid(const char *name)
{
    struct parsed d = parse(name);
    uint32_t lines = 1;
    for (size_t i = 0; i < d.text_bytes; i++)
        lines += d.text[i] == '\n';
    bool good = d.rc == -22 && !d.root && d.error.text[0] && d.error.line >= 1 && d.error.line <= lines &&
                d.error.column >= 1;
    if (!good)
        print_error("%s: rc %d at %u:%u: %s\n", name, d.rc, d.error.line, d.error.column, d.error.text);
    if (getenv("GENIE_TOML_TEST_SHOW"))
        print_message("%s:%u:%u: %s\n", name, d.error.line, d.error.column, d.error.text);
    release(&d);
    return good;
}

static void walk(const char *prefix, bool (*check)(const char *name), unsigned least)
{
    size_t bytes;
    char *list = load("files-toml-1.0.0", &bytes), *rest = NULL;
    unsigned count = 0, bad = 0;
    if (!list) {
        print_message("no toml-test suite at %s\n", suite());
        skip();
    }
    for (char *name = strtok_r(list, "\r\n", &rest); name; name = strtok_r(NULL, "\r\n", &rest)) {
        size_t length = strlen(name);
        if (strncmp(name, prefix, strlen(prefix)) != 0 || length < 5 ||
            strcmp(name + length - 5, ".toml") != 0)
            continue;
        count++;
        bad += !check(name);
    }
    free(list);
    print_message("%s: %u files, %u bad\n", prefix, count, bad);
    assert_int_equal(bad, 0);
    assert_true(count >= least);
}

static void valid_files_give_their_values(void **state)
{
    (void)state;
    walk("valid/", check_valid, VALID_LEAST);
}

static void invalid_files_are_refused(void **state)
{
    (void)state;
    walk("invalid/", check_invalid, INVALID_LEAST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_files_give_their_values),
        cmocka_unit_test(invalid_files_are_refused),
    };
    return cmocka_run_group_tests_name("toml-test", tests, NULL, NULL);
}
