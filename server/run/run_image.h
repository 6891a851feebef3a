// SPDX-License-Identifier: Apache-2.0
// Images on their way from the client: collected piece by piece, checked, handed to the driver.
#ifndef GN_SERVER_RUN_IMAGE_H
#define GN_SERVER_RUN_IMAGE_H

#include "server/run/run.h"

struct gn_taken {
    const void *image;   // for a driver: what came, or a wrapper around the fatbins of a bundle
    const void *data;    // what came
    uint64_t size_bytes; // of it
};

// The image of an upload: whole, and safe to hand to a driver that believes its headers. It stays until
// gn_image_drop.
CUresult gn_image_take(struct gn_worker *w, uint32_t upload, struct gn_taken *taken);
void gn_image_drop(struct gn_worker *w, uint32_t upload);

#endif
