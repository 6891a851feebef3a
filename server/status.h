// SPDX-License-Identifier: Apache-2.0
// What a worker tells the front door about itself: a page of counters in shared memory, read by genie-ctl status.
#ifndef GN_SERVER_STATUS_H
#define GN_SERVER_STATUS_H

#include <stdatomic.h>
#include <stdint.h>

struct gn_status { // written by the worker, read by the front door; relaxed atomics: each number is true, together they may be a moment apart
    _Atomic uint64_t commands, replies, launches;
    _Atomic uint64_t received_bytes, sent_bytes, payload_in_bytes, payload_out_bytes;
    _Atomic uint64_t memory_bytes, handles;
    _Atomic uint64_t near_waits; // waits that the reading thread saw the end of
    _Atomic uint64_t receives, looks, look_hits; // receives of commands; those that began with looking, and those that so found some
    _Atomic uint64_t lane_sends; // pieces of data that went over lanes
    _Atomic uint64_t kept, kept_device_bytes, kept_host_bytes; // copies kept for the client, and where they are
    _Atomic uint64_t kept_moved_bytes, fetched_bytes; // to host memory, because the program needed the device's; to the client
    _Atomic uint64_t resident_copied_bytes; // uploads by content that were copies on the device
    _Atomic uint32_t lanes; // that have joined
    _Atomic uint32_t ready; // the driver is open and the session runs
    char program[256];      // set before ready
    char transport[16];     // the link's name: set before ready
};

#endif
