// SPDX-License-Identifier: Apache-2.0
// The table of kinds, its argument strings split, and the kernels that programs launch.
#include "tests/differential/kinds.h"

#include <string.h>

#include "tests/differential/program.h"

#define KIND_ROW(group, name, args, lane, wait, unit, weight) {#name, G_##group, unit, weight, 0, lane, wait, args, ""},
static const struct row {
    const char *name;
    uint8_t group, unit, weight, count;
    char lane, wait;
    const char *args, *nothing;
} rows[KINDS] = {KIND_TABLE(KIND_ROW)};

struct kind kinds[KINDS];
const char *const group_names[GROUPS] = {
    [G_MEMORY] = "memory", [G_ASK] = "ask",         [G_SET] = "set",       [G_COPY] = "copy",         [G_LAUNCH] = "launch",
    [G_STREAM] = "stream", [G_EVENT] = "event",     [G_HOST] = "host",     [G_BUFFER] = "buffer",     [G_CONTEXT] = "context",
    [G_MODULE] = "module", [G_MISUSE] = "misuse",   [G_FAULT] = "fault",   [G_PARALLEL] = "parallel", [G_LARGE] = "large"};

void kinds_open(void)
{
    for (unsigned i = 0; i < KINDS; i++) {
        struct kind *k = &kinds[i];
        *k = (struct kind){.name = rows[i].name, .group = rows[i].group, .unit = rows[i].unit,
                           .weight = rows[i].weight, .lane = rows[i].lane, .wait = rows[i].wait};
        char effect = ' ';
        for (const char *p = rows[i].args; *p; p++) {
            if (*p == '<' || *p == '>') {
                effect = *p;
            } else if (*p != ',') {
                k->effects[k->count] = effect;
                k->types[k->count++] = *p;
                effect = ' ';
            }
        }
    }
}

size_t pageable_bytes(unsigned slot)
{
    static const size_t bytes[HOSTS - PAGEABLE_FIRST] = {32 << 10, 32 << 10, 32 << 10, 32 << 10, 256 << 10, 4 << 20};
    return slot >= PAGEABLE_FIRST && slot < HOSTS ? bytes[slot - PAGEABLE_FIRST] : 0;
}

const char *const kernel_names[KERNELS] = {"nothing", "fill", "add", "copy", "bump", "eight", "many", "poke"};

#define HEAD(name) ".visible .entry " name
#define THREAD_INDEX                                                                                                   \
    " mov.u32 %r1, %ctaid.x; mov.u32 %r2, %ntid.x; mov.u32 %r3, %tid.x; mad.lo.u32 %r4, %r1, %r2, %r3;\n"
#define WORD_AT(to, pointer) " mul.wide.u32 %d9, %r4, 4; add.u64 " to ", " pointer ", %d9;\n"
#define REGISTERS            " .reg .pred %p<2>; .reg .u32 %r<12>; .reg .u64 %d<12>;\n"
#define MORE(i)              " ld.param.u32 %r3, [v" #i "]; mad.lo.u32 %r2, %r2, 31, %r3;\n"
#define V(i)                 ", .param .u32 v" #i
const char kernels_ptx[] =
    ".version 7.0\n.target sm_75\n.address_size 64\n"
    ".visible .global .align 8 .u32 counter[16];\n" HEAD("nothing") "() { ret; }\n"

    HEAD("fill") "(.param .u64 to, .param .u32 n, .param .u32 value)\n{\n" REGISTERS THREAD_INDEX
    " ld.param.u32 %r5, [n]; setp.ge.u32 %p1, %r4, %r5; @%p1 bra END;\n"
    " ld.param.u64 %d1, [to]; ld.param.u32 %r6, [value]; add.u32 %r6, %r6, %r4;\n" WORD_AT("%d2", "%d1")
    " st.global.u32 [%d2], %r6;\nEND: ret;\n}\n"

    HEAD("add") "(.param .u64 to, .param .u32 n, .param .u32 value)\n{\n" REGISTERS THREAD_INDEX
    " ld.param.u32 %r5, [n]; setp.ge.u32 %p1, %r4, %r5; @%p1 bra END;\n"
    " ld.param.u64 %d1, [to]; ld.param.u32 %r6, [value];\n" WORD_AT("%d2", "%d1")
    " ld.global.u32 %r7, [%d2]; mad.lo.u32 %r7, %r7, 3, %r6; st.global.u32 [%d2], %r7;\nEND: ret;\n}\n"

    HEAD("copy") "(.param .u64 to, .param .u64 from, .param .u32 n)\n{\n" REGISTERS THREAD_INDEX
    " ld.param.u32 %r5, [n]; setp.ge.u32 %p1, %r4, %r5; @%p1 bra END;\n"
    " ld.param.u64 %d1, [to]; ld.param.u64 %d3, [from];\n" WORD_AT("%d2", "%d1") WORD_AT("%d4", "%d3")
    " ld.global.u32 %r7, [%d4]; st.global.u32 [%d2], %r7;\nEND: ret;\n}\n"

    HEAD("bump") "(.param .u32 value)\n{\n" REGISTERS
    " mov.u32 %r1, %tid.x; setp.ne.u32 %p1, %r1, 0; @%p1 bra END; mov.u32 %r1, %ctaid.x; setp.ne.u32 %p1, %r1, 0;"
    " @%p1 bra END;\n"
    " ld.param.u32 %r2, [value]; ld.global.u32 %r3, [counter]; mad.lo.u32 %r3, %r3, 5, %r2;\n"
    " st.global.u32 [counter], %r3; st.global.u32 [counter+4], %r2;\nEND: ret;\n}\n"

    HEAD("eight") "(.param .u64 to" V(1) V(2) V(3) V(4) V(5) V(6) V(7) ")\n{\n" REGISTERS
    " mov.u32 %r2, 0;\n" MORE(1) MORE(2) MORE(3) MORE(4) MORE(5) MORE(6) MORE(7)
    " ld.param.u64 %d1, [to]; st.global.u32 [%d1], %r2; ret;\n}\n"

    HEAD("many") "(.param .u64 to" V(1) V(2) V(3) V(4) V(5) V(6) V(7) V(8) V(9) V(10) V(11) V(12) V(13) V(14) V(15)
    V(16) V(17) V(18) V(19) V(20) V(21) V(22) V(23) V(24) V(25) V(26) V(27) V(28) V(29) V(30) V(31) ")\n{\n" REGISTERS
    " mov.u32 %r2, 0;\n" MORE(1) MORE(2) MORE(3) MORE(4) MORE(5) MORE(6) MORE(7) MORE(8) MORE(9) MORE(10) MORE(11)
    MORE(12) MORE(13) MORE(14) MORE(15) MORE(16) MORE(17) MORE(18) MORE(19) MORE(20) MORE(21) MORE(22) MORE(23)
    MORE(24) MORE(25) MORE(26) MORE(27) MORE(28) MORE(29) MORE(30) MORE(31)
    " ld.param.u64 %d1, [to]; st.global.u32 [%d1], %r2; ret;\n}\n"

    HEAD("poke") "(.param .u64 to, .param .u32 value)\n{\n" REGISTERS
    " ld.param.u64 %d1, [to]; ld.param.u32 %r2, [value]; st.global.u32 [%d1], %r2; ret;\n}\n";
