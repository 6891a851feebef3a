// SPDX-License-Identifier: Apache-2.0
// Sets of contents that grow: core has no memory of its own.
#ifndef GN_REMOTING_CONTENT_ROOM_H
#define GN_REMOTING_CONTENT_ROOM_H

#include <stdlib.h>

#include "core/content.h"

// Room for one more of GN_PROMISES_MAX; the entries are from malloc. False: there is none.
static inline bool gn_content_set_grow(struct gn_content_set *set)
{
    enum { FIRST = 256 };
    if (set->capacity && !gn_content_set_full(set))
        return true;
    size_t capacity = set->capacity ? 2 * set->capacity : FIRST;
    struct gn_content_entry *entries = set->count < GN_PROMISES_MAX ? calloc(capacity, sizeof *entries) : NULL;
    if (!entries)
        return false;
    struct gn_content_set larger = {entries, capacity, 0};
    gn_content_set_move(&larger, set);
    free(set->entries);
    *set = larger;
    return true;
}

#endif
