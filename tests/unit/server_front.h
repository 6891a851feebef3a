// SPDX-License-Identifier: Apache-2.0
// A real front door in a child process, whose workers are the test program itself with a worker of its own,
// and clients for it. A test program runs its tests twice: on io_uring and on plain sockets.
#ifndef GN_TESTS_UNIT_SERVER_FRONT_H
#define GN_TESTS_UNIT_SERVER_FRONT_H

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "api_wire.h"
#include "core/frame.h"
#include "remoting/link/link.h"
#include "server/config.h"
#include "server/front/front.h"
#include "server/front/spawn.h"

// --- the workers of these tests: what they do is the program's name in the hello

static inline void report_descriptors(int fd)
{
    char list[256] = "";
    for (int i = 0; i < 64; i++)
        if (fcntl(i, F_GETFD) >= 0)
            snprintf(list + strlen(list), sizeof list - strlen(list), "%d ", i);
    if (write(fd, list, strlen(list)) < 0)
        _exit(9);
}

int gn_worker_main(const struct gn_worker_start *start)
{
    const char *what = start->session->hello.program;
    uint8_t bytes[1024];
    struct gn_welcome welcome = {.version = start->session->version,
                                 .worker_id = start->session->session,
                                 .chunk_bytes = 4096,
                                 .window_bytes = 4096};
    int n = gn_welcome_encode(bytes, sizeof bytes, &welcome);
    atomic_store(&start->status->commands, 7);
    atomic_store(&start->status->ready, 1);
    if (start->session->hello.token[0] || write(start->fd, bytes, (size_t)n) != n)
        return 9;
    if (!strcmp(what, "crash"))
        raise(SIGKILL);
    if (!strcmp(what, "protocol"))
        return GN_EXIT_PROTOCOL;
    if (!strcmp(what, "descriptors"))
        report_descriptors(start->fd);
    while (!strcmp(what, "hang"))
        pause();
    for (ssize_t got; (got = read(start->fd, bytes, sizeof bytes)) > 0;)
        if (write(start->fd, bytes, (size_t)got) != got)
            break;
    return GN_EXIT_OVER;
}

// --- a front door and its clients

struct front {
    pid_t pid;
    FILE *out;
    char address[256], folder[64], control[96], log[96];
};

static bool plain; // of all front doors of the current run

static inline void start(struct front *f, const char *more)
{
    static struct gn_server_config config;
    char text[2048], why[512], line[512];
    int out[2];
    memset(f, 0, sizeof *f);
    snprintf(f->folder, sizeof f->folder, "/tmp/genie-front-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->control, sizeof f->control, "%s/control", f->folder);
    snprintf(f->log, sizeof f->log, "%s/log", f->folder);
    snprintf(text, sizeof text,
             "[server]\nlisten = [\"unix:%s/socket\"]\ncontrol = \"%s\"\nio_uring = %s\nshutdown_s = 2\n%s",
             f->folder, f->control, plain ? "false" : "true", more);
    gn_server_config_defaults(&config);
    if (gn_server_config_parse(&config, "test", text, strlen(text), why, sizeof why) ||
        gn_server_config_finish(&config, why, sizeof why))
        fail_msg("%s", why);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    fflush(NULL);
    f->pid = fork();
    if (!f->pid) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); // a failed test leaves nothing behind
        dup2(out[1], STDOUT_FILENO);
        gn_log_to_file(f->log);
        gn_log_setup(GN_LOG_DEBUG, 0);
        _exit(gn_front_run(&config));
    }
    close(out[1]);
    f->out = fdopen(out[0], "r");
    static const char ready[] = "genie-srv: listening on ";
    assert_non_null(fgets(line, sizeof line, f->out));
    assert_memory_equal(line, ready, sizeof ready - 1);
    snprintf(f->address, sizeof f->address, "%.*s", (int)strcspn(line + sizeof ready - 1, "\n"),
             line + sizeof ready - 1);
}

static inline int wait_for(struct front *f)
{
    int status = -1;
    assert_int_equal(waitpid(f->pid, &status, 0), f->pid);
    f->pid = 0;
    return status;
}

static inline void clean(struct front *f)
{
    char path[128];
    fclose(f->out);
    static const char *const files[] = {"log", "token", "socket", "control"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%s/%s", f->folder, files[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(f->folder), 0);
}

static inline void stop(struct front *f)
{
    kill(f->pid, SIGTERM);
    kill(f->pid, SIGTERM);
    assert_int_equal(wait_for(f), 0);
    clean(f);
}

static inline int dial(const char *address)
{
    char why[256] = "";
    int fd = gn_link_connect(address, 2000, why, sizeof why);
    if (fd < 0)
        fail_msg("%s: %s", address, why);
    return fd;
}

static inline struct gn_hello hello_of(const char *program)
{
    struct gn_hello h = {.version_low = GN_WIRE_VERSION,
                         .version_high = GN_WIRE_VERSION,
                         .wire_digest = gn_wire_digest,
                         .ring_bytes = 65536,
                         .process_id = 42};
    snprintf(h.program, sizeof h.program, "%s", program);
    return h;
}

static inline void say(int fd, const struct gn_hello *hello)
{
    uint8_t bytes[GN_PREFIX_BYTES + GN_HELLO_BYTES_MAX];
    int n = gn_hello_encode(bytes, sizeof bytes, hello);
    assert_true(n > 0);
    assert_int_equal(send(fd, bytes, (size_t)n, MSG_NOSIGNAL), n);
}

// Reads exactly so much within the time; fewer at the end of the connection.
static inline size_t take(int fd, void *to, size_t bytes, int limit_ms)
{
    size_t got = 0;
    while (got < bytes) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, limit_ms) != 1)
            fail_msg("nothing came in %d ms", limit_ms);
        ssize_t n = recv(fd, (char *)to + got, bytes - got, 0);
        if (n <= 0)
            break;
        got += (size_t)n;
    }
    return got;
}

static inline struct gn_welcome hear(int fd)
{
    uint8_t prefix[GN_PREFIX_BYTES], body[1024];
    struct gn_device_snapshot none;
    struct gn_welcome welcome = {.devices = &none};
    assert_int_equal(take(fd, prefix, sizeof prefix, 5000), sizeof prefix);
    int64_t n = gn_prefix_decode(prefix, sizeof body);
    assert_true(n > 0);
    assert_int_equal(take(fd, body, (size_t)n, 5000), n);
    assert_int_equal(gn_welcome_decode(body, (size_t)n, &welcome), 0);
    welcome.devices = NULL;
    return welcome;
}

static inline void assert_closed(int fd, int limit_ms)
{
    char byte;
    assert_int_equal(take(fd, &byte, 1, limit_ms), 0);
    close(fd);
}

static inline int client(const struct front *f, const char *program)
{
    struct gn_hello h = hello_of(program);
    int fd = dial(f->address);
    say(fd, &h);
    struct gn_welcome w = hear(fd);
    assert_int_equal(w.status, 0);
    return fd;
}

static inline void assert_refused(const struct front *f, const struct gn_hello *h, int status,
                                  const char *words)
{
    int fd = dial(f->address);
    say(fd, h);
    struct gn_welcome w = hear(fd);
    assert_int_equal(w.status, status);
    if (!strstr(w.text, words))
        fail_msg("'%s' does not say '%s'", w.text, words);
    assert_closed(fd, 1000);
}

static inline void assert_works(const struct front *f)
{
    char word[5] = "";
    int fd = client(f, "echo");
    assert_int_equal(write(fd, "ping", 4), 4);
    assert_int_equal(take(fd, word, 4, 2000), 4);
    assert_string_equal(word, "ping");
    close(fd);
}

static inline json_t *status_of(const struct front *f)
{
    char address[128], text[65536] = "";
    size_t got = 0;
    snprintf(address, sizeof address, "unix:%s", f->control);
    int fd = dial(address);
    assert_int_equal(send(fd, "status\n", 7, MSG_NOSIGNAL), 7);
    got = take(fd, text, sizeof text - 1, 2000);
    close(fd);
    json_error_t error;
    json_t *root = json_loadb(text, got, 0, &error);
    if (!root)
        fail_msg("%s in: %s", error.text, text);
    return root;
}

static inline size_t sessions_of(const struct front *f)
{
    json_t *root = status_of(f);
    size_t n = json_array_size(json_object_get(root, "sessions"));
    json_decref(root);
    return n;
}

static inline pid_t worker_of(const struct front *f)
{
    json_t *root = status_of(f), *s = json_array_get(json_object_get(root, "sessions"), 0);
    pid_t pid = (pid_t)json_integer_value(json_object_get(s, "worker_pid"));
    json_decref(root);
    return pid;
}

static inline bool gone_within(pid_t pid, int limit_ms)
{
    for (int waited = 0; waited <= limit_ms; waited += 20) {
        if (kill(pid, 0) && errno == ESRCH)
            return true;
        usleep(20000);
    }
    return false;
}

static inline bool no_sessions_within(const struct front *f, int limit_ms)
{
    for (int waited = 0; waited <= limit_ms; waited += 50) {
        if (!sessions_of(f))
            return true;
        usleep(50000);
    }
    return false;
}

static inline bool logged(const struct front *f, const char *words)
{
    static char text[1 << 20];
    FILE *log = fopen(f->log, "r");
    size_t n = log ? fread(text, 1, sizeof text - 1, log) : 0;
    text[n] = 0;
    if (log)
        fclose(log);
    return strstr(text, words);
}

static inline int use_uring(void **state)
{
    (void)state;
    plain = false;
    return 0;
}

static inline int use_plain(void **state)
{
    (void)state;
    plain = true;
    return 0;
}

// The whole of a test program: a worker where the front door started it.
#define FRONT_MAIN(tests)                                                                                    \
    int main(int argc, char **argv)                                                                          \
    {                                                                                                        \
        if (gn_spawn_is_worker(argc, argv))                                                                \
            return gn_spawn_worker_entry(argv);                                                            \
        int failed = cmocka_run_group_tests_name("on io_uring", tests, use_uring, NULL);                     \
        return failed + cmocka_run_group_tests_name("on plain sockets", tests, use_plain, NULL);             \
    }

#endif
