// SPDX-License-Identifier: Apache-2.0
// System calls that read and write a host buffer: the kernel touches it, on the program's behalf.
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/e2e/touch.h"

enum { PAGE = TOUCH_PAGE, BYTES = TOUCH_BYTES, PART = 3 * PAGE + 100, AT = 2 * PAGE + 50 };

static uint8_t *host;
static int fd, to[2]; // a file in memory, and a pair of connected sockets

extern char **environ;

static bool in_file(size_t offset, size_t size_bytes) // the model's bytes from `offset` on are what the file begins with
{
    uint8_t *copy = malloc(size_bytes);
    bool same = pread(fd, copy, size_bytes, 0) == (ssize_t)size_bytes && !memcmp(copy, touch_model + offset, size_bytes);
    free(copy);
    return same;
}

static void offer(size_t offset) // the file begins with PART other bytes, and the model has them at `offset`
{
    static unsigned seed;
    uint8_t *other = malloc(PART);
    e2e_pattern(other, PART, ++seed);
    EXPECT(pwrite(fd, other, PART, 0) == PART);
    memcpy(touch_model + offset, other, PART);
    free(other);
    lseek(fd, 0, SEEK_SET);
}

static bool ok(ssize_t n, size_t wanted)
{
    if (n == (ssize_t)wanted)
        return true;
    printf("  %zd, %s\n", n, n < 0 ? strerror(errno) : "instead of all");
    return false;
}

static void open_all(void)
{
    host = touch_map(BYTES);
    fd = memfd_create("touch", 0);
    EXPECT(fd >= 0 && !socketpair(AF_UNIX, SOCK_STREAM, 0, to));
}

static void close_all(void)
{
    touch_unmap(host, BYTES);
    close(fd), close(to[0]), close(to[1]);
}

static void written(void)
{
    open_all();
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        struct iovec parts[] = {{host + AT, PART / 2}, {host + AT + PART / 2, PART - PART / 2}};
        touch_down(host, BYTES, round);
        lseek(fd, 0, SEEK_SET);
        EXPECT(ok(write(fd, host + AT, PART), PART) && in_file(AT, PART));
        touch_up("write", host, BYTES);
        touch_down(host, BYTES, 10 + round);
        EXPECT(ok(pwrite(fd, host, BYTES, 0), BYTES) && in_file(0, BYTES));
        touch_up("pwrite of all", host, BYTES);
        touch_down(host, BYTES, 20 + round);
        EXPECT(ok(pwritev(fd, parts, 2, 0), PART) && in_file(AT, PART));
        touch_up("pwritev", host, BYTES);
        touch_down(host, BYTES, 30 + round);
        lseek(fd, 0, SEEK_SET);
        EXPECT(ok(writev(fd, parts, 2), PART) && in_file(AT, PART));
        touch_up("writev", host, BYTES);
    }
    close_all();
}

static void was_read(void)
{
    open_all();
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        struct iovec parts[] = {{host + AT, PART / 2}, {host + AT + PART / 2, PART - PART / 2}};
        touch_down(host, BYTES, round);
        offer(AT);
        EXPECT(ok(read(fd, host + AT, PART), PART));
        touch_up("read", host, BYTES);
        offer(AT + 1);
        EXPECT(ok(pread(fd, host + AT + 1, PART, 0), PART)); // pages that were here already
        touch_up("pread", host, BYTES);
        touch_down(host, BYTES, 20 + round);
        offer(AT);
        EXPECT(ok(preadv(fd, parts, 2, 0), PART));
        touch_up("preadv", host, BYTES);
        touch_down(host, BYTES, 30 + round);
        offer(AT);
        EXPECT(ok(readv(fd, parts, 2), PART));
        touch_up("readv", host, BYTES);
        EXPECT(ok(write(fd, host, PAGE), PAGE)); // moves the offset: nothing is left to be read
        EXPECT(read(fd, host, 0) == 0);
        touch_up("read of nothing", host, BYTES);
    }
    close_all();
}

static void *drain(void *at)
{
    uint8_t *into = at;
    for (size_t n = 0; n < BYTES;) {
        ssize_t got = recv(to[1], into + n, BYTES - n, 0);
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    return NULL;
}

static void sent(void)
{
    uint8_t *got = malloc(BYTES);
    open_all();
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        pthread_t other;
        touch_down(host, BYTES, round);
        EXPECT(!pthread_create(&other, NULL, drain, got));
        EXPECT(ok(send(to[0], host, BYTES, 0), BYTES));
        pthread_join(other, NULL);
        EXPECT(!memcmp(got, touch_model, BYTES));
        touch_up("send", host, BYTES);

        touch_down(host, BYTES, 10 + round);
        EXPECT(!pthread_create(&other, NULL, drain, host)); // into the buffer's pages, which are not here, from them or others
        EXPECT(ok(send(to[0], got, BYTES, 0), BYTES));
        pthread_join(other, NULL);
        memcpy(touch_model, got, BYTES);
        touch_up("recv", host, BYTES);

        touch_down(host, BYTES, 20 + round);
        struct iovec parts[] = {{host + AT, 5000}, {host + 1, 6000}};
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
        EXPECT(ok(sendmsg(to[0], &message, 0), 11000));
        EXPECT(ok(recv(to[1], got, 11000, MSG_WAITALL), 11000));
        EXPECT(!memcmp(got, touch_model + AT, 5000) && !memcmp(got + 5000, touch_model + 1, 6000));
        touch_up("sendmsg", host, BYTES);
        touch_down(host, BYTES, 30 + round);
        memset(got, (int)round, 11000);
        EXPECT(ok(send(to[0], got, 11000, 0), 11000));
        EXPECT(ok(recvmsg(to[1], &message, MSG_WAITALL), 11000));
        memcpy(touch_model + AT, got, 5000), memcpy(touch_model + 1, got + 5000, 6000);
        touch_up("recvmsg", host, BYTES);
    }
    close_all();
    free(got);
}

// Pages that a pipe holds by reference.
static void piped(void)
{
    uint8_t *got = malloc(BYTES);
    int pipes[2];
    open_all();
    EXPECT(!pipe(pipes));
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        touch_down(host, BYTES, round);
        struct iovec part = {host + AT, PART};
        EXPECT(ok(vmsplice(pipes[1], &part, 1, 0), PART));
        EXPECT(ok(splice(pipes[0], NULL, fd, &(loff_t){0}, PART, 0), PART) && in_file(AT, PART));
        touch_up("vmsplice", host, BYTES);
        touch_down(host, BYTES, 10 + round);
        EXPECT(ok(write(pipes[1], host + AT, PART), PART));
        EXPECT(ok(read(pipes[0], host, PART), PART));
        memmove(touch_model, touch_model + AT, PART);
        touch_up("pipe", host, BYTES);
    }
    close(pipes[0]), close(pipes[1]);
    close_all();
    free(got);
}

static void streams(void)
{
    open_all();
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        FILE *f = fdopen(dup(fd), "w+");
        touch_down(host, BYTES, round);
        EXPECT(!fseek(f, 0, SEEK_SET) && fwrite(host, 1, BYTES, f) == BYTES && !fflush(f) && in_file(0, BYTES));
        touch_up("fwrite", host, BYTES);
        touch_down(host, BYTES, 10 + round);
        offer(AT);
        EXPECT(!fseek(f, 0, SEEK_SET) && fread(host + AT, 1, PART, f) == PART);
        touch_up("fread", host, BYTES);
        setvbuf(f, (char *)host, _IOFBF, PART); // the stream's own buffer
        EXPECT(!fseek(f, 0, SEEK_SET) && fgetc(f) == touch_model[AT]);
        fclose(f);
        memcpy(touch_model, host, BYTES);
        touch_down(host, BYTES, 20 + round);
        int n = snprintf((char *)host + PAGE - 3, 100, "round %u of %d", round, TOUCH_ROUNDS);
        snprintf((char *)touch_model + PAGE - 3, 100, "round %u of %d", round, TOUCH_ROUNDS);
        EXPECT(n == (int)strlen((char *)host + PAGE - 3));
        touch_up("snprintf", host, BYTES);
    }
    close_all();
}

static void bring(const uint8_t *at)
{
    for (size_t i = 0; i < BYTES; i += PAGE)
        EXPECT(at[i] == touch_model[i]);
}

static void other_process_calls(void)
{
    uint8_t *got = malloc(BYTES);
    open_all();
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        struct iovec here = {got, PART}, there = {host + AT, PART};
        touch_down(host, BYTES, round);
        EXPECT(ok(process_vm_readv(getpid(), &here, 1, &there, 1, 0), PART) && !memcmp(got, touch_model + AT, PART));
        touch_up("process_vm_readv", host, BYTES);
        touch_down(host, BYTES, 10 + round);
        e2e_pattern(got, PART, round);
        EXPECT(ok(process_vm_writev(getpid(), &here, 1, &there, 1, 0), PART));
        memcpy(touch_model + AT, got, PART);
        touch_up("process_vm_writev", host, BYTES);
        int memory = open("/proc/self/mem", O_RDWR); // whoever reads a process through this waits for no page: they have to be here
        touch_down(host, BYTES, 20 + round);
        bring(host);
        EXPECT(ok(pread(memory, got, PART, (off_t)(uintptr_t)(host + AT)), PART) && !memcmp(got, touch_model + AT, PART));
        touch_up("/proc/self/mem read", host, BYTES);
        touch_down(host, BYTES, 30 + round);
        bring(host);
        memset(got, 3, PART);
        EXPECT(ok(pwrite(memory, got, PART, (off_t)(uintptr_t)(host + AT)), PART));
        memset(touch_model + AT, 3, PART);
        touch_up("/proc/self/mem written", host, BYTES);
        close(memory);
    }
    close_all();
    free(got);
}

// Calls that give small things to the program, and whose arguments lie in the buffer.
static void small_things(void)
{
    open_all();
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        touch_down(host, BYTES, round);
        EXPECT(ok(getrandom(host + 5 * PAGE - 8, 16, 0), 16));
        struct timespec *now = (struct timespec *)(host + 9 * PAGE);
        EXPECT(!syscall(SYS_clock_gettime, CLOCK_MONOTONIC, now) && now->tv_nsec < 1000000000);
        EXPECT(!clock_gettime(CLOCK_REALTIME, now + 1) && now[1].tv_sec > 1000000000);
        memcpy(touch_model, host, BYTES); // of these nobody knows
        EXPECT(touch_arrives(host, 0, BYTES));

        touch_down(host, BYTES, 10 + round);
        struct stat *status = (struct stat *)(host + 3 * PAGE - 16);
        EXPECT(!fstat(fd, status) && S_ISREG(status->st_mode));
        EXPECT(!ioctl(to[0], FIONREAD, host + 11 * PAGE) && *(int *)(host + 11 * PAGE) == 0);
        EXPECT(getcwd((char *)host + 7 * PAGE - 1, PAGE) != NULL);
        memcpy(touch_model, host, BYTES);
        EXPECT(touch_arrives(host, 0, BYTES));

        touch_down(host, BYTES, 20 + round);
        memcpy(touch_model + 4 * PAGE - 4, "/dev/null", 10), memcpy(host + 4 * PAGE - 4, "/dev/null", 10);
        struct pollfd *wait = (struct pollfd *)(host + 8 * PAGE - 4); // across pages
        *wait = (struct pollfd){to[0], POLLOUT, 0};
        EXPECT(poll(wait, 1, 0) == 1 && wait->revents == POLLOUT);
        *(struct pollfd *)(touch_model + 8 * PAGE - 4) = *wait;
        EXPECT(touch_arrives(host, 0, BYTES)); // a descriptor is in it: not printed
        touch_down(host, BYTES, 30 + round);
        memcpy(touch_model + 4 * PAGE - 4, "/dev/null", 10), memcpy(host + 4 * PAGE - 4, "/dev/null", 10);
        touch_down(host + 6 * PAGE, 2 * PAGE, 40 + round);
        EXPECT(!access((char *)host + 4 * PAGE - 4, R_OK));
        int opened = open((char *)host + 4 * PAGE - 4, O_RDONLY);
        EXPECT(opened >= 0 && !close(opened));
    }
    close_all();
}

static void waiting(void)
{
    open_all();
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        touch_down(host, BYTES, round);
        uint32_t *word = (uint32_t *)(host + 6 * PAGE), holds = round + 6 * PAGE / 4;
        EXPECT(syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, holds + 1, NULL, NULL, 0) == -1 && errno == EAGAIN);
        EXPECT(syscall(SYS_futex, word + 3000, FUTEX_WAIT, holds, &(struct timespec){0, 1000}, NULL, 0) == -1);
        touch_up("futex", host, BYTES);
        int events = epoll_create1(0), ready = eventfd(1, 0);
        struct epoll_event *got = (struct epoll_event *)(host + 3 * PAGE - 4);
        EXPECT(!epoll_ctl(events, EPOLL_CTL_ADD, ready, &(struct epoll_event){.events = EPOLLIN, .data.u64 = 7}));
        touch_down(host, BYTES, 10 + round);
        EXPECT(epoll_wait(events, got, 1, 1000) == 1 && got->data.u64 == 7);
        memcpy(touch_model + 3 * PAGE - 4, &(struct epoll_event){.events = EPOLLIN, .data.u64 = 7}, sizeof *got);
        touch_up("epoll_wait", host, BYTES);
        touch_down(host, BYTES, 20 + round);
        EXPECT(ok(read(ready, host + 8 * PAGE, 8), 8));
        memcpy(touch_model + 8 * PAGE, &(uint64_t){1}, 8);
        touch_up("eventfd", host, BYTES);
        close(events), close(ready);
    }
    close_all();
}

// A program whose name and arguments lie in pages that are not here.
static void arguments(void)
{
    open_all();
    CUdeviceptr words = e2e_alloc(PAGE);
    char text[PAGE] = "/bin/sh\0-c\0exit 7\0";
    CU(cuMemcpyHtoD(words, text, PAGE));
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        pid_t child;
        int status = 0;
        CU(cuMemcpyDtoH(host, words, PAGE));
        char *argv[] = {(char *)host, (char *)host + 8, (char *)host + 11, NULL};
        EXPECT(!posix_spawn(&child, (char *)host, NULL, NULL, argv, environ) && waitpid(child, &status, 0) == child);
        EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 7);
        CU(cuMemcpyDtoH(host, words, PAGE));
        if (!(child = vfork())) {
            execv((char *)host, argv);
            _exit(1);
        }
        EXPECT(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 7);
        memcpy(touch_model, text, PAGE);
        EXPECT(touch_arrives(host, 0, PAGE));
    }
    printf("programs started\n");
    close_all();
}

// Calls that are told of a hole in the buffer have to find none.
static void advised(void)
{
    open_all();
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        unsigned char here[BYTES / PAGE];
        touch_down(host, BYTES, round);
        EXPECT(!madvise(host, BYTES, MADV_WILLNEED) && !madvise(host, BYTES, MADV_SEQUENTIAL) && !madvise(host, BYTES, MADV_NORMAL));
        EXPECT(!mincore(host, BYTES, here) && !msync(host, BYTES, MS_ASYNC));
        touch_up("advice", host, BYTES);
#ifdef MADV_POPULATE_READ
        touch_down(host, BYTES, 10 + round);
        EXPECT(!madvise(host, BYTES, MADV_POPULATE_READ) || errno == EINVAL);
        touch_up("populate to read", host, BYTES);
        touch_down(host, BYTES, 20 + round);
        EXPECT(!madvise(host + PAGE, BYTES / 2, MADV_POPULATE_WRITE) || errno == EINVAL);
        touch_up("populate to write", host, BYTES);
        host[PAGE] = touch_model[PAGE] = 1;
        touch_up("and written", host, BYTES);
#endif
        touch_down(host, BYTES, 30 + round);
        EXPECT(!madvise(host, BYTES, MADV_COLD) && (!madvise(host, BYTES, MADV_PAGEOUT) || errno == EINVAL));
        touch_up("cold", host, BYTES);
        EXPECT(!memcmp(host, touch_model, BYTES));
    }
    close_all();
}

const struct touch_case touch_calls[] = {
    {"written", written},
    {"was_read", was_read},
    {"sent", sent},
    {"piped", piped},
    {"streams", streams},
    {"other_process_calls", other_process_calls},
    {"small_things", small_things},
    {"waiting", waiting},
    {"arguments", arguments},
    {"advised", advised},
    {NULL, NULL},
};
