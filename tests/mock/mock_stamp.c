// SPDX-License-Identifier: Apache-2.0
// The file of launch times.
#include "tests/mock/mock_stamp.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct mock_stamps *mock_stamps;

// A new file gets its size and head under the file's lock, so that of several processes that start together one makes it.
static int prepare(int fd)
{
    struct stat st;
    const uint64_t head[2] = {MOCK_STAMPS_MAGIC, MOCK_STAMPS};
    uint64_t found[2];
    if (flock(fd, LOCK_EX) || fstat(fd, &st))
        return -errno;
    if (!st.st_size)
        return ftruncate(fd, sizeof(struct mock_stamps)) || pwrite(fd, head, sizeof head, 0) != sizeof head ? -errno : 0;
    if (st.st_size != sizeof(struct mock_stamps) || pread(fd, found, sizeof found, 0) != sizeof found ||
        found[0] != MOCK_STAMPS_MAGIC || found[1] != MOCK_STAMPS)
        return -EPROTO;
    return 0;
}

int mock_stamps_open(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        return -errno;
    int r = prepare(fd);
    void *at = r ? MAP_FAILED : mmap(NULL, sizeof(struct mock_stamps), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (!r && at == MAP_FAILED)
        r = -errno;
    if (!r)
        mock_stamps = at;
    flock(fd, LOCK_UN); // the mapping keeps the open file, and would keep the lock, when the descriptor is closed
    close(fd);
    return r;
}

void mock_stamp_launch(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    uint64_t n = atomic_fetch_add_explicit(&mock_stamps->launches, 1, memory_order_relaxed);
    atomic_store_explicit(&mock_stamps->launch_ns[n % MOCK_STAMPS], (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec,
                          memory_order_release);
}
