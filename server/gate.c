// SPDX-License-Identifier: Apache-2.0
// Gates on words of the staging memory. A word only grows: a stream waits until it has reached the passage's value, so a gate can be used again
// as soon as it was passed.
#include "server/gate.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "server/log.h"
#include "server/run.h"
#include "server/staging.h"

struct gn_gates {
    pthread_mutex_t lock;
    pthread_cond_t passed; // for streams that wait in a host function
    uint32_t values[GN_GATES];
    int free_gates[GN_GATES], free_count;
    _Atomic int busy;
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
    return 0;
}

void gn_gates_close(struct gn_gates *g)
{
    pthread_mutex_destroy(&g->lock);
    pthread_cond_destroy(&g->passed);
    free(g);
}

// With the lock. Never back: when the session is over, the word is at its last value already.
static void write_word(struct gn_worker *w, struct gn_pass pass)
{
    volatile uint32_t *word = gn_staging_gate(w->staging, pass.gate).word;
    if ((int32_t)(pass.value - *word) <= 0)
        return;
    // Release: what the client sent must be seen by the device before the word.
    __atomic_store_n(word, pass.value, __ATOMIC_RELEASE);
    pthread_cond_broadcast(&w->gates->passed);
}

bool gn_gate_take(struct gn_worker *w, struct gn_pass *pass)
{
    struct gn_gates *g = w->gates;
    pthread_mutex_lock(&g->lock);
    bool found = g->free_count > 0 && !g->stopped; // a gate that nobody opens any more would hold its stream for ever
    if (found) {
        pass->gate = g->free_gates[--g->free_count];
        pass->value = ++g->values[pass->gate];
        atomic_fetch_add(&g->busy, 1);
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
    atomic_fetch_sub(&g->busy, 1);
    pthread_mutex_unlock(&g->lock);
}

int gn_gates_busy(const struct gn_worker *w) { return atomic_load(&w->gates->busy); }

bool gn_gates_stopped(const struct gn_worker *w) { return atomic_load(&w->gates->stopped); }

void gn_gates_stop(struct gn_worker *w)
{
    struct gn_gates *g = w->gates;
    pthread_mutex_lock(&g->lock);
    g->stopped = true;
    for (int i = 0; i < GN_GATES; i++)
        __atomic_store_n(gn_staging_gate(w->staging, i).word, g->values[i], __ATOMIC_RELEASE);
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
    while (!g->stopped && (int32_t)(__atomic_load_n(gn_staging_gate(h->worker->staging, h->pass.gate).word, __ATOMIC_ACQUIRE) -
                                    h->pass.value) < 0)
        pthread_cond_wait(&g->passed, &g->lock);
    pthread_mutex_unlock(&g->lock);
    free(h);
}

CUresult gn_gate_wait(struct gn_worker *w, CUstream stream, struct gn_pass pass)
{
    struct gn_gates *g = w->gates;
    CUdeviceptr address = gn_staging_gate(w->staging, pass.gate).address;
    if (address && !g->refused) {
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
