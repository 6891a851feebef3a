// SPDX-License-Identifier: Apache-2.0
// The statistics: every thread counts for itself, the report adds up. Counting never stops, so a report may
// be written at any time.
#include "interpose/stats.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "interpose/genie.h"
#include "interpose/hints/hints.h"
#include "interpose/memory/memory_range.h"
#include "interpose/options.h"
#include "interpose/shadow/content.h"
#include "interpose/shadow/shadow.h"
#include "interpose/shim.h"
#include "interpose/writes/writes.h"

_Atomic int gn_watching;

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

void gn_watch_begin(struct gn_call *c)
{
    int watching = atomic_load_explicit(&gn_watching, memory_order_relaxed);
    c->traced = watching & GN_WATCH_TRACE;
    if (watching & GN_WATCH_TIME)
        c->started_ns = now_ns();
}

void gn_watch_end(struct gn_call *c) { gn_count(&c->thread->counts.time_ns, now_ns() - c->started_ns); }

static uint64_t sum_of(size_t offset_bytes)
{
    uint64_t sum = 0;
    for (struct gn_thread *t = atomic_load_explicit(&gn_threads, memory_order_acquire); t; t = t->next)
        sum += atomic_load_explicit((_Atomic uint64_t *)((char *)&t->counts + offset_bytes),
                                    memory_order_relaxed);
    return sum;
}
#define SUM(field)       sum_of(offsetof(struct gn_counts, field))
#define SUM_AT(field, i) sum_of(offsetof(struct gn_counts, field) + (i) * sizeof(uint64_t))

void gn_stats_put_text(FILE *f, const char *text)
{
    fputc('"', f);
    for (const unsigned char *p = (const unsigned char *)text; *p; p++)
        if (*p == '"' || *p == '\\')
            fprintf(f, "\\%c", *p);
        else if (*p < ' ' || *p > '~') // bytes that are perhaps no UTF-8: each as the character of its number
            fprintf(f, "\\u%04x", *p);
        else
            fputc(*p, f);
    fputc('"', f);
}

static void put_number(FILE *f, const char *name, uint64_t value)
{
    fprintf(f, ",\n  \"%s\": %llu", name, (unsigned long long)value);
}

static void put_calls(FILE *f)
{
    const char *comma = "";
    fprintf(f, ",\n  \"calls\": {");
    for (unsigned i = 0; i < GN_SYMBOLS; i++) {
        uint64_t count = SUM_AT(calls, i), errors = SUM_AT(errors, i);
        if (!count)
            continue;
        fprintf(f, "%s\n    \"%s\": {\"count\": %llu, \"errors\": %llu}", comma, gn_symbol_names[i],
                (unsigned long long)count, (unsigned long long)errors);
        comma = ",";
    }
    fprintf(f, "\n  }");
}

static void put_classes(FILE *f)
{
    static const struct {
        const char *name;
        enum gn_class class;
    } classes[] = {{"local", GN_LOCAL},
                   {"cached", GN_CACHED},
                   {"posted", GN_POSTED},
                   {"sync", GN_SYNC},
                   {"unsupported", GN_UNSUPPORTED}};
    fprintf(f, ",\n  \"calls_by_class\": {");
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        fprintf(f, "%s\"%s\": %llu", i ? ", " : "", classes[i].name,
                (unsigned long long)SUM_AT(classes, classes[i].class));
    fprintf(f, "}");
}

static void put_content(FILE *f)
{
    struct gn_content_counts n;
    gn_content_count(&n);
    const struct {
        const char *name;
        uint64_t value;
    } values[] = {{"offers", n.offers},
                  {"offered_chunks", n.offered_chunks},
                  {"known_chunks", n.known_chunks},
                  {"told_chunks", n.told_chunks},
                  {"remembered_chunks", n.remembered_chunks},
                  {"saved_bytes", n.saved_bytes},
                  {"stored_bytes", n.stored_bytes},
                  {"hashed_bytes", n.hashed_bytes}};
    fprintf(f, ",\n  \"content\": {");
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        fprintf(f, "%s\"%s\": %llu", i ? ", " : "", values[i].name, (unsigned long long)values[i].value);
    fprintf(f, "}");
}

static void put_report(FILE *f)
{
    int mode = atomic_load(&gn_shim.mode);
    bool remote = mode == GN_MODE_REMOTE || mode == GN_MODE_OVER;
    struct gn_session_counts n = {0};
    if (remote)
        gn_session_count(gn_shim.session, &n);
    fprintf(f, "{\n  \"genie\": \"%s\",\n  \"mode\": \"%s\"", GENIE_VERSION,
            remote                  ? "remote"
            : mode == GN_MODE_LOCAL ? "local"
                                    : "none");
    fprintf(f, ",\n  \"server\": ");
    gn_stats_put_text(f, remote ? gn_options.server : "");
    fprintf(f, ",\n  \"link\": ");
    gn_stats_put_text(f, n.link ? n.link : "");
    fprintf(f, ",\n  \"program\": ");
    gn_stats_put_text(f, program_invocation_short_name);
    put_number(f, "process", (uint64_t)getpid());
    put_calls(f);
    put_classes(f);
    struct gn_range_counts memory;
    gn_range_count(&memory);
    fprintf(f, ",\n  \"allocations\": {\"posted\": %llu, \"asked\": %llu, \"credit_bytes\": %llu}",
            (unsigned long long)memory.placed, (unsigned long long)memory.asked, (unsigned long long)memory.credit_bytes);
    put_number(f, "kernels", SUM(kernels));
    put_number(f, "shim_ns", SUM(time_ns));
    put_number(f, "kept_answers", SUM(kept));
    put_number(f, "round_trips", n.round_trips);
    put_number(f, "commands", n.commands);
    fprintf(f, ",\n  \"bytes_sent\": {\"commands\": %llu, \"payload\": %llu}",
            (unsigned long long)n.command_bytes_sent, (unsigned long long)n.payload_bytes_sent);
    fprintf(f, ",\n  \"bytes_received\": {\"commands\": %llu, \"payload\": %llu}",
            (unsigned long long)n.command_bytes_received, (unsigned long long)(n.payload_bytes_received + gn_shadow_fetched_bytes()));
    fprintf(f, ",\n  \"packed\": {\"before\": %llu, \"after\": %llu}", (unsigned long long)n.packed_raw_bytes,
            (unsigned long long)n.packed_bytes);
    put_number(f, "sends", n.sends);
    put_number(f, "receives", n.receives);
    put_number(f, "wakeups", n.wakeups);
    put_number(f, "lanes", n.lanes);
    put_number(f, "lane_sends", n.lane_sends);
    put_number(f, "lane_receives", n.lane_receives);
    put_number(f, "direct_sends", n.direct_sends);
    put_number(f, "lone_sends", n.lone_sends);
    put_number(f, "flush_sends", n.flush_sends);
    put_number(f, "late_sends", n.late_sends);
    put_number(f, "tail_sends", n.tail_sends);
    put_number(f, "looks", n.looks);
    put_number(f, "look_hits", n.look_hits);
    put_number(f, "marks", n.marks);
    if (gn_writes_on)
        fprintf(f, ",\n  \"proof\": {\"launches_known\": %llu, \"launches_unknown\": %llu, \"unlisted\": %llu}",
                (unsigned long long)SUM(launches_known), (unsigned long long)SUM(launches_unknown),
                (unsigned long long)SUM(writes_unlisted));
    put_number(f, "queries_known", SUM(known));
    put_number(f, "queries_asked", SUM(asked));
    gn_hints_put_stats(f);
    put_content(f);
    gn_shadow_put_stats(f);
    fprintf(f, "\n}\n");
}

int gn_stats_write(const char *path)
{
    char expanded[PATH_MAX];
    int error = gn_options_path(path, expanded, sizeof expanded);
    if (error)
        return error;
    FILE *f = fopen(expanded, "we");
    if (!f)
        return -errno;
    put_report(f);
    error = ferror(f) ? EIO : 0;
    if (fclose(f) && !error)
        error = errno;
    return -error;
}
