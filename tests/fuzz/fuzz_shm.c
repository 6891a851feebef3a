// SPDX-License-Identifier: Apache-2.0
// Fuzzes a link over shared memory whose peer writes anything into the memory between any two calls: positions, words of sleep, data. Each step
// is three bytes of input and a value. Beyond not crashing: no call moves more than a ring holds or than it was given, and once a position was
// impossible the link stays broken.
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "remoting/link/link_shm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RING_BYTES = GN_SHM_RING_BYTES_MIN, MEMORY_BYTES = 4096 + 2 * RING_BYTES, STEP_BYTES = 10 };

static void require(bool holds)
{
    if (!holds)
        abort();
}

struct peer {
    struct gn_link *link;
    uint8_t *memory;
    int fd;
    bool broken;
};

static void move(struct peer *p, bool out, size_t size_bytes)
{
    static uint8_t bytes[2 * RING_BYTES];
    struct iovec pieces[2] = {{bytes, size_bytes / 3}, {bytes + size_bytes / 3, size_bytes - size_bytes / 3}};
    ssize_t n = out ? p->link->ops->send(p->link, pieces, 2, 0) : p->link->ops->recv(p->link, pieces, 2, 0);
    require(n == -EAGAIN || n == -EPROTO || n == -EPIPE || (n >= 0 && (size_t)n <= size_bytes && n <= RING_BYTES));
    require(!p->broken || n < 0);
    p->broken = p->broken || n == -EPROTO;
}

// The word at a position of the header (one of the ten that mean something, mostly), or a byte of the data.
static void write_to(struct peer *p, uint8_t where, uint64_t value)
{
    static const uint16_t at[] = {0, 128, 256, 384, 512, 640, 768, 896, 1024, 2048};
    if (where & 0x80)
        p->memory[(value >> 8) % MEMORY_BYTES] = (uint8_t)value;
    else
        memcpy(p->memory + at[where % (sizeof at / sizeof *at)], &value, sizeof value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fds[2], memory = gn_shm_create(RING_BYTES);
    struct peer p = {0};
    require(memory >= 0 && !socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
    p.fd = fds[1];
    p.memory = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    require(p.memory != MAP_FAILED);
    require(!gn_link_shm_new(&p.link, fds[0], memory, RING_BYTES, size && data[0] & 1));
    for (; size >= STEP_BYTES; data += STEP_BYTES, size -= STEP_BYTES) {
        uint64_t value;
        memcpy(&value, data + 2, sizeof value);
        switch (data[0] % 4) {
        case 0: write_to(&p, data[1], value); break;
        case 1: write_to(&p, data[1], value % (2 * RING_BYTES)); break; // likely ones
        default: move(&p, data[0] % 4 == 2, 1 + value % (2 * RING_BYTES - 1)); break;
        }
    }
    p.link->ops->close(p.link);
    gn_link_free(p.link);
    munmap(p.memory, MEMORY_BYTES);
    close(p.fd);
    close(memory);
    return 0;
}
