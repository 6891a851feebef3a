// SPDX-License-Identifier: Apache-2.0
// Does the mock driver keep its books as a driver does? Initialisation, devices, contexts and their stacks, memory, copies, pointer
// attributes; and does misuse get the code that a driver gives, never a crash?
#include "test_mock.h"

static struct fixture f;

static void before_init_body(void)
{
    int version, count;
    CUcontext c;
    CUdeviceptr d;
    const char *text;
    void *entry;
    CUdriverProcAddressQueryResult status;
    OK(cuDriverGetVersion(&version));
    EXPECT(version, 13000);
    EXPECT(cuDeviceGetCount(&count), CUDA_ERROR_NOT_INITIALIZED);
    EXPECT(cuMemAlloc_v2(&d, 4), CUDA_ERROR_NOT_INITIALIZED);
    EXPECT(cuCtxGetCurrent(&c), CUDA_ERROR_NOT_INITIALIZED);
    OK(cuGetErrorName(CUDA_ERROR_ILLEGAL_ADDRESS, &text));
    EXPECT(strcmp(text, "CUDA_ERROR_ILLEGAL_ADDRESS"), 0);
    OK(cuGetErrorString(CUDA_ERROR_ILLEGAL_ADDRESS, &text));
    EXPECT(strcmp(text, "an illegal memory access was encountered"), 0);
    EXPECT(cuGetErrorName((CUresult)12345, &text), CUDA_ERROR_INVALID_VALUE);
    TRUE(text == NULL);
    OK(cuGetProcAddress_v2("cuMemAlloc", &entry, 12000, 0, &status));
    TRUE(entry == (void *)cuMemAlloc_v2);
    EXPECT(status, CU_GET_PROC_ADDRESS_SUCCESS);
    OK(cuGetProcAddress_v2("cuLaunchKernel", &entry, 12000, CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM, &status));
    TRUE(entry == (void *)cuLaunchKernel_ptsz);
    OK(cuGetProcAddress_v2("cuLibraryLoadData", &entry, 11000, 0, &status));
    TRUE(entry == NULL);
    EXPECT(status, CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT);
    OK(cuGetProcAddress_v2("cuNothing", &entry, 13000, 0, &status));
    EXPECT(status, CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND);
    EXPECT(cuGetProcAddress("cuNothing", &entry, 13000, 0), CUDA_ERROR_NOT_FOUND);
    EXPECT(cuGetProcAddress_v2(NULL, &entry, 13000, 0, &status), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuInit(1), CUDA_ERROR_INVALID_VALUE);
    OK(cuInit(0));
    OK(cuInit(0));
    EXPECT(cuMemAlloc_v2(&d, 4), CUDA_ERROR_INVALID_CONTEXT);
    OK(cuDeviceGetCount(&count));
    EXPECT(count, 2);
}

static void initialises(void **unused)
{
    (void)unused;
    in_child("devices=2", before_init_body);
}

static void refused_body(void)
{
    if (!freopen("/dev/null", "w", stderr))
        exit(1);
    CUresult r = cuInit(0);
    exit(r == CUDA_ERROR_INVALID_VALUE ? 0 : 1);
}

static void no_device_body(void) { EXPECT(cuInit(0), CUDA_ERROR_NO_DEVICE); }

static void unknown_options_are_refused(void **unused)
{
    (void)unused;
    in_child("memory=1G", refused_body);
    in_child("devices=two", refused_body);
    in_child("devices=0", no_device_body);
}

static void device_body(void)
{
    int value, other;
    char name[100], bus[20];
    CUuuid a, b;
    CUdevice d;
    OK(cuInit(0));
    OK(cuDeviceGetName(name, sizeof name, 0));
    EXPECT(strcmp(name, "Genie Mock Device"), 0);
    OK(cuDeviceGetUuid_v2(&a, 0));
    OK(cuDeviceGetUuid_v2(&b, 1));
    TRUE(memcmp(&a, &b, sizeof a) != 0);
    OK(cuDeviceGetPCIBusId(bus, sizeof bus, 1));
    OK(cuDeviceGetByPCIBusId(&d, bus));
    EXPECT(d, 1);
    EXPECT(cuDeviceGetByPCIBusId(&d, "0000:01:00.0"), CUDA_ERROR_INVALID_DEVICE);
    EXPECT(cuDeviceGetByPCIBusId(&d, "nonsense"), CUDA_ERROR_INVALID_VALUE);
    OK(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 0));
    EXPECT(value, 8);
    OK(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, 0));
    EXPECT(value, 6);
    OK(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 0));
    EXPECT(value, 5);
    OK(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, 0));
    OK(cuDeviceGetAttribute(&other, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR, 0));
    TRUE(value > 48 << 10 && value < other);
    for (int i = 1; i <= CU_DEVICE_ATTRIBUTE_ONLY_PARTIAL_HOST_NATIVE_ATOMIC_SUPPORTED; i++)
        OK(cuDeviceGetAttribute(&value, (CUdevice_attribute)i, 1));
    EXPECT(cuDeviceGetAttribute(&value, (CUdevice_attribute)0, 0), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuDeviceGetAttribute(&value, (CUdevice_attribute)9999, 0), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_WARP_SIZE, 2), CUDA_ERROR_INVALID_DEVICE);
    EXPECT(cuDeviceGet(&d, 2), CUDA_ERROR_INVALID_DEVICE);
    EXPECT(cuDeviceGet(&d, -1), CUDA_ERROR_INVALID_DEVICE);
    EXPECT(cuDeviceGet(NULL, 0), CUDA_ERROR_INVALID_VALUE);
    size_t bytes;
    OK(cuDeviceTotalMem_v2(&bytes, 0));
    EXPECT(bytes, 64 << 20);
}

static void devices_are_coherent(void **unused)
{
    (void)unused;
    in_child("devices=2,sm=86,sms=5,mem=64M", device_body);
}

static void *other_thread(void *context)
{
    CUcontext c;
    CUdeviceptr d;
    OK(cuCtxGetCurrent(&c));
    TRUE(c == NULL); // each thread has its own stack
    OK(cuCtxSetCurrent(context));
    OK(cuMemAlloc_v2(&d, 4));
    return NULL;
}

static pthread_barrier_t kept, destroyed;

static void *keeper(void *context)
{
    CUdeviceptr d;
    CUcontext c;
    OK(cuCtxSetCurrent(context));
    OK(cuCtxGetCurrent(&c));
    pthread_barrier_wait(&kept); // the main thread destroys it now
    pthread_barrier_wait(&destroyed);
    EXPECT(cuMemAlloc_v2(&d, 4), CUDA_ERROR_CONTEXT_IS_DESTROYED);
    OK(cuCtxPopCurrent_v2(&c));
    return NULL;
}

static void context_body(void)
{
    CUcontext a, b, c;
    CUdevice d;
    CUdeviceptr p;
    CUstream s;
    CUevent e;
    CUmodule m;
    CUfunction fn;
    unsigned version;
    pthread_t thread;
    size_t free_before, free_after, total;
    OK(cuInit(0));
    EXPECT(cuCtxCreate_v2(&a, 0x10000, 0), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuCtxCreate_v2(&a, 3, 0), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuCtxCreate_v2(&a, 0, 9), CUDA_ERROR_INVALID_DEVICE);
    OK(cuCtxCreate_v2(&a, 0, 0));
    OK(cuCtxCreate_v2(&b, CU_CTX_SCHED_BLOCKING_SYNC, 1));
    OK(cuCtxGetCurrent(&c));
    TRUE(c == b);
    OK(cuCtxGetDevice(&d));
    EXPECT(d, 1);
    OK(cuCtxPopCurrent_v2(&c));
    TRUE(c == b);
    OK(cuCtxGetDevice(&d));
    EXPECT(d, 0);
    OK(cuCtxPushCurrent_v2(b));
    OK(cuCtxSetCurrent(a)); // replaces the top
    OK(cuCtxPopCurrent_v2(&c));
    TRUE(c == a);
    OK(cuCtxPopCurrent_v2(&c));
    EXPECT(cuCtxPopCurrent_v2(&c), CUDA_ERROR_INVALID_CONTEXT);
    EXPECT(cuCtxPushCurrent_v2(NULL), CUDA_ERROR_INVALID_CONTEXT);
    EXPECT(cuCtxPushCurrent_v2((CUcontext)0x123456), CUDA_ERROR_INVALID_CONTEXT);
    EXPECT(cuCtxSetCurrent((CUcontext)&a), CUDA_ERROR_INVALID_CONTEXT);
    EXPECT(cuCtxGetApiVersion((CUcontext)&a, &version), CUDA_ERROR_INVALID_CONTEXT);
    pthread_create(&thread, NULL, other_thread, a);
    pthread_join(thread, NULL);
    // What is a context's goes with it, and nothing of it can be used any more.
    OK(cuCtxSetCurrent(a));
    OK(cuMemGetInfo_v2(&free_before, &total));
    OK(cuMemAlloc_v2(&p, 1 << 20));
    OK(cuStreamCreate(&s, 0));
    OK(cuEventCreate(&e, 0));
    OK(cuModuleLoadData(&m, kernels));
    OK(cuModuleGetFunction(&fn, m, "add"));
    OK(cuCtxSetCurrent(b));
    EXPECT(cuLaunchKernel(fn, 1, 1, 1, 1, 1, 1, 0, NULL, (void *[]){&p, &version}, NULL), CUDA_ERROR_INVALID_HANDLE);
    pthread_barrier_init(&kept, NULL, 2);
    pthread_barrier_init(&destroyed, NULL, 2);
    pthread_create(&thread, NULL, keeper, a);
    pthread_barrier_wait(&kept);
    OK(cuCtxDestroy_v2(a));
    pthread_barrier_wait(&destroyed);
    EXPECT(cuCtxDestroy_v2(a), CUDA_ERROR_INVALID_CONTEXT);
    pthread_join(thread, NULL);
    EXPECT(cuStreamQuery(s), CUDA_ERROR_INVALID_HANDLE);
    EXPECT(cuEventQuery(e), CUDA_ERROR_INVALID_HANDLE);
    EXPECT(cuModuleUnload(m), CUDA_ERROR_INVALID_HANDLE);
    EXPECT(cuFuncGetAttribute((int *)&version, CU_FUNC_ATTRIBUTE_NUM_REGS, fn), CUDA_ERROR_INVALID_HANDLE);
    EXPECT(cuMemcpyDtoH_v2(&version, p, 4), CUDA_ERROR_INVALID_VALUE);
    OK(cuCtxCreate_v2(&a, 0, 0));
    OK(cuMemGetInfo_v2(&free_after, &total));
    TRUE(free_after >= free_before);
    OK(cuCtxDestroy_v2(a));
    OK(cuCtxDestroy_v2(b));
}

static void contexts_stack_and_die(void **unused)
{
    (void)unused;
    in_child("devices=2", context_body);
}

static void primary_body(void)
{
    CUcontext a, b, own;
    unsigned flags;
    int active;
    CUdeviceptr p;
    OK(cuInit(0));
    OK(cuDevicePrimaryCtxGetState(0, &flags, &active));
    EXPECT(active, 0);
    EXPECT(cuDevicePrimaryCtxRelease_v2(0), CUDA_ERROR_INVALID_CONTEXT);
    OK(cuDevicePrimaryCtxSetFlags_v2(0, CU_CTX_SCHED_SPIN));
    OK(cuDevicePrimaryCtxRetain(&a, 0));
    OK(cuDevicePrimaryCtxRetain(&b, 0));
    TRUE(a == b);
    OK(cuDevicePrimaryCtxGetState(0, &flags, &active));
    EXPECT(active, 1);
    EXPECT(flags, CU_CTX_SCHED_SPIN);
    OK(cuCtxSetCurrent(a));
    OK(cuMemAlloc_v2(&p, 100));
    EXPECT(cuCtxDestroy_v2(a), CUDA_ERROR_INVALID_CONTEXT);
    OK(cuDevicePrimaryCtxRelease_v2(0));
    OK(cuMemsetD8_v2(p, 0, 100));
    OK(cuDevicePrimaryCtxRelease_v2(0));
    EXPECT(cuMemsetD8_v2(p, 0, 100), CUDA_ERROR_CONTEXT_IS_DESTROYED);
    OK(cuDevicePrimaryCtxRetain(&b, 0));
    TRUE(a == b); // its handle stays
    EXPECT(cuMemsetD8_v2(p, 0, 100), CUDA_ERROR_INVALID_VALUE); // its memory did not
    OK(cuMemAlloc_v2(&p, 100));
    OK(cuDevicePrimaryCtxReset_v2(0));
    OK(cuDevicePrimaryCtxGetState(0, &flags, &active));
    EXPECT(active, 0);
    EXPECT(cuDevicePrimaryCtxRetain(&b, 7), CUDA_ERROR_INVALID_DEVICE);
    OK(cuCtxCreate_v2(&own, 0, 0));
    EXPECT(cuMemsetD8_v2(p, 0, 100), CUDA_ERROR_INVALID_VALUE);
    OK(cuCtxDestroy_v2(own));
}

static void primary_contexts_are_counted(void **unused)
{
    (void)unused;
    in_child("", primary_body);
}

static void memory_body(void)
{
    f = set_up();
    CUdeviceptr p, base;
    size_t size, free_bytes, total, pitch;
    unsigned char host[64];
    EXPECT(cuMemAlloc_v2(&p, 0), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuMemAlloc_v2(NULL, 4), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuMemAlloc_v2(&p, (size_t)17 << 20), CUDA_ERROR_OUT_OF_MEMORY);
    EXPECT(cuMemAlloc_v2(&p, SIZE_MAX), CUDA_ERROR_OUT_OF_MEMORY);
    OK(cuMemAlloc_v2(&p, 1000));
    EXPECT(p % 256, 0);
    OK(cuMemGetAddressRange_v2(&base, &size, p + 999));
    EXPECT(base, p);
    EXPECT(size, 1000);
    EXPECT(cuMemGetAddressRange_v2(&base, &size, p + 1000), CUDA_ERROR_NOT_FOUND);
    OK(cuMemGetInfo_v2(&free_bytes, &total));
    EXPECT(total, 16 << 20);
    TRUE(free_bytes < total && free_bytes > 15 << 20);
    // Ranges that are not inside one allocation.
    EXPECT(cuMemcpyDtoH_v2(host, p + 990, 11), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuMemcpyHtoD_v2(p + 1000, host, 1), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuMemcpyHtoD_v2((CUdeviceptr)(uintptr_t)host, host, 1), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuMemcpyDtoH_v2(NULL, p, 1), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuMemcpyDtoD_v2(p, p + 500, 501), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuMemsetD8_v2(p, 0, 1001), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuMemsetD32_v2(p + 2, 0, 1), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuMemsetD16_v2(p + 1, 0, 1), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuMemsetD32_v2(p, 0, SIZE_MAX / 4 + 2), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuMemsetD2D8_v2(p, 10, 0, 20, 2), CUDA_ERROR_INVALID_VALUE);
    OK(cuMemcpyDtoH_v2(host, p, 0));
    OK(cuMemsetD8_v2(p, 0, 0));
    EXPECT(cuMemFree_v2(p + 256), CUDA_ERROR_INVALID_VALUE);
    OK(cuMemFree_v2(p));
    EXPECT(cuMemFree_v2(p), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuMemcpyDtoH_v2(host, p, 1), CUDA_ERROR_INVALID_VALUE); // use after free
    OK(cuMemFree_v2(0));
    OK(cuMemAllocPitch_v2(&p, &pitch, 100, 10, 4));
    EXPECT(pitch, 512);
    OK(cuMemsetD2D32_v2(p, pitch, 0x01020304, 25, 10));
    CUDA_MEMCPY2D box = {.srcMemoryType = CU_MEMORYTYPE_DEVICE, .srcDevice = p, .srcPitch = pitch, .srcXInBytes = 96,
                         .srcY = 9, .dstMemoryType = CU_MEMORYTYPE_HOST, .dstHost = host, .dstPitch = 4,
                         .WidthInBytes = 4, .Height = 1};
    memset(host, 0, sizeof host);
    OK(cuMemcpy2D_v2(&box));
    EXPECT(host[0], 4);
    EXPECT(host[3], 1);
    EXPECT(host[4], 0);
    box.srcY = 10;
    EXPECT(cuMemcpy2D_v2(&box), CUDA_ERROR_INVALID_VALUE);
    box.srcY = SIZE_MAX / 2;
    EXPECT(cuMemcpy2D_v2(&box), CUDA_ERROR_INVALID_VALUE);
    box.srcY = 0;
    box.Height = 2;
    box.dstPitch = 3;
    EXPECT(cuMemcpy2D_v2(&box), CUDA_ERROR_INVALID_VALUE);
    box.srcMemoryType = CU_MEMORYTYPE_ARRAY;
    EXPECT(cuMemcpy2D_v2(&box), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuMemcpy2D_v2(NULL), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuMemAllocPitch_v2(&p, &pitch, 100, 10, 5), CUDA_ERROR_INVALID_VALUE);
}

static void memory_is_strict(void **unused)
{
    (void)unused;
    in_child("mem=16M", memory_body);
}

static void host_memory_body(void)
{
    f = set_up();
    void *pinned;
    CUdeviceptr d;
    unsigned flags, type;
    unsigned long long id, other;
    static char mine[8192];
    int value;
    CUcontext c;
    OK(cuMemHostAlloc(&pinned, 5000, CU_MEMHOSTALLOC_PORTABLE));
    EXPECT((uintptr_t)pinned % 4096, 0);
    OK(cuMemHostGetFlags(&flags, pinned));
    TRUE(flags & CU_MEMHOSTALLOC_PORTABLE && flags & CU_MEMHOSTALLOC_DEVICEMAP);
    OK(cuMemHostGetDevicePointer_v2(&d, pinned, 0));
    EXPECT(d, (uintptr_t)pinned);
    OK(add(&f, d + 100, 5, NULL)); // a kernel touches it
    OK(cuCtxSynchronize());
    EXPECT(*(unsigned *)((char *)pinned + 100), 5);
    OK(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, d + 4999));
    EXPECT(type, CU_MEMORYTYPE_HOST);
    EXPECT(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, d + 5000), CUDA_ERROR_INVALID_VALUE);
    OK(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, f.word));
    EXPECT(type, CU_MEMORYTYPE_DEVICE);
    OK(cuPointerGetAttribute(&c, CU_POINTER_ATTRIBUTE_CONTEXT, f.word));
    TRUE(c == f.context);
    OK(cuPointerGetAttribute(&id, CU_POINTER_ATTRIBUTE_BUFFER_ID, f.word));
    OK(cuPointerGetAttribute(&other, CU_POINTER_ATTRIBUTE_BUFFER_ID, d));
    TRUE(id != other);
    CUpointer_attribute asked[] = {CU_POINTER_ATTRIBUTE_MEMORY_TYPE, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL};
    void *answers[] = {&type, &value};
    OK(cuPointerGetAttributes(2, asked, answers, (CUdeviceptr)(uintptr_t)mine)); // unknown: zeros, no error
    EXPECT(type, 0);
    EXPECT(value, CU_DEVICE_INVALID);
    EXPECT(cuMemHostRegister_v2(NULL, 10, 0), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuMemHostRegister_v2((void *)(uintptr_t)f.word, 10, 0), CUDA_ERROR_INVALID_VALUE);
    OK(cuMemHostRegister_v2(mine, 4096, 0));
    EXPECT(cuMemHostRegister_v2(mine + 4000, 4096, 0), CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
    EXPECT(cuMemFreeHost(mine), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuMemHostUnregister(mine + 1), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuMemHostUnregister(pinned), CUDA_ERROR_INVALID_VALUE);
    OK(cuMemHostUnregister(mine));
    EXPECT(cuMemHostUnregister(mine), CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
    OK(cuMemFreeHost(pinned));
    EXPECT(cuMemFreeHost(pinned), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuMemHostGetDevicePointer_v2(&d, pinned, 0), CUDA_ERROR_INVALID_VALUE);
    EXPECT(cuMemHostAlloc(&pinned, 10, 8), CUDA_ERROR_INVALID_VALUE);
    // Memory that was only readable for the device.
    OK(cuMemHostRegister_v2(mine, 4096, CU_MEMHOSTREGISTER_READ_ONLY));
    OK(add(&f, (CUdeviceptr)(uintptr_t)mine, 1, NULL));
    EXPECT(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
}

static void host_memory_is_known(void **unused)
{
    (void)unused;
    in_child("", host_memory_body);
}

static void devices_body(void)
{
    f = set_up();
    CUcontext second;
    CUdeviceptr there;
    OK(add(&f, f.word, 42, NULL));
    OK(cuCtxSynchronize());
    OK(cuCtxCreate_v2(&second, 0, 1));
    OK(cuMemAlloc_v2(&there, 64));
    OK(cuMemcpyPeer(there, second, f.word, f.context, 4));
    EXPECT(word_at(there), 42);
    OK(cuMemcpy(there + 4, f.word, 4)); // unified addressing
    EXPECT(word_at(there + 4), 42);
    EXPECT(cuMemcpyPeer(there, (CUcontext)1, f.word, f.context, 4), CUDA_ERROR_INVALID_CONTEXT);
    int can;
    OK(cuDeviceCanAccessPeer(&can, 0, 1));
    EXPECT(can, 0);
    // A kernel cannot reach the other device's memory, nor another context's of its own.
    OK(cuCtxSetCurrent(f.context));
    OK(add(&f, there, 1, NULL));
    EXPECT(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
    OK(cuCtxSetCurrent(second));
    OK(cuMemsetD8_v2(there, 0, 64)); // the other context is well
    OK(cuCtxSynchronize());
}

static void devices_are_apart(void **unused)
{
    (void)unused;
    in_child("devices=2", devices_body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(initialises),            cmocka_unit_test(unknown_options_are_refused),
        cmocka_unit_test(devices_are_coherent),   cmocka_unit_test(contexts_stack_and_die),
        cmocka_unit_test(primary_contexts_are_counted), cmocka_unit_test(memory_is_strict),
        cmocka_unit_test(host_memory_is_known),   cmocka_unit_test(devices_are_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
