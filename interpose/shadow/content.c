// SPDX-License-Identifier: Apache-2.0
// Offers, and what the server is known to have.
//
// Chunks are counted from the start of the allocation that they go to. Their digests are offered in groups that grow, so a large copy costs a
// handful of round trips; then each chunk is written by name or with its bytes, in order. What the server has promised it keeps for the session:
// a chunk that is uploaded again needs no question; nor do those that the server tells of beyond
// what was asked, because they came next when it was stored. A session may have so much promised only. When that is full, the next offer lets go of all of
// it, which is possible while nobody else is about to use a promise.
#include "interpose/shadow/content.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "api_wire.h"
#include "core/content.h"
#include "core/frame.h"
#include "interpose/log.h"
#include "interpose/memory/memory_map.h"
#include "interpose/options.h"
#include "remoting/content_room.h"
#include "remoting/digest.h"

enum { GROUPS = 4, GROUP_CHUNKS_MAX = 512 };
static const uint16_t group_chunks[GROUPS] = {16, 64, 256, GROUP_CHUNKS_MAX};

struct chunk {
    uint64_t offset_bytes;
    struct gn_content content; // no digest below GN_CONTENT_BYTES_MIN
    bool known, remembered; // at the server; and that without a question
};

struct upload { // one copy or image on its way
    struct gn_call *c;
    const uint8_t *data;
    uint64_t size_bytes, origin, at_bytes; // origin: of the chunks, not behind 0 of the data; at: how far groups have been made
    struct chunk *chunks;                  // of the group
    struct gn_content *offer;
    uint32_t count, group;
};
typedef CUresult send_fn(struct upload *u, const struct chunk *k, void *ctx);

static struct {
    pthread_mutex_t lock; // guards what follows; never held while a command is sent or answered
    struct gn_content_set promised;
    unsigned users; // uploads that may be about to use a promise
    bool full;      // the server can promise no more
    bool forgetting;
    bool off; // it has no store
} state = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct {
    _Atomic uint64_t offers, offered_chunks, known_chunks, told_chunks, remembered_chunks, saved_bytes, stored_bytes, hashed_bytes;
} counts;

static void add(_Atomic uint64_t *count, uint64_t more) { atomic_fetch_add_explicit(count, more, memory_order_relaxed); }

void gn_content_count(struct gn_content_counts *n)
{
    *n = (struct gn_content_counts){counts.offers, counts.offered_chunks, counts.known_chunks, counts.told_chunks, counts.remembered_chunks, counts.saved_bytes, counts.stored_bytes, counts.hashed_bytes};
}

void gn_content_forked(void) { pthread_mutex_init(&state.lock, NULL); }

static uint64_t chunk_bytes(void)
{
    uint64_t chunk = gn_shim.welcome.chunk_bytes;
    return chunk && chunk < GN_CONTENT_BYTES_MAX ? chunk : GN_CONTENT_BYTES_MAX;
}

// --- what is promised

// False: nothing can be sent by name now.
static bool begin(void)
{
    pthread_mutex_lock(&state.lock);
    bool on = !state.off && !state.forgetting;
    state.users += on;
    pthread_mutex_unlock(&state.lock);
    return on;
}

static void end(void)
{
    pthread_mutex_lock(&state.lock);
    state.users--;
    pthread_mutex_unlock(&state.lock);
}

static bool alone(void)
{
    pthread_mutex_lock(&state.lock);
    bool is = state.users == 1;
    pthread_mutex_unlock(&state.lock);
    return is;
}

// --- a group

static bool has_digest(const struct chunk *k) { return k->content.size_bytes >= GN_CONTENT_BYTES_MIN; }

static void make_group(struct upload *u)
{
    uint32_t most = group_chunks[u->group < GROUPS ? u->group : GROUPS - 1];
    u->group++;
    for (u->count = 0; u->count < most && u->at_bytes < u->size_bytes; u->count++) {
        struct chunk *k = &u->chunks[u->count];
        uint64_t size_bytes = gn_content_chunk(0, u->origin + u->at_bytes, u->size_bytes - u->at_bytes, chunk_bytes());
        *k = (struct chunk){.offset_bytes = u->at_bytes, .content.size_bytes = size_bytes};
        if (has_digest(k)) {
            k->content = gn_content_of(u->data + u->at_bytes, size_bytes);
            add(&counts.hashed_bytes, size_bytes);
        }
        u->at_bytes += size_bytes;
    }
}

// Marks what is promised already, from this chunk of the group on; the others go into the offer. Their number.
static uint32_t gather(struct upload *u, uint32_t from)
{
    uint32_t n = 0;
    pthread_mutex_lock(&state.lock);
    for (uint32_t i = from; i < u->count; i++) {
        struct chunk *k = &u->chunks[i];
        k->known = k->remembered = has_digest(k) && gn_content_set_find(&state.promised, &k->content);
        if (has_digest(k) && !k->known)
            u->offer[n++] = k->content;
    }
    pthread_mutex_unlock(&state.lock);
    return n;
}

// Whether this offer lets go of what is promised. Nobody else uses any of it then, nor begins to before the offer is answered.
static bool begin_forgetting(void)
{
    pthread_mutex_lock(&state.lock);
    bool forgets = state.full && state.users == 1;
    if (forgets) {
        state.forgetting = true;
        state.full = false;
        gn_content_set_clear(&state.promised);
    }
    pthread_mutex_unlock(&state.lock);
    return forgets;
}

// How many of the chunks asked for the server has.
static uint32_t take_answer(struct upload *u, uint32_t from, const struct gn_out_content_offer *out, bool forgot)
{
    uint32_t n = 0, known = 0;
    const uint8_t *bits = out->known;
    pthread_mutex_lock(&state.lock);
    for (uint32_t i = from; i < u->count && n / 8 < out->known_bytes; i++) {
        struct chunk *k = &u->chunks[i];
        if (!has_digest(k) || k->known)
            continue;
        k->known = bits[n / 8] >> n % 8 & 1;
        n++;
        known += k->known;
        if (k->known && !gn_content_set_find(&state.promised, &k->content) && gn_content_set_grow(&state.promised))
            gn_content_set_add(&state.promised, &k->content, 0);
    }
    for (uint32_t at = 0; at + sizeof(struct gn_content) <= out->more_bytes; at += sizeof(struct gn_content)) {
        struct gn_content more;
        memcpy(&more, (const uint8_t *)out->more + at, sizeof more);
        if (more.size_bytes && !gn_content_set_find(&state.promised, &more) && gn_content_set_grow(&state.promised))
            gn_content_set_add(&state.promised, &more, 0);
    }
    state.full |= !!(out->state & GN_OFFER_FULL);
    state.off |= !(out->state & GN_OFFER_ON);
    if (forgot)
        state.forgetting = false;
    pthread_mutex_unlock(&state.lock);
    add(&counts.known_chunks, known);
    add(&counts.told_chunks, out->more_bytes / sizeof(struct gn_content));
    return known;
}

// Asks for what is not promised yet. True: more of the group might be promised if the client forgot, and it can. A question that fails is
// answered as if the server had nothing; what else it tells of is told by a later call, as without the question.
static bool ask(struct upload *u, uint32_t from)
{
    uint32_t n = gather(u, from);
    if (!n)
        return false;
    bool forgets = begin_forgetting();
    if (forgets) // what was promised a moment ago is not any more
        n = gather(u, from);
    struct gn_args_content_offer args = {
        .flags = forgets ? GN_OFFER_FORGET : 0, .contents = u->offer, .contents_bytes = n * (uint32_t)sizeof *u->offer};
    struct gn_out_content_offer out = {0};
    struct gn_call quiet = *u->c;
    quiet.op = GN_OP_content_offer; // which reports no earlier error
    if (gn_ask(&quiet, GN_OP_content_offer, &args, &out))
        out = (struct gn_out_content_offer){.state = GN_OFFER_ON};
    add(&counts.offers, 1);
    add(&counts.offered_chunks, n);
    uint32_t known = take_answer(u, from, &out, forgets);
    return out.state & GN_OFFER_FULL && (known || !forgets);
}

static CUresult send_chunks(struct upload *u, uint32_t from, uint32_t to, send_fn *send, void *ctx)
{
    CUresult r = CUDA_SUCCESS;
    for (uint32_t i = from; !r && i < to; i++) {
        const struct chunk *k = &u->chunks[i];
        r = send(u, k, ctx);
        add(&counts.remembered_chunks, k->remembered);
        add(k->known ? &counts.saved_bytes : &counts.stored_bytes, has_digest(k) ? k->content.size_bytes : 0);
    }
    return r;
}

// One group: asked for and sent. Where the server can promise no more, what it has promised is used first, and the rest asked for anew.
static CUresult upload_group(struct upload *u, send_fn *send, void *ctx)
{
    CUresult r = CUDA_SUCCESS;
    for (uint32_t from = 0, to; !r && from < u->count; from = to) {
        to = u->count;
        if (ask(u, from)) {
            while (to > from && !u->chunks[to - 1].known)
                to--;
            if (to == from && !alone()) // others use what is promised: no room comes
                to = u->count;
        }
        r = send_chunks(u, from, to, send, ctx);
    }
    return r;
}

static CUresult upload_groups(struct upload *u, send_fn *send, void *ctx)
{
    CUresult r = CUDA_SUCCESS;
    uint64_t chunks = u->size_bytes / chunk_bytes() + 2;
    chunks = chunks < GROUP_CHUNKS_MAX ? chunks : GROUP_CHUNKS_MAX;
    void *memory = malloc(chunks * (sizeof *u->chunks + sizeof *u->offer));
    if (!memory)
        return CUDA_ERROR_OUT_OF_MEMORY;
    u->chunks = memory;
    u->offer = (struct gn_content *)&u->chunks[chunks];
    while (!r && u->at_bytes < u->size_bytes) {
        make_group(u);
        r = upload_group(u, send, ctx);
    }
    free(memory);
    return r;
}

// --- copies

struct target {
    uint64_t stream, address;
    struct gn_meaning meaning;
};

static CUresult post_payload(struct upload *u, unsigned op, void *args, const struct chunk *k)
{
    int32_t code;
    int status = gn_session_post_payload(gn_shim.session, gn_context_id(u->c), op, args, u->data + k->offset_bytes, k->content.size_bytes, &code);
    gn_writes_sent(u->c, op, args);
    return gn_posted(u->c, op, status, code);
}

static CUresult write_plain(struct upload *u, const struct chunk *k, void *ctx)
{
    const struct target *t = ctx;
    uint64_t n = k->content.size_bytes;
    struct gn_args_write args = {t->stream, t->address + k->offset_bytes, n, n, 1, u->data + k->offset_bytes, n};
    return post_payload(u, GN_OP_write, &args, k);
}

static CUresult write_chunk(struct upload *u, const struct chunk *k, void *ctx)
{
    const struct target *t = ctx;
    uint64_t address = t->address + k->offset_bytes;
    if (!has_digest(k))
        return write_plain(u, k, ctx);
    if (!k->known) {
        struct gn_args_write_stored args = {t->stream, address, k->content.low, k->content.high, u->data + k->offset_bytes, k->content.size_bytes};
        return post_payload(u, GN_OP_write_stored, &args, k);
    }
    gn_hints_saved(t->meaning, GN_SAVED_CONTENT, k->content.size_bytes);
    return gn_post(u->c, GN_OP_write_content,
                   &(struct gn_args_write_content){t->stream, address, k->content.low, k->content.high, k->content.size_bytes});
}

static CUresult write_all_plain(struct upload *u, struct target *t)
{
    CUresult r = CUDA_SUCCESS;
    while (!r && u->at_bytes < u->size_bytes) {
        struct chunk k = {.offset_bytes = u->at_bytes, .content.size_bytes = gn_content_chunk(0, u->at_bytes, u->size_bytes - u->at_bytes, chunk_bytes())};
        r = write_plain(u, &k, t);
        u->at_bytes += k.content.size_bytes;
    }
    return r;
}

CUresult gn_content_write(struct gn_call *c, uint64_t stream, uint64_t address, const void *data, uint64_t size_bytes, struct gn_meaning m)
{
    struct gn_memory memory;
    struct target target = {stream, address, m};
    struct upload u = {.c = c, .data = data, .size_bytes = size_bytes};
    if (gn_memory_look(address, &memory))
        u.origin = address - memory.region.start;
    bool small = size_bytes < GN_CONTENT_BYTES_MIN;
    if (small || !begin()) {
        gn_hints_why(m, small ? "dedupe: copies of less than 4 KiB are sent" : "dedupe: the server keeps no content");
        return write_all_plain(&u, &target);
    }
    CUresult r = upload_groups(&u, write_chunk, &target);
    end();
    return r;
}

// --- images

bool gn_content_takes_image(uint64_t size_bytes)
{
    struct gn_session_counts n;
    if (size_bytes < GN_CONTENT_IMAGE_BYTES_MIN || !gn_options_on(GN_OPT_CONTENT))
        return false;
    pthread_mutex_lock(&state.lock);
    bool off = state.off;
    pthread_mutex_unlock(&state.lock);
    if (off)
        return false;
    gn_session_count(gn_shim.session, &n);
    return strcmp(n.link, "shared memory"); // through shared memory the bytes cost less than their digest
}

static CUresult send_image_chunk(struct upload *u, const struct chunk *k, void *ctx)
{
    uint32_t upload = *(const uint32_t *)ctx;
    if (k->known)
        return gn_post(u->c, GN_OP_image_content,
                       &(struct gn_args_image_content){u->size_bytes, k->offset_bytes, k->content.low, k->content.high, k->content.size_bytes, upload});
    struct gn_args_image_part args = {u->size_bytes, k->offset_bytes, upload, u->data + k->offset_bytes, k->content.size_bytes};
    return post_payload(u, GN_OP_image_part, &args, k);
}

CUresult gn_content_image(struct gn_call *c, uint32_t upload, const void *data, uint64_t size_bytes)
{
    struct upload u = {.c = c, .data = data, .size_bytes = size_bytes, .group = GROUPS - 1};
    if (!begin()) {
        CUresult r = CUDA_SUCCESS;
        while (!r && u.at_bytes < size_bytes) {
            struct chunk k = {.offset_bytes = u.at_bytes, .content.size_bytes = gn_content_chunk(0, u.at_bytes, size_bytes - u.at_bytes, chunk_bytes())};
            r = send_image_chunk(&u, &k, &upload);
            u.at_bytes += k.content.size_bytes;
        }
        return r;
    }
    CUresult r = upload_groups(&u, send_image_chunk, &upload);
    end();
    return r;
}
