// SPDX-License-Identifier: Apache-2.0
// When launches reach the driver, told to other processes: GENIE_MOCK=stamp=FILE.
//
// FILE is made when it does not exist, and mapped, shared, by every process that is given it: it holds a struct mock_stamps. A launch that
// passed its checks takes the next number n = launches++ and writes the time of its submission to launch_ns[n % MOCK_STAMPS]. The clock is
// CLOCK_MONOTONIC, the same in every process of a machine; 0 means not written yet, and a slot keeps its old stamp until its next turn.
//
// A benchmark in another process maps FILE (read-only will do), reads `launches` (= n), notes the time, calls cuLaunchKernel, polls until
// launch_ns[n % MOCK_STAMPS] is not what it was, and has the latency from call to start: a lone launch finds its stream idle, so it starts
// when it is submitted. With several clients on one server give each its server, or take the launches' order.
#ifndef GN_TESTS_MOCK_MOCK_STAMP_H
#define GN_TESTS_MOCK_MOCK_STAMP_H

#include <stdatomic.h>
#include <stdint.h>

enum { MOCK_STAMPS = 1 << 15 }; // 256 KiB: more launches than a benchmark lets pass between two looks
#define MOCK_STAMPS_MAGIC UINT64_C(0x31504d4154534e47) // "GNSTAMP1"

struct mock_stamps {
    uint64_t magic, capacity;                // MOCK_STAMPS; both written last
    _Atomic uint64_t launches;               // that have been given a number
    uint64_t reserved[5];
    _Atomic uint64_t launch_ns[MOCK_STAMPS]; // release; a reader's acquire pairs with it
};

extern struct mock_stamps *mock_stamps; // NULL: not asked for

// Maps the file, and makes it one when it is new. 0 or -errno; -EPROTO: the file is something else.
int mock_stamps_open(const char *path);
void mock_stamp_launch(void);

#endif
