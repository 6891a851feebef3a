// SPDX-License-Identifier: Apache-2.0
// Lowers instructions on bit fields, counts, permutations, packed dot products and SIMD video.
#include "ptx_bits.h"
#include "ptx_float_lower.h"

#include <string.h>

static bool want(struct ptx_parser *p, struct ptx_stmt *s, bool ok, enum ptx_type t)
{
    if (!ok)
        ptx_lower_fail(p, s, "the type .%s is not supported here", ptx_types[t].name);
    return ok && !p->failed;
}

static bool is_wide(enum ptx_type t) { return ptx_types[t].bytes == 8; }
static bool bits_3264(enum ptx_type t) { return t == PT_B32 || t == PT_B64; }
static bool ints_3264(enum ptx_type t) { return t == PT_U32 || t == PT_S32 || t == PT_U64 || t == PT_S64; }
static int four(enum ptx_type t) { return (is_wide(t) ? 2 : 0) + (ptx_types[t].kind == PK_SIGNED); }

static void count(struct ptx_parser *p, struct ptx_stmt *s, int op) // popc, clz, brev
{
    enum ptx_type t = ptx_take_type(p, s);
    if (want(p, s, bits_3264(t), t))
        ptx_emit_alu(p, s, (enum ptx_op)(op + is_wide(t)), op == OP_BREV_32 ? t : PT_U32, t, PT_NONE,
                     PT_NONE);
}

static void bfind(struct ptx_parser *p, struct ptx_stmt *s, int arg)
{
    (void)arg;
    bool amount = ptx_take(s, "shiftamt");
    enum ptx_type t = ptx_take_type(p, s);
    if (want(p, s, ints_3264(t), t))
        ptx_emit_alu(p, s, (enum ptx_op)(OP_BFIND_u32 + four(t)), PT_U32, t, PT_NONE, PT_NONE)->sub = amount;
}

static void bfe(struct ptx_parser *p, struct ptx_stmt *s, int arg)
{
    (void)arg;
    enum ptx_type t = ptx_take_type(p, s);
    if (want(p, s, ints_3264(t), t))
        ptx_emit_alu(p, s, (enum ptx_op)(OP_BFE_u32 + four(t)), t, t, PT_U32, PT_U32);
}

static void bfi(struct ptx_parser *p, struct ptx_stmt *s, int arg)
{
    (void)arg;
    enum ptx_type t = ptx_take_type(p, s);
    if (!want(p, s, bits_3264(t), t))
        return;
    uint32_t length = ptx_value(p, s, &s->opd[4].one, PT_U32);
    ptx_emit_alu(p, s, (enum ptx_op)(OP_BFI_32 + is_wide(t)), t, t, t, PT_U32);
    ptx_ref(p, PTX_F_E0, length, false);
}

static void fns(struct ptx_parser *p, struct ptx_stmt *s, int arg)
{
    (void)arg;
    enum ptx_type t = ptx_take_type(p, s);
    if (want(p, s, t == PT_B32, t))
        ptx_emit_alu(p, s, OP_FNS, t, PT_B32, PT_B32, PT_S32);
}

static bool take_clamp(struct ptx_parser *p, struct ptx_stmt *s)
{
    bool clamp = ptx_take(s, "clamp");
    if (!clamp && !ptx_take(s, "wrap"))
        ptx_lower_fail(p, s, ".clamp or .wrap is missing");
    return clamp;
}

static void bmsk(struct ptx_parser *p, struct ptx_stmt *s, int arg)
{
    (void)arg;
    bool clamp = take_clamp(p, s);
    enum ptx_type t = ptx_take_type(p, s);
    if (want(p, s, t == PT_B32, t))
        ptx_emit_alu(p, s, OP_BMSK, t, t, t, PT_NONE)->sub = clamp ? PTX_CLAMP : 0;
}

static void szext(struct ptx_parser *p, struct ptx_stmt *s, int arg)
{
    (void)arg;
    bool clamp = take_clamp(p, s);
    enum ptx_type t = ptx_take_type(p, s);
    if (want(p, s, t == PT_U32 || t == PT_S32, t))
        ptx_emit_alu(p, s, OP_SZEXT, t, t, PT_U32, PT_NONE)->sub =
            (uint16_t)((clamp ? PTX_CLAMP : 0) | (t == PT_S32 ? PTX_SIGNED : 0));
}

static void lop3(struct ptx_parser *p, struct ptx_stmt *s, int arg)
{
    (void)arg;
    enum ptx_type t = ptx_take_type(p, s);
    if (s->opd_count != 5 || s->opd[4].kind != OK_IMM || s->opd[4].one.number > 255) {
        ptx_lower_fail(p, s, "the table is a number below 256");
        return;
    }
    if (want(p, s, t == PT_B32, t))
        ptx_emit_alu(p, s, OP_LOP3, t, t, t, t)->sub = (uint16_t)s->opd[4].one.number;
}

static void shf(struct ptx_parser *p, struct ptx_stmt *s, int arg)
{
    (void)arg;
    bool left = ptx_take(s, "l");
    if (!left && !ptx_take(s, "r"))
        ptx_lower_fail(p, s, ".l or .r is missing");
    bool clamp = take_clamp(p, s);
    enum ptx_type t = ptx_take_type(p, s);
    if (want(p, s, t == PT_B32, t))
        ptx_emit_alu(p, s, left ? OP_SHF_L : OP_SHF_R, t, t, t, PT_U32)->sub = clamp ? PTX_CLAMP : 0;
}

static void prmt(struct ptx_parser *p, struct ptx_stmt *s, int arg)
{
    (void)arg;
    static const char *const modes[] = {"f4e", "b4e", "rc8", "ecl", "ecr", "rc16", NULL};
    enum ptx_type t = ptx_take_type(p, s);
    int mode = ptx_take_one(s, modes, -1);
    if (want(p, s, t == PT_B32, t))
        ptx_emit_alu(p, s, mode < 0 ? OP_PRMT : OP_PRMT_MODE, t, t, t, PT_U32)->sub =
            (uint16_t)(mode < 0 ? 0 : mode);
}

static void dot(struct ptx_parser *p, struct ptx_stmt *s, int two)
{
    bool high = two && ptx_take(s, "hi");
    if (two && !high && !ptx_take(s, "lo"))
        ptx_lower_fail(p, s, ".lo or .hi is missing");
    enum ptx_type a = ptx_take_type(p, s), b = ptx_take_type(p, s);
    if ((a != PT_U32 && a != PT_S32) || (b != PT_U32 && b != PT_S32))
        ptx_lower_fail(p, s, "the types are .u32 or .s32");
    ptx_emit_alu(p, s, two ? OP_DP2A : OP_DP4A, PT_B32, PT_B32, PT_B32, PT_B32)->sub =
        (uint16_t)((a == PT_S32 ? PTX_DOT_A_SIGNED : 0) | (b == PT_S32 ? PTX_DOT_B_SIGNED : 0) |
                   (high ? PTX_DOT_HIGH : 0));
}

static void video(struct ptx_parser *p, struct ptx_stmt *s, int op) // vadd2, vadd4 ...
{
    static const char *const compares[] = {"eq", "ne", "lt", "le", "gt", "ge", NULL};
    bool bytes = s->op[s->op_size - 1] == '4', set = op == PTX_V_SET;
    bool sat = ptx_take(s, "sat"), sum = ptx_take(s, "add");
    enum ptx_type d = set ? PT_U32 : ptx_take_type(p, s), a = ptx_take_type(p, s), b = ptx_take_type(p, s);
    int cmp = set ? ptx_take_one(s, compares, -1) : 0;
    if (cmp < 0 || ptx_types[d].bytes != 4 || ptx_types[a].bytes != 4 || ptx_types[b].bytes != 4 ||
        !ptx_is_int(d) || !ptx_is_int(a) || !ptx_is_int(b)) {
        ptx_lower_fail(p, s, "the types are .u32 or .s32");
        return;
    }
    struct ptx_insn *in = ptx_emit_alu(p, s, OP_VSIMD, PT_B32, PT_B32, PT_B32, PT_B32);
    in->imm = cmp;
    in->sub =
        (uint16_t)(op | (bytes ? PTX_V_BYTES : 0) | (ptx_types[a].kind == PK_SIGNED ? PTX_V_A_SIGNED : 0) |
                   (ptx_types[b].kind == PK_SIGNED ? PTX_V_B_SIGNED : 0) |
                   (ptx_types[d].kind == PK_SIGNED ? PTX_V_D_SIGNED : 0) | (sat ? PTX_V_SAT : 0) |
                   (sum ? PTX_V_SUM : 0));
}

const struct ptx_opcode ptx_opcodes_bits[] = {{"popc", count, OP_POPC_32, 2, 2},
                                              {"clz", count, OP_CLZ_32, 2, 2},
                                              {"brev", count, OP_BREV_32, 2, 2},
                                              {"bfind", bfind, 0, 2, 2},
                                              {"bfe", bfe, 0, 4, 4},
                                              {"bfi", bfi, 0, 5, 5},
                                              {"fns", fns, 0, 4, 4},
                                              {"bmsk", bmsk, 0, 3, 3},
                                              {"szext", szext, 0, 3, 3},
                                              {"lop3", lop3, 0, 5, 5},
                                              {"shf", shf, 0, 4, 4},
                                              {"prmt", prmt, 0, 4, 4},
                                              {"dp4a", dot, 0, 4, 4},
                                              {"dp2a", dot, 1, 4, 4},
                                              {"vadd2", video, PTX_V_ADD, 4, 4},
                                              {"vadd4", video, PTX_V_ADD, 4, 4},
                                              {"vsub2", video, PTX_V_SUB, 4, 4},
                                              {"vsub4", video, PTX_V_SUB, 4, 4},
                                              {"vavrg2", video, PTX_V_AVRG, 4, 4},
                                              {"vavrg4", video, PTX_V_AVRG, 4, 4},
                                              {"vabsdiff2", video, PTX_V_ABSDIFF, 4, 4},
                                              {"vabsdiff4", video, PTX_V_ABSDIFF, 4, 4},
                                              {"vmin2", video, PTX_V_MIN, 4, 4},
                                              {"vmin4", video, PTX_V_MIN, 4, 4},
                                              {"vmax2", video, PTX_V_MAX, 4, 4},
                                              {"vmax4", video, PTX_V_MAX, 4, 4},
                                              {"vset2", video, PTX_V_SET, 4, 4},
                                              {"vset4", video, PTX_V_SET, 4, 4},
                                              {NULL, NULL, 0, 0, 0}};
