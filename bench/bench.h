// SPDX-License-Identifier: Apache-2.0
// genie-bench: what its parts share.
#ifndef GN_BENCH_BENCH_H
#define GN_BENCH_BENCH_H

#include "bench/lane.h"
#include "bench/results.h"

enum { GN_BENCH_LIST_MAX = 16, GN_BENCH_WHY_BYTES = 512 };

struct gn_bench {
    struct gn_place place;
    struct gn_results results;
    // options
    const char *baselines[GN_BENCH_LIST_MAX], *transports[GN_BENCH_LIST_MAX], *only[GN_BENCH_LIST_MAX];
    double rtts_us[GN_BENCH_LIST_MAX], gbits[GN_BENCH_LIST_MAX];
    unsigned baseline_count, transport_count, only_count, rtt_count, gbit_count;
    unsigned rounds, warm_up;
    uint64_t max_bytes;
    const char *json, *config, *driver, *against, *hints;
    bool targets, quick, baselines_given, rounds_given;
    // progress
    double started_s;
    unsigned long done, planned;
};

// Each runs its part and fills the results. 0; 1: something that had to run did not.
int gn_bench_micro(struct gn_bench *b);
int gn_bench_apps(struct gn_bench *b);
int gn_bench_ablation(struct gn_bench *b);
int gn_bench_decode(struct gn_bench *b); // prints its own tables

// Micro rows of these baselines on one network, interleaved; only: patterns, none: all rows. Without
// baselines: these limits. 0 or 1.
int gn_bench_micro_network(struct gn_bench *b, const struct gn_network *network,
                           const struct gn_baseline *baselines, unsigned count, const char *const *only,
                           unsigned only_count, bool with_limits);

// llm_decode of these baselines on one network, whole runs interleaved; only: patterns, none: all. 0 or 1.
int gn_bench_apps_network(struct gn_bench *b, const struct gn_network *network,
                          const struct gn_baseline *baselines, unsigned count, const char *const *only,
                          unsigned only_count);

// Calls `run` for each network of the options.
int gn_bench_networks(struct gn_bench *b, int (*run)(struct gn_bench *b, const struct gn_network *network));
// The baselines of the options; how many, or -1: one is unknown, said on stderr.
int gn_bench_baselines(struct gn_bench *b, struct gn_baseline *list, unsigned room);
bool gn_bench_wanted(const char *name, const char *const *patterns, unsigned count);
void gn_bench_plan(struct gn_bench *b, unsigned long steps);
void gn_bench_step(struct gn_bench *b, const char *what);
void gn_bench_relay(struct gn_bench *b,
                    struct gn_lane *lane); // the relay's own error, as rows, before the lane closes
bool gn_bench_stopped(void);               // the user has had enough: what there is is printed

// Reads the peers. 0 or -errno with a sentence.
int gn_bench_config(struct gn_place *place, const char *path, char *why, size_t why_bytes);

#endif
