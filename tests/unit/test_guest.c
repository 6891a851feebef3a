// SPDX-License-Identifier: Apache-2.0
// Question: is the library a good guest in a process: nothing before cuInit, errors that programs handle when
// there is no server, errno and forked children left alone? Method: the whole client library in this process,
// with addresses where nobody or a stranger listens; children for whatever cannot be taken back.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/frame.h"
#include "include/cuda_prototypes.h"
#include "interpose/genie.h"
#include "remoting/hello.h"

static int entries(const char *folder)
{
    DIR *d = opendir(folder);
    int n = 0;
    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static void before_cuinit(void **state)
{
    (void)state;
    int fds = entries("/proc/self/fd"), threads = entries("/proc/self/task"), number = 5;
    const char *text = NULL;
    CUcontext context = (CUcontext)&number;
    CUdeviceptr address = 1;
    errno = 4711;
    assert_int_equal(cuDeviceGetCount(&number), CUDA_ERROR_NOT_INITIALIZED);
    assert_int_equal(cuCtxGetCurrent(&context), CUDA_ERROR_NOT_INITIALIZED);
    assert_int_equal(cuMemAlloc_v2(&address, 16), CUDA_ERROR_NOT_INITIALIZED);
    assert_int_equal(cuGraphCreate(NULL, 0), CUDA_ERROR_NOT_INITIALIZED);
    assert_int_equal(number, 5);
    assert_int_equal(address, 1);
    assert_int_equal(cuDriverGetVersion(&number), CUDA_SUCCESS);
    assert_int_equal(number, 13000);
    assert_int_equal(cuDriverGetVersion(NULL), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuGetErrorName(CUDA_ERROR_NO_DEVICE, &text), CUDA_SUCCESS);
    assert_string_equal(text, "CUDA_ERROR_NO_DEVICE");
    assert_int_equal(cuGetErrorString((CUresult)123456, &text), CUDA_ERROR_INVALID_VALUE);
    assert_null(text);
    assert_int_equal(cuGetErrorName(CUDA_SUCCESS, NULL), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuInit(1), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(errno, 4711);
    assert_int_equal(entries("/proc/self/fd"), fds);
    assert_int_equal(entries("/proc/self/task"), threads);
    assert_string_equal(genie_version(), GENIE_VERSION);
}

// What the child said on stderr, and its exit status.
static int in_child(int (*run)(void), char *said, size_t said_bytes)
{
    int ends[2], status;
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    if (!child) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        _exit(run());
    }
    close(ends[1]);
    size_t at = 0;
    for (ssize_t n; at + 1 < said_bytes && (n = read(ends[0], said + at, said_bytes - 1 - at)) > 0;)
        at += (size_t)n;
    said[at] = 0;
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static const char *server, *log_option = "warn";

static int init_twice(void)
{
    if (server && genie_set_option("server", server))
        return 201;
    genie_set_option("timeout", "300ms");
    genie_set_option("log", log_option);
    CUresult first = cuInit(0), second = cuInit(0);
    int count;
    if (cuDeviceGetCount(&count) != CUDA_ERROR_NOT_INITIALIZED)
        return 202;
    return first == second ? (int)first : 203;
}

static unsigned lines(const char *text)
{
    unsigned n = 0;
    for (; *text; text++)
        n += *text == '\n';
    return n;
}

static void no_server(void **state)
{
    (void)state;
    static const struct {
        const char *server, *says;
    } cases[] = {
        {NULL, "GENIE_SERVER"},
        {"127.0.0.1:1", "127.0.0.1:1"},
        {"unix:/nonexistent/genie", "/nonexistent/genie"},
        {"nonsense", "nonsense"},
        {"no.such.host.invalid:1", "no.such.host.invalid"},
    };
    char said[2000];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        server = cases[i].server;
        assert_int_equal(in_child(init_twice, said, sizeof said), CUDA_ERROR_NO_DEVICE);
        if (lines(said) != 1 || strncmp(said, "genie: warn: ", 13) || !strstr(said, cases[i].says))
            fail_msg("said: %s", said);
    }
    log_option = "off";
    assert_int_equal(in_child(init_twice, said, sizeof said), CUDA_ERROR_NO_DEVICE);
    assert_string_equal(said, "");
    log_option = "warn";
}

static int bad_setting(void)
{
    setenv("GENIE_OPT", "-posst", 1);
    return init_twice();
}

static void a_bad_setting(void **state)
{
    (void)state;
    char said[2000];
    server = NULL;
    assert_int_equal(in_child(bad_setting, said, sizeof said), CUDA_ERROR_NO_DEVICE);
    assert_int_equal(lines(said), 1);
    assert_non_null(strstr(said, "GENIE_OPT"));
    assert_non_null(strstr(said, "uring"));
}

static int options_by_the_program(void)
{
    if (genie_set_option(NULL, "x") != -EINVAL || genie_set_option("server", NULL) != -EINVAL ||
        genie_set_option("sever", "x:1") != -EINVAL || genie_set_option("ring", "7") != -EINVAL ||
        genie_stats_write(NULL) != -EINVAL || genie_stats_write("/nonexistent/x") != -ENOENT)
        return 1;
    cuInit(0);
    return genie_set_option("server", "x:1") == -EBUSY ? 0 : 2;
}

static void what_genie_h_refuses(void **state)
{
    (void)state;
    char said[4000];
    assert_int_equal(in_child(options_by_the_program, said, sizeof said), 0);
    assert_non_null(strstr(said, "'sever'"));
}

// --- strangers: something listens, but it is no server of ours, or refuses

static const void *answer;
static size_t answer_bytes;
static int listener;

static void *answer_one(void *unused)
{
    (void)unused;
    int fd = accept(listener, NULL, NULL);
    char hello[GN_HELLO_BYTES_MAX];
    ssize_t n = recv(fd, hello, sizeof hello, 0);
    if (n > 0 && answer_bytes)
        n = send(fd, answer, answer_bytes, MSG_NOSIGNAL);
    if (answer) // else it stays silent, and open
        close(fd);
    return NULL;
}

static const char *unix_path;

static void against(const void *data, size_t size_bytes, const char *says)
{
    char said[2000], address[128];
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    pthread_t thread;
    unlink(unix_path);
    strcpy(un.sun_path, unix_path);
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&un, sizeof un), 0);
    assert_int_equal(listen(listener, 4), 0);
    answer = data;
    answer_bytes = size_bytes;
    snprintf(address, sizeof address, "unix:%s", unix_path);
    server = address;
    assert_int_equal(pthread_create(&thread, NULL, answer_one, NULL), 0);
    int code = in_child(init_twice, said, sizeof said);
    pthread_join(thread, NULL);
    close(listener);
    assert_int_equal(code, CUDA_ERROR_NO_DEVICE);
    if (lines(said) != 1 || !strstr(said, says) || !strstr(said, unix_path))
        fail_msg("not '%s' but: %s", says, said);
}

static void strangers(void **state)
{
    (void)state;
    uint8_t buffer[4096] = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
    against(buffer, 48, "no Genie server");
    against("", 0, "closed the connection");
    against(NULL, 0, "does not answer");
    const uint64_t magic = GN_WIRE_MAGIC, huge = 1ull << 40;
    memcpy(buffer, &magic, 8);
    memcpy(buffer + 8, &huge, 8);
    against(buffer, 16, "different versions");
    memset(buffer + 8, 0, 8);
    buffer[8] = 8;
    against(buffer, 24, "different versions"); // too short for a welcome
    struct gn_welcome welcome = {
        .status = CUDA_ERROR_NOT_PERMITTED, .text = "the token is wrong", .version = GN_WIRE_VERSION};
    int size = gn_welcome_encode(buffer, sizeof buffer, &welcome);
    assert_true(size > 0);
    against(buffer, (size_t)size, "the token is wrong");
    against(buffer, (size_t)size - 8, "closed the connection"); // cut off
    welcome =
        (struct gn_welcome){.version = GN_WIRE_VERSION + 1, .chunk_bytes = 1 << 16, .window_bytes = 1 << 20};
    size = gn_welcome_encode(buffer, sizeof buffer, &welcome);
    against(buffer, (size_t)size, "version 4");
}

static int no_local_driver(void)
{
    genie_set_option("mode", "local");
    genie_set_option("driver", server);
    return init_twice();
}

static void no_driver_for_the_local_mode(void **state)
{
    (void)state;
    char said[2000];
    static const char *const drivers[] = {"/nonexistent/libcuda.so.1", "/etc/passwd", "/proc/self/exe",
                                          "/lib/x86_64-linux-gnu/libm.so.6"};
    for (size_t i = 0; i < sizeof drivers / sizeof *drivers; i++) {
        server = drivers[i];
        assert_int_equal(in_child(no_local_driver, said, sizeof said), CUDA_ERROR_NO_DEVICE);
        if (!strstr(said, drivers[i]) || !strstr(said, "GENIE_DRIVER"))
            fail_msg("said: %s", said);
    }
}

static int fork_before(void)
{
    int status;
    pid_t child = fork(); // of a process that has not initialised: a program like any other
    if (!child)
        _exit(cuInit(0) == CUDA_ERROR_NO_DEVICE ? 0 : 1);
    waitpid(child, &status, 0);
    return status;
}

static void forked_before_cuinit(void **state)
{
    (void)state;
    char said[2000];
    assert_int_equal(in_child(fork_before, said, sizeof said), 0);
}

int main(void)
{
    char folder[] = "/tmp/genie-guest-XXXXXX", path[64];
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof path, "%s/socket", folder);
    unix_path = path;
    static const char *const names[] = {"SERVER", "CONFIG", "TOKEN", "MODE", "DRIVER", "OPT",
                                        "TRACE",  "STATS",  "LOG",   "RING", "TIMEOUT"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char name[32];
        snprintf(name, sizeof name, "GENIE_%s", names[i]);
        unsetenv(name);
    }
    setenv("XDG_CONFIG_HOME", folder, 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(before_cuinit),
        cmocka_unit_test(no_server),
        cmocka_unit_test(a_bad_setting),
        cmocka_unit_test(what_genie_h_refuses),
        cmocka_unit_test(strangers),
        cmocka_unit_test(no_driver_for_the_local_mode),
        cmocka_unit_test(forked_before_cuinit),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    rmdir(folder);
    return failed;
}
