// SPDX-License-Identifier: Apache-2.0
// The table: each series beside the row that it is compared with, the machine's limit and the target.
#include <fnmatch.h>
#include <math.h>
#include <string.h>

#include "bench/results.h"

// What a workload cannot be faster than.
static const struct {
    const char *workload, *metric, *transport, *limit; // transport NULL: any; patterns as of a shell
} limits[] = {
    {"sync_idle", "time", "shm", "pingpong_futex"}, {"sync_idle", "time", NULL, "pingpong"},
    {"launch_sync", "time", NULL, "pingpong"},      {"step_300", "time", NULL, "step_bare"},
    {"lone_launch", "time", NULL, "pingpong"},      {"htod_*iB", "bandwidth", NULL, "stream_copy"},
    {"dtoh_*iB", "bandwidth", NULL, "stream_copy"},
};

enum bound { ABSOLUTE, TIMES_LIMIT, TIMES_LOCAL, RTT_AND_LOCAL };

static const struct {
    const char *workload, *metric, *transport;
    double rtt_us;
    enum bound bound;
    bool at_least;
    double value;
    const char *limit;
} targets[] = {
    {"launch_8", "time", "tcp", 0, ABSOLUTE, false, 0.12, NULL},
    {"step_300", "time", "tcp", 0, ABSOLUTE, false, 70, NULL},
    {"sync_idle", "time", "tcp", 0, TIMES_LIMIT, false, 1.15, "pingpong"},
    {"lone_launch", "time", "tcp", 0, ABSOLUTE, false, 25, NULL},
    {"lone_launch", "p99", "tcp", 0, ABSOLUTE, false, 100, NULL},
    {"malloc_free", "time", "tcp", 0, ABSOLUTE, false, 1, NULL},
    {"malloc_free", "round_trips", "tcp", 0, ABSOLUTE, false, 0, NULL},
    {"event_cycle", "time", "tcp", 0, ABSOLUTE, false, 1, NULL},
    {"event_cycle", "round_trips", "tcp", 0, ABSOLUTE, false, 0, NULL},
    {"htod_pageable_64MiB", "bandwidth", "tcp", 0, TIMES_LIMIT, true, 0.9, "stream_copy"},
    {"dtoh_pageable_64MiB", "bandwidth", "tcp", 0, TIMES_LIMIT, true, 0.9, "stream_copy"},
    {"first_call", "time", "tcp", 0, ABSOLUTE, false, 5000, NULL},
    {"first_call", "round_trips", "tcp", 0, ABSOLUTE, false, 3, NULL},
    {"launch_8", "time", "shm", 0, ABSOLUTE, false, 0.10, NULL},
    {"step_300", "time", "shm", 0, ABSOLUTE, false, 45, NULL},
    {"sync_idle", "time", "shm", 0, TIMES_LIMIT, false, 1.3, "pingpong_futex"},
    {"llm_decode_124m", "tokens_per_s", "tcp", 0, TIMES_LOCAL, true, 0.97, NULL},
    {"llm_decode_*", "step", "tcp", 1000, RTT_AND_LOCAL, false, 1.05, NULL},
};

static double median_of(const struct gn_series *s)
{
    return s && s->count ? gn_series_statistics(s).median : NAN;
}

static const struct gn_series *limit_of(const struct gn_results *r, const struct gn_series *s)
{
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        if (!fnmatch(limits[i].workload, s->workload, 0) && !strcmp(limits[i].metric, s->metric) &&
            (!limits[i].transport || !strcmp(limits[i].transport, s->network.transport)))
            return gn_results_find(r, &s->network, limits[i].limit, "limit",
                                   !strcmp(s->metric, "bandwidth") ? "bandwidth" : "time");
    return NULL;
}

// The bound of a target for this series; NAN: what it is relative to was not measured.
static double bound_of(const struct gn_results *r, const struct gn_series *s, size_t target)
{
    double local = median_of(gn_results_find(r, &s->network, s->workload, "local", s->metric));
    double value = targets[target].value;
    switch (targets[target].bound) {
    case TIMES_LIMIT:
        return value * median_of(gn_results_find(r, &s->network, targets[target].limit, "limit", s->metric));
    case TIMES_LOCAL: return value * local;
    case RTT_AND_LOCAL: {
        // The round trip as it was measured through the relay, where it was.
        double rtt_us = median_of(gn_results_find(r, &s->network, "pingpong", "limit", "time"));
        return value * local +
               (isnan(rtt_us) ? s->network.rtt_us : rtt_us) / (strcmp(s->unit, "ms") ? 1 : 1000);
    }
    default: return value;
    }
}

static void print_ratio(FILE *f, double value, double to)
{
    if (isnan(to) || !to)
        fprintf(f, " %9s", "-");
    else
        fprintf(f, " %9.3f", value / to);
}

// Figures that stand in a column of their own.
static const struct {
    const char *metric, *heading;
} columns[] = {{"round_trips", "trips"}, {"bytes_sent", "sent B"}, {"bytes_received", "received B"}};
enum { COLUMNS = sizeof columns / sizeof *columns };

static bool is_column(const struct gn_series *s)
{
    for (int i = 0; i < COLUMNS; i++)
        if (!strcmp(columns[i].metric, s->metric))
            return true;
    return false;
}

static void print_series(const struct gn_results *r, FILE *f, const struct gn_series *s, const char *against)
{
    if (!s->count) {
        fprintf(f, "%-22s %-12s %-20s did not run: %s\n", s->workload, s->metric, s->baseline, s->why);
        return;
    }
    struct gn_statistics t = gn_series_statistics(s);
    double other = median_of(gn_results_find(r, &s->network, s->workload, against, s->metric));
    fprintf(f, "%-22s %-12s %-20s %9.4g %9.4g %9.4g %-8s %5u", s->workload, s->metric, s->baseline, t.median,
            t.p5, t.p95, s->unit, t.n);
    print_ratio(f, t.median, other);
    print_ratio(f, t.median, median_of(limit_of(r, s)));
    for (int i = 0; i < COLUMNS; i++) {
        double count =
            median_of(gn_results_find(r, &s->network, s->workload, s->baseline, columns[i].metric));
        if (isnan(count))
            fprintf(f, " %10s", "-");
        else
            fprintf(f, " %10.4g", count);
    }
    fputc('\n', f);
}

static bool same(const struct gn_network *a, const struct gn_network *b)
{
    return !strcmp(a->transport, b->transport) && a->rtt_us == b->rtt_us && a->gbit == b->gbit;
}

static bool is_first_of_workload(const struct gn_results *r, const struct gn_series *s)
{
    for (const struct gn_series *o = r->first; o != s; o = o->next)
        if (same(&o->network, &s->network) && !strcmp(o->workload, s->workload))
            return false;
    return true;
}

static bool is_first_of_network(const struct gn_results *r, const struct gn_series *s)
{
    for (const struct gn_series *o = r->first; o != s; o = o->next)
        if (same(&o->network, &s->network))
            return false;
    return true;
}

void gn_results_print(const struct gn_results *r, FILE *f, const char *against)
{
    for (const struct gn_series *n = r->first; n; n = n->next) {
        char ratio[64];
        if (!is_first_of_network(r, n))
            continue;
        fprintf(f, "\n== %s", n->network.transport);
        if (n->network.rtt_us > 0)
            fprintf(f, ", round trip %g us", n->network.rtt_us);
        if (n->network.gbit > 0)
            fprintf(f, ", %g Gbit/s", n->network.gbit);
        snprintf(ratio, sizeof ratio, "x %.20s", against);
        fprintf(f, "\n%-22s %-12s %-20s %9s %9s %9s %-8s %5s %9s %9s", "workload", "metric", "row", "median",
                "p5", "p95", "unit", "n", ratio, "x limit");
        for (int i = 0; i < COLUMNS; i++)
            fprintf(f, " %10s", columns[i].heading);
        fputc('\n', f);
        // A workload's series together, in the order in which they came.
        for (const struct gn_series *w = n; w; w = w->next)
            if (same(&w->network, &n->network) && is_first_of_workload(r, w))
                for (const struct gn_series *s = w; s; s = s->next)
                    if (same(&s->network, &n->network) && !strcmp(s->workload, w->workload) && !is_column(s))
                        print_series(r, f, s, against);
    }
}

static bool is_measured(const struct gn_series *s, size_t target)
{
    return !strcmp(s->baseline, "no_semantics") && !fnmatch(targets[target].workload, s->workload, 0) &&
           !strcmp(targets[target].metric, s->metric) &&
           !strcmp(targets[target].transport, s->network.transport) &&
           targets[target].rtt_us == s->network.rtt_us && !(s->network.gbit > 0) && s->count;
}

void gn_results_print_targets(const struct gn_results *r, FILE *f)
{
    unsigned missing = 0;
    fprintf(f, "\n%-22s %-12s %-10s %10s    %10s  %s\n", "target", "metric", "network", "measured", "bound",
            "verdict");
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        bool found = false;
        for (const struct gn_series *s = r->first; s; s = s->next) {
            if (!is_measured(s, i))
                continue;
            double bound = bound_of(r, s, i), value = median_of(s);
            bool met = targets[i].at_least ? value >= bound : value <= bound;
            found = true;
            fprintf(f, "%-22s %-12s %-10s %10.4g %s %10.4g  %s\n", s->workload, s->metric,
                    s->network.transport, value, targets[i].at_least ? ">=" : "<=", bound,
                    isnan(bound) ? "unknown: what it is relative to was not measured"
                    : met        ? "met"
                                 : "NOT MET");
        }
        missing += !found;
    }
    if (missing)
        fprintf(f, "%u targets belong to workloads or networks that this run did not have\n", missing);
}
