// SPDX-License-Identifier: Apache-2.0
// Do kept copies hold what streams put into them, whatever order streams go on in and whatever a client sends? Do they make room, end with their
// context, and tell errors instead of old bytes? Method: the handlers on a driver of stubs whose streams go on only when the test says so.
#include "server/kept/kept_parts.h"
#include "tests/unit/server_driver.h"

#include <pthread.h>
#include <unistd.h>

#include "server/worker/gate.h"
#include "server/worker/wait.h"
#include "tests/fuzz/fake_driver.h"

enum { SIZE = 16384, CAPACITY = FAKE_MEMORY_BYTES };
#define COPY(n)   id(GN_KIND_KEPT, n, 1)
#define STREAM(n) id(GN_KIND_STREAM, n, 1)
#define OTHER     id(GN_KIND_CONTEXT, 100, 1)

static struct gn_worker w;
static struct gn_driver_calls plain;
static uint32_t gates[8]; // a stream that waits for one goes on when it is 1
static uint64_t used;     // of the device, by what is allocated and not freed
static uint64_t sizes[64], starts[64];
static unsigned blocks, registered;
static uint8_t got[SIZE];

// The fake driver never gives memory away twice; what is free is counted here.
static CUresult limited_alloc(CUdeviceptr *address, size_t bytes)
{
    if (bytes > CAPACITY - used)
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult r = plain.cuMemAlloc_v2(address, bytes);
    if (r || blocks == 64)
        return CUDA_ERROR_UNKNOWN; // the test has used up the fake memory
    starts[blocks] = *address;
    sizes[blocks++] = bytes;
    used += bytes;
    return CUDA_SUCCESS;
}

static CUresult limited_free(CUdeviceptr address)
{
    for (unsigned i = 0; i < blocks; i++)
        if (starts[i] == address) {
            used -= sizes[i];
            starts[i] = 0;
            return CUDA_SUCCESS;
        }
    fail_msg("freed what is not there");
    return CUDA_SUCCESS;
}

static CUresult limited_info(size_t *free_bytes, size_t *total) { return *free_bytes = CAPACITY - used, *total = CAPACITY, CUDA_SUCCESS; }
static CUresult counted_register(void *p, size_t bytes, unsigned flags) { return registered++, plain.cuMemHostRegister_v2(p, bytes, flags); }
static CUresult counted_unregister(void *p) { return registered--, plain.cuMemHostUnregister(p); }

static int begin(void **s)
{
    (void)s;
    memset(&w, 0, sizeof w);
    memset(&status, 0, sizeof status);
    memset(gates, 0, sizeof gates);
    fake_driver(&w.driver);
    plain = w.driver.calls;
    w.driver.calls.cuMemAlloc_v2 = limited_alloc;
    w.driver.calls.cuMemFree_v2 = limited_free;
    w.driver.calls.cuMemGetInfo_v2 = limited_info;
    w.driver.calls.cuMemHostRegister_v2 = counted_register;
    w.driver.calls.cuMemHostUnregister = counted_unregister;
    used = blocks = registered = 0;
    w.status = &status;
    w.limits = (struct gn_limits){.image_bytes = 1 << 20, .window_bytes = 65536, .chunk_bytes = 65536, .handles = 5000,
                                  .kept_percent = 25, .kept_host_bytes = 8 * SIZE};
    gn_log_setup(GN_LOG_OFF, 0);
    assert_int_equal(gn_waiters_open(&w.waiters, &w), 0);
    assert_int_equal(gn_kepts_open(&w.kepts, &w), 0);
    EXPECT(primary_retain, CUDA_SUCCESS, .device = 0, .context = PRIMARY);
    enter(&w, PRIMARY);
    gn_use_context(&w, w.scope->context);
    plain.cuMemHostRegister_v2(gates, sizeof gates, 0);
    for (unsigned i = 1; i <= 8; i++)
        EXPECT(stream_create, CUDA_SUCCESS, .stream = STREAM(i));
    return 0;
}

static int end(void **s)
{
    (void)s;
    for (unsigned i = 0; i < 8; i++)
        __atomic_store_n(&gates[i], 1, __ATOMIC_RELEASE);
    gn_waiters_close(w.waiters);
    fake_finish();
    gn_run_close(&w);
    fake_reset();
    return 0;
}

static CUstream stream_of(unsigned n) { return gn_handle_find(&w.handles, STREAM(n), GN_KIND_STREAM)->object; }
static void hold(unsigned n) { assert_int_equal(plain.cuStreamWaitValue32_v2(stream_of(n), (CUdeviceptr)(uintptr_t)&gates[n - 1], 1, 0), 0); }
static void let(unsigned n)
{
    __atomic_store_n(&gates[n - 1], 1, __ATOMIC_RELEASE);
    fake_progress();
}

static enum gn_kept_place opened(uint64_t copy, uint64_t size)
{
    RUN(kept_open, .kept = copy, .size_bytes = size);
    assert_int_equal(r, CUDA_SUCCESS);
    assert_null(q.error);
    return (enum gn_kept_place)o.place;
}

static uint64_t device(uint64_t size)
{
    RUN(memory_alloc, .size_bytes = size);
    assert_int_equal(r, CUDA_SUCCESS);
    return o.address;
}

// Bytes into device memory, by the stream; the source must last.
static void put(uint64_t address, uint8_t value, uint64_t size, unsigned stream)
{
    static uint8_t bytes[256][SIZE];
    memset(bytes[value], value, SIZE);
    assert_int_equal(plain.cuMemcpyHtoDAsync_v2(address, bytes[value], size, stream_of(stream)), 0);
}

#define FILL(n, s, at, from, bytes)  EXPECT(kept_fill, CUDA_SUCCESS, .stream = STREAM(s), .kept = COPY(n), .offset_bytes = at, .address = from, .size_bytes = bytes)
#define SPILL(n, s, at, from, bytes) EXPECT(kept_spill, CUDA_SUCCESS, .stream = STREAM(s), .kept = COPY(n), .offset_bytes = at, .address = from, .size_bytes = bytes)

static CUresult fetched(uint64_t copy, uint32_t fills, uint64_t offset, uint64_t size)
{
    memset(got, 0xee, sizeof got);
    return gn_kept_read(&w, &(struct gn_kept_read){.kept = copy, .fills = fills, .offset_bytes = offset, .size_bytes = size}, got);
}

static bool all_are(uint8_t value, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i < to; i++)
        if (got[i] != value)
            return false;
    return true;
}

static void look(uint64_t address, uint64_t size) // at device memory
{
    CUstream s;
    plain.cuStreamCreate(&s, CU_STREAM_NON_BLOCKING);
    plain.cuMemcpyDtoHAsync_v2(got, address, size, s);
    plain.cuStreamSynchronize(s);
    plain.cuStreamDestroy_v2(s);
}

// --- opening

static void where_copies_go(void **s)
{
    (void)s;
    assert_int_equal(opened(COPY(20), SIZE), GN_KEPT_ON_DEVICE);
    assert_int_equal(used, SIZE);
    assert_int_equal(w.memory_used_bytes, SIZE);
    assert_int_equal(status.kept, 1);
    assert_int_equal(status.kept_device_bytes, SIZE);
    assert_int_equal(gn_kepts_device_bytes(&w, 0), SIZE);
    w.limits.kept_percent = 0;
    assert_int_equal(opened(COPY(21), SIZE + 1), GN_KEPT_ON_HOST);
    assert_int_equal(status.kept_host_bytes, SIZE + 4096);
    assert_int_equal(used, SIZE);
    EXPECT(kept_close, CUDA_SUCCESS, .kept = COPY(20));
    EXPECT(kept_close, CUDA_SUCCESS, .kept = COPY(21));
    assert_int_equal(status.kept + status.kept_device_bytes + status.kept_host_bytes, 0);
    assert_int_equal(used + w.memory_used_bytes + registered, 0);
    EXPECT(kept_close, CUDA_ERROR_INVALID_HANDLE, .kept = COPY(21));
}

static void budgets(void **s)
{
    (void)s;
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(opened(COPY(20 + i), SIZE), GN_KEPT_ON_DEVICE); // 128 of 256 KiB of the device's share
    assert_int_equal(opened(COPY(30), 1), GN_KEPT_REFUSED); // not into host memory, should it have to leave the device
    EXPECT(kept_close, CUDA_ERROR_INVALID_HANDLE, .kept = COPY(30));
    EXPECT(kept_close, CUDA_SUCCESS, .kept = COPY(20));
    assert_int_equal(opened(COPY(30), SIZE + 1), GN_KEPT_REFUSED);
    assert_int_equal(opened(COPY(30), SIZE), GN_KEPT_ON_DEVICE);
    assert_int_equal(opened(COPY(31), UINT64_MAX), GN_KEPT_REFUSED);
    assert_int_equal(opened(COPY(31), UINT64_MAX - SIZE + 1), GN_KEPT_REFUSED);
    w.limits.kept_host_bytes = 1 << 20;
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(opened(COPY(40 + i), SIZE), GN_KEPT_ON_DEVICE);
    assert_int_equal(opened(COPY(50), SIZE), GN_KEPT_ON_HOST); // a quarter of the device is taken
    w.limits.kept_host_bytes = 0;
    assert_int_equal(opened(COPY(51), 1), GN_KEPT_REFUSED);
    EXPECT(kept_open, CUDA_ERROR_INVALID_VALUE, .kept = COPY(51), .size_bytes = 0);
}

static void a_device_that_is_nearly_full(void **s)
{
    (void)s;
    device(CAPACITY - CAPACITY / 16 - SIZE);
    assert_int_equal(opened(COPY(20), SIZE + 512), GN_KEPT_ON_HOST);
    assert_int_equal(opened(COPY(21), SIZE), GN_KEPT_ON_DEVICE);
    assert_int_equal(opened(COPY(22), 1), GN_KEPT_ON_HOST);
    w.driver.calls.cuMemHostRegister_v2 = NULL; // not pinned: works all the same
    assert_int_equal(opened(COPY(23), 100), GN_KEPT_ON_HOST);
}

static void names_and_bytes_that_cannot_be(void **s)
{
    (void)s;
    uint64_t a = device(SIZE);
    assert_int_equal(opened(COPY(20), SIZE), GN_KEPT_ON_DEVICE);
    ENDS(kept_open, .kept = COPY(20), .size_bytes = 1);
    ENDS(kept_open, .kept = STREAM(30), .size_bytes = 1);
    ENDS(kept_open, .kept = 0, .size_bytes = 1);
    assert_int_equal(status.kept, 1);
    ENDS(kept_close, .kept = STREAM(1));
    ENDS(kept_fill, .stream = STREAM(1), .kept = STREAM(1), .address = a, .size_bytes = 1);
    ENDS(kept_fill, .stream = COPY(20), .kept = COPY(20), .address = a, .size_bytes = 1);
    ENDS(kept_spill, .stream = COPY(20), .kept = COPY(20), .address = a, .size_bytes = 1);
    static const struct {
        uint64_t offset, size;
    } bad[] = {{0, 0}, {0, SIZE + 1}, {SIZE, 1}, {SIZE + 1, 1}, {1, SIZE}, {UINT64_MAX, 2}, {UINT64_MAX, UINT64_MAX}, {2, UINT64_MAX - 1}, {1, UINT64_MAX}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ENDS(kept_fill, .stream = STREAM(1), .kept = COPY(20), .offset_bytes = bad[i].offset, .address = a, .size_bytes = bad[i].size);
        ENDS(kept_spill, .stream = STREAM(1), .kept = COPY(20), .offset_bytes = bad[i].offset, .address = a, .size_bytes = bad[i].size);
        if (bad[i].size)
            assert_int_equal(fetched(COPY(20), 0, bad[i].offset, bad[i].size), CUDA_ERROR_INVALID_VALUE);
    }
    EXPECT(kept_fill, CUDA_ERROR_INVALID_HANDLE, .stream = STREAM(1), .kept = COPY(21), .address = a, .size_bytes = 1);
    EXPECT(kept_spill, CUDA_ERROR_INVALID_HANDLE, .stream = STREAM(9), .kept = COPY(20), .address = a, .size_bytes = 1);
    assert_int_equal(fetched(COPY(21), 0, 0, 1), CUDA_ERROR_INVALID_HANDLE);
    assert_int_equal(fetched(COPY(20) ^ 1ull << 33, 0, 0, 1), CUDA_ERROR_INVALID_HANDLE);
    assert_int_equal(fetched(0, 0, 0, 1), CUDA_ERROR_INVALID_HANDLE);
    // A copy of one context, a stream of another.
    EXPECT(context_create, CUDA_SUCCESS, .device = 0, .context = OTHER);
    enter(&w, OTHER);
    gn_use_context(&w, w.scope->context);
    EXPECT(stream_create, CUDA_SUCCESS, .stream = STREAM(11));
    EXPECT(kept_fill, CUDA_ERROR_INVALID_CONTEXT, .stream = STREAM(11), .kept = COPY(20), .address = a, .size_bytes = 1);
    EXPECT(kept_fill, CUDA_ERROR_INVALID_CONTEXT, .stream = 1, .kept = COPY(20), .address = a, .size_bytes = 1);
    EXPECT(kept_spill, CUDA_ERROR_INVALID_CONTEXT, .stream = 2, .kept = COPY(20), .address = a, .size_bytes = 1);
    EXPECT(kept_fill, CUDA_SUCCESS, .stream = STREAM(1), .kept = COPY(20), .address = a, .size_bytes = SIZE); // its own, from elsewhere
}

// --- bytes

static void in_and_out(void **s)
{
    for (int host = 0; host < 2; host++) {
        w.limits.kept_percent = host ? 0 : 25;
        uint64_t copy = 20 + (unsigned)host, a = device(SIZE), b = device(SIZE);
        assert_int_equal(opened(COPY(copy), SIZE), host ? GN_KEPT_ON_HOST : GN_KEPT_ON_DEVICE);
        assert_int_equal(fetched(COPY(copy), 0, 0, 1), CUDA_ERROR_INVALID_VALUE); // never filled
        EXPECT(kept_spill, CUDA_ERROR_INVALID_VALUE, .stream = STREAM(1), .kept = COPY(copy), .address = a, .size_bytes = 1);
        put(a, 1, SIZE, 1);
        FILL(copy, 1, 0, a, SIZE);
        put(a, 2, 512, 1);
        FILL(copy, 1, 1024, a, 512);
        fake_progress();
        assert_int_equal(fetched(COPY(copy), 2, 0, SIZE), CUDA_SUCCESS);
        assert_true(all_are(1, 0, 1024) && all_are(2, 1024, 1536) && all_are(1, 1536, SIZE));
        assert_int_equal(fetched(COPY(copy), 2, 1023, 2), CUDA_SUCCESS);
        assert_true(got[0] == 1 && got[1] == 2 && got[2] == 0xee);
        put(b, 7, SIZE, 1);
        SPILL(copy, 1, 512, b + 512, 1024);
        fake_progress();
        look(b, SIZE);
        assert_true(all_are(7, 0, 512) && all_are(1, 512, 1024) && all_are(2, 1024, 1536) && all_are(7, 1536, SIZE));
    }
    (void)s;
}

static void a_spill_that_is_held(void **s)
{
    for (unsigned host = 0; host < 2; host++) {
        w.limits.kept_percent = host ? 0 : 25;
        unsigned copy = 20 + host, held = 1 + host;
        uint64_t a = device(SIZE), b = device(SIZE);
        opened(COPY(copy), SIZE);
        put(a, 1, SIZE, 5);
        FILL(copy, 5, 0, a, SIZE);
        fake_progress();
        hold(held);
        SPILL(copy, held, 0, b, SIZE);
        put(a, 2, SIZE, 5);
        FILL(copy, 5, 0, a, SIZE); // fresh storage
        put(a, 3, 512, 5);
        FILL(copy, 5, 512, a, 512); // into the same
        fake_progress();
        assert_int_equal(fetched(COPY(copy), 3, 0, SIZE), CUDA_SUCCESS);
        assert_true(all_are(2, 0, 512) && all_are(3, 512, 1024) && all_are(2, 1024, SIZE));
        let(held);
        look(b, SIZE);
        assert_true(all_are(1, 0, SIZE)); // what was there when it was posted
        // A part, while the whole is being read: the rest is taken over, and stays where it was.
        gates[held - 1] = 0;
        hold(held);
        SPILL(copy, held, 0, b, SIZE);
        put(a, 4, 512, 6);
        FILL(copy, 6, 2048, a, 512);
        fake_progress();
        assert_int_equal(fetched(COPY(copy), 4, 0, SIZE), CUDA_SUCCESS);
        assert_true(all_are(2, 0, 512) && all_are(3, 512, 1024) && all_are(2, 1024, 2048) && all_are(4, 2048, 2560) && all_are(2, 2560, SIZE));
        let(held);
        look(b, SIZE);
        assert_true(all_are(2, 0, 512) && all_are(3, 512, 1024) && all_are(2, 1024, SIZE));
        EXPECT(kept_close, CUDA_SUCCESS, .kept = COPY(copy));
        assert_int_equal(status.kept_device_bytes + status.kept_host_bytes, 0);
    }
    (void)s;
}

static void no_room_for_fresh_storage(void **s)
{
    (void)s;
    uint64_t a = device(SIZE), b = device(SIZE);
    w.limits.kept_host_bytes = SIZE;
    opened(COPY(20), SIZE);
    put(a, 1, SIZE, 5);
    FILL(20, 5, 0, a, SIZE);
    fake_progress();
    hold(1);
    SPILL(20, 1, 0, b, SIZE);
    put(a, 2, SIZE, 5);
    FILL(20, 5, 0, a, SIZE); // waits for the spill
    fake_progress();
    assert_int_equal(status.kept_device_bytes, SIZE);
    let(1);
    look(b, SIZE);
    assert_true(all_are(1, 0, SIZE));
    assert_int_equal(fetched(COPY(20), 2, 0, SIZE), CUDA_SUCCESS);
    assert_true(all_are(2, 0, SIZE));
}

static void a_fill_that_is_held(void **s)
{
    (void)s;
    uint64_t a = device(SIZE), b = device(SIZE);
    opened(COPY(20), SIZE);
    put(a, 1, SIZE, 5);
    fake_progress();
    hold(1);
    FILL(20, 1, 0, a, SIZE);
    put(b, 9, SIZE, 2);
    SPILL(20, 2, 0, b, SIZE); // needs its bytes
    fake_progress();
    look(b, SIZE);
    assert_true(all_are(9, 0, SIZE));
    let(1);
    look(b, SIZE);
    assert_true(all_are(1, 0, SIZE));
}

static void more_streams_than_are_told_apart(void **s)
{
    (void)s;
    uint64_t a = device(SIZE), b[8];
    opened(COPY(20), SIZE);
    put(a, 1, SIZE, 8);
    FILL(20, 8, 0, a, SIZE);
    fake_progress();
    for (unsigned i = 0; i < 7; i++) {
        b[i] = device(SIZE);
        hold(i + 1);
        SPILL(20, i + 1, 0, b[i], SIZE);
    }
    put(a, 2, SIZE, 8);
    FILL(20, 8, 0, a, SIZE);
    fake_progress();
    EXPECT(kept_close, CUDA_SUCCESS, .kept = COPY(20)); // all of it is still in use
    assert_int_equal(status.kept, 0);
    assert_int_equal(status.kept_device_bytes, SIZE); // but the fresh one
    for (unsigned i = 7; i > 0; i--)
        let(i);
    for (unsigned i = 0; i < 7; i++) {
        look(b[i], SIZE);
        assert_true(all_are(1, 0, SIZE));
    }
    opened(COPY(21), SIZE / 2); // the next to come finds it through
    EXPECT(kept_close, CUDA_SUCCESS, .kept = COPY(21));
    assert_int_equal(status.kept_device_bytes, 0);
}

static void retired_storage_is_used_again(void **s)
{
    (void)s;
    uint64_t a = device(SIZE), b = device(SIZE);
    opened(COPY(20), SIZE);
    put(a, 1, SIZE, 5);
    FILL(20, 5, 0, a, SIZE);
    fake_progress();
    unsigned before = blocks;
    for (unsigned i = 0; i < 20; i++) {
        gates[0] = 0;
        hold(1);
        SPILL(20, 1, 0, b, SIZE);
        FILL(20, 5, 0, a, SIZE);
        let(1);
    }
    assert_int_equal(blocks, before + 1);
    assert_int_equal(status.kept_device_bytes, 2 * SIZE);
}

// --- errors

static void a_fill_that_fails(void **s)
{
    (void)s;
    uint64_t a = device(SIZE);
    opened(COPY(20), SIZE);
    put(a, 1, SIZE, 1);
    FILL(20, 1, 0, a, SIZE);
    fake_progress();
    EXPECT(kept_fill, CUDA_ERROR_INVALID_VALUE, .stream = STREAM(1), .kept = COPY(20), .address = 16, .size_bytes = 8);
    assert_int_equal(fetched(COPY(20), 2, 0, 1), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(fetched(COPY(20), 1, 0, 1), CUDA_ERROR_INVALID_VALUE);
    EXPECT(kept_spill, CUDA_ERROR_INVALID_VALUE, .stream = STREAM(1), .kept = COPY(20), .address = a, .size_bytes = 8);
    FILL(20, 1, 0, a, 8); // a part does not mend it
    assert_int_equal(fetched(COPY(20), 3, 0, 1), CUDA_ERROR_INVALID_VALUE);
    FILL(20, 1, 0, a, SIZE);
    fake_progress();
    assert_int_equal(fetched(COPY(20), 4, 0, SIZE), CUDA_SUCCESS);
    // A stream that is not there: counted, so that nobody waits for it.
    EXPECT(kept_fill, CUDA_ERROR_INVALID_HANDLE, .stream = STREAM(9), .kept = COPY(20), .address = a, .size_bytes = SIZE);
    assert_int_equal(fetched(COPY(20), 5, 0, SIZE), CUDA_ERROR_INVALID_HANDLE);
}

// --- fetching meanwhile

struct fetcher {
    uint32_t fills;
    _Atomic int done; // 1 + the code
    uint8_t bytes[SIZE];
};

static void *fetch(void *arg)
{
    struct fetcher *f = arg;
    CUresult r = gn_kept_read(&w, &(struct gn_kept_read){.kept = COPY(20), .fills = f->fills, .size_bytes = SIZE}, f->bytes);
    atomic_store(&f->done, 1 + (int)r);
    return NULL;
}

static pthread_t fetching(struct fetcher *f, uint32_t fills)
{
    pthread_t thread;
    *f = (struct fetcher){.fills = fills};
    assert_int_equal(pthread_create(&thread, NULL, fetch, f), 0);
    usleep(3000);
    assert_int_equal(atomic_load(&f->done), 0);
    return thread;
}

static void fetching_waits_for_fills(void **s)
{
    (void)s;
    static struct fetcher f;
    uint64_t a = device(SIZE);
    opened(COPY(20), SIZE);
    pthread_t t = fetching(&f, 2);
    put(a, 1, SIZE, 1);
    FILL(20, 1, 0, a, SIZE); // the first is not enough
    fake_progress();
    usleep(2000);
    assert_int_equal(f.done, 0);
    put(a, 2, SIZE, 1);
    hold(1);
    FILL(20, 1, 0, a, SIZE); // posted, and not done
    fake_progress();
    usleep(2000);
    assert_int_equal(f.done, 0);
    let(1);
    pthread_join(t, NULL);
    assert_int_equal(f.done, 1);
    assert_true(f.bytes[0] == 2 && f.bytes[SIZE - 1] == 2);
}

static void what_ends_the_wait(void **s)
{
    (void)s;
    static struct fetcher f;
    uint64_t a = device(SIZE);
    pthread_t t;
    opened(COPY(20), SIZE);
    t = fetching(&f, 1); // closed before it was filled
    EXPECT(kept_close, CUDA_SUCCESS, .kept = COPY(20));
    pthread_join(t, NULL);
    assert_int_equal(f.done, 1 + CUDA_ERROR_INVALID_HANDLE);
    opened(COPY(20), SIZE); // closed while the fill is held: its storage stays until the stream is through
    hold(1);
    FILL(20, 1, 0, a, SIZE);
    t = fetching(&f, 1);
    EXPECT(kept_close, CUDA_SUCCESS, .kept = COPY(20));
    pthread_join(t, NULL);
    assert_int_equal(f.done, 1 + CUDA_ERROR_INVALID_HANDLE);
    assert_int_equal(status.kept_device_bytes, SIZE);
    let(1);
    opened(COPY(20), SIZE);
    t = fetching(&f, 1); // the session ends
    gn_kepts_stop(w.kepts);
    pthread_join(t, NULL);
    assert_int_equal(f.done, 1 + CUDA_ERROR_DEINITIALIZED);
}

static void *open_gate(void *arg)
{
    usleep(20000);
    __atomic_store_n((uint32_t *)arg, 1, __ATOMIC_RELEASE);
    return NULL;
}

static void a_context_takes_its_copies_along(void **s)
{
    (void)s;
    static struct fetcher f;
    uint64_t kept_before;
    EXPECT(context_create, CUDA_SUCCESS, .device = 0, .context = OTHER);
    opened(COPY(30), 512); // of the primary one: stays
    kept_before = w.memory_used_bytes;
    enter(&w, OTHER);
    gn_use_context(&w, w.scope->context);
    EXPECT(stream_create, CUDA_SUCCESS, .stream = STREAM(11));
    uint64_t a = device(SIZE);
    opened(COPY(20), SIZE);
    w.limits.kept_percent = 0;
    opened(COPY(21), SIZE);
    CUstream held = gn_handle_find(&w.handles, STREAM(11), GN_KIND_STREAM)->object;
    FILL(21, 11, 0, a, SIZE);
    assert_int_equal(plain.cuStreamWaitValue32_v2(held, (CUdeviceptr)(uintptr_t)&gates[0], 1, 0), 0);
    FILL(20, 11, 0, a, SIZE);
    FILL(21, 11, 0, a, SIZE);
    SPILL(20, 11, 0, a, SIZE);
    pthread_t t = fetching(&f, 1), opener;
    pthread_create(&opener, NULL, open_gate, &gates[0]); // the driver waits for the stream
    EXPECT(context_destroy, CUDA_SUCCESS, .context = OTHER);
    pthread_join(opener, NULL);
    pthread_join(t, NULL);
    assert_int_equal(f.done, 1 + CUDA_ERROR_INVALID_HANDLE);
    assert_int_equal(fetched(COPY(20), 0, 0, 1), CUDA_ERROR_INVALID_HANDLE);
    assert_int_equal(status.kept, 1);
    assert_int_equal(status.kept_host_bytes, 0);
    assert_int_equal(w.memory_used_bytes, kept_before);
    enter(&w, PRIMARY);
    EXPECT(kept_close, CUDA_SUCCESS, .kept = COPY(30));
}

static _Atomic bool enough;
static _Atomic unsigned had; // fetches that brought something
static _Atomic int odd;      // a code that should not have come

static void *fetch_on(void *unused)
{
    static _Thread_local uint8_t bytes[SIZE];
    (void)unused;
    while (!atomic_load(&enough)) {
        CUresult r = gn_kept_read(&w, &(struct gn_kept_read){.kept = COPY(20), .fills = 8, .size_bytes = SIZE}, bytes);
        if (r && r != CUDA_ERROR_INVALID_HANDLE)
            atomic_store(&odd, (int)r);
        atomic_fetch_add(&had, r == CUDA_SUCCESS);
    }
    return NULL;
}

// Two threads fetch while copies are filled in turns, read, moved out, closed and opened again; at last the context ends.
static void fetching_all_the_time(void **s)
{
    (void)s;
    enum { ROUNDS = 24 };
    pthread_t threads[2];
    uint64_t a = device(SIZE), b = device(SIZE);
    atomic_store(&enough, false);
    atomic_store(&had, 0);
    put(a, 1, SIZE, 1);
    fake_progress();
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, fetch_on, NULL);
    for (unsigned i = 0; i < ROUNDS; i++) {
        w.limits.kept_percent = i % 3 ? 25 : 0;
        assert_int_not_equal(opened(COPY(20), SIZE), GN_KEPT_REFUSED);
        for (unsigned k = 1; k <= 8; k++) {
            FILL(20, k, 0, a, SIZE);
            SPILL(20, k % 8 + 1, 0, b, SIZE);
            if (k % 2)
                fake_progress();
            if (k == 5)
                gn_kepts_make_room(&w, 0, SIZE);
        }
        unsigned before = atomic_load(&had);
        for (int tries = 0; tries < 1000 && atomic_load(&had) < before + 2; tries++) {
            fake_progress();
            usleep(100);
            if (tries == 3)
                gn_kepts_make_room(&w, 0, SIZE);
        }
        EXPECT(kept_close, CUDA_SUCCESS, .kept = COPY(20));
        fake_progress();
    }
    assert_true(atomic_load(&had) >= ROUNDS);
    opened(COPY(20), SIZE);
    FILL(20, 1, 0, a, SIZE);
    EXPECT(primary_release, CUDA_SUCCESS, .context = PRIMARY);
    assert_int_equal(status.kept, 0);
    assert_int_equal(status.kept_device_bytes + status.kept_host_bytes, 0);
    atomic_store(&enough, true);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&odd), 0);
}

// --- room

static void the_program_needs_the_device(void **s)
{
    (void)s;
    uint64_t a = device(SIZE);
    w.limits.kept_host_bytes = 256 << 10;
    struct gn_pool_info_of {
        uint64_t free_bytes;
    } before;
    {
        RUN(memory_info, 0);
        before.free_bytes = o.free_bytes;
    }
    for (unsigned i = 0; i < 8; i++) {
        opened(COPY(20 + i), SIZE);
        put(a, (uint8_t)(i + 1), SIZE, 1);
        FILL(20 + i, 1, 0, a, SIZE);
    }
    fake_progress();
    {
        RUN(memory_info, 0);
        assert_int_equal(o.free_bytes, before.free_bytes); // copies count as free
    }
    // Nearly all that is free: some of the copies move, those used longest ago first.
    uint64_t large = CAPACITY - used + 3 * SIZE, address;
    assert_true(used + large <= CAPACITY + 3 * SIZE);
    {
        RUN(memory_alloc, .size_bytes = large);
        // The fake memory is used up before that: what counts is that it was asked for again.
        assert_true(r == CUDA_SUCCESS || r == CUDA_ERROR_UNKNOWN);
        address = o.address;
    }
    (void)address;
    assert_int_equal(status.kept_device_bytes, 5 * SIZE);
    assert_int_equal(status.kept_host_bytes, 3 * SIZE);
    assert_int_equal(status.kept_moved_bytes, 3 * SIZE);
    assert_int_equal(registered, 3);
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(fetched(COPY(20 + i), 1, 0, SIZE), CUDA_SUCCESS);
        assert_true(all_are((uint8_t)(i + 1), 0, SIZE));
    }
    uint64_t b = a;
    SPILL(20, 2, 0, b, SIZE); // from host memory now
    fake_progress();
    look(b, SIZE);
    assert_true(all_are(1, 0, SIZE));
    put(a, 99, SIZE, 2);
    FILL(20, 2, 0, a, SIZE);
    fake_progress();
    assert_int_equal(fetched(COPY(20), 2, 0, SIZE), CUDA_SUCCESS);
    assert_true(all_are(99, 0, SIZE));
    assert_true(gn_kepts_make_room(&w, 0, UINT64_MAX));
    assert_int_equal(status.kept_device_bytes, 0);
    assert_false(gn_kepts_make_room(&w, 0, 1));
    assert_false(gn_kepts_make_room(&w, 1, 1));
    assert_false(gn_kepts_make_room(&w, -1, 1));
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(fetched(COPY(20 + i), 1, 0, SIZE), CUDA_SUCCESS);
}

static void limits_of_the_session(void **s)
{
    (void)s;
    w.limits.memory_bytes = 4 * SIZE;
    opened(COPY(20), SIZE);
    opened(COPY(21), SIZE);
    {
        RUN(memory_info, 0);
        assert_int_equal(o.total_bytes, 4 * SIZE);
        assert_int_equal(o.free_bytes, 4 * SIZE);
    }
    device(3 * SIZE); // one must go
    assert_int_equal(status.kept_device_bytes, SIZE);
    device(SIZE);
    assert_int_equal(status.kept_device_bytes, 0);
    EXPECT(memory_alloc, CUDA_ERROR_OUT_OF_MEMORY, .size_bytes = 1);
    assert_int_equal(opened(COPY(22), SIZE), GN_KEPT_ON_HOST);
}

static void what_streams_use_is_waited_for(void **s)
{
    (void)s;
    uint64_t a = device(SIZE), b = device(SIZE);
    opened(COPY(20), SIZE);
    put(a, 1, SIZE, 1);
    FILL(20, 1, 0, a, SIZE); // nothing has moved yet
    SPILL(20, 2, 0, b, SIZE);
    assert_true(gn_kepts_make_room(&w, 0, 1)); // waits for both
    assert_int_equal(status.kept_device_bytes, 0);
    assert_int_equal(fetched(COPY(20), 1, 0, SIZE), CUDA_SUCCESS);
    assert_true(all_are(1, 0, SIZE));
    look(b, SIZE);
    assert_true(all_are(1, 0, SIZE));
}

#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(where_copies_go),
        T(budgets),
        T(a_device_that_is_nearly_full),
        T(names_and_bytes_that_cannot_be),
        T(in_and_out),
        T(a_spill_that_is_held),
        T(no_room_for_fresh_storage),
        T(a_fill_that_is_held),
        T(more_streams_than_are_told_apart),
        T(retired_storage_is_used_again),
        T(a_fill_that_fails),
        T(fetching_waits_for_fills),
        T(what_ends_the_wait),
        T(a_context_takes_its_copies_along),
        T(fetching_all_the_time),
        T(the_program_needs_the_device),
        T(limits_of_the_session),
        T(what_streams_use_is_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
