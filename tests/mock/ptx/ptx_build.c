// SPDX-License-Identifier: Apache-2.0
// The function under construction: dense instructions, the values they refer to, constants; and its end, when
// all of it is kept.
#include "ptx_lower.h"

#include <errno.h>
#include <string.h>

static void no_memory(struct ptx_parser *p)
{
    ptx_fail(p, -ENOMEM, p->lex.now.line, p->lex.now.column, "no memory for the module");
}

int ptx_build_init(struct ptx_build *b)
{
    b->code.item_bytes = sizeof(struct ptx_insn);
    b->lines.item_bytes = sizeof(uint32_t);
    b->ops.item_bytes = sizeof(uint16_t);
    b->refs.item_bytes = sizeof(struct ptx_ref);
    b->vregs.item_bytes = sizeof(struct ptx_vreg);
    b->consts.item_bytes = sizeof(struct ptx_const);
    b->fixups.item_bytes = sizeof(struct ptx_fixup);
    b->calls.item_bytes = sizeof(struct ptx_call);
    b->targets.item_bytes = sizeof(struct ptx_targets);
    b->shared.item_bytes = sizeof(void *);
    return ptx_names_init(&b->const_names, 1);
}

void ptx_build_reset(struct ptx_parser *p, struct ptx_function *f)
{
    struct ptx_build *b = &p->b;
    b->f = f;
    b->code.count = b->lines.count = b->ops.count = b->refs.count = b->vregs.count = b->consts.count =
        b->fixups.count = b->calls.count = b->targets.count = b->shared.count = 0;
    ptx_names_leave(&b->const_names, 0);
    b->depth = 0;
    b->local_now = b->local_max = 0;
}

void ptx_build_free(struct ptx_build *b)
{
    struct ptx_vec *vecs[] = {&b->code,   &b->lines,  &b->ops,   &b->refs,    &b->vregs,
                              &b->consts, &b->fixups, &b->calls, &b->targets, &b->shared};
    for (size_t i = 0; i < sizeof vecs / sizeof *vecs; i++)
        ptx_vec_free(vecs[i]);
    ptx_names_free(&b->const_names);
}

struct ptx_insn *ptx_emit_bare(struct ptx_parser *p, unsigned line, enum ptx_op op)
{
    static struct ptx_insn nowhere; // after a failure: written, never read
    struct ptx_build *b = &p->b;
    if (!p->failed && b->code.count >= PTX_INSNS_MAX)
        ptx_fail(p, -E2BIG, line, 1, "a function of more than %d instructions", PTX_INSNS_MAX);
    if (p->failed)
        return &nowhere;
    struct ptx_insn *in = ptx_vec_push(&b->code);
    uint32_t *at = ptx_vec_push(&b->lines);
    uint16_t *kind = ptx_vec_push(&b->ops);
    if (!in || !at || !kind) {
        no_memory(p);
        return &nowhere;
    }
    *at = line;
    *kind = (uint16_t)op;
    in->guard = -1;
    return in;
}

struct ptx_insn *ptx_emit(struct ptx_parser *p, struct ptx_stmt *s, enum ptx_op op)
{
    struct ptx_insn *in = ptx_emit_bare(p, s->line, op);
    if (s->guard != PTX_ID_NONE) {
        ptx_ref(p, PTX_F_GUARD, s->guard, false);
        in->guard = 0; // there is one; its place comes later
        in->guard_not = s->guard_not;
    }
    return in;
}

void ptx_ref(struct ptx_parser *p, uint8_t field, uint32_t id, bool is_def)
{
    if (p->failed)
        return;
    struct ptx_ref *r = ptx_vec_push(&p->b.refs);
    if (!r)
        no_memory(p);
    else
        *r = (struct ptx_ref){.insn = p->b.code.count - 1, .id = id, .field = field, .is_def = is_def};
}

void ptx_build_label(struct ptx_parser *p)
{
    const struct ptx_vec *ops = &p->b.ops;
    if (!ops->count || *PTX_VEC_AT(ops, uint16_t, ops->count - 1) != OP_LEADER)
        ptx_emit_bare(p, p->lex.now.line, OP_LEADER);
}

struct const_key {
    uint64_t value;
    const void *of;
    uint64_t kind_cls;
};

static uint32_t const_id(struct ptx_parser *p, const struct ptx_const *want)
{
    struct const_key key = {want->value, want->of.var, (uint64_t)want->kind << 8 | want->cls};
    struct ptx_name *known = ptx_names_find(&p->b.const_names, (const char *)&key, sizeof key);
    if (known)
        return PTX_ID_CONST | (uint32_t)known->number;
    struct const_key *kept = ptx_keep(p, sizeof *kept);
    struct ptx_const *slot = kept ? ptx_vec_push(&p->b.consts) : NULL;
    struct ptx_name *n = slot ? ptx_names_add(&p->b.const_names, (const char *)kept, sizeof *kept, 0) : NULL;
    if (!n) {
        no_memory(p);
        return PTX_ID_CONST;
    }
    *kept = key;
    *slot = *want;
    n->number = p->b.consts.count - 1;
    return PTX_ID_CONST | (uint32_t)n->number;
}

uint32_t ptx_const_literal(struct ptx_parser *p, enum ptx_class cls, uint64_t value)
{
    return const_id(p, &(struct ptx_const){.kind = PTX_CONST_LITERAL, .cls = (uint8_t)cls, .value = value});
}

static void use_shared(struct ptx_parser *p, const struct ptx_var_sym *var)
{
    for (uint32_t i = 0; i < p->b.shared.count; i++)
        if (*PTX_VEC_AT(&p->b.shared, const struct ptx_var_sym *, i) == var)
            return;
    const struct ptx_var_sym **slot = ptx_vec_push(&p->b.shared);
    if (slot)
        *slot = var;
    else
        no_memory(p);
}

uint32_t ptx_const_symbol(struct ptx_parser *p, const struct ptx_var_sym *var, struct ptx_function *func,
                          enum ptx_class cls, uint64_t addend)
{
    struct ptx_const c = {.cls = (uint8_t)cls, .value = addend};
    if (func) {
        c.kind = PTX_CONST_FUNC;
        c.of.func = func;
    } else {
        c.kind = var->space == PV_SHARED ? PTX_CONST_SHARED : PTX_CONST_VAR;
        c.of.var = var;
        if (var->space == PV_SHARED)
            use_shared(p, var);
    }
    return const_id(p, &c);
}

enum ptx_class ptx_class_of_id(const struct ptx_parser *p, uint32_t id)
{
    if (id & PTX_ID_CONST)
        return p->b.consts.count
                   ? (enum ptx_class)PTX_VEC_AT(&p->b.consts, struct ptx_const, id & ~PTX_ID_CONST)->cls
                   : PC_32;
    if (id & PTX_ID_SPECIAL)
        return PC_32;
    return p->b.vregs.count ? (enum ptx_class)PTX_VEC_AT(&p->b.vregs, struct ptx_vreg, id)->cls : PC_32;
}

uint32_t ptx_temp(struct ptx_parser *p, enum ptx_type type) { return ptx_vreg_new(p, type); }

// Branches carry how many instructions came before them in a straight line, so that time is counted there
// only.
static void count_blocks(struct ptx_build *b)
{
    int32_t n = 0;
    for (uint32_t i = 0; i < b->code.count; i++) {
        uint16_t op = *PTX_VEC_AT(&b->ops, uint16_t, i);
        n += op != OP_LEADER;
        if (ptx_op_counts(op)) {
            PTX_VEC_AT(&b->code, struct ptx_insn, i)->c = n;
            n = 0;
        }
    }
}

static void write_places(struct ptx_build *b)
{
    for (uint32_t i = 0; i < b->refs.count; i++) {
        const struct ptx_ref *r = PTX_VEC_AT(&b->refs, struct ptx_ref, i);
        int32_t place;
        if (r->id & PTX_ID_CONST)
            place = PTX_VEC_AT(&b->consts, struct ptx_const, r->id & ~PTX_ID_CONST)->place;
        else if (r->id & PTX_ID_SPECIAL)
            place = (int32_t)(r->id & ~PTX_ID_SPECIAL) * PTX_PLACE_BYTES;
        else
            place = PTX_VEC_AT(&b->vregs, struct ptx_vreg, r->id)->place;
        memcpy((char *)PTX_VEC_AT(&b->code, struct ptx_insn, r->insn) + r->field * 4u, &place, 4);
    }
}

bool ptx_build_finish(struct ptx_parser *p)
{
    struct ptx_build *b = &p->b;
    struct ptx_function *f = b->f;
    bool failed = false;
    if (p->failed || !ptx_alloc_places(p))
        return false;
    f->local_bytes = (uint32_t)((b->local_max + 15) & ~(uint64_t)15);
    write_places(b);
    count_blocks(b);
    struct ptx_arena *arena = p->m->arena;
    f->code_count = b->code.count;
    f->code = ptx_vec_keep(&b->code, arena, &failed);
    f->lines = ptx_vec_keep(&b->lines, arena, &failed);
    f->ops = ptx_vec_keep(&b->ops, arena, &failed);
    f->consts = ptx_vec_keep(&b->consts, arena, &failed);
    f->const_count = b->consts.count;
    f->calls = ptx_vec_keep(&b->calls, arena, &failed);
    f->call_count = b->calls.count;
    f->targets = ptx_vec_keep(&b->targets, arena, &failed);
    f->target_count = b->targets.count;
    f->shared = ptx_vec_keep(&b->shared, arena, &failed);
    f->shared_count = b->shared.count;
    if (failed)
        no_memory(p);
    return !failed;
}
