// SPDX-License-Identifier: Apache-2.0
// Chooses the handlers for the processor that this process runs on.
#include "ptx_ops.h"
#include "ptx_warp.h"

#include <pthread.h>
#include <stdlib.h>

#define NAME_OF(name) #name,
const char *const ptx_op_names[PTX_OP_COUNT] = {PTX_OPS_ALL(NAME_OF)};

#define COUNT_ONE(name) +1
enum {
    INT_COUNT = 0 PTX_OPS_INT(COUNT_ONE),
    BITS_COUNT = 0 PTX_OPS_BITS(COUNT_ONE),
    FLOAT_COUNT = 0 PTX_OPS_FLOAT(COUNT_ONE),
    HALF_COUNT = 0 PTX_OPS_HALF(COUNT_ONE),
    CVT_COUNT = 0 PTX_OPS_CVT(COUNT_ONE),
    MEM_COUNT = 0 PTX_OPS_MEM(COUNT_ONE),
    ATOM_COUNT = 0 PTX_OPS_ATOM(COUNT_ONE),
    SYNC_COUNT = 0 PTX_OPS_SYNC(COUNT_ONE),
    FLOW_COUNT = 0 PTX_OPS_FLOW(COUNT_ONE),
};

struct part {
    const ptx_fn *table;
    int count;
};
#define PARTS(isa)                                                                                           \
    {                                                                                                        \
        {ptx_table_int_##isa, INT_COUNT}, {ptx_table_bits_##isa, BITS_COUNT},                                \
            {ptx_table_float_##isa, FLOAT_COUNT}, {ptx_table_half_##isa, HALF_COUNT},                        \
            {ptx_table_cvt_##isa, CVT_COUNT}, {ptx_table_mem_##isa, MEM_COUNT},                              \
            {ptx_table_atom, ATOM_COUNT}, {ptx_table_sync, SYNC_COUNT},                                      \
        {                                                                                                    \
            ptx_table_flow, FLOW_COUNT                                                                       \
        }                                                                                                    \
    }
enum { PART_COUNT = 9, ISA_COUNT = 3 };

static const struct part isas[ISA_COUNT][PART_COUNT] = {
    PARTS(base),
#ifdef PTX_WIDE
    PARTS(avx2),
    PARTS(avx512),
#else
    PARTS(base),
    PARTS(base),
#endif
};

static int chosen;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void choose(void)
{
#ifdef PTX_WIDE
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2") &&
        __builtin_cpu_supports("popcnt"))
        chosen = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")
                     ? 2
                     : 1;
#endif
    const char *asked = getenv("GENIE_MOCK_ISA"); // 0, 1, 2: no more than this, to test the others
    if (asked && asked[0] >= '0' && asked[0] - '0' < chosen)
        chosen = asked[0] - '0';
}

ptx_fn ptx_handler(enum ptx_op op)
{
    pthread_once(&once, choose);
    int at = (int)op;
    for (int i = 0; i < PART_COUNT; i++) {
        if (at < isas[chosen][i].count)
            return isas[chosen][i].table[at];
        at -= isas[chosen][i].count;
    }
    return NULL;
}
