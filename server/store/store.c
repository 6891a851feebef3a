// SPDX-License-Identifier: Apache-2.0
// The content store: finding, filling and evicting.
#include "server/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "remoting/digest.h"
#include "server/log.h"
#include "server/store/store_parts.h"

enum { LOCK_WAIT_MS = 500 }; // sections are short: who waits longer waits for a process that is stopped

static void count(_Atomic uint64_t *counter, uint64_t more) { atomic_fetch_add_explicit(counter, more, memory_order_relaxed); }

// --- making and opening

static size_t index_bytes_of(uint64_t slots, uint64_t buckets)
{
    return sizeof(struct store_index) + slots * sizeof(struct store_slot) + buckets * sizeof(uint32_t);
}

// A sealed piece of memory with a high number, so that it is in nobody's way when a worker gets its descriptors.
static int sealed_memory(const char *name, uint64_t size_bytes)
{
    enum { HIGH_FD = 64 };
    int low = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (low < 0)
        return -errno;
    int fd = fcntl(low, F_DUPFD_CLOEXEC, HIGH_FD), error = fd < 0 ? errno : 0;
    close(low);
    if (!error && (ftruncate(fd, (off_t)size_bytes) || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))) {
        error = errno;
        close(fd);
    }
    return error ? -error : fd;
}

static int begin_index(int fd, uint32_t slots, uint32_t buckets, uint64_t pages_max)
{
    struct store_index *index = mmap(NULL, index_bytes_of(slots, buckets), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (index == MAP_FAILED)
        return -errno;
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    int error = pthread_mutex_init(&index->mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
    index->slot_count = slots;
    index->bucket_count = buckets;
    index->pages_max = pages_max;
    index->newest = index->oldest = STORE_NONE;
    for (uint32_t i = 0; i < slots; i++)
        index->slots[i].chained = i + 1 < slots ? i + 1 : STORE_NONE;
    memset(&index->slots[slots], 0xff, buckets * sizeof(uint32_t));
    munmap(index, index_bytes_of(slots, buckets));
    return -error;
}

int gn_store_make(struct gn_store_fds *fds, uint64_t memory_bytes)
{
    uint64_t slots = memory_bytes / STORE_CHUNK_BYTES;
    slots = slots < STORE_SLOTS_MIN ? STORE_SLOTS_MIN : slots > STORE_SLOTS_MAX ? STORE_SLOTS_MAX : slots;
    uint32_t buckets = 1;
    while (buckets < slots)
        buckets *= 2;
    *fds = (struct gn_store_fds){sealed_memory("genie-store-index", index_bytes_of(slots, buckets)), -1};
    if (fds->index < 0)
        return fds->index;
    fds->data = sealed_memory("genie-store", slots * STORE_SLOT_BYTES);
    int error = fds->data < 0 ? fds->data : begin_index(fds->index, (uint32_t)slots, buckets, memory_bytes / STORE_PAGE_BYTES);
    if (!error)
        return 0;
    close(fds->index);
    if (fds->data >= 0)
        close(fds->data);
    *fds = (struct gn_store_fds){-1, -1};
    return error;
}

int gn_store_open(struct gn_store **out, const struct gn_store_fds *fds)
{
    struct gn_store *s = calloc(1, sizeof *s);
    off_t end = lseek(fds->index, 0, SEEK_END);
    if (!s || end < (off_t)sizeof *s->index) {
        free(s);
        return s ? -EINVAL : -ENOMEM;
    }
    s->fds = *fds;
    s->index_bytes = (size_t)end;
    s->index = mmap(NULL, s->index_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fds->index, 0);
    s->held = s->index == MAP_FAILED ? NULL : calloc(s->index->slot_count, sizeof *s->held);
    if (!s->held) {
        if (s->index != MAP_FAILED)
            munmap(s->index, s->index_bytes);
        free(s);
        return -ENOMEM;
    }
    s->buckets = (uint32_t *)&s->index->slots[s->index->slot_count];
    if (store_lock(s)) {
        store_scavenge(s);
        store_unlock(s);
    }
    *out = s;
    return 0;
}

void gn_store_close(struct gn_store *s)
{
    munmap(s->index, s->index_bytes);
    close(s->fds.index);
    close(s->fds.data);
    free(s->held);
    free(s);
}

const struct gn_store_counts *gn_store_counts(const struct gn_store *s) { return &s->index->counts; }
struct gn_store_counts *gn_store_counting(struct gn_store *s) { return &s->index->counts; }

// --- the mutex

bool store_lock(struct gn_store *s)
{
    struct timespec until;
    if (atomic_load_explicit(&s->stuck, memory_order_relaxed))
        return false;
    int error = pthread_mutex_trylock(&s->index->mutex);
    if (error == EBUSY) {
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += LOCK_WAIT_MS * 1000000ll;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        error = pthread_mutex_timedlock(&s->index->mutex, &until);
    }
    if (error == EOWNERDEAD) {
        gn_log(GN_LOG_WARN, "a process has died over the content store's index: it is made anew from what is there");
        store_rebuild(s);
        error = pthread_mutex_consistent(&s->index->mutex);
    }
    if (!error)
        return true;
    if (!atomic_exchange(&s->stuck, true))
        gn_log(GN_LOG_WARN, "the content store cannot be reached (%s): this session goes on without it", strerror(error));
    return false;
}

void store_unlock(struct gn_store *s) { pthread_mutex_unlock(&s->index->mutex); }

// --- holding

static int record_lock(struct gn_store *s, uint32_t slot, int command, short *type)
{
    struct flock lock = {.l_type = *type, .l_whence = SEEK_SET, .l_start = slot, .l_len = 1};
    int result = fcntl(s->fds.index, command, &lock) ? -errno : 0;
    *type = lock.l_type;
    return result;
}

static bool hold(struct gn_store *s, uint32_t slot)
{
    short type = F_RDLCK;
    if (!s->held[slot] && record_lock(s, slot, F_SETLK, &type))
        return false;
    s->held[slot]++;
    return true;
}

static void let_go(struct gn_store *s, uint32_t slot)
{
    short type = F_UNLCK;
    if (!--s->held[slot])
        record_lock(s, slot, F_SETLK, &type);
}

bool store_held_by_others(struct gn_store *s, uint32_t slot)
{
    short type = F_WRLCK;
    return record_lock(s, slot, F_GETLK, &type) || type != F_UNLCK;
}

void gn_store_let_go(struct gn_store *s, int slot)
{
    if (!store_lock(s))
        return; // the lock goes with the process
    let_go(s, (uint32_t)slot);
    store_unlock(s);
}

// --- the order of use, and the chains

static void unlink_use(struct gn_store *s, uint32_t slot)
{
    struct store_index *x = s->index;
    struct store_slot *p = &x->slots[slot];
    *(p->newer == STORE_NONE ? &x->newest : &x->slots[p->newer].older) = p->older;
    *(p->older == STORE_NONE ? &x->oldest : &x->slots[p->older].newer) = p->newer;
}

static void link_newest(struct gn_store *s, uint32_t slot)
{
    struct store_index *x = s->index;
    struct store_slot *p = &x->slots[slot];
    p->used_at = ++x->uses;
    p->newer = STORE_NONE;
    p->older = x->newest;
    *(x->newest == STORE_NONE ? &x->oldest : &x->slots[x->newest].newer) = slot;
    x->newest = slot;
}

static void touch(struct gn_store *s, uint32_t slot)
{
    unlink_use(s, slot);
    link_newest(s, slot);
}

static uint32_t look(struct gn_store *s, struct gn_tenant tenant, const struct gn_content *content)
{
    uint32_t at = *store_bucket(s, tenant, content);
    for (const struct store_slot *p; at != STORE_NONE; at = p->chained) {
        p = &s->index->slots[at];
        if (p->tenant.low == tenant.low && p->tenant.high == tenant.high && gn_content_same(&p->content, content))
            break;
    }
    return at;
}

void store_file(struct gn_store *s, uint32_t slot)
{
    struct store_slot *p = &s->index->slots[slot];
    uint32_t *first = store_bucket(s, p->tenant, &p->content);
    p->chained = *first;
    *first = slot;
    link_newest(s, slot);
    p->state = STORE_READY;
    count(&s->index->counts.chunks, 1);
}

static void take_out(struct gn_store *s, uint32_t slot)
{
    struct store_slot *p = &s->index->slots[slot];
    p->state = STORE_FREE; // first: whoever finds the index half changed finds no content here
    uint32_t *at = store_bucket(s, p->tenant, &p->content);
    while (*at != slot)
        at = &s->index->slots[*at].chained;
    *at = p->chained;
    unlink_use(s, slot);
    count(&s->index->counts.chunks, -1ull);
}

// --- room

void store_punch(struct gn_store *s, uint32_t slot, uint32_t keep_pages)
{
    struct store_slot *p = &s->index->slots[slot];
    if (p->pages <= keep_pages)
        return;
    off_t from = (off_t)slot * STORE_SLOT_BYTES + (off_t)keep_pages * STORE_PAGE_BYTES;
    fallocate(s->fds.data, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, from, (off_t)(p->pages - keep_pages) * STORE_PAGE_BYTES);
    count(&s->index->counts.pages, -(uint64_t)(p->pages - keep_pages));
    p->pages = keep_pages;
}

void store_give_back(struct gn_store *s, uint32_t slot)
{
    struct store_slot *p = &s->index->slots[slot];
    p->state = STORE_FREE;
    store_punch(s, slot, 0);
    p->chained = s->index->free;
    s->index->free = slot;
}

// The least recently used slot that nobody holds, out of the index but with its pages; STORE_NONE: all are held. What is held is in use: it
// moves to the other end, so that it is not met again and again.
static uint32_t evict(struct gn_store *s)
{
    struct store_index *x = s->index;
    uint64_t chunks = atomic_load_explicit(&x->counts.chunks, memory_order_relaxed);
    for (uint64_t i = 0; i < chunks && x->oldest != STORE_NONE; i++) {
        uint32_t slot = x->oldest;
        if (s->held[slot] || store_held_by_others(s, slot)) {
            touch(s, slot);
            continue;
        }
        take_out(s, slot);
        count(&x->counts.evicted, 1);
        return slot;
    }
    return STORE_NONE;
}

static uint64_t pages_used(const struct gn_store *s) { return atomic_load_explicit(&s->index->counts.pages, memory_order_relaxed); }

// A slot out of the index with room for so many pages: a free one, or an evicted one whose pages are written over, which is cheaper than to
// give them back and take others.
static uint32_t make_room(struct gn_store *s, uint32_t pages)
{
    struct store_index *x = s->index;
    uint32_t slot = STORE_NONE;
    if (x->free != STORE_NONE && pages_used(s) + pages <= x->pages_max) {
        slot = x->free;
        x->free = x->slots[slot].chained;
    } else if ((slot = evict(s)) == STORE_NONE) {
        return STORE_NONE;
    }
    struct store_slot *p = &x->slots[slot];
    store_punch(s, slot, pages);
    while (pages_used(s) + pages - p->pages > x->pages_max) {
        uint32_t other = evict(s);
        if (other == STORE_NONE) {
            store_give_back(s, slot);
            return STORE_NONE;
        }
        store_give_back(s, other);
    }
    count(&x->counts.pages, pages - p->pages);
    p->pages = pages;
    return slot;
}

// --- what the sessions do

int gn_store_find(struct gn_store *s, struct gn_tenant tenant, const struct gn_content *content)
{
    if (!store_lock(s))
        return -ENOENT;
    uint32_t slot = look(s, tenant, content);
    bool found = slot != STORE_NONE && hold(s, slot);
    if (found)
        touch(s, slot);
    store_unlock(s);
    return found ? (int)slot : -ENOENT;
}

int gn_store_begin(struct gn_store *s, struct gn_tenant tenant, const struct gn_content *content)
{
    if (!content->size_bytes || content->size_bytes > STORE_SLOT_BYTES)
        return -EINVAL;
    if (!store_lock(s))
        return -ENOSPC;
    int result;
    uint32_t slot = look(s, tenant, content);
    if (slot != STORE_NONE) {
        touch(s, slot);
        result = -EEXIST;
    } else if ((slot = make_room(s, store_pages_of(content->size_bytes))) == STORE_NONE) {
        store_scavenge(s); // for the next one
        count(&s->index->counts.refused, 1);
        result = -ENOSPC;
    } else if (!hold(s, slot)) {
        store_give_back(s, slot);
        result = -ENOSPC;
    } else {
        struct store_slot *p = &s->index->slots[slot];
        p->tenant = tenant;
        p->content = *content;
        p->saved = false;
        p->next = (struct gn_content){0};
        p->state = STORE_FILLING;
        result = (int)slot;
    }
    store_unlock(s);
    return result;
}

int gn_store_finish(struct gn_store *s, int slot, bool whole)
{
    if (!store_lock(s))
        return -ENOENT; // the slot is free when this process has ended
    struct store_slot *p = &s->index->slots[slot];
    uint32_t other = whole ? look(s, p->tenant, &p->content) : STORE_NONE; // another has filled it meanwhile
    int result = slot;
    if (whole && other == STORE_NONE) {
        store_file(s, (uint32_t)slot);
        count(&s->index->counts.stored, 1);
        atomic_fetch_add_explicit(&s->index->filed, 1, memory_order_relaxed);
    } else {
        result = whole && hold(s, other) ? (int)other : -ENOENT;
        let_go(s, (uint32_t)slot);
        store_give_back(s, (uint32_t)slot);
    }
    store_unlock(s);
    return result;
}

static off_t place(int slot) { return (off_t)slot * STORE_SLOT_BYTES; }

int gn_store_write(struct gn_store *s, int slot, const void *data, uint64_t size_bytes)
{
    for (uint64_t at = 0; at < size_bytes;) {
        ssize_t n = pwrite(s->fds.data, (const uint8_t *)data + at, size_bytes - at, place(slot) + (off_t)at);
        if (n <= 0 && !(n < 0 && errno == EINTR))
            return n ? -errno : -ENOSPC;
        at += n > 0 ? (uint64_t)n : 0;
    }
    return 0;
}

int gn_store_read(struct gn_store *s, int slot, void *to, uint64_t size_bytes)
{
    for (uint64_t at = 0; at < size_bytes;) {
        ssize_t n = pread(s->fds.data, (uint8_t *)to + at, size_bytes - at, place(slot) + (off_t)at);
        if (n <= 0 && !(n < 0 && errno == EINTR))
            return n ? -errno : -EIO;
        at += n > 0 ? (uint64_t)n : 0;
    }
    return 0;
}

bool gn_store_check(struct gn_store *s, int slot, const struct gn_content *content, void *room)
{
    struct gn_content there = {0};
    if (!gn_store_read(s, slot, room, content->size_bytes))
        there = gn_content_of(room, content->size_bytes);
    if (gn_content_same(&there, content))
        return true;
    gn_log(GN_LOG_WARN, "content of %llu bytes is not what the store has filed it as: it is dropped", (unsigned long long)content->size_bytes);
    if (store_lock(s)) {
        // Held by this process, so it is the same content still; another may have dropped it already.
        if (s->index->slots[slot].state == STORE_READY) {
            take_out(s, (uint32_t)slot);
            s->index->slots[slot].state = STORE_FILLING; // free when nobody holds it any more
            count(&s->index->counts.spoilt, 1);
        }
        store_unlock(s);
    }
    return false;
}

void gn_store_follows(struct gn_store *s, struct gn_tenant tenant, const struct gn_content *content, const struct gn_content *next)
{
    if (!store_lock(s))
        return;
    uint32_t slot = look(s, tenant, content);
    if (slot != STORE_NONE)
        s->index->slots[slot].next = *next;
    store_unlock(s);
}

bool gn_store_next(struct gn_store *s, struct gn_tenant tenant, const struct gn_content *content, struct gn_content *next)
{
    *next = (struct gn_content){0};
    if (!store_lock(s))
        return false;
    uint32_t slot = look(s, tenant, content);
    if (slot != STORE_NONE)
        *next = s->index->slots[slot].next;
    store_unlock(s);
    return next->size_bytes && next->size_bytes <= STORE_SLOT_BYTES;
}

// --- for what is on disk too

const char *gn_store_tenant_name(const struct gn_store *s, struct gn_tenant tenant)
{
    uint32_t n = atomic_load_explicit(&s->index->tenant_count, memory_order_acquire);
    for (uint32_t i = 0; i < n && i < STORE_TENANTS_MAX; i++)
        if (s->index->tenants[i].id.low == tenant.low && s->index->tenants[i].id.high == tenant.high)
            return s->index->tenants[i].name;
    return NULL;
}

int gn_store_register(struct gn_store *s, struct gn_tenant tenant, const char *name)
{
    struct store_index *x = s->index;
    int result = -ENOSPC;
    if (!store_lock(s))
        return result;
    uint32_t n = atomic_load_explicit(&x->tenant_count, memory_order_relaxed);
    if (gn_store_tenant_name(s, tenant)) {
        result = 0;
    } else if (n < STORE_TENANTS_MAX && strlen(name) < GN_TENANT_BYTES) {
        x->tenants[n].id = tenant;
        strcpy(x->tenants[n].name, name);
        atomic_store_explicit(&x->tenant_count, n + 1, memory_order_release);
        result = 0;
    }
    store_unlock(s);
    return result;
}

int gn_store_unsaved(struct gn_store *s, uint32_t *from, struct gn_content *content, const char **tenant)
{
    int result = -ENOENT;
    if (!store_lock(s))
        return result;
    for (; result < 0 && *from < s->index->slot_count; ++*from) {
        const struct store_slot *p = &s->index->slots[*from];
        if (p->state != STORE_READY || p->saved || !(*tenant = gn_store_tenant_name(s, p->tenant)) || !hold(s, *from))
            continue;
        *content = p->content;
        result = (int)*from;
    }
    store_unlock(s);
    return result;
}

void gn_store_saved(struct gn_store *s, int slot)
{
    if (!store_lock(s))
        return;
    s->index->slots[slot].saved = true; // held, so it is still what was saved
    store_unlock(s);
}

uint32_t gn_store_filed(const struct gn_store *s) { return atomic_load_explicit(&s->index->filed, memory_order_relaxed); }
