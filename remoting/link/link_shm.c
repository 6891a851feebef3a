// SPDX-License-Identifier: Apache-2.0
// A link on two byte rings in shared memory.
//
// Sleeping and waking, the same for both reasons to sleep (no bytes; no room): a word of the shared memory that the sleeper sets before its last
// look at the position; the peer moves the position and then looks at the word. All four accesses are sequentially consistent: either the sleeper
// sees the position or the peer sees the word. That would cost every send of a client's the time until its cache lines have moved (40 ns). So where
// the kernel lets it, the server pays instead: before it sleeps, membarrier passes a fence on every processor that runs a client, and the client
// only stores and looks.
// A reader first looks for a while (spins), then sleeps on the word for NAP_NS, then in the socket: so an idle link costs nothing, and the
// kernel's word that the peer is dead comes through at once in deep sleep and within NAP_NS otherwise.
// The peer may write anything anywhere in this memory. It can thereby confuse what it gets and delay itself; this end is woken by the socket.
#include "remoting/link/link_shm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "remoting/link/link_parts.h"
#include "remoting/spin.h"

enum {
    CACHE_LINE_BYTES = 64,
    LINE_BYTES = 128,         // two cache lines: the processor fetches them in pairs
    HEADER_BYTES = 4096,      // the positions have a page of their own
    STEP_BYTES = 64 << 10,    // so much is copied before the peer learns of it: both ends copy at the same time
    LITTLE_BYTES = 1024,      // what is sent without further ado
    AHEAD_BYTES = 4096,       // how far ahead cache lines are asked for: beyond what the receiver's processor fetches by itself behind what it reads
    NAP_NS = 20 * 1000 * 1000,
    LOOK_NS = 200,            // a server looks so often only: each look takes cache lines from the client that writes them. And while commands
    LOOK_DOUBLINGS_MAX = 4,   // come that want no answer, each time half as often, down to this: a launch then costs half as much
    GATHER_BYTES = 4096,      // less than this is left to grow until it is time for the next look
};

enum sleep_word { AWAKE, ASLEEP_ON_WORD, ASLEEP_IN_SOCKET };

struct direction { // in shared memory; each line has one writer, the sleep words excepted
    _Alignas(LINE_BYTES) _Atomic uint64_t head;         // bytes put in so far: by the sender
    _Alignas(LINE_BYTES) _Atomic uint64_t tail;         // bytes taken out so far: by the receiver
    _Alignas(LINE_BYTES) _Atomic uint32_t wants_bytes;  // enum sleep_word: set by the receiver, reset by whoever wakes it
    _Alignas(LINE_BYTES) _Atomic uint32_t wants_room;   // the same of the sender
};

struct header {
    struct direction to_server, to_client;
    _Alignas(LINE_BYTES) uint32_t server_fences; // 1: the server passes the fences of this ring's sender. Set when the memory is made
};
_Static_assert(sizeof(struct header) <= HEADER_BYTES, "the positions fit their page");

struct half { // of this end, one direction; `position` is ours, `peer` the last that was seen of the peer's
    struct direction *shared;
    uint8_t *bytes;
    uint64_t position, peer;
};

struct shm {
    struct gn_link link;
    int fd, wake_fd;
    uint8_t *memory;
    size_t memory_bytes;
    uint64_t ring_bytes;
    struct half in, out;
    uint64_t said;          // position that this end had sent up to when it last received
    unsigned unanswered;    // receives since it last sent something, up to LOOK_DOUBLINGS_MAX
    uint64_t took_ns;       // when it last received, where unanswered counts
    struct gn_spin spin;    // of the receiver
    bool is_server;
    bool fences;            // of the server: passes the client's fences. Of the client: the server does
    _Atomic bool over;      // shut here, or the peer has hung up
    _Atomic bool broken;    // the peer's position is an impossible one: both directions end with -EPROTO
};

static struct shm *self(struct gn_link *link) { return (struct shm *)link; }

static size_t total_bytes(uint64_t ring_bytes) { return HEADER_BYTES + 2 * (size_t)ring_bytes; }

// --- the words

// Not FUTEX_PRIVATE: the peer is another process.
static void word_wait(_Atomic uint32_t *word, uint32_t expected)
{
    struct timespec t = {.tv_nsec = NAP_NS};
    syscall(SYS_futex, word, FUTEX_WAIT, expected, &t, NULL, 0);
}

static int membarrier(int command) { return (int)syscall(SYS_membarrier, command, 0, 0); }

// Wakes who sleeps behind the word, if anybody does.
static void rouse(struct shm *l, _Atomic uint32_t *word)
{
    uint32_t was = atomic_load(word); // pairs with the store of who goes to sleep
    if (was == AWAKE)
        return;
    was = atomic_exchange(word, AWAKE);
    if (was == ASLEEP_ON_WORD)
        syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
    else if (was != AWAKE) // a full socket holds a byte that wakes it already
        // Not send(), where a thread can be cancelled: this one may hold the session's lock.
        while (syscall(SYS_sendto, l->fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0) < 0 && errno == EINTR)
            ;
}

// Whether the peer has hung up. Takes the bytes that were sent to wake us out of the socket.
static bool peer_gone(struct shm *l)
{
    char bytes[64];
    ssize_t n = recv(l->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)))
        return atomic_load(&l->over);
    atomic_store(&l->over, true);
    return true;
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void shm_shut(struct gn_link *link)
{
    struct shm *l = self(link);
    struct header *h = (struct header *)l->memory;
    _Atomic uint32_t *const words[] = {&h->to_server.wants_bytes, &h->to_server.wants_room, &h->to_client.wants_bytes, &h->to_client.wants_room};
    atomic_store(&l->over, true);
    shutdown(l->fd, SHUT_RDWR); // ends deep sleep at both ends
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        rouse(l, words[i]);
}

// The peer does not keep to the rules: the link is over for both directions, also for who sleeps in the other one.
static int break_off(struct shm *l)
{
    atomic_store(&l->broken, true);
    shm_shut(&l->link);
    return -EPROTO;
}

// --- receiving

// The bytes that are there; -EPROTO: the sender's position is an impossible one.
static int64_t readable(struct shm *l)
{
    struct half *in = &l->in;
    if (in->peer == in->position)
        in->peer = atomic_load(&in->shared->head); // pairs with the store in put(); the bytes before the position are there
    uint64_t n = in->peer - in->position;
    return n <= l->ring_bytes ? (int64_t)n : -EPROTO;
}

// Copies out of the ring, at most what is there, to as many pieces as it fills.
static size_t take(struct shm *l, const struct iovec *pieces, int count, size_t there)
{
    struct half *in = &l->in;
    size_t done = 0;
    for (int i = 0; i < count; i++)
        for (size_t at = 0; at < pieces[i].iov_len && done < there;) {
            uint64_t offset = in->position & (l->ring_bytes - 1);
            size_t n = pieces[i].iov_len - at;
            n = n < there - done ? n : there - done;
            n = n < l->ring_bytes - offset ? n : l->ring_bytes - offset;
            n = n < STEP_BYTES ? n : STEP_BYTES;
            memcpy((uint8_t *)pieces[i].iov_base + at, in->bytes + offset, n);
            in->position += n;
            at += n;
            done += n;
            // Pairs with the load in room(): we are through with these bytes. A sender that waits is woken for a good part of the ring only; it
            // cannot wait for ever, since who finds the ring empty has passed that.
            if (in->peer - in->position > l->ring_bytes / 4 * 3) {
                atomic_store_explicit(&in->shared->tail, in->position, memory_order_release);
            } else {
                atomic_store(&in->shared->tail, in->position);
                rouse(l, &in->shared->wants_room);
            }
        }
    return done;
}

static void count(_Atomic uint64_t *counter, unsigned more) // one thread at a time receives
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + more, memory_order_relaxed);
}

uint64_t gn_link_shm_pause_ns(struct gn_link *link) { return self(link)->is_server ? LOOK_NS << self(link)->unanswered : 0; }

// Looks for bytes for a while. Whether there are some (or nonsense). Each time round it gives way: the peer may be on this very core, where both
// then take turns without a call of the futex, until the kernel sees two that want to run and moves one.
static bool spin(struct shm *l)
{
    l->spin.limit_ns = l->link.look_ns;
    l->spin.rest_ns = GN_SPIN_REST_NS;
    if (!gn_spin_pays(&l->spin))
        return false;
    uint64_t between = gn_link_shm_pause_ns(&l->link);
    uint64_t begin = now_ns(), look = begin + between, now = begin, last, until = begin + gn_spin_look_ns(&l->spin);
    bool lost = false;
    int64_t there = 0;
    do {
        sched_yield();
        last = now;
        now = now_ns();
        lost = lost || now - last > GN_SPIN_LOST_NS;
        if (now < look)
            continue;
        look = now + between;
        there = readable(l);
    } while (!there && now < until && !atomic_load_explicit(&l->over, memory_order_relaxed));
    gn_spin_judge(&l->spin, lost ? GN_LOOK_LOST : there ? GN_LOOK_HIT : GN_LOOK_MISS);
    count(&l->link.looks, 1);
    count(&l->link.look_hits, there != 0);
    return there;
}

// Sleeps until there are bytes, or perhaps; deep: for as long as it takes. Whether the peer has gone, as far as we looked.
static bool sleep_for_bytes(struct shm *l, bool deep)
{
    _Atomic uint32_t *word = &l->in.shared->wants_bytes;
    atomic_store(word, deep ? ASLEEP_IN_SOCKET : ASLEEP_ON_WORD); // pairs with the load in rouse()
    if (l->is_server && l->fences)
        membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED); // pairs with the lack of a fence in tell()
    bool awake = readable(l) || atomic_load(&l->over);
    if (!awake && deep) {
        struct pollfd p = {.fd = l->fd, .events = POLLIN | POLLRDHUP};
        poll(&p, 1, -1);
    } else if (!awake) {
        word_wait(word, ASLEEP_ON_WORD);
    }
    atomic_store_explicit(word, AWAKE, memory_order_relaxed);
    return (deep || !readable(l)) && peer_gone(l);
}

static bool doze(struct shm *l, bool deep)
{
    if (!l->link.look_ns)
        return sleep_for_bytes(l, deep);
    uint64_t begin = now_ns();
    bool gone = sleep_for_bytes(l, deep);
    gn_spin_slept(&l->spin, now_ns() - begin);
    return gone;
}

// A little is there already, since the client posts as fast as this end takes it: then it would go on like that, a few commands at a time, and the
// client pay for each with its cache lines.
static void gather(struct shm *l)
{
    uint64_t now = now_ns(), last = now, until = l->took_ns + (LOOK_NS << l->unanswered);
    if (!l->unanswered || !gn_spin_pays(&l->spin))
        return;
    for (; now < until && now - last <= GN_SPIN_LOST_NS; now = now_ns()) {
        last = now;
        sched_yield();
    }
    if (now - last > GN_SPIN_LOST_NS)
        gn_spin_judge(&l->spin, GN_LOOK_LOST);
    l->in.peer = l->in.position; // look anew
}

// Another thread may be sending: whatever it has said by now counts.
static void count_unanswered(struct shm *l)
{
    uint64_t said = atomic_load_explicit(&l->out.shared->head, memory_order_relaxed);
    l->unanswered = said != l->said ? 0 : l->unanswered + (l->unanswered < LOOK_DOUBLINGS_MAX);
    l->said = said;
    l->took_ns = l->unanswered ? now_ns() : 0;
}

static ssize_t shm_recv(struct gn_link *link, const struct iovec *pieces, int count, int wait)
{
    struct shm *l = self(link);
    bool gone = false, slept = false;
    int64_t there = readable(l);
    if (l->is_server && there > 0 && there < GATHER_BYTES)
        gather(l);
    for (;;) {
        there = readable(l);
        if (there < 0 || atomic_load_explicit(&l->broken, memory_order_relaxed))
            return break_off(l);
        if (there) {
            count_unanswered(l);
            return (ssize_t)take(l, pieces, count, (size_t)there);
        }
        if (gone) // seen before the last look: there is nothing behind it
            return 0;
        if (atomic_load_explicit(&l->over, memory_order_acquire)) {
            gone = true;
            continue;
        }
        if (!wait)
            return -EAGAIN;
        if (!slept && spin(l))
            continue;
        gone = doze(l, slept);
        slept = true;
    }
}

// --- sending

static int64_t room(struct shm *l, bool look)
{
    struct half *out = &l->out;
    if (look)
        out->peer = atomic_load(&out->shared->tail); // pairs with the store in take(); these bytes may be written over
    uint64_t used = out->position - out->peer;
    return used <= l->ring_bytes ? (int64_t)(l->ring_bytes - used) : -EPROTO;
}

// Moves the position and wakes the receiver if it sleeps.
static void tell(struct shm *l)
{
    struct half *out = &l->out;
    if (l->fences && !l->is_server) {
        // Release: pairs with the load in readable(). The store may become visible after the look at the word; the server's membarrier puts
        // both in front of its own last look, or behind its word.
        atomic_store_explicit(&out->shared->head, out->position, memory_order_release);
        atomic_signal_fence(memory_order_seq_cst);
        if (atomic_load_explicit(&out->shared->wants_bytes, memory_order_relaxed) == AWAKE)
            return;
    } else {
        atomic_store(&out->shared->head, out->position); // pairs with the load in readable()
    }
    rouse(l, &out->shared->wants_bytes);
}

// Copies into the ring what fits, and tells the receiver.
static size_t put(struct shm *l, const struct iovec *pieces, int count, size_t most)
{
    struct half *out = &l->out;
    size_t done = 0, told = 0;
    for (int i = 0; i < count; i++)
        for (size_t at = 0; at < pieces[i].iov_len && done < most;) {
            uint64_t offset = out->position & (l->ring_bytes - 1);
            size_t n = pieces[i].iov_len - at;
            n = n < most - done ? n : most - done;
            n = n < l->ring_bytes - offset ? n : l->ring_bytes - offset;
            n = n < STEP_BYTES ? n : STEP_BYTES;
            memcpy(out->bytes + offset, (const uint8_t *)pieces[i].iov_base + at, n);
            out->position += n;
            at += n;
            done += n;
            if (done - told < STEP_BYTES && done < most)
                continue;
            told = done;
            tell(l);
        }
    return done;
}

static void sleep_for_room(struct shm *l)
{
    _Atomic uint32_t *word = &l->out.shared->wants_room;
    atomic_store(word, ASLEEP_ON_WORD); // pairs with the load in rouse()
    if (!room(l, true) && !atomic_load(&l->over))
        word_wait(word, ASLEEP_ON_WORD);
    atomic_store_explicit(word, AWAKE, memory_order_relaxed);
    struct pollfd p = {.fd = l->fd, .events = POLLRDHUP};
    if (poll(&p, 1, 0) > 0)
        atomic_store(&l->over, true);
}

// To be written: gcc takes a prefetch for reading unless it may count on the instruction, and a line that both ends then hold has to be taken from
// the other once more at the first store.
static void ask_for_line(uint8_t *at)
{
#if defined __x86_64__
    __asm__ volatile("prefetchw %0" : : "m"(*at)); // does nothing where a processor lacks it
#else
    __builtin_prefetch(at, 1);
#endif
}

// A command or two that fit in one piece where the last ended: the path of every launch. The lines to be written some sends later are with the
// receiver's processor since the last lap, and are asked for now; waiting for them would cost twice as much as all the rest.
static bool put_little(struct shm *l, const struct iovec *piece)
{
    struct half *out = &l->out;
    uint64_t offset = out->position & (l->ring_bytes - 1), used = out->position - out->peer;
    if (piece->iov_len > LITTLE_BYTES || piece->iov_len > l->ring_bytes - offset || used > l->ring_bytes - LITTLE_BYTES - AHEAD_BYTES)
        return false;
    memcpy(out->bytes + offset, piece->iov_base, piece->iov_len);
    out->position += piece->iov_len;
    tell(l);
    for (size_t at = 0; at < piece->iov_len; at += CACHE_LINE_BYTES)
        ask_for_line(out->bytes + ((out->position + AHEAD_BYTES + at) & (l->ring_bytes - 1)));
    return true;
}

static ssize_t shm_send(struct gn_link *link, const struct iovec *pieces, int count, int wait)
{
    struct shm *l = self(link);
    size_t wanted = 0;
    if (count == 1 && !atomic_load_explicit(&l->over, memory_order_acquire) && put_little(l, pieces))
        return (ssize_t)pieces->iov_len;
    for (int i = 0; i < count; i++)
        wanted += pieces[i].iov_len;
    for (bool again = false;; again = true) {
        if (atomic_load_explicit(&l->over, memory_order_acquire))
            return atomic_load(&l->broken) ? -EPROTO : -EPIPE;
        int64_t fits = room(l, again);
        if (fits >= 0 && (size_t)fits < wanted && !again)
            fits = room(l, true);
        if (fits < 0)
            return break_off(l);
        if (fits)
            return (ssize_t)put(l, pieces, count, (size_t)fits < wanted ? (size_t)fits : wanted);
        if (!wait)
            return -EAGAIN;
        sleep_for_room(l);
    }
}

// --- the socket, and the end

static int shm_watch(struct gn_link *link)
{
    struct shm *l = self(link);
    int result = gn_link_watch_fd(l->fd, l->wake_fd);
    if (result)
        atomic_store(&l->over, true);
    return result;
}

static void shm_wake(struct gn_link *link) { gn_link_wake_fd(self(link)->wake_fd); }

static void shm_close(struct gn_link *link)
{
    struct shm *l = self(link);
    shm_shut(link);
    munmap(l->memory, l->memory_bytes);
    close(l->fd);
    close(l->wake_fd);
}

// The memory is not mapped in a forked child.
static void shm_abandon(struct gn_link *link)
{
    close(self(link)->fd);
    close(self(link)->wake_fd);
}

static const struct gn_link_ops shm_ops = {
    .direct = true,
    .looks = true,
    .name = "shared memory",
    .send = shm_send,
    .recv = shm_recv,
    .watch = shm_watch,
    .wake = shm_wake,
    .shut = shm_shut,
    .close = shm_close,
    .abandon = shm_abandon,
};

// --- making one

bool gn_shm_ring_fits(uint64_t ring_bytes)
{
    return ring_bytes >= GN_SHM_RING_BYTES_MIN && ring_bytes <= GN_SHM_RING_BYTES_MAX && !(ring_bytes & (ring_bytes - 1));
}

bool gn_shm_possible(int socket)
{
    struct sockaddr_storage at;
    socklen_t size = sizeof at;
    return !getsockname(socket, (struct sockaddr *)&at, &size) && at.ss_family == AF_UNIX;
}

enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };

int gn_shm_create(uint64_t ring_bytes)
{
    if (!gn_shm_ring_fits(ring_bytes))
        return -EINVAL;
    int fd = memfd_create("genie-link", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;
    int commands = membarrier(MEMBARRIER_CMD_QUERY);
    uint32_t fences = commands > 0 && (commands & MEMBARRIER_CMD_GLOBAL_EXPEDITED);
    if (!ftruncate(fd, (off_t)total_bytes(ring_bytes)) && pwrite(fd, &fences, sizeof fences, offsetof(struct header, server_fences)) == sizeof fences &&
        !fcntl(fd, F_ADD_SEALS, SEALS))
        return fd;
    int error = errno;
    close(fd);
    return -error;
}

// Memory that can shrink would fault whoever touches it.
static bool is_sealed(int memory, uint64_t ring_bytes)
{
    struct stat st;
    int seals = fcntl(memory, F_GET_SEALS);
    return gn_shm_ring_fits(ring_bytes) && seals >= 0 && (seals & F_SEAL_SHRINK) && !fstat(memory, &st) &&
           st.st_size == (off_t)total_bytes(ring_bytes);
}

int gn_link_shm_new(struct gn_link **link, int socket, int memory, uint64_t ring_bytes, bool is_server)
{
    if (!is_sealed(memory, ring_bytes))
        return -EBADF;
    struct shm *l = calloc(1, sizeof *l);
    if (!l)
        return -ENOMEM;
    int error;
    l->link.ops = &shm_ops;
    l->fd = socket;
    l->ring_bytes = ring_bytes;
    l->memory_bytes = total_bytes(ring_bytes);
    l->is_server = is_server;
    l->memory = mmap(NULL, l->memory_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    if (l->memory == MAP_FAILED) {
        error = -errno;
        goto no_memory;
    }
    l->wake_fd = eventfd(0, EFD_CLOEXEC);
    if (l->wake_fd < 0 || madvise(l->memory, l->memory_bytes, MADV_DONTFORK)) {
        error = -errno;
        goto no_wake;
    }
    struct header *h = (struct header *)l->memory;
    // The server may be told anything here: it then calls membarrier for nothing, or its client fences for nothing.
    l->fences = h->server_fences == 1 && (is_server || !membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED));
    struct half to_server = {.shared = &h->to_server, .bytes = l->memory + HEADER_BYTES};
    struct half to_client = {.shared = &h->to_client, .bytes = l->memory + HEADER_BYTES + ring_bytes};
    l->in = is_server ? to_server : to_client;
    l->out = is_server ? to_client : to_server;
    *link = &l->link;
    return 0;
no_wake:
    if (l->wake_fd >= 0)
        close(l->wake_fd);
    munmap(l->memory, l->memory_bytes);
no_memory:
    free(l);
    return error;
}
