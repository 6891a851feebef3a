// SPDX-License-Identifier: Apache-2.0
// What the shim counts, and GENIE_STATS, the report of it.
#ifndef GN_INTERPOSE_STATS_H
#define GN_INTERPOSE_STATS_H

#include <stdatomic.h>
#include <stdio.h>

#include "interpose/call.h"

enum { GN_WATCH_TRACE = 1, GN_WATCH_TIME = 2 };
extern _Atomic int gn_watching; // what a call has to do beyond being counted

void gn_watch_begin(struct gn_call *c); // of an outermost call, when gn_watching is not 0
void gn_watch_end(struct gn_call *c);

// A string of JSON.
void gn_stats_put_text(FILE *f, const char *text);

// Writes the report, as it is now, over the file. 0 or -errno.
int gn_stats_write(const char *path);

#endif
