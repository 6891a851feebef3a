// SPDX-License-Identifier: Apache-2.0
// Storage of kept copies: where it is made, when it may go, and the events that tell.
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "server/kept/kept_parts.h"
#include "server/kept/resident.h"
#include "server/log.h"
#include "server/worker/gate.h"
#include "server/worker/pool.h"

enum {
    PAGE_BYTES = 4096,
    SMALL_GRAIN_BYTES = 512,      // what drivers round allocations up to, at least
    LARGE_BYTES = 1 << 20,        // from here on they do not share granules: whole ones are asked for, so that what is charged is what is gone
    LARGE_GRAIN_BYTES = 2 << 20,
    FREE_SHARE = 16,              // of the device: stays free, for other sessions, modules and kernels' local memory
    MACHINE_SHARE = 2,            // of the machine's memory is the most that one session's budget can be
};

// --- events

// An error counts as passed: nothing is to be waited for any more, and whoever copies learns of it.
bool kept_use_passed(struct gn_worker *w, struct kept_use *use)
{
    if (use->pending && GN_DRIVER(w, cuEventQuery, use->event) != CUDA_ERROR_NOT_READY)
        use->pending = false;
    return !use->pending;
}

bool kept_storage_idle(struct gn_worker *w, struct kept_storage *s)
{
    bool idle = kept_use_passed(w, &s->write);
    for (int i = 0; i < KEPT_READS_MAX; i++)
        idle &= kept_use_passed(w, &s->reads[i]);
    return idle;
}

// The per-thread default stream is another one in each thread of this process: it is never the same.
bool kept_same_stream(const struct kept_use *use, uint64_t stream)
{
    enum { PER_THREAD = 2 };
    return use->stream == stream && stream != PER_THREAD;
}

CUresult kept_use_record(struct gn_worker *w, struct kept_use *use, uint64_t id, CUstream stream)
{
    if (!use->event) {
        CUevent made;
        CUresult r = GN_DRIVER(w, cuEventCreate, &made, CU_EVENT_DISABLE_TIMING);
        if (r)
            return r;
        pthread_mutex_lock(&w->kepts->lock);
        use->event = made;
        pthread_mutex_unlock(&w->kepts->lock);
    }
    CUresult r = GN_DRIVER(w, cuEventRecord, use->event, stream);
    use->stream = id;
    use->pending = !r;
    return r;
}

// --- counting

static struct gn_kepts *kepts(struct gn_worker *w) { return w->kepts; }

static uint64_t host_limit(const struct gn_worker *w)
{
    uint64_t machine = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) / MACHINE_SHARE;
    return w->limits.kept_host_bytes < machine ? w->limits.kept_host_bytes : machine;
}

static uint64_t round_up(uint64_t bytes, uint64_t grain) { return (bytes + grain - 1) / grain * grain; }

static uint64_t device_charge(uint64_t size_bytes)
{
    return round_up(size_bytes, size_bytes >= LARGE_BYTES ? LARGE_GRAIN_BYTES : SMALL_GRAIN_BYTES);
}

void kept_count(struct gn_worker *w)
{
    const struct gn_kepts *ks = w->kepts;
    if (!w->status)
        return;
    atomic_store_explicit(&w->status->kept, ks->count, memory_order_relaxed);
    atomic_store_explicit(&w->status->kept_device_bytes, ks->device_bytes, memory_order_relaxed);
    atomic_store_explicit(&w->status->kept_host_bytes, ks->host_bytes, memory_order_relaxed);
}

static void count_device(struct gn_kepts *ks, CUdevice device, uint64_t bytes, bool more)
{
    _Atomic uint64_t *of = &ks->device_bytes_of[device];
    ks->device_bytes = more ? ks->device_bytes + bytes : ks->device_bytes - bytes;
    uint64_t before = atomic_load_explicit(of, memory_order_relaxed);
    atomic_store_explicit(of, more ? before + bytes : before - bytes, memory_order_relaxed);
}

// --- making

static struct kept_storage *blank(const struct gn_kept *k)
{
    struct kept_storage *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->size_bytes = k->size_bytes;
    s->context = k->context;
    s->device_number = k->device;
    return s;
}

static bool device_has_room(struct gn_worker *w, const struct gn_kept *k, uint64_t charge)
{
    size_t free_bytes = 0, total_bytes = 0;
    if (!w->limits.kept_percent || k->device < 0 || k->device >= GN_DEVICES_MAX ||
        GN_DRIVER(w, cuMemGetInfo_v2, &free_bytes, &total_bytes))
        return false;
    uint64_t share = total_bytes * w->limits.kept_percent / 100, used = atomic_load_explicit(&kepts(w)->device_bytes_of[k->device], memory_order_relaxed);
    return used <= share && charge <= share - used && free_bytes >= charge && free_bytes - charge >= total_bytes / FREE_SHARE;
}

struct kept_storage *kept_storage_on_device(struct gn_worker *w, const struct gn_kept *k)
{
    uint64_t charge = device_charge(k->size_bytes);
    struct kept_storage *s = device_has_room(w, k, charge) && gn_memory_charge(w, charge) ? blank(k) : NULL;
    if (!s)
        return NULL;
    if (GN_DRIVER(w, cuMemAlloc_v2, &s->device, charge)) {
        gn_memory_discharge(w, charge);
        free(s);
        return NULL;
    }
    s->charged_bytes = charge;
    count_device(w->kepts, k->device, charge, true);
    return s;
}

struct kept_storage *kept_storage_on_host(struct gn_worker *w, const struct gn_kept *k)
{
    struct kept_storage *s = blank(k);
    if (!s)
        return NULL;
    s->charged_bytes = round_up(k->size_bytes, PAGE_BYTES);
    s->host = mmap(NULL, s->charged_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (s->host == MAP_FAILED) {
        free(s);
        return NULL;
    }
    // Where the driver refuses it is ordinary memory: copies are slower, and the driver may wait in them for the device.
    CUresult r = GN_DRIVER(w, cuMemHostRegister_v2, s->host, s->charged_bytes, CU_MEMHOSTREGISTER_PORTABLE);
    s->pinned = r == CUDA_SUCCESS;
    if (!s->pinned)
        gn_log(GN_LOG_DEBUG, "the driver does not pin %llu bytes of a kept copy (error %d)", (unsigned long long)s->charged_bytes, (int)r);
    kepts(w)->host_bytes += s->charged_bytes;
    return s;
}

static struct kept_storage *from_retired(struct gn_worker *w, const struct gn_kept *k)
{
    for (struct kept_storage **at = &kepts(w)->retired, *s; (s = *at); at = &s->next) {
        pthread_mutex_lock(&kepts(w)->lock);
        bool fetching = s->fetching;
        pthread_mutex_unlock(&kepts(w)->lock);
        if (s->size_bytes != k->size_bytes || s->context != k->context || s->lost || fetching || !kept_storage_idle(w, s))
            continue;
        *at = s->next;
        s->next = NULL;
        if (s->host)
            kepts(w)->retired_host_bytes -= s->size_bytes;
        return s;
    }
    return NULL;
}

struct kept_storage *kept_storage_new(struct gn_worker *w, const struct gn_kept *k, bool again)
{
    const struct gn_kepts *ks = w->kepts;
    struct kept_storage *s = from_retired(w, k);
    uint64_t limit = host_limit(w), more = again ? k->size_bytes : 0, taken = ks->reserved_bytes + ks->retired_host_bytes;
    if (s)
        return s;
    if (taken > limit || more > limit - taken)
        return NULL;
    s = kept_storage_on_device(w, k);
    if (!s && gn_resident_give(w, k->device, device_charge(k->size_bytes), false))
        s = kept_storage_on_device(w, k);
    return s ? s : kept_storage_on_host(w, k);
}

// --- going

static void destroy_event(struct gn_worker *w, struct kept_use *use)
{
    if (use->event)
        GN_DRIVER(w, cuEventDestroy_v2, use->event);
    use->event = NULL;
}

bool kept_may_free(const struct gn_worker *w)
{
    return w->kepts->closing || !((w->gates && gn_gates_busy(w)) || w->waits_for_values);
}

void kept_storage_free(struct gn_worker *w, struct kept_storage *s)
{
    struct gn_kepts *ks = w->kepts;
    bool live = !s->lost && !ks->closing && gn_use_context(w, s->context) == CUDA_SUCCESS;
    if (live) {
        destroy_event(w, &s->write);
        for (int i = 0; i < KEPT_READS_MAX; i++)
            destroy_event(w, &s->reads[i]);
        if (s->device)
            GN_DRIVER(w, cuMemFree_v2, s->device);
        if (s->host && s->pinned)
            GN_DRIVER(w, cuMemHostUnregister, s->host);
    }
    if (s->host) {
        munmap(s->host, s->charged_bytes);
        ks->host_bytes -= s->charged_bytes;
    } else {
        gn_memory_discharge(w, s->charged_bytes);
        count_device(ks, s->device_number, s->charged_bytes, false);
    }
    free(s);
}

void kept_storage_retire(struct gn_worker *w, struct kept_storage *s)
{
    struct gn_kepts *ks = w->kepts;
    s->next = ks->retired;
    ks->retired = s;
    if (s->host)
        ks->retired_host_bytes += s->size_bytes;
}

uint64_t kept_reap(struct gn_worker *w)
{
    struct gn_kepts *ks = w->kepts;
    CUcontext before = gn_context_in_use();
    uint64_t freed = 0;
    for (struct kept_storage **at = &ks->retired, *s; (s = *at);) {
        pthread_mutex_lock(&ks->lock);
        bool fetching = s->fetching;
        pthread_mutex_unlock(&ks->lock);
        bool known = s->lost || ks->closing || (kept_may_free(w) && gn_use_context(w, s->context) == CUDA_SUCCESS);
        if (fetching || !known || (!s->lost && !ks->closing && !kept_storage_idle(w, s))) {
            at = &s->next;
            continue;
        }
        *at = s->next;
        if (s->host)
            ks->retired_host_bytes -= s->size_bytes;
        else
            freed += s->charged_bytes;
        kept_storage_free(w, s);
    }
    if (before)
        gn_use_context(w, before);
    return freed;
}
