// SPDX-License-Identifier: Apache-2.0
// The tree that TOML parsing builds: the arena, members of tables and how they are found, errors.
//
// A table's index is a crit-bit trie over its keys. Each member but the first brings one inner node, held in
// its own struct: the bit at which its key left the others. Bits are counted over symbols of nine bits,
// presence before byte, so that no key is a prefix of another. On a walk the bit positions grow, and a walk
// stops at a position behind the searched key's end; so it takes at most nine steps a byte.
#include "core/toml/toml_parse.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { SYMBOL_BITS = 9, PRESENT = 0x100 };

struct gn_toml_place gn_toml_here(const struct gn_toml_parser *p)
{
    return (struct gn_toml_place){p->line, (uint32_t)(p->at - p->line_start) + 1};
}

static int fail(struct gn_toml_parser *p, struct gn_toml_place place, int code, const char *format,
                va_list arguments)
{
    p->error->line = place.line;
    p->error->column = place.column;
    vsnprintf(p->error->text, sizeof p->error->text, format, arguments);
    return code;
}

int gn_toml_fail(struct gn_toml_parser *p, int code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fail(p, gn_toml_here(p), code, format, arguments);
    va_end(arguments);
    return code;
}

int gn_toml_fail_at(struct gn_toml_parser *p, struct gn_toml_place place, int code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fail(p, place, code, format, arguments);
    va_end(arguments);
    return code;
}

const char *gn_toml_show(const char *text, uint32_t bytes, char shown[GN_TOML_SHOWN_BYTES])
{
    uint32_t most = GN_TOML_SHOWN_BYTES - 4, length = bytes < most ? bytes : most;
    for (uint32_t i = 0; i < length; i++)
        shown[i] = (unsigned char)text[i] < ' ' || text[i] == 0x7f ? '?' : text[i];
    // A cut must not leave half a character behind.
    while (length < bytes && length && ((unsigned char)text[length] & 0xc0) == 0x80)
        length--;
    strcpy(shown + length, length < bytes ? "..." : "");
    return shown;
}

int gn_toml_put(struct gn_toml_parser *p, const char *bytes, size_t count)
{
    if ((size_t)(p->arena_end - p->arena_at) < count)
        return gn_toml_fail(p, -ENOMEM, "the memory for the parsed document is too small");
    memcpy(p->arena_at, bytes, count);
    p->arena_at += count;
    return 0;
}

int gn_toml_new_node(struct gn_toml_parser *p, enum gn_toml_kind kind, struct gn_toml_place place,
                     struct gn_toml_node **node)
{
    size_t padding = -(uintptr_t)p->arena_at % _Alignof(struct gn_toml_node);
    if ((size_t)(p->arena_end - p->arena_at) < padding + sizeof **node)
        return gn_toml_fail(p, -ENOMEM, "the memory for the parsed document is too small");
    *node = memset(p->arena_at + padding, 0, sizeof **node);
    p->arena_at += padding + sizeof **node;
    (*node)->kind = kind;
    (*node)->line = place.line;
    (*node)->column = place.column;
    return 0;
}

void gn_toml_append(struct gn_toml_node *array, struct gn_toml_node *element)
{
    if (array->last)
        array->last->next = element;
    else
        array->first = element;
    array->last = element;
    array->count++;
}

static unsigned symbol_at(const char *key, uint32_t bytes, uint32_t index)
{
    return index < bytes ? PRESENT | (unsigned char)key[index] : 0;
}

static bool bit_at(const char *key, uint32_t bytes, uint32_t position)
{
    return symbol_at(key, bytes, position / SYMBOL_BITS) >> (SYMBOL_BITS - 1 - position % SYMBOL_BITS) & 1;
}

// The one member whose key can be equal; when none is, the one with the longest common beginning.
static struct gn_toml_node *nearest(const struct gn_toml_node *table, const char *key, uint32_t bytes)
{
    struct gn_toml_node *at = table->index;
    bool inner = table->index_inner;
    // An inner node lives in a member of its own subtree. Keys there agree up to its bit, so where that lies
    // behind our end, that member is as near as any.
    while (inner && at->branch_bit / SYMBOL_BITS <= bytes) {
        bool side = bit_at(key, bytes, at->branch_bit);
        inner = at->branch_inner[side];
        at = at->branch[side];
    }
    return at;
}

struct gn_toml_node *gn_toml_get(const struct gn_toml_node *table, const char *key, size_t key_bytes)
{
    if (table->kind != GN_TOML_TABLE || !table->index || key_bytes > GN_TOML_TEXT_BYTES_MAX)
        return NULL;
    struct gn_toml_node *node = nearest(table, key, (uint32_t)key_bytes);
    return node->key_bytes == key_bytes && memcmp(node->key, key, key_bytes) == 0 ? node : NULL;
}

static void index_member(struct gn_toml_node *table, struct gn_toml_node *member)
{
    const char *key = member->key;
    uint32_t bytes = member->key_bytes, position = 0;
    if (!table->index) {
        table->index = member;
        return;
    }
    const struct gn_toml_node *other = nearest(table, key, bytes);
    uint32_t symbol = 0;
    while (symbol_at(key, bytes, symbol) == symbol_at(other->key, other->key_bytes, symbol))
        symbol++;
    position = symbol * SYMBOL_BITS;
    while (bit_at(key, bytes, position) == bit_at(other->key, other->key_bytes, position))
        position++;

    struct gn_toml_node **slot = &table->index;
    bool inner = table->index_inner;
    struct gn_toml_node *parent = NULL;
    bool side = false;
    while (inner && (*slot)->branch_bit < position) {
        parent = *slot;
        side = bit_at(key, bytes, parent->branch_bit);
        slot = &parent->branch[side];
        inner = parent->branch_inner[side];
    }
    bool own = bit_at(key, bytes, position);
    member->branch_bit = position;
    member->branch[own] = member;
    member->branch_inner[own] = false;
    member->branch[!own] = *slot;
    member->branch_inner[!own] = inner;
    *slot = member;
    if (parent)
        parent->branch_inner[side] = true;
    else
        table->index_inner = true;
}

void gn_toml_add(struct gn_toml_node *table, const struct gn_toml_key *key, struct gn_toml_node *member)
{
    member->key = key->text;
    member->key_bytes = key->bytes;
    member->key_line = key->place.line;
    member->key_column = key->place.column;
    index_member(table, member);
    gn_toml_append(table, member);
}

const char *gn_toml_kind_name(const struct gn_toml_node *node)
{
    static const char *const names[] = {
        [GN_TOML_STRING] = "a string",
        [GN_TOML_INTEGER] = "an integer",
        [GN_TOML_FLOAT] = "a float",
        [GN_TOML_BOOL] = "a boolean",
        [GN_TOML_OFFSET_DATETIME] = "a date-time",
        [GN_TOML_LOCAL_DATETIME] = "a local date-time",
        [GN_TOML_LOCAL_DATE] = "a local date",
        [GN_TOML_LOCAL_TIME] = "a local time",
        [GN_TOML_ARRAY] = "an array",
        [GN_TOML_TABLE] = "a table",
    };
    if (node->kind == GN_TOML_ARRAY && node->origin == GN_TOML_BY_HEADER)
        return "an array of tables";
    return node->kind < sizeof names / sizeof *names ? names[node->kind] : "unknown";
}
