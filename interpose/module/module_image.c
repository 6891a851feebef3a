// SPDX-License-Identifier: Apache-2.0
// Images on their way to the server: what the program points at has no length, so its own headers tell; it
// goes out in pieces.
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api_wire.h"
#include "core/frame.h"
#include "core/image/image_bundle.h"
#include "interpose/copy/copy_box.h"
#include "interpose/log.h"
#include "interpose/module/module.h"
#include "interpose/shadow/content.h"

struct source { // what goes out
    const void *data;
    uint64_t size_bytes;
    void *made; // to be freed: a bundle made here
};

static CUresult refuse(const struct gn_image_error *error)
{
    gn_log(GN_LOG_INFO, "not a CUDA image: %s (at byte %llu)",
           error->reason ? error->reason : "wrapped twice", (unsigned long long)error->offset_bytes);
    return CUDA_ERROR_INVALID_IMAGE;
}

// The size of each fatbin behind the wrapper, and of the bundle.
static CUresult measure_all(const struct gn_image *wrapper, uint64_t *size_bytes, uint32_t count,
                            uint64_t *total_bytes)
{
    uint32_t at = 0;
    *total_bytes = gn_bundle_head_bytes(count);
    for (const void *fatbin; (fatbin = gn_image_wrapped(wrapper, &at)) != NULL;) {
        struct gn_fatbin_iter it;
        if (gn_fatbin_begin(&it, fatbin, GN_IMAGE_SIZE_UNKNOWN))
            return refuse(&it.error);
        size_bytes[at - 1] = it.size_bytes;
        *total_bytes += gn_bundle_padded(it.size_bytes);
        if (*total_bytes > GN_IMAGE_SIZE_MAX)
            return refuse(
                &(struct gn_image_error){"fatbins that are larger together than any image may be", 0});
    }
    return CUDA_SUCCESS;
}

// A wrapper of version 2: its own fatbin (the linked code, which is empty where nvcc linked for no device)
// and those of the translation units. All go to the server: its driver chooses, and links.
static CUresult bundle(const struct gn_image *wrapper, uint32_t count, struct source *source)
{
    uint32_t at = 0;
    uint64_t *size_bytes = calloc(count, sizeof *size_bytes);
    CUresult r =
        size_bytes ? measure_all(wrapper, size_bytes, count, &source->size_bytes) : CUDA_ERROR_OUT_OF_MEMORY;
    uint8_t *to = r ? NULL : calloc(1, source->size_bytes);
    if (!r && !to)
        r = CUDA_ERROR_OUT_OF_MEMORY;
    source->made = to;
    source->data = to;
    if (!r) {
        gn_bundle_head(to, size_bytes, count);
        to += gn_bundle_head_bytes(count);
        for (const void *fatbin; (fatbin = gn_image_wrapped(wrapper, &at)) != NULL;) {
            memcpy(to, fatbin, size_bytes[at - 1]);
            to += gn_bundle_padded(size_bytes[at - 1]);
        }
    }
    free(size_bytes);
    return r;
}

// What the program's pointer leads to, with the wrapper of nvcc's host code taken off: a fatbin, an ELF or a
// text, or a bundle of fatbins.
static CUresult measure(const void *given, size_t size_bytes, struct source *source)
{
    struct gn_image image;
    uint32_t count;
    int r = gn_image_probe(given, size_bytes, &image);
    if (!r && image.kind == GN_IMAGE_WRAPPER) {
        struct gn_image wrapper = image;
        if (size_bytes != GN_IMAGE_SIZE_UNKNOWN) // in a file its pointers lead nowhere
            return refuse(&(struct gn_image_error){"a wrapper in a file", 0});
        if (gn_image_wrapped_count(&wrapper, &count))
            return refuse(&(struct gn_image_error){"a wrapper of more fatbins than a program may have", 16});
        if (count > 1)
            return bundle(&wrapper, count, source);
        r = gn_image_probe(wrapper.fatbin, GN_IMAGE_SIZE_UNKNOWN, &image);
    }
    if (r || image.kind == GN_IMAGE_WRAPPER || image.kind == GN_IMAGE_NONE)
        return refuse(&image.error);
    source->data = image.data;
    source->size_bytes = image.size_bytes;
    return CUDA_SUCCESS;
}

CUresult gn_image_upload(struct gn_call *c, const void *given, size_t size_bytes, uint32_t *upload)
{
    static _Atomic uint32_t last;
    struct source source = {0};
    CUresult r = given ? measure(given, size_bytes, &source) : CUDA_ERROR_INVALID_VALUE;
    uint64_t chunk = gn_shim.welcome.chunk_bytes;
    struct gn_pieces walk = {.shape = gn_shape_line(source.size_bytes),
                             .piece_bytes =
                                 chunk && chunk < GN_PAYLOAD_BYTES_MAX ? chunk : GN_PAYLOAD_BYTES_MAX};
    if (!r)
        *upload = atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;
    bool asks = !r && gn_content_takes_image(source.size_bytes);
    if (asks)
        r = gn_content_image(c, *upload, source.data, source.size_bytes);
    for (struct gn_piece p; !r && !asks && gn_pieces_next(&walk, &p);) {
        const uint8_t *data = (const uint8_t *)source.data + p.column_bytes;
        struct gn_args_image_part args = {source.size_bytes, p.column_bytes, *upload, data, p.width_bytes};
        int32_t code;
        int status = gn_session_post_payload(gn_shim.session, gn_context_id(c), GN_OP_image_part, &args, data, p.width_bytes,
                                             &code);
        r = gn_posted(c, GN_OP_image_part, status, code);
    }
    free(source.made);
    return r;
}

static CUresult read_all(int fd, size_t size_bytes, char **text)
{
    size_t got = 0;
    if (!(*text = malloc(size_bytes + 1)))
        return CUDA_ERROR_OUT_OF_MEMORY;
    while (got < size_bytes) {
        ssize_t n = read(fd, *text + got, size_bytes - got);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            free(*text);
            return CUDA_ERROR_OPERATING_SYSTEM;
        }
        got += (size_t)n;
    }
    (*text)[size_bytes] = 0;
    return CUDA_SUCCESS;
}

CUresult gn_image_read(const char *path, void **image, size_t *size_bytes)
{
    struct stat about;
    char *text = NULL;
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return path ? CUDA_ERROR_FILE_NOT_FOUND : CUDA_ERROR_INVALID_VALUE;
    CUresult r = CUDA_ERROR_FILE_NOT_FOUND;
    if (!fstat(fd, &about) && S_ISREG(about.st_mode))
        r = (uint64_t)about.st_size > GN_IMAGE_SIZE_MAX ? CUDA_ERROR_INVALID_IMAGE
                                                        : read_all(fd, (size_t)about.st_size, &text);
    close(fd);
    *image = text;
    *size_bytes =
        (size_t)about.st_size + 1; // a text ends with its NUL; what else is in files knows its own length
    return r;
}
