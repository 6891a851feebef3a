// SPDX-License-Identifier: Apache-2.0
// Do event waits order work across streams: a diamond of four streams repeated many times, a wait on an event
// recorded again later, a wait on one never recorded, and an event destroyed right after the wait was issued?
#include "compat.cuh"

__global__ void combine(unsigned *to, const unsigned *a, const unsigned *b, int n, unsigned add)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        to[i] = a[i] * 3u + b[i] * 5u + add;
}

int main()
{
    const int n = 1024, rounds = 40;
    cudaStream_t s[4];
    unsigned *v[4];
    std::vector<unsigned> want[4];
    for (int k = 0; k < 4; k++) {
        CHECK(cudaStreamCreateWithFlags(&s[k], cudaStreamNonBlocking));
        want[k].assign(n, 0);
        for (int i = 0; i < n; i++)
            want[k][i] = (unsigned)(k * n + i);
        v[k] = to_device(want[k]);
    }
    CHECK(cudaDeviceSynchronize());
    auto on_cpu = [&](int to, int a, int b, unsigned add) {
        for (int i = 0; i < n; i++)
            want[to][i] = want[a][i] * 3u + want[b][i] * 5u + add;
    };
    for (unsigned r = 0; r < rounds; r++) {
        cudaEvent_t top, left, right, bottom;
        for (cudaEvent_t *e : {&top, &left, &right, &bottom})
            CHECK(cudaEventCreateWithFlags(e, cudaEventDisableTiming));
        combine<<<n / 128, 128, 0, s[0]>>>(v[0], v[0], v[3], n, r);
        CHECK(cudaEventRecord(top, s[0]));
        CHECK(cudaStreamWaitEvent(s[1], top, 0));
        CHECK(cudaStreamWaitEvent(s[2], top, 0));
        combine<<<n / 128, 128, 0, s[1]>>>(v[1], v[0], v[1], n, 1);
        combine<<<n / 128, 128, 0, s[2]>>>(v[2], v[0], v[2], n, 2);
        CHECK(cudaEventRecord(left, s[1]));
        CHECK(cudaEventRecord(right, s[2]));
        CHECK(cudaStreamWaitEvent(s[3], left, 0));
        CHECK(cudaStreamWaitEvent(s[3], right, 0));
        combine<<<n / 128, 128, 0, s[3]>>>(v[3], v[1], v[2], n, 3);
        CHECK(cudaEventRecord(bottom, s[3]));
        CHECK(cudaStreamWaitEvent(s[0], bottom, 0));
        for (cudaEvent_t e : {top, left, right, bottom}) // freed by the runtime once they have happened
            CHECK(cudaEventDestroy(e));
        on_cpu(0, 0, 3, r);
        on_cpu(1, 0, 1, 1);
        on_cpu(2, 0, 2, 2);
        on_cpu(3, 1, 2, 3);
    }
    CHECK(cudaStreamSynchronize(s[0]));
    for (int k = 0; k < 4; k++) {
        expect_equal(("stream " + std::to_string(k)).c_str(), to_host(v[k], n), want[k]);
        printf("stream %d %016llx\n", k, (unsigned long long)digest(want[k]));
    }

    // A wait refers to the record before it: recording again does not move it, and an unrecorded event holds
    // nobody up.
    cudaEvent_t e, never;
    CHECK(cudaEventCreate(&e));
    CHECK(cudaEventCreate(&never));
    static volatile bool go = false;
    CHECK(cudaEventRecord(e, s[0]));
    CHECK(cudaStreamWaitEvent(s[1], e, 0));
    CHECK(cudaStreamWaitEvent(s[1], never, 0));
    CHECK(cudaLaunchHostFunc(
        s[0],
        [](void *flag) {
            while (!*(volatile bool *)flag) {
            }
        },
        (void *)&go));
    CHECK(cudaEventRecord(e, s[0]));
    CHECK(cudaStreamSynchronize(s[1])); // must not wait for the host function
    EXPECT_ERROR(cudaEventQuery(e), cudaErrorNotReady);
    go = true;
    CHECK(cudaDeviceSynchronize());
    EXPECT_ERROR(cudaEventQuery(e), cudaSuccess);
    for (int k = 0; k < 4; k++)
        CHECK(cudaStreamDestroy(s[k]));
    return finish("event_graph");
}
