// SPDX-License-Identifier: Apache-2.0
// Functions and kernels: what the shim keeps of each, so that a launch needs nothing from the server.
#ifndef GN_INTERPOSE_FUNCTION_H
#define GN_INTERPOSE_FUNCTION_H

#include <stdatomic.h>

#include "interpose/module/layout.h"
#include "interpose/shim.h"
#include "interpose/writes/writes.h"

enum { GN_FUNCTION_ATTRIBUTES = CU_FUNC_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE + 1 };

struct gn_facts { // the attributes of a function on one device; once linked, never freed before the function
    struct gn_facts *next;
    CUdevice device;
    _Atomic uint32_t as_of; // `changes` of the function when they were asked for
    _Atomic int32_t values[GN_FUNCTION_ATTRIBUTES];
};

struct gn_function_hints; // interpose/hints/hints_match.c

struct gn_function {          // the object of a handle of kind function or kernel
    struct gn_function *next; // of its owner's names, or of its kernel's instances
    uint64_t id;
    uint64_t owner; // the handle of the module (function), library (kernel), or kernel (function of a kernel
                    // in a context)
    uint64_t context;              // 0: a kernel, which is at home in every context
    struct gn_function *instances; // of a kernel: its functions in contexts
    struct gn_facts *_Atomic facts;
    _Atomic uint32_t changes; // of attributes, to what is not known here: what was kept before is old
    _Atomic bool loaded;
    struct gn_kernel_writes *writes; // where it may write; NULL: anywhere. Set before anybody can launch it
    struct gn_function_hints *_Atomic hints; // which arguments a sidecar's rules name; NULL: not looked at yet
    struct gn_layout layout;
    char *name;
    struct gn_param params[]; // layout.params
};

// Makes one from what the server told: 0 and *function, whose handle is `id`, or a CUresult.
CUresult gn_function_make(struct gn_function **function, uint64_t id, uint64_t owner, uint64_t context,
                          const char *name, const void *layout, size_t layout_bytes);
// The same for a function of a kernel, with the kernel's name and layout.
CUresult gn_function_make_instance(struct gn_function **function, uint64_t id, uint64_t context,
                                   const struct gn_function *kernel);
// Puts it behind its handle, which nobody else knows yet. CUDA_ERROR_CONTEXT_IS_DESTROYED: the handle died
// meanwhile; the function is freed.
CUresult gn_function_attach(enum gn_kind kind, struct gn_function *function);
void gn_function_free(struct gn_function *function);

// The object behind a CUfunction, which may be a CUkernel; or NULL.
static inline struct gn_function *gn_function_of(CUfunction handle)
{
    struct gn_handle_slot *slot = gn_handle_slot(handle, GN_KIND_FUNCTION);
    if (!slot)
        slot = gn_handle_slot(handle, GN_KIND_KERNEL);
    return slot ? slot->object : NULL;
}

// The attributes on a device: kept ones, or asked for when none are, when one was set to what is not known here, or with `again`.
CUresult gn_function_facts(struct gn_call *c, struct gn_function *f, CUdevice device, bool again,
                           struct gn_facts **facts);

enum { GN_OF_ITSELF = 0xffffffff }; // as device, on the wire: of the function, not of a kernel on a device

// Keeps attributes that came with another answer, so that they need not be asked for; none when there are no bytes.
void gn_function_learn(struct gn_function *f, CUdevice device, const void *values, size_t values_bytes);
// The kept value of one, which no call can change. false: none is kept.
bool gn_function_known(const struct gn_function *f, CUdevice device, CUfunction_attribute attribute, int *value);
// Keeps a value that was just set. false: nothing is kept of the function on this device.
bool gn_function_note(struct gn_function *f, CUdevice device, CUfunction_attribute attribute, int value);

static inline int gn_fact(const struct gn_facts *facts, CUfunction_attribute attribute)
{
    return atomic_load_explicit(&facts->values[attribute], memory_order_relaxed);
}

// The function of a kernel in the current context (cuKernelGetFunction).
CUresult gn_function_of_kernel(struct gn_call *c, struct gn_function *kernel, uint64_t *id);

#endif
