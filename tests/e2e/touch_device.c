// SPDX-License-Identifier: Apache-2.0
// Host buffers that outlive what they were copied from: device memory, streams, contexts, the device's state.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/e2e/touch.h"

enum { PAGE = TOUCH_PAGE, BYTES = TOUCH_BYTES };

static void begin_again(void) // a new context, when the old one is gone
{
    touch_context = e2e_open(0);
    CUmodule module = e2e_module();
    CU(cuModuleGetFunction(&touch_fill, module, "fill"));
    CU(cuModuleGetFunction(&touch_add, module, "add"));
    touch_source = e2e_alloc(TOUCH_MOST);
    touch_sink = e2e_alloc(TOUCH_MOST);
}

static void source_freed(void)
{
    uint8_t *host = touch_map(BYTES);
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        CUdeviceptr a = e2e_alloc(BYTES);
        touch_seed(a, BYTES, round);
        touch_truth(touch_model, 0, BYTES, round);
        CU(cuMemcpyDtoH(host, a, BYTES));
        CU(cuMemFree(a));
        EXPECT(host[PAGE] == touch_model[PAGE]);
        touch_up("freed", host, BYTES);
        a = e2e_alloc(BYTES);
        touch_seed(a, BYTES, 10 + round);
        touch_truth(touch_model, 0, BYTES, 10 + round);
        CU(cuMemcpyDtoH(host, a, BYTES));
        CU(cuMemFree(a));
        CUdeviceptr b = e2e_alloc(BYTES); // mostly where the other was
        CU(cuMemsetD8(b, 1, BYTES));
        touch_up("freed, and another's", host, BYTES);
        CU(cuMemcpyHtoD(b, host, BYTES));
        CU(cuMemFree(b));
        b = e2e_alloc(BYTES); // what was proven of the old one says nothing about this
        CU(cuMemsetD8(b, 2, BYTES));
        CU(cuMemcpyHtoD(b, host, BYTES));
        EXPECT(touch_device_is(b, touch_model, BYTES));
        CU(cuMemFree(b));
        EXPECT(!memcmp(host, touch_model, BYTES));
    }
    touch_unmap(host, BYTES);
}

static void context_destroyed(void)
{
    uint8_t *host = touch_map(BYTES), *untouched = touch_map(BYTES);
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        touch_down(untouched, BYTES, round);
        touch_down(host, BYTES, round);
        if (round)
            touch_up("before the end", host, BYTES);
        CU(cuCtxDestroy(touch_context));
        EXPECT(host[3 * PAGE] == touch_model[3 * PAGE]);
        host[4 * PAGE] = 1;
        begin_again();
        uint8_t was = touch_model[4 * PAGE];
        touch_model[4 * PAGE] = 1;
        touch_up("in the next context", host, BYTES);
        touch_model[4 * PAGE] = was;
        touch_up("in the next context, untouched", untouched, BYTES);
    }
    CU(cuCtxDestroy(touch_context));
    touch_context = NULL;
    EXPECT(!memcmp(untouched, touch_model, BYTES));
    touch_unmap(host, BYTES);
    touch_unmap(untouched, BYTES);
}

static void device_reset(void)
{
    uint8_t *host = touch_map(BYTES);
    CU(cuCtxDestroy(touch_context));
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        CUdeviceptr a;
        CUcontext primary;
        CU(cuDevicePrimaryCtxRetain(&primary, 0));
        CU(cuCtxSetCurrent(primary));
        CU(cuMemAlloc(&a, BYTES));
        CU(cuMemsetD32(a, 0x01020304 + round, BYTES / 4));
        CU(cuMemcpyDtoH(host, a, BYTES));
        EXPECT(host[PAGE] == 4 + round && host[5 * PAGE + 1] == 3);
        CU(cuDevicePrimaryCtxReset(0));
        for (size_t i = 0; i < BYTES / 4; i++)
            ((uint32_t *)touch_model)[i] = 0x01020304 + round;
        EXPECT(!memcmp(host, touch_model, BYTES));
        CU(cuCtxSetCurrent(NULL));
        begin_again();
        touch_up("after a reset", host, BYTES);
        CU(cuCtxDestroy(touch_context));
        touch_context = NULL;
        if (round % 2)
            CU(cuDevicePrimaryCtxReset(0));
    }
    touch_unmap(host, BYTES);
}

// A context that an error has made unusable: what was copied out of it and looked at before stays.
static void after_an_error(void)
{
    uint8_t *host = touch_map(BYTES);
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        CUdeviceptr bad = 16;
        unsigned value = 1;
        void *parameters[] = {&bad, &value};
        touch_down(host, BYTES, round);
        EXPECT(!memcmp(host, touch_model, BYTES));
        CUfunction poke = e2e_kernel("poke");
        CU(cuLaunchKernel(poke, 1, 1, 1, 1, 1, 1, 0, NULL, parameters, NULL));
        EXPECT_CODE(CUDA_ERROR_ILLEGAL_ADDRESS, cuCtxSynchronize());
        EXPECT(host[PAGE] == touch_model[PAGE]);
        EXPECT_CODE(CUDA_ERROR_ILLEGAL_ADDRESS, cuMemcpyHtoD(touch_sink, host, BYTES));
        EXPECT_CODE(CUDA_ERROR_ILLEGAL_ADDRESS, cuMemcpyDtoH(host, touch_source, BYTES));
        EXPECT(!memcmp(host, touch_model, BYTES));
        cuCtxDestroy(touch_context);
        begin_again();
        touch_up("after an error", host, BYTES);
    }
    touch_unmap(host, BYTES);
}

// Errors of a copy are told where a driver tells them, and leave the buffer as it was.
static void refused(void)
{
    uint8_t *host = touch_map(BYTES);
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        touch_down(host, BYTES, round);
        EXPECT_CODE(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoH(host, touch_source + TOUCH_MOST - PAGE, 2 * PAGE));
        EXPECT_CODE(CUDA_ERROR_INVALID_VALUE, cuMemcpyHtoD(touch_sink + TOUCH_MOST - PAGE, host, 2 * PAGE));
        EXPECT_CODE(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoH(host, 0, PAGE));
        EXPECT_CODE(CUDA_SUCCESS, cuMemcpyDtoH(host, touch_source, 0));
        touch_up("refused", host, BYTES);
        touch_down(host, BYTES, 10 + round);
        EXPECT_CODE(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoH(host + PAGE, touch_source + TOUCH_MOST - PAGE, PAGE + 1));
        EXPECT(!memcmp(host, touch_model, BYTES));
    }
    printf("refused\n");
    touch_unmap(host, BYTES);
}

static void two_contexts(void)
{
    uint8_t *host = touch_map(BYTES);
    CUcontext other;
    CU(cuCtxCreate(&other, NULL, 0, 0));
    CUdeviceptr there = e2e_alloc(BYTES);
    CUfunction fill = e2e_kernel("fill");
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        CU(cuCtxSetCurrent(touch_context));
        touch_down(host, BYTES, round);
        CU(cuCtxSetCurrent(other));
        CU(cuMemcpyHtoD(there, host, BYTES));
        EXPECT(touch_device_is(there, touch_model, BYTES));
        e2e_fill(fill, NULL, there, BYTES / 4, 10 + round);
        touch_truth(touch_model, 0, BYTES / 2, 10 + round);
        CU(cuMemcpyDtoH(host, there, BYTES / 2)); // half of each
        CU(cuCtxSetCurrent(touch_context));
        touch_up("of two contexts", host, BYTES);
    }
    CU(cuCtxSetCurrent(other));
    CU(cuMemcpyDtoH(host, there, BYTES));
    CU(cuCtxDestroy(other));
    CU(cuCtxSetCurrent(touch_context));
    touch_truth(touch_model, 0, BYTES, 10 + TOUCH_ROUNDS - 1);
    touch_up("of one that is gone", host, BYTES);
    touch_unmap(host, BYTES);
}

// Pageable memory and streams: asynchronous calls that wait, and streams that are gone.
static void streams(void)
{
    uint8_t *host = touch_map(BYTES);
    for (unsigned round = 0; round < TOUCH_ROUNDS; round++) {
        CUstream a, b;
        CUevent done;
        CU(cuStreamCreate(&a, CU_STREAM_NON_BLOCKING));
        CU(cuStreamCreate(&b, CU_STREAM_NON_BLOCKING));
        CU(cuEventCreate(&done, CU_EVENT_DISABLE_TIMING));
        e2e_fill(touch_fill, a, touch_source, BYTES / 4, round);
        touch_truth(touch_model, 0, BYTES, round);
        CU(cuMemcpyDtoHAsync(host, touch_source, BYTES, a));
        CU(cuStreamSynchronize(a));
        CU(cuStreamDestroy(a));
        EXPECT(host[PAGE] == touch_model[PAGE]);
        CU(cuMemcpyHtoDAsync(touch_sink, host, BYTES, b));
        host[PAGE] = (uint8_t)(host[PAGE] + 1); // it has been taken
        CU(cuStreamSynchronize(b));
        EXPECT(touch_device_is(touch_sink, touch_model, BYTES));
        touch_model[PAGE]++;
        // Several copies of one buffer in one stream, each before the next kernel.
        for (unsigned i = 0; i < 5; i++) {
            e2e_fill(touch_fill, b, touch_source, BYTES / 4, 100 * round + i);
            CU(cuMemcpyDtoHAsync(host, touch_source, BYTES, b));
            CU(cuMemcpyHtoDAsync(touch_sink + (i + 1) * BYTES % TOUCH_MOST, host, BYTES, b));
        }
        CU(cuEventRecord(done, b));
        CU(cuEventSynchronize(done));
        for (unsigned i = 0; i < 5; i++) {
            touch_truth(touch_model, 0, BYTES, 100 * round + i);
            EXPECT(touch_device_is(touch_sink + (i + 1) * BYTES % TOUCH_MOST, touch_model, BYTES));
        }
        touch_up("streams", host, BYTES);
        CU(cuEventDestroy(done));
        CU(cuStreamDestroy(b));
    }
    touch_unmap(host, BYTES);
}

const struct touch_case touch_device[] = {
    {"source_freed", source_freed}, {"context_destroyed", context_destroyed}, {"device_reset", device_reset}, {"after_an_error", after_an_error},
    {"refused", refused},           {"two_contexts", two_contexts},           {"streams_gone", streams},      {NULL, NULL},
};
