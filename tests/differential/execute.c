// SPDX-License-Identifier: Apache-2.0
// Runs a program on a driver: slots become handles, threads take turns as the program says, what the driver answers is made comparable.
//
// Addresses and handles differ from driver to driver, so they are told as slots and offsets.
#include <dlfcn.h>
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cuda.h>

#include "tests/differential/model.h"

// Integers and pointers are passed alike on every machine that Genie runs on, and excess arguments are not looked at; so one shape of call
// does for all of a table's rows.
typedef CUresult call_fn(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);

struct run;
struct host_call {
    struct run *run;
    unsigned char *at;
    uint64_t bytes, id, value;
    unsigned lane;
};

struct run {
    const struct driver *driver;
    const struct program *p;
    struct outcome *outcome;
    _Atomic unsigned done; // operations; the turn
    unsigned waits_for[OPS];
    bool several;
    CUdeviceptr devices[DEVICES];
    unsigned char *hosts[HOSTS];
    CUstream streams[STREAMS];
    CUevent events[EVENTS];
    CUcontext contexts[CONTEXTS];
    CUmodule modules[MODULES];
    CUfunction functions[FUNCTIONS];
    uint8_t kernels[FUNCTIONS];
    _Atomic unsigned gates, opened; // gates closed and opened so far
    _Atomic uint64_t order[LANES]; // of the host functions that have run there
    struct host_call calls[OPS];
};

static unsigned char *pageable[HOSTS];
static size_t touched[HOSTS]; // bytes from the start that are perhaps no longer zero

// --- host memory. Which thread of the driver's fills it is the driver's affair, and the order is proved by the model, not by locks that a
// sanitizer sees.

#define UNCHECKED __attribute__((no_sanitize("thread")))

UNCHECKED static void put_bytes(unsigned char *at, uint64_t bytes, uint64_t value)
{
    for (uint64_t i = 0; i < bytes; i++)
        at[i] = (unsigned char)(value + i * 7 + (i >> 8));
}

UNCHECKED static uint64_t sum_bytes(const unsigned char *at, uint64_t bytes)
{
    uint64_t sum = 0xcbf29ce484222325, i = 0;
    for (uint64_t word; i + 8 <= bytes; i += 8) {
        memcpy(&word, at + i, 8);
        sum = (sum ^ word) * 0x9e3779b97f4a7c15;
        sum ^= sum >> 29;
    }
    for (; i < bytes; i++)
        sum = (sum ^ at[i]) * 0x100000001b3;
    return sum;
}

static void note_order(struct run *r, unsigned lane, uint64_t what)
{
    uint64_t before = atomic_load(&r->order[lane]);
    atomic_store(&r->order[lane], (before ^ what) * 0x100000001b3 + 1);
}

static void host_call(void *data)
{
    struct host_call *c = data;
    if (c->at && c->value & 1)
        put_bytes(c->at, c->bytes, c->value);
    note_order(c->run, c->lane, c->id + (c->at && !(c->value & 1) ? sum_bytes(c->at, c->bytes) : 0));
}

static void callback(CUstream stream, CUresult status, void *data)
{
    struct host_call *c = data;
    (void)stream;
    note_order(c->run, c->lane, (uint64_t)status);
    host_call(data);
}

// The gate: returns when it has been opened.
static void gate(void *data)
{
    const struct host_call *c = data;
    struct run *r = c->run;
    for (unsigned now; (now = atomic_load(&r->opened)) < c->id;)
        syscall(SYS_futex, &r->opened, FUTEX_WAIT_PRIVATE, now, NULL, NULL, 0);
}

static void gate_open(struct run *r)
{
    atomic_store(&r->opened, atomic_load(&r->gates));
    syscall(SYS_futex, &r->opened, FUTEX_WAKE_PRIVATE, THREADS, NULL, NULL, 0);
}

// --- slots to handles

static uint64_t whole(const void *p) { return (uint64_t)(uintptr_t)p; }

static uint64_t device_at(const struct run *r, const struct arg *a)
{
    return a->slot == NONE ? (uint64_t)a->n : r->devices[a->slot] + (uint64_t)a->n;
}

static unsigned char *host_at(const struct run *r, const struct arg *a)
{
    unsigned slot = a->slot % 64;
    return a->slot == NONE ? (void *)(uintptr_t)a->n : r->hosts[slot] ? r->hosts[slot] + a->n : NULL;
}

static uint64_t either_at(const struct run *r, const struct arg *a)
{
    return a->slot != NONE && a->slot >= 64 ? whole(host_at(r, a))
           : a->slot != NONE && !r->devices[a->slot] ? 0 // small numbers would be host addresses here
                                                     : device_at(r, a);
}

static CUstream stream_of(const struct run *r, const struct arg *a)
{
    static const CUstream fixed[STREAM_FIRST] = {NULL, CU_STREAM_LEGACY, CU_STREAM_PER_THREAD};
    return a->slot == NONE ? (CUstream)(uintptr_t)a->n : a->slot < STREAM_FIRST ? fixed[a->slot] : r->streams[a->slot];
}

#define HANDLE(array, a) ((a)->slot == NONE ? (uint64_t)(a)->n : whole(r->array[(a)->slot]))

static uint64_t value_of(struct run *r, const struct op *op, unsigned i, uint64_t *out)
{
    const struct arg *a = &op->args[i];
    switch (kinds[op->kind].types[i]) {
    case 'd': return device_at(r, a);
    case 'x': return either_at(r, a);
    case 'h': return whole(host_at(r, a));
    case 's': return whole(stream_of(r, a));
    case 'e': return HANDLE(events, a);
    case 'c': return HANDLE(contexts, a);
    case 'm': return HANDLE(modules, a);
    case 'f': return HANDLE(functions, a);
    case 'D':
    case 'G': return whole(&r->devices[a->slot]);
    case 'H': return whole(&r->hosts[a->slot]);
    case 'S': return whole(&r->streams[a->slot]);
    case 'E': return whole(&r->events[a->slot]);
    case 'C': return whole(&r->contexts[a->slot]);
    case 'M': return whole(&r->modules[a->slot]);
    case 'F': return whole(&r->functions[a->slot]);
    case 'i': case 'j': case 'z': case 'q': case 'a': case 'g': case 'l': return whole(out);
    case 't': return whole(a->n < KERNELS ? kernel_names[a->n] : "missing");
    case 'v': return kinds[op->kind].unit < 4 ? (uint64_t)a->n & ((1u << 8 * kinds[op->kind].unit) - 1) : (uint64_t)a->n;
    default: return (uint64_t)a->n;
    }
}

static uint64_t context_slot(const struct run *r, uint64_t handle)
{
    for (unsigned i = 0; handle && i < CONTEXTS; i++)
        if (whole(r->contexts[i]) == handle)
            return i;
    return handle ? 200 : 100;
}

// --- the calls that need more than their row

static CUresult launch(const struct run *r, const struct op *op)
{
    const struct arg *a = op->args;
    CUdeviceptr to = device_at(r, &a[4]), from = device_at(r, &a[5]);
    unsigned n = (unsigned)a[6].n, value = (unsigned)a[7].n, more[31];
    void *params[32] = {&to};
    unsigned kernel = a[0].slot == NONE ? NOTHING : r->kernels[a[0].slot];
    for (unsigned i = 0; i < 31; i++)
        more[i] = value + i * i;
    switch (kernel) {
    case FILL:
    case ADD: params[1] = &n; params[2] = &value; break;
    case COPY: params[1] = &from; params[2] = &n; break;
    case BUMP: params[0] = &value; break;
    case POKE: params[1] = &value; break;
    default:
        for (unsigned i = 0; i < 31; i++)
            params[i + 1] = &more[i];
    }
    return ((__typeof__(cuLaunchKernel) *)r->driver->entries[op->kind])(
        (CUfunction)(uintptr_t)HANDLE(functions, &a[0]), (unsigned)a[2].n, 1, 1, (unsigned)a[3].n, 1, 1, 0,
        stream_of(r, &a[1]), kernel == NOTHING ? NULL : params, NULL);
}

static CUresult copy_2d(const struct run *r, const struct op *op)
{
    const struct arg *a = op->args;
    CUDA_MEMCPY2D c = {.WidthInBytes = (size_t)a[4].n, .Height = (size_t)a[5].n,
                       .dstPitch = (size_t)a[1].n, .srcPitch = (size_t)a[3].n};
    if (a[0].slot != NONE && a[0].slot >= 64) {
        c.dstMemoryType = CU_MEMORYTYPE_HOST;
        c.dstHost = host_at(r, &a[0]);
    } else {
        c.dstMemoryType = CU_MEMORYTYPE_DEVICE;
        c.dstDevice = device_at(r, &a[0]);
    }
    if (a[2].slot != NONE && a[2].slot >= 64) {
        c.srcMemoryType = CU_MEMORYTYPE_HOST;
        c.srcHost = host_at(r, &a[2]);
    } else {
        c.srcMemoryType = CU_MEMORYTYPE_DEVICE;
        c.srcDevice = device_at(r, &a[2]);
    }
    return ((call_fn *)r->driver->entries[op->kind])(whole(&c), whole(stream_of(r, &a[6])), 0, 0, 0, 0, 0);
}

static CUresult host_function(struct run *r, const struct op *op)
{
    const struct arg *a = op->args;
    struct host_call *c = &r->calls[op - r->p->ops];
    *c = (struct host_call){.run = r, .lane = op->lane, .id = (uint64_t)a[1].n + 1, .bytes = (uint64_t)a[3].n, .value = (uint64_t)a[4].n};
    c->at = a[2].slot == NONE || !a[3].n ? NULL : host_at(r, &a[2]);
    call_fn *f = (call_fn *)r->driver->entries[op->kind];
    return op->kind == K_cuLaunchHostFunc ? f(whole(stream_of(r, &a[0])), whole(host_call), whole(c), 0, 0, 0, 0)
                                          : f(whole(stream_of(r, &a[0])), whole(callback), whole(c), 0, 0, 0, 0);
}

static CUresult generic(struct run *r, const struct op *op, uint64_t *out)
{
    uint64_t v[ARGS] = {0};
    const struct kind *k = &kinds[op->kind];
    for (unsigned i = 0, at = 0; i < k->count; i++) {
        v[i] = value_of(r, op, i, &out[at < VALUES ? at : 0]);
        at += strchr("ijzqagl", k->types[i]) != NULL;
    }
    if (op->kind == K_cuModuleLoadData)
        v[1] = whole(kernels_ptx);
    if (op->kind == K_cuModuleGetGlobal_v2)
        v[3] = whole("counter");
    if (op->kind == K_cuPointerGetAttribute && (unsigned)op->args[1].n > 32)
        v[1] = 999;
    return ((call_fn *)r->driver->entries[op->kind])(v[0], v[1], v[2], v[3], v[4], v[5], v[6]);
}

// What came back, so that two drivers' answers can be compared.
static void make_comparable(struct run *r, const struct op *op, uint64_t *out)
{
    const struct kind *k = &kinds[op->kind];
    const struct arg *named = NULL;
    for (unsigned i = 0; i < k->count; i++)
        if (k->types[i] == 'd' || k->types[i] == 'x')
            named = &op->args[i];
    struct arg base = named ? *named : (struct arg){NONE, 0};
    base.n = 0;
    if (op->kind == K_cuMemHostGetFlags)
        out[0] &= ~(uint64_t)CU_MEMHOSTALLOC_DEVICEMAP; // a local device reaches all that is pinned, a remote one nothing
    if (op->kind == K_cuMemGetInfo_v2) {
        out[0] = out[0] && out[0] <= out[1];
        return;
    }
    if (op->kind == K_cuPointerGetAttribute) {
        switch (op->args[1].n) {
        case CU_POINTER_ATTRIBUTE_CONTEXT: out[0] = context_slot(r, out[0]); return;
        case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
        case CU_POINTER_ATTRIBUTE_HOST_POINTER:
        case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR: out[0] -= either_at(r, &base); return;
        default: return;
        }
    }
    for (unsigned i = 0, at = 0; i < k->count && at < VALUES; i++)
        switch (k->types[i]) {
        case 'a': out[at++] -= device_at(r, &base); break;
        case 'g': out[at] = context_slot(r, out[at]); at++; break;
        case 'l': out[at++] = 1; break; // a time: any
        case 'i': case 'j': case 'z': case 'q': at++; break;
        default: break;
        }
}

static void mark_touched(const struct op *op)
{
    const struct kind *k = &kinds[op->kind];
    for (unsigned i = 0; i < k->count; i++) {
        unsigned slot = op->args[i].slot;
        if (slot == NONE || k->effects[i] != '>' || (k->types[i] != 'h' && (k->types[i] != 'x' || slot < 64)))
            continue;
        touched[slot % 64] = pageable_bytes(slot % 64); // whichever thread it is, the value is the same
    }
}

static CUresult do_op(struct run *r, const struct op *op, uint64_t *out)
{
    const struct arg *a = op->args;
    CUresult code;
    switch (op->kind) {
    case K_host_write:
        if (host_at(r, &a[0]))
            put_bytes(host_at(r, &a[0]), (uint64_t)a[1].n, (uint64_t)a[2].n);
        return CUDA_SUCCESS;
    case K_host_check:
        if (host_at(r, &a[0]))
            out[0] = sum_bytes(host_at(r, &a[0]), (uint64_t)a[1].n);
        return CUDA_SUCCESS;
    case K_host_order: out[0] = atomic_load(&r->order[op->lane]); return CUDA_SUCCESS;
    case K_host_gate_close:
        r->calls[op - r->p->ops] = (struct host_call){.run = r, .id = atomic_fetch_add(&r->gates, 1) + 1};
        return ((call_fn *)r->driver->entries[K_cuLaunchHostFunc])(whole(stream_of(r, &a[0])), whole(gate),
                                                                   whole(&r->calls[op - r->p->ops]), 0, 0, 0, 0);
    case K_host_gate_open: gate_open(r); return CUDA_SUCCESS;
    case K_cuLaunchKernel: return launch(r, op);
    case K_cuLaunchHostFunc:
    case K_cuStreamAddCallback: return host_function(r, op);
    case K_cuMemcpy2D_v2:
    case K_cuMemcpy2DAsync_v2: return copy_2d(r, op);
    default: break;
    }
    code = generic(r, op, out);
    if (code != CUDA_SUCCESS) {
        out[0] = out[1] = out[2] = 0;
        return code;
    }
    if ((op->kind == K_cuMemAllocHost_v2 || op->kind == K_cuMemHostAlloc) && r->hosts[a[0].slot]) // of no bytes: NULL
        memset(r->hosts[a[0].slot], 0, (size_t)a[1].n);
    if (op->kind == K_cuModuleGetFunction && a[2].n < KERNELS)
        r->kernels[a[0].slot] = (uint8_t)a[2].n;
    make_comparable(r, op, out);
    return code;
}

// --- threads in turn

static void await_turn(struct run *r, unsigned turn)
{
    for (unsigned now; (now = atomic_load(&r->done)) < turn;)
        syscall(SYS_futex, &r->done, FUTEX_WAIT_PRIVATE, now, NULL, NULL, 0);
}

static void run_thread(struct run *r, unsigned thread)
{
    for (unsigned i = 0; i < r->p->count; i++) {
        const struct op *op = &r->p->ops[i];
        struct record *record = &r->outcome->records[i];
        if (op->thread != thread)
            continue;
        await_turn(r, r->waits_for[i]);
        mark_touched(op);
        record->code = (int32_t)do_op(r, op, record->values);
        record->done = 1;
        atomic_fetch_add(&r->outcome->reached, 1);
        atomic_fetch_add(&r->done, 1);
        if (r->several)
            syscall(SYS_futex, &r->done, FUTEX_WAKE_PRIVATE, THREADS, NULL, NULL, 0);
    }
}

struct thread {
    struct run *run;
    unsigned number;
    pthread_t id;
};

static void *thread_main(void *at)
{
    struct thread *t = at;
    run_thread(t->run, t->number);
    return NULL;
}

// --- before and after

// What a lost context kept of host memory is lost with it (--may-lose), for the programs that come after in this process too.
static bool was_lost(const struct outcome *o, unsigned count)
{
    bool lost = false;
    for (unsigned i = 0; i < count; i++)
        lost |= o->records[i].done && o->records[i].code >= CUDA_ERROR_ILLEGAL_ADDRESS && o->records[i].code <= CUDA_ERROR_LAUNCH_FAILED;
    return lost;
}

static void prepare(struct run *r, bool anew)
{
    const struct program *p = r->p;
    for (unsigned i = 0; i < p->count; i++) {
        bool goes_on = i && p->ops[i].section && p->ops[i].section == p->ops[i - 1].section;
        r->waits_for[i] = goes_on ? r->waits_for[i - 1] : i;
        r->several |= p->ops[i].thread > 0;
    }
    for (unsigned i = PAGEABLE_FIRST; i < HOSTS; i++) {
        if (!pageable[i])
            pageable[i] = mmap(NULL, pageable_bytes(i), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        else if (anew)
            pageable[i] = mmap(pageable[i], pageable_bytes(i), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        if (pageable[i] == MAP_FAILED)
            abort();
        if (touched[i] && !anew)
            memset(pageable[i], 0, touched[i]);
        touched[i] = 0;
        r->hosts[i] = pageable[i];
    }
}

#define CALL(kind, ...) ((__typeof__(kind) *)r->driver->entries[K_##kind])(__VA_ARGS__)

// The next program starts from nothing: contexts take with them what is theirs.
static void clean(struct run *r)
{
    CUcontext c;
    gate_open(r);
    for (unsigned i = 0; i < CONTEXTS; i++)
        if (r->contexts[i] && CALL(cuCtxSetCurrent, r->contexts[i]) == CUDA_SUCCESS)
            CALL(cuCtxSynchronize);
    for (unsigned i = 0; i < CONTEXTS; i++) {
        if (!r->contexts[i] || CALL(cuCtxSetCurrent, r->contexts[i]) != CUDA_SUCCESS)
            continue;
        for (unsigned h = PAGEABLE_FIRST; h < HOSTS; h++)
            CALL(cuMemHostUnregister, r->hosts[h]);
        if (i != PRIMARY)
            CALL(cuCtxDestroy_v2, r->contexts[i]);
    }
    for (unsigned i = 0; i < OPS && CALL(cuDevicePrimaryCtxRelease_v2, 0) == CUDA_SUCCESS; i++)
        ;
    for (unsigned i = 0; i < OPS && CALL(cuCtxPopCurrent_v2, &c) == CUDA_SUCCESS; i++)
        ;
}

void program_run(const struct driver *d, const struct program *p, struct outcome *o)
{
    static struct run run; // host functions may be late only for a program that the model refuses
    static bool lost;
    struct thread threads[THREADS];
    memset(&run, 0, sizeof run);
    memset(o, 0, sizeof *o);
    run.driver = d;
    run.p = p;
    run.outcome = o;
    prepare(&run, lost);
    for (unsigned i = 1; i < THREADS && run.several; i++) {
        threads[i] = (struct thread){.run = &run, .number = i};
        if (pthread_create(&threads[i].id, NULL, thread_main, &threads[i]))
            abort();
    }
    run_thread(&run, 0);
    for (unsigned i = 1; i < THREADS && run.several; i++)
        pthread_join(threads[i].id, NULL);
    clean(&run);
    lost = was_lost(o, p->count);
}

int driver_open(struct driver *d, const char *path, char *why, size_t why_bytes)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    memset(d, 0, sizeof *d);
    if (!library) {
        snprintf(why, why_bytes, "%s", dlerror());
        return -ENOENT;
    }
    for (unsigned i = 0; i < KINDS; i++) {
        if (!strncmp(kinds[i].name, "host_", 5)) // done here, not by the driver
            continue;
        if (!(d->entries[i] = dlsym(library, kinds[i].name))) {
            snprintf(why, why_bytes, "%s has no %s", path, kinds[i].name);
            return -ENOENT;
        }
    }
    CUresult (*init)(unsigned) = (CUresult(*)(unsigned))dlsym(library, "cuInit");
    CUresult r = init ? init(0) : CUDA_ERROR_NOT_INITIALIZED;
    snprintf(why, why_bytes, "%s: cuInit gives %d", path, (int)r);
    return r == CUDA_SUCCESS ? 0 : -EIO;
}
