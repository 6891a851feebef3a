// SPDX-License-Identifier: Apache-2.0
// Beginning, keeping and ending what is tracked.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "api_wire.h"
#include "interpose/log.h"
#include "interpose/options.h"
#include "interpose/shadow/shadow_parts.h"
#include "interpose/shim.h"
#include "interpose/stream/hostfn.h"

enum {
    MANNERS = 1024, // ranges whose habits are remembered; one that falls on another's place begins anew
    IDLE_TURNS = 4 * SHADOW_BLOCKS_MAX, // copies of tracked ranges since its own: such a range is not in use
    STATUS_BYTES = 4096,
};

_Atomic bool gn_shadow_any;
pid_t shadow_owner;
static _Atomic bool stream_waits;
static const char *why_off; // of a process for which there are none

// --- what they need

static bool start(void)
{
    const char *why = NULL;
    if (gn_shadow_kernel_open(&why) || shadow_fault_start(&why)) {
        gn_log(GN_LOG_WARN, "host memory is not tracked: %s; copies are made as usual", why);
        why_off = why;
        return false;
    }
    shadow_owner = getpid();
    atomic_store(&gn_shadow_any, true);
    return true;
}

bool shadow_ready(void)
{
    static bool tried, good;
    if (!tried)
        good = start();
    tried = true;
    return good;
}

const char *shadow_why_off(void) { return why_off; }

bool shadow_gated(void)
{
    return atomic_load(&stream_waits) || gn_host_functions_pending() || gn_session_host_pending(gn_shim.session);
}

void gn_shadow_stream_waits(void) { atomic_store(&stream_waits, true); }

// Pages that a device or an io_uring holds for long are written behind the page tables, and would be somebody else's once discarded.
bool shadow_pinned_by_others(void)
{
    char text[STATUS_BYTES];
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return true;
    text[n] = 0;
    const char *line = strstr(text, "\nVmPin:");
    return !line || strtoull(line + strlen("\nVmPin:"), NULL, 10);
}

// --- habits

struct manner *shadow_manner(uint64_t first, uint64_t pages)
{
    static struct manner manners[MANNERS];
    uint64_t mixed = (first / GN_PAGE_BYTES * 31 + pages) * 0x9e3779b97f4a7c15u;
    struct manner *m = &manners[mixed >> 54];
    if (m->start != first || m->pages != pages)
        *m = (struct manner){.start = first, .pages = pages};
    return m;
}

// --- blocks

static void release(struct block *b)
{
    while (shadow_map_serving(b)) // what it fetches comes, or its error does
        nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
    munmap(b->states, b->pages);
    b->states = NULL;
    b->used = false;
}

// Gives up the range that is worth least: by what its rule says, then by when it was last used. A range whose rule is worth no less than the
// newcomer's stays as long as it is in use: ranges that are used in turn, and are together too much, would all be lost in turn.
static bool make_room(uint8_t evict)
{
    static const uint8_t worth[] = {[GN_EVICT_FIRST] = 0, [GN_EVICT_NORMAL] = 1, [GN_EVICT_LAST] = 2, [GN_EVICT_NEVER] = 3};
    struct block *least = NULL;
    uint64_t now = 0;
    for (struct block *b = shadow_blocks; b < shadow_blocks + SHADOW_BLOCKS_MAX; b++) {
        now = b->used && b->turn > now ? b->turn : now;
        if (!b->used || b->busy || !b->spans || b->evict == GN_EVICT_NEVER)
            continue;
        if (!least || worth[b->evict] < worth[least->evict] || (worth[b->evict] == worth[least->evict] && b->turn < least->turn))
            least = b;
    }
    if (!least || (worth[least->evict] >= worth[evict] && least->turn + IDLE_TURNS > now))
        return false;
    shadow_retire(least);
    return true;
}

struct block *shadow_begin(struct gn_call *c, uint64_t first, uint64_t pages, struct gn_meaning m, const char **why, CUresult *r)
{
    struct manner *manner = shadow_manner(first, pages);
    if (pages > SHADOW_PAGES_MAX) {
        *why = "the range is larger than what is tracked";
        return NULL;
    }
    if (manner->pause) {
        manner->pause--;
        *why = "it was refused or could not be tracked, and is not tried each time";
        return NULL;
    }
    if (gn_shadow_trackable(first, pages * GN_PAGE_BYTES, why))
        return NULL;
    if (shadow_pinned_by_others()) {
        *why = "the process has memory pinned for an io_uring or a device";
        return NULL;
    }
    struct block *b = shadow_map_new_block();
    if (!b && make_room(m.evict))
        b = shadow_map_new_block();
    if (!b) {
        *why = "too many ranges are tracked";
        return NULL;
    }
    gn_page_state *states = mmap(NULL, pages, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (states != MAP_FAILED)
        do
            *r = gn_kept_open(c, pages * GN_PAGE_BYTES, &b->kept);
        while (!*r && !b->kept.id && make_room(m.evict));
    if (!b->kept.id) {
        if (states != MAP_FAILED)
            munmap(states, pages);
        b->used = false;
        SHADOW_COUNT(refused, 1);
        manner->pause = SHADOW_PAUSE;
        *why = "the server has no room to keep it";
        return NULL;
    }
    gn_pages_set(states, 0, pages, GN_PAGE_STALE);
    b->pages = pages;
    b->states = states;
    b->evict = m.evict;
    atomic_store(&b->odd, true);
    SHADOW_COUNT(ranges, 1);
    return b;
}

void shadow_close(struct block *b)
{
    gn_kept_close(&b->kept);
    release(b);
}

// Runs of pages that are away come here by being asked for; the thread that serves faults does it.
static int populate(const struct span *s)
{
    const gn_page_state *states = s->block->states;
    uint64_t index = s->first, last = s->first + s->pages, end;
    int error = 0;
    for (; (index = gn_pages_find(states, index, last, 1u << GN_PAGE_AWAY | 1u << GN_PAGE_LOST)) < last; index = end) {
        uint64_t at = s->start + (index - s->first) * GN_PAGE_BYTES;
        end = gn_pages_find(states, index, last, ~(1u << GN_PAGE_AWAY | 1u << GN_PAGE_LOST));
        int r = gn_shadow_populate(at, (end - index) * GN_PAGE_BYTES);
        bool some = r == -EFAULT; // pages that the program has protected from reading: the others come
        for (uint64_t i = index; some && i < end && (!r || r == -EFAULT); i++, at += GN_PAGE_BYTES) {
            r = gn_shadow_populate(at, GN_PAGE_BYTES);
            error = error ? error : r;
        }
        if (r && r != -EFAULT)
            return r; // and the others cannot be had either
    }
    return error;
}

int shadow_present(uint64_t first, uint64_t end)
{
    struct span s;
    int error = 0;
    first &= ~(uint64_t)(GN_PAGE_BYTES - 1);
    for (uint64_t at = first; at < end && shadow_map_find(at, end, &s); at = span_end(&s)) {
        uint64_t skip = s.start < first ? (first - s.start) / GN_PAGE_BYTES : 0;
        uint64_t pages = ((end < span_end(&s) ? end : span_end(&s)) - s.start + GN_PAGE_BYTES - 1) / GN_PAGE_BYTES;
        struct span p = {s.start + skip * GN_PAGE_BYTES, pages - skip, s.first + skip, s.block};
        int r = populate(&p);
        error = error ? error : r;
    }
    return error;
}

int shadow_retire(struct block *b)
{
    struct span s;
    int error = 0;
    for (uint64_t at = 0; shadow_map_find(at, UINT64_MAX, &s); at = span_end(&s))
        if (s.block == b) {
            int r = populate(&s);
            error = error ? error : r;
        }
    for (uint64_t at = 0; shadow_map_find(at, UINT64_MAX, &s); at = span_end(&s))
        if (s.block == b)
            gn_shadow_unregister(s.start, s.pages * GN_PAGE_BYTES);
    shadow_map_drop(b);
    shadow_close(b);
    SHADOW_COUNT(retired, 1);
    return error;
}

void shadow_reap(void)
{
    struct block *b;
    while ((b = shadow_map_orphan()))
        shadow_close(b);
}

bool shadow_touches(uint64_t first, uint64_t end)
{
    struct span s;
    if (!atomic_load(&gn_shadow_any))
        return false;
    shadow_fault_settle();
    return shadow_map_look(first & ~(uint64_t)(GN_PAGE_BYTES - 1), end, &s);
}

// --- for the rest of the shim

CUresult gn_shadow_bring(uint64_t first, uint64_t size_bytes)
{
    if (!shadow_touches(first, first + size_bytes))
        return CUDA_SUCCESS;
    int cancel;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    shadow_ops_take();
    int error = shadow_present(first, first + size_bytes);
    shadow_ops_give();
    pthread_setcancelstate(cancel, NULL);
    return error ? CUDA_ERROR_DEVICE_UNAVAILABLE : CUDA_SUCCESS;
}

void gn_shadow_context_ends(uint64_t context)
{
    if (!atomic_load(&gn_shadow_any))
        return;
    int cancel; // a thread that were cancelled would take the lock along
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    shadow_ops_take();
    for (struct block *b = shadow_blocks; b < shadow_blocks + SHADOW_BLOCKS_MAX; b++)
        if (b->used && !b->busy && b->kept.context == context)
            shadow_retire(b);
    shadow_ops_give();
    pthread_setcancelstate(cancel, NULL);
}


// Taken whether anything is tracked or not: what tracking begins with, its descriptors too, is made under `ops`, so no fork comes in between.
void gn_shadow_prepare_fork(void)
{
    shadow_ops_take();
    if (atomic_load(&gn_shadow_any))
        shadow_present(0, UINT64_MAX - GN_PAGE_BYTES);
}

void gn_shadow_forked(bool child)
{
    if (!child) {
        shadow_ops_give();
        return;
    }
    atomic_store(&gn_shadow_any, false);
    gn_shadow_kernel_close();
    shadow_fault_forked();
    shadow_map_clear(); // with `ops`
}

uint64_t gn_shadow_fetched_bytes(void) { return atomic_load_explicit(&shadow_counts.fetched_bytes, memory_order_relaxed); }

void gn_shadow_put_stats(FILE *f)
{
    const struct {
        const char *name;
        _Atomic uint64_t *count;
    } all[] = {{"ranges", &shadow_counts.ranges},
               {"downloads_kept_bytes", &shadow_counts.downloads_kept_bytes},
               {"fetched_bytes", &shadow_counts.fetched_bytes},
               {"faults", &shadow_counts.faults},
               {"spilled_bytes", &shadow_counts.spilled_bytes},
               {"proven_bytes", &shadow_counts.proven_bytes},
               {"dirty_bytes", &shadow_counts.dirty_bytes},
               {"retired", &shadow_counts.retired},
               {"refused", &shadow_counts.refused},
               {"rested", &shadow_counts.rested},
               {"lost_pages", &shadow_counts.lost_pages},
               {"scans", &shadow_counts.scans},
               {"scan_ns", &shadow_counts.scan_ns}};
    fprintf(f, ",\n  \"shadow\": {");
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
        fprintf(f, "%s\"%s\": %llu", i ? ", " : "", all[i].name, (unsigned long long)atomic_load(all[i].count));
    fprintf(f, "}");
}
