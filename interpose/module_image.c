// SPDX-License-Identifier: Apache-2.0
// Images on their way to the server: what the program points at has no length, so its own headers tell; it
// goes out in pieces.
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api_wire.h"
#include "core/frame.h"
#include "core/image.h"
#include "interpose/copy_box.h"
#include "interpose/log.h"
#include "interpose/module.h"

// Whether some device of the server can run an entry of the fatbin.
static bool is_usable(const void *fatbin)
{
    struct gn_fatbin_iter it;
    struct gn_fatbin_entry entry;
    if (gn_fatbin_begin(&it, fatbin, GN_IMAGE_SIZE_UNKNOWN))
        return false;
    while (gn_fatbin_next(&it, &entry) == 1)
        for (uint32_t i = 0; i < gn_shim.welcome.device_count; i++) {
            const int32_t *of_device = gn_shim.welcome.devices[i].attributes;
            uint32_t sm = (uint32_t)(of_device[CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR] * 10 +
                                     of_device[CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR]);
            if (gn_fatbin_fits(&entry, sm))
                return true;
        }
    return false;
}

// The fatbin behind a wrapper: its own, which holds the linked code where nvcc made code for the device; else
// the first of the relocatable ones that can be compiled there.
static const void *unwrap(const struct gn_image *wrapper)
{
    uint32_t at = 0;
    const void *own = gn_image_wrapped(wrapper, &at);
    for (const void *fatbin = own; fatbin; fatbin = gn_image_wrapped(wrapper, &at))
        if (is_usable(fatbin))
            return fatbin;
    return own; // the server says what is wrong with it
}

// What the program's pointer leads to, with the wrapper of nvcc's host code taken off: a fatbin, an ELF or a
// text, and its size.
static CUresult measure(const void *given, size_t size_bytes, struct gn_image *image)
{
    int r = gn_image_probe(given, size_bytes, image);
    if (!r && image->kind == GN_IMAGE_WRAPPER) {
        if (size_bytes != GN_IMAGE_SIZE_UNKNOWN) // in a file its pointers lead nowhere
            return CUDA_ERROR_INVALID_IMAGE;
        struct gn_image wrapper = *image;
        const void *fatbin = unwrap(&wrapper);
        r = fatbin ? gn_image_probe(fatbin, GN_IMAGE_SIZE_UNKNOWN, image) : -EINVAL;
    }
    if (!r && image->kind != GN_IMAGE_WRAPPER && image->kind != GN_IMAGE_NONE)
        return CUDA_SUCCESS;
    gn_log(GN_LOG_INFO, "not a CUDA image: %s (at byte %llu)",
           image->error.reason ? image->error.reason : "wrapped twice",
           (unsigned long long)image->error.offset_bytes);
    return CUDA_ERROR_INVALID_IMAGE;
}

CUresult gn_image_upload(struct gn_call *c, const void *given, size_t size_bytes, uint32_t *upload)
{
    static _Atomic uint32_t last;
    struct gn_image image = {0};
    CUresult r = given ? measure(given, size_bytes, &image) : CUDA_ERROR_INVALID_VALUE;
    if (r)
        return r;
    *upload = atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;
    uint64_t chunk = gn_shim.welcome.chunk_bytes;
    struct gn_pieces walk = {.shape = gn_shape_line(image.size_bytes),
                             .piece_bytes =
                                 chunk && chunk < GN_PAYLOAD_BYTES_MAX ? chunk : GN_PAYLOAD_BYTES_MAX};
    for (struct gn_piece p; !r && gn_pieces_next(&walk, &p);) {
        const uint8_t *data = (const uint8_t *)image.data + p.column_bytes;
        struct gn_args_image_part args = {image.size_bytes, p.column_bytes, *upload, data, p.width_bytes};
        r = gn_posted(c, GN_OP_image_part,
                      gn_session_post_payload(gn_shim.session, gn_context_id(c), GN_OP_image_part, &args,
                                              data, p.width_bytes));
    }
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
