// SPDX-License-Identifier: Apache-2.0
// A client that breaks the protocol: raw ADDRESS WHAT [COUNT]. It prints how the server answers, one line:
// "refused: STATUS TEXT", "closed", "goodbye: TEXT" or "silent". Which violations there are is in the table
// below; remoting/WIRE.md section 7 says what each has to bring. And a server that nobody should mistake for
// one of ours: raw listen TEXT.
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api_wire.h"
#include "core/frame.h"
#include "core/handle.h"
#include "remoting/hello.h"
#include "remoting/link/link.h"

enum { TIMEOUT_MS = 8000, HALF_OPEN_MAX = 10000, GARBAGE_BYTES = 1 << 20 };

static const char *address;
static int half_open_count = 1000;
static struct gn_device_snapshot devices[GN_DEVICES_MAX];

static int connect_to(void)
{
    char why[256];
    int fd = gn_link_connect(address, 5000, why, sizeof why);
    if (fd < 0) {
        printf("no connection: %s\n", why);
        exit(1);
    }
    return fd;
}

static void put(int fd, const void *bytes, size_t size_bytes)
{
    for (size_t at = 0; at < size_bytes;) {
        ssize_t n = send(fd, (const char *)bytes + at, size_bytes - at, MSG_NOSIGNAL);
        if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
            return; // the server has had enough, and that is what it will be asked about
        if (n <= 0) {
            printf("sending failed: %s\n", strerror(errno));
            exit(1);
        }
        at += (size_t)n;
    }
}

// All of `size_bytes`, or less: -1 when nothing comes in time.
static ssize_t get(int fd, void *bytes, size_t size_bytes)
{
    size_t at = 0;
    while (at < size_bytes) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, TIMEOUT_MS) == 0)
            return -1;
        ssize_t n = recv(fd, (char *)bytes + at, size_bytes - at, 0);
        if (n <= 0)
            break;
        at += (size_t)n;
    }
    return (ssize_t)at;
}

// 0: welcome; else it has been said why not.
static int hear(int fd)
{
    static uint8_t body[GN_WELCOME_BYTES_MAX];
    uint8_t prefix[GN_PREFIX_BYTES];
    struct gn_welcome welcome = {.devices = devices};
    ssize_t n = get(fd, prefix, sizeof prefix);
    int64_t more = n == sizeof prefix ? gn_prefix_decode(prefix, sizeof body) : 0;
    if (n < 0)
        printf("silent\n");
    else if (n == 0)
        printf("closed\n");
    else if (more <= 0 || get(fd, body, (size_t)more) != more ||
             gn_welcome_decode(body, (size_t)more, &welcome))
        printf("an answer that makes no sense\n");
    else if (welcome.status)
        printf("refused: %d %s\n", welcome.status, welcome.text);
    else
        return 0;
    return 1;
}

static struct gn_hello hello_of_ours(void)
{
    const char *token = getenv("GENIE_TOKEN");
    struct gn_hello h = {.version_low = GN_WIRE_VERSION,
                         .version_high = GN_WIRE_VERSION,
                         .wire_digest = gn_wire_digest,
                         .ring_bytes = 1 << 20,
                         .process_id = (uint32_t)getpid(),
                         .program = "raw"};
    snprintf(h.token, sizeof h.token, "%s", token ? token : "");
    return h;
}

static int say(const struct gn_hello *h)
{
    uint8_t bytes[GN_HELLO_BYTES_MAX + GN_PREFIX_BYTES];
    int fd = connect_to(), n = gn_hello_encode(bytes, sizeof bytes, h);
    put(fd, bytes, (size_t)n);
    return fd;
}

static void greet_and_hear(const struct gn_hello *h)
{
    int fd = say(h);
    if (!hear(fd))
        printf("welcome\n");
    close(fd);
}

// --- before the hello is through

static void right(void)
{
    struct gn_hello h = hello_of_ours();
    greet_and_hear(&h);
}
static void wrong_version(void)
{
    struct gn_hello h = hello_of_ours();
    h.version_low = h.version_high = GN_WIRE_VERSION + 7;
    greet_and_hear(&h);
}
static void wrong_digest(void)
{
    struct gn_hello h = hello_of_ours();
    h.wire_digest ^= 1;
    greet_and_hear(&h);
}
static void huge_ring(void)
{
    struct gn_hello h = hello_of_ours();
    h.ring_bytes = (uint64_t)1 << 60;
    greet_and_hear(&h);
}
static void send_and_hear(const void *bytes, size_t size_bytes, bool ends)
{
    int fd = connect_to();
    put(fd, bytes, size_bytes);
    if (ends)
        shutdown(fd, SHUT_WR);
    if (!hear(fd))
        printf("welcome\n");
    close(fd);
}
static void garbage(void)
{
    static uint8_t bytes[GARBAGE_BYTES];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 2654435761u >> 13);
    send_and_hear(bytes, sizeof bytes, false);
}
static void http(void)
{
    static const char text[] = "GET / HTTP/1.1\r\nHost: nobody\r\n\r\n";
    send_and_hear(text, sizeof text - 1, false);
}
static void long_hello(void)
{
    uint64_t prefix[2] = {GN_WIRE_MAGIC, (uint64_t)1 << 40};
    send_and_hear(prefix, sizeof prefix, false);
}
static void short_hello(void)
{
    uint64_t prefix[2] = {GN_WIRE_MAGIC, 512};
    send_and_hear(prefix, sizeof prefix, true);
}
static void malformed_hello(void)
{
    uint64_t bytes[10] = {GN_WIRE_MAGIC, 64,         UINT64_MAX, UINT64_MAX, UINT64_MAX,
                          UINT64_MAX,    UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};
    send_and_hear(bytes, sizeof bytes, false);
}
static void silence(void) { send_and_hear(NULL, 0, false); }

static void
half_open(void) // all at once as far as the descriptors reach, and what is over at the end closed by both
{
    static int fds[HALF_OPEN_MAX];
    int count = 0, most = (int)sysconf(_SC_OPEN_MAX) - 50;
    char why[256];
    for (int i = 0; i < half_open_count; i++) {
        int *fd = &fds[i % (most < half_open_count ? most : half_open_count)];
        if (*fd)
            close(*fd);
        *fd = gn_link_connect(address, 5000, why, sizeof why);
        count += *fd >= 0;
        if (*fd >= 0 && i % 3 == 0)
            put(*fd, "GENIE", 5);
        *fd = *fd < 0 ? 0 : *fd;
    }
    printf("half-open connections: %s\n", count == half_open_count ? "all" : "some");
}

// --- after it

static int session(void)
{
    struct gn_hello h = hello_of_ours();
    int fd = say(&h);
    if (hear(fd))
        exit(1);
    return fd;
}

// What the worker says last.
static void hear_end(int fd)
{
    for (;;) {
        struct gn_message m;
        static char body[1 << 20];
        ssize_t n = get(fd, &m, sizeof m);
        if (n < 0) {
            printf("silent\n");
            return;
        }
        if (n != sizeof m || m.size_bytes > sizeof body ||
            get(fd, body, gn_pad8(m.size_bytes)) != (ssize_t)gn_pad8(m.size_bytes)) {
            printf("closed\n");
            return;
        }
        if (m.kind == GN_MESSAGE_GOODBYE) {
            printf("goodbye: %.*s\n", (int)m.size_bytes, body);
            return;
        }
    }
}

static void frame(uint32_t size_bytes, uint16_t op, uint16_t flags, const void *body, size_t body_bytes)
{
    int fd = session();
    struct gn_command head = {.size_bytes = size_bytes, .op = op, .flags = flags};
    put(fd, &head, sizeof head);
    put(fd, body, body_bytes);
    hear_end(fd);
    close(fd);
}

static const uint64_t zeros[64];

static void size_zero(void) { frame(0, GN_OP_scope, 0, zeros, 64); }
static void size_odd(void) { frame(13, GN_OP_scope, 0, zeros, 64); }
static void size_huge(void) { frame(0xfffffff8, GN_OP_scope, 0, zeros, 64); }
static void unknown_op(void) { frame(16, 0xfffe, 0, zeros, 8); }
static void unsupported_op(void) { frame(16, GN_OP_cuGraphCreate, 0, zeros, 8); }
static void unknown_flag(void) { frame(16, GN_OP_scope, 0x80, zeros, 8); }
static void unknown_control(void) { frame(16, 999, GN_COMMAND_CONTROL, zeros, 8); }
static void short_body(void) { frame(16, GN_OP_launch, 0, zeros, 8); }
static void payload_where_none_belongs(void) { frame(16, GN_OP_scope, GN_COMMAND_PAYLOAD, zeros, 8); }
static void huge_payload(void)
{
    uint64_t body[6] = {(uint64_t)1 << 62, 1, 4096, 4096, 4096, 1};
    frame(8 + sizeof body, GN_OP_write, GN_COMMAND_PAYLOAD, body, sizeof body);
}
static void impossible_handle(void)
{
    uint64_t body = UINT64_MAX;
    frame(16, GN_OP_scope, 0, &body, sizeof body);
}
static void host_done_unasked(void) { frame(16, GN_CONTROL_HOST_DONE, GN_COMMAND_CONTROL, zeros, 8); }
static void garbage_commands(void)
{
    static uint32_t words[GARBAGE_BYTES / 4];
    for (size_t i = 0; i < sizeof words / 4; i++)
        words[i] = (uint32_t)i * 2654435761u ^ 0x5bd1e995u;
    int fd = session();
    put(fd, words, sizeof words);
    hear_end(fd);
    close(fd);
}
static void cut_off(void)
{
    int fd = session();
    struct gn_command head = {.size_bytes = 4096, .op = GN_OP_launch};
    put(fd, &head, sizeof head);
    shutdown(fd, SHUT_WR);
    hear_end(fd);
    close(fd);
}

static void command(int fd, unsigned op, const void *args)
{
    uint8_t body[256];
    struct gn_cursor c = gn_cursor_over(body, sizeof body);
    gn_codecs[op].encode(&c, args);
    struct gn_command head = {.size_bytes = (uint32_t)(sizeof head + (size_t)(c.at - body)), .op = (uint16_t)op};
    put(fd, &head, sizeof head);
    put(fd, body, (size_t)(c.at - body));
}

static uint64_t name(enum gn_kind kind, uint64_t index) { return index | (uint64_t)kind << 24 | (uint64_t)1 << 32; }

// Events behind host functions that are never said to have returned, each with a mark.
static void too_many_marks(void)
{
    enum { STREAMS = 3, EVENTS = GN_MARKS_MAX + 50 };
    uint64_t context = name(GN_KIND_CONTEXT, 0);
    int fd = session();
    command(fd, GN_OP_primary_retain, &(struct gn_args_primary_retain){.device = 0, .context = context});
    command(fd, GN_OP_scope, &(struct gn_args_scope){.context = context});
    for (uint64_t i = 1; i <= STREAMS; i++) {
        command(fd, GN_OP_stream_create, &(struct gn_args_stream_create){.stream = name(GN_KIND_STREAM, i), .flags = 1});
        command(fd, GN_OP_host_function, &(struct gn_args_host_function){.stream = name(GN_KIND_STREAM, i), .token = i});
    }
    for (uint64_t i = 1; i <= EVENTS; i++) {
        uint64_t event = name(GN_KIND_EVENT, STREAMS + i);
        command(fd, GN_OP_cuEventCreate, &(struct gn_args_cuEventCreate){.phEvent = event, .Flags = 2});
        command(fd, GN_OP_event_record_marked,
                &(struct gn_args_event_record_marked){
                    .event = event, .stream = name(GN_KIND_STREAM, 1 + i % STREAMS), .mark = i << 16});
    }
    hear_end(fd);
    close(fd);
}

// Not a client: a listener on loopback that answers everybody with `text`, and says nothing more. Prints its
// address.
static int listen_and_say(const char *text)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, size) || listen(fd, 5) ||
        getsockname(fd, (struct sockaddr *)&at, &size))
        return 1;
    printf("127.0.0.1:%d\n", ntohs(at.sin_port));
    fflush(stdout);
    for (;;) {
        int client = accept(fd, NULL, NULL);
        if (client >= 0)
            put(client, text, strlen(text));
    }
}

static const struct {
    const char *name;
    void (*run)(void);
} violations[] = {
    {"right", right},
    {"wrong-version", wrong_version},
    {"wrong-digest", wrong_digest},
    {"huge-ring", huge_ring},
    {"garbage", garbage},
    {"http", http},
    {"long-hello", long_hello},
    {"short-hello", short_hello},
    {"malformed-hello", malformed_hello},
    {"silence", silence},
    {"half-open", half_open},
    {"size-zero", size_zero},
    {"size-odd", size_odd},
    {"size-huge", size_huge},
    {"unknown-op", unknown_op},
    {"unsupported-op", unsupported_op},
    {"unknown-flag", unknown_flag},
    {"unknown-control", unknown_control},
    {"short-body", short_body},
    {"unexpected-payload", payload_where_none_belongs},
    {"huge-payload", huge_payload},
    {"impossible-handle", impossible_handle},
    {"host-done-unasked", host_done_unasked},
    {"garbage-commands", garbage_commands},
    {"cut-off", cut_off},
    {"too-many-marks", too_many_marks},
};

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "listen"))
        return listen_and_say(argc > 2 ? argv[2] : "");
    if (argc < 3)
        return 2;
    address = argv[1];
    if (argc > 3 && atoi(argv[3]) > 0 && atoi(argv[3]) <= HALF_OPEN_MAX)
        half_open_count = atoi(argv[3]);
    for (size_t i = 0; i < sizeof violations / sizeof *violations; i++)
        if (!strcmp(violations[i].name, argv[2])) {
            violations[i].run();
            return 0;
        }
    fprintf(stderr, "raw: there is no violation '%s'\n", argv[2]);
    return 2;
}
