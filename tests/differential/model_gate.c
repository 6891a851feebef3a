// SPDX-License-Identifier: Apache-2.0
// The model's gate: a host function that does not return until the program says so. Nothing that might wait for it may be called meanwhile.
#include "tests/differential/model_parts.h"

bool model_is_gated(const struct model *m, const struct clock *k) { return m->gate != NO_LANE && k->at[m->gate] >= m->gate_at; }

bool model_lane_is_gated(const struct model *m, uint8_t lane)
{
    return m->gate != NO_LANE && (lane == m->gate || model_is_gated(m, &m->lanes[lane].worked));
}

struct clock model_may_meet(const struct model *m, const struct op *op, uint8_t lane)
{
    struct clock k = model_before(m, op, lane);
    uint8_t context = model_lane_context(m, lane), legacy = LANE_LEGACY + context;
    model_merge(&k, &m->lanes[lane].maybe);
    for (uint8_t i = STREAM_FIRST; i < LANES; i++)
        if (model_lane_context(m, i) == context && (lane == legacy ? model_lane_blocks(m, i) : i == legacy && model_lane_blocks(m, lane))) {
            model_merge(&k, &m->lanes[i].known);
            model_merge(&k, &m->lanes[i].maybe);
        }
    return k;
}

static bool may_meet_gate(const struct model *m, const struct op *op, uint8_t lane)
{
    struct clock k = model_may_meet(m, op, lane);
    return model_is_gated(m, &k);
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

bool model_passes_gate(const struct model *m, const struct op *op)
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
               (a[0].slot != NONE && !model_is_gated(m, &m->events[a[0].slot].known) && !model_is_gated(m, &m->events[a[0].slot].maybe) && host_functions_are_done(m, op));
    case G_MEMORY: return op->kind == K_cuMemAlloc_v2 || op->kind == K_cuMemAllocHost_v2 || op->kind == K_cuMemHostAlloc;
    case G_CONTEXT:
        return op->kind == K_cuCtxPushCurrent_v2 || op->kind == K_cuCtxPopCurrent_v2 || op->kind == K_cuCtxSetCurrent ||
               op->kind == K_cuCtxGetCurrent || op->kind == K_cuCtxGetDevice || op->kind == K_cuCtxGetFlags;
    default: return false;
    }
}

bool model_gate_close(struct model *m, struct op *op)
{
    uint8_t lane = op->lane = model_lane(m, op->thread, &op->args[0]);
    if (lane == NO_LANE || op->section || !model_enqueue(m, op, lane))
        return model_refuse(m, NO_LANE);
    m->lanes[lane].host_functions = m->gate_at = m->lanes[lane].count;
    m->gate = lane;
    return true;
}

bool model_gate_open(struct model *m)
{
    bool was = m->gate != NO_LANE;
    m->gate = NO_LANE;
    return was || model_refuse(m, NO_LANE);
}
