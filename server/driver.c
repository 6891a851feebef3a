// SPDX-License-Identifier: Apache-2.0
// Opening the driver library and finding its functions.
#include "server/driver.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdio.h>
#include <string.h>

// glibc matches the SONAME libcuda.so.1 to a library that is already there. Were the server started with the
// client's shim preloaded, a worker would open the shim and connect to its own server.
static int is_shim(void *library)
{
    struct link_map *map = NULL;
    const char *name;
    if (dlinfo(library, RTLD_DI_LINKMAP, &map) || !map->l_name)
        return 0;
    name = strrchr(map->l_name, '/');
    return !strncmp(name ? name + 1 : map->l_name, "libgenie_shim", 13);
}

void *gn_driver_load(const char *path, char *why, size_t why_bytes)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char *text = dlerror();
        snprintf(why, why_bytes, "%s", text ? text : "the library cannot be opened");
        return NULL;
    }
    if (is_shim(library)) {
        snprintf(why, why_bytes, "%s is Genie's client library here (LD_PRELOAD?), not a driver", path);
        dlclose(library);
        return NULL;
    }
    return library;
}

int gn_driver_open(struct gn_driver *driver, const char *path, char *why, size_t why_bytes)
{
    memset(driver, 0, sizeof *driver);
    void *library = gn_driver_load(path, why, why_bytes);
    if (!library)
        return -ENOENT;
    for (unsigned i = 0; i < gn_driver_symbol_count; i++) {
        void *address = dlsym(library, gn_driver_symbols[i].name);
        memcpy((char *)&driver->calls + gn_driver_symbols[i].offset_bytes, &address, sizeof address);
    }
    // Without these nothing works at all; everything else is asked for where it is needed.
    const char *missing = !driver->calls.cuInit               ? "cuInit"
                          : !driver->calls.cuDriverGetVersion ? "cuDriverGetVersion"
                          : !driver->calls.cuDeviceGetCount   ? "cuDeviceGetCount"
                                                              : NULL;
    if (missing) {
        snprintf(why, why_bytes, "%s is no CUDA driver: it has no %s", path, missing);
        dlclose(library);
        memset(driver, 0, sizeof *driver);
        return -ENOENT;
    }
    driver->library = library;
    if (driver->calls.cuDriverGetVersion(&driver->version) != CUDA_SUCCESS)
        driver->version = 0;
    return 0;
}
