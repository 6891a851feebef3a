// SPDX-License-Identifier: Apache-2.0
// Memory of one module: arena, growing arrays, scoped names.
#include "ptx_arena.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 64 << 10, NAMES_A_CHUNK = 256 };

struct chunk {
    struct chunk *next;
    size_t used, size;
    _Alignas(16) uint8_t bytes[];
};

struct ptx_arena {
    struct chunk *head;
    uint64_t total, limit;
};

struct ptx_arena *ptx_arena_new(uint64_t limit_bytes)
{
    struct ptx_arena *arena = calloc(1, sizeof *arena);
    if (arena)
        arena->limit = limit_bytes;
    return arena;
}

void ptx_arena_free(struct ptx_arena *arena)
{
    if (!arena)
        return;
    for (struct chunk *c = arena->head, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    free(arena);
}

void *ptx_arena_alloc(struct ptx_arena *arena, size_t size_bytes)
{
    size_t size = (size_bytes + 15) & ~(size_t)15;
    if (size < size_bytes || size > arena->limit)
        return NULL;
    struct chunk *c = arena->head;
    if (!c || c->size - c->used < size) {
        size_t want = size > CHUNK_BYTES / 4 ? size : CHUNK_BYTES;
        if (arena->total + want > arena->limit)
            return NULL;
        struct chunk *fresh = calloc(1, sizeof *fresh + want);
        if (!fresh)
            return NULL;
        fresh->size = want;
        arena->total += want;
        if (c && want == size) { // keep filling the chunk that still has room
            fresh->next = c->next;
            c->next = fresh;
        } else {
            fresh->next = c;
            arena->head = fresh;
        }
        c = fresh;
    }
    void *p = c->bytes + c->used;
    c->used += size;
    return p;
}

char *ptx_arena_string(struct ptx_arena *arena, const char *text, size_t size_bytes)
{
    char *s = ptx_arena_alloc(arena, size_bytes + 1);
    if (s)
        memcpy(s, text, size_bytes);
    return s;
}

void *ptx_vec_push(struct ptx_vec *vec)
{
    if (vec->count == vec->capacity) {
        uint32_t capacity = vec->capacity ? vec->capacity * 2 : 16;
        if (capacity < vec->capacity)
            return NULL;
        void *items = realloc(vec->items, (size_t)capacity * vec->item_bytes);
        if (!items)
            return NULL;
        vec->items = items;
        vec->capacity = capacity;
    }
    void *item = (char *)vec->items + (size_t)vec->count++ * vec->item_bytes;
    memset(item, 0, vec->item_bytes);
    return item;
}

void ptx_vec_free(struct ptx_vec *vec)
{
    free(vec->items);
    vec->items = NULL;
    vec->count = vec->capacity = 0;
}

void *ptx_vec_keep(const struct ptx_vec *vec, struct ptx_arena *arena, bool *failed)
{
    if (!vec->count)
        return NULL;
    void *copy = ptx_arena_alloc(arena, (size_t)vec->count * vec->item_bytes);
    if (copy)
        memcpy(copy, vec->items, (size_t)vec->count * vec->item_bytes);
    else
        *failed = true;
    return copy;
}

static uint32_t hash_of(const char *text, size_t size)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < size; i++)
        h = (h ^ (uint8_t)text[i]) * 16777619u;
    return h ^ h >> 15;
}

int ptx_names_init(struct ptx_names *names, uint32_t depth_max)
{
    *names = (struct ptx_names){.bucket_count = 256, .chunks.item_bytes = sizeof(void *)};
    names->buckets = calloc(names->bucket_count, sizeof *names->buckets);
    names->scopes = calloc(depth_max, sizeof *names->scopes);
    return names->buckets && names->scopes ? 0 : -ENOMEM;
}

void ptx_names_free(struct ptx_names *names)
{
    for (uint32_t i = 0; i < names->chunks.count; i++)
        free(*PTX_VEC_AT(&names->chunks, void *, i));
    ptx_vec_free(&names->chunks);
    free(names->buckets);
    free(names->scopes);
    *names = (struct ptx_names){0};
}

struct ptx_name *ptx_names_find(const struct ptx_names *names, const char *text, size_t size_bytes)
{
    uint32_t h = hash_of(text, size_bytes);
    for (struct ptx_name *n = names->buckets[h & (names->bucket_count - 1)]; n; n = n->next)
        if (n->hash == h && n->size == size_bytes && !memcmp(n->text, text, size_bytes))
            return n;
    return NULL;
}

static void grow(struct ptx_names *names)
{
    uint32_t count = names->bucket_count * 2;
    struct ptx_name **buckets = calloc(count, sizeof *buckets);
    if (!buckets)
        return; // longer chains, nothing worse
    // Inner names stand before outer ones of the same text: keep each chain's order by appending.
    struct ptx_name **tails = calloc(count, sizeof *tails);
    if (!tails) {
        free(buckets);
        return;
    }
    for (uint32_t i = 0; i < names->bucket_count; i++)
        for (struct ptx_name *n = names->buckets[i], *next; n; n = next) {
            next = n->next;
            n->next = NULL;
            uint32_t at = n->hash & (count - 1);
            if (tails[at])
                tails[at]->next = n;
            else
                buckets[at] = n;
            tails[at] = n;
        }
    free(tails);
    free(names->buckets);
    names->buckets = buckets;
    names->bucket_count = count;
}

static struct ptx_name *name_new(struct ptx_names *names)
{
    if (!names->unused) {
        struct ptx_name *block = calloc(NAMES_A_CHUNK, sizeof *block);
        void **slot = block ? ptx_vec_push(&names->chunks) : NULL;
        if (!slot) {
            free(block);
            return NULL;
        }
        *slot = block;
        for (int i = 0; i < NAMES_A_CHUNK; i++) {
            block[i].next = names->unused;
            names->unused = &block[i];
        }
    }
    struct ptx_name *n = names->unused;
    names->unused = n->next;
    *n = (struct ptx_name){0};
    return n;
}

struct ptx_name *ptx_names_add(struct ptx_names *names, const char *text, size_t size_bytes, uint32_t depth)
{
    if (names->count > names->bucket_count && names->bucket_count < 1u << 26)
        grow(names);
    struct ptx_name *n = name_new(names);
    if (!n)
        return NULL;
    n->text = text;
    n->size = (uint32_t)size_bytes;
    n->hash = hash_of(text, size_bytes);
    n->depth = depth;
    // A bucket's chain is sorted inner to outer, so a name of an outer scope goes behind those of inner ones.
    struct ptx_name **at = &names->buckets[n->hash & (names->bucket_count - 1)];
    while (*at && (*at)->depth > depth)
        at = &(*at)->next;
    n->next = *at;
    *at = n;
    n->scope_next = names->scopes[depth];
    names->scopes[depth] = n;
    names->count++;
    return n;
}

void ptx_names_leave(struct ptx_names *names, uint32_t depth)
{
    for (struct ptx_name *n = names->scopes[depth], *next; n; n = next) {
        next = n->scope_next;
        struct ptx_name **at = &names->buckets[n->hash & (names->bucket_count - 1)];
        while (*at != n)
            at = &(*at)->next;
        *at = n->next;
        n->next = names->unused;
        names->unused = n;
        names->count--;
    }
    names->scopes[depth] = NULL;
}
