// SPDX-License-Identifier: Apache-2.0
// The local mode. The driver is opened by its full path: its SONAME is the shim's own, so by name the loader
// would give back the shim.
#include "interpose/local.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>

#include "include/cuda_prototypes.h"
#include "interpose/log.h"
#include "interpose/options.h"
#include "interpose/shim.h"

// Where drivers are installed, by distributions and by the tool that puts one into containers.
static const char *const places[] = {
    "/usr/lib/x86_64-linux-gnu/libcuda.so.1",
    "/usr/lib/aarch64-linux-gnu/libcuda.so.1",
    "/usr/lib64/libcuda.so.1",
    "/usr/lib/libcuda.so.1",
    "/usr/local/nvidia/lib64/libcuda.so.1",
    "/usr/lib/wsl/lib/libcuda.so.1",
    "/run/opengl-driver/lib/libcuda.so.1",
};

static void *functions[GN_SYMBOLS];
static _Atomic bool opened;
static pthread_mutex_t open_lock = PTHREAD_MUTEX_INITIALIZER; // opening

bool gn_local_wanted(void)
{
    char why[GN_WHY_BYTES];
    if (!gn_options_loaded()) {
        // Before cuInit no file is read, unless the environment or the program itself asks for the local
        // mode.
        if (!gn_options_early_local() || gn_options_load(why))
            return false;
    }
    return gn_options.local;
}

static bool is_ourselves(const char *path)
{
    Dl_info us;
    struct stat a, b;
    return dladdr((void *)cuInit, &us) && us.dli_fname && !stat(us.dli_fname, &a) && !stat(path, &b) &&
           a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static void *open_at(const char *path, const char **why)
{
    struct stat st;
    if (stat(path, &st)) {
        *why = "there is no such file";
        return NULL;
    }
    if (is_ourselves(path)) {
        *why = "that is Genie's own library";
        return NULL;
    }
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        *why = dlerror();
        return NULL;
    }
    void *init = dlsym(library, "cuInit");
    if (init && init != (void *)cuInit)
        return library;
    *why = init ? "that is Genie's own library" : "it is no CUDA driver";
    dlclose(library);
    return NULL;
}

static void *find_driver(void)
{
    const char *why = "";
    if (*gn_options.driver) {
        void *library = open_at(gn_options.driver, &why);
        if (!library)
            gn_log(GN_LOG_WARN, "no local driver at %s: %s; set GENIE_DRIVER to its libcuda.so.1",
                   gn_options.driver, why);
        return library;
    }
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        void *library = open_at(places[i], &why);
        if (library) {
            gn_log(GN_LOG_INFO, "local driver: %s", places[i]);
            return library;
        }
        gn_log(GN_LOG_DEBUG, "local driver: not %s: %s", places[i], why);
    }
    gn_log(GN_LOG_WARN,
           "no local driver in the usual places; set GENIE_DRIVER to the full path of its libcuda.so.1");
    return NULL;
}

CUresult gn_local_open(void)
{
    pthread_mutex_lock(&open_lock);
    if (!atomic_load_explicit(&opened, memory_order_relaxed)) {
        void *library = find_driver();
        for (unsigned i = 0; library && i < GN_SYMBOLS; i++)
            functions[i] = dlsym(library, gn_symbol_names[i]);
        // Release: pairs with the acquire in gn_local_function.
        atomic_store_explicit(&opened, library != NULL, memory_order_release);
    }
    pthread_mutex_unlock(&open_lock);
    return atomic_load(&opened) ? CUDA_SUCCESS : CUDA_ERROR_NO_DEVICE;
}

void *gn_local_function(unsigned symbol)
{
    return atomic_load_explicit(&opened, memory_order_acquire) ? functions[symbol] : NULL;
}

// These stay Genie's own, or a program would get past it.
static bool is_ours(unsigned op)
{
    return op == GN_OP_cuInit || op == GN_OP_cuGetProcAddress || op == GN_OP_cuGetProcAddress_v2;
}

CUresult gn_local_enter(struct gn_call *c)
{
    static _Atomic uint8_t said[GN_SYMBOLS];
    if (is_ours(c->op))
        return CUDA_SUCCESS;
    c->local = gn_local_function(c->symbol);
    if (c->local) {
        if (c->op == GN_OP_cuLaunchKernel || c->op == GN_OP_cuLaunchKernelEx ||
            c->op == GN_OP_cuLaunchCooperativeKernel)
            gn_count_kernel(c);
        return CUDA_SUCCESS;
    }
    if (!atomic_exchange_explicit(&said[c->symbol], 1, memory_order_relaxed))
        gn_log(GN_LOG_WARN, "the local driver has no %s", gn_symbol_names[c->symbol]);
    return CUDA_ERROR_NOT_FOUND;
}

// A program may ask for version, symbols and tables before cuInit, and must get the same answers as after it.
// A driver that cannot be opened is told of by cuInit; until then the shim answers.
CUresult gn_local_enter_cold(struct gn_call *c)
{
    if (!is_ours(c->op) && gn_local_open() == CUDA_SUCCESS)
        return gn_local_enter(c);
    return CUDA_SUCCESS;
}
