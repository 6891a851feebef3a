// SPDX-License-Identifier: Apache-2.0
// A session's part in the content store (server/store/store.h): what its client has been promised, and what it uploads on the way into the store.
#ifndef GN_SERVER_CONTENTS_H
#define GN_SERVER_CONTENTS_H

#include "server/store/store.h"
#include "server/store/store_disk.h"
#include "server/worker/worker.h"

struct gn_contents_start { // by the front door
    bool on;                  // the worker has been given the store's descriptors
    uint64_t promised_bytes;  // what one session's promises may hold
    char tenant[GN_TENANT_BYTES]; // "uid-1000": lower case, digits and '-', '.', ':', '_' only
    char directory[GN_DISK_PATH_BYTES]; // where the store is kept on disk; empty: it is not
};

struct gn_contents;

// `fds` become the session's. 0 or -errno.
int gn_contents_open(struct gn_contents **contents, struct gn_worker *w, const struct gn_contents_start *start, const struct gn_store_fds *fds);
// Nothing more is kept; returns when what has been is filed, or after so long.
void gn_contents_finish(struct gn_contents *c, int wait_ms);
void gn_contents_close(struct gn_contents *c); // after that, when nothing uses it any more

// --- by the thread that runs commands; `c` may be NULL: there is no store

// Opens the store when the first offer comes: most sessions never need it. False: there is none. Before this nothing is kept or promised.
bool gn_contents_reach(struct gn_contents *c);

// Whether the content is in the store; then it stays there, and right, until the session ends or forgets. *full: it may be, but no more can be
// promised.
bool gn_contents_promise(struct gn_contents *c, const struct gn_content *content, bool *full);
// Promises what followed this content when it was stored, as far as that goes: `more` has room for GN_OFFER_MORE_MAX. Their number.
uint32_t gn_contents_follow(struct gn_contents *c, const struct gn_content *content, struct gn_content *more);
void gn_contents_forget(struct gn_contents *c);
void gn_contents_offered(struct gn_contents *c, uint64_t asked, uint64_t known); // for the statistics
// Copies out promised content. -ENOENT: it has not been promised.
int gn_contents_read(struct gn_contents *c, const struct gn_content *content, void *to);
// Promised content is about to be written to a device: how often it has been before, or -ENOENT.
int gn_contents_written(struct gn_contents *c, const struct gn_content *content);
// The payload in this slot of the staging goes into the store, in a while: it stays until then. `hint`: what the client says that it is.
void gn_contents_keep(struct gn_contents *c, int slot, uint64_t size_bytes, const struct gn_content *hint);

#endif
