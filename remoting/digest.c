// SPDX-License-Identifier: Apache-2.0
// XXH3-128, compiled in: a program that links the client needs no library more for it.
#include "remoting/digest.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

struct gn_content gn_content_of(const void *data, size_t size_bytes)
{
    XXH128_hash_t hash = XXH3_128bits(data, size_bytes);
    return (struct gn_content){hash.low64, hash.high64, size_bytes};
}
