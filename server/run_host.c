// SPDX-License-Identifier: Apache-2.0
// Host functions, and copies from pinned memory that the client may only read when the stream arrives there: the stream says that it has
// arrived, the client is asked, and the stream stops at a gate until the answer is here.
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "server/box.h"
#include "server/gate.h"
#include "server/host.h"
#include "server/commands.h"
#include "server/output.h"
#include "server/run.h"
#include "server/staging.h"

enum {
    PULL_SLOTS = 4,            // pieces of one copy under way: enough to overlap the network with the device; as many slots and gates
    PULL_PIECES_MAX = 1 << 17, // of one copy: 64 GiB in pieces of the usual size; 6 MiB of the server's own memory
};

struct host_call {
    struct host_call *next;
    struct gn_worker *worker;
    uint64_t token;
    struct gn_pass pass;
    bool asked; // the stream is there and the client knows
};

struct pull_piece {
    struct gn_pass pass;
    uint64_t offset, size_bytes;
    int slot;
    bool asked, arrived;
};

struct pull { // one copy
    struct pull *next;
    struct gn_worker *worker;
    uint64_t transfer;
    uint32_t count, gates; // gates: taken
    uint32_t arrived;      // all pieces before this one
    struct pull_piece pieces[];
};

struct gn_pulls {
    pthread_mutex_t lock;
    struct host_call *calls;
    struct pull *pulls;
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
    for (struct host_call *c = all->calls, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    for (struct pull *p = all->pulls, *next; p; p = next) {
        next = p->next;
        free(p);
    }
    pthread_mutex_destroy(&all->lock);
    free(all);
}

// A gate, waiting for one where all are in use. false: the session is over.
static bool take_gate(struct gn_worker *w, struct gn_pass *pass)
{
    if (gn_gate_take(w, pass))
        return true;
    gn_commands_aside(w);
    while (!gn_gate_take(w, pass)) {
        struct timespec pause = {.tv_nsec = 100000};
        if (gn_gates_stopped(w))
            return false;
        nanosleep(&pause, NULL);
    }
    return true;
}

// --- host functions

static void call_client(void *data)
{
    struct host_call *call = data;
    struct gn_worker *w = call->worker;
    struct gn_message m = {.kind = GN_MESSAGE_HOST, .id = call->token};
    pthread_mutex_lock(&w->pulls->lock);
    call->asked = true; // from here on the client may answer, which frees the call
    pthread_mutex_unlock(&w->pulls->lock);
    gn_output_push(w->output, &m, NULL);
    gn_output_flush(w->output);
}

// The call that the client has been asked for under this token, or the one given, off the list.
static struct host_call *unlink_call(struct gn_pulls *p, uint64_t token, const struct host_call *given)
{
    struct host_call *found = NULL;
    pthread_mutex_lock(&p->lock);
    for (struct host_call **at = &p->calls; *at; at = &(*at)->next)
        if (given ? *at == given : (*at)->asked && (*at)->token == token) {
            found = *at;
            *at = found->next;
            break;
        }
    pthread_mutex_unlock(&p->lock);
    return found;
}

CUresult gn_run_host_function(struct gn_worker *w, struct gn_request *q, const struct gn_args_host_function *a, struct gn_out_host_function *o)
{
    (void)o;
    CUstream stream;
    if (!gn_find_stream(w, q, a->stream, &stream))
        return CUDA_ERROR_INVALID_HANDLE;
    struct host_call *call = malloc(sizeof *call);
    if (!call)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *call = (struct host_call){.worker = w, .token = a->token};
    if (!take_gate(w, &call->pass)) {
        free(call);
        return CUDA_ERROR_DEINITIALIZED;
    }
    struct gn_pass pass = call->pass;
    pthread_mutex_lock(&w->pulls->lock);
    call->next = w->pulls->calls;
    w->pulls->calls = call;
    pthread_mutex_unlock(&w->pulls->lock);
    CUresult r = GN_DRIVER(w, cuLaunchHostFunc, stream, call_client, call);
    if (r) { // nobody will ever answer
        free(unlink_call(w->pulls, 0, call));
        gn_gate_pass(w, pass);
        return r;
    }
    return gn_gate_wait(w, stream, pass);
}

bool gn_host_done(struct gn_worker *w, uint64_t token)
{
    struct host_call *call = unlink_call(w->pulls, token, NULL);
    if (call)
        gn_gate_pass(w, call->pass);
    free(call);
    return call;
}

// --- pulled copies

static void ask_piece(struct pull *p, uint32_t index)
{
    struct pull_piece *piece = &p->pieces[index];
    pthread_mutex_lock(&p->worker->pulls->lock);
    piece->asked = true;
    pthread_mutex_unlock(&p->worker->pulls->lock);
    struct gn_message m = {.kind = GN_MESSAGE_PULL, .id = p->transfer, .value = piece->offset, .size_bytes = sizeof piece->size_bytes};
    gn_output_push(p->worker->output, &m, &piece->size_bytes);
    gn_output_flush(p->worker->output);
}

struct pull_step { // a point of the stream: before the first piece, or behind piece `index`
    struct pull *pull;
    uint32_t index;
    bool first;
};

static void unlink_pull(struct pull *p)
{
    struct gn_pulls *all = p->worker->pulls;
    pthread_mutex_lock(&all->lock);
    for (struct pull **at = &all->pulls; *at; at = &(*at)->next)
        if (*at == p) {
            *at = p->next;
            break;
        }
    pthread_mutex_unlock(&all->lock);
}

static void step(void *data)
{
    struct pull_step s = *(struct pull_step *)data;
    struct pull *p = s.pull;
    free(data);
    if (s.first) {
        for (uint32_t i = 0; i < p->count && i < PULL_SLOTS; i++)
            ask_piece(p, i);
    } else if (s.index + PULL_SLOTS < p->count) {
        ask_piece(p, s.index + PULL_SLOTS); // its slot has just been read by the device
    } else {
        gn_staging_release(p->worker->staging, p->pieces[s.index].slot);
        if (s.index + 1 == p->count) {
            unlink_pull(p);
            free(p);
        }
    }
}

static CUresult add_step(struct gn_worker *w, CUstream stream, struct pull *p, uint32_t index, bool first)
{
    struct pull_step *s = malloc(sizeof *s);
    if (!s)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *s = (struct pull_step){p, index, first};
    CUresult r = GN_DRIVER(w, cuLaunchHostFunc, stream, step, s);
    if (r)
        free(s);
    return r;
}

static struct pull *plan(struct gn_worker *w, const struct gn_device_box *box, uint64_t size, uint64_t transfer)
{
    uint32_t count = 0;
    for (uint64_t offset = 0; offset < size; count++) {
        if (count == PULL_PIECES_MAX)
            return NULL;
        struct gn_piece piece = gn_device_box_piece(box, offset, w->limits.chunk_bytes);
        offset += gn_piece_bytes(&piece);
    }
    struct pull *p = calloc(1, sizeof *p + count * sizeof p->pieces[0]);
    if (!p)
        return NULL;
    p->worker = w;
    p->transfer = transfer;
    p->count = count;
    uint64_t offset = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct gn_piece piece = gn_device_box_piece(box, offset, w->limits.chunk_bytes);
        p->pieces[i] = (struct pull_piece){.offset = offset, .size_bytes = gn_piece_bytes(&piece), .slot = -1};
        offset += p->pieces[i].size_bytes;
    }
    return p;
}

// Everything the stream has to do for the copy. A piece that the driver refuses is asked for and thrown away: the client is told of all of them,
// and the first error is the copy's. When the stream itself takes nothing more the context is lost, and the session with it: what was taken stays
// taken until its end. *begun: the stream has something that will use p.
static CUresult enqueue(struct gn_worker *w, CUstream stream, struct pull *p, const struct gn_device_box *box, bool *begun)
{
    CUresult r = add_step(w, stream, p, 0, true), refused = CUDA_SUCCESS;
    uint32_t count = p->count;
    *begun = !r;
    for (uint32_t i = 0; !r && i < count; i++) {
        // p lives until the last step has run, which is enqueued below in the last round.
        struct pull_piece *piece = &p->pieces[i];
        struct gn_piece to = gn_device_box_piece(box, piece->offset, w->limits.chunk_bytes);
        r = gn_gate_wait(w, stream, piece->pass);
        if (r)
            break;
        if (!refused)
            refused = gn_piece_write(w, &to, gn_staging_data(w->staging, piece->slot), stream);
        r = add_step(w, stream, p, i, false);
    }
    return r ? r : refused;
}

// A slot and a gate for each of the first pieces; those behind them use the same again.
static CUresult equip(struct gn_worker *w, struct pull *p)
{
    for (uint32_t i = 0; i < p->count; i++) {
        struct pull_piece *piece = &p->pieces[i];
        if (i >= PULL_SLOTS) {
            piece->slot = p->pieces[i - PULL_SLOTS].slot;
            piece->pass = p->pieces[i - PULL_SLOTS].pass;
            gn_gate_again(w, &piece->pass);
            continue;
        }
        if (!take_gate(w, &piece->pass))
            return CUDA_ERROR_DEINITIALIZED;
        p->gates = i + 1;
        piece->slot = gn_staging_take(w->staging, GN_SLOT_OUT);
        if (piece->slot < 0) { // streams that wait for the client may hold them all
            gn_commands_aside(w);
            piece->slot = gn_staging_take_out(w->staging);
        }
        if (piece->slot < 0)
            return CUDA_ERROR_DEINITIALIZED;
    }
    return CUDA_SUCCESS;
}

static void unequip(struct gn_worker *w, const struct pull *p)
{
    for (uint32_t i = 0; i < p->gates; i++) {
        uint32_t last = i;
        while (last + PULL_SLOTS < p->count && p->gates == PULL_SLOTS)
            last += PULL_SLOTS;
        gn_gate_pass(w, p->pieces[last].pass);
        if (p->pieces[i].slot >= 0)
            gn_staging_release(w->staging, p->pieces[i].slot);
    }
}

CUresult gn_run_write_pull(struct gn_worker *w, struct gn_request *q, const struct gn_args_write_pull *a, struct gn_out_write_pull *o)
{
    (void)o;
    struct gn_device_box box = {a->address, a->pitch_bytes, a->slice_bytes, a->width_bytes, a->rows, a->slices};
    uint64_t size;
    CUstream stream;
    if (!gn_device_box_bytes(&box, &size)) {
        q->error = "a copy of no bytes, or of too many";
        return CUDA_ERROR_INVALID_VALUE;
    }
    struct pull *p = gn_find_stream(w, q, a->stream, &stream) ? plan(w, &box, size, a->transfer) : NULL;
    CUresult r = q->dropped || q->error ? CUDA_ERROR_INVALID_HANDLE : p ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
    bool begun = false;
    if (!r && p->count > PULL_SLOTS)
        gn_commands_aside(w); // the driver's queue may fill up
    if (!r)
        r = equip(w, p);
    if (!r) {
        pthread_mutex_lock(&w->pulls->lock);
        p->next = w->pulls->pulls;
        w->pulls->pulls = p;
        pthread_mutex_unlock(&w->pulls->lock);
        r = enqueue(w, stream, p, &box, &begun);
        if (!begun)
            unlink_pull(p);
    }
    if (p && !begun) {
        unequip(w, p);
        free(p);
    }
    if (!begun) { // the client learns here that nobody will ask
        struct gn_message m = {.kind = GN_MESSAGE_DONE, .id = a->transfer, .code = (int32_t)r};
        gn_output_push(w->output, &m, NULL);
    }
    return r;
}

// With the lock: the piece that the client has been asked for and has not sent. At most PULL_SLOTS of a copy are.
static struct pull_piece *find_piece(struct gn_pulls *all, uint64_t transfer, uint64_t offset, struct pull **pull)
{
    for (struct pull *p = all->pulls; p; p = p->next)
        if (p->transfer == transfer)
            for (uint32_t i = p->arrived; i < p->count && p->pieces[i].asked; i++)
                if (p->pieces[i].offset == offset && !p->pieces[i].arrived) {
                    *pull = p;
                    return &p->pieces[i];
                }
    return NULL;
}

void *gn_pull_place(struct gn_worker *w, uint64_t transfer, uint64_t offset, uint64_t size_bytes)
{
    pthread_mutex_lock(&w->pulls->lock);
    struct pull *p;
    const struct pull_piece *piece = find_piece(w->pulls, transfer, offset, &p);
    void *place = piece && piece->size_bytes == size_bytes ? gn_staging_data(w->staging, piece->slot) : NULL;
    pthread_mutex_unlock(&w->pulls->lock);
    return place;
}

void gn_pull_arrived(struct gn_worker *w, uint64_t transfer, uint64_t offset)
{
    pthread_mutex_lock(&w->pulls->lock);
    struct pull *p;
    struct pull_piece *piece = find_piece(w->pulls, transfer, offset, &p);
    if (!piece) { // the session has ended meanwhile and every stream went on
        pthread_mutex_unlock(&w->pulls->lock);
        return;
    }
    struct gn_pass pass = piece->pass;
    bool last = piece - p->pieces + PULL_SLOTS >= p->count; // nothing behind it uses its gate
    piece->arrived = true;
    while (p->arrived < p->count && p->pieces[p->arrived].arrived)
        p->arrived++;
    pthread_mutex_unlock(&w->pulls->lock);
    if (last)
        gn_gate_pass(w, pass);
    else
        gn_gate_open(w, pass);
}
