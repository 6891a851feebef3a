// SPDX-License-Identifier: Apache-2.0
// TOML values that hold others or text: arrays, inline tables and the four kinds of strings.
#include "core/toml/toml_parse.h"

#include <errno.h>
#include <string.h>

static bool at_text(const struct gn_toml_parser *p, const char *text)
{
    size_t length = strlen(text);
    return (size_t)(p->end - p->at) >= length && memcmp(p->at, text, length) == 0;
}

static int put_code_point(struct gn_toml_parser *p, uint32_t code)
{
    char utf8[4];
    if (code < 0x80) {
        utf8[0] = (char)code;
        return gn_toml_put(p, utf8, 1);
    }
    unsigned length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (unsigned i = length - 1; i > 0; i--, code >>= 6)
        utf8[i] = (char)(0x80 | (code & 0x3f));
    utf8[0] = (char)((0xf00 >> length & 0xff) | code); // 110..., 1110..., 11110...
    return gn_toml_put(p, utf8, length);
}

static int read_unicode(struct gn_toml_parser *p, struct gn_toml_place place, unsigned digits)
{
    uint32_t code = 0;
    for (unsigned i = 0; i < digits; i++, p->at++) {
        char c = p->at < p->end ? *p->at : 0;
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return gn_toml_fail(p, -EINVAL, "%u hexadecimal digits are expected in this escape", digits);
        code = code << 4 | (uint32_t)digit;
    }
    if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        return gn_toml_fail_at(p, place, -EINVAL, "U+%04X is no Unicode character", code);
    return put_code_point(p, code);
}

// A backslash at a line's end in a multi-line string: it, the line's end and all blanks and lines behind
// vanish. 1 = done, 0 = not one.
static int skip_folded_lines(struct gn_toml_parser *p)
{
    const char *backslash = p->at++;
    gn_toml_skip_blanks(p);
    if (!gn_toml_skip_newline(p)) {
        p->at = backslash;
        return 0;
    }
    do
        gn_toml_skip_blanks(p);
    while (gn_toml_skip_newline(p));
    return 1;
}

static int read_escape(struct gn_toml_parser *p, bool multi_line)
{
    static const char names[] = "btnfr\"\\", values[] = "\b\t\n\f\r\"\\";
    if (multi_line && skip_folded_lines(p))
        return 0;
    struct gn_toml_place place = gn_toml_here(p);
    char c = p->end - p->at > 1 ? p->at[1] : 0;
    const char *name = c ? strchr(names, c) : NULL;
    if (!name && c != 'u' && c != 'U')
        return gn_toml_fail(
            p, -EINVAL, "unknown escape; \\b \\t \\n \\f \\r \\\" \\\\ \\uXXXX and \\UXXXXXXXX are known");
    p->at += 2;
    if (name)
        return gn_toml_put(p, &values[name - names], 1);
    return read_unicode(p, place, c == 'u' ? 4 : 8);
}

// How many plain bytes stand here: up to a quote, backslash or control character.
static size_t plain_length(const struct gn_toml_parser *p, char quote)
{
    const char *at = p->at;
    while (at < p->end && *at != quote && (*at != '\\' || quote == '\'') &&
           (((unsigned char)*at >= ' ' && *at != 0x7f) || *at == '\t'))
        at++;
    return (size_t)(at - p->at);
}

// At a quote in a multi-line string. Three end it; up to two more before them belong to the text. *ended says
// which it was.
static int read_quotes(struct gn_toml_parser *p, char quote, bool *ended)
{
    size_t count = 0;
    while (count < 5 && p->at < p->end && *p->at == quote) {
        p->at++;
        count++;
    }
    *ended = count >= 3;
    char quotes[2] = {quote, quote};
    return gn_toml_put(p, quotes, *ended ? count - 3 : count);
}

// The text of a string behind its opening quotes, up to behind its closing ones, into the arena.
static int read_text(struct gn_toml_parser *p, char quote, bool multi_line, struct gn_toml_place opening)
{
    for (;;) {
        size_t length = plain_length(p, quote);
        int rc = gn_toml_put(p, p->at, length);
        if (rc < 0)
            return rc;
        p->at += length;
        const char *before = p->at;
        bool ended = false;
        if (p->at == p->end || (!multi_line && (*p->at == '\n' || *p->at == '\r')))
            return gn_toml_fail_at(p, opening, -EINVAL, "this string is not closed%s",
                                   multi_line ? "" : " before the line ends");
        if (*p->at == quote && multi_line) {
            rc = read_quotes(p, quote, &ended);
        } else if (*p->at == quote) {
            p->at++;
            ended = true;
        } else if (*p->at == '\\') {
            rc = read_escape(p, multi_line);
        } else if (gn_toml_skip_newline(p)) {
            rc = gn_toml_put(p, before, (size_t)(p->at - before));
        } else {
            return gn_toml_fail(p, -EINVAL, "control character 0x%02x in a string; write it as an escape",
                                (unsigned char)*p->at);
        }
        if (rc < 0 || ended)
            return rc;
    }
}

int gn_toml_string(struct gn_toml_parser *p, bool multi_line_allowed, const char **text, uint32_t *bytes)
{
    struct gn_toml_place opening = gn_toml_here(p);
    char quote = *p->at;
    bool multi_line = at_text(p, quote == '"' ? "\"\"\"" : "'''");
    if (multi_line && !multi_line_allowed)
        return gn_toml_fail(p, -EINVAL, "a key cannot be a multi-line string; quote it once");
    p->at += multi_line ? 3 : 1;
    if (multi_line)
        gn_toml_skip_newline(p); // right behind the quotes it does not count
    const char *start = p->arena_at;
    int rc = read_text(p, quote, multi_line, opening);
    if (rc < 0)
        return rc;
    *text = start;
    *bytes = (uint32_t)(p->arena_at - start);
    return gn_toml_put(p, "", 1);
}

// Blanks, comments and line ends, as they may stand between the elements of an array.
static int skip_lines(struct gn_toml_parser *p)
{
    do {
        gn_toml_skip_blanks(p);
        int rc = gn_toml_skip_comment(p);
        if (rc < 0)
            return rc;
    } while (gn_toml_skip_newline(p));
    return 0;
}

static int read_array(struct gn_toml_parser *p, struct gn_toml_node *array)
{
    p->at++;
    for (;;) {
        struct gn_toml_node *element;
        int rc = skip_lines(p);
        if (rc < 0)
            return rc;
        if (at_text(p, "]"))
            break;
        rc = gn_toml_value(p, &element);
        if (rc < 0)
            return rc;
        gn_toml_append(array, element);
        rc = skip_lines(p);
        if (rc < 0)
            return rc;
        if (at_text(p, "]"))
            break;
        if (!at_text(p, ","))
            return gn_toml_fail(p, -EINVAL, "a comma or ] is expected in the array of line %u", array->line);
        p->at++;
    }
    p->at++;
    return 0;
}

static int read_inline_table(struct gn_toml_parser *p, struct gn_toml_node *table)
{
    p->at++;
    gn_toml_skip_blanks(p);
    while (!at_text(p, "}") || table->count) {
        int rc = gn_toml_keyval(p, table);
        if (rc < 0)
            return rc;
        gn_toml_skip_blanks(p);
        if (at_text(p, "}"))
            break;
        if (!at_text(p, ","))
            return gn_toml_fail(p, -EINVAL, "a comma or } is expected: an inline table stands on one line");
        p->at++;
        gn_toml_skip_blanks(p);
        if (at_text(p, "}"))
            return gn_toml_fail(p, -EINVAL, "a key is expected: an inline table has no comma at its end");
    }
    p->at++;
    return 0;
}

int gn_toml_value(struct gn_toml_parser *p, struct gn_toml_node **node)
{
    char c = p->at < p->end ? *p->at : '\n';
    enum gn_toml_kind kind = c == '[' ? GN_TOML_ARRAY : c == '{' ? GN_TOML_TABLE : GN_TOML_STRING;
    int rc = gn_toml_new_node(p, kind, gn_toml_here(p), node);
    if (rc < 0)
        return rc;
    (*node)->origin = GN_TOML_BY_VALUE;
    if (c == '"' || c == '\'')
        return gn_toml_string(p, true, &(*node)->text, &(*node)->text_bytes);
    if (kind == GN_TOML_STRING)
        return gn_toml_plain(p, *node);
    if (p->depth >= GN_TOML_DEPTH_MAX)
        return gn_toml_fail(p, -EINVAL, "nested deeper than %d levels", GN_TOML_DEPTH_MAX);
    p->depth++;
    rc = kind == GN_TOML_ARRAY ? read_array(p, *node) : read_inline_table(p, *node);
    p->depth--;
    return rc;
}
