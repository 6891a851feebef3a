// SPDX-License-Identifier: Apache-2.0
// Do tens of thousands of launches without a synchronisation all run, in order, beside thousands of streams,
// events and allocations that come and go?
#include "compat.cuh"

__global__ void step(unsigned *v, unsigned by)
{
    *v = *v * 3u + by;
}

int main()
{
    unsigned *v = device_alloc<unsigned>(1), want = 1;
    CHECK(cudaMemcpy(v, &want, sizeof(want), cudaMemcpyHostToDevice));
    for (unsigned i = 0; i < 20000; i++) {
        step<<<1, 1>>>(v, i);
        want = want * 3u + i;
    }
    CHECK(cudaGetLastError());
    EXPECT(to_host(v, 1)[0] == want);
    printf("20000 launches: %u\n", want);

    const int n = 500;
    std::vector<cudaStream_t> streams(n);
    std::vector<cudaEvent_t> events(n);
    std::vector<unsigned *> cells(n);
    for (int i = 0; i < n; i++) {
        CHECK(cudaStreamCreateWithFlags(&streams[i], cudaStreamNonBlocking));
        CHECK(cudaEventCreateWithFlags(&events[i], cudaEventDisableTiming));
        cells[i] = device_alloc<unsigned>(1);
    }
    // One chain through all the streams, joined by events.
    CHECK(cudaMemset(cells[0], 0, sizeof(unsigned)));
    CHECK(cudaDeviceSynchronize());
    for (int i = 0; i < n; i++) {
        if (i > 0) {
            CHECK(cudaStreamWaitEvent(streams[i], events[i - 1], 0));
            CHECK(cudaMemcpyAsync(cells[i], cells[i - 1], sizeof(unsigned), cudaMemcpyDeviceToDevice,
                                  streams[i]));
        }
        step<<<1, 1, 0, streams[i]>>>(cells[i], (unsigned)i);
        CHECK(cudaEventRecord(events[i], streams[i]));
    }
    CHECK(cudaEventSynchronize(events[n - 1]));
    want = 0;
    for (int i = 0; i < n; i++)
        want = want * 3u + (unsigned)i;
    EXPECT(to_host(cells[n - 1], 1)[0] == want);
    printf("chain of %d streams: %u\n", n, want);
    for (int i = 0; i < n; i++) {
        CHECK(cudaStreamDestroy(streams[i]));
        CHECK(cudaEventDestroy(events[i]));
        CHECK(cudaFree(cells[i]));
    }

    for (int i = 0; i < 2000; i++) {
        cudaStream_t s;
        cudaEvent_t e;
        CHECK(cudaStreamCreate(&s));
        CHECK(cudaEventCreate(&e));
        CHECK(cudaEventRecord(e, s));
        CHECK(cudaEventDestroy(e));
        CHECK(cudaStreamDestroy(s));
    }
    CHECK(cudaDeviceSynchronize());
    return finish("many_launches");
}
