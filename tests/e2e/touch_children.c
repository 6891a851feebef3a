// SPDX-License-Identifier: Apache-2.0
// Children that share or inherit a host buffer: fork in all its forms, vfork, clone with the memory in common.
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/e2e/touch.h"

enum { PAGE = TOUCH_PAGE, BYTES = TOUCH_BYTES, STACK = 256 << 10 };

// In a child: what it sees is the model, and what it writes stays its own. No library call that takes a lock.
static int look_and_write(uint8_t *host)
{
    for (size_t at = 0; at < BYTES; at += PAGE / 2)
        if (host[at] != touch_model[at])
            return 2 + (int)(at / PAGE) % 100;
    if (memcmp(host, touch_model, BYTES))
        return 120;
    for (size_t at = 0; at < BYTES; at += 3 * PAGE)
        host[at] = (uint8_t)(touch_model[at] + 1);
    for (size_t at = 0; at < BYTES; at += 3 * PAGE)
        if (host[at] != (uint8_t)(touch_model[at] + 1))
            return 121;
    return 1;
}

static bool returned_one(pid_t child)
{
    int status = 0;
    if (child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 1)
        return true;
    printf("  child %s: status %x\n", child > 0 ? "ended" : strerror(errno), (unsigned)status);
    return false;
}

static pid_t by_fork(void) { return fork(); }
static pid_t by_clone(void) { return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0); } // nobody in the process is told
static pid_t by_bare_fork(void)
{
#if __GLIBC_PREREQ(2, 34)
    return _Fork(); // without what was registered for forks
#else
    return fork();
#endif
}

static void forked_by(pid_t (*make)(void))
{
    uint8_t *host = touch_map(BYTES);
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        touch_down(host, BYTES, round);
        fflush(stdout);
        pid_t child = make();
        if (!child)
            _exit(look_and_write(host));
        EXPECT(host[3 * PAGE] == touch_model[3 * PAGE]);
        host[6 * PAGE + 1] = 77; // while the child looks, or before
        touch_model[6 * PAGE + 1] = 77;
        EXPECT(returned_one(child));
        touch_up("after a child", host, BYTES);
        touch_down(host, BYTES, 10 + round);
        touch_up("and on", host, BYTES);
        host[4 * PAGE] = touch_model[4 * PAGE] = 5;
        child = make(); // with pages that were sent, and one that was changed since
        if (!child)
            _exit(look_and_write(host));
        EXPECT(returned_one(child));
        touch_up("changed before a child", host, BYTES);
    }
    touch_unmap(host, BYTES);
}

static void forked(void) { forked_by(by_fork); }
static void forked_bare(void) { forked_by(by_bare_fork); }
static void cloned(void) { forked_by(by_clone); }

// A child of a child, and one that lives on while the parent goes on copying.
static void generations(void)
{
    uint8_t *host = touch_map(BYTES);
    int go[2];
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        EXPECT(!pipe(go));
        touch_down(host, BYTES, round);
        fflush(stdout);
        pid_t child = fork();
        if (!child) {
            char byte;
            pid_t grandchild = fork();
            if (!grandchild)
                _exit(look_and_write(host));
            int status, mine = 130;
            if (waitpid(grandchild, &status, 0) == grandchild && status == 0x100 && read(go[0], &byte, 1) == 1)
                mine = look_and_write(host);
            _exit(mine);
        }
        uint8_t *kept = malloc(BYTES);
        memcpy(kept, touch_model, BYTES);
        for (unsigned i = 0; i < 3; i++) { // the parent's copy of the buffer changes; the child's does not
            touch_down(host, BYTES, 100 + 10 * round + i);
            touch_up("meanwhile", host, BYTES);
        }
        EXPECT(write(go[1], "x", 1) == 1);
        EXPECT(returned_one(child));
        touch_up("afterwards", host, BYTES);
        close(go[0]), close(go[1]);
        free(kept);
    }
    touch_unmap(host, BYTES);
}

// --- children in the same memory

static int shares(void *at)
{
    uint8_t *host = at;
    bool same = !memcmp(host + PAGE, touch_model + PAGE, 3 * PAGE);
    host[PAGE * 7] = 42;
    _exit(same && host[PAGE * 7] == 42);
}

static void in_common(void)
{
    uint8_t *host = touch_map(BYTES), *stack = touch_map(STACK);
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        touch_down(host, BYTES, round);
        EXPECT(returned_one(clone(shares, stack + STACK, CLONE_VM | SIGCHLD, host)));
        touch_model[PAGE * 7] = 42;
        touch_up("memory in common", host, BYTES);
        touch_down(host, BYTES, 10 + round);
        pid_t child = vfork();
        if (!child) {
            host[9 * PAGE] = 43;
            _exit(host[8 * PAGE] == touch_model[8 * PAGE]);
        }
        EXPECT(returned_one(child));
        touch_model[9 * PAGE] = 43;
        touch_up("vfork", host, BYTES);
        touch_down(stack + PAGE, STACK / 2, 20 + round); // the stack of a child lies in pages that are away
        touch_down(stack + STACK - 8 * PAGE, 8 * PAGE, 25 + round);
        touch_down(host, BYTES, 30 + round);
        EXPECT(returned_one(clone(shares, stack + STACK - PAGE, CLONE_VM | CLONE_VFORK | SIGCHLD, host)));
        touch_model[PAGE * 7] = 42;
        touch_up("a stack of such pages", host, BYTES);
    }
    touch_unmap(host, BYTES);
    touch_unmap(stack, STACK);
}

static void started(void)
{
    uint8_t *host = touch_map(BYTES);
    extern char **environ;
    char *argv[] = {"/bin/sh", "-c", "exit 1", NULL};
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        pid_t child;
        touch_down(host, BYTES, round);
        EXPECT(!posix_spawn(&child, argv[0], NULL, NULL, argv, environ));
        EXPECT(returned_one(child));
        touch_up("posix_spawn", host, BYTES);
        touch_down(host, BYTES, 10 + round);
        EXPECT(system("exit 3") == 0x300);
        FILE *other = popen("echo word", "r");
        EXPECT(other && fgets((char *)host + 2 * PAGE - 2, 10, other) && pclose(other) == 0);
        memcpy(touch_model + 2 * PAGE - 2, "word\n", 6);
        touch_up("popen", host, BYTES);
    }
    touch_unmap(host, BYTES);
}

// Children are made while threads copy, and fetch what they have copied.
static _Atomic bool copying;
static _Atomic unsigned wrong;

static void *copy_on(void *number)
{
    uint8_t *own = touch_map(BYTES), *wanted = malloc(BYTES);
    CU(cuCtxSetCurrent(touch_context));
    CUdeviceptr at = e2e_alloc(BYTES);
    for (unsigned i = 0; copying; i++) {
        unsigned seed = 1000 * *(unsigned *)number + i;
        touch_seed(at, BYTES, seed);
        touch_truth(wanted, 0, BYTES, seed);
        CU(cuMemcpyDtoH(own, at, BYTES));
        for (size_t p = i % 7 * PAGE; p < BYTES; p += 9 * PAGE)
            wrong += own[p] != wanted[p];
        own[3 * PAGE] = wanted[3 * PAGE] = 7;
        CU(cuMemcpyHtoD(at, own, BYTES));
        wrong += memcmp(own, wanted, BYTES) != 0;
    }
    touch_unmap(own, BYTES);
    free(wanted);
    return NULL;
}

static void forked_while_busy(void)
{
    pthread_t threads[2];
    unsigned numbers[2] = {1, 2};
    uint8_t *host = touch_map(BYTES);
    touch_down(host, BYTES, 5);
    copying = true;
    for (int i = 0; i < 2; i++)
        EXPECT(!pthread_create(&threads[i], NULL, copy_on, &numbers[i]));
    for (unsigned round = 0; round < 4 * TOUCH_ROUNDS; round++) {
        CUdeviceptr at = e2e_alloc(BYTES); // the threads have the others
        touch_seed(at, BYTES, round);
        CU(cuCtxSynchronize());
        CU(cuMemcpyDtoH(host, at, BYTES));
        touch_truth(touch_model, 0, BYTES, round);
        pid_t child = round % 2 ? by_clone() : by_fork();
        if (!child)
            _exit(look_and_write(host));
        EXPECT(returned_one(child));
        CU(cuMemFree(at));
    }
    copying = false;
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    EXPECT(!wrong);
    touch_up("forked while busy", host, BYTES);
    touch_unmap(host, BYTES);
}

// Memory that children do not get, or get as zeros.
static void withheld(void)
{
    uint8_t *wiped = touch_map(BYTES), *kept = touch_map(BYTES);
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        bool wipes = !madvise(wiped, BYTES, MADV_WIPEONFORK);
        EXPECT(!madvise(kept, BYTES, MADV_DONTFORK));
        touch_down(kept, BYTES, round);
        touch_down(wiped, BYTES, round);
        fflush(stdout);
        pid_t child = fork();
        if (!child)
            _exit(wipes ? wiped[5 * PAGE] == 0 && wiped[1] == 0 : 1);
        EXPECT(returned_one(child));
        touch_up("wiped in the child", wiped, BYTES);
        EXPECT(!mprotect(wiped, BYTES, PROT_READ | PROT_WRITE) && (!madvise(wiped, BYTES, MADV_KEEPONFORK) || !wipes));
        touch_down(wiped, BYTES, 50 + round);
        EXPECT(!mprotect(wiped + 3 * PAGE, 2 * PAGE, PROT_NONE)); // nobody can read these when the child is made
        fflush(stdout);
        if (!(child = fork()))
            _exit(mprotect(wiped, BYTES, PROT_READ | PROT_WRITE) ? 5 : look_and_write(wiped));
        EXPECT(returned_one(child));
        EXPECT(!mprotect(wiped, BYTES, PROT_READ | PROT_WRITE));
        touch_up("protected in the child", wiped, BYTES);
        touch_down(wiped, BYTES, round);
        touch_up("not in the child", kept, BYTES);
    }
    touch_unmap(wiped, BYTES);
    touch_unmap(kept, BYTES);
}

const struct touch_case touch_children[] = {
    {"forked", forked},       {"forked_bare", forked_bare}, {"cloned", cloned},     {"generations", generations},
    {"in_common", in_common}, {"started", started},         {"withheld", withheld}, {"forked_while_busy", forked_while_busy},
    {NULL, NULL},
};
