// SPDX-License-Identifier: Apache-2.0
// Marks: the server's word, unasked, that what an event or a stream stood for has passed. A mark has a name that the client gives; the name's
// place is used again when the word has come, so what a place's generation tells of an older name is all that is kept of it.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "remoting/session/session_parts.h"

// How many of the last uses of a place are remembered as "passed" or "in doubt": more than one, because an event may be asked for late.
enum { REMEMBERED = 64 };

struct place {
    uint64_t generation; // of the mark that is out there, or of the next one
    uint64_t doubts;     // bit k: the use that ended k + 1 uses ago ended in doubt
    uint64_t heard;      // when "not yet" was last known to be true
    uint32_t next_free;  // index + 1; the longest unused first
    bool out;
};

struct session_marks {
    struct place places[GN_MARKS_MAX];
    uint32_t first_free, last_free; // index + 1
};

// A mark's name: index | generation << 16.
static uint64_t name_of(uint32_t index, uint64_t generation) { return index | generation << 16; }
static uint32_t index_of(uint64_t mark) { return (uint32_t)mark & 0xffff; }

static struct session_marks *make(void)
{
    struct session_marks *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    for (uint32_t i = 0; i < GN_MARKS_MAX; i++) {
        m->places[i].generation = 1; // so that no name is 0
        m->places[i].next_free = i + 2 <= GN_MARKS_MAX ? i + 2 : 0;
    }
    m->first_free = 1;
    m->last_free = GN_MARKS_MAX;
    return m;
}

// With the marks' lock: the place of a mark that is out there, or NULL.
static struct place *find(struct gn_session *s, uint64_t mark)
{
    struct place *p = s->marks && index_of(mark) < GN_MARKS_MAX ? &s->marks->places[index_of(mark)] : NULL;
    return p && p->out && p->generation == mark >> 16 ? p : NULL;
}

// With the lock.
static void end(struct gn_session *s, struct place *p, bool doubt)
{
    struct session_marks *m = s->marks;
    uint32_t number = (uint32_t)(p - m->places) + 1;
    p->out = false;
    p->doubts = p->doubts << 1 | doubt;
    p->generation++;
    p->next_free = 0;
    if (m->last_free)
        m->places[m->last_free - 1].next_free = number;
    else
        m->first_free = number;
    m->last_free = number;
}

uint64_t gn_session_heard(struct gn_session *s) { return atomic_load_explicit(&s->heard, memory_order_acquire); }
void gn_session_doubt(struct gn_session *s) { atomic_fetch_add_explicit(&s->heard, 1, memory_order_acq_rel); }

uint64_t gn_session_mark_open(struct gn_session *s, uint64_t heard)
{
    uint64_t mark = 0;
    pthread_mutex_lock(&s->marks_lock);
    if (!s->marks)
        s->marks = make();
    struct session_marks *m = s->marks;
    if (m && m->first_free) {
        struct place *p = &m->places[m->first_free - 1];
        mark = name_of(m->first_free - 1, p->generation);
        m->first_free = p->next_free;
        if (!m->first_free)
            m->last_free = 0;
        p->out = true;
        p->heard = heard;
    }
    pthread_mutex_unlock(&s->marks_lock);
    return mark;
}

bool gn_session_mark_out(struct gn_session *s, uint64_t mark)
{
    pthread_mutex_lock(&s->marks_lock);
    bool out = find(s, mark) != NULL;
    pthread_mutex_unlock(&s->marks_lock);
    return out;
}

void gn_session_mark_drop(struct gn_session *s, uint64_t mark)
{
    pthread_mutex_lock(&s->marks_lock);
    struct place *p = find(s, mark);
    if (p)
        end(s, p, true);
    pthread_mutex_unlock(&s->marks_lock);
}

void gn_session_mark_renew(struct gn_session *s, uint64_t mark, uint64_t heard)
{
    pthread_mutex_lock(&s->marks_lock);
    struct place *p = find(s, mark);
    if (p && heard > p->heard)
        p->heard = heard;
    pthread_mutex_unlock(&s->marks_lock);
}

enum gn_mark_state gn_session_mark_look(struct gn_session *s, uint64_t mark)
{
    enum gn_mark_state state = GN_MARK_DOUBTFUL;
    pthread_mutex_lock(&s->marks_lock);
    const struct place *p = s->marks && index_of(mark) < GN_MARKS_MAX ? &s->marks->places[index_of(mark)] : NULL;
    uint64_t generation = mark >> 16;
    if (p && p->out && p->generation == generation)
        state = p->heard == atomic_load_explicit(&s->heard, memory_order_acquire) ? GN_MARK_PENDING : GN_MARK_DOUBTFUL;
    else if (p && generation && p->generation > generation && p->generation - generation <= REMEMBERED)
        state = p->doubts >> (p->generation - generation - 1) & 1 ? GN_MARK_DOUBTFUL : GN_MARK_PASSED;
    pthread_mutex_unlock(&s->marks_lock);
    return state;
}

// All marks of a message take effect at once: one of them may imply another, and no thread may see only the first.
int session_marks(struct gn_session *s, const struct gn_message *m, const void *body)
{
    uint32_t count = m->size_bytes / 8;
    const uint8_t *at = body;
    int error = m->size_bytes % 8 ? -1 : 0;
    pthread_mutex_lock(&s->marks_lock);
    for (uint32_t i = 0; i < count && !error; i++) {
        uint64_t mark;
        memcpy(&mark, at + i * sizeof mark, sizeof mark);
        struct place *p = find(s, mark);
        if (p)
            end(s, p, m->code != 0);
        else
            error = -1;
    }
    s->marks_heard += count;
    pthread_mutex_unlock(&s->marks_lock);
    return error;
}

void gn_session_poll(struct gn_session *s)
{
    int cancel; // a thread that were cancelled in a socket call would take the role with it
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    session_flush(s);
    gn_lock_take(&s->receive_lock);
    if (!s->receiving && !atomic_load(&s->over)) {
        s->receiving = true;
        gn_lock_give(&s->receive_lock);
        int error = session_pump(s, 0, NULL);
        if (error && error != -EAGAIN)
            session_fail(s, "receiving from the server failed: %s",
                         error == -ECONNRESET ? "it closed the connection" : strerror(-error));
        gn_lock_take(&s->receive_lock);
        s->receiving = false;
        session_pass_role(s);
    }
    gn_lock_give(&s->receive_lock);
    if (s->config.events.work && atomic_exchange(&s->host_due, false))
        s->config.events.work(s->config.events.ctx); // the program may be asking for what only this lets go on
    pthread_setcancelstate(cancel, NULL);
}

uint64_t gn_session_sequence(struct gn_session *s)
{
    gn_lock_take(&s->send_lock);
    uint64_t sequence = s->sequence;
    gn_lock_give(&s->send_lock);
    return sequence;
}
