// SPDX-License-Identifier: Apache-2.0
// Pinned and registered host memory. Nothing is pinned in the sense of a device's page tables: it is memory
// whose copies may be asynchronous, because the program has promised to leave it alone until they are done.
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "api_calls.h"
#include "api_wire.h"
#include "interpose/hints/hints.h"
#include "interpose/log.h"
#include "interpose/memory/memory.h"
#include "interpose/refuse.h"
#include "interpose/stream/hostfn.h"

enum {
    ALLOC_FLAGS = CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP | CU_MEMHOSTALLOC_WRITECOMBINED,
    REGISTER_FLAGS = CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP |
                     CU_MEMHOSTREGISTER_IOMEMORY | CU_MEMHOSTREGISTER_READ_ONLY,
    HUGE_BYTES_MIN = 4 << 20, // of memory that is asked to be in huge pages: two of them at least
    HUGE_PAGE_BYTES = 2 << 20,
};

static CUresult add(struct gn_call *c, enum gn_memory_kind kind, void *start, size_t size_bytes,
                    unsigned flags)
{
    struct gn_memory *m = calloc(1, sizeof *m);
    if (!m)
        return CUDA_ERROR_OUT_OF_MEMORY;
    m->region.start = (uintptr_t)start;
    m->region.size_bytes = size_bytes;
    m->kind = kind;
    m->device = c->context->device;
    m->flags = flags;
    m->context = gn_context_id(c);
    int r = gn_memory_add(m);
    if (r)
        free(m);
    return r == -EEXIST ? CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED
           : r          ? CUDA_ERROR_INVALID_VALUE
                        : CUDA_SUCCESS;
}

// Looking for what was written in host memory is 40 times as fast in huge pages, of which there are whole ones only: with hints, large memory
// is made of those, up to one more than it takes. Where the kernel gives none it is no harm.
static bool is_huge(size_t size_bytes) { return gn_hints_on && size_bytes >= HUGE_BYTES_MIN && size_bytes <= SIZE_MAX - 2 * (size_t)HUGE_PAGE_BYTES; }

static size_t pinned_bytes(size_t size_bytes)
{
    return is_huge(size_bytes) ? (size_bytes + HUGE_PAGE_BYTES - 1) & ~((size_t)HUGE_PAGE_BYTES - 1) : size_bytes;
}

static void *map_pinned(size_t size_bytes)
{
    size_t size = pinned_bytes(size_bytes), more = is_huge(size_bytes) ? HUGE_PAGE_BYTES : 0;
    uint8_t *start = mmap(NULL, size + more, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED || !more)
        return start == MAP_FAILED ? NULL : start;
    size_t before = -(uintptr_t)start & (HUGE_PAGE_BYTES - 1);
    if (before)
        munmap(start, before);
    if (more - before)
        munmap(start + before + size, more - before);
    madvise(start + before, size, MADV_HUGEPAGE);
    return start + before;
}

void gn_memory_unpin(const struct gn_memory *m) { munmap((void *)(uintptr_t)m->region.start, pinned_bytes(m->region.size_bytes)); }

CUresult gn_cuMemHostAlloc(struct gn_call *c, void **pp, size_t bytesize, unsigned int Flags)
{
    if (!pp || (Flags & ~(unsigned)ALLOC_FLAGS))
        return CUDA_ERROR_INVALID_VALUE;
    if (!bytesize) { // not an error of a driver, other than with cuMemAlloc
        *pp = NULL;
        return CUDA_SUCCESS;
    }
    void *start = map_pinned(bytesize);
    if (!start)
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult r = add(c, GN_MEMORY_PINNED, start, bytesize, Flags);
    if (r)
        munmap(start, pinned_bytes(bytesize));
    else
        *pp = start;
    return r;
}

CUresult gn_cuMemAllocHost_v2(struct gn_call *c, void **pp, size_t bytesize)
{
    return gn_cuMemHostAlloc(c, pp, bytesize, 0);
}

CUresult gn_memory_settle(struct gn_call *c, const struct gn_memory *memory)
{
    CUresult r = CUDA_SUCCESS;
    for (int i = 0; i < GN_MEMORY_USERS_MAX; i++) { // all of them, whatever one says: no copy may come when the memory is gone
        uint64_t user = atomic_load_explicit(&memory->users[i], memory_order_relaxed);
        if (!user || !gn_session_host_pending(gn_shim.session))
            break;
        if (!gn_handle_slot((void *)(uintptr_t)user, GN_KIND_CONTEXT)) // destroyed: that has waited
            continue;
        struct gn_latched latched = {0};
        int32_t code = 0;
        int status = gn_session_ask(gn_shim.session, user, GN_OP_context_synchronize,
                                    &(struct gn_args_context_synchronize){.context = user},
                                    &(struct gn_out_context_synchronize){0}, &code, &latched);
        if (code && user != gn_context_id(c)) { // what another one died of, or that it is destroyed by now, is not this one's
            struct gn_context *other = gn_context_find((CUcontext)(uintptr_t)user);
            if (other)
                gn_context_ruin(other, (CUresult)code);
            code = 0;
        }
        CUresult said = gn_answered(c, GN_OP_context_synchronize, status, code, &latched);
        r = r ? r : said;
    }
    return r;
}

CUresult gn_cuMemFreeHost(struct gn_call *c, void *p)
{
    if (!p)
        return CUDA_SUCCESS;
    struct gn_memory *m = gn_memory_take((uintptr_t)p, GN_MEMORY_PINNED);
    if (!m)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult r = gn_memory_settle(c, m);
    if (!r && gn_host_functions_pending()) // which may be about to use it; a local driver waits for all of the context's work
        r = gn_ask(c, GN_OP_context_synchronize, &(struct gn_args_context_synchronize){.context = gn_context_id(c)},
                   &(struct gn_out_context_synchronize){0});
    gn_memory_unpin(m);
    free(m);
    return r;
}

CUresult gn_cuMemHostRegister_v2(struct gn_call *c, void *p, size_t bytesize, unsigned int Flags)
{
    struct gn_memory known;
    if (!p || !bytesize || (Flags & ~(unsigned)REGISTER_FLAGS) ||
        (gn_memory_look((uintptr_t)p, &known) && !gn_memory_is_host(&known)))
        return CUDA_ERROR_INVALID_VALUE;
    if (Flags & CU_MEMHOSTREGISTER_IOMEMORY)
        return gn_refuse(c, "registering the memory of other devices");
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), first = (uintptr_t)p & ~(page - 1);
    // Only asks: nothing is written back for MS_ASYNC, but a hole in the range is an error.
    if ((uintptr_t)p + bytesize < (uintptr_t)p ||
        msync((void *)first, (uintptr_t)p + bytesize - first, MS_ASYNC))
        return CUDA_ERROR_INVALID_VALUE;
    return add(c, GN_MEMORY_REGISTERED, p, bytesize, Flags);
}

CUresult gn_cuMemHostUnregister(struct gn_call *c, void *p)
{
    struct gn_memory known;
    if (!p)
        return CUDA_ERROR_INVALID_VALUE;
    struct gn_memory *m = gn_memory_take((uintptr_t)p, GN_MEMORY_REGISTERED);
    if (!m) // pinned by an allocation, or an address inside a range
        return gn_memory_look((uintptr_t)p, &known) && gn_memory_is_host(&known)
                   ? CUDA_ERROR_INVALID_VALUE
                   : CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
    CUresult r = gn_memory_settle(c, m);
    free(m);
    return r;
}

CUresult gn_cuMemHostGetFlags(struct gn_call *c, unsigned int *pFlags, void *p)
{
    (void)c;
    struct gn_memory m;
    if (!pFlags || !gn_memory_look((uintptr_t)p, &m) || !gn_memory_is_host(&m))
        return CUDA_ERROR_INVALID_VALUE;
    *pFlags = m.flags | CU_MEMHOSTALLOC_DEVICEMAP; // where addresses are unified, all that is pinned is mapped
    return CUDA_SUCCESS;
}

CUresult gn_cuMemHostGetDevicePointer_v2(struct gn_call *c, CUdeviceptr *pdptr, void *p, unsigned int Flags)
{
    struct gn_memory m;
    if (!pdptr || Flags || !gn_memory_look((uintptr_t)p, &m) || !gn_memory_is_host(&m))
        return CUDA_ERROR_INVALID_VALUE;
    return gn_refuse(c, "kernels run in another machine and cannot reach host memory");
}
