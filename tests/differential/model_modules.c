// SPDX-License-Identifier: Apache-2.0
// Modules and questions in the model.
#include "tests/differential/model_parts.h"

bool model_module_ops(struct model *m, struct op *op)
{
    const struct arg *a = op->args;
    uint8_t c = model_context(m, op->thread), slot = a[0].slot;
    if (!model_alone(m, op))
        return false;
    switch (op->kind) {
    case K_cuModuleLoadData:
        if (!model_is_usable(m, c))
            return true;
        m->modules[slot].state = LIVE;
        m->modules[slot].context = c;
        model_bear(m, &m->devices[GLOBAL_FIRST + slot], c, GLOBAL_BYTES);
        m->devices[GLOBAL_FIRST + slot].initialised = true;
        m->devices[GLOBAL_FIRST + slot].state = UNBORN; // until its address is asked for
        return true;
    case K_cuModuleUnload:
        if (slot == NONE || m->modules[slot].state != LIVE || !model_is_usable(m, c))
            return true;
        if (!model_context_is_done(m, op, m->modules[slot].context))
            return false;
        model_module_gone(m, slot);
        return true;
    case K_cuModuleGetFunction:
        if (a[1].slot == NONE || m->modules[a[1].slot].state != LIVE || a[2].n >= KERNELS || !model_is_usable(m, c))
            return true;
        m->functions[slot].state = LIVE;
        m->functions[slot].module = a[1].slot;
        m->functions[slot].kernel = (uint8_t)a[2].n;
        return true;
    case K_cuModuleGetGlobal_v2:
        if (a[2].slot == NONE || m->modules[a[2].slot].state != LIVE || !model_is_usable(m, c))
            return true;
        if (slot != GLOBAL_FIRST + a[2].slot)
            return model_refuse(m, NO_LANE);
        m->devices[slot].state = LIVE;
        return true;
    default: return true;
    }
}

bool model_ask_ops(struct model *m, struct op *op)
{
    const struct kind *k = &kinds[op->kind];
    for (unsigned i = 0; i < k->count; i++) {
        struct touch t = {0};
        if (k->types[i] != 'd' && k->types[i] != 'x' && k->types[i] != 'h')
            continue;
        if (op->args[i].slot == NONE) {
            if (op->args[i].n) // some number that may be somebody's address
                return model_refuse(m, NO_LANE);
            continue;
        }
        if (model_address(m, op, i, 0, &t) == RACES)
            return false;
        if (t.at && t.at->state == LIVE && !model_take(m, &t.at->owner, op))
            return false;
    }
    return op->kind != K_cuFuncSetAttribute || model_alone(m, op);
}
