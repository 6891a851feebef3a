// SPDX-License-Identifier: Apache-2.0
// The ablation: each optimisation of the client off in turn, beside all on and all off; what each of them
// brings, workload by workload.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"

enum { BASELINES_MAX = GN_OPT_NAMES_MAX + 2, COLUMN_CHARS = 9 };
static const uint64_t most_bytes = 16 << 20;

// Workloads that between them meet every optimisation.
static const char *const micro_rows[] = {
    "launch_8",           "launch_sync",
    "sync_idle",          "step_300",
    "malloc_free",        "event_cycle",
    "event_query_ready",  "event_query_busy",
    "stream_query_ready", "stream_query_busy",
    "htod_pageable_1KiB", "htod_pageable_64KiB",
    "htod_pageable_1MiB", "htod_pageable_16MiB",
    "htod_pinned_16MiB",  "htod_repeating_16MiB",
    "dtoh_pageable_4B",   "dtoh_pageable_64KiB",
    "dtoh_pageable_1MiB", "dtoh_pageable_16MiB",
    "dtoh_pinned_16MiB",  "threads_4",
    "cpu_launch",         "cpu_sync",
    "first_call",         "lone_launch",
    "function_attribute", "occupancy",
    "pointer_attribute",  "mem_info",
};
static const char *const app_rows[] = {"llm_decode_paced"};

static double median_of(const struct gn_results *r, const struct gn_series *like, const char *baseline)
{
    const struct gn_series *s = gn_results_find(r, &like->network, like->workload, baseline, like->metric);
    return s && s->count ? gn_series_statistics(s).median : NAN;
}

static bool more_is_better(const struct gn_series *s)
{
    return !strcmp(s->metric, "bandwidth") || !strcmp(s->metric, "tokens_per_s");
}

static bool is_shown(const struct gn_series *s, const struct gn_network *network)
{
    static const char *const metrics[] = {"time",       "bandwidth",  "step",
                                          "cpu_client", "cpu_server", "round_trips"};
    if (strcmp(s->baseline, "no_semantics") || strcmp(s->network.transport, network->transport) ||
        s->network.rtt_us != network->rtt_us || s->network.gbit != network->gbit || !s->count)
        return false;
    for (size_t i = 0; i < sizeof metrics / sizeof *metrics; i++)
        if (!strcmp(metrics[i], s->metric))
            return true;
    return false;
}

// Times and bandwidths: how many times slower without it. Round trips: how many more a call.
static void print_cell(double with, double without, const struct gn_series *s)
{
    double value = more_is_better(s) ? with / without : without / with;
    bool counts = !strcmp(s->metric, "round_trips");
    if (counts)
        value = without - with;
    if (isnan(value))
        printf(" %*s", COLUMN_CHARS, "-");
    else if (counts ? fabs(value) < 0.005 : fabs(value - 1) < 0.1)
        printf(" %*s", COLUMN_CHARS, "."); // within the noise of a shared machine
    else
        printf(counts ? " %+*.2f" : " %*.2f", COLUMN_CHARS, value);
}

static void print_matrix(const struct gn_bench *b, const struct gn_network *network,
                         const struct gn_baseline *list, unsigned count)
{
    printf("\n== ablation, %s", network->transport);
    if (network->rtt_us > 0)
        printf(", round trip %g us", network->rtt_us);
    printf(": how many times slower without it (round trips: how many more a call); '.': less than 10 %% "
           "either way\n%-22s %-11s %9s",
           "workload", "metric", "all on");
    for (unsigned i = 1; i < count; i++) {
        const char *dash = strchr(list[i].name, '-');
        printf(" %*.*s", COLUMN_CHARS, COLUMN_CHARS,
               strcmp(list[i].name, "local_remote") ? dash ? dash : list[i].name : "-all");
    }
    printf("\n");
    for (const struct gn_series *s = b->results.first; s; s = s->next) {
        if (!is_shown(s, network))
            continue;
        double with = gn_series_statistics(s).median;
        printf("%-22s %-11s %9.4g", s->workload, s->metric, with);
        for (unsigned i = 1; i < count; i++)
            print_cell(with, median_of(&b->results, s, list[i].name), s);
        printf(" %s\n", strcmp(s->metric, "round_trips") ? s->unit : "");
    }
}

static int run_network(struct gn_bench *b, const struct gn_network *network)
{
    struct gn_baseline list[BASELINES_MAX];
    unsigned count = 0;
    char name[64];
    const char *const *micro = b->only_count ? b->only : micro_rows, *const *app =
                                                                         b->only_count ? b->only : app_rows;
    unsigned micro_count = b->only_count ? b->only_count : sizeof micro_rows / sizeof *micro_rows;
    unsigned app_count = b->only_count ? b->only_count : sizeof app_rows / sizeof *app_rows;
    gn_baseline_find(&b->place, "no_semantics", &list[count++]);
    for (unsigned i = 0; i < b->place.opt_count; i++) {
        snprintf(name, sizeof name, "no_semantics-%.31s", b->place.opts[i]);
        gn_baseline_find(&b->place, name, &list[count++]);
    }
    gn_baseline_find(&b->place, "local_remote", &list[count++]);
    if (b->max_bytes > most_bytes)
        b->max_bytes = most_bytes;
    int status = gn_bench_micro_network(b, network, list, count, micro, micro_count, true);
    if (status < 2 && !gn_bench_stopped())
        status |= gn_bench_apps_network(b, network, list, count, app, app_count);
    print_matrix(b, network, list, count);
    return status;
}

int gn_bench_ablation(struct gn_bench *b)
{
    b->against = "no_semantics";
    return gn_bench_networks(b, run_network);
}
