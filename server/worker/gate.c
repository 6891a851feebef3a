// SPDX-License-Identifier: Apache-2.0
// Gates on words of pinned memory, a page of them for each context. A gate's values only grow, whatever page it is used in: a stream waits until
// the word has reached the passage's value, so a gate can be used again as soon as it was passed.
#include "server/worker/gate.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "server/log.h"
#include "server/run/run.h"

enum {
    PAGE_BYTES = GN_GATES * sizeof(uint32_t),
    PAGES_MAX = 64, // contexts with gates at a time; streams of further ones wait in host functions
};

struct page {
    CUcontext context; // NULL: free
    uint32_t *words;
    CUdeviceptr address; // as the device sees it; 0 when it is not registered
};

struct gn_gates {
    struct page pages[PAGES_MAX]; // changed by the thread that runs commands, with the lock; the first is never registered
    pthread_mutex_t lock;
    pthread_cond_t passed; // for streams that wait in a host function
    uint32_t values[GN_GATES];
    int free_gates[GN_GATES], free_count;
    _Atomic bool stopped;
    bool refused; // the driver has no stream memory operations
};

int gn_gates_open(struct gn_gates **gates, struct gn_worker *w)
{
    (void)w;
    struct gn_gates *g = calloc(1, sizeof *g);
    if (!g)
        return -ENOMEM;
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->passed, NULL);
    for (int i = 0; i < GN_GATES; i++)
        g->free_gates[g->free_count++] = GN_GATES - 1 - i;
    *gates = g;
    g->pages[0].words = aligned_alloc(PAGE_BYTES, PAGE_BYTES);
    if (!g->pages[0].words) {
        gn_gates_close(g);
        return -ENOMEM;
    }
    memset(g->pages[0].words, 0, PAGE_BYTES);
    return 0;
}

void gn_gates_close(struct gn_gates *g)
{
    pthread_mutex_destroy(&g->lock);
    pthread_cond_destroy(&g->passed);
    for (int i = 0; i < PAGES_MAX; i++)
        free(g->pages[i].words);
    free(g);
}

// The page of the current context: made when its first stream stops. 0: there is none to be had.
static int page_here(struct gn_worker *w)
{
    struct gn_gates *g = w->gates;
    CUcontext context = gn_context_in_use();
    int place = 0;
    for (int i = 1; i < PAGES_MAX; i++) {
        if (context && g->pages[i].context == context)
            return i;
        if (!place && !g->pages[i].context)
            place = i;
    }
    if (!place || !context)
        return 0;
    struct page page = {context, g->pages[place].words, 0};
    if (!page.words && !(page.words = aligned_alloc(PAGE_BYTES, PAGE_BYTES)))
        return 0;
    CUresult r = GN_DRIVER(w, cuMemHostRegister_v2, page.words, PAGE_BYTES, CU_MEMHOSTREGISTER_DEVICEMAP);
    if (!r && GN_DRIVER(w, cuMemHostGetDevicePointer_v2, &page.address, page.words, 0))
        page.address = 0;
    pthread_mutex_lock(&g->lock);
    g->pages[place] = page;
    memset(page.words, 0, PAGE_BYTES); // nobody waits on them: their last context is gone
    if (g->stopped)
        memcpy(page.words, g->values, sizeof g->values);
    pthread_mutex_unlock(&g->lock);
    return place;
}

void gn_gates_context_gone(struct gn_worker *w, CUcontext context)
{
    struct gn_gates *g = w->gates;
    pthread_mutex_lock(&g->lock);
    for (int i = 1; i < PAGES_MAX; i++)
        if (g->pages[i].context == context) {
            g->pages[i].context = NULL;
            g->pages[i].address = 0;
        }
    pthread_mutex_unlock(&g->lock);
}

static uint32_t *word_of(struct gn_gates *g, struct gn_pass pass) { return g->pages[pass.page].words + pass.gate; }

// With the lock. Never back: when the session is over, the word is at its last value already.
static void write_word(struct gn_worker *w, struct gn_pass pass)
{
    uint32_t *word = word_of(w->gates, pass);
    if ((int32_t)(pass.value - __atomic_load_n(word, __ATOMIC_RELAXED)) <= 0)
        return;
    // Release: what the client sent must be seen by the device before the word.
    __atomic_store_n(word, pass.value, __ATOMIC_RELEASE);
    pthread_cond_broadcast(&w->gates->passed);
}

bool gn_gate_take(struct gn_worker *w, struct gn_pass *pass)
{
    struct gn_gates *g = w->gates;
    pass->page = page_here(w);
    pthread_mutex_lock(&g->lock);
    bool found = g->free_count > 0 && !g->stopped; // a gate that nobody opens any more would hold its stream for ever
    if (found) {
        pass->gate = g->free_gates[--g->free_count];
        pass->value = ++g->values[pass->gate];
        atomic_fetch_add(&w->busy_gates, 1);
    }
    pthread_mutex_unlock(&g->lock);
    return found;
}

void gn_gate_again(struct gn_worker *w, struct gn_pass *pass)
{
    struct gn_gates *g = w->gates;
    pthread_mutex_lock(&g->lock);
    pass->value = ++g->values[pass->gate];
    if (g->stopped)
        write_word(w, *pass);
    pthread_mutex_unlock(&g->lock);
}

void gn_gate_open(struct gn_worker *w, struct gn_pass pass)
{
    pthread_mutex_lock(&w->gates->lock);
    write_word(w, pass);
    pthread_mutex_unlock(&w->gates->lock);
}

void gn_gate_pass(struct gn_worker *w, struct gn_pass pass)
{
    struct gn_gates *g = w->gates;
    pthread_mutex_lock(&g->lock);
    write_word(w, pass);
    g->free_gates[g->free_count++] = pass.gate;
    atomic_fetch_sub(&w->busy_gates, 1);
    pthread_mutex_unlock(&g->lock);
}

bool gn_gates_stopped(const struct gn_worker *w) { return atomic_load(&w->gates->stopped); }

void gn_gates_stop(struct gn_worker *w)
{
    struct gn_gates *g = w->gates;
    pthread_mutex_lock(&g->lock);
    g->stopped = true;
    for (int p = 0; p < PAGES_MAX; p++)
        for (int i = 0; g->pages[p].words && i < GN_GATES; i++)
            __atomic_store_n(&g->pages[p].words[i], g->values[i], __ATOMIC_RELEASE);
    pthread_cond_broadcast(&g->passed);
    pthread_mutex_unlock(&g->lock);
}

struct hold {
    struct gn_worker *worker;
    struct gn_pass pass;
};

static void hold_stream(void *data)
{
    struct hold *h = data;
    struct gn_gates *g = h->worker->gates;
    pthread_mutex_lock(&g->lock);
    while (!g->stopped && (int32_t)(__atomic_load_n(word_of(g, h->pass), __ATOMIC_ACQUIRE) - h->pass.value) < 0)
        pthread_cond_wait(&g->passed, &g->lock);
    pthread_mutex_unlock(&g->lock);
    free(h);
}

CUresult gn_gate_wait(struct gn_worker *w, CUstream stream, struct gn_pass pass)
{
    struct gn_gates *g = w->gates;
    CUdeviceptr address = g->pages[pass.page].address;
    if (address && !g->refused) {
        address += (CUdeviceptr)pass.gate * sizeof(uint32_t);
        CUresult r = GN_DRIVER(w, cuStreamWaitValue32_v2, stream, address, pass.value, CU_STREAM_WAIT_VALUE_GEQ);
        if (r == CUDA_SUCCESS)
            return r;
        gn_log(GN_LOG_INFO, "the driver has no stream memory operations (error %d); host functions wait in its callback thread", (int)r);
        g->refused = true;
    }
    struct hold *h = malloc(sizeof *h);
    if (!h)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *h = (struct hold){w, pass};
    CUresult r = GN_DRIVER(w, cuLaunchHostFunc, stream, hold_stream, h);
    if (r)
        free(h);
    return r;
}
