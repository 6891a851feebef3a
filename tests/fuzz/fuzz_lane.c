// SPDX-License-Identifier: Apache-2.0
// Fuzzes lanes: what a server may send to a client over one, with copies of every kind under way (nothing may be written beside their boxes, nor
// to those of a kind that lanes do not bring), and the headers of pieces that a client may send. The first byte: 1 a copy is over already,
// 2 another one's reply is here.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "remoting/session/session_parts.h"
#include "tests/fuzz/feed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CHUNK = 8 << 10, INPUT_BYTES_MAX = 64 << 10, FLAT_BYTES = 20000, ROWS_BYTES = 2 * 600 + 3 * 128 + 100, GAP = 0x5a };

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void headers(const uint8_t *data, size_t size)
{
    struct gn_lane_piece piece;
    struct gn_lane_data head;
    for (size_t at = 0; at + sizeof head <= size; at += 8) {
        memcpy(&piece, data + at, sizeof piece);
        memcpy(&head, data + at, sizeof head);
        if (gn_lane_piece_right(&piece, 0, CHUNK))
            require(!piece.number && piece.size_bytes > GN_SMALL_PAYLOAD_BYTES && piece.size_bytes <= CHUNK);
        if (gn_lane_data_right(&head, 1, CHUNK))
            require(head.number == 1 && head.size_bytes && head.size_bytes <= CHUNK);
    }
}

static void receive(struct gn_session *s, const uint8_t *data, size_t size)
{
    int pair[2], room = 4 * INPUT_BYTES_MAX;
    require(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    require(!size || send(pair[0], data, size, MSG_DONTWAIT) == (ssize_t)size);
    require(!shutdown(pair[0], SHUT_WR));
    s->over = 1; // nobody gives a reason: it is not waited for
    gn_session_lane(s, pair[1]);
    close(pair[0]);
    close(pair[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size || size > INPUT_BYTES_MAX)
        return 0;
    struct feed *feed = calloc(1, sizeof *feed); // the session frees it
    uint8_t *flat = malloc(FLAT_BYTES), *rows = malloc(ROWS_BYTES), *other = calloc(1, FLAT_BYTES);
    require(feed && flat && rows && other);
    memset(rows, GAP, ROWS_BYTES);
    feed->link.ops = &feed_ops;
    const struct gn_session_config config = {.ring_bytes = 64 << 10};
    const struct gn_welcome welcome = {.window_bytes = 4 * CHUNK, .chunk_bytes = CHUNK};
    struct gn_session *s;
    headers(data, size);
    require(!gn_session_open(&s, &feed->link, &config, &welcome));
    const struct gn_box boxes[] = {{flat, FLAT_BYTES, FLAT_BYTES, FLAT_BYTES, 1, 1}, {rows, 128, 600, 100, 4, 3}, {other, FLAT_BYTES, FLAT_BYTES, FLAT_BYTES, 1, 1}};
    uint64_t first = session_transfer_open(s, TRANSFER_READ, &boxes[0]), second = session_transfer_open(s, TRANSFER_READ, &boxes[1]);
    uint64_t async = session_transfer_open(s, TRANSFER_READ_ASYNC, &boxes[2]), pull = session_transfer_open(s, TRANSFER_PULL, &boxes[2]);
    if (data[0] & 1) {
        session_transfer_leave(s, first);
        free(flat); // a sanitizer sees what is written all the same
        flat = NULL;
    }
    struct waiter w = {.kind = WAIT_REPLY, .transfer = second, .held = data[0] & 2};
    session_waiter_add(s, &w);
    receive(s, data + 1, size - 1);
    session_waiter_remove(s, &w);
    require(!w.done || data[0] & 2); // a reply is acted on when it has come, and all its bytes
    if (flat)
        session_transfer_leave(s, first);
    session_transfer_leave(s, second);
    session_transfer_close(s, async);
    session_transfer_close(s, pull);
    for (int i = 0; i < FLAT_BYTES; i++)
        require(!other[i]);
    for (int i = 0; i < ROWS_BYTES; i++)
        require(i % 600 % 128 < 100 && i % 600 < 3 * 128 + 100 ? true : rows[i] == GAP);
    gn_session_close(s);
    free(flat);
    free(rows);
    free(other);
    return 0;
}
