// SPDX-License-Identifier: Apache-2.0
// Host functions, and copies from pinned memory that the client may only read when the stream arrives there: the stream says that it has
// arrived, the client is asked, and the stream stops at a gate until the answer is here.
#include <stdlib.h>
#include <time.h>

#include "server/run/run.h"
#include "server/worker/box.h"
#include "server/worker/commands.h"
#include "server/worker/due.h"
#include "server/worker/gate.h"
#include "server/worker/output.h"
#include "server/worker/staging.h"

enum {
    PULL_SLOTS = 4,            // pieces of one copy under way: enough to overlap the network with the device; as many slots and gates
    PULL_PIECES_MAX = 1 << 17, // of one copy: 64 GiB in pieces of the usual size; 6 MiB of the server's own memory
};

struct host_call {
    struct gn_due due;
    uint64_t token;
    struct gn_pass pass;
    bool gated; // the stream waits at a gate; otherwise only the client waits, to hear that it came to nothing
    bool asked; // the stream is there and the client knows
};

struct pull_piece {
    struct gn_pass pass;
    uint64_t offset, size_bytes;
    bool asked, arrived;
};

struct pull { // one copy. Piece i uses slot and gate i % PULL_SLOTS
    struct gn_due due;
    uint64_t transfer;
    uint32_t count, arrived, outstanding; // arrived: all pieces before this one; outstanding: asked for, not here
    int slots[PULL_SLOTS];                // -1: not taken, or given back
    bool gated[PULL_SLOTS];
    bool lost;         // the stream does not come any more
    bool held, ended;  // held: the thread that runs commands uses it, and frees it afterwards if it has ended
    struct pull_piece pieces[];
};

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

// With the lock. From here on the client may answer, which ends the call. It has to: the client counts what it has not been asked for.
static void ask_client(struct gn_worker *w, struct host_call *call, CUresult status)
{
    struct gn_message m = {.kind = GN_MESSAGE_HOST, .id = call->token, .code = (int32_t)status};
    call->asked = true;
    gn_output_push(w->output, &m, NULL);
}

static void call_due(const struct gn_due_note *note, struct gn_due *due, CUresult status)
{
    if (due)
        ask_client(note->worker, (struct host_call *)due, status);
}

static void call_lost(struct gn_worker *w, struct gn_due *due, CUresult code)
{
    struct host_call *call = (struct host_call *)due;
    if (!call->asked)
        ask_client(w, call, code);
}

CUresult gn_run_host_function(struct gn_worker *w, struct gn_request *q, const struct gn_args_host_function *a, struct gn_out_host_function *o)
{
    (void)o;
    CUstream stream;
    CUresult r = gn_find_stream(w, q, a->stream, &stream) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
    struct host_call *call = q->error ? NULL : malloc(sizeof *call);
    if (!call)
        return r ? r : CUDA_ERROR_OUT_OF_MEMORY;
    *call = (struct host_call){.due = {.kind = GN_DUE_CALL, .lost = call_lost}, .token = a->token};
    if (!r) {
        call->gated = take_gate(w, &call->pass);
        r = call->gated ? CUDA_SUCCESS : CUDA_ERROR_DEINITIALIZED;
    }
    struct gn_pass pass = call->pass;
    gn_due_add(w, &call->due);
    if (!r)
        r = gn_due_tell(w, stream, &call->due, 0, call_due);
    if (!r)
        return gn_gate_wait(w, stream, pass);
    gn_due_lock(w);
    ask_client(w, call, r);
    gn_due_unlock(w);
    gn_output_flush(w->output);
    return r;
}

bool gn_host_done(struct gn_worker *w, uint64_t token)
{
    bool found = false;
    gn_due_lock(w);
    for (struct gn_due *d = gn_due_first(w); d && !found; d = d->next) {
        struct host_call *call = (struct host_call *)d;
        if (d->kind != GN_DUE_CALL || !call->asked || call->token != token)
            continue;
        found = true;
        if (call->gated)
            gn_gate_pass(w, call->pass);
        gn_due_end(w, d);
        break;
    }
    gn_due_unlock(w);
    return found;
}

// --- pulled copies

static void ask_piece(struct gn_worker *w, struct pull *p, uint32_t index)
{
    struct pull_piece *piece = &p->pieces[index];
    struct gn_message m = {.kind = GN_MESSAGE_PULL, .id = p->transfer, .value = piece->offset, .size_bytes = sizeof piece->size_bytes};
    piece->asked = true;
    p->outstanding++;
    gn_output_push(w->output, &m, &piece->size_bytes);
}

static void give_slot(struct gn_worker *w, struct pull *p, unsigned lane)
{
    if (p->slots[lane] >= 0)
        gn_staging_release(w->staging, p->slots[lane]);
    p->slots[lane] = -1;
}

static void give_all(struct gn_worker *w, struct pull *p)
{
    for (unsigned lane = 0; lane < PULL_SLOTS; lane++) {
        give_slot(w, p, lane);
        if (p->gated[lane]) // all passages through it, up to the last one
            gn_gate_pass(w, p->pieces[lane + (p->count - 1 - lane) / PULL_SLOTS * PULL_SLOTS].pass);
        p->gated[lane] = false;
    }
}

static void end_pull(struct gn_worker *w, struct pull *p)
{
    p->ended = true;
    if (!p->held)
        gn_due_end(w, &p->due);
}

// With the lock. What the client has been asked for still comes, and has its place until then.
static void end_if_lost(struct gn_worker *w, struct pull *p)
{
    if (!p->lost || p->outstanding || p->ended)
        return;
    give_all(w, p);
    end_pull(w, p);
}

static void tell_done(struct gn_worker *w, uint64_t transfer, CUresult r)
{
    struct gn_message m = {.kind = GN_MESSAGE_DONE, .id = transfer, .code = (int32_t)r};
    gn_output_push(w->output, &m, NULL);
}

static void pull_lost(struct gn_worker *w, struct gn_due *due, CUresult code)
{
    struct pull *p = (struct pull *)due;
    if (p->lost || p->ended)
        return;
    p->lost = true;
    tell_done(w, p->transfer, code);
    end_if_lost(w, p);
}

enum { BEFORE_THE_FIRST = UINT32_MAX };

// The stream is before the first piece, or behind piece `index`.
static void step(const struct gn_due_note *note, struct gn_due *due, CUresult status)
{
    struct pull *p = (struct pull *)due;
    struct gn_worker *w = note->worker;
    uint32_t index = note->index;
    if (!p || p->lost)
        return;
    if (status) {
        pull_lost(w, due, status);
    } else if (index == (uint32_t)BEFORE_THE_FIRST) {
        for (uint32_t i = 0; i < p->count && i < PULL_SLOTS; i++)
            ask_piece(w, p, i);
    } else if (index + PULL_SLOTS < p->count) {
        ask_piece(w, p, index + PULL_SLOTS); // its slot has just been read by the device
    } else {
        give_slot(w, p, index % PULL_SLOTS);
        if (index + 1 == p->count)
            end_pull(w, p);
    }
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
    p->due = (struct gn_due){.kind = GN_DUE_PULL, .lost = pull_lost};
    p->transfer = transfer;
    p->count = count;
    p->held = true;
    for (unsigned lane = 0; lane < PULL_SLOTS; lane++)
        p->slots[lane] = -1;
    uint64_t offset = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct gn_piece piece = gn_device_box_piece(box, offset, w->limits.chunk_bytes);
        p->pieces[i] = (struct pull_piece){.offset = offset, .size_bytes = gn_piece_bytes(&piece)};
        offset += p->pieces[i].size_bytes;
    }
    return p;
}

// Everything the stream has to do for the copy. A piece that the driver refuses is asked for and thrown away, and the first such error goes to
// `refused`. The result is not 0 when the stream itself takes nothing more.
static CUresult enqueue(struct gn_worker *w, CUstream stream, struct pull *p, const struct gn_device_box *box, CUresult *refused)
{
    CUresult r = gn_due_tell(w, stream, &p->due, BEFORE_THE_FIRST, step);
    for (uint32_t i = 0; !r && i < p->count; i++) {
        struct gn_piece to = gn_device_box_piece(box, p->pieces[i].offset, w->limits.chunk_bytes);
        r = gn_gate_wait(w, stream, p->pieces[i].pass);
        if (r)
            break;
        if (!*refused)
            *refused = gn_piece_write(w, &to, gn_staging_data(w->staging, p->slots[i % PULL_SLOTS]), stream);
        r = gn_due_tell(w, stream, &p->due, i, step);
    }
    return r;
}

// A slot and a gate for each of the first pieces; those behind them use the same again.
static CUresult equip(struct gn_worker *w, struct pull *p)
{
    for (uint32_t i = 0; i < p->count && i < PULL_SLOTS; i++) {
        CUresult r = gn_due_slot(w, &p->slots[i]);
        if (r)
            return r;
    }
    for (uint32_t lane = 0; lane < p->count && lane < PULL_SLOTS; lane++) {
        struct gn_pass pass;
        if (!take_gate(w, &pass))
            return CUDA_ERROR_DEINITIALIZED;
        p->gated[lane] = true;
        p->pieces[lane].pass = pass;
        for (uint32_t i = lane + PULL_SLOTS; i < p->count; i += PULL_SLOTS) {
            gn_gate_again(w, &pass);
            p->pieces[i].pass = pass;
        }
    }
    return CUDA_SUCCESS;
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
    CUresult refused = CUDA_SUCCESS;
    if (!r && p->count > PULL_SLOTS)
        gn_commands_aside(w); // the driver's queue may fill up
    if (!r)
        r = equip(w, p);
    if (r) { // the client learns here that nobody will ask
        if (p)
            give_all(w, p);
        free(p);
        tell_done(w, a->transfer, r);
        return r;
    }
    gn_due_add(w, &p->due);
    r = enqueue(w, stream, p, &box, &refused);
    gn_due_lock(w);
    if (r)
        pull_lost(w, &p->due, r);
    p->held = false;
    if (p->ended)
        gn_due_end(w, &p->due);
    gn_due_unlock(w);
    return r ? r : refused;
}

// With the lock: the piece that the client has been asked for and has not sent. At most PULL_SLOTS of a copy are.
static struct pull_piece *find_piece(struct gn_worker *w, uint64_t transfer, uint64_t offset, struct pull **pull)
{
    for (struct gn_due *d = gn_due_first(w); d; d = d->next) {
        struct pull *p = (struct pull *)d;
        if (d->kind != GN_DUE_PULL || p->transfer != transfer)
            continue;
        for (uint32_t i = p->arrived; i < p->count && p->pieces[i].asked; i++)
            if (p->pieces[i].offset == offset && !p->pieces[i].arrived) {
                *pull = p;
                return &p->pieces[i];
            }
    }
    return NULL;
}

void *gn_pull_place(struct gn_worker *w, uint64_t transfer, uint64_t offset, uint64_t size_bytes)
{
    gn_due_lock(w);
    struct pull *p;
    const struct pull_piece *piece = find_piece(w, transfer, offset, &p);
    bool fits = piece && piece->size_bytes == size_bytes && !p->ended;
    void *place = fits ? gn_staging_data(w->staging, p->slots[(piece - p->pieces) % PULL_SLOTS]) : NULL;
    gn_due_unlock(w);
    return place;
}

void gn_pull_arrived(struct gn_worker *w, uint64_t transfer, uint64_t offset)
{
    struct pull *p;
    gn_due_lock(w);
    struct pull_piece *piece = find_piece(w, transfer, offset, &p);
    if (piece) { // otherwise the session has ended meanwhile and every stream went on
        uint32_t index = (uint32_t)(piece - p->pieces);
        piece->arrived = true;
        p->outstanding--;
        while (p->arrived < p->count && p->pieces[p->arrived].arrived)
            p->arrived++;
        if (!p->lost && index + PULL_SLOTS >= p->count) { // nothing behind it uses its gate
            p->gated[index % PULL_SLOTS] = false;
            gn_gate_pass(w, piece->pass);
        } else if (!p->lost) {
            gn_gate_open(w, piece->pass);
        }
        end_if_lost(w, p);
    }
    gn_due_unlock(w);
}
