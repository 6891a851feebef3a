// SPDX-License-Identifier: Apache-2.0
// The list of what streams owe, and the callbacks that end it.
#include "server/worker/due.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "server/run/run.h"
#include "server/worker/commands.h"
#include "server/worker/output.h"
#include "server/worker/staging.h"

struct gn_pulls {
    pthread_mutex_t lock;
    struct gn_due *first; // the newest
    uint64_t serial;
};

int gn_pulls_open(struct gn_pulls **pulls)
{
    *pulls = calloc(1, sizeof **pulls);
    if (!*pulls)
        return -ENOMEM;
    pthread_mutex_init(&(*pulls)->lock, NULL);
    return 0;
}

void gn_pulls_close(struct gn_pulls *all)
{
    for (struct gn_due *d = all->first, *next; d; d = next) {
        next = d->next;
        free(d);
    }
    pthread_mutex_destroy(&all->lock);
    free(all);
}

void gn_due_lock(struct gn_worker *w) { pthread_mutex_lock(&w->pulls->lock); }
void gn_due_unlock(struct gn_worker *w) { pthread_mutex_unlock(&w->pulls->lock); }
struct gn_due *gn_due_first(struct gn_worker *w) { return w->pulls->first; }

void gn_due_add(struct gn_worker *w, struct gn_due *due)
{
    due->context = gn_context_in_use();
    gn_due_lock(w);
    due->serial = ++w->pulls->serial;
    due->next = w->pulls->first;
    w->pulls->first = due;
    gn_due_unlock(w);
}

void gn_due_end(struct gn_worker *w, struct gn_due *due)
{
    struct gn_due **at = &w->pulls->first;
    while (*at != due)
        at = &(*at)->next;
    *at = due->next;
    free(due);
}

static void told(CUstream stream, CUresult status, void *data)
{
    struct gn_due_note note = *(struct gn_due_note *)data;
    struct gn_worker *w = note.worker;
    (void)stream;
    free(data);
    gn_due_lock(w);
    struct gn_due *due = w->pulls->first;
    while (due && due->serial != note.serial)
        due = due->next;
    note.run(&note, due, status);
    gn_due_unlock(w);
    gn_output_flush(w->output);
}

static void told_well(void *data) { told(NULL, CUDA_SUCCESS, data); }

CUresult gn_due_tell(struct gn_worker *w, CUstream stream, const struct gn_due *due, uint32_t index,
                     void (*run)(const struct gn_due_note *note, struct gn_due *due, CUresult status))
{
    struct gn_due_note *note = malloc(sizeof *note);
    if (!note)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *note = (struct gn_due_note){.worker = w, .serial = due->serial, .index = index, .run = run};
    // A host function is left out when the context is lost; a callback is called, and told.
    CUresult r = w->driver.calls.cuStreamAddCallback ? w->driver.calls.cuStreamAddCallback(stream, told, note, 0)
                                                     : GN_DRIVER(w, cuLaunchHostFunc, stream, told_well, note);
    if (r)
        free(note);
    return r;
}

void gn_dues_lose(struct gn_worker *w, CUcontext context, CUresult code)
{
    gn_due_lock(w);
    for (struct gn_due *d = w->pulls->first, *next; d; d = next) {
        next = d->next;
        if (d->context == context)
            d->lost(w, d, code);
    }
    gn_due_unlock(w);
    gn_output_flush(w->output);
}

CUresult gn_due_slot(struct gn_worker *w, int *slot)
{
    *slot = gn_staging_take(w->staging, GN_SLOT_OUT);
    if (*slot < 0) {
        gn_commands_aside(w);
        *slot = gn_staging_take_out(w->staging, GN_SLOT_OUT);
    }
    return *slot < 0 ? CUDA_ERROR_DEINITIALIZED : CUDA_SUCCESS;
}
