// SPDX-License-Identifier: Apache-2.0
// What the three parts of the TOML parser share: toml.c (documents, tables, keys), toml_value.c (values),
// toml_tree.c (arena, members, errors). Private to core/toml*.c.
#ifndef GN_CORE_TOML_PARSE_H
#define GN_CORE_TOML_PARSE_H

#include "core/toml/toml.h"

struct gn_toml_parser {
    const char *at, *end;
    const char *line_start;
    uint32_t line;
    uint32_t depth; // of the value being read, and of the table it goes into
    char *arena_at, *arena_end;
    struct gn_toml_node *root;
    struct gn_toml_error *error;
};

struct gn_toml_place {
    uint32_t line, column;
};

struct gn_toml_key { // one part of a dotted key, in the arena
    const char *text;
    uint32_t bytes;
    struct gn_toml_place place;
};

// --- toml_tree.c

struct gn_toml_place gn_toml_here(const struct gn_toml_parser *p);
// Write the error and return code.
int gn_toml_fail(struct gn_toml_parser *p, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int gn_toml_fail_at(struct gn_toml_parser *p, struct gn_toml_place place, int code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
// A new node of a kind, zeroed otherwise, in *node. 0 or -ENOMEM.
int gn_toml_new_node(struct gn_toml_parser *p, enum gn_toml_kind kind, struct gn_toml_place place,
                     struct gn_toml_node **node);
// Appends to an array.
void gn_toml_append(struct gn_toml_node *array, struct gn_toml_node *element);
// Adds a member; its key must not be in the table yet.
void gn_toml_add(struct gn_toml_node *table, const struct gn_toml_key *key, struct gn_toml_node *member);
// At most 64 bytes of a key for a message, anything unprintable as '?'.
enum { GN_TOML_SHOWN_BYTES = 64 + 4 };
const char *gn_toml_show(const char *text, uint32_t bytes, char shown[GN_TOML_SHOWN_BYTES]);

// Strings grow at the arena's end: put bytes, then finish. gn_toml_put fails with -ENOMEM.
int gn_toml_put(struct gn_toml_parser *p, const char *bytes, size_t count);

// --- toml_value.c

// Reads the value that starts at p->at; *node gets it.
int gn_toml_value(struct gn_toml_parser *p, struct gn_toml_node **node);
// Reads a string that starts with a quote; multi-line ones only if allowed (keys are not).
int gn_toml_string(struct gn_toml_parser *p, bool multi_line_allowed, const char **text, uint32_t *bytes);

// --- toml_number.c

// A number, date, time, boolean, inf or nan: everything that is written without quotes or brackets.
int gn_toml_plain(struct gn_toml_parser *p, struct gn_toml_node *node);

// --- toml.c

void gn_toml_skip_blanks(struct gn_toml_parser *p);  // spaces and tabs
int gn_toml_skip_comment(struct gn_toml_parser *p);  // if there is one; stops before the line's end
bool gn_toml_skip_newline(struct gn_toml_parser *p); // one LF or CRLF, if there is one
// key = value into a table, with the rules for dotted keys.
int gn_toml_keyval(struct gn_toml_parser *p, struct gn_toml_node *table);

#endif
