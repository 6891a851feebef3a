// SPDX-License-Identifier: Apache-2.0
// Marks: events and streams that the client wants to be told of when they have passed, so that it need not ask.
//
// Nothing is put into a stream for it: the driver is asked about the very event or stream, by whoever is about to tell the client something that
// could imply an answer, and else by a thread of its own at intervals that grow with the waiting.
#ifndef GN_SERVER_MARKS_H
#define GN_SERVER_MARKS_H

#include "server/worker/dispatch.h"

struct gn_marks;
int gn_marks_open(struct gn_marks **marks, struct gn_worker *w);
void gn_marks_close(struct gn_marks *marks);

// Watches what `handle` (an event, or a stream, whose driver object is given) stands for now. `asked`: the answer to a question is on its way,
// not a record. mark 0: nothing. false: more than GN_MARKS_MAX; q->error says so.
bool gn_marks_add(struct gn_worker *w, struct gn_request *q, uint64_t mark, uint64_t handle, uint64_t context, void *object, uint64_t stream,
                  bool asked);
// The handle will stand for something else, or is destroyed: a mark on it is told to be in doubt, and the driver is asked no more.
void gn_marks_forget(struct gn_worker *w, uint64_t handle, uint64_t context);
void gn_marks_refuse(struct gn_worker *w, uint64_t mark);       // in doubt at once: what it was for has failed
void gn_marks_context_leaves(struct gn_worker *w, CUcontext context); // before it dies

// Pushes the marks of everything that has passed. Whatever has been known to have passed before the call is told before what is pushed after
// it; false: that could not be seen to, because a gate is busy and the driver may not answer until it opens.
bool gn_marks_sweep(struct gn_worker *w);

#endif
