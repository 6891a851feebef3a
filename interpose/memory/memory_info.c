// SPDX-License-Identifier: Apache-2.0
// How much memory is free: from what the server said last, less what this process has placed since.
//
// The server says what would be free if nothing lay in the range, so placing and freeing there need no new word. Whatever else this process does
// to the device's memory makes the last word void; what other sessions do is seen after AGE_NS at the latest.
#include <pthread.h>
#include <time.h>

#include "api_calls.h"
#include "api_wire.h"
#include "interpose/memory/memory.h"
#include "interpose/memory/memory_range.h"
#include "interpose/options.h"

enum { AGE_NS = 5000000 };

struct word {
    uint64_t epoch, at_ns; // epoch 0: none
    uint64_t free_bytes, total_bytes;
};

static _Atomic uint64_t epoch = 1; // of everything that changes memory outside the range
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; // guards `words`; nothing is called under it
static struct word words[GN_DEVICES_MAX];

void gn_memory_info_forget(void) { atomic_fetch_add_explicit(&epoch, 1, memory_order_relaxed); }

void gn_memory_info_forked(void) { pthread_mutex_init(&lock, NULL); }

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static bool remembered(CUdevice device, struct word *word)
{
    pthread_mutex_lock(&lock);
    *word = words[device];
    pthread_mutex_unlock(&lock);
    return word->epoch == atomic_load_explicit(&epoch, memory_order_relaxed) && now_ns() - word->at_ns < AGE_NS;
}

CUresult gn_cuMemGetInfo_v2(struct gn_call *c, size_t *free_bytes, size_t *total_bytes)
{
    CUdevice device = c->context->device;
    struct word word;
    if (!free_bytes || !total_bytes)
        return CUDA_ERROR_INVALID_VALUE;
    if (!gn_options_on(GN_OPT_ALLOC) || !remembered(device, &word)) {
        struct gn_out_memory_info o = {0};
        // Before the question: what changes while it is under way may be in the answer or not.
        word.epoch = atomic_load_explicit(&epoch, memory_order_relaxed);
        CUresult r = gn_ask(c, GN_OP_memory_info, &(struct gn_args_memory_info){0}, &o);
        if (r)
            return r;
        word.free_bytes = o.free_bytes;
        word.total_bytes = o.total_bytes;
        word.at_ns = now_ns();
        pthread_mutex_lock(&lock);
        words[device] = word;
        pthread_mutex_unlock(&lock);
    }
    uint64_t used = gn_range_used(device);
    *free_bytes = word.free_bytes > used ? word.free_bytes - used : 0;
    *total_bytes = word.total_bytes;
    return CUDA_SUCCESS;
}
