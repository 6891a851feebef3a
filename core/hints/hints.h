// SPDX-License-Identifier: Apache-2.0
// The sidecar: what a program's memory means, written by its user in TOML (docs/sidecar.md), as plain data.
//
// A sidecar changes speed only. One that does not make sense is refused as a whole, with every problem and its place; what it says of memory
// that does not exist, or wrongly, is harmless.
#ifndef GN_CORE_HINTS_H
#define GN_CORE_HINTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/config.h"

enum {
    GN_HINTS_FILE_BYTES_MAX = 256 << 10, // of TOML: comments and all; what it says is bounded below
    GN_HINTS_REGIONS_MAX = 64,           // so that a set of rules is a word
    GN_HINTS_PHASES_MAX = 32,
    GN_HINTS_BREAKPOINTS_MAX = 64,
    GN_HINTS_ARGS_MAX = 16,     // argument numbers of one rule
    GN_HINTS_ARG_MAX = 4094,    // the last of the pointers that 32,764 bytes of parameters can hold
    GN_HINTS_ENV_MAX = 8,       // conditions on the environment of one match
    GN_HINTS_WORDS_MAX = 8,     // globs on the arguments of the program
    GN_HINTS_TEXT_BYTES = 16 << 10, // names and globs of one sidecar, together
    GN_HINTS_NTH_MAX = 1000000,
};

enum gn_hint_class { // what memory is
    GN_CLASS_NONE,
    GN_CLASS_WEIGHTS,    // written by the host, then read by kernels
    GN_CLASS_KV_CACHE,   // what kernels keep from step to step
    GN_CLASS_ACTIVATION, // between kernels of one step
    GN_CLASS_INPUT,      // from the host, new at each step
    GN_CLASS_OUTPUT,     // to the host
    GN_CLASS_SCRATCH,    // nobody needs it after the kernel
    GN_CLASSES,
};

enum gn_hint_evict { GN_EVICT_NORMAL, GN_EVICT_FIRST, GN_EVICT_LAST, GN_EVICT_NEVER };
enum gn_hint_keep { GN_KEEP_LOCAL, GN_KEEP_REMOTE };
enum gn_hint_writer { GN_WRITER_ANY, GN_WRITER_HOST, GN_WRITER_KERNEL, GN_WRITER_COPY };
enum gn_hint_when { GN_WHEN_ANY, GN_WHEN_BEFORE_LAUNCH, GN_WHEN_AFTER_LAUNCH, GN_WHEN_NUMBER };
enum gn_hint_goal { GN_GOAL_NONE, GN_GOAL_THROUGHPUT, GN_GOAL_LATENCY };

extern const char *const gn_hint_class_names[GN_CLASSES + 1]; // "none", "weights", ...; NULL at the end

struct gn_hint_place {
    uint32_t line, column; // 0: the file does not say it
};

struct gn_hint_range {
    uint64_t low, high; // both of them in it; from 0 to UINT64_MAX when nothing is said
};

struct gn_hint_env { // the variable is set, and its value matches
    const char *name, *glob;
};

struct gn_hint_envs {
    uint32_t count;
    struct gn_hint_env list[GN_HINTS_ENV_MAX];
};

struct gn_hint_match { // of a region: all that is said must hold; NULL, ANY and 0: nothing is said
    struct gn_hint_range size;   // bytes of the allocation
    enum gn_hint_when when;      // it was made
    struct gn_hint_range number; // GN_WHEN_NUMBER: the how manyeth allocation it is, from 1
    enum gn_hint_writer writer;  // who copied to it first
    const char *kernel, *caller; // caller: the library whose code allocated it
    uint32_t arg_count; // 0: any argument of the kernel
    uint16_t args[GN_HINTS_ARGS_MAX];
    struct gn_hint_envs env;
};

struct gn_hint_region {
    enum gn_hint_class class;
    struct gn_hint_match match;
    bool dedupe;
    enum gn_hint_keep keep;
    enum gn_hint_evict evict;
    const char *session; // NULL: none; with ${NAME} where the environment's value goes
    struct gn_hint_place at, match_at, arg_at, keep_at, evict_at, session_at; // at: of the class
};

struct gn_hint_phase {
    const char *name, *kernel;
    struct gn_hint_range grid_x;
    enum gn_hint_goal goal;
    bool repeat;
    struct gn_hint_place at; // of the name
};

struct gn_hint_breakpoint {
    const char *name, *kernel;
    uint32_t nth;
    uint32_t save; // a bit for each class
    struct gn_hint_place at;
};

struct gn_hint_app {
    const char *name, *exe, *image; // image: the first digits of the program's build id, in lower case
    uint32_t argv_count;
    const char *argv[GN_HINTS_WORDS_MAX];
    struct gn_hint_envs env;
    struct gn_hint_place at; // of the first condition; 0: it has none
};

struct gn_hints { // all strings lie in `text`: it must stay where it is
    int64_t schema;
    struct gn_hint_app app;
    uint32_t region_count, phase_count, breakpoint_count;
    struct gn_hint_region regions[GN_HINTS_REGIONS_MAX];
    struct gn_hint_phase phases[GN_HINTS_PHASES_MAX];
    struct gn_hint_breakpoint breakpoints[GN_HINTS_BREAKPOINTS_MAX];
    uint32_t text_bytes;
    char text[GN_HINTS_TEXT_BYTES];
};

// Reads a sidecar into *hints, whatever is in there. The arena (GN_TOML_ARENA_BYTES(text_bytes)) is used during the call only. The listener,
// if there is one, hears of every problem, first of those with single keys, and of contradictions only where there are none of those.
// 0; -EINVAL (error says what); -ENOMEM, -E2BIG as gn_toml_parse.
int gn_hints_read(struct gn_hints *hints, const char *file_name, const char *text, size_t text_bytes, void *arena, size_t arena_bytes,
                  struct gn_config_error *error, const struct gn_config_listener *listener);

// What a sidecar may hold, for documents and tests.
extern const struct gn_config_schema gn_hints_schema;

// The program that a sidecar is asked about. get gives a variable of the environment, or NULL.
struct gn_hint_program {
    const char *exe;   // its base name
    const char *argv;  // its arguments with a space between
    const char *image; // its build id in lower-case hexadecimal digits, or ""
    const char *(*get)(const char *name);
};
// NULL, or which condition does not hold (static, a phrase). `named`: by a user, so that no condition is needed.
const char *gn_hints_app_differs(const struct gn_hints *hints, const struct gn_hint_program *program, bool named);
bool gn_hints_env_holds(const struct gn_hint_envs *envs, const char *(*get)(const char *name));

// Writes `text` with the values of its ${NAME}s. 0, -ENOENT: one is not set, -ENAMETOOLONG.
int gn_hints_expand(const char *text, const char *(*get)(const char *name), char *out, size_t out_bytes);

// --- parts, for the reader and for tests

// "4", "> 1", ">= 1", "< 8", "<= 8", "2..5", "2..", "..5"; with `sizes` "64KiB", "1M" for the numbers. NULL, or the reason (static).
const char *gn_hints_parse_range(const char *text, bool sizes, struct gn_hint_range *range);
// "before first launch", "after first launch", "3rd allocation", or a range of allocation numbers. NULL, or the reason.
const char *gn_hints_parse_order(const char *text, enum gn_hint_when *when, struct gn_hint_range *number);
static inline bool gn_hint_in(const struct gn_hint_range *r, uint64_t value) { return r->low <= value && value <= r->high; }
// NULL, or why text (a session key) has no well-formed ${NAME}s.
const char *gn_hints_check_session(const char *text);

// Contradictions of a sidecar whose keys are good: tells each; how many there are. Private to core/hints*.c.
uint32_t gn_hints_contradictions(const struct gn_hints *hints, void (*tell)(void *context, struct gn_hint_place at, const char *text),
                                 void *context);

#endif
