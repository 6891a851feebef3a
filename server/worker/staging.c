// SPDX-License-Identifier: Apache-2.0
// The staging pool.
#include "server/worker/staging.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "core/frame.h"
#include "server/log.h"
#include "server/worker/dispatch.h"
#include "server/worker/output.h"

enum {
    EVENTS_KEPT = 256,
    GROUP_MAX = 64, // small slots that share an event: the client is told of an eighth of them at once, so twice as often as it needs
};

enum hold { HOLD_NONE, HOLD_KEPT, HOLD_LAST }; // the last: nothing else needs the slot any more

struct busy { // payload slots that the device still reads, linked by `next_slot`
    int first_slot, count;
    CUevent event;
    CUcontext context;
};

struct spare_event {
    CUevent event;
    CUcontext context;
};

struct gn_staging {
    struct gn_worker *worker;
    uint8_t *memory;
    size_t memory_bytes;
    int first[GN_SLOT_KINDS + 1]; // slots of kind k are first[k] .. first[k + 1] - 1
    CUcontext registered;         // the context the memory was registered in, or NULL
    bool refused;

    pthread_mutex_t lock; // guards the slots; never held over a call of the driver or the output: who reads from the client needs it
    pthread_cond_t released[GN_SLOT_KINDS];
    bool stopped;
    int *free_slots[GN_SLOT_KINDS], free_count[GN_SLOT_KINDS];
    uint8_t *held; // of each payload slot: enum hold
    uint32_t freed_small, freed_large;

    pthread_mutex_t busy_lock; // guards the rest, also over questions to the driver; `lock` is taken within
    struct busy *busy;         // a ring with room for as many as there are payload slots, oldest first
    int *next_slot;            // of each payload slot, within its group; -1: the last
    int busy_first, busy_count, busy_room;
    struct spare_event spares[EVENTS_KEPT];
    int spare_count;
    CUcontext leaving; // about to be destroyed, or NULL

    struct busy group; // of the thread that runs commands: slots that no event stands for yet, read by `group_stream`
    CUstream group_stream;
};

static enum gn_slot_kind kind_of(const struct gn_staging *s, int slot)
{
    return slot < s->first[GN_SLOT_LARGE]  ? GN_SLOT_SMALL
           : slot < s->first[GN_SLOT_CONTENT] ? GN_SLOT_LARGE
           : slot < s->first[GN_SLOT_OUT]  ? GN_SLOT_CONTENT
           : slot < s->first[GN_SLOT_READ] ? GN_SLOT_OUT
                                           : GN_SLOT_READ;
}

size_t gn_staging_slot_bytes(const struct gn_staging *s, int slot)
{
    return kind_of(s, slot) == GN_SLOT_SMALL ? GN_SMALL_PAYLOAD_BYTES : s->worker->limits.chunk_bytes;
}

void *gn_staging_data(const struct gn_staging *s, int slot)
{
    size_t small_bytes = (size_t)s->first[GN_SLOT_LARGE] * GN_SMALL_PAYLOAD_BYTES;
    if (slot < s->first[GN_SLOT_LARGE])
        return s->memory + (size_t)slot * GN_SMALL_PAYLOAD_BYTES;
    return s->memory + small_bytes + (size_t)(slot - s->first[GN_SLOT_LARGE]) * s->worker->limits.chunk_bytes;
}

int gn_staging_open(struct gn_staging **staging, struct gn_worker *w)
{
    struct gn_staging *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    int count[GN_SLOT_KINDS] = {GN_SMALL_SLOTS, (int)(w->limits.window_bytes / w->limits.chunk_bytes), GN_CONTENT_SLOTS, GN_OUT_SLOTS, GN_READ_SLOTS};
    s->worker = w;
    s->memory_bytes = GN_SMALL_SLOTS * (size_t)GN_SMALL_PAYLOAD_BYTES +
                      (size_t)(count[GN_SLOT_LARGE] + count[GN_SLOT_CONTENT] + count[GN_SLOT_OUT] + count[GN_SLOT_READ]) * w->limits.chunk_bytes;
    s->memory = mmap(NULL, s->memory_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    s->busy_room = count[GN_SLOT_SMALL] + count[GN_SLOT_LARGE] + count[GN_SLOT_CONTENT];
    s->busy = calloc((size_t)s->busy_room, sizeof *s->busy);
    s->next_slot = calloc((size_t)s->busy_room, sizeof *s->next_slot);
    s->held = calloc((size_t)s->busy_room, sizeof *s->held);
    bool ok = s->memory != MAP_FAILED && s->busy && s->next_slot && s->held;
    for (int k = 0; k < GN_SLOT_KINDS; k++) {
        s->first[k + 1] = s->first[k] + count[k];
        s->free_slots[k] = calloc((size_t)count[k], sizeof(int));
        ok = ok && s->free_slots[k];
        // The lowest slot is taken first: little traffic touches little memory.
        for (int i = 0; ok && i < count[k]; i++)
            s->free_slots[k][s->free_count[k]++] = s->first[k + 1] - 1 - i;
    }
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->busy_lock, NULL);
    for (int k = 0; k < GN_SLOT_KINDS; k++)
        pthread_cond_init(&s->released[k], NULL);
    *staging = s;
    if (ok)
        return 0;
    gn_staging_close(s);
    return -ENOMEM;
}

void gn_staging_close(struct gn_staging *s)
{
    if (s->memory != MAP_FAILED)
        munmap(s->memory, s->memory_bytes);
    for (int k = 0; k < GN_SLOT_KINDS; k++) {
        free(s->free_slots[k]);
        pthread_cond_destroy(&s->released[k]);
    }
    free(s->busy);
    free(s->next_slot);
    free(s->held);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->busy_lock);
    free(s);
}

// With the lock.
static void give_back(struct gn_staging *s, int slot)
{
    enum gn_slot_kind kind = kind_of(s, slot);
    if (kind < GN_SLOT_OUT && s->held[slot] == HOLD_KEPT) {
        s->held[slot] = HOLD_LAST;
        return;
    }
    s->free_slots[kind][s->free_count[kind]++] = slot;
    s->freed_small += kind == GN_SLOT_SMALL;
    s->freed_large += kind == GN_SLOT_LARGE;
    pthread_cond_signal(&s->released[kind]);
}

void gn_staging_freed(struct gn_staging *s, uint32_t *small, uint32_t *large)
{
    pthread_mutex_lock(&s->lock);
    *small = s->freed_small;
    *large = s->freed_large;
    pthread_mutex_unlock(&s->lock);
}

static void tell_freed(struct gn_staging *s)
{
    uint32_t small, large;
    gn_staging_freed(s, &small, &large);
    gn_output_freed(s->worker->output, small, large);
}

int gn_staging_take(struct gn_staging *s, enum gn_slot_kind kind)
{
    for (int round = 0; round < 2; round++) {
        pthread_mutex_lock(&s->lock);
        int slot = s->free_count[kind] ? s->free_slots[kind][--s->free_count[kind]] : -1;
        pthread_mutex_unlock(&s->lock);
        if (slot >= 0 || kind >= GN_SLOT_OUT)
            return slot;
        if (!gn_staging_reap(s, true))
            break;
    }
    return -1;
}

int gn_staging_take_out(struct gn_staging *s, enum gn_slot_kind kind)
{
    pthread_mutex_lock(&s->lock);
    while (!s->free_count[kind] && !s->stopped)
        pthread_cond_wait(&s->released[kind], &s->lock);
    int slot = s->stopped ? -1 : s->free_slots[kind][--s->free_count[kind]];
    pthread_mutex_unlock(&s->lock);
    return slot;
}

void gn_staging_release(struct gn_staging *s, int slot)
{
    pthread_mutex_lock(&s->lock);
    give_back(s, slot);
    bool payload = kind_of(s, slot) < GN_SLOT_OUT;
    pthread_mutex_unlock(&s->lock);
    if (payload)
        tell_freed(s);
}

void gn_staging_hold(struct gn_staging *s, int slot)
{
    pthread_mutex_lock(&s->lock);
    s->held[slot] = HOLD_KEPT;
    pthread_mutex_unlock(&s->lock);
}

bool gn_staging_let_go(struct gn_staging *s, int slot)
{
    pthread_mutex_lock(&s->lock);
    bool last = s->held[slot] == HOLD_LAST;
    s->held[slot] = HOLD_NONE;
    if (last)
        give_back(s, slot);
    pthread_mutex_unlock(&s->lock);
    if (last)
        tell_freed(s);
    return last;
}

int gn_staging_take_reaping(struct gn_staging *s, enum gn_slot_kind kind)
{
    struct timespec pause = {.tv_nsec = 20000};
    for (;;) {
        int slot = gn_staging_take(s, kind);
        pthread_mutex_lock(&s->lock);
        bool stopped = s->stopped;
        pthread_mutex_unlock(&s->lock);
        if (slot >= 0 || stopped)
            return slot;
        nanosleep(&pause, NULL);
        if (pause.tv_nsec < 1000000)
            pause.tv_nsec *= 2;
    }
}

static CUevent spare_event(struct gn_staging *s, CUcontext context)
{
    CUevent event = NULL;
    pthread_mutex_lock(&s->busy_lock);
    for (int i = s->spare_count - 1; i >= 0 && !event; i--)
        if (s->spares[i].context == context) {
            event = s->spares[i].event;
            s->spares[i] = s->spares[--s->spare_count];
        }
    pthread_mutex_unlock(&s->busy_lock);
    return event;
}

bool gn_staging_unsettled(const struct gn_staging *s) { return s->group.count > 0; }

// Records the event that stands for the group. When that fails, its copies may be under way and nothing will tell when they are through.
static CUresult settle(struct gn_staging *s)
{
    const struct gn_driver_calls *d = &s->worker->driver.calls;
    struct busy group = s->group;
    s->group.count = 0;
    CUresult r = gn_use_context(s->worker, group.context);
    group.event = r ? NULL : spare_event(s, group.context);
    if (!r && !group.event)
        r = d->cuEventCreate(&group.event, CU_EVENT_DISABLE_TIMING);
    if (!r && (r = d->cuEventRecord(group.event, s->group_stream)))
        d->cuEventDestroy_v2(group.event);
    if (r) {
        d->cuStreamSynchronize(s->group_stream);
        for (int slot = group.first_slot, next; slot >= 0; slot = next) { // once free it is another's
            next = s->next_slot[slot];
            gn_staging_release(s, slot);
        }
        return r;
    }
    pthread_mutex_lock(&s->busy_lock);
    s->busy[(s->busy_first + s->busy_count++) % s->busy_room] = group;
    pthread_mutex_unlock(&s->busy_lock);
    return CUDA_SUCCESS;
}

void gn_staging_settle(struct gn_staging *s)
{
    CUresult r = gn_staging_unsettled(s) ? settle(s) : CUDA_SUCCESS;
    if (r)
        gn_log(GN_LOG_DEBUG, "no event can stand for copies that are under way (error %d)", (int)r);
}

CUresult gn_staging_release_after(struct gn_staging *s, int slot, CUstream stream)
{
    CUcontext context = gn_context_in_use();
    if (gn_staging_unsettled(s) && (s->group_stream != stream || s->group.context != context)) {
        gn_staging_settle(s);
        gn_use_context(s->worker, context);
    }
    s->next_slot[slot] = gn_staging_unsettled(s) ? s->group.first_slot : -1;
    s->group.first_slot = slot;
    s->group.context = context;
    s->group_stream = stream;
    bool full = ++s->group.count == GROUP_MAX || kind_of(s, slot) != GN_SLOT_SMALL;
    return full ? settle(s) : CUDA_SUCCESS;
}

// With the busy lock: entry `index` of the busy ring has passed.
static void finish_busy(struct gn_staging *s, int index, bool keep_event)
{
    struct busy b = s->busy[(s->busy_first + index) % s->busy_room];
    for (int i = index; i > 0; i--) // the older ones move up
        s->busy[(s->busy_first + i) % s->busy_room] = s->busy[(s->busy_first + i - 1) % s->busy_room];
    s->busy_first = (s->busy_first + 1) % s->busy_room;
    s->busy_count--;
    pthread_mutex_lock(&s->lock);
    for (int slot = b.first_slot; slot >= 0; slot = s->next_slot[slot])
        give_back(s, slot);
    pthread_mutex_unlock(&s->lock);
    if (keep_event && s->spare_count < EVENTS_KEPT)
        s->spares[s->spare_count++] = (struct spare_event){b.event, b.context};
    else if (keep_event)
        s->worker->driver.calls.cuEventDestroy_v2(b.event);
}

bool gn_staging_reap(struct gn_staging *s, bool all)
{
    enum { UNREADY_MAX = 8 }; // so many copies of other streams may stand in front of one that has passed
    int freed = 0, unready = 0;
    pthread_mutex_lock(&s->busy_lock);
    for (int i = 0; i < s->busy_count && (all || unready < UNREADY_MAX);) {
        const struct busy *b = &s->busy[(s->busy_first + i) % s->busy_room];
        // In its own context: a thread that has none would be refused, and take that for the end of the copy.
        bool asks = b->context != s->leaving && !gn_use_context(s->worker, b->context);
        if (!asks || s->worker->driver.calls.cuEventQuery(b->event) == CUDA_ERROR_NOT_READY) {
            unready++;
            i++;
        } else {
            finish_busy(s, i, true);
            freed++;
        }
    }
    pthread_mutex_unlock(&s->busy_lock);
    if (freed)
        tell_freed(s);
    return freed > 0;
}

bool gn_staging_busy(struct gn_staging *s)
{
    pthread_mutex_lock(&s->busy_lock);
    bool busy = s->busy_count > 0;
    pthread_mutex_unlock(&s->busy_lock);
    return busy;
}

void gn_staging_context(struct gn_staging *s, CUcontext context)
{
    const struct gn_driver_calls *d = &s->worker->driver.calls;
    if (s->registered || s->refused || !context)
        return;
    CUresult r = d->cuMemHostRegister_v2
                     ? d->cuMemHostRegister_v2(s->memory, s->memory_bytes, CU_MEMHOSTREGISTER_PORTABLE)
                     : CUDA_ERROR_NOT_SUPPORTED;
    if (r) {
        gn_log(GN_LOG_WARN, "the driver does not pin the staging memory (error %d); copies will be slower", (int)r);
        s->refused = true;
        return;
    }
    s->registered = context;
}

void gn_staging_context_leaves(struct gn_staging *s, CUcontext context)
{
    pthread_mutex_lock(&s->busy_lock);
    s->leaving = context;
    pthread_mutex_unlock(&s->busy_lock);
}

void gn_staging_context_gone(struct gn_staging *s, CUcontext context)
{
    pthread_mutex_lock(&s->busy_lock);
    for (int i = 0; i < s->busy_count;) {
        if (s->busy[(s->busy_first + i) % s->busy_room].context == context)
            finish_busy(s, i, false);
        else
            i++;
    }
    for (int i = 0; i < s->spare_count;) {
        if (s->spares[i].context == context)
            s->spares[i] = s->spares[--s->spare_count];
        else
            i++;
    }
    s->leaving = NULL;
    pthread_mutex_unlock(&s->busy_lock);
    if (s->registered == context)
        s->registered = NULL;
    tell_freed(s);
}

void gn_staging_stop(struct gn_staging *s)
{
    pthread_mutex_lock(&s->lock);
    s->stopped = true;
    for (int k = 0; k < GN_SLOT_KINDS; k++)
        pthread_cond_broadcast(&s->released[k]);
    pthread_mutex_unlock(&s->lock);
}
