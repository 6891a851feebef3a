// SPDX-License-Identifier: Apache-2.0
// PTX out of a fatbin. nvcc packs it with zstd, older ones with LZ4; the program need not have zstd's library for anything else, so it is
// taken where it is found.
#include <dlfcn.h>
#include <lz4.h>
#include <pthread.h>
#include <stdlib.h>

#include "interpose/writes/writes_parts.h"

static size_t (*decompress)(void *to, size_t room_bytes, const void *from, size_t from_bytes); // ZSTD_decompress
static unsigned (*is_error)(size_t code);                                                      // ZSTD_isError

static void find_zstd(void)
{
    void *library = dlopen("libzstd.so.1", RTLD_LAZY | RTLD_LOCAL); // for good: it may be the program's own
    if (!library)
        return;
    *(void **)&decompress = dlsym(library, "ZSTD_decompress");
    *(void **)&is_error = dlsym(library, "ZSTD_isError");
}

static bool unpack_zstd(const struct gn_fatbin_entry *e, char *to, uint64_t *size_bytes)
{
    size_t got = decompress(to, e->uncompressed_bytes, e->payload, e->compressed_bytes);
    *size_bytes = got;
    return !is_error(got);
}

static bool unpack_lz4(const struct gn_fatbin_entry *e, char *to, uint64_t *size_bytes)
{
    int got = LZ4_decompress_safe((const char *)e->payload, to, (int)e->compressed_bytes, (int)e->uncompressed_bytes);
    *size_bytes = (uint64_t)got;
    return got >= 0;
}

const char *gn_writes_unpack(const struct gn_fatbin_entry *e, struct gn_writes_text *text)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (!(e->flags & (GN_FATBIN_LZ4 | GN_FATBIN_ZSTD))) {
        *text = (struct gn_writes_text){.data = (const char *)e->payload, .size_bytes = e->payload_bytes};
        return NULL;
    }
    if (e->uncompressed_bytes > GN_WRITES_TEXT_BYTES_MAX || e->compressed_bytes > GN_WRITES_TEXT_BYTES_MAX)
        return "its PTX is too long";
    bool zstd = e->flags & GN_FATBIN_ZSTD;
    if (zstd)
        pthread_once(&once, find_zstd);
    if (zstd && !(decompress && is_error))
        return "its PTX is packed with zstd, and there is no libzstd.so.1";
    char *to = malloc(e->uncompressed_bytes);
    uint64_t size_bytes;
    if (!to || !(zstd ? unpack_zstd : unpack_lz4)(e, to, &size_bytes)) {
        free(to);
        return "its PTX cannot be unpacked";
    }
    *text = (struct gn_writes_text){.data = to, .size_bytes = size_bytes, .made = to};
    return NULL;
}
