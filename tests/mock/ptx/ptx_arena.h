// SPDX-License-Identifier: Apache-2.0
// Memory of one module: an arena that is freed at once, growing arrays in it, and a hash of names.
#ifndef GN_TESTS_MOCK_PTX_ARENA_H
#define GN_TESTS_MOCK_PTX_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ptx_arena;

struct ptx_arena *ptx_arena_new(uint64_t limit_bytes);
void ptx_arena_free(struct ptx_arena *arena);
// Zeroed memory, aligned to 16, or NULL over the limit or out of memory.
void *ptx_arena_alloc(struct ptx_arena *arena, size_t size_bytes);
char *ptx_arena_string(struct ptx_arena *arena, const char *text, size_t size_bytes);

// A malloc'ed array that grows by doubling; the owner frees `items`.
struct ptx_vec {
    void *items;
    uint32_t count, capacity;
    uint32_t item_bytes;
};
// One more zeroed item, or NULL.
void *ptx_vec_push(struct ptx_vec *vec);
void ptx_vec_free(struct ptx_vec *vec);
// Copies the items into the arena; NULL when there are none or there is no memory (`*failed` tells which).
void *ptx_vec_keep(const struct ptx_vec *vec, struct ptx_arena *arena, bool *failed);
#define PTX_VEC_AT(vec, type, i) (&((type *)(vec)->items)[i])

// Names to values. Inner scopes hide outer ones; leaving a scope forgets its names.
struct ptx_name {
    const char *text; // not owned
    uint32_t size;
    uint32_t hash;
    uint32_t depth;
    uint32_t kind;
    void *value;
    uint64_t number;
    struct ptx_name *next;       // same bucket
    struct ptx_name *scope_next; // same scope
};
struct ptx_names {
    struct ptx_name **buckets;
    uint32_t bucket_count, count;
    struct ptx_name **scopes; // by depth
    struct ptx_name *unused;
    struct ptx_vec chunks;
};
int ptx_names_init(struct ptx_names *names, uint32_t depth_max);
void ptx_names_free(struct ptx_names *names);
struct ptx_name *ptx_names_find(const struct ptx_names *names, const char *text, size_t size_bytes);
// NULL when out of memory. The name may exist already: the new one hides it.
struct ptx_name *ptx_names_add(struct ptx_names *names, const char *text, size_t size_bytes, uint32_t depth);
void ptx_names_leave(struct ptx_names *names, uint32_t depth);

#endif
