// SPDX-License-Identifier: Apache-2.0
// Declarations: registers, variables of every space with their initial values, parameters.
#include "ptx_parse.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { DIMS_MAX = 8 };

static struct ptx_name *declare(struct ptx_parser *p, const struct ptx_token *name, uint32_t depth,
                                uint32_t kind)
{
    struct ptx_name *known = ptx_names_find(&p->names, name->text, name->size);
    if (known && known->depth == depth) {
        ptx_fail(p, -EINVAL, name->line, name->column, "%.*s is declared twice", (int)name->size, name->text);
        return NULL;
    }
    struct ptx_name *n = ptx_names_add(&p->names, name->text, name->size, depth);
    if (!n) {
        ptx_fail_here(p, "no memory for the module");
        return NULL;
    }
    n->kind = kind;
    return n;
}

uint32_t ptx_vreg_new(struct ptx_parser *p, enum ptx_type type)
{
    if (p->b.vregs.count >= PTX_VREGS_MAX) {
        ptx_fail(p, -E2BIG, p->lex.now.line, p->lex.now.column, "%s uses more than %d registers",
                 p->b.f->name ? p->b.f->name : "a function", PTX_VREGS_MAX);
        return 0;
    }
    struct ptx_vreg *v = ptx_vec_push(&p->b.vregs);
    if (!v) {
        ptx_fail(p, -ENOMEM, p->lex.now.line, p->lex.now.column, "no memory for the module");
        return 0;
    }
    v->type = (uint8_t)type;
    v->cls = (uint8_t)ptx_class_of(type);
    v->block = UINT32_MAX;
    return p->b.vregs.count - 1;
}

static enum ptx_type expect_type(struct ptx_parser *p)
{
    struct ptx_token t = p->lex.now;
    enum ptx_type type = t.kind == TK_DOT ? ptx_type_named(t.text, t.size) : PT_NONE;
    if (type == PT_NONE)
        ptx_fail_here(p, "a type is missing");
    else
        ptx_next(p);
    return type;
}

static unsigned vector_count(struct ptx_parser *p)
{
    return ptx_accept_dot(p, "v2") ? 2 : ptx_accept_dot(p, "v4") ? 4 : ptx_accept_dot(p, "v8") ? 8 : 1;
}

void ptx_decl_reg(struct ptx_parser *p)
{
    unsigned vector = vector_count(p);
    enum ptx_type type = expect_type(p);
    if (type == PT_B128) {
        ptx_fail_here(p, "registers of type .b128 are not supported");
        return;
    }
    do {
        struct ptx_token name;
        if (p->failed || !ptx_expect_name(p, &name))
            return;
        if (ptx_accept(p, '<')) {
            int64_t count = 0;
            // The closing '>' would read as an operator, so the count is a plain number.
            if (p->lex.now.kind == TK_INT) {
                count = (int64_t)p->lex.now.number;
                ptx_next(p);
            }
            if (count <= 0 || count > (int64_t)1 << 40) {
                ptx_fail_here(p, "a range of registers wants a count");
                return;
            }
            ptx_expect(p, '>');
            struct ptx_range *range = ptx_keep(p, sizeof *range);
            struct ptx_name *n = range ? declare(p, &name, p->b.depth, NK_RANGE) : NULL;
            if (!n)
                return;
            *range = (struct ptx_range){.type = (uint8_t)type, .count = (uint64_t)count, .depth = p->b.depth};
            n->value = range;
        } else {
            struct ptx_name *n = declare(p, &name, p->b.depth, vector > 1 ? NK_VECTOR : NK_VREG);
            if (!n)
                return;
            n->number = ptx_vreg_new(p, type);
            for (unsigned i = 1; i < vector; i++)
                ptx_vreg_new(p, type); // the components follow each other
            n->kind = vector > 1 ? NK_VECTOR : NK_VREG;
            n->value = (void *)(uintptr_t)vector;
        }
    } while (ptx_accept(p, ','));
    ptx_expect(p, ';');
}

uint32_t ptx_frame_space(struct ptx_parser *p, uint64_t size, uint32_t align)
{
    uint64_t at = (p->b.local_now + align - 1) / align * align;
    if (size > PTX_LOCAL_BYTES_MAX || at + size > PTX_LOCAL_BYTES_MAX) {
        ptx_fail(p, -E2BIG, p->lex.now.line, p->lex.now.column, "more than %d bytes of local memory",
                 PTX_LOCAL_BYTES_MAX);
        return 0;
    }
    p->b.local_now = at + size;
    if (p->b.local_now > p->b.local_max)
        p->b.local_max = p->b.local_now;
    return (uint32_t)at;
}

// --- initial values ---

struct init {
    uint8_t *bytes;
    uint64_t used, capacity;
    uint64_t at; // where the next element goes
    uint64_t dims[DIMS_MAX + 1];
    unsigned dim_count;
    unsigned element; // bytes
    enum ptx_type type;
    struct ptx_vec relocs;
};

static bool put(struct ptx_parser *p, struct init *in, uint64_t value)
{
    if (in->at + in->element > PTX_INIT_BYTES_MAX) {
        ptx_fail(p, -E2BIG, p->lex.now.line, p->lex.now.column, "an initialiser of more than 256 MiB");
        return false;
    }
    if (in->at + in->element > in->capacity) {
        uint64_t capacity = in->capacity ? in->capacity * 2 : 256;
        while (capacity < in->at + in->element)
            capacity *= 2;
        uint8_t *bytes = realloc(in->bytes, capacity);
        if (!bytes) {
            ptx_fail(p, -ENOMEM, p->lex.now.line, p->lex.now.column, "no memory for the module");
            return false;
        }
        memset(bytes + in->capacity, 0, capacity - in->capacity);
        in->bytes = bytes;
        in->capacity = capacity;
    }
    memcpy(in->bytes + in->at, &value, in->element); // little endian, as the device
    in->at += in->element;
    if (in->at > in->used)
        in->used = in->at;
    return true;
}

// A symbol, generic(symbol), each with + offset; `mask` is UINT64_MAX without one.
static void init_symbol(struct ptx_parser *p, struct init *in, uint64_t mask)
{
    bool generic = ptx_token_is(&p->lex.now, TK_NAME, "generic");
    struct ptx_token name;
    if (!ptx_expect_name(p, &name) ||
        (generic && (!ptx_expect(p, '(') || !ptx_expect_name(p, &name) || !ptx_expect(p, ')'))))
        return;
    int64_t addend = 0;
    if (ptx_is_punct(&p->lex.now, '+') || ptx_is_punct(&p->lex.now, '-'))
        ptx_const_expr(p, &addend);
    struct ptx_reloc *r = ptx_vec_push(&in->relocs);
    char *copy = ptx_arena_string(p->m->arena, name.text, name.size);
    if (!r || !copy) {
        ptx_fail_here(p, "no memory for the module");
        return;
    }
    unsigned shift = mask == UINT64_MAX ? 0 : (unsigned)__builtin_ctzll(mask);
    *r = (struct ptx_reloc){.offset = in->at,
                            .name = copy,
                            .line = name.line,
                            .column = name.column,
                            .bytes = (uint8_t)in->element,
                            .shift = (uint8_t)shift,
                            .addend = addend};
    put(p, in, 0);
}

static uint64_t float_as(enum ptx_type type, const struct ptx_token *t, bool negative)
{
    double d;
    float f;
    if (t->is_single) {
        uint32_t bits = (uint32_t)t->number;
        memcpy(&f, &bits, 4);
        d = f;
    } else {
        memcpy(&d, &t->number, 8);
        f = (float)d;
    }
    uint64_t out = 0;
    if (type == PT_F64) {
        d = negative ? -d : d;
        memcpy(&out, &d, 8);
    } else if (t->is_single && !negative) {
        out = t->number;
    } else {
        f = negative ? -f : f;
        memcpy(&out, &f, 4);
    }
    return out;
}

static void init_scalar(struct ptx_parser *p, struct init *in)
{
    if (p->lex.now.kind == TK_NAME && !ptx_token_is(&p->lex.now, TK_NAME, "WARP_SZ")) {
        init_symbol(p, in, UINT64_MAX);
        return;
    }
    struct ptx_lex before = p->lex;
    bool negative = ptx_accept(p, '-');
    if (p->lex.now.kind == TK_FLOAT) {
        struct ptx_token t = p->lex.now;
        if (in->element < 4) {
            ptx_fail_here(p, "a floating-point value for a type of %u bytes", in->element);
            return;
        }
        ptx_next(p);
        put(p, in, float_as(in->type, &t, negative));
        return;
    }
    p->lex = before;
    int64_t v;
    if (!ptx_const_expr(p, &v))
        return;
    if (ptx_accept(p, '(')) {
        if (!v) {
            ptx_fail_here(p, "an address mask of zero");
            return;
        }
        init_symbol(p, in, (uint64_t)v);
        ptx_expect(p, ')');
        return;
    }
    if (in->type == PT_F32 || in->type == PT_F64) {
        double d = (double)v;
        struct ptx_token t = {.kind = TK_FLOAT};
        memcpy(&t.number, &d, 8);
        v = (int64_t)float_as(in->type, &t, false);
    }
    put(p, in, (uint64_t)v);
}

static uint64_t level_bytes(const struct init *in, unsigned level) // of one element of dimension `level`
{
    uint64_t bytes = in->element;
    for (unsigned i = level; i < in->dim_count; i++)
        bytes = bytes > PTX_VAR_BYTES_MAX || in->dims[i] > PTX_VAR_BYTES_MAX ? PTX_VAR_BYTES_MAX + 1
                                                                             : bytes * in->dims[i];
    return bytes;
}

static void init_list(struct ptx_parser *p, struct init *in, unsigned level)
{
    if (!ptx_accept(p, '{')) {
        init_scalar(p, in);
        return;
    }
    if (level >= in->dim_count) {
        ptx_fail_here(p, "an initialiser with more braces than dimensions");
        return;
    }
    uint64_t start = in->at;
    bool open_ended = !level && !in->dims[0];
    uint64_t size = open_ended ? UINT64_MAX : level_bytes(in, level);
    while (!p->failed && !ptx_is_punct(&p->lex.now, '}')) {
        if (!open_ended && in->at - start >= size) {
            ptx_fail_here(p, "an initialiser with more values than the variable has room");
            return;
        }
        init_list(p, in, level + 1);
        if (!ptx_accept(p, ','))
            break;
    }
    ptx_expect(p, '}');
    if (!open_ended)
        in->at = start + size;
}

static void array_dims(struct ptx_parser *p, struct init *in)
{
    while (ptx_accept(p, '[')) {
        if (in->dim_count >= DIMS_MAX) {
            ptx_fail_here(p, "more than %d dimensions", DIMS_MAX);
            return;
        }
        int64_t n = 0;
        bool empty = ptx_is_punct(&p->lex.now, ']');
        if (!empty && (!ptx_const_expr(p, &n) || n < 0 || (uint64_t)n > PTX_VAR_BYTES_MAX)) {
            ptx_fail_here(p, "an array size out of range");
            return;
        }
        if (empty && in->dim_count) {
            ptx_fail_here(p, "only the first dimension may be left open");
            return;
        }
        in->dims[in->dim_count++] = (uint64_t)n;
        ptx_expect(p, ']');
    }
}

static void add_global(struct ptx_parser *p, const struct ptx_token *name, struct ptx_var_sym *v)
{
    struct ptx_name *known = ptx_names_find(&p->names, name->text, name->size);
    if (known && known->kind == NK_VAR &&
        known->depth == 0) { // an .extern before its definition, or the other way round
        struct ptx_var_sym *old = known->value;
        if (old->space != v->space || !(old->is_extern || v->is_extern)) {
            ptx_fail(p, -EINVAL, name->line, name->column, "%s is declared twice", v->name);
            return;
        }
        if (!v->is_extern) {
            uint32_t index = old->index;
            v->has_linkage |= old->has_linkage;
            *old = *v;
            old->index = index;
        }
        old->has_linkage |= v->has_linkage;
        return;
    }
    if (p->vars.count + p->shared_all.count >= PTX_VARS_MAX) {
        ptx_fail(p, -E2BIG, name->line, name->column, "more than %d variables", PTX_VARS_MAX);
        return;
    }
    struct ptx_name *n = declare(p, name, 0, NK_VAR);
    struct ptx_vec *list = v->space == PV_SHARED ? &p->shared_all : &p->vars;
    if (!n)
        return;
    v->index = list->count;
    struct ptx_var_sym **slot = ptx_vec_push(list);
    if (slot)
        *slot = v;
    else
        ptx_fail_here(p, "no memory for the module");
    n->value = v;
}

static void add_local(struct ptx_parser *p, const struct ptx_token *name, struct ptx_var_sym *v)
{
    if (v->space == PV_GLOBAL || v->space == PV_CONST) {
        ptx_fail(p, -EINVAL, name->line, name->column,
                 "a .global or .const variable inside a function is not supported");
        return;
    }
    struct ptx_name *n = declare(p, name, p->b.depth, NK_VAR);
    if (!n)
        return;
    n->value = v;
    v->index = UINT32_MAX;
    if (v->space == PV_LOCAL || v->space == PV_PARAM)
        v->offset = ptx_frame_space(p, v->size, v->align);
}

static void finish_var(struct ptx_parser *p, struct init *in, struct ptx_var_sym *v)
{
    bool no_memory = false;
    if (in->used) {
        v->init = ptx_arena_alloc(p->m->arena, in->used);
        no_memory = !v->init;
        if (v->init)
            memcpy(v->init, in->bytes, in->used);
        v->init_bytes = in->used;
    }
    v->relocs = ptx_vec_keep(&in->relocs, p->m->arena, &no_memory);
    v->reloc_count = in->relocs.count;
    if (no_memory)
        ptx_fail_here(p, "no memory for the module");
}

static void one_var(struct ptx_parser *p, struct ptx_var_sym model, unsigned vector)
{
    struct init in = {.element = ptx_types[model.type].bytes,
                      .type = (enum ptx_type)model.type,
                      .relocs.item_bytes = sizeof(struct ptx_reloc)};
    struct ptx_token name;
    struct ptx_var_sym *v = ptx_keep(p, sizeof *v);
    if (!v || !ptx_expect_name(p, &name))
        return;
    *v = model;
    v->at = (struct ptx_place){p->unit, name.line, name.column};
    v->name = ptx_arena_string(p->m->arena, name.text, name.size);
    if (!v->name)
        ptx_fail_here(p, "no memory for the module");
    array_dims(p, &in);
    bool open_ended = in.dim_count && !in.dims[0];
    if (vector > 1)
        in.dims[in.dim_count++] = vector;
    if (!p->failed && ptx_accept(p, '=')) {
        if (v->space != PV_GLOBAL && v->space != PV_CONST)
            ptx_fail(p, -EINVAL, name.line, name.column,
                     "only .global and .const variables have initial values");
        else if (!in.dim_count && ptx_accept(p, '{')) { // braces around a scalar
            init_scalar(p, &in);
            ptx_expect(p, '}');
        } else
            init_list(p, &in, 0);
    }
    uint64_t inner = open_ended ? level_bytes(&in, 1) : level_bytes(&in, 0);
    v->size = open_ended ? (inner ? (in.used + inner - 1) / inner * inner : 0) : inner;
    uint32_t natural = in.element * vector;
    v->align = v->align ? v->align : natural ? natural : 1;
    if (v->size > PTX_VAR_BYTES_MAX)
        ptx_fail(p, -E2BIG, name.line, name.column, "%s has more than 16 GiB", v->name);
    else if (!v->size && !v->is_extern && !open_ended && !p->failed)
        ptx_fail(p, -EINVAL, name.line, name.column, "%s has no size", v->name);
    if (!p->failed)
        finish_var(p, &in, v);
    if (!p->failed && p->b.f && p->b.depth)
        add_local(p, &name, v);
    else if (!p->failed)
        add_global(p, &name, v);
    free(in.bytes);
    ptx_vec_free(&in.relocs);
}

// .attribute(.managed), .attribute(.unified(1,2)): unified memory needs nothing special here.
static void skip_attribute(struct ptx_parser *p)
{
    unsigned depth = 0;
    do {
        depth += ptx_is_punct(&p->lex.now, '(');
        depth -= depth && ptx_is_punct(&p->lex.now, ')');
        ptx_next(p);
    } while (!p->failed && depth && p->lex.now.kind != TK_END);
}

static bool align_directive(struct ptx_parser *p, uint32_t *align)
{
    int64_t v;
    if (!ptx_const_expr(p, &v))
        return false;
    if (v <= 0 || v > 4096 || (v & (v - 1))) {
        ptx_fail_here(p, "an alignment of %lld", (long long)v);
        return false;
    }
    *align = (uint32_t)v;
    return true;
}

void ptx_decl_var(struct ptx_parser *p, enum ptx_var_space space, struct ptx_linkage l)
{
    struct ptx_var_sym model = {.space = (uint8_t)space,
                                .is_extern = l.external,
                                .is_weak = l.weak,
                                .is_common = l.common,
                                .has_linkage = l.visible || l.external || l.weak || l.common};
    unsigned vector = 1;
    for (; !p->failed;) {
        if (ptx_accept_dot(p, "attribute"))
            skip_attribute(p);
        else if (ptx_accept_dot(p, "align")) {
            if (!align_directive(p, &model.align))
                return;
        } else if (vector == 1 && (vector = vector_count(p)) > 1) {
        } else
            break;
    }
    if (!p->failed &&
        (ptx_token_is(&p->lex.now, TK_DOT, "texref") || ptx_token_is(&p->lex.now, TK_DOT, "samplerref") ||
         ptx_token_is(&p->lex.now, TK_DOT, "surfref"))) {
        ptx_fail_here(p, ".%.*s variables are not supported", (int)p->lex.now.size, p->lex.now.text);
        return;
    }
    model.type = (uint8_t)expect_type(p);
    if (!p->failed && model.type == PT_PRED)
        ptx_fail_here(p, "a predicate cannot be in memory");
    do {
        if (p->failed)
            return;
        one_var(p, model, vector);
    } while (ptx_accept(p, ','));
    ptx_expect(p, ';');
}

// --- parameters ---

static void formal_memory(struct ptx_parser *p, struct ptx_function *f, struct ptx_formal *formal,
                          const struct ptx_token *name)
{
    if (f->is_entry) {
        uint64_t at = ((uint64_t)f->param_bytes + formal->align - 1) / formal->align * formal->align;
        if (at + formal->size > PTX_PARAM_BYTES_MAX) {
            ptx_fail(p, -E2BIG, name->line, name->column, "more than %d bytes of parameters",
                     PTX_PARAM_BYTES_MAX);
            return;
        }
        formal->offset = (uint32_t)at;
        f->param_bytes = (uint32_t)(at + formal->size);
    } else {
        formal->offset = ptx_frame_space(p, formal->size, formal->align);
    }
}

static void one_formal(struct ptx_parser *p, struct ptx_function *f, struct ptx_vec *list)
{
    struct ptx_formal formal = {.is_reg = ptx_accept_dot(p, "reg")};
    if (!formal.is_reg && !ptx_accept_dot(p, "param")) {
        ptx_fail_here(p, "a parameter is .param or .reg");
        return;
    }
    enum ptx_type type = PT_NONE;
    unsigned vector = 1;
    while (!p->failed && p->lex.now.kind == TK_DOT) { // .align, .ptr .global and the type, in any order
        if (ptx_accept_dot(p, "align"))
            align_directive(p, &formal.align);
        else if (ptx_accept_dot(p, "ptr")) {
            uint32_t pointee = 0; // what the pointer points to: of no use here
            (void)(ptx_accept_dot(p, "global") || ptx_accept_dot(p, "shared") || ptx_accept_dot(p, "local") ||
                   ptx_accept_dot(p, "const"));
            if (ptx_accept_dot(p, "align"))
                align_directive(p, &pointee);
        } else if (vector == 1 && (vector = vector_count(p)) > 1) {
        } else
            type = expect_type(p);
    }
    struct ptx_token name;
    if (p->failed || !ptx_expect_name(p, &name))
        return;
    struct init dims = {.element = ptx_types[type].bytes * vector};
    array_dims(p, &dims);
    uint64_t size = level_bytes(&dims, 0);
    if (type == PT_NONE || type == PT_PRED || type == PT_B128 ||
        (formal.is_reg && (dims.dim_count || vector > 1)) || size > PTX_LOCAL_BYTES_MAX) {
        ptx_fail(p, -EINVAL, name.line, name.column, "a parameter of this type is not supported");
        return;
    }
    formal.type = (uint8_t)type;
    formal.size = (uint32_t)size;
    formal.align = formal.align ? formal.align : dims.element;
    formal.name = ptx_arena_string(p->m->arena, name.text, name.size);
    formal_memory(p, f, &formal, &name);
    bool anonymous = name.size == 1 && *name.text == '_';
    struct ptx_formal *slot = p->failed || !formal.name ? NULL : ptx_vec_push(list);
    struct ptx_name *n = slot && !anonymous ? declare(p, &name, 1, NK_VAR) : NULL;
    if (!slot || (!n && !anonymous)) {
        ptx_fail_here(p, "no memory for the module");
        return;
    }
    if (n && formal.is_reg) {
        n->kind = NK_VREG;
        n->number = formal.vreg = ptx_vreg_new(p, type);
    } else if (n && f->is_entry) {
        n->kind = NK_ENTRY_PARAM;
        n->number = (uint64_t)formal.size << 32 | formal.offset;
    } else if (n) {
        struct ptx_var_sym *v = ptx_keep(p, sizeof *v);
        if (!v)
            return;
        *v = (struct ptx_var_sym){.name = formal.name,
                                  .space = PV_PARAM,
                                  .type = formal.type,
                                  .align = formal.align,
                                  .size = formal.size,
                                  .offset = formal.offset,
                                  .index = UINT32_MAX};
        n->value = v;
    }
    *slot = formal;
}

// After the '(' of a parameter or result list.
void ptx_param_list(struct ptx_parser *p, struct ptx_function *f, bool results)
{
    struct ptx_vec list = {.item_bytes = sizeof(struct ptx_formal)};
    bool no_memory = false;
    if (!ptx_accept(p, ')')) {
        do
            one_formal(p, f, &list);
        while (ptx_accept(p, ','));
        ptx_expect(p, ')');
    }
    struct ptx_formal *kept = ptx_vec_keep(&list, p->m->arena, &no_memory);
    if (results) {
        f->results = kept;
        f->result_count = list.count;
    } else {
        f->params = kept;
        f->param_count = list.count;
    }
    if (f->is_entry && !p->failed && list.count) {
        f->entry_params = ptx_keep(p, list.count * sizeof *f->entry_params);
        for (uint32_t i = 0; f->entry_params && kept && i < list.count; i++)
            f->entry_params[i] = (struct ptx_param){kept[i].offset, kept[i].size, kept[i].align};
    }
    ptx_vec_free(&list);
    if (no_memory)
        ptx_fail_here(p, "no memory for the module");
}

bool ptx_resolve_relocs(struct ptx_parser *p, uint32_t first)
{
    for (uint32_t i = first; i < p->vars.count && !p->failed; i++) {
        struct ptx_var_sym *v = *PTX_VEC_AT(&p->vars, struct ptx_var_sym *, i);
        for (uint32_t k = 0; k < v->reloc_count; k++) {
            struct ptx_reloc *r = &v->relocs[k];
            struct ptx_name *n = ptx_names_find(&p->names, r->name, strlen(r->name));
            if (n && n->kind == NK_FUNC) {
                r->func = n->value;
            } else if (n && n->kind == NK_VAR && ((struct ptx_var_sym *)n->value)->space <= PV_CONST) {
                r->var = n->value;
            } else {
                ptx_fail(p, -EINVAL, r->line, r->column,
                         "%.100s is not a function or a .global or .const variable", r->name);
                return false;
            }
        }
    }
    return !p->failed;
}
