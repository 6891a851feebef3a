// SPDX-License-Identifier: Apache-2.0
// The model: each operation's effect on what is alive, on the clocks and on the memory's last uses (model_parts.h has its parts).
#include "tests/differential/model_parts.h"

#include <string.h>

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
        if (owner && !model_take(m, owner, op))
            return false;
    }
    return true;
}

bool model_do(struct model *m, struct op *op)
{
    op->free_code = false;
    m->is_racy = false;
    m->conflict = NO_LANE;
    model_enter_section(m, op);
    if (m->faulting != NO_LANE && op->kind != K_cuStreamSynchronize && op->kind != K_cuCtxSynchronize)
        return model_refuse(m, m->faulting); // until somebody has been told, any call may tell
    bool done;
    if (m->gate != NO_LANE && !model_passes_gate(m, op))
        return model_refuse(m, NO_LANE);
    if (op->section && !take_all(m, op))
        return false;
    switch (op->kind) {
    case K_cuLaunchKernel: done = model_launch(m, op); break;
    case K_cuLaunchHostFunc:
    case K_cuStreamAddCallback: done = model_host_function(m, op); break;
    case K_host_gate_close: done = model_gate_close(m, op); break;
    case K_host_gate_open: done = model_gate_open(m); break;
    case K_host_write: done = model_host_access(m, op, true); break;
    case K_host_check: done = model_host_access(m, op, false); break;
    case K_host_order: {
        uint8_t lane = op->lane = model_lane(m, op->thread, &op->args[0]);
        done = lane != NO_LANE && model_take(m, &m->lanes[lane].owner, op)
                   ? m->host[op->thread].at[lane] >= m->lanes[lane].host_functions || model_refuse(m, lane)
                   : model_refuse(m, NO_LANE);
        break;
    }
    default:
        switch (kinds[op->kind].group) {
        case G_MEMORY: done = model_memory_ops(m, op); break;
        case G_SET:
        case G_COPY: done = model_transfer(m, op); break;
        case G_STREAM: done = model_stream_ops(m, op); break;
        case G_EVENT: done = model_event_ops(m, op); break;
        case G_CONTEXT: done = model_context_ops(m, op); break;
        case G_MODULE: done = model_module_ops(m, op); break;
        default: done = model_ask_ops(m, op); break;
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
