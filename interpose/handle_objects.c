// SPDX-License-Identifier: Apache-2.0
// What stands behind the handles of a context, when the context goes.
#include <stdlib.h>

#include "interpose/module/module.h"

static void *object_of(uint64_t id, enum gn_kind kind)
{
    struct gn_handle_slot *slot = gn_handle_slot((void *)(uintptr_t)id, kind);
    return slot ? slot->object : NULL;
}

// A kernel outlives the context and must not find the function again. A module of the context needs nothing:
// it goes too, before or after.
static void leave_kernel(struct gn_function *f)
{
    pthread_mutex_lock(&gn_module_lock);
    struct gn_function *kernel = object_of(f->owner, GN_KIND_KERNEL);
    for (struct gn_function **link = kernel ? &kernel->instances : NULL; link && *link; link = &(*link)->next)
        if (*link == f) {
            *link = f->next;
            break;
        }
    pthread_mutex_unlock(&gn_module_lock);
}

static void leave_library(struct gn_module *m)
{
    struct gn_library_module *mine = NULL;
    pthread_mutex_lock(&gn_module_lock);
    struct gn_library *library = object_of(m->library, GN_KIND_LIBRARY);
    for (struct gn_library_module **link = library ? &library->modules : NULL; link && *link;
         link = &(*link)->next)
        if ((*link)->module == m->id) {
            mine = *link;
            *link = mine->next;
            break;
        }
    pthread_mutex_unlock(&gn_module_lock);
    free(mine);
}

void gn_context_gone_handle(struct gn_handle_slot *slot)
{
    if (!slot->object)
        return;
    switch (gn_handle_kind(atomic_load_explicit(&slot->id, memory_order_relaxed))) {
    case GN_KIND_FUNCTION:
        leave_kernel(slot->object);
        gn_function_free(slot->object);
        break;
    case GN_KIND_MODULE:
        leave_library(slot->object);
        gn_module_free(slot->object);
        break;
    case GN_KIND_STREAM:
        free(slot->object); // attributes, if any were set
        break;
    default: // the others have none, or are not a context's
        break;
    }
}
