// SPDX-License-Identifier: Apache-2.0
// Question: does the front door admit whom it may, refuse the rest with a reason, and keep no worker without a client nor a client without
// a worker? Method: a real front door in a child process, whose workers are this program with a worker of its own; each test on io_uring and
// on plain sockets.
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
#include "remoting/link.h"
#include "server/config.h"
#include "server/front.h"
#include "server/spawn.h"

// --- the workers of these tests: what they do is the program's name in the hello

static void report_descriptors(int fd)
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
    struct gn_welcome welcome = {.version = start->session->version, .worker_id = start->session->session, .chunk_bytes = 4096, .window_bytes = 4096};
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

static void start(struct front *f, const char *more)
{
    static struct gn_server_config config;
    char text[2048], why[512], line[512];
    int out[2];
    memset(f, 0, sizeof *f);
    snprintf(f->folder, sizeof f->folder, "/tmp/genie-front-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->control, sizeof f->control, "%s/control", f->folder);
    snprintf(f->log, sizeof f->log, "%s/log", f->folder);
    snprintf(text, sizeof text, "[server]\nlisten = [\"unix:%s/socket\"]\ncontrol = \"%s\"\nio_uring = %s\nshutdown_s = 5\n%s", f->folder,
             f->control, plain ? "false" : "true", more);
    gn_server_config_defaults(&config);
    if (gn_server_config_parse(&config, "test", text, strlen(text), why, sizeof why) || gn_server_config_finish(&config, why, sizeof why))
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
    snprintf(f->address, sizeof f->address, "%.*s", (int)strcspn(line + sizeof ready - 1, "\n"), line + sizeof ready - 1);
}

static int wait_for(struct front *f)
{
    int status = -1;
    assert_int_equal(waitpid(f->pid, &status, 0), f->pid);
    f->pid = 0;
    return status;
}

static void clean(struct front *f)
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

static void stop(struct front *f)
{
    kill(f->pid, SIGTERM);
    kill(f->pid, SIGTERM);
    assert_int_equal(wait_for(f), 0);
    clean(f);
}

static int dial(const char *address)
{
    char why[256] = "";
    int fd = gn_link_connect(address, 2000, why, sizeof why);
    if (fd < 0)
        fail_msg("%s: %s", address, why);
    return fd;
}

static struct gn_hello hello_of(const char *program)
{
    struct gn_hello h = {.version_low = GN_WIRE_VERSION, .version_high = GN_WIRE_VERSION, .wire_digest = gn_wire_digest, .ring_bytes = 65536, .process_id = 42};
    snprintf(h.program, sizeof h.program, "%s", program);
    return h;
}

static void say(int fd, const struct gn_hello *hello)
{
    uint8_t bytes[GN_PREFIX_BYTES + GN_HELLO_BYTES_MAX];
    int n = gn_hello_encode(bytes, sizeof bytes, hello);
    assert_true(n > 0);
    assert_int_equal(send(fd, bytes, (size_t)n, MSG_NOSIGNAL), n);
}

// Reads exactly so much within the time; fewer at the end of the connection.
static size_t take(int fd, void *to, size_t bytes, int limit_ms)
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

static struct gn_welcome hear(int fd)
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

static void assert_closed(int fd, int limit_ms)
{
    char byte;
    assert_int_equal(take(fd, &byte, 1, limit_ms), 0);
    close(fd);
}

static int client(const struct front *f, const char *program)
{
    struct gn_hello h = hello_of(program);
    int fd = dial(f->address);
    say(fd, &h);
    struct gn_welcome w = hear(fd);
    assert_int_equal(w.status, 0);
    return fd;
}

static void assert_refused(const struct front *f, const struct gn_hello *h, int status, const char *words)
{
    int fd = dial(f->address);
    say(fd, h);
    struct gn_welcome w = hear(fd);
    assert_int_equal(w.status, status);
    if (!strstr(w.text, words))
        fail_msg("'%s' does not say '%s'", w.text, words);
    assert_closed(fd, 1000);
}

static void assert_works(const struct front *f)
{
    char word[5] = "";
    int fd = client(f, "echo");
    assert_int_equal(write(fd, "ping", 4), 4);
    assert_int_equal(take(fd, word, 4, 2000), 4);
    assert_string_equal(word, "ping");
    close(fd);
}

static json_t *status_of(const struct front *f)
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

static size_t sessions_of(const struct front *f)
{
    json_t *root = status_of(f);
    size_t n = json_array_size(json_object_get(root, "sessions"));
    json_decref(root);
    return n;
}

static pid_t worker_of(const struct front *f)
{
    json_t *root = status_of(f), *s = json_array_get(json_object_get(root, "sessions"), 0);
    pid_t pid = (pid_t)json_integer_value(json_object_get(s, "worker_pid"));
    json_decref(root);
    return pid;
}

static bool gone_within(pid_t pid, int limit_ms)
{
    for (int waited = 0; waited <= limit_ms; waited += 20) {
        if (kill(pid, 0) && errno == ESRCH)
            return true;
        usleep(20000);
    }
    return false;
}

static bool no_sessions_within(const struct front *f, int limit_ms)
{
    for (int waited = 0; waited <= limit_ms; waited += 50) {
        if (!sessions_of(f))
            return true;
        usleep(50000);
    }
    return false;
}

static bool logged(const struct front *f, const char *words)
{
    static char text[1 << 20];
    FILE *log = fopen(f->log, "r");
    size_t n = log ? fread(text, 1, sizeof text - 1, log) : 0;
    text[n] = 0;
    if (log)
        fclose(log);
    return strstr(text, words);
}

// --- sessions

static void serves_a_client(void **state)
{
    struct front f;
    (void)state;
    start(&f, "");
    int fd = client(&f, "echo");
    json_t *root = status_of(&f), *s = json_array_get(json_object_get(root, "sessions"), 0);
    assert_int_equal(json_integer_value(json_object_get(s, "session")), 1);
    assert_string_equal(json_string_value(json_object_get(s, "program")), "echo");
    assert_int_equal(json_integer_value(json_object_get(s, "program_pid")), 42);
    assert_int_equal(json_integer_value(json_object_get(s, "commands")), 7);
    assert_int_equal(strncmp(json_string_value(json_object_get(s, "peer")), "uid ", 4), 0);
    json_decref(root);
    assert_works(&f); // a second one beside it
    close(fd);
    assert_true(no_sessions_within(&f, 3000));
    assert_true(logged(&f, "session 1 ended: over"));
    stop(&f);
}

static void works_without_spares_and_with_many(void **state)
{
    static const char *const settings[] = {"spare_workers = 0\n", "spare_workers = 4\n"};
    (void)state;
    for (int k = 0; k < 2; k++) {
        struct front f;
        int fds[12];
        start(&f, settings[k]);
        for (int i = 0; i < 12; i++)
            fds[i] = client(&f, "echo");
        assert_int_equal(sessions_of(&f), 12);
        for (int i = 0; i < 12; i++)
            close(fds[i]);
        assert_true(no_sessions_within(&f, 3000));
        stop(&f);
    }
}

static void a_dead_spare_is_replaced(void **state)
{
    struct front f;
    (void)state;
    start(&f, "");
    usleep(100000);
    char command[64];
    snprintf(command, sizeof command, "/proc/%d/task/%d/children", f.pid, f.pid);
    FILE *list = fopen(command, "r");
    int spare = 0;
    if (!list || fscanf(list, "%d", &spare) != 1)
        skip();
    fclose(list);
    kill(spare, SIGKILL);
    assert_works(&f);
    stop(&f);
}

static void a_program_name_may_be_any_bytes(void **state)
{
    struct front f;
    (void)state;
    start(&f, "");
    int fd = client(&f, "a\"b\\c\n\xff\x01");
    json_decref(status_of(&f)); // it is JSON all the same
    assert_false(logged(&f, "c\n\xff"));
    close(fd);
    stop(&f);
}

static void a_worker_holds_no_other_descriptors(void **state)
{
    struct front f;
    char list[64] = "";
    (void)state;
    start(&f, "");
    int other = client(&f, "echo"), fd = client(&f, "descriptors");
    assert_int_equal(write(fd, "!", 1), 1);
    size_t got = take(fd, list, sizeof "0 1 2 3 4 " - 1, 2000);
    list[got] = 0;
    assert_string_equal(list, "0 1 2 3 4 "); // nothing, log, log, the front door, the client
    assert_int_equal(take(fd, list, 1, 2000), 1);
    assert_int_equal(list[0], '!'); // and that was all of the list
    close(fd);
    close(other);
    stop(&f);
}

static void a_hanging_worker_is_killed(void **state)
{
    struct front f;
    (void)state;
    start(&f, "");
    int fd = client(&f, "hang");
    pid_t worker = worker_of(&f);
    assert_true(worker > 1);
    close(fd);
    assert_false(gone_within(worker, 1000)); // it has some time to end by itself
    assert_true(gone_within(worker, 1000));
    assert_true(no_sessions_within(&f, 1000));
    assert_true(logged(&f, "session 1 ended: killed"));
    assert_works(&f);
    stop(&f);
}

static void a_crashed_worker_is_told_to_its_client(void **state)
{
    struct front f;
    (void)state;
    start(&f, "");
    assert_closed(client(&f, "crash"), 2000);
    assert_closed(client(&f, "protocol"), 2000);
    assert_works(&f);
    assert_true(logged(&f, "session 1 ended: the worker died of signal 9"));
    assert_true(logged(&f, "session 2 ended: the client broke the protocol"));
    stop(&f);
}

static void workers_die_with_the_front_door(void **state)
{
    struct front f;
    (void)state;
    start(&f, "");
    int fd = client(&f, "hang");
    pid_t worker = worker_of(&f);
    kill(f.pid, SIGKILL);
    assert_true(WIFSIGNALED(wait_for(&f)));
    assert_true(gone_within(worker, 2000));
    assert_closed(fd, 2000);
    clean(&f);
}

// --- who is refused

static void other_protocols_are_refused(void **state)
{
    struct front f;
    (void)state;
    start(&f, "");
    struct gn_hello h = hello_of("old");
    h.version_low = h.version_high = GN_WIRE_VERSION + 1;
    assert_refused(&f, &h, CUDA_ERROR_SYSTEM_DRIVER_MISMATCH, "version");
    h.version_low = GN_WIRE_VERSION;
    h.version_high = 0;
    assert_refused(&f, &h, CUDA_ERROR_SYSTEM_DRIVER_MISMATCH, "version");
    h = hello_of("other");
    h.wire_digest ^= 1;
    assert_refused(&f, &h, CUDA_ERROR_SYSTEM_DRIVER_MISMATCH, "build");
    h = hello_of("echo"); // a range that holds ours is fine
    h.version_low = 0;
    h.version_high = 1000;
    int fd = dial(f.address);
    say(fd, &h);
    assert_int_equal(hear(fd).status, 0);
    close(fd);
    stop(&f);
}

static void what_is_no_hello_is_dropped(void **state)
{
    struct front f;
    uint8_t bytes[8192];
    uint64_t words[2] = {GN_WIRE_MAGIC, GN_HELLO_BYTES_MAX + 8};
    struct gn_hello h = hello_of("echo");
    int n = gn_hello_encode(bytes, sizeof bytes, &h);
    (void)state;
    start(&f, "");
    int fd = dial(f.address);
    assert_int_equal(send(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27, MSG_NOSIGNAL), 27);
    assert_closed(fd, 1000);
    fd = dial(f.address); // too long
    assert_int_equal(send(fd, words, sizeof words, MSG_NOSIGNAL), sizeof words);
    assert_closed(fd, 1000);
    words[1] = 0; // of nothing
    fd = dial(f.address);
    assert_int_equal(send(fd, words, sizeof words, MSG_NOSIGNAL), sizeof words);
    assert_closed(fd, 1000);
    for (int cut = 1; cut < n; cut += 3) { // ends within
        fd = dial(f.address);
        assert_int_equal(send(fd, bytes, (size_t)cut, MSG_NOSIGNAL), cut);
        close(fd);
    }
    for (int at = GN_PREFIX_BYTES; at < n; at += 5) { // bytes that are not what they should be: dropped or refused, never served wrongly
        uint8_t bad[8192];
        memcpy(bad, bytes, sizeof bad);
        bad[at] ^= 0xff;
        fd = dial(f.address);
        assert_int_equal(send(fd, bad, (size_t)n, MSG_NOSIGNAL), n);
        close(fd);
    }
    fd = dial(f.address); // one byte at a time is fine
    for (int i = 0; i < n; i++)
        assert_int_equal(send(fd, bytes + i, 1, MSG_NOSIGNAL), 1);
    assert_int_equal(hear(fd).status, 0);
    close(fd);
    stop(&f);
}

static void a_token_must_be_right(void **state)
{
    struct front f;
    char more[256], path[] = "/tmp/genie-token-XXXXXX";
    int fd = mkstemp(path);
    (void)state;
    assert_int_equal(write(fd, "open sesame\n", 12), 12);
    close(fd);
    snprintf(more, sizeof more, "token_file = \"%s\"\n", path);
    start(&f, more);
    unlink(path);
    struct gn_hello h = hello_of("echo");
    assert_refused(&f, &h, CUDA_ERROR_NOT_PERMITTED, "asks for a token");
    static const char *const wrong[] = {"open", "open sesame ", "open sesamE", "Open sesame", "x"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        snprintf(h.token, sizeof h.token, "%s", wrong[i]);
        assert_refused(&f, &h, CUDA_ERROR_NOT_PERMITTED, "not the server's");
    }
    snprintf(h.token, sizeof h.token, "open sesame");
    fd = dial(f.address);
    say(fd, &h);
    assert_int_equal(hear(fd).status, 0); // and the worker does not get to see the token: it would end
    assert_int_equal(write(fd, "x", 1), 1);
    assert_int_equal(take(fd, more, 1, 1000), 1);
    close(fd);
    assert_false(logged(&f, "sesame"));
    stop(&f);
}

static void sessions_are_limited(void **state)
{
    struct front f;
    struct gn_hello h = hello_of("echo");
    (void)state;
    start(&f, "[limits]\nsessions = 2\n");
    int a = client(&f, "echo"), b = client(&f, "echo");
    assert_refused(&f, &h, CUDA_ERROR_DEVICE_UNAVAILABLE, "limits.sessions)");
    close(a);
    close(b);
    assert_true(no_sessions_within(&f, 3000));
    assert_works(&f);
    stop(&f);
    start(&f, "[limits]\nsessions_per_peer = 1\n");
    a = client(&f, "echo");
    assert_refused(&f, &h, CUDA_ERROR_DEVICE_UNAVAILABLE, "limits.sessions_per_peer)");
    close(a);
    stop(&f);
}

static void silence_ends(void **state)
{
    struct front f;
    (void)state;
    start(&f, "[limits]\nhello_s = 1\n");
    int fd = dial(f.address);
    assert_int_equal(send(fd, "GENIE01", 7, MSG_NOSIGNAL), 7);
    assert_closed(fd, 2500);
    assert_true(logged(&f, "no hello in time"));
    stop(&f);
}

static void many_silent_ones_keep_nobody_out(void **state)
{
    enum { SILENT = 3 * GN_HALF_OPEN_MAX };
    struct front f;
    int fds[SILENT];
    (void)state;
    start(&f, "");
    for (int i = 0; i < SILENT; i++) {
        char why[256];
        fds[i] = gn_link_connect(f.address, 50, why, sizeof why); // a full backlog refuses: as good
    }
    assert_works(&f);
    json_t *root = status_of(&f);
    assert_true(json_integer_value(json_object_get(root, "half_open")) <= GN_HALF_OPEN_MAX);
    json_decref(root);
    for (int i = 0; i < SILENT; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    stop(&f);
}

// --- addresses

static int run_once(const char *listen, const char *more, char *line, size_t line_bytes)
{
    static struct gn_server_config config;
    char text[1024], why[512];
    int out[2];
    snprintf(text, sizeof text, "[server]\nlisten = [\"%s\"]\ncontrol = \"\"\nlog = \"off\"\n%s", listen, more);
    gn_server_config_defaults(&config);
    assert_int_equal(gn_server_config_parse(&config, "test", text, strlen(text), why, sizeof why), 0);
    assert_int_equal(gn_server_config_finish(&config, why, sizeof why), 0);
    config.io_uring = !plain;
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    fflush(NULL);
    pid_t pid = fork();
    if (!pid) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(out[1], STDOUT_FILENO);
        gn_log_setup(config.log, 0);
        _exit(gn_front_run(&config));
    }
    close(out[1]);
    FILE *f = fdopen(out[0], "r");
    if (!fgets(line, (int)line_bytes, f))
        line[0] = 0;
    kill(pid, SIGTERM);
    fclose(f);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void only_loopback_unless_told(void **state)
{
    char line[256];
    (void)state;
    assert_int_equal(run_once("0.0.0.0:0", "", line, sizeof line), 1);
    assert_string_equal(line, "");
    assert_int_equal(run_once("0.0.0.0:0", "insecure = true\n", line, sizeof line), 0);
    assert_int_equal(strncmp(line, "genie-srv: listening on 0.0.0.0:", 32), 0);
    assert_int_equal(run_once("127.0.0.1:0", "", line, sizeof line), 0);
    int port = 0;
    assert_int_equal(sscanf(line, "genie-srv: listening on 127.0.0.1:%d", &port), 1);
    assert_true(port > 0);
    assert_int_equal(run_once("nowhere", "", line, sizeof line), 1);
    assert_int_equal(run_once("unix:/nonexistent/folder/socket", "", line, sizeof line), 1);
}

static void unix_sockets_come_and_go(void **state)
{
    char folder[] = "/tmp/genie-unix-XXXXXX", address[64], line[256];
    struct stat st;
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(address, sizeof address, "unix:%s/s", folder);
    assert_int_equal(run_once(address, "", line, sizeof line), 0);
    assert_int_equal(stat(address + 5, &st), -1); // removed at the end
    int stale = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0); // left behind: bound, nobody listens
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    snprintf(un.sun_path, sizeof un.sun_path, "%s", address + 5);
    assert_int_equal(bind(stale, (struct sockaddr *)&un, sizeof un), 0);
    close(stale);
    assert_int_equal(run_once(address, "", line, sizeof line), 0);
    int live = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(live, (struct sockaddr *)&un, sizeof un), 0);
    assert_int_equal(listen(live, 4), 0);
    assert_int_equal(run_once(address, "", line, sizeof line), 1); // another server's
    assert_int_equal(stat(address + 5, &st), 0);                  // and it stays
    close(live);
    unlink(address + 5);
    rmdir(folder);
}

// --- the end

static void ends_when_the_last_session_does(void **state)
{
    struct front f;
    char word[4];
    (void)state;
    start(&f, "");
    int fd = client(&f, "echo");
    kill(f.pid, SIGTERM);
    usleep(200000);
    assert_int_equal(write(fd, "ping", 4), 4); // it goes on
    assert_int_equal(take(fd, word, 4, 1000), 4);
    assert_int_equal(waitpid(f.pid, NULL, WNOHANG), 0);
    char why[256];
    assert_true(gn_link_connect(f.address, 500, why, sizeof why) < 0); // but nobody comes in
    close(fd);
    assert_int_equal(wait_for(&f), 0);
    struct stat st;
    assert_int_equal(stat(f.control, &st), -1);
    clean(&f);
}

static void a_second_signal_ends_at_once(void **state)
{
    struct front f;
    (void)state;
    start(&f, "");
    int fd = client(&f, "hang");
    pid_t worker = worker_of(&f);
    kill(f.pid, SIGTERM);
    usleep(100000);
    assert_int_equal(waitpid(f.pid, NULL, WNOHANG), 0);
    kill(f.pid, SIGINT);
    assert_int_equal(wait_for(&f), 0);
    assert_true(gone_within(worker, 100));
    assert_closed(fd, 500);
    clean(&f);
}

static void sessions_get_their_time_and_no_more(void **state)
{
    struct front f;
    (void)state;
    start(&f, "");
    int fd = client(&f, "hang");
    int64_t before = gn_now_ms();
    kill(f.pid, SIGTERM);
    assert_int_equal(wait_for(&f), 0);
    int64_t took = gn_now_ms() - before;
    assert_in_range(took, 4500, 7000); // shutdown_s = 5
    assert_closed(fd, 500);
    clean(&f);
}

static int use_uring(void **state)
{
    (void)state;
    plain = false;
    return 0;
}

static int use_plain(void **state)
{
    (void)state;
    plain = true;
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 2 && !strcmp(argv[1], "--worker"))
        return gn_spawn_worker_entry(atoi(argv[2]), NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(serves_a_client),
        cmocka_unit_test(works_without_spares_and_with_many),
        cmocka_unit_test(a_dead_spare_is_replaced),
        cmocka_unit_test(a_program_name_may_be_any_bytes),
        cmocka_unit_test(a_worker_holds_no_other_descriptors),
        cmocka_unit_test(a_hanging_worker_is_killed),
        cmocka_unit_test(a_crashed_worker_is_told_to_its_client),
        cmocka_unit_test(workers_die_with_the_front_door),
        cmocka_unit_test(other_protocols_are_refused),
        cmocka_unit_test(what_is_no_hello_is_dropped),
        cmocka_unit_test(a_token_must_be_right),
        cmocka_unit_test(sessions_are_limited),
        cmocka_unit_test(silence_ends),
        cmocka_unit_test(many_silent_ones_keep_nobody_out),
        cmocka_unit_test(only_loopback_unless_told),
        cmocka_unit_test(unix_sockets_come_and_go),
        cmocka_unit_test(ends_when_the_last_session_does),
        cmocka_unit_test(a_second_signal_ends_at_once),
        cmocka_unit_test(sessions_get_their_time_and_no_more),
    };
    int failed = cmocka_run_group_tests_name("front door on io_uring", tests, use_uring, NULL);
    return failed + cmocka_run_group_tests_name("front door on plain sockets", tests, use_plain, NULL);
}
