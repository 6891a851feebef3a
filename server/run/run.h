// SPDX-License-Identifier: Apache-2.0
// What the hand-written commands (run_*.c) share and offer to the worker. All of it is called by one thread
// at a time: the one that runs commands in their order.
#ifndef GN_SERVER_RUN_H
#define GN_SERVER_RUN_H

#include "api_run.h"
#include "api_wire.h"
#include "core/frame.h"
#include "core/image/image.h"
#include "server/worker/dispatch.h"

enum {
    GN_UPLOADS_MAX =
        64, // images on their way at once: as many threads as the largest known program loads modules from
    GN_ALLOCATIONS_MAX = 4 << 20,  // of device memory: 40 times what the largest known program makes; 128 MiB
                                   // of the server's own memory
    GN_LAUNCH_ATTRIBUTES_MAX = 64, // CUDA 13.0 knows 17
    GN_FUNCTION_ATTRIBUTES_MAX = 32,          // CUDA 13.0 knows 16
    GN_NAME_BYTES_MAX = GN_COMMAND_BYTES_MAX, // of a kernel or global: what fits into a command
};

// The device of what is about a function itself, not about a kernel on a device; or about no device.
#define GN_DEVICE_NONE 0xffffffffu

// A driver function that the driver may lack.
#define GN_DRIVER(w, name, ...)                                                                              \
    ((w)->driver.calls.name ? (w)->driver.calls.name(__VA_ARGS__) : CUDA_ERROR_NOT_SUPPORTED)

// Bytes of a result until gn_request_finish has encoded them; the next command writes over them. NULL: no
// memory.
void *gn_scratch(struct gn_worker *w, size_t size_bytes);

// A name from the wire as a C string in the scratch buffer's place of its own, or NULL: q->error says why.
const char *gn_name(struct gn_worker *w, struct gn_request *q, const void *bytes, uint32_t size_bytes);

// As gn_keep, for what lives and dies with `parent` (a function with its module, a kernel with its library)
// and is not destroyed by itself.
CUresult gn_keep_child(struct gn_worker *w, struct gn_request *q, enum gn_kind kind, uint64_t id,
                       void *object, uint64_t parent, CUresult r);
struct gn_handle_slot *gn_find_slot(struct gn_worker *w, struct gn_request *q, enum gn_kind kind,
                                    uint64_t id); // as gn_find_object

// The session's device memory (run_memory.c): allocations of a context that is gone.
void gn_memory_forget_context(struct gn_worker *w, uint64_t context);
// A command has failed for want of device memory: makes some free, one way at a time (*step counts them, from 0): what was made ahead for the
// client, then kept copies. True: try it again. size_bytes: what was wanted, or UINT64_MAX where that is not known.
bool gn_memory_make_room(struct gn_worker *w, CUdevice device, uint64_t size_bytes, int *step);
#define GN_WITH_ROOM(w, device, r, call)                                                                     \
    for (int step_ = 0; ((r) = (call)) == CUDA_ERROR_OUT_OF_MEMORY && gn_memory_make_room(w, device, UINT64_MAX, &step_);)
// Whether an allocation of the session begins at the address, and its size.
bool gn_memory_find(const struct gn_worker *w, uint64_t address, uint64_t *size_bytes);

// Parameter layouts of a module or library for drivers that cannot tell them (run_layout.c).
int gn_layouts_keep(struct gn_worker *w, uint64_t id, const void *image, size_t size_bytes);
const struct gn_image_param *gn_layouts_find(const struct gn_worker *w, uint64_t id, const char *name,
                                             uint32_t *count);
void gn_layouts_forget(struct gn_worker *w, uint64_t id);

// The attributes of a function, or of a kernel on a device, for the reply that names it (run_function.c): so that a launch needs no
// round trip. None where the driver refuses.
void gn_attributes_add(struct gn_worker *w, CUfunction function, uint32_t device, const void **attributes, uint32_t *attributes_bytes);

// Before a stream is destroyed (run_sync.c): synchronising its context will wait for what it has still to do.
void gn_sync_leave_behind(struct gn_worker *w, uint64_t context, CUstream stream);

// Frees what the commands keep in memory of this process; driver objects go with the process.
void gn_run_close(struct gn_worker *w);

#endif
