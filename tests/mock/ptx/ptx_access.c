// SPDX-License-Identifier: Apache-2.0
// One lane's access: space, range and alignment, and the fault when they do not hold.
#include "ptx_run.h"

static uint8_t *wrong(struct ptx_warp *w, const struct ptx_insn *in, enum ptx_fault_kind kind,
                      uint64_t address, uint32_t lane)
{
    ptx_fault_lane(w, in, kind, address, lane);
    return NULL;
}

bool ptx_range_find(struct ptx_warp *w, const struct ptx_insn *in, uint64_t address, uint32_t size,
                    bool write, struct ptx_range_cache **out)
{
    struct ptx_range_cache *r = ptx_range_slot(w, in);
    *out = r;
    if (r->end - r->start >= size && address - r->start <= r->end - r->start - size && (r->write || !write))
        return true;
    uint64_t start, end;
    const uint64_t workspace = (uint64_t)(uintptr_t)w->k->run->workspace;
    if (address - workspace < sizeof w->k->run->workspace) {
        start = workspace;
        end = workspace + sizeof w->k->run->workspace;
    } else if (ptx_heap_find(address, &start, &end)) {
    } else if (w->k->memory->lookup(w->k->memory->ctx, address, write, &start, &end)) {
        return false;
    }
    if (address < start || end < start || end - start < size || address - start > end - start - size)
        return false;
    *r = (struct ptx_range_cache){start, end, write};
    return true;
}

uint8_t *ptx_resolve(struct ptx_warp *w, const struct ptx_insn *in, unsigned space, uint64_t address,
                     uint32_t size, bool write, uint32_t lane)
{
    if (space == PTX_A_GENERIC) {
        uint64_t window = address >> PTX_WINDOW_SHIFT;
        space = window == PTX_WINDOW_SHARED  ? PTX_A_SHARED
                : window == PTX_WINDOW_LOCAL ? PTX_A_LOCAL
                : window == PTX_WINDOW_PARAM ? PTX_A_PARAM
                                             : PTX_A_GLOBAL;
        if (space != PTX_A_GLOBAL) {
            uint64_t inside = address & UINT32_MAX;
            uint8_t *host = ptx_resolve(w, in, space, inside, size, write, lane);
            if (!host)
                w->fault_address = address;
            return host;
        }
    }
    if (size && (address & ((size & (0 - size)) - 1)))
        return wrong(w, in, PTX_FAULT_MISALIGNED, address, lane);
    switch (space) {
    case PTX_A_SHARED:
        if (w->shared_bytes < size || address > w->shared_bytes - size)
            return wrong(w, in, PTX_FAULT_ADDRESS, address, lane);
        return w->shared + address;
    case PTX_A_LOCAL:
        if (w->local_bytes < size || address > w->local_bytes - size)
            return wrong(w, in, PTX_FAULT_ADDRESS, address, lane);
        return w->local + (size_t)lane * w->local_bytes + address;
    case PTX_A_PARAM:
        if (write || w->k->run->func->param_bytes < size || address > w->k->run->func->param_bytes - size)
            return wrong(w, in, PTX_FAULT_ADDRESS, address, lane);
        return w->k->run->params + address;
    default: {
        struct ptx_range_cache *r;
        if (!ptx_range_find(w, in, address, size, write, &r))
            return wrong(w, in, PTX_FAULT_ADDRESS, address, lane);
        return (uint8_t *)(uintptr_t)address;
    }
    }
}
