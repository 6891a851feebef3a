// SPDX-License-Identifier: Apache-2.0
// A client that misuses lanes: raw_lane ADDRESS WHAT. It prints what comes of it, one line: "goodbye: TEXT", "closed", "replies: N", "refused" (the
// lane was not let in, the session lives) or "silent".
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "api_wire.h"
#include "core/frame.h"
#include "remoting/hello.h"
#include "remoting/lane.h"
#include "remoting/link/link.h"

enum { TIMEOUT_MS = 8000, PIECE_BYTES = 100000, PIECES_MANY = 1000 };

static const char *address;
static int fd;
static struct gn_welcome welcome;
static struct gn_device_snapshot devices[GN_DEVICES_MAX];
static uint8_t payload[GN_PAYLOAD_BYTES_MAX];

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    printf("%s: %s\n", what, strerror(errno));
    exit(1);
}

static int connect_to(void)
{
    char why[256];
    int new = gn_link_connect(address, 5000, why, sizeof why);
    must(new >= 0, "connect");
    return new;
}

static bool put(int to, const void *bytes, size_t size_bytes) // false: the server has had enough
{
    for (size_t at = 0; at < size_bytes;) {
        ssize_t n = send(to, (const char *)bytes + at, size_bytes - at, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        at += (size_t)n;
    }
    return true;
}

// All of it: 1. The end: 0. Nothing in time: -1.
static int get(int from, void *bytes, size_t size_bytes)
{
    for (size_t at = 0; at < size_bytes;) {
        struct pollfd p = {.fd = from, .events = POLLIN};
        if (poll(&p, 1, TIMEOUT_MS) == 0)
            return -1;
        ssize_t n = recv(from, (char *)bytes + at, size_bytes - at, 0);
        if (n <= 0)
            return 0;
        at += (size_t)n;
    }
    return 1;
}

static void greet(uint32_t wants)
{
    static uint8_t bytes[GN_WELCOME_BYTES_MAX];
    struct gn_hello h = {.version_low = GN_WIRE_VERSION, .version_high = GN_WIRE_VERSION, .wire_digest = gn_wire_digest,
                         .ring_bytes = 1 << 20, .process_id = (uint32_t)getpid(), .wants = wants, .program = "raw_lane"};
    fd = connect_to();
    welcome.devices = devices;
    int n = gn_hello_encode(bytes, sizeof bytes, &h);
    must(put(fd, bytes, (size_t)n) && get(fd, bytes, GN_PREFIX_BYTES) == 1, "hello");
    int64_t more = gn_prefix_decode(bytes, sizeof bytes);
    must(more > 0 && get(fd, bytes, (size_t)more) == 1 && !gn_welcome_decode(bytes, (size_t)more, &welcome) && !welcome.status, "the welcome");
}

// Greets as a lane; the connection, and in *in whether the server takes it.
static int lane_with(uint32_t session, uint32_t number, const uint8_t *key, bool *in)
{
    uint8_t bytes[GN_LANE_HELLO_BYTES];
    struct gn_lane_hello h = {.session = session, .lane = number};
    uint64_t said = 0;
    int new = connect_to();
    memcpy(h.key, key, sizeof h.key);
    gn_lane_hello_encode(bytes, &h);
    put(new, bytes, sizeof bytes);
    *in = get(new, &said, sizeof said) == 1 && said == number;
    return new;
}
static int lane(uint32_t number)
{
    bool in;
    int new = lane_with(welcome.worker_id, number, welcome.lane_key, &in);
    must(in, "a lane");
    return new;
}

static void piece(int to, uint32_t number, uint32_t size_bytes, size_t sent_bytes)
{
    struct gn_lane_piece head = {.size_bytes = size_bytes, .number = number};
    if (put(to, &head, sizeof head))
        put(to, payload, sent_bytes);
}

// A command with payload on a lane. It may be dropped where no context is current; its payload is taken all the same.
static void command(unsigned on, uint64_t size_bytes, uint16_t more_flags)
{
    struct {
        struct gn_command head;
        uint64_t length;
        uint8_t rest[200];
    } c = {.length = size_bytes};
    struct gn_args_write a = {.stream = 1, .address = 4096, .pitch_bytes = size_bytes, .width_bytes = size_bytes, .rows = 1};
    struct gn_cursor cursor = gn_cursor_over(&c.length, sizeof c.length + sizeof c.rest);
    size_t body = gn_codecs[GN_OP_write].size(&a);
    gn_codecs[GN_OP_write].encode(&cursor, &a);
    c.length = size_bytes;
    c.head = (struct gn_command){.size_bytes = (uint32_t)(sizeof c.head + body), .op = GN_OP_write,
                                 .flags = (uint16_t)(GN_COMMAND_PAYLOAD | on << GN_COMMAND_LANE_SHIFT | more_flags)};
    put(fd, &c, sizeof c.head + body);
}

static void ask(void)
{
    static const struct {
        struct gn_command head;
        uint64_t limit;
    } asking = {{.size_bytes = sizeof asking, .op = GN_OP_context_get_limit}, 0};
    put(fd, &asking, sizeof asking);
}

static void hear(int replies)
{
    static char body[GN_PAYLOAD_BYTES_MAX];
    for (int count = 0; count < replies || !replies;) {
        struct gn_message m;
        int got = get(fd, &m, sizeof m);
        if (got <= 0 || (got = get(fd, body, gn_pad8(m.size_bytes))) <= 0) {
            printf(got ? "silent\n" : "closed\n");
            return;
        }
        if (m.kind == GN_MESSAGE_GOODBYE) {
            printf("goodbye: %.*s\n", (int)m.size_bytes, body);
            return;
        }
        count += m.kind == GN_MESSAGE_REPLY;
    }
    printf("replies: %d\n", replies);
}

static void refused(bool in)
{
    ask(); // the session does not mind
    if (in)
        printf("the lane was let in\n");
    struct gn_message m;
    must(get(fd, &m, sizeof m) == 1 && m.kind == GN_MESSAGE_REPLY, "a reply");
    if (!in)
        printf("refused\n");
}

// --- what it does

static void right(void) // the first payload is there before its command, the second after it
{
    int one = lane(1), two = lane(7);
    piece(one, 0, PIECE_BYTES, PIECE_BYTES);
    piece(two, 0, PIECE_BYTES, PIECE_BYTES);
    command(7, PIECE_BYTES, 0);
    command(1, PIECE_BYTES, 0);
    command(1, PIECE_BYTES, 0);
    ask();
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    piece(one, 1, PIECE_BYTES, PIECE_BYTES);
    hear(1);
}
static void wrong_key(void)
{
    uint8_t key[GN_LANE_KEY_BYTES];
    bool in;
    memcpy(key, welcome.lane_key, sizeof key);
    key[15] ^= 1;
    lane_with(welcome.worker_id, 1, key, &in);
    refused(in);
}
static void no_session(void)
{
    bool in;
    lane_with(welcome.worker_id + 1000, 1, welcome.lane_key, &in);
    refused(in);
}
static void not_wanted(void)
{
    static const uint8_t zeros[GN_LANE_KEY_BYTES];
    bool in;
    close(fd);
    greet(0);
    lane_with(welcome.worker_id, 1, zeros, &in);
    refused(in);
}
static void twice(void)
{
    bool in;
    lane(1);
    lane_with(welcome.worker_id, 1, welcome.lane_key, &in);
    refused(in);
}
static void too_many(void)
{
    bool in, also;
    lane_with(welcome.worker_id, GN_LANES_MAX + 1, welcome.lane_key, &in);
    lane_with(welcome.worker_id, 0, welcome.lane_key, &also);
    refused(in || also);
}
static void not_joined(void)
{
    command(3, PIECE_BYTES, 0);
    hear(0);
}
static void lane_fifteen(void)
{
    command(15, PIECE_BYTES, 0);
    hear(0);
}
static void without_command(void)
{
    int to = lane(1);
    for (uint32_t i = 0; i < PIECES_MANY; i++)
        piece(to, i, 8192, 8192);
    hear(0);
}
static void another_size(void)
{
    piece(lane(1), 0, PIECE_BYTES + 8, PIECE_BYTES + 8);
    command(1, PIECE_BYTES, 0);
    hear(0);
}
static void another_number(void)
{
    piece(lane(1), 5, PIECE_BYTES, PIECE_BYTES);
    hear(0);
}
static void huge(void)
{
    piece(lane(1), 0, 1u << 31, 1000);
    hear(0);
}
static void tiny(void)
{
    piece(lane(1), 0, 8, 8);
    hear(0);
}
static void packed(void)
{
    piece(lane(1), 0, PIECE_BYTES, PIECE_BYTES);
    command(1, PIECE_BYTES, GN_COMMAND_PACKED);
    hear(0);
}
static void small_payload(void)
{
    lane(1);
    command(1, 64, 0);
    hear(0);
}
static void control_frame(void)
{
    struct gn_command head = {.size_bytes = sizeof head, .op = GN_CONTROL_STARVED, .flags = GN_COMMAND_CONTROL | 1 << GN_COMMAND_LANE_SHIFT};
    put(fd, &head, sizeof head);
    hear(0);
}
static void half_a_piece(void) // and then nothing: for as long as we like, and nobody else minds
{
    piece(lane(1), 0, PIECE_BYTES, PIECE_BYTES / 2);
    command(1, PIECE_BYTES, 0);
    ask();
    sleep(2);
    printf("silent\n");
}
static void lane_ends(void)
{
    shutdown(lane(1), SHUT_RDWR);
    hear(0);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } misuses[] = {
        {"right", right}, {"wrong-key", wrong_key}, {"no-session", no_session}, {"not-wanted", not_wanted}, {"twice", twice},
        {"too-many", too_many}, {"not-joined", not_joined}, {"lane-fifteen", lane_fifteen}, {"without-command", without_command},
        {"another-size", another_size}, {"another-number", another_number}, {"huge", huge}, {"tiny", tiny}, {"packed", packed},
        {"small-payload", small_payload}, {"control-frame", control_frame}, {"half-a-piece", half_a_piece}, {"lane-ends", lane_ends},
    };
    for (size_t i = 0; argc == 3 && i < sizeof misuses / sizeof *misuses; i++)
        if (!strcmp(misuses[i].name, argv[2])) {
            address = argv[1];
            greet(GN_WANTS_LANES);
            misuses[i].run();
            return 0;
        }
    fprintf(stderr, "raw_lane ADDRESS WHAT\n");
    return 2;
}
