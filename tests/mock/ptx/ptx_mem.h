// SPDX-License-Identifier: Apache-2.0
// How memory instructions say what they move: written by ptx_lower_mem.c, read by the handlers.
#ifndef GN_TESTS_MOCK_PTX_MEM_H
#define GN_TESTS_MOCK_PTX_MEM_H

// `sub` of a memory instruction: how an element meets its register, how many there are, how wide the address
// register is.
enum ptx_move_kind { // loads: from memory to register; stores use those without a sign
    PTX_M_U8_16,
    PTX_M_S8_16,
    PTX_M_U8_32,
    PTX_M_S8_32,
    PTX_M_U8_64,
    PTX_M_S8_64,
    PTX_M_B16,
    PTX_M_U16_32,
    PTX_M_S16_32,
    PTX_M_U16_64,
    PTX_M_S16_64,
    PTX_M_B32,
    PTX_M_U32_64,
    PTX_M_S32_64,
    PTX_M_B64,
};
enum {
    PTX_M_KIND = 0x1f,
    PTX_M_COUNT_SHIFT = 5 /* 1, 2, 4 or 8 elements */,
    PTX_M_COUNT = 0xf,
    PTX_M_ADDR64 = 1 << 9,
    PTX_M_ACQUIRE = 1 << 10,
    PTX_M_RELEASE = 1 << 11
};
#define PTX_M_COUNT_OF(sub) ((sub) >> PTX_M_COUNT_SHIFT & PTX_M_COUNT)
// One element: the register's place in `d`. More: in e[0..3].

// Atomics: `sub` of OP_ATOM.
enum ptx_atom_op {
    PTX_AO_ADD,
    PTX_AO_MIN,
    PTX_AO_MAX,
    PTX_AO_AND,
    PTX_AO_OR,
    PTX_AO_XOR,
    PTX_AO_EXCH,
    PTX_AO_CAS,
    PTX_AO_INC,
    PTX_AO_DEC
};
enum ptx_atom_type {
    PTX_AT_U32,
    PTX_AT_S32,
    PTX_AT_U64,
    PTX_AT_S64,
    PTX_AT_F32,
    PTX_AT_F64,
    PTX_AT_F16,
    PTX_AT_BF16,
    PTX_AT_F16X2,
    PTX_AT_BF16X2,
    PTX_AT_B16
};
enum {
    PTX_A_OP_MASK = 0xf,
    PTX_A_TYPE_SHIFT = 4,
    PTX_A_SPACE_SHIFT = 8 /* PTX_A_GLOBAL... */,
    PTX_A_WIDE = 1 << 11,
    PTX_A_RED = 1 << 12,
    PTX_A_FTZ = 1 << 13
};

#endif
