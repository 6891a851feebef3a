// SPDX-License-Identifier: Apache-2.0
// Buckets: below 64 ns one a nanosecond, above 64 for each power of two.
#include "bench/histogram.h"

static unsigned bucket_of(uint64_t ns)
{
    if (ns < GN_HISTOGRAM_FINE)
        return (unsigned)ns;
    unsigned power = 63 - (unsigned)__builtin_clzll(ns); // at least 6
    return (power - 5) * GN_HISTOGRAM_FINE + (unsigned)((ns >> (power - 6)) - GN_HISTOGRAM_FINE);
}

static uint64_t edge_of(unsigned bucket)
{
    if (bucket < GN_HISTOGRAM_FINE)
        return bucket;
    unsigned shift = bucket / GN_HISTOGRAM_FINE - 1;
    return ((uint64_t)(bucket % GN_HISTOGRAM_FINE + GN_HISTOGRAM_FINE + 1) << shift) -
           1; // the last one: all ones
}

void gn_histogram_add(struct gn_histogram *h, uint64_t ns)
{
    h->count++;
    h->buckets[bucket_of(ns)]++;
}

uint64_t gn_histogram_at(const struct gn_histogram *h, double part)
{
    uint64_t rank = (uint64_t)(part * (double)h->count), seen = 0;
    for (unsigned i = 0; i < GN_HISTOGRAM_BUCKETS; i++)
        if ((seen += h->buckets[i]) > rank || (seen && seen == h->count))
            return edge_of(i);
    return 0;
}
