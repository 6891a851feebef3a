// SPDX-License-Identifier: Apache-2.0
// The two processes: work goes to both through a pipe, whoever does not answer in time is killed and started again.
#include "tests/differential/pair.h"

#include <cuda.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct shared {
    struct program programs[BATCH];
    struct {
        _Atomic unsigned finished; // programs of this batch
        struct outcome outcomes[BATCH];
    } sides[2];
};

static struct shared *shared;
static struct pair_settings settings;
static struct side {
    pid_t pid;
    int to, from; // pipes: a byte "so many programs", a byte "done"
} sides[2];
static char fates[2][BATCH][64];

static void serve(unsigned side, int from, int to)
{
    struct driver driver;
    char why[256];
    unsigned char count;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (driver_open(&driver, settings.paths[side], why, sizeof why)) {
        fprintf(stderr, "%s\n", why);
        _exit(2);
    }
    if (side && settings.defect && !driver_break(&driver, settings.defect))
        _exit(2);
    if (write(to, "", 1) != 1)
        _exit(2);
    while (read(from, &count, 1) == 1) {
        for (unsigned i = atomic_load(&shared->sides[side].finished); i < count; i++) {
            program_run(&driver, &shared->programs[i], &shared->sides[side].outcomes[i]);
            atomic_store(&shared->sides[side].finished, i + 1);
        }
        if (write(to, "", 1) != 1)
            break;
    }
    exit(0); // not _exit: the driver's own end is part of the test
}

static int begin(unsigned side)
{
    int to[2], from[2];
    char byte;
    if (pipe2(to, 0) || pipe2(from, 0))
        return -errno;
    fflush(NULL);
    pid_t pid = fork();
    if (!pid) {
        close(to[1]);
        close(from[0]);
        for (unsigned i = 0; i < 2; i++)
            if (sides[i].pid) {
                close(sides[i].to);
                close(sides[i].from);
            }
        serve(side, to[0], from[1]);
    }
    close(to[0]);
    close(from[1]);
    if (pid < 0)
        return -errno;
    sides[side] = (struct side){pid, to[1], from[0]};
    return read(from[0], &byte, 1) == 1 ? 0 : -ECHILD;
}

static int end(unsigned side, int signal, char *fate)
{
    int status = 0;
    if (!sides[side].pid)
        return 0;
    close(sides[side].to);
    if (signal)
        kill(sides[side].pid, signal);
    waitpid(sides[side].pid, &status, 0);
    close(sides[side].from);
    sides[side].pid = 0;
    if (fate && signal)
        snprintf(fate, 64, "hung");
    else if (fate && WIFSIGNALED(status))
        snprintf(fate, 64, "killed by signal %d", WTERMSIG(status));
    else if (fate)
        snprintf(fate, 64, "ended with status %d", WEXITSTATUS(status));
    return status;
}

int pair_open(const struct pair_settings *s)
{
    settings = *s;
    signal(SIGPIPE, SIG_IGN);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return -errno;
    int r = begin(0);
    return r ? r : begin(1);
}

int pair_close(void)
{
    int r = 0;
    for (unsigned i = 0; i < 2; i++) {
        int status = end(i, 0, NULL);
        if (status)
            fprintf(stderr, "the %s process ended with status %#x\n", i ? "remote" : "local", (unsigned)status);
        r |= status;
    }
    munmap(shared, sizeof *shared);
    return r;
}

struct program *pair_programs(void) { return shared->programs; }

// Waits until the side has answered, died, or finished no program for the time that one may take.
static int answer(unsigned side, unsigned count)
{
    struct pollfd p = {.fd = sides[side].from, .events = POLLIN};
    char byte;
    for (;;) {
        unsigned before = atomic_load(&shared->sides[side].finished);
        int n = poll(&p, 1, (int)settings.timeout_ms);
        if (n > 0 && read(p.fd, &byte, 1) == 1)
            return 0;
        unsigned now = atomic_load(&shared->sides[side].finished);
        if (n == 0 && now > before)
            continue;
        if (n < 0 && errno == EINTR)
            continue;
        if (now >= count)
            return -ECHILD; // it fell after the last program
        end(side, n == 0 ? SIGKILL : 0, fates[side][now]);
        atomic_store(&shared->sides[side].finished, now + 1);
        int r = begin(side);
        if (r)
            return r;
        if (now + 1 == count)
            return 0;
        unsigned char more = (unsigned char)count;
        if (write(sides[side].to, &more, 1) != 1)
            return -errno;
    }
}

int pair_run(unsigned count)
{
    unsigned char n = (unsigned char)count;
    memset(fates, 0, sizeof fates);
    for (unsigned i = 0; i < 2; i++) {
        atomic_store(&shared->sides[i].finished, 0);
        for (unsigned k = 0; k < count; k++)
            atomic_store(&shared->sides[i].outcomes[k].reached, 0);
        if (write(sides[i].to, &n, 1) != 1) {
            end(i, 0, NULL); // it fell between two batches
            int r = begin(i);
            if (r || write(sides[i].to, &n, 1) != 1)
                return r ? r : -EPIPE;
        }
    }
    for (unsigned i = 0; i < 2; i++) {
        int r = answer(i, count);
        if (r)
            return r;
    }
    return 0;
}

const struct outcome *pair_outcome(unsigned side, unsigned index) { return &shared->sides[side].outcomes[index]; }

const char *pair_fate(unsigned side, unsigned index) { return *fates[side][index] ? fates[side][index] : NULL; }

static bool is_same(const struct op *op, const struct record *a, const struct record *b)
{
    if (a->done != b->done)
        return false;
    if (a->code != b->code) {
        bool ready_or_not = (a->code == 0 || a->code == 600) && (b->code == 0 || b->code == 600);
        return op->free_code && ready_or_not;
    }
    return !memcmp(a->values, b->values, sizeof a->values);
}

static bool loses(unsigned index) // the context to a fault, and then the process to SIGBUS
{
    const struct outcome *a = pair_outcome(0, index);
    bool ruined = false;
    for (unsigned i = 0; i < shared->programs[index].count; i++)
        ruined |= a->records[i].done && a->records[i].code >= CUDA_ERROR_ILLEGAL_ADDRESS && a->records[i].code <= CUDA_ERROR_LAUNCH_FAILED;
    return settings.may_lose && ruined && strstr(fates[1][index], "signal 7");
}

int pair_difference(unsigned index)
{
    const struct program *p = &shared->programs[index];
    const struct outcome *a = pair_outcome(0, index), *b = pair_outcome(1, index);
    if (loses(index))
        return -1;
    for (unsigned i = 0; i < p->count; i++)
        if (!is_same(&p->ops[i], &a->records[i], &b->records[i]))
            return (int)i;
    if (!*fates[0][index] && !*fates[1][index])
        return -1;
    for (unsigned i = 0; i + 1 < p->count; i++) // both fell, at the same place
        if (!a->records[i].done)
            return (int)i;
    return (int)p->count - 1;
}
