// SPDX-License-Identifier: Apache-2.0
// Content on the device: what a session uploads by its digest again and again is copied there from device memory, not from the host's.
//
// A chunk comes here when it is written for the second time; until then it may be one that is never seen again. It holds nothing that the
// content store does not hold too, so it goes at once when anybody needs the memory: the program, kept copies, other content (what was not
// used for longest first). It shares their part of the device (kept.device). Of the thread that runs commands.
#ifndef GN_SERVER_RESIDENT_H
#define GN_SERVER_RESIDENT_H

#include "core/content.h"
#include "server/worker/worker.h"

struct gn_kepts;
struct gn_resident;

// A destination: so many bytes of the content at `address`, in the stream with that name.
struct gn_resident_use {
    const struct gn_content *content;
    uint64_t address, stream_id;
    CUstream stream;
};

// Content that is on the device. NULL: it is not; or it is another context's.
struct gn_resident *gn_resident_find(struct gn_worker *w, const struct gn_resident_use *use);
// Whether the stream can have it without waiting for another one, which may wait for the client, and that for this upload.
bool gn_resident_ready(struct gn_worker *w, const struct gn_resident *r, const struct gn_resident_use *use);
// Copies it to the destination, in stream order. It is ready.
CUresult gn_resident_write(struct gn_worker *w, struct gn_resident *r, const struct gn_resident_use *use);
// Takes it in, from `data`, which stays as it is until the stream has come to here. NULL: there is no room, or the stream is another context's.
struct gn_resident *gn_resident_take(struct gn_worker *w, const struct gn_resident_use *use, const void *data);

// Gives memory of the device back, until `size_bytes` are free or nothing is left: how much. `now`: waits for streams that use it, where these
// wait for no one.
uint64_t gn_resident_give(struct gn_worker *w, CUdevice device, uint64_t size_bytes, bool now);
// All of a context (NULL: of all contexts): nobody finds it any more, and its memory is as good as retired.
void gn_resident_lose(struct gn_worker *w, CUcontext context);

#endif
