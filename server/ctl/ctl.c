// SPDX-License-Identifier: Apache-2.0
// genie-ctl: asks a running server through its control socket; looks at sidecars (server/ctl/ctl_hints.c).
#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "remoting/link/link.h"
#include "server/ctl/ctl.h"

enum { ANSWER_BYTES_MAX = 64 << 20, TIME_LIMIT_MS = 5000 };

struct request {
    const char *socket; // NULL: the default
    bool json;
};

// --- asking

static int send_all(int fd, const char *text, size_t bytes)
{
    while (bytes) {
        ssize_t n = send(fd, text, bytes, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR)
            return -errno;
        text += n > 0 ? n : 0;
        bytes -= n > 0 ? (size_t)n : 0;
    }
    return 0;
}

// The whole answer, NUL-terminated, or NULL and *error.
static char *receive_all(int fd, int *error)
{
    char *text = NULL;
    size_t got = 0, room = 0;
    for (;;) {
        if (got + 1 >= room) {
            room = room ? 2 * room : 65536;
            char *bigger = room <= ANSWER_BYTES_MAX ? realloc(text, room) : NULL;
            *error = bigger ? 0 : -EMSGSIZE;
            if (!bigger)
                break;
            text = bigger;
        }
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int ready = poll(&p, 1, TIME_LIMIT_MS);
        ssize_t n = ready > 0 ? recv(fd, text + got, room - 1 - got, 0) : -1;
        if (n < 0 && errno == EINTR)
            continue;
        *error = ready == 0 ? -ETIMEDOUT : n < 0 ? -errno : 0;
        if (*error)
            break;
        got += (size_t)n;
        text[got] = 0;
        if (n == 0)
            return text;
    }
    free(text);
    return NULL;
}

static const char *socket_path(const struct request *r, char *path, size_t path_bytes)
{
    const char *folder = getenv("XDG_RUNTIME_DIR");
    if (r->socket)
        return r->socket;
    if (!folder || folder[0] != '/')
        return NULL;
    snprintf(path, path_bytes, "%s/genie/control.sock", folder);
    return path;
}

// The answer to a question, or NULL: then it has said why.
static char *ask(const struct request *r, const char *question)
{
    char path_text[4096], address[4096 + 8], why[256] = "", line[64];
    const char *path = socket_path(r, path_text, sizeof path_text);
    int error = 0;
    if (!path) {
        fprintf(stderr, "genie-ctl: which server? XDG_RUNTIME_DIR is not set: give --socket PATH "
                        "(server.control in its settings)\n");
        return NULL;
    }
    snprintf(address, sizeof address, "unix:%s", path);
    int fd = gn_link_connect(address, TIME_LIMIT_MS, why, sizeof why);
    if (fd < 0) {
        fprintf(stderr, "genie-ctl: no server answers at %s: %s\n", path, why);
        return NULL;
    }
    snprintf(line, sizeof line, "%s\n", question);
    char *answer = NULL;
    error = send_all(fd, line, strlen(line));
    if (!error)
        answer = receive_all(fd, &error);
    close(fd);
    if (answer && !*answer) {
        free(answer);
        answer = NULL;
        error = -EACCES; // it closes without a word on whom it does not answer
    }
    if (!answer)
        fprintf(stderr, "genie-ctl: the server at %s does not answer: %s\n", path, strerror(-error));
    return answer;
}

// --- showing

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "?";
}

static long long number_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

const char *gn_ctl_bytes(double value, char *text, size_t text_bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;
    for (; value >= 1024 && unit + 1 < sizeof units / sizeof *units; unit++)
        value /= 1024;
    snprintf(text, text_bytes, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
    return text;
}

static const char *bytes_of(const json_t *object, const char *key, char *text, size_t text_bytes)
{
    return gn_ctl_bytes((double)number_of(object, key), text, text_bytes);
}

static void show_session(const json_t *s)
{
    char in[32], out[32], payload_in[32], payload_out[32], memory[32], who[64];
    snprintf(who, sizeof who, "%.40s/%lld", text_of(s, "program"), number_of(s, "program_pid"));
    printf("%7lld  %-24s %-16s %-13s %8.0f s %8lld %10lld %10lld %11s %11s %11s %11s %11s %8lld%s\n",
           number_of(s, "session"), who, text_of(s, "peer"), text_of(s, "transport"), json_number_value(json_object_get(s, "age_s")),
           number_of(s, "worker_pid"), number_of(s, "commands"), number_of(s, "launches"),
           bytes_of(s, "received_bytes", in, sizeof in), bytes_of(s, "sent_bytes", out, sizeof out),
           bytes_of(s, "payload_in_bytes", payload_in, sizeof payload_in),
           bytes_of(s, "payload_out_bytes", payload_out, sizeof payload_out),
           bytes_of(s, "memory_bytes", memory, sizeof memory), number_of(s, "handles"),
           json_is_true(json_object_get(s, "client_gone")) ? "  client gone" : "");
}

// What the server keeps of a session's host memory, where it keeps anything.
static void show_kept(const json_t *s)
{
    char device[32], host[32], moved[32], fetched[32], copied[32];
    if (number_of(s, "kept") || number_of(s, "fetched_bytes") || number_of(s, "kept_device_bytes"))
        printf("%7s  kept: %lld copies, %s on devices, %s in host memory; %s moved there, %s fetched; %s of content copied on devices\n", "", number_of(s, "kept"),
               bytes_of(s, "kept_device_bytes", device, sizeof device), bytes_of(s, "kept_host_bytes", host, sizeof host),
               bytes_of(s, "kept_moved_bytes", moved, sizeof moved), bytes_of(s, "fetched_bytes", fetched, sizeof fetched),
               bytes_of(s, "resident_copied_bytes", copied, sizeof copied));
}

static void show_store(const json_t *s)
{
    char used[32], most[32], disk[32];
    if (!json_is_object(s))
        return;
    printf("store      %s of %s in %lld chunks, %lld of %lld asked for were there; %lld stored, %lld evicted\n", bytes_of(s, "bytes", used, sizeof used),
           bytes_of(s, "memory_bytes", most, sizeof most), number_of(s, "chunks"), number_of(s, "known"), number_of(s, "asked"), number_of(s, "stored"),
           number_of(s, "evicted"));
    if (*text_of(s, "directory"))
        printf("           %s in %lld files in %s; %lld read, %lld dropped, %lld failures\n", bytes_of(s, "disk_bytes", disk, sizeof disk),
               number_of(s, "disk_files"), text_of(s, "directory"), number_of(s, "disk_loaded"), number_of(s, "disk_dropped"),
               number_of(s, "disk_failures"));
}

static int show_status(const json_t *root)
{
    size_t i;
    const json_t *value, *sessions = json_object_get(root, "sessions"),
                         *addresses = json_object_get(root, "addresses");
    printf("genie-srv %s, pid %lld, up %.0f s%s\n", text_of(root, "version"), number_of(root, "pid"),
           json_number_value(json_object_get(root, "uptime_s")),
           json_is_true(json_object_get(root, "stopping")) ? ", shutting down" : "");
    printf("driver     %s\n", text_of(root, "driver"));
    json_array_foreach(addresses, i, value)
        printf("%s  %s\n", i ? "         " : "listening", json_string_value(value));
    printf("sessions   %zu of %lld, %lld since the start, %lld refused; %lld half open, %lld spare workers\n",
           json_array_size(sessions), number_of(root, "sessions_max"), number_of(root, "sessions_total"),
           number_of(root, "refused"), number_of(root, "half_open"), number_of(root, "spare_workers"));
    show_store(json_object_get(root, "store"));
    if (json_array_size(sessions))
        printf("\n%7s  %-24s %-16s %-13s %10s %8s %10s %10s %11s %11s %11s %11s %11s %8s\n", "session",
               "program/pid", "peer", "transport", "age", "worker", "commands", "launches", "in", "out", "payload in",
               "payload out", "memory", "handles");
    json_array_foreach(sessions, i, value)
    {
        show_session(value);
        show_kept(value);
    }
    return 0;
}

static int run_status(const struct request *r)
{
    char *answer = ask(r, "status");
    json_error_t error;
    if (!answer)
        return 1;
    json_t *root = json_loads(answer, 0, &error);
    const char *refusal = json_string_value(json_object_get(root, "error"));
    int status = 1;
    if (!json_is_object(root))
        fprintf(stderr, "genie-ctl: the answer is not understood: %s (line %d)\n", error.text, error.line);
    else if (refusal)
        fprintf(stderr, "genie-ctl: %s\n", refusal);
    else if (r->json)
        status = fputs(answer, stdout) < 0;
    else
        status = show_status(root);
    json_decref(root);
    free(answer);
    return status;
}

// --- subcommands: this table is the help

static const struct {
    const char *name, *usage, *help;
    int (*run)(const struct request *r);     // of a server
    int (*run_alone)(int argc, char **argv); // with what is behind the name
} commands[] = {
    {"status", "status [--json]", "the server, and what each session does", run_status, NULL},
    {"hints", "hints COMMAND", "checks sidecars, and shows what they bring to a program: check, explain, keys", NULL, gn_ctl_hints},
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static int usage(FILE *f, int status)
{
    fprintf(f, "usage: genie-ctl [--socket PATH] COMMAND\n\n");
    for (int i = 0; i < COMMANDS; i++)
        fprintf(f, "  %-20s %s\n", commands[i].usage, commands[i].help);
    fprintf(
        f,
        "\n--socket PATH is the server's control socket; by default $XDG_RUNTIME_DIR/genie/control.sock.\n");
    return status;
}

int main(int argc, char **argv)
{
    struct request r = {0};
    const char *name = NULL;
    for (int i = 1; i < argc; i++) {
        for (int k = 0; !name && k < COMMANDS; k++)
            if (commands[k].run_alone && !strcmp(argv[i], commands[k].name))
                return commands[k].run_alone(argc - i - 1, argv + i + 1);
        if (!strcmp(argv[i], "--help"))
            return usage(stdout, 0);
        if (!strcmp(argv[i], "--json")) {
            r.json = true;
        } else if (!strcmp(argv[i], "--socket") && i + 1 < argc) {
            r.socket = argv[++i];
        } else if (argv[i][0] != '-' && !name) {
            name = argv[i];
        } else {
            fprintf(stderr, "genie-ctl: %s is not understood\n", argv[i]);
            return usage(stderr, 2);
        }
    }
    for (int i = 0; name && i < COMMANDS; i++)
        if (!strcmp(commands[i].name, name))
            return commands[i].run(&r);
    if (name)
        fprintf(stderr, "genie-ctl: there is no command %s\n", name);
    return usage(stderr, 2);
}
