// SPDX-License-Identifier: Apache-2.0
// Promises, and the thread that files uploads.
//
// An upload lies in its staging slot until the device has read it and this thread has filed it, so neither waits for the other; a client that is
// faster than both waits for slots, as it does for the device. The digest that counts is taken here.
#include "server/store/contents.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/frame.h"
#include "remoting/content_room.h"
#include "remoting/digest.h"
#include "server/log.h"
#include "server/worker/commands.h"
#include "server/worker/staging.h"

struct job {
    int slot; // of the staging
    uint64_t size_bytes;
    struct gn_content hint;
};

struct gn_contents {
    struct gn_worker *worker;
    struct gn_store_fds fds; // -1: it cannot be opened
    struct gn_store *store;  // NULL: no offer has come
    struct gn_tenant tenant;
    char tenant_name[GN_TENANT_BYTES], directory[GN_DISK_PATH_BYTES]; // the latter empty: nothing is on disk
    void *room; // for looking at content: GN_CONTENT_BYTES_MAX, made when first needed

    struct gn_content_set promises; // the value is the slot of the store and, above it, how often it was written
    uint64_t promised_bytes, promised_bytes_max;

    pthread_t thread;
    bool started;
    struct gn_content filed; // last, by that thread
    pthread_mutex_t lock; // guards what follows
    pthread_cond_t changed;
    struct job *jobs; // a ring: as many as there are staging slots for payload
    uint32_t first, count, job_room;
    bool busy; // with the job at `first`
    bool ends;
};

int gn_contents_open(struct gn_contents **out, struct gn_worker *w, const struct gn_contents_start *start, const struct gn_store_fds *fds)
{
    struct gn_contents *c = calloc(1, sizeof *c);
    if (!c)
        return -ENOMEM;
    c->worker = w;
    c->job_room = GN_SMALL_SLOTS + (uint32_t)(w->limits.window_bytes / w->limits.chunk_bytes);
    c->promised_bytes_max = start->promised_bytes;
    struct gn_content name = gn_content_of(start->tenant, strlen(start->tenant));
    c->tenant = (struct gn_tenant){name.low, name.high};
    snprintf(c->tenant_name, sizeof c->tenant_name, "%s", start->tenant);
    snprintf(c->directory, sizeof c->directory, "%s", start->directory);
    c->fds = *fds;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    *out = c;
    return 0;
}

bool gn_contents_reach(struct gn_contents *c)
{
    if (!c || c->store || c->fds.index < 0)
        return c && c->store;
    int error = c->jobs || (c->jobs = calloc(c->job_room, sizeof *c->jobs)) ? gn_store_open(&c->store, &c->fds) : -ENOMEM;
    if (error) {
        gn_log(GN_LOG_WARN, "the session goes on without the content store: %s", strerror(-error));
        c->fds = (struct gn_store_fds){-1, -1};
    } else if (c->directory[0] && gn_store_register(c->store, c->tenant, c->tenant_name)) {
        gn_log(GN_LOG_WARN, "there are more tenants than the content store keeps on disk: this one's content is in memory only");
    }
    return !error;
}

// --- filing

static void file(struct gn_contents *c, const void *data, uint64_t size_bytes)
{
    struct gn_content content = gn_content_of(data, size_bytes), before = c->filed;
    c->filed = content;
    if (before.size_bytes)
        gn_store_follows(c->store, c->tenant, &before, &content);
    int slot = gn_store_begin(c->store, c->tenant, &content);
    if (slot < 0)
        return; // it is there, or nothing else can go
    int error = gn_store_write(c->store, slot, data, size_bytes);
    if (error)
        gn_log(GN_LOG_WARN, "the content store takes no more: %s", strerror(-error));
    slot = gn_store_finish(c->store, slot, !error);
    if (slot >= 0)
        gn_store_let_go(c->store, slot);
}

static void *file_all(void *contents)
{
    struct gn_contents *c = contents;
    struct gn_staging *s = c->worker->staging;
    pthread_mutex_lock(&c->lock);
    for (;;) {
        while (!c->count && !c->ends)
            pthread_cond_wait(&c->changed, &c->lock);
        if (!c->count)
            break;
        struct job job = c->jobs[c->first];
        c->busy = true;
        pthread_mutex_unlock(&c->lock);
        file(c, gn_staging_data(s, job.slot), job.size_bytes);
        if (gn_staging_let_go(s, job.slot))
            gn_commands_freed(c->worker);
        pthread_mutex_lock(&c->lock);
        c->first = (c->first + 1) % c->job_room;
        c->count--;
        c->busy = false;
        pthread_cond_broadcast(&c->changed);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

static bool start_thread(struct gn_contents *c)
{
    sigset_t all, before;
    if (c->started)
        return true;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    c->started = !pthread_create(&c->thread, NULL, file_all, c);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return c->started;
}

void gn_contents_keep(struct gn_contents *c, int slot, uint64_t size_bytes, const struct gn_content *hint)
{
    if (!c || !c->store || size_bytes < GN_CONTENT_BYTES_MIN || size_bytes > GN_CONTENT_BYTES_MAX || !start_thread(c))
        return;
    gn_staging_hold(c->worker->staging, slot);
    pthread_mutex_lock(&c->lock);
    c->jobs[(c->first + c->count++) % c->job_room] = (struct job){slot, size_bytes, *hint};
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

// Whether an upload of what the client says to be this content is still on its way: the thread is through with it on return.
static void await_upload(struct gn_contents *c, const struct gn_content *content)
{
    if (!c->started)
        return;
    pthread_mutex_lock(&c->lock);
    for (bool on_its_way = true; on_its_way;) {
        on_its_way = false;
        for (uint32_t i = 0; i < c->count && !on_its_way; i++)
            on_its_way = gn_content_same(&c->jobs[(c->first + i) % c->job_room].hint, content);
        if (on_its_way)
            pthread_cond_wait(&c->changed, &c->lock);
    }
    pthread_mutex_unlock(&c->lock);
}

void gn_contents_finish(struct gn_contents *c, int wait_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += wait_ms % 1000 * 1000000l;
    until.tv_sec += wait_ms / 1000 + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&c->lock);
    c->ends = true;
    pthread_cond_broadcast(&c->changed);
    while (c->count && !pthread_cond_timedwait(&c->changed, &c->lock, &until))
        ;
    if (c->count) // what is left is not filed; the job under way ends soon
        c->count = c->busy;
    pthread_mutex_unlock(&c->lock);
}

void gn_contents_close(struct gn_contents *c)
{
    if (c->started)
        pthread_join(c->thread, NULL);
    pthread_cond_destroy(&c->changed);
    pthread_mutex_destroy(&c->lock);
    if (c->store)
        gn_store_close(c->store);
    free(c->promises.entries);
    free(c->jobs);
    free(c->room);
    free(c);
}

// --- promises

static int slot_of(const struct gn_content_entry *e) { return (int)(uint32_t)e->value; }

// From disk into the store: the slot, held; or -ENOENT.
static int load(struct gn_contents *c, const struct gn_content *content)
{
    struct gn_store_counts *n = gn_store_counting(c->store);
    int error = c->directory[0] ? gn_disk_load(c->directory, c->tenant_name, content, c->room) : -ENOENT;
    if (error == -EBADMSG) {
        gn_log(GN_LOG_WARN, "a file of the content store was not what its name says: it is dropped");
        atomic_fetch_add_explicit(&n->disk_dropped, 1, memory_order_relaxed);
    }
    if (error)
        return -ENOENT;
    atomic_fetch_add_explicit(&n->disk_loaded, 1, memory_order_relaxed);
    int slot = gn_store_begin(c->store, c->tenant, content);
    if (slot == -EEXIST) // another session was faster
        return gn_store_find(c->store, c->tenant, content);
    if (slot < 0)
        return -ENOENT;
    slot = gn_store_finish(c->store, slot, !gn_store_write(c->store, slot, c->room, content->size_bytes));
    if (slot >= 0)
        gn_store_saved(c->store, slot);
    return slot;
}

bool gn_contents_promise(struct gn_contents *c, const struct gn_content *content, bool *full)
{
    if (gn_content_set_find(&c->promises, content))
        return true;
    if (content->size_bytes > c->promised_bytes_max - c->promised_bytes || !gn_content_set_grow(&c->promises)) {
        *full = true;
        return false;
    }
    if (!c->room && !(c->room = malloc(GN_CONTENT_BYTES_MAX)))
        return false;
    await_upload(c, content);
    int slot = gn_store_find(c->store, c->tenant, content);
    if (slot < 0)
        slot = load(c, content);
    if (slot < 0)
        return false;
    if (!gn_store_check(c->store, slot, content, c->room) || !gn_content_set_add(&c->promises, content, (uint64_t)slot)) {
        gn_store_let_go(c->store, slot);
        return false;
    }
    c->promised_bytes += content->size_bytes;
    return true;
}

uint32_t gn_contents_follow(struct gn_contents *c, const struct gn_content *content, struct gn_content *more)
{
    enum { STEPS_MAX = 2 * GN_OFFER_MORE_MAX }; // what recurs leads round and round
    static const uint64_t bytes_max = 64 << 20; // looked at while the client waits
    struct gn_content at = *content, next;
    uint64_t bytes = 0;
    uint32_t count = 0;
    for (int i = 0; i < STEPS_MAX && count < GN_OFFER_MORE_MAX && bytes < bytes_max && gn_store_next(c->store, c->tenant, &at, &next); i++, at = next) {
        bool full = false; // is nobody's business: what is asked for later tells
        if (gn_content_set_find(&c->promises, &next))
            continue;
        if (!gn_contents_promise(c, &next, &full))
            break;
        bytes += next.size_bytes;
        more[count++] = next;
    }
    return count;
}

void gn_contents_forget(struct gn_contents *c)
{
    for (size_t i = 0; i < c->promises.capacity; i++)
        if (c->promises.entries[i].content.size_bytes)
            gn_store_let_go(c->store, slot_of(&c->promises.entries[i]));
    gn_content_set_clear(&c->promises);
    c->promised_bytes = 0;
}

void gn_contents_offered(struct gn_contents *c, uint64_t asked, uint64_t known)
{
    struct gn_store_counts *n = gn_store_counting(c->store);
    atomic_fetch_add_explicit(&n->asked, asked, memory_order_relaxed);
    atomic_fetch_add_explicit(&n->known, known, memory_order_relaxed);
}

int gn_contents_read(struct gn_contents *c, const struct gn_content *content, void *to)
{
    const struct gn_content_entry *e = c ? gn_content_set_find(&c->promises, content) : NULL;
    return e ? gn_store_read(c->store, slot_of(e), to, content->size_bytes) : -ENOENT;
}

int gn_contents_written(struct gn_contents *c, const struct gn_content *content)
{
    enum { COUNT_SHIFT = 32, COUNT_MAX = 255 };
    struct gn_content_entry *e = c ? gn_content_set_find(&c->promises, content) : NULL;
    if (!e)
        return -ENOENT;
    uint64_t before = e->value >> COUNT_SHIFT;
    e->value += before < COUNT_MAX ? (uint64_t)1 << COUNT_SHIFT : 0;
    return (int)before;
}
