// SPDX-License-Identifier: Apache-2.0
// Do events complete when the work before them has, is elapsed time sane (never negative, additive, refused
// where timing is off), and do query, synchronise and re-record behave?
#include "compat.cuh"

__global__ void spin(unsigned *out, int loops)
{
    unsigned v = threadIdx.x;
    for (int i = 0; i < loops; i++)
        v = v * 1664525u + 1013904223u;
    out[threadIdx.x] = v;
}

int main()
{
    cudaEvent_t first, middle, last, untimed, never;
    cudaStream_t stream;
    unsigned *out = device_alloc<unsigned>(64);

    CHECK(cudaEventCreate(&first));
    CHECK(cudaEventCreateWithFlags(&middle, cudaEventDefault));
    CHECK(cudaEventCreateWithFlags(&last, cudaEventBlockingSync));
    CHECK(cudaEventCreateWithFlags(&untimed, cudaEventDisableTiming));
    CHECK(cudaEventCreate(&never));
    CHECK(cudaStreamCreate(&stream));

    // An event that was never recorded is complete and has no time.
    float ms = -1;
    EXPECT_ERROR(cudaEventQuery(never), cudaSuccess);
    CHECK(cudaEventSynchronize(never));
    EXPECT_ERROR(cudaEventElapsedTime(&ms, never, never), cudaErrorInvalidResourceHandle);
    (void)cudaGetLastError();

    CHECK(cudaEventRecord(first, stream));
    spin<<<1, 64, 0, stream>>>(out, 20000);
    CHECK(cudaEventRecord(middle, stream));
    spin<<<1, 64, 0, stream>>>(out, 40000);
    CHECK(cudaEventRecord(last, stream));
    CHECK(cudaEventRecord(untimed, stream));
    CHECK(cudaEventSynchronize(last));
    EXPECT(cudaEventQuery(first) == cudaSuccess && cudaEventQuery(middle) == cudaSuccess &&
           cudaEventQuery(last) == cudaSuccess);
    float whole = -1, a = -1, b = -1;
    CHECK(cudaEventElapsedTime(&whole, first, last));
    CHECK(cudaEventElapsedTime(&a, first, middle));
    CHECK(cudaEventElapsedTime(&b, middle, last));
    EXPECT(a > 0 && b > 0 && whole > 0 && whole < 60000);
    EXPECT(whole > (a + b) * 0.98f - 0.01f && whole < (a + b) * 1.02f + 0.01f);
    CHECK(cudaEventElapsedTime(&ms, last, first)); // backwards: negative, and no error
    EXPECT(ms < 0);
    CHECK(cudaEventSynchronize(untimed));
    EXPECT_ERROR(cudaEventElapsedTime(&ms, first, untimed), cudaErrorInvalidResourceHandle);
    (void)cudaGetLastError();

    // Recorded again, an event stands for the later place.
    float again = -1;
    CHECK(cudaEventRecord(last, stream));
    CHECK(cudaStreamSynchronize(stream));
    CHECK(cudaEventElapsedTime(&again, first, last));
    EXPECT(again >= whole);

    // A host function that waits for us keeps the event behind it incomplete: not ready, until it is let go.
    static volatile bool go = false;
    CHECK(cudaLaunchHostFunc(
        stream,
        [](void *flag) {
            while (!*(volatile bool *)flag) {
            }
        },
        (void *)&go));
    CHECK(cudaEventRecord(middle, stream));
    EXPECT_ERROR(cudaEventQuery(middle), cudaErrorNotReady);
    EXPECT_ERROR(cudaStreamQuery(stream), cudaErrorNotReady);
    go = true;
    CHECK(cudaEventSynchronize(middle));
    EXPECT_ERROR(cudaEventQuery(middle), cudaSuccess);
    (void)cudaGetLastError(); // 'not ready' counts as the last error

    for (cudaEvent_t e : {first, middle, last, untimed, never})
        CHECK(cudaEventDestroy(e));
    CHECK(cudaStreamDestroy(stream));
    return finish("event_basic");
}
