// SPDX-License-Identifier: Apache-2.0
// The statements of a function's body: scopes, labels, and one instruction with its operands.
#include "ptx_lower.h"

#include <errno.h>
#include <string.h>

struct special {
    const char *name;
    int id;
    bool has_component;
};
static const struct special specials[] = {{"%tid", PS_TID_X, true},
                                          {"%ntid", PS_NTID_X, true},
                                          {"%ctaid", PS_CTAID_X, true},
                                          {"%nctaid", PS_NCTAID_X, true},
                                          {"%laneid", PS_LANEID, false},
                                          {"%warpid", PS_WARPID, false},
                                          {"%nwarpid", PS_NWARPID, false},
                                          {"%smid", PS_SMID, false},
                                          {"%nsmid", PS_NSMID, false},
                                          {"%gridid", PS_GRIDID, false},
                                          {"%lanemask_eq", PS_LM_EQ, false},
                                          {"%lanemask_le", PS_LM_LE, false},
                                          {"%lanemask_lt", PS_LM_LT, false},
                                          {"%lanemask_ge", PS_LM_GE, false},
                                          {"%lanemask_gt", PS_LM_GT, false},
                                          {"%clusterid", PS_CLUSTERID_X, true},
                                          {"%nclusterid", PS_NCLUSTERID_X, true},
                                          {"%cluster_ctaid", PS_CLUSTER_CTAID_X, true},
                                          {"%cluster_nctaid", PS_CLUSTER_NCTAID_X, true},
                                          {"%cluster_ctarank", PS_CLUSTER_CTARANK, false},
                                          {"%cluster_nctarank", PS_CLUSTER_NCTARANK, false},
                                          {"%is_explicit_cluster", PS_EXPLICIT_CLUSTER, false},
                                          {"%dynamic_smem_size", PS_DYNAMIC_SMEM, false},
                                          {"%total_smem_size", PS_TOTAL_SMEM, false},
                                          {"%aggr_smem_size", PS_TOTAL_SMEM, false},
                                          {"%clock", PS_CLOCK, false},
                                          {"%clock_hi", PS_CLOCK_HI, false},
                                          {"%clock64", PS_CLOCK64, false},
                                          {"%globaltimer", PS_GLOBALTIMER, false},
                                          {"%globaltimer_lo", PS_GLOBALTIMER_LO, false},
                                          {"%globaltimer_hi", PS_GLOBALTIMER_HI, false},
                                          {"%envreg1", PS_ENVREG1, false},
                                          {"%envreg2", PS_ENVREG2, false}};

static bool special_register(struct ptx_parser *p, const struct ptx_token *t, struct ptx_item *item)
{
    int id = -1;
    for (size_t i = 0; i < sizeof specials / sizeof *specials; i++)
        if (ptx_token_is(t, TK_NAME, specials[i].name)) {
            id = specials[i].id;
            if (specials[i].has_component) {
                static const char *const parts[] = {"x", "y", "z"};
                int part = 0;
                while (part < 3 && !ptx_accept_dot(p, parts[part]))
                    part++;
                if (part == 3) {
                    id = PS_ZERO; // the fourth component
                    if (!ptx_accept_dot(p, "w"))
                        ptx_fail_here(p, "%s wants a component", specials[i].name);
                } else {
                    id += part;
                }
            }
            break;
        }
    if (id < 0 && t->size > 7 && !memcmp(t->text, "%envreg", 7))
        id = PS_ZERO;
    if (id < 0)
        return false;
    item->kind = id >= PS_PLACES ? OK_DYNAMIC : OK_VALUE;
    item->type = id == PS_CLOCK64 || id == PS_GLOBALTIMER || id == PS_GRIDID ? PT_U64
                 : id == PS_EXPLICIT_CLUSTER                                 ? PT_PRED
                                                                             : PT_U32;
    item->id = id >= PS_PLACES ? (uint32_t)id : PTX_ID_SPECIAL | (uint32_t)id;
    return true;
}

// %r12 of `.reg .b32 %r<100>`: made a register when it is first used.
static bool range_register(struct ptx_parser *p, const struct ptx_token *t, struct ptx_item *item)
{
    uint32_t digits = 0;
    while (digits < t->size && digits < 12 && t->text[t->size - 1 - digits] >= '0' &&
           t->text[t->size - 1 - digits] <= '9')
        digits++;
    // The digits may belong to the prefix (%r1<10>): the longest number is tried first.
    for (uint32_t d = digits; d >= 1; d--) {
        uint64_t n = 0;
        for (uint32_t i = t->size - d; i < t->size; i++)
            n = n * 10 + (uint64_t)(t->text[i] - '0');
        if (d > 1 && t->text[t->size - d] == '0')
            continue;
        struct ptx_name *prefix = ptx_names_find(&p->names, t->text, t->size - d);
        if (!prefix || prefix->kind != NK_RANGE)
            continue;
        const struct ptx_range *range = prefix->value;
        if (n >= range->count)
            continue;
        struct ptx_name *name = ptx_names_add(&p->names, t->text, t->size, range->depth);
        if (!name) {
            ptx_fail_here(p, "no memory for the module");
            return false;
        }
        name->kind = NK_VREG;
        name->number = ptx_vreg_new(p, (enum ptx_type)range->type);
        item->kind = OK_VALUE;
        item->type = range->type;
        item->id = (uint32_t)name->number;
        return true;
    }
    return false;
}

static void vector_register(struct ptx_parser *p, const struct ptx_name *n, struct ptx_operand *o,
                            struct ptx_item *item)
{
    static const char parts[][2] = {"x", "y", "z", "w"}, colours[][2] = {"r", "g", "b", "a"};
    unsigned count = (unsigned)(uintptr_t)n->value;
    for (unsigned i = 0; i < 4 && i < count; i++)
        if (ptx_accept_dot(p, parts[i]) || ptx_accept_dot(p, colours[i])) {
            item->kind = OK_VALUE;
            item->id = (uint32_t)n->number + i;
            item->type = PTX_VEC_AT(&p->b.vregs, struct ptx_vreg, item->id)->type;
            return;
        }
    if (item != &o->one) {
        ptx_fail_here(p, "a vector inside a vector");
        return;
    }
    o->kind = OK_VECTOR;
    o->count = count;
    for (unsigned i = 0; i < count; i++) {
        uint32_t id = (uint32_t)n->number + i;
        o->items[i] = (struct ptx_item){
            .kind = OK_VALUE, .id = id, .type = PTX_VEC_AT(&p->b.vregs, struct ptx_vreg, id)->type};
    }
}

static void addend(struct ptx_parser *p, struct ptx_item *item)
{
    int64_t v = 0;
    if (ptx_is_punct(&p->lex.now, '+') || ptx_is_punct(&p->lex.now, '-'))
        ptx_const_expr(p, &v);
    item->number += (uint64_t)v;
}

static void named(struct ptx_parser *p, struct ptx_operand *o, struct ptx_item *item)
{
    struct ptx_token t = p->lex.now;
    item->text = t.text;
    item->size = t.size;
    if (t.size > PTX_NAME_BYTES_MAX) {
        ptx_fail_here(p, "a name of %u bytes", t.size);
        return;
    }
    ptx_next(p);
    if (t.size == 1 && *t.text == '_') {
        item->kind = OK_SINK;
        return;
    }
    struct ptx_name *n = ptx_names_find(&p->names, t.text, t.size);
    if (!n) {
        if ((*t.text == '%' && special_register(p, &t, item)) || range_register(p, &t, item))
            return;
        if (*t.text == '%')
            ptx_fail(p, -EINVAL, t.line, t.column,
                     "%.*s is neither declared nor a special register that is supported",
                     t.size > 100 ? 100 : (int)t.size, t.text);
        item->kind = OK_LABEL;
        return;
    }
    item->value = n->value;
    switch (n->kind) {
    case NK_VREG:
        item->kind = OK_VALUE;
        item->id = (uint32_t)n->number;
        item->type = PTX_VEC_AT(&p->b.vregs, struct ptx_vreg, item->id)->type;
        break;
    case NK_VECTOR: vector_register(p, n, o, item); break;
    case NK_VAR:
        item->kind = OK_VARADDR;
        item->var = n->value;
        addend(p, item);
        break;
    case NK_ENTRY_PARAM:
        item->kind = OK_VARADDR;
        item->var = NULL;
        item->number = n->number & UINT32_MAX;
        addend(p, item);
        break;
    case NK_FUNC:
        item->kind = OK_FUNC;
        item->func = n->value;
        break;
    case NK_TARGETS:
        item->kind = OK_TARGETS;
        item->number = n->number;
        break;
    case NK_PROTO: item->kind = OK_PROTO; break;
    default: item->kind = OK_LABEL; break;
    }
}

static void scalar(struct ptx_parser *p, struct ptx_operand *o, struct ptx_item *item)
{
    *item = (struct ptx_item){0};
    if (ptx_is_punct(&p->lex.now, '!')) {
        struct ptx_lex before = p->lex;
        ptx_next(p);
        if (p->lex.now.kind == TK_NAME) {
            named(p, o, item);
            item->negated = true;
            return;
        }
        p->lex = before;
    }
    if (p->lex.now.kind == TK_NAME && !ptx_token_is(&p->lex.now, TK_NAME, "WARP_SZ")) {
        named(p, o, item);
        return;
    }
    struct ptx_lex before = p->lex;
    bool negative = ptx_accept(p, '-');
    if (p->lex.now.kind == TK_FLOAT) {
        item->kind = OK_FLOAT;
        item->number = p->lex.now.number;
        item->is_single = p->lex.now.is_single;
        item->negated = negative;
        ptx_next(p);
        return;
    }
    if (negative && p->lex.now.kind == TK_NAME && !ptx_token_is(&p->lex.now, TK_NAME, "WARP_SZ")) {
        ptx_fail_here(p, "a negated register is not an operand here");
        return;
    }
    p->lex = before;
    int64_t v;
    item->kind = OK_IMM;
    if (ptx_const_expr(p, &v))
        item->number = (uint64_t)v;
}

static void address(struct ptx_parser *p, struct ptx_operand *o)
{
    struct ptx_item *base = &o->one;
    scalar(p, o, base);
    o->kind = OK_ADDRESS;
    uint64_t offset = 0;
    if (base->kind == OK_VALUE) {
        struct ptx_item off = {0};
        addend(p, &off);
        offset = off.number;
    } else if (base->kind == OK_VARADDR) {
        offset = base->number;
        o->is_entry_param = !base->var;
    } else if (base->kind == OK_IMM) {
        offset = base->number;
    } else {
        ptx_fail_here(p, "an address is a register, a variable or a number, with an offset");
    }
    base->number = offset;
    ptx_expect(p, ']');
}

static void operand_list(struct ptx_parser *p, struct ptx_operand *o) // ( a, b ) of a call
{
    o->kind = OK_LIST;
    o->list.item_bytes = sizeof(struct ptx_item);
    if (ptx_accept(p, ')'))
        return;
    do {
        struct ptx_item item;
        scalar(p, o, &item);
        struct ptx_item *slot = p->failed ? NULL : ptx_vec_push(&o->list);
        if (!slot) {
            ptx_fail_here(p, "no memory for the module");
            return;
        }
        *slot = item;
    } while (ptx_accept(p, ','));
    ptx_expect(p, ')');
}

static void operand(struct ptx_parser *p, struct ptx_operand *o)
{
    struct ptx_vec list = o->list;
    list.count = 0;
    *o = (struct ptx_operand){.list = list, .line = p->lex.now.line, .column = p->lex.now.column};
    if (ptx_accept(p, '[')) {
        address(p, o);
        return;
    }
    if (ptx_accept(p, '{')) {
        o->kind = OK_VECTOR;
        if (ptx_accept(p, '}'))
            return;
        do {
            if (o->count >= 8) {
                ptx_fail_here(p, "a vector of more than 8 elements");
                return;
            }
            struct ptx_operand unused = {0};
            scalar(p, &unused, &o->items[o->count++]);
        } while (ptx_accept(p, ','));
        ptx_expect(p, '}');
        return;
    }
    // A parenthesis opens a call's list, or a constant expression of other instructions.
    if (ptx_is_punct(&p->lex.now, '(') && p->stmt->op_size == 4 && !memcmp(p->stmt->op, "call", 4)) {
        ptx_next(p);
        operand_list(p, o);
        return;
    }
    scalar(p, o, &o->one);
    if (o->kind == OK_VECTOR)
        return;
    o->kind = o->one.kind;
    if (ptx_accept(p, '|')) {
        struct ptx_operand unused = {0};
        o->has_pair = true;
        scalar(p, &unused, &o->pair);
    }
}

static void guard(struct ptx_parser *p, struct ptx_stmt *s)
{
    s->guard = PTX_ID_NONE;
    if (!ptx_accept(p, '@'))
        return;
    s->guard_not = ptx_accept(p, '!');
    struct ptx_operand o = {0};
    if (p->lex.now.kind != TK_NAME)
        ptx_fail_here(p, "a guard wants a predicate");
    else
        named(p, &o, &o.one);
    if (!p->failed && (o.one.kind != OK_VALUE || o.one.type != PT_PRED))
        ptx_fail_here(p, "a guard wants a predicate");
    s->guard = o.one.id;
}

void ptx_statement(struct ptx_parser *p)
{
    struct ptx_stmt *s = p->stmt;
    s->mod_count = s->opd_count = 0;
    s->guard_not = false;
    guard(p, s);
    struct ptx_token op;
    if (!ptx_expect_name(p, &op))
        return;
    s->op = op.text;
    s->op_size = op.size;
    s->line = op.line;
    s->column = op.column;
    while (!p->failed && p->lex.now.kind == TK_DOT) {
        if (s->mod_count == PTX_MODS_MAX) {
            ptx_fail_here(p, "an instruction with more than %d modifiers", PTX_MODS_MAX);
            return;
        }
        s->mods[s->mod_count++] = (struct ptx_mod){.text = p->lex.now.text, .size = p->lex.now.size};
        ptx_next(p);
    }
    const struct ptx_opcode *known = p->failed ? NULL : ptx_opcode_find(op.text, op.size);
    if (!known) {
        ptx_fail(p, -EINVAL, op.line, op.column, "the instruction %.*s is not implemented",
                 op.size > 60 ? 60 : (int)op.size, op.text);
        return;
    }
    while (!p->failed && !ptx_is_punct(&p->lex.now, ';')) {
        if (s->opd_count == PTX_OPERANDS_MAX) {
            ptx_fail_here(p, "an instruction with more than %d operands", PTX_OPERANDS_MAX);
            return;
        }
        operand(p, &s->opd[s->opd_count++]);
        // call (r), f, (a): commas everywhere
        if (!ptx_accept(p, ','))
            break;
    }
    if (!ptx_expect(p, ';'))
        return;
    if (s->opd_count < known->operands_min || s->opd_count > known->operands_max) {
        ptx_fail(p, -EINVAL, op.line, op.column, "%s with %u operands", known->name, s->opd_count);
        return;
    }
    known->lower(p, s, known->arg);
    for (uint32_t i = 0; i < s->mod_count && !p->failed; i++)
        if (!s->mods[i].taken)
            ptx_lower_fail(p, s, "the modifier .%.*s is not supported here",
                           s->mods[i].size > 40 ? 40 : (int)s->mods[i].size, s->mods[i].text);
}

// --- bodies ---

static void add_fixup(struct ptx_parser *p, uint32_t insn, uint32_t list, uint32_t index,
                      const struct ptx_token *t)
{
    struct ptx_fixup *x = ptx_vec_push(&p->b.fixups);
    if (!x)
        ptx_fail_here(p, "no memory for the module");
    else
        *x = (struct ptx_fixup){.insn = insn,
                                .target_list = list,
                                .target_index = index,
                                .name = t->text,
                                .size = t->size,
                                .depth = p->b.depth,
                                .line = t->line,
                                .column = t->column};
}

static void branch_targets(struct ptx_parser *p, struct ptx_name *n)
{
    struct ptx_vec list = {.item_bytes = sizeof(uint32_t)};
    n->kind = NK_TARGETS;
    n->number = p->b.targets.count;
    struct ptx_targets *slot = ptx_vec_push(&p->b.targets);
    do {
        struct ptx_token t;
        if (!slot || !ptx_expect_name(p, &t))
            break;
        add_fixup(p, 0, (uint32_t)n->number, list.count, &t);
        if (!ptx_vec_push(&list))
            ptx_fail_here(p, "no memory for the module");
    } while (ptx_accept(p, ','));
    ptx_expect(p, ';');
    bool no_memory = !slot;
    if (slot) {
        slot->count = list.count;
        slot->insn = ptx_vec_keep(&list, p->m->arena, &no_memory);
    }
    if (no_memory)
        ptx_fail_here(p, "no memory for the module");
    ptx_vec_free(&list);
}

// The end of a { }: branches in it go to labels in it, or wait for the scope around it.
static void resolve_fixups(struct ptx_parser *p)
{
    struct ptx_build *b = &p->b;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < b->fixups.count; i++) {
        struct ptx_fixup *x = PTX_VEC_AT(&b->fixups, struct ptx_fixup, i);
        struct ptx_name *n = x->depth == b->depth ? ptx_names_find(&p->names, x->name, x->size) : NULL;
        if (n && n->kind == NK_LABEL && n->depth == b->depth) {
            if (x->target_list != UINT32_MAX)
                PTX_VEC_AT(&b->targets, struct ptx_targets, x->target_list)->insn[x->target_index] =
                    (uint32_t)n->number;
            else
                PTX_VEC_AT(&b->code, struct ptx_insn, x->insn)->imm = (int64_t)n->number;
            continue;
        }
        if (x->depth == b->depth) {
            if (b->depth == 1) {
                ptx_fail(p, -EINVAL, x->line, x->column, "the label %.*s is nowhere",
                         x->size > 100 ? 100 : (int)x->size, x->name);
                return;
            }
            x->depth--;
        }
        *PTX_VEC_AT(&b->fixups, struct ptx_fixup, kept++) = *x;
    }
    b->fixups.count = kept;
}

static void label_or_statement(struct ptx_parser *p)
{
    if (p->lex.now.kind != TK_NAME) {
        ptx_statement(p);
        return;
    }
    struct ptx_lex before = p->lex;
    struct ptx_token t = p->lex.now;
    ptx_lex_next(&p->lex);
    if (!ptx_is_punct(&p->lex.now, ':')) {
        p->lex = before;
        ptx_statement(p);
        return;
    }
    ptx_next(p);
    struct ptx_name *known = ptx_names_find(&p->names, t.text, t.size);
    if (known && known->depth == p->b.depth) {
        ptx_fail(p, -EINVAL, t.line, t.column, "the label %.*s is there twice",
                 t.size > 100 ? 100 : (int)t.size, t.text);
        return;
    }
    struct ptx_name *n = p->failed ? NULL : ptx_names_add(&p->names, t.text, t.size, p->b.depth);
    if (!n) {
        ptx_fail_here(p, "no memory for the module");
        return;
    }
    if (ptx_accept_dot(p, "branchtargets")) {
        branch_targets(p, n);
    } else if (ptx_accept_dot(p, "callprototype") || ptx_accept_dot(p, "calltargets")) {
        n->kind = NK_PROTO; // the function that is called says itself what it takes
        while (!p->failed && !ptx_is_punct(&p->lex.now, ';') && p->lex.now.kind != TK_END)
            ptx_next(p);
        ptx_expect(p, ';');
    } else {
        ptx_build_label(p);
        n->kind = NK_LABEL;
        n->number = p->b.code.count - 1;
    }
}

static void body_directive(struct ptx_parser *p)
{
    unsigned line = p->lex.now.line;
    if (ptx_accept_dot(p, "reg"))
        ptx_decl_reg(p);
    else if (ptx_accept_dot(p, "local"))
        ptx_decl_var(p, PV_LOCAL, (struct ptx_linkage){0});
    else if (ptx_accept_dot(p, "shared"))
        ptx_decl_var(p, PV_SHARED, (struct ptx_linkage){0});
    else if (ptx_accept_dot(p, "extern")) {
        if (ptx_accept_dot(p, "shared"))
            ptx_decl_var(p, PV_SHARED, (struct ptx_linkage){.external = true});
        else
            ptx_fail_here(p, ".shared is missing after .extern");
    } else if (ptx_accept_dot(p, "param"))
        ptx_decl_var(p, PV_PARAM, (struct ptx_linkage){0});
    else if (ptx_accept_dot(p, "global"))
        ptx_decl_var(p, PV_GLOBAL, (struct ptx_linkage){0});
    else if (ptx_accept_dot(p, "loc") || ptx_accept_dot(p, "file"))
        while (!p->failed && p->lex.now.kind != TK_END && p->lex.now.line == line &&
               !ptx_is_punct(&p->lex.now, '}'))
            ptx_next(p);
    else if (ptx_accept_dot(p, "pragma")) {
        while (!p->failed && !ptx_is_punct(&p->lex.now, ';') && p->lex.now.kind != TK_END)
            ptx_next(p);
        ptx_expect(p, ';');
    } else
        ptx_fail_here(p, "the directive .%.*s is not supported here",
                      p->lex.now.size > 60 ? 60 : (int)p->lex.now.size, p->lex.now.text);
}

void ptx_body(struct ptx_parser *p, struct ptx_function *f)
{
    p->b.f = f;
    if (!ptx_expect(p, '{'))
        return;
    uint64_t saved[PTX_SCOPE_DEPTH_MAX + 2];
    ptx_build_label(p);
    ptx_lower_prologue(p, p->stmt, f);
    while (!p->failed) {
        if (ptx_accept(p, '{')) {
            if (p->b.depth >= PTX_SCOPE_DEPTH_MAX) {
                ptx_fail_here(p, "more than %d nested scopes", PTX_SCOPE_DEPTH_MAX);
                return;
            }
            saved[p->b.depth++] = p->b.local_now;
        } else if (ptx_is_punct(&p->lex.now, '}')) {
            resolve_fixups(p);
            bool last = p->b.depth == 1;
            if (last)
                break;
            ptx_names_leave(&p->names, p->b.depth);
            p->b.local_now = saved[--p->b.depth];
            ptx_next(p);
        } else if (p->lex.now.kind == TK_DOT) {
            body_directive(p);
        } else if (ptx_accept(p, ';')) {
        } else if (p->lex.now.kind == TK_END) {
            ptx_fail_here(p, "the function %.100s does not end", f->name);
        } else {
            label_or_statement(p);
        }
    }
    if (p->failed)
        return;
    // Control that runs off the end returns.
    p->stmt->guard = PTX_ID_NONE;
    p->stmt->line = p->lex.now.line;
    ptx_lower_return(p, p->stmt);
    if (ptx_build_finish(p))
        ptx_next(p); // the closing brace, only now: a failure above has its place
}
