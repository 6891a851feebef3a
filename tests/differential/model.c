// SPDX-License-Identifier: Apache-2.0
// The model: each operation's effect on what is alive, on the clocks and on the memory's last uses.
#include "tests/differential/model.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { FREE_OWNER = 0xff };

void model_open(struct model *m)
{
    memset(m, 0, sizeof *m);
    for (unsigned i = 0; i < LANES; i++)
        m->lanes[i].owner = FREE_OWNER;
    for (unsigned i = 0; i < EVENTS; i++)
        m->events[i].owner = FREE_OWNER;
    for (unsigned i = 0; i < DEVICES; i++)
        m->devices[i].owner = FREE_OWNER, m->devices[i].writer = NO_LANE;
    for (unsigned i = 0; i < HOSTS; i++) {
        m->hosts[i].owner = FREE_OWNER, m->hosts[i].writer = NO_LANE;
        m->hosts[i].initialised = true;
        m->hosts[i].size_bytes = pageable_bytes(i);
        m->hosts[i].state = i >= PAGEABLE_FIRST ? LIVE : UNBORN;
    }
    m->faulting = m->conflict = m->gate = NO_LANE;
}

// --- clocks

static void merge(struct clock *c, const struct clock *more)
{
    for (unsigned i = 0; i < LANES; i++)
        if (c->at[i] < more->at[i])
            c->at[i] = more->at[i];
}

static bool covers(const struct clock *c, const struct clock *of)
{
    for (unsigned i = 0; i < LANES; i++)
        if (c->at[i] < of->at[i])
            return false;
    return true;
}

static bool refuse(struct model *m, uint8_t lane)
{
    m->is_racy = true;
    m->conflict = lane;
    return false;
}

// Operations that run side by side must not touch the same things: the first one in a section takes them.
static bool take(struct model *m, uint8_t *owner, const struct op *op)
{
    if (!op->section)
        return true;
    if (*owner == FREE_OWNER)
        *owner = op->thread;
    return *owner == op->thread || refuse(m, NO_LANE);
}

static void enter_section(struct model *m, const struct op *op)
{
    if (op->section && op->section == m->section)
        return;
    m->section = op->section;
    for (unsigned i = 1; i < THREADS; i++)
        merge(&m->host[0], &m->host[i]);
    for (unsigned i = 1; i < THREADS; i++)
        m->host[i] = m->host[0];
    for (unsigned i = 0; i < LANES; i++)
        m->lanes[i].owner = FREE_OWNER;
    for (unsigned i = 0; i < EVENTS; i++)
        m->events[i].owner = FREE_OWNER;
    for (unsigned i = 0; i < DEVICES; i++)
        m->devices[i].owner = FREE_OWNER;
    for (unsigned i = 0; i < HOSTS; i++)
        m->hosts[i].owner = FREE_OWNER;
}

// --- contexts and lanes

uint8_t model_context(const struct model *m, unsigned thread)
{
    return m->depth[thread] ? m->stack[thread][m->depth[thread] - 1] : NONE;
}

static bool is_usable(const struct model *m, uint8_t context)
{
    return context != NONE && m->contexts[context].state == LIVE && !m->contexts[context].lost;
}

static uint8_t lane_context(const struct model *m, uint8_t lane)
{
    if (lane < LANE_LEGACY)
        return m->streams[lane].context;
    return lane < LANE_THREAD ? lane - LANE_LEGACY : (lane - LANE_THREAD) / THREADS;
}

static bool lane_blocks(const struct model *m, uint8_t lane)
{
    return lane < LANE_LEGACY ? m->streams[lane].blocking : lane >= LANE_THREAD;
}

uint8_t model_lane(const struct model *m, unsigned thread, const struct arg *stream)
{
    uint8_t c = model_context(m, thread), slot = stream ? stream->slot : 0;
    if (slot == NONE)
        slot = stream->n ? NONE : 0;
    if (slot != NONE && slot >= STREAM_FIRST && m->streams[slot].state == UNBORN)
        slot = 0; // a handle that was never made is NULL
    if (!is_usable(m, c) || slot == NONE)
        return NO_LANE;
    if (slot >= STREAM_FIRST)
        return m->streams[slot].state == LIVE && is_usable(m, m->streams[slot].context) ? slot : NO_LANE;
    return slot == 2 ? (uint8_t)(LANE_THREAD + c * THREADS + thread) : (uint8_t)(LANE_LEGACY + c);
}

// What is done before new work of the lane begins: what was, what the host knows, and the rule of the legacy stream. Of lanes that another
// thread uses at the same time nothing can be said.
static struct clock before(const struct model *m, const struct op *op, uint8_t lane)
{
    struct clock k = m->lanes[lane].known;
    uint8_t context = lane_context(m, lane), legacy = LANE_LEGACY + context;
    merge(&k, &m->host[op->thread]);
    for (uint8_t i = 0; i < LANES; i++) {
        bool orders = lane == legacy ? i != lane && lane_context(m, i) == context && lane_blocks(m, i)
                                     : i == legacy && lane_blocks(m, lane);
        if (i < LANE_LEGACY && (i < STREAM_FIRST || m->streams[i].state == UNBORN))
            orders = false;
        if (!orders || (op->section && m->lanes[i].owner != FREE_OWNER && m->lanes[i].owner != op->thread))
            continue;
        merge(&k, &m->lanes[i].worked);
        if (k.at[i] < m->lanes[i].count)
            k.at[i] = m->lanes[i].count;
    }
    if (k.at[lane] < m->lanes[lane].count)
        k.at[lane] = m->lanes[lane].count;
    return k;
}

// A new piece of work in the lane; false: the lane is another thread's.
static bool enqueue(struct model *m, const struct op *op, uint8_t lane)
{
    if (!take(m, &m->lanes[lane].owner, op))
        return false;
    m->lanes[lane].worked = m->lanes[lane].known = before(m, op, lane);
    m->lanes[lane].count++;
    return true;
}

static void host_sees(struct model *m, const struct op *op, uint8_t lane)
{
    struct clock *h = &m->host[op->thread];
    merge(h, &m->lanes[lane].known);
    h->at[lane] = m->lanes[lane].count;
}

static bool context_is_done(struct model *m, const struct op *op, uint8_t context)
{
    for (uint8_t i = STREAM_FIRST; i < LANES; i++)
        if (lane_context(m, i) == context && m->host[op->thread].at[i] < m->lanes[i].count)
            return refuse(m, i);
    return true;
}

// --- the gate: a host function that does not return until the program says so. Nothing that might wait for it may be called meanwhile.

static bool is_gated(const struct model *m, const struct clock *k) { return m->gate != NO_LANE && k->at[m->gate] >= m->gate_at; }

static bool lane_is_gated(const struct model *m, uint8_t lane)
{
    return m->gate != NO_LANE && (lane == m->gate || is_gated(m, &m->lanes[lane].worked));
}

// Whether work of the lane, or a wait for it, may have to wait for the gate: as `before`, and by what other lanes only wait for.
static bool may_meet_gate(const struct model *m, const struct op *op, uint8_t lane)
{
    struct clock k = before(m, op, lane);
    uint8_t context = lane_context(m, lane), legacy = LANE_LEGACY + context;
    for (uint8_t i = STREAM_FIRST; i < LANES; i++)
        if (lane_context(m, i) == context && (lane == legacy ? lane_blocks(m, i) : i == legacy && lane_blocks(m, lane)))
            merge(&k, &m->lanes[i].known);
    return is_gated(m, &k);
}

// Host functions of other lanes may wait for the one in the gate: a driver may run them one after the other.
static bool host_functions_are_done(const struct model *m, const struct op *op)
{
    for (uint8_t i = 0; i < LANES; i++)
        if (i != m->gate && m->lanes[i].host_functions > m->host[op->thread].at[i])
            return false;
    return true;
}

static bool copy_returns(const struct model *m, const struct op *op, uint8_t lane)
{
    const struct kind *k = &kinds[op->kind];
    if (!may_meet_gate(m, op, lane))
        return host_functions_are_done(m, op);
    unsigned hosts = 0;
    for (unsigned i = 0; i < k->count; i++) {
        unsigned slot = op->args[i].slot;
        if (k->effects[i] == ' ' || slot == NONE || (k->types[i] != 'h' && slot < 64))
            continue;
        hosts++;
        if (k->lane != 's' || (m->hosts[slot % 64].pinned != 1 && (k->effects[i] == '>' || m->hosts[slot % 64].size_bytes > 64 << 10)))
            return false;
    }
    return hosts < 2;
}

static bool passes_gate(const struct model *m, const struct op *op)
{
    const struct arg *a = op->args, thread = {.slot = 2};
    const struct kind *k = &kinds[op->kind];
    uint8_t lane = NO_LANE;
    if (op->section)
        return false;
    for (unsigned i = 0; i < k->count; i++)
        if (k->types[i] == 's')
            lane = model_lane(m, op->thread, &a[i]);
    if (k->lane == 'L' || k->lane == 'T')
        lane = model_lane(m, op->thread, k->lane == 'T' ? &thread : NULL);
    switch (k->group) {
    case G_SET: case G_ASK: case G_LAUNCH: case G_BUFFER: return true;
    case G_HOST: return op->kind != K_host_gate_close;
    case G_COPY: return lane == NO_LANE || copy_returns(m, op, lane);
    case G_STREAM: // whether synchronising the legacy stream waits for blocking ones is the driver's choice
        if (op->kind != K_cuStreamSynchronize || lane == NO_LANE)
            return true;
        return !may_meet_gate(m, op, lane) && host_functions_are_done(m, op);
    case G_EVENT:
        return op->kind != K_cuEventSynchronize ||
               (a[0].slot != NONE && !is_gated(m, &m->events[a[0].slot].known) && host_functions_are_done(m, op));
    case G_MEMORY: return op->kind == K_cuMemAlloc_v2 || op->kind == K_cuMemAllocHost_v2 || op->kind == K_cuMemHostAlloc;
    case G_CONTEXT:
        return op->kind == K_cuCtxPushCurrent_v2 || op->kind == K_cuCtxPopCurrent_v2 || op->kind == K_cuCtxSetCurrent ||
               op->kind == K_cuCtxGetCurrent || op->kind == K_cuCtxGetDevice || op->kind == K_cuCtxGetFlags;
    default: return false;
    }
}

static bool gate_close(struct model *m, struct op *op)
{
    uint8_t lane = op->lane = model_lane(m, op->thread, &op->args[0]);
    if (lane == NO_LANE || op->section || !enqueue(m, op, lane))
        return refuse(m, NO_LANE);
    m->lanes[lane].host_functions = m->gate_at = m->lanes[lane].count;
    m->gate = lane;
    return true;
}

static bool gate_open(struct model *m)
{
    bool was = m->gate != NO_LANE;
    m->gate = NO_LANE;
    return was || refuse(m, NO_LANE);
}

// --- memory

static bool use(struct model *m, const struct clock *k, uint8_t lane, const struct memory *at, bool write)
{
    if (at->writer != NO_LANE && at->writer != lane && k->at[at->writer] < at->written)
        return refuse(m, at->writer);
    for (uint8_t i = 0; write && i < LANES; i++)
        if (i != lane && k->at[i] < at->read.at[i])
            return refuse(m, i);
    return true;
}

static void used(const struct model *m, uint8_t lane, struct memory *at, bool write)
{
    if (!write) {
        at->read.at[lane] = m->lanes[lane].count;
        return;
    }
    at->writer = lane;
    at->written = m->lanes[lane].count;
    at->read = (struct clock){0};
}

struct touch {
    struct memory *at;
    bool write, is_host;
};

// The bytes that an argument's address reaches in this operation.
static uint64_t reach(const struct op *op, unsigned index)
{
    if (op->kind == K_cuStreamWriteValue32_v2)
        return 4;
    const struct kind *k = &kinds[op->kind];
    uint64_t pitch = 0, width = 0, rows = 1, bytes = 0;
    for (unsigned i = 0; i < k->count; i++) {
        uint64_t n = (uint64_t)op->args[i].n;
        switch (k->types[i]) {
        case 'b':
        case 'k':
            if (__builtin_mul_overflow(n, k->unit, &bytes))
                bytes = UINT64_MAX / 2;
            return bytes;
        case 'p':
            if (i == index + 1)
                pitch = n;
            break;
        case 'w': width = n * k->unit; break;
        case 'r': rows = n; break;
        default: break;
        }
    }
    if (!width || !rows || width > 1 << 24 || rows > 1 << 16 || pitch > 1 << 24)
        return !width || !rows ? 0 : UINT64_MAX / 2;
    return pitch * (rows - 1) + width;
}

enum verdict { FAILS, WORKS, RACES, MAYBE };

// A pitch below the width is refused; with a single row it may be that nobody looks at it.
static enum verdict box_is_good(const struct op *op)
{
    const struct kind *k = &kinds[op->kind];
    uint64_t width = 0, rows = 0;
    for (unsigned i = 0; i < k->count; i++)
        if (k->types[i] == 'w')
            width = (uint64_t)op->args[i].n * k->unit;
        else if (k->types[i] == 'r')
            rows = (uint64_t)op->args[i].n;
    for (unsigned i = 0; i < k->count; i++)
        if (k->types[i] == 'p' && (uint64_t)op->args[i].n < width)
            return rows == 1 ? MAYBE : FAILS;
    return WORKS;
}

// One address argument: FAILS when the driver will refuse it, RACES when nothing can be said.
static enum verdict address(struct model *m, const struct op *op, unsigned i, uint64_t bytes, struct touch *t)
{
    const struct arg *a = &op->args[i];
    char type = kinds[op->kind].types[i];
    t->is_host = type == 'h' || (type == 'x' && a->slot != NONE && a->slot >= 64);
    uint8_t slot = a->slot >= 64 && a->slot != NONE ? a->slot - 64 : a->slot;
    if (slot == NONE)
        return a->n && (t->is_host || type == 'x') ? (refuse(m, NO_LANE), RACES) : FAILS;
    t->at = t->is_host ? &m->hosts[slot] : &m->devices[slot];
    uint64_t end = (uint64_t)a->n + bytes;
    if (t->is_host) // the process itself would touch it
        return t->at->state == LIVE && a->n >= 0 && end <= t->at->size_bytes ? WORKS : (refuse(m, NO_LANE), RACES);
    if (t->at->state == UNBORN) // NULL and the offset: where host memory may be meant too, that would be touched
        return type == 'x' && a->n ? (refuse(m, NO_LANE), RACES) : FAILS;
    if (t->at->state == DEAD) // its address must not have been given to another allocation meanwhile, nor be taken for the host's
        return op->section || type == 'x' || m->allocations != t->at->died_after ? (refuse(m, NO_LANE), RACES) : FAILS;
    if (end > t->at->size_bytes && end <= t->at->size_bytes + t->at->slack_bytes)
        return refuse(m, NO_LANE), RACES;
    return a->n >= 0 && bytes < 1 << 30 && end <= t->at->size_bytes ? WORKS : FAILS;
}

// Does the accesses `t` in the lane. `wait`: the call returns after the work. A call that is refused perhaps (not `certain`) would leave open what
// later ones are ordered behind.
static bool touch(struct model *m, const struct op *op, uint8_t lane, const struct touch *t, unsigned count, bool wait, bool certain)
{
    if (!certain)
        return refuse(m, NO_LANE);
    struct clock k = before(m, op, lane);
    const struct clock *h = &m->host[op->thread];
    for (unsigned i = 0; i < count; i++) {
        if (!take(m, &t[i].at->owner, op))
            return false;
        if (!t[i].write && !t[i].at->initialised)
            return refuse(m, NO_LANE);
        bool direct = t[i].is_host && !t[i].at->pinned;
        if (!use(m, direct ? h : &k, direct ? NO_LANE : lane, t[i].at, t[i].write))
            return false;
        wait |= direct && t[i].write;
    }
    if (!enqueue(m, op, lane))
        return false;
    for (unsigned i = 0; i < count; i++)
        if (!t[i].is_host || t[i].at->pinned)
            used(m, lane, t[i].at, t[i].write);
    if (count == 2 && !t[0].is_host && !t[1].is_host) // within the device even a synchronous copy is not waited for
        wait = false;
    // A synchronous copy from pageable memory may return as soon as it has read it.
    for (unsigned i = 0; i < count; i++)
        if (t[i].is_host && !t[i].write && t[i].at->pinned != 1)
            wait = false;
    // To memory of which it is not certain whether it is pinned: nothing is known afterwards.
    for (unsigned i = 0; i < count; i++)
        if (t[i].is_host && t[i].at->pinned == 2 && kinds[op->kind].wait != 'w')
            wait = false;
    if (wait)
        host_sees(m, op, lane);
    return true;
}

static bool transfer(struct model *m, struct op *op)
{
    const struct kind *k = &kinds[op->kind];
    struct touch t[2];
    unsigned count = 0;
    static const struct arg of_thread = {.slot = 2};
    enum verdict all = op->kind == K_cuStreamWriteValue32_v2 && op->args[3].n ? MAYBE : box_is_good(op);
    const struct arg *stream = k->lane == 'T' ? &of_thread : NULL;
    uint64_t bytes = 0;
    for (unsigned i = 0; i < k->count; i++) {
        if (k->types[i] == 's')
            stream = &op->args[i];
        if (all == WORKS && k->types[i] == 'c' && (op->args[i].slot == NONE || m->contexts[op->args[i].slot].state != LIVE))
            all = MAYBE;
        if (k->effects[i] == ' ')
            continue;
        bytes = reach(op, i);
        enum verdict v = address(m, op, i, bytes, &t[count]);
        t[count].write = k->effects[i] == '>';
        if (v == RACES)
            return false;
        if (v == FAILS)
            all = FAILS;
        count++;
    }
    uint8_t lane = model_lane(m, op->thread, stream);
    if (all == FAILS || lane == NO_LANE || !bytes)
        return true;
    if (!touch(m, op, lane, t, count, k->wait == 'w', all == WORKS))
        return false;
    for (unsigned i = 0, at = 0; i < k->count; i++)
        if (k->effects[i] != ' ') {
            bool whole = !op->args[i].n && t[at].write && reach(op, i) == t[at].at->size_bytes;
            bool gaps = k->types[i + 1] == 'p'; // a box: not every byte, perhaps
            t[at].at->initialised |= whole && !gaps && all == WORKS;
            at++;
        }
    return true;
}

static bool host_access(struct model *m, struct op *op, bool write)
{
    struct touch t;
    enum verdict v = address(m, op, 0, reach(op, 0), &t);
    if (v != WORKS)
        return v != RACES && op->args[0].slot == NONE && refuse(m, NO_LANE);
    return take(m, &t.at->owner, op) && use(m, &m->host[op->thread], NO_LANE, t.at, write);
}

static bool launch(struct model *m, struct op *op)
{
    const struct arg *a = op->args;
    uint8_t f = a[0].slot, lane = model_lane(m, op->thread, &a[1]), c = model_context(m, op->thread);
    if (f == NONE || m->functions[f].state != LIVE || lane == NO_LANE)
        return true;
    uint8_t module = m->functions[f].module, kernel = m->functions[f].kernel;
    if (m->modules[module].context != c || lane_context(m, lane) != c)
        return true;
    if (a[2].n < 1 || a[2].n > 0x7fffffff || a[3].n < 1 || a[3].n > 1024)
        return true;
    if (a[2].n * a[3].n > 4096) // it would take its time
        return refuse(m, NO_LANE);
    struct touch t[2];
    unsigned count = kernel == COPY ? 2 : kernel == NOTHING || kernel == BUMP ? 0 : 1;
    uint64_t bytes = kernel == EIGHT || kernel == MANY || kernel == POKE ? 4 : (uint64_t)a[6].n * 4;
    if (a[6].n < 0 || a[6].n > 1 << 20)
        return refuse(m, NO_LANE);
    bool faults = false;
    for (unsigned i = 0; i < count && bytes; i++) {
        t[i].write = !i;
        enum verdict v = address(m, op, 4 + i, bytes, &t[i]);
        if (v == WORKS && (a[4 + i].n % 4 || t[i].at->context != c || (kernel == ADD && !t[i].at->initialised)))
            return refuse(m, NO_LANE);
        if (v == WORKS)
            continue;
        if (a[4 + i].slot != NONE || a[4 + i].n < 0 || a[4 + i].n > 4096 || op->section)
            return refuse(m, NO_LANE); // wild addresses are low ones: others might hit something
        faults = true;
    }
    if (!bytes)
        count = 0;
    if (count == 2 && t[0].at == t[1].at && llabs(a[4].n - a[5].n) < (int64_t)bytes) // its threads would race
        return refuse(m, NO_LANE);
    if (kernel == BUMP) {
        t[0] = (struct touch){.at = &m->devices[GLOBAL_FIRST + module], .write = true};
        count = 1;
    }
    if (faults) {
        if (m->gate != NO_LANE || !context_is_done(m, op, c) || !enqueue(m, op, lane))
            return false;
        m->faulting = lane;
        return true;
    }
    return touch(m, op, lane, t, count, false, true);
}

static bool host_function(struct model *m, struct op *op)
{
    const struct arg *a = op->args;
    uint8_t lane = model_lane(m, op->thread, &a[0]);
    struct touch t;
    bool has = a[2].slot != NONE && a[3].n > 0;
    if (has && address(m, op, 2, (uint64_t)a[3].n, &t) != WORKS)
        return refuse(m, NO_LANE);
    if (lane == NO_LANE)
        return true;
    if (has && !t.at->pinned) // touched when the stream gets there, whatever kind of memory it is
        return refuse(m, NO_LANE);
    t.write = a[4].n & 1;
    op->lane = lane;
    if (!touch(m, op, lane, &t, has, false, true))
        return false;
    m->lanes[lane].host_functions = m->lanes[lane].count;
    return true;
}

// --- what lives and dies

static void bear(struct model *m, struct memory *at, uint8_t context, uint64_t size_bytes)
{
    *at = (struct memory){.state = LIVE, .context = context, .owner = at->owner, .writer = NO_LANE, .size_bytes = size_bytes};
    m->allocations++;
}

static void bury(const struct model *m, struct memory *at)
{
    at->state = DEAD;
    at->died_after = m->section ? UINT_MAX : m->allocations; // side by side, an allocation may really come after it
}

static void module_gone(struct model *m, unsigned module)
{
    m->modules[module].state = DEAD;
    for (unsigned i = 0; i < FUNCTIONS; i++)
        if (m->functions[i].state == LIVE && m->functions[i].module == module)
            m->functions[i].state = DEAD;
    if (m->devices[GLOBAL_FIRST + module].state == LIVE)
        bury(m, &m->devices[GLOBAL_FIRST + module]);
}

static void context_gone(struct model *m, uint8_t c)
{
    m->contexts[c].state = DEAD;
    for (unsigned i = 0; i < MODULES; i++)
        if (m->modules[i].state == LIVE && m->modules[i].context == c)
            module_gone(m, i);
    for (unsigned i = STREAM_FIRST; i < STREAMS; i++)
        if (m->streams[i].state == LIVE && m->streams[i].context == c)
            m->streams[i].state = DEAD;
    for (unsigned i = 0; i < EVENTS; i++)
        if (m->events[i].state == LIVE && m->events[i].context == c)
            m->events[i].state = DEAD;
    for (unsigned i = 0; i < DEVICES; i++)
        if (m->devices[i].state == LIVE && m->devices[i].context == c)
            bury(m, &m->devices[i]);
    for (unsigned i = 0; i < HOSTS; i++)
        if (m->hosts[i].pinned == 1 && m->hosts[i].context == c) {
            if (i < PAGEABLE_FIRST)
                m->hosts[i].state = DEAD;
            else
                m->hosts[i].pinned = 2;
        }
}

// Freeing waits for the work of the current context; what another one still does with the memory would hit nothing, or something else.
static bool is_released(struct model *m, const struct op *op, const struct memory *at, uint8_t c)
{
    for (uint8_t i = STREAM_FIRST; i < LANES; i++) {
        uint16_t last = i == at->writer && at->written > at->read.at[i] ? at->written : at->read.at[i];
        if (lane_context(m, i) != c && m->host[op->thread].at[i] < last)
            return refuse(m, i);
    }
    return true;
}

static bool alone(struct model *m, const struct op *op) { return !op->section || refuse(m, NO_LANE); }

// Nothing goes on in the context, and nothing elsewhere with what is its.
static bool context_may_go(struct model *m, const struct op *op, uint8_t c)
{
    if (!context_is_done(m, op, c))
        return false;
    for (unsigned i = 0; i < DEVICES; i++)
        if (m->devices[i].context == c && !is_released(m, op, &m->devices[i], c))
            return false;
    for (unsigned i = 0; i < HOSTS; i++)
        if (m->hosts[i].pinned && m->hosts[i].context == c && !is_released(m, op, &m->hosts[i], c))
            return false;
    return true;
}

static bool memory_ops(struct model *m, struct op *op)
{
    const struct arg *a = op->args;
    uint8_t c = model_context(m, op->thread), slot = a[0].slot;
    bool usable = is_usable(m, c);
    struct memory *at = op->kind == K_cuMemAlloc_v2 || op->kind == K_cuMemAllocPitch_v2 || op->kind == K_cuMemFree_v2
                            ? &m->devices[slot == NONE ? 0 : slot]
                            : &m->hosts[slot == NONE ? 0 : slot];
    if (slot != NONE && !take(m, &at->owner, op))
        return false;
    switch (op->kind) {
    case K_cuMemAlloc_v2:
        if (usable && a[1].n > 0 && a[1].n <= 64 << 20)
            bear(m, at, c, (uint64_t)a[1].n);
        return true;
    case K_cuMemAllocPitch_v2: // the pitch is the driver's choice: only as many bytes as there are at least are used
        if (usable && a[2].n > 0 && a[3].n > 0 && a[2].n <= 65536 && a[3].n <= 64 && (a[4].n == 4 || a[4].n == 8 || a[4].n == 16))
            bear(m, at, c, (uint64_t)(a[2].n * a[3].n)), at->slack_bytes = (uint64_t)a[3].n << 12;
        return true;
    case K_cuMemAllocHost_v2:
    case K_cuMemHostAlloc:
        if (usable && a[1].n > 0 && a[1].n <= 16 << 20 && (op->kind == K_cuMemAllocHost_v2 || (uint64_t)a[2].n < 8)) {
            bear(m, at, c, (uint64_t)a[1].n);
            at->pinned = 1;
            at->initialised = true; // by the host, with zeros
        }
        return true;
    case K_cuMemFree_v2:
        if (slot == NONE)
            return true;
        if (at->state == DEAD)
            return (!op->section && m->allocations == at->died_after) || refuse(m, NO_LANE);
        if (at->state != LIVE || a[0].n || !usable || slot >= GLOBAL_FIRST)
            return true;
        if (!is_released(m, op, at, c))
            return false;
        bury(m, at);
        return true;
    case K_cuMemFreeHost:
        if (slot == NONE || slot >= PAGEABLE_FIRST || a[0].n)
            return slot == NONE || at->state == LIVE || refuse(m, NO_LANE);
        if (at->state != LIVE)
            return refuse(m, NO_LANE);
        if (usable && !is_released(m, op, at, c))
            return false;
        if (c != NONE) // in a lost context too: the memory is not to be relied on
            at->state = DEAD;
        return true;
    case K_cuMemHostRegister_v2:
        if (slot == NONE || slot < PAGEABLE_FIRST || a[0].n || (uint64_t)a[1].n != at->size_bytes || a[2].n)
            return (slot == NONE || a[1].n == 0) || refuse(m, NO_LANE);
        if (usable && !at->pinned)
            at->pinned = 1, at->context = c;
        return true;
    default: // cuMemHostUnregister
        if (slot == NONE || slot < PAGEABLE_FIRST || a[0].n)
            return true;
        if (usable && at->pinned && !is_released(m, op, at, c))
            return false;
        if (usable && at->pinned) {
            // The call has waited for the work of its context.
            at->pinned = 0;
            at->writer = NO_LANE;
            at->read = (struct clock){0};
        }
        return true;
    }
}

static void destroy_context(struct model *m, const struct op *op, uint8_t c)
{
    context_gone(m, c);
    uint8_t *depth = &m->depth[op->thread];
    if (*depth && m->stack[op->thread][*depth - 1] == c)
        --*depth;
}

static bool push(struct model *m, const struct op *op, uint8_t c)
{
    uint8_t *depth = &m->depth[op->thread];
    if (*depth == STACK)
        return refuse(m, NO_LANE);
    m->stack[op->thread][(*depth)++] = c;
    return true;
}

static bool context_ops(struct model *m, struct op *op)
{
    const struct arg *a = op->args;
    uint8_t c = a[0].slot, *depth = &m->depth[op->thread];
    // The primary context's handle stays known when nobody retains it.
    bool known = c != NONE && c < CONTEXTS && (m->contexts[c].state == LIVE || (c == PRIMARY && m->contexts[c].state == DEAD));
    switch (op->kind) {
    case K_cuCtxCreate_v2:
        if (!alone(m, op))
            return false;
        if (a[2].n || (a[1].n != 0 && a[1].n != 1 && a[1].n != 2 && a[1].n != 4))
            return true;
        m->contexts[c].state = LIVE;
        return push(m, op, c);
    case K_cuCtxDestroy_v2:
        if (!alone(m, op))
            return false;
        if (!known || c == PRIMARY)
            return true;
        if (!m->contexts[c].lost && !context_may_go(m, op, c))
            return false;
        destroy_context(m, op, c);
        return true;
    case K_cuCtxPushCurrent_v2: return !known || push(m, op, c);
    case K_cuCtxPopCurrent_v2: *depth -= *depth > 0; return true;
    case K_cuCtxSetCurrent:
        if (c == NONE) {
            *depth -= *depth > 0;
        } else if (known) {
            if (!*depth)
                return push(m, op, c);
            m->stack[op->thread][*depth - 1] = c;
        }
        return true;
    case K_cuDevicePrimaryCtxRetain:
        if (!alone(m, op))
            return false;
        if (!a[1].n) {
            m->contexts[PRIMARY].state = LIVE;
            m->retained++;
        }
        return true;
    case K_cuDevicePrimaryCtxRelease_v2:
        if (!alone(m, op))
            return false;
        if (a[0].n || !m->retained)
            return true;
        if (m->retained == 1 && !context_may_go(m, op, PRIMARY))
            return false;
        if (!--m->retained)
            context_gone(m, PRIMARY);
        return true;
    case K_cuCtxSetCacheConfig:
    case K_cuCtxSetLimit: return alone(m, op);
    case K_cuCtxSynchronize:
        c = model_context(m, op->thread);
        if (!is_usable(m, c))
            return true;
        for (uint8_t i = STREAM_FIRST; i < LANES; i++)
            if (lane_context(m, i) == c &&
                (!op->section || m->lanes[i].owner == FREE_OWNER || m->lanes[i].owner == op->thread)) {
                if (i < LANE_LEGACY && m->streams[i].state == UNBORN)
                    continue;
                host_sees(m, op, i);
                if (!op->section || m->lanes[i].owner == op->thread)
                    m->lanes[i].quiet = m->lanes[i].count;
            }
        if (m->faulting != NO_LANE && lane_context(m, m->faulting) == c)
            m->contexts[c].lost = true, m->faulting = NO_LANE;
        return true;
    default: return true;
    }
}

static bool stream_ops(struct model *m, struct op *op)
{
    const struct arg *a = op->args;
    uint8_t c = model_context(m, op->thread), slot = a[0].slot, lane;
    switch (op->kind) {
    case K_cuStreamCreate:
    case K_cuStreamCreateWithPriority:
        if (!take(m, &m->lanes[slot].owner, op))
            return false;
        if (is_usable(m, c) && (uint64_t)a[1].n < 2)
            m->streams[slot].state = LIVE, m->streams[slot].context = c, m->streams[slot].blocking = !a[1].n;
        return true;
    case K_cuStreamDestroy_v2:
        if (slot == NONE || slot < STREAM_FIRST || m->streams[slot].state != LIVE)
            return true;
        if (!take(m, &m->lanes[slot].owner, op))
            return false;
        m->streams[slot].state = DEAD;
        return true;
    case K_cuStreamSynchronize:
        lane = model_lane(m, op->thread, &a[0]);
        if (lane == NO_LANE)
            return true;
        if (!take(m, &m->lanes[lane].owner, op))
            return false;
        host_sees(m, op, lane);
        m->lanes[lane].quiet = m->lanes[lane].count;
        if (m->faulting == lane)
            m->contexts[lane_context(m, lane)].lost = true, m->faulting = NO_LANE;
        return true;
    case K_cuStreamQuery:
        lane = model_lane(m, op->thread, &a[0]);
        if (lane == NO_LANE)
            return true;
        if (!take(m, &m->lanes[lane].owner, op))
            return false;
        if (lane_is_gated(m, lane))
            return true; // not ready, for certain
        op->free_code = m->lanes[lane].quiet != m->lanes[lane].count;
        if (lane >= LANE_LEGACY && lane < LANE_THREAD) // it may speak for the blocking streams too
            for (uint8_t i = STREAM_FIRST; i < LANES; i++)
                op->free_code |= op->section || (lane_context(m, i) == lane_context(m, lane) && m->lanes[i].quiet != m->lanes[i].count);
        return true;
    case K_cuStreamWaitEvent:
        lane = model_lane(m, op->thread, &a[0]);
        if (lane == NO_LANE || a[1].slot == NONE || m->events[a[1].slot].state != LIVE || a[2].n)
            return true;
        if (!take(m, &m->events[a[1].slot].owner, op) || !take(m, &m->lanes[lane].owner, op))
            return false;
        m->lanes[lane].quiet = UINT16_MAX; // whether it is at rest nobody can tell until somebody waits
        if (m->events[a[1].slot].recorded)
            merge(&m->lanes[lane].known, &m->events[a[1].slot].known);
        return true;
    default: return true;
    }
}

static bool event_ops(struct model *m, struct op *op)
{
    const struct arg *a = op->args;
    uint8_t c = model_context(m, op->thread), slot = a[0].slot, lane;
    const struct clock *h = &m->host[op->thread];
    if (op->kind == K_cuEventElapsedTime) {
        for (unsigned i = 1; i < 3; i++) {
            slot = a[i].slot;
            if (slot == NONE || m->events[slot].state != LIVE)
                continue;
            if (!take(m, &m->events[slot].owner, op))
                return false;
            op->free_code |= m->events[slot].recorded && !covers(h, &m->events[slot].known);
        }
        return true;
    }
    if (slot == NONE)
        return true;
    if (!take(m, &m->events[slot].owner, op))
        return false;
    switch (op->kind) {
    case K_cuEventCreate:
        if (is_usable(m, c) && (uint64_t)a[1].n < 4)
            m->events[slot].state = LIVE, m->events[slot].context = c;
        return true;
    case K_cuEventDestroy_v2:
        if (m->events[slot].state == LIVE)
            m->events[slot].state = DEAD;
        return true;
    case K_cuEventRecord:
    case K_cuEventRecordWithFlags:
        if (op->kind == K_cuEventRecordWithFlags && a[2].n)
            return true;
        lane = model_lane(m, op->thread, &a[1]);
        if (m->events[slot].state != LIVE || lane == NO_LANE || lane_context(m, lane) != m->events[slot].context)
            return true;
        if (!enqueue(m, op, lane))
            return false;
        m->events[slot].recorded = true;
        m->events[slot].known = m->lanes[lane].known;
        m->events[slot].known.at[lane] = m->lanes[lane].count;
        return true;
    case K_cuEventQuery:
        if (m->events[slot].state == LIVE && m->events[slot].recorded)
            op->free_code = !covers(h, &m->events[slot].known) && !is_gated(m, &m->events[slot].known);
        return true;
    default: // cuEventSynchronize
        if (m->events[slot].state == LIVE && m->events[slot].recorded)
            merge(&m->host[op->thread], &m->events[slot].known);
        return true;
    }
}

static bool module_ops(struct model *m, struct op *op)
{
    const struct arg *a = op->args;
    uint8_t c = model_context(m, op->thread), slot = a[0].slot;
    if (!alone(m, op))
        return false;
    switch (op->kind) {
    case K_cuModuleLoadData:
        if (!is_usable(m, c))
            return true;
        m->modules[slot].state = LIVE;
        m->modules[slot].context = c;
        bear(m, &m->devices[GLOBAL_FIRST + slot], c, GLOBAL_BYTES);
        m->devices[GLOBAL_FIRST + slot].initialised = true;
        m->devices[GLOBAL_FIRST + slot].state = UNBORN; // until its address is asked for
        return true;
    case K_cuModuleUnload:
        if (slot == NONE || m->modules[slot].state != LIVE || !is_usable(m, c))
            return true;
        if (!context_is_done(m, op, m->modules[slot].context))
            return false;
        module_gone(m, slot);
        return true;
    case K_cuModuleGetFunction:
        if (a[1].slot == NONE || m->modules[a[1].slot].state != LIVE || a[2].n >= KERNELS || !is_usable(m, c))
            return true;
        m->functions[slot].state = LIVE;
        m->functions[slot].module = a[1].slot;
        m->functions[slot].kernel = (uint8_t)a[2].n;
        return true;
    case K_cuModuleGetGlobal_v2:
        if (a[2].slot == NONE || m->modules[a[2].slot].state != LIVE || !is_usable(m, c))
            return true;
        if (slot != GLOBAL_FIRST + a[2].slot)
            return refuse(m, NO_LANE);
        m->devices[slot].state = LIVE;
        return true;
    default: return true;
    }
}

static bool ask_ops(struct model *m, struct op *op)
{
    const struct kind *k = &kinds[op->kind];
    for (unsigned i = 0; i < k->count; i++) {
        struct touch t = {0};
        if (k->types[i] != 'd' && k->types[i] != 'x' && k->types[i] != 'h')
            continue;
        if (op->args[i].slot == NONE) {
            if (op->args[i].n) // some number that may be somebody's address
                return refuse(m, NO_LANE);
            continue;
        }
        if (address(m, op, i, 0, &t) == RACES)
            return false;
        if (t.at && t.at->state == LIVE && !take(m, &t.at->owner, op))
            return false;
    }
    return op->kind != K_cuFuncSetAttribute || alone(m, op);
}

static bool take_all(struct model *m, const struct op *op)
{
    const struct kind *k = &kinds[op->kind];
    for (unsigned i = 0; i < k->count; i++) {
        unsigned slot = op->args[i].slot;
        uint8_t *owner = NULL;
        if (slot == NONE)
            continue;
        switch (k->types[i]) {
        case 's': case 'S': owner = slot >= STREAM_FIRST ? &m->lanes[slot].owner : NULL; break;
        case 'e': case 'E': owner = &m->events[slot].owner; break;
        case 'd': case 'D': owner = &m->devices[slot].owner; break;
        case 'h': case 'H': owner = &m->hosts[slot].owner; break;
        case 'x': owner = slot >= 64 ? &m->hosts[slot - 64].owner : &m->devices[slot].owner; break;
        default: break;
        }
        if (owner && !take(m, owner, op))
            return false;
    }
    return true;
}

bool model_do(struct model *m, struct op *op)
{
    op->free_code = false;
    m->is_racy = false;
    m->conflict = NO_LANE;
    enter_section(m, op);
    if (m->faulting != NO_LANE && op->kind != K_cuStreamSynchronize && op->kind != K_cuCtxSynchronize)
        return refuse(m, m->faulting); // until somebody has been told, any call may tell
    bool done;
    if (m->gate != NO_LANE && !passes_gate(m, op))
        return refuse(m, NO_LANE);
    if (op->section && !take_all(m, op))
        return false;
    switch (op->kind) {
    case K_cuLaunchKernel: done = launch(m, op); break;
    case K_cuLaunchHostFunc:
    case K_cuStreamAddCallback: done = host_function(m, op); break;
    case K_host_gate_close: done = gate_close(m, op); break;
    case K_host_gate_open: done = gate_open(m); break;
    case K_host_write: done = host_access(m, op, true); break;
    case K_host_check: done = host_access(m, op, false); break;
    case K_host_order: {
        uint8_t lane = op->lane = model_lane(m, op->thread, &op->args[0]);
        done = lane != NO_LANE && take(m, &m->lanes[lane].owner, op)
                   ? m->host[op->thread].at[lane] >= m->lanes[lane].host_functions || refuse(m, lane)
                   : refuse(m, NO_LANE);
        break;
    }
    default:
        switch (kinds[op->kind].group) {
        case G_MEMORY: done = memory_ops(m, op); break;
        case G_SET:
        case G_COPY: done = transfer(m, op); break;
        case G_STREAM: done = stream_ops(m, op); break;
        case G_EVENT: done = event_ops(m, op); break;
        case G_CONTEXT: done = context_ops(m, op); break;
        case G_MODULE: done = module_ops(m, op); break;
        default: done = ask_ops(m, op); break;
        }
    }
    return done && !m->is_racy && (m->faulting == NO_LANE || kinds[op->kind].group == G_LAUNCH);
}

bool program_check(struct program *p)
{
    static struct model m; // one process, one thread
    model_open(&m);
    for (unsigned i = 0; i < p->count; i++)
        if (!model_do(&m, &p->ops[i]))
            return false;
    return m.faulting == NO_LANE && m.gate == NO_LANE;
}
