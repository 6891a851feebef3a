// SPDX-License-Identifier: Apache-2.0
// The inside of tracked ranges, shared by shadow*.c.
//
// A *block* is a kept copy at the server and what is known of its pages. A *span* is a part of a block and where that lies in this process: one
// span a block, until the program unmaps or moves a part of it.
//
// Locks, in this order. `ops` is held by whoever begins, ends or changes what is tracked, also while pages are fetched; not while anything waits
// for a stream. `map` guards the tables for some dozen instructions: all signals are blocked under it, nothing is allocated, and no memory but
// the tables is touched, because the thread that serves faults takes it too. Discarding, registering and populating are done without `map`: they may
// wait for that thread.
//
// Page states are written by the thread that serves faults, and by holders of `ops` where it does not know the pages yet or they are here for good.
#ifndef GN_INTERPOSE_SHADOW_PARTS_H
#define GN_INTERPOSE_SHADOW_PARTS_H

#include <pthread.h>
#include <signal.h>

#include "core/content.h"
#include "core/pages.h"
#include "interpose/hints/hints.h"
#include "interpose/shadow/kept.h"
#include "interpose/shadow/shadow.h"
#include "interpose/shadow/shadow_kernel.h"

enum {
    SHADOW_BLOCKS_MAX = 256,   // ranges tracked at once: a program's layers, twice
    SHADOW_SPANS_MAX = 1024,   // parts of them; what is above the blocks is room for a program that unmaps or moves parts
    SHADOW_PAGES_MIN = 4,      // of a copy: below, keeping costs more than moving the bytes
    SHADOW_PAUSE = 64,         // copies of a range that was refused, until it is tried again
    SHADOW_PAGES_MAX = 1 << 22, // 16 GiB: of one range; its states take a 4,096th
};

struct edges { // the bytes of one upload outside whole pages, in front and behind: they are not tracked, but less than two pages are soon compared
    uint64_t host, end; // of the upload; 0, 0: nothing is known
    struct gn_content content;
};

struct block {
    bool used;
    struct gn_kept kept;   // the copy at the server
    uint64_t pages;
    gn_page_state *states;
    unsigned spans;        // under `map`; 0: the program has unmapped all of it
    unsigned busy;         // under `ops`: copies that wait for their stream without it; it is not ended then
    uint32_t fills_needed; // by what is read from now on; under `map`
    _Atomic bool touched;  // a page may be here
    _Atomic bool odd;      // a page may be stale or lost
    _Atomic bool shut;     // pages of it were lost: said once
    _Atomic uint64_t fetched; // pages, since the last copy to the host
    struct gn_ahead ahead; // of the thread that serves faults
    uint64_t turn;         // of the last copy: the least is the one that is least recently used
    uint8_t evict;
    uint64_t version; // not 0: while gn_writes_version says so, device memory equals pages [same_from, same_end); page 0 would lie at `device`
    uint64_t device, same_from, same_end;
    struct edges edges; // what the device holds beside these pages, under the same version
};

struct span {
    uint64_t start, pages; // 0 pages: a free place
    uint64_t first;        // of its pages in the block
    struct block *block;
};
static inline uint64_t span_end(const struct span *s) { return s->start + s->pages * GN_PAGE_BYTES; }

struct shadow_counts {
    _Atomic uint64_t ranges, downloads_kept_bytes, spilled_bytes, proven_bytes, dirty_bytes, fetched_bytes, faults, retired, refused, rested, lost_pages, scans, scan_ns;
};
extern struct shadow_counts shadow_counts;
#define SHADOW_COUNT(field, by) atomic_fetch_add_explicit(&shadow_counts.field, (by), memory_order_relaxed)

// --- shadow_map.c
// `ops`: in turn, so that a thread that uploads again and again keeps no other one out.
void shadow_ops_take(void);
void shadow_ops_give(void);
void shadow_map_take(sigset_t *before);
void shadow_map_give(const sigset_t *before);
extern struct block shadow_blocks[SHADOW_BLOCKS_MAX];

// These take `map`.
// The first span that touches [start, end), the lowest one; false: none. To find is under `ops`, and quick where the same was found before.
bool shadow_map_find(uint64_t start, uint64_t end, struct span *found);
bool shadow_map_look(uint64_t start, uint64_t end, struct span *found);
struct block *shadow_map_new_block(void); // under `ops`; NULL: all are in use. It is in use and has no span
// Puts the whole block at `start` in place of every span that lies in it; pages that were away in these are away in it too.
int shadow_map_put(struct block *block, uint64_t start);
void shadow_map_drop(struct block *block); // its spans
struct block *shadow_map_orphan(void);     // under `ops`: one that has no span any more and is not busy, or NULL
void shadow_map_idle(void);                // under `ops`: a block is not busy any more
void shadow_map_filled(const struct span *part, uint64_t pages); // of its stale pages the server has a copy
void shadow_map_clear(void);               // in a forked child
// What is discarded next, so that the event for it is known to be the shim's own; 0, 0: nothing more.
void shadow_map_discarding(uint64_t start, uint64_t end);
// Whether all of the block is away, and nobody is just fetching any of it; fetches from now on are for `fills` fills in any case.
bool shadow_map_need(struct block *block, uint32_t fills);
bool shadow_map_serving(const struct block *block); // the thread that serves faults is just using it

// For that thread.
struct serving {
    struct span span;
    uint64_t changes;
    uint32_t fills;
};
bool shadow_map_serve(uint64_t page, struct serving *serving);
void shadow_map_served(void);
uint64_t shadow_map_changes(void);
void shadow_map_changed(void); // by what is no change of the tables
bool shadow_map_removed(uint64_t start, uint64_t end); // true: by the program, and no longer tracked
void shadow_map_unmapped(uint64_t start, uint64_t end);
bool shadow_map_moved(uint64_t start, uint64_t end, uint64_t to); // false: there is no room; what is away must be filled in
bool shadow_map_next(uint64_t from, struct serving *serving); // the lowest span at or behind `from`, as shadow_map_serve

// --- shadow_fault.c
int shadow_fault_start(const char **why); // the channel and the thread. 0 or -errno
void shadow_fault_settle(void); // back when events whose system calls have returned are dealt with
void shadow_fault_forked(void);

// --- shadow_track.c; all under `ops`
extern pid_t shadow_owner; // the process whose memory is tracked
bool shadow_ready(void); // opens what there is to open the first time
const char *shadow_why_off(void); // when it is not
// A kept copy and a block for so many pages, all of them stale; it lies nowhere yet. NULL: *why; *r is what the call must tell.
struct block *shadow_begin(struct gn_call *c, uint64_t start, uint64_t pages, struct gn_meaning m, const char **why, CUresult *r);
void shadow_close(struct block *block);  // that has no span any more
int shadow_retire(struct block *block);  // brings its pages here, then forgets it. -errno: some could not be had
void shadow_reap(void);                  // closes what the program has unmapped
bool shadow_touches(uint64_t start, uint64_t end); // without `ops`: whether a page of the range is tracked
int shadow_present(uint64_t start, uint64_t end); // 0, or -errno: a page could not be had

bool shadow_pinned_by_others(void); // pages that a device or an io_uring holds for long

// Whether something that is queued may wait for this process: then a fill might too, and whoever touches the range.
bool shadow_gated(void);

// --- manners of ranges, kept when they are not tracked (shadow_track.c)
struct manner {
    uint64_t start, pages;
    struct gn_worth worth;
    unsigned uploads;
    unsigned pause;    // so many copies more it is not tried
};
struct manner *shadow_manner(uint64_t start, uint64_t pages);

#endif
