// SPDX-License-Identifier: Apache-2.0
// What is known here of events and streams without asking: whether what was put there has passed.
//
// An event's word says what its last record is and whether that has passed; the mark of the record, if the server was asked for one, is told
// when it passes. A stream is touched by every call that puts work into it, at the call's end: as long as nothing has touched it since it was
// known to be through, it is. A query that nothing here can answer asks, and from then on the server tells by itself.
#ifndef GN_INTERPOSE_MARKS_H
#define GN_INTERPOSE_MARKS_H

#include "interpose/context/context.h"
#include "interpose/stream/stream.h"

// --- streams: words[0] changes with every touch; words[1] and [2]: as of which touch the stream has passed ([2] is 0), or will have when the
// mark in [2] comes. A default stream's words are its context's, and count for nothing there: any command may have to do with it.

static inline void gn_touch(struct gn_thread *thread, _Atomic uint64_t *words)
{
    // A value that was never there before. Two threads at once leave the value of one: it is new to whoever looked before.
    atomic_store_explicit(words, (uint64_t)(uint32_t)thread->number << 40 ^ ++thread->touches, memory_order_release);
}
// The call puts work into this stream. Touching it is left to the call's end: then the work is certainly in the session's order.
static inline void gn_touches(struct gn_call *c, const struct gn_stream *stream)
{
    if (stream->slot)
        c->touched = stream->slot->words;
}
uint64_t gn_stream_touched(const struct gn_stream *stream); // before a question; then, when the answer was that it has passed:
void gn_stream_passed(const struct gn_stream *stream, uint64_t touched);
CUresult gn_stream_query(struct gn_call *c, const struct gn_stream *stream);

// --- events: what a slot keeps

uint64_t gn_event_keep(const struct gn_handle_slot *slot); // the flags in its low bits
bool gn_event_is_recorded(const struct gn_handle_slot *slot);
void gn_event_passed(struct gn_handle_slot *slot, uint64_t keep); // what `keep` stood for has passed
CUresult gn_event_record(struct gn_call *c, struct gn_handle_slot *slot, uint64_t event, uint64_t stream, unsigned flags);
CUresult gn_event_query(struct gn_call *c, struct gn_handle_slot *slot, uint64_t event);

#endif
