// SPDX-License-Identifier: Apache-2.0
// Question: do contexts, their stacks, their errors and their ends behave in the shim as with a driver, and
// with no more commands than needed? Method: the whole client library with a session of our own in place of
// the real one: it notes what is asked and answers what a test says.
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "include/cuda_prototypes.h"
#include "interpose/init.h"
#include "interpose/options.h"
#include "interpose/shim.h"
#include "tests/unit/fake_session.h"

static struct gn_device_snapshot devices[2];

static int begin(void **state)
{
    (void)state;
    memset(&fake, 0, sizeof fake);
    CUcontext popped;
    while (cuCtxPopCurrent_v2(&popped) == CUDA_SUCCESS) {
    }
    cuDevicePrimaryCtxReset_v2(0);
    cuDevicePrimaryCtxReset_v2(1);
    memset(&fake, 0, sizeof fake);
    atomic_store(&gn_shim.mode, GN_MODE_REMOTE);
    return 0;
}

static CUcontext create(CUdevice device)
{
    CUcontext c = NULL;
    assert_int_equal(cuCtxCreate_v2(&c, 0, device), CUDA_SUCCESS);
    assert_non_null(c);
    return c;
}

static CUcontext current(void)
{
    CUcontext c;
    assert_int_equal(cuCtxGetCurrent(&c), CUDA_SUCCESS);
    return c;
}

// --- tests

static void primary_contexts_are_retained_once_at_the_server(void **state)
{
    (void)state;
    CUcontext a = NULL, b = NULL, other = NULL;
    unsigned flags;
    int active;
    assert_int_equal(cuDevicePrimaryCtxGetState(0, &flags, &active), CUDA_SUCCESS);
    assert_int_equal(active, 0);
    assert_int_equal(cuDevicePrimaryCtxRelease_v2(0), CUDA_ERROR_INVALID_CONTEXT);
    assert_int_equal(cuDevicePrimaryCtxRetain(&a, 0), CUDA_SUCCESS);
    assert_int_equal(cuDevicePrimaryCtxRetain(&b, 0), CUDA_SUCCESS);
    assert_int_equal(cuDevicePrimaryCtxRetain(&other, 1), CUDA_SUCCESS);
    assert_ptr_equal(a, b);
    assert_ptr_not_equal(a, other);
    assert_null(current()); // retaining makes nothing current
    assert_int_equal(fake.asked[GN_OP_primary_retain], 2);
    assert_int_equal(cuDevicePrimaryCtxGetState(0, &flags, &active), CUDA_SUCCESS);
    assert_int_equal(active, 1);
    assert_int_equal(flags, 8);
    assert_int_equal(cuDevicePrimaryCtxRelease_v2(0), CUDA_SUCCESS);
    assert_int_equal(fake.asked[GN_OP_primary_release], 0);
    assert_int_equal(cuDevicePrimaryCtxRelease_v2(0), CUDA_SUCCESS);
    assert_int_equal(fake.asked[GN_OP_primary_release], 1);
    assert_int_equal(cuDevicePrimaryCtxRelease_v2(0), CUDA_ERROR_INVALID_CONTEXT);
    assert_int_equal(cuDevicePrimaryCtxGetState(0, &flags, &active), CUDA_SUCCESS);
    assert_int_equal(active, 0);
    assert_int_equal(cuDevicePrimaryCtxRetain(&b, 0), CUDA_SUCCESS);
    assert_ptr_equal(a, b); // the same handle as before
    assert_int_equal(cuDevicePrimaryCtxRetain(&b, 2), CUDA_ERROR_INVALID_DEVICE);
    assert_int_equal(cuDevicePrimaryCtxRetain(&b, -1), CUDA_ERROR_INVALID_DEVICE);
    assert_int_equal(cuDevicePrimaryCtxRetain(NULL, 0), CUDA_ERROR_INVALID_VALUE);
    fake.code = CUDA_ERROR_OUT_OF_MEMORY;
    assert_int_equal(cuDevicePrimaryCtxReset_v2(1), CUDA_ERROR_OUT_OF_MEMORY);
    fake.code = CUDA_ERROR_OUT_OF_MEMORY;
    assert_int_equal(cuDevicePrimaryCtxRetain(&b, 1), CUDA_ERROR_OUT_OF_MEMORY);
    assert_int_equal(cuDevicePrimaryCtxGetState(1, &flags, &active), CUDA_SUCCESS);
    assert_int_equal(active, 0);
}

// What the runtime does: it takes the handle from a private table and makes it current, and retains it only
// then.
static void an_unretained_primary_context_can_be_current(void **state)
{
    (void)state;
    CUuuid id;
    void *const *table;
    CUcontext early = NULL, retained = NULL;
    CUdevice device = -1;
    size_t limit;
    memcpy(&id, "\x6b\xd5\xfb\x6c\x5b\xf4\xe7\x4a\x89\x87\xd9\x39\x12\xfd\x9d\xf9", sizeof id);
    assert_int_equal(cuGetExportTable((const void **)&table, &id), CUDA_SUCCESS);
    assert_int_equal(((CUresult(*)(CUcontext *, CUdevice))table[2])(&early, 1), CUDA_SUCCESS);
    assert_int_equal(fake.asked[GN_OP_primary_retain], 0);
    assert_int_equal(cuCtxSetCurrent(early), CUDA_SUCCESS);
    assert_ptr_equal(current(), early);
    assert_int_equal(cuCtxGetLimit(&limit, CU_LIMIT_STACK_SIZE), CUDA_ERROR_CONTEXT_IS_DESTROYED);
    fake.context = 1;
    assert_int_equal(cuDevicePrimaryCtxRetain(&retained, 1), CUDA_SUCCESS);
    assert_int_equal(fake.context, 0); // the server does not know it before
    assert_ptr_equal(retained, early);
    assert_int_equal(cuCtxGetDevice_v2(&device, NULL), CUDA_SUCCESS);
    assert_int_equal(device, 1);
    assert_int_equal(cuCtxGetLimit(&limit, CU_LIMIT_STACK_SIZE), CUDA_SUCCESS);
    assert_int_equal(((CUresult(*)(CUcontext *, CUdevice))table[2])(&early, 2), CUDA_ERROR_INVALID_DEVICE);
    assert_int_equal(cuDevicePrimaryCtxReset_v2(1), CUDA_SUCCESS);
    assert_int_equal(cuCtxGetLimit(&limit, CU_LIMIT_STACK_SIZE), CUDA_ERROR_CONTEXT_IS_DESTROYED);
}

static void the_stack(void **state)
{
    (void)state;
    CUcontext c;
    CUdevice device;
    assert_int_equal(cuCtxPopCurrent_v2(&c), CUDA_ERROR_INVALID_CONTEXT);
    assert_int_equal(cuCtxSetCurrent(NULL), CUDA_SUCCESS);
    assert_int_equal(cuCtxGetDevice(&device), CUDA_ERROR_INVALID_CONTEXT);
    CUcontext a = create(0), b = create(1); // creating pushes
    assert_ptr_equal(current(), b);
    assert_int_equal(cuCtxGetDevice(&device), CUDA_SUCCESS);
    assert_int_equal(device, 1);
    assert_int_equal(cuCtxPopCurrent_v2(&c), CUDA_SUCCESS);
    assert_ptr_equal(c, b);
    assert_ptr_equal(current(), a);
    assert_int_equal(cuCtxPushCurrent_v2(b), CUDA_SUCCESS);
    assert_int_equal(cuCtxSetCurrent(a), CUDA_SUCCESS); // in place of b
    assert_ptr_equal(current(), a);
    assert_int_equal(cuCtxSetCurrent(NULL), CUDA_SUCCESS);
    assert_ptr_equal(current(), a);
    assert_int_equal(cuCtxSetCurrent(NULL), CUDA_SUCCESS);
    assert_null(current());
    assert_int_equal(cuCtxPushCurrent_v2(NULL), CUDA_ERROR_INVALID_CONTEXT);
    assert_int_equal(cuCtxPushCurrent_v2((CUcontext)0x1234), CUDA_ERROR_INVALID_CONTEXT);
    assert_int_equal(cuCtxSetCurrent((CUcontext)&state), CUDA_ERROR_INVALID_CONTEXT);
    assert_int_equal(cuCtxGetCurrent(NULL), CUDA_ERROR_INVALID_VALUE);
    for (int i = 0; i < GN_STACK_MAX; i++)
        assert_int_equal(cuCtxPushCurrent_v2(a), CUDA_SUCCESS);
    assert_int_equal(cuCtxPushCurrent_v2(b), CUDA_ERROR_OUT_OF_MEMORY);
    assert_int_equal(cuCtxCreate_v2(&c, 0, 0), CUDA_ERROR_OUT_OF_MEMORY);
    assert_int_equal(cuCtxSetCurrent(b), CUDA_SUCCESS);
    assert_int_equal(cuCtxDestroy_v2(a), CUDA_SUCCESS);
    assert_int_equal(cuCtxDestroy_v2(b), CUDA_SUCCESS);
}

static void creating_checks_its_arguments(void **state)
{
    (void)state;
    CUcontext c = NULL;
    CUexecAffinityParam affinity = {.type = CU_EXEC_AFFINITY_TYPE_SM_COUNT};
    CUctxCreateParams params = {.execAffinityParams = &affinity, .numExecAffinityParams = 1};
    assert_int_equal(cuCtxCreate_v2(NULL, 0, 0), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuCtxCreate_v2(&c, 0, 2), CUDA_ERROR_INVALID_DEVICE);
    assert_int_equal(cuCtxCreate_v2(&c, 0x10000, 0), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuCtxCreate_v2(&c, 7, 0), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuCtxCreate_v3(&c, &affinity, 1, 0, 0), CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY);
    assert_int_equal(cuCtxCreate_v3(&c, NULL, 1, 0, 0), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuCtxCreate_v4(&c, &params, 0, 0), CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY);
    params.cigParams = (CUctxCigParam *)&params;
    assert_int_equal(cuCtxCreate_v4(&c, &params, 0, 0), CUDA_ERROR_NOT_SUPPORTED);
    assert_int_equal(fake.asked[GN_OP_context_create], 0);
    fake.code = CUDA_ERROR_OUT_OF_MEMORY;
    assert_int_equal(cuCtxCreate_v2(&c, 0, 0), CUDA_ERROR_OUT_OF_MEMORY);
    assert_null(c);
    assert_null(current());
    assert_int_equal(cuCtxCreate_v4(&c, NULL, 0, 0), CUDA_SUCCESS);
    assert_int_equal(cuCtxDestroy_v2(c), CUDA_SUCCESS);
    assert_int_equal(cuCtxDestroy_v2(c), CUDA_ERROR_INVALID_CONTEXT);
    assert_int_equal(cuCtxDestroy_v2(NULL), CUDA_ERROR_INVALID_CONTEXT);
    assert_int_equal(cuDevicePrimaryCtxRetain(&c, 0), CUDA_SUCCESS);
    assert_int_equal(cuCtxDestroy_v2(c), CUDA_ERROR_INVALID_CONTEXT); // a primary one is released
}

static CUcontext shared;
static pthread_barrier_t barrier;

static void *stands_on_it(void *unused)
{
    (void)unused;
    CUdevice device;
    CUcontext c = NULL;
    CUresult codes[4];
    codes[0] = cuCtxSetCurrent(shared);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    codes[1] = cuCtxGetDevice(&device);
    codes[2] = cuCtxPopCurrent_v2(&c);
    codes[3] = cuCtxGetDevice(&device);
    return (void *)(uintptr_t)(codes[0] == CUDA_SUCCESS && codes[1] == CUDA_ERROR_CONTEXT_IS_DESTROYED &&
                               c == shared && codes[2] == CUDA_SUCCESS &&
                               codes[3] == CUDA_ERROR_INVALID_CONTEXT);
}

static void destroyed_while_current_elsewhere(void **state)
{
    (void)state;
    pthread_t thread;
    void *right;
    CUdevice device;
    shared = create(0);
    pthread_barrier_init(&barrier, NULL, 2);
    assert_int_equal(pthread_create(&thread, NULL, stands_on_it, NULL), 0);
    pthread_barrier_wait(&barrier);
    assert_int_equal(cuCtxDestroy_v2(shared), CUDA_SUCCESS);
    assert_null(current());     // off this thread's stack
    CUcontext next = create(1); // the same object under a new name: not to be taken for the old one
    assert_ptr_not_equal(next, shared);
    pthread_barrier_wait(&barrier);
    pthread_join(thread, &right);
    assert_non_null(right);
    assert_int_equal(cuCtxGetDevice(&device), CUDA_SUCCESS);
    assert_int_equal(cuCtxSetCurrent(shared), CUDA_ERROR_INVALID_CONTEXT);
    assert_int_equal(cuCtxDestroy_v2(next), CUDA_SUCCESS);
    // lying below the top
    CUcontext a = create(0), b = create(1);
    assert_int_equal(cuCtxDestroy_v2(a), CUDA_SUCCESS);
    assert_ptr_equal(current(), b);
    assert_int_equal(cuCtxDestroy_v2(b), CUDA_SUCCESS);
    assert_ptr_equal(current(), a);
    assert_int_equal(cuCtxGetDevice(&device), CUDA_ERROR_CONTEXT_IS_DESTROYED);
    assert_int_equal(cuCtxPopCurrent_v2(&a), CUDA_SUCCESS);
}

static void handles_die_with_their_context(void **state)
{
    (void)state;
    CUcontext a = create(0), b;
    CUevent events[3], kept;
    for (int i = 0; i < 3; i++)
        assert_int_equal(cuEventCreate(&events[i], 0), CUDA_SUCCESS);
    b = create(1);
    assert_int_equal(cuEventCreate(&kept, 0), CUDA_SUCCESS);
    assert_int_equal(fake.posted[GN_OP_cuEventCreate], 4);
    assert_int_equal(cuCtxDestroy_v2(a), CUDA_SUCCESS);
    for (int i = 0; i < 3; i++)
        assert_int_equal(cuEventDestroy_v2(events[i]), CUDA_ERROR_INVALID_HANDLE);
    assert_int_equal(cuEventDestroy_v2(kept), CUDA_SUCCESS);
    assert_int_equal(cuEventDestroy_v2(kept), CUDA_ERROR_INVALID_HANDLE);
    assert_int_equal(cuCtxDestroy_v2(b), CUDA_SUCCESS);
}

static int farewells;
static void say_farewell(CUcontext c, void *key, void *value)
{
    CUcontext now;
    assert_ptr_equal(key, value);
    assert_int_equal(cuCtxPushCurrent_v2(c), CUDA_SUCCESS); // it still lives
    assert_int_equal(cuCtxSynchronize(), CUDA_SUCCESS);
    assert_int_equal(cuCtxPopCurrent_v2(&now), CUDA_SUCCESS);
    farewells++;
}

static void local_storage_is_destroyed_first(void **state)
{
    (void)state;
    CUuuid id;
    void *const *table;
    memcpy(&id, "\xc6\x93\x33\x6e\x11\x21\xdf\x11\xa8\xc3\x68\xf3\x55\xd8\x95\x93", sizeof id);
    assert_int_equal(cuGetExportTable((const void **)&table, &id), CUDA_SUCCESS);
    CUresult (*put)(CUcontext, void *, void *, void (*)(CUcontext, void *, void *)) = table[0];
    CUcontext own = create(0), primary;
    assert_int_equal(put(NULL, &id, &id, say_farewell), CUDA_SUCCESS);
    assert_int_equal(cuDevicePrimaryCtxRetain(&primary, 0), CUDA_SUCCESS);
    assert_int_equal(put(primary, &id, &id, say_farewell), CUDA_SUCCESS);
    farewells = 0;
    assert_int_equal(cuCtxDestroy_v2(own), CUDA_SUCCESS);
    assert_int_equal(farewells, 1);
    assert_int_equal(cuDevicePrimaryCtxReset_v2(0), CUDA_SUCCESS);
    assert_int_equal(farewells, 2);
    assert_int_equal(cuDevicePrimaryCtxRetain(&primary, 0), CUDA_SUCCESS);
    assert_int_equal(put(primary, &id, &id, say_farewell), CUDA_SUCCESS);
    assert_int_equal(cuDevicePrimaryCtxRelease_v2(0), CUDA_SUCCESS);
    assert_int_equal(farewells, 3);
}

static void limits_are_asked_for_once(void **state)
{
    (void)state;
    CUcontext a = create(0);
    size_t value;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(cuCtxGetLimit(&value, CU_LIMIT_PRINTF_FIFO_SIZE), CUDA_SUCCESS);
        assert_int_equal(value, 1001);
    }
    assert_int_equal(fake.asked[GN_OP_context_get_limit], 1);
    assert_int_equal(cuCtxSetLimit(CU_LIMIT_PRINTF_FIFO_SIZE, 1 << 20), CUDA_SUCCESS);
    assert_int_equal(cuCtxGetLimit(&value, CU_LIMIT_PRINTF_FIFO_SIZE), CUDA_SUCCESS);
    assert_int_equal(fake.asked[GN_OP_context_get_limit], 2);
    assert_int_equal(cuCtxGetLimit(&value, (CUlimit)99), CUDA_ERROR_UNSUPPORTED_LIMIT);
    assert_int_equal(cuCtxGetLimit(NULL, CU_LIMIT_STACK_SIZE), CUDA_ERROR_INVALID_VALUE);
    fake.code = CUDA_ERROR_UNSUPPORTED_LIMIT;
    assert_int_equal(cuCtxGetLimit(&value, CU_LIMIT_SHMEM_SIZE), CUDA_ERROR_UNSUPPORTED_LIMIT);
    assert_int_equal(cuCtxDestroy_v2(a), CUDA_SUCCESS);
}

static void what_a_context_says_of_itself(void **state)
{
    (void)state;
    unsigned version = 0, flags = 9;
    unsigned long long id = 0, other = 0;
    int least = 9, greatest = 9;
    CUfunc_cache cache;
    CUcontext a = create(0), b = create(0);
    assert_int_equal(cuCtxGetApiVersion(a, &version), CUDA_SUCCESS);
    assert_int_equal(version, 13000);
    assert_int_equal(cuCtxGetId(a, &id), CUDA_SUCCESS);
    assert_int_equal(cuCtxGetId(NULL, &other), CUDA_SUCCESS);
    assert_int_not_equal(id, other);
    assert_int_equal(cuCtxGetId((CUcontext)7, &id), CUDA_ERROR_INVALID_CONTEXT);
    assert_int_equal(cuCtxGetFlags(&flags), CUDA_SUCCESS);
    assert_int_equal(flags, 0);
    assert_int_equal(cuCtxSetFlags(CU_CTX_SCHED_SPIN), CUDA_SUCCESS);
    assert_int_equal(cuCtxGetFlags(&flags), CUDA_SUCCESS);
    assert_int_equal(flags, CU_CTX_SCHED_SPIN);
    assert_int_equal(cuCtxSetFlags(CU_CTX_SYNC_MEMOPS), CUDA_ERROR_NOT_SUPPORTED);
    assert_int_equal(cuCtxGetStreamPriorityRange(&least, &greatest), CUDA_SUCCESS);
    assert_int_equal(least, 0);
    assert_int_equal(greatest, -5);
    assert_int_equal(cuCtxGetStreamPriorityRange(NULL, NULL), CUDA_SUCCESS);
    assert_int_equal(cuCtxSetCacheConfig(CU_FUNC_CACHE_PREFER_L1), CUDA_SUCCESS);
    assert_int_equal(cuCtxGetCacheConfig(&cache), CUDA_SUCCESS);
    assert_int_equal(cache, CU_FUNC_CACHE_PREFER_L1);
    assert_int_equal(cuCtxSetCacheConfig((CUfunc_cache)4), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(fake.posted[GN_OP_cuCtxSetCacheConfig], 1);
    assert_int_equal(cuCtxDestroy_v2(a), CUDA_SUCCESS);
    assert_int_equal(cuCtxDestroy_v2(b), CUDA_SUCCESS);
}

// --- errors of posted commands

static void a_latched_error_is_told_once(void **state)
{
    (void)state;
    CUcontext a = create(0);
    fake.latched = (struct gn_latched){CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, GN_OP_launch, 0};
    assert_int_equal(cuCtxSynchronize(), CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
    assert_int_equal(cuCtxSynchronize(), CUDA_SUCCESS);
    // brought by a call that may not tell: the next that may does
    size_t value;
    fake.latched = (struct gn_latched){CUDA_ERROR_INVALID_HANDLE, GN_OP_launch, 0};
    assert_int_equal(cuCtxGetLimit(&value, CU_LIMIT_STACK_SIZE), CUDA_SUCCESS);
    assert_int_equal(cuCtxSynchronize(), CUDA_ERROR_INVALID_HANDLE);
    assert_int_equal(cuCtxSynchronize(), CUDA_SUCCESS);
    // by a call that has an error of its own
    fake.code = CUDA_ERROR_INVALID_VALUE;
    fake.latched = (struct gn_latched){CUDA_ERROR_INVALID_HANDLE, 0xffff, 0};
    assert_int_equal(cuCtxSetLimit(CU_LIMIT_STACK_SIZE, 1), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuCtxSynchronize(), CUDA_ERROR_INVALID_HANDLE);
    // two of them: the earlier one first
    fake.latched = (struct gn_latched){CUDA_ERROR_NOT_FOUND, GN_OP_launch, 0};
    assert_int_equal(cuCtxGetLimit(&value, CU_LIMIT_SHMEM_SIZE), CUDA_SUCCESS);
    fake.latched = (struct gn_latched){CUDA_ERROR_INVALID_HANDLE, GN_OP_launch, 0};
    assert_int_equal(cuCtxSynchronize(), CUDA_ERROR_NOT_FOUND);
    assert_int_equal(cuCtxSynchronize(), CUDA_ERROR_INVALID_HANDLE);
    assert_int_equal(cuCtxSynchronize(), CUDA_SUCCESS);
    assert_int_equal(cuCtxDestroy_v2(a), CUDA_SUCCESS);
}

static void a_sticky_error_ruins_its_context_only(void **state)
{
    (void)state;
    CUcontext a = create(0), b = create(0);
    CUstream stream;
    fake.latched = (struct gn_latched){CUDA_ERROR_ILLEGAL_ADDRESS, GN_OP_launch, 0};
    assert_int_equal(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
    unsigned asked = fake.asked[GN_OP_context_synchronize];
    for (int i = 0; i < 3; i++)
        assert_int_equal(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
    assert_int_equal(fake.asked[GN_OP_context_synchronize], asked); // the server is not asked again
    assert_int_equal(cuStreamCreate(&stream, 0), CUDA_ERROR_ILLEGAL_ADDRESS);
    assert_int_equal(cuCtxSetCurrent(a), CUDA_SUCCESS);
    assert_int_equal(cuCtxSynchronize(), CUDA_SUCCESS);
    assert_int_equal(cuCtxSynchronize_v2(b), CUDA_ERROR_ILLEGAL_ADDRESS);
    assert_int_equal(cuCtxDestroy_v2(b), CUDA_SUCCESS);
    assert_int_equal(cuCtxDestroy_v2(a), CUDA_SUCCESS);
}

static void commands_go_under_the_current_context(void **state)
{
    (void)state;
    CUcontext a = create(0), b = create(1);
    assert_int_equal(cuCtxSynchronize(), CUDA_SUCCESS);
    assert_int_equal(fake.context, (uint64_t)(uintptr_t)b);
    assert_int_equal(cuCtxSynchronize_v2(a), CUDA_SUCCESS);
    assert_int_equal(fake.context, (uint64_t)(uintptr_t)a);
    assert_int_equal(cuCtxPopCurrent_v2(NULL), CUDA_SUCCESS);
    assert_int_equal(cuCtxSynchronize(), CUDA_SUCCESS);
    assert_int_equal(fake.context, (uint64_t)(uintptr_t)a);
    assert_int_equal(cuCtxDestroy_v2(a), CUDA_SUCCESS);
    assert_int_equal(cuCtxDestroy_v2(b), CUDA_SUCCESS);
}

static void a_server_that_is_gone(void **state)
{
    (void)state;
    CUcontext a = create(0), c;
    CUevent event;
    int count = 0;
    fake.status = -ENOTCONN;
    fake.over = "it was killed";
    errno = 4711;
    assert_int_equal(cuEventCreate(&event, 0), CUDA_ERROR_DEVICE_UNAVAILABLE);
    assert_int_equal(errno, 4711);
    assert_int_equal(atomic_load(&gn_shim.mode), GN_MODE_OVER);
    fake.status = 0; // from now on nobody even tries
    assert_int_equal(cuCtxSynchronize(), CUDA_ERROR_DEVICE_UNAVAILABLE);
    assert_int_equal(cuDevicePrimaryCtxRetain(&c, 0), CUDA_ERROR_DEVICE_UNAVAILABLE);
    assert_int_equal(cuInit(0), CUDA_ERROR_DEVICE_UNAVAILABLE);
    assert_int_equal(fake.asked[GN_OP_context_synchronize], 0);
    assert_int_equal(cuDeviceGetCount(&count), CUDA_SUCCESS); // known all the same
    assert_int_equal(count, 2);
    assert_ptr_equal(current(), a);
    atomic_store(&gn_shim.mode, GN_MODE_REMOTE);
    fake.over = NULL;
    assert_int_equal(cuCtxDestroy_v2(a), CUDA_SUCCESS);
}

static void devices_from_the_snapshot(void **state)
{
    (void)state;
    int value = 7, major, minor;
    char name[32];
    size_t bytes;
    CUdevice device = 9;
    CUuuid uuid;
    assert_int_equal(cuDeviceGet(&device, 1), CUDA_SUCCESS);
    assert_int_equal(device, 1);
    assert_int_equal(cuDeviceGet(&device, 2), CUDA_ERROR_INVALID_DEVICE);
    assert_int_equal(cuDeviceGet(&device, -1), CUDA_ERROR_INVALID_DEVICE);
    assert_int_equal(cuDeviceGet(NULL, 0), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_WARP_SIZE, 1), CUDA_SUCCESS);
    assert_int_equal(value, 32);
    assert_int_equal(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_CLOCK_RATE, 1),
                     CUDA_ERROR_INVALID_VALUE); // not known
    assert_int_equal(cuDeviceGetAttribute(&value, (CUdevice_attribute)100000, 0), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuDeviceGetAttribute(&value, (CUdevice_attribute)-1, 0), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_WARP_SIZE, 2),
                     CUDA_ERROR_INVALID_DEVICE);
    assert_int_equal(cuDeviceComputeCapability(&major, &minor, 0), CUDA_SUCCESS);
    assert_int_equal(major, 7);
    assert_int_equal(minor, 5);
    assert_int_equal(cuDeviceGetName(name, sizeof name, 1), CUDA_SUCCESS);
    assert_string_equal(name, "second");
    assert_int_equal(cuDeviceGetName(name, 4, 1), CUDA_SUCCESS);
    assert_string_equal(name, "sec");
    assert_int_equal(cuDeviceGetName(name, 0, 1), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuDeviceTotalMem_v2(&bytes, 0), CUDA_SUCCESS);
    assert_int_equal(bytes, 1 << 30);
    assert_int_equal(cuDeviceGetUuid_v2(&uuid, 1), CUDA_SUCCESS);
    assert_int_equal((uint8_t)uuid.bytes[15], 0x55);
    assert_int_equal(cuDeviceGetUuid(NULL, 1), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(cuDeviceCanAccessPeer(&value, 0, 1), CUDA_SUCCESS);
    assert_int_equal(value, 0);
    assert_int_equal(cuDeviceGetP2PAttribute(&value, CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED, 0, 1),
                     CUDA_SUCCESS);
    assert_int_equal(cuDeviceGetP2PAttribute(&value, CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED, 1, 1),
                     CUDA_ERROR_INVALID_DEVICE);
    assert_int_equal(cuDeviceGetP2PAttribute(&value, (CUdevice_P2PAttribute)0, 0, 1),
                     CUDA_ERROR_INVALID_VALUE);
}

static void devices_by_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *id;
        CUresult code;
        CUdevice device;
    } cases[] = {
        {"0001:3b:02.0", CUDA_SUCCESS, 1},
        {"1:3b:2", CUDA_SUCCESS, 1},
        {"00:00.0", CUDA_SUCCESS, 0},
        {"3b:02.0", CUDA_ERROR_INVALID_DEVICE, 0},
        {"", CUDA_ERROR_INVALID_VALUE, 0},
        {"gpu", CUDA_ERROR_INVALID_VALUE, 0},
        {"0001:3b:02.0x", CUDA_ERROR_INVALID_VALUE, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CUdevice device = -1;
        if (cuDeviceGetByPCIBusId(&device, cases[i].id) != cases[i].code)
            fail_msg("%s", cases[i].id);
        assert_int_equal(device, cases[i].code ? -1 : cases[i].device);
    }
    char id[20];
    assert_int_equal(cuDeviceGetPCIBusId(id, sizeof id, 1), CUDA_SUCCESS);
    assert_string_equal(id, "0001:3b:02.0");
}

static void attribute(CUdevice device, CUdevice_attribute number, int value)
{
    devices[device].attributes[number] = value;
    devices[device].attribute_known[number] = 1;
}

int main(void)
{
    for (int i = 0; i < 2; i++) {
        attribute(i, CU_DEVICE_ATTRIBUTE_WARP_SIZE, 32);
        attribute(i, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 7);
        attribute(i, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, 5);
        attribute(i, CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID, i);
        attribute(i, CU_DEVICE_ATTRIBUTE_PCI_BUS_ID, 0x3b * i);
        attribute(i, CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID, 2 * i);
        devices[i].memory_bytes = 1 << 30;
        memset(&devices[i].uuid, 0x54 + i, sizeof devices[i].uuid);
    }
    strcpy(devices[1].name, "second");
    strcpy(devices[1].pci_bus_id, "0001:3b:02.0");
    gn_shim.welcome = (struct gn_welcome){.driver_version = 13000, .device_count = 2, .devices = devices};
    gn_shim.session = (struct gn_session *)&fake;
    gn_options.optimisations = GN_OPT_ALL;
    atomic_store(&gn_shim.mode, GN_MODE_REMOTE);
#define TEST(f) cmocka_unit_test_setup(f, begin)
    const struct CMUnitTest tests[] = {
        TEST(primary_contexts_are_retained_once_at_the_server),
        TEST(an_unretained_primary_context_can_be_current),
        TEST(the_stack),
        TEST(creating_checks_its_arguments),
        TEST(destroyed_while_current_elsewhere),
        TEST(handles_die_with_their_context),
        TEST(local_storage_is_destroyed_first),
        TEST(limits_are_asked_for_once),
        TEST(what_a_context_says_of_itself),
        TEST(a_latched_error_is_told_once),
        TEST(a_sticky_error_ruins_its_context_only),
        TEST(commands_go_under_the_current_context),
        TEST(a_server_that_is_gone),
        TEST(devices_from_the_snapshot),
        TEST(devices_by_their_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
