// SPDX-License-Identifier: Apache-2.0
// What the hand-written commands keep between them, for their own files only.
#ifndef GN_SERVER_RUN_STATE_H
#define GN_SERVER_RUN_STATE_H

#include "server/run/run.h"

enum { SCRATCH_BYTES_MIN = 4096 };

struct gn_run_state {
    void *scratch; // results until they are encoded
    size_t scratch_bytes;
    uint64_t lost_scope; // id of the context that was the scope when it went away
    struct gn_layouts *layouts;
    size_t layout_bytes; // of all layouts
    char name[GN_NAME_BYTES_MAX + 1];
};

struct gn_run_state *gn_run_state(struct gn_worker *w); // NULL: no memory
void gn_memory_close(struct gn_worker *w);
void gn_images_close(struct gn_worker *w);

#endif
