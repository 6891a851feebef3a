// SPDX-License-Identifier: Apache-2.0
// Parameter layouts for drivers before CUDA 12.4, which cannot tell them: read from the image when it is
// loaded, kept with the module.
//
// The layout of a kernel is the same in every entry of a fatbin, whatever the architecture; so any entry that
// is not compressed serves.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/image/image_bundle.h"
#include "server/log.h"
#include "server/run/run.h"
#include "server/run/run_state.h"

struct layout {
    struct layout *next;
    uint32_t count;
    uint32_t name_bytes;
    struct gn_image_param params[]; // then the name
};

struct gn_layouts { // of one module or library
    struct gn_layouts *next;
    uint64_t id;
    size_t bytes;
    struct layout *first;
};

static const char *name_in(const struct layout *l)
{
    return (const char *)&l->params[l->count];
}

static const struct layout *find(const struct gn_layouts *all, const char *name, size_t name_bytes)
{
    for (const struct layout *l = all->first; l; l = l->next)
        if (l->name_bytes == name_bytes && !memcmp(name_in(l), name, name_bytes))
            return l;
    return NULL;
}

static int add(struct gn_run_state *s, uint64_t most_bytes, struct gn_layouts *all, const char *name,
               uint64_t name_bytes, const struct gn_image_param *params, uint32_t count)
{
    if (name_bytes > GN_NAME_BYTES_MAX || find(all, name, name_bytes))
        return 0;
    size_t bytes = sizeof(struct layout) + count * sizeof *params + name_bytes;
    if (bytes > most_bytes || s->layout_bytes > most_bytes - bytes)
        return -ENOMEM;
    struct layout *l = malloc(bytes);
    if (!l)
        return -ENOMEM;
    l->count = count;
    l->name_bytes = (uint32_t)name_bytes;
    if (count)
        memcpy(l->params, params, count * sizeof *params);
    memcpy(&l->params[count], name, name_bytes);
    l->next = all->first;
    all->first = l;
    all->bytes += bytes;
    s->layout_bytes += bytes;
    return 0;
}

static int add_cubin(struct gn_worker *w, struct gn_layouts *all, const void *data, size_t size_bytes,
                     struct gn_image_param *params)
{
    struct gn_cubin cubin;
    struct gn_cubin_kernel kernel;
    int result = gn_cubin_open(&cubin, data, size_bytes);
    while (!result && (result = gn_cubin_next(&cubin, &kernel)) > 0) {
        if (!kernel.param_count && kernel.param_bytes) { // the file does not tell
            result = 0;
            continue;
        }
        result = gn_cubin_params(&cubin, &kernel, params, GN_IMAGE_PARAMS_MAX);
        if (!result)
            result = add(w->run, w->limits.image_bytes, all, kernel.name, kernel.name_bytes, params,
                         kernel.param_count);
    }
    return result;
}

static int add_ptx(struct gn_worker *w, struct gn_layouts *all, const void *text, size_t size_bytes,
                   struct gn_image_param *params)
{
    struct gn_ptx_iter it;
    struct gn_ptx_entry entry;
    int result = 0;
    gn_ptx_begin(&it, text, size_bytes);
    while (!result && (result = gn_ptx_next(&it, &entry, params, GN_IMAGE_PARAMS_MAX)) > 0)
        result =
            add(w->run, w->limits.image_bytes, all, entry.name, entry.name_bytes, params, entry.param_count);
    return result;
}

static int add_fatbin(struct gn_worker *w, struct gn_layouts *all, const void *data, size_t size_bytes,
                      struct gn_image_param *params)
{
    struct gn_fatbin_iter it;
    struct gn_fatbin_entry entry;
    int result = gn_fatbin_begin(&it, data, size_bytes);
    while (!result && (result = gn_fatbin_next(&it, &entry)) > 0) {
        result = 0;
        if (entry.compressed_bytes)
            continue;
        if (entry.kind == GN_FATBIN_CUBIN)
            result = add_cubin(w, all, entry.payload, entry.payload_bytes, params);
        else if (entry.kind == GN_FATBIN_PTX)
            result = add_ptx(w, all, entry.payload, entry.payload_bytes, params);
    }
    return result;
}

static int add_bundle(struct gn_worker *w, struct gn_layouts *all, const void *data, size_t size_bytes,
                      struct gn_image_param *params)
{
    struct gn_bundle bundle;
    uint64_t fatbin_bytes;
    int result = gn_bundle_open(&bundle, data, size_bytes);
    for (const void *fatbin; !result && (fatbin = gn_bundle_next(&bundle, &fatbin_bytes)) != NULL;)
        result = add_fatbin(w, all, fatbin, fatbin_bytes, params);
    return result;
}

static int add_image(struct gn_worker *w, struct gn_layouts *all, const void *data, size_t size_bytes,
                     struct gn_image_param *params)
{
    struct gn_image probed;
    if (gn_bundle_is(data, size_bytes))
        return add_bundle(w, all, data, size_bytes, params);
    int result = gn_image_probe(data, size_bytes, &probed);
    if (result)
        return result;
    return probed.kind == GN_IMAGE_FATBIN  ? add_fatbin(w, all, data, size_bytes, params)
           : probed.kind == GN_IMAGE_CUBIN ? add_cubin(w, all, data, probed.size_bytes, params)
           : probed.kind == GN_IMAGE_PTX   ? add_ptx(w, all, data, size_bytes, params)
                                           : -EINVAL;
}

int gn_layouts_keep(struct gn_worker *w, uint64_t id, const void *image, size_t size_bytes)
{
    struct gn_run_state *s = gn_run_state(w);
    struct gn_layouts *all = calloc(1, sizeof *all);
    struct gn_image_param *params = malloc(GN_IMAGE_PARAMS_MAX * sizeof *params);
    int result = s && all && params ? add_image(w, all, image, size_bytes, params) : -ENOMEM;
    free(params);
    if (result)
        gn_log(GN_LOG_WARN, "parameter layouts of a module are not all known: %s", strerror(-result));
    if (!s || !all) {
        free(all);
        return result;
    }
    all->id = id;
    all->next = s->layouts;
    s->layouts = all;
    return result;
}

const struct gn_image_param *gn_layouts_find(const struct gn_worker *w, uint64_t id, const char *name,
                                             uint32_t *count)
{
    for (const struct gn_layouts *all = w->run ? w->run->layouts : NULL; all; all = all->next)
        if (all->id == id) {
            const struct layout *l = find(all, name, strlen(name));
            *count = l ? l->count : 0;
            return l ? l->params : NULL;
        }
    return NULL;
}

void gn_layouts_forget(struct gn_worker *w, uint64_t id)
{
    for (struct gn_layouts **at = w->run ? &w->run->layouts : NULL; at && *at; at = &(*at)->next) {
        struct gn_layouts *all = *at;
        if (all->id != id)
            continue;
        for (struct layout *l = all->first, *next; l; l = next) {
            next = l->next;
            free(l);
        }
        w->run->layout_bytes -= all->bytes;
        *at = all->next;
        free(all);
        return;
    }
}
