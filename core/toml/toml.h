// SPDX-License-Identifier: Apache-2.0
// TOML 1.0: a text becomes a tree of nodes in a buffer of the caller's.
//
// The tree holds copies of all strings: the text may go after parsing, the arena must stay while nodes are
// used. Members of tables and elements of arrays are chained in document order. Time and memory are linear in
// the text, whatever it says: a table finds its keys in a bit trie whose walks end with the searched key's
// length, so many keys, equal prefixes or deep nesting cost nothing extra.
#ifndef GN_CORE_TOML_H
#define GN_CORE_TOML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    GN_TOML_TEXT_BYTES_MAX = 64 << 20, // far above any sidecar; keeps every count and position in 32 bits
    GN_TOML_DEPTH_MAX =
        128, // of arrays, inline tables and dotted keys; bounds the stack of parser and readers
    GN_TOML_NUMBER_BYTES_MAX = 512, // digits of one number; a double has 17 that matter
    GN_TOML_ERROR_BYTES = 192,
};

enum gn_toml_kind {
    GN_TOML_STRING,
    GN_TOML_INTEGER,
    GN_TOML_FLOAT,
    GN_TOML_BOOL,
    GN_TOML_OFFSET_DATETIME, // 1979-05-27T07:32:00+01:00
    GN_TOML_LOCAL_DATETIME,
    GN_TOML_LOCAL_DATE,
    GN_TOML_LOCAL_TIME,
    GN_TOML_ARRAY,
    GN_TOML_TABLE,
};

enum gn_toml_origin {  // how a table or array came to be: decides what may be added to it
    GN_TOML_BY_VALUE,  // [1, 2] or {a = 1}: closed where it stands
    GN_TOML_BY_HEADER, // [table], [[array of tables]] and its elements, the document
    GN_TOML_BY_DOTS,   // a in a.b = 1
    GN_TOML_IMPLIED,   // a in [a.b]; a header may still define it, once
};

struct gn_toml_time { // the parts that its kind has; the others are 0
    const char *text; // as written, NUL-terminated
    uint16_t year;
    uint8_t month, day, hour, minute, second; // second 60 is a leap second
    int16_t offset_minutes;                   // east of UTC
    uint32_t nanosecond;                      // further digits are cut off
};

struct gn_toml_node {
    const char *key; // of a table's member: NUL-terminated, but may contain NUL itself; NULL for elements and
                     // the document
    uint32_t key_bytes;
    uint32_t key_line, key_column; // where the key stands (in bytes, from 1); 0 for elements
    uint32_t line, column;   // where the value stands; for a table that has no value text, its first key
    uint8_t kind, origin;    // enum gn_toml_kind, enum gn_toml_origin
    uint8_t branch_inner[2]; // used by the tree: branch_inner, branch_bit, branch
    uint32_t branch_bit;
    struct gn_toml_node *branch[2];
    struct gn_toml_node *next; // the next member or element
    union {
        struct {
            const char *text; // valid UTF-8, NUL-terminated, but may contain NUL itself
            uint32_t text_bytes;
        };
        int64_t integer;
        double number;
        bool boolean;
        struct gn_toml_time time;
        struct { // array and table
            struct gn_toml_node *first, *last;
            struct gn_toml_node *index; // used by the tree: index, index_inner
            uint32_t count;
            bool index_inner;
        };
    };
};

struct gn_toml_error {
    uint32_t line, column; // from 1, the column in bytes
    char text[GN_TOML_ERROR_BYTES];
};

// An arena of this size is enough for any text of that length: a value needs two bytes of text at least (one
// while its brackets are open), a string no more than its text.
#define GN_TOML_ARENA_BYTES(text_bytes)                                                                      \
    (((size_t)(text_bytes) / 2 + 2 + GN_TOML_DEPTH_MAX) * (sizeof(struct gn_toml_node) + 16) + 64)

// Parses text[0 .. text_bytes - 1] (no NUL needed). *root is the document's table. 0; -EINVAL: not TOML 1.0
// (error says where, what and what was expected); -ENOMEM: the arena is too small; -E2BIG: over
// GN_TOML_TEXT_BYTES_MAX. error is filled on every failure.
int gn_toml_parse(const char *text, size_t text_bytes, void *arena, size_t arena_bytes,
                  struct gn_toml_node **root, struct gn_toml_error *error);

// The member of a table by its key, or NULL.
struct gn_toml_node *gn_toml_get(const struct gn_toml_node *table, const char *key, size_t key_bytes);

// "a string", "an integer", ...: what a node is, for messages.
const char *gn_toml_kind_name(const struct gn_toml_node *node);

#endif
