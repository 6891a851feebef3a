// SPDX-License-Identifier: Apache-2.0
// Fuzz target: the header of a safetensors file. Input: 8 bytes, the size of the data part; then the header
// text.
#include "bench/apps/safetensors.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t data_bytes;
    struct st_index index;
    struct st_error error;
    if (size < sizeof data_bytes)
        return 0;
    memcpy(&data_bytes, data, sizeof data_bytes);
    int status = st_parse((const char *)data + 8, size - 8, data_bytes, &index, &error);
    if (status) {
        if (index.count || index.tensors || index.names || !error.text[0] || error.offset_bytes > size)
            abort();
        return 0;
    }
    // What was accepted keeps its promises: names are found, and ranges fill the data part.
    uint64_t bytes = 0;
    for (size_t i = 0; i < index.count; i++) {
        const struct st_tensor *tensor = &index.tensors[i];
        if (st_index_find(&index, tensor->name) != tensor || tensor->begin_bytes > tensor->end_bytes ||
            tensor->end_bytes > data_bytes)
            abort();
        bytes += tensor->end_bytes - tensor->begin_bytes;
    }
    if (bytes != data_bytes)
        abort();
    st_index_free(&index);
    return 0;
}
