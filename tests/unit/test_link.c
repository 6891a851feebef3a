// SPDX-License-Identifier: Apache-2.0
// Do all kinds of link do the same? Each test runs over io_uring, plain sockets, shared memory and the in-process link
// (whole, and cut to pieces): order, both directions at once, the end, being shut while blocked, waking a
// watcher, a full link that must not block. Where io_uring is refused its tests are skipped.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "remoting/link/link_memory.h"
#include "remoting/link/link_shm.h"

struct kind {
    const char *name;
    int plain;                           // sockets: 1 without io_uring
    const struct gn_link_faults *faults; // in-process
    bool memory;
    uint64_t shm_bytes; // shared memory: of a ring
    uint32_t look_ns;
};

static const struct gn_link_faults cut = {.split_seed = 11, .split_bytes_max = 23};
static const struct kind kinds[] = {
    {"io_uring", 0, NULL, false, 0, 0},
    {"plain", 1, NULL, false, 0, 0},
    {"in-process", 0, NULL, true, 0, 0},
    {"in-process, cut", 0, &cut, true, 0, 0},
    {"shared memory", 0, NULL, false, 2 << 20, 30000},
    {"shared memory, small", 0, NULL, false, GN_SHM_RING_BYTES_MIN, 0},
};

struct pair {
    struct gn_link *a, *b;
};

static bool open_pair(const struct kind *k, struct pair *p)
{
    int fds[2], fell_back[2];
    if (k->memory)
        return !gn_link_memory_pair(&p->a, &p->b, k->faults);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    if (k->shm_bytes) {
        int memory = gn_shm_create(k->shm_bytes);
        assert_true(memory >= 0);
        assert_int_equal(gn_link_shm_new(&p->a, fds[0], memory, k->shm_bytes, false), 0);
        assert_int_equal(gn_link_shm_new(&p->b, fds[1], memory, k->shm_bytes, true), 0);
        p->a->look_ns = p->b->look_ns = k->look_ns;
        close(memory);
        return true;
    }
    assert_int_equal(gn_link_open(&p->a, fds[0], k->plain, &fell_back[0]), 0);
    assert_int_equal(gn_link_open(&p->b, fds[1], k->plain, &fell_back[1]), 0);
    return true;
}

static void close_link(struct gn_link *l)
{
    l->ops->close(l);
    gn_link_free(l);
}

static void close_pair(struct pair *p)
{
    close_link(p->a);
    close_link(p->b);
}

static const struct kind *begin(void **state, struct pair *p)
{
    const struct kind *k = *state;
    assert_true(open_pair(k, p));
    if (!k->memory && !k->plain && !k->shm_bytes && strcmp(p->a->ops->name, "io_uring") != 0) {
        print_message("io_uring is refused here\n");
        close_pair(p);
        skip();
    }
    assert_string_equal(p->a->ops->name, k->memory ? "in-process" : k->shm_bytes ? "shared memory" : k->plain ? "plain" : "io_uring");
    return k;
}

static void nap(long ms)
{
    struct timespec t = {.tv_nsec = ms * 1000000};
    nanosleep(&t, NULL);
}

static uint8_t byte_at(uint64_t position, uint8_t salt)
{
    return (uint8_t)(position * 131 + (position >> 8) * 7 + salt);
}

struct mover { // a thread that sends or receives so many bytes, several pieces at a time
    struct gn_link *link;
    uint64_t total, seed;
    uint8_t salt;
    bool sends;
    ssize_t failed;
    uint64_t wrong;
};

static void *move(void *arg)
{
    struct mover *m = arg;
    enum { PIECES = 3, PIECE = 5000 };
    static _Thread_local uint8_t buffer[PIECES][PIECE];
    uint64_t done = 0, random = m->seed;
    while (done < m->total) {
        struct iovec pieces[PIECES];
        uint64_t at = done;
        int count = 0;
        for (; count < PIECES && at < m->total; count++) {
            random = random * 6364136223846793005ull + 1442695040888963407ull;
            uint64_t n = 1 + (random >> 33) % PIECE;
            n = n < m->total - at ? n : m->total - at;
            for (uint64_t i = 0; m->sends && i < n; i++)
                buffer[count][i] = byte_at(at + i, m->salt);
            pieces[count] = (struct iovec){buffer[count], n};
            at += n;
        }
        ssize_t n = m->sends ? m->link->ops->send(m->link, pieces, count, 1)
                             : m->link->ops->recv(m->link, pieces, count, 1);
        if (n <= 0 || (uint64_t)n > at - done) {
            m->failed = n ? n : -1;
            break;
        }
        for (ssize_t left = n, k = 0; !m->sends && left > 0; k++)
            for (size_t i = 0; i < pieces[k].iov_len && left > 0; i++, left--)
                m->wrong += buffer[k][i] != byte_at(done + (uint64_t)(n - left), m->salt);
        done += (uint64_t)n;
    }
    return NULL;
}

// Both directions at once, more than any buffer between them holds: neither may wait for the other.
static void bytes_keep_their_order(void **state)
{
    struct pair p;
    const struct kind *k = begin(state, &p);
    uint64_t total = k->faults ? 200000 : 8 << 20;
    struct mover m[4] = {
        {.link = p.a, .total = total, .seed = 1, .salt = 3, .sends = true},
        {.link = p.b, .total = total, .seed = 2, .salt = 3},
        {.link = p.b, .total = total, .seed = 3, .salt = 90, .sends = true},
        {.link = p.a, .total = total, .seed = 4, .salt = 90},
    };
    pthread_t t[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, move, &m[i]), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(t[i], NULL);
        assert_int_equal(m[i].failed, 0);
        assert_int_equal(m[i].wrong, 0);
    }
    close_pair(&p);
}

static void nothing_to_receive_now(void **state)
{
    struct pair p;
    begin(state, &p);
    uint8_t bytes[8];
    struct iovec piece = {bytes, sizeof bytes};
    assert_int_equal(p.a->ops->recv(p.a, &piece, 1, 0), -EAGAIN);
    struct iovec one = {"x", 1};
    assert_int_equal(p.b->ops->send(p.b, &one, 1, 0), 1);
    assert_int_equal(p.a->ops->recv(p.a, &piece, 1, 0), 1);
    assert_int_equal(bytes[0], 'x');
    assert_int_equal(p.a->ops->recv(p.a, &piece, 1, 0), -EAGAIN);
    close_pair(&p);
}

static void a_full_link_does_not_block(void **state)
{
    struct pair p;
    begin(state, &p);
    static uint8_t block[64 << 10], got[64 << 10];
    uint64_t sent = 0, received = 0;
    ssize_t n;
    struct iovec out = {block, sizeof block}, in = {got, sizeof got};
    for (size_t i = 0; i < sizeof block; i++)
        block[i] = (uint8_t)i;
    while ((n = p.a->ops->send(p.a, &out, 1, 0)) > 0) {
        sent += (uint64_t)n;
        assert_true(sent < 1 << 30);
    }
    assert_int_equal(n, -EAGAIN);
    assert_true(sent > 0);
    while ((n = p.b->ops->recv(p.b, &in, 1, 0)) > 0)
        received += (uint64_t)n;
    assert_int_equal(n, -EAGAIN);
    assert_int_equal(received, sent);
    assert_true(p.a->ops->send(p.a, &out, 1, 0) > 0); // there is room again
    close_pair(&p);
}

static void the_end_comes_behind_the_last_byte(void **state)
{
    struct pair p;
    begin(state, &p);
    uint8_t bytes[8];
    struct iovec out = {"last", 4}, in = {bytes, sizeof bytes};
    for (size_t done = 0; done < 4;) {
        struct iovec rest = {(uint8_t *)out.iov_base + done, 4 - done};
        ssize_t n = p.a->ops->send(p.a, &rest, 1, 1);
        assert_true(n > 0);
        done += (size_t)n;
    }
    close_link(p.a);
    ssize_t n, total = 0;
    while ((n = p.b->ops->recv(p.b, &in, 1, 1)) > 0)
        total += n;
    assert_int_equal(total, 4);
    assert_int_equal(n, 0);
    assert_int_equal(p.b->ops->recv(p.b, &in, 1, 1), 0); // and stays
    for (int i = 0; i < 3; i++)                          // sending there fails, and raises no signal
        n = p.b->ops->send(p.b, &out, 1, 1);
    assert_true(n < 0);
    close_link(p.b);
}

struct blocked { // a thread in a call that does not come back by itself
    struct gn_link *link;
    enum { IN_RECV, IN_SEND, IN_WATCH } where;
    _Atomic int entered, left;
    ssize_t result;
    pthread_t thread;
};

static void *block(void *arg)
{
    struct blocked *b = arg;
    static _Thread_local uint8_t bytes[64 << 10];
    struct iovec piece = {bytes, sizeof bytes};
    b->entered = 1;
    if (b->where == IN_WATCH)
        b->result = b->link->ops->watch(b->link);
    else
        do // a blocked send first fills what there is
            b->result = b->where == IN_RECV ? b->link->ops->recv(b->link, &piece, 1, 1)
                                            : b->link->ops->send(b->link, &piece, 1, 1);
        while (b->result > 0);
    b->left = 1;
    return NULL;
}

static void start(struct blocked *b)
{
    assert_int_equal(pthread_create(&b->thread, NULL, block, b), 0);
    while (!b->entered)
        nap(1);
    nap(30);
    assert_false(b->left);
}

static void shutting_ends_a_blocked_recv(void **state)
{
    struct pair p;
    begin(state, &p);
    struct blocked b = {.link = p.a, .where = IN_RECV};
    start(&b);
    p.a->ops->shut(p.a);
    pthread_join(b.thread, NULL);
    assert_true(b.result <= 0);
    close_pair(&p);
}

static void shutting_ends_a_blocked_send(void **state)
{
    struct pair p;
    const struct kind *k = begin(state, &p);
    struct blocked b = {.link = p.a, .where = IN_SEND};
    start(&b);
    nap(k->faults ? 100 : 0);
    p.a->ops->shut(p.a);
    pthread_join(b.thread, NULL);
    assert_true(b.result < 0);
    close_pair(&p);
}

static void the_peer_sees_a_shut_link_end(void **state)
{
    struct pair p;
    begin(state, &p);
    struct blocked b = {.link = p.b, .where = IN_RECV};
    start(&b);
    p.a->ops->shut(p.a);
    pthread_join(b.thread, NULL);
    assert_true(b.result <= 0);
    close_pair(&p);
}

static void a_watcher_is_woken(void **state)
{
    struct pair p;
    begin(state, &p);
    for (int i = 0; i < 3; i++) {
        struct blocked b = {.link = p.a, .where = IN_WATCH};
        start(&b);
        p.a->ops->wake(p.a);
        pthread_join(b.thread, NULL);
        assert_int_equal(b.result, 0);
    }
    p.a->ops->wake(p.a); // before it watches: not lost
    assert_int_equal(p.a->ops->watch(p.a), 0);
    close_pair(&p);
}

static void a_watcher_sees_the_peer_hang_up(void **state)
{
    struct pair p;
    begin(state, &p);
    struct blocked b = {.link = p.a, .where = IN_WATCH};
    start(&b);
    close_link(p.b);
    pthread_join(b.thread, NULL);
    assert_int_equal(b.result, 1);
    assert_int_equal(p.a->ops->watch(p.a), 1); // still
    close_link(p.a);
}

// Bytes that wait are no reason to wake a watcher: they are for who receives.
static void a_watcher_sleeps_through_bytes(void **state)
{
    struct pair p;
    begin(state, &p);
    struct blocked b = {.link = p.a, .where = IN_WATCH};
    start(&b);
    struct iovec one = {"x", 1};
    assert_int_equal(p.b->ops->send(p.b, &one, 1, 1), 1);
    nap(30);
    assert_false(b.left);
    p.a->ops->wake(p.a);
    pthread_join(b.thread, NULL);
    assert_int_equal(b.result, 0);
    close_pair(&p);
}

// A forked child that lets go of its copies leaves the parent's connection alone.
static void a_child_lets_go(void **state)
{
    struct pair p;
    const struct kind *k = begin(state, &p);
    if (k->memory) { // has no descriptors
        close_pair(&p);
        return;
    }
    int before =
        dup(0); // the next free descriptor; in the child it must come back to what was open before the links
    close(before);
    pid_t child = fork();
    if (!child) {
        p.a->ops->abandon(p.a);
        p.b->ops->abandon(p.b);
        int now = dup(0);
        _exit(now < before ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    uint8_t byte = 0;
    struct iovec out = {"y", 1}, in = {&byte, 1};
    assert_int_equal(p.a->ops->send(p.a, &out, 1, 1), 1);
    assert_int_equal(p.b->ops->recv(p.b, &in, 1, 1), 1);
    assert_int_equal(byte, 'y');
    close_pair(&p);
}

enum { DESCRIPTORS = 64 };
static bool inherited[DESCRIPTORS]; // from whoever started this program

static void descriptors_do_not_outlive_an_exec(void **state)
{
    struct pair p;
    begin(state, &p);
    for (int fd = 0; fd < DESCRIPTORS; fd++) {
        int flags = fcntl(fd, F_GETFD);
        if (!inherited[fd] && flags >= 0 && !(flags & FD_CLOEXEC))
            fail_msg("descriptor %d stays open over exec", fd);
    }
    close_pair(&p);
}

// In-process only: the link dies at the byte it was told.
static void a_dropped_link_is_dead_for_both(void **state)
{
    (void)state;
    struct gn_link_faults faults = {.drop_after_bytes = 10};
    struct pair p;
    uint8_t bytes[16] = {0};
    struct iovec piece = {bytes, sizeof bytes};
    assert_int_equal(gn_link_memory_pair(&p.a, &p.b, &faults), 0);
    assert_int_equal(p.a->ops->send(p.a, &piece, 1, 1), 16);
    assert_true(p.a->ops->send(p.a, &piece, 1, 1) < 0);
    assert_true(p.b->ops->send(p.b, &piece, 1, 1) < 0);
    assert_int_equal(p.a->ops->watch(p.a), 1);
    close_pair(&p);
}

// Shared memory only: who looks gives way each time round, so that two ends on one core take turns.
enum { TURNS = 50 };
static _Atomic int given_way;

int sched_yield(void) // in place of the C library's
{
    atomic_fetch_add(&given_way, 1);
    return (int)syscall(SYS_sched_yield);
}

static void *post_when_it_has_given_way(void *link)
{
    struct gn_link *l = link;
    struct iovec piece = {"p", 1};
    for (int i = 0; i < 2000 && atomic_load(&given_way) < TURNS; i++)
        usleep(1000);
    l->ops->send(l, &piece, 1, 1);
    return NULL;
}

static void who_looks_gives_way(void **state)
{
    (void)state;
    static const struct kind shared = {"shared memory", 0, NULL, false, GN_SHM_RING_BYTES_MIN, 1000000000};
    struct pair p;
    pthread_t thread;
    uint8_t byte = 0;
    struct iovec piece = {&byte, 1};
    assert_true(open_pair(&shared, &p));
    struct gn_link *ends[2][2] = {{p.a, p.b}, {p.b, p.a}};
    for (int i = 0; i < 2; i++) {
        atomic_store(&given_way, 0);
        assert_int_equal(pthread_create(&thread, NULL, post_when_it_has_given_way, ends[i][0]), 0);
        assert_int_equal(ends[i][1]->ops->recv(ends[i][1], &piece, 1, 1), 1);
        pthread_join(thread, NULL);
        assert_true(atomic_load(&given_way) >= TURNS);
    }
    close_pair(&p);
}

// Shared memory only: each look would take cache lines from a client that posts, so while it is owed no answer the server looks more and more
// seldom, and as often as at first when it has said something.
static void a_server_keeps_off_who_only_posts(void **state)
{
    enum { FIRST_NS = 200, LAST_NS = 3200, POSTS = 10 };
    (void)state;
    static const struct kind shared = {"shared memory", 0, NULL, false, GN_SHM_RING_BYTES_MIN, 1000000};
    struct pair p;
    uint8_t byte;
    struct iovec piece = {&byte, 1};
    assert_true(open_pair(&shared, &p));
    for (int round = 0; round < 3; round++) {
        assert_int_equal(gn_link_shm_pause_ns(p.b), FIRST_NS);
        for (int i = 0; i < POSTS; i++) {
            assert_int_equal(p.a->ops->send(p.a, &piece, 1, 1), 1);
            assert_int_equal(p.b->ops->recv(p.b, &piece, 1, 1), 1);
            assert_int_equal(gn_link_shm_pause_ns(p.b), i < 3 ? FIRST_NS << (i + 1) : LAST_NS);
        }
        assert_int_equal(p.b->ops->send(p.b, &piece, 1, 1), 1);
        assert_int_equal(p.a->ops->recv(p.a, &piece, 1, 1), 1);
        assert_int_equal(gn_link_shm_pause_ns(p.a), 0); // a client looks all the time
        assert_int_equal(p.a->ops->send(p.a, &piece, 1, 1), 1);
        assert_int_equal(p.b->ops->recv(p.b, &piece, 1, 1), 1);
    }
    close_pair(&p);
}

int main(void)
{
    static const struct {
        const char *name;
        CMUnitTestFunction run;
    } each[] = {
        {"bytes_keep_their_order", bytes_keep_their_order},
        {"nothing_to_receive_now", nothing_to_receive_now},
        {"a_full_link_does_not_block", a_full_link_does_not_block},
        {"the_end_comes_behind_the_last_byte", the_end_comes_behind_the_last_byte},
        {"shutting_ends_a_blocked_recv", shutting_ends_a_blocked_recv},
        {"shutting_ends_a_blocked_send", shutting_ends_a_blocked_send},
        {"the_peer_sees_a_shut_link_end", the_peer_sees_a_shut_link_end},
        {"a_watcher_is_woken", a_watcher_is_woken},
        {"a_watcher_sees_the_peer_hang_up", a_watcher_sees_the_peer_hang_up},
        {"a_watcher_sleeps_through_bytes", a_watcher_sleeps_through_bytes},
        {"a_child_lets_go", a_child_lets_go},
        {"descriptors_do_not_outlive_an_exec", descriptors_do_not_outlive_an_exec},
    };
    for (int fd = 0; fd < DESCRIPTORS; fd++)
        inherited[fd] = fcntl(fd, F_GETFD) >= 0;
    enum { EACH = sizeof each / sizeof *each, KINDS = sizeof kinds / sizeof *kinds };
    struct CMUnitTest tests[EACH * KINDS + 3] = {cmocka_unit_test(a_dropped_link_is_dead_for_both), cmocka_unit_test(who_looks_gives_way),
                                                 cmocka_unit_test(a_server_keeps_off_who_only_posts)};
    static char names[EACH * KINDS][96];
    for (size_t i = 0; i < EACH * KINDS; i++) {
        snprintf(names[i], sizeof names[i], "%s, %s", each[i / KINDS].name, kinds[i % KINDS].name);
        tests[i + 3] = (struct CMUnitTest){.name = names[i],
                                           .test_func = each[i / KINDS].run,
                                           .initial_state = (void *)(uintptr_t)&kinds[i % KINDS]};
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
