// SPDX-License-Identifier: Apache-2.0
// Does fork in the program behave as with a driver? A child of an initialised process has no CUDA and holds
// no connection, its end leaves the parent's alone; a process that forks before it initialises has it in the
// child; a program that is executed inherits no descriptor.
#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/e2e/e2e.h"

enum { WORDS = 1000 };

// The sanitizers' allocators keep a lock that another thread holds at the moment of the fork; glibc's does
// not.
#if defined __SANITIZE_THREAD__ || defined __SANITIZE_ADDRESS__
enum { FORKS_WHILE_BUSY = 0 };
#else
enum { FORKS_WHILE_BUSY = 30 };
#endif

static CUcontext context;

static CUfunction fill;
static CUdeviceptr words;

// Sockets and io_uring instances that this process holds, but for those that it was started with.
static int connections(void)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/fd");
    for (const struct dirent *e; dir && (e = readdir(dir));) {
        char target[256];
        ssize_t n = readlinkat(dirfd(dir), e->d_name, target, sizeof target - 1);
        target[n > 0 ? n : 0] = '\0';
        count += atoi(e->d_name) > 2 && (strstr(target, "socket:") || strstr(target, "io_uring"));
    }
    if (dir)
        closedir(dir);
    return count;
}

// What is open beyond 0, 1 and 2, by its target.
static int list_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    for (const struct dirent *e; dir && (e = readdir(dir));) {
        char target[256];
        ssize_t n = readlinkat(dirfd(dir), e->d_name, target, sizeof target - 1);
        target[n > 0 ? n : 0] = '\0';
        if (atoi(e->d_name) > 2 && atoi(e->d_name) != dirfd(dir))
            printf("inherited: %s\n", target);
    }
    if (dir)
        closedir(dir);
    printf("descriptors: listed\n");
    return 0;
}

static int wait_for(pid_t child)
{
    int status = -1;
    EXPECT(waitpid(child, &status, 0) == child);
    if (WIFSIGNALED(status))
        printf("the child was killed by signal %d\n", WTERMSIG(status));
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void compute(unsigned value)
{
    uint32_t got[WORDS];
    e2e_fill(fill, NULL, words, WORDS, value);
    CU(cuMemcpyDtoH(got, words, sizeof got));
    EXPECT(e2e_is_filled(got, WORDS, value));
}

static void open_all(void)
{
    context = e2e_open(0);
    fill = e2e_kernel("fill");
    words = e2e_alloc(WORDS * 4);
}

static void before_init(void)
{
    printf("-- fork before cuInit\n");
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        open_all();
        compute(3);
        printf("the child computes\n");
        CU(cuMemFree(words));
        CU(cuCtxDestroy(context));
        exit(e2e_finish());
    }
    EXPECT(wait_for(child) == 0);
}

static void in_child(void)
{
    int count;
    CUdeviceptr p;
    CUstream s;
    CUcontext c;
    CUdevice d;
    uint32_t word;
    void *parameters[] = {NULL, NULL, NULL};
    printf("connections in the child: %d\n", connections());
    WANT(CUDA_ERROR_NOT_INITIALIZED, cuInit(0));
    WANT(CUDA_ERROR_NOT_INITIALIZED, cuDeviceGetCount(&count));
    WANT(CUDA_ERROR_NOT_INITIALIZED, cuDeviceGet(&d, 0));
    WANT(CUDA_ERROR_NOT_INITIALIZED, cuCtxGetCurrent(&c));
    WANT(CUDA_ERROR_NOT_INITIALIZED, cuCtxCreate(&c, NULL, 0, 0));
    WANT(CUDA_ERROR_NOT_INITIALIZED, cuMemAlloc(&p, 100));
    WANT(CUDA_ERROR_NOT_INITIALIZED, cuMemcpyDtoH(&word, words, 4));
    WANT(CUDA_ERROR_NOT_INITIALIZED, cuLaunchKernel(fill, 1, 1, 1, 1, 1, 1, 0, NULL, parameters, NULL));
    WANT(CUDA_ERROR_NOT_INITIALIZED, cuStreamCreate(&s, 0));
    WANT(CUDA_ERROR_NOT_INITIALIZED, cuCtxSynchronize());
    WANT(CUDA_ERROR_NOT_INITIALIZED, cuMemFree(words));
}

static void after_init(bool quietly)
{
    printf("-- fork after cuInit, the child ends by %s\n", quietly ? "_exit" : "exit");
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        in_child();
        fflush(stdout);
        if (quietly)
            _exit(0);
        exit(e2e_finish());
    }
    EXPECT(wait_for(child) == 0);
    compute(4);
    printf("the parent goes on\n");
}

static _Atomic bool stop;

static void keep_busy(unsigned number)
{
    if (number == 0) { // forks, while the others are in the middle of calls
        for (int i = 0; i < FORKS_WHILE_BUSY; i++) {
            fflush(stdout);
            pid_t child = fork();
            if (!child)
                _exit(cuInit(0) == CUDA_ERROR_NOT_INITIALIZED &&
                              cuCtxSynchronize() == CUDA_ERROR_NOT_INITIALIZED
                          ? 0
                          : 9);
            EXPECT(wait_for(child) == 0);
        }
        atomic_store(&stop, true);
        return;
    }
    CU(cuCtxSetCurrent(context));
    CUdeviceptr mine = e2e_alloc(WORDS * 4);
    CUstream stream;
    static uint32_t got[4][WORDS];
    CU(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    for (unsigned i = 0; !atomic_load(&stop); i++) {
        e2e_fill(fill, stream, mine, WORDS, i);
        CU(cuMemcpyDtoHAsync(got[number], mine, WORDS * 4, stream));
        CU(cuStreamSynchronize(stream));
        EXPECT(e2e_is_filled(got[number], WORDS, i));
    }
    CU(cuStreamDestroy(stream));
    CU(cuMemFree(mine));
}

static void *initialise(void *unused)
{
    (void)unused;
    return (void *)(intptr_t)cuInit(0);
}

// Forks while another thread is inside cuInit: whatever the child finds, it finds it at once. In a process of its own, before this one has begun.
static void during_init(void)
{
    enum { FORKS = 20 };
    pid_t process = fork();
    if (!process) {
        pthread_t thread;
        int bad = pthread_create(&thread, NULL, initialise, NULL);
        for (int i = 0; i < FORKS && !bad; i++) {
            int status, count;
            pid_t child = fork();
            if (!child) {
                alarm(20);
                cuInit(0);
                cuDeviceGetCount(&count);
                _exit(0);
            }
            bad |= child < 0 || waitpid(child, &status, 0) != child || status;
        }
        void *result = NULL;
        bad |= pthread_join(thread, &result) || result;
        _exit(bad);
    }
    int status;
    EXPECT(process > 0 && waitpid(process, &status, 0) == process && !status);
    printf("forks during cuInit: done\n");
}

static void execute(const char *program)
{
    printf("-- exec\n");
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        execl(program, program, "--descriptors", (char *)NULL);
        _exit(126);
    }
    EXPECT(wait_for(child) == 0);
    fflush(stdout);
    char command[1024];
    snprintf(command, sizeof command, "exec '%s' --descriptors", program);
    EXPECT(system(command) == 0); // by way of posix_spawn, without the fork handlers
    compute(5);
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "--descriptors"))
        return list_descriptors();
    close_range(3, ~0u, 0); // what this program was given is not its own
    before_init();
    if (FORKS_WHILE_BUSY)
        during_init();
    else
        printf("forks during cuInit: done\n");
    open_all();
    compute(2);
    after_init(true);
    after_init(false);
    e2e_threads(3, keep_busy);
    printf("forks while others work: done\n");
    execute(argv[0]);
    CU(cuMemFree(words));
    CU(cuCtxDestroy(context));
    return e2e_finish();
}
