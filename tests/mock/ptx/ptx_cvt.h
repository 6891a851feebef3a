// SPDX-License-Identifier: Apache-2.0
// How general conversions say what they do: written by ptx_lower_cvt.c, read by ptx_ops_cvt.c.
#ifndef GN_TESTS_MOCK_PTX_CVT_H
#define GN_TESTS_MOCK_PTX_CVT_H

// `imm` of OP_CVT_ANY and OP_CVT_PAIR: types and classes. Flags and the rounding mode are in `sub` as for
// arithmetic.
#define PTX_CVT_SOURCE(imm)       ((unsigned)((imm)&0xff))
#define PTX_CVT_DEST(imm)         ((unsigned)((imm) >> 8 & 0xff))
#define PTX_CVT_SOURCE_CLASS(imm) ((unsigned)((imm) >> 16 & 0xff))
#define PTX_CVT_DEST_CLASS(imm)   ((unsigned)((imm) >> 24 & 0xff))
enum {
    PTX_CVT_INTEGER = 1 << 12 /* round to an integral value */,
    PTX_CVT_FINITE = 1 << 13 /* .satfinite */
};

#endif
