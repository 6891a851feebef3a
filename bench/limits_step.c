// SPDX-License-Identifier: Apache-2.0
// A step of launches without Genie: the same bytes to the same driver's calls, with nothing in between. What is left of a step's time above this is
// encoding, checks, handles and the session; what is in this, no remoting on this machine can spare.
//
// Both ends look during a turn, and give way each time. Through sockets 16 KiB go at a time; through memory each command is told of as it is written,
// as a launch that nothing follows must begin at once, and the other end looks every microsecond while commands come.
#include <cuda.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/limits.h"

enum {
    LAUNCHES = 300,
    STEPS = 10,
    COMMAND_BYTES = 104,
    ANSWER_BYTES = 104,
    PARAMETERS_BYTES = 40,
    FLUSH_BYTES = 16 << 10,
    RING_BYTES = 1 << 20, // a power of two
    PLACE_BYTES = 64,
};
static const double look_us = 1;

struct ring { // one writer for each cache line
    _Alignas(128) _Atomic uint64_t head;     // bytes written
    _Alignas(128) _Atomic uint64_t answered; // steps
    _Alignas(128) uint32_t word;             // what the last copy brought
    _Alignas(4096) uint8_t bytes[RING_BYTES + COMMAND_BYTES]; // a command that begins before the end goes on behind it
};

struct greeting { // from the end that asks
    uint8_t through_memory;
    char place[PLACE_BYTES]; // where the ring's memory is: a path
};

// --- the other end

struct device {
    CUresult (*init)(unsigned);
    CUresult (*get)(CUdevice *, int);
    CUresult (*retain)(CUcontext *, CUdevice);
    CUresult (*set_current)(CUcontext);
    CUresult (*load)(CUmodule *, const void *);
    CUresult (*function_of)(CUfunction *, CUmodule, const char *);
    CUresult (*stream_create)(CUstream *, unsigned);
    CUresult (*allocate)(CUdeviceptr *, size_t);
    CUresult (*launch)(CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, CUstream, void **, void **);
    CUresult (*copy)(void *, CUdeviceptr, size_t, CUstream);
    CUfunction function;
    CUstream stream;
    CUdeviceptr memory;
};

static const char image[] = ".version 6.4\n.target sm_75\n.address_size 64\n"
                            ".visible .entry eight(.param .u64 a, .param .u64 b, .param .u32 c, .param .u32 d, .param .u32 e, .param .u32 f,"
                            " .param .f32 g, .param .f32 h) { ret; }\n";

static bool find_calls(struct device *d, void *library)
{
    const struct {
        const char *name;
        void *to;
    } calls[] = {
        {"cuInit", &d->init}, {"cuDeviceGet", &d->get}, {"cuDevicePrimaryCtxRetain", &d->retain}, {"cuCtxSetCurrent", &d->set_current},
        {"cuModuleLoadData", &d->load}, {"cuModuleGetFunction", &d->function_of}, {"cuStreamCreate", &d->stream_create},
        {"cuMemAlloc_v2", &d->allocate}, {"cuLaunchKernel", &d->launch}, {"cuMemcpyDtoHAsync_v2", &d->copy},
    };
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        void *call = dlsym(library, calls[i].name);
        if (!call)
            return false;
        memcpy(calls[i].to, &call, sizeof call);
    }
    return true;
}

// NULL, or what is missing.
static const char *open_device(struct device *d, const char *driver)
{
    CUdevice device;
    CUcontext context;
    CUmodule module;
    void *library = driver ? dlopen(driver, RTLD_NOW | RTLD_LOCAL) : NULL;
    if (!library)
        return driver ? "the driver's library does not load" : "it was given no driver";
    if (!find_calls(d, library))
        return "the driver lacks a call";
    if (d->init(0) || d->get(&device, 0) || d->retain(&context, device) || d->set_current(context) || d->load(&module, image) ||
        d->function_of(&d->function, module, "eight") || d->stream_create(&d->stream, CU_STREAM_NON_BLOCKING) || d->allocate(&d->memory, 4096))
        return "the driver has no device that it launches on";
    return NULL;
}

static bool launch(struct device *d, const uint8_t *command)
{
    uint8_t parameters[PARAMETERS_BYTES];
    size_t bytes = sizeof parameters;
    void *extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, parameters, CU_LAUNCH_PARAM_BUFFER_SIZE, &bytes, CU_LAUNCH_PARAM_END};
    memcpy(parameters, command + COMMAND_BYTES - sizeof parameters, sizeof parameters);
    return !d->launch(d->function, 1, 1, 1, 32, 1, 1, 0, d->stream, NULL, extra);
}

static bool step_from_memory(struct device *d, struct ring *r, uint64_t *tail)
{
    uint8_t command[COMMAND_BYTES];
    double looked = 0;
    for (unsigned n = 0; n <= LAUNCHES;) {
        while (gn_limit_now_us() - looked < look_us)
            sched_yield();
        looked = gn_limit_now_us();
        // Acquire: pairs with the release of who writes commands.
        for (uint64_t head = atomic_load_explicit(&r->head, memory_order_acquire); *tail != head && n <= LAUNCHES; n++) {
            memcpy(command, r->bytes + (*tail & (RING_BYTES - 1)), sizeof command);
            *tail += sizeof command;
            if (n < LAUNCHES ? !launch(d, command) : d->copy(&r->word, d->memory, sizeof r->word, d->stream) != CUDA_SUCCESS)
                return false;
        }
    }
    atomic_fetch_add_explicit(&r->answered, 1, memory_order_release);
    return true;
}

static bool step_from_socket(struct device *d, int fd)
{
    static uint8_t buffer[256 << 10];
    uint8_t answer[ANSWER_BYTES] = {0};
    size_t end = 0;
    unsigned n = 0;
    while (n <= LAUNCHES) {
        ssize_t got = recv(fd, buffer + end, sizeof buffer - end, MSG_DONTWAIT);
        size_t at = 0;
        if (!got)
            return false;
        end += got > 0 ? (size_t)got : 0;
        for (; end - at >= COMMAND_BYTES && n <= LAUNCHES; at += COMMAND_BYTES, n++)
            if (n < LAUNCHES ? !launch(d, buffer + at) : d->copy(answer, d->memory, 4, d->stream) != CUDA_SUCCESS)
                return false;
        memmove(buffer, buffer + at, end - at);
        end -= at;
        if (got < 0)
            sched_yield();
    }
    return gn_limit_send(fd, answer, sizeof answer);
}

static struct ring *map_ring(const char *place)
{
    int fd = open(place, O_RDWR | O_CLOEXEC);
    void *memory = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(struct ring), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0)
        close(fd);
    return memory == MAP_FAILED ? NULL : memory;
}

void gn_limit_step_serve(int fd, const char *driver)
{
    struct device d;
    struct greeting g;
    char why[GN_LIMIT_WHY_BYTES] = "";
    struct ring *ring = NULL;
    uint64_t tail = 0;
    uint8_t begin;
    if (!gn_limit_recv(fd, &g, sizeof g))
        return;
    const char *missing = open_device(&d, driver);
    g.place[PLACE_BYTES - 1] = 0;
    if (!missing && g.through_memory && !(ring = map_ring(g.place)))
        missing = "the memory between the two cannot be mapped";
    snprintf(why, sizeof why, "%s", missing ? missing : "");
    bool good = gn_limit_send(fd, why, sizeof why) && !missing;
    while (good && gn_limit_recv(fd, &begin, 1)) // a turn; nobody looks in between
        for (int i = 0; i < STEPS && good; i++)
            good = ring ? step_from_memory(&d, ring, &tail) : step_from_socket(&d, fd);
    if (ring)
        munmap(ring, sizeof *ring);
}

// --- this end: one connection for as long as the program lives

static struct ring *ring_here;

static bool greet(int fd, bool through_memory, struct gn_limit_turn *t)
{
    struct greeting g = {.through_memory = through_memory};
    char why[GN_LIMIT_WHY_BYTES];
    if (through_memory) {
        int memory = memfd_create("limits", MFD_CLOEXEC);
        snprintf(g.place, sizeof g.place, "/proc/%ld/fd/%d", (long)getpid(), memory);
        if (memory < 0 || ftruncate(memory, sizeof(struct ring)) || !(ring_here = map_ring(g.place))) {
            snprintf(t->failed, sizeof t->failed, "no memory to share");
            return false;
        }
    }
    if (!gn_limit_send(fd, &g, sizeof g) || !gn_limit_recv(fd, why, sizeof why))
        snprintf(t->failed, sizeof t->failed, "the other end is gone");
    else if (*why)
        snprintf(t->failed, sizeof t->failed, "%.255s", why);
    return !*t->failed;
}

static bool step_through_memory(struct ring *r, const uint8_t *command)
{
    uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    uint64_t answered = atomic_load_explicit(&r->answered, memory_order_relaxed);
    double begin = gn_limit_now_us();
    for (unsigned n = 0; n <= LAUNCHES; n++) {
        memcpy(r->bytes + (head & (RING_BYTES - 1)), command, COMMAND_BYTES);
        atomic_store_explicit(&r->head, head += COMMAND_BYTES, memory_order_release);
    }
    while (atomic_load_explicit(&r->answered, memory_order_acquire) == answered) {
        sched_yield();
        if (gn_limit_now_us() - begin > 1e6)
            return false;
    }
    return true;
}

static bool step_through_socket(int fd, const uint8_t *command)
{
    static uint8_t buffer[FLUSH_BYTES + COMMAND_BYTES];
    uint8_t answer[ANSWER_BYTES];
    size_t end = 0;
    for (unsigned n = 0; n <= LAUNCHES; n++) {
        memcpy(buffer + end, command, COMMAND_BYTES);
        end += COMMAND_BYTES;
        if (end < FLUSH_BYTES && n < LAUNCHES)
            continue;
        if (!gn_limit_send(fd, buffer, end))
            return false;
        end = 0;
    }
    return gn_limit_recv_looking(fd, answer, sizeof answer);
}

void gn_limit_step_run(int fd, bool through_memory, struct gn_limit_turn *t)
{
    static bool greeted;
    static const uint8_t command[COMMAND_BYTES];
    if (!greeted && !greet(fd, through_memory, t))
        return;
    greeted = true;
    if (!gn_limit_send(fd, "", 1))
        snprintf(t->failed, sizeof t->failed, "the other end is gone");
    for (int i = 0; i < STEPS && !*t->failed; i++) {
        double from = gn_limit_now_us();
        if (!(through_memory ? step_through_memory(ring_here, command) : step_through_socket(fd, command)))
            snprintf(t->failed, sizeof t->failed, "the other end did not answer a step");
        gn_limit_value(t, gn_limit_now_us() - from);
    }
}
