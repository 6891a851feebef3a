// SPDX-License-Identifier: Apache-2.0
// Programs as text: a line an operation, to be kept in a file and read again.
//
//   THREAD SECTION NAME ARGUMENT...      an argument is SLOT+N, hSLOT+N (a host buffer where both kinds of address may stand), or N
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/differential/program.h"

static unsigned slots_of(char type)
{
    switch (type) {
    case 'd': case 'D': case 'G': return DEVICES;
    case 'h': case 'H': return HOSTS;
    case 's': case 'S': return STREAMS;
    case 'e': case 'E': return EVENTS;
    case 'c': case 'C': return CONTEXTS;
    case 'm': case 'M': return MODULES;
    case 'f': case 'F': return FUNCTIONS;
    case 'x': return DEVICES;
    default: return 0;
    }
}

void program_write(const struct program *p, FILE *f)
{
    fprintf(f, "# seed %llu\n", (unsigned long long)p->seed);
    for (unsigned i = 0; i < p->count; i++) {
        const struct op *op = &p->ops[i];
        fprintf(f, "%u %u %s", op->thread, op->section, kinds[op->kind].name);
        for (unsigned k = 0; k < kinds[op->kind].count; k++) {
            const struct arg *a = &op->args[k];
            if (a->slot == NONE || !slots_of(kinds[op->kind].types[k])) // results have none
                fprintf(f, " %lld", (long long)a->n);
            else
                fprintf(f, " %s%u+%lld", a->slot >= 64 ? "h" : "", a->slot % 64u, (long long)a->n);
        }
        fputc('\n', f);
    }
}

static bool read_arg(struct arg *a, char type, const char *text)
{
    char *end;
    bool host = *text == 'h';
    long long n = strtoll(text + host, &end, 10);
    if (*end != '+') {
        *a = (struct arg){NONE, n};
        return end != text && !*end && !host && !(type >= 'A' && type <= 'Z');
    }
    if (n < 0 || n >= (host ? HOSTS : (long long)slots_of(type)) || (host && type != 'x'))
        return false;
    *a = (struct arg){(uint8_t)(n + (host ? 64 : 0)), strtoll(end + 1, &end, 10)};
    return !*end;
}

static bool read_op(struct op *op, char *line)
{
    char *save, *word = strtok_r(line, " \n", &save);
    op->thread = (uint8_t)(word ? atoi(word) : THREADS);
    word = strtok_r(NULL, " \n", &save);
    op->section = (uint8_t)(word ? atoi(word) : 0);
    word = strtok_r(NULL, " \n", &save);
    op->kind = KINDS;
    for (unsigned i = 0; word && i < KINDS; i++)
        if (!strcmp(word, kinds[i].name))
            op->kind = (uint8_t)i;
    if (op->thread >= THREADS || op->kind == KINDS)
        return false;
    for (unsigned i = 0; i < kinds[op->kind].count; i++)
        if (!(word = strtok_r(NULL, " \n", &save)) || !read_arg(&op->args[i], kinds[op->kind].types[i], word))
            return false;
    return !strtok_r(NULL, " \n", &save);
}

int program_read(struct program *p, FILE *f, char *why, size_t why_bytes)
{
    char line[512];
    memset(p, 0, sizeof *p);
    for (unsigned at = 1; fgets(line, sizeof line, f); at++) {
        if (*line == '#' || *line == '\n')
            continue;
        if (p->count == OPS || !read_op(&p->ops[p->count], line)) {
            snprintf(why, why_bytes, "line %u is no operation", at);
            return -EINVAL;
        }
        p->count++;
    }
    if (!program_check(p)) {
        snprintf(why, why_bytes, "the outcome of some operation is not determined");
        return -EINVAL;
    }
    return 0;
}
