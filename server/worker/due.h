// SPDX-License-Identifier: Apache-2.0
// What streams owe: data on its way to the client, host functions, pulled copies. Each ends by a callback of its stream; when the stream's context
// ends first, no callback comes and it is ended here, so that neither the client nor a slot nor a gate waits for ever.
//
// A callback gets a note with a serial number, never a pointer to what it is about: that may have ended by then.
#ifndef GN_SERVER_DUE_H
#define GN_SERVER_DUE_H

#include "server/worker/dispatch.h"
#include "server/worker/host.h"

enum gn_due_kind { GN_DUE_DATA, GN_DUE_CALL, GN_DUE_PULL };

struct gn_due { // the first member of what is due; from malloc
    struct gn_due *next;
    enum gn_due_kind kind;
    uint64_t serial;
    CUcontext context;
    // With the lock: no callback comes any more, because of `code`. Takes it off the list and frees it, unless the client has still to answer.
    void (*lost)(struct gn_worker *w, struct gn_due *due, CUresult code);
};

struct gn_due_note {
    struct gn_worker *worker;
    uint64_t serial;
    uint32_t index;
    void (*run)(const struct gn_due_note *note, struct gn_due *due, CUresult status); // with the lock; due: NULL when it has ended
};

void gn_due_lock(struct gn_worker *w); // guards the list and what is on it; only the output, staging and gates are locked within
void gn_due_unlock(struct gn_worker *w);
struct gn_due *gn_due_first(struct gn_worker *w); // with the lock

void gn_due_add(struct gn_worker *w, struct gn_due *due); // in the current context; without the lock
void gn_due_end(struct gn_worker *w, struct gn_due *due); // with the lock: off the list, and freed

// The stream, when it gets there, runs `run` and flushes the output; also after an error in its context, with that code, where the driver can.
CUresult gn_due_tell(struct gn_worker *w, CUstream stream, const struct gn_due *due, uint32_t index,
                     void (*run)(const struct gn_due_note *note, struct gn_due *due, CUresult status));

// The context is destroyed: whatever its streams owe is lost.
void gn_dues_lose(struct gn_worker *w, CUcontext context, CUresult code);

// A staging slot that a stream will keep until it gets somewhere. Streams that wait for the client may hold them all, so the command goes
// aside to wait for one.
CUresult gn_due_slot(struct gn_worker *w, int *slot);

#endif
