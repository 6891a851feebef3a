// SPDX-License-Identifier: Apache-2.0
// How instructions on bits and packed bytes say what they do: written by ptx_lower_bits.c, read by
// ptx_ops_bits.c.
#ifndef GN_TESTS_MOCK_PTX_BITS_H
#define GN_TESTS_MOCK_PTX_BITS_H

enum { PTX_SHIFT_AMOUNT = 1 }; // bfind: distance to shift the bit to the top
enum { PTX_CLAMP = 1 };        // shf, bmsk, szext: amounts above the width stop there, else they wrap
enum { PTX_SIGNED = 2 };       // szext
enum { PTX_DOT_A_SIGNED = 1, PTX_DOT_B_SIGNED = 2, PTX_DOT_HIGH = 4 };
enum ptx_prmt { PTX_PRMT_F4E, PTX_PRMT_B4E, PTX_PRMT_RC8, PTX_PRMT_ECL, PTX_PRMT_ECR, PTX_PRMT_RC16 };

// SIMD video instructions: operation in bits 0-3, flags above; the comparison of vset in `imm`.
enum ptx_vsimd { PTX_V_ADD, PTX_V_SUB, PTX_V_AVRG, PTX_V_ABSDIFF, PTX_V_MIN, PTX_V_MAX, PTX_V_SET };
enum {
    PTX_V_OP = 0xf,
    PTX_V_BYTES = 1 << 4,
    PTX_V_A_SIGNED = 1 << 5,
    PTX_V_B_SIGNED = 1 << 6,
    PTX_V_D_SIGNED = 1 << 7,
    PTX_V_SAT = 1 << 8,
    PTX_V_SUM = 1 << 9
};

#endif
