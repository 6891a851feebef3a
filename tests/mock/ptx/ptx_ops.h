// SPDX-License-Identifier: Apache-2.0
// Every handler by name. The lists make the enumeration and, in the file that implements a list, the table
// of its functions.
//
// Families over widths or types stand in the order 16, 32, 64 bits or u16 s16 u32 s32 u64 s64, so that
// lowering adds an index.
#ifndef GN_TESTS_MOCK_PTX_OPS_H
#define GN_TESTS_MOCK_PTX_OPS_H

#include "ptx_types.h"

// clang-format off: it would indent each line of a list more than the one before

#define PTX_W3(X, n) X(n##_16) X(n##_32) X(n##_64)
#define PTX_W2(X, n) X(n##_32) X(n##_64)
#define PTX_T6(X, n) X(n##_u16) X(n##_s16) X(n##_u32) X(n##_s32) X(n##_u64) X(n##_s64)
#define PTX_T4(X, n) X(n##_u16) X(n##_s16) X(n##_u32) X(n##_s32)
#define PTX_T4W(X, n) X(n##_u32) X(n##_s32) X(n##_u64) X(n##_s64)

// ptx_ops_int.c
#define PTX_OPS_INT(X) \
    PTX_W3(X, MOV) X(MOV_PRED) PTX_W3(X, ADD) PTX_W3(X, SUB) X(ADD_SAT) X(SUB_SAT) PTX_W3(X, MUL_LO) \
    PTX_T6(X, MUL_HI) PTX_T4(X, MUL_WIDE) PTX_W3(X, MAD_LO) PTX_T6(X, MAD_HI) X(MAD_HI_SAT) \
    PTX_T4(X, MAD_WIDE) X(MUL24_HI_u) X(MUL24_HI_s) X(MUL24_LO_u) X(MUL24_LO_s) X(MAD24_HI_u) \
    X(MAD24_HI_s) X(MAD24_LO_u) X(MAD24_LO_s) X(MAD24_HI_SAT) PTX_T6(X, SAD) PTX_T6(X, DIV) \
    PTX_T6(X, REM) PTX_W3(X, ABS) PTX_W3(X, NEG) PTX_T6(X, MIN) PTX_T6(X, MAX) X(MIN_RELU) X(MAX_RELU) \
    X(MIN_u16x2) X(MIN_s16x2) X(MAX_u16x2) X(MAX_s16x2) X(ADD_16x2) PTX_W3(X, AND) PTX_W3(X, OR) \
    PTX_W3(X, XOR) PTX_W3(X, NOT) PTX_W3(X, CNOT) X(AND_PRED) X(OR_PRED) X(XOR_PRED) X(NOT_PRED) \
    PTX_W3(X, SHL) PTX_T6(X, SHR) PTX_W3(X, SELP) X(SELP_PRED) PTX_W3(X, SLCT_S32) PTX_W3(X, SLCT_F32) \
    PTX_W3(X, SETP_EQ) PTX_T6(X, SETP_LT) X(ADDC_32) X(ADDC_64) X(SUBC_32) X(SUBC_64) X(MADC_LO_32) \
    X(MADC_LO_64) X(MADC_HI_u32) X(MADC_HI_s32) X(MADC_HI_u64) X(MADC_HI_s64)

// ptx_ops_bits.c
#define PTX_OPS_BITS(X) \
    PTX_W2(X, POPC) PTX_W2(X, CLZ) PTX_W2(X, BREV) PTX_T4W(X, BFIND) PTX_T4W(X, BFE) PTX_W2(X, BFI) \
    X(FNS) X(BMSK) X(SZEXT) X(LOP3) X(SHF_L) X(SHF_R) X(PRMT) X(PRMT_MODE) X(DP4A) X(DP2A) X(VSIMD) \
    X(PACK_64_32) X(UNPACK_64_32) X(PACK_64_16) X(UNPACK_64_16) X(PACK_32_16) X(UNPACK_32_16) \
    X(PACK_16_8) X(UNPACK_16_8) X(PACK_32_8) X(UNPACK_32_8)

// ptx_ops_float.c
#define PTX_OPS_FLOAT(X) \
    X(ADD_f32) X(SUB_f32) X(MUL_f32) X(FMA_f32) X(ADD_f64) X(SUB_f64) X(MUL_f64) X(FMA_f64) X(ADD_f32x) \
    X(SUB_f32x) X(MUL_f32x) X(FMA_f32x) X(ADD_f64x) X(SUB_f64x) X(MUL_f64x) X(FMA_f64x) X(DIV_f32) \
    X(DIV_f64) X(RCP_f32) X(RCP_f64) X(SQRT_f32) X(SQRT_f64) X(RSQRT_f32) X(RSQRT_f64) X(RCP_APPROX_f64) \
    X(RSQRT_APPROX_f64) X(SIN_f32) X(COS_f32) X(LG2_f32) X(EX2_f32) X(TANH_f32) X(MIN_f32) X(MAX_f32) \
    X(MIN_f64) X(MAX_f64) X(ABS_f32) X(NEG_f32) X(ABS_f64) X(NEG_f64) X(COPYSIGN_f32) X(COPYSIGN_f64) \
    X(TESTP_f32) X(TESTP_f64) X(SETP_EQ_f32) X(SETP_LT_f32) X(SETP_LE_f32) X(SETP_NEO_f32) \
    X(SETP_NUM_f32) X(SETP_EQ_f64) X(SETP_LT_f64) X(SETP_LE_f64) X(SETP_NEO_f64) X(SETP_NUM_f64)

// ptx_ops_half.c: arithmetic of f16, bf16 and their pairs; the type is in `sub`
#define PTX_OPS_HALF(X) X(HALF_1) X(HALF_2) X(HALF_3) X(HALF_SETP) X(HALF_SETP2) X(HALF_SET2)

// ptx_ops_cvt.c: EXT_<source type>_<source register>_<destination register>
#define PTX_EXT_D(X, t, r) X(EXT_##t##_##r##_16) X(EXT_##t##_##r##_32) X(EXT_##t##_##r##_64)
#define PTX_EXT_R3(X, t) PTX_EXT_D(X, t, 16) PTX_EXT_D(X, t, 32) PTX_EXT_D(X, t, 64)
#define PTX_OPS_CVT(X) \
    PTX_EXT_R3(X, u8) PTX_EXT_R3(X, s8) PTX_EXT_R3(X, u16) PTX_EXT_R3(X, s16) PTX_EXT_D(X, u32, 32) \
    PTX_EXT_D(X, u32, 64) PTX_EXT_D(X, s32, 32) PTX_EXT_D(X, s32, 64) PTX_EXT_D(X, u64, 64) \
    PTX_EXT_D(X, s64, 64) X(CVT_f32_s32) X(CVT_f32_u32) X(CVT_f64_s32) X(CVT_f64_u32) X(CVT_f64_f32) \
    X(CVT_f32_f64) X(CVT_s32_f32) X(CVT_u32_f32) X(CVT_f32_f16) X(CVT_f16_f32) X(CVT_ANY) X(CVT_PAIR) \
    X(CVT_UNPAIR)

// ptx_ops_mem.c
#define PTX_OPS_MEM(X) \
    X(LD_GLOBAL_32) X(LD_GLOBAL) X(LD_SHARED_32) X(LD_SHARED) X(LD_LOCAL) X(LD_GENERIC) X(LD_PARAM) \
    X(LD_PARAM_REG) X(ST_GLOBAL_32) X(ST_GLOBAL) X(ST_SHARED_32) X(ST_SHARED) X(ST_LOCAL) X(ST_GENERIC) \
    X(CVTA) X(CVTA_TO) X(ISSPACEP) X(PREFETCH) X(CP_ASYNC)

// ptx_ops_atom.c
#define PTX_OPS_ATOM(X) X(ATOM) X(FENCE) X(NOP)

// ptx_ops_sync.c
#define PTX_OPS_SYNC(X) \
    X(BARRIER) X(BAR_RED) X(BAR_WARP) X(SHFL) X(SHFL_OLD) X(VOTE) X(VOTE_OLD) X(MATCH_ANY_32) \
    X(MATCH_ANY_64) X(MATCH_ALL_32) X(MATCH_ALL_64) X(ACTIVEMASK) X(REDUX) X(ELECT) X(NANOSLEEP)

// ptx_ops_flow.c
#define PTX_OPS_FLOW(X) \
    X(LEADER) X(BRA) X(BRA_COND) X(BRX) X(CALL) X(CALL_INDIRECT) X(RET) X(EXIT) X(TRAP) X(BRKPT) \
    X(SREG32) X(SREG64) X(EXPLICIT_CLUSTER) X(FRAME_ADDR32) X(FRAME_ADDR64) X(ALLOCA) X(STACKSAVE) \
    X(STACKRESTORE)

#define PTX_OPS_ALL(X) \
    PTX_OPS_INT(X) PTX_OPS_BITS(X) PTX_OPS_FLOAT(X) PTX_OPS_HALF(X) PTX_OPS_CVT(X) PTX_OPS_MEM(X) \
    PTX_OPS_ATOM(X) PTX_OPS_SYNC(X) PTX_OPS_FLOW(X)

// clang-format on
#define PTX_ENUM_OP(name) OP_##name,
enum ptx_op { PTX_OPS_ALL(PTX_ENUM_OP) PTX_OP_COUNT };

// The function of a handler for this processor.
ptx_fn ptx_handler(enum ptx_op op);
extern const char *const ptx_op_names[PTX_OP_COUNT];

static inline bool ptx_op_counts(unsigned op) // time is counted at these
{
    return op == OP_LEADER || op == OP_BRA || op == OP_BRA_COND || op == OP_BRX || op == OP_CALL ||
           op == OP_CALL_INDIRECT || op == OP_RET || op == OP_EXIT;
}
static inline bool ptx_op_ends_block(unsigned op)
{
    return op == OP_BRA || op == OP_BRA_COND || op == OP_BRX || op == OP_RET || op == OP_EXIT ||
           op == OP_TRAP || op == OP_BRKPT;
}
static inline bool ptx_op_falls_through(unsigned op)
{
    return op == OP_BRA_COND || !ptx_op_ends_block(op);
}

// Files that are compiled for several instruction sets get a suffix from PTX_ISA; the others have none.
#ifdef PTX_ISA
#define PTX_CAT2(a, b) a##_##b
#define PTX_CAT(a, b) PTX_CAT2(a, b)
#define PTX_TABLE(name) PTX_CAT(name, PTX_ISA)
#else
#define PTX_TABLE(name) name
#endif
#define PTX_DECLARE_TABLES(isa)                                                                              \
    extern const ptx_fn ptx_table_int_##isa[], ptx_table_bits_##isa[], ptx_table_float_##isa[];              \
    extern const ptx_fn ptx_table_half_##isa[], ptx_table_cvt_##isa[], ptx_table_mem_##isa[];
PTX_DECLARE_TABLES(base)
PTX_DECLARE_TABLES(avx2)
PTX_DECLARE_TABLES(avx512)
extern const ptx_fn ptx_table_atom[], ptx_table_sync[], ptx_table_flow[];
#define PTX_TABLE_ENTRY(name) h_##name,

#endif
