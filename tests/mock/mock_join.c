// SPDX-License-Identifier: Apache-2.0
// Joins PTX texts: the first one whole, of the others what follows their header. A name that one declares .extern and another defines then
// meets its definition in the same text. Names that are private to a unit must differ, which nvcc sees to by giving them a unit's hash.
#include "tests/mock/mock_join.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *mock_ptx_skip_blank(const char *at)
{
    for (;;) {
        at += strspn(at, " \t\r\n\f\v");
        if (at[0] == '/' && at[1] == '/') {
            at += strcspn(at, "\n");
        } else if (at[0] == '/' && at[1] == '*') {
            const char *close = strstr(at + 2, "*/");
            if (!close)
                return at;
            at = close + 2;
        } else {
            return at;
        }
    }
}

// Behind .version, .target and .address_size, each of which has a line.
static const char *skip_header(const char *text)
{
    static const char *const directives[] = {".version", ".target", ".address_size"};
    for (size_t i = 0; i < sizeof directives / sizeof *directives; i++) {
        const char *at = mock_ptx_skip_blank(text);
        if (!strncmp(at, directives[i], strlen(directives[i])))
            text = at + strcspn(at, "\n");
    }
    return text;
}

static int append(struct mock_image *out, const struct mock_image *part)
{
    const char *text = out->data ? skip_header((const char *)part->data) : (const char *)part->data;
    size_t bytes = strlen(text);
    if (bytes > MOCK_IMAGE_UNPACKED_MAX - out->size_bytes)
        return -E2BIG;
    uint8_t *data = realloc(out->data, out->size_bytes + bytes + 2);
    if (!data)
        return -ENOMEM;
    memcpy(data + out->size_bytes, text, bytes);
    out->data = data;
    out->size_bytes += bytes;
    out->data[out->size_bytes++] = '\n';
    out->data[out->size_bytes] = '\0';
    out->sm = part->sm > out->sm ? part->sm : out->sm;
    return 0;
}

int mock_ptx_join(const void *image, size_t avail_bytes, uint32_t device_sm, struct mock_image *out)
{
    struct gn_image probe;
    uint32_t at = 0;
    unsigned parts = 0;
    int r = gn_image_probe(image, avail_bytes, &probe);
    *out = (struct mock_image){.kind = GN_IMAGE_PTX};
    if (r || probe.kind != GN_IMAGE_WRAPPER || probe.wrapper_version != 2)
        return -ENOENT;
    for (const void *fatbin; !r && (fatbin = gn_image_wrapped(&probe, &at)) != NULL;) {
        struct mock_image part;
        r = mock_image_pick(fatbin, GN_IMAGE_SIZE_UNKNOWN, device_sm, MOCK_IMAGE_PTX_FIRST, MOCK_IMAGE_UNPACKED_MAX, &part);
        if (r == -ENOENT) { // the wrapper's own fatbin is empty when nothing was linked beforehand
            r = 0;
            continue;
        }
        if (r) {
            out->error = part.error;
            break;
        }
        // A part without PTX is a library that comes with nvcc (libcudadevrt); code that calls it will be told that a function is missing.
        if (part.kind == GN_IMAGE_PTX) {
            r = append(out, &part);
            parts++;
        }
        mock_image_free(&part);
    }
    if (!r && parts < 2)
        r = -ENOENT;
    if (r)
        mock_image_free(out);
    return r;
}
