// SPDX-License-Identifier: Apache-2.0
// The model's clocks: what is done before what, in lanes, contexts and sections of threads that run side by side.
#include "tests/differential/model_parts.h"

void model_merge(struct clock *c, const struct clock *more)
{
    for (unsigned i = 0; i < LANES; i++)
        if (c->at[i] < more->at[i])
            c->at[i] = more->at[i];
}

bool model_covers(const struct clock *c, const struct clock *of)
{
    for (unsigned i = 0; i < LANES; i++)
        if (c->at[i] < of->at[i])
            return false;
    return true;
}

bool model_refuse(struct model *m, uint8_t lane)
{
    m->is_racy = true;
    m->conflict = lane;
    return false;
}

// Operations that run side by side must not touch the same things: the first one in a section takes them.
bool model_take(struct model *m, uint8_t *owner, const struct op *op)
{
    if (!op->section)
        return true;
    if (*owner == FREE_OWNER)
        *owner = op->thread;
    return *owner == op->thread || model_refuse(m, NO_LANE);
}

void model_enter_section(struct model *m, const struct op *op)
{
    if (op->section && op->section == m->section)
        return;
    m->section = op->section;
    for (unsigned i = 1; i < THREADS; i++)
        model_merge(&m->host[0], &m->host[i]);
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

bool model_is_usable(const struct model *m, uint8_t context)
{
    return context != NONE && m->contexts[context].state == LIVE && !m->contexts[context].lost;
}

uint8_t model_lane_context(const struct model *m, uint8_t lane)
{
    if (lane < LANE_LEGACY)
        return m->streams[lane].context;
    return lane < LANE_THREAD ? lane - LANE_LEGACY : (lane - LANE_THREAD) / THREADS;
}

bool model_lane_blocks(const struct model *m, uint8_t lane)
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
    if (!model_is_usable(m, c) || slot == NONE)
        return NO_LANE;
    if (slot >= STREAM_FIRST)
        return m->streams[slot].state == LIVE && model_is_usable(m, m->streams[slot].context) ? slot : NO_LANE;
    return slot == 2 ? (uint8_t)(LANE_THREAD + c * THREADS + thread) : (uint8_t)(LANE_LEGACY + c);
}

// What is done before new work of the lane begins: what was, what the host knows, and the rule of the legacy stream. Of lanes that another
// thread uses at the same time nothing can be said.
struct clock model_before(const struct model *m, const struct op *op, uint8_t lane)
{
    struct clock k = m->lanes[lane].known;
    uint8_t context = model_lane_context(m, lane), legacy = LANE_LEGACY + context;
    model_merge(&k, &m->host[op->thread]);
    for (uint8_t i = 0; i < LANES; i++) {
        bool orders = lane == legacy ? i != lane && model_lane_context(m, i) == context && model_lane_blocks(m, i)
                                     : i == legacy && model_lane_blocks(m, lane);
        if (i < LANE_LEGACY && (i < STREAM_FIRST || m->streams[i].state == UNBORN))
            orders = false;
        if (!orders || (op->section && m->lanes[i].owner != FREE_OWNER && m->lanes[i].owner != op->thread))
            continue;
        model_merge(&k, &m->lanes[i].worked);
        if (k.at[i] < m->lanes[i].count)
            k.at[i] = m->lanes[i].count;
    }
    if (k.at[lane] < m->lanes[lane].count)
        k.at[lane] = m->lanes[lane].count;
    return k;
}

// A new piece of work in the lane; false: the lane is another thread's.
bool model_enqueue(struct model *m, const struct op *op, uint8_t lane)
{
    if (!model_take(m, &m->lanes[lane].owner, op))
        return false;
    m->lanes[lane].worked = m->lanes[lane].known = model_before(m, op, lane);
    m->lanes[lane].count++;
    return true;
}

void model_host_sees(struct model *m, const struct op *op, uint8_t lane)
{
    struct clock *h = &m->host[op->thread];
    model_merge(h, &m->lanes[lane].known);
    h->at[lane] = m->lanes[lane].count;
}

bool model_context_is_done(struct model *m, const struct op *op, uint8_t context)
{
    for (uint8_t i = STREAM_FIRST; i < LANES; i++)
        if (model_lane_context(m, i) == context && m->host[op->thread].at[i] < m->lanes[i].count)
            return model_refuse(m, i);
    return true;
}
