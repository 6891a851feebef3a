// SPDX-License-Identifier: Apache-2.0
// Whose code called: the nearest frame of the stack that is neither Genie's nor the CUDA runtime's.
#include <dlfcn.h>
#include <execinfo.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "interpose/hints/hints_rules.h"

enum { FRAMES_MAX = 48 }; // above them a program's own allocator has long shown itself

static const char *base_name(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;
    return slash ? slash + 1 : path ? path : "";
}

void gn_hint_caller(char *name, size_t name_bytes)
{
    void *frames[FRAMES_MAX];
    Dl_info own = {0}, info;
    int count = backtrace(frames, FRAMES_MAX);
    dladdr(__extension__(const void *) gn_hint_caller, &own);
    name[0] = 0;
    bool within = false; // the first frames may be those of whoever stands in for backtrace
    for (int i = 0; i < count; i++) {
        // A return address may be the first byte behind its function.
        bool known = dladdr((char *)frames[i] - 1, &info), ours = known && info.dli_fbase == own.dli_fbase;
        within |= ours;
        if (!known || ours || !within)
            continue;
        const char *base = base_name(info.dli_fname);
        if (strncmp(base, "libcuda.so", 10) && strncmp(base, "libcudart.so", 12)) {
            snprintf(name, name_bytes, "%s", base);
            return;
        }
    }
}
