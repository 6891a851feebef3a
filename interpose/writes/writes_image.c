// SPDX-License-Identifier: Apache-2.0
// What the kernels of an image may write: only where its PTX is what the device will run, or says the same. That is a PTX image; and a
// fatbin whose best PTX for the device is for the architecture of the best machine code in it, if there is any. Machine code alone, code
// that is yet to be linked, tell nothing.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/ptx/ptx_writes.h"
#include "interpose/log.h"
#include "interpose/shim.h"
#include "interpose/writes/writes.h"
#include "interpose/writes/writes_parts.h"

enum { KERNELS_MAX = 1 << 20 }; // of one image

struct gn_image_writes {
    size_t count, room;
    struct kernel {
        char *name;
        struct gn_kernel_writes *writes;
    } *kernels; // by name
};

// --- the PTX of an image

// The SM of all devices of the server, or 0 when they differ: a library is loaded for all of them.
static uint32_t device_sm(void)
{
    uint32_t sm = 0;
    for (uint32_t i = 0; i < gn_shim.welcome.device_count; i++) {
        const int32_t *a = gn_device((CUdevice)i)->attributes;
        uint32_t of_this = (uint32_t)(a[CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR] * 10 +
                                      a[CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR]);
        if (sm && sm != of_this)
            return 0;
        sm = of_this;
    }
    return sm;
}

// NULL, or why it tells nothing.
static const char *text_of_fatbin(const void *fatbin, struct gn_writes_text *text)
{
    struct gn_fatbin_iter it;
    struct gn_fatbin_entry e, best = {0};
    uint32_t sm = device_sm(), code_sm = 0;
    bool doubled = false, exact = false;
    if (!sm || gn_fatbin_begin(&it, fatbin, GN_IMAGE_SIZE_UNKNOWN))
        return "devices of several architectures, or no image";
    while (gn_fatbin_next(&it, &e) == 1) {
        if (e.kind == GN_FATBIN_LTOIR)
            return "it is linked when it is loaded";
        if (!gn_fatbin_fits(&e, sm))
            continue;
        if (e.kind == GN_FATBIN_CUBIN && e.sm >= code_sm) {
            exact = e.flags & (GN_FATBIN_ARCH_ONLY | GN_FATBIN_FAMILY_ONLY);
            code_sm = e.sm;
        } else if (e.kind == GN_FATBIN_PTX && e.sm >= best.sm) {
            doubled = e.sm == best.sm;
            best = e;
        }
    }
    if (it.error.reason || !best.payload)
        return "it has no PTX for the device";
    if (doubled)
        return "it has several PTX texts for the device";
    if (code_sm && (code_sm != best.sm || exact != !!(best.flags & (GN_FATBIN_ARCH_ONLY | GN_FATBIN_FAMILY_ONLY))))
        return "its PTX is for another architecture than its machine code";
    return gn_writes_unpack(&best, text);
}

static const char *text_of(const void *given, size_t size_bytes, struct gn_writes_text *text)
{
    struct gn_image image;
    uint32_t count;
    int r = gn_image_probe(given, size_bytes, &image);
    if (!r && image.kind == GN_IMAGE_WRAPPER) {
        struct gn_image wrapper = image;
        if (size_bytes != GN_IMAGE_SIZE_UNKNOWN || gn_image_wrapped_count(&wrapper, &count) || count != 1)
            return "it is linked when it is loaded";
        r = gn_image_probe(wrapper.fatbin, GN_IMAGE_SIZE_UNKNOWN, &image);
    }
    if (!r && image.kind == GN_IMAGE_FATBIN)
        return text_of_fatbin(image.data, text);
    if (r || image.kind != GN_IMAGE_PTX)
        return "it has no PTX";
    *text = (struct gn_writes_text){.data = image.data, .size_bytes = image.size_bytes};
    return NULL;
}

// --- its kernels

static struct gn_kernel_writes *kernel_writes(bool unknown, const uint16_t *word_bytes, uint32_t count)
{
    struct gn_kernel_writes *w = malloc(sizeof *w + count * sizeof *w->word_bytes);
    if (!w)
        return NULL;
    w->unknown = unknown;
    w->word_count = count;
    if (count)
        memcpy(w->word_bytes, word_bytes, count * sizeof *word_bytes);
    return w;
}

struct gn_kernel_writes *gn_writes_copy(const struct gn_kernel_writes *w)
{
    return w ? kernel_writes(w->unknown, w->word_bytes, w->word_count) : NULL;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct kernel *)a)->name, ((const struct kernel *)b)->name);
}

static int add(struct gn_image_writes *image, const struct gn_ptx_writes *w)
{
    if (image->count == image->room) {
        size_t room = image->room ? 2 * image->room : 16;
        void *grown = room > KERNELS_MAX ? NULL : realloc(image->kernels, room * sizeof *image->kernels);
        if (!grown)
            return -ENOMEM;
        image->kernels = grown;
        image->room = room;
    }
    struct kernel k = {.name = strndup(w->name, w->name_bytes), .writes = kernel_writes(w->unknown, w->word_bytes, w->word_count)};
    if (!k.name || !k.writes) {
        free(k.name);
        free(k.writes);
        return -ENOMEM;
    }
    image->kernels[image->count++] = k;
    return 0;
}

static struct gn_image_writes *analyse(const struct gn_writes_text *text)
{
    struct gn_image_writes *image = calloc(1, sizeof *image);
    struct gn_ptx_walk *walk = malloc(sizeof *walk);
    uint32_t cell_count = 64; // a name takes 8 bytes where it is declared or used, and the table may be filled to three quarters
    while (cell_count < GN_PTX_CELLS && cell_count < text->size_bytes / 6)
        cell_count *= 2;
    struct gn_ptx_cell *cells = malloc(cell_count * sizeof *cells);
    struct gn_ptx_writes w;
    int r = image && walk && cells ? 0 : -ENOMEM;
    if (!r)
        gn_ptx_writes_begin(walk, text->data, text->size_bytes, cells, cell_count);
    while (!r && (r = gn_ptx_writes_next(walk, &w)) == 1)
        r = add(image, &w);
    free(cells);
    free(walk);
    if (r) {
        gn_writes_image_free(image);
        return NULL;
    }
    if (image->count)
        qsort(image->kernels, image->count, sizeof *image->kernels, by_name);
    return image;
}

struct gn_image_writes *gn_writes_of_image(const void *given, size_t size_bytes)
{
    struct gn_writes_text text = {0};
    const char *why = text_of(given, size_bytes, &text);
    if (!why && text.size_bytes > GN_WRITES_TEXT_BYTES_MAX)
        why = "its PTX is too long";
    struct gn_image_writes *image = why ? NULL : analyse(&text);
    free(text.made);
    if (!image)
        gn_log(GN_LOG_INFO, "what the kernels of an image write is not known: %s", why ? why : "its PTX is not understood");
    return image;
}

void gn_writes_image_free(struct gn_image_writes *image)
{
    for (size_t i = 0; image && i < image->count; i++) {
        free(image->kernels[i].name);
        free(image->kernels[i].writes);
    }
    if (image)
        free(image->kernels);
    free(image);
}

struct gn_kernel_writes *gn_writes_of_kernel(const struct gn_image_writes *image, const char *name)
{
    const struct kernel key = {.name = (char *)(uintptr_t)name};
    const struct kernel *k =
        image && image->count ? bsearch(&key, image->kernels, image->count, sizeof *image->kernels, by_name) : NULL;
    return k ? gn_writes_copy(k->writes) : NULL;
}
