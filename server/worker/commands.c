// SPDX-License-Identifier: Apache-2.0
// Running commands in their order, parking them while one runs aside, replies and acknowledgements.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api_wire.h"
#include "remoting/errors.h"
#include "server/log.h"
#include "server/worker/commands_parts.h"
#include "server/worker/gate.h"
#include "server/worker/host.h"
#include "server/worker/marks.h"
#include "server/worker/output.h"
#include "server/worker/print.h"
#include "server/worker/staging.h"
#include "server/worker/wait.h"

// This thread's command runs aside: it has given up the reader's role.
static _Thread_local bool runs_aside;

// This thread has the reader's role.
static _Thread_local bool reads;

// Back when the client has been told: the worker ends after that.
static void say_goodbye(struct gn_commands *l, const char *error)
{
    pthread_mutex_lock(&l->goodbye_lock);
    bool said = l->goodbye;
    l->goodbye = true;
    if (said) {
        pthread_mutex_unlock(&l->goodbye_lock);
        return;
    }
    gn_log(GN_LOG_WARN, "session ended: %s", error);
    struct gn_message m = {.kind = GN_MESSAGE_GOODBYE, .code = CUDA_ERROR_UNKNOWN, .size_bytes = (uint32_t)strlen(error)};
    gn_output_push(l->worker->output, &m, error);
    gn_output_drain(l->worker->output, 1000);
    pthread_mutex_unlock(&l->goodbye_lock);
}

int commands_fail(struct gn_commands *l, int result, const char *error)
{
    pthread_mutex_lock(&l->lock);
    bool first = !l->over;
    if (!l->over) {
        l->over = true;
        l->result = result;
        l->error = error;
    }
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
    // A thread that waits for the client, in a handler or in the driver behind a gate, would wait for ever.
    gn_gates_stop(l->worker);
    gn_staging_stop(l->worker->staging);
    if (first && !reads) { // the reader may wait for a client that has nothing more to say
        if (result)
            say_goodbye(l, error);
        l->link->ops->shut(l->link);
    }
    return result ? result : -ECONNRESET;
}

void gn_commands_end(struct gn_worker *w, int result, const char *why) { commands_fail(w->commands, result, why); }

// --- replies

void gn_commands_latch(struct gn_worker *w, uint16_t op, CUresult r)
{
    struct gn_commands *l = w->commands;
    pthread_mutex_lock(&l->lock);
    if (!l->latched) {
        l->latched = r;
        l->latched_op = op;
    }
    pthread_mutex_unlock(&l->lock);
    gn_log(GN_LOG_DEBUG, "%s failed with %d", gn_api[op].name, (int)r);
}

bool gn_commands_latched(struct gn_worker *w)
{
    struct gn_commands *l = w->commands;
    pthread_mutex_lock(&l->lock);
    bool latched = l->latched;
    pthread_mutex_unlock(&l->lock);
    return latched;
}

void gn_commands_reply(struct gn_worker *w, uint64_t sequence, uint16_t op, CUresult r, const void *out, bool flush)
{
    struct gn_commands *l = w->commands;
    const struct gn_codec *codec = &gn_codecs[op];
    struct gn_message m = {
        .kind = GN_MESSAGE_REPLY, .id = sequence, .code = (int32_t)r, .value = gn_marks_sweep(w) ? GN_REPLY_SWEPT : 0};
    size_t size = out && !r ? codec->size_out(out) : 0;
    uint8_t small[512], *body = size <= sizeof small ? small : size <= GN_REPLY_BYTES_MAX ? malloc(size) : NULL;
    if (!body) {
        m.code = CUDA_ERROR_OUT_OF_MEMORY;
        size = 0;
    } else if (size) {
        struct gn_cursor c = gn_cursor_over(body, size);
        codec->encode_out(&c, out);
    }
    gn_print_forward(w);
    pthread_mutex_lock(&l->lock);
    bool over = l->over; // a wait that the session's end has cut short is no answer: the client learns of the end itself
    m.latched = (int32_t)l->latched;
    m.latched_op = l->latched_op;
    l->latched = CUDA_SUCCESS;
    pthread_mutex_unlock(&l->lock);
    m.size_bytes = (uint32_t)size;
    if (!over)
        gn_output_push(w->output, &m, body);
    if (body != small)
        free(body);
    atomic_fetch_add_explicit(&w->status->replies, 1, memory_order_relaxed);
    if (flush)
        gn_output_flush(w->output);
}

void gn_reply_now(struct gn_worker *w, uint64_t sequence, uint16_t op, CUresult r, const void *out)
{
    gn_commands_reply(w, sequence, op, r, out, true);
}

static bool is_sync(uint16_t op) { return gn_api[op].class == GN_SYNC || gn_api[op].class == GN_CACHED; }

int gn_request_finish(struct gn_worker *w, struct gn_request *q, CUresult r, const void *out)
{
    if (q->error)
        return -EPROTO;
    if (is_sync(q->op)) {
        if (r != GN_DEFERRED)
            gn_commands_reply(w, q->sequence, q->op, gn_context_reason(w, r), out, true);
        return 0;
    }
    // A command on a handle that was never made does nothing; the error of its making is latched already.
    if (q->confirm)
        gn_commands_reply(w, q->sequence, q->op, r, NULL, true);
    else if (r && !q->dropped && !(gn_error_is_sticky(r) && gn_context_is_lost(w)))
        gn_commands_latch(w, q->op, r);
    // A lost context tells of itself in every call there. Told with somebody else's reply, the error would become that of whatever
    // context is current at the client.
    return 0;
}

int gn_request_malformed(struct gn_worker *w, struct gn_request *q)
{
    (void)w;
    q->error = "a command whose body has the wrong size";
    return -EPROTO;
}

int gn_request_dropped(struct gn_worker *w, struct gn_request *q)
{
    return gn_request_finish(w, q, CUDA_ERROR_INVALID_HANDLE, NULL);
}

// --- acknowledging

static void push_ack(struct gn_commands *l)
{
    struct gn_message m = {.kind = GN_MESSAGE_ACK};
    gn_output_push(l->worker->output, &m, NULL);
    gn_output_flush(l->worker->output);
}

// Whoever hears of a starved client later finds what was freed before this.
void gn_commands_freed(struct gn_worker *w)
{
    struct gn_commands *l = w->commands;
    pthread_mutex_lock(&l->lock);
    bool tell = l->starved && !l->over;
    if (tell)
        l->starved = false;
    pthread_mutex_unlock(&l->lock);
    if (tell)
        push_ack(l);
}

static bool is_over(struct gn_commands *l)
{
    pthread_mutex_lock(&l->lock);
    bool over = l->over;
    pthread_mutex_unlock(&l->lock);
    return over;
}

// A starved client waits until it is told of something new; what ends a copy may free nothing yet, as long as the slot is held. Starved it stays,
// then, and whoever lets go of the slot tells it.
static void reap_until_free(struct gn_worker *w, void *data)
{
    struct gn_commands *l = *(struct gn_commands **)data;
    for (bool again = true; again;) {
        struct timespec pause = {.tv_nsec = 50000};
        while (!is_over(l) && gn_staging_busy(w->staging) && !gn_staging_reap(w->staging, true)) {
            nanosleep(&pause, NULL);
            if (pause.tv_nsec < 1000000)
                pause.tv_nsec *= 2;
        }
        struct gn_news news = gn_output_taken(w->output, atomic_load_explicit(&l->taken, memory_order_relaxed));
        bool any = news.taken_bytes || news.freed_small || news.freed_large;
        pthread_mutex_lock(&l->lock);
        bool tell = l->starved && any;
        if (tell)
            l->starved = false;
        again = l->starved && !l->over && gn_staging_busy(w->staging); // asked with the lock: later ones find nobody reaping
        l->reaping = again;
        pthread_mutex_unlock(&l->lock);
        if (tell)
            push_ack(l);
    }
}

// By a thread that ran commands, when it is through with what there was, its group of small copies settled: lets the client use its room again. An eighth of the ring or of
// the slots is worth a message of its own; a client that waits for room is told of anything that it has not been told. Until there is such a
// thing it stays starved: it will not ask again.
static void acknowledge(struct gn_commands *l)
{
    struct gn_worker *w = l->worker;
    gn_staging_reap(w->staging, false);
    struct gn_news news = gn_output_taken(w->output, l->taken);
    bool any = news.taken_bytes || news.freed_small || news.freed_large, busy = gn_staging_busy(w->staging);
    bool much = news.taken_bytes >= l->ring_bytes / 8 || news.freed_small >= GN_SMALL_SLOTS / 8 ||
                news.freed_large >= w->limits.window_bytes / w->limits.chunk_bytes / 8 + 1;
    if (!much && !atomic_load_explicit(&l->starved, memory_order_relaxed)) // this thread, or the reader before it, has set it
        return;
    pthread_mutex_lock(&l->lock);
    bool tell = much || (any && l->starved);
    bool reap = l->starved && !tell && !l->reaping && busy;
    if (tell)
        l->starved = false;
    if (reap)
        l->reaping = true;
    pthread_mutex_unlock(&l->lock);
    if (tell)
        push_ack(l);
    if (reap && gn_wait_run(w, reap_until_free, &l, sizeof l)) {
        pthread_mutex_lock(&l->lock);
        l->reaping = false; // tried again after the next frame
        pthread_mutex_unlock(&l->lock);
    }
}

// --- running

static void release_payload(struct gn_commands *l, const struct frame *f)
{
    if (f->payload.slot >= 0 && !f->payload.taken)
        gn_staging_release(l->worker->staging, f->payload.slot);
}

// Everything but what only keeps the books of memory.
static bool gives_work(uint16_t op)
{
    return op != GN_OP_scope && (op < GN_OP_memory_alloc || op > GN_OP_memory_info);
}

// Streams may wait for what the program does next, and no gate tells when they go on.
static bool waits_for_values(uint16_t op) { return op == GN_OP_cuStreamWaitValue32_v2 || op == GN_OP_cuStreamWaitValue64_v2; }

static int run(struct gn_commands *l, struct frame *f)
{
    struct gn_worker *w = l->worker;
    if (!f->head.op) { // padding: only its room counts
        atomic_store_explicit(&l->taken, f->end, memory_order_relaxed);
        return 0;
    }
    struct gn_request q = {.sequence = ++l->sequence, .op = f->head.op, .confirm = f->head.flags & GN_COMMAND_CONFIRM};
    if (f->payload.slot >= 0)
        q.payload = &f->payload;
    // A busy gate opens only when the reader goes on, and any call of the driver may wait for it: a full queue, a free, a load. The next
    // reader reads over the buffer, so the body moves first. (A handler that goes aside later has decoded its numbers by then.)
    if (gn_gates_busy(w) && !runs_aside) {
        gn_staging_settle(w->staging);
        static _Thread_local uint8_t body_copy[GN_COMMAND_BYTES_MAX];
        memcpy(body_copy, f->body, f->head.size_bytes - sizeof f->head);
        f->body = body_copy;
        gn_commands_aside(w);
    }
    w->work += gives_work(f->head.op);
    w->waits_for_values |= waits_for_values(f->head.op);
    if (f->head.op != GN_OP_write && gn_staging_unsettled(w->staging)) // what comes may take long, or end the stream
        gn_staging_settle(w->staging);
    if (f->head.op != GN_OP_scope)
        gn_use_context(w, w->scope ? w->scope->context : NULL);
    struct gn_cursor body = gn_cursor_over(f->body, f->head.size_bytes - sizeof f->head);
    int error = gn_dispatch[f->head.op](w, &q, &body);
    release_payload(l, f);
    atomic_store_explicit(&l->taken, f->end, memory_order_relaxed);
    commands_count(&w->status->commands, 1);
    return error ? commands_fail(l, error, q.error ? q.error : "a malformed command") : 0;
}

// With the lock.
static int park(struct gn_commands *l, const struct frame *f)
{
    size_t size = f->head.size_bytes - sizeof f->head;
    struct parked *p = malloc(sizeof *p + size);
    if (!p)
        return -ENOMEM;
    p->next = NULL;
    p->frame = *f;
    p->frame.body = p->bytes;
    memcpy(p->bytes, f->body, size);
    *l->last = p;
    l->last = &p->next;
    return 0;
}

// A command of this thread ran aside and is through: now those that were parked meanwhile, in their order, until there are none.
static void run_parked(struct gn_commands *l)
{
    for (;;) {
        gn_staging_settle(l->worker->staging); // now: after the last one the group is the reader's
        pthread_mutex_lock(&l->lock);
        struct parked *p = l->first;
        if (p) {
            l->first = p->next;
            if (!l->first)
                l->last = &l->first;
        }
        bool done = !p || l->over;
        if (done) {
            atomic_store_explicit(&l->aside, false, memory_order_release);
            runs_aside = false;
        }
        pthread_mutex_unlock(&l->lock);
        if (p && !done)
            run(l, &p->frame);
        free(p);
        // Also at the end: a client that starved meanwhile was heard by the reader, which left it to this thread.
        acknowledge(l);
        if (done)
            return;
    }
}

// A command runs aside, or did until just now.
static int park_or_run(struct gn_commands *l, struct frame *f)
{
    int error = 0;
    pthread_mutex_lock(&l->lock);
    bool parks = l->aside;
    if (parks)
        error = park(l, f);
    pthread_mutex_unlock(&l->lock);
    if (!parks)
        return run(l, f);
    if (error) {
        release_payload(l, f);
        return commands_fail(l, error, "no memory to park a command");
    }
    return 0;
}

// One frame. With the reader's role, which it loses when its command goes aside.
static int read_one(struct gn_commands *l)
{
    struct frame f;
    uint8_t body_copy[PAYLOAD_BODY_BYTES_MAX]; // payload is read over the body
    memcpy(&f.head, l->buffer + l->at, sizeof f.head);
    f.body = l->buffer + l->at + sizeof f.head;
    l->at += f.head.size_bytes;
    if (f.head.flags & ~FLAGS_KNOWN)
        return commands_fail(l, -EPROTO, "a frame with unknown flags");
    if (f.head.flags & GN_COMMAND_CONTROL)
        return f.head.flags & LANE_FLAGS ? commands_fail(l, -EPROTO, "a control frame on a lane") : commands_control(l, &f);
    l->position += f.head.size_bytes;
    f.end = l->position;
    if (l->position - atomic_load_explicit(&l->taken, memory_order_relaxed) > l->ring_bytes)
        return commands_fail(l, -EPROTO, "more commands than the client's ring holds");
    if (f.head.op >= GN_OPS || (f.head.op && !gn_dispatch[f.head.op]))
        return commands_fail(l, -EPROTO, "an unknown command");
    f.payload = (struct gn_payload){.slot = -1};
    int error = gn_codecs[f.head.op].payload || f.head.flags & (GN_COMMAND_PAYLOAD | GN_COMMAND_PACKED | LANE_FLAGS) ? commands_payload(l, &f, body_copy) : 0;
    if (error)
        return error;
    return atomic_load_explicit(&l->aside, memory_order_acquire) ? park_or_run(l, &f) : run(l, &f);
}

static void read_until_lost(struct gn_commands *l)
{
    int error = 0;
    reads = true;
    while (!error) {
        while (!error && commands_frame_is_whole(l, &error)) {
            if (gn_waits_near(l->worker) && gn_waits_look(l->worker)) // commands do not wait for waits, nor these for commands
                gn_waits_leave(l->worker, GN_LOOK_HIT);
            error = read_one(l);
            if (runs_aside) {
                run_parked(l);
                return;
            }
        }
        if (error)
            break;
        if (!atomic_load_explicit(&l->aside, memory_order_acquire)) {
            gn_staging_settle(l->worker->staging);
            acknowledge(l);
        }
        gn_output_flush(l->worker->output);
        error = commands_fill(l);
    }
    gn_waits_leave(l->worker, GN_LOOK_HIT);
    reads = false;
    pthread_mutex_lock(&l->lock);
    l->reading = false;
    pthread_mutex_unlock(&l->lock);
}

static void serve(struct gn_commands *l)
{
    pthread_mutex_lock(&l->lock);
    while (!l->over) {
        if (l->reading) {
            pthread_cond_wait(&l->changed, &l->lock);
            continue;
        }
        l->reading = true;
        pthread_mutex_unlock(&l->lock);
        read_until_lost(l);
        pthread_mutex_lock(&l->lock);
    }
    l->threads--;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
}

static void *second_thread(void *loop)
{
    serve(loop);
    return NULL;
}

void gn_commands_aside(struct gn_worker *w)
{
    struct gn_commands *l = w->commands;
    if (runs_aside)
        return;
    gn_waits_leave(w, GN_LOOK_HIT);
    pthread_mutex_lock(&l->lock);
    runs_aside = true;
    reads = false;
    l->aside = true;
    l->reading = false;
    bool start = l->threads < 2;
    l->threads += start;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
    pthread_t thread;
    if (start && pthread_create(&thread, NULL, second_thread, l) == 0)
        pthread_detach(thread);
    else if (start) {
        pthread_mutex_lock(&l->lock);
        l->threads--;
        pthread_mutex_unlock(&l->lock);
        commands_fail(l, -EAGAIN, "no second thread to read with");
    }
}

bool gn_commands_reading(const struct gn_worker *w) { return w->commands && !runs_aside; }

int gn_commands_open(struct gn_commands **loop, struct gn_worker *w, struct gn_link *link, uint64_t ring_bytes)
{
    struct gn_commands *l = calloc(1, sizeof *l);
    if (!l)
        return -ENOMEM;
    l->buffer = malloc(BUFFER_BYTES);
    if (!l->buffer) {
        free(l);
        return -ENOMEM;
    }
    l->worker = w;
    l->link = link;
    l->ring_bytes = ring_bytes;
    l->last = &l->first;
    gn_spin_init(&l->spin, w->limits.spin_us * 1000);
    link->look_ns = l->spin.limit_ns;
    l->threads = 1;
    pthread_mutex_init(&l->lock, NULL);
    pthread_mutex_init(&l->goodbye_lock, NULL);
    pthread_cond_init(&l->changed, NULL);
    *loop = l;
    return 0;
}

void gn_commands_join(struct gn_commands *l)
{
    pthread_mutex_lock(&l->lock);
    while (l->threads)
        pthread_cond_wait(&l->changed, &l->lock);
    pthread_mutex_unlock(&l->lock);
}

void gn_commands_close(struct gn_commands *l)
{
    for (struct parked *p = l->first, *next; p; p = next) {
        next = p->next;
        free(p);
    }
    pthread_mutex_destroy(&l->lock);
    pthread_mutex_destroy(&l->goodbye_lock);
    pthread_cond_destroy(&l->changed);
    free(l->packed);
    free(l->buffer);
    free(l);
}

int gn_commands_run(struct gn_commands *l)
{
    serve(l);
    pthread_mutex_lock(&l->lock);
    int result = l->result;
    const char *error = l->error;
    pthread_mutex_unlock(&l->lock);
    if (!result) {
        gn_log(GN_LOG_DEBUG, "%s", error);
        return 0;
    }
    say_goodbye(l, error);
    return result == -EPROTO ? -EPROTO : result;
}
