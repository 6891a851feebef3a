// SPDX-License-Identifier: Apache-2.0
// A session in place of the real one, for tests of the shim above it: it notes what is asked and answers what
// a test says. A program that links libgenie.a and includes this file in one source gets these functions, and
// the archive's session is not taken.
#ifndef GN_TESTS_FAKE_SESSION_H
#define GN_TESTS_FAKE_SESSION_H

#include <errno.h>
#include <string.h>

#include "api_wire.h"
#include "remoting/session/session.h"

static struct {
    unsigned asked[GN_OPS], posted[GN_OPS];
    uint64_t context; // of the last command
    int status;       // of every command
    int32_t code;     // of the next answer
    struct gn_latched latched;
    const char *over;
    unsigned long long id;
} fake;

int gn_session_ask(struct gn_session *s, uint64_t context, unsigned op, const void *args, void *out,
                   int32_t *code, struct gn_latched *latched)
{
    (void)s, (void)args;
    if (fake.status)
        return fake.status;
    fake.asked[op]++;
    fake.context = context;
    *code = fake.code;
    *latched = fake.latched;
    fake.code = 0;
    memset(&fake.latched, 0, sizeof fake.latched);
    if (op == GN_OP_primary_retain)
        *(struct gn_out_primary_retain *)out = (struct gn_out_primary_retain){++fake.id, 8, 13000, 0, -5};
    if (op == GN_OP_context_create)
        *(struct gn_out_context_create *)out = (struct gn_out_context_create){++fake.id, 0, 13000, 0, -5};
    if (op == GN_OP_context_get_limit)
        ((struct gn_out_context_get_limit *)out)->value =
            1000 + ((const struct gn_args_context_get_limit *)args)->limit;
    return 0;
}
int gn_session_post(struct gn_session *s, uint64_t context, unsigned op, const void *args, int32_t *code)
{
    (void)s, (void)args;
    *code = 0;
    fake.posted[op] += !fake.status;
    fake.context = context;
    return fake.status;
}
const char *gn_session_over(const struct gn_session *s)
{
    (void)s;
    return fake.over;
}
int gn_session_open(struct gn_session **s, struct gn_link *l, const struct gn_session_config *c,
                    const struct gn_welcome *w)
{
    (void)s, (void)l, (void)c, (void)w;
    return -ENOSYS;
}
void gn_session_close(struct gn_session *s) { (void)s; }
void gn_session_forked(struct gn_session *s) { (void)s; }
int gn_session_post_payload(struct gn_session *s, uint64_t context, unsigned op, void *args, const void *data,
                            size_t n, int32_t *code)
{
    (void)data, (void)n;
    return gn_session_post(s, context, op, args, code);
}
int gn_session_read(struct gn_session *s, uint64_t c, void *a, const struct gn_box *to, int32_t *code,
                    struct gn_latched *latched)
{
    (void)to;
    return gn_session_ask(s, c, GN_OP_read, a, NULL, code, latched);
}
int gn_session_read_async(struct gn_session *s, uint64_t c, void *a, const struct gn_box *to, int32_t *code)
{
    (void)to;
    return gn_session_post(s, c, GN_OP_read_async, a, code);
}
int gn_session_write_pull(struct gn_session *s, uint64_t c, void *a, const struct gn_box *from, int32_t *code)
{
    (void)from;
    return gn_session_post(s, c, GN_OP_write_pull, a, code);
}
bool gn_session_host_pending(struct gn_session *s)
{
    (void)s;
    return false;
}
void gn_session_host_expected(struct gn_session *s) { (void)s; }
void gn_session_lane(void *session, int fd) { (void)session, (void)fd; }
void gn_session_use_lanes(struct gn_session *session, struct gn_lanes *lanes)
{
    (void)session;
    (void)lanes;
}
int gn_session_host_done(struct gn_session *s, uint64_t token)
{
    (void)s, (void)token;
    return 0;
}
void gn_session_count(struct gn_session *s, struct gn_session_counts *counts)
{
    (void)s;
    memset(counts, 0, sizeof *counts);
}

// There are no marks to be had: every query asks.
uint64_t gn_session_heard(struct gn_session *s)
{
    (void)s;
    return 0;
}
void gn_session_doubt(struct gn_session *s) { (void)s; }
uint64_t gn_session_mark_open(struct gn_session *s, uint64_t heard)
{
    (void)s, (void)heard;
    return 0;
}
void gn_session_mark_drop(struct gn_session *s, uint64_t mark) { (void)s, (void)mark; }
void gn_session_mark_renew(struct gn_session *s, uint64_t mark, uint64_t heard)
{
    (void)s, (void)mark, (void)heard;
}
enum gn_mark_state gn_session_mark_look(struct gn_session *s, uint64_t mark)
{
    (void)s, (void)mark;
    return GN_MARK_DOUBTFUL;
}
bool gn_session_mark_out(struct gn_session *s, uint64_t mark)
{
    (void)s, (void)mark;
    return false;
}
void gn_session_poll(struct gn_session *s) { (void)s; }
uint64_t gn_session_sequence(struct gn_session *s)
{
    (void)s;
    return ++fake.id;
}

#endif
