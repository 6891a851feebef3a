// SPDX-License-Identifier: Apache-2.0
// A session's life: opening, ending, the word that it is over.
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "remoting/futex.h"
#include "remoting/session/session_parts.h"

enum { RING_BYTES_MIN = 64 << 10 };

// The program's signals are not for the session's threads.
static int start_thread(pthread_t *thread, void *(*run)(void *), void *arg)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(thread, NULL, run, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -error;
}

static void stop_sender(struct gn_session *s)
{
    atomic_store(&s->stopping, true);
    gn_lock_take(&s->send_lock);
    session_wake_sender(s);
    gn_lock_give(&s->send_lock);
}

static int start_threads(struct gn_session *s)
{
    s->sender_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    if (s->sender_fd < 0)
        return -errno;
    s->sender = SENDER_ASLEEP;
    s->patience = 1;
    int error = start_thread(&s->sender_thread, session_sender, s);
    if (error)
        return error;
    error = start_thread(&s->receiver_thread, session_receiver, s);
    if (error) {
        stop_sender(s);
        pthread_join(s->sender_thread, NULL);
        return error;
    }
    s->has_threads = true;
    return 0;
}

int gn_session_open(struct gn_session **session, struct gn_link *link, const struct gn_session_config *config,
                    const struct gn_welcome *welcome)
{
    if (config->ring_bytes < RING_BYTES_MIN || config->ring_bytes & (config->ring_bytes - 1))
        return -EINVAL;
    if (config->receive_bytes && config->receive_bytes < RECEIVE_BYTES_MIN)
        return -EINVAL;
    struct gn_session *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    int error = -ENOMEM;
    s->link = link;
    s->config = *config;
    s->window_bytes = welcome->window_bytes;
    s->chunk_bytes = welcome->chunk_bytes;
    uint64_t slots = welcome->window_bytes / welcome->chunk_bytes;
    s->large_slots = (uint32_t)(slots < EXTENTS_MAX ? slots : EXTENTS_MAX);
    s->controls_end = &s->controls;
    gn_spin_init(&s->spin, config->spin_ns);
    link->look_ns = s->spin.limit_ns;
    s->sender = SENDER_NONE;
    s->sender_fd = -1;
    s->ring.size_bytes = config->ring_bytes;
    s->ring.bytes = malloc(config->ring_bytes);
    s->config.receive_bytes = config->receive_bytes ? config->receive_bytes : RECEIVE_BYTES;
    s->buffer = malloc(s->config.receive_bytes);
    pthread_mutex_init(&s->marks_lock, NULL);
    if (!s->ring.bytes || !s->buffer)
        goto fail;
    if (config->threads && (error = start_threads(s)))
        goto fail;
    *session = s;
    return 0;
fail:
    if (s->sender_fd >= 0)
        close(s->sender_fd);
    free(s->ring.bytes);
    free(s->buffer);
    free(s);
    return error;
}

static void tell_over(struct gn_session *s)
{
    s->link->ops->shut(s->link);
    struct gn_lanes *lanes = atomic_load(&s->lanes);
    if (lanes)
        gn_lanes_shut(lanes);
    session_fail_senders(s);
    gn_lock_take(&s->receive_lock);
    for (struct waiter *w = s->waiters; w; w = w->next) {
        atomic_store(&w->woken, 1);
        gn_futex_wake(&w->woken, 1);
    }
    gn_lock_give(&s->receive_lock);
    s->link->ops->wake(s->link);
    atomic_fetch_add(&s->receiver_word, 1);
    gn_futex_wake(&s->receiver_word, 1);
    if (s->config.events.over && !atomic_load(&s->stopping))
        s->config.events.over(s->config.events.ctx, s->why);
}

void session_fail(struct gn_session *s, const char *format, ...)
{
    int expected = 0;
    char why[sizeof s->why];
    va_list list;
    va_start(list, format);
    vsnprintf(why, sizeof why, format, list);
    va_end(list);
    for (char *c = why; *c; c++) // the server may have written it, and it goes to a terminal
        *c = (unsigned char)*c < ' ' || *c == 0x7f ? '?' : *c;
    int cancel;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    gn_lock_take(&s->receive_lock);
    bool first = !s->why[0];
    if (first)
        memcpy(s->why, why, sizeof why);
    gn_lock_give(&s->receive_lock);
    if (first && atomic_compare_exchange_strong(&s->over, &expected, 1))
        tell_over(s);
    pthread_setcancelstate(cancel, NULL);
}

const char *gn_session_over(const struct gn_session *s)
{
    return atomic_load_explicit(&s->over, memory_order_acquire) ? s->why : NULL;
}

void gn_session_use_lanes(struct gn_session *s, struct gn_lanes *lanes) 
{
    atomic_store(&s->lanes, lanes);
    if (atomic_load(&s->over)) // by a lane, perhaps, before it was known here
        gn_lanes_shut(lanes);
}

void gn_session_close(struct gn_session *s)
{
    atomic_store(&s->stopping, true);
    session_fail(s, "closed");
    if (s->has_threads) {
        stop_sender(s);
        pthread_join(s->sender_thread, NULL);
        pthread_join(s->receiver_thread, NULL);
    }
    if (s->sender_fd >= 0)
        close(s->sender_fd);
    if (s->lanes)
        gn_lanes_close(s->lanes);
    s->link->ops->close(s->link);
    gn_link_free(s->link);
    for (struct control *c = s->controls, *next; c; c = next) {
        next = c->next;
        session_control_free(c);
    }
    pthread_mutex_destroy(&s->marks_lock);
    free(s->marks);
    free(s->transfers);
    free(s->unpack_from);
    free(s->unpack_to);
    free(s->ring.bytes);
    free(s->buffer);
    free(s);
}

void gn_session_forked(struct gn_session *s)
{
    if (s->sender_fd >= 0)
        close(s->sender_fd);
    if (s->lanes)
        gn_lanes_abandon(s->lanes);
    s->link->ops->abandon(s->link);
}

void gn_session_count(struct gn_session *s, struct gn_session_counts *counts)
{
    gn_lock_take(&s->send_lock);
    gn_lock_take(&s->receive_lock);
    *counts = s->counts;
    counts->link = s->link->ops->name;
    struct gn_lanes *lanes = atomic_load(&s->lanes);
    counts->lanes = lanes ? gn_lanes_ready(lanes) : 0;
    counts->lane_sends = atomic_load_explicit(&s->lane_sends, memory_order_relaxed);
    counts->lane_receives = atomic_load_explicit(&s->lane_receives, memory_order_relaxed);
    counts->payload_bytes_sent += atomic_load_explicit(&s->lane_bytes, memory_order_relaxed);
    counts->looks = atomic_load_explicit(&s->spin.looks, memory_order_relaxed);
    counts->look_hits = atomic_load_explicit(&s->spin.hits, memory_order_relaxed);
    counts->marks = s->marks_heard;
    counts->receives = atomic_load_explicit(&s->receives, memory_order_relaxed);
    counts->command_bytes_received = atomic_load_explicit(&s->command_bytes_received, memory_order_relaxed);
    counts->payload_bytes_received = atomic_load_explicit(&s->payload_bytes_received, memory_order_relaxed) +
                                     atomic_load_explicit(&s->lane_received_bytes, memory_order_relaxed);
    counts->packed_raw_bytes = atomic_load(&s->packing.raw_bytes) + atomic_load(&s->unpacked_raw_bytes);
    counts->packed_bytes = atomic_load(&s->packing.packed_bytes) + atomic_load(&s->unpacked_bytes);
    // Small payload has been counted with the ring's bytes; what of it still waits there is counted as sent.
    uint64_t small = s->small_bytes < counts->command_bytes_sent ? s->small_bytes : counts->command_bytes_sent;
    counts->command_bytes_sent -= small;
    counts->payload_bytes_sent += small;
    gn_lock_give(&s->receive_lock);
    gn_lock_give(&s->send_lock);
}
