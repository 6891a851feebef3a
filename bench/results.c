// SPDX-License-Identifier: Apache-2.0
// Series, statistics and JSON.
#include "bench/results.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static bool same_network(const struct gn_network *a, const struct gn_network *b)
{
    return !strcmp(a->transport, b->transport) && a->rtt_us == b->rtt_us && a->gbit == b->gbit;
}

const struct gn_series *gn_results_find(const struct gn_results *r, const struct gn_network *network,
                                        const char *workload, const char *baseline, const char *metric)
{
    for (const struct gn_series *s = r->first; s; s = s->next)
        if (!strcmp(s->workload, workload) && !strcmp(s->baseline, baseline) && !strcmp(s->metric, metric) &&
            same_network(&s->network, network))
            return s;
    return NULL;
}

struct gn_series *gn_results_series(struct gn_results *r, const struct gn_network *network,
                                    const char *workload, const char *baseline, const char *metric,
                                    const char *unit)
{
    struct gn_series *s = (struct gn_series *)gn_results_find(r, network, workload, baseline, metric);
    if (s || !(s = calloc(1, sizeof *s)))
        return s;
    snprintf(s->workload, sizeof s->workload, "%s", workload);
    snprintf(s->baseline, sizeof s->baseline, "%s", baseline);
    snprintf(s->metric, sizeof s->metric, "%s", metric);
    snprintf(s->unit, sizeof s->unit, "%s", unit);
    s->network = *network;
    if (r->last)
        r->last->next = s;
    else
        r->first = s;
    r->last = s;
    return s;
}

void gn_series_add(struct gn_series *s, double value)
{
    if (!s)
        return;
    if (s->count == s->room) {
        unsigned room = s->room ? 2 * s->room : 64;
        double *more = realloc(s->values, room * sizeof *more);
        if (!more)
            return;
        s->values = more;
        s->room = room;
    }
    s->values[s->count++] = value;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// The value that `part` of them do not exceed.
static double percentile(const double *sorted, unsigned n, double part)
{
    double at = part * n;
    unsigned i = (unsigned)at;
    return sorted[i < (double)at ? i : i ? i - 1 : 0];
}

struct gn_statistics gn_series_statistics(const struct gn_series *s)
{
    struct gn_statistics t = {.n = s->count};
    double *sorted = s->count ? malloc(s->count * sizeof *sorted) : NULL;
    if (!sorted)
        return t;
    memcpy(sorted, s->values, s->count * sizeof *sorted);
    qsort(sorted, s->count, sizeof *sorted, by_value);
    t.median = (sorted[(s->count - 1) / 2] + sorted[s->count / 2]) / 2;
    t.p5 = percentile(sorted, s->count, 0.05);
    t.p95 = percentile(sorted, s->count, 0.95);
    t.p99 = percentile(sorted, s->count, 0.99);
    for (unsigned i = 0; i < s->count; i++)
        t.mean += sorted[i] / s->count;
    free(sorted);
    return t;
}

void gn_results_free(struct gn_results *r)
{
    for (struct gn_series *s = r->first, *next; s; s = next) {
        next = s->next;
        free(s->values);
        free(s);
    }
    *r = (struct gn_results){0};
}

static json_t *row_of(const struct gn_series *s)
{
    struct gn_statistics t = gn_series_statistics(s);
    json_t *row = json_pack("{s:s, s:s, s:s, s:s}", "workload", s->workload, "baseline", s->baseline,
                            "metric", s->metric, "unit", s->unit);
    if (!row)
        return NULL;
    if (t.n)
        json_object_update_new(row, json_pack("{s:f, s:f, s:f, s:i}", "median", t.median, "p5", t.p5, "p95",
                                              t.p95, "n", (int)t.n));
    else
        json_object_update_new(row, json_pack("{s:n, s:n, s:n, s:i}", "median", "p5", "p95", "n", 0));
    json_object_update_new(row, json_pack("{s:f, s:f, s:s}", "rtt_us", s->network.rtt_us, "gbit",
                                          s->network.gbit, "transport", s->network.transport));
    if (*s->why)
        json_object_set_new(row, "why", json_string(s->why));
    return row;
}

int gn_results_write_json(const struct gn_results *r, const char *path)
{
    json_t *rows = json_array();
    for (const struct gn_series *s = r->first; s; s = s->next)
        json_array_append_new(rows, row_of(s));
    int error = json_dump_file(rows, path, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) ? -EIO : 0;
    json_decref(rows);
    return error;
}
