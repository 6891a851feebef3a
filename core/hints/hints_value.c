// SPDX-License-Identifier: Apache-2.0
// What is written inside strings of a sidecar: ranges, orders, session keys; and what they are compared with.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/hints/glob.h"
#include "core/hints/hints.h"

enum { NUMBER_BYTES = 32, VARIABLE_BYTES = 128 };

static bool is_space(char c) { return c == ' ' || c == '\t'; }

static const char *skip_spaces(const char *at)
{
    while (is_space(*at))
        at++;
    return at;
}

// One number at *at, up to a space, "..", or the end.
static const char *read_number(const char **at, bool sizes, uint64_t *value)
{
    char word[NUMBER_BYTES];
    size_t n = 0;
    const char *from = skip_spaces(*at);
    while (from[n] && !is_space(from[n]) && from[n] != '.')
        n++;
    if (!n || n >= sizeof word)
        return sizes ? "must be a size like \"64KiB\", \"> 1MiB\" or \"4KiB..2MiB\"" : "must be a number like 4, \"> 1\" or \"2..5\"";
    memcpy(word, from, n);
    word[n] = 0;
    int rc = !sizes && strspn(word, "0123456789") != n ? -EINVAL : gn_config_parse_size(word, value);
    if (rc)
        return rc == -ERANGE ? "has a number above 2^64"
               : sizes       ? "must be a size like \"64KiB\", \"> 1MiB\" or \"4KiB..2MiB\""
                             : "must be a number like 4, \"> 1\" or \"2..5\"";
    *at = skip_spaces(from + n);
    return NULL;
}

static const char *read_comparison(const char *at, bool sizes, struct gn_hint_range *range)
{
    bool less = *at == '<', equal = at[1] == '=';
    uint64_t value;
    at += 1 + equal;
    const char *reason = read_number(&at, sizes, &value);
    if (reason)
        return reason;
    if (*at)
        return "has something behind its number";
    if (!equal && value == (less ? 0 : UINT64_MAX))
        return "holds for no number";
    if (less)
        range->high = equal ? value : value - 1;
    else
        range->low = equal ? value : value + 1;
    return NULL;
}

const char *gn_hints_parse_range(const char *text, bool sizes, struct gn_hint_range *range)
{
    const char *at = skip_spaces(text), *reason;
    struct gn_hint_range r = {0, UINT64_MAX};
    *range = r;
    if (*at == '<' || *at == '>')
        return read_comparison(at, sizes, range);
    bool open = at[0] == '.' && at[1] == '.';
    if (!open && (reason = read_number(&at, sizes, &r.low)))
        return reason;
    if (!*at) {
        range->low = range->high = r.low;
        return NULL;
    }
    if (at[0] != '.' || at[1] != '.')
        return "has something behind its number";
    at = skip_spaces(at + 2);
    if (!*at && open)
        return "names neither end of its range";
    if (*at && (reason = read_number(&at, sizes, &r.high)))
        return reason;
    if (*at)
        return "has something behind its range";
    if (r.low > r.high)
        return "is a range whose end comes before its beginning";
    *range = r;
    return NULL;
}

// "3rd", "1st", "20th", "n-th": the number, or 0.
static uint64_t ordinal(const char *word, size_t word_bytes)
{
    static const char *const endings[] = {"st", "nd", "rd", "th", "-th", "."};
    size_t digits = strspn(word, "0123456789");
    char number[NUMBER_BYTES];
    uint64_t value = 0;
    bool ends = digits == word_bytes;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        ends |= strlen(endings[i]) == word_bytes - digits && !strncmp(word + digits, endings[i], word_bytes - digits);
    if (!ends || !digits || digits >= sizeof number)
        return 0;
    memcpy(number, word, digits);
    number[digits] = 0;
    return gn_config_parse_size(number, &value) ? 0 : value;
}

const char *gn_hints_parse_order(const char *text, enum gn_hint_when *when, struct gn_hint_range *number)
{
    const char *at = skip_spaces(text);
    size_t n = strcspn(at, " \t");
    *number = (struct gn_hint_range){0, UINT64_MAX};
    if (!strcmp(at, "before first launch") || !strcmp(at, "after first launch")) {
        *when = *at == 'b' ? GN_WHEN_BEFORE_LAUNCH : GN_WHEN_AFTER_LAUNCH;
        return NULL;
    }
    *when = GN_WHEN_NUMBER;
    if (!strcmp(skip_spaces(at + n), "allocation")) {
        number->low = number->high = ordinal(at, n);
        return number->low ? NULL : "has no number like \"3rd allocation\", from 1 on";
    }
    if (gn_hints_parse_range(text, false, number))
        return "must be \"before first launch\", \"after first launch\", \"3rd allocation\", or a range of allocations like \"2..5\"";
    return number->high ? NULL : "counts allocations from 1 on";
}

// --- the environment

bool gn_hints_env_holds(const struct gn_hint_envs *envs, const char *(*get)(const char *name))
{
    for (uint32_t i = 0; i < envs->count; i++) {
        const char *value = get(envs->list[i].name);
        if (!value || !gn_glob_match(envs->list[i].glob, value))
            return false;
    }
    return true;
}

// The variable's name behind "${": its length, or 0 when it is none.
static size_t name_bytes(const char *at)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
    size_t n = strspn(at, letters);
    return n && n < VARIABLE_BYTES && at[n] == '}' && !(*at >= '0' && *at <= '9') ? n : 0;
}

const char *gn_hints_check_session(const char *text)
{
    if (!*text)
        return "is empty: a session needs a key";
    for (const char *at = text; (at = strchr(at, '$')); at++)
        if (at[1] != '{' || !name_bytes(at + 2))
            return "has a $ that begins no ${NAME}";
    return NULL;
}

int gn_hints_expand(const char *text, const char *(*get)(const char *name), char *out, size_t out_bytes)
{
    size_t at = 0;
    while (*text) {
        char name[VARIABLE_BYTES];
        const char *piece = text;
        size_t n = text[0] == '$' && text[1] == '{' ? name_bytes(text + 2) : 0, piece_bytes = 1;
        if (n) {
            memcpy(name, text + 2, n);
            name[n] = 0;
            if (!(piece = get(name)))
                return -ENOENT;
            piece_bytes = strlen(piece);
        }
        if (out_bytes - at <= piece_bytes)
            return -ENAMETOOLONG;
        memcpy(out + at, piece, piece_bytes);
        at += piece_bytes;
        text += n ? n + 3 : 1;
    }
    if (at >= out_bytes)
        return -ENAMETOOLONG;
    out[at] = 0;
    return 0;
}

// --- the program

const char *gn_hints_app_differs(const struct gn_hints *hints, const struct gn_hint_program *program, bool named)
{
    const struct gn_hint_app *app = &hints->app;
    if (!app->at.line && !named)
        return "it names no program";
    if (app->exe && !gn_glob_match(app->exe, program->exe))
        return "exe is another";
    for (uint32_t i = 0; i < app->argv_count; i++)
        if (!gn_glob_match(app->argv[i], program->argv))
            return "argv does not match";
    if (!gn_hints_env_holds(&app->env, program->get))
        return "env does not match";
    if (app->image && strncmp(app->image, program->image, strlen(app->image)))
        return "image is another";
    return NULL;
}
