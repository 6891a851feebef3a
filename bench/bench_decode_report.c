// SPDX-License-Identifier: Apache-2.0
// The table of genie-bench decode, and what is judged by it.
#include "bench/bench_decode.h"

#include <fnmatch.h>
#include <math.h>
#include <string.h>

enum { LOGITS_ROWS = 128, FLOAT_BYTES = 4 };

static double median(const struct gn_results *r, const struct gn_network *n, const char *workload,
                     const char *baseline, const char *metric)
{
    const struct gn_series *s = gn_results_find(r, n, workload, baseline, metric);
    return s && s->count ? gn_series_statistics(s).median : NAN;
}

static bool same(const struct gn_network *a, const struct gn_network *b)
{
    return !strcmp(a->transport, b->transport) && a->rtt_us == b->rtt_us && a->gbit == b->gbit;
}

// --- the table

static const struct {
    const char *metric, *heading;
    double scale;
} columns[] = {
    {"step", "ms/token", 1},      {"tokens_per_s", "tokens/s", 1},
    {"round_trips", "trips", 1},  {"commands", "commands B", 1},
    {"payload_up", "up B", 1},    {"payload_down", "down B", 1},
    {"cold_up", "cold up B", 1},  {"cold_first_token", "1st tok ms", 1},
    {"second_up", "2nd up B", 1}, {"second_first_token", "1st tok ms", 1},
};
enum { COLUMNS = sizeof columns / sizeof *columns };

static bool is_row(const struct gn_series *s) { return !strcmp(s->metric, "step"); }

static void print_row(const struct gn_results *r, FILE *f, const struct gn_series *s)
{
    fprintf(f, "%-20s %-14s", s->workload, s->baseline);
    if (*s->why) {
        fprintf(f, " did not run: %s\n", s->why);
        return;
    }
    for (int i = 0; i < COLUMNS; i++) {
        double v = median(r, &s->network, s->workload, s->baseline, columns[i].metric);
        if (isnan(v))
            fprintf(f, " %11s", "-");
        else if (v >= 100000)
            fprintf(f, " %11.0f", v);
        else
            fprintf(f, " %11.5g", v);
    }
    double hash = median(r, &s->network, s->workload, s->baseline, "tokens_hash");
    if (isnan(hash))
        fprintf(f, "  -\n");
    else
        fprintf(f, "  %08x\n", (unsigned)hash);
}

// The series that come before this one have another network.
static bool is_first_of_network(const struct gn_results *r, const struct gn_series *s)
{
    for (const struct gn_series *o = r->first; o != s; o = o->next)
        if (same(&o->network, &s->network))
            return false;
    return true;
}

void gn_decode_print(const struct gn_results *r, FILE *f)
{
    for (const struct gn_series *n = r->first; n; n = n->next) {
        if (!is_first_of_network(r, n))
            continue;
        fprintf(f, "\n== %s", n->network.transport);
        if (n->network.rtt_us > 0)
            fprintf(f, ", round trip %g us", n->network.rtt_us);
        if (n->network.gbit > 0)
            fprintf(f, ", %g Gbit/s", n->network.gbit);
        fprintf(
            f, "; bytes and round trips a token; cold: first start, 2nd: the same program again\n%-20s %-14s",
            "workload", "row");
        for (int i = 0; i < COLUMNS; i++)
            fprintf(f, " %11s", columns[i].heading);
        fprintf(f, "  tokens\n");
        // Rows that ended early have their series late: the rows of a workload together, as they came.
        for (const struct gn_series *w = n; w; w = w->next) {
            bool shown = false;
            for (const struct gn_series *o = n; o != w && !shown; o = o->next)
                shown = same(&o->network, &n->network) && !strcmp(o->workload, w->workload);
            for (const struct gn_series *s = w; s && !shown && same(&w->network, &n->network); s = s->next)
                if (same(&s->network, &n->network) && !strcmp(s->workload, w->workload) && is_row(s))
                    print_row(r, f, s);
        }
    }
}

// --- targets

static double bytes_a_token(const struct gn_results *r, const struct gn_network *n, const char *workload,
                            const char *baseline)
{
    return median(r, n, workload, baseline, "commands") + median(r, n, workload, baseline, "payload_up") +
           median(r, n, workload, baseline, "payload_down");
}

// One line; a bound that is NaN is shown without a verdict.
static void line(FILE *f, const char *what, double value, bool at_least, double bound)
{
    if (isnan(value)) {
        fprintf(f, "%-66s %12s  not measured\n", what, "-");
        return;
    }
    fprintf(f, "%-66s %12.5g", what, value);
    if (isnan(bound))
        fprintf(f, "\n");
    else
        fprintf(f, "  %s %-8.5g %s\n", at_least ? ">=" : "<=", bound,
                (at_least ? value >= bound : value <= bound) ? "met" : "NOT MET");
}

// All rows of the workload that have a hash have the same, and there are some.
static double identical(const struct gn_results *r, const struct gn_network *n, const char *pattern)
{
    double hash = NAN;
    for (const struct gn_series *s = r->first; s; s = s->next) {
        if (fnmatch(pattern, s->workload, 0) || strcmp(s->metric, "tokens_hash") || !same(&s->network, n))
            continue;
        for (unsigned i = 0; i < s->count; i++) {
            if (!isnan(hash) && s->values[i] != hash)
                return 0;
            hash = s->values[i];
        }
    }
    return isnan(hash) ? NAN : 1;
}

// Where hints bring nothing: the ratio, and whether the two rows' rounds overlap.
static void warm_line(const struct gn_results *r, const struct gn_network *n, const char *workload, FILE *f)
{
    const struct gn_series *a = gn_results_find(r, n, workload, "full", "step"),
                           *b = gn_results_find(r, n, workload, "no_semantics", "step");
    if (!a || !b || !a->count || !b->count)
        return;
    struct gn_statistics full = gn_series_statistics(a), plain = gn_series_statistics(b);
    bool overlap = full.p5 <= plain.p95 && plain.p5 <= full.p95;
    fprintf(f,
            "%-19s time a token, full / no_semantics, warm %23.4f  full %.4g to %.4g ms, no_semantics %.4g "
            "to %.4g ms: %s\n",
            workload, full.median / plain.median, full.p5, full.p95, plain.p5, plain.p95,
            overlap ? "within noise" : "apart");
}

static void print_bytes(const struct gn_results *r, const struct gn_network *n, FILE *f)
{
    static const struct {
        const char *workload;
        double bound;
    } ratios[] = {{"tiny_stateless", NAN}, {"tiny_offload", NAN},         {"124m_stateless", 1000},
                  {"124m_offload", NAN},   {"124m_h200_stateless", 1000}, {"124m_h200_offload", NAN}};
    for (size_t i = 0; i < sizeof ratios / sizeof *ratios; i++) {
        char what[96];
        snprintf(what, sizeof what, "%-19s bytes a token, naive / full", ratios[i].workload);
        line(f, what,
             bytes_a_token(r, n, ratios[i].workload, "naive") /
                 bytes_a_token(r, n, ratios[i].workload, "full"),
             true, ratios[i].bound);
    }
    line(f, "tiny                tokens identical in all rows and styles (1: yes)", identical(r, n, "tiny_*"),
         true, 1);
    line(f, "124m                tokens identical in all rows and styles (1: yes)",
         identical(r, n, "124m_state*"), true, 1);
}

void gn_decode_print_targets(const struct gn_results *r, FILE *f)
{
    static const char *const seconds[] = {"tiny_stateful", "124m_stateful", "124m_h200_stateful",
                                          "tiny_stateless", "124m_stateless"};
    char what[96];
    for (const struct gn_series *s = r->first; s; s = s->next) {
        const struct gn_network *n = &s->network;
        if (!is_first_of_network(r, s))
            continue;
        fprintf(f, "\n== targets, %s, round trip %g us, %g Gbit/s\n", n->transport, n->rtt_us, n->gbit);
        print_bytes(r, n, f);
        double naive = median(r, n, "124m_h200_stateless", "naive", "step"),
               full = median(r, n, "124m_h200_stateless", "full", "step");
        line(f, "124m_h200_stateless speed, full / naive", naive / full, true, 20);
        line(f, "124m_h200           speed, stateless full / stateful full",
             median(r, n, "124m_h200_stateful", "full", "step") / full, true, 0.8);
        line(f, "124m_h200           speed, stateless full / stateless local",
             median(r, n, "124m_h200_stateless", "local", "step") / full, true, NAN);
        for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++) {
            snprintf(what, sizeof what, "%-19s payload up, second start / first, %%", seconds[i]);
            line(f, what,
                 100 * median(r, n, seconds[i], "full", "second_up") /
                     median(r, n, seconds[i], "full", "cold_up"),
                 false, strncmp(seconds[i], "tiny", 4) ? 0.2 : NAN);
        }
        for (int i = 0; i < 3; i++) {
            snprintf(what, sizeof what,
                     "%-19s one weight byte changed: payload up, bytes over a second start", seconds[i]);
            line(f, what,
                 median(r, n, seconds[i], "full", "changed_up") -
                     median(r, n, seconds[i], "full", "second_up"),
                 false, (double)(1 << 20) * 1.01);
        }
        double tiny = median(r, n, "tiny_stateful", "full", "logits_down") /
                      (LOGITS_ROWS * 4096.0 * FLOAT_BYTES),
               gpt2 = median(r, n, "124m_h200_stateful", "full", "logits_down") /
                      (LOGITS_ROWS * 50257.0 * FLOAT_BYTES);
        line(f, "tiny_stateful       128 rows of logits copied, one read: bytes down, %", 100 * tiny, false,
             5);
        line(f, "124m_h200_stateful  128 rows of logits copied, one read: bytes down, %", 100 * gpt2, false,
             5);
        warm_line(r, n, "124m_h200_stateful", f);
        warm_line(r, n, "tiny_stateful", f);
    }
}
