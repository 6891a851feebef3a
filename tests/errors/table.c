// SPDX-License-Identifier: Apache-2.0
// Runs the table of error cases (table.h) and says which rows are not as written. Usage:
//   errors [--real] [--fault]   runs; --real leaves out what a real driver may crash on, --fault runs only the rows whose fault is injected
//   errors --observe [--real]   prints what each row gives, and is content with all of it: to learn from a real driver (tests/gpu/run.sh)
//   errors --markdown           writes docs/error-cases.md
//
// Rows run in children, forked before anything of CUDA is used: neighbours of one kind share a child, a row that ruins its context has its
// own. A child that dies costs the row it was at.
#include "tests/errors/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROWS_MAX = 1024, WHY_BYTES = 240, UNTOUCHED = 0xa5 };

struct outcome {
    bool done, bad;
    CUresult got;
    char why[WHY_BYTES];
};

// Shared with the children.
static struct shared {
    unsigned current; // the row that runs; ROWS_MAX while none does
    struct outcome rows[ROWS_MAX];
} *shared;

static struct { // of each row, from a first pass that runs none
    const struct error_case *row;
    const char *subject;
    enum given given;
    unsigned flags;
} all[ROWS_MAX];
static unsigned count;

void section(struct table *t, const char *subject, enum given given, unsigned flags)
{
    t->subject = subject;
    t->given = given;
    t->flags = flags;
}

void table_go(struct table *t)
{
    t->index = 0;
    cases_init(t);
    cases_context(t);
    cases_stream(t);
    cases_memory(t);
    cases_copy(t);
    cases_launch(t);
    cases_module(t);
    cases_lasting(t);
    cases_fault(t);
}

// --- in a child: one row

bool table_wants(struct table *t, const struct error_case *row)
{
    unsigned index = t->index++;
    if (t->visit) {
        t->visit(t, row);
        return false;
    }
    if (index < t->from || index >= t->until)
        return false;
    shared->current = index;
    memset(&t->f.out, UNTOUCHED, sizeof t->f.out);
    return true;
}

CUresult table_forget(void *where, size_t size_bytes, CUresult r)
{
    memset(where, UNTOUCHED, size_bytes);
    return r;
}

static struct outcome *here(void) { return &shared->rows[shared->current]; }

static void expect(const char *what, CUresult wanted, CUresult got)
{
    struct outcome *o = here();
    if (wanted == got || o->bad)
        return;
    o->bad = true;
    snprintf(o->why, sizeof o->why, "%s gives %s, not %s", what, code_name(got), code_name(wanted));
}

static void expect_untouched(const struct table *t)
{
    const unsigned char *p = (const unsigned char *)&t->f.out;
    struct outcome *o = here();
    for (size_t i = 0; !o->bad && i < sizeof t->f.out; i++)
        if (p[i] != UNTOUCHED) {
            o->bad = true;
            snprintf(o->why, sizeof o->why, "it fails, and writes to an output parameter (at %zu of them)", i);
        }
}

// What a call that waits gives when nothing is wrong but what the set-up has made wrong.
static CUresult usual(enum given given)
{
    static const CUresult codes[GIVENS] = {
        [BEFORE_INIT] = CUDA_ERROR_NOT_INITIALIZED, [NO_CONTEXT] = CUDA_ERROR_INVALID_CONTEXT, [A_CONTEXT] = CUDA_SUCCESS,
        [LOST_CONTEXT] = CUDA_ERROR_ILLEGAL_ADDRESS, [A_FAULT] = CUDA_SUCCESS};
    return codes[given];
}

static void judge_lasting(struct table *t, CUresult code)
{
    CUdeviceptr p;
    CUstream s;
    CUevent e;
    uint32_t word;
    expect("then cuCtxSynchronize", code, cuCtxSynchronize());
    expect("then again cuCtxSynchronize", code, cuCtxSynchronize());
    expect("then cuMemAlloc", code, cuMemAlloc(&p, 100));
    expect("then cuStreamCreate", code, cuStreamCreate(&s, 0));
    expect("then cuEventCreate", code, cuEventCreate(&e, 0));
    expect("then cuMemcpyDtoH", code, cuMemcpyDtoH(&word, t->f.memory, sizeof word));
    expect("then cuLaunchKernel", code, launch(&t->f, t->f.nothing, NULL));
    expect("then cuStreamQuery", code, cuStreamQuery(t->f.stream));
    expect("then cuEventQuery", code, cuEventQuery(t->f.event));
}

void table_judge(struct table *t, const struct error_case *row, CUresult got)
{
    bool early = row->when == AT_CALL || (row->when == WHENEVER && got == row->code);
    here()->got = got;
    expect("it", early ? row->code : CUDA_SUCCESS, got);
    if (got != CUDA_SUCCESS && !(t->flags & WRITES))
        expect_untouched(t);
    if (row->when == LASTING)
        judge_lasting(t, row->code);
    else if (!early)
        expect("then cuCtxSynchronize", row->code, cuCtxSynchronize());
    if (row->when != LASTING && !(t->flags & ALONE))
        expect("and cuCtxSynchronize after it", usual(t->given), cuCtxSynchronize());
    here()->done = true;
}

static void child(unsigned from, unsigned until)
{
    static struct table t;
    t.from = from;
    t.until = until;
    shared->current = from; // a set-up that fails is this row's
    fixture_open(&t.f, all[from].given);
    table_go(&t);
    shared->current = ROWS_MAX;
    fflush(NULL);
    _exit(0);
}

// --- in the parent

static void note(struct table *t, const struct error_case *row)
{
    if (count == ROWS_MAX) {
        fprintf(stderr, "more than %d rows\n", ROWS_MAX);
        exit(2);
    }
    all[count].row = row;
    all[count].subject = t->subject;
    all[count].given = t->given;
    all[count++].flags = t->flags;
}

static bool is_alone(unsigned i) { return all[i].flags & ALONE || all[i].row->when == LASTING; }

// The rows from `from` on that share a process.
static unsigned together(unsigned from)
{
    unsigned until = from + 1;
    while (!is_alone(from) && until < count && !is_alone(until) && all[until].given == all[from].given)
        until++;
    return until;
}

static void run(unsigned from, unsigned until)
{
    while (from < until) {
        int status = 0;
        fflush(NULL);
        pid_t pid = fork();
        if (pid < 0) {
            perror("fork");
            exit(2);
        }
        if (!pid)
            child(from, until);
        waitpid(pid, &status, 0);
        if (shared->current == ROWS_MAX && !status)
            return;
        unsigned at = shared->current == ROWS_MAX ? until - 1 : shared->current;
        struct outcome *o = &shared->rows[at];
        o->done = o->bad = true;
        snprintf(o->why, sizeof o->why, "the process ends there (%s %d)", WIFSIGNALED(status) ? "signal" : "status",
                 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        from = at + 1;
    }
}

static int report(void)
{
    unsigned done = 0, bad = 0;
    for (unsigned i = 0; i < count; i++) {
        const struct outcome *o = &shared->rows[i];
        const struct error_case *row = all[i].row;
        done += o->done;
        bad += o->bad;
        if (o->bad)
            printf("%s:%d: %s: %s: %s\n", row->file, row->line, all[i].subject, row->name, o->why);
    }
    printf("%u rows of %u, %u not as written\n", done, count, bad);
    return bad || !done;
}

static int observed(void)
{
    unsigned done = 0;
    for (unsigned i = 0; i < count; i++) {
        const struct outcome *o = &shared->rows[i];
        done += o->done;
        if (o->done)
            printf("%s: %s: %s%s%s\n", all[i].subject, all[i].row->name, code_name(o->got), o->bad ? "; other than written: " : "", o->why);
    }
    return !done;
}

int main(int argc, char **argv)
{
    static struct table t = {.visit = note};
    bool real = false, fault_rows = false, observe = false;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--markdown")) {
            page_print();
            return 0;
        }
        real |= !strcmp(argv[i], "--real");
        fault_rows |= !strcmp(argv[i], "--fault");
        observe |= !strcmp(argv[i], "--observe");
    }
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        perror("mmap");
        return 2;
    }
    table_go(&t);
    for (unsigned i = 0, next; i < count; i = next) {
        next = together(i);
        bool skipped = (real && all[i].flags & UNDEFINED) || (all[i].given == A_FAULT) != fault_rows;
        if (!skipped)
            run(i, next);
    }
    return observe ? observed() : report();
}
