// SPDX-License-Identifier: Apache-2.0
// The ranges: agreeing on one, placing, mapping, giving back.
//
// Granules that no block touches stay mapped up to a bound, so that a loop of allocating and freeing maps nothing; what is neither mapped
// nor needed goes back to the server above the bound that it named.
#include "interpose/memory/memory_range.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "api_wire.h"
#include "interpose/hints/hints.h"
#include "interpose/log.h"
#include "interpose/options.h"

enum {
    EMPTY_BYTES_MAX = 64 << 20,  // mapped and not touched: what steady programs allocate and free at a time
    FIRST_BYTES_MAX = 64 << 20,  // a larger first allocation is asked for: the server would have to make all of it before it answers
    PITCH_BYTES_MAX = 64 << 10,
    APART_FROM_BYTES = 64 << 10, // with hints, allocations from here on do not touch the next one: see gn_range_apart
};
#define RANGE_BYTES_MAX ((uint64_t)1 << 46) // a range that a process can have beside itself

struct device_range {
    pthread_mutex_t lock; // guards what follows; the session's locks are taken under it, the maps' never
    struct gn_range range;
    CUdevice device;
    uint64_t taken_bytes; // of the credit, mapped or given back
    uint64_t apart_bytes; // of the blocks, between them
    uint64_t pitch_bytes, unused_bytes_max;
    struct gn_region kept_off;
};

static _Atomic uint64_t granted[GN_DEVICES_MAX];            // so far
static struct device_range *_Atomic ranges[GN_DEVICES_MAX]; // set once
static _Atomic bool refused[GN_DEVICES_MAX];                // there is none, and will be none
static pthread_mutex_t agreeing = PTHREAD_MUTEX_INITIALIZER;
static _Atomic uint64_t placed_count, asked_count;

void gn_range_granted(uint64_t device, uint64_t bytes)
{
    if (device < GN_DEVICES_MAX)
        atomic_fetch_add_explicit(&granted[device], bytes, memory_order_relaxed);
}

static uint64_t credit_of(const struct device_range *d)
{
    return atomic_load_explicit(&granted[d->device], memory_order_relaxed) - d->taken_bytes;
}

// --- agreeing on a range

static bool is_sane(const struct gn_out_memory_range *o)
{
    uint64_t granule = o->granule_bytes;
    return granule >= GN_RESERVE_GRANULE_BYTES && !(granule & (granule - 1)) && o->size_bytes >= granule &&
           o->size_bytes <= RANGE_BYTES_MAX && o->size_bytes % granule == 0 && o->start >= granule && o->start % granule == 0 &&
           o->start + o->size_bytes > o->start && o->pitch_bytes <= PITCH_BYTES_MAX && !(o->pitch_bytes & (o->pitch_bytes - 1)) &&
           o->credit_bytes % granule == 0;
}

static struct device_range *open_range(CUdevice device, const struct gn_out_memory_range *o)
{
    struct device_range *d = calloc(1, sizeof *d);
    size_t table_bytes = o->size_bytes / o->granule_bytes * sizeof *d->range.granules;
    // Not from the heap: it is large, and hardly any of it is touched.
    void *table = d ? mmap(NULL, table_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) : MAP_FAILED;
    if (table == MAP_FAILED || gn_range_open(&d->range, o->start, o->size_bytes, o->granule_bytes, table)) {
        if (table != MAP_FAILED)
            munmap(table, table_bytes);
        free(d);
        return NULL;
    }
    pthread_mutex_init(&d->lock, NULL);
    d->device = device;
    d->pitch_bytes = o->pitch_bytes;
    d->unused_bytes_max = o->unused_bytes_max;
    d->kept_off.start = o->start;
    d->kept_off.size_bytes = o->size_bytes;
    return d;
}

// With `agreeing`. At most two exchanges: the second only where this process has something at the first range.
static CUresult agree(struct gn_call *c, CUdevice device, uint64_t want_bytes, struct device_range **range)
{
    struct gn_reservation reservation;
    struct gn_out_memory_range o = {0};
    int error = -EEXIST;
    for (uint32_t attempt = 0; error == -EEXIST && attempt < 2; attempt++) {
        CUresult r = gn_ask(c, GN_OP_memory_range, &(struct gn_args_memory_range){.attempt = attempt, .want_bytes = want_bytes}, &o);
        if (r)
            return r;
        if (!o.size_bytes) {
            gn_log(GN_LOG_INFO, "the server grants no addresses of device %d: allocations are asked for", (int)device);
            return CUDA_SUCCESS;
        }
        error = is_sane(&o) ? gn_reserve(&reservation, o.start, o.size_bytes) : -EINVAL;
    }
    struct device_range *d = error ? NULL : open_range(device, &o);
    if (!error && (!d || gn_memory_keep_off(&d->kept_off))) { // nonsense of the server's, or no memory
        gn_reserve_release(&reservation);
        d = NULL;
    }
    if (!d) {
        gn_log(GN_LOG_INFO, "device addresses from 0x%llx are of no use in this process (%d): allocations are asked for",
               (unsigned long long)o.start, -error);
        return CUDA_SUCCESS;
    }
    gn_range_granted((uint64_t)device, o.credit_bytes);
    atomic_store_explicit(&ranges[device], d, memory_order_release); // pairs with the acquire in range_of
    *range = d;
    return CUDA_SUCCESS;
}

// *range NULL: there is none.
static CUresult range_of(struct gn_call *c, uint64_t want_bytes, struct device_range **range)
{
    CUdevice device = c->context->device;
    *range = atomic_load_explicit(&ranges[device], memory_order_acquire);
    if (*range || atomic_load_explicit(&refused[device], memory_order_relaxed) || !gn_options_on(GN_OPT_ALLOC) ||
        want_bytes > FIRST_BYTES_MAX)
        return CUDA_SUCCESS;
    CUresult r = CUDA_SUCCESS;
    pthread_mutex_lock(&agreeing);
    *range = atomic_load_explicit(&ranges[device], memory_order_acquire);
    if (!*range && !atomic_load_explicit(&refused[device], memory_order_relaxed)) {
        r = agree(c, device, want_bytes, range);
        if (!*range)
            atomic_store_explicit(&refused[device], true, memory_order_relaxed);
    }
    pthread_mutex_unlock(&agreeing);
    return r;
}

static struct device_range *range_there(CUdevice device)
{
    return device >= 0 && device < GN_DEVICES_MAX ? atomic_load_explicit(&ranges[device], memory_order_acquire) : NULL;
}

// --- mapping, with the range's lock

// Commands of a range belong to no context: theirs may be gone when its memory is.
static CUresult post(unsigned op, const void *args)
{
    int32_t code = 0;
    int status = gn_session_post(gn_shim.session, 0, op, args, &code);
    return status ? CUDA_ERROR_DEVICE_UNAVAILABLE : (CUresult)code;
}

// Unmaps granules that no block touches, up to so many bytes: to the credit, or `release`: to the device.
static uint64_t unmap_empty(struct device_range *d, uint64_t bytes, bool release)
{
    uint64_t done = 0;
    for (uint64_t at = d->range.start, size; done < bytes && gn_range_next_empty(&d->range, bytes - done, &at, &size); at += size) {
        post(GN_OP_memory_unmap, &(struct gn_args_memory_unmap){.address = at, .size_bytes = size, .release = release});
        gn_range_mark(&d->range, at, size, false);
        d->taken_bytes -= release ? 0 : size;
        done += size;
    }
    return done;
}

static uint64_t empty_bytes(const struct device_range *d) { return d->range.empty * d->range.granule_bytes; }

static uint64_t round_up(const struct device_range *d, uint64_t bytes)
{
    return (bytes + d->range.granule_bytes - 1) & ~(d->range.granule_bytes - 1);
}

// The bounds on what is held and not used.
static void trim(struct device_range *d)
{
    uint64_t empty = empty_bytes(d), unused = credit_of(d) + empty;
    if (unused > d->unused_bytes_max) {
        uint64_t excess = round_up(d, unused - d->unused_bytes_max);
        excess -= unmap_empty(d, excess, true);
        if (excess) {
            post(GN_OP_memory_return, &(struct gn_args_memory_return){.device = (uint32_t)d->device, .size_bytes = excess});
            d->taken_bytes += excess;
        }
        empty = empty_bytes(d);
    }
    if (empty > EMPTY_BYTES_MAX)
        unmap_empty(d, empty - EMPTY_BYTES_MAX / 2, false);
}

static CUresult map_missing(struct device_range *d, const struct gn_block *b)
{
    CUresult r = CUDA_SUCCESS;
    for (uint64_t at = b->start, size; !r && gn_range_next_missing(&d->range, b->start + b->span_bytes, &at, &size); at += size) {
        r = post(GN_OP_memory_map, &(struct gn_args_memory_map){.address = at, .size_bytes = size});
        if (r)
            break;
        gn_range_mark(&d->range, at, size, true);
        d->taken_bytes += size;
    }
    return r;
}

// Small blocks open a new granule only when they fit nowhere in those that there are.
static int place(struct device_range *d, struct gn_block *b, uint64_t size_bytes)
{
    int error = gn_range_take(&d->range, b, size_bytes, false);
    uint64_t missing = error ? 0 : gn_range_missing(&d->range, b);
    if (error || !missing)
        return error;
    bool small = size_bytes <= d->range.granule_bytes / 2, short_of = missing > credit_of(d);
    if (!small && !short_of)
        return 0;
    gn_range_give(&d->range, b);
    if (!gn_range_take(&d->range, b, size_bytes, true))
        return 0;
    error = gn_range_take(&d->range, b, size_bytes, false);
    if (error || !short_of)
        return error;
    missing = gn_range_missing(&d->range, b);
    if (missing > credit_of(d) + empty_bytes(d)) {
        gn_range_give(&d->range, b);
        return -ENOMEM;
    }
    if (missing > credit_of(d))
        unmap_empty(d, missing - credit_of(d), false);
    return 0;
}

// A kernel may write through a pointer to an allocation's end backwards, so a pointer to one that begins there counts for both, and weights
// in front of a KV cache would seem to be written at every step. With hints, large ones leave a grain free.
uint64_t gn_range_apart(uint64_t size_bytes)
{
    bool apart = gn_hints_on && size_bytes >= APART_FROM_BYTES && size_bytes <= RANGE_BYTES_MAX && gn_options_on(GN_OPT_PROOF);
    return apart ? GN_RANGE_GRAIN_BYTES : 0;
}

CUresult gn_range_alloc(struct gn_call *c, struct gn_memory *m, uint64_t size_bytes, bool *placed)
{
    struct device_range *d;
    *placed = false;
    CUresult r = range_of(c, size_bytes, &d);
    if (r || !d)
        return r;
    pthread_mutex_lock(&d->lock);
    m->apart_bytes = gn_range_apart(size_bytes);
    int error = place(d, &m->block, size_bytes + m->apart_bytes);
    if (error && m->apart_bytes) { // the last of the memory is the program's
        m->apart_bytes = 0;
        error = place(d, &m->block, size_bytes);
    }
    if (!error) {
        r = map_missing(d, &m->block);
        *placed = !r;
        if (r)
            gn_range_give(&d->range, &m->block);
        else
            d->apart_bytes += m->apart_bytes;
    }
    pthread_mutex_unlock(&d->lock);
    m->placed = *placed;
    if (*placed)
        atomic_fetch_add_explicit(&placed_count, 1, memory_order_relaxed);
    return r;
}

void gn_range_release(struct gn_memory *m)
{
    struct device_range *d = range_there(m->device);
    if (!d)
        return;
    pthread_mutex_lock(&d->lock);
    gn_range_give(&d->range, &m->block);
    d->apart_bytes -= m->apart_bytes;
    trim(d);
    pthread_mutex_unlock(&d->lock);
    m->placed = false;
}

bool gn_range_yield(CUdevice device)
{
    struct device_range *d = range_there(device);
    if (!d)
        return false;
    pthread_mutex_lock(&d->lock);
    uint64_t given = unmap_empty(d, UINT64_MAX, true), credit = credit_of(d);
    if (credit) {
        post(GN_OP_memory_return, &(struct gn_args_memory_return){.device = (uint32_t)device, .size_bytes = credit});
        d->taken_bytes += credit;
    }
    pthread_mutex_unlock(&d->lock);
    return given + credit > 0;
}

uint64_t gn_range_pitch(struct gn_call *c, uint64_t width_bytes, uint64_t size_bytes)
{
    struct device_range *d;
    if (width_bytes > INT32_MAX - (uint64_t)PITCH_BYTES_MAX || range_of(c, size_bytes, &d) || !d || !d->pitch_bytes)
        return 0;
    return (width_bytes + d->pitch_bytes - 1) & ~(d->pitch_bytes - 1);
}

uint64_t gn_range_used(CUdevice device)
{
    struct device_range *d = range_there(device);
    if (!d)
        return 0;
    pthread_mutex_lock(&d->lock);
    uint64_t used = d->range.used_bytes - d->apart_bytes;
    pthread_mutex_unlock(&d->lock);
    return used;
}

void gn_range_asked(void) { atomic_fetch_add_explicit(&asked_count, 1, memory_order_relaxed); }

void gn_range_count(struct gn_range_counts *counts)
{
    counts->placed = atomic_load_explicit(&placed_count, memory_order_relaxed);
    counts->asked = atomic_load_explicit(&asked_count, memory_order_relaxed);
    counts->credit_bytes = 0;
    for (CUdevice i = 0; i < GN_DEVICES_MAX; i++) {
        struct device_range *d = range_there(i);
        if (!d)
            continue;
        pthread_mutex_lock(&d->lock);
        counts->credit_bytes += credit_of(d);
        pthread_mutex_unlock(&d->lock);
    }
}
