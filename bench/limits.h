// SPDX-License-Identifier: Apache-2.0
// What the parts of genie-limits share: a turn's values, sockets, the clock.
#ifndef GN_BENCH_LIMITS_H
#define GN_BENCH_LIMITS_H

#include <stdbool.h>
#include <stddef.h>

enum { GN_LIMIT_VALUES_MAX = 64, GN_LIMIT_WHY_BYTES = 256 };

struct gn_limit_turn {
    double values[GN_LIMIT_VALUES_MAX];
    unsigned count;
    char failed[GN_LIMIT_WHY_BYTES + 64];
};

double gn_limit_now_us(void);
void gn_limit_value(struct gn_limit_turn *t, double value);
bool gn_limit_send(int fd, const void *bytes, size_t n);
bool gn_limit_recv(int fd, void *bytes, size_t n);
// The same with looks, each of which gives way, instead of sleeping. For who is answered at once, and ends with his turn.
bool gn_limit_recv_looking(int fd, void *bytes, size_t n);

// The step without Genie (limits_step.c): 300 commands as long as launches with 8 parameters and one that is answered, through a socket or through
// memory, to a process that does nothing with a command but launch, and copy 4 bytes back for the last.
// The other end, for one connection. driver: a library; NULL or unusable: it answers what is missing.
void gn_limit_step_serve(int fd, const char *driver);
// This end: a turn of some steps over a connection that gn_limit_step_serve serves.
void gn_limit_step_run(int fd, bool through_memory, struct gn_limit_turn *t);

#endif
