// SPDX-License-Identifier: Apache-2.0
// A histogram of durations: percentiles of any number of samples in a fixed room, exact to 1/64.
#ifndef GN_BENCH_HISTOGRAM_H
#define GN_BENCH_HISTOGRAM_H

#include <stdint.h>

enum { GN_HISTOGRAM_FINE = 64, GN_HISTOGRAM_BUCKETS = 64 * GN_HISTOGRAM_FINE };

struct gn_histogram {
    uint64_t count, buckets[GN_HISTOGRAM_BUCKETS];
};

void gn_histogram_add(struct gn_histogram *h, uint64_t ns);
// part: 0.5 is the median. The upper edge of the sample's bucket; 0 without samples.
uint64_t gn_histogram_at(const struct gn_histogram *h, double part);

#endif
