// SPDX-License-Identifier: Apache-2.0
// Operations that take effect in the calling thread: are they in the same order with queued ones as if all were queued, do they wait for what
// they must, and does the driver then really need no thread? Streams are held up by memory values, so that both ways are taken for sure.
#include "test_mock.h"

#include <dirent.h>

static struct fixture f;

enum { GATE = 256, SECOND_GATE = 260, DATA = 1024, OTHER = 2048 }; // offsets in f.word

static CUstream make_stream(unsigned flags)
{
    CUstream s = NULL;
    OK(cuStreamCreate(&s, flags));
    return s;
}

static void open_gate(unsigned offset) // from a stream that nothing holds up
{
    CUstream s = make_stream(CU_STREAM_NON_BLOCKING);
    OK(cuStreamWriteValue32_v2(s, f.word + offset, 1, 0));
    OK(cuStreamDestroy_v2(s));
}

static CUresult gate(CUstream s, unsigned offset)
{
    return cuStreamWaitValue32_v2(s, f.word + offset, 1, CU_STREAM_WAIT_VALUE_EQ);
}

static unsigned read_free(unsigned offset) // what is there now, whatever is queued
{
    unsigned v = 0xdeadbeef;
    CUstream s = make_stream(CU_STREAM_NON_BLOCKING);
    OK(cuMemcpyDtoHAsync_v2(&v, f.word + offset, 4, s));
    OK(cuStreamDestroy_v2(s));
    return v;
}

static unsigned count_threads(void)
{
    unsigned n = 0;
    DIR *d = opendir("/proc/self/task");
    for (struct dirent *e; d && (e = readdir(d));)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static void no_thread_body(void)
{
    unsigned before = count_threads(); // a sanitizer may have one
    unsigned char bytes[65536] = {1}, back[65536];
    f = set_up();
    CUstream s = make_stream(CU_STREAM_NON_BLOCKING), blocking = make_stream(CU_STREAM_DEFAULT);
    CUevent e;
    CUdeviceptr p;
    OK(cuMemAlloc_v2(&p, 4 << 20));
    for (unsigned i = 0; i < 1100; i++) { // more than a queue holds
        OK(add(&f, f.word, 1, i % 3 ? s : i % 2 ? NULL : blocking));
        OK(cuMemcpyHtoDAsync_v2(p, bytes, 4, s));
    }
    OK(cuEventCreate(&e, 0));
    OK(cuEventRecord(e, s));
    OK(cuStreamWaitEvent(blocking, e, 0));
    OK(cuStreamWriteValue32_v2(s, f.word + GATE, 1, 0));
    OK(gate(blocking, GATE)); // met already
    OK(cuMemsetD32Async(p, 7, 4096, blocking));
    OK(cuMemcpyHtoD_v2(p + 4096, bytes, sizeof bytes));
    OK(cuMemcpyDtoH_v2(back, p + 4096, sizeof back));
    EXPECT(memcmp(bytes, back, sizeof back), 0);
    void *large = calloc(1, 2 << 20); // moved by the caller, but not with the lock
    OK(cuMemcpyHtoD_v2(p, large, 2 << 20));
    OK(cuMemcpyHtoDAsync_v2(p, large, 1 << 20, s));
    OK(cuMemcpyDtoH_v2(large, p, 2 << 20));
    free(large);
    OK(cuCtxSynchronize());
    OK(cuMemFree_v2(p));
    OK(cuEventDestroy_v2(e));
    EXPECT(count_threads(), before);
}

static void no_thread_is_needed(void **unused)
{
    (void)unused;
    in_child("exec=off", no_thread_body);
    in_child("exec=off,kernel_us=1,copy_gbps=10", no_thread_body);
}

// Chains over a stream that is alternately held and idle: each step sees the one before, whichever way it took.
static void mixed_body(void)
{
    f = set_up();
    CUstream s = make_stream(CU_STREAM_NON_BLOCKING);
    unsigned *pinned, sum = 0;
    OK(cuMemHostAlloc((void **)&pinned, 4096, 0));
    for (unsigned i = 1; i <= 60; i++) {
        bool held = i % 3 == 0;
        OK(cuMemsetD32_v2(f.word + GATE, !held, 1));
        OK(cuStreamSynchronize(NULL));
        OK(gate(s, GATE));
        pinned[0] = i;
        unsigned pageable = 1000 * i;
        OK(cuMemcpyHtoDAsync_v2(f.word + DATA, &pageable, 4, s));
        pageable = 0; // taken before the call returned
        OK(cuMemcpyHtoDAsync_v2(f.word + DATA + 4, &pinned[0], 4, s));
        OK(add(&f, f.word + DATA, 5, s));
        OK(cuMemcpyDtoDAsync_v2(f.word + DATA + 8, f.word + DATA, 8, s));
        OK(cuMemsetD32Async(f.word + DATA, i, 1, s));
        OK(cuMemcpyDtoHAsync_v2(&pinned[4], f.word + DATA, 16, s));
        OK(cuMemcpyDtoHAsync_v2(&pinned[1], f.word + DATA, 4, s));
        if (held) {
            EXPECT(cuStreamQuery(s), CUDA_ERROR_NOT_READY);
            EXPECT(read_free(DATA), sum);
            pinned[0] = i + 7; // not read yet
            open_gate(GATE);
        }
        OK(cuStreamSynchronize(s));
        EXPECT(pinned[1], i);
        EXPECT(pinned[4], i);
        EXPECT(pinned[5], held ? i + 7 : i);
        EXPECT(pinned[6], 1000 * i + 5);
        EXPECT(pinned[7], pinned[5]);
        sum = i;
    }
}

static void both_ways_keep_order(void **unused)
{
    (void)unused;
    in_child("", mixed_body);
    in_child("threads=1", mixed_body);
}

// exec=off: a launch has nothing to run, and still its place in the stream.
static void gated_body(void)
{
    f = set_up();
    CUstream s = make_stream(CU_STREAM_NON_BLOCKING), other = make_stream(CU_STREAM_NON_BLOCKING);
    CUevent e, after;
    OK(cuEventCreate(&e, 0));
    OK(cuEventCreate(&after, 0));
    OK(gate(s, GATE));
    for (unsigned i = 0; i < 300; i++)
        OK(add(&f, f.word, 1, s));
    OK(cuEventRecord(e, s));
    OK(cuStreamWaitEvent(other, e, 0));
    OK(add(&f, f.word, 1, other)); // behind an event that is behind the launches
    OK(cuMemsetD32Async(f.word + DATA, 9, 1, other));
    OK(cuEventRecord(after, other));
    EXPECT(cuStreamQuery(s), CUDA_ERROR_NOT_READY);
    EXPECT(cuEventQuery(e), CUDA_ERROR_NOT_READY);
    EXPECT(cuEventQuery(after), CUDA_ERROR_NOT_READY);
    EXPECT(read_free(DATA), 0);
    open_gate(GATE);
    OK(cuEventSynchronize(after));
    OK(cuEventQuery(e));
    EXPECT(read_free(DATA), 9);
    OK(cuEventRecord(e, s)); // now at once, into the mark of before
    OK(cuEventQuery(e));
    // An event that another stream still waits for gets a new mark.
    OK(cuMemsetD32_v2(f.word + GATE, 0, 1));
    OK(cuCtxSynchronize());
    OK(gate(s, GATE));
    OK(cuEventRecord(e, s));
    OK(cuStreamWaitEvent(other, e, 0));
    OK(cuEventRecord(e, NULL)); // idle: done at once
    OK(cuEventQuery(e));
    EXPECT(cuStreamQuery(other), CUDA_ERROR_NOT_READY);
    open_gate(GATE);
    OK(cuStreamSynchronize(other));
}

static void launches_wait_their_turn(void **unused)
{
    (void)unused;
    in_child("exec=off", gated_body);
    in_child("", gated_body);
    in_child("exec=off,kernel_us=5", gated_body);
}

static void legacy_body(void)
{
    f = set_up();
    CUstream blocking = make_stream(CU_STREAM_DEFAULT), second = make_stream(CU_STREAM_DEFAULT),
             free_one = make_stream(CU_STREAM_NON_BLOCKING);
    OK(gate(blocking, GATE));
    OK(cuMemsetD32Async(f.word + DATA, 1, 1, second)); // nothing legacy yet: at once
    OK(cuStreamQuery(second));
    EXPECT(read_free(DATA), 1);
    OK(cuMemsetD32_v2(f.word + DATA, 2, 1)); // legacy: behind the gate
    EXPECT(cuStreamQuery(NULL), CUDA_ERROR_NOT_READY);
    OK(cuMemsetD32Async(f.word + OTHER, 3, 1, second)); // behind the legacy stream
    OK(cuMemsetD32Async(f.word + OTHER + 4, 4, 1, free_one));
    EXPECT(cuStreamQuery(second), CUDA_ERROR_NOT_READY);
    OK(cuStreamQuery(free_one));
    EXPECT(read_free(DATA), 1);
    EXPECT(read_free(OTHER), 0);
    EXPECT(read_free(OTHER + 4), 4);
    open_gate(GATE);
    OK(cuStreamSynchronize(second));
    EXPECT(read_free(DATA), 2);
    EXPECT(read_free(OTHER), 3);
    // The legacy stream held up: blocking streams wait, also those that were idle.
    OK(gate(NULL, SECOND_GATE));
    OK(cuMemsetD32Async(f.word + DATA, 5, 1, blocking));
    OK(cuMemsetD32Async(f.word + OTHER, 6, 1, CU_STREAM_PER_THREAD));
    OK(cuMemsetD32Async(f.word + OTHER + 4, 7, 1, free_one));
    EXPECT(read_free(DATA), 2);
    EXPECT(read_free(OTHER), 3);
    EXPECT(read_free(OTHER + 4), 7);
    open_gate(SECOND_GATE);
    unsigned v = word_at(f.word + DATA);
    EXPECT(v, 5);
    EXPECT(word_at(f.word + OTHER), 6);
}

static void the_legacy_stream_waits(void **unused)
{
    (void)unused;
    in_child("exec=off", legacy_body);
    in_child("", legacy_body);
    in_child("exec=off,copy_gbps=5", legacy_body);
}

static void host_function(void *at)
{
    struct timespec t = {0, 5000000};
    nanosleep(&t, NULL);
    *(volatile unsigned *)at = 77;
}

static void host_body(void)
{
    f = set_up();
    CUstream s = make_stream(CU_STREAM_NON_BLOCKING);
    unsigned *pinned;
    OK(cuMemHostAlloc((void **)&pinned, 4096, 0));
    pinned[0] = 0;
    OK(cuLaunchHostFunc(s, host_function, pinned));
    OK(cuMemcpyHtoDAsync_v2(f.word + DATA, pinned, 4, s)); // after it
    OK(cuStreamSynchronize(s));
    EXPECT(read_free(DATA), 77);
}

static void host_functions_come_first(void **unused)
{
    (void)unused;
    in_child("exec=off", host_body);
    in_child("exec=off,kernel_us=10", host_body);
}

static void hang_body(void)
{
    f = set_up();
    CUstream s = make_stream(CU_STREAM_NON_BLOCKING), other = make_stream(CU_STREAM_NON_BLOCKING);
    OK(add(&f, f.word, 1, s));
    OK(cuStreamQuery(s));
    OK(add(&f, f.word, 1, s)); // the second hangs
    OK(cuMemsetD32Async(f.word + DATA, 1, 1, s));
    OK(cuMemsetD32Async(f.word + OTHER, 2, 1, other));
    EXPECT(cuStreamQuery(s), CUDA_ERROR_NOT_READY);
    EXPECT(read_free(DATA), 0);
    EXPECT(read_free(OTHER), 2);
}

static void what_hangs_holds_up(void **unused)
{
    (void)unused;
    in_child("exec=off,hang=2", hang_body);
}

static void lost_body(void)
{
    f = set_up();
    CUdeviceptr nowhere = 16;
    void *params[] = {&nowhere};
    CUevent e;
    OK(cuEventCreate(&e, 0));
    OK(cuLaunchKernel(f.poke, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL));
    EXPECT(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
    EXPECT(add(&f, f.word, 1, NULL), CUDA_ERROR_ILLEGAL_ADDRESS);
    EXPECT(cuEventRecord(e, NULL), CUDA_ERROR_ILLEGAL_ADDRESS);
    EXPECT(cuMemsetD8_v2(f.word, 0, 4), CUDA_ERROR_ILLEGAL_ADDRESS);
    unsigned v;
    EXPECT(cuMemcpyDtoH_v2(&v, f.word, 4), CUDA_ERROR_ILLEGAL_ADDRESS);
}

static void refused_body(void)
{
    f = set_up();
    CUstream s = make_stream(0);
    unsigned v = 0;
    void *none[] = {NULL, NULL};
    OK(cuStreamDestroy_v2(s));
    EXPECT(add(&f, f.word, 1, s), CUDA_ERROR_INVALID_HANDLE);
    EXPECT(cuMemsetD8Async(f.word, 0, 4, s), CUDA_ERROR_INVALID_HANDLE);
    EXPECT(cuMemcpyHtoDAsync_v2(f.word, &v, 4, s), CUDA_ERROR_INVALID_HANDLE);
    EXPECT(cuLaunchKernel(f.add, 1, 1, 1, 1, 1, 1, 0, NULL, none, NULL), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuLaunchKernel(f.add, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuMemcpyHtoD_v2(f.word + 4093, &v, 4), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuMemsetD8_v2(f.word + 4093, 0, 4), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuMemcpyDtoH_v2(&v, f.word + 4096, 4), CUDA_ERROR_INVALID_VALUE);
    OK(cuCtxSynchronize());
}

// A shape that was accepted is not looked at again, unless the kernel's settings have changed since.
static CUresult launch_shared(unsigned bytes) { return cuLaunchKernel(f.count, 2, 1, 1, 64, 1, 1, bytes, NULL, NULL, NULL); }

static void settings_body(void)
{
    f = set_up();
    EXPECT(launch_shared(60000), CUDA_ERROR_INVALID_VALUE);
    OK(cuFuncSetAttribute(f.count, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 60000));
    for (unsigned i = 0; i < 3; i++)
        OK(launch_shared(60000));
    EXPECT(launch_shared(60001), CUDA_ERROR_INVALID_VALUE);
    EXPECT(launch_shared(60001), CUDA_ERROR_INVALID_VALUE);
    OK(launch_shared(60000));
    OK(cuFuncSetAttribute(f.count, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 100));
    EXPECT(launch_shared(60000), CUDA_ERROR_INVALID_VALUE);
    EXPECT(launch_shared(60000), CUDA_ERROR_INVALID_VALUE);
    OK(launch_shared(100));
    // The same shape, but cooperative: more blocks than fit at once.
    OK(cuLaunchKernel(f.count, 100000, 1, 1, 64, 1, 1, 0, NULL, NULL, NULL));
    EXPECT(cuLaunchCooperativeKernel(f.count, 100000, 1, 1, 64, 1, 1, 0, NULL, NULL), CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE);
    OK(cuLaunchKernel(f.count, 100000, 1, 1, 64, 1, 1, 0, NULL, NULL, NULL));
    OK(cuCtxSynchronize());
}

static void settings_are_looked_at(void **unused)
{
    (void)unused;
    in_child("exec=off", settings_body);
}

static void errors_are_the_same(void **unused)
{
    (void)unused;
    in_child("", lost_body);
    in_child("exec=off", refused_body);
    in_child("", refused_body);
}

enum { THREADS = 6, ROUNDS = 400 };

static void *worker(void *at)
{
    unsigned k = (unsigned)(uintptr_t)at, v, seen;
    OK(cuCtxSetCurrent(f.context));
    CUstream own = make_stream(k % 2 ? CU_STREAM_NON_BLOCKING : CU_STREAM_DEFAULT);
    CUevent e;
    OK(cuEventCreate(&e, 0));
    for (unsigned i = 1; i <= ROUNDS; i++) {
        v = 1000 * k + i;
        OK(cuMemcpyHtoDAsync_v2(f.word + DATA + 4 * k, &v, 4, own));
        OK(add(&f, f.word, 1, i % 4 ? own : i % 8 ? NULL : CU_STREAM_PER_THREAD));
        OK(cuEventRecord(e, own));
        OK(cuStreamWaitEvent(i % 5 ? CU_STREAM_PER_THREAD : NULL, e, 0));
        OK(cuMemcpyDtoHAsync_v2(&seen, f.word + DATA + 4 * k, 4, own));
        EXPECT(seen, v);
        if (i % 16 == 0)
            OK(cuCtxSynchronize());
    }
    OK(cuEventDestroy_v2(e));
    OK(cuStreamDestroy_v2(own));
    return NULL;
}

static void threads_body(void)
{
    pthread_t threads[THREADS];
    f = set_up();
    unsigned before = word_at(f.word);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, worker, (void *)(uintptr_t)i);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    OK(cuCtxSynchronize());
    const char *options = getenv("GENIE_MOCK");
    EXPECT(word_at(f.word) - before, strstr(options, "exec=off") ? 0 : THREADS * ROUNDS);
}

static void threads_do_not_disturb(void **unused)
{
    (void)unused;
    in_child("exec=off", threads_body);
    in_child("threads=1", threads_body);
}

static void virtual_body(void)
{
    f = set_up();
    CUstream s = make_stream(CU_STREAM_NON_BLOCKING);
    CUevent from, to;
    float ms;
    OK(cuEventCreate(&from, 0));
    OK(cuEventCreate(&to, 0));
    uint64_t begin = now_ns();
    OK(cuEventRecord(from, s));
    for (unsigned i = 0; i < 20; i++)
        OK(add(&f, f.word, 1, s));
    OK(cuEventRecord(to, s));
    EXPECT(cuStreamQuery(s), CUDA_ERROR_NOT_READY);
    EXPECT(cuEventQuery(to), CUDA_ERROR_NOT_READY);
    OK(cuEventQuery(from));
    OK(cuStreamWaitEvent(NULL, to, 0)); // done, but not to be seen before its end
    EXPECT(cuStreamQuery(NULL), CUDA_ERROR_NOT_READY);
    OK(cuStreamSynchronize(NULL));
    TRUE(now_ns() - begin >= 20 * 2000000ull);
    OK(cuEventQuery(to));
    OK(cuEventElapsedTime(&ms, from, to));
    TRUE(ms > 39.999f && (double)ms * 1e6 <= (double)(now_ns() - begin));
    // Copies take their time, too.
    unsigned char bytes[50000];
    begin = now_ns();
    OK(cuMemcpyHtoD_v2(f.word, bytes, 4000)); // 4 ms at 1 MB/s
    TRUE(now_ns() - begin >= 4000000u);
}

static void time_is_kept(void **unused)
{
    (void)unused;
    in_child("exec=off,kernel_us=2000,copy_gbps=0.001", virtual_body);
    in_child("kernel_us=2000,copy_gbps=0.001", virtual_body);
}

// What lies between two events is exactly what the rates make of the bytes.
static double took_us(CUstream s, CUevent from, CUevent to)
{
    float ms;
    OK(cuEventRecord(to, s));
    OK(cuStreamSynchronize(s));
    OK(cuEventElapsedTime(&ms, from, to));
    return (double)ms * 1e3;
}

static void rates_body(void)
{
    enum { BYTES = 48000000 }; // 10 us at 4,800 GB/s
    f = set_up();
    CUdeviceptr a, b;
    CUevent from, to;
    unsigned char *host;
    OK(cuMemAlloc_v2(&a, BYTES));
    OK(cuMemAlloc_v2(&b, BYTES));
    OK(cuMemHostAlloc((void **)&host, BYTES, 0));
    OK(cuEventCreate(&from, 0));
    OK(cuEventCreate(&to, 0));
    for (int i = 0; i < 5; i++) {
        CUstream s = make_stream(CU_STREAM_NON_BLOCKING);
        double us = (double[]){12.5, 22.5, 2.5 + BYTES / 55e3, 2.5 + BYTES / 55e3, 2.5}[i];
        for (int before = 0; before < 80; before++) // a millisecond, so that what is measured is never waited for by the device
            OK(cuMemsetD8Async(a, 1, BYTES, s));
        OK(cuEventRecord(from, s));
        switch (i) {
        case 0: OK(cuMemsetD8Async(a, 1, BYTES, s)); break;
        case 1: OK(cuMemcpyDtoDAsync_v2(b, a, BYTES, s)); break;
        case 2: OK(cuMemcpyHtoDAsync_v2(a, host, BYTES, s)); break;
        case 3: OK(cuMemcpyDtoHAsync_v2(host, a, BYTES, s)); break;
        default: OK(add(&f, f.word, 1, s)); break; // a few threads: the launch is what it takes
        }
        double took = took_us(s, from, to);
        TRUE(took >= us - 0.2 && took <= us + 0.2);
    }
}

static void nothing_moves_body(void)
{
    f = set_up();
    CUdeviceptr a;
    static unsigned char out[1 << 20];
    uint32_t small = 7, back = 0;
    OK(cuMemAlloc_v2(&a, sizeof out));
    memset(out, 0x55, sizeof out);
    OK(cuMemsetD8_v2(a, 1, sizeof out));
    OK(cuMemcpyDtoH_v2(out, a, sizeof out));
    TRUE(out[0] == 0x55 && out[sizeof out - 1] == 0x55); // left as it was
    OK(cuMemcpyHtoD_v2(a, &small, sizeof small));
    OK(cuMemcpyDtoH_v2(&back, a, sizeof back));
    TRUE(back == small);
}

static void a_device_has_rates(void **unused)
{
    (void)unused;
    in_child("exec=off,time=h200,moves=off", rates_body);
    in_child("exec=off,moves=off", nothing_moves_body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_thread_is_needed),       cmocka_unit_test(both_ways_keep_order),
        cmocka_unit_test(launches_wait_their_turn),  cmocka_unit_test(the_legacy_stream_waits),
        cmocka_unit_test(host_functions_come_first), cmocka_unit_test(what_hangs_holds_up),
        cmocka_unit_test(errors_are_the_same),       cmocka_unit_test(threads_do_not_disturb),
        cmocka_unit_test(time_is_kept),
        cmocka_unit_test(settings_are_looked_at),    cmocka_unit_test(a_device_has_rates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
