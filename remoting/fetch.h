// SPDX-License-Identifier: Apache-2.0
// The fetch channel: a connection of its own over which a client gets back what the server keeps of its host memory (wire ops kept_*).
//
// It is opened like a lane, with the session's key and a magic of its own, whatever the session's own link is, and the server has a thread for it. So
// it goes on whatever the first connection, its locks and its threads are doing: the thread that asks may be serving a page fault of one that
// holds any of them. gn_fetch, gn_fetch_ask and gn_fetch_take make system calls on the socket and nothing else: no allocation, no lock, no
// stdio, and errno is left alone.
#ifndef GN_REMOTING_FETCH_H
#define GN_REMOTING_FETCH_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "remoting/lane.h"

enum {
    GN_FETCH_BYTES_MAX = 1 << 20, // of one request: what the server has a buffer for
    GN_FETCH_AHEAD_MAX = 2,       // requests under way: while one is on its way the next is being copied
};

struct gn_fetch_request {
    uint64_t kept, offset_bytes;
    uint32_t size_bytes; // 1 to GN_FETCH_BYTES_MAX
    uint32_t number;     // of the channel's requests, from 0
    uint32_t fills;      // kept_fill commands of this copy that have been posted so far, modulo 2^32: the answer waits for them
    uint32_t zero;
};
static_assert(sizeof(struct gn_fetch_request) == 32, "request on the fetch channel");

struct gn_fetch_answer { // in the order of the requests
    uint32_t number;
    int32_t code;        // a CUresult; not 0: no bytes
    uint32_t size_bytes; // those asked for, or 0; they follow, and zeros up to 8
    uint32_t zero;
};
static_assert(sizeof(struct gn_fetch_answer) == 16, "answer on the fetch channel");

// At the server: whether it may be the channel's request `number`. Whether there is such a copy is another question.
bool gn_fetch_request_right(const struct gn_fetch_request *request, uint32_t number);

// --- the client's side: of one thread at a time, but for gn_fetch_shut
struct gn_fetch {
    _Atomic int fd;     // -1: never opened; else the same number up to gn_fetch_close, whatever connection it stands for: who shuts it hits no other
    _Atomic bool over;  // shut: it is not opened again
    bool lost;
    uint32_t asked, taken;              // requests sent, and answers received, since it was opened last
    uint32_t sizes[GN_FETCH_AHEAD_MAX]; // of those that are under way
    int timeout_ms;     // for opening
    uint8_t hello[GN_LANE_HELLO_BYTES];
    struct sockaddr_storage to; // where the server was found: opening it again asks no resolver
    socklen_t to_bytes;
};

// Connects to the session's server and shows its key (struct gn_welcome). 0 or -errno: -ECONNREFUSED when the server does not take it.
int gn_fetch_open(struct gn_fetch *fetch, const char *address, int timeout_ms, uint32_t session, const uint8_t *key);

// Waits until `bytes` bytes (any number; more than GN_FETCH_BYTES_MAX are asked for in pieces, two under way) of the kept copy, from the
// offset on, lie at `to`. They are the copy's content after its `fills`-th fill, and of no earlier time; a fill that is posted while this waits may
// show in part, so whoever posts one meanwhile fetches again. No request of gn_fetch_ask may be under way.
// 0; a CUresult (> 0): the server has no such bytes, because a fill has failed, the context has been lost, there is no such copy; -errno: the
// channel has been lost, was opened once more, and was lost again. What lies at `to` is undefined then.
int gn_fetch(struct gn_fetch *fetch, uint64_t kept, uint32_t fills, uint64_t offset_bytes, void *to, size_t bytes);

// The two halves, for reading ahead: at most GN_FETCH_AHEAD_MAX requests of up to GN_FETCH_BYTES_MAX, answered in their order. Both return as
// gn_fetch does, but a lost channel stays lost: the next gn_fetch opens it again. Answers with a code leave the channel as it is.
int gn_fetch_ask(struct gn_fetch *fetch, uint64_t kept, uint32_t fills, uint64_t offset_bytes, size_t bytes);
int gn_fetch_take(struct gn_fetch *fetch, void *to);
static inline unsigned gn_fetch_under_way(const struct gn_fetch *fetch) { return fetch->asked - fetch->taken; }

void gn_fetch_shut(struct gn_fetch *fetch);  // from any thread: who waits returns -EPIPE, and so does every later call
void gn_fetch_close(struct gn_fetch *fetch); // nobody may be waiting; in a forked child too

#endif
