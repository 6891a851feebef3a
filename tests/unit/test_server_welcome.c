// SPDX-License-Identifier: Apache-2.0
// Question: is a driver opened only if it is one, and does a client learn of its devices what Genie can
// carry, no more? Method: libraries that are no driver; drivers made of functions of this test.
#include <dlfcn.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "server/front/welcome.h"
#include "server/log.h"

static CUresult init_result;
static int device_count, version;

static CUresult init(unsigned flags)
{
    return (void)flags, init_result;
}
static CUresult get_version(int *v)
{
    return *v = version, CUDA_SUCCESS;
}
static CUresult count(int *n)
{
    return *n = device_count, CUDA_SUCCESS;
}
static CUresult get(CUdevice *d, int n)
{
    return *d = n, CUDA_SUCCESS;
}

static CUresult name(char *text, int room, CUdevice d)
{
    memset(text, 'x', (size_t)room); // without an end
    text[0] = (char)('A' + d % 26);
    return CUDA_SUCCESS;
}

static CUresult memory(size_t *bytes, CUdevice d)
{
    return *bytes = (size_t)(d + 1) << 40, CUDA_SUCCESS;
}

static CUresult attribute(int *value, CUdevice_attribute a, CUdevice d)
{
    (void)d;
    *value = 1000 + (int)a;
    return a <= 147 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static struct gn_driver fresh(void)
{
    struct gn_driver driver = {.version = 0};
    driver.calls = (struct gn_driver_calls){.cuInit = init,
                                            .cuDriverGetVersion = get_version,
                                            .cuDeviceGetCount = count,
                                            .cuDeviceGet = get,
                                            .cuDeviceGetName = name,
                                            .cuDeviceTotalMem_v2 = memory,
                                            .cuDeviceGetAttribute = attribute};
    init_result = CUDA_SUCCESS;
    device_count = 2;
    version = 13020;
    gn_log_setup(GN_LOG_OFF, 0);
    return driver;
}

static struct gn_device_snapshot devices[GN_DEVICES_MAX];
static const struct gn_limits limits = {.window_bytes = 1 << 20, .chunk_bytes = 65536};

static void devices_are_described(void **state)
{
    struct gn_driver driver = fresh();
    struct gn_welcome w = {.devices = devices};
    (void)state;
    gn_welcome_fill(&driver, &limits, &w);
    assert_int_equal(w.status, 0);
    assert_int_equal(w.device_count, 2);
    assert_int_equal(w.driver_version, 13000); // at most our own
    assert_int_equal(w.window_bytes, 1 << 20);
    assert_int_equal(w.chunk_bytes, 65536);
    assert_int_equal(devices[1].name[0], 'B');
    assert_int_equal(strlen(devices[1].name), GN_NAME_BYTES - 1);
    assert_int_equal(devices[1].memory_bytes, 2ull << 40);
    assert_false(devices[1].has_luid);
    assert_int_equal(devices[0].attributes[CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT], 1016);
    assert_true(devices[0].attribute_known[147]);
    assert_false(devices[0].attribute_known[148]);
    assert_false(devices[0].attribute_known[0]);
    version = 12020;
    gn_welcome_fill(&driver, &limits, &w);
    assert_int_equal(w.driver_version, 12020);
    static uint8_t bytes[GN_WELCOME_BYTES_MAX];
    assert_true(gn_welcome_encode(bytes, sizeof bytes, &w) > 0);
}

static void what_cannot_be_carried_is_not_shown(void **state)
{
    static const int absent[] = {
        CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY,
        CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS,
        CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS_USES_HOST_PAGE_TABLES,
        CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS,
        CU_DEVICE_ATTRIBUTE_MANAGED_MEMORY,
        CU_DEVICE_ATTRIBUTE_HOST_NATIVE_ATOMIC_SUPPORTED,
        CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED,
        CU_DEVICE_ATTRIBUTE_IPC_EVENT_SUPPORTED,
        CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_SUPPORTED,
        CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_FABRIC_SUPPORTED,
        CU_DEVICE_ATTRIBUTE_MULTICAST_SUPPORTED,
        CU_DEVICE_ATTRIBUTE_CAN_USE_HOST_POINTER_FOR_REGISTERED_MEM,
        CU_DEVICE_ATTRIBUTE_DMA_BUF_SUPPORTED,
        CU_DEVICE_ATTRIBUTE_TENSOR_MAP_ACCESS_SUPPORTED,
        CU_DEVICE_ATTRIBUTE_MEMPOOL_SUPPORTED_HANDLE_TYPES,
        CU_DEVICE_ATTRIBUTE_DIRECT_MANAGED_MEM_ACCESS_FROM_HOST,
    };
    static const int shown[] = {
        CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING, CU_DEVICE_ATTRIBUTE_CONCURRENT_KERNELS,
        CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH, CU_DEVICE_ATTRIBUTE_STREAM_PRIORITIES_SUPPORTED,
        CU_DEVICE_ATTRIBUTE_CLUSTER_LAUNCH,     CU_DEVICE_ATTRIBUTE_PCI_BUS_ID,
    };
    (void)state;
    gn_log_setup(GN_LOG_OFF, 0);
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
        assert_int_equal(gn_attribute_shown(absent[i], 1), 0);
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
        assert_int_equal(gn_attribute_shown(shown[i], 7), 7);
    assert_int_equal(gn_attribute_shown(CU_DEVICE_ATTRIBUTE_HOST_NUMA_ID, 1), -1); // "no node" is not 0
    assert_int_equal(gn_attribute_shown(100000, 5), 5);
    assert_int_equal(gn_attribute_shown(-1, 5), 5);
}

static void a_driver_that_refuses_is_told_to_the_client(void **state)
{
    struct gn_driver driver = fresh();
    struct gn_welcome w = {.devices = devices};
    (void)state;
    init_result = CUDA_ERROR_NO_DEVICE;
    gn_welcome_fill(&driver, &limits, &w);
    assert_int_equal(w.status, CUDA_ERROR_NO_DEVICE);
    assert_non_null(strstr(w.text, "cuInit"));
    assert_int_equal(w.device_count, 0);
    init_result = CUDA_SUCCESS;
    device_count = 1000;
    gn_welcome_fill(&driver, &limits, &w);
    assert_int_equal(w.status, 0);
    assert_int_equal(w.device_count, GN_DEVICES_MAX);
    driver.calls.cuDeviceTotalMem_v2 = NULL;
    gn_welcome_fill(&driver, &limits, &w);
    assert_int_equal(w.status, CUDA_ERROR_NOT_SUPPORTED);
    assert_int_equal(w.device_count, 0);
}

static void what_is_no_driver_is_not_opened(void **state)
{
    struct gn_driver driver;
    char why[256];
    (void)state;
    static const char *const bad[] = {"/nonexistent/libcuda.so.1", "/dev/null", "libm.so.6"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        why[0] = 0;
        assert_int_equal(gn_driver_open(&driver, bad[i], why, sizeof why), -ENOENT);
        assert_true(why[0]);
        assert_null(driver.library);
    }
    assert_non_null(strstr(why, "no CUDA driver: it has no cuInit"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(devices_are_described),
        cmocka_unit_test(what_cannot_be_carried_is_not_shown),
        cmocka_unit_test(a_driver_that_refuses_is_told_to_the_client),
        cmocka_unit_test(what_is_no_driver_is_not_opened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
