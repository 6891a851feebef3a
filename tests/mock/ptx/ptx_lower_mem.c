// SPDX-License-Identifier: Apache-2.0
// Lowers loads, stores, atomics, prefetches, address conversions and asynchronous copies.
#include "ptx_lower.h"
#include "ptx_mem.h"
#include "ptx_warp.h"

#include <errno.h>

static const char *const spaces[] = {"global", "shared",       "shared::cta", "local", "const",
                                     "param",  "param::entry", "param::func", NULL};
enum space {
    SP_GLOBAL,
    SP_SHARED,
    SP_SHARED_CTA,
    SP_LOCAL,
    SP_CONST,
    SP_PARAM,
    SP_PARAM_ENTRY,
    SP_PARAM_FUNC,
    SP_GENERIC
};

static unsigned access_space(enum space space)
{
    switch (space) {
    case SP_GLOBAL:
    case SP_CONST: return PTX_A_GLOBAL;
    case SP_SHARED:
    case SP_SHARED_CTA: return PTX_A_SHARED;
    case SP_LOCAL:
    case SP_PARAM_FUNC: return PTX_A_LOCAL;
    case SP_PARAM:
    case SP_PARAM_ENTRY: return PTX_A_PARAM;
    default: return PTX_A_GENERIC;
    }
}

// Hints about caches and the width of fetches change nothing here.
static void take_hints(struct ptx_stmt *s)
{
    static const char *const hints[] = {"ca",
                                        "cg",
                                        "cs",
                                        "lu",
                                        "cv",
                                        "wb",
                                        "wt",
                                        "nc",
                                        "weak",
                                        "L1::evict_normal",
                                        "L1::evict_unchanged",
                                        "L1::evict_first",
                                        "L1::evict_last",
                                        "L1::no_allocate",
                                        "L2::64B",
                                        "L2::128B",
                                        "L2::256B",
                                        "L2::evict_first",
                                        "L2::evict_last",
                                        "L2::evict_normal",
                                        "unified",
                                        NULL};
    for (int i = 0; hints[i]; i++)
        ptx_take(s, hints[i]);
}

static bool take_scope(struct ptx_stmt *s)
{
    static const char *const scopes[] = {"cta", "gpu", "sys", "cluster", NULL};
    return ptx_take_one(s, scopes, -1) >= 0;
}

// .volatile, .relaxed, .acquire ...: true when the access orders others (fences are added by the caller).
static const char *const orders[] = {"volatile", "relaxed", "acquire", "release",
                                     "acq_rel",  "mmio",    "sc",      NULL};
enum order { OR_VOLATILE, OR_RELAXED, OR_ACQUIRE, OR_RELEASE, OR_ACQ_REL, OR_MMIO, OR_SC };

// The base register of an address and its distance. False for a kernel parameter at a known place.
static uint32_t address(struct ptx_parser *p, struct ptx_stmt *s, const struct ptx_operand *o,
                        enum space *space, int64_t *offset, bool *wide)
{
    *offset = (int64_t)o->one.number;
    *wide = true;
    if (o->kind != OK_ADDRESS) {
        ptx_lower_fail(p, s, "an address in [ ] is wanted");
        return PTX_ID_CONST;
    }
    const struct ptx_item *base = &o->one;
    if (base->kind == OK_IMM) {
        *offset = 0;
        return ptx_const_literal(p, PC_64, base->number);
    }
    if (base->kind == OK_VARADDR && base->var) {
        const struct ptx_var_sym *v = base->var;
        bool fits = *space == SP_GENERIC || (v->space == PV_GLOBAL && *space == SP_GLOBAL) ||
                    (v->space == PV_CONST && *space == SP_CONST) ||
                    (v->space == PV_SHARED && (*space == SP_SHARED || *space == SP_SHARED_CTA)) ||
                    (v->space == PV_LOCAL && *space == SP_LOCAL) ||
                    (v->space == PV_PARAM && (*space == SP_PARAM || *space == SP_PARAM_FUNC));
        if (!fits)
            ptx_lower_fail(p, s, "%.60s is in another space", v->name);
        if (*space == SP_GENERIC) // a variable's own space
            *space = v->space == PV_SHARED                          ? SP_SHARED
                     : v->space == PV_LOCAL || v->space == PV_PARAM ? SP_LOCAL
                                                                    : SP_GLOBAL;
        if (v->space == PV_LOCAL || v->space == PV_PARAM) {
            *space = SP_LOCAL;
            *wide = false;
            *offset += v->offset;
            return PTX_ID_SPECIAL | PS_FRAME;
        }
        *wide = v->space != PV_SHARED;
        return ptx_const_symbol(p, v, NULL, *wide ? PC_64 : PC_32, 0);
    }
    enum ptx_class cls = base->kind == OK_VALUE ? ptx_class_of_id(p, base->id) : PC_64;
    if (base->kind != OK_VALUE || (cls != PC_32 && cls != PC_64) ||
        (cls == PC_32 && (*space == SP_GLOBAL || *space == SP_GENERIC || *space == SP_CONST)))
        ptx_lower_fail(p, s, "the address register has the wrong width");
    *wide = cls == PC_64;
    return base->id;
}

static unsigned move_kind(enum ptx_type t, enum ptx_class cls, bool store)
{
    bool sign = !store && ptx_types[t].kind == PK_SIGNED;
    switch (ptx_types[t].bytes) {
    case 1: return PTX_M_U8_16 + 2u * (cls - PC_16) + sign;
    case 2: return cls == PC_16 ? PTX_M_B16 : PTX_M_U16_32 + 2u * (cls - PC_32) + sign;
    case 4: return cls == PC_32 ? PTX_M_B32 : PTX_M_U32_64 + (unsigned)sign;
    default: return PTX_M_B64;
    }
}

struct vector {
    uint32_t count, ids[8];
    unsigned kind;
};

// The registers of a load or store. They must be of one width, so narrower values are widened by the caller's
// text.
static bool vector_operand(struct ptx_parser *p, struct ptx_stmt *s, const struct ptx_operand *o,
                           uint32_t count, enum ptx_type t, bool store, struct vector *v)
{
    const struct ptx_item *items = o->kind == OK_VECTOR ? o->items : &o->one;
    uint32_t given = o->kind == OK_VECTOR ? o->count : 1;
    if (given != count || (count > 1 && o->kind != OK_VECTOR)) {
        ptx_lower_fail(p, s, "%u registers for %u elements", given, count);
        return false;
    }
    enum ptx_class cls = PC_PRED;
    v->count = count;
    for (uint32_t i = 0; i < count; i++) {
        enum ptx_class one;
        if (items[i].kind == OK_SINK && !store) {
            v->ids[i] = PTX_ID_NONE;
            continue;
        }
        v->ids[i] =
            store ? ptx_value_wide(p, s, &items[i], t, &one) : ptx_dest_wide(p, s, &items[i], t, &one);
        if (cls != PC_PRED && one != cls)
            ptx_lower_fail(p, s, "the registers of a vector have different widths");
        cls = one;
    }
    v->kind = move_kind(t, cls == PC_PRED ? ptx_class_of(t) : cls, store);
    return !p->failed;
}

static void vector_refs(struct ptx_parser *p, struct ptx_insn *in, const struct vector *v, uint32_t first,
                        uint32_t count, bool store)
{
    for (int i = 0; i < 4; i++)
        in->e[i] = PTX_NO_PLACE;
    if (v->count == 1) {
        ptx_ref(p, PTX_F_D, v->ids[0] == PTX_ID_NONE ? ptx_temp(p, PT_B64) : v->ids[0], !store);
        return;
    }
    for (uint32_t i = 0; i < count; i++)
        if (v->ids[first + i] != PTX_ID_NONE)
            ptx_ref(p, (uint8_t)(PTX_F_E0 + i), v->ids[first + i], !store);
}

static enum ptx_op memory_op(unsigned space, bool store, bool common)
{
    static const enum ptx_op loads[] = {OP_LD_GLOBAL, OP_LD_SHARED, OP_LD_LOCAL, OP_LD_GENERIC,
                                        OP_LD_PARAM_REG};
    static const enum ptx_op stores[] = {OP_ST_GLOBAL, OP_ST_SHARED, OP_ST_LOCAL, OP_ST_GENERIC,
                                         OP_ST_GENERIC};
    if (common && space <= PTX_A_SHARED)
        return space == PTX_A_GLOBAL ? (store ? OP_ST_GLOBAL_32 : OP_LD_GLOBAL_32)
                                     : (store ? OP_ST_SHARED_32 : OP_LD_SHARED_32);
    return store ? stores[space] : loads[space];
}

static void load_store(struct ptx_parser *p, struct ptx_stmt *s, int store)
{
    int order = ptx_take_one(s, orders, -1);
    bool scope = take_scope(s);
    (void)scope;
    enum space space = (enum space)ptx_take_one(s, spaces, SP_GENERIC);
    take_hints(s);
    bool hinted = ptx_take(s, "L2::cache_hint");
    uint32_t count = ptx_take(s, "v2") ? 2 : ptx_take(s, "v4") ? 4 : ptx_take(s, "v8") ? 8 : 1;
    enum ptx_type t = ptx_take_type(p, s);
    const struct ptx_operand *place = &s->opd[store ? 0 : 1];
    if (s->opd_count != 2u + hinted || ptx_types[t].bytes < 1 || ptx_types[t].bytes > 8 ||
        count * ptx_types[t].bytes > 32 || (count == 8 && ptx_types[t].bytes != 4)) {
        ptx_lower_fail(p, s, "not supported with these operands");
        return;
    }
    if (store && (space == SP_CONST || (space == SP_PARAM && p->b.f->is_entry && place->is_entry_param))) {
        ptx_lower_fail(p, s, "this space cannot be written");
        return;
    }
    struct vector v;
    bool wide = true;
    int64_t offset = (int64_t)place->one.number;
    uint32_t base = PTX_ID_NONE;
    enum ptx_op op;
    if (place->kind == OK_ADDRESS && place->is_entry_param) {
        uint64_t bytes = (uint64_t)count * ptx_types[t].bytes;
        if (offset < 0 || (uint64_t)offset + bytes > p->b.f->param_bytes || (uint64_t)offset % bytes ||
            (space != SP_PARAM && space != SP_PARAM_ENTRY))
            ptx_lower_fail(p, s, "the access is not aligned inside the parameters");
        op = OP_LD_PARAM;
    } else {
        base = address(p, s, place, &space, &offset, &wide);
        op = memory_op(access_space(space), store,
                       count == 1 && ptx_types[t].bytes == 4 &&
                           (wide == (space != SP_SHARED && space != SP_SHARED_CTA)));
    }
    if (!vector_operand(p, s, &s->opd[store ? 1 : 0], count, t, store, &v))
        return;
    if (v.kind != PTX_M_B32 && op != OP_LD_PARAM)
        op = memory_op(access_space(space), store, false);
    if (order >= OR_RELEASE && order != OR_MMIO && !store)
        ptx_lower_fail(p, s, "a load does not release");
    unsigned sub = v.kind | (wide ? PTX_M_ADDR64 : 0) |
                   (order == OR_ACQUIRE || order == OR_SC ? PTX_M_ACQUIRE : 0) |
                   (order == OR_RELEASE || order == OR_SC ? PTX_M_RELEASE : 0);
    if (sub & (PTX_M_ACQUIRE | PTX_M_RELEASE) && op != OP_LD_PARAM)
        op = memory_op(access_space(space), store, false);
    for (uint32_t first = 0; first < count; first += 4) { // eight elements are two instructions
        uint32_t part = count - first > 4 ? 4 : count - first;
        struct ptx_insn *in = ptx_emit(p, s, op);
        in->sub = (uint16_t)(sub | part << PTX_M_COUNT_SHIFT);
        in->width = ptx_types[t].bytes;
        in->imm = offset + (int64_t)first * ptx_types[t].bytes;
        vector_refs(p, in, &v, first, part, store);
        if (base != PTX_ID_NONE)
            ptx_ref(p, PTX_F_A, base, false);
    }
}

static void ldu(struct ptx_parser *p, struct ptx_stmt *s, int arg) { load_store(p, s, arg); }

static void prefetch(struct ptx_parser *p, struct ptx_stmt *s, int arg)
{
    (void)arg;
    static const char *const levels[] = {"L1", "L2", "tensormap", "L2::evict_last", "L2::evict_normal", NULL};
    ptx_take_one(s, spaces, SP_GENERIC);
    ptx_take_one(s, levels, 0);
    ptx_emit(p, s, OP_PREFETCH);
}

static void discard(struct ptx_parser *p, struct ptx_stmt *s, int arg) // applypriority, discard: hints too
{
    (void)arg;
    ptx_take_one(s, spaces, SP_GENERIC);
    take_hints(s);
    ptx_take(s, "L2");
    ptx_emit(p, s, OP_PREFETCH);
}

static void createpolicy(struct ptx_parser *p, struct ptx_stmt *s,
                         int arg) // a cache policy: any value will do
{
    (void)arg;
    for (uint32_t i = 0; i < s->mod_count; i++)
        s->mods[i].taken = true;
    uint32_t zero = ptx_const_literal(p, PC_64, 0), dest = ptx_dest(p, s, &s->opd[0].one, PT_B64);
    ptx_emit(p, s, OP_MOV_64);
    ptx_ref(p, PTX_F_D, dest, true);
    ptx_ref(p, PTX_F_A, zero, false);
}

// --- addresses as values ---

static int64_t window_of(enum space space)
{
    switch (space) {
    case SP_SHARED:
    case SP_SHARED_CTA: return PTX_WINDOW_SHARED;
    case SP_LOCAL: return PTX_WINDOW_LOCAL;
    case SP_PARAM:
    case SP_PARAM_ENTRY: return PTX_WINDOW_PARAM;
    default: return 0;
    }
}

static void cvta(struct ptx_parser *p, struct ptx_stmt *s, int arg)
{
    (void)arg;
    bool to = ptx_take(s, "to");
    enum space space = (enum space)ptx_take_one(s, spaces, SP_GENERIC);
    enum ptx_type t = ptx_take_type(p, s);
    if (t != PT_U64 || space == SP_GENERIC || space == SP_PARAM_FUNC) {
        ptx_lower_fail(p, s, "a space and .u64 are wanted");
        return;
    }
    // The address of a function's parameter is one of local memory.
    if (s->opd[1].kind == OK_VARADDR && s->opd[1].one.var && s->opd[1].one.var->space == PV_PARAM)
        space = SP_LOCAL;
    int64_t window = window_of(space);
    if (!window)
        ptx_emit_alu(p, s, OP_MOV_64, t, t, PT_NONE, PT_NONE);
    else
        ptx_emit_alu(p, s, to ? OP_CVTA_TO : OP_CVTA, t, t, PT_NONE, PT_NONE)->imm = window;
}

static void isspacep(struct ptx_parser *p, struct ptx_stmt *s, int arg)
{
    (void)arg;
    enum space space = (enum space)ptx_take_one(s, spaces, SP_GENERIC);
    if (space == SP_GENERIC)
        ptx_lower_fail(p, s, "a space is wanted");
    struct ptx_insn *in = ptx_emit_alu(p, s, OP_ISSPACEP, PT_PRED, PT_U64, PT_NONE, PT_NONE);
    in->imm = window_of(space);
    in->sub = space == SP_CONST;
}

// --- atomics ---

static const char *const atom_ops[] = {"add",  "min", "max", "and", "or", "xor",
                                       "exch", "cas", "inc", "dec", NULL};

static int atom_type(enum ptx_type t, int op)
{
    bool bitwise = op >= PTX_AO_AND && op <= PTX_AO_CAS;
    switch (t) {
    case PT_B32: return bitwise ? PTX_AT_U32 : -1;
    case PT_B64: return bitwise ? PTX_AT_U64 : -1;
    case PT_B16: return op == PTX_AO_CAS ? PTX_AT_B16 : -1;
    case PT_U32: return PTX_AT_U32;
    case PT_S32: return op <= PTX_AO_MAX ? PTX_AT_S32 : -1;
    case PT_U64: return op <= PTX_AO_MAX ? PTX_AT_U64 : -1;
    case PT_S64: return op <= PTX_AO_MAX ? PTX_AT_S64 : -1;
    case PT_F32: return op == PTX_AO_ADD ? PTX_AT_F32 : -1;
    case PT_F64: return op == PTX_AO_ADD ? PTX_AT_F64 : -1;
    case PT_F16: return op <= PTX_AO_MAX ? PTX_AT_F16 : -1;
    case PT_BF16: return op <= PTX_AO_MAX ? PTX_AT_BF16 : -1;
    case PT_F16X2: return op <= PTX_AO_MAX ? PTX_AT_F16X2 : -1;
    case PT_BF16X2: return op <= PTX_AO_MAX ? PTX_AT_BF16X2 : -1;
    default: return -1;
    }
}

static void fence(struct ptx_parser *p, struct ptx_stmt *s) { ptx_emit(p, s, OP_FENCE); }

static void atom(struct ptx_parser *p, struct ptx_stmt *s, int red)
{
    int order = ptx_take_one(s, orders, OR_RELAXED);
    take_scope(s);
    enum space space = (enum space)ptx_take_one(s, spaces, SP_GENERIC);
    int op = ptx_take_one(s, atom_ops, -1);
    bool noftz = ptx_take(s, "noftz"), hinted = ptx_take(s, "L2::cache_hint");
    (void)noftz; // subnormals are kept always
    take_hints(s);
    enum ptx_type t = ptx_take_type(p, s);
    int type = op < 0 ? -1 : atom_type(t, op);
    uint32_t sources = op == PTX_AO_CAS ? 2 : 1, first = red ? 0 : 1;
    if (type < 0 || s->opd_count != first + 1 + sources + hinted ||
        (red && (op == PTX_AO_CAS || op == PTX_AO_EXCH)) ||
        (space != SP_GENERIC && space != SP_GLOBAL && space != SP_SHARED && space != SP_SHARED_CTA)) {
        ptx_lower_fail(p, s, "not supported with this type or these operands");
        return;
    }
    int64_t offset;
    bool wide;
    uint32_t base = address(p, s, &s->opd[first], &space, &offset, &wide);
    uint32_t b = ptx_value(p, s, &s->opd[first + 1].one, t),
             c = sources > 1 ? ptx_value(p, s, &s->opd[first + 2].one, t) : 0;
    uint32_t dest = red || s->opd[0].kind == OK_SINK ? PTX_ID_NONE : ptx_dest(p, s, &s->opd[0].one, t);
    if (order == OR_RELEASE || order == OR_ACQ_REL || order == OR_SC)
        fence(p, s);
    struct ptx_insn *in = ptx_emit(p, s, OP_ATOM);
    in->imm = offset;
    in->width = ptx_types[t].bytes;
    in->sub = (uint16_t)((unsigned)op | (unsigned)type << PTX_A_TYPE_SHIFT |
                         access_space(space) << PTX_A_SPACE_SHIFT | (wide ? PTX_A_WIDE : 0) |
                         (dest == PTX_ID_NONE ? PTX_A_RED : 0));
    ptx_ref(p, PTX_F_A, base, false);
    ptx_ref(p, PTX_F_B, b, false);
    if (sources > 1)
        ptx_ref(p, PTX_F_C, c, false);
    if (dest != PTX_ID_NONE)
        ptx_ref(p, PTX_F_D, dest, true);
    if (order == OR_ACQUIRE || order == OR_ACQ_REL || order == OR_SC)
        fence(p, s);
}

static void membar(struct ptx_parser *p, struct ptx_stmt *s, int arg)
{
    (void)arg;
    static const char *const levels[] = {"cta", "gl", "sys", "gpu", "cluster", NULL};
    static const char *const kinds[] = {"sc", "acq_rel", "acquire", "release", NULL};
    if (ptx_take(s, "proxy")) // one kind of access here, so the proxies agree already
        for (uint32_t i = 0; i < s->mod_count; i++)
            s->mods[i].taken = true;
    ptx_take_one(s, kinds, 0);
    ptx_take_one(s, levels, 0);
    fence(p, s);
}

// --- asynchronous copies, which here are done at once ---

static void cp(struct ptx_parser *p, struct ptx_stmt *s, int arg)
{
    (void)arg;
    if (!ptx_take(s, "async")) {
        ptx_lower_fail(p, s, "not implemented");
        return;
    }
    if (ptx_take(s, "commit_group") || ptx_take(s, "wait_group") || ptx_take(s, "wait_all")) {
        ptx_emit(p, s, OP_NOP);
        return;
    }
    bool cached = ptx_take(s, "ca") || ptx_take(s, "cg"),
         to = ptx_take(s, "shared") || ptx_take(s, "shared::cta"), from = ptx_take(s, "global");
    bool hinted = ptx_take(s, "L2::cache_hint");
    take_hints(s);
    uint32_t wanted = 3u + hinted;
    if (!cached || !to || !from || s->opd_count < wanted || s->opd_count > wanted + 1 ||
        s->opd[2].kind != OK_IMM ||
        (s->opd[2].one.number != 4 && s->opd[2].one.number != 8 && s->opd[2].one.number != 16)) {
        ptx_lower_fail(p, s, "not implemented with these operands");
        return;
    }
    enum space shared = SP_SHARED, global = SP_GLOBAL;
    int64_t to_offset, from_offset;
    bool to_wide, from_wide, sized = s->opd_count == wanted + 1;
    uint32_t a = address(p, s, &s->opd[0], &shared, &to_offset, &to_wide),
             b = address(p, s, &s->opd[1], &global, &from_offset, &from_wide);
    uint32_t c = sized ? ptx_value(p, s, &s->opd[3].one, PT_U32) : PTX_ID_NONE;
    struct ptx_insn *in = ptx_emit(p, s, OP_CP_ASYNC);
    in->sub = to_wide ? PTX_M_ADDR64 : 0;
    in->width = (uint8_t)s->opd[2].one.number;
    in->imm = from_offset;
    in->e[0] = (int32_t)to_offset;
    in->c = PTX_NO_PLACE;
    ptx_ref(p, PTX_F_A, a, false);
    ptx_ref(p, PTX_F_B, b, false);
    if (c != PTX_ID_NONE)
        ptx_ref(p, PTX_F_C, c, false);
}

const struct ptx_opcode ptx_opcodes_mem[] = {{"ld", load_store, 0, 2, 3},
                                             {"st", load_store, 1, 2, 3},
                                             {"ldu", ldu, 0, 2, 2},
                                             {"prefetch", prefetch, 0, 1, 1},
                                             {"prefetchu", prefetch, 0, 1, 1},
                                             {"discard", discard, 0, 2, 2},
                                             {"applypriority", discard, 0, 2, 2},
                                             {"createpolicy", createpolicy, 0, 1, 4},
                                             {"cvta", cvta, 0, 2, 2},
                                             {"isspacep", isspacep, 0, 2, 2},
                                             {"atom", atom, 0, 3, 5},
                                             {"red", atom, 1, 2, 3},
                                             {"membar", membar, 0, 0, 0},
                                             {"fence", membar, 0, 0, 0},
                                             {"cp", cp, 0, 0, 5},
                                             {NULL, NULL, 0, 0, 0}};
