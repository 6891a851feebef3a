// SPDX-License-Identifier: Apache-2.0
// Reading a settings file: walks the document's tree along the table of known keys, converts, checks, stores,
// and says what is wrong where.
#include "core/config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct reader {
    const struct gn_config_schema *schema;
    const char *file_name;
    const char *outer; // the array that the tables of this schema are elements of, or "": for messages
    void *target;
    struct gn_config_error *error;
    const struct gn_config_listener *listener; // NULL: reading ends with the first problem
    uint32_t *problems;
};

enum { SHOWN_BYTES = 48 + 4, UNIT_TEXT_BYTES = 24, NAMES_TEXT_BYTES = 160, SUGGESTIONS_MAX = 128 };

static int fail(const struct reader *r, uint32_t line, uint32_t column, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static int fail(const struct reader *r, uint32_t line, uint32_t column, const char *format, ...)
{
    char other[GN_CONFIG_ERROR_BYTES], *to = (*r->problems)++ ? other : r->error->text;
    int length = snprintf(to, GN_CONFIG_ERROR_BYTES, "%s:%u:%u: ", r->file_name, line, column);
    va_list arguments;
    va_start(arguments, format);
    if (length >= 0 && length < GN_CONFIG_ERROR_BYTES)
        vsnprintf(to + length, GN_CONFIG_ERROR_BYTES - (size_t)length, format, arguments);
    va_end(arguments);
    if (r->listener && *r->problems <= GN_CONFIG_PROBLEMS_MAX)
        r->listener->tell(r->listener->context, to);
    return -EINVAL;
}

static bool goes_on(const struct reader *r, int rc) { return rc == 0 || (r->listener && *r->problems < GN_CONFIG_PROBLEMS_MAX); }

static const char *show(const char *text, size_t bytes, char shown[SHOWN_BYTES])
{
    size_t most = SHOWN_BYTES - 4, length = bytes < most ? bytes : most;
    for (size_t i = 0; i < length; i++)
        shown[i] = (unsigned char)text[i] < ' ' || text[i] == 0x7f ? '?' : text[i];
    while (length < bytes && length && ((unsigned char)text[length] & 0xc0) == 0x80)
        length--; // no half character at the cut
    strcpy(shown + length, length < bytes ? "..." : "");
    return shown;
}

// --- what a key expects, in words

static const char *write_size(uint64_t bytes, char text[UNIT_TEXT_BYTES])
{
    static const char *const names[] = {"", "K", "M", "G", "T"};
    unsigned unit = 0;
    for (; unit < 4 && bytes && bytes % 1024 == 0; unit++)
        bytes /= 1024;
    snprintf(text, UNIT_TEXT_BYTES, "%llu%s", (unsigned long long)bytes, names[unit]);
    return text;
}

static const char *write_duration(uint64_t ns, char text[UNIT_TEXT_BYTES])
{
    static const char *const names[] = {"ns", "us", "ms", "s"};
    unsigned unit = 0;
    for (; unit < 3 && ns % 1000 == 0 && ns; unit++)
        ns /= 1000;
    snprintf(text, UNIT_TEXT_BYTES, "%llu%s", (unsigned long long)ns, ns ? names[unit] : "s");
    return text;
}

static const char *write_names(const char *const *names, char text[NAMES_TEXT_BYTES])
{
    size_t length = 0;
    text[0] = 0;
    for (; *names && length < NAMES_TEXT_BYTES; names++) {
        const char *before = !length ? "" : names[1] ? ", " : " or ";
        length += (size_t)snprintf(text + length, NAMES_TEXT_BYTES - length, "%s\"%s\"", before, *names);
    }
    return text;
}

static int64_t most_of(const struct gn_config_key *key)
{
    unsigned bits = key->set || key->field_bytes >= 8 ? 63 : key->field_bytes * 8u - (key->min < 0);
    return bits >= 63 ? INT64_MAX : (int64_t)(((uint64_t)1 << bits) - 1);
}

static int64_t limit_of(const struct gn_config_key *key)
{
    return key->min || key->max ? key->max : most_of(key);
}

static int64_t least_of(const struct gn_config_key *key)
{
    // Without limits of its own an integer for a setter may be anything; a field is unsigned unless min says
    // otherwise.
    bool anything = key->type == GN_CONFIG_INTEGER && key->set && !key->min && !key->max;
    return anything ? INT64_MIN : key->min;
}

static int fail_range(const struct reader *r, const struct gn_toml_node *node,
                      const struct gn_config_key *key)
{
    char low[UNIT_TEXT_BYTES], high[UNIT_TEXT_BYTES];
    int64_t min = least_of(key), max = limit_of(key);
    if (key->type == GN_CONFIG_SIZE) {
        write_size((uint64_t)min, low);
        write_size((uint64_t)max, high);
    } else if (key->type == GN_CONFIG_DURATION) {
        write_duration((uint64_t)min, low);
        write_duration((uint64_t)max, high);
    } else {
        snprintf(low, sizeof low, "%lld", (long long)min);
        snprintf(high, sizeof high, "%lld", (long long)max);
    }
    return fail(r, node->line, node->column, "%s is out of range; it may be from %s to %s", key->key, low,
                high);
}

static int fail_type(const struct reader *r, const struct gn_toml_node *node, const struct gn_config_key *key)
{
    static const char *const wanted[] = {
        [GN_CONFIG_STRING] = "a string",
        [GN_CONFIG_BOOL] = "true or false",
        [GN_CONFIG_INTEGER] = "an integer",
        [GN_CONFIG_SIZE] = "a size like \"64K\", \"512MiB\" or \"8G\", or a number of bytes",
        [GN_CONFIG_DURATION] = "a duration like \"2s\" or \"50ms\", or a number of seconds",
        [GN_CONFIG_ENUM] = "one of its names",
        [GN_CONFIG_TEXT] = "a string or an integer",
        [GN_CONFIG_STRINGS] = "an array of strings",
        [GN_CONFIG_WORDS] = "a string or an array of strings",
        [GN_CONFIG_INTEGERS] = "an integer or an array of integers",
        [GN_CONFIG_TABLES] = "tables, each under its own header in double brackets",
    };
    return fail(r, node->line, node->column, "%s must be %s, not %s", key->key, wanted[key->type],
                gn_toml_kind_name(node));
}

// --- converting and storing

static bool is_c_string(const struct gn_toml_node *node)
{
    return node->kind == GN_TOML_STRING && strlen(node->text) == node->text_bytes;
}

static int fail_string(const struct reader *r, const struct gn_toml_node *node,
                       const struct gn_config_key *key)
{
    if (node->kind == GN_TOML_STRING)
        return fail(r, node->line, node->column, "%s must not contain the character U+0000", key->key);
    return fail_type(r, node, key);
}

static int convert_unit(const struct reader *r, const struct gn_toml_node *node,
                        const struct gn_config_key *key, uint64_t *value)
{
    static const double ns_per_s = 1e9, ns_limit = 9.2e18;
    bool is_size = key->type == GN_CONFIG_SIZE;
    int rc = 0;
    if (is_c_string(node)) {
        rc = is_size ? gn_config_parse_size(node->text, value) : gn_config_parse_duration(node->text, value);
        if (rc == -EINVAL) {
            char shown[SHOWN_BYTES];
            return fail(r, node->line, node->column, "\"%s\" is no %s; %s is expected",
                        show(node->text, node->text_bytes, shown), is_size ? "size" : "duration",
                        is_size ? "a number with K, M, G, T, KiB, MiB, GiB, TiB or nothing"
                                : "a number with ns, us, ms, s, min or h");
        }
    } else if (node->kind == GN_TOML_INTEGER) {
        uint64_t factor = is_size ? 1 : 1000000000;
        if (node->integer < 0 || (uint64_t)node->integer > UINT64_MAX / factor)
            rc = -ERANGE;
        else
            *value = (uint64_t)node->integer * factor;
    } else if (node->kind == GN_TOML_FLOAT && !is_size) {
        double ns = node->number * ns_per_s;
        if (!(ns >= 0 && ns < ns_limit)) // not a number fails both
            rc = -ERANGE;
        else
            *value = (uint64_t)(ns + 0.5);
    } else {
        return fail_type(r, node, key);
    }
    if (rc < 0 || *value > (uint64_t)limit_of(key) || *value < (uint64_t)key->min)
        return fail_range(r, node, key);
    return 0;
}

static int convert_enum(const struct reader *r, const struct gn_toml_node *node,
                        const struct gn_config_key *key, uint32_t *index)
{
    char shown[SHOWN_BYTES], names[NAMES_TEXT_BYTES];
    if (is_c_string(node) && gn_config_parse_enum(node->text, key->names, index) == 0)
        return 0;
    write_names(key->names, names);
    if (node->kind == GN_TOML_STRING)
        return fail(r, node->line, node->column, "%s cannot be \"%s\"; %s is expected", key->key,
                    show(node->text, node->text_bytes, shown), names);
    return fail(r, node->line, node->column, "%s must be %s, not %s", key->key, names,
                gn_toml_kind_name(node));
}

static int convert_strings(const struct reader *r, const struct gn_toml_node *node,
                           const struct gn_config_key *key, struct gn_config_strings *strings)
{
    if (key->type == GN_CONFIG_WORDS && node->kind == GN_TOML_STRING) {
        *strings = (struct gn_config_strings){.first = node, .count = 1};
        return is_c_string(node) ? 0 : fail_string(r, node, key);
    }
    if (node->kind != GN_TOML_ARRAY)
        return fail_type(r, node, key);
    for (const struct gn_toml_node *n = node->first; n; n = n->next) {
        if (n->kind != GN_TOML_STRING)
            return fail(r, n->line, n->column, "%s must hold strings only, not %s", key->key,
                        gn_toml_kind_name(n));
        if (!is_c_string(n))
            return fail_string(r, n, key);
    }
    *strings = (struct gn_config_strings){.first = node->first, .count = node->count};
    return 0;
}

static int convert_text(const struct reader *r, const struct gn_toml_node *node, const struct gn_config_key *key,
                        char digits[UNIT_TEXT_BYTES], const char **text)
{
    *text = node->kind == GN_TOML_INTEGER ? digits : node->text;
    if (node->kind == GN_TOML_INTEGER)
        snprintf(digits, UNIT_TEXT_BYTES, "%lld", (long long)node->integer);
    else if (!is_c_string(node))
        return fail_string(r, node, key);
    return 0;
}

static int convert_integers(const struct reader *r, const struct gn_toml_node *node, const struct gn_config_key *key,
                            struct gn_config_integers *integers)
{
    bool array = node->kind == GN_TOML_ARRAY;
    *integers = (struct gn_config_integers){.first = array ? node->first : node, .count = array ? node->count : 1};
    const struct gn_toml_node *n = integers->first;
    for (uint32_t i = 0; i < integers->count; i++, n = n->next) {
        if (n->kind != GN_TOML_INTEGER)
            return array ? fail(r, n->line, n->column, "%s must hold integers only, not %s", key->key, gn_toml_kind_name(n))
                         : fail_type(r, n, key);
        if (n->integer < least_of(key) || n->integer > limit_of(key))
            return fail_range(r, n, key);
    }
    return 0;
}

static int convert(const struct reader *r, const struct gn_toml_node *node, const struct gn_config_key *key,
                   struct gn_config_value *value)
{
    switch (key->type) {
    case GN_CONFIG_STRING:
        if (!is_c_string(node))
            return fail_string(r, node, key);
        value->string = node->text;
        return 0;
    case GN_CONFIG_BOOL:
        if (node->kind != GN_TOML_BOOL)
            return fail_type(r, node, key);
        value->boolean = node->boolean;
        return 0;
    case GN_CONFIG_INTEGER:
        if (node->kind != GN_TOML_INTEGER)
            return fail_type(r, node, key);
        value->integer = node->integer;
        return node->integer < least_of(key) || node->integer > limit_of(key) ? fail_range(r, node, key) : 0;
    case GN_CONFIG_SIZE: return convert_unit(r, node, key, &value->size_bytes);
    case GN_CONFIG_DURATION: return convert_unit(r, node, key, &value->duration_ns);
    case GN_CONFIG_ENUM: return convert_enum(r, node, key, &value->index);
    case GN_CONFIG_STRINGS:
    case GN_CONFIG_WORDS: return convert_strings(r, node, key, &value->strings);
    case GN_CONFIG_INTEGERS: return convert_integers(r, node, key, &value->integers);
    case GN_CONFIG_TEXT: // an integer comes in digits, from read_text
    case GN_CONFIG_TABLES: break;
    }
    return -EINVAL;
}

static void store_integer(void *field, uint16_t bytes, uint64_t value)
{
    uint8_t narrow1 = (uint8_t)value;
    uint16_t narrow2 = (uint16_t)value;
    uint32_t narrow4 = (uint32_t)value;
    switch (bytes) {
    case 1: memcpy(field, &narrow1, 1); break;
    case 2: memcpy(field, &narrow2, 2); break;
    case 4: memcpy(field, &narrow4, 4); break;
    default: memcpy(field, &value, 8); break;
    }
}

static void store(const struct reader *r, const struct gn_config_key *key,
                  const struct gn_config_value *value)
{
    void *field = (char *)r->target + key->field_offset;
    switch (key->type) {
    case GN_CONFIG_STRING: memcpy(field, &value->string, sizeof value->string); break;
    case GN_CONFIG_BOOL: memcpy(field, &value->boolean, sizeof value->boolean); break;
    case GN_CONFIG_INTEGER: store_integer(field, key->field_bytes, (uint64_t)value->integer); break;
    case GN_CONFIG_SIZE: store_integer(field, key->field_bytes, value->size_bytes); break;
    case GN_CONFIG_DURATION: store_integer(field, key->field_bytes, value->duration_ns); break;
    case GN_CONFIG_ENUM: store_integer(field, key->field_bytes, value->index); break;
    case GN_CONFIG_STRINGS: memcpy(field, &value->strings, sizeof value->strings); break;
    case GN_CONFIG_TEXT:
    case GN_CONFIG_WORDS:
    case GN_CONFIG_INTEGERS: // which always have a setter
    case GN_CONFIG_TABLES: break;
    }
}

// --- walking

static int read_table(const struct reader *r, const struct gn_toml_node *table, const char *path);
static int check_required(const struct reader *r, const struct gn_toml_node *table);

static int worse(int rc, int other) { return rc < 0 ? rc : other; }

static int read_elements(const struct reader *r, const struct gn_toml_node *node,
                         const struct gn_config_key *key)
{
    uint32_t index = 0;
    int all = 0;
    if (node->kind != GN_TOML_ARRAY)
        return fail_type(r, node, key);
    for (const struct gn_toml_node *n = node->first; n; n = n->next) {
        const char *reason = "more of them than there may be";
        if (n->kind != GN_TOML_TABLE)
            return fail(r, n->line, n->column, "%s must hold tables only, not %s", key->key,
                        gn_toml_kind_name(n));
        void *element = key->begin(r->target, key, index++, &reason);
        if (!element)
            return fail(r, n->line, n->column, "%s: %s", key->key, reason);
        const struct reader inner = {key->elements, r->file_name, key->key, element, r->error, r->listener, r->problems};
        int rc = read_table(&inner, n, "");
        if (goes_on(r, rc))
            rc = worse(rc, check_required(&inner, n));
        reason = rc == 0 && key->end ? key->end(r->target, element) : NULL;
        if (reason)
            rc = fail(r, n->line, n->column, "%s: %s", key->key, reason);
        all = worse(all, rc);
        if (!goes_on(r, rc))
            break;
    }
    return all;
}

static int read_value(const struct reader *r, const struct gn_toml_node *node,
                      const struct gn_config_key *key)
{
    struct gn_config_value value = {.line = node->line, .column = node->column};
    char digits[UNIT_TEXT_BYTES];
    if (key->type == GN_CONFIG_TABLES)
        return read_elements(r, node, key);
    int rc = key->type == GN_CONFIG_TEXT ? convert_text(r, node, key, digits, &value.string) : convert(r, node, key, &value);
    if (rc < 0)
        return rc;
    if (!key->set) {
        store(r, key, &value);
        return 0;
    }
    const char *reason = key->set(r->target, key, &value);
    return reason ? fail(r, node->line, node->column, "%s: %s", key->key, reason) : 0;
}

static bool key_is(const struct gn_config_key *key, const char *path, const struct gn_toml_node *node)
{
    return strcmp(key->section, path) == 0 && strlen(key->key) == node->key_bytes &&
           memcmp(key->key, node->key, node->key_bytes) == 0;
}

// A quoted key may be empty or contain a dot or a NUL; then it is no part of a section's name.
static bool is_plain(const struct gn_toml_node *node)
{
    return node->key_bytes && strlen(node->key) == node->key_bytes && !strchr(node->key, '.');
}

// Is path a section of the table, or does one lie below it?
static bool leads_to_section(const struct gn_config_schema *schema, const char *path)
{
    size_t length = strlen(path);
    for (uint32_t i = 0; i < schema->count; i++) {
        const char *section = schema->keys[i].section;
        if (strncmp(section, path, length) == 0 && (section[length] == '.' || !section[length]))
            return true;
    }
    return false;
}

// " in [limits]", or "" outside of sections.
static const char *write_place(const struct reader *r, const char *path, char text[GN_CONFIG_PATH_BYTES])
{
    const char *dot = *r->outer && *path ? "." : "";
    if (*r->outer)
        snprintf(text, GN_CONFIG_PATH_BYTES, " in [[%.48s%s%.64s]]", r->outer, dot, path);
    else
        snprintf(text, GN_CONFIG_PATH_BYTES, *path ? " in [%.64s]" : "%.64s", path);
    return text;
}

static int fail_unknown_section(const struct reader *r, const struct gn_toml_node *node, const char *path)
{
    const char *names[SUGGESTIONS_MAX];
    char shown[SHOWN_BYTES];
    uint32_t count = 0;
    // Sections, and arrays of tables on the same level.
    for (uint32_t i = 0; i < r->schema->count && count < SUGGESTIONS_MAX; i++) {
        const struct gn_config_key *key = &r->schema->keys[i];
        if (key->type == GN_CONFIG_TABLES && strcmp(key->section, path) == 0)
            names[count++] = key->key;
        else if (*key->section)
            names[count++] = key->section;
    }
    char below[GN_CONFIG_PATH_BYTES], full[2 * GN_CONFIG_PATH_BYTES];
    show(node->key, node->key_bytes, shown);
    const char *quote = is_plain(node) ? "" : "\"";
    snprintf(below, sizeof below, "%.64s%s%s%s%s", path, *path ? "." : "", quote, shown, quote);
    snprintf(full, sizeof full, "%.48s%s%s", r->outer, *r->outer ? "." : "", below);
    const char *near = gn_config_nearest(below, strlen(below), names, count);
    return fail(r, node->key_line, node->key_column, "unknown section [%s]%s%s%s", full,
                near ? "; did you mean [" : "", near ? near : "", near ? "]?" : "");
}

static int fail_unknown_key(const struct reader *r, const struct gn_toml_node *node, const char *path)
{
    const char *names[SUGGESTIONS_MAX], *elsewhere = NULL;
    char shown[SHOWN_BYTES], place[GN_CONFIG_PATH_BYTES], other[GN_CONFIG_PATH_BYTES];
    uint32_t count = 0;
    for (uint32_t i = 0; i < r->schema->count && count < SUGGESTIONS_MAX; i++) {
        const struct gn_config_key *key = &r->schema->keys[i];
        if (strcmp(key->section, path) == 0)
            names[count++] = key->key;
        else if (key_is(key, key->section, node))
            elsewhere = key->section;
    }
    show(node->key, node->key_bytes, shown);
    write_place(r, path, place);
    if (elsewhere)
        return fail(r, node->key_line, node->key_column, "unknown key \"%s\"%s; it belongs%s", shown, place,
                    *elsewhere ? write_place(r, elsewhere, other) : " before the first section");
    const char *near = gn_config_nearest(node->key, node->key_bytes, names, count);
    return fail(r, node->key_line, node->key_column, "unknown key \"%s\"%s%s%s%s", shown, place,
                near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

static int read_member(const struct reader *r, const struct gn_toml_node *node, const char *path)
{
    for (uint32_t i = 0; i < r->schema->count; i++) {
        if (key_is(&r->schema->keys[i], path, node))
            return read_value(r, node, &r->schema->keys[i]);
    }
    bool is_section =
        node->kind == GN_TOML_TABLE || (node->kind == GN_TOML_ARRAY && node->origin == GN_TOML_BY_HEADER);
    char below[GN_CONFIG_PATH_BYTES];
    int length = snprintf(below, sizeof below, "%s%s%s", path, *path ? "." : "", node->key);
    bool known = is_plain(node) && length < (int)sizeof below && leads_to_section(r->schema, below);
    if (known && node->kind == GN_TOML_TABLE)
        return read_table(r, node, below);
    if (known)
        return fail(r, node->line, node->column, "[%s] is a section, not %s", below, gn_toml_kind_name(node));
    return is_section ? fail_unknown_section(r, node, path) : fail_unknown_key(r, node, path);
}

static int read_table(const struct reader *r, const struct gn_toml_node *table, const char *path)
{
    int rc = 0;
    for (const struct gn_toml_node *n = table->first; n && goes_on(r, rc); n = n->next)
        rc = worse(rc, read_member(r, n, path));
    return rc;
}

static int check_required(const struct reader *r, const struct gn_toml_node *table)
{
    char place[GN_CONFIG_PATH_BYTES];
    int rc = 0;
    for (uint32_t i = 0; i < r->schema->count; i++) {
        const struct gn_config_key *key = &r->schema->keys[i];
        if (!key->required)
            continue;
        const struct gn_toml_node *at = table, *deepest = table;
        for (const char *part = key->section; at && *part;) {
            size_t length = strcspn(part, ".");
            at = gn_toml_get(at, part, length);
            deepest = at ? at : deepest;
            part += length + (part[length] == '.');
        }
        if (!at || !gn_toml_get(at, key->key, strlen(key->key)))
            rc = fail(r, deepest->line, deepest->column, "\"%s\" is missing%s", key->key,
                      write_place(r, key->section, place));
        if (!goes_on(r, rc))
            break;
    }
    return rc;
}

int gn_config_read_all(const struct gn_config_schema *schema, const char *file_name, const char *text, size_t text_bytes, void *arena,
                       size_t arena_bytes, void *target, struct gn_config_error *error, const struct gn_config_listener *listener)
{
    uint32_t problems = 0;
    const struct reader r = {schema, file_name, "", target, error, listener, &problems};
    struct gn_toml_error toml_error;
    struct gn_toml_node *root;
    int rc = gn_toml_parse(text, text_bytes, arena, arena_bytes, &root, &toml_error);
    if (rc < 0) {
        fail(&r, toml_error.line, toml_error.column, "%s", toml_error.text);
        return rc;
    }
    rc = read_table(&r, root, "");
    return goes_on(&r, rc) ? worse(rc, check_required(&r, root)) : rc;
}

int gn_config_read(const struct gn_config_schema *schema, const char *file_name, const char *text,
                   size_t text_bytes, void *arena, size_t arena_bytes, void *target,
                   struct gn_config_error *error)
{
    return gn_config_read_all(schema, file_name, text, text_bytes, arena, arena_bytes, target, error, NULL);
}

// --- our own mistakes

static const char *check_key(const struct gn_config_key *key)
{
    static const uint8_t fixed_bytes[] = {
        [GN_CONFIG_STRING] = sizeof(char *),
        [GN_CONFIG_BOOL] = sizeof(bool),
        [GN_CONFIG_STRINGS] = sizeof(struct gn_config_strings),
        [GN_CONFIG_TABLES] = 0,
    };
    if (!key->section || !key->key || !key->doc || !*key->doc)
        return "a key without section, name or doc";
    if (key->type == GN_CONFIG_TABLES)
        return key->elements && key->begin ? gn_config_check_schema(key->elements)
                                           : "tables without elements or begin";
    if (key->type == GN_CONFIG_ENUM && (!key->names || !key->names[0]))
        return "an enum without names";
    if (key->min > key->max || (key->min < 0 && key->type != GN_CONFIG_INTEGER))
        return "impossible limits";
    if (key->set)
        return NULL;
    if (key->type == GN_CONFIG_TEXT || key->type == GN_CONFIG_WORDS || key->type == GN_CONFIG_INTEGERS)
        return "a type that needs a setter has none";
    bool is_integer = key->type == GN_CONFIG_INTEGER || key->type == GN_CONFIG_SIZE ||
                      key->type == GN_CONFIG_DURATION || key->type == GN_CONFIG_ENUM;
    if (!is_integer)
        return key->field_bytes == fixed_bytes[key->type] ? NULL : "a field of the wrong type";
    if (key->field_bytes != 1 && key->field_bytes != 2 && key->field_bytes != 4 && key->field_bytes != 8)
        return "a field that is no integer";
    return key->max > most_of(key) || key->min < -most_of(key) - 1 ? "a field too narrow for its limits"
                                                                   : NULL;
}

const char *gn_config_check_schema(const struct gn_config_schema *schema)
{
    for (uint32_t i = 0; i < schema->count; i++) {
        const struct gn_config_key *key = &schema->keys[i];
        const char *reason = check_key(key);
        if (reason)
            return reason;
        if (strlen(key->section) + strlen(key->key) + 2 > GN_CONFIG_PATH_BYTES)
            return "a name that is too long";
        for (uint32_t k = 0; k < i; k++) {
            if (strcmp(schema->keys[k].section, key->section) == 0 &&
                strcmp(schema->keys[k].key, key->key) == 0)
                return "a key listed twice";
        }
    }
    return NULL;
}
