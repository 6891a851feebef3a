// SPDX-License-Identifier: Apache-2.0
// Question: does the front door let in whom it may, refuse the rest with a reason, and listen only where it
// should? Method: server_front.h.
#include "tests/unit/server_front.h"

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
    for (int at = GN_PREFIX_BYTES; at < n;
         at += 5) { // bytes that are not what they should be: dropped or refused, never served wrongly
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
    snprintf(text, sizeof text, "[server]\nlisten = [\"%s\"]\ncontrol = \"\"\nlog = \"off\"\n%s", listen,
             more);
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
    assert_int_equal(stat(address + 5, &st), -1);               // removed at the end
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
    assert_int_equal(stat(address + 5, &st), 0);                   // and it stays
    close(live);
    unlink(address + 5);
    rmdir(folder);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(other_protocols_are_refused),
    cmocka_unit_test(what_is_no_hello_is_dropped),
    cmocka_unit_test(a_token_must_be_right),
    cmocka_unit_test(sessions_are_limited),
    cmocka_unit_test(silence_ends),
    cmocka_unit_test(many_silent_ones_keep_nobody_out),
    cmocka_unit_test(only_loopback_unless_told),
    cmocka_unit_test(unix_sockets_come_and_go),
};

FRONT_MAIN(tests)
