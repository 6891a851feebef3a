// SPDX-License-Identifier: Apache-2.0
// Ranges, credit, and the mapping of one into the other.
//
// Physical memory is made in granules, so that any of it can stand anywhere in the range and none is lost between allocations. The first of
// it is made when the client asks for the range, more on a waiting thread when half of it is spent, twice as much each time.
#include "server/worker/pool.h"

#include <pthread.h>
#include <stdlib.h>

#include "remoting/hello.h"
#include "server/kept/kept.h"
#include "server/log.h"
#include "server/run/run.h"
#include "server/worker/output.h"
#include "server/worker/wait.h"

enum {
    GRANULE_BYTES = 2 << 20,       // the granularity of every known device; a driver that has a larger one gets no range
    CREDIT_FIRST_BYTES = 16 << 20, // made while the client waits: some granules take well below a millisecond
    CREDIT_FIRST_BYTES_MAX = 64 << 20, // for a first allocation that is larger
    CREDIT_MAX_BYTES = 512 << 20,  // unused at most: what other sessions on the device may miss
    MEMORY_SHARE = 16,             // nor more than this part of the device, and so much is left free for modules and local memory
};
#define RANGE_BYTES_MAX ((uint64_t)1 << 42) // 4 TiB: the table of granules takes 16 MiB then
// Where ranges are asked for: far from heap, stack and libraries, whose addresses begin with 0x5 and 0x7, and from what sanitizers use.
#define RANGE_HINT ((uint64_t)0x300000000000)
#define RANGE_HINT_AGAIN ((uint64_t)0x180000000000) // where the client has something there; what the driver would choose lies among its libraries

struct pool {
    CUdevice device;
    bool asked, there;           // there: the range is reserved
    unsigned attempts;
    uint64_t start, size_bytes, pitch_bytes;
    uint64_t *mapped;            // by granule: the handle, or 0. Of the thread that runs commands
    pthread_mutex_t lock;        // guards what follows
    uint64_t *unused;            // handles
    size_t unused_count, unused_room, mapped_count;
    size_t unannounced;          // of the unused: made aside, and the client has not been told
    uint64_t target_bytes, unused_bytes_max;
    bool filling, stop;          // stop: memory is short, the one that fills is to leave off
    pthread_mutex_t making; // held while memory is made, and while it is asked how much there is: taken before `lock`
};

struct gn_pools {
    struct pool pools[GN_DEVICES_MAX];
    unsigned count;              // of devices that were asked for, in order of asking
};

// --- charging

bool gn_memory_charge(struct gn_worker *w, uint64_t size_bytes)
{
    uint64_t limit = w->limits.memory_bytes, used = atomic_load_explicit(&w->memory_used_bytes, memory_order_relaxed);
    do {
        if (size_bytes > UINT64_MAX - used || (limit && (used > limit || size_bytes > limit - used)))
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&w->memory_used_bytes, &used, used + size_bytes, memory_order_relaxed,
                                                    memory_order_relaxed));
    if (w->status)
        atomic_store_explicit(&w->status->memory_bytes, used + size_bytes, memory_order_relaxed);
    return true;
}

void gn_memory_discharge(struct gn_worker *w, uint64_t size_bytes)
{
    uint64_t before = atomic_fetch_sub_explicit(&w->memory_used_bytes, size_bytes, memory_order_relaxed);
    if (w->status)
        atomic_store_explicit(&w->status->memory_bytes, before - size_bytes, memory_order_relaxed);
}

// --- physical memory

static CUmemAllocationProp prop_of(CUdevice device)
{
    return (CUmemAllocationProp){.type = CU_MEM_ALLOCATION_TYPE_PINNED, .location = {CU_MEM_LOCATION_TYPE_DEVICE, device}};
}

// With the lock: room for one more handle.
static bool make_room(struct pool *p)
{
    if (p->unused_count < p->unused_room)
        return true;
    size_t room = p->unused_room ? 2 * p->unused_room : 64;
    uint64_t *grown = realloc(p->unused, room * sizeof *grown);
    if (!grown)
        return false;
    p->unused = grown;
    p->unused_room = room;
    return true;
}

// Makes granules until `bytes` more of them are unused, or memory is short. `aside`: by a thread of its own, and nobody is told yet.
static void make(struct gn_worker *w, struct pool *p, uint64_t bytes, bool aside)
{
    CUmemAllocationProp prop = prop_of(p->device);
    uint64_t made = 0;
    for (bool kept = true; kept && made < bytes; made += GRANULE_BYTES) {
        CUmemGenericAllocationHandle handle;
        pthread_mutex_lock(&p->making);
        bool charged = !(aside && p->stop) && gn_memory_charge(w, GRANULE_BYTES);
        bool there = charged && GN_DRIVER(w, cuMemCreate, &handle, GRANULE_BYTES, &prop, 0) == CUDA_SUCCESS;
        pthread_mutex_lock(&p->lock);
        kept = there && make_room(p);
        if (kept) {
            p->unused[p->unused_count++] = handle;
            p->unannounced += aside;
        }
        pthread_mutex_unlock(&p->lock);
        if (there && !kept)
            GN_DRIVER(w, cuMemRelease, handle);
        if (charged && !kept)
            gn_memory_discharge(w, GRANULE_BYTES);
        pthread_mutex_unlock(&p->making);
    }
}

// What may be made without eating into what modules and kernels may need.
static uint64_t spare_bytes(struct gn_worker *w)
{
    size_t free_bytes = 0, total_bytes = 0;
    if (GN_DRIVER(w, cuMemGetInfo_v2, &free_bytes, &total_bytes))
        return 0;
    uint64_t limit = w->limits.memory_bytes, used = atomic_load_explicit(&w->memory_used_bytes, memory_order_relaxed), spare = free_bytes;
    if (limit && limit < total_bytes) { // as large as the session's device is
        total_bytes = limit;
        spare = limit > used && limit - used < free_bytes ? limit - used : limit > used ? free_bytes : 0;
    }
    uint64_t headroom = total_bytes / MEMORY_SHARE;
    return spare > headroom ? (spare - headroom) / GRANULE_BYTES * GRANULE_BYTES : 0;
}

struct fill_job {
    struct pool *pool;
    CUcontext context;
};

static void fill(struct gn_worker *w, void *data)
{
    const struct fill_job *job = data;
    struct pool *p = job->pool;
    if (gn_use_context(w, job->context) == CUDA_SUCCESS) {
        uint64_t spare = spare_bytes(w);
        pthread_mutex_lock(&p->lock);
        uint64_t have = p->unused_count * (uint64_t)GRANULE_BYTES, want = p->target_bytes > have ? p->target_bytes - have : 0;
        pthread_mutex_unlock(&p->lock);
        make(w, p, want < spare ? want : spare, true);
    }
    pthread_mutex_lock(&p->lock);
    uint64_t made = p->unannounced * (uint64_t)GRANULE_BYTES;
    p->unannounced = 0;
    p->filling = p->stop = false;
    // Under the lock: a reply that says that memory is short comes after the word of what the client holds.
    if (made)
        gn_output_push(w->output, &(struct gn_message){.kind = GN_MESSAGE_CREDIT, .id = (uint64_t)p->device, .value = made}, NULL);
    pthread_mutex_unlock(&p->lock);
    if (made)
        gn_output_flush(w->output);
}

// More credit, if less than half of what there should be is left. `more`: there should have been more.
static void refill(struct gn_worker *w, struct pool *p, bool more)
{
    pthread_mutex_lock(&p->lock);
    uint64_t have = p->unused_count * (uint64_t)GRANULE_BYTES;
    bool start = !p->filling && w->scope && w->waiters && (more || have < p->target_bytes / 2) && have < p->unused_bytes_max;
    if (start) {
        p->target_bytes = p->target_bytes * 2 < p->unused_bytes_max ? p->target_bytes * 2 : p->unused_bytes_max;
        p->filling = true;
    }
    pthread_mutex_unlock(&p->lock);
    struct fill_job job = {.pool = p, .context = w->scope ? w->scope->context : NULL};
    if (start && gn_wait_run(w, fill, &job, sizeof job)) {
        pthread_mutex_lock(&p->lock);
        p->filling = false;
        pthread_mutex_unlock(&p->lock);
    }
}

// --- ranges

static struct pool *pool_of(const struct gn_worker *w, CUdevice device)
{
    for (unsigned i = 0; w->pools && i < w->pools->count; i++)
        if (w->pools->pools[i].device == device)
            return &w->pools->pools[i];
    return NULL;
}

static struct pool *pool_at(const struct gn_worker *w, uint64_t address, uint64_t size_bytes)
{
    for (unsigned i = 0; w->pools && i < w->pools->count; i++) {
        struct pool *p = &w->pools->pools[i];
        if (p->there && address - p->start < p->size_bytes && size_bytes <= p->size_bytes - (address - p->start))
            return p;
    }
    return NULL;
}

bool gn_pool_holds(const struct gn_worker *w, uint64_t address, uint64_t size_bytes)
{
    for (unsigned i = 0; w->pools && i < w->pools->count; i++) {
        const struct pool *p = &w->pools->pools[i];
        if (p->there && address < p->start + p->size_bytes && address + size_bytes > p->start)
            return true;
    }
    return false;
}

CUresult gn_pool_info(struct gn_worker *w, struct gn_pool_info *info)
{
    struct pool *p = pool_of(w, w->scope->device);
    size_t free_bytes = 0, total_bytes = 0;
    if (p) // so that nothing is counted on both sides, or on neither
        pthread_mutex_lock(&p->making);
    CUresult r = GN_DRIVER(w, cuMemGetInfo_v2, &free_bytes, &total_bytes);
    info->free_bytes = free_bytes;
    info->total_bytes = total_bytes;
    uint64_t kept = gn_kepts_device_bytes(w, w->scope->device); // they go when the program needs their memory
    info->free_bytes += kept;
    info->used_bytes = atomic_load_explicit(&w->memory_used_bytes, memory_order_relaxed) - kept;
    info->pool_bytes = 0;
    if (p) {
        pthread_mutex_lock(&p->lock);
        info->pool_bytes = (p->unused_count + p->mapped_count) * (uint64_t)GRANULE_BYTES;
        pthread_mutex_unlock(&p->lock);
        pthread_mutex_unlock(&p->making);
    }
    return r;
}

// With the locks `making` and `lock`.
static bool release_unannounced(struct gn_worker *w, struct pool *p)
{
    bool any = p->unannounced > 0;
    p->stop = p->filling;
    for (; p->unannounced; p->unannounced--) {
        GN_DRIVER(w, cuMemRelease, p->unused[--p->unused_count]);
        gn_memory_discharge(w, GRANULE_BYTES);
    }
    return any;
}

bool gn_pool_reclaim(struct gn_worker *w, CUdevice device)
{
    struct pool *p = pool_of(w, device);
    if (!p)
        return false;
    pthread_mutex_lock(&p->making);
    pthread_mutex_lock(&p->lock);
    bool any = release_unannounced(w, p);
    pthread_mutex_unlock(&p->lock);
    pthread_mutex_unlock(&p->making);
    return any;
}

void gn_pool_missed(struct gn_worker *w, CUdevice device, uint64_t size_bytes)
{
    struct pool *p = pool_of(w, device);
    if (p && p->there && size_bytes <= p->unused_bytes_max)
        refill(w, p, true);
}

// The rule of the driver's pitch, as two allocations show it: widths up to a multiple. 0: another rule, and pitched allocations are asked for.
static uint64_t pitch_rule(struct gn_worker *w)
{
    CUdeviceptr address;
    size_t pitch = 0, next = 0;
    if (GN_DRIVER(w, cuMemAllocPitch_v2, &address, &pitch, 1, 1, 4))
        return 0;
    GN_DRIVER(w, cuMemFree_v2, address);
    if (!pitch || pitch & (pitch - 1) || GN_DRIVER(w, cuMemAllocPitch_v2, &address, &next, pitch + 1, 1, 16))
        return 0;
    GN_DRIVER(w, cuMemFree_v2, address);
    return next == 2 * pitch ? pitch : 0;
}

static uint64_t range_bytes(uint64_t memory_bytes)
{
    uint64_t bytes = 16 * (uint64_t)GRANULE_BYTES;
    while (bytes < 2 * memory_bytes && bytes < RANGE_BYTES_MAX)
        bytes *= 2;
    return bytes;
}

// Anew where the client could not use the first: elsewhere.
static CUresult reserve(struct gn_worker *w, struct pool *p, uint64_t memory_bytes)
{
    CUdeviceptr at = 0;
    uint64_t size = range_bytes(memory_bytes);
    if (p->there) {
        GN_DRIVER(w, cuMemAddressFree, p->start, p->size_bytes);
        p->there = false;
    }
    uint64_t hint = (p->attempts++ ? RANGE_HINT_AGAIN : RANGE_HINT) + (uint64_t)p->device * RANGE_BYTES_MAX;
    CUresult r = GN_DRIVER(w, cuMemAddressReserve, &at, size, GRANULE_BYTES, hint, 0);
    if (r)
        return r;
    p->start = at;
    p->size_bytes = size;
    p->there = true;
    return CUDA_SUCCESS;
}

static bool usable(struct gn_worker *w, CUdevice device)
{
    int has = 0;
    size_t granule = 0;
    CUmemAllocationProp prop = prop_of(device);
    return !GN_DRIVER(w, cuDeviceGetAttribute, &has, CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED, device) && has &&
           !GN_DRIVER(w, cuMemGetAllocationGranularity, &granule, &prop, CU_MEM_ALLOC_GRANULARITY_MINIMUM) &&
           granule && GRANULE_BYTES % granule == 0;
}

static struct pool *open_pool(struct gn_worker *w, CUdevice device)
{
    if (!w->pools && !(w->pools = calloc(1, sizeof *w->pools)))
        return NULL;
    if (w->pools->count == GN_DEVICES_MAX)
        return NULL;
    struct pool *p = &w->pools->pools[w->pools->count++];
    p->device = device;
    pthread_mutex_init(&p->lock, NULL);
    pthread_mutex_init(&p->making, NULL);
    return p;
}

static CUresult answer_range(struct gn_worker *w, struct pool *p, uint64_t want_bytes, struct gn_out_memory_range *o)
{
    size_t free_bytes = 0, total_bytes = 0;
    if (GN_DRIVER(w, cuMemGetInfo_v2, &free_bytes, &total_bytes) || reserve(w, p, total_bytes))
        return CUDA_SUCCESS;
    free(p->mapped);
    p->mapped = calloc(p->size_bytes / GRANULE_BYTES, sizeof *p->mapped);
    if (!p->mapped)
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (!p->pitch_bytes)
        p->pitch_bytes = pitch_rule(w);
    uint64_t total = w->limits.memory_bytes && w->limits.memory_bytes < total_bytes ? w->limits.memory_bytes : total_bytes;
    uint64_t most = total / MEMORY_SHARE < CREDIT_MAX_BYTES ? total / MEMORY_SHARE : CREDIT_MAX_BYTES;
    uint64_t first = want_bytes <= CREDIT_FIRST_BYTES       ? CREDIT_FIRST_BYTES
                     : want_bytes <= CREDIT_FIRST_BYTES_MAX ? want_bytes + GRANULE_BYTES
                                                            : CREDIT_FIRST_BYTES_MAX;
    uint64_t spare = spare_bytes(w);
    p->unused_bytes_max = most / GRANULE_BYTES * GRANULE_BYTES;
    first = first < p->unused_bytes_max ? first : p->unused_bytes_max;
    p->target_bytes = first;
    if (!p->unused_count)
        make(w, p, first < spare ? first : spare, false);
    *o = (struct gn_out_memory_range){.start = p->start,
                                      .size_bytes = p->size_bytes,
                                      .granule_bytes = GRANULE_BYTES,
                                      .pitch_bytes = p->pitch_bytes,
                                      .credit_bytes = p->unused_count * (uint64_t)GRANULE_BYTES,
                                      .unused_bytes_max = p->unused_bytes_max};
    return CUDA_SUCCESS;
}

// All zeros: there is none, and every allocation is asked for.
CUresult gn_run_memory_range(struct gn_worker *w, struct gn_request *q, const struct gn_args_memory_range *a,
                             struct gn_out_memory_range *o)
{
    if (!w->scope)
        return CUDA_ERROR_INVALID_CONTEXT;
    struct pool *p = pool_of(w, w->scope->device);
    if (p && (a->attempt != 1 || p->attempts != 1 || p->mapped_count)) {
        q->error = "a range of addresses asked for again";
        return CUDA_ERROR_INVALID_VALUE;
    }
    if (!p && !(p = open_pool(w, w->scope->device)))
        return CUDA_ERROR_OUT_OF_MEMORY;
    return usable(w, p->device) ? answer_range(w, p, a->want_bytes, o) : CUDA_SUCCESS;
}

// --- mapping

static bool granular(uint64_t address, uint64_t size_bytes)
{
    return size_bytes && !(address % GRANULE_BYTES) && !(size_bytes % GRANULE_BYTES);
}

// The granules of a command of the client: all mapped, or none. NULL: q->error says what is wrong.
static uint64_t *granules_of(struct gn_worker *w, struct gn_request *q, uint64_t address, uint64_t size_bytes, bool mapped,
                             struct pool **pool)
{
    struct pool *p = *pool = granular(address, size_bytes) ? pool_at(w, address, size_bytes) : NULL;
    if (!p || !p->mapped) {
        q->error = "addresses outside the range that was agreed";
        return NULL;
    }
    uint64_t *first = p->mapped + (address - p->start) / GRANULE_BYTES;
    for (uint64_t i = 0; i < size_bytes / GRANULE_BYTES; i++)
        if (!!first[i] != mapped) {
            q->error = mapped ? "an unmap of what is not mapped" : "a map of what is mapped already";
            return NULL;
        }
    return first;
}

CUresult gn_run_memory_map(struct gn_worker *w, struct gn_request *q, const struct gn_args_memory_map *a, struct gn_out_memory_map *o)
{
    (void)o;
    struct pool *p;
    uint64_t *granules = granules_of(w, q, a->address, a->size_bytes, false, &p), count = a->size_bytes / GRANULE_BYTES;
    if (!granules)
        return CUDA_ERROR_INVALID_VALUE;
    pthread_mutex_lock(&p->lock);
    bool enough = count <= p->unused_count - p->unannounced;
    for (uint64_t i = 0; enough && i < count; i++)
        granules[i] = p->unused[--p->unused_count];
    p->mapped_count += enough ? count : 0;
    pthread_mutex_unlock(&p->lock);
    if (!enough) {
        q->error = "a map of more memory than was granted";
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    CUresult r = CUDA_SUCCESS;
    for (uint64_t i = 0; !r && i < count; i++)
        r = GN_DRIVER(w, cuMemMap, a->address + i * GRANULE_BYTES, GRANULE_BYTES, 0, granules[i], 0);
    CUmemAccessDesc access = {.location = {CU_MEM_LOCATION_TYPE_DEVICE, p->device}, .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    if (!r)
        r = GN_DRIVER(w, cuMemSetAccess, a->address, a->size_bytes, &access, 1);
    refill(w, p, false);
    return r;
}

CUresult gn_run_memory_unmap(struct gn_worker *w, struct gn_request *q, const struct gn_args_memory_unmap *a,
                             struct gn_out_memory_unmap *o)
{
    (void)o;
    struct pool *p;
    uint64_t *granules = granules_of(w, q, a->address, a->size_bytes, true, &p), count = a->size_bytes / GRANULE_BYTES;
    if (!granules)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult r = GN_DRIVER(w, cuMemUnmap, a->address, a->size_bytes);
    pthread_mutex_lock(&p->lock);
    p->mapped_count -= count;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t handle = granules[i];
        granules[i] = 0;
        if (!a->release && make_room(p)) {
            p->unused[p->unused_count++] = handle;
        } else {
            GN_DRIVER(w, cuMemRelease, handle);
            gn_memory_discharge(w, GRANULE_BYTES);
        }
    }
    pthread_mutex_unlock(&p->lock);
    return r;
}

CUresult gn_run_memory_return(struct gn_worker *w, struct gn_request *q, const struct gn_args_memory_return *a,
                              struct gn_out_memory_return *o)
{
    (void)o;
    struct pool *p = pool_of(w, (CUdevice)a->device);
    CUresult r = CUDA_SUCCESS;
    uint64_t count = a->size_bytes / GRANULE_BYTES;
    if (p)
        pthread_mutex_lock(&p->lock);
    bool enough = p && !(a->size_bytes % GRANULE_BYTES) && count <= p->unused_count - p->unannounced;
    for (uint64_t i = 0; enough && i < count; i++) {
        CUresult released = GN_DRIVER(w, cuMemRelease, p->unused[--p->unused_count]);
        r = r ? r : released;
        gn_memory_discharge(w, GRANULE_BYTES);
    }
    if (enough) // the device is short of memory: start small again
        p->target_bytes = CREDIT_FIRST_BYTES < p->unused_bytes_max ? CREDIT_FIRST_BYTES : p->unused_bytes_max;
    if (p)
        pthread_mutex_unlock(&p->lock);
    if (!enough)
        q->error = "more memory given back than was granted";
    return r;
}

void gn_pools_close(struct gn_worker *w)
{
    for (unsigned i = 0; w->pools && i < w->pools->count; i++) {
        free(w->pools->pools[i].mapped);
        free(w->pools->pools[i].unused);
        pthread_mutex_destroy(&w->pools->pools[i].lock);
        pthread_mutex_destroy(&w->pools->pools[i].making);
    }
    free(w->pools);
    w->pools = NULL;
}
