// SPDX-License-Identifier: Apache-2.0
// Kept copies as the shim uses them: the server keeps the bytes of a range of the program's host memory. One thread at a time uses a copy; the fill
// count may be read by another.
#ifndef GN_INTERPOSE_KEPT_H
#define GN_INTERPOSE_KEPT_H

#include "interpose/call.h"
#include "remoting/fetch.h"

struct gn_kept {
    uint64_t id;         // 0: there is none
    uint64_t context;    // which it belongs to: it dies with that, and only streams of that fill and spill it
    uint64_t size_bytes;
    bool on_device;      // where it was placed; it moves to host memory when the program needs the device's
    _Atomic uint32_t fills; // posted so far: what gn_fetch is given
};

// Asks the server for a copy of that size in the call's context, which must be there: one round trip. kept->id is 0 afterwards where the server refuses (its
// budgets are full): that is no error, copies are made as usual. The result is to be told to the program, as that of gn_ask; the copy may
// be there all the same.
CUresult gn_kept_open(struct gn_call *c, uint64_t size_bytes, struct gn_kept *kept);

// Posts: when the stream gets there, bytes of the device's memory become the copy's, or the other way round. `stream`: as gn_id_stream gives it, of
// the copy's context, and the call's context is that one too where it is a default stream. Whole copy or part; within its size. A fill
// that fails makes the copy unusable until a fill of all of it: fetching and spilling give its error. A copy that has never been filled has no bytes.
CUresult gn_kept_fill(struct gn_call *c, struct gn_kept *kept, uint64_t stream, uint64_t offset_bytes, uint64_t address, uint64_t size_bytes);
CUresult gn_kept_spill(struct gn_call *c, const struct gn_kept *kept, uint64_t stream, uint64_t offset_bytes, uint64_t address, uint64_t size_bytes);

// Gives it up; kept->id is 0 then. Outside of a call, too: nothing is told to the program. Spills that were posted before still find it. Nothing
// is sent when the context has gone, which took the copy along.
void gn_kept_close(struct gn_kept *kept);

// Whether the server lets this session open a fetch channel; opens one (0 or -errno). Resolves names and connects: not from a page fault.
bool gn_kept_possible(void);
int gn_kept_channel(struct gn_fetch *fetch);

#endif
