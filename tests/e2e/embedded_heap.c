// SPDX-License-Identifier: Apache-2.0
// What libgenie.a takes: linked with a copy of the library in which malloc and its like, mmap and pthread_create are renamed to these. So
// the library is counted alone, without the program and without libc's own allocations.
//
// At exit one line goes to the file EMBEDDED_REPORT, if there is one: heap_peak, heap_left and mapped (ever, writable, for the library's own
// use or the program's pinned memory) in bytes, and the threads that were started.
#include "tests/e2e/embedded_heap.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

void *counted_malloc(size_t size);
void *counted_calloc(size_t count, size_t size);
void *counted_realloc(void *old, size_t size);
char *counted_strdup(const char *text);
void counted_free(void *p);
void *counted_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset);
int counted_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg);

static _Atomic int64_t heap, heap_peak, mapped;
static _Atomic unsigned threads;

int64_t embedded_heap_peak(void) { return heap_peak; }
unsigned embedded_threads(void) { return threads; }

static void count(int64_t change)
{
    int64_t now = atomic_fetch_add(&heap, change) + change, peak = atomic_load(&heap_peak);
    while (now > peak && !atomic_compare_exchange_weak(&heap_peak, &peak, now))
        ;
}
static int64_t usable(void *p) { return p ? (int64_t)malloc_usable_size(p) : 0; }

static void *allocated(void *p)
{
    count(usable(p));
    return p;
}

void *counted_malloc(size_t size) { return allocated(malloc(size)); }
void *counted_calloc(size_t number, size_t size) { return allocated(calloc(number, size)); }
char *counted_strdup(const char *text) { return allocated(strdup(text)); }

void *counted_realloc(void *old, size_t size)
{
    int64_t before = usable(old);
    void *p = realloc(old, size);
    count(p || !size ? usable(p) - before : 0);
    return p;
}

void counted_free(void *p)
{
    count(-usable(p));
    free(p);
}

void *counted_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset)
{
    void *p = mmap(at, size, prot, flags, fd, offset);
    if (p != MAP_FAILED && prot & PROT_WRITE)
        atomic_fetch_add(&mapped, (int64_t)size);
    return p;
}

int counted_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg)
{
    atomic_fetch_add(&threads, 1);
    return pthread_create(thread, attr, run, arg);
}

__attribute__((destructor)) static void report(void)
{
    const char *path = getenv("EMBEDDED_REPORT");
    FILE *f = path ? fopen(path, "w") : NULL;
    if (!f)
        return;
    fprintf(f, "heap_peak %lld\nheap_left %lld\nmapped %lld\nthreads_started %u\n", (long long)heap_peak, (long long)heap,
            (long long)mapped, threads);
    fclose(f);
}
