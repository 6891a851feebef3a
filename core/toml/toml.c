// SPDX-License-Identifier: Apache-2.0
// TOML documents: lines, keys, tables, and the rules of what may be defined where.
#include "core/toml/toml_parse.h"

#include <errno.h>
#include <string.h>

void gn_toml_skip_blanks(struct gn_toml_parser *p)
{
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\t'))
        p->at++;
}

bool gn_toml_skip_newline(struct gn_toml_parser *p)
{
    size_t left = (size_t)(p->end - p->at);
    size_t length = left && *p->at == '\n' ? 1 : left > 1 && p->at[0] == '\r' && p->at[1] == '\n' ? 2 : 0;
    if (!length)
        return false;
    p->at += length;
    p->line++;
    p->line_start = p->at;
    return true;
}

int gn_toml_skip_comment(struct gn_toml_parser *p)
{
    if (p->at == p->end || *p->at != '#')
        return 0;
    for (; p->at < p->end && *p->at != '\n'; p->at++) {
        unsigned char c = (unsigned char)*p->at;
        if (c == '\r' && p->end - p->at > 1 && p->at[1] == '\n')
            break;
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return gn_toml_fail(p, -EINVAL,
                                "control character 0x%02x in a comment; only tabs are allowed there", c);
    }
    return 0;
}

// How many bytes the character at `at` has, or 0 when it is not UTF-8 (too long a form, a surrogate, above
// U+10FFFF, cut off).
static unsigned utf8_length(const unsigned char *at, const unsigned char *end)
{
    static const struct {
        unsigned char first_low, first_high, second_low, second_high, length;
    } forms[] = {
        {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
        {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
        {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    if (*at < 0x80)
        return 1;
    for (unsigned i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (*at < forms[i].first_low || *at > forms[i].first_high)
            continue;
        if (end - at < forms[i].length || at[1] < forms[i].second_low || at[1] > forms[i].second_high)
            return 0;
        for (unsigned k = 2; k < forms[i].length; k++) {
            if ((at[k] & 0xc0) != 0x80)
                return 0;
        }
        return forms[i].length;
    }
    return 0;
}

static int check_utf8(struct gn_toml_parser *p)
{
    const struct gn_toml_parser start = *p;
    while (p->at < p->end) {
        unsigned length = utf8_length((const unsigned char *)p->at, (const unsigned char *)p->end);
        if (!length)
            return gn_toml_fail(p, -EINVAL, "byte 0x%02x is not valid UTF-8 here; TOML is UTF-8 text",
                                (unsigned char)*p->at);
        p->at += length;
        if (p->at[-1] == '\n') {
            p->line++;
            p->line_start = p->at;
        }
    }
    *p = start;
    return 0;
}

static bool is_bare(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

static int read_key_part(struct gn_toml_parser *p, struct gn_toml_key *key)
{
    *key = (struct gn_toml_key){.place = gn_toml_here(p)};
    if (p->at < p->end && (*p->at == '"' || *p->at == '\''))
        return gn_toml_string(p, false, &key->text, &key->bytes);
    const char *start = p->at;
    while (p->at < p->end && is_bare(*p->at))
        p->at++;
    if (p->at == start)
        return gn_toml_fail(p, -EINVAL, "a key is expected: letters, digits, _ and -, or a quoted string");
    key->text = p->arena_at;
    key->bytes = (uint32_t)(p->at - start);
    int rc = gn_toml_put(p, start, key->bytes);
    return rc < 0 ? rc : gn_toml_put(p, "", 1);
}

// Behind a key part and blanks: steps over a dot and the blanks behind it, if there is one.
static bool skip_dot(struct gn_toml_parser *p)
{
    gn_toml_skip_blanks(p);
    if (p->at == p->end || *p->at != '.')
        return false;
    p->at++;
    gn_toml_skip_blanks(p);
    return true;
}

static int go_deeper(struct gn_toml_parser *p, struct gn_toml_place place)
{
    if (p->depth >= GN_TOML_DEPTH_MAX)
        return gn_toml_fail_at(p, place, -EINVAL, "nested deeper than %d levels", GN_TOML_DEPTH_MAX);
    p->depth++;
    return 0;
}

static int fail_defined(struct gn_toml_parser *p, const struct gn_toml_key *key,
                        const struct gn_toml_node *node)
{
    char shown[GN_TOML_SHOWN_BYTES];
    return gn_toml_fail_at(
        p, key->place, -EINVAL, "\"%s\" is already defined as %s in line %u; it can be defined only once",
        gn_toml_show(key->text, key->bytes, shown), gn_toml_kind_name(node), node->key_line);
}

static int add_table(struct gn_toml_parser *p, struct gn_toml_node *parent, const struct gn_toml_key *key,
                     enum gn_toml_origin origin, struct gn_toml_node **table)
{
    int rc = gn_toml_new_node(p, GN_TOML_TABLE, key->place, table);
    if (rc < 0)
        return rc;
    (*table)->origin = origin;
    gn_toml_add(parent, key, *table);
    return 0;
}

// One dot further in a key of key = value: only tables that dotted keys made may be added to in this way.
static int enter_dotted(struct gn_toml_parser *p, struct gn_toml_node **table, const struct gn_toml_key *key)
{
    struct gn_toml_node *next = gn_toml_get(*table, key->text, key->bytes);
    int rc = go_deeper(p, key->place);
    if (rc < 0)
        return rc;
    if (!next)
        return add_table(p, *table, key, GN_TOML_BY_DOTS, table);
    if (next->kind != GN_TOML_TABLE || next->origin != GN_TOML_BY_DOTS)
        return fail_defined(p, key, next);
    *table = next;
    return 0;
}

// One dot further in a header: into a table of any open kind, or the last element of an array of tables.
static int enter_header(struct gn_toml_parser *p, struct gn_toml_node **table, const struct gn_toml_key *key)
{
    struct gn_toml_node *next = gn_toml_get(*table, key->text, key->bytes);
    int rc = go_deeper(p, key->place);
    if (rc < 0)
        return rc;
    if (!next)
        return add_table(p, *table, key, GN_TOML_IMPLIED, table);
    if ((next->kind != GN_TOML_TABLE && next->kind != GN_TOML_ARRAY) || next->origin == GN_TOML_BY_VALUE)
        return fail_defined(p, key, next);
    if (next->kind == GN_TOML_ARRAY) {
        rc = go_deeper(p, key->place);
        next = next->last;
    }
    *table = next;
    return rc;
}

static int define_table(struct gn_toml_parser *p, struct gn_toml_node **table, const struct gn_toml_key *key)
{
    struct gn_toml_node *next = gn_toml_get(*table, key->text, key->bytes);
    int rc = go_deeper(p, key->place);
    if (rc < 0)
        return rc;
    if (!next)
        return add_table(p, *table, key, GN_TOML_BY_HEADER, table);
    if (next->kind != GN_TOML_TABLE || next->origin != GN_TOML_IMPLIED)
        return fail_defined(p, key, next);
    next->origin = GN_TOML_BY_HEADER;
    *table = next;
    return 0;
}

static int define_element(struct gn_toml_parser *p, struct gn_toml_node **table,
                          const struct gn_toml_key *key)
{
    struct gn_toml_node *array = gn_toml_get(*table, key->text, key->bytes);
    int rc = go_deeper(p, key->place);
    if (rc == 0)
        rc = go_deeper(p, key->place);
    if (rc < 0)
        return rc;
    if (array && (array->kind != GN_TOML_ARRAY || array->origin != GN_TOML_BY_HEADER))
        return fail_defined(p, key, array);
    if (!array) {
        rc = gn_toml_new_node(p, GN_TOML_ARRAY, key->place, &array);
        if (rc < 0)
            return rc;
        array->origin = GN_TOML_BY_HEADER;
        gn_toml_add(*table, key, array);
    }
    rc = gn_toml_new_node(p, GN_TOML_TABLE, key->place, table);
    if (rc < 0)
        return rc;
    (*table)->origin = GN_TOML_BY_HEADER;
    gn_toml_append(array, *table);
    return 0;
}

// [table] or [[array of tables]]: *current becomes the table that the following lines fill.
static int read_header(struct gn_toml_parser *p, struct gn_toml_node **current)
{
    struct gn_toml_node *table = p->root;
    struct gn_toml_key key;
    p->depth = 0;
    p->at++;
    bool is_element = p->at < p->end && *p->at == '[';
    p->at += is_element;
    gn_toml_skip_blanks(p);
    for (;;) {
        int rc = read_key_part(p, &key);
        if (rc < 0)
            return rc;
        if (!skip_dot(p))
            break;
        rc = enter_header(p, &table, &key);
        if (rc < 0)
            return rc;
    }
    const char *closing = is_element ? "]]" : "]";
    size_t length = strlen(closing);
    if ((size_t)(p->end - p->at) < length || memcmp(p->at, closing, length) != 0)
        return gn_toml_fail(p, -EINVAL, "%s or a dot is expected after the name of a table", closing);
    p->at += length;
    *current = table;
    return is_element ? define_element(p, current, &key) : define_table(p, current, &key);
}

int gn_toml_keyval(struct gn_toml_parser *p, struct gn_toml_node *table)
{
    struct gn_toml_key key;
    struct gn_toml_node *value;
    uint32_t depth = p->depth;
    int rc;
    for (;;) {
        rc = read_key_part(p, &key);
        if (rc < 0)
            return rc;
        if (!skip_dot(p))
            break;
        rc = enter_dotted(p, &table, &key);
        if (rc < 0)
            return rc;
    }
    if (p->at == p->end || *p->at != '=')
        return gn_toml_fail(p, -EINVAL, "= and a value are expected after a key");
    const struct gn_toml_node *existing = gn_toml_get(table, key.text, key.bytes);
    if (existing)
        return fail_defined(p, &key, existing);
    p->at++;
    gn_toml_skip_blanks(p);
    rc = gn_toml_value(p, &value);
    if (rc < 0)
        return rc;
    gn_toml_add(table, &key, value);
    p->depth = depth;
    return 0;
}

static int read_line(struct gn_toml_parser *p, struct gn_toml_node **current)
{
    int rc = 0;
    gn_toml_skip_blanks(p);
    if (p->at < p->end && *p->at != '#' && *p->at != '\n' && *p->at != '\r')
        rc = *p->at == '[' ? read_header(p, current) : gn_toml_keyval(p, *current);
    if (rc < 0)
        return rc;
    gn_toml_skip_blanks(p);
    rc = gn_toml_skip_comment(p);
    if (rc < 0)
        return rc;
    if (p->at < p->end && !gn_toml_skip_newline(p))
        return gn_toml_fail(p, -EINVAL, "the end of the line is expected here");
    return 0;
}

int gn_toml_parse(const char *text, size_t text_bytes, void *arena, size_t arena_bytes,
                  struct gn_toml_node **root, struct gn_toml_error *error)
{
    static const char byte_order_mark[] = "\xef\xbb\xbf";
    struct gn_toml_parser p = {
        .at = text,
        .end = text + text_bytes,
        .line_start = text,
        .line = 1,
        .arena_at = arena,
        .arena_end = (char *)arena + arena_bytes,
        .error = error,
    };
    *root = NULL;
    if (text_bytes > GN_TOML_TEXT_BYTES_MAX)
        return gn_toml_fail(&p, -E2BIG, "the text is larger than %d bytes", GN_TOML_TEXT_BYTES_MAX);
    int rc = check_utf8(&p);
    if (rc < 0)
        return rc;
    if (text_bytes >= 3 && memcmp(text, byte_order_mark, 3) == 0)
        p.at += 3;
    rc = gn_toml_new_node(&p, GN_TOML_TABLE, (struct gn_toml_place){1, 1}, &p.root);
    if (rc < 0)
        return rc;
    p.root->origin = GN_TOML_BY_HEADER;
    struct gn_toml_node *current = p.root;
    while (rc == 0 && p.at < p.end)
        rc = read_line(&p, &current);
    if (rc == 0)
        *root = p.root;
    return rc;
}
