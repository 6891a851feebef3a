// SPDX-License-Identifier: Apache-2.0
// What lives and dies in the model: allocations, contexts and all that is theirs.
#include "tests/differential/model_parts.h"

#include <limits.h>

void model_bear(struct model *m, struct memory *at, uint8_t context, uint64_t size_bytes)
{
    *at = (struct memory){.state = LIVE, .context = context, .owner = at->owner, .writer = NO_LANE, .size_bytes = size_bytes};
    m->allocations++;
}

static void bury(const struct model *m, struct memory *at)
{
    at->state = DEAD;
    at->died_after = m->section ? UINT_MAX : m->allocations; // side by side, an allocation may really come after it
}

void model_module_gone(struct model *m, unsigned module)
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
            model_module_gone(m, i);
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
        if (model_lane_context(m, i) != c && m->host[op->thread].at[i] < last)
            return model_refuse(m, i);
    }
    return true;
}

bool model_alone(struct model *m, const struct op *op) { return !op->section || model_refuse(m, NO_LANE); }

// Nothing goes on in the context, and nothing elsewhere with what is its.
static bool context_may_go(struct model *m, const struct op *op, uint8_t c)
{
    if (!model_context_is_done(m, op, c))
        return false;
    for (unsigned i = 0; i < DEVICES; i++)
        if (m->devices[i].context == c && !is_released(m, op, &m->devices[i], c))
            return false;
    for (unsigned i = 0; i < HOSTS; i++)
        if (m->hosts[i].pinned && m->hosts[i].context == c && !is_released(m, op, &m->hosts[i], c))
            return false;
    return true;
}

bool model_memory_ops(struct model *m, struct op *op)
{
    const struct arg *a = op->args;
    uint8_t c = model_context(m, op->thread), slot = a[0].slot;
    bool usable = model_is_usable(m, c);
    struct memory *at = op->kind == K_cuMemAlloc_v2 || op->kind == K_cuMemAllocPitch_v2 || op->kind == K_cuMemFree_v2
                            ? &m->devices[slot == NONE ? 0 : slot]
                            : &m->hosts[slot == NONE ? 0 : slot];
    if (slot != NONE && !model_take(m, &at->owner, op))
        return false;
    switch (op->kind) {
    case K_cuMemAlloc_v2:
        if (usable && a[1].n > 0 && a[1].n <= 64 << 20)
            model_bear(m, at, c, (uint64_t)a[1].n);
        return true;
    case K_cuMemAllocPitch_v2: // the pitch is the driver's choice: only as many bytes as there are at least are used
        if (usable && a[2].n > 0 && a[3].n > 0 && a[2].n <= 65536 && a[3].n <= 64 && (a[4].n == 4 || a[4].n == 8 || a[4].n == 16))
            model_bear(m, at, c, (uint64_t)(a[2].n * a[3].n)), at->slack_bytes = (uint64_t)a[3].n << 12;
        return true;
    case K_cuMemAllocHost_v2:
    case K_cuMemHostAlloc:
        if (usable && a[1].n > 0 && a[1].n <= 16 << 20 && (op->kind == K_cuMemAllocHost_v2 || (uint64_t)a[2].n < 8)) {
            model_bear(m, at, c, (uint64_t)a[1].n);
            at->pinned = 1;
            at->initialised = true; // by the host, with zeros
        }
        return true;
    case K_cuMemFree_v2:
        if (slot == NONE)
            return true;
        if (at->state == DEAD)
            return (!op->section && m->allocations == at->died_after) || model_refuse(m, NO_LANE);
        if (at->state != LIVE || a[0].n || !usable || slot >= GLOBAL_FIRST)
            return true;
        if (!is_released(m, op, at, c))
            return false;
        bury(m, at);
        return true;
    case K_cuMemFreeHost:
        if (slot == NONE || slot >= PAGEABLE_FIRST || a[0].n)
            return slot == NONE || at->state == LIVE || model_refuse(m, NO_LANE);
        if (at->state != LIVE)
            return model_refuse(m, NO_LANE);
        if (usable && !is_released(m, op, at, c))
            return false;
        if (c != NONE) // in a lost context too: the memory is not to be relied on
            at->state = DEAD;
        return true;
    case K_cuMemHostRegister_v2:
        if (slot == NONE || slot < PAGEABLE_FIRST || a[0].n || (uint64_t)a[1].n != at->size_bytes || a[2].n)
            return (slot == NONE || a[1].n == 0) || model_refuse(m, NO_LANE);
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
        return model_refuse(m, NO_LANE);
    m->stack[op->thread][(*depth)++] = c;
    return true;
}

bool model_context_ops(struct model *m, struct op *op)
{
    const struct arg *a = op->args;
    uint8_t c = a[0].slot, *depth = &m->depth[op->thread];
    // The primary context's handle stays known when nobody retains it.
    bool known = c != NONE && c < CONTEXTS && (m->contexts[c].state == LIVE || (c == PRIMARY && m->contexts[c].state == DEAD));
    switch (op->kind) {
    case K_cuCtxCreate_v2:
        if (!model_alone(m, op))
            return false;
        if (a[2].n || (a[1].n != 0 && a[1].n != 1 && a[1].n != 2 && a[1].n != 4))
            return true;
        m->contexts[c].state = LIVE;
        return push(m, op, c);
    case K_cuCtxDestroy_v2:
        if (!model_alone(m, op))
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
        if (!model_alone(m, op))
            return false;
        if (!a[1].n) {
            m->contexts[PRIMARY].state = LIVE;
            m->retained++;
        }
        return true;
    case K_cuDevicePrimaryCtxRelease_v2:
        if (!model_alone(m, op))
            return false;
        if (a[0].n || !m->retained)
            return true;
        if (m->retained == 1 && !context_may_go(m, op, PRIMARY))
            return false;
        if (!--m->retained)
            context_gone(m, PRIMARY);
        return true;
    case K_cuCtxSetCacheConfig:
    case K_cuCtxSetLimit: return model_alone(m, op);
    case K_cuCtxSynchronize:
        c = model_context(m, op->thread);
        if (!model_is_usable(m, c))
            return true;
        for (uint8_t i = STREAM_FIRST; i < LANES; i++)
            if (model_lane_context(m, i) == c &&
                (!op->section || m->lanes[i].owner == FREE_OWNER || m->lanes[i].owner == op->thread)) {
                if (i < LANE_LEGACY && m->streams[i].state == UNBORN)
                    continue;
                model_host_sees(m, op, i);
                if (!op->section || m->lanes[i].owner == op->thread)
                    m->lanes[i].quiet = m->lanes[i].count;
            }
        if (m->faulting != NO_LANE && model_lane_context(m, m->faulting) == c)
            m->contexts[c].lost = true, m->faulting = NO_LANE;
        return true;
    default: return true;
    }
}
