// SPDX-License-Identifier: Apache-2.0
// Modules, libraries, functions and kernels. All with the driver's lock.
#ifndef GN_TESTS_MOCK_MOCK_MODULE_H
#define GN_TESTS_MOCK_MOCK_MODULE_H

#include "tests/mock/mock_code.h"
#include "tests/mock/mock_state.h"

struct mock_func_settings { // what cuFuncSetAttribute and cuKernelSetAttribute change
    int dynamic_shared_max; // -1: not set
    int carveout;
    int cluster[3], cluster_must, cluster_wide, cluster_policy;
    unsigned version;       // counts the changes, from 1
};

struct mock_launch_shape {
    uint64_t grid[3], block[3], cluster[3];
    uint32_t dynamic_shared_bytes;
    bool cooperative;
    bool by_kernel;         // the program gave a CUkernel
};

struct mock_function {      // a kernel in a context
    uint64_t id;            // 0 until somebody asks for it
    struct mock_module *module;
    const struct ptx_func_info *info;
    const struct ptx_func *func; // NULL: a cubin's, which nothing here can run
    struct mock_func_settings own, *settings; // a library's kernel has its settings a device, shared by its functions
    struct mock_launch_shape asked, accepted; // what the last launch that passed the checks wanted and got
    unsigned accepted_settings;               // the settings' version then; 0: none
};

struct mock_module {
    uint64_t id;
    struct mock_context *context; // held
    struct mock_library *library; // that it is an instance of, or NULL
    struct mock_code *code;
    bool owns_code;
    struct ptx_module *ptx;
    struct mock_function *functions; // as many and in the order of the code's kernels
    uint64_t *addresses;          // of the variables
    size_t var_count;
    uint64_t const_bytes;
    struct mock_module *next;     // of the library
};

struct mock_kernel {
    uint64_t id;
    struct mock_library *library;
    size_t index;
    struct mock_func_settings settings[MOCK_DEVICES_MAX];
};

struct mock_library {
    uint64_t id;
    struct mock_code *code;
    struct mock_kernel *kernels;
    struct mock_module *instances;
};

// Makes a module of the code in the current context: parses (without the lock), places its variables, links.
CUresult mock_module_make(struct mock_code *code, struct mock_library *library, struct mock_module **out,
                          char log[MOCK_LOG_BYTES]);
void mock_module_end(struct mock_module *module);
CUresult mock_module_global(struct mock_module *module, const char *name, CUdeviceptr *address, size_t *bytes);
CUresult mock_function_handle(struct mock_function *function, CUfunction *handle);
void mock_settings_init(struct mock_func_settings *settings);

// The library's module in the current context, made at first use.
CUresult mock_library_instance(struct mock_library *library, struct mock_module **out);

// What a CUfunction or a CUkernel means; the latter in the current context.
CUresult mock_function_resolve(CUfunction handle, struct mock_function **out);
// The same, where it must belong to the current context.
CUresult mock_function_resolve_here(CUfunction handle, struct mock_function **out);

int mock_function_max_threads(const struct mock_function *function);
int mock_function_dynamic_shared_max(const struct ptx_func_info *info, const struct mock_func_settings *settings);

// Options of a load: where the log goes. Checked first, written when the load is over.
CUresult mock_jit_check(unsigned count, const CUjit_option *options, void *const *values);
void mock_jit_report(unsigned count, const CUjit_option *options, void **values, const char *log);

// A file's bytes with a NUL behind them, from malloc; without the lock.
CUresult mock_file_read(const char *path, void **data, size_t *size_bytes);

#endif
