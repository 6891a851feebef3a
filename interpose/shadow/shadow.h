// SPDX-License-Identifier: Apache-2.0
// Host memory whose bytes the server keeps: copies to the host that bring nothing until it is touched, and uploads of what was not written since.
//
// Tracked memory is private anonymous memory, in whole pages. What lies at the server comes when it is touched, by whomever, the kernel too;
// without a userfaultfd that serves the kernel nothing is tracked and copies are made as usual.
#ifndef GN_INTERPOSE_SHADOW_H
#define GN_INTERPOSE_SHADOW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "interpose/hints/hints.h"
#include "interpose/shim.h"

// Copies of one contiguous range of host memory. True: done, with its code in *r. False: the copy is to be made as usual; nothing has happened.
// `async`: a copy to pinned memory that the call does not wait for. A source is captured when gn_shadow_write returns.
bool gn_shadow_read(struct gn_call *c, uint64_t stream, uint64_t address, void *to, uint64_t size_bytes, bool async, struct gn_meaning m, CUresult *r);
bool gn_shadow_write(struct gn_call *c, uint64_t stream, uint64_t address, const void *from, uint64_t size_bytes, struct gn_meaning m, CUresult *r);

// Something is tracked, or was: gn_shadow_bring has something to look at.
extern _Atomic bool gn_shadow_any;
// Brings here what is away of [start, start + size), before the session's threads read or write there. An error: some of it cannot be had.
CUresult gn_shadow_bring(uint64_t start, uint64_t size_bytes);

// A command that may let a stream wait for a later one of the program's: from now on pages are not left at the server while their copy is queued.
void gn_shadow_stream_waits(void);

void gn_shadow_context_ends(uint64_t context); // before it is destroyed: brings here what lies in it
void gn_shadow_prepare_fork(void); // pthread_atfork: brings everything here, and holds the tables as they are
void gn_shadow_forked(bool child);
uint64_t gn_shadow_fetched_bytes(void); // what has come page by page, over a connection that the session does not count
void gn_shadow_put_stats(FILE *f); // the object of GENIE_STATS: ,\n  "shadow": {...}

#endif
