// SPDX-License-Identifier: Apache-2.0
// The PTX engine of the mock driver: parse a module, ask what is in it, run one launch. It knows nothing of streams or contexts.
#ifndef GN_TESTS_MOCK_PTX_H
#define GN_TESTS_MOCK_PTX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Limits of a module, so that a hostile text costs bounded memory; see ptx.c for the reasons.
enum { PTX_PARAM_BYTES_MAX = 32764, PTX_ERROR_BYTES = 256 };

struct ptx_module; // immutable once ptx_link has succeeded; shared by concurrent launches
struct ptx_func;   // an .entry of a module, owned by it

struct ptx_error { // why a text was refused
    unsigned unit;              // which of the texts, from 0
    unsigned line, column;
    char text[PTX_ERROR_BYTES]; // one sentence, names the opcode or symbol
};

struct ptx_text { // it need not be NUL-terminated
    const char *text;
    size_t size_bytes;
};

struct ptx_param { // in the parameter block of an entry
    uint32_t offset_bytes, size_bytes, align_bytes;
};

struct ptx_func_info {
    const char *name;
    const struct ptx_param *params;
    uint32_t param_count, param_bytes;      // param_bytes: end of the last parameter
    uint32_t static_shared_bytes;           // .shared of the entry, of the module and of what it may call
    uint32_t local_bytes;                   // .local a thread
    uint32_t registers;                     // an estimate in 32-bit units, 16..255, as a driver's NUM_REGS
    uint32_t max_threads;                   // from .maxntid/.reqntid, else 1024
    uint32_t required_block[3];             // from .reqntid, else 0 0 0
    uint32_t required_cluster[3];           // from .reqnctapercluster, else 0 0 0
};

enum ptx_space { PTX_SPACE_GLOBAL, PTX_SPACE_CONST };

struct ptx_var { // a module-level variable the driver must give memory
    const char *name;
    enum ptx_space space;
    uint64_t size_bytes;
    uint32_t align_bytes;
};

// Parses and verifies `size_bytes` of text (it need not be NUL-terminated). Returns 0, -EINVAL (error says where and why; an opcode that
// the engine does not implement is such an error, with its name), -ENOMEM, or -E2BIG over a limit. `target_sm` is the device's (75, 90):
// a `.target` above it is refused.
int ptx_parse(const char *text, size_t size_bytes, unsigned target_sm, struct ptx_module **out, struct ptx_error *error);
// The same for several texts (nvcc -rdc=true makes one a translation unit), linked into one module: what one declares .extern is what
// another defines, .weak and .common definitions merge, names without a linkage directive belong to their text alone. Two strong
// definitions, declarations that do not agree, and something used that nothing defines are errors.
int ptx_parse_many(const struct ptx_text *texts, size_t count, unsigned target_sm, struct ptx_module **out, struct ptx_error *error);
void ptx_free(struct ptx_module *module);

size_t ptx_func_count(const struct ptx_module *module); // entries only
const struct ptx_func *ptx_func_at(const struct ptx_module *module, size_t index);
const struct ptx_func *ptx_func_find(const struct ptx_module *module, const char *name);
void ptx_func_info(const struct ptx_func *func, struct ptx_func_info *info);
unsigned ptx_target_sm(const struct ptx_module *module); // from .target; the highest of several
unsigned ptx_version(const struct ptx_module *module);   // 75 for .version 7.5; the highest

size_t ptx_var_count(const struct ptx_module *module);
void ptx_var_at(const struct ptx_module *module, size_t index, struct ptx_var *var);

// Places the module's variables: address_of[i] is the device address of variable i, which must be a host address this process can write
// for size_bytes. Writes the initial values (zero where none), with addresses of other variables and functions filled in.
// Returns 0 or -EINVAL. Call once, before any launch.
int ptx_link(struct ptx_module *module, const uint64_t *address_of, struct ptx_error *error);

// What a launch may touch. Device addresses are host addresses: the engine checks the range and then dereferences.
struct ptx_memory {
    // The live range that holds `address`: 0 and [*start, *end), or -EFAULT. `write` tells the intent. Must be cheap and thread-safe; the
    // engine keeps the last answers for the length of a launch, so a range freed during a launch is the program's bug.
    int (*lookup)(void *ctx, uint64_t address, bool write, uint64_t *start, uint64_t *end);
    void (*print)(void *ctx, const char *text, size_t size_bytes); // device printf, one formatted record
    void *ctx;
};

enum ptx_fault_kind {
    PTX_FAULT_NONE,
    PTX_FAULT_ADDRESS,     // out-of-range access        -> CUDA_ERROR_ILLEGAL_ADDRESS
    PTX_FAULT_MISALIGNED,  //                            -> CUDA_ERROR_MISALIGNED_ADDRESS
    PTX_FAULT_TRAP,        // trap                       -> CUDA_ERROR_LAUNCH_FAILED
    PTX_FAULT_ASSERT,      // __assertfail               -> CUDA_ERROR_ASSERT
    PTX_FAULT_INSTRUCTION, // brkpt, unreachable, a call to nothing -> CUDA_ERROR_ILLEGAL_INSTRUCTION
    PTX_FAULT_STACK,       // call depth or local memory -> CUDA_ERROR_LAUNCH_FAILED
    PTX_FAULT_STOPPED,     // *stop became true (the device fell off, the context died)
};

struct ptx_fault {
    enum ptx_fault_kind kind;
    unsigned unit, line;  // of the instruction: which text, and where in it
    uint64_t address;     // for address faults
    uint32_t block[3], thread[3];
};

struct ptx_launch {
    const struct ptx_func *func;
    uint32_t grid[3], block[3]; // in blocks, in threads; limits are the caller's to check
    uint32_t cluster[3];        // 1 1 1 when there are none
    const void *params;         // param_bytes of the entry
    uint32_t dynamic_shared_bytes;
    bool cooperative;           // all blocks are resident together, so a spin on another block ends
    uint32_t sm_count;          // for %nsmid
    unsigned threads;           // host threads the launch may use, at least 1; blocks are shared out among them
    const struct ptx_memory *memory;
    const volatile bool *stop;  // looked at often (every few thousand instructions a block): a launch that hangs must end when it is set
};

// Runs the launch to its end. Returns 0, -EFAULT with *fault filled in (the first fault wins; the other blocks stop), or -ENOMEM.
int ptx_run(const struct ptx_launch *launch, struct ptx_fault *fault);

#endif
