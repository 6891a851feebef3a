// SPDX-License-Identifier: Apache-2.0
// Copies to and from tracked host memory: what the server keeps, and what travels.
#include "interpose/shadow/shadow.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "interpose/copy/copy.h"
#include "interpose/handles.h"
#include "interpose/options.h"
#include "interpose/shadow/shadow_parts.h"
#include "interpose/stream/stream.h"
#include "interpose/writes/writes.h"
#include "remoting/digest.h"

enum {
    RUNS = 64,
    PARTS = 8, // spans of one upload whose destination is remembered; a range is one as long as the program leaves it whole
};

struct part { // of a block that an upload has brought to the device, all of it
    struct block *block;
    uint64_t device, from, end; // pages; page 0 would lie at `device`
};

struct copy {
    struct gn_call *c;
    uint64_t stream, address; // of the device
    uint64_t host, end;       // of the host
    uint64_t first, pages;    // whole pages within
    bool async; // to the host: the call does not wait
    struct gn_meaning m;
    struct gn_writes_mark before; // of an upload: what is known of its destination
    struct part *parts;
    unsigned part_count;
    struct edges edges;  // of an upload
    bool edges_are_there; // at the device, as they are here
    bool leave; // the source's pages are held by others, who write behind the page tables: it is tracked no longer
};

static struct copy copy_of(struct gn_call *c, uint64_t stream, uint64_t address, const void *host, uint64_t size_bytes, bool async, struct gn_meaning m)
{
    struct copy y = {.c = c, .stream = stream, .address = address, .host = (uintptr_t)host, .async = async, .m = m};
    y.end = y.host + size_bytes;
    y.first = (y.host + GN_PAGE_BYTES - 1) & ~(uint64_t)(GN_PAGE_BYTES - 1);
    uint64_t last = y.end & ~(uint64_t)(GN_PAGE_BYTES - 1);
    y.pages = last > y.first ? (last - y.first) / GN_PAGE_BYTES : 0;
    return y;
}

static uint64_t device_of(const struct copy *y, uint64_t host) { return y->address + (host - y->host); }

// A kept copy is filled and spilled in streams of its own context.
static bool same_context(const struct copy *y, const struct block *b)
{
    const struct gn_handle_slot *slot = gn_handle_slot((void *)(uintptr_t)y->stream, GN_KIND_STREAM);
    return b->kept.context == gn_context_id(y->c) && (!slot || slot->context == b->kept.context);
}

static bool own_context(const struct copy *y)
{
    const struct gn_handle_slot *slot = gn_handle_slot((void *)(uintptr_t)y->stream, GN_KIND_STREAM);
    return !slot || slot->context == gn_context_id(y->c);
}

// A thread that were cancelled would take the lock along.
static void enter(int *cancel)
{
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, cancel);
    shadow_ops_take();
    shadow_fault_settle(); // what the program has unmapped is known
    shadow_reap();
}

static void leave(int cancel)
{
    shadow_ops_give();
    pthread_setcancelstate(cancel, NULL);
}

static uint64_t next_turn(void)
{
    static uint64_t turn;
    return ++turn;
}

// Where the device holds what the block has.
static void equals(const struct part *p, uint64_t version)
{
    p->block->version = version;
    p->block->device = p->device;
    p->block->same_from = p->from;
    p->block->same_end = p->end;
    p->block->edges = (struct edges){0};
}

// --- to the host

static bool covers(const struct span *s, const struct copy *y)
{
    return s->start <= y->first && span_end(s) >= y->first + y->pages * GN_PAGE_BYTES;
}

// The block that this copy fills, at *at of its pages: the one that lies there, or a new one, which lies nowhere yet.
static struct block *block_to_fill(const struct copy *y, uint64_t *at, bool *is_new, const char **why, CUresult *r)
{
    struct manner *manner = shadow_manner(y->first, y->pages);
    struct span s;
    bool found = shadow_map_find(y->first, y->first + y->pages * GN_PAGE_BYTES, &s) && covers(&s, y);
    uint64_t fetched = found && s.block->pages == y->pages ? atomic_exchange(&s.block->fetched, 0) : 0;
    *why = NULL;
    if (!gn_worth_it(&manner->worth, fetched, y->pages)) {
        if (found && !s.block->busy)
            shadow_retire(s.block);
        SHADOW_COUNT(rested, 1);
        *why = "most of its pages are fetched after each copy: copied as usual for a while";
        return NULL;
    }
    if (found && (s.block->busy || !same_context(y, s.block))) {
        *why = "another copy of the range is under way, or it was made in another context";
        return NULL;
    }
    *is_new = !found;
    *at = found ? s.first + (y->first - s.start) / GN_PAGE_BYTES : 0;
    return found ? s.block : shadow_begin(y->c, y->first, y->pages, y->m, why, r);
}

// The bytes outside whole pages come as usual, and with them the word that the stream has come to here.
static CUresult wait_for_rest(const struct copy *y)
{
    uint64_t head = y->first - y->host, last = y->first + y->pages * GN_PAGE_BYTES, tail = y->end - last;
    bool waits = !y->async;
    CUresult r = CUDA_SUCCESS;
    if (head && !(r = shadow_present(y->host, y->first) ? CUDA_ERROR_DEVICE_UNAVAILABLE : CUDA_SUCCESS))
        r = gn_copy_receive(y->c, y->stream, y->address, y->host, head, waits && !tail);
    if (tail && !r && !(r = shadow_present(last, y->end) ? CUDA_ERROR_DEVICE_UNAVAILABLE : CUDA_SUCCESS))
        r = gn_copy_receive(y->c, y->stream, device_of(y, last), last, tail, waits);
    if (!head && !tail && waits)
        r = gn_stream_wait(y->c, y->stream);
    return r;
}

// From here on the pages are the server's.
static int send_away(const struct copy *y, struct block *b, uint64_t at, bool is_new)
{
    uint64_t size_bytes = y->pages * GN_PAGE_BYTES;
    uint32_t fills = atomic_load(&b->kept.fills);
    bool whole = at == 0 && y->pages == b->pages;
    if (shadow_map_need(b, fills)) // all of them are away still
        return 0;
    if (!is_new && shadow_pinned_by_others())
        return -EBUSY;
    int error = is_new ? gn_shadow_register(y->first, size_bytes) : 0;
    if (!error && is_new)
        error = shadow_map_put(b, y->first); // where there is no room it stays registered: others may lie there
    if (error)
        return error;
    if (whole) { // before it is so: a fault may come as soon as it is
        atomic_store(&b->touched, false);
        atomic_store(&b->odd, false);
    }
    shadow_map_discarding(y->first, y->first + size_bytes);
    error = gn_shadow_discard(y->first, size_bytes);
    shadow_fault_settle();
    shadow_map_discarding(0, 0);
    if (error) {
        atomic_store(&b->touched, true);
        atomic_store(&b->odd, true);
    }
    return error;
}

static bool still_there(const struct copy *y, const struct block *b, uint64_t at)
{
    struct span s;
    return shadow_map_find(y->first, y->first + y->pages * GN_PAGE_BYTES, &s) && covers(&s, y) && s.block == b &&
           s.first + (y->first - s.start) / GN_PAGE_BYTES == at;
}

static void give_up(struct block *b, bool is_new)
{
    if (is_new && !b->spans)
        shadow_close(b);
    else
        shadow_retire(b);
}

// With `ops`, which is let go while the stream is waited for. 0: done, with *r.
static int read_kept(const struct copy *y, const char **why, CUresult *r)
{
    uint64_t at = 0;
    bool is_new = false;
    *r = CUDA_SUCCESS;
    struct block *b = block_to_fill(y, &at, &is_new, why, r);
    if (*r) {
        if (b)
            give_up(b, true);
        return 0;
    }
    if (!b)
        return -EAGAIN;
    b->busy++;
    b->turn = next_turn();
    uint64_t version = gn_writes_version(y->c, y->stream, device_of(y, y->first), y->pages * GN_PAGE_BYTES);
    b->version = 0; // what the copy has from now on is known when all has gone well
    *r = gn_kept_fill(y->c, &b->kept, y->stream, at * GN_PAGE_BYTES, device_of(y, y->first), y->pages * GN_PAGE_BYTES);
    if (!*r && !y->async) {
        shadow_ops_give();
        *r = wait_for_rest(y);
        shadow_ops_take();
    } else if (!*r) {
        *r = wait_for_rest(y);
    }
    b->busy--;
    shadow_map_idle();
    if (*r) {
        if (is_new)
            give_up(b, true);
        return 0;
    }
    int error = is_new || still_there(y, b, at) ? send_away(y, b, at, is_new) : -EAGAIN;
    if (error) {
        *why = error == -EINVAL ? "the host memory is locked" : "the host memory has changed hands meanwhile";
        give_up(b, is_new);
        shadow_manner(y->first, y->pages)->pause = SHADOW_PAUSE; // locked memory stays locked
        return error;
    }
    equals(&(struct part){b, device_of(y, y->first) - at * GN_PAGE_BYTES, at, at + y->pages}, version);
    SHADOW_COUNT(downloads_kept_bytes, y->pages * GN_PAGE_BYTES);
    gn_hints_saved(y->m, GN_SAVED_SHADOW_DOWN, y->pages * GN_PAGE_BYTES);
    return 0;
}

bool gn_shadow_read(struct gn_call *c, uint64_t stream, uint64_t address, void *to, uint64_t size_bytes, bool async, struct gn_meaning m, CUresult *r)
{
    struct copy y = copy_of(c, stream, address, to, size_bytes, async, m);
    const char *why = NULL;
    if (!gn_options_on(GN_OPT_SHADOW) || y.pages < SHADOW_PAGES_MIN)
        return false;
    int cancel, error = -EAGAIN;
    enter(&cancel);
    if (!shadow_ready())
        why = shadow_why_off();
    else if (shadow_gated())
        why = "work that waits for this process is queued";
    else if (!own_context(&y))
        why = "the stream is another context's";
    else if (async && !gn_options_on(GN_OPT_THREADS))
        why = "without threads nothing would send the copy on its way";
    else
        error = read_kept(&y, &why, r);
    leave(cancel);
    if (error && why)
        gn_hints_why(m, why);
    return !error;
}

// --- to the device

static CUresult send_plain(const struct copy *y, uint64_t from, uint64_t end)
{
    if (from < end && shadow_present(from, end))
        return CUDA_ERROR_DEVICE_UNAVAILABLE;
    return from < end ? gn_copy_send(y->c, y->stream, device_of(y, from), (const void *)(uintptr_t)from, end - from, y->m) : CUDA_SUCCESS;
}

// Pages [from, end) of the span, which have been written: they travel, and the kept copy gets them from where they have come to. They count as
// kept before they are read, so that a change meanwhile is one.
static CUresult send_dirty(const struct copy *y, const struct span *s, uint64_t from, uint64_t end)
{
    struct span p = {from, (end - from) / GN_PAGE_BYTES, s->first + (from - s->start) / GN_PAGE_BYTES, s->block};
    shadow_map_filled(&p, p.pages);
    CUresult r = send_plain(y, from, end);
    if (!r)
        r = gn_kept_fill(y->c, &s->block->kept, y->stream, p.first * GN_PAGE_BYTES, device_of(y, from), end - from);
    if (r) { // what the copy has now is anybody's guess
        gn_pages_turn(s->block->states, p.first, p.first + p.pages, GN_PAGE_HERE, GN_PAGE_STALE);
        atomic_store(&s->block->odd, true);
    }
    if (s->block->device + p.first * GN_PAGE_BYTES != device_of(y, from))
        s->block->version = 0; // another place than this one does not hold what the copy has now, whether this upload is remembered or not
    SHADOW_COUNT(dirty_bytes, end - from);
    return r;
}

// Nothing may have written there since the device had the same.
static bool is_there(const struct copy *y, const struct block *b, uint64_t at, uint64_t pages, uint64_t device)
{
    return b->version && b->version == y->before.version && b->device + at * GN_PAGE_BYTES == device && b->same_from <= at && at + pages <= b->same_end;
}

static CUresult spill(const struct copy *y, const struct span *s, uint64_t from, uint64_t end)
{
    const struct block *b = s->block;
    uint64_t at = s->first + (from - s->start) / GN_PAGE_BYTES, pages = (end - from) / GN_PAGE_BYTES;
    if (from == end)
        return CUDA_SUCCESS;
    if (is_there(y, b, at, pages, device_of(y, from))) {
        SHADOW_COUNT(proven_bytes, end - from);
        gn_hints_saved(y->m, GN_SAVED_PROVEN, end - from);
        return CUDA_SUCCESS;
    }
    CUresult r = gn_kept_spill(y->c, &b->kept, y->stream, at * GN_PAGE_BYTES, device_of(y, from), end - from);
    uint64_t away = atomic_load(&b->touched) ? gn_pages_count(b->states, at, at + pages, GN_PAGE_AWAY) : pages;
    SHADOW_COUNT(spilled_bytes, end - from);
    gn_hints_saved(y->m, GN_SAVED_SHADOW_UP, away * GN_PAGE_BYTES);
    gn_hints_saved(y->m, GN_SAVED_UNCHANGED, (pages - away) * GN_PAGE_BYTES);
    return r;
}

// Of an upload to be remembered. Nothing where they cannot be had: sending them tells why.
static struct edges edges_of(const struct copy *y)
{
    uint8_t bytes[2 * GN_PAGE_BYTES];
    uint64_t last = y->first + y->pages * GN_PAGE_BYTES, head = y->first - y->host, tail = y->end - last;
    if (!(head + tail) || !y->before.version || (head && shadow_present(y->host, y->first)) || (tail && shadow_present(last, y->end)))
        return (struct edges){0};
    memcpy(bytes, (const void *)(uintptr_t)y->host, head);
    memcpy(bytes + head, (const void *)(uintptr_t)last, tail);
    return (struct edges){y->host, y->end, gn_content_of(bytes, head + tail)};
}

static bool same_edges(const struct copy *y, const struct span *s)
{
    const struct edges *was = &s->block->edges, *now = &y->edges;
    uint64_t at = s->first + (y->first - s->start) / GN_PAGE_BYTES; // of a span that covers the copy
    return now->end && covers(s, y) && is_there(y, s->block, at, y->pages, device_of(y, y->first)) && was->host == now->host &&
           was->end == now->end && gn_content_same(&was->content, &now->content);
}

static CUresult send_edge(const struct copy *y, uint64_t from, uint64_t end)
{
    if (!y->edges_are_there)
        return send_plain(y, from, end);
    SHADOW_COUNT(proven_bytes, end - from);
    gn_hints_saved(y->m, GN_SAVED_PROVEN, end - from);
    return CUDA_SUCCESS;
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static int scan(uint64_t *at, uint64_t end, struct gn_written *runs)
{
    uint64_t before = now_ns();
    int n = gn_shadow_written(at, end, runs, RUNS);
    SHADOW_COUNT(scans, 1);
    SHADOW_COUNT(scan_ns, now_ns() - before);
    return n;
}

// Of pages that the kernel has not seen written: those that are stale travel, the rest is with the server.
static CUresult send_unwritten(const struct copy *y, const struct span *s, uint64_t from, uint64_t end)
{
    const gn_page_state *states = s->block->states;
    CUresult r = CUDA_SUCCESS;
    while (!r && from < end && atomic_load(&s->block->odd)) {
        uint64_t base = s->first, at = base + (from - s->start) / GN_PAGE_BYTES, last = base + (end - s->start) / GN_PAGE_BYTES;
        uint64_t stale = gn_pages_find(states, at, last, 1u << GN_PAGE_STALE), good = gn_pages_find(states, stale, last, ~(1u << GN_PAGE_STALE));
        uint64_t stale_at = s->start + (stale - base) * GN_PAGE_BYTES, good_at = s->start + (good - base) * GN_PAGE_BYTES;
        r = spill(y, s, from, stale_at);
        if (!r && stale < good)
            r = send_dirty(y, s, stale_at, good_at);
        from = good_at;
    }
    return r ? r : spill(y, s, from, end);
}

static void remember(struct copy *y, const struct span *s, uint64_t from, uint64_t end)
{
    uint64_t at = s->first + (from - s->start) / GN_PAGE_BYTES;
    if (y->part_count < PARTS)
        y->parts[y->part_count++] = (struct part){s->block, device_of(y, from) - at * GN_PAGE_BYTES, at, at + (end - from) / GN_PAGE_BYTES};
}

// Whole pages [from, end) of the span.
static CUresult send_tracked(struct copy *y, const struct span *s, uint64_t from, uint64_t end)
{
    struct block *b = s->block;
    struct gn_written runs[RUNS];
    CUresult r = CUDA_SUCCESS;
    b->turn = next_turn();
    remember(y, s, from, end);
    if (!atomic_load(&b->touched) && !atomic_load(&b->odd))
        return spill(y, s, from, end);
    while (!r && from < end) {
        uint64_t next = from;
        int n = scan(&next, end, runs);
        if (n < 0 || next <= from) { // not what was registered any more: an event will say so
            y->part_count = 0;
            return send_plain(y, from, end);
        }
        if (n && !y->leave && shadow_pinned_by_others()) // who pins pages to write to them is seen as a writer then, and never again
            y->leave = true;
        for (int i = 0; !r && i < n; i++) {
            r = send_unwritten(y, s, from, runs[i].start);
            if (!r)
                r = send_dirty(y, s, runs[i].start, runs[i].end);
            from = runs[i].end;
        }
        if (!r)
            r = send_unwritten(y, s, from, next);
        from = next;
    }
    return r;
}

// Whether a page is stale or lost is looked at once, not at each copy: it says so again when one becomes so, after its state has changed.
static void settle_odd(struct block *b)
{
    if (!atomic_load(&b->odd))
        return;
    atomic_store(&b->odd, false); // before the states are read
    if (gn_pages_find(b->states, 0, b->pages, 1u << GN_PAGE_STALE | 1u << GN_PAGE_LOST) < b->pages)
        atomic_store(&b->odd, true);
}

static bool any_lost(const struct span *s)
{
    return atomic_load(&s->block->odd) && gn_pages_find(s->block->states, s->first, s->first + s->pages, 1u << GN_PAGE_LOST) < s->first + s->pages;
}

// From the second upload of a range on: protected first, then sent, then kept.
static bool begin_source(struct copy *y, const char **why, CUresult *r)
{
    struct manner *manner = shadow_manner(y->first, y->pages);
    struct gn_written runs[RUNS];
    if (!gn_options_on(GN_OPT_UNCHANGED) || !(y->m.dedupe || y->m.keep_remote) || y->pages < SHADOW_PAGES_MIN || !manner->uploads++)
        return false;
    if (!shadow_ready()) {
        *why = shadow_why_off();
        return false;
    }
    struct block *b = shadow_begin(y->c, y->first, y->pages, y->m, why, r);
    if (!b || *r) {
        if (b)
            give_up(b, true);
        return *r;
    }
    uint64_t at = y->first, end = y->first + y->pages * GN_PAGE_BYTES;
    int error = gn_shadow_populate(at, end - at); // so that no fault for a page that nobody has touched comes to us
    if (!error && !(error = gn_shadow_register(at, end - at)))
        error = shadow_map_put(b, at);
    while (!error && at < end) {
        int n = gn_shadow_written(&at, end, runs, RUNS);
        error = n < 0 ? n : 0;
    }
    if (error) {
        *why = "the host memory cannot be protected";
        give_up(b, true);
        return false;
    }
    atomic_store(&b->touched, true);
    struct span s = {y->first, y->pages, 0, b};
    remember(y, &s, y->first, end);
    *r = send_edge(y, y->host, y->first);
    if (!*r)
        *r = send_dirty(y, &s, y->first, end);
    if (!*r)
        *r = send_edge(y, end, y->end);
    return true;
}

static bool write_tracked(struct copy *y, CUresult *r)
{
    struct span s;
    uint64_t at = y->host;
    bool any = false;
    *r = CUDA_SUCCESS;
    while (!*r && at < y->end && shadow_map_find(at, y->end, &s)) {
        uint64_t from = s.start > y->first ? s.start : y->first, last = y->first + y->pages * GN_PAGE_BYTES, end = span_end(&s) < last ? span_end(&s) : last;
        settle_odd(s.block);
        if (any_lost(&s)) {
            *r = CUDA_ERROR_DEVICE_UNAVAILABLE;
            return true;
        }
        from = from > at ? from : at; // which is a page's beginning, but for the first time
        if (from < end && same_context(y, s.block)) {
            y->edges_are_there = !any && same_edges(y, &s);
            if (!(*r = send_edge(y, at, from)))
                *r = send_tracked(y, &s, from, end);
            if (y->leave && !s.block->busy) {
                y->part_count = 0;
                shadow_retire(s.block);
            }
            at = end;
            any = true;
        } else { // a part of a page, or of another context
            uint64_t to = span_end(&s) < y->end ? span_end(&s) : y->end;
            if (!any && to == y->end)
                return false;
            *r = send_plain(y, at, to);
            at = to;
            any = true;
        }
    }
    if (any && !*r)
        *r = send_edge(y, at, y->end);
    return any;
}

static bool write_whole(struct copy *y, const char **why, CUresult *r)
{
    struct part parts[PARTS];
    y->parts = parts;
    y->before = gn_writes_before(y->c, y->stream, y->address, y->end - y->host);
    y->edges = edges_of(y); // before they are sent: a change meanwhile is one
    if (!(atomic_load(&gn_shadow_any) && write_tracked(y, r)) && !begin_source(y, why, r))
        return false;
    uint64_t version = *r ? 0 : gn_writes_after(y->c, y->stream, y->address, y->end - y->host, y->before);
    for (unsigned i = 0; i < y->part_count; i++)
        equals(&y->parts[i], version);
    if (y->part_count == 1 && y->parts[0].end - y->parts[0].from == y->pages)
        y->parts[0].block->edges = y->edges;
    return true;
}

bool gn_shadow_write(struct gn_call *c, uint64_t stream, uint64_t address, const void *from, uint64_t size_bytes, struct gn_meaning m, CUresult *r)
{
    struct copy y = copy_of(c, stream, address, from, size_bytes, false, m);
    const char *why = NULL;
    bool wanted = m.dedupe || m.keep_remote, done = false;
    if (!y.pages || (!(wanted && y.pages >= SHADOW_PAGES_MIN && gn_options_on(GN_OPT_UNCHANGED)) && !shadow_touches(y.host, y.end)))
        return false;
    int cancel;
    enter(&cancel);
    *r = CUDA_SUCCESS;
    if (shadow_gated())
        why = "work that waits for this process is queued";
    else if (own_context(&y))
        done = write_whole(&y, &why, r);
    leave(cancel);
    if (!done && why && wanted)
        gn_hints_why(m, why);
    return done;
}
