// SPDX-License-Identifier: Apache-2.0
// The search behind cuGetProcAddress.
#include "remoting/proc.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "remoting/cuda_types.h"

void *gn_proc_find(const char *name, int version, unsigned long long flags, int *known)
{
    unsigned low = 0, high = gn_proc_count;
    while (low < high) { // the first entry of that name
        unsigned middle = (low + high) / 2;
        if (strcmp(gn_procs[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    void *found = NULL;
    *known = low < gn_proc_count && !strcmp(gn_procs[low].name, name);
    for (; low < gn_proc_count && !strcmp(gn_procs[low].name, name); low++) {
        const struct gn_proc *p = &gn_procs[low];
        if (p->since > version)
            break;
        bool per_thread = (flags & CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM) && p->variant_since;
        found = per_thread && p->variant_since <= version ? p->per_thread : p->legacy;
    }
    return found;
}
