// SPDX-License-Identifier: Apache-2.0
// Gates: a stream stops at one until the client has done something (run a host function, sent bytes of a pinned buffer). The stream waits on a
// word of pinned memory, so the driver's callback thread and the other streams go on. The memory is registered in the stream's own context: no
// other context's end takes it away.
#ifndef GN_SERVER_GATE_H
#define GN_SERVER_GATE_H

#include "server/worker/worker.h"

struct gn_gates;

enum { GN_GATES = 1024 };

struct gn_pass { // one passage through a gate
    int gate, page; // page: of the words, by context
    uint32_t value;
};

int gn_gates_open(struct gn_gates **gates, struct gn_worker *w);

void gn_gates_close(struct gn_gates *gates);

bool gn_gate_take(struct gn_worker *w, struct gn_pass *pass);            // false: every gate is in use, or the session is over
void gn_gate_again(struct gn_worker *w, struct gn_pass *pass);           // another passage through the same gate, behind this one
CUresult gn_gate_wait(struct gn_worker *w, CUstream stream, struct gn_pass pass); // the stream stops here
void gn_gate_open(struct gn_worker *w, struct gn_pass pass);             // it may go on, up to the next passage
void gn_gate_pass(struct gn_worker *w, struct gn_pass pass);             // it may go on; the gate is free again
bool gn_gates_stopped(const struct gn_worker *w);
static inline int gn_gates_busy(const struct gn_worker *w) { return atomic_load(&w->busy_gates); } // streams that stop, or will, until the client has done something
void gn_gates_context_gone(struct gn_worker *w, CUcontext context);     // the driver has destroyed it, and what was registered in it
void gn_gates_stop(struct gn_worker *w);                                 // the session is over: lets everything through

#endif
