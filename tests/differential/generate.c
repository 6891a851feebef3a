// SPDX-License-Identifier: Apache-2.0
// Random programs: a kind by its weight, arguments that mostly fit, and before what would race a wait that orders it.
#include <string.h>

#include "tests/differential/model.h"

struct maker {
    struct program *p;
    const struct settings *settings;
    struct model m;
    uint64_t random;
    unsigned misuse;   // of 100 arguments
    uint8_t thread, threads, section, sections;
    unsigned section_left;
    uint8_t streams, events, devices, pinned, modules, functions, contexts; // slots used so far
    unsigned weights[KINDS], weight_sum;
    unsigned size_scale;
};

static uint64_t below(struct maker *g, uint64_t n) { return n ? random_next(&g->random) % n : 0; }
static bool chance(struct maker *g, unsigned percent) { return below(g, 100) < percent; }
static bool misuse(struct maker *g) { return below(g, 100) < g->misuse; }
static bool has(const struct maker *g, enum group group) { return g->settings->groups >> group & 1; }

// Appends the operation when its outcome is determined.
static bool add(struct maker *g, struct op *op)
{
    static struct model trial; // generating has one thread
    if (g->p->count == OPS)
        return false;
    op->thread = g->thread;
    op->section = g->section;
    trial = g->m;
    if (!model_do(&trial, op)) {
        g->m.conflict = trial.conflict;
        return false;
    }
    g->m = trial;
    g->m.conflict = NO_LANE;
    g->p->ops[g->p->count++] = *op;
    return true;
}

#define SLOT(s)   ((struct arg){(uint8_t)(s), 0})
#define AT(s, n)  ((struct arg){(uint8_t)(s), (int64_t)(n)})
#define NUMBER(n) ((struct arg){NONE, (int64_t)(n)})
#define DO(g, call, ...) add(g, &(struct op){.kind = K_##call, .args = {__VA_ARGS__}})

// --- waiting for a lane

static bool lane_slot(const struct maker *g, uint8_t lane, uint8_t *slot)
{
    uint8_t c = model_context(&g->m, g->thread);
    if (lane < LANE_LEGACY)
        *slot = lane;
    else if (lane < LANE_THREAD && lane - LANE_LEGACY == c)
        *slot = 0;
    else if (lane == LANE_THREAD + c * THREADS + g->thread)
        *slot = 2;
    else
        return false;
    return true;
}

static uint8_t new_event(struct maker *g)
{
    if (g->events == EVENTS)
        return NONE;
    uint8_t e = g->events;
    if (!DO(g, cuEventCreate, SLOT(e), NUMBER(below(g, 4))))
        return NONE;
    g->events++;
    return g->m.events[e].state == LIVE ? e : NONE;
}

// Makes work in `lane` be done before what comes next in the stream `behind` (NONE: before what the host does).
static void order(struct maker *g, uint8_t lane, uint8_t behind)
{
    uint8_t slot;
    if (lane == NO_LANE)
        return;
    if (!lane_slot(g, lane, &slot) || chance(g, 15)) {
        DO(g, cuCtxSynchronize);
        return;
    }
    if (chance(g, 55)) {
        DO(g, cuStreamSynchronize, SLOT(slot));
        return;
    }
    uint8_t e = NONE;
    for (unsigned i = 0; i < 4 && e == NONE; i++) {
        e = g->events ? (uint8_t)below(g, g->events) : NONE;
        if (e != NONE && (g->m.events[e].state != LIVE || !DO(g, cuEventRecord, SLOT(e), SLOT(slot))))
            e = NONE;
    }
    if (e == NONE && ((e = new_event(g)) == NONE || !DO(g, cuEventRecord, SLOT(e), SLOT(slot)))) {
        DO(g, cuStreamSynchronize, SLOT(slot));
        return;
    }
    if (behind == NONE)
        DO(g, cuEventSynchronize, SLOT(e));
    else
        DO(g, cuStreamWaitEvent, SLOT(behind), SLOT(e), NUMBER(0));
}

// --- arguments

static uint8_t some(struct maker *g, const uint8_t *candidates, unsigned count)
{
    return count ? candidates[below(g, count)] : NONE;
}

#define PICK(name, total, condition)                                                                                   \
    static uint8_t name(struct maker *g)                                                                               \
    {                                                                                                                  \
        uint8_t list[32];                                                                                              \
        unsigned count = 0;                                                                                            \
        for (uint8_t i = 0; i < total; i++)                                                                            \
            if (condition)                                                                                             \
                list[count++] = i;                                                                                     \
        return some(g, list, count);                                                                                   \
    }
PICK(live_device, DEVICES, g->m.devices[i].state == LIVE)
PICK(dead_device, DEVICES, g->m.devices[i].state == DEAD)
PICK(live_pinned, PAGEABLE_FIRST, g->m.hosts[i].state == LIVE)
PICK(live_stream, STREAMS, g->m.streams[i].state == LIVE)
PICK(dead_stream, STREAMS, g->m.streams[i].state == DEAD)
PICK(live_event, EVENTS, g->m.events[i].state == LIVE)
PICK(dead_event, EVENTS, g->m.events[i].state == DEAD)
PICK(live_function, FUNCTIONS, g->m.functions[i].state == LIVE)
PICK(dead_function, FUNCTIONS, g->m.functions[i].state == DEAD)
PICK(live_module, MODULES, g->m.modules[i].state == LIVE)
PICK(dead_module, MODULES, g->m.modules[i].state == DEAD)
PICK(live_context, CONTEXTS, g->m.contexts[i].state == LIVE)
PICK(dead_context, CONTEXTS, g->m.contexts[i].state == DEAD)

static struct arg wrong(struct maker *g, uint8_t dead)
{
    return dead != NONE && chance(g, 70) ? SLOT(dead) : NUMBER(0);
}

static uint8_t some_stream(struct maker *g)
{
    uint8_t live = live_stream(g);
    return live != NONE && chance(g, 75) ? live : (uint8_t)below(g, STREAM_FIRST);
}

static uint8_t some_host(struct maker *g)
{
    uint8_t pinned = live_pinned(g);
    if (pinned != NONE && chance(g, 55))
        return pinned;
    if (has(g, G_LARGE) && chance(g, 8))
        return PAGEABLE_FIRST + 4 + (uint8_t)below(g, 2);
    return PAGEABLE_FIRST + (uint8_t)below(g, 4);
}

static uint64_t offset_in(struct maker *g, uint64_t size_bytes, unsigned unit)
{
    if (chance(g, 55) || size_bytes <= unit)
        return 0;
    return below(g, chance(g, 50) ? size_bytes : size_bytes < 64 ? size_bytes : 64) / unit * unit;
}

static uint64_t room(const struct maker *g, char type, const struct arg *a)
{
    if (a->slot == NONE)
        return type == 'h' ? 0 : 64;
    bool host = type == 'h' || a->slot >= 64;
    uint64_t size = host ? g->m.hosts[a->slot % 64].size_bytes : g->m.devices[a->slot].size_bytes;
    return (uint64_t)a->n < size ? size - (uint64_t)a->n : 0;
}

static struct arg device_arg(struct maker *g, unsigned unit)
{
    if (misuse(g))
        return wrong(g, dead_device(g));
    uint8_t d = live_device(g);
    return d == NONE ? NUMBER(0) : AT(d, offset_in(g, g->m.devices[d].size_bytes, unit));
}

static struct arg host_arg(struct maker *g, unsigned unit)
{
    if (misuse(g) && chance(g, 30))
        return NUMBER(0);
    uint8_t h = some_host(g);
    return AT(h, offset_in(g, g->m.hosts[h].size_bytes, unit));
}

static uint64_t amount(struct maker *g, uint64_t most)
{
    if (!most)
        return 0;
    if (chance(g, 30))
        return most;
    if (chance(g, 40))
        return 1 + below(g, most);
    return 1 + below(g, most < 64 ? most : 64);
}

static uint64_t alloc_bytes(struct maker *g)
{
    static const uint32_t usual[] = {4, 64, 256, 512, 1000, 1024, 4096, 4100, 16384, 20000};
    if (has(g, G_LARGE) && chance(g, 6))
        return chance(g, 50) ? 65536 + below(g, 200000) : (1 << 20) - 64 + below(g, (2 << 20));
    return chance(g, 60) ? usual[below(g, sizeof usual / sizeof *usual)] : 1 + below(g, 8192);
}

static struct arg fill_arg(struct maker *g, struct op *op, unsigned i, uint64_t most)
{
    const struct kind *k = &kinds[op->kind];
    switch (k->types[i]) {
    case 'd': return device_arg(g, op->kind == K_cuLaunchKernel ? 4 : k->unit);
    case 'h': return host_arg(g, 1);
    case 'x':
        if (chance(g, 50))
            return device_arg(g, k->unit);
        op->args[i] = host_arg(g, 1);
        return op->args[i].slot == NONE ? op->args[i] : AT(64 + op->args[i].slot, op->args[i].n);
    case 's': return misuse(g) ? wrong(g, dead_stream(g)) : SLOT(some_stream(g));
    case 'e': return misuse(g) ? wrong(g, dead_event(g)) : SLOT(live_event(g));
    case 'c': return misuse(g) ? wrong(g, dead_context(g)) : SLOT(live_context(g));
    case 'm': return misuse(g) ? wrong(g, dead_module(g)) : SLOT(live_module(g));
    case 'f': return misuse(g) ? wrong(g, dead_function(g)) : SLOT(live_function(g));
    case 'b':
    case 'k':
        if (misuse(g))
            return NUMBER(chance(g, 30) ? 0 : chance(g, 50) ? most / k->unit + 1 : (uint64_t)1 << (30 + below(g, 30)));
        return NUMBER(amount(g, most / k->unit));
    case 'v': return NUMBER(random_next(&g->random) & 0xffffffff);
    default: return NUMBER(0);
    }
}

// Boxes: rows first, so that pitch and width fit what there is.
static void fill_box(struct maker *g, struct op *op)
{
    const struct kind *k = &kinds[op->kind];
    uint64_t rows = 1 + below(g, 6), most = UINT64_MAX;
    for (unsigned i = 0; i < k->count; i++)
        if (k->types[i] == 'd' || k->types[i] == 'x') {
            uint64_t pitch = room(g, k->types[i], &op->args[i]) / rows / k->unit * k->unit;
            if (pitch > 2048)
                pitch = 2048 - below(g, 64) * k->unit;
            most = pitch < most ? pitch : most;
            op->args[i + 1] = NUMBER(pitch);
        }
    uint64_t width = amount(g, most / k->unit);
    for (unsigned i = 0; i < k->count; i++) {
        if (k->types[i] == 'w')
            op->args[i] = NUMBER(misuse(g) ? most / k->unit + 1 : width);
        if (k->types[i] == 'r')
            op->args[i] = NUMBER(misuse(g) ? below(g, 100) : rows);
    }
}

static bool fill_launch(struct maker *g, struct op *op)
{
    uint8_t f = op->args[0].slot, kernel = f == NONE ? (uint8_t)NOTHING : g->m.functions[f].kernel;
    if (kernel == POKE) {
        if (!has(g, G_FAULT))
            return false;
        op->args[4] = NUMBER(4 * below(g, 64));
    }
    uint64_t most = room(g, 'd', &op->args[4]) / 4, from = room(g, 'd', &op->args[5]) / 4;
    if (kernel == COPY && from < most)
        most = from;
    if (most > 1024)
        most = 1024;
    uint64_t n = kernel == COPY || kernel == FILL || kernel == ADD ? amount(g, most) : 0;
    uint64_t block = chance(g, 50) ? 32 : 64, grid = (n + block - 1) / block;
    op->args[2] = NUMBER(misuse(g) ? (chance(g, 50) ? 0 : 1ull << 31) : grid ? grid : 1);
    op->args[3] = NUMBER(misuse(g) ? (chance(g, 50) ? 0 : 1025) : block);
    op->args[6] = NUMBER(n);
    return true;
}

// What the plain letters cannot say.
static bool adjust(struct maker *g, struct op *op)
{
    struct arg *a = op->args;
    // What the device is; what joins it to the program's machine is shown otherwise by a server (server/front/welcome.c).
    static const uint8_t device_facts[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 20, 31, 32, 36, 37, 38, 39, 75, 76, 81, 82, 97, 106};
    static const int attributes[] = {1, 2, 3, 4, 6, 8, 9, 11, 12, 13, 99};
    switch (op->kind) {
    case K_cuMemAlloc_v2:
        if (g->devices == GLOBAL_FIRST)
            return false;
        a[0] = SLOT(g->devices);
        a[1] = NUMBER(misuse(g) ? (chance(g, 40) ? 0 : 1ull << (40 + below(g, 20))) : alloc_bytes(g));
        return true;
    case K_cuMemAllocPitch_v2:
        if (g->devices == GLOBAL_FIRST)
            return false;
        a[0] = SLOT(g->devices);
        a[2] = NUMBER(misuse(g) ? 0 : 1 + below(g, 2000));
        a[3] = NUMBER(misuse(g) ? 0 : 1 + below(g, 16));
        a[4] = NUMBER(misuse(g) ? 3 : 4 << below(g, 3));
        return true;
    case K_cuMemFree_v2:
        if (chance(g, 90) && a[0].slot != NONE)
            a[0].n = 0;
        return a[0].slot == NONE || a[0].slot < GLOBAL_FIRST || misuse(g);
    case K_cuMemAllocHost_v2:
    case K_cuMemHostAlloc:
        if (g->pinned == PAGEABLE_FIRST)
            return false;
        a[0] = SLOT(g->pinned);
        a[1] = NUMBER(misuse(g) ? 0 : alloc_bytes(g));
        a[2] = NUMBER(misuse(g) ? 8 + below(g, 64) : below(g, 8));
        return true;
    case K_cuMemFreeHost:
        a[0] = misuse(g) ? NUMBER(0) : AT(live_pinned(g), misuse(g) ? 8 : 0);
        return true;
    case K_cuMemHostRegister_v2:
        a[0] = SLOT(PAGEABLE_FIRST + below(g, 4));
        a[1] = NUMBER(misuse(g) ? 0 : pageable_bytes(a[0].slot));
        return true;
    case K_cuMemHostUnregister: a[0] = SLOT(PAGEABLE_FIRST + below(g, 4)); return true;
    case K_cuPointerGetAttribute: a[1] = NUMBER(attributes[below(g, sizeof attributes / sizeof *attributes)]); return true;
    case K_cuStreamCreate:
    case K_cuStreamCreateWithPriority:
        if (g->streams == STREAMS)
            return false;
        a[0] = SLOT(g->streams);
        a[1] = NUMBER(misuse(g) ? 2 + below(g, 16) : below(g, 2));
        a[2] = NUMBER((int64_t)below(g, 12) - 9);
        return true;
    case K_cuEventRecordWithFlags:
    case K_cuStreamWriteValue32_v2: a[op->kind == K_cuEventRecordWithFlags ? 2 : 3] = NUMBER(misuse(g) ? 8 : 0); return true;
    case K_cuCtxSetCacheConfig: a[0] = NUMBER(misuse(g) ? 9 : below(g, 4)); return true;
    case K_cuFuncGetParamInfo: a[1] = NUMBER(below(g, 10)); return true;
    case K_cuOccupancyAvailableDynamicSMemPerBlock:
        a[2] = NUMBER(misuse(g) ? 0 : 1 + below(g, 8));
        a[3] = NUMBER(misuse(g) ? 0 : 32 << below(g, 6));
        return true;
    case K_cuOccupancyMaxPotentialBlockSize:
        a[4] = NUMBER(below(g, 20000));
        a[5] = NUMBER(below(g, 1024));
        return true;
    case K_cuStreamWaitEvent: a[2] = NUMBER(misuse(g) ? 1 + below(g, 8) : 0); return true;
    case K_cuEventCreate:
        if (g->events == EVENTS)
            return false;
        a[0] = SLOT(g->events);
        a[1] = NUMBER(misuse(g) ? below(g, 32) : below(g, 4));
        return true;
    case K_cuLaunchHostFunc:
    case K_cuStreamAddCallback:
        a[1] = NUMBER(g->p->count);
        a[2] = NUMBER(0);
        if (chance(g, 60)) {
            uint8_t h = live_pinned(g);
            if (h != NONE) {
                a[2] = AT(h, offset_in(g, g->m.hosts[h].size_bytes, 1));
                a[3] = NUMBER(amount(g, room(g, 'h', &a[2])));
            }
        }
        return true;
    case K_cuCtxCreate_v2:
        if (g->contexts == PRIMARY)
            return false;
        a[0] = SLOT(g->contexts);
        a[1] = NUMBER(misuse(g) ? 0x1000 : 0);
        a[2] = NUMBER(misuse(g) ? 7 : 0);
        return true;
    case K_cuCtxDestroy_v2: return a[0].slot != 0 || misuse(g) || chance(g, 10);
    case K_cuCtxGetApiVersion: return a[0].slot != NONE; // of a current one that is gone, drivers say one thing or the other
    case K_cuCtxGetLimit: a[1] = NUMBER(below(g, 8)); return true;
    case K_cuCtxSetLimit:
        a[0] = NUMBER(below(g, 7));
        a[1] = NUMBER(below(g, 1 << 20));
        return true;
    case K_cuDevicePrimaryCtxRetain:
        a[0] = SLOT(PRIMARY);
        a[1] = NUMBER(misuse(g) ? 9 : 0);
        return true;
    case K_cuDevicePrimaryCtxRelease_v2:
    case K_cuDevicePrimaryCtxGetState: a[0] = NUMBER(misuse(g) ? 9 : 0); return true;
    case K_cuModuleLoadData: a[0] = SLOT(g->modules); return g->modules < MODULES;
    case K_cuModuleGetFunction:
        a[0] = SLOT(g->functions);
        a[2] = NUMBER(misuse(g) ? KERNELS : below(g, KERNELS));
        return g->functions < FUNCTIONS;
    case K_cuModuleGetGlobal_v2:
        a[0] = SLOT(GLOBAL_FIRST + (a[2].slot == NONE ? 0 : a[2].slot));
        return true;
    case K_cuFuncGetAttribute: a[1] = NUMBER(below(g, 16)); return true;
    case K_cuFuncSetAttribute:
        a[1] = NUMBER(below(g, 10));
        a[2] = NUMBER(below(g, 60000));
        return true;
    case K_cuOccupancyMaxActiveBlocksPerMultiprocessor:
    case K_cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags:
        a[2] = NUMBER(misuse(g) ? 0 : 32 << below(g, 6));
        a[3] = NUMBER(below(g, 50000));
        a[4] = NUMBER(misuse(g) ? 2 : below(g, 2));
        return true;
    case K_cuDeviceGetAttribute:
        a[1] = NUMBER(misuse(g) ? 500 : device_facts[below(g, sizeof device_facts / sizeof *device_facts)]);
        a[2] = NUMBER(misuse(g) ? 5 : 0);
        return true;
    case K_cuDeviceTotalMem_v2: a[1] = NUMBER(misuse(g) ? 5 : 0); return true;
    case K_cuLaunchKernel: return fill_launch(g, op);
    default: return true;
    }
}

static void count_slots(struct maker *g, const struct op *op)
{
    const struct kind *k = &kinds[op->kind];
    for (unsigned i = 0; i < k->count; i++)
        switch (k->types[i]) {
        case 'D': g->devices++; break;
        case 'H': g->pinned++; break;
        case 'S': g->streams++; break;
        case 'E': g->events++; break;
        case 'M': g->modules++; break;
        case 'F': g->functions++; break;
        case 'C': g->contexts += op->args[i].slot < PRIMARY; break;
        default: break;
        }
}

static void initialise(struct maker *g, uint8_t d);

static bool attempt(struct maker *g, unsigned kind)
{
    struct op op = {.kind = (uint8_t)kind};
    const struct kind *k = &kinds[kind];
    uint64_t most = UINT64_MAX;
    uint8_t stream = NONE;
    bool box = false;
    for (unsigned i = 0; i < k->count; i++) {
        op.args[i] = fill_arg(g, &op, i, most);
        if (k->effects[i] != ' ') {
            uint64_t r = room(g, k->types[i], &op.args[i]);
            most = r < most ? r : most;
        }
        box |= k->types[i] == 'w';
        if (k->types[i] == 's')
            stream = op.args[i].slot;
    }
    if (box)
        fill_box(g, &op);
    if (!adjust(g, &op))
        return false;
    bool done = add(g, &op);
    for (unsigned i = 0; !done && i < 3 && g->m.conflict != NO_LANE && chance(g, 70); i++) {
        order(g, g->m.conflict, k->lane == 's' ? stream : k->lane == 'L' ? 0 : NONE);
        if (kind == K_cuLaunchHostFunc || kind == K_cuStreamAddCallback)
            op.args[1] = NUMBER(g->p->count);
        done = add(g, &op);
    }
    if (!done)
        return false;
    count_slots(g, &op);
    if ((kind == K_cuMemAlloc_v2 || kind == K_cuMemAllocPitch_v2) && g->m.devices[op.args[0].slot].state == LIVE && chance(g, 92))
        initialise(g, op.args[0].slot);
    if (g->m.faulting != NO_LANE) {
        uint8_t slot;
        if (!lane_slot(g, g->m.faulting, &slot) || chance(g, 50))
            DO(g, cuCtxSynchronize);
        else
            DO(g, cuStreamSynchronize, SLOT(slot));
    }
    return true;
}

static void initialise(struct maker *g, uint8_t d)
{
    uint64_t size = g->m.devices[d].size_bytes;
    uint64_t value = random_next(&g->random) & 0xffffffff;
    uint8_t s = some_stream(g), h = some_host(g);
    switch (below(g, 4)) {
    case 0: DO(g, cuMemsetD8_v2, SLOT(d), NUMBER(value), NUMBER(size)); break;
    case 1:
        if (g->m.hosts[h].size_bytes >= size &&
            DO(g, cuMemcpyHtoDAsync_v2, SLOT(d), SLOT(h), NUMBER(size), SLOT(s)))
            break;
        // fall through
    default: DO(g, cuMemsetD8Async, SLOT(d), NUMBER(value), NUMBER(size), SLOT(s)); break;
    }
}

// --- the program's beginning, middle and end

static void weigh(struct maker *g)
{
    // Each program has a taste of its own: some groups are left out, so that the others meet more often.
    unsigned boost[GROUPS];
    for (unsigned i = 0; i < GROUPS; i++)
        boost[i] = has(g, i) ? (unsigned)below(g, 4) : 0;
    boost[G_BUFFER] = has(g, G_BUFFER) ? 2 : 0;
    boost[G_COPY] += has(g, G_COPY);
    for (unsigned i = 0; i < KINDS; i++)
        g->weight_sum += g->weights[i] = kinds[i].weight * boost[kinds[i].group];
}

static unsigned choose(struct maker *g)
{
    uint64_t at = below(g, g->weight_sum);
    for (unsigned i = 0; i < KINDS; i++) {
        if (at < g->weights[i])
            return i;
        at -= g->weights[i];
    }
    return K_cuCtxSynchronize;
}

static void begin(struct maker *g)
{
    DO(g, cuCtxCreate_v2, SLOT(0), NUMBER(0), NUMBER(0));
    g->contexts = 1;
    for (g->thread = 1; g->thread < g->threads; g->thread++)
        DO(g, cuCtxSetCurrent, SLOT(0));
    g->thread = 0;
    if (has(g, G_LAUNCH) && g->weights[K_cuLaunchKernel]) {
        DO(g, cuModuleLoadData, SLOT(0));
        g->modules = 1;
        for (unsigned n = 1 + (unsigned)below(g, 4); n; n--) {
            unsigned kernel = has(g, G_FAULT) && chance(g, 15) ? POKE : (unsigned)below(g, POKE);
            DO(g, cuModuleGetFunction, SLOT(g->functions), SLOT(0), NUMBER(kernel));
            g->functions++;
        }
    }
    for (uint64_t n = below(g, 4); n; n--)
        attempt(g, K_cuStreamCreate);
    for (uint64_t n = below(g, 3); n; n--)
        attempt(g, chance(g, 50) ? K_cuMemHostAlloc : K_cuMemAllocHost_v2);
    for (uint64_t n = 1 + below(g, 3); n; n--) {
        attempt(g, K_host_write);
        attempt(g, K_cuMemAlloc_v2);
    }
}

static void next_thread(struct maker *g)
{
    if (g->section_left) {
        g->thread = (uint8_t)below(g, g->threads);
        if (!--g->section_left)
            g->section = 0;
        return;
    }
    if (g->threads > 1 && chance(g, 30))
        g->thread = (uint8_t)below(g, g->threads);
    if (g->threads > 1 && has(g, G_PARALLEL) && g->m.gate == NO_LANE && g->sections < 200 && chance(g, 8)) {
        g->section = ++g->sections;
        g->section_left = 4 + (unsigned)below(g, 24);
    }
}

static void finish(struct maker *g)
{
    g->section = 0;
    g->section_left = 0;
    DO(g, host_gate_open);
    g->thread = 0;
    for (uint8_t c = 0; c < CONTEXTS; c++)
        if (c && g->m.contexts[c].state == LIVE && DO(g, cuCtxPushCurrent_v2, SLOT(c))) {
            DO(g, cuCtxSynchronize);
            DO(g, cuCtxPopCurrent_v2);
        }
    DO(g, cuCtxSynchronize);
    for (uint8_t d = 0; d < DEVICES; d++) {
        const struct memory *at = &g->m.devices[d];
        if (at->state != LIVE || !at->initialised)
            continue;
        uint8_t h = at->size_bytes <= 32 << 10 ? PAGEABLE_FIRST : PAGEABLE_FIRST + 5;
        if (DO(g, cuMemcpyDtoH_v2, SLOT(h), SLOT(d), NUMBER(at->size_bytes)))
            DO(g, host_check, SLOT(h), NUMBER(at->size_bytes));
    }
    for (uint8_t h = 0; h < PAGEABLE_FIRST + 4; h++)
        if (g->m.hosts[h].state == LIVE)
            DO(g, host_check, SLOT(h), NUMBER(g->m.hosts[h].size_bytes));
    for (uint8_t s = 0; s < STREAMS; s++)
        if (s < STREAM_FIRST || g->m.streams[s].state == LIVE)
            DO(g, host_order, SLOT(s));
    if (chance(g, 30))
        for (uint8_t d = 0; d < GLOBAL_FIRST; d++)
            if (g->m.devices[d].state == LIVE && chance(g, 50))
                DO(g, cuMemFree_v2, SLOT(d));
    for (uint8_t c = 0; c < PRIMARY; c++)
        if (g->m.contexts[c].state == LIVE)
            DO(g, cuCtxDestroy_v2, SLOT(c));
}

void program_generate(struct program *p, uint64_t seed, const struct settings *s)
{
    static struct maker g;
    memset(p, 0, sizeof *p);
    memset(&g, 0, sizeof g);
    p->seed = seed;
    g.p = p;
    g.settings = s;
    g.random = seed * 0x2545f4914f6cdd1d + 1;
    g.streams = STREAM_FIRST;
    model_open(&g.m);
    g.threads = chance(&g, 45) ? 1 : (uint8_t)(1 + below(&g, s->threads));
    g.misuse = has(&g, G_MISUSE) && chance(&g, 45) ? 1 + (unsigned)below(&g, 12) : 0;
    weigh(&g);
    begin(&g);
    unsigned target = p->count + 4 + (unsigned)below(&g, s->ops), tries = 0;
    while (p->count < target && p->count < OPS - 60 && tries++ < 4 * s->ops + 100) {
        next_thread(&g);
        attempt(&g, choose(&g));
        if (g.m.gate != NO_LANE && chance(&g, 12))
            DO(&g, host_gate_open);
        uint8_t c = model_context(&g.m, g.thread);
        if (c == NONE ? chance(&g, 40) : g.m.contexts[c].lost && chance(&g, 12))
            break; // everything fails from now on: some of that is enough
    }
    finish(&g);
}
