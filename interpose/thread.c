// SPDX-License-Identifier: Apache-2.0
// What the shim keeps for each thread. Only a pointer lies in thread-local storage: a library that may be
// loaded late has little room there.
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "interpose/context/context.h"

__thread struct gn_thread *gn_thread_here;

struct gn_thread *_Atomic gn_threads; // only ever grows, so walking it needs no lock

static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static int key_error;

static void leave(void *thread)
{
    struct gn_thread *t = thread;
    gn_thread_here = NULL; // a later destructor of this thread that calls CUDA starts anew
    // Release: pairs with the acquire of the thread that takes it over.
    atomic_store_explicit(&t->used, false, memory_order_release);
}

static void make_key(void) { key_error = pthread_key_create(&key, leave); }

static struct gn_thread *take_over(void)
{
    for (struct gn_thread *t = atomic_load_explicit(&gn_threads, memory_order_acquire); t; t = t->next) {
        bool used = false;
        if (!atomic_load_explicit(&t->used, memory_order_relaxed) &&
            atomic_compare_exchange_strong_explicit(&t->used, &used, true, memory_order_acquire,
                                                    memory_order_relaxed)) {
            t->depth = t->nesting = 0;
            t->top = NULL;
            t->capture_mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
            t->default_stream = t->default_stream_context = 0;
            return t;
        }
    }
    return NULL;
}

static struct gn_thread *make(void)
{
    struct gn_thread *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    atomic_store_explicit(&t->used, true, memory_order_relaxed);
    t->next = atomic_load_explicit(&gn_threads, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&gn_threads, &t->next, t, memory_order_release,
                                                  memory_order_relaxed)) {
    }
    return t;
}

struct gn_thread *gn_thread_begin(void)
{
    pthread_once(&key_once, make_key);
    struct gn_thread *t = take_over();
    if (!t)
        t = make();
    if (!t)
        return NULL;
    t->number = gettid();
    if (!key_error)
        pthread_setspecific(key, t);
    gn_thread_here = t;
    return t;
}
