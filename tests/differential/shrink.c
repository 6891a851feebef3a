// SPDX-License-Identifier: Apache-2.0
// Shrinking: fewer operations first, then fewer threads, then smaller numbers. Whatever the model refuses is not tried.
#include "tests/differential/shrink.h"

#include <string.h>
#include <time.h>

#include "tests/differential/pair.h"

static struct program trial;
static time_t until;
static unsigned tries; // runs after which a program counts as not differing: a matter of timing needs several

static bool local_fell; // the good driver's process: smaller programs may make it fall for reasons of their own

static time_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

bool shrink_differs(const struct program *p, unsigned n)
{
    struct program *programs = pair_programs();
    for (unsigned done = 0; done < n;) {
        unsigned count = n - done < 8 ? n - done : 8;
        for (unsigned i = 0; i < count; i++)
            programs[i] = *p;
        if (pair_run(count))
            return false;
        for (unsigned i = 0; i < count; i++)
            if (pair_difference(i) >= 0 && (local_fell || !pair_fate(0, i)))
                return true;
        done += count;
    }
    return false;
}

static bool take(struct program *p)
{
    if (now() >= until || !program_check(&trial) || !shrink_differs(&trial, tries))
        return false;
    *p = trial;
    return true;
}

static bool drop(struct program *p, unsigned from, unsigned count)
{
    trial = *p;
    memmove(&trial.ops[from], &trial.ops[from + count], (p->count - from - count) * sizeof *p->ops);
    trial.count -= count;
    return take(p);
}

static bool fewer_ops(struct program *p)
{
    bool any = false;
    for (unsigned size = p->count / 2; size; size /= 2)
        for (int from = (int)p->count - (int)size; from >= 0; from -= (int)size)
            if ((unsigned)from + size <= p->count)
                any |= drop(p, (unsigned)from, size);
    return any;
}

static bool fewer_threads(struct program *p)
{
    bool any = false;
    trial = *p;
    for (unsigned i = 0; i < trial.count; i++)
        trial.ops[i].section = trial.ops[i].thread = 0;
    if (memcmp(&trial, p, sizeof trial) && take(p))
        return true;
    for (unsigned i = 0; i < p->count; i++) {
        trial = *p;
        trial.ops[i].section = 0;
        if (p->ops[i].section)
            any |= take(p);
        trial = *p;
        trial.ops[i].thread = 0;
        if (p->ops[i].thread)
            any |= take(p);
    }
    return any;
}

static bool smaller_numbers(struct program *p)
{
    bool any = false;
    for (unsigned i = 0; i < p->count; i++)
        for (unsigned k = 0; k < kinds[p->ops[i].kind].count; k++) {
            static const int64_t simple[] = {0, 1, 4, 64};
            for (unsigned s = 0; s < 4; s++) {
                trial = *p;
                if (p->ops[i].args[k].n <= simple[s])
                    break;
                trial.ops[i].args[k].n = simple[s];
                if (take(p)) {
                    any = true;
                    break;
                }
            }
        }
    return any;
}

void shrink(struct program *p, unsigned seconds)
{
    static struct program start;
    until = now() + seconds;
    start = *p;
    local_fell = false;
    for (unsigned i = 0; i < BATCH; i++)
        local_fell |= pair_fate(0, i) != NULL;
    tries = 1;
    while (tries < 64 && !shrink_differs(&start, tries))
        tries *= 4;
    for (bool more = true; more && now() < until;) {
        more = fewer_ops(p);
        more |= fewer_threads(p);
        more |= smaller_numbers(p);
    }
    shrink_differs(p, 4 * tries);
}
