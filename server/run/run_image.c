// SPDX-License-Identifier: Apache-2.0
// Collecting images that the client uploads, and checking them before a driver sees them.
//
// cuModuleLoadData is told no length: a driver reads as far as the image's headers say. So an image whose
// headers say more than was sent, or that holds pointers of the client's (what nvcc's host code calls a
// wrapper), never reaches it. Fatbins that the driver has to link come as a bundle; it sees them behind a
// wrapper of this process, as the client's own driver would.
#include "server/run/run_image.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "core/content.h"
#include "core/image/image_bundle.h"
#include "server/log.h"
#include "server/run/run_state.h"
#include "server/store/contents.h"

enum { TAIL_BYTES = 16 }; // zeros behind an image: a PTX text ends at one

struct wrapper { // the layout is the driver's
    uint32_t magic, version;
    const void *fatbin;
    const void *const *linked;
    const void *list[]; // not the driver's: what linked points to
};
static_assert(offsetof(struct wrapper, list) == 24, "a wrapper of version 2");

struct upload {
    bool used, refused; // refused: over the limit; its pieces are not kept
    uint32_t number;
    uint64_t total_bytes, filled_bytes;
    uint8_t *data;
    struct wrapper *wrapper; // of a bundle, once it is taken
};

struct gn_images {
    struct upload uploads[GN_UPLOADS_MAX];
    uint64_t held_bytes; // of all uploads
};

static struct upload *find(struct gn_images *images, uint32_t number, bool used)
{
    for (int i = 0; images && i < GN_UPLOADS_MAX; i++)
        if (images->uploads[i].used == used && (!used || images->uploads[i].number == number))
            return &images->uploads[i];
    return NULL;
}

static CUresult begin(struct gn_worker *w, struct upload *u, uint32_t number, uint64_t total_bytes)
{
    *u = (struct upload){.used = true, .number = number, .total_bytes = total_bytes};
    u->refused = total_bytes > w->limits.image_bytes - w->images->held_bytes ||
                 !(u->data = malloc(total_bytes + TAIL_BYTES));
    if (u->refused)
        return CUDA_ERROR_OUT_OF_MEMORY;
    memset(u->data + total_bytes, 0, TAIL_BYTES);
    w->images->held_bytes += total_bytes;
    return CUDA_SUCCESS;
}

struct part {
    uint64_t total_bytes, offset_bytes, size_bytes;
    uint32_t upload;
};

// Where the part goes: *to, or NULL where it is not kept.
static CUresult place_part(struct gn_worker *w, struct gn_request *q, const struct part *p, uint8_t **to)
{
    *to = NULL;
    if (!w->images && !(w->images = calloc(1, sizeof *w->images)))
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (!p->total_bytes || p->offset_bytes > p->total_bytes || p->size_bytes > p->total_bytes - p->offset_bytes) {
        q->error = "a piece of an image that reaches beyond the image";
        return CUDA_ERROR_INVALID_VALUE;
    }
    struct upload *u = find(w->images, p->upload, true);
    CUresult r = CUDA_SUCCESS;
    if (!u) {
        u = find(w->images, 0, false);
        if (!u)
            return CUDA_ERROR_OUT_OF_MEMORY; // the load that follows finds no image
        if (p->offset_bytes)
            return CUDA_ERROR_INVALID_VALUE; // its first piece found no room
        r = begin(w, u, p->upload, p->total_bytes);
    }
    if (u->total_bytes != p->total_bytes || (!u->refused && u->filled_bytes != p->offset_bytes)) {
        q->error = "a piece of an image out of its place";
        return CUDA_ERROR_INVALID_VALUE;
    }
    if (!u->refused) {
        *to = u->data + u->filled_bytes;
        u->filled_bytes += p->size_bytes;
    }
    return r;
}

CUresult gn_run_image_part(struct gn_worker *w, struct gn_request *q, const struct gn_args_image_part *a,
                           struct gn_out_image_part *o)
{
    (void)o;
    struct part p = {a->total_bytes, a->offset_bytes, q->payload ? q->payload->size_bytes : 0, a->upload};
    uint8_t *to;
    CUresult r = place_part(w, q, &p, &to);
    if (to && p.size_bytes)
        memcpy(to, q->payload->data, p.size_bytes);
    // Where the client asks before it sends (then the store has been reached); the images of others would fill it for nobody. The slot is given
    // back as it always is: while it is kept, that only ends this use of it.
    if (to && p.size_bytes && p.total_bytes >= GN_CONTENT_IMAGE_BYTES_MIN)
        gn_contents_keep(w->contents, q->payload->slot, p.size_bytes, &(struct gn_content){0});
    return r;
}

CUresult gn_run_image_content(struct gn_worker *w, struct gn_request *q, const struct gn_args_image_content *a,
                              struct gn_out_image_content *o)
{
    (void)o;
    struct part p = {a->total_bytes, a->offset_bytes, a->size_bytes, a->upload};
    const struct gn_content content = {a->low, a->high, a->size_bytes};
    uint8_t *to;
    CUresult r = place_part(w, q, &p, &to);
    int error = to ? gn_contents_read(w->contents, &content, to) : 0;
    if (error == -ENOENT)
        q->error = "a piece of an image that has not been promised";
    else if (error)
        memset(to, 0, a->size_bytes); // which is no image
    return r ? r : error ? CUDA_ERROR_UNKNOWN : CUDA_SUCCESS;
}

static int check_fatbin(const void *fatbin, uint64_t size_bytes, struct gn_image_error *error)
{
    struct gn_fatbin_iter it;
    struct gn_fatbin_entry entry;
    int result = gn_fatbin_begin(&it, fatbin, size_bytes);
    while (!result && (result = gn_fatbin_next(&it, &entry)) > 0)
        result = 0;
    *error = it.error;
    return result;
}

// Checks each fatbin of a bundle and makes the wrapper.
static int wrap(struct upload *u, struct gn_image_error *error)
{
    struct gn_bundle bundle;
    uint64_t size_bytes;
    int result = gn_bundle_open(&bundle, u->data, u->total_bytes);
    *error = bundle.error;
    if (result)
        return result;
    struct wrapper *made = calloc(1, sizeof *made + bundle.count * sizeof *made->list);
    if (!made)
        return -ENOMEM;
    *made = (struct wrapper){.magic = GN_WRAPPER_MAGIC, .version = 2, .linked = made->list};
    for (const void *fatbin; !result && (fatbin = gn_bundle_next(&bundle, &size_bytes)) != NULL;) {
        result = check_fatbin(fatbin, size_bytes, error);
        error->offset_bytes += (uint64_t)((const uint8_t *)fatbin - u->data);
        if (bundle.at == 1)
            made->fatbin = fatbin;
        else
            made->list[bundle.at - 2] = fatbin; // one less than there is room for: NULL ends it
    }
    free(u->wrapper);
    u->wrapper = made;
    return result;
}

// Walks everything that a driver will walk.
static int check(const void *image, size_t size_bytes, struct gn_image_error *error)
{
    struct gn_image probed;
    int result =
        gn_image_probe(image, size_bytes + 1, &probed); // with a zero: a PTX text may come without its own
    *error = probed.error;
    if (result)
        return result;
    if (probed.kind == GN_IMAGE_WRAPPER) {
        error->reason = "a wrapper holds addresses of another process";
        return -EINVAL;
    }
    if (probed.kind == GN_IMAGE_FATBIN) {
        result = check_fatbin(image, size_bytes, error);
    } else if (probed.kind == GN_IMAGE_CUBIN) {
        struct gn_cubin cubin;
        result = gn_cubin_open(&cubin, image, probed.size_bytes);
        *error = cubin.error;
    }
    return result;
}

CUresult gn_image_take(struct gn_worker *w, uint32_t upload, struct gn_taken *taken)
{
    struct upload *u = find(w->images, upload, true);
    struct gn_image_error error = {0};
    *taken = (struct gn_taken){0};
    if (!u)
        return CUDA_ERROR_INVALID_IMAGE;
    if (u->refused) {
        gn_log(GN_LOG_WARN, "an image of %llu bytes is refused: over limits.images",
               (unsigned long long)u->total_bytes);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    if (u->filled_bytes != u->total_bytes)
        return CUDA_ERROR_INVALID_IMAGE;
    bool is_bundle = gn_bundle_is(u->data, u->total_bytes);
    int result = is_bundle ? wrap(u, &error) : check(u->data, u->total_bytes, &error);
    if (result == -ENOMEM)
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (result) {
        gn_log(GN_LOG_WARN, "an image of %llu bytes is refused: %s, at offset %llu",
               (unsigned long long)u->total_bytes, error.reason ? error.reason : "malformed",
               (unsigned long long)error.offset_bytes);
        return CUDA_ERROR_INVALID_IMAGE;
    }
    taken->image = is_bundle ? (const void *)u->wrapper : u->data;
    taken->data = u->data;
    taken->size_bytes = u->total_bytes;
    return CUDA_SUCCESS;
}

void gn_image_drop(struct gn_worker *w, uint32_t upload)
{
    struct upload *u = find(w->images, upload, true);
    if (!u)
        return;
    if (!u->refused)
        w->images->held_bytes -= u->total_bytes;
    free(u->data);
    free(u->wrapper);
    *u = (struct upload){0};
}

void gn_images_close(struct gn_worker *w)
{
    for (int i = 0; w->images && i < GN_UPLOADS_MAX; i++) {
        free(w->images->uploads[i].data);
        free(w->images->uploads[i].wrapper);
    }
    free(w->images);
    w->images = NULL;
}
