// SPDX-License-Identifier: Apache-2.0
// Staging: pinned host memory between the socket and the device, in slots.
//
// Four kinds. Small and large slots hold payload from the client, which counts them: it never sends more than are free. Out slots hold data on
// its way to the client, or from it, that a stream brings or fetches when it gets there; read slots data that a thread of the client waits for.
// A slot of payload is free again when the copy that reads it has passed on the device (an event says so), the others when they have been sent.
// Streams may hold all out slots while they wait for a host function, which may wait for another thread's read: hence the fourth kind.
// The memory is registered with the driver when the first context appears; until then, and where the driver refuses,
// it is ordinary memory and copies from it are only slower.
#ifndef GN_SERVER_STAGING_H
#define GN_SERVER_STAGING_H

#include <stdbool.h>
#include <stdint.h>

#include "server/worker/worker.h"

enum gn_slot_kind { GN_SLOT_SMALL, GN_SLOT_LARGE, GN_SLOT_CONTENT, GN_SLOT_OUT, GN_SLOT_READ, GN_SLOT_KINDS };
enum { GN_CONTENT_SLOTS = 8, GN_OUT_SLOTS = 16, GN_READ_SLOTS = 8 };

struct gn_staging;

int gn_staging_open(struct gn_staging **staging, struct gn_worker *w);
void gn_staging_close(struct gn_staging *staging);

// A free slot, or -1. Payload slots: reaps first when there is none; -1 then means that the client sends more than it may.
int gn_staging_take(struct gn_staging *s, enum gn_slot_kind kind);
// An out or read slot, waiting for one up to the end of the session (-1).
int gn_staging_take_out(struct gn_staging *s, enum gn_slot_kind kind);
// A slot of a kind that the device frees, waiting for one up to the end of the session (-1).
int gn_staging_take_reaping(struct gn_staging *s, enum gn_slot_kind kind);
void *gn_staging_data(const struct gn_staging *s, int slot);
size_t gn_staging_slot_bytes(const struct gn_staging *s, int slot);

// The payload in the slot is needed for something else too: it is not free before that lets go as well. True then: it is free now.
void gn_staging_hold(struct gn_staging *s, int slot);
bool gn_staging_let_go(struct gn_staging *s, int slot);

// The slot is free now.
void gn_staging_release(struct gn_staging *s, int slot);
// The slot is free when what has been put into `stream` of the current context is done. Small slots that one stream reads one after the other
// share an event: it is recorded by gn_staging_settle, which must come before the thread that runs commands does anything else, or waits.
// gn_staging_unsettled says whether there is a need.
CUresult gn_staging_release_after(struct gn_staging *s, int slot, CUstream stream);
bool gn_staging_unsettled(const struct gn_staging *s);
void gn_staging_settle(struct gn_staging *s);

// Frees slots whose events have passed; tells the output. True when any became free. `all`: looks at every one, also when many in front of it wait.
bool gn_staging_reap(struct gn_staging *s, bool all);
void gn_staging_freed(struct gn_staging *s, uint32_t *small, uint32_t *large); // counted from the start
bool gn_staging_busy(struct gn_staging *s); // payload slots wait for the device

// The current context is new to the staging (registers the memory with it when needed) / is about to die (its events are left alone from now on) /
// has died (what it read is free).
void gn_staging_context(struct gn_staging *s, CUcontext context);
void gn_staging_context_leaves(struct gn_staging *s, CUcontext context);
void gn_staging_context_gone(struct gn_staging *s, CUcontext context);
void gn_staging_stop(struct gn_staging *s); // the session is over: nobody waits for a slot any more

#endif
