// SPDX-License-Identifier: Apache-2.0
// The limits of a mock device that several parts must agree on.
#ifndef GN_TESTS_MOCK_MOCK_LIMITS_H
#define GN_TESTS_MOCK_MOCK_LIMITS_H

enum {
    MOCK_BLOCK_THREADS_MAX = 1024,
    MOCK_BLOCK_X_MAX = 1024,
    MOCK_BLOCK_Y_MAX = 1024,
    MOCK_BLOCK_Z_MAX = 64,
    MOCK_GRID_X_MAX = 2147483647,
    MOCK_GRID_YZ_MAX = 65535,
    MOCK_WARP_THREADS = 32,
    MOCK_PITCH_MAX = 2147483647,
    MOCK_BLOCK_REGISTERS_MAX = 65536, // and of an SM
    MOCK_SHARED_DEFAULT_MAX = 48 << 10, // a block's, without opting in to more
};

struct mock_sm_shape {
    unsigned sm;
    int sm_threads, sm_blocks, sm_shared_bytes;
    int block_shared_bytes; // opt-in
    int reserved_shared_bytes;
    int cluster_blocks;     // portable cluster size; 1: no clusters
};

const struct mock_sm_shape *mock_shape(void); // of the devices

#endif
