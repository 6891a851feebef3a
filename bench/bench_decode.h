// SPDX-License-Identifier: Apache-2.0
// genie-bench decode: what is run, and what its table and targets are made of.
#ifndef GN_BENCH_BENCH_DECODE_H
#define GN_BENCH_BENCH_DECODE_H

#include "bench/bench.h"

// A workload is called SHAPE_STYLE. These exist in every run of the command, in this order.
extern const char *const gn_decode_styles[]; // NULL at the end

// The tables of everything that was measured on each network, and, with targets, what is judged by it.
void gn_decode_print(const struct gn_results *r, FILE *f);
void gn_decode_print_targets(const struct gn_results *r, FILE *f);

#endif
