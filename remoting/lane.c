// SPDX-License-Identifier: Apache-2.0
// Opening lanes and sending over them; the bytes of their greeting.
#include "remoting/lane.h"

#include <errno.h>
#include <linux/sockios.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "core/cursor.h"
#include "core/frame.h"
#include "remoting/fork.h"
#include "remoting/link/link.h"

enum { ADDRESS_BYTES = 512, WHY_BYTES = 256 };

// --- bytes

static const uint64_t magics[GN_LANE_PURPOSES] = {GN_LANE_MAGIC, GN_FETCH_MAGIC};

void gn_lane_hello_encode(uint8_t to[GN_LANE_HELLO_BYTES], const struct gn_lane_hello *hello)
{
    struct gn_cursor c = gn_cursor_over(to, GN_LANE_HELLO_BYTES);
    gn_put_u64(&c, magics[hello->purpose]);
    gn_put_u64(&c, GN_LANE_HELLO_BYTES - 16);
    gn_put_u32(&c, hello->session);
    gn_put_u32(&c, hello->lane);
    gn_put_bytes(&c, hello->key, sizeof hello->key);
}

bool gn_lane_prefix(const void *prefix)
{
    uint64_t words[2];
    memcpy(words, prefix, sizeof words);
    return (words[0] == GN_LANE_MAGIC || words[0] == GN_FETCH_MAGIC) && words[1] == GN_LANE_HELLO_BYTES - sizeof words;
}

void gn_lane_hello_decode(const uint8_t from[GN_LANE_HELLO_BYTES], struct gn_lane_hello *hello)
{
    hello->purpose = gn_load_u64(from) == GN_FETCH_MAGIC ? GN_LANE_FETCH : GN_LANE_PAYLOAD;
    memcpy(&hello->session, from + 16, 4);
    memcpy(&hello->lane, from + 20, 4);
    memcpy(hello->key, from + 24, sizeof hello->key);
}

bool gn_lane_key_right(const uint8_t *key, const uint8_t *given)
{
    volatile uint8_t different = 0;
    for (int i = 0; i < GN_LANE_KEY_BYTES; i++)
        different |= key[i] ^ given[i];
    return !different;
}

bool gn_lane_piece_right(const struct gn_lane_piece *head, uint32_t number, uint64_t chunk_bytes)
{
    return head->number == number && head->size_bytes > GN_SMALL_PAYLOAD_BYTES && head->size_bytes <= chunk_bytes;
}

bool gn_lane_data_right(const struct gn_lane_data *head, uint32_t number, uint64_t chunk_bytes)
{
    return head->number == number && head->size_bytes && head->size_bytes <= chunk_bytes;
}

int gn_lane_unsent(int fd)
{
    int bytes = 0;
    return ioctl(fd, SIOCOUTQ, &bytes) ? 0 : bytes;
}

int gn_lane_read(int fd, void *to, size_t size_bytes)
{
    for (size_t at = 0; at < size_bytes;) {
        ssize_t n = recv(fd, (uint8_t *)to + at, size_bytes - at, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n ? -errno : -ECONNRESET;
        at += (size_t)n;
    }
    return 0;
}

int gn_lane_write(int fd, const void *head, size_t head_bytes, const void *data, size_t size_bytes)
{
    static const uint8_t zeros[8];
    struct iovec pieces[3] = {{(void *)(uintptr_t)head, head_bytes}, {(void *)(uintptr_t)data, size_bytes}, {(void *)(uintptr_t)zeros, gn_pad8(size_bytes) - size_bytes}};
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 3};
    while (message.msg_iovlen) {
        ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n ? -errno : -EPIPE;
        for (size_t left = (size_t)n; message.msg_iovlen;) {
            struct iovec *first = message.msg_iov;
            size_t step = left < first->iov_len ? left : first->iov_len;
            first->iov_base = (uint8_t *)first->iov_base + step;
            first->iov_len -= step;
            left -= step;
            if (first->iov_len)
                break;
            message.msg_iov++;
            message.msg_iovlen--;
        }
    }
    return 0;
}

// --- the client's lanes

struct lane {
    _Atomic int fd; // from the moment that it is made, in all of which a child that is forked has a copy; of use when `ready` says so. -1: none
    _Atomic bool taken;
    uint32_t number; // of the next piece
    struct gn_lanes *lanes;
    pthread_t thread; // opens it, then receives
};

struct gn_lanes {
    char address[ADDRESS_BYTES];
    int timeout_ms;
    struct gn_lane_hello hello;
    unsigned count;
    _Atomic unsigned ready; // lanes 1 .. ready are open
    _Atomic bool over;
    pthread_mutex_t lock; // guards `taken`
    pthread_cond_t given;
    struct lane lanes[GN_LANES_MAX];
    _Atomic unsigned threads; // lanes 1 .. threads have one
    void (*receive)(void *ctx, int fd);
    void *ctx;
};

static void limit_time(int fd, int timeout_ms)
{
    struct timeval t = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
}

// Connects and greets; the server says the lane's number when it is ready to read from it.
static int open_one(struct gn_lanes *l, unsigned number)
{
    uint8_t bytes[GN_LANE_HELLO_BYTES];
    uint64_t said = 0;
    char why[WHY_BYTES];
    struct gn_lane_hello hello = l->hello;
    _Atomic int *place = &l->lanes[number - 1].fd;
    int fd = gn_link_connect_at(l->address, l->timeout_ms, place, why, sizeof why);
    if (fd < 0)
        return fd;
    hello.lane = number;
    gn_lane_hello_encode(bytes, &hello);
    limit_time(fd, l->timeout_ms);
    bool ok = !atomic_load(&l->over) && send(fd, bytes, sizeof bytes, MSG_NOSIGNAL) == sizeof bytes &&
              recv(fd, &said, sizeof said, MSG_WAITALL) == sizeof said && said == number;
    if (!ok) {
        gn_link_disconnect_at(place);
        return -ECONNREFUSED;
    }
    limit_time(fd, 0);
    return fd;
}

// With all signals blocked. Those that are open serve, whatever becomes of the others.
static void *run_lane(void *arg)
{
    struct lane *lane = arg;
    struct gn_lanes *l = lane->lanes;
    unsigned number = (unsigned)(lane - l->lanes) + 1;
    int fd = atomic_load(&l->over) ? -1 : open_one(l, number);
    if (fd < 0)
        return NULL;
    atomic_store(&l->ready, number);
    if (atomic_load(&l->over)) // who has shut the others may have come too early for this one
        shutdown(fd, SHUT_RDWR);
    else if (number < l->count && !pthread_create(&l->lanes[number].thread, NULL, run_lane, &l->lanes[number]))
        atomic_store(&l->threads, number + 1);
    l->receive(l->ctx, fd);
    return NULL;
}

int gn_lanes_open(struct gn_lanes **lanes, const char *address, int timeout_ms, uint32_t session, const uint8_t *key, unsigned count,
                  void (*receive)(void *ctx, int fd), void *ctx)
{
    struct gn_lanes *l = calloc(1, sizeof *l);
    if (!l)
        return -ENOMEM;
    snprintf(l->address, sizeof l->address, "%s", address);
    l->timeout_ms = timeout_ms;
    l->hello.session = session;
    memcpy(l->hello.key, key, sizeof l->hello.key);
    l->count = count < GN_LANES_MAX ? count : GN_LANES_MAX;
    l->receive = receive;
    l->ctx = ctx;
    l->threads = 1;
    for (int i = 0; i < GN_LANES_MAX; i++) {
        l->lanes[i].fd = -1;
        l->lanes[i].lanes = l;
    }
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->given, NULL);
    sigset_t all, before; // the program's signals are not for this thread
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&l->lanes[0].thread, NULL, run_lane, &l->lanes[0]);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error) {
        free(l);
        return -error;
    }
    *lanes = l;
    return 0;
}

unsigned gn_lanes_take(struct gn_lanes *l)
{
    unsigned best = 0, ready = atomic_load(&l->ready);
    int least = 0;
    if (!ready || atomic_load(&l->over))
        return 0;
    pthread_mutex_lock(&l->lock);
    for (;;) {
        for (unsigned i = 0; i < ready; i++) {
            int bytes = l->lanes[i].taken ? 0 : gn_lane_unsent(l->lanes[i].fd);
            if (!l->lanes[i].taken && (!best || bytes < least)) {
                best = i + 1;
                least = bytes;
            }
        }
        if (best)
            break;
        pthread_cond_wait(&l->given, &l->lock);
    }
    l->lanes[best - 1].taken = true;
    pthread_mutex_unlock(&l->lock);
    return best;
}

void gn_lanes_give(struct gn_lanes *l, unsigned lane)
{
    pthread_mutex_lock(&l->lock);
    l->lanes[lane - 1].taken = false;
    pthread_cond_signal(&l->given);
    pthread_mutex_unlock(&l->lock);
}

int gn_lanes_send(struct gn_lanes *l, unsigned lane, const void *data, size_t size_bytes)
{
    struct lane *to = &l->lanes[lane - 1];
    struct gn_lane_piece head = {.size_bytes = (uint32_t)size_bytes, .number = to->number++};
    return gn_lane_write(to->fd, &head, sizeof head, data, size_bytes);
}

unsigned gn_lanes_ready(const struct gn_lanes *l) { return atomic_load(&l->ready); }

void gn_lanes_shut(struct gn_lanes *l)
{
    atomic_store(&l->over, true);
    gn_fork_hold(); // what is shut here is not closed, and its number not another's, meanwhile
    for (int i = 0; i < GN_LANES_MAX; i++) {
        int fd = atomic_load(&l->lanes[i].fd);
        if (fd >= 0)
            shutdown(fd, SHUT_RDWR);
    }
    gn_fork_let();
}

void gn_lanes_close(struct gn_lanes *l)
{
    gn_lanes_shut(l);
    for (unsigned i = 0; i < atomic_load(&l->threads); i++) // each starts the next one before it ends
        pthread_join(l->lanes[i].thread, NULL);
    gn_lanes_abandon(l);
    pthread_mutex_destroy(&l->lock);
    pthread_cond_destroy(&l->given);
    free(l);
}

void gn_lanes_abandon(struct gn_lanes *l)
{
    for (int i = 0; i < GN_LANES_MAX; i++)
        gn_link_disconnect_at(&l->lanes[i].fd);
}
