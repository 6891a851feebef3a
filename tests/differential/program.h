// SPDX-License-Identifier: Apache-2.0
// A program of driver calls: operations over numbered slots, done by one to four threads, and what each operation answered.
//
// Slots stand for handles, so one program runs on any driver and reads the same. Each slot is created once in a program: what is destroyed
// stays destroyed, and a later use of it is deliberate misuse.
#ifndef GN_DIFFERENTIAL_PROGRAM_H
#define GN_DIFFERENTIAL_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "tests/differential/kinds.h"

enum {
    THREADS = 4,
    OPS = 256,  // of a program
    ARGS = 8,   // of an operation
    VALUES = 3, // that an operation answers besides its code
    CONTEXTS = 4,
    PRIMARY = 3,  // the context slot of the device's primary context
    STREAMS = 10, // 0: NULL, 1: legacy, 2: per thread, then those that a program creates
    STREAM_FIRST = 3,
    EVENTS = 8,
    DEVICES = 20, // device allocations; the last MODULES are the global variable of each module
    GLOBAL_FIRST = 17,
    HOSTS = 12, // host buffers: pinned ones that a program allocates, then pageable ones that are there
    PAGEABLE_FIRST = 6,
    MODULES = 3,
    FUNCTIONS = 8,
    NONE = 0xff, // no slot: the argument is the number itself (0: NULL)
};

enum kernel { NOTHING, FILL, ADD, COPY, BUMP, EIGHT, MANY, POKE, KERNELS };
extern const char *const kernel_names[KERNELS];
extern const char kernels_ptx[];
enum { GLOBAL_BYTES = 64 }; // of the modules' global variable, all zeros at first

struct arg {
    uint8_t slot;
    int64_t n; // the offset in bytes from a device or host slot; the number of all others
};

struct op {
    uint8_t kind, thread;
    uint8_t section; // operations that stand together and share a section other than 0 run without order between their threads
    uint8_t lane;    // set by the model: where the work goes, for the order of host functions
    bool free_code;  // set by the model: whether work has ended is not determined, and not compared
    struct arg args[ARGS];
};

struct program {
    uint64_t seed;
    unsigned count;
    struct op ops[OPS];
};

struct record {
    int32_t code;
    uint32_t done; // 1: the operation was reached and returned
    uint64_t values[VALUES];
};

// One run of a program on one driver. `reached` counts operations that have returned, for whoever watches from outside.
struct outcome {
    _Atomic unsigned reached;
    struct record records[OPS];
};

static inline uint64_t random_next(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

// The size of a host buffer that is there from the beginning.
size_t pageable_bytes(unsigned slot);

// The same program from the same seed and settings, always.
struct settings {
    uint64_t groups; // 1 << enum group, those that are used
    unsigned ops, threads;
};
void program_generate(struct program *p, uint64_t seed, const struct settings *s);

// Goes through the operations, says whether every outcome is determined (or marked free) and notes free_code. This is what keeps generated
// and shrunk programs from racing with themselves.
bool program_check(struct program *p);

// As text, which program_read reads again; and as a C program for any driver.
void program_write(const struct program *p, FILE *f);
int program_read(struct program *p, FILE *f, char *why, size_t why_bytes);
void program_print_c(const struct program *p, FILE *f);
void op_print_c(const struct op *op, FILE *f);

// Runs it on the driver whose functions are in `driver`.
struct driver {
    void *entries[KINDS];
    void *init;
};
int driver_open(struct driver *d, const char *path, char *why, size_t why_bytes);
bool driver_break(struct driver *d, const char *how); // makes it a driver with a known defect: the tester's own test
void program_run(const struct driver *d, const struct program *p, struct outcome *o);

#endif
