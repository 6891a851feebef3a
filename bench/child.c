// SPDX-License-Identifier: Apache-2.0
// Starting, hearing and ending programs.
#include "bench/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { TERM_MS = 3000, FAMILY_MAX = 64 };

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

// In the child. Settings of whoever runs the benchmark must not reach one baseline and not another.
static void set_environment(const char *const *env)
{
    static const char *const foreign[] = {"LD_PRELOAD",   "GENIE_SERVER",   "GENIE_TOKEN", "GENIE_MODE",
                                          "GENIE_DRIVER", "GENIE_OPT",      "GENIE_TRACE", "GENIE_STATS",
                                          "GENIE_LOG",    "GENIE_CONFIG",   "GENIE_RING",  "GENIE_TIMEOUT",
                                          "GENIE_HINTS",  "GENIE_LANES",    "GENIE_PROFILE", "GENIE_EXPLAIN",
                                          "GENIE_MOCK",   "XDG_RUNTIME_DIR"};
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        unsetenv(foreign[i]);
    for (; *env; env++) {
        const char *value = strchr(*env, '=');
        char name[64];
        if (!value)
            continue;
        snprintf(name, sizeof name, "%.*s", (int)(value - *env), *env);
        setenv(name, value + 1, 1);
    }
}

__attribute__((noreturn)) static void become(enum gn_child_kind kind, const char *const *args,
                                             const char *const *env, int fd, int log)
{
    char number[16], *argv[GN_CHILD_ARGS_MAX + 1];
    int n = 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setpgid(0, 0); // a Ctrl-C is for genie-bench, which then ends its programs in order
    snprintf(number, sizeof number, "%d", fd);
    for (; args[n] && n < GN_CHILD_ARGS_MAX; n++)
        argv[n] = strcmp(args[n], "@FD") ? (char *)args[n] : number;
    argv[n] = NULL;
    dup2(log, STDERR_FILENO);
    dup2(kind == GN_CHILD_PRINTS ? fd : log, STDOUT_FILENO);
    if (kind == GN_CHILD_TALKS)
        fcntl(fd, F_SETFD, 0);
    int nothing = open("/dev/null", O_RDONLY);
    dup2(nothing, STDIN_FILENO);
    set_environment(env);
    execvp(argv[0], argv);
    dprintf(STDERR_FILENO, "%s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

int gn_child_start(struct gn_child *c, enum gn_child_kind kind, const char *const *args,
                   const char *const *env, const char *log)
{
    int pair[2], log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    c->pid = 0;
    c->talk = -1;
    c->held = 0;
    c->talks = kind == GN_CHILD_TALKS;
    if (log_fd < 0)
        return -errno;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) {
        close(log_fd);
        return -errno;
    }
    c->pid = fork();
    if (!c->pid)
        become(kind, args, env, pair[1], log_fd);
    close(log_fd);
    close(pair[1]);
    if (c->pid < 0) {
        close(pair[0]);
        c->pid = 0;
        return -errno;
    }
    c->talk = pair[0];
    return 0;
}

const char *gn_child_hear(struct gn_child *c, int timeout_ms)
{
    static char told[GN_CHILD_LINE_BYTES];
    uint64_t end_ms = now_ms() + (uint64_t)timeout_ms;
    for (;;) {
        char *newline = memchr(c->line, '\n', c->held);
        if (newline) {
            size_t n = (size_t)(newline - c->line);
            memcpy(told, c->line, n);
            told[n] = 0;
            c->held -= n + 1;
            memmove(c->line, newline + 1, c->held);
            return told;
        }
        uint64_t now = now_ms();
        struct pollfd p = {.fd = c->talk, .events = POLLIN};
        if (c->talk < 0 || c->held == sizeof c->line || now >= end_ms ||
            poll(&p, 1, (int)(end_ms - now)) <= 0)
            return NULL;
        ssize_t n = recv(c->talk, c->line + c->held, sizeof c->line - c->held, 0);
        if (n <= 0)
            return NULL;
        c->held += (size_t)n;
    }
}

bool gn_child_say(struct gn_child *c, const char *line)
{
    char text[512];
    int n = snprintf(text, sizeof text, "%s\n", line);
    return c->talks && c->talk >= 0 && n < (int)sizeof text &&
           send(c->talk, text, (size_t)n, MSG_NOSIGNAL) == n;
}

int gn_child_wait(struct gn_child *c, int timeout_ms)
{
    uint64_t end_ms = now_ms() + (uint64_t)timeout_ms;
    int status = 0;
    if (!c->pid)
        return -1;
    while (waitpid(c->pid, &status, WNOHANG) == 0) {
        if (now_ms() >= end_ms) {
            kill(c->pid, SIGKILL);
            waitpid(c->pid, &status, 0);
            break;
        }
        poll(NULL, 0, 2); // nothing is measured while something ends
    }
    c->pid = 0;
    if (c->talk >= 0)
        close(c->talk);
    c->talk = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void gn_child_end(struct gn_child *c)
{
    if (!c->pid)
        return;
    kill(c->pid, SIGTERM);
    gn_child_wait(c, TERM_MS);
}

// --- costs

// The process and its children, which for a server are its workers.
static int family(pid_t pid, pid_t *members)
{
    char path[64];
    int n = 0, member;
    members[n++] = pid;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid);
    FILE *f = fopen(path, "re");
    while (f && n < FAMILY_MAX && fscanf(f, "%d", &member) == 1)
        members[n++] = member;
    if (f)
        fclose(f);
    return n;
}

uint64_t gn_child_cpu_ns(pid_t pid)
{
    pid_t members[FAMILY_MAX];
    int count = family(pid, members);
    uint64_t sum = 0;
    for (int i = 0; i < count; i++) {
        clockid_t clock;
        struct timespec t;
        if (!clock_getcpuclockid(members[i], &clock) && !clock_gettime(clock, &t))
            sum += (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
    }
    return sum;
}

uint64_t gn_child_peak_bytes(pid_t pid)
{
    pid_t members[FAMILY_MAX];
    int count = family(pid, members);
    uint64_t most = 0;
    for (int i = 0; i < count; i++) {
        char line[256];
        snprintf(line, sizeof line, "/proc/%d/status", (int)members[i]);
        FILE *f = fopen(line, "re");
        while (f && fgets(line, sizeof line, f)) {
            uint64_t kib = strncmp(line, "VmHWM:", 6) ? 0 : strtoull(line + 6, NULL, 10);
            most = kib * 1024 > most ? kib * 1024 : most;
        }
        if (f)
            fclose(f);
    }
    return most;
}
