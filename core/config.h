// SPDX-License-Identifier: Apache-2.0
// Settings files: a TOML text read into a struct by a table of known keys. The server's, the client's and the
// sidecar's files all come through here, so that an unknown key, a wrong type or a value out of range gets
// the same kind of answer everywhere:
//     server.toml:12:3: unknown key "max_sesions" in [limits]; did you mean "max_sessions"?
//
// The caller fills the struct with defaults first; keys that the text does not have leave them alone. Strings
// point into the arena. Nothing is undone on failure: do not use the struct then.
#ifndef GN_CORE_CONFIG_H
#define GN_CORE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/toml/toml.h"

enum {
    GN_CONFIG_ERROR_BYTES = 512,
    GN_CONFIG_PATH_BYTES = 128, // of a section's full name; the tables are ours, so this only bounds a buffer
    GN_CONFIG_PROBLEMS_MAX = 100, // told of one text: who has more reads the first ones first
    GN_CONFIG_NEAR_BYTES = 48,  // longer keys get no suggestion: no key of ours is as long
};

enum gn_config_type {   // what the text may hold              where it goes, unless a setter takes it
    GN_CONFIG_STRING,   // string without NUL                  const char *
    GN_CONFIG_BOOL,     // true, false                         bool
    GN_CONFIG_INTEGER,  // integer from min to max             any integer type, by field_bytes
    GN_CONFIG_SIZE,     // "64KiB", "8G" or an integer: bytes  unsigned, by field_bytes
    GN_CONFIG_DURATION, // "2s", "50ms" or a number: seconds   unsigned nanoseconds, by field_bytes
    GN_CONFIG_ENUM,     // one of names                        its index: an enum or unsigned, by field_bytes
    GN_CONFIG_TEXT,     // string without NUL, or an integer   only for a setter: string, the integer in digits
    GN_CONFIG_STRINGS,  // array of strings without NUL        struct gn_config_strings
    GN_CONFIG_WORDS,    // a string, or an array of strings    only for a setter: strings, to be walked by count
    GN_CONFIG_INTEGERS, // an integer, or an array of them     only for a setter: integers, to be walked by count
    GN_CONFIG_TABLES,   // [[key]]: array of tables            through elements, begin, end
};

struct gn_config_strings { // for (n = strings.first; n; n = n->next) use(n->text)
    const struct gn_toml_node *first;
    uint32_t count;
};

struct gn_config_integers { // for (n = integers.first, i = 0; i < integers.count; n = n->next, i++) use(n->integer)
    const struct gn_toml_node *first;
    uint32_t count;
};

struct gn_config_value { // what a setter gets
    union {
        const char *string;
        bool boolean;
        int64_t integer;
        uint64_t size_bytes;
        uint64_t duration_ns;
        uint32_t index; // into names
        struct gn_config_strings strings;
        struct gn_config_integers integers;
    };
    uint32_t line, column;
};

struct gn_config_key;

struct gn_config_schema {
    const struct gn_config_key *keys;
    uint32_t count;
};

struct gn_config_key {
    const char *section; // "" = before any header, "limits", "limits.memory"
    const char *key;
    enum gn_config_type type;
    bool required;
    uint16_t field_bytes;     // these two by GN_CONFIG_FIELD, where no setter is
    size_t field_offset;      // in the target
    int64_t min, max;         // integer; bytes; nanoseconds. Both 0: from 0 to what the field holds
    const char *const *names; // of an enum, NULL-terminated
    const char *doc;          // one sentence for the user
    // Instead of a field. Returns NULL, or the reason why the value is refused (static or in the target).
    const char *(*set)(void *target, const struct gn_config_key *key, const struct gn_config_value *value);
    // Tables: begin gives the struct that the index-th table goes into (defaults filled in), or NULL with
    // *reason. end, when there is one, looks at the whole element: NULL, or the reason to refuse it.
    const struct gn_config_schema *elements;
    void *(*begin)(void *target, const struct gn_config_key *key, uint32_t index, const char **reason);
    const char *(*end)(void *target, void *element);
};

#define GN_CONFIG_FIELD(type, field)                                                                         \
    .field_offset = offsetof(type, field), .field_bytes = sizeof(((type *)0)->field)

struct gn_config_error {
    char text[GN_CONFIG_ERROR_BYTES]; // FILE:LINE:COLUMN: one sentence
};

// Reads text into *target. The arena must live as long as strings of the target are used;
// GN_TOML_ARENA_BYTES(text_bytes) is always enough. file_name is for messages only. 0; -EINVAL (error says
// what), -ENOMEM, -E2BIG as gn_toml_parse.
int gn_config_read(const struct gn_config_schema *schema, const char *file_name, const char *text,
                   size_t text_bytes, void *arena, size_t arena_bytes, void *target,
                   struct gn_config_error *error);

// The same, but going on behind what is wrong: each problem is told as it is found, up to GN_CONFIG_PROBLEMS_MAX; *error is the first.
struct gn_config_listener {
    void (*tell)(void *context, const char *text); // one sentence with its place, as in struct gn_config_error
    void *context;
};
int gn_config_read_all(const struct gn_config_schema *schema, const char *file_name, const char *text, size_t text_bytes, void *arena,
                       size_t arena_bytes, void *target, struct gn_config_error *error, const struct gn_config_listener *listener);

// NULL, or what is wrong with a schema of ours (a field too narrow for max, an enum without names, a key
// listed twice): for tests.
const char *gn_config_check_schema(const struct gn_config_schema *schema);

// --- shared with environment variables and options

// "64KiB", "64K", "512M", "8G", "2T", "4096": binary multiples. 0; -EINVAL: not so written; -ERANGE: over 64
// bits.
int gn_config_parse_size(const char *text, uint64_t *size_bytes);
// "2s", "1.5s", "50ms", "200us", "10ns", "5min", "1h", or a number of seconds ("2", "0.5"). 0, -EINVAL,
// -ERANGE.
int gn_config_parse_duration(const char *text, uint64_t *duration_ns);
// The index of text among names (NULL-terminated). 0 or -EINVAL.
int gn_config_parse_enum(const char *text, const char *const *names, uint32_t *index);
// The best of names[0 .. count - 1] for a mistyped word, or NULL when none is near: at most a third of its
// letters differ.
const char *gn_config_nearest(const char *word, size_t word_bytes, const char *const *names, uint32_t count);

#endif
