// SPDX-License-Identifier: Apache-2.0
// The list of kept copies: opening and losing them, moving them out of the device, and reading them for fetch threads.
#include "server/kept/kept.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/kept/kept_parts.h"
#include "server/kept/resident.h"
#include "server/worker/gate.h"
#include "server/worker/wait.h"

int gn_kepts_open(struct gn_kepts **kepts, struct gn_worker *w)
{
    struct gn_kepts *ks = calloc(1, sizeof *ks);
    pthread_condattr_t attributes;
    if (!ks)
        return -ENOMEM;
    ks->worker = w;
    pthread_mutex_init(&ks->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&ks->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    *kepts = ks;
    return 0;
}

void gn_kepts_stop(struct gn_kepts *ks)
{
    if (!ks)
        return;
    pthread_mutex_lock(&ks->lock);
    ks->stopped = true;
    pthread_cond_broadcast(&ks->changed);
    pthread_mutex_unlock(&ks->lock);
}

void gn_kepts_abandon(struct gn_kepts *ks)
{
    gn_kepts_stop(ks);
    if (ks)
        ks->closing = true;
}

void gn_kepts_close(struct gn_worker *w)
{
    struct gn_kepts *ks = w->kepts;
    if (!ks)
        return;
    gn_resident_lose(w, NULL);
    kept_reap(w); // whatever is left: it has been abandoned
    pthread_mutex_destroy(&ks->lock);
    pthread_cond_destroy(&ks->changed);
    free(ks);
    w->kepts = NULL;
}

// --- the list

static struct gn_kept **bucket_of(struct gn_kepts *ks, uint64_t id) { return &ks->buckets[(id ^ id >> 32) % KEPT_BUCKETS]; }

// With the lock.
static struct gn_kept *find(struct gn_kepts *ks, uint64_t id)
{
    struct gn_kept *k = *bucket_of(ks, id);
    while (k && k->id != id)
        k = k->next;
    return k;
}

// With the lock.
static void take_out(struct gn_kepts *ks, struct gn_kept *k)
{
    struct gn_kept **at = bucket_of(ks, k->id);
    while (*at && *at != k)
        at = &(*at)->next;
    if (*at)
        *at = k->next;
}

struct gn_kept *kept_add(struct gn_worker *w, uint64_t id, uint64_t size_bytes)
{
    struct gn_kepts *ks = w->kepts;
    struct gn_kept *k = ks->count < GN_KEPT_MAX ? calloc(1, sizeof *k) : NULL;
    if (!k)
        return NULL;
    *k = (struct gn_kept){.id = id, .size_bytes = size_bytes, .context_id = w->scope->id, .context = w->scope->context, .device = w->scope->device};
    if (size_bytes > w->limits.kept_host_bytes) { // before sums are made with it
        free(k);
        return NULL;
    }
    ks->reserved_bytes += size_bytes;
    k->storage = kept_storage_new(w, k, false);
    if (!k->storage) { // what has been retired may stand in the way
        kept_reap(w);
        k->storage = kept_storage_new(w, k, false);
    }
    if (!k->storage) {
        ks->reserved_bytes -= size_bytes;
        free(k);
        return NULL;
    }
    k->used_at = ++ks->clock;
    ks->count++;
    pthread_mutex_lock(&ks->lock);
    struct gn_kept **at = bucket_of(ks, id);
    k->next = *at;
    *at = k;
    pthread_mutex_unlock(&ks->lock);
    kept_count(w);
    return k;
}

void kept_swap(struct gn_kepts *ks, struct gn_kept *k, struct kept_storage *s)
{
    pthread_mutex_lock(&ks->lock);
    k->storage = s;
    pthread_mutex_unlock(&ks->lock);
}

void kept_filled(struct gn_kepts *ks, struct gn_kept *k, bool whole, CUresult r)
{
    pthread_mutex_lock(&ks->lock);
    k->fills++;
    k->filled |= !r;
    if (r || whole)
        k->broken = r;
    pthread_cond_broadcast(&ks->changed);
    pthread_mutex_unlock(&ks->lock);
    k->used_at = ++ks->clock;
}

void gn_kept_drop(struct gn_worker *w, struct gn_kept *k)
{
    struct gn_kepts *ks = w->kepts;
    pthread_mutex_lock(&ks->lock);
    take_out(ks, k);
    struct kept_storage *s = k->storage;
    k->storage = NULL;
    k->gone = true;
    ks->reserved_bytes -= k->size_bytes;
    ks->count--;
    bool free_it = !k->users; // else the last fetch thread does
    pthread_cond_broadcast(&ks->changed);
    pthread_mutex_unlock(&ks->lock);
    if (free_it)
        free(k);
    kept_storage_retire(w, s);
    kept_reap(w);
    kept_count(w);
}

// --- contexts

// With the lock: whether a fetch thread reads storage of the context.
static bool being_fetched(const struct gn_kepts *ks, CUcontext context)
{
    bool any = false;
    for (const struct kept_storage *s = ks->retired; s; s = s->next)
        any |= s->context == context && s->fetching;
    for (int i = 0; i < KEPT_BUCKETS; i++)
        for (const struct gn_kept *k = ks->buckets[i]; k; k = k->next)
            any |= k->context == context && k->storage->fetching;
    return any;
}

void gn_kepts_context_leaves(struct gn_worker *w, CUcontext context)
{
    struct gn_kepts *ks = w->kepts;
    if (!ks)
        return;
    pthread_mutex_lock(&ks->lock);
    for (int i = 0; i < KEPT_BUCKETS; i++)
        for (struct gn_kept *k = ks->buckets[i]; k; k = k->next)
            k->gone |= k->context == context;
    pthread_cond_broadcast(&ks->changed);
    while (being_fetched(ks, context))
        pthread_cond_wait(&ks->changed, &ks->lock);
    pthread_mutex_unlock(&ks->lock);
}

void gn_kepts_context_gone(struct gn_worker *w, CUcontext context)
{
    struct gn_kepts *ks = w->kepts;
    if (!ks)
        return;
    for (int i = 0; i < KEPT_BUCKETS; i++)
        for (struct gn_kept *k = ks->buckets[i]; k; k = k->next)
            k->storage->lost |= k->context == context;
    gn_resident_lose(w, context);
    for (struct kept_storage *s = ks->retired; s; s = s->next)
        s->lost |= s->context == context;
    kept_reap(w);
    kept_count(w);
}

// --- moving out

uint64_t gn_kepts_device_bytes(const struct gn_worker *w, CUdevice device)
{
    return w->kepts && device >= 0 && device < GN_DEVICES_MAX ? atomic_load_explicit(&w->kepts->device_bytes_of[device], memory_order_relaxed) : 0;
}

bool kept_storage_settle(struct gn_worker *w, struct kept_storage *s)
{
    if (kept_storage_idle(w, s))
        return true;
    if (w->gates && gn_gates_busy(w))
        return false;
    CUresult r = s->write.pending ? GN_DRIVER(w, cuEventSynchronize, s->write.event) : CUDA_SUCCESS;
    for (int i = 0; i < KEPT_READS_MAX && !r; i++)
        r = s->reads[i].pending ? GN_DRIVER(w, cuEventSynchronize, s->reads[i].event) : CUDA_SUCCESS;
    return !r && kept_storage_idle(w, s);
}

static CUresult copy_out(struct gn_worker *w, const struct kept_storage *from, struct kept_storage *to)
{
    struct gn_wait_pair pair;
    CUresult r = gn_wait_pair_take(w, &pair);
    if (r)
        return r;
    r = GN_DRIVER(w, cuMemcpyDtoHAsync_v2, to->host, from->device, from->size_bytes, pair.stream);
    CUresult waited = GN_DRIVER(w, cuStreamSynchronize, pair.stream); // after an error too: part of it may be under way
    gn_wait_pair_give(w, &pair);
    return r ? r : waited;
}

// 0: it stays, for a reason that another try does not change. Else the device bytes that have become free.
static uint64_t move_out(struct gn_worker *w, struct gn_kept *k)
{
    struct gn_kepts *ks = w->kepts;
    struct kept_storage *s = k->storage, *moved;
    if (gn_use_context(w, k->context) || !kept_storage_settle(w, s) || !(moved = kept_storage_on_host(w, k)))
        return 0;
    if (k->filled && copy_out(w, s, moved)) {
        kept_storage_free(w, moved);
        return 0;
    }
    pthread_mutex_lock(&ks->lock);
    k->storage = moved;
    while (s->fetching) // a copy of a megabyte at most; what comes later finds the other
        pthread_cond_wait(&ks->changed, &ks->lock);
    pthread_mutex_unlock(&ks->lock);
    uint64_t freed = s->charged_bytes;
    kept_storage_free(w, s);
    if (w->status)
        atomic_fetch_add_explicit(&w->status->kept_moved_bytes, k->size_bytes, memory_order_relaxed);
    return freed;
}

static int by_use(const void *a, const void *b)
{
    const struct gn_kept *x = *(struct gn_kept *const *)a, *y = *(struct gn_kept *const *)b;
    return x->used_at < y->used_at ? -1 : x->used_at > y->used_at;
}

// The copies on the device, those used longest ago first: `*count` of them. NULL: no memory.
static struct gn_kept **victims(struct gn_kepts *ks, CUdevice device, unsigned *count)
{
    struct gn_kept **list = malloc((ks->count + 1) * sizeof(struct gn_kept *));
    *count = 0;
    for (int i = 0; list && i < KEPT_BUCKETS; i++)
        for (struct gn_kept *k = ks->buckets[i]; k; k = k->next)
            if (k->device == device && k->storage->device)
                list[(*count)++] = k;
    if (list)
        qsort(list, *count, sizeof(struct gn_kept *), by_use);
    return list;
}

// The program wants memory that kept copies have. A host function that is under way ends soon, as a rule; one that waits for this very allocation
// does not, and then there is no memory.
static bool await_may_free(struct gn_worker *w)
{
    enum { WAIT_MS_MAX = 100 };
    for (int i = 0; i < WAIT_MS_MAX && !kept_may_free(w) && !w->waits_for_values; i++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    return kept_may_free(w);
}

bool gn_kepts_make_room(struct gn_worker *w, CUdevice device, uint64_t size_bytes)
{
    struct gn_kepts *ks = w->kepts;
    if (!ks || !gn_kepts_device_bytes(w, device) || !await_may_free(w))
        return false;
    CUcontext before = gn_context_in_use();
    uint64_t freed = kept_reap(w);
    freed += freed < size_bytes ? gn_resident_give(w, device, size_bytes - freed, true) : 0; // first what need not be moved
    unsigned count;
    struct gn_kept **list = victims(ks, device, &count);
    for (unsigned i = 0; i < count && freed < size_bytes; i++)
        freed += move_out(w, list[i]);
    free(list);
    if (before)
        gn_use_context(w, before);
    kept_count(w);
    return freed > 0;
}

// --- reading

static bool is_over(const struct gn_kepts *ks, const struct gn_kept *k) { return ks->stopped || k->gone; }

static CUresult over_code(const struct gn_kepts *ks)
{
    return ks->stopped ? CUDA_ERROR_DEINITIALIZED : CUDA_ERROR_INVALID_HANDLE;
}

// With the lock, which it lets go of meanwhile. The event may belong to a stream that goes on only when the client has done something, so
// the driver is never asked to wait for it: a copy that is closed, or lost, or the session's end, ends this wait.
static CUresult wait_for_write(struct gn_worker *w, const struct gn_kept *k, CUevent event)
{
    enum { LOOKS = 64, PAUSE_NS_MIN = 20000, PAUSE_NS_MAX = 500000 };
    struct gn_kepts *ks = w->kepts;
    long pause_ns = PAUSE_NS_MIN;
    for (int look = 0; !is_over(ks, k); look++) {
        pthread_mutex_unlock(&ks->lock);
        CUresult r = GN_DRIVER(w, cuEventQuery, event);
        pthread_mutex_lock(&ks->lock);
        if (r != CUDA_ERROR_NOT_READY)
            return r;
        if (look < LOOKS)
            continue;
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += pause_ns;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&ks->changed, &ks->lock, &until);
        pause_ns = pause_ns < PAUSE_NS_MAX ? 2 * pause_ns : pause_ns;
    }
    return over_code(ks);
}

// With the lock: the copy has had the fills, and may be read.
static CUresult wait_for_fills(struct gn_kepts *ks, const struct gn_kept *k, uint32_t fills)
{
    while (!is_over(ks, k) && (int32_t)(k->fills - fills) < 0)
        pthread_cond_wait(&ks->changed, &ks->lock);
    return is_over(ks, k) ? over_code(ks) : k->broken ? k->broken : k->filled ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult copy_to(struct gn_worker *w, const struct kept_storage *s, const struct gn_kept_read *read, void *to)
{
    struct gn_wait_pair pair;
    if (s->host) {
        memcpy(to, (const uint8_t *)s->host + read->offset_bytes, read->size_bytes);
        return CUDA_SUCCESS;
    }
    CUresult r = gn_wait_pair_take(w, &pair);
    if (r)
        return r;
    r = GN_DRIVER(w, cuMemcpyDtoHAsync_v2, to, s->device + read->offset_bytes, read->size_bytes, pair.stream);
    CUresult waited = GN_DRIVER(w, cuStreamSynchronize, pair.stream);
    gn_wait_pair_give(w, &pair);
    return r ? r : waited;
}

CUresult gn_kept_read(struct gn_worker *w, const struct gn_kept_read *read, void *to)
{
    struct gn_kepts *ks = w->kepts;
    pthread_mutex_lock(&ks->lock);
    struct gn_kept *k = find(ks, read->kept);
    CUresult r = !k ? CUDA_ERROR_INVALID_HANDLE
                 : read->offset_bytes > k->size_bytes || read->size_bytes > k->size_bytes - read->offset_bytes ? CUDA_ERROR_INVALID_VALUE
                                                                                                                : CUDA_SUCCESS;
    if (r) {
        pthread_mutex_unlock(&ks->lock);
        return r;
    }
    k->users++;
    r = wait_for_fills(ks, k, read->fills);
    struct kept_storage *s = r ? NULL : k->storage;
    if (s) {
        s->fetching++; // from here on neither the storage nor its context goes away
        CUevent event = s->write.event;
        pthread_mutex_unlock(&ks->lock);
        r = gn_use_context(w, s->context);
        pthread_mutex_lock(&ks->lock);
        r = r ? r : event ? wait_for_write(w, k, event) : CUDA_SUCCESS;
        pthread_mutex_unlock(&ks->lock);
        r = r ? r : copy_to(w, s, read, to);
        pthread_mutex_lock(&ks->lock);
        s->fetching--;
        pthread_cond_broadcast(&ks->changed);
    }
    bool free_it = !--k->users && k->gone && !k->storage;
    pthread_mutex_unlock(&ks->lock);
    if (free_it)
        free(k);
    return r;
}
