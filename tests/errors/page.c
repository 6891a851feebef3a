// SPDX-License-Identifier: Apache-2.0
// The table of error cases as a page: docs/error-cases.md is what this prints.
#include <stdio.h>
#include <string.h>

#include "tests/errors/table.h"

static unsigned counts[KNOWNS], rows;
static const char *subject;

const char *code_name(CUresult code)
{
    const char *name = NULL;
    return cuGetErrorName(code, &name) == CUDA_SUCCESS && name ? name : "an unknown code";
}

static void tally(struct table *t, const struct error_case *row)
{
    (void)t;
    counts[row->known]++;
    rows++;
}

// In a cell of a table: "f->" means nothing to the reader, "|" ends the cell.
static void code(const char *text)
{
    putchar('`');
    for (const char *at = text; *at; at++) {
        if (!strncmp(at, "f->", 3) && (at == text || !strchr("abcdefghijklmnopqrstuvwxyz_", at[-1])))
            at += 2;
        else if (*at == '|')
            fputs("\\|", stdout);
        else
            putchar(*at);
    }
    putchar('`');
}

static void print(struct table *t, const struct error_case *row)
{
    static const char *const whens[WHENS] = {
        [AT_CALL] = "at the call", [AT_WAIT] = "at the next wait", [LASTING] = "at the next wait, lasting", [WHENEVER] = "at the call or the next wait"};
    static const char *const knowns[KNOWNS] = {
        [DOCUMENTED] = "documented", [REPORTED] = "reported", [OBSERVED] = "observed", [ASSUMED] = "assumed"};
    static const char *const givens[GIVENS] = {
        [BEFORE_INIT] = "before `cuInit`", [NO_CONTEXT] = "no context", [A_CONTEXT] = "a context",
        [LOST_CONTEXT] = "a context lost by an illegal address", [A_FAULT] = "a context; the driver fails the call"};
    if (!subject || strcmp(subject, t->subject)) {
        subject = t->subject;
        printf("\n## %s\n\nGiven: %s.%s%s%s\n\n| case | call | code | appears | known |\n|---|---|---|---|---|\n", subject, givens[t->given],
               t->flags & ALONE ? " Each row in a process of its own." : "",
               t->flags & UNDEFINED ? " A real driver may do anything here, a crash included." : "",
               t->flags & WRITES ? " Output parameters may be written although the call fails." : "");
    }
    printf("| %s | ", row->name);
    if (*row->prepare) {
        code(row->prepare);
        fputs(", then ", stdout);
    }
    code(row->call);
    printf(" | %s | %s | %s%s%s |\n", row->code ? code_name(row->code) + strlen("CUDA_ERROR_") : "SUCCESS", whens[row->when], knowns[row->known],
           *row->source ? ": " : "", row->source);
}

void page_print(void)
{
    static struct table t = {.visit = tally};
    table_go(&t);
    printf("# Error cases\n\n"
           "Written by `build/tests/errors/errors_static --markdown`; do not edit. %u cases: %u documented, %u reported, %u observed, %u assumed.\n\n"
           "`tests/errors/run.sh` runs them on the mock directly, through a server and with `libgenie.a`, with posting on and off; each gives the\n"
           "code below at the call below, leaves output parameters alone when it fails unless said otherwise, and changes nothing for the calls\n"
           "after it. *documented*: NVIDIA's driver API reference (13.0) says so under the name given (\"returns\": in the list of what the call may\n"
           "return, with the code's general meaning). *reported*: by somebody who ran it on a real\n"
           "driver, at the place given. *observed*: by us, on the driver given. *assumed*: by analogy; what the mock does is no evidence. A lasting\n"
           "error is returned by every call that needs the context from then on.\n",
           rows, counts[DOCUMENTED], counts[REPORTED], counts[OBSERVED], counts[ASSUMED]);
    t.visit = print;
    table_go(&t);
}
