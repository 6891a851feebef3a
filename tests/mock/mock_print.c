// SPDX-License-Identifier: Apache-2.0
// The printf buffers of contexts.
#include "tests/mock/mock_print.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/mock/mock_state.h"

struct record {
    struct record *next;
    size_t size_bytes;
    char text[];
};

struct mock_print {
    pthread_mutex_t lock;
    struct record *first, **end;
    size_t size_bytes;
    _Atomic bool has_text; // written with the lock, read without: whoever waits has seen the kernel end that printed
};

static pthread_mutex_t writing = PTHREAD_MUTEX_INITIALIZER; // keeps what was taken in order on its way to stdout

struct mock_print *mock_print_new(void)
{
    struct mock_print *p = calloc(1, sizeof *p);
    if (p) {
        pthread_mutex_init(&p->lock, NULL);
        p->end = &p->first;
    }
    return p;
}

static void free_records(struct record *r)
{
    while (r) {
        struct record *next = r->next;
        free(r);
        r = next;
    }
}

void mock_print_free(struct mock_print *p)
{
    if (!p)
        return;
    free_records(p->first);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

void mock_print_add(struct mock_print *p, const char *text, size_t size_bytes, size_t limit_bytes)
{
    struct record *r = malloc(sizeof *r + size_bytes);
    if (!r)
        return;
    r->next = NULL;
    r->size_bytes = size_bytes;
    memcpy(r->text, text, size_bytes);
    pthread_mutex_lock(&p->lock);
    *p->end = r;
    p->end = &r->next;
    p->size_bytes += size_bytes;
    atomic_store_explicit(&p->has_text, true, memory_order_relaxed);
    while (p->size_bytes > limit_bytes && p->first != r) {
        struct record *oldest = p->first;
        p->first = oldest->next;
        p->size_bytes -= oldest->size_bytes;
        free(oldest);
    }
    pthread_mutex_unlock(&p->lock);
}

void mock_print_flush(struct mock_context *context)
{
    struct mock_print *p = context->print;
    if (!atomic_load_explicit(&p->has_text, memory_order_relaxed))
        return;
    mock_context_hold(context);
    mock_unlock(); // stdout may be a pipe that nobody reads
    pthread_mutex_lock(&writing);
    pthread_mutex_lock(&p->lock);
    struct record *records = p->first;
    p->first = NULL;
    p->end = &p->first;
    p->size_bytes = 0;
    atomic_store_explicit(&p->has_text, false, memory_order_relaxed);
    pthread_mutex_unlock(&p->lock);
    for (struct record *r = records; r; r = r->next)
        fwrite(r->text, 1, r->size_bytes, stdout);
    fflush(stdout);
    pthread_mutex_unlock(&writing);
    free_records(records);
    mock_lock();
    mock_context_drop(context);
}
