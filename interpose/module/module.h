// SPDX-License-Identifier: Apache-2.0
// What the shim keeps of modules and libraries: the names that were asked for, so that asking again costs
// nothing and gives the same handle.
//
// One lock (gn_module_lock) guards every list here. It is never held over a command or a call into the handle
// table.
#ifndef GN_INTERPOSE_MODULE_H
#define GN_INTERPOSE_MODULE_H

#include <pthread.h>

#include "interpose/module/function.h"
#include "interpose/shim.h"

enum {
    GN_NAME_BUCKETS = 64, // of one module or library
    GN_SYMBOL_BYTES_MAX =
        32 << 10, // longer names of kernels and variables are none that a compiler makes; fits a command
};

struct gn_names { // functions by name
    struct gn_function *buckets[GN_NAME_BUCKETS];
};

struct gn_library_module { // a library's module in one context
    struct gn_library_module *next;
    uint64_t context, module;
};

struct gn_module {
    uint64_t id, context;
    uint64_t library; // the handle of the library that it is a part of, or 0
    struct gn_image_writes *writes; // of its kernels, or NULL
    struct gn_names names;
};

struct gn_library {
    uint64_t id;
    struct gn_names names; // kernels
    struct gn_library_module *modules;
    struct gn_image_writes *writes; // of its kernels, or NULL
};

extern pthread_mutex_t gn_module_lock;

// With the lock: the function of this name, or NULL; adding one; taking out all of them, linked by `next`.
struct gn_function *gn_names_find(const struct gn_names *names, const char *name);
void gn_names_add(struct gn_names *names, struct gn_function *function);
struct gn_function *gn_names_take_all(struct gn_names *names);

// A name from the program, as the wire takes it: its length, or the code for one that cannot be.
CUresult gn_name_check(const char *name, uint32_t *size_bytes);

// Forgets the handles and objects of functions linked by `next`, and of the functions that kernels among them
// have in contexts.
void gn_functions_drop(struct gn_function *first);

// Sends an image to the server and gives the number it has there. size_bytes: what may be read, or
// GN_IMAGE_SIZE_UNKNOWN.
CUresult gn_image_upload(struct gn_call *c, const void *image, size_t size_bytes, uint32_t *upload);

// Reads a file into memory that the caller frees, with a NUL behind it. CUDA_ERROR_FILE_NOT_FOUND,
// _OUT_OF_MEMORY, _INVALID_IMAGE.
CUresult gn_image_read(const char *path, void **image, size_t *size_bytes);

// Looks at the options of a load: refuses unknown ones, and answers those that give something back (logs,
// time). Those that tune the compiler are the server's driver's own business.
CUresult gn_jit_options(unsigned count, const CUjit_option *options, void **values);

// Frees it, with what is kept of its image.
void gn_module_free(struct gn_module *module);
void gn_library_free(struct gn_library *library);

// The module of a library in the current context. CUDA_ERROR_INVALID_HANDLE: it is no library.
CUresult gn_library_module(struct gn_call *c, uint64_t library, uint64_t *module);

#endif
