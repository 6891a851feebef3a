// SPDX-License-Identifier: Apache-2.0
// The objects of functions and kernels: made when a name is looked up, with attributes that are fetched at
// first need and stay.
#include "interpose/module/function.h"

#include <stdlib.h>
#include <string.h>

#include "api_wire.h"
#include "interpose/hints/hints.h"
#include "interpose/module/module.h"
#include "interpose/options.h"

static struct gn_function *allocate(uint64_t id, uint64_t owner, uint64_t context, const char *name,
                                    size_t param_count)
{
    struct gn_function *f = calloc(1, sizeof *f + param_count * sizeof *f->params);
    if (!f)
        return NULL;
    f->id = id;
    f->owner = owner;
    f->context = context;
    if (!(f->name = strdup(name))) {
        free(f);
        return NULL;
    }
    return f;
}

CUresult gn_function_make(struct gn_function **function, uint64_t id, uint64_t owner, uint64_t context,
                          const char *name, const void *layout, size_t layout_bytes)
{
    int count = gn_layout_count(layout, layout_bytes);
    if (count < 0)
        return CUDA_ERROR_UNKNOWN; // not what a server of ours says
    struct gn_function *f = allocate(id, owner, context, name, (size_t)count);
    if (!f)
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (gn_layout_decode(&f->layout, f->params, layout, layout_bytes)) {
        gn_function_free(f);
        return CUDA_ERROR_UNKNOWN;
    }
    *function = f;
    return CUDA_SUCCESS;
}

CUresult gn_function_make_instance(struct gn_function **function, uint64_t id, uint64_t context,
                                   const struct gn_function *kernel)
{
    size_t count = kernel->layout.count;
    struct gn_function *f = allocate(id, kernel->id, context, kernel->name, count);
    if (!f)
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (count)
        memcpy(f->params, kernel->params, count * sizeof *f->params);
    f->writes = gn_writes_copy(kernel->writes);
    f->layout = kernel->layout;
    f->layout.params = f->params;
    *function = f;
    return CUDA_SUCCESS;
}

void gn_function_free(struct gn_function *function)
{
    struct gn_facts *facts = atomic_load_explicit(&function->facts, memory_order_relaxed);
    while (facts) {
        struct gn_facts *next = facts->next;
        free(facts);
        facts = next;
    }
    gn_hints_function_freed(function);
    free(function->writes);
    free(function->name);
    free(function);
}

CUresult gn_function_attach(enum gn_kind kind, struct gn_function *function)
{
    struct gn_handle_slot *slot = gn_handle_slot((void *)(uintptr_t)function->id, kind);
    if (slot) {
        slot->object = function;
        return CUDA_SUCCESS;
    }
    gn_function_free(function);
    return CUDA_ERROR_CONTEXT_IS_DESTROYED;
}

static struct gn_facts *facts_on(const struct gn_function *f, CUdevice device)
{
    // Acquire: pairs with the release that linked them.
    struct gn_facts *facts = atomic_load_explicit(&f->facts, memory_order_acquire);
    while (facts && facts->device != device)
        facts = facts->next;
    return facts;
}

// Puts the values where a reader finds them: into what is there for the device already, or a new link.
static struct gn_facts *remember(struct gn_function *f, CUdevice device, uint32_t as_of, const int32_t *values)
{
    struct gn_facts *facts, *fresh = NULL;
    pthread_mutex_lock(&gn_module_lock);
    facts = facts_on(f, device);
    if (!facts && (facts = fresh = calloc(1, sizeof *fresh))) {
        fresh->device = device;
        fresh->next = atomic_load_explicit(&f->facts, memory_order_relaxed);
    }
    for (int i = 0; facts && i < GN_FUNCTION_ATTRIBUTES; i++)
        atomic_store_explicit(&facts->values[i], values[i], memory_order_relaxed);
    if (facts)
        atomic_store_explicit(&facts->as_of, as_of, memory_order_release);
    if (fresh)
        atomic_store_explicit(&f->facts, fresh, memory_order_release);
    pthread_mutex_unlock(&gn_module_lock);
    return facts;
}

static struct gn_facts *take(struct gn_function *f, CUdevice device, uint32_t as_of, const void *bytes,
                             size_t size_bytes)
{
    int32_t values[GN_FUNCTION_ATTRIBUTES] = {0}; // what an older driver does not know is 0
    if (size_bytes)
        memcpy(values, bytes, size_bytes < sizeof values ? size_bytes : sizeof values);
    return remember(f, device, as_of, values);
}

void gn_function_learn(struct gn_function *f, CUdevice device, const void *values, size_t values_bytes)
{
    if (values_bytes && gn_options_on(GN_OPT_CACHE)) // without memory they are asked for
        take(f, device, 0, values, values_bytes);
}

bool gn_function_known(const struct gn_function *f, CUdevice device, CUfunction_attribute attribute, int *value)
{
    const struct gn_facts *facts = facts_on(f, device);
    if (facts)
        *value = gn_fact(facts, attribute);
    return facts;
}

bool gn_function_note(struct gn_function *f, CUdevice device, CUfunction_attribute attribute, int value)
{
    struct gn_facts *facts = facts_on(f, device);
    if (facts)
        atomic_store_explicit(&facts->values[attribute], value, memory_order_relaxed);
    return facts;
}

CUresult gn_function_facts(struct gn_call *c, struct gn_function *f, CUdevice device, bool again,
                           struct gn_facts **facts)
{
    uint32_t changes = atomic_load_explicit(&f->changes, memory_order_acquire);
    if (!again && (*facts = facts_on(f, device)) &&
        atomic_load_explicit(&(*facts)->as_of, memory_order_acquire) == changes)
        return CUDA_SUCCESS;
    struct gn_args_function_attributes args = {.function = f->id,
                                               .device = f->context ? GN_OF_ITSELF : (uint32_t)device};
    struct gn_out_function_attributes out = {0};
    CUresult r = gn_ask(c, GN_OP_function_attributes, &args, &out);
    if (r)
        return r;
    *facts = take(f, device, changes, out.values, out.values_bytes);
    return *facts ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult gn_id_function(struct gn_call *c, CUfunction handle, uint64_t *id)
{
    (void)c;
    *id = (uintptr_t)handle;
    return gn_function_of(handle) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

static struct gn_function *instance_in(struct gn_function *kernel, uint64_t context)
{
    struct gn_function *f = kernel->instances;
    while (f && f->context != context)
        f = f->next;
    return f;
}

CUresult gn_function_of_kernel(struct gn_call *c, struct gn_function *kernel, uint64_t *id)
{
    uint64_t context = gn_context_id(c);
    pthread_mutex_lock(&gn_module_lock);
    struct gn_function *f = instance_in(kernel, context);
    pthread_mutex_unlock(&gn_module_lock);
    if (f) {
        *id = f->id;
        return CUDA_SUCCESS;
    }
    uint64_t fresh_id;
    CUresult r = gn_handle_new(c, GN_KIND_FUNCTION, context, 0, NULL, &fresh_id);
    if (r)
        return r;
    struct gn_function *fresh;
    struct gn_out_kernel_get_function out = {0};
    r = gn_ask(c, GN_OP_kernel_get_function,
               &(struct gn_args_kernel_get_function){.kernel = kernel->id, .function = fresh_id},
               &out);
    if (!r)
        r = gn_function_make_instance(&fresh, fresh_id, context, kernel);
    if (!r)
        gn_function_learn(fresh, c->context->device, out.attributes, out.attributes_bytes);
    if (!r)
        r = gn_function_attach(GN_KIND_FUNCTION, fresh);
    if (r) {
        gn_handle_drop(fresh_id);
        return r;
    }
    pthread_mutex_lock(&gn_module_lock);
    f = instance_in(kernel, context); // another thread may have been faster
    if (!f) {
        fresh->next = kernel->instances;
        kernel->instances = f = fresh;
        fresh = NULL;
    }
    *id = f->id;
    pthread_mutex_unlock(&gn_module_lock);
    if (fresh) {
        gn_handle_drop(fresh->id);
        gn_function_free(fresh);
    }
    return CUDA_SUCCESS;
}
