// SPDX-License-Identifier: Apache-2.0
// Functions by name, and what happens to them when their module or library goes.
#include <stdlib.h>
#include <string.h>

#include "interpose/module/module.h"

pthread_mutex_t gn_module_lock = PTHREAD_MUTEX_INITIALIZER;

static size_t bucket_of(const char *name)
{
    uint64_t h = 0xcbf29ce484222325u; // FNV-1a
    for (; *name; name++)
        h = (h ^ (uint8_t)*name) * 0x100000001b3u;
    return (size_t)(h ^ h >> 32) % GN_NAME_BUCKETS;
}

struct gn_function *gn_names_find(const struct gn_names *names, const char *name)
{
    struct gn_function *f = names->buckets[bucket_of(name)];
    while (f && strcmp(f->name, name))
        f = f->next;
    return f;
}

void gn_names_add(struct gn_names *names, struct gn_function *function)
{
    struct gn_function **bucket = &names->buckets[bucket_of(function->name)];
    function->next = *bucket;
    *bucket = function;
}

struct gn_function *gn_names_take_all(struct gn_names *names)
{
    struct gn_function *all = NULL;
    for (size_t i = 0; i < GN_NAME_BUCKETS; i++) {
        for (struct gn_function *f = names->buckets[i], *next; f; f = next) {
            next = f->next;
            f->next = all;
            all = f;
        }
        names->buckets[i] = NULL;
    }
    return all;
}

CUresult gn_name_check(const char *name, uint32_t *size_bytes)
{
    size_t n = name ? strnlen(name, GN_SYMBOL_BYTES_MAX) : 0;
    *size_bytes = (uint32_t)n;
    if (!n)
        return CUDA_ERROR_INVALID_VALUE;
    return n == GN_SYMBOL_BYTES_MAX ? CUDA_ERROR_NOT_FOUND : CUDA_SUCCESS; // nothing has such a name
}

void gn_module_free(struct gn_module *module)
{
    gn_writes_image_free(module->writes);
    free(module);
}

void gn_library_free(struct gn_library *library)
{
    gn_writes_image_free(library->writes);
    free(library);
}

static void drop_one(struct gn_function *f)
{
    gn_handle_drop(f->id);
    gn_function_free(f);
}

void gn_functions_drop(struct gn_function *first)
{
    for (struct gn_function *f = first, *next; f; f = next) {
        next = f->next;
        pthread_mutex_lock(&gn_module_lock);
        struct gn_function *instances = f->instances;
        f->instances = NULL;
        pthread_mutex_unlock(&gn_module_lock);
        for (struct gn_function *i = instances, *after; i; i = after) {
            after = i->next;
            drop_one(i);
        }
        drop_one(f);
    }
}
