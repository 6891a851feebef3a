// SPDX-License-Identifier: Apache-2.0
// Parameter layouts.
#include "interpose/module/layout.h"

#include <errno.h>
#include <string.h>

#include "core/cursor.h"

enum { PARAM_BYTES = 8 }; // of one parameter in the blob

int gn_layout_count(const void *blob, size_t blob_bytes)
{
    struct gn_cursor in = gn_cursor_over((void *)(uintptr_t)blob, blob_bytes);
    uint32_t count = gn_get_u32(&in);
    if (in.bad || count > GN_PARAMS_BYTES_MAX || gn_cursor_left(&in) != (size_t)count * PARAM_BYTES)
        return -EBADMSG;
    return (int)count;
}

int gn_layout_decode(struct gn_layout *layout, struct gn_param *params, const void *blob, size_t blob_bytes)
{
    int count = gn_layout_count(blob, blob_bytes);
    if (count < 0)
        return count;
    struct gn_cursor in = gn_cursor_over((void *)(uintptr_t)blob, blob_bytes);
    gn_get_u32(&in);
    uint64_t end = 0, used = 0;
    for (int i = 0; i < count; i++) {
        params[i].offset_bytes = gn_get_u32(&in);
        params[i].size_bytes = gn_get_u32(&in);
        if (params[i].offset_bytes < end)
            return -EBADMSG;
        end = (uint64_t)params[i].offset_bytes + params[i].size_bytes;
        if (end > GN_PARAMS_BYTES_MAX)
            return -EBADMSG;
        used += params[i].size_bytes;
    }
    *layout = (struct gn_layout){
        .count = (uint32_t)count, .size_bytes = (uint32_t)end, .gaps = used != end, .params = params};
    return 0;
}

int gn_layout_pack(const struct gn_layout *layout, void *const *values, uint8_t *buffer)
{
    if (layout->gaps)
        memset(buffer, 0, layout->size_bytes);
    for (uint32_t i = 0; i < layout->count; i++) {
        const struct gn_param *p = &layout->params[i];
        if (!values[i])
            return -EINVAL;
        // Pointers and ints are nearly all there is: a fixed size becomes one move.
        if (p->size_bytes == 8)
            memcpy(buffer + p->offset_bytes, values[i], 8);
        else if (p->size_bytes == 4)
            memcpy(buffer + p->offset_bytes, values[i], 4);
        else
            memcpy(buffer + p->offset_bytes, values[i], p->size_bytes);
    }
    return 0;
}
