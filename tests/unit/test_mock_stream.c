// SPDX-License-Identifier: Apache-2.0
// Do streams of the mock keep the order that CUDA promises, and no more than that? Order inside a stream, events, the legacy and per-thread
// default streams, host functions, memory values, the queue's window, virtual time.
#include "test_mock.h"

static struct fixture f;
static CUstream make_stream(unsigned flags)
{
    CUstream s;
    OK(cuStreamCreate(&s, flags));
    return s;
}

static CUevent make_event(unsigned flags)
{
    CUevent e;
    OK(cuEventCreate(&e, flags));
    return e;
}

enum { FLAG = 256, SEEN = 512, OTHER = 768, COUNTER = 1024 }; // offsets in f.word

static void write_flag(void) // lets a held kernel go, from a stream that nothing holds up
{
    CUstream s = make_stream(CU_STREAM_NON_BLOCKING);
    OK(cuStreamWriteValue32_v2(s, f.word + FLAG, 1, 0));
    OK(cuStreamDestroy_v2(s));
}

static void order_body(void)
{
    f = set_up();
    CUstream s = make_stream(CU_STREAM_NON_BLOCKING);
    // A copy back and forth between kernels: each must see the one before.
    unsigned *pinned;
    OK(cuMemHostAlloc((void **)&pinned, 4096, 0));
    for (unsigned i = 0; i < 200; i++) {
        OK(add(&f, f.word, 1, s));
        OK(cuMemcpyDtoHAsync_v2(&pinned[i], f.word, 4, s));
        OK(cuMemcpyHtoDAsync_v2(f.word + 4, &pinned[i], 4, s)); // reads pinned memory when its turn comes
        OK(add(&f, f.word + 4, 1000, s));
        OK(cuMemcpyDtoDAsync_v2(f.word + COUNTER + 4 * i, f.word + 4, 4, s));
    }
    OK(cuStreamSynchronize(s));
    unsigned back[200];
    OK(cuMemcpyDtoH_v2(back, f.word + COUNTER, sizeof back));
    for (unsigned i = 0; i < 200; i++) {
        EXPECT(pinned[i], i + 1);
        EXPECT(back[i], i + 1001);
    }
    OK(cuStreamDestroy_v2(s));
}

static void keeps_order(void **unused)
{
    (void)unused;
    in_child("", order_body);
}

static void pageable_body(void)
{
    f = set_up();
    CUstream s = make_stream(CU_STREAM_NON_BLOCKING);
    unsigned source = 11, back = 0;
    OK(hold(&f, f.word + FLAG, f.word + SEEN, s));
    OK(cuMemcpyHtoDAsync_v2(f.word, &source, 4, s)); // taken along before the call returns
    source = 99;
    EXPECT(cuStreamQuery(s), CUDA_ERROR_NOT_READY);
    write_flag();
    OK(cuMemcpyDtoHAsync_v2(&back, f.word, 4, s)); // pageable: done when it returns
    EXPECT(back, 11);
    OK(cuStreamQuery(s));
    // Larger than what is taken along: the call waits, and the data is right whatever happens to the buffer afterwards.
    enum { BIG = 8 << 20 };
    unsigned char *big = malloc(BIG), *check = malloc(BIG);
    CUdeviceptr d;
    OK(cuMemAlloc_v2(&d, BIG));
    for (int i = 0; i < BIG; i++)
        big[i] = (unsigned char)(i * 7);
    OK(cuMemcpyHtoDAsync_v2(d, big, BIG, s));
    memset(big, 0, BIG);
    OK(cuMemcpyDtoHAsync_v2(check, d, BIG, s));
    for (int i = 0; i < BIG; i++)
        if (check[i] != (unsigned char)(i * 7)) {
            EXPECT(i, -1);
            break;
        }
    free(big);
    free(check);
}

static void pageable_is_captured(void **unused)
{
    (void)unused;
    in_child("", pageable_body);
}

static void independent_body(void)
{
    f = set_up();
    CUstream a = make_stream(CU_STREAM_NON_BLOCKING), b = make_stream(CU_STREAM_NON_BLOCKING);
    OK(hold(&f, f.word + FLAG, f.word + SEEN, a));
    OK(add(&f, f.word, 5, b)); // runs while the other waits
    OK(cuStreamSynchronize(b));
    OK(cuStreamQuery(b));
    EXPECT(cuStreamQuery(a), CUDA_ERROR_NOT_READY);
    write_flag();
    OK(cuStreamSynchronize(a));
    EXPECT(word_at(f.word), 5);
    EXPECT(word_at(f.word + SEEN), 1);
}

static void streams_are_concurrent(void **unused)
{
    (void)unused;
    in_child("", independent_body);
    in_child("threads=1", independent_body);
}

static void legacy_body(void)
{
    f = set_up();
    CUstream blocking = make_stream(CU_STREAM_DEFAULT), second = make_stream(CU_STREAM_DEFAULT),
             free_one = make_stream(CU_STREAM_NON_BLOCKING);
    OK(hold(&f, f.word + FLAG, f.word + SEEN, blocking));
    OK(add(&f, f.word, 1, CU_STREAM_LEGACY)); // waits for the blocking stream
    OK(add(&f, f.word, 1, second));           // and this one for the legacy stream
    OK(add(&f, f.word + OTHER, 1, free_one)); // not this one
    OK(cuStreamSynchronize(free_one));
    EXPECT(cuStreamQuery(CU_STREAM_LEGACY), CUDA_ERROR_NOT_READY);
    EXPECT(cuStreamQuery(second), CUDA_ERROR_NOT_READY);
    EXPECT(cuStreamQuery(NULL), CUDA_ERROR_NOT_READY);
    write_flag();
    OK(cuStreamSynchronize(second));
    OK(cuStreamQuery(blocking));
    OK(cuStreamQuery(NULL));
    EXPECT(word_at(f.word), 2);
    // The other way round: the legacy stream holds up blocking streams, and the per-thread default stream is one of them.
    OK(cuMemsetD8_v2(f.word, 0, 4096));
    OK(cuCtxSynchronize());
    OK(hold(&f, f.word + FLAG, f.word + SEEN, NULL));
    OK(add(&f, f.word, 1, blocking));
    OK(add(&f, f.word, 1, CU_STREAM_PER_THREAD));
    EXPECT(cuStreamQuery(blocking), CUDA_ERROR_NOT_READY);
    EXPECT(cuStreamQuery(CU_STREAM_PER_THREAD), CUDA_ERROR_NOT_READY);
    OK(cuStreamQuery(free_one));
    write_flag();
    OK(cuCtxSynchronize());
    EXPECT(word_at(f.word), 2);
}

static void legacy_stream_orders(void **unused)
{
    (void)unused;
    in_child("", legacy_body);
}

static void *thread_stream(void *result)
{
    OK(cuCtxSetCurrent(f.context));
    unsigned long long id;
    OK(cuStreamGetId(CU_STREAM_PER_THREAD, &id));
    OK(add(&f, f.word + COUNTER, 1, CU_STREAM_PER_THREAD));
    *(unsigned long long *)result = id;
    return NULL; // with work queued: it still runs
}

static void per_thread_body(void)
{
    f = set_up();
    unsigned long long ids[8], mine, again;
    pthread_t threads[8];
    OK(cuStreamGetId(CU_STREAM_PER_THREAD, &mine));
    OK(cuStreamGetId(CU_STREAM_PER_THREAD, &again));
    EXPECT(mine, again);
    for (int i = 0; i < 8; i++)
        pthread_create(&threads[i], NULL, thread_stream, &ids[i]);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 8; i++) {
        TRUE(ids[i] != mine);
        for (int j = 0; j < i; j++)
            TRUE(ids[i] != ids[j]);
    }
    EXPECT(word_at(f.word + COUNTER), 8);
    OK(cuLaunchKernel_ptsz(f.count, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL));
    OK(cuStreamSynchronize(CU_STREAM_PER_THREAD));
}

static void threads_have_streams(void **unused)
{
    (void)unused;
    in_child("", per_thread_body);
}

static void event_body(void)
{
    f = set_up();
    CUstream a = make_stream(CU_STREAM_NON_BLOCKING), b = make_stream(CU_STREAM_NON_BLOCKING);
    CUevent e = make_event(0), end = make_event(0), untimed = make_event(CU_EVENT_DISABLE_TIMING);
    float ms;
    OK(cuEventQuery(e)); // never recorded: done
    OK(cuEventSynchronize(e));
    OK(cuStreamWaitEvent(b, e, 0));
    EXPECT(cuEventElapsedTime_v2(&ms, e, end), CUDA_ERROR_INVALID_HANDLE);
    OK(hold(&f, f.word + FLAG, f.word + SEEN, a));
    OK(cuEventRecord(e, a));
    OK(cuStreamWaitEvent(b, e, 0));
    OK(add(&f, f.word, 1, b));
    OK(cuEventRecord(end, b));
    OK(cuEventRecord(untimed, b));
    EXPECT(cuEventQuery(e), CUDA_ERROR_NOT_READY);
    EXPECT(cuEventQuery(end), CUDA_ERROR_NOT_READY);
    EXPECT(cuEventElapsedTime_v2(&ms, e, end), CUDA_ERROR_NOT_READY);
    write_flag();
    OK(cuEventSynchronize(end));
    OK(cuEventQuery(e));
    OK(cuEventElapsedTime_v2(&ms, e, end));
    TRUE(ms >= 0 && ms < 10000);
    EXPECT(cuEventElapsedTime_v2(&ms, e, untimed), CUDA_ERROR_INVALID_HANDLE);
    EXPECT(word_at(f.word), 1);
    // A wait is for the record before it, not for a later one.
    OK(cuMemsetD8_v2(f.word, 0, 4096));
    OK(cuCtxSynchronize());
    OK(cuEventRecord(e, a));
    OK(cuStreamWaitEvent(b, e, 0));
    OK(hold(&f, f.word + FLAG, f.word + SEEN, a));
    OK(cuEventRecord(e, a));
    OK(cuStreamSynchronize(b));
    EXPECT(cuEventQuery(e), CUDA_ERROR_NOT_READY);
    OK(cuEventDestroy_v2(e)); // pending: allowed
    EXPECT(cuEventQuery(e), CUDA_ERROR_INVALID_HANDLE);
    EXPECT(cuEventDestroy_v2(e), CUDA_ERROR_INVALID_HANDLE);
    EXPECT(cuStreamWaitEvent(b, e, 0), CUDA_ERROR_INVALID_HANDLE);
    EXPECT(cuEventRecord((CUevent)0x1234, a), CUDA_ERROR_INVALID_HANDLE);
    EXPECT(cuEventRecord(end, (CUstream)0x1234), CUDA_ERROR_INVALID_HANDLE);
    write_flag();
    OK(cuStreamSynchronize(a));
    EXPECT(cuEventCreate(&e, 0x80), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuEventCreate(NULL, 0), CUDA_ERROR_INVALID_VALUE);
}

static void events_order(void **unused)
{
    (void)unused;
    in_child("", event_body);
}

static atomic_int calls, gate, last_status;

static void note(void *at)
{
    *(int *)at = atomic_fetch_add(&calls, 1) + 1;
}

static void block(void *unused)
{
    (void)unused;
    while (!atomic_load(&gate))
        usleep(1000);
}

static void status_of(CUstream stream, CUresult status, void *at)
{
    (void)stream;
    atomic_store(&last_status, (int)status);
    note(at);
}

static void host_body(void)
{
    f = set_up();
    CUstream a = make_stream(CU_STREAM_NON_BLOCKING), b = make_stream(CU_STREAM_NON_BLOCKING);
    static int first, second, third;
    unsigned *pinned;
    OK(cuMemHostAlloc((void **)&pinned, 4, 0));
    OK(add(&f, f.word, 3, a));
    OK(cuMemcpyDtoHAsync_v2(pinned, f.word, 4, a));
    OK(cuLaunchHostFunc(a, note, &first));
    OK(cuStreamAddCallback(a, status_of, &second, 0));
    OK(cuStreamSynchronize(a));
    EXPECT(first, 1);
    EXPECT(second, 2);
    EXPECT(atomic_load(&last_status), CUDA_SUCCESS);
    EXPECT(*pinned, 3);
    // One that blocks holds up its own stream only.
    OK(cuLaunchHostFunc(a, block, NULL));
    OK(add(&f, f.word + OTHER, 1, a));
    OK(add(&f, f.word, 1, b));
    OK(cuStreamSynchronize(b));
    EXPECT(cuStreamQuery(a), CUDA_ERROR_NOT_READY);
    atomic_store(&gate, 1);
    OK(cuStreamSynchronize(a));
    EXPECT(word_at(f.word), 4);
    EXPECT(word_at(f.word + OTHER), 1);
    // After an error a host function is not called, a callback is, and told of it.
    CUdeviceptr nowhere = 0x1000;
    void *params[] = {&nowhere};
    OK(cuLaunchKernel(f.poke, 1, 1, 1, 1, 1, 1, 0, a, params, NULL));
    int before = atomic_load(&calls);
    cuLaunchHostFunc(a, note, &third); // refused or dropped, as the error comes early or late
    CUresult r = cuStreamAddCallback(a, status_of, &third, 0);
    EXPECT(cuStreamSynchronize(a), CUDA_ERROR_ILLEGAL_ADDRESS);
    for (int i = 0; i < 1000 && r == CUDA_SUCCESS && atomic_load(&calls) == before; i++)
        usleep(1000);
    EXPECT(atomic_load(&calls), before + (r == CUDA_SUCCESS));
    if (r == CUDA_SUCCESS)
        EXPECT(atomic_load(&last_status), CUDA_ERROR_ILLEGAL_ADDRESS);
    EXPECT(cuLaunchHostFunc(a, NULL, NULL), CUDA_ERROR_ILLEGAL_ADDRESS);
}

static void host_functions_keep_order(void **unused)
{
    (void)unused;
    in_child("", host_body);
}

static void value_body(void)
{
    f = set_up();
    CUstream a = make_stream(CU_STREAM_NON_BLOCKING), b = make_stream(CU_STREAM_NON_BLOCKING);
    uint64_t *pinned;
    OK(cuMemHostAlloc((void **)&pinned, 64, 0));
    CUdeviceptr p = (CUdeviceptr)(uintptr_t)pinned;
    static const struct {
        uint64_t before, wanted, after;
        unsigned flags;
    } cases[] = {
        {4, 5, 5, CU_STREAM_WAIT_VALUE_GEQ},          {4, 5, 6, CU_STREAM_WAIT_VALUE_GEQ},
        {0xfffffff0, 1, 2, CU_STREAM_WAIT_VALUE_GEQ}, // cyclic: behind, not ahead
        {4, 5, 5, CU_STREAM_WAIT_VALUE_EQ},           {1, 6, 4, CU_STREAM_WAIT_VALUE_AND},
        {0xfffffff0, 0xf, 0, CU_STREAM_WAIT_VALUE_NOR},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        __atomic_store_n((uint32_t *)pinned, (uint32_t)cases[i].before, __ATOMIC_RELEASE);
        OK(cuStreamWaitValue32_v2(a, p, (uint32_t)cases[i].wanted, cases[i].flags));
        OK(add(&f, f.word, 1, a));
        usleep(2000);
        EXPECT(cuStreamQuery(a), CUDA_ERROR_NOT_READY);
        __atomic_store_n((uint32_t *)pinned, (uint32_t)cases[i].after, __ATOMIC_RELEASE);
        OK(cuStreamSynchronize(a));
        EXPECT(word_at(f.word), i + 1);
    }
    OK(cuStreamWaitValue64_v2(a, p + 8, UINT64_C(1) << 40, CU_STREAM_WAIT_VALUE_GEQ));
    OK(cuStreamWriteValue64_v2(b, p + 8, UINT64_C(1) << 41, 0));
    OK(cuStreamSynchronize(a));
    EXPECT(pinned[1], UINT64_C(1) << 41);
    OK(cuStreamWriteValue32_v2(b, f.word + OTHER, 77, CU_STREAM_WRITE_VALUE_NO_MEMORY_BARRIER));
    OK(cuStreamSynchronize(b));
    EXPECT(word_at(f.word + OTHER), 77);
    EXPECT(cuStreamWaitValue32_v2(a, p + 2, 1, 0), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuStreamWaitValue64_v2(a, p + 4, 1, 0), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuStreamWaitValue32_v2(a, p, 1, 4), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuStreamWaitValue32_v2(a, p, 1, CU_STREAM_WAIT_VALUE_FLUSH), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuStreamWriteValue32_v2(a, p, 1, 2), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuStreamWaitValue32_v2(a, 0x1000, 1, 0), CUDA_ERROR_INVALID_VALUE);
}

static void values_are_waited_for(void **unused)
{
    (void)unused;
    in_child("", value_body);
}

static atomic_int submitted;

static void *flood(void *stream)
{
    OK(cuCtxSetCurrent(f.context));
    for (int i = 0; i < 1500; i++) {
        OK(add(&f, f.word, 1, stream));
        atomic_fetch_add(&submitted, 1);
    }
    return NULL;
}

static void window_body(void)
{
    f = set_up();
    CUstream s = make_stream(CU_STREAM_NON_BLOCKING), other = make_stream(CU_STREAM_NON_BLOCKING);
    pthread_t thread;
    OK(hold(&f, f.word + FLAG, f.word + SEEN, s));
    pthread_create(&thread, NULL, flood, s);
    for (int i = 0; i < 500 && atomic_load(&submitted) < 1023; i++)
        usleep(10000);
    usleep(50000);
    EXPECT(atomic_load(&submitted), 1023); // with the one that holds it: 1,024
    OK(add(&f, f.word + OTHER, 1, other)); // others are not concerned
    OK(cuStreamSynchronize(other));
    write_flag();
    pthread_join(thread, NULL);
    OK(cuStreamSynchronize(s));
    EXPECT(word_at(f.word), 1500);
}

static void the_window_blocks(void **unused)
{
    (void)unused;
    in_child("", window_body);
}

static void many_body(void)
{
    enum { MANY = 10000 };
    static CUstream streams[MANY];
    static CUevent events[MANY];
    f = set_up();
    for (int i = 0; i < MANY; i++) {
        streams[i] = make_stream(i % 2 ? CU_STREAM_NON_BLOCKING : CU_STREAM_DEFAULT);
        events[i] = make_event(CU_EVENT_DISABLE_TIMING);
    }
    // A chain through all of them: each waits for the one before. Completing it must not need a stack as deep.
    OK(hold(&f, f.word + FLAG, f.word + SEEN, streams[0]));
    for (int i = 0; i < MANY; i++) {
        if (i)
            OK(cuStreamWaitEvent(streams[i], events[i - 1], 0));
        OK(cuEventRecord(events[i], streams[i]));
    }
    EXPECT(cuEventQuery(events[MANY - 1]), CUDA_ERROR_NOT_READY);
    write_flag();
    OK(cuEventSynchronize(events[MANY - 1]));
    for (int i = 0; i < MANY; i++)
        OK(add(&f, f.word, 1, streams[i]));
    OK(cuCtxSynchronize());
    EXPECT(word_at(f.word), MANY);
    for (int i = 0; i < MANY; i++) {
        OK(cuStreamDestroy_v2(streams[i]));
        OK(cuEventDestroy_v2(events[i]));
        EXPECT(cuStreamQuery(streams[i]), CUDA_ERROR_INVALID_HANDLE);
    }
}

static void ten_thousand_are_fine(void **unused)
{
    (void)unused;
    in_child("", many_body);
}

static void destroy_body(void)
{
    f = set_up();
    CUstream s = make_stream(CU_STREAM_NON_BLOCKING);
    OK(hold(&f, f.word + FLAG, f.word + SEEN, s));
    OK(add(&f, f.word, 9, s));
    OK(cuStreamDestroy_v2(s)); // what is queued still runs
    EXPECT(cuStreamSynchronize(s), CUDA_ERROR_INVALID_HANDLE);
    EXPECT(cuStreamDestroy_v2(s), CUDA_ERROR_INVALID_HANDLE);
    EXPECT(cuStreamDestroy_v2(CU_STREAM_LEGACY), CUDA_ERROR_INVALID_HANDLE);
    write_flag();
    OK(cuCtxSynchronize());
    EXPECT(word_at(f.word), 9);
    int priority;
    OK(cuStreamCreateWithPriority(&s, 0, -100));
    OK(cuStreamGetPriority(s, &priority));
    EXPECT(priority, -5);
    unsigned flags;
    OK(cuStreamGetFlags(s, &flags));
    EXPECT(flags, 0);
    CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_ACTIVE;
    OK(cuStreamIsCapturing(s, &status));
    EXPECT(status, CU_STREAM_CAPTURE_STATUS_NONE);
    CUcontext c;
    OK(cuStreamGetCtx(s, &c));
    TRUE(c == f.context);
    EXPECT(cuStreamCreate(&s, 2), CUDA_ERROR_INVALID_VALUE);
}

static void destroyed_streams_finish(void **unused)
{
    (void)unused;
    in_child("", destroy_body);
}

// Kernels of 200 us in two streams at the same time: 100 in each take 20 ms, not 40, and the events say so exactly. Everything is queued
// behind a memory value, so that how long the queueing takes does not matter.
static void time_body(void)
{
    f = set_up();
    CUstream a = make_stream(CU_STREAM_NON_BLOCKING), b = make_stream(CU_STREAM_NON_BLOCKING);
    CUevent from = make_event(0), to = make_event(0), other = make_event(0);
    CUdeviceptr d;
    uint32_t *pinned;
    float ms;
    OK(cuMemAlloc_v2(&d, 2 << 20));
    OK(cuMemHostAlloc((void **)&pinned, 2 << 20, 0));
    CUdeviceptr gate_at = (CUdeviceptr)(uintptr_t)pinned;
    OK(cuStreamWaitValue32_v2(a, gate_at, 1, CU_STREAM_WAIT_VALUE_EQ));
    OK(cuEventRecord(from, a));
    OK(cuStreamWaitEvent(b, from, 0));
    for (int i = 0; i < 100; i++) {
        OK(add(&f, f.word, 1, a));
        OK(add(&f, f.word, 1, b));
    }
    OK(cuEventRecord(to, a));
    OK(cuEventRecord(other, b));
    uint64_t start = now_ns();
    __atomic_store_n(pinned, 1, __ATOMIC_RELEASE);
    EXPECT(cuEventQuery(to), CUDA_ERROR_NOT_READY);
    OK(cuEventSynchronize(to));
    TRUE(now_ns() - start >= 20000000);
    OK(cuEventElapsedTime_v2(&ms, from, to));
    TRUE(ms > 19.999 && ms < 20.001);
    OK(cuEventSynchronize(other));
    OK(cuEventElapsedTime_v2(&ms, from, other));
    TRUE(ms > 19.999 && ms < 20.001);
    EXPECT(word_at(f.word), 200);
    // 1 MiB at 1 GB/s is 1.049 ms, from and to the host.
    OK(cuStreamWaitValue32_v2(a, gate_at, 2, CU_STREAM_WAIT_VALUE_EQ));
    OK(cuEventRecord(from, a));
    OK(cuMemcpyHtoDAsync_v2(d, pinned + 1024, 1 << 20, a));
    OK(cuMemcpyDtoHAsync_v2(pinned + 1024, d, 1 << 20, a));
    OK(cuEventRecord(to, a));
    __atomic_store_n(pinned, 2, __ATOMIC_RELEASE);
    OK(cuEventSynchronize(to));
    OK(cuEventElapsedTime_v2(&ms, from, to));
    TRUE(ms > 2.096 && ms < 2.098);
    // A host function sees what is before it, and runs no earlier.
    static int seen;
    start = now_ns();
    for (int i = 0; i < 50; i++)
        OK(add(&f, f.word, 1, a));
    OK(cuLaunchHostFunc(a, note, &seen));
    OK(cuStreamSynchronize(a));
    TRUE(now_ns() - start >= 10000000);
    TRUE(seen > 0);
}

static void time_is_virtual(void **unused)
{
    (void)unused;
    in_child("kernel_us=200,copy_gbps=1", time_body);
}

static void unexecuted_body(void)
{
    f = set_up();
    OK(add(&f, f.word, 1, NULL));
    EXPECT(word_at(f.word), 0); // computes nothing, copies all the same
}

static void exec_off_computes_nothing(void **unused)
{
    (void)unused;
    in_child("exec=off", unexecuted_body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_order),           cmocka_unit_test(pageable_is_captured),
        cmocka_unit_test(streams_are_concurrent), cmocka_unit_test(legacy_stream_orders),
        cmocka_unit_test(threads_have_streams),  cmocka_unit_test(events_order),
        cmocka_unit_test(host_functions_keep_order), cmocka_unit_test(values_are_waited_for),
        cmocka_unit_test(the_window_blocks),     cmocka_unit_test(ten_thousand_are_fine),
        cmocka_unit_test(destroyed_streams_finish), cmocka_unit_test(time_is_virtual),
        cmocka_unit_test(exec_off_computes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
