// SPDX-License-Identifier: Apache-2.0
// The fake driver of the fuzz targets. One lock guards the queues of all streams; callbacks run without it,
// as they call back into the server. Events are read without it, as the server asks for them under locks of
// its own.
#include "tests/fuzz/fake_driver.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CONTEXTS = 16, STREAMS = 96, EVENTS = 4096, OPS = 256, TRIES = 3, DEVICES = 2, PINNED = 64 };

struct context {
    bool alive, primary;
    int device;
};

enum kind { HOST_FUNCTION, WAIT_VALUE, RECORD, WAIT_EVENT, COPY };

struct op {
    enum kind kind;
    CUhostFn function;
    void *data;
    volatile uint32_t *word;
    uint32_t value, tries; // tries: how often a wait for another than a gate has been looked at; then
                           // somebody is taken to have written it
    bool gate;
    struct event *event;
    uint64_t number;
    void *to;
    const void *from;
    size_t to_pitch, from_pitch, width, rows;
};

struct stream {
    bool alive, running;
    struct context *context;
    struct op ops[OPS];
    unsigned first, count;
};

struct event {
    _Atomic bool alive, orphan; // orphan: its context is gone
    struct context *context;
    _Atomic uint64_t asked, done; // records so far, and those that the stream has reached
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct context contexts[CONTEXTS];
static struct stream streams[STREAMS]; // the first two of each context are its default streams
static struct event events[EVENTS];
static _Atomic unsigned context_count, stream_count, event_count; // grow under the lock
static uint8_t memory[FAKE_MEMORY_BYTES];
static size_t memory_used;
static struct pinned {
    uint8_t *at;
    size_t bytes;
} pinned[PINNED]; // bytes 0: free
static _Thread_local struct context *current;

static void pause_a_little(void)
{
    struct timespec t = {.tv_nsec = 20000};
    nanosleep(&t, NULL);
}

void fake_reset(void)
{
    memset(contexts, 0, sizeof contexts);
    for (unsigned i = 0; i < stream_count; i++) {
        streams[i].alive = false;
        streams[i].count = 0;
    }
    for (unsigned i = 0; i < event_count; i++)
        events[i].alive = false;
    context_count = stream_count = event_count = 0;
    memory_used = 0;
    memset(pinned, 0, sizeof pinned);
}

// --- streams

// With the lock. Whether the operation is through.
static bool step(struct stream *s, struct op *op)
{
    switch (op->kind) {
    case HOST_FUNCTION: {
        CUhostFn function = op->function;
        void *data = op->data;
        s->running = true;
        pthread_mutex_unlock(&lock);
        function(data);
        pthread_mutex_lock(&lock);
        s->running = false;
        return true;
    }
    case WAIT_VALUE:
        return (int32_t)(__atomic_load_n(op->word, __ATOMIC_ACQUIRE) - op->value) >= 0 ||
               (!op->gate && ++op->tries > TRIES);
    case RECORD: op->event->done = op->number; return true;
    case WAIT_EVENT: return op->event->done >= op->number || !op->event->alive;
    case COPY:
        for (size_t row = 0; row < op->rows; row++)
            memmove((uint8_t *)op->to + row * op->to_pitch, (const uint8_t *)op->from + row * op->from_pitch,
                    op->width);
        return true;
    }
    return true;
}

static void progress_locked(void)
{
    for (bool moved = true; moved;) {
        moved = false;
        for (unsigned i = 0; i < stream_count; i++) {
            struct stream *s = &streams[i];
            while (s->count && !s->running && step(s, &s->ops[s->first])) {
                s->first = (s->first + 1) % OPS;
                s->count--;
                moved = true;
            }
        }
    }
}

void fake_progress(void)
{
    pthread_mutex_lock(&lock);
    progress_locked();
    pthread_mutex_unlock(&lock);
}

static bool is_idle(const struct context *only)
{
    for (unsigned i = 0; i < stream_count; i++)
        if ((streams[i].count || streams[i].running) && (!only || streams[i].context == only))
            return false;
    return true;
}

static void drain(const struct context *only)
{
    pthread_mutex_lock(&lock);
    for (;;) {
        progress_locked();
        if (is_idle(only))
            break;
        pthread_mutex_unlock(&lock);
        pause_a_little();
        pthread_mutex_lock(&lock);
    }
    pthread_mutex_unlock(&lock);
}

void fake_finish(void) { drain(NULL); }

static bool usable(const struct context *c) { return c >= contexts && c < contexts + CONTEXTS && c->alive; }

static struct stream *stream_of(CUstream handle)
{
    if (!usable(current))
        return NULL;
    if (handle == CU_STREAM_LEGACY || handle == CU_STREAM_PER_THREAD || !handle)
        for (unsigned i = 0; i < stream_count; i++)
            if (streams[i].context == current)
                return &streams[i + (handle == CU_STREAM_PER_THREAD)];
    struct stream *s = (struct stream *)handle;
    if (s < streams || s >= streams + stream_count)
        abort(); // no driver's: the server followed a number of the client's
    return s->alive ? s : NULL;
}

// Waits where a driver's queue would be full. CUDA_ERROR_INVALID_CONTEXT without a context.
static CUresult put(CUstream handle, struct op op)
{
    struct stream *s = stream_of(handle);
    if (!s)
        return CUDA_ERROR_INVALID_CONTEXT;
    pthread_mutex_lock(&lock);
    while (s->count == OPS) {
        progress_locked();
        if (s->count < OPS)
            break;
        pthread_mutex_unlock(&lock);
        pause_a_little();
        pthread_mutex_lock(&lock);
    }
    s->ops[(s->first + s->count++) % OPS] = op;
    pthread_mutex_unlock(&lock);
    return CUDA_SUCCESS;
}

// --- contexts

static struct stream *new_stream(struct context *c)
{
    pthread_mutex_lock(&lock);
    struct stream *s = stream_count < STREAMS ? &streams[stream_count++] : NULL;
    if (s) {
        s->alive = true;
        s->running = false;
        s->context = c;
        s->first = s->count = 0;
    }
    pthread_mutex_unlock(&lock);
    return s;
}

static CUresult new_context(CUcontext *made, int device, bool primary)
{
    struct context *c = context_count < CONTEXTS ? &contexts[context_count] : NULL;
    if (device < 0 || device >= DEVICES)
        return CUDA_ERROR_INVALID_DEVICE;
    if (!c || stream_count + 2 > STREAMS)
        return CUDA_ERROR_OUT_OF_MEMORY;
    context_count++;
    *c = (struct context){.alive = true, .primary = primary, .device = device};
    new_stream(c);
    new_stream(c);
    *made = (CUcontext)c;
    return CUDA_SUCCESS;
}

static void end_context(struct context *c)
{
    drain(c);
    for (unsigned i = 0; i < stream_count; i++)
        if (streams[i].context == c)
            streams[i].alive = false;
    for (unsigned i = 0; i < event_count; i++)
        if (events[i].context == c) {
            events[i].orphan = true;
            events[i].alive = false;
        }
    c->alive = false;
}

static struct context *primary_of(CUdevice device)
{
    for (unsigned i = 0; i < context_count; i++)
        if (contexts[i].alive && contexts[i].primary && contexts[i].device == device)
            return &contexts[i];
    return NULL;
}

static CUresult retain(CUcontext *c, CUdevice device)
{
    *c = (CUcontext)primary_of(device);
    return *c ? CUDA_SUCCESS : new_context(c, device, true);
}
static CUresult release(CUdevice device)
{
    struct context *c = primary_of(device);
    if (!c)
        return CUDA_ERROR_INVALID_CONTEXT;
    end_context(c);
    return CUDA_SUCCESS;
}
static CUresult reset(CUdevice device)
{
    if (device < 0 || device >= DEVICES)
        return CUDA_ERROR_INVALID_DEVICE;
    if (primary_of(device))
        end_context(primary_of(device));
    return CUDA_SUCCESS;
}
static CUresult state_of(CUdevice device, unsigned *flags, int *active)
{
    return *flags = 0, *active = primary_of(device) != NULL, CUDA_SUCCESS;
}
static CUresult set_flags(CUdevice device, unsigned flags) { return (void)device, (void)flags, CUDA_SUCCESS; }
static CUresult create(CUcontext *c, unsigned flags, CUdevice device)
{
    return (void)flags, new_context(c, device, false);
}
static CUresult destroy(CUcontext handle)
{
    struct context *c = (struct context *)handle;
    if (!usable(c))
        return CUDA_ERROR_INVALID_CONTEXT;
    end_context(c);
    return CUDA_SUCCESS;
}
static CUresult set_current(CUcontext c)
{
    if (c && !usable((struct context *)c))
        return CUDA_ERROR_INVALID_CONTEXT;
    current = (struct context *)c;
    return CUDA_SUCCESS;
}
static _Thread_local struct context *pushed;
static CUresult push(CUcontext c) { return pushed = current, set_current(c); }
static CUresult pop(CUcontext *c)
{
    return *c = (CUcontext)current, current = pushed ? pushed : current, pushed = NULL, CUDA_SUCCESS;
}
static CUresult flags_of(unsigned *flags) { return *flags = 8, CUDA_SUCCESS; }
static CUresult range(int *least, int *greatest) { return *least = 0, *greatest = -5, CUDA_SUCCESS; }
static CUresult id_of(CUcontext c, unsigned long long *id)
{
    return *id = 1 + (unsigned long long)((struct context *)c - contexts), CUDA_SUCCESS;
}
static CUresult api_of(CUcontext c, unsigned *version) { return (void)c, *version = 3020, CUDA_SUCCESS; }
static CUresult get_limit(size_t *value, CUlimit limit)
{
    return *value = (size_t)limit, (unsigned)limit < 8 ? CUDA_SUCCESS : CUDA_ERROR_UNSUPPORTED_LIMIT;
}
static CUresult set_limit(CUlimit limit, size_t value) { return (void)limit, (void)value, CUDA_SUCCESS; }

// --- streams and events

static CUresult stream_create(CUstream *s, unsigned flags, int priority)
{
    (void)flags, (void)priority;
    if (!usable(current))
        return CUDA_ERROR_INVALID_CONTEXT;
    *s = (CUstream)new_stream(current);
    return *s ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}
static CUresult stream_create_plain(CUstream *s, unsigned flags) { return stream_create(s, flags, 0); }
static CUresult stream_destroy(CUstream handle) // what it still has to do is done all the same
{
    struct stream *s = stream_of(handle);
    if (!s)
        return CUDA_ERROR_INVALID_CONTEXT;
    s->alive = false;
    return CUDA_SUCCESS;
}
static CUresult stream_query(CUstream handle)
{
    struct stream *s = stream_of(handle);
    if (!s)
        return CUDA_ERROR_INVALID_CONTEXT;
    pthread_mutex_lock(&lock);
    bool busy = s->count || s->running;
    pthread_mutex_unlock(&lock);
    return busy ? CUDA_ERROR_NOT_READY : CUDA_SUCCESS;
}

static struct event *event_of(CUevent handle)
{
    struct event *e = (struct event *)handle;
    if (e < events || e >= events + EVENTS || (!e->alive && !e->orphan))
        abort();
    return e;
}
static CUresult event_create(CUevent *handle, unsigned flags)
{
    if (flags & ~7u)
        return CUDA_ERROR_INVALID_VALUE;
    if (!usable(current))
        return CUDA_ERROR_INVALID_CONTEXT;
    pthread_mutex_lock(&lock);
    struct event *e = event_count < EVENTS ? &events[event_count++] : NULL;
    if (e) {
        e->context = current;
        e->asked = e->done = 0;
        e->orphan = false;
        e->alive = true;
    }
    pthread_mutex_unlock(&lock);
    *handle = (CUevent)e;
    return e ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}
static CUresult event_destroy(CUevent handle)
{
    struct event *e = event_of(handle);
    e->alive = e->orphan = false;
    return CUDA_SUCCESS;
}
static CUresult event_record(CUevent handle, CUstream stream)
{
    struct event *e = event_of(handle);
    if (e->context != current || !e->alive)
        return CUDA_ERROR_INVALID_HANDLE;
    return put(stream, (struct op){.kind = RECORD, .event = e, .number = ++e->asked});
}
static CUresult event_record_flags(CUevent e, CUstream stream, unsigned flags)
{
    return (void)flags, event_record(e, stream);
}
static CUresult event_query(CUevent handle)
{
    struct event *e = event_of(handle);
    if (!e->alive)
        return CUDA_ERROR_CONTEXT_IS_DESTROYED;
    return e->done >= e->asked ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}
static CUresult event_synchronize(CUevent handle)
{
    struct event *e = event_of(handle);
    while (e->alive && e->done < e->asked) {
        fake_progress();
        if (e->done < e->asked)
            pause_a_little();
    }
    return e->alive ? CUDA_SUCCESS : CUDA_ERROR_CONTEXT_IS_DESTROYED;
}
static CUresult stream_synchronize(CUstream stream)
{
    struct stream *s = stream_of(stream);
    for (;;) {
        CUresult r = s ? stream_query(stream) : CUDA_ERROR_INVALID_CONTEXT;
        if (r != CUDA_ERROR_NOT_READY)
            return r;
        fake_progress();
        pause_a_little();
    }
}
static CUresult elapsed(float *ms, CUevent a, CUevent b)
{
    return event_of(a), event_of(b), *ms = 1, CUDA_SUCCESS;
}
static CUresult wait_event(CUstream stream, CUevent handle, unsigned flags)
{
    (void)flags;
    struct event *e = event_of(handle);
    return put(stream, (struct op){.kind = WAIT_EVENT, .event = e, .number = e->asked});
}

// --- memory

// Where a device address lies, if all of it is ours.
static uint8_t *place(CUdeviceptr address, size_t pitch, size_t width, size_t rows)
{
    size_t bytes;
    if (!width || !rows || (rows > 1 && pitch < width) || __builtin_mul_overflow(pitch, rows - 1, &bytes) ||
        __builtin_add_overflow(bytes, width, &bytes))
        return NULL;
    uint64_t offset = address - FAKE_MEMORY_BASE;
    return offset < sizeof memory && bytes <= sizeof memory - offset ? memory + offset : NULL;
}

static CUresult alloc(CUdeviceptr *address, size_t bytes)
{
    if (!usable(current))
        return CUDA_ERROR_INVALID_CONTEXT;
    if (!bytes)
        return CUDA_ERROR_INVALID_VALUE;
    if (bytes > sizeof memory - memory_used)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *address = FAKE_MEMORY_BASE + memory_used;
    memory_used += (bytes + 511) & ~(size_t)511;
    memory_used = memory_used < sizeof memory ? memory_used : sizeof memory;
    return CUDA_SUCCESS;
}
static CUresult alloc_pitch(CUdeviceptr *address, size_t *pitch, size_t width, size_t height,
                            unsigned element)
{
    (void)element;
    *pitch = (width + 511) & ~(size_t)511;
    return width > sizeof memory || height > sizeof memory ? CUDA_ERROR_OUT_OF_MEMORY
                                                           : alloc(address, *pitch * height);
}
static CUresult free_memory(CUdeviceptr address) { return (void)address, CUDA_SUCCESS; }
static CUresult info(size_t *free_bytes, size_t *total)
{
    return *free_bytes = sizeof memory - memory_used, *total = sizeof memory, CUDA_SUCCESS;
}
static CUresult host_register(void *p, size_t bytes, unsigned flags)
{
    (void)flags;
    for (unsigned i = 0; i < PINNED; i++)
        if (!pinned[i].bytes) {
            pinned[i] = (struct pinned){p, bytes};
            return CUDA_SUCCESS;
        }
    return CUDA_ERROR_OUT_OF_MEMORY;
}
static CUresult host_unregister(void *p)
{
    for (unsigned i = 0; i < PINNED; i++)
        if (pinned[i].bytes && pinned[i].at == p)
            pinned[i].bytes = 0;
    return CUDA_SUCCESS;
}
static CUresult host_pointer(CUdeviceptr *address, void *p, unsigned flags)
{
    return (void)flags, *address = (uintptr_t)p, CUDA_SUCCESS;
}

static CUresult copy(CUstream stream, void *to, size_t to_pitch, const void *from, size_t from_pitch,
                     size_t width, size_t rows)
{
    if (!to || !from)
        return CUDA_ERROR_INVALID_VALUE;
    return put(stream, (struct op){.kind = COPY,
                                   .to = to,
                                   .to_pitch = to_pitch,
                                   .from = from,
                                   .from_pitch = from_pitch,
                                   .width = width,
                                   .rows = rows});
}
static CUresult to_device(CUdeviceptr to, const void *from, size_t n, CUstream s)
{
    return copy(s, place(to, n, n, 1), n, from, n, n, 1);
}
static CUresult to_host(void *to, CUdeviceptr from, size_t n, CUstream s)
{
    return copy(s, to, n, place(from, n, n, 1), n, n, 1);
}
static CUresult on_device(CUdeviceptr to, CUdeviceptr from, size_t n, CUstream s)
{
    return copy(s, place(to, n, n, 1), n, place(from, n, n, 1), n, n, 1);
}
static CUresult on_host(CUdeviceptr to, CUdeviceptr from, size_t n, CUstream s)
{
    return copy(s, (void *)(uintptr_t)to, n, (const void *)(uintptr_t)from, n, n, 1);
}
static CUresult copy_2d(const CUDA_MEMCPY2D *c, CUstream s)
{
    void *to = c->dstMemoryType == CU_MEMORYTYPE_HOST
                   ? c->dstHost
                   : place(c->dstDevice, c->dstPitch, c->WidthInBytes, c->Height);
    const void *from = c->srcMemoryType == CU_MEMORYTYPE_HOST
                           ? c->srcHost
                           : place(c->srcDevice, c->srcPitch, c->WidthInBytes, c->Height);
    return copy(s, to, c->dstPitch, from, c->srcPitch, c->WidthInBytes, c->Height);
}
static CUresult fill(CUdeviceptr to, size_t bytes)
{
    return place(to, bytes, bytes, 1) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
static CUresult set8(CUdeviceptr to, unsigned char value, size_t n, CUstream s)
{
    return (void)value, stream_of(s), fill(to, n);
}
static CUresult set32(CUdeviceptr to, unsigned value, size_t n, CUstream s)
{
    return (void)value, stream_of(s), n > sizeof memory ? CUDA_ERROR_INVALID_VALUE : fill(to, 4 * n);
}

static CUresult wait_value(CUstream stream, CUdeviceptr address, cuuint32_t value, unsigned flags)
{
    uint8_t *at = (uint8_t *)(uintptr_t)address;
    bool gate = false;
    (void)flags;
    for (unsigned i = 0; i < PINNED; i++)
        gate |= pinned[i].bytes && at >= pinned[i].at && at < pinned[i].at + pinned[i].bytes;
    if (!gate && !(at = place(address, 4, 4, 1)))
        return CUDA_ERROR_INVALID_VALUE;
    if ((uintptr_t)at % 4)
        return CUDA_ERROR_INVALID_VALUE;
    return put(
        stream,
        (struct op){.kind = WAIT_VALUE, .word = (volatile uint32_t *)at, .value = value, .gate = gate});
}

// --- code: kernels do nothing

static void *number(uintptr_t n) { return (void *)(0x1000 + n); }
static CUresult load(CUmodule *m, const void *image)
{
    return *m = number(1), *(const volatile char *)image, CUDA_SUCCESS;
}
static CUresult library_load(CUlibrary *l, const void *image, CUjit_option *a, void **b, unsigned c,
                             CUlibraryOption *d, void **e, unsigned f)
{
    (void)a, (void)b, (void)c, (void)d, (void)e, (void)f;
    return *l = number(2), *(const volatile char *)image, CUDA_SUCCESS;
}
static CUresult unload(CUmodule m) { return (void)m, CUDA_SUCCESS; }
static CUresult library_unload(CUlibrary l) { return (void)l, CUDA_SUCCESS; }
static CUresult function(CUfunction *f, CUmodule m, const char *name)
{
    return (void)m, *f = number(3), *name ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}
static CUresult kernel(CUkernel *k, CUlibrary l, const char *name)
{
    return (void)l, *k = number(4), *name ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}
static CUresult kernel_function(CUfunction *f, CUkernel k) { return (void)k, *f = number(3), CUDA_SUCCESS; }
static CUresult library_module(CUmodule *m, CUlibrary l) { return (void)l, *m = number(1), CUDA_SUCCESS; }
static CUresult global(CUdeviceptr *p, size_t *n, CUmodule m, const char *name)
{
    return (void)m, (void)name, *p = FAKE_MEMORY_BASE, *n = 64, CUDA_SUCCESS;
}
static CUresult params(CUfunction f, size_t index, size_t *offset, size_t *size)
{
    (void)f;
    *offset = 8 * index;
    *size = 8;
    return index < 3 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
static CUresult kernel_params(CUkernel k, size_t index, size_t *offset, size_t *size)
{
    return params((CUfunction)k, index, offset, size);
}
static CUresult count_of(unsigned *n, CUmodule m) { return (void)m, *n = 3, CUDA_SUCCESS; }
static CUresult list_of(CUfunction *list, unsigned n, CUmodule m)
{
    (void)m;
    for (unsigned i = 0; i < n; i++)
        list[i] = number(3);
    return CUDA_SUCCESS;
}
static CUresult name_of(const char **name, CUfunction f) { return (void)f, *name = "kernel", CUDA_SUCCESS; }
static CUresult attribute(int *value, CUfunction_attribute a, CUfunction f)
{
    return (void)f, *value = (int)a, (unsigned)a < 16 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
static CUresult loaded(CUfunctionLoadingState *s, CUfunction f)
{
    return (void)f, *s = CU_FUNCTION_LOADING_STATE_LOADED, CUDA_SUCCESS;
}
static CUresult load_now(CUfunction f) { return (void)f, CUDA_SUCCESS; }

static CUresult launch_with(CUstream stream, void **extra) // looks at the parameters
{
    if (!stream_of(stream))
        return CUDA_ERROR_INVALID_CONTEXT;
    if (!extra)
        return CUDA_SUCCESS;
    const volatile uint8_t *bytes = extra[1];
    for (size_t i = 0, n = *(size_t *)extra[3]; i < n; i++)
        (void)bytes[i];
    return CUDA_SUCCESS;
}
static CUresult launch(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                       unsigned bz, unsigned shared, CUstream s, void **p, void **extra)
{
    (void)f, (void)gy, (void)gz, (void)by, (void)bz, (void)shared, (void)p;
    return gx && bx ? launch_with(s, extra) : CUDA_ERROR_INVALID_VALUE;
}
static CUresult launch_ex(const CUlaunchConfig *config, CUfunction f, void **p, void **extra)
{
    (void)f, (void)p;
    for (unsigned i = 0; i < config->numAttrs; i++)
        if (config->attrs[i].id == CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT ||
            config->attrs[i].id == CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT)
            event_of(config->attrs[i].value.programmaticEvent.event);
    return launch_with(config->hStream, extra);
}
static CUresult host_function(CUstream s, CUhostFn fn, void *data)
{
    return put(s, (struct op){.kind = HOST_FUNCTION, .function = fn, .data = data});
}

void fake_driver(struct gn_driver *driver)
{
    *driver = (struct gn_driver){.version = 13000,
                                 .calls = {.cuDevicePrimaryCtxRetain = retain,
                                           .cuDevicePrimaryCtxRelease_v2 = release,
                                           .cuDevicePrimaryCtxReset_v2 = reset,
                                           .cuDevicePrimaryCtxGetState = state_of,
                                           .cuDevicePrimaryCtxSetFlags_v2 = set_flags,
                                           .cuCtxCreate_v2 = create,
                                           .cuCtxDestroy_v2 = destroy,
                                           .cuCtxSetCurrent = set_current,
                                           .cuCtxPushCurrent_v2 = push,
                                           .cuCtxPopCurrent_v2 = pop,
                                           .cuCtxGetFlags = flags_of,
                                           .cuCtxGetStreamPriorityRange = range,
                                           .cuCtxGetId = id_of,
                                           .cuCtxGetApiVersion = api_of,
                                           .cuCtxGetLimit = get_limit,
                                           .cuCtxSetLimit = set_limit,
                                           .cuStreamCreate = stream_create_plain,
                                           .cuStreamCreateWithPriority = stream_create,
                                           .cuStreamDestroy_v2 = stream_destroy,
                                           .cuStreamQuery = stream_query,
                                           .cuStreamSynchronize = stream_synchronize,
                                           .cuStreamWaitEvent = wait_event,
                                           .cuStreamWaitValue32_v2 = wait_value,
                                           .cuEventCreate = event_create,
                                           .cuEventDestroy_v2 = event_destroy,
                                           .cuEventRecord = event_record,
                                           .cuEventRecordWithFlags = event_record_flags,
                                           .cuEventQuery = event_query,
                                           .cuEventSynchronize = event_synchronize,
                                           .cuEventElapsedTime = elapsed,
                                           .cuEventElapsedTime_v2 = elapsed,
                                           .cuMemAlloc_v2 = alloc,
                                           .cuMemAllocPitch_v2 = alloc_pitch,
                                           .cuMemFree_v2 = free_memory,
                                           .cuMemGetInfo_v2 = info,
                                           .cuMemHostRegister_v2 = host_register,
                                           .cuMemHostUnregister = host_unregister,
                                          .cuMemHostGetDevicePointer_v2 = host_pointer,
                                          .cuMemcpyAsync = on_host,
                                           .cuMemcpyHtoDAsync_v2 = to_device,
                                           .cuMemcpyDtoHAsync_v2 = to_host,
                                           .cuMemcpyDtoDAsync_v2 = on_device,
                                           .cuMemcpy2DAsync_v2 = copy_2d,
                                           .cuMemsetD8Async = set8,
                                           .cuMemsetD32Async = set32,
                                           .cuModuleLoadData = load,
                                           .cuModuleUnload = unload,
                                           .cuModuleGetFunction = function,
                                           .cuModuleGetGlobal_v2 = global,
                                           .cuModuleGetFunctionCount = count_of,
                                           .cuModuleEnumerateFunctions = list_of,
                                           .cuLibraryLoadData = library_load,
                                           .cuLibraryUnload = library_unload,
                                           .cuLibraryGetKernel = kernel,
                                           .cuLibraryGetModule = library_module,
                                           .cuKernelGetFunction = kernel_function,
                                           .cuFuncGetParamInfo = params,
                                           .cuKernelGetParamInfo = kernel_params,
                                           .cuFuncGetName = name_of,
                                           .cuFuncGetAttribute = attribute,
                                           .cuFuncIsLoaded = loaded,
                                           .cuFuncLoad = load_now,
                                           .cuLaunchKernel = launch,
                                           .cuLaunchKernelEx = launch_ex,
                                           .cuLaunchHostFunc = host_function}};
}
