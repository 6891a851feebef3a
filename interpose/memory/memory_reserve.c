// SPDX-License-Identifier: Apache-2.0
// Reserved addresses of device memory.
#include "interpose/memory/memory_reserve.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/region.h"

struct edge {                // a granule that allocations only partly fill
    struct gn_region region; // first
    unsigned uses;
};

static pthread_mutex_t lock =
    PTHREAD_MUTEX_INITIALIZER; // guards `edges` and their counts, over mmap too: a granule is mapped once
static struct gn_region_map edges;

// The system calls themselves, not libc's functions: what a program or a sanitizer puts in their place to
// account for memory has no business with these, as nobody ever touches them.
static int map_range(uint64_t start, uint64_t size_bytes)
{
    long got = syscall(SYS_mmap, start, size_bytes, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (got == -1)
        return -errno;
    if ((uint64_t)got != start) { // a kernel before 4.17 takes the address as a hint
        syscall(SYS_munmap, got, size_bytes);
        return -EEXIST;
    }
    return 0;
}

static void unmap_range(uint64_t start, uint64_t size_bytes) { syscall(SYS_munmap, start, size_bytes); }

static int edge_use(uint64_t start)
{
    int r = 0;
    pthread_mutex_lock(&lock);
    struct edge *e = (struct edge *)gn_region_find(&edges, start);
    if (e) {
        e->uses++;
    } else if (!(e = calloc(1, sizeof *e))) {
        r = -ENOMEM;
    } else if ((r = map_range(start, GN_RESERVE_GRANULE_BYTES))) {
        free(e);
    } else {
        e->region.start = start;
        e->region.size_bytes = GN_RESERVE_GRANULE_BYTES;
        e->uses = 1;
        gn_region_insert(&edges, &e->region);
    }
    pthread_mutex_unlock(&lock);
    return r;
}

static void edge_leave(uint64_t start)
{
    pthread_mutex_lock(&lock);
    struct edge *e = (struct edge *)gn_region_find(&edges, start);
    if (e && !--e->uses) {
        gn_region_remove(&edges, &e->region);
        unmap_range(start, GN_RESERVE_GRANULE_BYTES);
        free(e);
    }
    pthread_mutex_unlock(&lock);
}

int gn_reserve(struct gn_reservation *reservation, uint64_t address, uint64_t size_bytes)
{
    const uint64_t mask = GN_RESERVE_GRANULE_BYTES - 1;
    *reservation = (struct gn_reservation){0};
    if (!size_bytes || address <= mask || address + size_bytes < address ||
        address + size_bytes > UINT64_MAX - mask)
        return -EINVAL;
    uint64_t end = address + size_bytes, first = address & ~mask, last = end & ~mask,
             whole = (address + mask) & ~mask;
    int r = 0;
    if (last > whole) {
        if ((r = map_range(whole, last - whole)))
            return r;
        reservation->whole_start = whole;
        reservation->whole_bytes = last - whole;
    }
    if (first < whole && !(r = edge_use(first)))
        reservation->edges[0] = first;
    if (!r && last < end && (last != first || first == whole) && !(r = edge_use(last)))
        reservation->edges[1] = last;
    if (r)
        gn_reserve_release(reservation);
    return r;
}

void gn_reserve_release(struct gn_reservation *reservation)
{
    if (reservation->whole_bytes)
        unmap_range(reservation->whole_start, reservation->whole_bytes);
    for (int i = 0; i < 2; i++)
        if (reservation->edges[i])
            edge_leave(reservation->edges[i]);
    *reservation = (struct gn_reservation){0};
}

void gn_reserve_forked(void) { pthread_mutex_init(&lock, NULL); }
