// SPDX-License-Identifier: Apache-2.0
// The thread that serves faults in tracked ranges, and hears what the program does to its memory.
//
// Whoever touches a page that is away sleeps in the kernel until this thread has put it there; it may hold any lock of the program, of libc or of
// the session. So this thread allocates nothing, takes no lock but `map`, touches no memory of the program, and all signals are blocked in it. It is
// the only one that reads events: what it has fetched before one is of no use after it, because pages may have been discarded or moved since.
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "interpose/log.h"
#include "interpose/shadow/shadow_parts.h"
#include "remoting/fetch.h"

enum {
    WAITING_MAX = 1024, // pages that were asked for while an event was looked for: more than threads that a program has
    BUFFER_BYTES = GN_AHEAD_PAGES_MAX * GN_PAGE_BYTES,
};

static struct gn_fetch channel = {.fd = -1};
static uint8_t *buffer;
static uint64_t waiting[WAITING_MAX];
static unsigned waiting_count;
static _Atomic bool working;      // set whenever an event has been read that is not dealt with
static _Atomic uint32_t handled;  // events

static void handle(const struct gn_shadow_event *event);

// Who waits for a page waits for it once, however many they are.
static void wait_for(uint64_t page)
{
    for (unsigned i = 0; i < waiting_count; i++)
        if (waiting[i] == page)
            return;
    if (waiting_count < WAITING_MAX)
        waiting[waiting_count++] = page;
    else
        gn_shadow_wake(page, GN_PAGE_BYTES); // it comes back
}

// The kernel refuses pages while an event is under way that changes the mappings. It hands out faults first.
static void take_events(void)
{
    struct gn_shadow_event event;
    bool any = false;
    while (gn_shadow_next_event(&event) > 0) {
        any = true;
        if (event.kind == GN_EVENT_FAULT)
            wait_for(event.start);
        else
            handle(&event);
    }
    if (!any)
        sched_yield(); // who changes the mappings has not come to say so
}

static uint64_t page_address(const struct serving *s, uint64_t index) { return s->span.start + (index - s->span.first) * GN_PAGE_BYTES; }

// --- pages that cannot be had

static void lose(const struct serving *s, uint64_t index, uint64_t pages, int error)
{
    struct block *b = s->span.block;
    uint64_t address = page_address(s, index);
    if (!atomic_exchange(&b->shut, true))
        gn_log(GN_LOG_WARN, "%llu bytes of a host buffer at 0x%llx are at the server only and cannot be had (%s%d): touching them is SIGBUS",
               (unsigned long long)(pages * GN_PAGE_BYTES), (unsigned long long)address, error > 0 ? "CUDA error " : "error ", error > 0 ? error : -error);
    SHADOW_COUNT(lost_pages, pages);
    gn_pages_turn(b->states, index, index + pages, GN_PAGE_AWAY, GN_PAGE_LOST);
    atomic_store(&b->odd, true); // after the states: settle_odd relies on it
    for (uint64_t i = 0; i < pages && shadow_map_changes() == s->changes; i++) {
        int r;
        while ((r = gn_shadow_poison(address + i * GN_PAGE_BYTES, GN_PAGE_BYTES)) == -EAGAIN) {
            take_events();
            if (shadow_map_changes() != s->changes)
                break;
        }
    }
    gn_shadow_wake(address, pages * GN_PAGE_BYTES);
}

// --- pages that are fetched

// What lies in the buffer comes to its place, as far as nothing has changed meanwhile.
static void put(const struct serving *s, uint64_t index, uint64_t pages)
{
    struct block *b = s->span.block;
    uint64_t at = 0, most = pages;
    while (at < pages && shadow_map_changes() == s->changes) {
        uint64_t done = 0, step = pages - at < most ? pages - at : most;
        int r = gn_shadow_copy(-1, page_address(s, index + at), buffer + at * GN_PAGE_BYTES, step * GN_PAGE_BYTES, &done);
        if (r == -EEXIST && !done) {
            gn_shadow_wake(page_address(s, index + at), GN_PAGE_BYTES);
            done = GN_PAGE_BYTES;
        }
        gn_pages_turn(b->states, index + at, index + at + done / GN_PAGE_BYTES, GN_PAGE_AWAY, GN_PAGE_HERE);
        at += done / GN_PAGE_BYTES;
        if (r && r != -EEXIST && r != -EAGAIN) {
            if (step == 1)
                break; // nothing is mapped there any more: an event will say so
            most = 1; // the kernel takes what lies in one mapping
        }
        if (r == -EAGAIN && !done) {
            take_events();
            if (shadow_map_changes() != s->changes)
                break;
        }
    }
    if (at < pages) // who waits for one of them asks again
        gn_shadow_wake(page_address(s, index + at), (pages - at) * GN_PAGE_BYTES);
}

static void bring(const struct serving *s, uint64_t index)
{
    struct block *b = s->span.block;
    uint64_t end = s->span.first + s->span.pages;
    uint64_t run = gn_pages_find(b->states, index, end < index + GN_AHEAD_PAGES_MAX ? end : index + GN_AHEAD_PAGES_MAX, ~(1u << GN_PAGE_AWAY)) - index;
    uint64_t pages = gn_ahead_read(&b->ahead, index, run);
    atomic_store(&b->touched, true); // before they are
    int r = gn_fetch(&channel, b->kept.id, s->fills, index * GN_PAGE_BYTES, buffer, pages * GN_PAGE_BYTES);
    if (r) {
        lose(s, index, pages, r);
        return;
    }
    SHADOW_COUNT(fetched_bytes, pages * GN_PAGE_BYTES);
    atomic_fetch_add_explicit(&b->fetched, pages, memory_order_relaxed);
    put(s, index, pages);
}

static void bring_zeros(uint64_t page)
{
    int r;
    uint64_t before = shadow_map_changes();
    while ((r = gn_shadow_zero(page)) == -EAGAIN) {
        take_events();
        if (shadow_map_changes() != before)
            break;
    }
    if (r)
        gn_shadow_wake(page, GN_PAGE_BYTES);
}

static void serve(uint64_t page)
{
    struct serving s;
    SHADOW_COUNT(faults, 1);
    if (!shadow_map_serve(page, &s)) { // memory that was registered along with a range that grew, or whose range has gone
        bring_zeros(page);
        return;
    }
    uint64_t index = s.span.first + (page - s.span.start) / GN_PAGE_BYTES;
    switch (gn_page_get(&s.span.block->states[index])) {
    case GN_PAGE_AWAY: bring(&s, index); break;
    case GN_PAGE_LOST: lose(&s, index, 1, 0); break;
    default: bring_zeros(page); // or it is there by now: then this does nothing but wake
    }
    shadow_map_served();
}

// --- what is filled in at once

// The kernel takes at once what lies in one mapping; and what the program withholds from its child lies in none.
static int fill_with(int fd, uint64_t to, uint64_t pages)
{
    uint64_t done;
    int r = gn_shadow_copy(fd, to, buffer, pages * GN_PAGE_BYTES, &done);
    for (uint64_t i = 0; r == -ENOENT && i < pages; i++) {
        int one = gn_shadow_copy(fd, to + i * GN_PAGE_BYTES, buffer + i * GN_PAGE_BYTES, GN_PAGE_BYTES, &done);
        if (one && one != -ENOENT)
            return one;
    }
    return r == -ENOENT || r == -ESRCH ? 0 : r; // or the child is gone already
}

// Brings what is away in [start, end) to the same place moved by `shift`, of the process whose userfaultfd this is (-1: this one).
static void fill(int fd, uint64_t start, uint64_t end, uint64_t shift)
{
    struct serving s;
    shadow_map_changed(); // whoever waits for an event to pass while it puts pages: the buffer is another's now
    for (uint64_t at = start; shadow_map_next(at, &s) && s.span.start < end; at = span_end(&s.span)) {
        uint64_t last = s.span.first + s.span.pages, index = s.span.first;
        const gn_page_state *states = s.span.block->states;
        while ((index = gn_pages_find(states, index, last, 1u << GN_PAGE_AWAY)) < last) {
            uint64_t most = last < index + GN_AHEAD_PAGES_MAX ? last : index + GN_AHEAD_PAGES_MAX;
            uint64_t pages = gn_pages_find(states, index, most, ~(1u << GN_PAGE_AWAY)) - index;
            int r = gn_fetch(&channel, s.span.block->kept.id, s.fills, index * GN_PAGE_BYTES, buffer, pages * GN_PAGE_BYTES);
            if (!r)
                r = fill_with(fd, page_address(&s, index) + shift, pages);
            if (r)
                gn_log_once(GN_LOG_WARN, "bytes of a host buffer are at the server only and could not be had for a copy of the process (%d)", r);
            SHADOW_COUNT(fetched_bytes, r ? 0 : pages * GN_PAGE_BYTES);
            index += pages;
        }
    }
    shadow_map_served();
}

static void handle(const struct gn_shadow_event *event)
{
    switch (event->kind) {
    case GN_EVENT_FAULT: serve(event->start); break;
    case GN_EVENT_REMOVE:
        if (shadow_map_removed(event->start, event->end)) // what comes there anew is zeros, for which nobody is asked
            gn_shadow_unregister(event->start, event->end - event->start);
        break;
    case GN_EVENT_UNMAP: shadow_map_unmapped(event->start, event->end); break;
    case GN_EVENT_REMAP:
        if (!shadow_map_moved(event->start, event->end, event->to)) {
            fill(-1, event->start, event->end, event->to - event->start);
            shadow_map_unmapped(event->start, event->end);
        }
        break;
    case GN_EVENT_FORK:
        fill(event->fd, 0, UINT64_MAX, 0);
        close(event->fd);
        break;
    default: break;
    }
    atomic_fetch_add(&handled, 1);
}

// A system call that raises an event is back when that has been read: perhaps before it has been dealt with.
void shadow_fault_settle(void)
{
    uint32_t before = atomic_load(&handled);
    while (atomic_load(&working) && atomic_load(&handled) == before)
        sched_yield();
}

static void *run(void *arg)
{
    (void)arg;
    struct gn_shadow_event event;
    int r;
    do {
        atomic_store(&working, true);
        while (waiting_count)
            serve(waiting[--waiting_count]);
        if ((r = gn_shadow_next_event(&event)) > 0) {
            handle(&event);
        } else if (!r) {
            atomic_store(&working, false);
            r = gn_shadow_wait_event();
        }
    } while (r >= 0);
    gn_log(GN_LOG_WARN, "tracked host memory: events cannot be read any more: %s", strerror(-r));
    return NULL;
}

int shadow_fault_start(const char **why)
{
    int error = gn_kept_possible() ? gn_kept_channel(&channel) : -ENOSYS;
    if (error) {
        *why = "the server gives no connection to fetch kept bytes over";
        return error;
    }
    buffer = mmap(NULL, BUFFER_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    sigset_t all, before;
    pthread_t thread;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = buffer == MAP_FAILED ? ENOMEM : pthread_create(&thread, NULL, run, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error) {
        gn_fetch_close(&channel);
        *why = "no thread can be made to serve faults";
        return -error;
    }
    pthread_detach(thread);
    return 0;
}

void shadow_fault_forked(void)
{
    atomic_store(&working, false);
    gn_fetch_close(&channel);
    waiting_count = 0;
}
