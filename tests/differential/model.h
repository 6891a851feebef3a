// SPDX-License-Identifier: Apache-2.0
// What CUDA guarantees about a program: which work is ordered before which, what is alive, what the host knows to be done.
//
// A "lane" is what executes in order: a stream, the legacy stream of a context, a thread's own default stream. Each lane counts its work;
// a clock says for every lane how much of its work is known to be done. Memory remembers who wrote it last and who has read it since.
#ifndef GN_DIFFERENTIAL_MODEL_H
#define GN_DIFFERENTIAL_MODEL_H

#include "tests/differential/program.h"

enum {
    LANE_LEGACY = 10,                     // + context
    LANE_THREAD = LANE_LEGACY + CONTEXTS, // + context * THREADS + thread
    LANES = LANE_THREAD + CONTEXTS * THREADS,
    NO_LANE = 0xff,
    STACK = 8, // contexts on a thread's stack
};

enum state { UNBORN, LIVE, DEAD };

struct clock {
    uint16_t at[LANES];
};

struct memory {
    uint8_t state, context, owner;
    bool initialised;                            // every byte has been written
    uint8_t pinned;                              // of host memory: 1 yes; 2 perhaps, as its context is gone
    uint8_t writer;                              // the lane that wrote last, or NO_LANE
    uint16_t written;                            // and how much work it had by then
    struct clock read;                           // since then
    uint64_t size_bytes;
    uint64_t slack_bytes;                        // behind it, perhaps: rows are as long as the driver likes
    unsigned died_after;                         // allocations that had been made when it died
};

struct model {
    struct {
        uint8_t state;
        bool lost;
    } contexts[CONTEXTS];
    unsigned retained;                           // of the primary context
    uint8_t stack[THREADS][STACK], depth[THREADS];
    struct {
        uint8_t state, context;
        bool blocking;
    } streams[STREAMS];
    struct {
        struct clock known;                      // what is done before anything that is enqueued now
        struct clock worked;                     // what was done before the last work; what it has waited for since orders nobody else
        struct clock maybe;                      // what drivers may make its new work wait for besides: what other lanes only wait for
        uint16_t count, quiet, host_functions;   // work; of it, what a synchronise has seen done; up to the last host function
        uint8_t owner;
    } lanes[LANES];
    struct {
        uint8_t state, context, owner;
        bool recorded;
        struct clock known, maybe;               // what is done when it has passed; what it may wait for, as `maybe` of a lane
    } events[EVENTS];
    struct memory devices[DEVICES], hosts[HOSTS];
    struct {
        uint8_t state, context;
    } modules[MODULES];
    struct {
        uint8_t state, module, kernel;
    } functions[FUNCTIONS];
    struct clock host[THREADS];
    uint8_t section;
    unsigned allocations;
    uint8_t gate;                                // the lane where a host function waits to be let go, or NO_LANE
    uint16_t gate_at;                            // its place there
    uint8_t faulting;                            // the lane of a kernel that faults, until a synchronise has told
    uint8_t conflict;                            // after a refusal: the lane whose work would have to be waited for, or NO_LANE
    bool is_racy;
};

void model_open(struct model *m);

// Does the operation; false: its outcome would not be determined, and the model is not to be used further (work on a copy).
bool model_do(struct model *m, struct op *op);

// What an operation's arguments mean.
uint8_t model_context(const struct model *m, unsigned thread); // the current one, or NONE
uint8_t model_lane(const struct model *m, unsigned thread, const struct arg *stream);

#endif
