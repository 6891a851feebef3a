// SPDX-License-Identifier: Apache-2.0
// Device memory and pinned memory: one reserved mapping a device, cut up by a first-fit allocator over a treap.
//
// One mapping an allocation would run into the system's limit on mappings (65,530) long before 100,000 allocations; so the whole range is
// mapped readable and writable without reserving memory, the kernel commits pages at first touch, and who may touch what is decided by
// the look-ups here, never by the MMU.
#include "tests/mock/mock_arena.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "tests/mock/mock_options.h"
#include "tests/mock/mock_range.h"
#include "tests/mock/mock_space.h"

#define PAGE_BYTES UINT64_C(4096)

struct arena {
    uint64_t base, size_bytes, used_bytes; // base 0: closed
    struct mock_ranges ranges;             // covers the arena without gaps: used and free ranges
};

static struct arena arenas[MOCK_DEVICES_MAX];
static struct mock_ranges pinned;
static uint64_t next_serial = 1;
// Guards the trees' shape and contents. Taken inside the driver's lock, never the other way round.
static pthread_rwlock_t trees = PTHREAD_RWLOCK_INITIALIZER;

static uint64_t round_up(uint64_t n, uint64_t to) { return (n + to - 1) / to * to; }
static uint64_t round_down(uint64_t n, uint64_t to) { return n / to * to; }

int mock_arena_open(unsigned device, uint64_t size_bytes)
{
    struct arena *a = &arenas[device];
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, prot = PROT_READ | PROT_WRITE;
    void *hint __attribute__((unused)) = (void *)(uintptr_t)(MOCK_ARENA_BASE + device * MOCK_ARENA_SPAN);
    size_bytes = round_up(size_bytes, PAGE_BYTES);
    void *at = MAP_FAILED;
#ifndef __SANITIZE_THREAD__ // which has its own map of the address space, and no place there
    at = mmap(hint, size_bytes, prot, flags | MAP_FIXED_NOREPLACE, -1, 0);
#endif
    if (at == MAP_FAILED) // taken: anywhere will do
        at = mmap(NULL, size_bytes, prot, flags, -1, 0);
    if (at == MAP_FAILED)
        return -ENOMEM;
    // A child of fork has no device; not copying the page tables also keeps fork cheap.
    madvise(at, size_bytes, MADV_DONTFORK);
    struct mock_range *all = calloc(1, sizeof *all);
    if (!all) {
        munmap(at, size_bytes);
        return -ENOMEM;
    }
    all->start = (uint64_t)(uintptr_t)at;
    all->span = size_bytes;
    all->is_free = true;
    pthread_rwlock_wrlock(&trees);
    a->base = all->start;
    a->size_bytes = size_bytes;
    a->used_bytes = 0;
    mock_ranges_insert(&a->ranges, all);
    pthread_rwlock_unlock(&trees);
    return 0;
}

static struct arena *arena_of(uint64_t address)
{
    for (unsigned i = 0; i < MOCK_DEVICES_MAX && arenas[i].base; i++)
        if (address - arenas[i].base < arenas[i].size_bytes)
            return &arenas[i];
    return NULL;
}

uint64_t mock_arena_free_bytes(unsigned device) { return arenas[device].size_bytes - arenas[device].used_bytes; }

int mock_arena_charge(unsigned device, uint64_t size_bytes)
{
    struct arena *a = &arenas[device];
    if (size_bytes > a->size_bytes - a->used_bytes)
        return -ENOMEM;
    a->used_bytes += size_bytes; // the driver's lock guards it
    return 0;
}

void mock_arena_uncharge(unsigned device, uint64_t size_bytes) { arenas[device].used_bytes -= size_bytes; }

int mock_arena_alloc(unsigned device, uint64_t size_bytes, uint64_t owner, unsigned flags, uint64_t *address)
{
    struct arena *a = &arenas[device];
    if (!size_bytes || size_bytes > a->size_bytes)
        return -ENOMEM;
    uint64_t span = round_up(size_bytes, MOCK_ALLOC_ALIGN);
    struct mock_range *used = calloc(1, sizeof *used);
    if (!used)
        return -ENOMEM;
    pthread_rwlock_wrlock(&trees);
    // Mapped memory (mock_space.h) is taken from the same device, though not from this range.
    struct mock_range *hole = span <= a->size_bytes - a->used_bytes ? mock_ranges_first_fit(&a->ranges, span) : NULL;
    if (!hole) {
        pthread_rwlock_unlock(&trees);
        free(used);
        return -ENOMEM;
    }
    *used = (struct mock_range){.start = hole->start, .span = span, .size_bytes = size_bytes, .owner = owner,
                                .flags = flags, .serial = next_serial++};
    if (hole->span == span) {
        mock_ranges_remove(&a->ranges, hole);
        free(hole);
    } else { // the hole keeps its place in the order: it only begins later
        hole->start += span;
        hole->span -= span;
        mock_ranges_changed(&a->ranges, hole);
    }
    mock_ranges_insert(&a->ranges, used);
    a->used_bytes += span;
    *address = used->start;
    pthread_rwlock_unlock(&trees);
    return 0;
}

// Gives back the pages that now hold nothing: those of [from, to) and the pages it shared with the hole around it.
static void release_pages(const struct mock_range *hole, uint64_t from, uint64_t to)
{
    uint64_t low = round_down(from, PAGE_BYTES), high = round_up(to, PAGE_BYTES);
    if (low < hole->start)
        low += PAGE_BYTES;
    if (high > hole->start + hole->span)
        high -= PAGE_BYTES;
    if (low < high)
        madvise((void *)(uintptr_t)low, high - low, MADV_DONTNEED);
}

static void free_range(struct arena *a, struct mock_range *range)
{
    uint64_t from = range->start, to = from + range->span;
    struct mock_range *before = from > a->base ? mock_ranges_find(&a->ranges, from - 1) : NULL;
    struct mock_range *after = mock_ranges_find(&a->ranges, to);
    a->used_bytes -= range->span;
    range->is_free = true;
    range->size_bytes = 0;
    if (after && after->is_free) {
        mock_ranges_remove(&a->ranges, after);
        range->span += after->span;
        free(after);
    }
    if (before && before->is_free) {
        mock_ranges_remove(&a->ranges, range);
        before->span += range->span;
        free(range);
        range = before;
    }
    mock_ranges_changed(&a->ranges, range);
    release_pages(range, from, to);
}

static int free_at(uint64_t address, unsigned internal)
{
    int r = -EFAULT;
    pthread_rwlock_wrlock(&trees);
    struct arena *a = arena_of(address);
    struct mock_range *range = a ? mock_ranges_find(&a->ranges, address) : NULL;
    if (range && !range->is_free && range->start == address && (range->flags & MOCK_INTERNAL) == internal) {
        free_range(a, range);
        r = 0;
    }
    pthread_rwlock_unlock(&trees);
    return r;
}

int mock_arena_free(uint64_t address) { return free_at(address, 0); }

void mock_arena_free_internal(uint64_t address)
{
    if (address)
        free_at(address, MOCK_INTERNAL);
}

static void unpin(struct mock_range *range)
{
    mock_ranges_remove(&pinned, range);
    if (!(range->flags & MOCK_HOST_REGISTERED))
        munmap((void *)(uintptr_t)range->start, range->span);
    free(range);
}

void mock_arena_free_owner(uint64_t owner)
{
    pthread_rwlock_wrlock(&trees);
    for (unsigned i = 0; i < MOCK_DEVICES_MAX && arenas[i].base; i++) {
        uint64_t at = arenas[i].base;
        for (struct mock_range *r; (r = mock_ranges_from(&arenas[i].ranges, at)) != NULL;) {
            at = r->start + r->span; // of the range as it was: freeing may merge it with neighbours
            if (!r->is_free && r->owner == owner)
                free_range(&arenas[i], r);
        }
    }
    uint64_t at = 0;
    for (struct mock_range *r; (r = mock_ranges_from(&pinned, at)) != NULL;) {
        at = r->start + r->span;
        if (r->owner == owner)
            unpin(r);
    }
    pthread_rwlock_unlock(&trees);
}

uint64_t mock_arena_live(uint64_t *bytes)
{
    uint64_t count = 0;
    *bytes = 0;
    pthread_rwlock_rdlock(&trees);
    for (unsigned i = 0; i < MOCK_DEVICES_MAX && arenas[i].base; i++) {
        uint64_t at = arenas[i].base;
        for (struct mock_range *r; (r = mock_ranges_from(&arenas[i].ranges, at)) != NULL; at = r->start + r->span)
            if (!r->is_free && !(r->flags & MOCK_INTERNAL)) {
                count++;
                *bytes += r->size_bytes;
            }
    }
    pthread_rwlock_unlock(&trees);
    return count;
}

int mock_pinned_add(uint64_t start, uint64_t size_bytes, uint64_t owner, unsigned flags)
{
    struct mock_range *range = calloc(1, sizeof *range);
    if (!range)
        return -ENOMEM;
    *range = (struct mock_range){.start = start, .span = size_bytes, .size_bytes = size_bytes, .owner = owner,
                                 .flags = flags};
    pthread_rwlock_wrlock(&trees);
    struct mock_range *next = mock_ranges_from(&pinned, start);
    bool overlaps = (next && next->start < start + size_bytes) || start + size_bytes < start;
    if (!overlaps) {
        range->serial = next_serial++;
        mock_ranges_insert(&pinned, range);
    }
    pthread_rwlock_unlock(&trees);
    if (overlaps)
        free(range);
    return overlaps ? -EEXIST : 0;
}

int mock_pinned_alloc(uint64_t size_bytes, uint64_t owner, unsigned flags, uint64_t *address)
{
    if (size_bytes > UINT64_MAX - PAGE_BYTES)
        return -ENOMEM;
    uint64_t span = round_up(size_bytes, PAGE_BYTES);
    void *at = mmap(NULL, span, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        return -ENOMEM;
    int r = mock_pinned_add((uint64_t)(uintptr_t)at, span, owner, flags);
    if (r) {
        munmap(at, span);
        return r;
    }
    pthread_rwlock_wrlock(&trees);
    mock_ranges_find(&pinned, (uint64_t)(uintptr_t)at)->size_bytes = size_bytes;
    pthread_rwlock_unlock(&trees);
    *address = (uint64_t)(uintptr_t)at;
    return 0;
}

int mock_pinned_remove(uint64_t start, bool registered)
{
    int r = -EFAULT;
    pthread_rwlock_wrlock(&trees);
    struct mock_range *range = mock_ranges_find(&pinned, start);
    if (range && range->start == start && registered == !!(range->flags & MOCK_HOST_REGISTERED)) {
        unpin(range);
        r = 0;
    }
    pthread_rwlock_unlock(&trees);
    return r;
}

static struct mock_range *find(uint64_t address, int *device)
{
    struct arena *a = arena_of(address);
    struct mock_range *range = mock_ranges_find(a ? &a->ranges : &pinned, address);
    *device = a ? (int)(a - arenas) : -1;
    return range && !range->is_free && address - range->start < range->size_bytes ? range : NULL;
}

static int describe(uint64_t address, struct mock_memory_info *info, int (*find_mapped)(uint64_t, struct mock_memory_info *))
{
    int device;
    struct mock_range *range = find(address, &device);
    if (range)
        *info = (struct mock_memory_info){.start = range->start, .size_bytes = range->size_bytes, .device = device,
                                          .owner = range->owner, .flags = range->flags, .serial = range->serial,
                                          .sync_memops = range->sync_memops};
    return range ? 0 : device < 0 ? find_mapped(address, info) : -EFAULT;
}

int mock_memory_find_locked(uint64_t address, struct mock_memory_info *info)
{
    return describe(address, info, mock_space_find_locked);
}

int mock_memory_find(uint64_t address, struct mock_memory_info *info)
{
    pthread_rwlock_rdlock(&trees);
    int r = describe(address, info, mock_space_find);
    pthread_rwlock_unlock(&trees);
    return r;
}

int mock_memory_check(uint64_t address, uint64_t size_bytes, struct mock_memory_info *info)
{
    int r = mock_memory_find(address, info);
    return r ? r : size_bytes <= info->size_bytes - (address - info->start) ? 0 : -EFAULT;
}

bool mock_memory_is_device(uint64_t address) { return arena_of(address) || mock_space_holds(address); }

int mock_memory_set_sync(uint64_t address, bool sync)
{
    int device;
    pthread_rwlock_wrlock(&trees);
    struct mock_range *range = find(address, &device);
    if (range)
        range->sync_memops = sync;
    pthread_rwlock_unlock(&trees);
    return range ? 0 : -EFAULT;
}
