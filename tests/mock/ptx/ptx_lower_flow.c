// SPDX-License-Identifier: Apache-2.0
// Lowers control flow: branches, calls, returns, exits, traps, and the stack of local memory.
#include "ptx_lower.h"
#include "ptx_mem.h"

#include <errno.h>

static void to_label(struct ptx_parser *p, const struct ptx_operand *o)
{
    struct ptx_fixup *x = p->failed ? NULL : ptx_vec_push(&p->b.fixups);
    if (x)
        *x = (struct ptx_fixup){.insn = p->b.code.count - 1,
                                .target_list = UINT32_MAX,
                                .name = o->one.text,
                                .size = o->one.size,
                                .depth = p->b.depth,
                                .line = o->line,
                                .column = o->column};
    else if (!p->failed)
        ptx_fail(p, -ENOMEM, o->line, o->column, "no memory for the module");
}

// Instructions that move lanes between groups carry no guard: a branch over them does that work. Returns the
// branch to be patched.
uint32_t ptx_guard_begin(struct ptx_parser *p, struct ptx_stmt *s)
{
    if (s->guard == PTX_ID_NONE)
        return UINT32_MAX;
    ptx_emit_bare(p, s->line, OP_BRA_COND)->sub = !s->guard_not;
    ptx_ref(p, PTX_F_A, s->guard, false);
    uint32_t at = p->b.code.count - 1;
    s->guard = PTX_ID_NONE;
    return at;
}

void ptx_guard_end(struct ptx_parser *p, uint32_t begin)
{
    if (begin == UINT32_MAX || p->failed)
        return;
    ptx_build_label(p);
    if (!p->failed)
        PTX_VEC_AT(&p->b.code, struct ptx_insn, begin)->imm = p->b.code.count - 1;
}

static void bra(struct ptx_parser *p, struct ptx_stmt *s, int arg)
{
    (void)arg;
    ptx_take(s, "uni");
    const struct ptx_operand *o = &s->opd[0];
    if (o->kind != OK_LABEL) {
        ptx_lower_fail(p, s, "a label is wanted");
        return;
    }
    if (s->guard == PTX_ID_NONE) {
        ptx_emit_bare(p, s->line, OP_BRA);
    } else {
        ptx_emit_bare(p, s->line, OP_BRA_COND)->sub = s->guard_not;
        ptx_ref(p, PTX_F_A, s->guard, false);
    }
    to_label(p, o);
}

static void brx(struct ptx_parser *p, struct ptx_stmt *s, int arg)
{
    (void)arg;
    if (!ptx_take(s, "idx"))
        ptx_lower_fail(p, s, ".idx is missing");
    ptx_take(s, "uni");
    if (s->opd[1].kind != OK_TARGETS) {
        ptx_lower_fail(p, s, "a list of branch targets is wanted");
        return;
    }
    uint32_t index = ptx_value(p, s, &s->opd[0].one, PT_U32), begin = ptx_guard_begin(p, s);
    ptx_emit_bare(p, s->line, OP_BRX)->imm = (int64_t)s->opd[1].one.number;
    ptx_ref(p, PTX_F_A, index, false);
    ptx_guard_end(p, begin);
}

// --- calls ---

static void frame_move(struct ptx_parser *p, struct ptx_stmt *s, enum ptx_type t, uint32_t id,
                       uint32_t offset, bool store)
{
    static const struct {
        uint8_t kind, bytes;
    } moves[PC_COUNT] = {[PC_16] = {PTX_M_B16, 2}, [PC_32] = {PTX_M_B32, 4}, [PC_64] = {PTX_M_B64, 8}};
    enum ptx_class cls = ptx_class_of(t);
    struct ptx_insn *in = ptx_emit_bare(p, s->line, store ? OP_ST_LOCAL : OP_LD_LOCAL);
    in->sub = (uint16_t)(moves[cls].kind | 1 << PTX_M_COUNT_SHIFT);
    in->width = moves[cls].bytes;
    in->imm = offset;
    ptx_ref(p, PTX_F_A, PTX_ID_SPECIAL | PS_FRAME, false);
    ptx_ref(p, PTX_F_D, id, !store);
}

// .reg parameters of functions travel through the frame like the others.
void ptx_lower_prologue(struct ptx_parser *p, struct ptx_stmt *s, const struct ptx_function *f)
{
    s->line = p->lex.now.line;
    for (uint32_t i = 0; i < f->param_count; i++)
        if (f->params[i].is_reg)
            frame_move(p, s, (enum ptx_type)f->params[i].type, f->params[i].vreg, f->params[i].offset, false);
}

void ptx_lower_return(struct ptx_parser *p, struct ptx_stmt *s)
{
    const struct ptx_function *f = p->b.f;
    for (uint32_t i = 0; i < f->result_count; i++)
        if (f->results[i].is_reg)
            frame_move(p, s, (enum ptx_type)f->results[i].type, f->results[i].vreg, f->results[i].offset,
                       true);
    ptx_emit_bare(p, s->line, f->is_entry ? OP_EXIT : OP_RET);
}

static void ret(struct ptx_parser *p, struct ptx_stmt *s, int arg)
{
    (void)arg;
    ptx_take(s, "uni");
    uint32_t begin = ptx_guard_begin(p, s);
    ptx_lower_return(p, s);
    ptx_guard_end(p, begin);
}

struct result_reg {
    uint32_t id, offset;
    enum ptx_type type;
};

static struct ptx_arg *call_list(struct ptx_parser *p, struct ptx_stmt *s, const struct ptx_operand *o,
                                 const struct ptx_formal *formals, uint32_t formal_count, bool results,
                                 struct ptx_vec *registers)
{
    if (!o || !o->list.count)
        return NULL;
    struct ptx_arg *args = ptx_keep(p, o->list.count * sizeof *args);
    for (uint32_t i = 0; args && i < o->list.count && !p->failed; i++) {
        const struct ptx_item *item = PTX_VEC_AT(&o->list, struct ptx_item, i);
        if (item->kind == OK_VARADDR && item->var && item->var->space == PV_PARAM) {
            args[i] = (struct ptx_arg){item->var->offset, (uint32_t)item->var->size};
            continue;
        }
        // A register or a number: its type is the function's, or its own
        enum ptx_type t = i < formal_count         ? (enum ptx_type)formals[i].type
                          : item->kind == OK_VALUE ? (enum ptx_type)item->type
                                                   : PT_NONE;
        if (ptx_types[t].bytes < 2 || ptx_types[t].bytes > 8 ||
            (results && item->kind != OK_VALUE && item->kind != OK_SINK)) {
            ptx_lower_fail(p, s, "argument %u is not supported", i + 1);
            return NULL;
        }
        args[i] = (struct ptx_arg){ptx_frame_space(p, ptx_types[t].bytes, 8), ptx_types[t].bytes};
        struct result_reg *r = results ? ptx_vec_push(registers) : NULL;
        if (!results)
            frame_move(p, s, t, ptx_value(p, s, item, t), args[i].offset, true);
        else if (r)
            *r = (struct result_reg){ptx_dest(p, s, item, t), args[i].offset, t};
    }
    return args;
}

static void call(struct ptx_parser *p, struct ptx_stmt *s, int arg)
{
    (void)arg;
    ptx_take(s, "uni");
    uint32_t n = 0;
    const struct ptx_operand *results = s->opd[0].kind == OK_LIST ? &s->opd[n++] : NULL;
    const struct ptx_operand *target = n < s->opd_count ? &s->opd[n++] : NULL;
    const struct ptx_operand *args = n < s->opd_count && s->opd[n].kind == OK_LIST ? &s->opd[n++] : NULL;
    bool direct = target && target->kind == OK_FUNC;
    if (!target || (!direct && target->kind != OK_VALUE)) {
        ptx_lower_fail(p, s, "the function is not declared");
        return;
    }
    if (n < s->opd_count)
        n++; // a prototype or a list of targets, which adds nothing
    const struct ptx_function *f = direct ? target->one.func : NULL;
    uint32_t arg_count = args ? args->list.count : 0, result_count = results ? results->list.count : 0;
    if (n != s->opd_count ||
        (f && (f->is_entry || f->param_count != arg_count || f->result_count != result_count))) {
        ptx_lower_fail(p, s, "%u arguments and %u results do not fit the function", arg_count, result_count);
        return;
    }
    uint32_t begin = ptx_guard_begin(p, s), address = direct ? 0 : ptx_value(p, s, &target->one, PT_U64);
    struct ptx_vec registers = {.item_bytes = sizeof(struct result_reg)};
    struct ptx_call c = {.target = f, .arg_count = arg_count, .result_count = result_count};
    c.args = call_list(p, s, args, f ? f->params : NULL, f ? f->param_count : 0, false, &registers);
    c.results = call_list(p, s, results, f ? f->results : NULL, f ? f->result_count : 0, true, &registers);
    for (uint32_t i = 0; f && !p->failed && i < arg_count; i++)
        if (c.args[i].size != f->params[i].size)
            ptx_lower_fail(p, s, "argument %u has %u bytes, the function wants %u", i + 1, c.args[i].size,
                           f->params[i].size);
    for (uint32_t i = 0; f && !p->failed && i < result_count; i++)
        if (c.results[i].size != f->results[i].size)
            ptx_lower_fail(p, s, "result %u has %u bytes, the function gives %u", i + 1, c.results[i].size,
                           f->results[i].size);
    struct ptx_call *slot = p->failed ? NULL : ptx_vec_push(&p->b.calls);
    if (slot) {
        *slot = c;
        ptx_emit_bare(p, s->line, direct ? OP_CALL : OP_CALL_INDIRECT)->imm = p->b.calls.count - 1;
        if (!direct) {
            ptx_ref(p, PTX_F_A, address, false);
            p->b.f->calls_indirect = true;
        }
    }
    for (uint32_t i = 0; i < registers.count; i++) {
        const struct result_reg *r = PTX_VEC_AT(&registers, struct result_reg, i);
        frame_move(p, s, r->type, r->id, r->offset, false);
    }
    ptx_vec_free(&registers);
    ptx_guard_end(p, begin);
}

static void ends(struct ptx_parser *p, struct ptx_stmt *s, int op) // exit, trap, brkpt
{
    uint32_t begin = ptx_guard_begin(p, s);
    ptx_emit_bare(p, s->line, (enum ptx_op)op);
    ptx_guard_end(p, begin);
}

static void stack(struct ptx_parser *p, struct ptx_stmt *s, int op) // alloca, stacksave, stackrestore
{
    enum ptx_type t = ptx_take_type(p, s);
    if (ptx_types[t].bytes < 4 || ptx_types[t].kind == PK_FLOAT)
        ptx_lower_fail(p, s, "the type is .u32 or .u64");
    bool reads = op != OP_STACKSAVE, writes = op != OP_STACKRESTORE;
    int64_t align = op == OP_ALLOCA && s->opd_count == 3 ? (int64_t)s->opd[2].one.number : 8;
    if (op == OP_ALLOCA && (align <= 0 || align > 4096 || (align & (align - 1)) ||
                            (s->opd_count == 3 && s->opd[2].kind != OK_IMM)))
        ptx_lower_fail(p, s, "an alignment is a power of two");
    uint32_t a = reads ? ptx_value(p, s, &s->opd[writes ? 1 : 0].one, t) : 0,
             d = writes ? ptx_dest(p, s, &s->opd[0].one, t) : 0;
    struct ptx_insn *in = ptx_emit(p, s, (enum ptx_op)op);
    in->sub = ptx_types[t].bytes == 8;
    in->imm = align;
    if (writes)
        ptx_ref(p, PTX_F_D, d, true);
    if (reads)
        ptx_ref(p, PTX_F_A, a, false);
    if (!p->failed)
        p->b.f->uses_stack_alloc = true;
}

const struct ptx_opcode ptx_opcodes_flow[] = {{"bra", bra, 0, 1, 1},
                                              {"brx", brx, 0, 2, 2},
                                              {"call", call, 0, 1, 4},
                                              {"ret", ret, 0, 0, 0},
                                              {"exit", ends, OP_EXIT, 0, 0},
                                              {"trap", ends, OP_TRAP, 0, 0},
                                              {"brkpt", ends, OP_BRKPT, 0, 0},
                                              {"alloca", stack, OP_ALLOCA, 2, 3},
                                              {"stacksave", stack, OP_STACKSAVE, 1, 1},
                                              {"stackrestore", stack, OP_STACKRESTORE, 1, 1},
                                              {NULL, NULL, 0, 0, 0}};
