// SPDX-License-Identifier: Apache-2.0
// The queue of messages to the client.
#include "server/worker/output.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/cursor.h"
#include "remoting/session/pack.h"
#include "server/log.h"
#include "server/worker/staging.h"

struct item {
    struct item *next;
    struct gn_message message;
    int slot;           // staging slot of the body, or -1
    const void *body;   // in the slot, right behind this structure, or in `packed`
    void *packed;
    size_t sent_bytes;  // of header, body and padding together
};

struct gn_output {
    struct gn_worker *worker;
    struct gn_link *link;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct item *first, **end;
    uint64_t queued_bytes;   // of the queue's own memory: bodies in staging slots not
    uint64_t taken_bytes;
    uint32_t freed_small, freed_large;
    uint64_t told_taken_bytes; // in the last header that was sent
    uint32_t told_small, told_large;
    bool sending, blocked;   // somebody sends; the socket was full, so the thread must
    bool dead, stopping;
    bool packs;              // the client takes packed data
    struct gn_packing packing;
    pthread_t thread;
};

static const uint8_t zeros[8];

static size_t kept_bytes(const struct item *i) { return sizeof *i + (i->slot < 0 ? i->message.size_bytes : 0); }
static size_t item_bytes(const struct item *i) { return sizeof i->message + gn_pad8(i->message.size_bytes); }

// The pieces of one item that are not sent yet.
static int pieces_of(const struct item *i, struct iovec pieces[3])
{
    struct iovec all[3] = {
        {.iov_base = (void *)(uintptr_t)&i->message, .iov_len = sizeof i->message},
        {.iov_base = (void *)(uintptr_t)i->body, .iov_len = i->message.size_bytes},
        {.iov_base = (void *)(uintptr_t)zeros, .iov_len = gn_pad8(i->message.size_bytes) - i->message.size_bytes},
    };
    size_t skip = i->sent_bytes;
    int n = 0;
    for (int k = 0; k < 3; k++) {
        if (skip >= all[k].iov_len) {
            skip -= all[k].iov_len;
            continue;
        }
        pieces[n++] = (struct iovec){.iov_base = (uint8_t *)all[k].iov_base + skip, .iov_len = all[k].iov_len - skip};
        skip = 0;
    }
    return n;
}

// With the lock: takes the first item off.
static void finish_first(struct gn_output *o)
{
    struct item *i = o->first;
    o->first = i->next;
    if (!o->first)
        o->end = &o->first;
    if (i->slot >= 0)
        gn_staging_release(o->worker->staging, i->slot);
    o->queued_bytes -= kept_bytes(i);
    atomic_fetch_add_explicit(&o->worker->status->sent_bytes, item_bytes(i), memory_order_relaxed);
    free(i->packed);
    free(i);
}

// With the lock, which it lets go while packing; the sender's role is the caller's, so that the item stays where it is.
static void pack(struct gn_output *o, struct item *i)
{
    size_t raw_bytes = i->message.size_bytes, packed_bytes = 0;
    void *packed = NULL;
    pthread_mutex_unlock(&o->lock);
    if (gn_packing_wants_rate(&o->packing, raw_bytes) && o->link->ops->rate)
        gn_packing_rate(&o->packing, o->link->ops->rate(o->link));
    if (gn_packing_pays(&o->packing, i->body, raw_bytes) && (packed = malloc(gn_pack_room_bytes(raw_bytes))))
        packed_bytes = gn_pack(&o->packing, packed, i->body, raw_bytes);
    if (packed_bytes)
        gn_staging_release(o->worker->staging, i->slot);
    else
        free(packed);
    pthread_mutex_lock(&o->lock);
    if (!packed_bytes)
        return;
    i->message.kind = GN_MESSAGE_PACKED;
    i->message.size_bytes = (uint32_t)packed_bytes;
    i->body = i->packed = packed;
    i->slot = -1;
    o->queued_bytes += packed_bytes;
}

// With the lock, which it lets go while sending; the sender's role is the caller's. -EAGAIN: the socket is full. 0: all is sent.
static int send_queued(struct gn_output *o, int wait)
{
    while (o->first && !o->dead) {
        struct iovec pieces[GN_LINK_IOVECS_MAX];
        int count = 0;
        const struct gn_message *told = NULL;
        for (struct item *i = o->first; i && count + 3 <= GN_LINK_IOVECS_MAX; i = i->next) {
            // The thread sends because the socket was full: the network is slower than this machine.
            if (wait && o->packs && i->message.kind == GN_MESSAGE_DATA && i->slot >= 0 && !i->sent_bytes)
                pack(o, i);
            if (!i->sent_bytes) { // the newest counters, as long as the header has not gone out
                i->message.acked_bytes = o->taken_bytes;
                i->message.freed_small = o->freed_small;
                i->message.freed_large = o->freed_large;
                told = &i->message;
            }
            count += pieces_of(i, pieces + count);
        }
        if (told) {
            o->told_taken_bytes = told->acked_bytes;
            o->told_small = told->freed_small;
            o->told_large = told->freed_large;
        }
        pthread_mutex_unlock(&o->lock);
        ssize_t n = o->link->ops->send(o->link, pieces, count, wait);
        pthread_mutex_lock(&o->lock);
        if (n == -EAGAIN)
            return -EAGAIN;
        if (n <= 0) {
            o->dead = true;
            break;
        }
        for (size_t left = (size_t)n; left;) {
            size_t rest = item_bytes(o->first) - o->first->sent_bytes, step = left < rest ? left : rest;
            o->first->sent_bytes += step;
            left -= step;
            if (step == rest)
                finish_first(o);
        }
    }
    return 0;
}

void gn_output_flush(struct gn_output *o)
{
    pthread_mutex_lock(&o->lock);
    if (!o->sending && !o->blocked) {
        o->sending = true;
        int error = send_queued(o, 0);
        o->sending = false;
        if (error) {
            o->blocked = true;
            pthread_cond_broadcast(&o->changed);
        }
    }
    pthread_mutex_unlock(&o->lock);
}

static void *run(void *output)
{
    struct gn_output *o = output;
    pthread_mutex_lock(&o->lock);
    while (!o->stopping) {
        if (!o->blocked || o->sending) {
            pthread_cond_wait(&o->changed, &o->lock);
            continue;
        }
        o->sending = true;
        send_queued(o, 1);
        o->sending = o->blocked = false;
        pthread_cond_broadcast(&o->changed);
    }
    pthread_mutex_unlock(&o->lock);
    return NULL;
}

int gn_output_open(struct gn_output **output, struct gn_worker *w, struct gn_link *link, bool packs)
{
    struct gn_output *o = calloc(1, sizeof *o);
    if (!o)
        return -ENOMEM;
    o->worker = w;
    o->link = link;
    o->packs = packs;
    o->end = &o->first;
    pthread_mutex_init(&o->lock, NULL);
    pthread_cond_init(&o->changed, NULL);
    int error = pthread_create(&o->thread, NULL, run, o);
    if (error) {
        free(o);
        return -error;
    }
    *output = o;
    return 0;
}

void gn_output_close(struct gn_output *o)
{
    pthread_mutex_lock(&o->lock);
    o->stopping = o->dead = true;
    pthread_cond_broadcast(&o->changed);
    pthread_mutex_unlock(&o->lock);
    o->link->ops->shut(o->link);
    pthread_join(o->thread, NULL);
    pthread_mutex_lock(&o->lock);
    while (o->first)
        finish_first(o);
    pthread_mutex_unlock(&o->lock);
    pthread_mutex_destroy(&o->lock);
    pthread_cond_destroy(&o->changed);
    free(o);
}

// With the lock. A client that misses one message waits for ever: better that it learns of the end.
static void give_up(struct gn_output *o)
{
    o->dead = true;
    o->link->ops->shut(o->link);
}

static bool append(struct gn_output *o, struct item *i)
{
    pthread_mutex_lock(&o->lock);
    bool ok = !o->dead && o->queued_bytes + kept_bytes(i) <= GN_OUTPUT_BYTES_MAX;
    if (ok) {
        o->queued_bytes += kept_bytes(i);
        *o->end = i;
        o->end = &i->next;
    } else if (!o->dead) {
        gn_log(GN_LOG_WARN, "the client does not read: %llu bytes of replies wait for it; ending the session",
               (unsigned long long)o->queued_bytes);
        give_up(o);
    }
    pthread_mutex_unlock(&o->lock);
    return ok;
}

static void no_memory(struct gn_output *o)
{
    gn_log(GN_LOG_WARN, "no memory for a message to the client; ending the session");
    pthread_mutex_lock(&o->lock);
    give_up(o);
    pthread_mutex_unlock(&o->lock);
}

bool gn_output_push(struct gn_output *o, const struct gn_message *message, const void *body)
{
    struct item *i = malloc(sizeof *i + message->size_bytes);
    if (!i) {
        no_memory(o);
        return false;
    }
    *i = (struct item){.message = *message, .slot = -1, .body = i + 1};
    if (message->size_bytes)
        memcpy(i + 1, body, message->size_bytes);
    bool ok = append(o, i);
    if (!ok)
        free(i);
    return ok;
}

bool gn_output_push_slot(struct gn_output *o, const struct gn_message *message, int slot)
{
    struct item *i = malloc(sizeof *i);
    bool ok = false;
    if (!i) {
        no_memory(o);
    } else {
        *i = (struct item){.message = *message, .slot = slot, .body = gn_staging_data(o->worker->staging, slot)};
        ok = append(o, i);
        atomic_fetch_add_explicit(&o->worker->status->payload_out_bytes, message->size_bytes, memory_order_relaxed);
    }
    if (!ok) {
        free(i);
        gn_staging_release(o->worker->staging, slot);
    }
    return ok;
}

struct gn_news gn_output_taken(struct gn_output *o, uint64_t bytes)
{
    pthread_mutex_lock(&o->lock);
    if (bytes > o->taken_bytes)
        o->taken_bytes = bytes;
    struct gn_news news = {o->taken_bytes - o->told_taken_bytes, o->freed_small - o->told_small, o->freed_large - o->told_large};
    pthread_mutex_unlock(&o->lock);
    return news;
}

void gn_output_freed(struct gn_output *o, uint32_t small, uint32_t large)
{
    pthread_mutex_lock(&o->lock);
    if ((int32_t)(small - o->freed_small) > 0)
        o->freed_small = small;
    if ((int32_t)(large - o->freed_large) > 0)
        o->freed_large = large;
    pthread_mutex_unlock(&o->lock);
}

void gn_output_drain(struct gn_output *o, int timeout_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += timeout_ms / 1000;
    gn_output_flush(o);
    pthread_mutex_lock(&o->lock);
    while (o->first && !o->dead && !pthread_cond_timedwait(&o->changed, &o->lock, &until))
        ;
    pthread_mutex_unlock(&o->lock);
}
