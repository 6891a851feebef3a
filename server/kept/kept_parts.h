// SPDX-License-Identifier: Apache-2.0
// The inside of kept copies, shared by kept*.c and run_kept.c.
//
// Who writes what: the thread that runs commands writes everything but `fetching`; what fetch threads read (the list of copies, fills, broken,
// gone, the storage's identity) it writes with the lock. The lock is never held over a call of the driver: one that waits for the client would
// keep fetch threads from answering the client.
#ifndef GN_SERVER_KEPT_PARTS_H
#define GN_SERVER_KEPT_PARTS_H

#include <pthread.h>

#include "remoting/hello.h"
#include "server/kept/kept.h"
#include "server/run/run.h"

enum {
    KEPT_READS_MAX = 4,  // streams that may be reading a storage at once; a further one waits for one of them
    KEPT_BUCKETS = 4096,
    KEPT_RESIDENT_BUCKETS = 8192,
};

struct kept_use { // the last thing that one stream does with a storage
    uint64_t stream; // the client's name for it: that of a destroyed one does not come again
    CUevent event;   // made when it is first needed
    bool pending;    // it has been recorded, and not been seen passing
};

struct kept_storage {
    struct kept_storage *next; // of the retired
    uint64_t size_bytes, charged_bytes;
    CUcontext context;
    CUdevice device_number;
    CUdeviceptr device; // or 0
    void *host;         // or NULL
    bool pinned, lost;  // lost: the context is gone, with events, device memory and registrations
    struct kept_use write, reads[KEPT_READS_MAX];
    unsigned fetching;  // threads that are reading it, with the lock
};

struct gn_kept {
    struct gn_kept *next; // in its bucket
    uint64_t id, size_bytes;
    uint64_t context_id;
    CUcontext context;
    CUdevice device;
    struct kept_storage *storage;
    uint32_t fills;  // that have been dispatched, whatever became of them
    bool filled;     // at least one was not refused
    CUresult broken; // of a fill that failed; until one of the whole copy
    bool gone;       // closed or lost; freed when users is 0
    unsigned users;  // fetch threads
    uint64_t used_at;
};

struct kept_residents { // server/kept/resident.h; of the thread that runs commands
    struct gn_resident *buckets[KEPT_RESIDENT_BUCKETS];
    struct gn_resident *newest, *oldest;
    uint64_t clock; // of looking for one
    unsigned count;
};

struct gn_kepts {
    struct gn_worker *worker;
    pthread_mutex_t lock;
    pthread_cond_t changed; // fills, gone, stopped, fetching
    bool stopped; // nobody waits any more
    bool closing; // nor is the driver asked for anything: what is left goes with the process
    struct gn_kept *buckets[KEPT_BUCKETS];
    struct kept_storage *retired; // of no copy any more: still used by streams, or to be used again. Of the thread that runs commands
    struct kept_residents residents;
    unsigned count;
    uint64_t clock;          // of uses
    uint64_t reserved_bytes; // sizes of all copies
    uint64_t retired_host_bytes;
    uint64_t device_bytes, host_bytes;
    _Atomic uint64_t device_bytes_of[GN_DEVICES_MAX]; // charged
};

// kept_storage.c
// Storage for `k`: one that is retired and free of use, or new, on its device or in host memory. NULL: there is no room. `again`: fresh storage
// for a copy that has one, within what the budgets leave; else the host budget has been reserved.
struct kept_storage *kept_storage_new(struct gn_worker *w, const struct gn_kept *k, bool again);
struct kept_storage *kept_storage_on_host(struct gn_worker *w, const struct gn_kept *k);
struct kept_storage *kept_storage_on_device(struct gn_worker *w, const struct gn_kept *k); // within the part of the device
void kept_storage_retire(struct gn_worker *w, struct kept_storage *s);
// Freeing waits for all that the context has to do. Where that may wait for the client, which may wait for the next command, nothing is freed:
// what is retired stays so until later.
bool kept_may_free(const struct gn_worker *w);
void kept_storage_free(struct gn_worker *w, struct kept_storage *s); // no stream and no thread uses it, and it may be freed
uint64_t kept_reap(struct gn_worker *w);                              // frees what is retired and not used any more: the device bytes
bool kept_use_passed(struct gn_worker *w, struct kept_use *use);      // or it has never been
bool kept_storage_idle(struct gn_worker *w, struct kept_storage *s);
CUresult kept_use_record(struct gn_worker *w, struct kept_use *use, uint64_t id, CUstream stream);
bool kept_same_stream(const struct kept_use *use, uint64_t stream);
// Waits for what streams have still to do with it. False: that may wait for the client, which may wait for this very memory.
bool kept_storage_settle(struct gn_worker *w, struct kept_storage *s);
CUresult kept_note_read(struct gn_worker *w, struct kept_storage *s, uint64_t stream_id, CUstream stream); // the stream is the next to read it
// What became of an event behind a copy that is under way: the storage must not go before the copy is through, so without it this waits.
CUresult kept_noted(struct gn_worker *w, CUresult noted, CUstream stream);
void kept_count(struct gn_worker *w);                                 // tells the status page

// kept.c
struct gn_kept *kept_add(struct gn_worker *w, uint64_t id, uint64_t size_bytes); // with its storage; NULL: refused
void kept_swap(struct gn_kepts *ks, struct gn_kept *k, struct kept_storage *s);    // fetch threads find this one from now on
void kept_filled(struct gn_kepts *ks, struct gn_kept *k, bool whole, CUresult r);  // one more fill has been dispatched

#endif
