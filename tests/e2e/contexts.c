// SPDX-License-Identifier: Apache-2.0
// Several devices and contexts: has each thread its stack of contexts, belong handles and memory to their
// context, live primary contexts as long as they are retained, and do copies between devices arrive?
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

#include "tests/e2e/e2e.h"

enum { WORDS = 5000 };

extern const char e2e_kernels_ptx[];

static CUdevice devices[2];
static CUcontext contexts[4]; // 0 and 1 on the first device, 2 and 3 on the second

static CUcontext current(void)
{
    CUcontext c;
    CU(cuCtxGetCurrent(&c));
    return c;
}

static CUdevice current_device(void)
{
    CUdevice d;
    CU(cuCtxGetDevice(&d));
    return d;
}

static void create(void)
{
    int count;
    printf("-- contexts\n");
    CU(cuDeviceGetCount(&count));
    printf("%d devices\n", count);
    for (int i = 0; i < 2; i++)
        CU(cuDeviceGet(&devices[i], i));
    EXPECT(current() == NULL);
    for (int i = 0; i < 4; i++) {
        CU(cuCtxCreate(&contexts[i], NULL, 0, devices[i / 2]));
        EXPECT(current() == contexts[i]);
        EXPECT(current_device() == devices[i / 2]);
    }
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < i; k++)
            EXPECT(contexts[i] != contexts[k]);
}

static void stacks(void)
{
    CUcontext c;
    printf("-- the stack\n");
    for (int i = 4; i-- > 0;) { // creating pushed them
        WANT(CUDA_SUCCESS, cuCtxPopCurrent(&c));
        EXPECT(c == contexts[i]);
    }
    EXPECT(current() == NULL);
    WANT(CUDA_ERROR_INVALID_CONTEXT, cuCtxPopCurrent(&c));
    CU(cuCtxPushCurrent(contexts[2]));
    CU(cuCtxPushCurrent(contexts[0]));
    CU(cuCtxPushCurrent(contexts[0]));
    EXPECT(current() == contexts[0]);
    CU(cuCtxSetCurrent(contexts[3])); // takes the place of the topmost
    CU(cuCtxPopCurrent(&c));
    EXPECT(c == contexts[3]);
    EXPECT(current() == contexts[0]);
    CU(cuCtxSetCurrent(NULL)); // pops
    EXPECT(current() == contexts[2]);
    EXPECT(current_device() == devices[1]);
    CU(cuCtxPopCurrent(NULL));
    EXPECT(current() == NULL);
}

static sem_t all_have_pushed;

static void stack_of_a_thread(unsigned number)
{
    CUcontext mine = contexts[number % 4];
    EXPECT(current() == NULL);
    CU(cuCtxPushCurrent(mine));
    sem_post(&all_have_pushed);
    sem_wait(&all_have_pushed);
    EXPECT(current() == mine);
    CUdeviceptr words = e2e_alloc(WORDS * 4);
    CUfunction fill = e2e_kernel("fill");
    static uint32_t got[16][WORDS];
    for (unsigned i = 0; i < 10; i++) {
        e2e_fill(fill, NULL, words, WORDS, number * 100 + i);
        CU(cuMemcpyDtoH(got[number], words, WORDS * 4));
        EXPECT(e2e_is_filled(got[number], WORDS, number * 100 + i));
    }
    CU(cuMemFree(words));
    CU(cuCtxPopCurrent(NULL));
    EXPECT(current() == NULL);
}

static void scopes(void)
{
    CUstream stream;
    CUevent event, theirs;
    CUmodule module;
    CUfunction fill, other_fill;
    CUdeviceptr words, scale;
    CUcontext of;
    size_t size;
    uint32_t got[WORDS];
    printf("-- handles and memory belong to their context\n");
    CU(cuCtxSetCurrent(contexts[0]));
    CU(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    CU(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
    CU(cuModuleLoadData(&module, e2e_kernels_ptx));
    CU(cuModuleGetFunction(&fill, module, "fill"));
    CU(cuModuleGetGlobal(&scale, &size, module, "scale"));
    EXPECT(size == 4);
    words = e2e_alloc(WORDS * 4);
    CU(cuCtxSetCurrent(contexts[2]));
    other_fill = e2e_kernel("fill");
    CU(cuEventCreate(&theirs, CU_EVENT_DISABLE_TIMING));
    WANT(CUDA_ERROR_INVALID_HANDLE, cuEventRecord(event, NULL));
    WANT(CUDA_SUCCESS, cuStreamGetCtx(stream, &of));
    EXPECT(of == contexts[0]);
    unsigned count = WORDS, value = 9;
    void *parameters[] = {&words, &count, &value};
    WANT(CUDA_ERROR_INVALID_HANDLE,
         cuLaunchKernel(other_fill, 40, 1, 1, 128, 1, 1, 0, stream, parameters, NULL));
    WANT(CUDA_ERROR_INVALID_HANDLE, cuLaunchKernel(fill, 40, 1, 1, 128, 1, 1, 0, NULL, parameters, NULL));
    // Nor is a launch into a stream of another context than the current one; waiting for it and copying from
    // there is.
    WANT(CUDA_ERROR_INVALID_HANDLE, cuLaunchKernel(fill, 40, 1, 1, 128, 1, 1, 0, stream, parameters, NULL));
    CU(cuCtxPushCurrent(contexts[0]));
    WANT(CUDA_SUCCESS, cuLaunchKernel(fill, 40, 1, 1, 128, 1, 1, 0, stream, parameters, NULL));
    CU(cuCtxPopCurrent(NULL));
    WANT(CUDA_SUCCESS, cuStreamSynchronize(stream));
    WANT(CUDA_SUCCESS, cuMemcpyDtoH(got, words, WORDS * 4));
    EXPECT(e2e_is_filled(got, WORDS, 9));
    // Waiting for another context's event orders the two.
    CU(cuCtxSetCurrent(contexts[0]));
    e2e_fill(fill, stream, words, WORDS, 10);
    CU(cuEventRecord(event, stream));
    CU(cuCtxSetCurrent(contexts[2]));
    CUstream second;
    CUdeviceptr far = e2e_alloc(WORDS * 4);
    CU(cuStreamCreate(&second, CU_STREAM_NON_BLOCKING));
    WANT(CUDA_SUCCESS, cuStreamWaitEvent(second, event, 0));
    WANT(CUDA_SUCCESS, cuMemcpyPeerAsync(far, contexts[2], words, contexts[0], WORDS * 4, second));
    WANT(CUDA_SUCCESS, cuStreamSynchronize(second));
    CU(cuMemcpyDtoH(got, far, WORDS * 4));
    EXPECT(e2e_is_filled(got, WORDS, 10));
    CU(cuMemFree(far));
    CU(cuCtxSetCurrent(contexts[0]));
    CU(cuMemFree(words));
    CU(cuCtxSetCurrent(NULL));
}

static void peers(void)
{
    int can;
    uint32_t got[WORDS], sent[WORDS];
    CUdeviceptr near, far;
    printf("-- copies between devices\n");
    CU(cuDeviceCanAccessPeer(&can, devices[0], devices[1]));
    printf("peer access: %s\n", can ? "yes" : "no");
    for (unsigned i = 0; i < WORDS; i++)
        sent[i] = 70 + i;
    CU(cuCtxPushCurrent(contexts[0]));
    near = e2e_alloc(WORDS * 4);
    CU(cuMemcpyHtoD(near, sent, sizeof sent));
    CU(cuCtxPushCurrent(contexts[3]));
    far = e2e_alloc(WORDS * 4);
    WANT(CUDA_SUCCESS, cuMemcpyPeer(far, contexts[3], near, contexts[0], sizeof sent));
    CU(cuMemcpyDtoH(got, far, sizeof got));
    EXPECT(e2e_is_filled(got, WORDS, 70));
    CU(cuMemsetD32(near, 0, WORDS));
    CUDA_MEMCPY3D_PEER box = {.srcMemoryType = CU_MEMORYTYPE_DEVICE,
                              .srcDevice = far,
                              .srcPitch = 400,
                              .srcHeight = 10,
                              .srcContext = contexts[3],
                              .dstMemoryType = CU_MEMORYTYPE_DEVICE,
                              .dstDevice = near,
                              .dstPitch = 400,
                              .dstHeight = 10,
                              .dstContext = contexts[0],
                              .WidthInBytes = 400,
                              .Height = 10,
                              .Depth = 5};
    WANT(CUDA_SUCCESS, cuMemcpy3DPeer(&box));
    CU(cuCtxPopCurrent(NULL));
    CU(cuMemcpyDtoH(got, near, sizeof got));
    EXPECT(e2e_is_filled(got, WORDS, 70));
    WANT(CUDA_ERROR_INVALID_CONTEXT, cuMemcpyPeer(far, NULL, near, contexts[0], 16));
    CU(cuMemFree(near));
    CU(cuCtxSetCurrent(contexts[3]));
    CU(cuMemFree(far));
    CU(cuCtxPopCurrent(NULL));
}

static void primary(void)
{
    CUcontext p, again;
    unsigned flags;
    int active;
    CUdeviceptr words;
    printf("-- primary contexts\n");
    CU(cuDevicePrimaryCtxGetState(devices[1], &flags, &active));
    printf("active: %d\n", active);
    WANT(CUDA_ERROR_INVALID_CONTEXT, cuDevicePrimaryCtxRelease(devices[1]));
    WANT(CUDA_SUCCESS, cuDevicePrimaryCtxSetFlags(devices[1], CU_CTX_SCHED_YIELD));
    WANT(CUDA_SUCCESS, cuDevicePrimaryCtxRetain(&p, devices[1]));
    WANT(CUDA_SUCCESS, cuDevicePrimaryCtxRetain(&again, devices[1]));
    EXPECT(p == again);
    EXPECT(current() == NULL); // retaining makes nothing current
    CU(cuDevicePrimaryCtxGetState(devices[1], &flags, &active));
    printf("active: %d, flags %u\n", active, flags);
    CU(cuCtxSetCurrent(p));
    EXPECT(current_device() == devices[1]);
    words = e2e_alloc(400);
    CU(cuMemsetD32(words, 3, 100));
    WANT(CUDA_SUCCESS, cuDevicePrimaryCtxRelease(devices[1]));
    WANT(CUDA_SUCCESS, cuMemFree(words)); // one is left
    words = e2e_alloc(400);
    WANT(CUDA_SUCCESS, cuDevicePrimaryCtxReset(devices[1]));
    CU(cuDevicePrimaryCtxGetState(devices[1], &flags, &active));
    printf("active after the reset: %d\n", active);
    WANT(CUDA_SUCCESS, cuDevicePrimaryCtxRetain(&again, devices[1]));
    CU(cuCtxSetCurrent(again));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemFree(words)); // gone with what was reset
    words = e2e_alloc(400);
    WANT(CUDA_SUCCESS, cuMemsetD32(words, 3, 100));
    WANT(CUDA_SUCCESS, cuDevicePrimaryCtxRelease(devices[1]));
    CU(cuCtxSetCurrent(NULL));
}

static void destroy(void)
{
    CUdeviceptr words;
    CUstream stream;
    printf("-- destroying contexts\n");
    CU(cuCtxPushCurrent(contexts[1]));
    words = e2e_alloc(400);
    CU(cuStreamCreate(&stream, 0));
    CU(cuCtxPopCurrent(NULL));
    CU(cuCtxPushCurrent(contexts[0]));
    WANT(CUDA_SUCCESS, cuCtxDestroy(contexts[1])); // not the current one
    EXPECT(current() == contexts[0]);
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemFree(words));
    WANT(CUDA_SUCCESS, cuCtxSynchronize());
    WANT(CUDA_SUCCESS, cuCtxDestroy(contexts[0])); // the current one is popped
    EXPECT(current() == NULL);
    WANT(CUDA_ERROR_INVALID_CONTEXT, cuCtxSetCurrent(contexts[0]));
    for (int i = 2; i < 4; i++)
        WANT(CUDA_SUCCESS, cuCtxDestroy(contexts[i]));
}

int main(void)
{
    CU(cuInit(0));
    create();
    stacks();
    sem_init(&all_have_pushed, 0, 0);
    e2e_threads(16, stack_of_a_thread);
    printf("16 threads with stacks of their own: done\n");
    scopes();
    peers();
    primary();
    destroy();
    return e2e_finish();
}
