// SPDX-License-Identifier: Apache-2.0
// How barriers, shuffles, votes and reductions say what they do: written by ptx_lower_sync.c, read by
// ptx_ops_sync.c.
#ifndef GN_TESTS_MOCK_PTX_SYNC_H
#define GN_TESTS_MOCK_PTX_SYNC_H

// Barriers: a is the id's place, b the count's (if PTX_BAR_COUNT is in `imm`), c the predicate's. `sub` of
// OP_BAR_RED is 0 popc, 1 and, 2 or.
enum { PTX_BAR_COUNT = 1, PTX_BAR_ARRIVE = 2 };
// Shuffles: a value, b lane operand, c clamp and segment, e[0] member mask, e[1] predicate written (if
// PTX_SHFL_PRED).
enum ptx_shfl { PTX_SHFL_UP, PTX_SHFL_DOWN, PTX_SHFL_BFLY, PTX_SHFL_IDX };
enum { PTX_SHFL_MODE = 3, PTX_SHFL_PRED = 4 };
// Votes: a predicate, b member mask.
enum ptx_vote { PTX_VOTE_ALL, PTX_VOTE_ANY, PTX_VOTE_UNI, PTX_VOTE_BALLOT };
enum { PTX_VOTE_MODE = 3 };
// Reductions: a value, b member mask.
enum ptx_redux {
    PTX_R_ADD,
    PTX_R_MIN_U,
    PTX_R_MAX_U,
    PTX_R_MIN_S,
    PTX_R_MAX_S,
    PTX_R_AND,
    PTX_R_OR,
    PTX_R_XOR
};

#endif
