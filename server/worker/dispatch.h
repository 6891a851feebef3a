// SPDX-License-Identifier: Apache-2.0
// One command at the server: what the generated dispatch and the hand-written gn_run_NAME functions share.
#ifndef GN_SERVER_DISPATCH_H
#define GN_SERVER_DISPATCH_H

#include "core/cursor.h"
#include "server/worker/worker.h"

struct gn_payload { // payload of a command, received into staging; the handler that keeps it sets `taken`
    void *data;
    size_t size_bytes;
    int slot;   // of the staging pool
    bool taken;
};

struct gn_request {
    uint64_t sequence; // of the command, from 1
    uint16_t op;
    struct gn_payload *payload; // or NULL
    bool confirm;      // a posted command that is answered all the same
    bool dropped;      // a handle it names was never made, or is gone: the command does nothing
    const char *error; // the session must end, because of this
};

// What gn_run_NAME returns when the reply comes later, from gn_reply_now.
#define GN_DEFERRED ((CUresult)-1)

// Generated: by op; NULL where there is no such command. 0, or -EPROTO: the session ends, q->error says why.
extern int (*const gn_dispatch[GN_OPS])(struct gn_worker *, struct gn_request *, struct gn_cursor *);

// Used by the generated dispatch.
int gn_request_malformed(struct gn_worker *w, struct gn_request *q);
int gn_request_dropped(struct gn_worker *w, struct gn_request *q); // a posted one keeps the first error, a sync one replies INVALID_HANDLE
int gn_request_finish(struct gn_worker *w, struct gn_request *q, CUresult r, const void *out); // replies (sync) or latches (posted)

// Handles: false: not there; q->dropped is set (its creation failed or it is destroyed: dropped) or q->error (no such id can be).
// A stream of another context than the scope's makes that one current for the rest of the command: a program may copy in it from anywhere.
bool gn_find_stream(struct gn_worker *w, struct gn_request *q, uint64_t id, CUstream *stream); // default streams too
bool gn_find_event(struct gn_worker *w, struct gn_request *q, uint64_t id, CUevent *event);
bool gn_find_function(struct gn_worker *w, struct gn_request *q, uint64_t id, CUfunction *function); // or a kernel, cast
bool gn_find_object(struct gn_worker *w, struct gn_request *q, enum gn_kind kind, uint64_t id, void **object);

// Files what a command made under the client's name, with the current scope as its context; `object` NULL (because of `r`) files the failure,
// so that later commands on it are dropped. Returns r, or OUT_OF_MEMORY over the limit on handles; sets q->error for an id that cannot be.
CUresult gn_keep(struct gn_worker *w, struct gn_request *q, enum gn_kind kind, uint64_t id, void *object, CUresult r);
void gn_forget(struct gn_worker *w, uint64_t id); // after a destroy
void gn_forget_context(struct gn_worker *w, uint64_t context); // all handles of a context

// A deferred reply, from any thread. `out` is struct gn_out_NAME of the op, or NULL when r is an error.
void gn_reply_now(struct gn_worker *w, uint64_t sequence, uint16_t op, CUresult r, const void *out);

// Makes the scope's context current on the calling thread (each thread of the worker remembers what it set).
CUresult gn_use_context(struct gn_worker *w, CUcontext context);
CUcontext gn_context_in_use(void); // what this thread set last

// Whether an error of the device has ruined a context of the session.
bool gn_context_is_lost(struct gn_worker *w);
// A handle that is missing in a lost context may never have been made because of that, and nothing else tells: the context's error then.
CUresult gn_context_reason(struct gn_worker *w, CUresult r);

#endif
