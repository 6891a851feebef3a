// SPDX-License-Identifier: Apache-2.0
// Lowers barriers, shuffles, votes, matches and warp reductions. Those that wait for other lanes are put
// behind a branch when they are guarded.
#include "ptx_lower.h"
#include "ptx_sync.h"

#include <string.h>

static void barrier(struct ptx_parser *p, struct ptx_stmt *s, int arg)
{
    (void)arg;
    static const char *const kinds[] = {"sync", "arrive", "red", "warp", NULL}, *const reductions[] = {
                                                                                    "popc", "and", "or",
                                                                                    NULL};
    ptx_take(s, "cta");
    if (ptx_take(s, "cluster")) {
        ptx_lower_fail(p, s, "barriers of clusters are not implemented");
        return;
    }
    if (ptx_take(s, "warp")) {
        if (!ptx_take(s, "sync") || s->opd_count != 1)
            ptx_lower_fail(p, s, "one member mask is wanted");
        uint32_t mask = ptx_value(p, s, &s->opd[0].one, PT_B32), begin = ptx_guard_begin(p, s);
        ptx_emit(p, s, OP_BAR_WARP);
        ptx_ref(p, PTX_F_A, mask, false);
        ptx_guard_end(p, begin);
        return;
    }
    int kind = ptx_take_one(s, kinds, -1), reduction = kind == 2 ? ptx_take_one(s, reductions, -1) : -1;
    ptx_take(s, "aligned");
    enum ptx_type t = kind == 2 ? ptx_take_type(p, s) : PT_NONE;
    uint32_t first = kind == 2 ? 1 : 0, last = kind == 2 ? 1 : 0;
    if (kind < 0 || s->opd_count < first + last + 1 || s->opd_count > first + last + 2 ||
        (kind == 1 && s->opd_count != 2) ||
        (kind == 2 && (reduction < 0 || t != (reduction ? PT_PRED : PT_U32)))) {
        ptx_lower_fail(p, s, "not supported with these operands");
        return;
    }
    bool counted = s->opd_count == first + last + 2;
    uint32_t id = ptx_value(p, s, &s->opd[first].one, PT_U32),
             count = counted ? ptx_value(p, s, &s->opd[first + 1].one, PT_U32) : 0;
    uint32_t pred = kind == 2 ? ptx_pred(p, s, &s->opd[s->opd_count - 1].one) : 0,
             dest = kind == 2 ? ptx_dest(p, s, &s->opd[0].one, t) : 0;
    uint32_t begin = ptx_guard_begin(p, s);
    struct ptx_insn *in = ptx_emit(p, s, kind == 2 ? OP_BAR_RED : OP_BARRIER);
    in->imm = (counted ? PTX_BAR_COUNT : 0) | (kind == 1 ? PTX_BAR_ARRIVE : 0);
    in->sub = (uint16_t)(kind == 2 ? reduction : 0);
    ptx_ref(p, PTX_F_A, id, false);
    if (counted)
        ptx_ref(p, PTX_F_B, count, false);
    if (kind == 2) {
        ptx_ref(p, PTX_F_C, pred, false);
        ptx_ref(p, PTX_F_D, dest, true);
    }
    ptx_guard_end(p, begin);
}

static void shfl(struct ptx_parser *p, struct ptx_stmt *s, int arg)
{
    (void)arg;
    static const char *const modes[] = {"up", "down", "bfly", "idx", NULL};
    bool sync = ptx_take(s, "sync");
    int mode = ptx_take_one(s, modes, -1);
    enum ptx_type t = ptx_take_type(p, s);
    if (mode < 0 || t != PT_B32 || s->opd_count != (sync ? 5u : 4u)) {
        ptx_lower_fail(p, s, "not supported with these operands");
        return;
    }
    uint32_t a = ptx_value(p, s, &s->opd[1].one, t), b = ptx_value(p, s, &s->opd[2].one, PT_B32),
             c = ptx_value(p, s, &s->opd[3].one, PT_B32);
    uint32_t mask = sync ? ptx_value(p, s, &s->opd[4].one, PT_B32) : 0,
             dest = ptx_dest(p, s, &s->opd[0].one, t);
    uint32_t pred = s->opd[0].has_pair ? ptx_dest(p, s, &s->opd[0].pair, PT_PRED) : PTX_ID_NONE;
    uint32_t begin = ptx_guard_begin(p, s);
    struct ptx_insn *in = ptx_emit(p, s, sync ? OP_SHFL : OP_SHFL_OLD);
    in->sub = (uint16_t)(mode | (pred != PTX_ID_NONE ? PTX_SHFL_PRED : 0));
    ptx_ref(p, PTX_F_A, a, false);
    ptx_ref(p, PTX_F_B, b, false);
    ptx_ref(p, PTX_F_C, c, false);
    if (sync)
        ptx_ref(p, PTX_F_E0, mask, false);
    ptx_ref(p, PTX_F_D, dest, true);
    if (pred != PTX_ID_NONE)
        ptx_ref(p, PTX_F_E1, pred, true);
    ptx_guard_end(p, begin);
}

static void vote(struct ptx_parser *p, struct ptx_stmt *s, int arg)
{
    (void)arg;
    static const char *const modes[] = {"all", "any", "uni", "ballot", NULL};
    bool sync = ptx_take(s, "sync");
    int mode = ptx_take_one(s, modes, -1);
    enum ptx_type t = ptx_take_type(p, s);
    if (mode < 0 || t != (mode == PTX_VOTE_BALLOT ? PT_B32 : PT_PRED) || s->opd_count != (sync ? 3u : 2u)) {
        ptx_lower_fail(p, s, "not supported with these operands");
        return;
    }
    uint32_t a = ptx_pred(p, s, &s->opd[1].one), mask = sync ? ptx_value(p, s, &s->opd[2].one, PT_B32) : 0,
             dest = ptx_dest(p, s, &s->opd[0].one, t);
    uint32_t begin = ptx_guard_begin(p, s);
    ptx_emit(p, s, sync ? OP_VOTE : OP_VOTE_OLD)->sub = (uint16_t)mode;
    ptx_ref(p, PTX_F_A, a, false);
    if (sync)
        ptx_ref(p, PTX_F_B, mask, false);
    ptx_ref(p, PTX_F_D, dest, true);
    ptx_guard_end(p, begin);
}

static void match(struct ptx_parser *p, struct ptx_stmt *s, int arg)
{
    (void)arg;
    bool all = ptx_take(s, "all"), any = !all && ptx_take(s, "any"), sync = ptx_take(s, "sync");
    enum ptx_type t = ptx_take_type(p, s);
    if ((!all && !any) || !sync || (t != PT_B32 && t != PT_B64)) {
        ptx_lower_fail(p, s, "not supported with these operands");
        return;
    }
    bool wide = t == PT_B64;
    uint32_t a = ptx_value(p, s, &s->opd[1].one, t), mask = ptx_value(p, s, &s->opd[2].one, PT_B32),
             dest = ptx_dest(p, s, &s->opd[0].one, PT_B32);
    uint32_t pred = all && s->opd[0].has_pair ? ptx_dest(p, s, &s->opd[0].pair, PT_PRED)
                    : all                     ? ptx_temp(p, PT_PRED)
                                              : PTX_ID_NONE;
    uint32_t begin = ptx_guard_begin(p, s);
    ptx_emit(p, s, (enum ptx_op)((all ? OP_MATCH_ALL_32 : OP_MATCH_ANY_32) + wide));
    ptx_ref(p, PTX_F_A, a, false);
    ptx_ref(p, PTX_F_B, mask, false);
    ptx_ref(p, PTX_F_D, dest, true);
    if (pred != PTX_ID_NONE)
        ptx_ref(p, PTX_F_E1, pred, true);
    ptx_guard_end(p, begin);
}

static void redux(struct ptx_parser *p, struct ptx_stmt *s, int arg)
{
    (void)arg;
    static const char *const ops[] = {"add", "min", "max", "and", "or", "xor", NULL};
    bool sync = ptx_take(s, "sync");
    int op = ptx_take_one(s, ops, -1);
    enum ptx_type t = ptx_take_type(p, s);
    bool bits = op >= 3;
    if (!sync || op < 0 || (bits ? t != PT_B32 : t != PT_U32 && t != PT_S32)) {
        ptx_lower_fail(p, s, "not supported with this type");
        return;
    }
    static const enum ptx_redux codes[2][6] = {
        {PTX_R_ADD, PTX_R_MIN_U, PTX_R_MAX_U, PTX_R_AND, PTX_R_OR, PTX_R_XOR},
        {PTX_R_ADD, PTX_R_MIN_S, PTX_R_MAX_S, PTX_R_AND, PTX_R_OR, PTX_R_XOR}};
    uint32_t a = ptx_value(p, s, &s->opd[1].one, t), mask = ptx_value(p, s, &s->opd[2].one, PT_B32),
             dest = ptx_dest(p, s, &s->opd[0].one, t);
    uint32_t begin = ptx_guard_begin(p, s);
    ptx_emit(p, s, OP_REDUX)->sub = (uint16_t)codes[t == PT_S32][op];
    ptx_ref(p, PTX_F_A, a, false);
    ptx_ref(p, PTX_F_B, mask, false);
    ptx_ref(p, PTX_F_D, dest, true);
    ptx_guard_end(p, begin);
}

static void activemask(struct ptx_parser *p, struct ptx_stmt *s, int arg)
{
    (void)arg;
    enum ptx_type t = ptx_take_type(p, s);
    if (t != PT_B32)
        ptx_lower_fail(p, s, "the type is .b32");
    ptx_emit_alu(p, s, OP_ACTIVEMASK, PT_B32, PT_NONE, PT_NONE, PT_NONE);
}

static void elect(struct ptx_parser *p, struct ptx_stmt *s, int arg)
{
    (void)arg;
    if (!ptx_take(s, "sync") || !s->opd[0].has_pair) {
        ptx_lower_fail(p, s, "not supported with these operands");
        return;
    }
    uint32_t mask = ptx_value(p, s, &s->opd[1].one, PT_B32), dest = ptx_dest(p, s, &s->opd[0].one, PT_B32),
             pred = ptx_dest(p, s, &s->opd[0].pair, PT_PRED);
    uint32_t begin = ptx_guard_begin(p, s);
    ptx_emit(p, s, OP_ELECT);
    ptx_ref(p, PTX_F_B, mask, false);
    ptx_ref(p, PTX_F_D, dest, true);
    ptx_ref(p, PTX_F_E1, pred, true);
    ptx_guard_end(p, begin);
}

static void sleep_for(struct ptx_parser *p, struct ptx_stmt *s, int arg)
{
    (void)arg;
    enum ptx_type t = ptx_take_type(p, s);
    if (t != PT_U32)
        ptx_lower_fail(p, s, "the type is .u32");
    uint32_t a = ptx_value(p, s, &s->opd[0].one, PT_U32), begin = ptx_guard_begin(p, s);
    ptx_emit(p, s, OP_NANOSLEEP);
    ptx_ref(p, PTX_F_A, a, false);
    ptx_guard_end(p, begin);
}

static void nothing(struct ptx_parser *p, struct ptx_stmt *s, int arg) // hints about registers and launches
{
    (void)arg;
    for (uint32_t i = 0; i < s->mod_count; i++)
        s->mods[i].taken = true;
    ptx_emit(p, s, OP_NOP);
}

const struct ptx_opcode ptx_opcodes_sync[] = {{"bar", barrier, 0, 1, 4},
                                              {"barrier", barrier, 0, 1, 4},
                                              {"shfl", shfl, 0, 4, 5},
                                              {"vote", vote, 0, 2, 3},
                                              {"match", match, 0, 3, 3},
                                              {"redux", redux, 0, 3, 3},
                                              {"activemask", activemask, 0, 1, 1},
                                              {"elect", elect, 0, 2, 2},
                                              {"nanosleep", sleep_for, 0, 1, 1},
                                              {"pmevent", nothing, 0, 1, 1},
                                              {"setmaxnreg", nothing, 0, 1, 1},
                                              {"griddepcontrol", nothing, 0, 0, 0},
                                              {NULL, NULL, 0, 0, 0}};
