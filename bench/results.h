// SPDX-License-Identifier: Apache-2.0
// What was measured: series of values by workload, baseline, metric and network; their statistics, and where
// they go.
#ifndef GN_BENCH_RESULTS_H
#define GN_BENCH_RESULTS_H

#include <stdbool.h>
#include <stdio.h>

struct gn_network {
    const char *transport; // "tcp", "unix", "shm"
    double rtt_us, gbit;   // 0: as the machine has it
};

struct gn_series {
    char workload[64], baseline[64], metric[32], unit[16];
    struct gn_network network;
    double *values;
    unsigned count, room;
    char why[256]; // why it could not run; then there are no values
    struct gn_series *next;
};

struct gn_statistics {
    double median, p5, p95, p99, mean;
    unsigned n;
};

struct gn_results {
    struct gn_series *first, *last;
};

// The series of that name; made when there is none. NULL: no memory.
struct gn_series *gn_results_series(struct gn_results *r, const struct gn_network *network,
                                    const char *workload, const char *baseline, const char *metric,
                                    const char *unit);
const struct gn_series *gn_results_find(const struct gn_results *r, const struct gn_network *network,
                                        const char *workload, const char *baseline, const char *metric);
void gn_series_add(struct gn_series *s, double value); // s may be NULL
struct gn_statistics gn_series_statistics(const struct gn_series *s);
void gn_results_free(struct gn_results *r);

// One JSON array of rows. 0 or -errno.
int gn_results_write_json(const struct gn_results *r, const char *path);
// The table: a line a series, with ratios against the row `against` and to the machine's limit; then the
// targets beside what was measured.
void gn_results_print(const struct gn_results *r, FILE *f, const char *against);
void gn_results_print_targets(const struct gn_results *r, FILE *f);

#endif
