// SPDX-License-Identifier: Apache-2.0
// llm_decode and the ablation.
#include "bench/bench.h"
int gn_bench_apps(struct gn_bench *b)
{
    (void)b;
    return 1;
}
int gn_bench_ablation(struct gn_bench *b)
{
    (void)b;
    return 1;
}
