// SPDX-License-Identifier: Apache-2.0
// Reservations, mappings and extents: three trees of ranges. An extent is a run of adjacent mappings that the same devices may touch in the
// same way: copies and kernels cross the seams between mappings, so what they look up are extents.
#include "tests/mock/mock_space.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "remoting/cuda_types.h"
#include "tests/mock/mock_range.h"

struct mapping {
    struct mock_range range; // first, as in the next
    struct mock_physical *physical;
    uint8_t access[MOCK_DEVICES_MAX];
};

struct extent {
    struct mock_range range;
    unsigned device; // whose memory it is
    uint8_t access[MOCK_DEVICES_MAX];
};

static struct mock_ranges reservations, mappings, extents;
static int files[MOCK_DEVICES_MAX]; // + 1; 0: not made yet
static uint64_t file_ends[MOCK_DEVICES_MAX];
static uint64_t next_serial = UINT64_C(1) << 40; // not those of mock_arena.c
// Guards the trees. Taken inside the driver's lock, never the other way round; mock_arena.c calls in here without its own.
static pthread_rwlock_t trees = PTHREAD_RWLOCK_INITIALIZER;
// All that was ever reserved lies between these; they only move apart. Most programs reserve nothing, and look for much.
static _Atomic uint64_t lowest = UINT64_MAX, highest;

static bool may_hold(uint64_t address)
{
    return address >= atomic_load_explicit(&lowest, memory_order_relaxed) &&
           address < atomic_load_explicit(&highest, memory_order_relaxed);
}

// --- addresses

static void *map_nothing(uint64_t at, uint64_t size_bytes, int fixed)
{
    void *got = mmap((void *)(uintptr_t)at, size_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | fixed, -1, 0);
    if (got != MAP_FAILED && fixed == MAP_FIXED_NOREPLACE && got != (void *)(uintptr_t)at) {
        munmap(got, size_bytes);
        got = MAP_FAILED;
    }
    return got;
}

// Anywhere: more than is needed, and the ends are given back.
static void *map_aligned(uint64_t size_bytes, uint64_t alignment)
{
    uint64_t more;
    if (__builtin_add_overflow(size_bytes, alignment, &more))
        return MAP_FAILED;
    void *got = map_nothing(0, more, 0);
    if (got == MAP_FAILED)
        return got;
    uint64_t start = (uint64_t)(uintptr_t)got, at = (start + alignment - 1) & ~(alignment - 1), end = start + more;
    if (at > start)
        munmap(got, at - start);
    if (end > at + size_bytes)
        munmap((void *)(uintptr_t)(at + size_bytes), end - at - size_bytes);
    return (void *)(uintptr_t)at;
}

// The thread sanitizer turns a hint that is not in its own map of the address space into 0, and anything else that the kernel chooses lies
// where another process under it may have its libraries: there hints come to lie where no process has anything by itself.
static uint64_t place_of(uint64_t hint)
{
#ifdef __SANITIZE_THREAD__
    enum { PLACES = 7, RANGE_BITS = 42, PLACE_BITS = 36 }; // a hint is a multiple of 4 TiB, a place has 64 GiB
    return 0x7e9000000000u + (hint >> RANGE_BITS) % PLACES * ((uint64_t)1 << PLACE_BITS);
#else
    return hint;
#endif
}

int mock_space_reserve(uint64_t size_bytes, uint64_t alignment, uint64_t hint, uint64_t *address)
{
    void *at = MAP_FAILED;
    struct mock_range *range = calloc(1, sizeof *range);
    if (!range)
        return -ENOMEM;
    if (hint && !(hint & (alignment - 1)))
        at = map_nothing(place_of(hint), size_bytes, MAP_FIXED_NOREPLACE);
    if (at == MAP_FAILED)
        at = map_aligned(size_bytes, alignment);
    if (at == MAP_FAILED) {
        free(range);
        return -ENOMEM;
    }
    madvise(at, size_bytes, MADV_DONTFORK);
    range->start = *address = (uint64_t)(uintptr_t)at;
    range->span = range->size_bytes = size_bytes;
    pthread_rwlock_wrlock(&trees);
    mock_ranges_insert(&reservations, range);
    if (range->start < lowest)
        lowest = range->start;
    if (range->start + size_bytes > highest)
        highest = range->start + size_bytes;
    pthread_rwlock_unlock(&trees);
    return 0;
}

// With the lock: whether something is mapped in the range.
static bool is_mapped(uint64_t address, uint64_t size_bytes)
{
    const struct mock_range *next = mock_ranges_from(&mappings, address);
    return next && next->start < address + size_bytes;
}

int mock_space_free(uint64_t address, uint64_t size_bytes)
{
    pthread_rwlock_wrlock(&trees);
    struct mock_range *range = mock_ranges_find(&reservations, address);
    int r = !range || range->start != address || range->span != size_bytes ? -ENOENT : is_mapped(address, size_bytes) ? -EBUSY : 0;
    if (!r) {
        mock_ranges_remove(&reservations, range);
        munmap((void *)(uintptr_t)address, size_bytes);
        free(range);
    }
    pthread_rwlock_unlock(&trees);
    return r;
}

// --- physical memory

struct mock_physical *mock_physical_new(unsigned device, uint64_t size_bytes)
{
    struct mock_physical *p = calloc(1, sizeof *p);
    if (!p || mock_arena_charge(device, size_bytes)) {
        free(p);
        return NULL;
    }
    if (!files[device]) {
        int fd = memfd_create("genie-mock", MFD_CLOEXEC);
        files[device] = fd < 0 ? 0 : fd + 1;
    }
    *p = (struct mock_physical){.device = device, .size_bytes = size_bytes, .file_offset = file_ends[device]};
    // Offsets are never used again: the file has as many as it wants, and only what is touched takes memory.
    if (!files[device] || ftruncate(files[device] - 1, (off_t)(p->file_offset + size_bytes))) {
        mock_arena_uncharge(device, size_bytes);
        free(p);
        return NULL;
    }
    file_ends[device] += size_bytes;
    return p;
}

void mock_physical_check(struct mock_physical *p)
{
    if (p->handles || p->mappings)
        return;
    if (fallocate(files[p->device] - 1, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)p->file_offset, (off_t)p->size_bytes))
        (void)0; // the pages stay until the process ends
    mock_arena_uncharge(p->device, p->size_bytes);
    free(p);
}

// --- extents

static bool nothing(const uint8_t *access)
{
    for (int i = 0; i < MOCK_DEVICES_MAX; i++)
        if (access[i])
            return false;
    return true;
}

static bool alike(const struct extent *a, const struct extent *b)
{
    return a->device == b->device && !memcmp(a->access, b->access, sizeof a->access);
}

static void resize(struct extent *e, uint64_t start, uint64_t span)
{
    mock_ranges_remove(&extents, &e->range);
    e->range.start = start;
    e->range.span = e->range.size_bytes = span;
    mock_ranges_insert(&extents, &e->range);
}

// Takes [start, end) out of the extents. `spare` is used when one is cut in the middle. True: it was.
static bool cut(uint64_t start, uint64_t end, struct extent *spare)
{
    for (struct extent *e; (e = (struct extent *)mock_ranges_from(&extents, start)) && e->range.start < end;) {
        uint64_t from = e->range.start, to = from + e->range.span;
        if (from < start && to > end) {
            *spare = *e;
            spare->range.start = end;
            spare->range.span = spare->range.size_bytes = to - end;
            resize(e, from, start - from);
            mock_ranges_insert(&extents, &spare->range);
            return true;
        }
        if (from < start) {
            resize(e, from, start - from);
        } else if (to > end) {
            resize(e, end, to - end);
            return false;
        } else {
            mock_ranges_remove(&extents, &e->range);
            free(e);
        }
    }
    return false;
}

// Puts one in, grown by what is beside it and alike.
static void put(struct extent *e)
{
    uint64_t start = e->range.start, end = start + e->range.span;
    struct extent *before = (struct extent *)mock_ranges_find(&extents, start - 1);
    struct extent *after = (struct extent *)mock_ranges_find(&extents, end);
    if (before && alike(before, e)) {
        start = before->range.start;
        e->range.serial = before->range.serial;
        mock_ranges_remove(&extents, &before->range);
        free(before);
    }
    if (after && alike(after, e)) {
        end = after->range.start + after->range.span;
        mock_ranges_remove(&extents, &after->range);
        free(after);
    }
    e->range.start = start;
    e->range.span = e->range.size_bytes = end - start;
    mock_ranges_insert(&extents, &e->range);
}

// --- mappings

int mock_space_map(uint64_t address, uint64_t size_bytes, struct mock_physical *physical)
{
    struct mapping *m = calloc(1, sizeof *m);
    if (!m)
        return -ENOMEM;
    pthread_rwlock_wrlock(&trees);
    const struct mock_range *in = mock_ranges_find(&reservations, address);
    int r = !in || in->start + in->span - address < size_bytes ? -ENOENT : is_mapped(address, size_bytes) ? -EBUSY : 0;
    if (!r && mmap((void *)(uintptr_t)address, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, files[physical->device] - 1,
                   (off_t)physical->file_offset) == MAP_FAILED)
        r = -ENOMEM;
    if (!r) {
        madvise((void *)(uintptr_t)address, size_bytes, MADV_DONTFORK);
        m->range = (struct mock_range){.start = address, .span = size_bytes, .size_bytes = size_bytes, .serial = next_serial++};
        m->physical = physical;
        physical->mappings++;
        mock_ranges_insert(&mappings, &m->range);
    }
    pthread_rwlock_unlock(&trees);
    if (r)
        free(m);
    return r;
}

// With the lock: whether the range is mapped without a gap; `whole`: and no mapping reaches out of it.
static bool covered(uint64_t address, uint64_t size_bytes, bool whole)
{
    uint64_t at = address, end = address + size_bytes;
    while (at < end) {
        const struct mock_range *m = mock_ranges_find(&mappings, at);
        if (!m || (whole && (m->start != at || m->start + m->span > end)))
            return false;
        at = m->start + m->span;
    }
    return true;
}

int mock_space_unmap(uint64_t address, uint64_t size_bytes)
{
    struct extent *spare = calloc(1, sizeof *spare);
    if (!spare)
        return -ENOMEM;
    pthread_rwlock_wrlock(&trees);
    int r = covered(address, size_bytes, true) ? 0 : -ENOENT;
    if (!r && cut(address, address + size_bytes, spare))
        spare = NULL;
    for (uint64_t at = address; !r && at < address + size_bytes;) {
        struct mapping *m = (struct mapping *)mock_ranges_find(&mappings, at);
        at += m->range.span;
        m->physical->mappings--;
        mock_ranges_remove(&mappings, &m->range);
        mock_physical_check(m->physical);
        free(m);
    }
    pthread_rwlock_unlock(&trees);
    free(spare);
    return r;
}

int mock_space_access(uint64_t address, uint64_t size_bytes, unsigned device, unsigned access)
{
    pthread_rwlock_wrlock(&trees);
    int r = covered(address, size_bytes, false) ? 0 : -ENOENT;
    for (uint64_t at = address, end = address + size_bytes; !r && at < end;) {
        struct mapping *m = (struct mapping *)mock_ranges_find(&mappings, at);
        uint64_t to = m->range.start + m->range.span < end ? m->range.start + m->range.span : end;
        struct extent *e = calloc(1, sizeof *e), *spare = calloc(1, sizeof *spare);
        if (!e || !spare) {
            free(e);
            free(spare);
            r = -ENOMEM;
            break;
        }
        // A mapping has one access: setting a part of it sets it all.
        m->access[device] = (uint8_t)access;
        e->range = (struct mock_range){.start = m->range.start, .span = m->range.span, .serial = m->range.serial};
        e->device = m->physical->device;
        memcpy(e->access, m->access, sizeof e->access);
        if (!cut(m->range.start, m->range.start + m->range.span, spare))
            free(spare);
        if (nothing(e->access))
            free(e);
        else
            put(e);
        at = to;
    }
    pthread_rwlock_unlock(&trees);
    return r;
}

int mock_space_look(uint64_t address, struct mock_mapping_info *info)
{
    pthread_rwlock_rdlock(&trees);
    const struct mapping *m = (const struct mapping *)mock_ranges_find(&mappings, address);
    const struct mock_range *in = mock_ranges_find(&reservations, address);
    if (m && in) {
        *info = (struct mock_mapping_info){.start = m->range.start, .size_bytes = m->range.span, .reservation_start = in->start,
                                           .reservation_bytes = in->span, .physical = m->physical, .serial = m->range.serial};
        memcpy(info->access, m->access, sizeof info->access);
    }
    pthread_rwlock_unlock(&trees);
    return m && in ? 0 : -ENOENT;
}

bool mock_space_holds(uint64_t address)
{
    if (!may_hold(address))
        return false;
    pthread_rwlock_rdlock(&trees);
    bool holds = mock_ranges_find(&reservations, address) != NULL;
    pthread_rwlock_unlock(&trees);
    return holds;
}

int mock_space_find_locked(uint64_t address, struct mock_memory_info *info)
{
    if (!may_hold(address))
        return -EFAULT;
    const struct extent *e = (const struct extent *)mock_ranges_find(&extents, address);
    if (e) {
        *info = (struct mock_memory_info){.start = e->range.start, .size_bytes = e->range.span, .device = (int)e->device,
                                          .flags = MOCK_MAPPED, .serial = e->range.serial};
        for (int i = 0; i < MOCK_DEVICES_MAX; i++)
            info->access |= (uint64_t)(e->access[i] & 3) << 2 * i;
    }
    return e ? 0 : -EFAULT;
}

int mock_space_find(uint64_t address, struct mock_memory_info *info)
{
    if (!may_hold(address))
        return -EFAULT;
    pthread_rwlock_rdlock(&trees);
    int r = mock_space_find_locked(address, info);
    pthread_rwlock_unlock(&trees);
    return r;
}
