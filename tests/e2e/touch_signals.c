// SPDX-License-Identifier: Apache-2.0
// Host buffers that are touched where a thread can hardly be helped: in signal handlers, with all signals blocked, on other stacks, in jumps.
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "tests/e2e/touch.h"

enum { PAGE = TOUCH_PAGE, BYTES = TOUCH_BYTES };

static uint8_t *host;
static volatile sig_atomic_t handled, wrong;
static volatile unsigned next_page; // of the handler

static void touch_next(int signal_number)
{
    (void)signal_number;
    size_t at = next_page++ % (BYTES / PAGE) * PAGE;
    wrong |= host[at + 1] != touch_model[at + 1];
    host[at] = (uint8_t)(host[at] + 1); // the model's is made the same when it is looked at
    handled++;
}

static void follow(unsigned from) // what the handler did, in the model
{
    for (unsigned i = from; i < next_page; i++)
        touch_model[i % (BYTES / PAGE) * PAGE]++;
}

static void with_handler(int signal_number, void (*handler)(int), int flags, struct sigaction *before)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    sigaction(signal_number, &action, before);
}

static void raised(void)
{
    struct sigaction before;
    host = touch_map(BYTES);
    with_handler(SIGUSR1, touch_next, 0, &before);
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        touch_down(host, BYTES, round);
        next_page = 3 * round;
        for (int i = 0; i < 5; i++)
            raise(SIGUSR1);
        follow(3 * round);
        touch_up("by a handler", host, BYTES);
    }
    EXPECT(!wrong && handled == 5 * TOUCH_ROUNDS);
    sigaction(SIGUSR1, &before, NULL);
    touch_unmap(host, BYTES);
}

// A timer interrupts copies, faults and system calls; the handler touches a buffer that none of them is about.
static void interrupted(void)
{
    struct sigaction before;
    uint8_t *own = touch_map(BYTES), *wanted = malloc(BYTES);
    host = touch_map(BYTES);
    with_handler(SIGALRM, touch_next, SA_RESTART, &before);
    for (unsigned round = 0; round < 2 * TOUCH_ROUNDS; round++) {
        touch_down(host, BYTES, round);
        uint8_t *handlers = malloc(BYTES);
        memcpy(handlers, touch_model, BYTES);
        // The handler compares with the second byte of each page of the model, which stays as it is while it runs.
        next_page = 0;
        setitimer(ITIMER_REAL, &(struct itimerval){{0, 300}, {0, 300}}, NULL);
        for (unsigned i = 0; i < 8; i++) {
            touch_seed(touch_source, BYTES, 100 + i);
            CU(cuMemcpyDtoH(own, touch_source, BYTES));
            touch_truth(wanted, 0, BYTES, 100 + i);
            EXPECT(own[i * PAGE + 5] == wanted[i * PAGE + 5]);
            CU(cuMemcpyHtoD(touch_sink, own, BYTES));
            EXPECT(touch_device_is(touch_sink, wanted, BYTES));
        }
        setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 0}}, NULL);
        memcpy(touch_model, handlers, BYTES);
        follow(0);
        EXPECT(touch_arrives(host, 0, BYTES));
        free(handlers);
    }
    EXPECT(!wrong);
    printf("interrupted\n");
    sigaction(SIGALRM, &before, NULL);
    touch_unmap(host, BYTES);
    touch_unmap(own, BYTES);
    free(wanted);
}

static void *with_all_blocked(void *nothing)
{
    sigset_t every;
    sigfillset(&every);
    pthread_sigmask(SIG_BLOCK, &every, NULL);
    for (size_t at = 0; at < BYTES; at += PAGE) {
        wrong |= host[at + 1] != touch_model[at + 1];
        host[at + 2] = 9;
    }
    return nothing;
}

static void blocked(void)
{
    host = touch_map(BYTES);
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        pthread_t other;
        touch_down(host, BYTES, round);
        EXPECT(!pthread_create(&other, NULL, with_all_blocked, NULL));
        pthread_join(other, NULL);
        for (size_t at = 0; at < BYTES; at += PAGE)
            touch_model[at + 2] = 9;
        EXPECT(!wrong);
        touch_up("with all signals blocked", host, BYTES);
    }
    touch_unmap(host, BYTES);
}

// The handler's stack lies in pages that are away: the kernel writes the frame there.
static void other_stack(void)
{
    struct sigaction before;
    uint8_t *stack = touch_map(BYTES);
    stack_t own = {.ss_sp = stack, .ss_size = BYTES}, old;
    host = touch_map(BYTES);
    EXPECT(!sigaltstack(&own, &old));
    with_handler(SIGUSR1, touch_next, SA_ONSTACK, &before);
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        touch_down(stack, BYTES, 10 + round);
        touch_down(host, BYTES, round);
        next_page = round;
        raise(SIGUSR1);
        raise(SIGUSR1);
        follow(round);
        touch_up("on another stack", host, BYTES);
        touch_truth(touch_model, 0, BYTES / 2, 10 + round); // the rest is the handler's
        touch_up("and its unused end", stack, BYTES / 2);
    }
    EXPECT(!wrong);
    sigaction(SIGUSR1, &before, NULL);
    old.ss_flags |= SS_DISABLE;
    sigaltstack(&old, NULL);
    touch_unmap(host, BYTES);
    touch_unmap(stack, BYTES);
}

// --- out of a handler by a jump

static sigjmp_buf back;

static void jump(int signal_number)
{
    touch_next(signal_number);
    siglongjmp(back, 1);
}

static void jumped(void)
{
    struct sigaction before;
    host = touch_map(BYTES);
    with_handler(SIGUSR2, jump, 0, &before);
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        touch_down(host, BYTES, round);
        next_page = 2 * round;
        if (!sigsetjmp(back, 1))
            raise(SIGUSR2);
        follow(2 * round);
        touch_up("after a jump", host, BYTES);
    }
    EXPECT(!wrong);
    sigaction(SIGUSR2, &before, NULL);
    touch_unmap(host, BYTES);
}

// The program's own handler for bad addresses, which jumps: faults of its own, besides ours.
static void bad_access(int signal_number)
{
    (void)signal_number;
    siglongjmp(back, 1);
}

static void own_faults(void)
{
    struct sigaction before, before_bus;
    uint8_t *nowhere = touch_map(PAGE);
    touch_unmap(nowhere, PAGE);
    nowhere = mmap(nowhere, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    host = touch_map(BYTES);
    with_handler(SIGSEGV, bad_access, 0, &before);
    with_handler(SIGBUS, bad_access, 0, &before_bus);
    volatile unsigned caught = 0;
    for (volatile unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        touch_down(host, BYTES, round);
        for (volatile size_t at = 0; at < BYTES; at += 5 * PAGE) {
            if (sigsetjmp(back, 1))
                caught++;
            else
                *(volatile uint8_t *)nowhere = host[at]; // reads a page that is away, then faults
            EXPECT(host[at + 1] == touch_model[at + 1]);
        }
        touch_up("among faults", host, BYTES);
    }
    printf("%u faults of its own\n", caught);
    sigaction(SIGSEGV, &before, NULL);
    sigaction(SIGBUS, &before_bus, NULL);
    touch_unmap(host, BYTES);
    touch_unmap(nowhere, PAGE);
}

const struct touch_case touch_signals[] = {
    {"raised", raised}, {"interrupted", interrupted}, {"blocked", blocked},       {"other_stack", other_stack},
    {"jumped", jumped}, {"own_faults", own_faults},   {NULL, NULL},
};
