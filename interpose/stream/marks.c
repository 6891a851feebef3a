// SPDX-License-Identifier: Apache-2.0
// Queries of events and streams, answered by what is known here; and the records that ask for a mark.
#include "interpose/stream/marks.h"

#include <pthread.h>

#include "api_wire.h"
#include "interpose/options.h"

// An event's word: its flags, then
#define RECORDED  ((uint64_t)1 << 8)
#define PASSED    ((uint64_t)1 << 9)  // the last record has passed
#define UNDER_WAY ((uint64_t)1 << 10) // counts the records being made: 12 bits
#define SERIAL    ((uint64_t)1 << 22) // counts the records
#define UNDER_WAY_MASK (SERIAL - UNDER_WAY)

// Records are marked as long as the program asks: each query buys so many. A program that stops asking stops paying.
enum { APPETITE = 64 };
static _Atomic int appetite;

static bool is_on(void) { return gn_options_on(GN_OPT_MARKS); }

// An answer from here, unless its context is lost: then that is the answer to everything.
static CUresult known(struct gn_call *c, uint64_t context, CUresult r)
{
    const struct gn_context *x = gn_context_find((CUcontext)(uintptr_t)context);
    CUresult lost = x ? (CUresult)atomic_load_explicit(&x->sticky, memory_order_relaxed) : CUDA_SUCCESS;
    gn_count(&c->thread->counts.known, 1);
    return lost ? lost : r;
}

// The mark as far as it goes: what has arrived is taken in once.
static enum gn_mark_state look(uint64_t mark)
{
    enum gn_mark_state state = gn_session_mark_look(gn_shim.session, mark);
    if (state != GN_MARK_PENDING)
        return state;
    gn_session_poll(gn_shim.session);
    return gn_session_mark_look(gn_shim.session, mark);
}

// --- events

uint64_t gn_event_keep(const struct gn_handle_slot *slot) { return __atomic_load_n(&slot->keep, __ATOMIC_ACQUIRE); }
bool gn_event_is_recorded(const struct gn_handle_slot *slot) { return gn_event_keep(slot) & RECORDED; }

// The mark of the last record, or 0.
static _Atomic uint64_t *mark_of(struct gn_handle_slot *slot) { return &slot->words[0]; }

void gn_event_passed(struct gn_handle_slot *slot, uint64_t keep)
{
    if (!(keep & UNDER_WAY_MASK)) // else a record may have come in between
        __atomic_compare_exchange_n(&slot->keep, &keep, keep | PASSED, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static uint64_t begin_record(struct gn_handle_slot *slot)
{
    uint64_t before = gn_event_keep(slot), now;
    do
        now = ((before & ~PASSED) | RECORDED) + UNDER_WAY + SERIAL;
    while (!__atomic_compare_exchange_n(&slot->keep, &before, now, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
    return now;
}

// The mark is the event's when no other thread has recorded it meanwhile: which of the two came last, only the server knows.
static void end_record(struct gn_handle_slot *slot, uint64_t begun, uint64_t mark)
{
    bool alone = (begun & UNDER_WAY_MASK) == UNDER_WAY;
    uint64_t now = begun;
    atomic_store_explicit(mark_of(slot), alone ? mark : 0, memory_order_release);
    while (!__atomic_compare_exchange_n(&slot->keep, &now, now - UNDER_WAY, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        atomic_store_explicit(mark_of(slot), 0, memory_order_release);
}

CUresult gn_event_record(struct gn_call *c, struct gn_handle_slot *slot, uint64_t event, uint64_t stream, unsigned flags)
{
    uint64_t mark = 0, begun = begin_record(slot);
    if (atomic_load_explicit(&appetite, memory_order_relaxed) > 0 && is_on()) {
        atomic_fetch_sub_explicit(&appetite, 1, memory_order_relaxed);
        mark = gn_session_mark_open(gn_shim.session, gn_session_heard(gn_shim.session));
    }
    CUresult r = mark || flags ? gn_post(c, GN_OP_event_record_marked,
                                         &(struct gn_args_event_record_marked){
                                             .event = event, .stream = stream, .mark = mark, .flags = flags})
                               : gn_post(c, GN_OP_event_record,
                                         &(struct gn_args_event_record){.event = event, .stream = stream});
    end_record(slot, begun, mark);
    return r;
}

static CUresult ask_event(struct gn_call *c, struct gn_handle_slot *slot, uint64_t event, uint64_t keep, uint64_t mark)
{
    struct gn_session *session = gn_shim.session;
    uint64_t heard = gn_session_heard(session), fresh = 0;
    bool pending = mark && gn_session_mark_out(session, mark);
    gn_count(&c->thread->counts.asked, 1);
    if (is_on() && !pending)
        fresh = gn_session_mark_open(session, heard);
    CUresult r = gn_ask(c, GN_OP_event_query, &(struct gn_args_event_query){.event = event, .mark = fresh},
                        &(struct gn_out_event_query){0});
    if (r != CUDA_ERROR_NOT_READY) {
        if (fresh)
            gn_session_mark_drop(session, fresh);
        if (!r)
            gn_event_passed(slot, keep);
        return r;
    }
    if (pending) {
        gn_session_mark_renew(session, mark, heard);
    } else if (fresh && !(keep & UNDER_WAY_MASK)) {
        atomic_store_explicit(mark_of(slot), fresh, memory_order_release);
        if (gn_event_keep(slot) != keep) // recorded anew meanwhile
            atomic_store_explicit(mark_of(slot), 0, memory_order_release);
    }
    return r;
}

CUresult gn_event_query(struct gn_call *c, struct gn_handle_slot *slot, uint64_t event)
{
    uint64_t keep = gn_event_keep(slot);
    if (!(keep & RECORDED))
        return known(c, slot->context, CUDA_SUCCESS);
    if (!is_on())
        return ask_event(c, slot, event, keep, 0);
    atomic_store_explicit(&appetite, APPETITE, memory_order_relaxed);
    if (keep & PASSED)
        return known(c, slot->context, CUDA_SUCCESS);
    uint64_t mark = keep & UNDER_WAY_MASK ? 0 : atomic_load_explicit(mark_of(slot), memory_order_acquire);
    switch (mark ? look(mark) : GN_MARK_DOUBTFUL) {
    case GN_MARK_PASSED: gn_event_passed(slot, keep); return known(c, slot->context, CUDA_SUCCESS);
    case GN_MARK_PENDING: return known(c, slot->context, CUDA_ERROR_NOT_READY);
    default: return ask_event(c, slot, event, keep, mark);
    }
}

// --- streams

static pthread_mutex_t proof_lock = PTHREAD_MUTEX_INITIALIZER; // of words[1] and [2] of all streams; innermost

static _Atomic uint64_t *words_of(const struct gn_stream *stream)
{
    if (stream->slot)
        return stream->slot->words;
    struct gn_context *context = gn_context_find((CUcontext)(uintptr_t)stream->context);
    return context ? context->legacy : NULL;
}

// The legacy default stream waits for other streams and they for it: it has been touched by whatever was sent.
uint64_t gn_stream_touched(const struct gn_stream *stream)
{
    return stream->slot ? atomic_load_explicit(&stream->slot->words[0], memory_order_acquire)
                        : gn_session_sequence(gn_shim.session);
}

static void prove(_Atomic uint64_t *words, uint64_t touched, uint64_t mark)
{
    if (!words)
        return;
    pthread_mutex_lock(&proof_lock);
    atomic_store_explicit(&words[1], touched, memory_order_relaxed);
    atomic_store_explicit(&words[2], mark, memory_order_relaxed);
    pthread_mutex_unlock(&proof_lock);
}

void gn_stream_passed(const struct gn_stream *stream, uint64_t touched)
{
    if (stream->slot && is_on())
        prove(words_of(stream), touched, 0);
}

static CUresult ask_stream(struct gn_call *c, const struct gn_stream *stream, _Atomic uint64_t *words, uint64_t touched)
{
    struct gn_session *session = gn_shim.session;
    struct gn_latched latched = {0};
    int32_t code = 0;
    uint64_t mark = is_on() ? gn_session_mark_open(session, gn_session_heard(session)) : 0;
    gn_count(&c->thread->counts.asked, 1);
    int status = gn_session_ask(session, gn_context_id(c), GN_OP_stream_query,
                                &(struct gn_args_stream_query){.stream = stream->id, .mark = mark},
                                &(struct gn_out_stream_query){0}, &code, &latched);
    CUresult r = gn_answered(c, GN_OP_stream_query, status, code, &latched);
    if (!stream->slot)
        touched = latched.sequence; // the question itself
    if (r != CUDA_ERROR_NOT_READY && mark)
        gn_session_mark_drop(session, mark);
    if (is_on() && (!r || (r == CUDA_ERROR_NOT_READY && mark)))
        prove(words, touched, r ? mark : 0);
    return r;
}

CUresult gn_stream_query(struct gn_call *c, const struct gn_stream *stream)
{
    _Atomic uint64_t *words = words_of(stream);
    uint64_t touched = gn_stream_touched(stream);
    if (!is_on() || !words)
        return ask_stream(c, stream, words, touched);
    pthread_mutex_lock(&proof_lock);
    bool about_it = atomic_load_explicit(&words[1], memory_order_relaxed) == touched;
    uint64_t mark = atomic_load_explicit(&words[2], memory_order_relaxed);
    pthread_mutex_unlock(&proof_lock);
    switch (!about_it ? GN_MARK_DOUBTFUL : mark ? look(mark) : GN_MARK_PASSED) {
    case GN_MARK_PASSED:
        if (mark)
            prove(words, touched, 0);
        return known(c, stream->context, CUDA_SUCCESS);
    case GN_MARK_PENDING: return known(c, stream->context, CUDA_ERROR_NOT_READY);
    default: return ask_stream(c, stream, words, touched);
    }
}
