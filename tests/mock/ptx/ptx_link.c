// SPDX-License-Identifier: Apache-2.0
// The public questions about a module, and the placing of its variables.
#include "ptx_types.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { REGISTERS_A_BLOCK = 65536 }; // on every device

// A struct ptx_func holds exactly one struct ptx_function.
static const struct ptx_func *as_func(const struct ptx_function *f) { return (const struct ptx_func *)f; }

size_t ptx_func_count(const struct ptx_module *module) { return module->entry_count; }
const struct ptx_func *ptx_func_at(const struct ptx_module *module, size_t index)
{
    return as_func(module->entries[index]);
}
unsigned ptx_target_sm(const struct ptx_module *module) { return module->target_sm; }
unsigned ptx_version(const struct ptx_module *module) { return module->version; }
size_t ptx_var_count(const struct ptx_module *module) { return module->var_count; }

const struct ptx_func *ptx_func_find(const struct ptx_module *module, const char *name)
{
    for (uint32_t i = 0; i < module->entry_count; i++)
        if (!strcmp(module->entries[i]->name, name))
            return as_func(module->entries[i]);
    return NULL;
}

void ptx_func_info(const struct ptx_func *func, struct ptx_func_info *info)
{
    const struct ptx_function *f = &func->f;
    // What is live at once, and what a compiler spends on addresses and moves besides; but never so many that
    // a block of the size that the kernel allows would not start: a compiler would rather compute values
    // again.
    uint32_t most = REGISTERS_A_BLOCK / ((f->max_threads + PTX_LANES - 1) / PTX_LANES * PTX_LANES),
             registers = f->live_max + 8;
    most = most > 255 ? 255 : most;
    *info = (struct ptx_func_info){
        .name = f->name,
        .params = f->entry_params,
        .param_count = f->param_count,
        .param_bytes = f->param_bytes,
        .static_shared_bytes = f->shared_static_bytes,
        .local_bytes = f->stack_bytes,
        .registers = registers < 16     ? 16
                     : registers > most ? most
                                        : registers,
        .max_threads = f->max_threads,
    };
    memcpy(info->required_block, f->reqntid, sizeof f->reqntid);
    memcpy(info->required_cluster, f->cluster, sizeof f->cluster);
}

void ptx_var_at(const struct ptx_module *module, size_t index, struct ptx_var *var)
{
    const struct ptx_var_sym *v = module->vars[index];
    *var = (struct ptx_var){.name = v->name,
                            .space = v->space == PV_CONST ? PTX_SPACE_CONST : PTX_SPACE_GLOBAL,
                            .size_bytes = v->size,
                            .align_bytes = v->align};
}

int ptx_link(struct ptx_module *module, const uint64_t *address_of, struct ptx_error *error)
{
    *error = (struct ptx_error){0};
    if (module->linked) {
        snprintf(error->text, sizeof error->text, "the module is linked already");
        return -EINVAL;
    }
    for (uint32_t i = 0; i < module->var_count; i++) {
        struct ptx_var_sym *v = module->vars[i];
        if ((!address_of[i] && v->size) || address_of[i] % v->align) {
            snprintf(error->text, sizeof error->text, "%.200s has no address or an unaligned one", v->name);
            return -EINVAL;
        }
        v->address = address_of[i];
    }
    for (uint32_t i = 0; i < module->var_count; i++) {
        const struct ptx_var_sym *v = module->vars[i];
        uint8_t *to = (uint8_t *)(uintptr_t)v->address;
        uint64_t kept = v->init_bytes < v->size ? v->init_bytes : v->size;
        if (kept)
            memcpy(to, v->init, kept);
        if (v->size > kept)
            memset(to + kept, 0, v->size - kept);
        for (uint32_t k = 0; k < v->reloc_count; k++) {
            const struct ptx_reloc *r = &v->relocs[k];
            uint64_t value =
                r->var ? r->var->address
                       : (uint64_t)PTX_WINDOW_FUNC << PTX_WINDOW_SHIFT | ((uint64_t)r->func->index + 1) * 16;
            value = (value + (uint64_t)r->addend) >> r->shift;
            if (r->offset + r->bytes <= v->size)
                memcpy(to + r->offset, &value, r->bytes);
        }
    }
    module->linked = true;
    return 0;
}
