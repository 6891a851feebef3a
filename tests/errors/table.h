// SPDX-License-Identifier: Apache-2.0
// The table of error cases: a row is a call that a driver refuses (or lets pass although one might think
// otherwise), the code a local driver gives for it, at which call that code appears, and how this is known.
//
// The rows are written where they run: each subject is a function that goes through its rows in order, and a
// row's call is evaluated only when the row is to run. So a row is one statement, its text is in the page
// docs/error-cases.md as it is here, and whatever is special about its set-up stands beside it.
#ifndef GN_TESTS_ERRORS_TABLE_H
#define GN_TESTS_ERRORS_TABLE_H

#include <cuda.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum given { // what a row finds; a process does one of these, then runs rows of one kind
    BEFORE_INIT,
    NO_CONTEXT,   // cuInit is done, nothing is current
    A_CONTEXT,    // struct fixture is filled, f->context is current
    LOST_CONTEXT, // the same, and a kernel has written to an address where nothing is
    A_FAULT,      // as A_CONTEXT; the driver was told (GENIE_MOCK=fail=..) to fail one call of the row's name
    GIVENS
};

enum when {
    AT_CALL,  // the call returns it, and no later call does
    AT_WAIT,  // the call succeeds; the next call that waits returns it, once
    LASTING,  // the call succeeds; the next call that waits returns it, and so do all calls from then on
    WHENEVER, // the call or the next one that waits returns it, once: a local driver may do either
    WHENS
};

enum known {
    DOCUMENTED, // NVIDIA's manual says so: `source` names the entry of the driver API reference (13.0)
    REPORTED,   // somebody who ran it on a real driver wrote so: `source` names the place
    OBSERVED,   // seen by us on a real driver: `source` names it
    ASSUMED,    // nobody is known to have said
    KNOWNS
};

enum { // flags of a section
    ALONE = 1,     // each row in a process of its own: it changes what later rows find
    UNDEFINED = 2, // a real driver may do anything, a crash included: Genie and the mock refuse
    WRITES = 4,    // output parameters may be written although the call fails
};

struct error_case {
    const char *name, *prepare, *call, *source, *file;
    CUresult code;
    enum when when;
    enum known known;
    int line;
};

enum {
    MEMORY_BYTES = 4096,
    HOST_BYTES = 2 * MEMORY_BYTES,
    FREED_BYTES = 160 << 20, // so much that nobody keeps all of it mapped for the next allocation
};

struct outputs { // where calls write: one place each, so that what was written is seen
    CUdeviceptr address, address2;
    CUstream stream;
    CUevent event;
    CUmodule module;
    CUfunction function;
    CUlibrary lib;
    CUkernel kernel;
    CUcontext context;
    CUdevice device;
    void *pointer;
    const char *text;
    size_t size, size2;
    unsigned long long wide;
    int number, number2;
    unsigned word;
    float ms;
    char name[64];
};

struct fixture {
    CUdevice device;
    CUcontext context, elsewhere, dead_context; // elsewhere: of the same device
    CUdeviceptr memory, freed, their_memory;    // MEMORY_BYTES each, FREED_BYTES
    CUstream stream, dead_stream, their_stream; // non-blocking
    CUevent event, unrecorded, untimed, dead_event, their_event; // event, untimed: recorded and over
    CUmodule module, dead_module;
    CUfunction fill, poke, dynamic, small_blocks, nothing, faults, dead_function, their_function;
    CUstream gone_stream; // these and the next: of dead_context, and gone with it
    CUevent gone_event;
    CUmodule gone_module;
    CUfunction gone_function;
    CUdeviceptr gone_memory;
    CUlibrary library, dead_library;
    CUkernel kernel, dead_kernel;
    uint8_t *host, *pinned; // HOST_BYTES pageable, MEMORY_BYTES pinned
    struct outputs out;
};

struct table {
    struct fixture f;
    const char *subject;
    enum given given;
    unsigned flags;
    unsigned index; // of the row that comes next
    void (*visit)(struct table *t, const struct error_case *row); // goes through the rows without running them
    unsigned from, until;                                        // otherwise: which to run
};

// The rows that follow are of this kind.
void section(struct table *t, const char *subject, enum given given, unsigned flags);

#define TABLE_ROW(name_, code_, when_, known_, source_, prepare_text_, prepare_, call_text_, call_)               \
    do {                                                                                                          \
        static const struct error_case row_ = {name_, prepare_text_, call_text_, source_, __FILE__,               \
                                               code_, when_,         known_,     __LINE__};                       \
        if (table_wants(t, &row_)) {                                                                              \
            prepare_;                                                                                             \
            table_judge(t, &row_, (call_));                                                                       \
        }                                                                                                         \
    } while (0)

// CASE(name, code, when, known, source, call): in a function whose struct table * is `t`.
#define CASE(name, code, when, known, source, ...)                                                                \
    TABLE_ROW(name, code, when, known, source, "", (void)0, #__VA_ARGS__, __VA_ARGS__)
// CASE_AFTER(name, code, when, known, source, set-up, call)
#define CASE_AFTER(name, code, when, known, source, prepare, ...)                                                 \
    TABLE_ROW(name, code, when, known, source, #prepare, prepare, #__VA_ARGS__, __VA_ARGS__)

// The result of a call; what was put into an output parameter to prepare it counts as untouched.
CUresult table_forget(void *where, size_t size_bytes, CUresult r);
bool table_wants(struct table *t, const struct error_case *row);
void table_judge(struct table *t, const struct error_case *row, CUresult got);

extern const char e2e_kernels_ptx[]; // tests/e2e/kernels.ptx

// --- set-up (fixture.c)
void must(CUresult r, const char *what); // what a row stands on: ends the process with a word when it fails
#define MUST(call) must((call), #call)
void fixture_open(struct fixture *f, enum given given);
CUresult launch(struct fixture *f, CUfunction function, CUstream stream);         // one block of 32
CUresult launch_shape(struct fixture *f, CUfunction function, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
                      unsigned by, unsigned bz, unsigned shared_bytes);
CUresult poke_at(struct fixture *f, CUdeviceptr at);        // a kernel writes a word there
CUresult fault(struct fixture *f, unsigned kind);           // a kernel does something wrong: fixture.c says what
void lose(struct fixture *f);                               // the current context, by a wild address

// --- subjects
void cases_init(struct table *t);
void cases_context(struct table *t);
void cases_stream(struct table *t);
void cases_memory(struct table *t);
void cases_copy(struct table *t);
void cases_launch(struct table *t);
void cases_module(struct table *t);
void cases_lasting(struct table *t);
void cases_fault(struct table *t);
void table_go(struct table *t); // through all of them

// --- the page (page.c)
void page_print(void);
const char *code_name(CUresult code);

#endif
