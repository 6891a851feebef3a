// SPDX-License-Identifier: Apache-2.0
// One call of the program, from its entry point to its return: what the entry points, generated and by hand, share.
#ifndef GN_INTERPOSE_CALL_H
#define GN_INTERPOSE_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include "api_ids.h"
#include "core/handle.h"
#include "remoting/cuda_types.h"

#define GN_EXPORT __attribute__((visibility("default")))

struct gn_context; // interpose/context/context.h
struct gn_thread;  // interpose/thread.h

struct gn_call {
    uint16_t op, symbol;
    bool traced;               // GENIE_TRACE is on and this is the outermost call
    void *local;               // GENIE_MODE=local: the driver's function of the same symbol
    CUstream default_stream;   // what a NULL stream means here: CU_STREAM_LEGACY or CU_STREAM_PER_THREAD
    struct gn_thread *thread;
    struct gn_context *context; // the current one; never NULL in a call with the flag ctx
    _Atomic uint64_t *touched; // of the stream that the call puts work into (interpose/stream/marks.h), or NULL
    uint64_t started_ns;       // only where GENIE_STATS asks for times
    int saved_errno;           // a guest leaves errno alone
};

// Every entry point begins and ends with these. gn_enter returns what the call must return at once (not initialised, no context, a context
// that an earlier error has made unusable), or CUDA_SUCCESS; it counts the call. gn_leave restores errno and hands `result` through.
CUresult gn_enter(struct gn_call *c, unsigned op, unsigned symbol, CUstream default_stream);
CUresult gn_leave(struct gn_call *c, CUresult result);

// CUDA_ERROR_NOT_SUPPORTED, and the log says so once a symbol.
CUresult gn_unsupported(struct gn_call *c);

// Sends a command whose argument structure is struct gn_args_NAME (api_wire.h), in the scope of the current context.
// gn_post does not wait: a failure at the server surfaces later. gn_ask waits for the reply and decodes it into struct gn_out_NAME.
// Both return CUDA_ERROR_DEVICE_UNAVAILABLE once the server is gone. gn_ask also returns an earlier posted command's failure when the call
// may report one (flag async) and has none of its own.
CUresult gn_post(struct gn_call *c, unsigned op, const void *args);
CUresult gn_ask(struct gn_call *c, unsigned op, const void *args, void *out);

// Blobs in `out` of gn_ask point into a buffer of the thread's that the next gn_ask of that thread overwrites.

// --- handles of the program (interpose/handles.c)
CUresult gn_handle_new(struct gn_call *c, enum gn_kind kind, uint64_t context, uint64_t keep, void *object, uint64_t *id);
CUresult gn_handle_new_here(struct gn_call *c, enum gn_kind kind, uint64_t keep, uint64_t *id); // in the current context
void gn_handle_drop(uint64_t id);                                        // forgets the handle; nothing is sent
struct gn_handle_slot *gn_handle_slot(const void *handle, enum gn_kind kind); // the live slot, or NULL
void gn_handles_drop_context(uint64_t context, void (*dropped)(struct gn_handle_slot *)); // every handle of a context dies with it
#define gn_handle_give(where, id) (*(where) = (void *)(uintptr_t)(id))

// The id behind a handle, or the code that a driver gives for a bad one.
CUresult gn_id_event(struct gn_call *c, CUevent handle, uint64_t *id);
CUresult gn_id_stream(struct gn_call *c, CUstream handle, uint64_t *id); // default streams too; checks the stream's context
CUresult gn_id_function(struct gn_call *c, CUfunction handle, uint64_t *id); // a CUkernel too

// --- trace (interpose/trace.c)
void gn_trace_begin(struct gn_call *c);
void gn_trace_number(struct gn_call *c, const char *name, long long value);
void gn_trace_handle(struct gn_call *c, const char *name, uint64_t value);
void gn_trace_pointer(struct gn_call *c, const char *name, const void *value);
void gn_trace_text(struct gn_call *c, const char *name, const char *value);
void gn_trace_result(struct gn_call *c, CUresult r, const char *name, const void *where, size_t size_bytes);
void gn_trace_end(struct gn_call *c, CUresult r);

#endif
