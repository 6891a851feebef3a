// SPDX-License-Identifier: Apache-2.0
// Versions of allocations. A command is counted after it has been sent and before the call returns: who asks afterwards sees it; who sends
// something else at the same time sees two counts where he expects one.
#include "interpose/writes/writes.h"

#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "api_wire.h"
#include "interpose/hints/hints.h"
#include "interpose/memory/memory_map.h"
#include "interpose/module/function.h"
#include "interpose/options.h"
#include "interpose/stream/stream.h"

enum {
    CELLS_AT_ONCE = 64,
    RECENT_BITS = 6,
    RECENT = 1 << RECENT_BITS, // pointers that a thread remembers the allocations of: those of a step's launches
    VERSION_BITS = 40,         // of counts in a version, below the allocation's number
};

bool gn_writes_on;

// What was written to one allocation; `anything` stands for all of them.
struct gn_write_count {
    _Alignas(64) atomic_flag busy; // one command at a time is counted; never held over anything else
    _Atomic uint64_t count;
    _Atomic uint64_t stream;  // that wrote last (key_of)
    _Atomic uint64_t wait;    // `waits` as it was then
    _Atomic uint64_t mixed;   // `waits` + 1 when streams wrote that do not run in turn; 0: never
    struct gn_write_count *next_free;
};

static struct gn_write_count anything = {.busy = ATOMIC_FLAG_INIT};
static _Atomic uint64_t waits = 1;   // how often somebody began to wait for the context
static _Atomic uint64_t done;        // what was counted with at most this number of waits has been waited for
static _Atomic uint64_t the_context; // the one that all commands so far were sent in; 1: there are several

void gn_writes_load(void) { gn_writes_on = gn_hints_on && gn_options_on(GN_OPT_PROOF); }

// --- cells

static pthread_mutex_t cells_lock = PTHREAD_MUTEX_INITIALIZER; // taken last
static struct gn_write_count *free_cells;

static bool more_cells(void)
{
    struct gn_write_count *cells = aligned_alloc(64, CELLS_AT_ONCE * sizeof *cells);
    for (unsigned i = 0; cells && i < CELLS_AT_ONCE; i++) {
        memset(&cells[i], 0, sizeof cells[i]);
        cells[i].next_free = free_cells;
        free_cells = &cells[i];
    }
    return cells;
}

struct gn_write_count *gn_writes_cell(void)
{
    struct gn_write_count *cell = NULL;
    pthread_mutex_lock(&cells_lock);
    if (free_cells || more_cells()) {
        cell = free_cells;
        free_cells = cell->next_free;
    }
    pthread_mutex_unlock(&cells_lock);
    if (cell) {
        atomic_store_explicit(&cell->stream, 0, memory_order_relaxed);
        atomic_store_explicit(&cell->mixed, 0, memory_order_relaxed);
    }
    return cell;
}

void gn_writes_cell_give(struct gn_write_count *cell)
{
    if (!cell)
        return;
    pthread_mutex_lock(&cells_lock);
    cell->next_free = free_cells;
    free_cells = cell;
    pthread_mutex_unlock(&cells_lock);
}

// --- streams

// The legacy default stream is one of each context.
static uint64_t key_of(const struct gn_call *c, uint64_t stream)
{
    return stream == GN_STREAM_LEGACY_ID ? ~gn_context_id(c) : stream;
}

static bool is_blocking_in(uint64_t stream, uint64_t context)
{
    const struct gn_handle_slot *slot = gn_handle_slot((void *)(uintptr_t)stream, GN_KIND_STREAM);
    return slot && slot->context == context && !((unsigned)slot->keep & CU_STREAM_NON_BLOCKING);
}

// Does what is sent into the two streams run in the order in which it was sent? In one stream; and in a blocking stream and its context's
// legacy stream.
static bool in_turn(uint64_t a, uint64_t b) { return a == b || is_blocking_in(a, ~b) || is_blocking_in(b, ~a); }

static bool is_over(uint64_t wait) { return wait <= atomic_load_explicit(&done, memory_order_acquire); }

static void count(const struct gn_call *c, struct gn_write_count *cell, uint64_t stream)
{
    c->thread->counted++;
    while (atomic_flag_test_and_set_explicit(&cell->busy, memory_order_acquire)) {
    }
    uint64_t before = atomic_load_explicit(&cell->stream, memory_order_relaxed);
    uint64_t now = atomic_load_explicit(&waits, memory_order_acquire);
    if (before != stream) {
        if (before && !is_over(atomic_load_explicit(&cell->wait, memory_order_relaxed)) && !in_turn(before, stream))
            atomic_store_explicit(&cell->mixed, now, memory_order_relaxed);
        atomic_store_explicit(&cell->stream, stream, memory_order_relaxed);
    }
    atomic_store_explicit(&cell->wait, now, memory_order_relaxed);
    // Release: who reads this count finds what is said of it.
    atomic_store_explicit(&cell->count, atomic_load_explicit(&cell->count, memory_order_relaxed) + 1, memory_order_release);
    atomic_flag_clear_explicit(&cell->busy, memory_order_release);
}

// May all that was counted be taken as done before what is sent into the stream now?
static bool is_settled(const struct gn_write_count *cell, uint64_t stream)
{
    uint64_t last = atomic_load_explicit(&cell->stream, memory_order_acquire);
    uint64_t mixed = atomic_load_explicit(&cell->mixed, memory_order_acquire);
    if (mixed && !is_over(mixed))
        return false;
    return !last || in_turn(last, stream) || is_over(atomic_load_explicit(&cell->wait, memory_order_acquire));
}

uint64_t gn_writes_wait_begins(void) { return atomic_fetch_add_explicit(&waits, 1, memory_order_acq_rel); }

void gn_writes_wait_ended(uint64_t context, uint64_t began)
{
    if (atomic_load_explicit(&the_context, memory_order_acquire) != context)
        return; // with several contexts, one says nothing of the others
    uint64_t before = atomic_load_explicit(&done, memory_order_relaxed);
    while (before < began && !atomic_compare_exchange_weak_explicit(&done, &before, began, memory_order_acq_rel, memory_order_relaxed)) {
    }
}

static void note_context(const struct gn_call *c)
{
    uint64_t id = gn_context_id(c), none = 0;
    if (atomic_load_explicit(&the_context, memory_order_relaxed) != id && id &&
        !atomic_compare_exchange_strong_explicit(&the_context, &none, id, memory_order_acq_rel, memory_order_acquire) && none != id)
        atomic_store_explicit(&the_context, 1, memory_order_release);
}

// --- launches

struct gn_recent { // where a pointer leads, as of a state of the map
    uint64_t value, changes;
    struct gn_pointed pointed;
};

static struct gn_pointed look_up(const struct gn_call *c, uint64_t value)
{
    uint64_t changes = gn_memory_changes(); // before it is looked at
    struct gn_recent *r = c->thread->recent;
    if (!r && !(r = c->thread->recent = calloc(RECENT, sizeof *r)))
        return gn_memory_pointed(value);
    r += value * 0x9e3779b97f4a7c15u >> (64 - RECENT_BITS); // allocations lie at round numbers
    if (r->value != value || r->changes != changes) {
        r->pointed = gn_memory_pointed(value);
        r->value = value;
        r->changes = changes;
    }
    return r->pointed;
}

// A word of parameters that is no pointer is a number: a stride, a count. As a pointer it would lead to where memory may be.
static bool may_lead_somewhere(uint64_t value)
{
    return value >= gn_memory_lowest() / 2 && value < (uint64_t)1 << 63;
}

static bool count_words(const struct gn_call *c, const struct gn_kernel_writes *w, const struct gn_args_launch *a, uint64_t stream)
{
    for (uint32_t i = 0; i < w->word_count; i++) {
        uint64_t value, at = w->word_bytes[i];
        if (!a->params || at + sizeof value > a->params_bytes)
            return false;
        memcpy(&value, (const uint8_t *)a->params + at, sizeof value);
        if (!value)
            continue;
        struct gn_pointed p = look_up(c, value);
        if (!p.known && may_lead_somewhere(value))
            return false;
        for (unsigned j = 0; j < 2; j++)
            if (p.cells[j])
                count(c, p.cells[j], stream);
    }
    return true;
}

static void launched(const struct gn_call *c, const struct gn_args_launch *a)
{
    const struct gn_function *f = gn_function_of((CUfunction)(uintptr_t)a->function);
    const struct gn_kernel_writes *w = f ? f->writes : NULL;
    uint64_t stream = key_of(c, a->stream);
    bool known = w && !w->unknown && count_words(c, w, a, stream);
    if (!known)
        count(c, &anything, stream);
    gn_count(known ? &c->thread->counts.launches_known : &c->thread->counts.launches_unknown, 1);
}

// --- other commands

enum kind {
    ANYTHING, // not in the table
    NO_WRITE, // to no memory that the program has allocated and still has
    AT,       // to the allocation at an address
    LAUNCH,
};

static const struct {
    uint8_t kind;
    uint8_t stream_at, address_at; // AT: where in its arguments
} table[GN_OPS] = {
#define NONE(op) [GN_OP_##op] = {.kind = NO_WRITE}
#define WRITES(op, stream_field, address_field)                                                                        \
    [GN_OP_##op] = {AT, offsetof(struct gn_args_##op, stream_field), offsetof(struct gn_args_##op, address_field)}
    [GN_OP_launch] = {.kind = LAUNCH},
    WRITES(write, stream, address),
    WRITES(write_pull, stream, address),
    WRITES(copy, stream, destination),
    WRITES(cuMemsetD8Async, hStream, dstDevice),
    WRITES(cuMemsetD16Async, hStream, dstDevice),
    WRITES(cuMemsetD32Async, hStream, dstDevice),
    WRITES(cuMemsetD2D8Async, hStream, dstDevice),
    WRITES(cuMemsetD2D16Async, hStream, dstDevice),
    WRITES(cuMemsetD2D32Async, hStream, dstDevice),
    WRITES(cuStreamWriteValue32_v2, stream, addr),
    WRITES(cuStreamWriteValue64_v2, stream, addr),
    WRITES(kept_spill, stream, address),
    WRITES(write_content, stream, address),
    WRITES(write_stored, stream, address),
    // reads
    NONE(read), NONE(read_async), NONE(kept_open), NONE(kept_fill), NONE(kept_close),
    // order, waiting, and what is done elsewhere: a host function may not call the API
    NONE(scope), NONE(stream_create), NONE(stream_destroy), NONE(stream_synchronize), NONE(stream_query), NONE(cuStreamWaitEvent),
    NONE(cuStreamWaitValue32_v2), NONE(cuStreamWaitValue64_v2), NONE(cuEventCreate), NONE(event_destroy), NONE(event_synchronize),
    NONE(event_query), NONE(event_record), NONE(event_record_marked), NONE(cuEventElapsedTime), NONE(cuEventElapsedTime_v2),
    NONE(context_synchronize), NONE(host_function),
    // memory that is nobody's yet, or nobody's any more: a new allocation is another one, wherever it lies
    NONE(memory_alloc), NONE(memory_alloc_pitch), NONE(memory_free), NONE(memory_range), NONE(memory_map), NONE(memory_unmap),
    NONE(memory_return), NONE(memory_barrier), NONE(memory_info), NONE(vmm_reserve), NONE(vmm_free), NONE(vmm_create), NONE(vmm_release),
    NONE(vmm_map), NONE(vmm_unmap), NONE(vmm_access),
    // code and its variables, which have no version
    NONE(image_part), NONE(image_content), NONE(content_offer), NONE(module_load), NONE(module_unload), NONE(module_get_function), NONE(module_functions), NONE(module_get_global),
    NONE(library_load), NONE(library_unload), NONE(library_get_kernel), NONE(library_kernels), NONE(library_get_global),
    NONE(library_get_module), NONE(kernel_get_function), NONE(function_attributes), NONE(set_attribute), NONE(set_known_attribute),
    NONE(kernel_set_cache_config), NONE(function_load), NONE(occupancy_clusters), NONE(occupancy_blocks), NONE(occupancy_shared),
    NONE(occupancy_block_size), NONE(cuFuncSetCacheConfig), NONE(cuFuncSetSharedMemConfig),
    // settings
    NONE(primary_retain), NONE(primary_set_flags), NONE(context_create), NONE(context_get_limit), NONE(cuCtxSetLimit),
    NONE(cuCtxSetCacheConfig), NONE(cuCtxSetSharedMemConfig), NONE(cuCtxResetPersistingL2Cache),
#undef NONE
#undef WRITES
};

static uint64_t field(const void *args, unsigned at_bytes)
{
    uint64_t value;
    memcpy(&value, (const uint8_t *)args + at_bytes, sizeof value);
    return value;
}

void gn_writes_told(const struct gn_call *c, unsigned op, const void *args)
{
    if (table[op].kind == NO_WRITE)
        return;
    note_context(c);
    if (table[op].kind == LAUNCH) {
        launched(c, args);
    } else if (table[op].kind == AT) {
        struct gn_pointed p = look_up(c, field(args, table[op].address_at));
        uint64_t stream = key_of(c, field(args, table[op].stream_at));
        if (!p.known || p.cells[0]) // variables and mapped memory have no version
            count(c, p.known ? p.cells[0] : &anything, stream);
    } else {
        count(c, &anything, key_of(c, GN_STREAM_LEGACY_ID));
        gn_count(&c->thread->counts.writes_unlisted, 1);
    }
}

uint64_t gn_writes_version(const struct gn_call *c, uint64_t stream, uint64_t address, uint64_t size_bytes)
{
    uint64_t number;
    struct gn_write_count *cell = gn_writes_on ? gn_memory_written(address, size_bytes, &number) : NULL;
    if (!cell)
        return 0;
    uint64_t key = key_of(c, stream), counted = atomic_load_explicit(&cell->count, memory_order_acquire) +
                                                atomic_load_explicit(&anything.count, memory_order_acquire);
    if (!is_settled(cell, key) || !is_settled(&anything, key))
        return 0;
    return number << VERSION_BITS | (counted & (((uint64_t)1 << VERSION_BITS) - 1));
}

struct gn_writes_mark gn_writes_before(const struct gn_call *c, uint64_t stream, uint64_t address, uint64_t size_bytes)
{
    return (struct gn_writes_mark){gn_writes_version(c, stream, address, size_bytes), c->thread->counted};
}

uint64_t gn_writes_after(const struct gn_call *c, uint64_t stream, uint64_t address, uint64_t size_bytes, struct gn_writes_mark before)
{
    uint64_t now = gn_writes_version(c, stream, address, size_bytes);
    return before.version && now == before.version + (c->thread->counted - before.counted) ? now : 0;
}
