// SPDX-License-Identifier: Apache-2.0
// Connections that are made while the program forks: does a child always know of the descriptor, and does none stay behind a failure?
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "remoting/fork.h"
#include "remoting/link/link.h"

enum { FORKS = 300, TIMEOUT_MS = 2000, SHORT_MS = 200, BACKLOG_MAX = 64 + 2 };

static _Atomic int place = -1;
static _Atomic bool stop;
static char address[256];

static unsigned sockets(void)
{
    unsigned count = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    for (const struct dirent *e; (e = readdir(dir));) {
        char target[64];
        ssize_t n = readlinkat(dirfd(dir), e->d_name, target, sizeof target - 1);
        target[n > 0 ? n : 0] = '\0';
        count += !strncmp(target, "socket:", 7);
    }
    closedir(dir);
    return count;
}

static int listen_here(void)
{
    char why[256], at[256];
    snprintf(at, sizeof at, "unix:/tmp/genie-connect-%d", (int)getpid());
    int fd = gn_link_listen(at, address, sizeof address, why, sizeof why);
    assert_true(fd >= 0);
    return fd;
}

static void stop_listening(int fd)
{
    close(fd);
    unlink(address + strlen("unix:"));
}

static void *connect_again_and_again(void *arg)
{
    char why[256];
    (void)arg;
    while (!atomic_load(&stop)) {
        gn_link_connect_at(address, TIMEOUT_MS, &place, why, sizeof why);
        gn_link_disconnect_at(&place);
    }
    return NULL;
}

// In a process of its own: every further socket of this one is the connector's.
static pid_t accept_all(int listener)
{
    pid_t child = fork();
    if (child)
        return child;
    for (int fd; (fd = accept(listener, NULL, NULL)) >= 0;)
        close(fd);
    _exit(0);
}

// What a child counts is what its parent had open for good, whatever a thread was in the middle of.
static void a_child_closes_what_is_being_made(void **state)
{
    (void)state;
    unsigned bad = 0, before = sockets();
    int listener = listen_here();
    pid_t acceptor = accept_all(listener);
    pthread_t connector;
    assert_true(acceptor > 0);
    assert_int_equal(pthread_create(&connector, NULL, connect_again_and_again, NULL), 0);
    for (int i = 0; i < FORKS; i++) {
        int status;
        gn_fork_hold();
        pid_t child = fork();
        gn_fork_let();
        if (!child) {
            gn_link_disconnect_at(&place);
            _exit(sockets() != before + 1);
        }
        assert_true(child > 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        bad += !WIFEXITED(status) || WEXITSTATUS(status);
    }
    atomic_store(&stop, true);
    pthread_join(connector, NULL);
    kill(acceptor, SIGKILL);
    waitpid(acceptor, NULL, 0);
    stop_listening(listener);
    assert_int_equal(bad, 0);
    assert_int_equal(place, -1);
    assert_int_equal(sockets(), before);
}

static void *connect_once(void *result)
{
    char why[256];
    *(int *)result = gn_link_connect_at(address, SHORT_MS, &place, why, sizeof why);
    return NULL;
}

// A Unix socket's queue is full: the descriptor is known while the connection is tried, and gone when that was in vain.
static void a_connection_is_known_while_it_is_tried(void **state)
{
    (void)state;
    int listener = listen_here(), result = 0, waiting[BACKLOG_MAX], count = 0, tries = 0;
    char why[256];
    pthread_t connector;
    while (count < BACKLOG_MAX && (waiting[count] = gn_link_connect(address, 1, why, sizeof why)) >= 0)
        count++;
    assert_true(count < BACKLOG_MAX);
    assert_int_equal(pthread_create(&connector, NULL, connect_once, &result), 0);
    while (atomic_load(&place) < 0 && tries++ < 1000)
        usleep(1000);
    assert_true(tries < 1000);
    pthread_join(connector, NULL);
    assert_true(result < 0);
    assert_int_equal(place, -1);
    for (int i = 0; i < count; i++)
        close(waiting[i]);
    stop_listening(listener);
}

static void nothing_stays_behind_an_address_that_is_none(void **state)
{
    (void)state;
    char why[256];
    unsigned before = sockets();
    static const char *const bad[] = {"unix:/nowhere/at/all", "127.0.0.1:1", "127.0.0.1:99999", "nonsense", "unix:"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_true(gn_link_connect_at(bad[i], SHORT_MS, &place, why, sizeof why) < 0);
        assert_int_equal(place, -1);
    }
    gn_link_disconnect_at(&place); // nothing there: nothing done
    assert_int_equal(sockets(), before);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_closes_what_is_being_made),
        cmocka_unit_test(a_connection_is_known_while_it_is_tried),
        cmocka_unit_test(nothing_stays_behind_an_address_that_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
