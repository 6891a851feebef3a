// SPDX-License-Identifier: Apache-2.0
// The shim's state in this process, and what the hand-written calls share beyond interpose/call.h.
#ifndef GN_INTERPOSE_SHIM_H
#define GN_INTERPOSE_SHIM_H

#include "interpose/call.h"
#include "interpose/context/context.h"
#include "remoting/hello.h"
#include "remoting/session/session.h"

enum gn_mode {
    GN_MODE_COLD,   // before cuInit: nothing has been opened
    GN_MODE_REMOTE, // a session with a server
    GN_MODE_OVER,   // there was one
    GN_MODE_LOCAL,  // a driver of this machine does the work; the shim only looks on
    GN_MODE_FORKED, // a child of a process that had initialised
};

struct gn_shim {
    _Atomic int mode; // enum gn_mode; everything below is written before it leaves GN_MODE_COLD and constant
                      // from then on
    struct gn_session *session;
    struct gn_welcome welcome; // what the server said, with its devices
};
extern struct gn_shim gn_shim;

// The server's device, or NULL for a number that is none.
static inline const struct gn_device_snapshot *gn_device(CUdevice device)
{
    return device >= 0 && (uint32_t)device < gn_shim.welcome.device_count ? &gn_shim.welcome.devices[device]
                                                                          : NULL;
}

// The wire id of the call's current context, or 0.
static inline uint64_t gn_context_id(const struct gn_call *c)
{
    return c->context ? atomic_load_explicit(&c->context->id, memory_order_relaxed) : 0;
}

// For hand-written calls that talk to gn_shim.session themselves (payload, copies to the host). gn_posted
// after a posted command, with what the session returned; gn_answered after one that waited. Both log and
// remember latched errors and give the code of the call, as gn_post and gn_ask do.
CUresult gn_posted(struct gn_call *c, unsigned op, int status, int32_t code);
CUresult gn_answered(struct gn_call *c, unsigned op, int status, int32_t code,
                     const struct gn_latched *latched);

// One more kernel launched, for the statistics.
void gn_count_kernel(struct gn_call *c);

// --- what the other parts of the shim provide to it
void gn_context_gone_memory(uint64_t context); // forget the allocations of a context that is no more
void gn_context_gone_handle(
    struct gn_handle_slot *slot); // free what stands behind a handle of such a context
void gn_host_function_due(
    uint64_t token, int status); // on the receiver's thread: run it elsewhere, then gn_session_host_done
void gn_memory_forked(void);     // in a forked child: locks may be held by threads that are not there
void gn_memory_info_forked(void);
void gn_vmm_forked(void);
void gn_host_functions_forked(void);

#endif
