// SPDX-License-Identifier: Apache-2.0
// Kept copies: bytes that the server keeps for a range of the program's host memory, on the device while that allows, else in host memory.
//
// The thread that runs commands opens, fills, spills and closes them; fetch threads (server/kept/fetch.h) read them. A copy has one storage at a time.
// Storage that a stream has still to read is never written by another stream: the fill gets fresh storage, and the old is retired until its
// events have passed; where there is no room for that, the fill waits for the reading stream. A fill and a spill in two streams are
// ordered by events.
//
// Memory is reserved when a copy is opened: all of it counts against the session's host budget, wherever it is, so that it can always be moved
// out of the device. Device memory is charged to the session as the program's own is, and given back when the program needs it.
#ifndef GN_SERVER_KEPT_H
#define GN_SERVER_KEPT_H

#include <stdbool.h>
#include <stdint.h>

#include "server/worker/worker.h"

enum { GN_KEPT_MAX = 65536 }; // copies of one session: as many islands as a client's kernel allows it to track (vm.max_map_count)

enum gn_kept_place { GN_KEPT_REFUSED, GN_KEPT_ON_DEVICE, GN_KEPT_ON_HOST }; // of the reply to kept_open

struct gn_kepts;
struct gn_kept;
int gn_kepts_open(struct gn_kepts **kepts, struct gn_worker *w);
void gn_kepts_stop(struct gn_kepts *kepts);    // the session is over: nobody waits for a copy any more
void gn_kepts_abandon(struct gn_kepts *kepts); // nor is the driver asked for anything: what it holds goes with the process
void gn_kepts_close(struct gn_worker *w);      // frees what is held of this process's memory; no fetch thread may be there

// The copy's handle is closed: its storage goes when its events have passed.
void gn_kept_drop(struct gn_worker *w, struct gn_kept *kept);

// A context is about to be destroyed: its copies are lost, and nobody reads them when this returns. / It is gone, and what was in it.
void gn_kepts_context_leaves(struct gn_worker *w, CUcontext context);
void gn_kepts_context_gone(struct gn_worker *w, CUcontext context);

// Memory of the device is short: copies there move to host memory, those not used for longest first, until `size_bytes` have become free or
// none is left. True: some did, try again. The current context stays. While streams wait for the client,
// or may, everything stays where it is: freeing would wait for them.
bool gn_kepts_make_room(struct gn_worker *w, CUdevice device, uint64_t size_bytes);
uint64_t gn_kepts_device_bytes(const struct gn_worker *w, CUdevice device); // charged for copies there: free, as the program sees it

// By a fetch thread: the bytes into `to`, once the copy has had `fills` fills and the last has passed. A CUresult.
struct gn_kept_read {
    uint64_t kept, offset_bytes, size_bytes;
    uint32_t fills;
};
CUresult gn_kept_read(struct gn_worker *w, const struct gn_kept_read *read, void *to);

#endif
