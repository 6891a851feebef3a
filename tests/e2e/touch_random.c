// SPDX-License-Identifier: Apache-2.0
// Random copies and touches over a set of host and device buffers, with a model of both in the program. TOUCH_SEED and TOUCH_STEPS set what
// is tried; after a step that went wrong its number is printed, and the last steps.
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/e2e/touch.h"

enum { PAGE = TOUCH_PAGE, BYTES = 64 << 10, HOSTS = 6, DEVICES = 4, STEPS = E2E_SIZE(2500, 100), LAST = 16, CROWD = 4 };

struct host {
    uint8_t *at, *model;
    bool pinned;
    bool patched; // of several mappings, perhaps: it is not moved as one
};
struct device {
    CUdeviceptr at;
    uint8_t *model;
};

// A thread's own.
static _Thread_local struct host hosts[HOSTS];
static _Thread_local struct device devices[DEVICES];
static _Thread_local CUstream streams[2];
static _Thread_local int fd;
static _Thread_local uint64_t state;
static _Thread_local char said[LAST][100];
static _Thread_local unsigned step;
static _Thread_local bool failed, alone;

static unsigned below(unsigned limit) // xorshift, of its own so that the same seed means the same everywhere
{
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return (unsigned)((state * 2685821657736338717ull) >> 33) % limit;
}

#define NOTE(...) snprintf(said[step % LAST], sizeof *said, __VA_ARGS__)

// A range of a buffer: mostly odd, sometimes whole pages, sometimes all.
static void range(size_t *at, size_t *size)
{
    switch (below(6)) {
    case 0: *at = 0, *size = BYTES; break;
    case 1: *at = below(BYTES / PAGE) * PAGE, *size = (1 + below((unsigned)(BYTES - *at) / PAGE)) * PAGE; break;
    case 2: *at = below(BYTES), *size = 1 + below(BYTES - *at < 64 ? (unsigned)(BYTES - *at) : 64); break;
    default: *at = below(BYTES), *size = 1 + below((unsigned)(BYTES - *at));
    }
}

static void compare(const char *what, const void *got, const void *wanted, size_t size)
{
    if (failed || !memcmp(got, wanted, size))
        return;
    size_t first = 0;
    while (((const uint8_t *)got)[first] == ((const uint8_t *)wanted)[first])
        first++;
    failed = true;
    printf("step %u: %s: wrong from byte %zu of %zu on; before it:\n", step, what, first, size);
    for (unsigned i = step < LAST ? 0 : step - LAST + 1; i <= step; i++)
        printf("  %u: %s\n", i, said[i % LAST]);
    fflush(stdout);
}

// --- steps

static void down(struct host *h, struct device *d)
{
    size_t at, size, from;
    range(&at, &size);
    from = below((unsigned)(BYTES - size + 1));
    CUstream s = streams[below(2)];
    unsigned way = below(3);
    NOTE("host %d [%zu, +%zu) from device %d +%zu, way %u", (int)(h - hosts), at, size, (int)(d - devices), from, way);
    if (way == 0) {
        CU(cuMemcpyDtoH(h->at + at, d->at + from, size));
    } else {
        CU(cuMemcpyDtoHAsync(h->at + at, d->at + from, size, s));
        CU(way == 1 ? cuStreamSynchronize(s) : cuCtxSynchronize());
    }
    memcpy(h->model + at, d->model + from, size);
}

static void up(struct host *h, struct device *d)
{
    size_t at, size, to;
    range(&at, &size);
    to = below(3) ? at : below((unsigned)(BYTES - size + 1));
    CUstream s = streams[below(2)];
    unsigned way = below(3);
    NOTE("device %d +%zu from host %d [%zu, +%zu), way %u", (int)(d - devices), to, (int)(h - hosts), at, size, way);
    if (way == 0) {
        CU(cuMemcpyHtoD(d->at + to, h->at + at, size));
        CU(cuStreamSynchronize(NULL)); // pageable memory is read when the call returns, the other end need not be written
    } else {
        CU(cuMemcpyHtoDAsync(d->at + to, h->at + at, size, s));
        CU(cuStreamSynchronize(s));
    }
    memcpy(d->model + to, h->model + at, size);
}

static void read_range(struct host *h)
{
    size_t at, size;
    range(&at, &size);
    if (below(4))
        size = size < 100 ? size : 100;
    NOTE("host %d [%zu, +%zu) read", (int)(h - hosts), at, size);
    compare("a host buffer", h->at + at, h->model + at, size);
}

static void write_range(struct host *h)
{
    size_t at, size;
    range(&at, &size);
    if (below(4))
        size = size < 100 ? size : 100;
    int value = (int)below(256);
    NOTE("host %d [%zu, +%zu) written", (int)(h - hosts), at, size);
    memset(h->at + at, value, size), memset(h->model + at, value, size);
}

static void by_calls(struct host *h, struct host *other)
{
    size_t at, size, to;
    range(&at, &size);
    to = below((unsigned)(BYTES - size + 1));
    NOTE("host %d [%zu, +%zu) by write and read into host %d +%zu", (int)(h - hosts), at, size, (int)(other - hosts), to);
    EXPECT(pwrite(fd, h->at + at, size, 0) == (ssize_t)size && pread(fd, other->at + to, size, 0) == (ssize_t)size);
    memmove(other->model + to, h->model + at, size);
}

static void by_memory(struct host *h, struct host *other)
{
    size_t at, size, to;
    range(&at, &size);
    to = below((unsigned)(BYTES - size + 1));
    NOTE("host %d [%zu, +%zu) moved into host %d +%zu", (int)(h - hosts), at, size, (int)(other - hosts), to);
    memmove(other->at + to, h->at + at, size);
    memmove(other->model + to, h->model + at, size);
}

static void remap(struct host *h)
{
    size_t at = below(BYTES / PAGE) * PAGE, size = (1 + below((unsigned)(BYTES - at) / PAGE)) * PAGE;
    unsigned way = below(4);
    NOTE("host %d [%zu, +%zu) dropped, way %u", (int)(h - hosts), at, size, way);
    if (h->pinned) // whose pages stay where they are
        return;
    if (way == 0) {
        EXPECT(!madvise(h->at + at, size, MADV_DONTNEED));
        memset(h->model + at, 0, size);
    } else if (way == 1) {
        if (alone) // else another thread might take the place
            munmap(h->at + at, size);
        EXPECT(mmap(h->at + at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == h->at + at);
        memset(h->model + at, 0, size);
        h->patched = true;
    } else if (way == 2 && !h->patched) {
        h->at = mremap(h->at, BYTES, BYTES, MREMAP_MAYMOVE | MREMAP_FIXED, touch_map(BYTES));
        EXPECT(h->at != MAP_FAILED);
    } else {
        touch_unmap(h->at, BYTES);
        h->at = touch_map(BYTES);
        h->patched = false;
        memset(h->model, 0, BYTES);
    }
}

static void child(struct host *h)
{
    NOTE("host %d in a child", (int)(h - hosts));
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) {
        bool same = !memcmp(h->at, h->model, BYTES);
        memset(h->at, 1, BYTES);
        _exit(same ? 0 : 1);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    compare("a child's", &status, &(int){0}, sizeof status);
}

static void on_device(struct device *d)
{
    size_t at = below(BYTES / 4) * 4, size = (1 + below((unsigned)(BYTES - at) / 4)) * 4;
    unsigned value = below(1000), way = below(5), *words = (unsigned *)(d->model + at);
    struct device *other = &devices[below(DEVICES)];
    CUstream s = streams[below(2)];
    NOTE("device %d [%zu, +%zu), way %u", (int)(d - devices), at, size, way);
    switch (way) {
    case 0:
        e2e_fill(touch_fill, s, d->at + at, (unsigned)(size / 4), value);
        touch_truth(words, 0, size, value);
        break;
    case 1:
        e2e_add(touch_add, s, d->at + at, (unsigned)(size / 4), value);
        for (size_t i = 0; i < size / 4; i++)
            words[i] += value;
        break;
    case 2:
        CU(cuMemsetD8Async(d->at + at, (unsigned char)value, size, s));
        memset(words, (int)value, size);
        break;
    case 3:
        if (d != other) {
            CU(cuMemcpyDtoDAsync(d->at + at, other->at + at, size, s));
            memcpy(words, other->model + at, size);
        }
        break;
    default:
        CU(cuMemFree(d->at));
        d->at = e2e_alloc(BYTES);
        CU(cuMemsetD8Async(d->at, (unsigned char)value, BYTES, s));
        memset(d->model, (int)value, BYTES);
    }
    CU(cuStreamSynchronize(s));
}

static void any_step(void)
{
    struct host *h = &hosts[below(HOSTS)], *other = &hosts[below(HOSTS)];
    struct device *d = &devices[below(DEVICES)];
    unsigned kind = below(100);
    if (kind < 28)
        down(h, d);
    else if (kind < 56)
        up(h, d);
    else if (kind < 66)
        read_range(h);
    else if (kind < 76)
        write_range(h);
    else if (kind < 80)
        by_calls(h, other);
    else if (kind < 84)
        by_memory(h, other);
    else if (kind < 88)
        remap(h);
    else if (kind < 89)
        child(h);
    else
        on_device(d);
}

static void look_at_all(void)
{
    uint8_t *copy = malloc(BYTES);
    for (int i = 0; i < DEVICES; i++) {
        CU(cuMemcpyDtoH(copy, devices[i].at, BYTES));
        compare("a device buffer", copy, devices[i].model, BYTES);
    }
    free(copy);
}

static unsigned setting(const char *name, unsigned otherwise) { return getenv(name) ? (unsigned)atoi(getenv(name)) : otherwise; }

static void begin(unsigned seed)
{
    state = 88172645463325252ull + seed * 7919ull;
    failed = false;
    fd = memfd_create("touch", 0);
    for (int i = 0; i < 2; i++)
        CU(cuStreamCreate(&streams[i], CU_STREAM_NON_BLOCKING));
    for (int i = 0; i < HOSTS; i++) {
        hosts[i] = (struct host){.model = calloc(1, BYTES), .pinned = i == 0};
        if (i == 0)
            CU(cuMemHostAlloc((void **)&hosts[i].at, BYTES, 0));
        else
            hosts[i].at = touch_map(BYTES);
        memset(hosts[i].at, 0, BYTES);
    }
    for (int i = 0; i < DEVICES; i++) {
        devices[i] = (struct device){e2e_alloc(BYTES), calloc(1, BYTES)};
        CU(cuMemsetD8(devices[i].at, 0, BYTES));
    }
    CU(cuCtxSynchronize());
}

static uint64_t end(void)
{
    uint64_t digest = 0;
    for (int i = 0; i < HOSTS; i++)
        compare("a host buffer at the end", hosts[i].at, hosts[i].model, BYTES);
    look_at_all();
    EXPECT(!failed);
    for (int i = 0; i < HOSTS; i++)
        digest = digest * 31 + touch_digest(hosts[i].at, BYTES);
    CU(cuMemFreeHost(hosts[0].at));
    for (int i = 0; i < HOSTS; i++) {
        if (i)
            touch_unmap(hosts[i].at, BYTES);
        free(hosts[i].model);
    }
    for (int i = 0; i < DEVICES; i++) {
        CU(cuMemFree(devices[i].at));
        free(devices[i].model);
    }
    for (int i = 0; i < 2; i++)
        CU(cuStreamDestroy(streams[i]));
    close(fd);
    return digest;
}

static uint64_t try_steps(unsigned seed, unsigned steps)
{
    begin(seed);
    for (step = 0; step < steps && !failed; step++) {
        any_step();
        if (step % 50 == 49)
            look_at_all();
    }
    return end();
}

static void random_steps(void)
{
    unsigned seed = setting("TOUCH_SEED", 1), steps = setting("TOUCH_STEPS", e2e_tries(STEPS));
    alone = true;
    uint64_t digest = try_steps(seed, steps);
    printf("seed %u, %u steps: %016llx\n", seed, steps, (unsigned long long)digest);
}

// The same by several threads, each with buffers of its own.
static uint64_t digests[CROWD];

static void one_of_many(unsigned number)
{
    CU(cuCtxSetCurrent(touch_context));
    digests[number] = try_steps(setting("TOUCH_SEED", 1) * 100 + number, setting("TOUCH_STEPS", e2e_tries(STEPS)) / CROWD);
}

static void random_crowd(void)
{
    e2e_threads(CROWD, one_of_many);
    for (unsigned i = 0; i < CROWD; i++)
        printf("thread %u: %016llx\n", i, (unsigned long long)digests[i]);
}

const struct touch_case touch_random[] = {{"random", random_steps}, {"random_crowd", random_crowd}, {NULL, NULL}};
