// SPDX-License-Identifier: Apache-2.0
// Fetch channels at the worker: connections that the front door brings, each served by a thread with a buffer of its own, which sends the client
// bytes that are kept (server/kept/kept.h). It shares nothing with the threads that read and run commands but the copies themselves.
//
// A channel that breaks ends alone: the session goes on, and the client may open another, which takes the place of the one before.
#ifndef GN_SERVER_FETCH_H
#define GN_SERVER_FETCH_H

#include "server/worker/worker.h"

enum { GN_FETCH_THREADS_MAX = 4 }; // at once: one serves, those before it may still have to notice their end

void gn_fetches_join(struct gn_worker *w, int fd); // the descriptor is the channel's

void gn_fetches_wait(void); // until every channel that has been closed is no more; for tests: a worker ends with its process

#endif
