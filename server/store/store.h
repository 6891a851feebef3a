// SPDX-License-Identifier: Apache-2.0
// The content store: what sessions have uploaded, by digest, in memory that all workers of a server share.
//
// The front door makes two sealed pieces of memory: an index, and a sparse one for the bytes, slot i at offset i times 1 MiB. Who has content
// promised to its client, or reads or writes a slot, holds it: a record lock on one byte of the index, which the kernel drops when a worker
// dies, however it does. What is held is never evicted. Everything else is evicted in the order of last use, by the pages that it takes.
//
// Content belongs to a tenant, and nobody is ever told about another's. Calls are safe from several threads of a process.
#ifndef GN_SERVER_STORE_H
#define GN_SERVER_STORE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/content.h"

enum { GN_TENANT_BYTES = 96 }; // of a tenant's name

struct gn_store; // this process's view

struct gn_tenant {
    uint64_t low, high; // of its name: "uid-1000"
};

struct gn_store_fds {
    int index, data; // -1: there is no store
};

struct gn_store_counts { // of the whole server, since it was started; of `pages`, `chunks` and what is on disk: now
    _Atomic uint64_t pages, chunks, disk_files, disk_bytes;
    _Atomic uint64_t asked, known;            // contents that were offered, and of these the ones that were there
    _Atomic uint64_t stored, evicted, spoilt; // spoilt: did not have the digest that it was filed under
    _Atomic uint64_t refused;                 // found no room: everything else was held
    _Atomic uint64_t disk_loaded, disk_dropped, disk_failures; // files read; files that were not what they should be; what the disk refused
};

// The front door's: makes an empty store for so many bytes. 0 or -errno.
int gn_store_make(struct gn_store_fds *fds, uint64_t memory_bytes);
// Takes the descriptors, which must stay open for no other purpose: to close any other one of the same file would let go of what is held.
// Frees what dead processes have left half written. 0 or -errno.
int gn_store_open(struct gn_store **store, const struct gn_store_fds *fds);
void gn_store_close(struct gn_store *store);
const struct gn_store_counts *gn_store_counts(const struct gn_store *store);
struct gn_store_counts *gn_store_counting(struct gn_store *store);

// The slot that has it, held; or -ENOENT. What is in it has to be looked at: gn_store_check.
int gn_store_find(struct gn_store *store, struct gn_tenant tenant, const struct gn_content *content);
// A slot to be filled, held. -EEXIST: it is there already, and counts as just used; -ENOSPC: everything is held.
int gn_store_begin(struct gn_store *store, struct gn_tenant tenant, const struct gn_content *content);
int gn_store_write(struct gn_store *store, int slot, const void *data, uint64_t size_bytes); // 0 or -errno
// Ends filling. `whole`: others find it from now on; the slot that has it, held (another's, where that was faster), or -ENOENT. Else it is free.
int gn_store_finish(struct gn_store *store, int slot, bool whole);
// Copies out of a slot that is held. 0 or -errno.
int gn_store_read(struct gn_store *store, int slot, void *to, uint64_t size_bytes);
// Reads the whole slot into `room` and compares its digest. False: it is not what it should be, and is gone from the store; it is held still.
bool gn_store_check(struct gn_store *store, int slot, const struct gn_content *content, void *room);
void gn_store_let_go(struct gn_store *store, int slot);

// What was stored after it when it was last stored: a program that starts again uploads in the same order.
void gn_store_follows(struct gn_store *store, struct gn_tenant tenant, const struct gn_content *content, const struct gn_content *next);
bool gn_store_next(struct gn_store *store, struct gn_tenant tenant, const struct gn_content *content, struct gn_content *next);

// --- for what is on disk too

// The tenant's name, for whoever writes its content. 0 or -ENOSPC: there are too many, and nothing of this one's is written.
int gn_store_register(struct gn_store *store, struct gn_tenant tenant, const char *name);
const char *gn_store_tenant_name(const struct gn_store *store, struct gn_tenant tenant); // NULL: not registered
// The next slot, held, from *from on, that has not been saved and whose tenant is registered; or -ENOENT.
int gn_store_unsaved(struct gn_store *store, uint32_t *from, struct gn_content *content, const char **tenant);
void gn_store_saved(struct gn_store *store, int slot); // one that is held
uint32_t gn_store_filed(const struct gn_store *store); // counts contents that came in; another value: perhaps there is something to save

#endif
