// SPDX-License-Identifier: Apache-2.0
// The server's log: one line a message on stderr (which is the log file where one is configured), for the
// front door and its workers alike.
#ifndef GN_SERVER_LOG_H
#define GN_SERVER_LOG_H

#include <stdint.h>

enum gn_log_level { GN_LOG_OFF, GN_LOG_ERROR, GN_LOG_WARN, GN_LOG_INFO, GN_LOG_DEBUG, GN_LOG_LEVELS };
extern const char *const gn_log_level_names[GN_LOG_LEVELS]; // as server.toml writes them

// Lines above `level` are dropped. `session` is named in every line of a worker; 0: the front door.
void gn_log_setup(enum gn_log_level level, uint32_t session);
enum gn_log_level gn_log_level(void);

// From here on stderr, and so the log of this process and of the workers that it starts, is the file,
// appended to. 0 or -errno.
int gn_log_to_file(const char *path);

// Writes one line with a single write, so that lines of several processes do not mix. Longer ones are cut;
// control characters, which may come from a client, are shown as '?'. From any thread.
void gn_log(enum gn_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
