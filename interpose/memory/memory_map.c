// SPDX-License-Identifier: Apache-2.0
// The maps of device and host memory.
#include "interpose/memory/memory_map.h"

#include <pthread.h>
#include <stdatomic.h>

#include "interpose/shim.h"

// Guards both maps and their nodes. Taken last; nothing is called under it.
static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static struct gn_region_map device_map, host_map, kept_map;
static _Atomic uint64_t last_buffer_id;
static _Atomic uint64_t changes, lowest = UINT64_MAX; // of the device's map

// With the lock: before somebody may see the change.
static void device_changes(const struct gn_memory *m)
{
    atomic_fetch_add_explicit(&changes, 1, memory_order_release);
    if (m->region.start < atomic_load_explicit(&lowest, memory_order_relaxed))
        atomic_store_explicit(&lowest, m->region.start, memory_order_relaxed);
}

uint64_t gn_memory_changes(void) { return atomic_load_explicit(&changes, memory_order_acquire); }
uint64_t gn_memory_lowest(void) { return atomic_load_explicit(&lowest, memory_order_relaxed); }

static struct gn_region_map *map_of(enum gn_memory_kind kind)
{
    return kind >= GN_MEMORY_PINNED ? &host_map : &device_map;
}

int gn_memory_add(struct gn_memory *memory)
{
    memory->buffer_id = atomic_fetch_add_explicit(&last_buffer_id, 1, memory_order_relaxed) + 1;
    if (gn_writes_on && memory->kind == GN_MEMORY_DEVICE)
        memory->written = gn_writes_cell();
    pthread_rwlock_wrlock(&lock);
    int r = gn_region_insert(map_of(memory->kind), &memory->region);
    if (!r && !gn_memory_is_host(memory))
        device_changes(memory);
    pthread_rwlock_unlock(&lock);
    if (r)
        gn_writes_cell_give(memory->written);
    return r;
}

// With the lock.
static void remove_from(struct gn_region_map *map, struct gn_memory *m)
{
    gn_region_remove(map, &m->region);
    if (map == &device_map)
        device_changes(m);
    gn_writes_cell_give(m->written);
    m->written = NULL;
}

struct gn_memory *gn_memory_take(uint64_t address, enum gn_memory_kind kind)
{
    pthread_rwlock_wrlock(&lock);
    struct gn_memory *m = (struct gn_memory *)gn_region_find(map_of(kind), address);
    if (m && (m->kind != kind || m->region.start != address))
        m = NULL;
    if (m)
        remove_from(map_of(kind), m);
    pthread_rwlock_unlock(&lock);
    return m;
}

static struct gn_memory *take_next_of(struct gn_region_map *map, uint64_t context, uint64_t owner)
{
    struct gn_region *r = gn_region_from(map, 0);
    while (r) {
        struct gn_memory *m = (struct gn_memory *)r;
        if (owner ? m->owner == owner : m->context == context) {
            remove_from(map, m);
            return m;
        }
        uint64_t end = r->start + r->size_bytes;
        r = end ? gn_region_from(map, end) : NULL;
    }
    return NULL;
}

struct gn_memory *gn_memory_take_next(uint64_t context, uint64_t owner)
{
    pthread_rwlock_wrlock(&lock);
    struct gn_memory *m = take_next_of(&device_map, context, owner);
    if (!m)
        m = take_next_of(&host_map, context, owner);
    pthread_rwlock_unlock(&lock);
    return m;
}

static struct gn_memory *find(uint64_t address)
{
    struct gn_region *r = gn_region_find(&device_map, address);
    return (struct gn_memory *)(r ? r : gn_region_find(&host_map, address));
}

bool gn_memory_look(uint64_t address, struct gn_memory *copy)
{
    pthread_rwlock_rdlock(&lock);
    const struct gn_memory *m = find(address);
    if (m) {
        copy->region = m->region;
        copy->kind = m->kind;
        copy->device = m->device;
        copy->flags = m->flags;
        copy->sync_memops = m->sync_memops;
        copy->context = m->context;
        copy->buffer_id = m->buffer_id;
        copy->owner = m->owner;
        copy->readable = m->readable;
        copy->writable = m->writable;
        for (int i = 0; i < GN_MEMORY_USERS_MAX; i++)
            atomic_init(&copy->users[i], atomic_load_explicit(&m->users[i], memory_order_relaxed));
    }
    pthread_rwlock_unlock(&lock);
    return m;
}

bool gn_memory_with(uint64_t address, uint64_t size_bytes, void (*see)(struct gn_memory *memory, void *context), void *context)
{
    pthread_rwlock_rdlock(&lock);
    struct gn_memory *m = (struct gn_memory *)gn_region_find_all(&device_map, address, size_bytes);
    if (m)
        see(m, context);
    pthread_rwlock_unlock(&lock);
    return m;
}

struct gn_pointed gn_memory_pointed(uint64_t value)
{
    struct gn_pointed p = {0};
    pthread_rwlock_rdlock(&lock);
    const struct gn_memory *at = (const struct gn_memory *)gn_region_find(&device_map, value);
    const struct gn_memory *before = (const struct gn_memory *)gn_region_find(&device_map, value - 1); // a pointer to its end is one of its own
    p.known = at || before;
    p.cells[0] = at ? at->written : NULL;
    p.cells[1] = before && before != at ? before->written : NULL;
    pthread_rwlock_unlock(&lock);
    return p;
}

struct gn_write_count *gn_memory_written(uint64_t address, uint64_t size_bytes, uint64_t *number)
{
    pthread_rwlock_rdlock(&lock);
    const struct gn_memory *m = (const struct gn_memory *)gn_region_find_all(&device_map, address, size_bytes);
    struct gn_write_count *cell = m ? m->written : NULL;
    *number = m ? m->buffer_id : 0;
    pthread_rwlock_unlock(&lock);
    return cell;
}

// A full set forgets its last: whoever frees the memory then waits for the others and for the context it
// belongs to.
static void note_user(struct gn_memory *m, uint64_t context)
{
    for (int i = 0; i < GN_MEMORY_USERS_MAX; i++) {
        uint64_t user = atomic_load_explicit(&m->users[i], memory_order_relaxed);
        if (!user && atomic_compare_exchange_strong_explicit(&m->users[i], &user, context,
                                                             memory_order_relaxed, memory_order_relaxed))
            return;
        if (user == context)
            return;
    }
    atomic_store_explicit(&m->users[GN_MEMORY_USERS_MAX - 1], context, memory_order_relaxed);
}

// With the lock: how device memory may be touched in one piece there. Mappings that lie side by side are one piece.
static enum gn_memory_where on_device(uint64_t address, uint64_t size_bytes)
{
    const struct gn_memory *m = (const struct gn_memory *)gn_region_find(&device_map, address);
    enum gn_memory_where where = GN_WHERE_DEVICE;
    uint64_t end = address + size_bytes;
    if (!m || m->kind != GN_MEMORY_MAPPED)
        return gn_region_find_all(&device_map, address, size_bytes) ? GN_WHERE_DEVICE : GN_WHERE_UNKNOWN;
    for (; m && m->kind == GN_MEMORY_MAPPED && m->readable && end >= address;
         m = (const struct gn_memory *)gn_region_find(&device_map, address)) {
        where = m->writable ? where : GN_WHERE_READABLE;
        address = m->region.start + m->region.size_bytes;
        if (address >= end)
            return where;
    }
    return GN_WHERE_UNKNOWN;
}

enum gn_memory_where gn_memory_where(uint64_t address, uint64_t size_bytes, uint64_t context)
{
    pthread_rwlock_rdlock(&lock);
    enum gn_memory_where where = on_device(address, size_bytes);
    if (where != GN_WHERE_UNKNOWN) {
    } else if (gn_region_find(&device_map, address) || gn_region_find(&kept_map, address)) {
        where = GN_WHERE_ACROSS;
    } else {
        struct gn_memory *m = (struct gn_memory *)gn_region_find_all(&host_map, address, size_bytes);
        if (m) {
            where = GN_WHERE_PINNED;
            if (context)
                note_user(m, context);
        }
    }
    pthread_rwlock_unlock(&lock);
    return where;
}

int gn_memory_keep_off(struct gn_region *region)
{
    pthread_rwlock_wrlock(&lock);
    int r = gn_region_insert(&kept_map, region);
    pthread_rwlock_unlock(&lock);
    return r;
}

int gn_memory_let_go(struct gn_region *region)
{
    pthread_rwlock_wrlock(&lock);
    int r = gn_region_remove(&kept_map, region);
    pthread_rwlock_unlock(&lock);
    return r;
}

bool gn_memory_kept_off(uint64_t address, uint64_t size_bytes, struct gn_region *copy)
{
    pthread_rwlock_rdlock(&lock);
    const struct gn_region *r = gn_region_find_all(&kept_map, address, size_bytes);
    if (r)
        *copy = *r;
    pthread_rwlock_unlock(&lock);
    return r;
}

bool gn_memory_any_mapped(uint64_t address, uint64_t size_bytes)
{
    pthread_rwlock_rdlock(&lock);
    const struct gn_region *r = gn_region_from(&device_map, address);
    bool any = r && r->start < address + size_bytes;
    pthread_rwlock_unlock(&lock);
    return any;
}

void gn_memory_set_access(uint64_t address, uint64_t size_bytes, CUdevice device, CUmemAccess_flags access)
{
    uint64_t bit = (uint64_t)1 << device;
    pthread_rwlock_wrlock(&lock);
    struct gn_memory *m = (struct gn_memory *)gn_region_from(&device_map, address);
    while (m && m->region.start < address + size_bytes) {
        m->readable = access ? m->readable | bit : m->readable & ~bit;
        m->writable = access == CU_MEM_ACCESS_FLAGS_PROT_READWRITE ? m->writable | bit : m->writable & ~bit;
        m = (struct gn_memory *)gn_region_from(&device_map, m->region.start + m->region.size_bytes);
    }
    pthread_rwlock_unlock(&lock);
}

bool gn_memory_set_sync(uint64_t address, int sync)
{
    pthread_rwlock_wrlock(&lock);
    struct gn_memory *m = find(address);
    if (m && m->kind == GN_MEMORY_MAPPED)
        m = NULL;
    if (m)
        m->sync_memops = sync;
    pthread_rwlock_unlock(&lock);
    return m;
}

void gn_memory_forked(void)
{
    pthread_rwlock_init(&lock, NULL);
    gn_reserve_forked();
    gn_memory_info_forked();
    gn_vmm_forked();
}
