// SPDX-License-Identifier: Apache-2.0
// Streams and events in the model.
#include "tests/differential/model_parts.h"

bool model_stream_ops(struct model *m, struct op *op)
{
    const struct arg *a = op->args;
    uint8_t c = model_context(m, op->thread), slot = a[0].slot, lane;
    switch (op->kind) {
    case K_cuStreamCreate:
    case K_cuStreamCreateWithPriority:
        if (!model_take(m, &m->lanes[slot].owner, op))
            return false;
        if (model_is_usable(m, c) && (uint64_t)a[1].n < 2)
            m->streams[slot].state = LIVE, m->streams[slot].context = c, m->streams[slot].blocking = !a[1].n;
        return true;
    case K_cuStreamDestroy_v2:
        if (slot == NONE || slot < STREAM_FIRST || m->streams[slot].state != LIVE)
            return true;
        if (!model_take(m, &m->lanes[slot].owner, op))
            return false;
        m->streams[slot].state = DEAD;
        return true;
    case K_cuStreamSynchronize:
        lane = model_lane(m, op->thread, &a[0]);
        if (lane == NO_LANE)
            return true;
        if (!model_take(m, &m->lanes[lane].owner, op))
            return false;
        model_host_sees(m, op, lane);
        m->lanes[lane].quiet = m->lanes[lane].count;
        if (m->faulting == lane)
            m->contexts[model_lane_context(m, lane)].lost = true, m->faulting = NO_LANE;
        return true;
    case K_cuStreamQuery:
        lane = model_lane(m, op->thread, &a[0]);
        if (lane == NO_LANE)
            return true;
        if (!model_take(m, &m->lanes[lane].owner, op))
            return false;
        if (model_lane_is_gated(m, lane))
            return true; // not ready, for certain
        op->free_code = m->lanes[lane].quiet != m->lanes[lane].count;
        if (lane >= LANE_LEGACY && lane < LANE_THREAD) // it may speak for the blocking streams too
            for (uint8_t i = STREAM_FIRST; i < LANES; i++)
                op->free_code |= op->section || (model_lane_context(m, i) == model_lane_context(m, lane) && m->lanes[i].quiet != m->lanes[i].count);
        return true;
    case K_cuStreamWaitEvent:
        lane = model_lane(m, op->thread, &a[0]);
        if (lane == NO_LANE || a[1].slot == NONE || m->events[a[1].slot].state != LIVE || a[2].n)
            return true;
        if (!model_take(m, &m->events[a[1].slot].owner, op) || !model_take(m, &m->lanes[lane].owner, op))
            return false;
        m->lanes[lane].quiet = UINT16_MAX; // whether it is at rest nobody can tell until somebody waits
        if (m->events[a[1].slot].recorded) {
            model_merge(&m->lanes[lane].known, &m->events[a[1].slot].known);
            model_merge(&m->lanes[lane].maybe, &m->events[a[1].slot].maybe);
        }
        return true;
    default: return true;
    }
}

bool model_event_ops(struct model *m, struct op *op)
{
    const struct arg *a = op->args;
    uint8_t c = model_context(m, op->thread), slot = a[0].slot, lane;
    const struct clock *h = &m->host[op->thread];
    if (op->kind == K_cuEventElapsedTime) {
        for (unsigned i = 1; i < 3; i++) {
            slot = a[i].slot;
            if (slot == NONE || m->events[slot].state != LIVE)
                continue;
            if (!model_take(m, &m->events[slot].owner, op))
                return false;
            op->free_code |= m->events[slot].recorded && !model_covers(h, &m->events[slot].known);
        }
        return true;
    }
    if (slot == NONE)
        return true;
    if (!model_take(m, &m->events[slot].owner, op))
        return false;
    switch (op->kind) {
    case K_cuEventCreate:
        if (model_is_usable(m, c) && (uint64_t)a[1].n < 4)
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
        if (m->events[slot].state != LIVE || lane == NO_LANE || model_lane_context(m, lane) != m->events[slot].context)
            return true;
        m->events[slot].maybe = model_may_meet(m, op, lane);
        if (!model_enqueue(m, op, lane))
            return false;
        m->events[slot].recorded = true;
        m->events[slot].known = m->lanes[lane].known;
        m->events[slot].known.at[lane] = m->lanes[lane].count;
        return true;
    case K_cuEventQuery:
        if (m->events[slot].state == LIVE && m->events[slot].recorded)
            op->free_code = !model_covers(h, &m->events[slot].known) && !model_is_gated(m, &m->events[slot].known);
        return true;
    default: // cuEventSynchronize
        if (m->events[slot].state == LIVE && m->events[slot].recorded)
            model_merge(&m->host[op->thread], &m->events[slot].known);
        return true;
    }
}
