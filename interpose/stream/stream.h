// SPDX-License-Identifier: Apache-2.0
// Streams as the program names them, resolved to what the wire calls them.
#ifndef GN_INTERPOSE_STREAM_H
#define GN_INTERPOSE_STREAM_H

#include "interpose/shim.h"

enum { GN_STREAM_LEGACY_ID = 1 }; // the wire id of the legacy default stream of the current context

struct gn_stream {
    uint64_t id, context;
    unsigned flags;
    int priority;
    struct gn_handle_slot *slot; // NULL for the legacy default stream
};

// The stream behind a handle; NULL and the two default streams are those of the current context.
// CUDA_ERROR_INVALID_HANDLE: it is none, or is destroyed; CUDA_ERROR_INVALID_CONTEXT: a default stream, and
// there is no context.
CUresult gn_stream_find(struct gn_call *c, CUstream handle, struct gn_stream *stream);

// The error that has ruined a context, by its id, where that is another than the current one: of a stream or an event from elsewhere.
CUresult gn_elsewhere_ruined(struct gn_call *c, uint64_t context);

// The per-thread default stream of the calling thread in the current context, made at first use
// (interpose/stream/stream_thread.c).
CUresult gn_stream_of_thread(struct gn_call *c, uint64_t *id);

// Makes a stream in the current context and names it.
CUresult gn_stream_create(struct gn_call *c, unsigned flags, int priority, uint64_t *id);

// Waits until everything that was put into the stream is done.
CUresult gn_stream_wait(struct gn_call *c, uint64_t stream);

#endif
