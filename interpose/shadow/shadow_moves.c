// SPDX-License-Identifier: Apache-2.0
// mremap, as the program calls it. The kernel moves one mapping at a time, and a tracked range is a mapping of its own: what the program has
// mapped as one may be several, and stays so afterwards where pages came to them separately. Then it is moved piece by piece.
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "interpose/shadow/shadow_parts.h"

struct move {
    uint64_t from, old_bytes, new_bytes, to;
    int flags;
};

static uint64_t move(const struct move *m) // the address, or MAP_FAILED
{
    return (uint64_t)syscall(SYS_mremap, m->from, m->old_bytes, m->new_bytes, m->flags, m->to);
}

static const uint64_t failed = (uintptr_t)MAP_FAILED;

// The ranges within are given up: their pages come here.
static void give_up(uint64_t start, uint64_t end)
{
    struct span s;
    int cancel;
    bool any;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    shadow_ops_take();
    shadow_fault_settle();
    while ((any = shadow_map_find(start, end, &s)) && !s.block->busy)
        shadow_retire(s.block);
    if (!any) // and what they leave behind where others have taken their place
        gn_shadow_unregister(start, end - start);
    shadow_ops_give();
    pthread_setcancelstate(cancel, NULL);
}

// Whether all of it could be one mapping, were it not for what happened to parts of it: of one kind, without a hole.
static bool could_be_one(uint64_t start, uint64_t end)
{
    unsigned kind, first = 0;
    for (uint64_t at = start, next; at < end; at = next) {
        if (gn_shadow_mapping(at, &next, &kind) || (at > start && kind != first))
            return false;
        first = kind;
    }
    return true;
}

static uint64_t move_pieces(const struct move *m)
{
    uint64_t end = m->from + m->old_bytes, next, to = m->to;
    unsigned kind;
    if (m->flags & MREMAP_MAYMOVE && !(m->flags & MREMAP_FIXED)) { // a place for all of it, which the pieces then take
        to = (uintptr_t)mmap(NULL, m->new_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (to == failed)
            return failed;
    }
    for (uint64_t at = m->from; at < end; at = next) {
        if (gn_shadow_mapping(at, &next, &kind))
            return failed;
        next = next < end ? next : end;
        struct move piece = {at, next - at, next - at, to + (at - m->from), m->flags | MREMAP_FIXED};
        if (next == end) // the last one grows
            piece.new_bytes += m->new_bytes - m->old_bytes;
        if (!(m->flags & MREMAP_MAYMOVE)) { // nor are the others moved
            piece.flags = m->flags;
            if (next != end)
                continue;
        }
        if (move(&piece) == failed)
            return failed;
    }
    return m->flags & MREMAP_MAYMOVE ? to : m->from;
}

__attribute__((visibility("default"))) void *mremap(void *old, size_t old_bytes, size_t new_bytes, int flags, ...)
{
    const uint64_t mask = GN_PAGE_BYTES - 1;
    va_list arguments;
    va_start(arguments, flags);
    uint64_t to = flags & MREMAP_FIXED ? (uintptr_t)va_arg(arguments, void *) : 0;
    va_end(arguments);
    struct move m = {(uintptr_t)old, old_bytes, new_bytes, to, flags};
    uint64_t from_end = (m.from + old_bytes + mask) & ~mask, first_end;
    unsigned kind; // a child that was made without libc's fork has the tables, and its parent's descriptors
    if (!atomic_load(&gn_shadow_any) || getpid() != shadow_owner || !old_bytes || gn_shadow_mapping(m.from, &first_end, &kind) || first_end >= from_end)
        return (void *)(uintptr_t)move(&m);
    give_up(m.from, from_end); // first: a kernel that moves several mappings (6.17) stops in the middle where one is tracked
    uint64_t at = move(&m);
    m.old_bytes = from_end - m.from;
    m.new_bytes = (new_bytes + mask) & ~mask;
    if (at == failed && errno == EFAULT && m.new_bytes >= m.old_bytes && could_be_one(m.from, from_end))
        at = move_pieces(&m);
    return (void *)(uintptr_t)at;
}
