// SPDX-License-Identifier: Apache-2.0
// genie-micro: the program that is measured. It uses the CUDA driver API like any other program, and runs on
// a driver directly, with the shim preloaded, or linked with libgenie.a. genie-bench tells it over a socket
// what to do next, so that several of them, one a baseline, take turns within one run.
#ifndef GN_BENCH_MICRO_H
#define GN_BENCH_MICRO_H

#include <cuda.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    GN_MICRO_REPEATING_BYTES = 16 << 20,
    GN_MICRO_VALUES_MAX = 512,
    GN_MICRO_NAME_BYTES = 64,
    GN_MICRO_KERNELS = 3
};

struct gn_micro {
    CUcontext context;
    CUmodule module;
    CUfunction kernels[GN_MICRO_KERNELS]; // 0, 8 and 32 parameters
    void *parameters[32];
    CUstream stream;
    CUdeviceptr memory;           // of memory_bytes; all copies but the repeating ones write the same there
    CUdeviceptr repeating_memory; // of GN_MICRO_REPEATING_BYTES
    uint8_t *pageable, *pinned;   // the same bytes, which do not compress; memory_bytes each
    uint8_t *repeating;           // GN_MICRO_REPEATING_BYTES that do
    size_t memory_bytes;
    const struct mock_stamps *stamps; // NULL: launches are not stamped
};

// What one turn gave: values in the row's unit, or what failed.
struct gn_micro_result {
    double values[GN_MICRO_VALUES_MAX];
    unsigned count;
    uint64_t calls; // of what the row counts, in all
    char failed[200];
};

struct gn_micro_row {
    char name[GN_MICRO_NAME_BYTES];
    const char *unit; // "us", "GB/s"; "calls": the row is only done, whoever asks takes the time of it
    const char *about;
    void (*run)(struct gn_micro *m, const struct gn_micro_row *row, struct gn_micro_result *result);
    uint64_t number; // what the function makes of it: bytes, threads, a kernel
    bool pinned, repeats;
    bool stamped; // needs GENIE_MOCK=stamp=FILE
};

extern const char gn_micro_image[]; // PTX of the kernels

// Tables of rows, each ends with an empty name.
extern const struct gn_micro_row gn_micro_launch_rows[], gn_micro_object_rows[];
// Copies up to max_bytes into rows[0 .. room - 1]; how many.
unsigned gn_micro_copy_rows(struct gn_micro_row *rows, unsigned room, uint64_t max_bytes);

double gn_micro_now_us(void);
// A turn goes on for so long; its first round is done however late it is, because a row without a value would be one that failed.
static inline bool gn_micro_goes_on(int rounds, double begin_us, double turn_us)
{
    return !rounds || gn_micro_now_us() - begin_us < turn_us;
}
void gn_micro_value(struct gn_micro_result *result, double value);
// false, and the reason in the result, when a call failed.
bool gn_micro_good(struct gn_micro_result *result, CUresult code, const char *what);
// In a function that gets `result`: gives up the turn when the call fails.
#define TRY(call)                                                                                            \
    do {                                                                                                     \
        if (!gn_micro_good(result, call, #call))                                                             \
            return;                                                                                          \
    } while (0)

#endif
