// SPDX-License-Identifier: Apache-2.0
// Fuzzes every generated decoder; the first two bytes choose the command and the side. Beyond not crashing:
// what decodes encodes to the same bytes, padding excepted (it is written as zeros), size() says how many,
// and that decodes again to what encodes the same.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "api_wire.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned ops[GN_OPS], op_count;

static void require(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    for (unsigned op = 0; op < GN_OPS; op++)
        if (gn_codecs[op].encode)
            ops[op_count++] = op;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    unsigned choice = data[0] | (unsigned)data[1] << 8, results = choice & 1;
    const struct gn_codec *k = &gn_codecs[ops[(choice >> 1) % op_count]];
    bool (*decode)(struct gn_cursor *, void *) = results ? k->decode_out : k->decode;
    void (*encode)(struct gn_cursor *, const void *) = results ? k->encode_out : k->encode;
    uint8_t args[GN_ARGS_BYTES_MAX], again[GN_ARGS_BYTES_MAX];
    data += 2;
    size -= 2;
    struct gn_cursor c = gn_cursor_over((void *)(uintptr_t)data, size);
    if (!decode(&c, args))
        return 0;
    require((results ? k->size_out : k->size)(args) == size);
    uint8_t *first = malloc(size + 1), *second = malloc(size + 1); // never 0
    if (!first || !second)
        abort();
    c = gn_cursor_over(first, size);
    encode(&c, args);
    require(!c.bad && c.at == c.end);
    for (size_t i = 0; i < size; i++)
        require(first[i] == data[i] || first[i] == 0);
    c = gn_cursor_over(first, size);
    require(decode(&c, again));
    c = gn_cursor_over(second, size);
    encode(&c, again);
    require(!c.bad && !memcmp(first, second, size));
    free(first);
    free(second);
    return 0;
}
