// SPDX-License-Identifier: Apache-2.0
// The kernel's interfaces for tracked ranges. Its headers may be older than the kernel, so what is newer is spelled out here.
#include "interpose/shadow/shadow_kernel.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    FEATURE_POISON = 1 << 14,
    FEATURE_WP_UNPOPULATED = 1 << 13,
    FEATURE_WP_ASYNC = 1 << 15,
    FEATURES = FEATURE_POISON | FEATURE_WP_UNPOPULATED | FEATURE_WP_ASYNC | UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_EVENT_REMAP |
               UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_EVENT_UNMAP,
    MADVISE_POPULATE_READ = 22,

    SCAN_PROTECT = 1, // flags of PAGEMAP_SCAN
    SCAN_CHECK = 2,
    PAGE_WRITTEN = 1 << 1, // its categories
    PAGE_PRESENT = 1 << 3,
    PAGE_SWAPPED = 1 << 4,

    MAPPING_READABLE = 1, // flags of PROCMAP_QUERY
    MAPPING_WRITABLE = 2,
    MAPPING_SHARED = 8,
};

struct scan {
    uint64_t size, flags, start, end, walk_end, runs, runs_room, pages_most, inverted, all_of, any_of, reported;
};
struct scan_run {
    uint64_t start, end, categories;
};
struct mapping {
    uint64_t size, query_flags, address, start, end, flags, page_bytes, offset, inode;
    uint32_t major, minor, name_bytes, build_id_bytes;
    uint64_t name, build_id;
};
struct poison {
    struct uffdio_range range;
    uint64_t mode;
    int64_t done;
};
static_assert(sizeof(struct scan) == 96 && sizeof(struct scan_run) == 24 && sizeof(struct mapping) == 104 && sizeof(struct poison) == 32,
              "as the kernel lays them out");
#define NEW_FD       _IO(0xaa, 0x00)
#define PAGEMAP_SCAN _IOWR('f', 16, struct scan)
#define PROCMAP_QUERY _IOWR('f', 17, struct mapping)
#define POISON       _IOWR(0xaa, 0x08, struct poison)

static int faults = -1, pagemap = -1, maps = -1;
static bool sees_forks;

static int open_faults(void)
{
    int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
    int fd = device < 0 ? -1 : ioctl(device, NEW_FD, O_CLOEXEC | O_NONBLOCK);
    if (device >= 0)
        close(device);
    return fd >= 0 ? fd : (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
}

// A descriptor takes one UFFDIO_API only. Events of forks need a privilege of their own.
static int open_with(uint64_t features)
{
    int fd = open_faults();
    struct uffdio_api api = {.api = UFFD_API, .features = features};
    if (fd < 0 || !ioctl(fd, UFFDIO_API, &api))
        return fd < 0 ? -errno : fd;
    int error = -errno;
    close(fd);
    return error;
}

int gn_shadow_kernel_open(const char **why)
{
    faults = open_with(FEATURES | UFFD_FEATURE_EVENT_FORK);
    sees_forks = faults >= 0;
    if (faults < 0)
        faults = open_with(FEATURES);
    pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    struct scan nothing = {.size = sizeof nothing};
    *why = faults == -EPERM  ? "no userfaultfd that serves faults of the kernel (it takes a privilege, /dev/userfaultfd or vm.unprivileged_userfaultfd)"
           : faults == -EMFILE || faults == -ENFILE ? "no descriptor is left"
           : faults < 0      ? "this kernel's userfaultfd is too old (Linux 6.7 is needed)"
           : pagemap < 0 || maps < 0 || ioctl(pagemap, PAGEMAP_SCAN, &nothing) < 0 ? "/proc/self/pagemap cannot be asked which pages were written (Linux 6.7 is needed)"
                                                                           : NULL;
    if (!*why)
        return 0;
    int error = faults < 0 ? faults : -ENOSYS;
    gn_shadow_kernel_close();
    return error;
}

void gn_shadow_kernel_close(void)
{
    int *const all[] = {&faults, &pagemap, &maps};
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
        if (*all[i] >= 0)
            close(*all[i]);
        *all[i] = -1;
    }
}

bool gn_shadow_sees_forks(void) { return sees_forks; }

int gn_shadow_register(uint64_t start, uint64_t size_bytes)
{
    struct uffdio_register r = {.range = {start, size_bytes}, .mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP};
    return ioctl(faults, UFFDIO_REGISTER, &r) ? -errno : 0;
}

int gn_shadow_unregister(uint64_t start, uint64_t size_bytes)
{
    struct uffdio_range range = {start, size_bytes};
    return ioctl(faults, UFFDIO_UNREGISTER, &range) ? -errno : 0;
}

int gn_shadow_discard(uint64_t start, uint64_t size_bytes)
{
    return madvise((void *)(uintptr_t)start, size_bytes, MADV_DONTNEED) ? -errno : 0;
}

int gn_shadow_populate(uint64_t start, uint64_t size_bytes)
{
    int r;
    do
        r = madvise((void *)(uintptr_t)start, size_bytes, MADVISE_POPULATE_READ) ? -errno : 0;
    while (r == -EINTR || r == -EAGAIN);
    return r;
}

// A line of /proc/self/maps: "start-end rwxp offset major:minor inode path". False: another.
static bool read_mapping(const char *line, struct mapping *m)
{
    char access[5];
    unsigned long long first, end, offset, inode;
    if (sscanf(line, "%llx-%llx %4s %llx %*x:%*x %llu", &first, &end, access, &offset, &inode) != 5)
        return false;
    m->start = first;
    m->end = end;
    m->inode = inode;
    m->flags = (access[0] == 'r' ? MAPPING_READABLE : 0) | (access[1] == 'w' ? MAPPING_WRITABLE : 0) | (access[3] == 's' ? MAPPING_SHARED : 0);
    return true;
}

// Before Linux 6.11 there is only the text, which is read as far as the address.
static int find_mapping(struct mapping *m)
{
    enum { TEXT_BYTES = 8192 }; // a line is shorter: a path has 4096 bytes at most
    char text[TEXT_BYTES + 1];
    size_t have = 0;
    off_t at = 0;
    for (;;) {
        ssize_t n = pread(maps, text + have, TEXT_BYTES - have, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -EFAULT;
        at += n;
        have += (size_t)n;
        text[have] = 0;
        char *line = text, *end;
        for (; (end = strchr(line, '\n')); line = end + 1) {
            *end = 0;
            if (read_mapping(line, m) && m->end > m->address)
                return m->start <= m->address ? 0 : -EFAULT;
        }
        have = strlen(line);
        if (have == TEXT_BYTES)
            return -EFAULT;
        memmove(text, line, have);
    }
}

static int mapping_at(uint64_t address, struct mapping *m)
{
    *m = (struct mapping){.size = sizeof *m, .address = address};
    if (!ioctl(maps, PROCMAP_QUERY, m))
        return 0;
    return errno == ENOTTY || errno == EINVAL ? find_mapping(m) : -errno;
}

int gn_shadow_trackable(uint64_t start, uint64_t size_bytes, const char **why)
{
    for (uint64_t at = start; at < start + size_bytes;) {
        struct mapping m;
        if (mapping_at(at, &m)) {
            *why = "nothing is mapped in a part of the range";
            return -EFAULT;
        }
        *why = m.flags & MAPPING_SHARED || m.inode ? "the host memory is shared or a file's; only private anonymous memory is tracked"
               : (m.flags & (MAPPING_READABLE | MAPPING_WRITABLE)) != (MAPPING_READABLE | MAPPING_WRITABLE)
                   ? "the host memory cannot be read and written"
                   : NULL;
        if (*why)
            return -EACCES;
        at = m.end;
    }
    return 0;
}

int gn_shadow_mapping(uint64_t address, uint64_t *end, unsigned *kind)
{
    struct mapping m;
    int error = mapping_at(address, &m);
    if (error)
        return error;
    *end = m.end;
    *kind = (unsigned)m.flags;
    return m.flags & MAPPING_SHARED || m.inode ? -EACCES : 0;
}

int gn_shadow_written(uint64_t *start, uint64_t end, struct gn_written *runs, unsigned room)
{
    enum { ROOM = 64 };
    struct scan_run found[ROOM];
    struct scan s = {.size = sizeof s,
                     .flags = SCAN_PROTECT | SCAN_CHECK,
                     .start = *start,
                     .end = end,
                     .runs = (uintptr_t)found,
                     .runs_room = room < ROOM ? room : ROOM,
                     .all_of = PAGE_WRITTEN,
                     .any_of = PAGE_PRESENT | PAGE_SWAPPED,
                     .reported = PAGE_WRITTEN};
    long count;
    do
        count = ioctl(pagemap, PAGEMAP_SCAN, &s);
    while (count < 0 && errno == EINTR);
    if (count < 0)
        return -errno;
    for (long i = 0; i < count; i++)
        runs[i] = (struct gn_written){found[i].start, found[i].end};
    *start = s.walk_end;
    return (int)count;
}

// --- events

static void describe(const struct uffd_msg *m, struct gn_shadow_event *event)
{
    const uint64_t page = 4096;
    switch (m->event) {
    case UFFD_EVENT_PAGEFAULT:
        *event = (struct gn_shadow_event){.kind = GN_EVENT_FAULT, .start = m->arg.pagefault.address & ~(page - 1)};
        event->end = event->start + page;
        break;
    case UFFD_EVENT_REMOVE:
    case UFFD_EVENT_UNMAP:
        *event = (struct gn_shadow_event){.kind = m->event == UFFD_EVENT_REMOVE ? GN_EVENT_REMOVE : GN_EVENT_UNMAP, .start = m->arg.remove.start, .end = m->arg.remove.end};
        break;
    case UFFD_EVENT_REMAP:
        *event = (struct gn_shadow_event){.kind = GN_EVENT_REMAP, .start = m->arg.remap.from, .end = m->arg.remap.from + m->arg.remap.len, .to = m->arg.remap.to};
        break;
    case UFFD_EVENT_FORK: *event = (struct gn_shadow_event){.kind = GN_EVENT_FORK, .fd = (int)m->arg.fork.ufd}; break;
    default: *event = (struct gn_shadow_event){.kind = GN_EVENT_OTHER};
    }
}

int gn_shadow_next_event(struct gn_shadow_event *event)
{
    struct uffd_msg message;
    ssize_t n;
    do
        n = read(faults, &message, sizeof message);
    while (n < 0 && errno == EINTR);
    if (n == sizeof message)
        describe(&message, event);
    return n == sizeof message ? 1 : n < 0 && errno == EAGAIN ? 0 : n < 0 ? -errno : -EIO;
}

int gn_shadow_wait_event(void)
{
    struct pollfd p = {.fd = faults, .events = POLLIN};
    if (poll(&p, 1, -1) < 0 && errno != EINTR)
        return -errno;
    return p.revents & (POLLERR | POLLNVAL) ? -EBADF : 0;
}

int gn_shadow_copy(int fd, uint64_t to, const void *from, uint64_t size_bytes, uint64_t *done_bytes)
{
    struct uffdio_copy c = {.dst = to, .src = (uintptr_t)from, .len = size_bytes, .mode = UFFDIO_COPY_MODE_WP};
    int error = ioctl(fd < 0 ? faults : fd, UFFDIO_COPY, &c) ? -errno : 0;
    *done_bytes = c.copy > 0 ? (uint64_t)c.copy : 0;
    return error;
}

int gn_shadow_zero(uint64_t page)
{
    struct uffdio_zeropage z = {.range = {page, 4096}};
    return ioctl(faults, UFFDIO_ZEROPAGE, &z) ? -errno : 0;
}

int gn_shadow_poison(uint64_t start, uint64_t size_bytes)
{
    struct poison p = {.range = {start, size_bytes}};
    return ioctl(faults, POISON, &p) ? -errno : 0;
}

int gn_shadow_wake(uint64_t start, uint64_t size_bytes)
{
    struct uffdio_range range = {start, size_bytes};
    return ioctl(faults, UFFDIO_WAKE, &range) ? -errno : 0;
}
