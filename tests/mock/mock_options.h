// SPDX-License-Identifier: Apache-2.0
// What GENIE_MOCK asks of the mock driver: the shape of its devices, their time, and the faults to inject.
#ifndef GN_TESTS_MOCK_OPTIONS_H
#define GN_TESTS_MOCK_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MOCK_DEVICES_MAX = 16,
    MOCK_FAULTS_MAX = 32,       // fail= may be given this often
    MOCK_OPTION_BYTES_MAX = 256 // of one key=value
};

struct mock_fault { // the call_index-th call of op fails with code
    unsigned op;
    uint64_t call_index, seen;
    int code;
};

struct mock_options {
    unsigned devices, sms, sm, threads;
    uint64_t mem_bytes;
    int64_t kernel_ns;          // virtual length of a kernel; -1: as long as it takes
    int64_t copy_ns;            // virtual: what each copy and memset takes besides its bytes
    double copy_bytes_per_ns;   // between host and device; 0: as long as it takes
    double memory_bytes_per_ns; // of the device's own memory, for copies in it, memsets and kernels; 0: as long as it takes
    bool is_virtual;            // one of the times or rates is set: streams keep virtual clocks
    bool moves;                 // false: large copies and memsets take their time and move nothing
    bool exec, sass_skip, leaks, verbose;
    bool novmm;                 // a driver without virtual memory management
    uint64_t hang_launch, fall_off_call; // 0: never
    struct mock_fault faults[MOCK_FAULTS_MAX];
    unsigned fault_count;
    char log_path[MOCK_OPTION_BYTES_MAX], stamp_path[MOCK_OPTION_BYTES_MAX];
};

// Reads `text` (NULL or "": all defaults) into *options. 0, or -EINVAL with one line in `error` that names the key and what it takes.
int mock_options_parse(struct mock_options *options, const char *text, char *error, size_t error_bytes);

#endif
