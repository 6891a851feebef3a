// SPDX-License-Identifier: Apache-2.0
// Programs that genie-bench starts: their environment, the lines that they say, their end, and what they
// cost.
#ifndef GN_BENCH_CHILD_H
#define GN_BENCH_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { GN_CHILD_LINE_BYTES = 32 << 10, GN_CHILD_ARGS_MAX = 48, GN_CHILD_ENV_MAX = 32 };

struct gn_child {
    pid_t pid;   // 0: none
    int talk;    // lines come from here; -1: none
    bool talks;  // and may be sent there
    size_t held; // bytes in `line` that are not told yet
    char line[GN_CHILD_LINE_BYTES];
};

enum gn_child_kind {
    GN_CHILD_TALKS,  // over a socket, whose descriptor takes the place of the argument "@FD"
    GN_CHILD_PRINTS, // its standard output is read
};

// Starts a program. env: "NAME=value" entries, NULL-terminated, over this process's environment without
// anything of Genie's in it. What it says on stderr (and stdout, when it talks) is appended to the file log.
// 0 or -errno.
int gn_child_start(struct gn_child *c, enum gn_child_kind kind, const char *const *args,
                   const char *const *env, const char *log);
// The next line, without its end, at most so late; NULL: none came, or the child has ended. Lives until the
// next call.
const char *gn_child_hear(struct gn_child *c, int timeout_ms);
// false: it no longer listens.
bool gn_child_say(struct gn_child *c, const char *line);
// Its exit status, or -1 when it was killed; waits for so long, then kills it.
int gn_child_wait(struct gn_child *c, int timeout_ms);
void gn_child_end(struct gn_child *c); // SIGTERM, then SIGKILL; also of one that never started

// CPU time of a process, all its threads, and of its children that are alive; peak memory of the process in
// the family with most.
uint64_t gn_child_cpu_ns(pid_t pid);
uint64_t gn_child_peak_bytes(pid_t pid);

#endif
