// SPDX-License-Identifier: Apache-2.0
// The model's memory: what an operation touches, whether the driver refuses it, and behind what it has to come.
#include "tests/differential/model_parts.h"

#include <stdlib.h>

static bool use(struct model *m, const struct clock *k, uint8_t lane, const struct memory *at, bool write)
{
    if (at->writer != NO_LANE && at->writer != lane && k->at[at->writer] < at->written)
        return model_refuse(m, at->writer);
    for (uint8_t i = 0; write && i < LANES; i++)
        if (i != lane && k->at[i] < at->read.at[i])
            return model_refuse(m, i);
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
enum verdict model_address(struct model *m, const struct op *op, unsigned i, uint64_t bytes, struct touch *t)
{
    const struct arg *a = &op->args[i];
    char type = kinds[op->kind].types[i];
    t->is_host = type == 'h' || (type == 'x' && a->slot != NONE && a->slot >= 64);
    uint8_t slot = a->slot >= 64 && a->slot != NONE ? a->slot - 64 : a->slot;
    if (slot == NONE)
        return a->n && (t->is_host || type == 'x') ? (model_refuse(m, NO_LANE), RACES) : FAILS;
    t->at = t->is_host ? &m->hosts[slot] : &m->devices[slot];
    uint64_t end = (uint64_t)a->n + bytes;
    if (t->is_host) // the process itself would touch it
        return t->at->state == LIVE && a->n >= 0 && end <= t->at->size_bytes ? WORKS : (model_refuse(m, NO_LANE), RACES);
    if (t->at->state == UNBORN) // NULL and the offset: where host memory may be meant too, that would be touched
        return type == 'x' && a->n ? (model_refuse(m, NO_LANE), RACES) : FAILS;
    if (t->at->state == DEAD) // its address must not have been given to another allocation meanwhile, nor be taken for the host's
        return op->section || type == 'x' || m->allocations != t->at->died_after ? (model_refuse(m, NO_LANE), RACES) : FAILS;
    if (end > t->at->size_bytes && end <= t->at->size_bytes + t->at->slack_bytes)
        return model_refuse(m, NO_LANE), RACES;
    return a->n >= 0 && bytes < 1 << 30 && end <= t->at->size_bytes ? WORKS : FAILS;
}

// Does the accesses `t` in the lane. `wait`: the call returns after the work. A call that is refused perhaps (not `certain`) would leave open what
// later ones are ordered behind.
static bool touch(struct model *m, const struct op *op, uint8_t lane, const struct touch *t, unsigned count, bool wait, bool certain)
{
    if (!certain)
        return model_refuse(m, NO_LANE);
    struct clock k = model_before(m, op, lane);
    const struct clock *h = &m->host[op->thread];
    for (unsigned i = 0; i < count; i++) {
        if (!model_take(m, &t[i].at->owner, op))
            return false;
        if (!t[i].write && !t[i].at->initialised)
            return model_refuse(m, NO_LANE);
        bool direct = t[i].is_host && !t[i].at->pinned;
        if (!use(m, direct ? h : &k, direct ? NO_LANE : lane, t[i].at, t[i].write))
            return false;
        wait |= direct && t[i].write;
    }
    if (!model_enqueue(m, op, lane))
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
        model_host_sees(m, op, lane);
    return true;
}

bool model_transfer(struct model *m, struct op *op)
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
        enum verdict v = model_address(m, op, i, bytes, &t[count]);
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

bool model_host_access(struct model *m, struct op *op, bool write)
{
    struct touch t;
    enum verdict v = model_address(m, op, 0, reach(op, 0), &t);
    if (v != WORKS)
        return v != RACES && op->args[0].slot == NONE && model_refuse(m, NO_LANE);
    return model_take(m, &t.at->owner, op) && use(m, &m->host[op->thread], NO_LANE, t.at, write);
}

bool model_launch(struct model *m, struct op *op)
{
    const struct arg *a = op->args;
    uint8_t f = a[0].slot, lane = model_lane(m, op->thread, &a[1]), c = model_context(m, op->thread);
    if (f == NONE || m->functions[f].state != LIVE || lane == NO_LANE)
        return true;
    uint8_t module = m->functions[f].module, kernel = m->functions[f].kernel;
    if (m->modules[module].context != c || model_lane_context(m, lane) != c)
        return true;
    if (a[2].n < 1 || a[2].n > 0x7fffffff || a[3].n < 1 || a[3].n > 1024)
        return true;
    if (a[2].n * a[3].n > 4096) // it would take its time
        return model_refuse(m, NO_LANE);
    struct touch t[2];
    unsigned count = kernel == COPY ? 2 : kernel == NOTHING || kernel == BUMP ? 0 : 1;
    uint64_t bytes = kernel == EIGHT || kernel == MANY || kernel == POKE ? 4 : (uint64_t)a[6].n * 4;
    if (a[6].n < 0 || a[6].n > 1 << 20)
        return model_refuse(m, NO_LANE);
    bool faults = false;
    for (unsigned i = 0; i < count && bytes; i++) {
        t[i].write = !i;
        enum verdict v = model_address(m, op, 4 + i, bytes, &t[i]);
        if (v == WORKS && (a[4 + i].n % 4 || t[i].at->context != c || (kernel == ADD && !t[i].at->initialised)))
            return model_refuse(m, NO_LANE);
        if (v == WORKS)
            continue;
        if (a[4 + i].slot != NONE || a[4 + i].n < 0 || a[4 + i].n > 4096 || op->section)
            return model_refuse(m, NO_LANE); // wild addresses are low ones: others might hit something
        faults = true;
    }
    if (!bytes)
        count = 0;
    if (count == 2 && t[0].at == t[1].at && llabs(a[4].n - a[5].n) < (int64_t)bytes) // its threads would race
        return model_refuse(m, NO_LANE);
    if (kernel == BUMP) {
        t[0] = (struct touch){.at = &m->devices[GLOBAL_FIRST + module], .write = true};
        count = 1;
    }
    if (faults) {
        if (m->gate != NO_LANE || !model_context_is_done(m, op, c) || !model_enqueue(m, op, lane))
            return false;
        m->faulting = lane;
        return true;
    }
    return touch(m, op, lane, t, count, false, true);
}

bool model_host_function(struct model *m, struct op *op)
{
    const struct arg *a = op->args;
    uint8_t lane = model_lane(m, op->thread, &a[0]);
    struct touch t;
    bool has = a[2].slot != NONE && a[3].n > 0;
    if (has && model_address(m, op, 2, (uint64_t)a[3].n, &t) != WORKS)
        return model_refuse(m, NO_LANE);
    if (lane == NO_LANE)
        return true;
    if (has && !t.at->pinned) // touched when the stream gets there, whatever kind of memory it is
        return model_refuse(m, NO_LANE);
    t.write = a[4].n & 1;
    op->lane = lane;
    if (!touch(m, op, lane, &t, has, false, true))
        return false;
    m->lanes[lane].host_functions = m->lanes[lane].count;
    return true;
}
