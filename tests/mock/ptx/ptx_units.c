// SPDX-License-Identifier: Apache-2.0
// Linking: the texts of a module (translation units of nvcc -rdc=true) meet by the names that they share.
//
// While a text is read, its code refers to its own symbols, also to those that it only declares. At its end
// each symbol with linkage meets the one of that name from the texts before: one wins, and the other says so
// in same_as. When all are read, every reference is led along same_as, and only the winners are left. What
// has no linkage never meets anything.
#include "ptx_parse.h"

#include <errno.h>
#include <string.h>

// Steps along same_as: one for each time that a definition is beaten (three ranks) and one an alias. More are
// aliases of aliases, or a circle of them.
enum { STEPS_MAX = 16 };

// How strong a definition is; 0 is none. As in ELF, what is common beats what is weak.
enum rank { RANK_NONE, RANK_WEAK, RANK_COMMON, RANK_STRONG };

static void fail_at(struct ptx_parser *p, struct ptx_place at, const char *format, const char *name)
{
    p->unit = at.unit;
    ptx_fail(p, -EINVAL, at.line, at.column, format, name);
}

bool ptx_same_signature(const struct ptx_function *a, const struct ptx_function *b)
{
    if (a->param_count != b->param_count || a->result_count != b->result_count || a->is_entry != b->is_entry)
        return false;
    for (uint32_t i = 0; i < a->param_count; i++)
        if (a->params[i].size != b->params[i].size || a->params[i].offset != b->params[i].offset)
            return false;
    for (uint32_t i = 0; i < a->result_count; i++)
        if (a->results[i].size != b->results[i].size)
            return false;
    return true;
}

// The function that stands for this one, or NULL after too many steps.
static struct ptx_function *func_itself(const struct ptx_function *f)
{
    for (int i = 0; f && f->same_as; f = f->same_as)
        if (++i > STEPS_MAX)
            return NULL;
    return (struct ptx_function *)f;
}

static struct ptx_var_sym *var_itself(const struct ptx_var_sym *v)
{
    while (v->same_as) // each step leads to a higher rank, or from a declaration to what was there
        v = v->same_as;
    return (struct ptx_var_sym *)v;
}

// --- the end of a text

static void twice(struct ptx_parser *p, const char *name, struct ptx_place here, struct ptx_place there)
{
    p->unit = here.unit;
    ptx_fail(p, -EINVAL, here.line, here.column, "%.150s is defined twice: also in text %u, line %u", name,
             there.unit + 1, there.line);
}

static enum rank func_rank(struct ptx_parser *p, const struct ptx_function *f)
{
    const struct ptx_function *itself = func_itself(f);
    if (!itself)
        fail_at(p, f->at, "%.150s is an alias of an alias of an alias, or of itself", f->name);
    return !itself || !itself->is_defined ? RANK_NONE : f->is_weak ? RANK_WEAK : RANK_STRONG;
}

// One of the two stands for both from now on.
static void meet_func(struct ptx_parser *p, struct ptx_name *known, struct ptx_function *f)
{
    struct ptx_function *old = known->value;
    enum rank old_rank = func_rank(p, old), rank = func_rank(p, f);
    if (p->failed)
        return;
    if (!ptx_same_signature(old, f)) {
        fail_at(p, f->at, "%.150s was declared with other parameters in a text before", f->name);
    } else if (rank == RANK_STRONG && old_rank == RANK_STRONG) {
        twice(p, f->name, f->at, old->at);
    } else if (rank > old_rank) {
        old->same_as = f;
        known->value = f;
    } else {
        f->same_as = old;
    }
}

static enum rank var_rank(const struct ptx_var_sym *v)
{
    return v->is_extern ? RANK_NONE : v->is_common ? RANK_COMMON : v->is_weak ? RANK_WEAK : RANK_STRONG;
}

static void meet_var(struct ptx_parser *p, struct ptx_name *known, struct ptx_var_sym *v)
{
    struct ptx_var_sym *old = known->value;
    enum rank old_rank = var_rank(old), rank = var_rank(v);
    bool one_is_open = !v->size || !old->size; // extern int x[]: declared without a size
    bool grows =
        rank <= RANK_COMMON && old_rank <= RANK_COMMON && (rank == RANK_COMMON || old_rank == RANK_COMMON);
    uint64_t larger = v->size > old->size ? v->size : old->size;
    if (old->space != v->space) {
        fail_at(p, v->at, "%.150s is in another space in a text before", v->name);
    } else if (v->size != old->size && !one_is_open && !grows) {
        p->unit = v->at.unit;
        ptx_fail(p, -EINVAL, v->at.line, v->at.column, "%.150s has %llu bytes, but %llu in text %u, line %u",
                 v->name, (unsigned long long)v->size, (unsigned long long)old->size, old->at.unit + 1,
                 old->at.line);
    } else if (rank == RANK_STRONG && old_rank == RANK_STRONG) {
        twice(p, v->name, v->at, old->at);
    } else if (rank > old_rank) {
        old->same_as = v;
        known->value = v;
    } else {
        v->same_as = old;
    }
    struct ptx_var_sym *winner = known->value;
    if (grows || (!rank && !old_rank)) // also of declarations: a third one is held against both
        winner->size = larger;
    if (!rank == !old_rank) // the strictest alignment, but what defines does not heed what declares
        winner->align = v->align > old->align ? v->align : old->align;
}

// Puts a symbol among the exports; the one of that name that is there already, or NULL.
static struct ptx_name *export_as(struct ptx_parser *p, const char *name, struct ptx_place at,
                                  enum ptx_name_kind kind, void *symbol)
{
    size_t size_bytes = strlen(name);
    struct ptx_name *known = ptx_names_find(&p->exports, name, size_bytes);
    if (known && known->kind != (uint32_t)kind)
        fail_at(p, at, "%.150s is a function in one text and a variable in another", name);
    if (known)
        return p->failed ? NULL : known;
    known = ptx_names_add(&p->exports, name, size_bytes, 0);
    if (!known) {
        p->unit = at.unit;
        ptx_fail(p, -ENOMEM, at.line, at.column, "no memory for the module");
        return NULL;
    }
    known->kind = kind;
    known->value = symbol;
    return NULL;
}

static void export_vars(struct ptx_parser *p, const struct ptx_vec *list, uint32_t first)
{
    for (uint32_t i = first; i < list->count && !p->failed; i++) {
        struct ptx_var_sym *v = *PTX_VEC_AT(list, struct ptx_var_sym *, i);
        struct ptx_name *known = v->has_linkage ? export_as(p, v->name, v->at, NK_VAR, v) : NULL;
        if (known)
            meet_var(p, known, v);
    }
}

void ptx_unit_end(struct ptx_parser *p, uint32_t first_func, uint32_t first_var, uint32_t first_shared)
{
    for (uint32_t i = first_func; i < p->funcs.count && !p->failed; i++) {
        struct ptx_function *f = *PTX_VEC_AT(&p->funcs, struct ptx_function *, i);
        struct ptx_name *known = f->has_linkage ? export_as(p, f->name, f->at, NK_FUNC, f) : NULL;
        if (known)
            meet_func(p, known, f);
    }
    export_vars(p, &p->vars, first_var);
    export_vars(p, &p->shared_all, first_shared);
    ptx_names_leave(&p->names, 0);
}

// --- the end of all

static struct ptx_var_sym *use_var(const struct ptx_var_sym *v)
{
    struct ptx_var_sym *itself = var_itself(v);
    itself->is_used = true;
    return itself;
}

static struct ptx_function *use_func(struct ptx_parser *p, const struct ptx_function *f, bool address)
{
    struct ptx_function *itself = func_itself(f);
    if (!itself) {
        fail_at(p, f->at, "%.150s is an alias of an alias of an alias, or of itself", f->name);
        return NULL;
    }
    itself->address_taken |= address;
    return itself;
}

static void lead_function(struct ptx_parser *p, struct ptx_function *f)
{
    for (uint32_t i = 0; i < f->const_count; i++) {
        struct ptx_const *c = &f->consts[i];
        if (c->kind == PTX_CONST_FUNC)
            c->of.func = use_func(p, c->of.func, true);
        else if (c->kind != PTX_CONST_LITERAL)
            c->of.var = use_var(c->of.var);
    }
    for (uint32_t i = 0; i < f->call_count; i++)
        if (f->calls[i].target)
            f->calls[i].target = use_func(p, f->calls[i].target, false);
    for (uint32_t i = 0; i < f->shared_count; i++)
        f->shared[i] = use_var(f->shared[i]);
}

static void lead_var(struct ptx_parser *p, struct ptx_var_sym *v)
{
    for (uint32_t i = 0; i < v->reloc_count; i++) {
        struct ptx_reloc *r = &v->relocs[i];
        if (r->func)
            r->func = use_func(p, r->func, true);
        else
            r->var = use_var(r->var);
    }
}

static void keep_funcs(struct ptx_parser *p)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < p->funcs.count; i++) {
        struct ptx_function *f = *PTX_VEC_AT(&p->funcs, struct ptx_function *, i);
        if (f->same_as)
            continue;
        if (f->address_taken && !f->is_defined && !f->builtin)
            fail_at(p, f->at, "%.150s is not defined, and something takes its address", f->name);
        f->index = kept;
        *PTX_VEC_AT(&p->funcs, struct ptx_function *, kept++) = f;
    }
    p->funcs.count = kept;
    kept = 0;
    for (uint32_t i = 0; i < p->entries.count; i++) {
        struct ptx_function *f = *PTX_VEC_AT(&p->entries, struct ptx_function *, i);
        if (!f->same_as)
            *PTX_VEC_AT(&p->entries, struct ptx_function *, kept++) = f;
    }
    p->entries.count = kept;
}

// An .extern that nothing uses costs nothing, as with any linker.
static void keep_vars(struct ptx_parser *p)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < p->vars.count; i++) {
        struct ptx_var_sym *v = *PTX_VEC_AT(&p->vars, struct ptx_var_sym *, i);
        if (v->same_as || (v->is_extern && !v->is_used))
            continue;
        if (v->is_extern)
            fail_at(p, v->at, "%.150s is extern and not defined", v->name);
        v->index = kept;
        *PTX_VEC_AT(&p->vars, struct ptx_var_sym *, kept++) = v;
    }
    p->vars.count = kept;
}

bool ptx_units_join(struct ptx_parser *p)
{
    for (uint32_t i = 0; i < p->funcs.count && !p->failed; i++) {
        struct ptx_function *f = *PTX_VEC_AT(&p->funcs, struct ptx_function *, i);
        if (!f->same_as)
            lead_function(p, f);
    }
    for (uint32_t i = 0; i < p->vars.count && !p->failed; i++) {
        struct ptx_var_sym *v = *PTX_VEC_AT(&p->vars, struct ptx_var_sym *, i);
        if (!v->same_as)
            lead_var(p, v);
    }
    if (!p->failed)
        keep_funcs(p);
    if (!p->failed)
        keep_vars(p);
    return !p->failed;
}
