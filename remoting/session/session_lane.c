// SPDX-License-Identifier: Apache-2.0
// What lanes bring to the client: data of copies that a thread waits for, straight to its place.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "core/cursor.h"
#include "remoting/session/session_parts.h"

static int read_all(int fd, uint8_t *to, size_t size_bytes)
{
    while (size_bytes) {
        ssize_t n = recv(fd, to, size_bytes, MSG_WAITALL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n ? -errno : -ECONNRESET;
        to += n;
        size_bytes -= (size_t)n;
    }
    return 0;
}

// Thrown away.
static int skip(int fd, size_t size_bytes)
{
    uint8_t waste[4096];
    int error = 0;
    while (size_bytes && !error) {
        size_t n = size_bytes < sizeof waste ? size_bytes : sizeof waste;
        error = read_all(fd, waste, n);
        size_bytes -= n;
    }
    return error;
}

static int read_into(int fd, const struct gn_box *box, uint64_t offset, size_t size_bytes)
{
    bool in_one_piece = (box->rows == 1 || box->pitch_bytes == box->width_bytes) &&
                        (box->slices == 1 || box->slice_bytes == box->width_bytes * box->rows);
    if (in_one_piece)
        return read_all(fd, box->base + offset, size_bytes);
    uint8_t *packed = malloc(size_bytes);
    int error = packed ? read_all(fd, packed, size_bytes) : -ENOMEM;
    if (!error)
        gn_box_scatter(box, offset, packed, size_bytes);
    free(packed);
    return error;
}

static int receive_piece(struct gn_session *s, int fd, uint32_t number)
{
    struct gn_lane_data head;
    struct gn_box box;
    int error = read_all(fd, (uint8_t *)&head, sizeof head);
    if (error)
        return error;
    int wanted = gn_lane_data_right(&head, number, s->chunk_bytes) ? session_transfer_land(s, &head, &box) : -EPROTO;
    if (wanted < 0)
        return wanted;
    if (!wanted)
        return skip(fd, gn_pad8(head.size_bytes));
    error = read_into(fd, &box, head.offset, head.size_bytes);
    if (!error) { // before the program may go on, and look
        atomic_fetch_add_explicit(&s->lane_receives, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&s->lane_received_bytes, head.size_bytes, memory_order_relaxed);
    }
    session_transfer_landed(s, &head, !error);
    return error ? error : skip(fd, gn_pad8(head.size_bytes) - head.size_bytes);
}

// A lane ends with its session, as a rule, and the first connection tells why: it is given the time.
static void await_reason(struct gn_session *s)
{
    enum { LOOKS = 50 };
    for (int i = 0; i < LOOKS && !atomic_load(&s->over); i++)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
}

void gn_session_lane(void *session, int fd)
{
    struct gn_session *s = session;
    int error = 0;
    for (uint32_t number = 0; !error; number++)
        error = receive_piece(s, fd, number);
    if (error == -ECONNRESET)
        await_reason(s);
    session_fail(s, "receiving over a lane failed: %s", error == -ECONNRESET ? "the server closed it" : strerror(-error));
}
