// SPDX-License-Identifier: Apache-2.0
// A program whose host buffers may have their bytes at the server only, to lose it: shadowed WHAT. It copies to the host, says "ready", waits for
// a line on stdin, and then:
//   touch    reads every page, with a handler for SIGBUS: each is right, or is a bus error at its address; then makes calls
//   threads  the same from eight threads at once
//   late     the same without the calls
//   error    loses its context to a kernel first; makes no calls
//   call     writes the buffer to a file: right, or an error
//   die      reads every page without a handler
//   end      ends, as a program does
//   atexit   reads the buffer when it has ended: right
//   cut      shuts down the connections that the first copy to the host has made, and reads on: right
//   cutall   shuts down every connection
//   full     has no descriptor left from before its first copy on; does not wait for the line
//   islands  has nearly as many mappings as the kernel allows; does not wait
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/e2e/e2e.h"

enum { PAGE = 4096, BYTES = 64 * PAGE, SEED = 5, EXIT_LOST = 3, DESCRIPTORS_MAX = 4096, THREADS = 8 };

static CUdeviceptr source, sink;
static CUfunction fill;
static uint8_t *host, *also, wanted[BYTES];
static _Atomic unsigned right, lost, wrong;

static _Thread_local sigjmp_buf back;
static _Thread_local uint8_t *volatile reading;

static void on_bus(int signal_number, siginfo_t *info, void *context)
{
    (void)signal_number, (void)context;
    wrong += ((uintptr_t)info->si_addr ^ (uintptr_t)reading) / PAGE != 0;
    siglongjmp(back, 1);
}

static void catch_bus(void)
{
    struct sigaction action = {.sa_sigaction = on_bus, .sa_flags = SA_SIGINFO};
    sigaction(SIGBUS, &action, NULL);
}

static void touch_all(unsigned from)
{
    for (volatile unsigned i = 0; i < BYTES / PAGE; i++) {
        volatile size_t at = (i + from) % (BYTES / PAGE) * PAGE;
        reading = host + at;
        if (sigsetjmp(back, 1)) {
            lost++;
        } else if (!memcmp(host + at, wanted + at, PAGE)) {
            right++;
        } else {
            wrong++;
        }
    }
}

static void touch_some(unsigned number) { touch_all(number * 5); }

// Every call says that the connection is lost, and nothing hangs or crashes; what is left of the program works.
static int calls_say_so(void)
{
    static const CUresult gone = CUDA_ERROR_DEVICE_UNAVAILABLE;
    EXPECT_CODE(gone, cuMemcpyHtoD(sink, host, BYTES));
    EXPECT_CODE(gone, cuMemcpyDtoH(host, source, BYTES));
    EXPECT_CODE(gone, cuMemcpyHtoD(sink, also, BYTES));
    EXPECT_CODE(gone, cuMemcpyDtoH(also, source, BYTES));
    EXPECT(!memcmp(also, wanted, BYTES)); // was all here
    fflush(stdout);
    pid_t child = fork();
    if (!child)
        _exit(also[PAGE] == wanted[PAGE] ? 7 : 1);
    int status = 0;
    EXPECT(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 7);
    munmap(host, BYTES);
    host = mmap(host, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    for (size_t at = 0; at < BYTES; at += PAGE)
        EXPECT(host[at] == 0);
    int bad = e2e_finish();
    return bad ? bad : EXIT_LOST;
}

static void report(void)
{
    unsigned pages = BYTES / PAGE;
    EXPECT(!wrong);
    printf("%s%s\n", right ? "right " : "", lost ? "lost" : "");
    fprintf(stderr, "of %u pages %u right, %u lost\n", pages, (unsigned)right, (unsigned)lost);
}

static void call(void)
{
    int fd = memfd_create("shadowed", 0);
    ssize_t n = write(fd, host, BYTES);
    uint8_t *copy = calloc(1, BYTES);
    if (n < 0) {
        EXPECT(errno == EFAULT || errno == EHWPOISON);
        lost++;
    } else {
        EXPECT(pread(fd, copy, (size_t)n, 0) == n && !memcmp(copy, wanted, (size_t)n));
        n == BYTES ? right++ : lost++;
    }
    free(copy);
    close(fd);
}

// --- descriptors

static bool open_before[DESCRIPTORS_MAX];

static bool is_socket(int fd)
{
    struct stat status;
    return !fstat(fd, &status) && S_ISSOCK(status.st_mode);
}

static void note_sockets(void)
{
    for (int fd = 3; fd < DESCRIPTORS_MAX; fd++)
        open_before[fd] = is_socket(fd);
}

static void cut(bool all)
{
    unsigned count = 0;
    for (int fd = 3; fd < DESCRIPTORS_MAX; fd++)
        if (is_socket(fd) && (all || !open_before[fd]))
            count += !shutdown(fd, SHUT_RDWR);
    fprintf(stderr, "%u connections cut\n", count);
}

static int last = -1;

static void use_them_up(void)
{
    struct rlimit limit = {1024, 1024};
    setrlimit(RLIMIT_NOFILE, &limit);
    for (int fd; (fd = dup(0)) >= 0;)
        last = fd;
    EXPECT(errno == EMFILE);
}

// Every other page of its own protection: a mapping each.
static void many_mappings(void)
{
    enum { MANY = 65530 / 2 - 400 };
    uint8_t *at = mmap(NULL, (size_t)2 * MANY * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    unsigned made = 0;
    while (made < MANY && !mprotect(at + (size_t)2 * made * PAGE, PAGE, PROT_READ | PROT_WRITE))
        made++;
    fprintf(stderr, "%u mappings\n", 2 * made);
}

// Copies to the host, parts of it touched, and back, over and over, in buffers at changing places.
static int go_on(void)
{
    for (unsigned round = 0; round < 60; round++) {
        uint8_t *own = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (own == MAP_FAILED) {
            EXPECT(errno == ENOMEM);
            break;
        }
        uint8_t *left = round % 2 ? own : host;
        e2e_fill(fill, NULL, source, BYTES / 4, round);
        CU(cuMemcpyDtoH(left, source, BYTES));
        for (unsigned i = 0; i < BYTES / PAGE; i += 2)
            left[i * PAGE] ^= 1;
        CU(cuMemcpyHtoD(sink, left, BYTES));
        uint32_t *looking = malloc(BYTES);
        CU(cuMemcpyDtoH(looking, sink, BYTES));
        for (unsigned i = 0; i < BYTES / PAGE; i += 2)
            looking[i * PAGE / 4] ^= 1;
        EXPECT(e2e_is_filled(looking, BYTES / 4, round));
        free(looking);
        munmap(own, BYTES);
    }
    CU(cuMemFree(source));
    if (last >= 0) // what watches the end of a process wants one
        close_range(512, ~0u, 0);
    return e2e_finish();
}

static void lose_context(void)
{
    CUdeviceptr bad = 16;
    unsigned value = 1;
    void *parameters[] = {&bad, &value};
    CU(cuLaunchKernel(e2e_kernel("poke"), 1, 1, 1, 1, 1, 1, 0, NULL, parameters, NULL));
    EXPECT_CODE(CUDA_ERROR_ILLEGAL_ADDRESS, cuCtxSynchronize());
    EXPECT_CODE(CUDA_ERROR_ILLEGAL_ADDRESS, cuMemcpyHtoD(sink, host, BYTES));
}

static void copy_to_host(void)
{
    e2e_fill(fill, NULL, source, BYTES / 4, SEED);
    for (uint32_t i = 0; i < BYTES / 4; i++)
        ((uint32_t *)wanted)[i] = SEED + i;
    CU(cuMemcpyDtoH(also, source, BYTES));
    EXPECT(!memcmp(also, wanted, BYTES));
    CU(cuMemcpyDtoH(host, source, BYTES));
}

static bool reads_at_exit;

static void at_exit(void)
{
    if (reads_at_exit && memcmp(host, wanted, BYTES))
        _exit(1);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    atexit(at_exit); // before CUDA: called after whatever that has registered
    e2e_open(0);
    fill = e2e_kernel("fill");
    source = e2e_alloc(BYTES);
    sink = e2e_alloc(BYTES);
    CU(cuCtxSynchronize());
    host = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    also = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!strcmp(what, "full") || !strcmp(what, "islands")) {
        what[0] == 'f' ? use_them_up() : many_mappings();
        return go_on();
    }
    note_sockets();
    copy_to_host();
    printf("ready\n");
    fflush(stdout);
    getchar();
    if (!strcmp(what, "die")) {
        unsigned sum = 0;
        for (size_t at = 0; at < BYTES; at += PAGE)
            sum += *(volatile uint8_t *)(host + at);
        return sum ? 0 : 1;
    }
    reads_at_exit = !strcmp(what, "atexit");
    if (!strcmp(what, "end") || reads_at_exit)
        return e2e_finish();
    if (!strncmp(what, "cut", 3))
        cut(!strcmp(what, "cutall"));
    if (!strcmp(what, "error"))
        lose_context();
    catch_bus();
    if (!strcmp(what, "call"))
        call();
    else if (!strcmp(what, "threads"))
        e2e_threads(THREADS, touch_some);
    else
        touch_all(0);
    report();
    return !strcmp(what, "cut") || !strcmp(what, "late") || !strcmp(what, "error") ? e2e_finish() : calls_say_so();
}
