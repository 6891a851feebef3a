// SPDX-License-Identifier: Apache-2.0
// Sets of contents, and where chunks begin.
#include "core/content.h"

#include <string.h>

// A digest is as good as random already; who makes digests up slows itself down.
static size_t place_of(const struct gn_content_set *set, const struct gn_content *content)
{
    return (size_t)(content->low ^ content->high >> 7 ^ content->size_bytes) & (set->capacity - 1);
}

struct gn_content_entry *gn_content_set_find(const struct gn_content_set *set, const struct gn_content *content)
{
    if (!set->capacity || !content->size_bytes)
        return NULL;
    for (size_t at = place_of(set, content); set->entries[at].content.size_bytes; at = (at + 1) & (set->capacity - 1))
        if (gn_content_same(&set->entries[at].content, content))
            return &set->entries[at];
    return NULL;
}

bool gn_content_set_add(struct gn_content_set *set, const struct gn_content *content, uint64_t value)
{
    if (!set->capacity || gn_content_set_full(set) || !content->size_bytes)
        return false;
    size_t at = place_of(set, content);
    while (set->entries[at].content.size_bytes)
        at = (at + 1) & (set->capacity - 1);
    set->entries[at] = (struct gn_content_entry){*content, value};
    set->count++;
    return true;
}

void gn_content_set_clear(struct gn_content_set *set)
{
    if (set->count)
        memset(set->entries, 0, set->capacity * sizeof *set->entries);
    set->count = 0;
}

void gn_content_set_move(struct gn_content_set *to, const struct gn_content_set *from)
{
    for (size_t i = 0; i < from->capacity; i++)
        if (from->entries[i].content.size_bytes)
            gn_content_set_add(to, &from->entries[i].content, from->entries[i].value);
}

uint64_t gn_content_chunk(uint64_t origin, uint64_t address, uint64_t size_bytes, uint64_t chunk_bytes)
{
    uint64_t left = chunk_bytes - (address - origin) % chunk_bytes;
    return left < size_bytes ? left : size_bytes;
}
