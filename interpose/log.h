// SPDX-License-Identifier: Apache-2.0
// What the shim says to its user: to stderr or a file, at a level, each matter once.
// GENIE_LOG=off|warn|info|debug[:FILE].
#ifndef GN_INTERPOSE_LOG_H
#define GN_INTERPOSE_LOG_H

#include <stdatomic.h>

enum gn_log_level { GN_LOG_OFF, GN_LOG_WARN, GN_LOG_INFO, GN_LOG_DEBUG };

// What is logged before gn_log_start goes by the default: warnings, to stderr.
// `path` NULL: stderr. 0, or -errno when the file cannot be opened; stderr serves then.
int gn_log_start(enum gn_log_level level, const char *path);

// One line, "genie: warn: ...", written at once with one write(). errno stays as it is.
void gn_log(enum gn_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

// The same, but only the first time that this place in the code has something to say.
#define gn_log_once(level, ...)                                                                              \
    do {                                                                                                     \
        static atomic_flag gn_said = ATOMIC_FLAG_INIT;                                                       \
        if (!atomic_flag_test_and_set_explicit(&gn_said, memory_order_relaxed))                              \
            gn_log(level, __VA_ARGS__);                                                                      \
    } while (0)

// "warn", "debug:/tmp/log": 0 and the level, and where the path starts (NULL: none), or -EINVAL.
int gn_log_parse(const char *text, enum gn_log_level *level, const char **path);

#endif
