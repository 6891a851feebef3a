// SPDX-License-Identifier: Apache-2.0
// Question: is the memory that a client may map by itself counted to the grain, whatever it sends: maps outside the range, over what is mapped, of
// more than it was granted, unmaps of what is not there? Method: the handlers themselves on a driver of this test's own.
#include "server/worker/pool.h"
#include "tests/unit/server_driver.h"

enum { GRANULES = 64, DEVICE_GRANULES = 512 };
#define GRANULE ((uint64_t)2 << 20)
#define BASE    ((uint64_t)0x300000000000)

static struct {
    uint64_t reserved, live, next_handle, limit, creates_left; // live: granules made and not released
    uint64_t mapped[GRANULES * 16];                            // handles by granule of the range
    uint64_t accessible, syncs, frees;
    uint64_t hint;
    bool has_vmm, refuses_map;
} v;

static CUresult attribute(int *value, CUdevice_attribute a, CUdevice dev)
{
    return (void)dev, *value = a == CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED ? v.has_vmm : 1, CUDA_SUCCESS;
}
static CUresult granularity(size_t *size, const CUmemAllocationProp *prop, CUmemAllocationGranularity_flags f)
{
    return (void)prop, (void)f, *size = GRANULE, CUDA_SUCCESS;
}
static CUresult vmm_reserve(CUdeviceptr *at, size_t size, size_t alignment, CUdeviceptr hint, unsigned long long flags)
{
    (void)alignment, (void)flags;
    v.reserved = size;
    v.hint = hint;
    *at = hint;
    return CUDA_SUCCESS;
}
static CUresult vmm_free(CUdeviceptr at, size_t size) { return (void)at, (void)size, v.frees++, CUDA_SUCCESS; }
static CUresult vmm_create(CUmemGenericAllocationHandle *h, size_t size, const CUmemAllocationProp *prop, unsigned long long flags)
{
    (void)prop, (void)flags;
    if (!v.creates_left)
        return CUDA_ERROR_OUT_OF_MEMORY;
    v.creates_left--;
    v.live += size / GRANULE;
    return *h = ++v.next_handle, CUDA_SUCCESS;
}
static CUresult vmm_release(CUmemGenericAllocationHandle h) { return (void)h, v.live--, CUDA_SUCCESS; }
static CUresult map(CUdeviceptr at, size_t size, size_t offset, CUmemGenericAllocationHandle h, unsigned long long flags)
{
    (void)flags;
    assert_int_equal(size, GRANULE);
    assert_int_equal(offset, 0);
    uint64_t i = (at - BASE) / GRANULE;
    assert_true(i < sizeof v.mapped / sizeof *v.mapped && !v.mapped[i] && h);
    for (size_t k = 0; k < sizeof v.mapped / sizeof *v.mapped; k++)
        assert_true(v.mapped[k] != h); // never at two places
    v.mapped[i] = h;
    return v.refuses_map ? CUDA_ERROR_UNKNOWN : CUDA_SUCCESS;
}
static CUresult unmap(CUdeviceptr at, size_t size)
{
    for (uint64_t i = (at - BASE) / GRANULE, n = size / GRANULE; n; i++, n--) {
        assert_true(v.mapped[i]);
        v.mapped[i] = 0;
        v.accessible--;
    }
    return CUDA_SUCCESS;
}
static CUresult set_access(CUdeviceptr at, size_t size, const CUmemAccessDesc *desc, size_t count)
{
    assert_int_equal(count, 1);
    assert_int_equal(desc->flags, CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
    for (uint64_t i = (at - BASE) / GRANULE, n = size / GRANULE; n; i++, n--)
        assert_true(v.mapped[i]);
    v.accessible += size / GRANULE;
    return CUDA_SUCCESS;
}
static CUresult info(size_t *free_bytes, size_t *total)
{
    *total = DEVICE_GRANULES * GRANULE;
    *free_bytes = *total - v.live * GRANULE;
    return CUDA_SUCCESS;
}
static CUresult synchronize(void) { return v.syncs++, CUDA_SUCCESS; }
static CUresult no_pitch(CUdeviceptr *at, size_t *pitch, size_t width, size_t height, unsigned element)
{
    (void)height, (void)element;
    *at = 0x7f0000000000;
    *pitch = (width + 511) / 512 * 512;
    return CUDA_SUCCESS;
}
static CUresult no_free(CUdeviceptr at) { return (void)at, CUDA_SUCCESS; }

static struct gn_worker mapping(void)
{
    struct gn_worker w = ready();
    memset(&v, 0, sizeof v);
    v.has_vmm = true;
    v.creates_left = 1000;
    struct gn_driver_calls *c = &w.driver.calls;
    c->cuDeviceGetAttribute = attribute;
    c->cuMemGetAllocationGranularity = granularity;
    c->cuMemAddressReserve = vmm_reserve;
    c->cuMemAddressFree = vmm_free;
    c->cuMemCreate = vmm_create;
    c->cuMemRelease = vmm_release;
    c->cuMemMap = map;
    c->cuMemUnmap = unmap;
    c->cuMemSetAccess = set_access;
    c->cuMemGetInfo_v2 = info;
    c->cuCtxSynchronize = synchronize;
    c->cuMemAllocPitch_v2 = no_pitch;
    c->cuMemFree_v2 = no_free;
    return w;
}

// The range as the client sees it; 8 granules of credit, a device of 1 GiB.
static struct gn_out_memory_range agreed(struct gn_worker *pw)
{
    struct gn_worker w = *pw;
    RUN(memory_range, .attempt = 0, .want_bytes = 4096);
    assert_int_equal(r, CUDA_SUCCESS);
    assert_null(q.error);
    *pw = w;
    return o;
}

static void a_range_and_its_credit(void **s)
{
    (void)s;
    struct gn_worker w = mapping();
    struct gn_out_memory_range range = agreed(&w);
    assert_int_equal(range.start, BASE);
    assert_int_equal(range.size_bytes, 2 * DEVICE_GRANULES * GRANULE);
    assert_int_equal(range.granule_bytes, GRANULE);
    assert_int_equal(range.pitch_bytes, 512);
    assert_int_equal(range.credit_bytes, 8 * GRANULE);
    assert_int_equal(range.unused_bytes_max, DEVICE_GRANULES / 16 * GRANULE);
    assert_int_equal(v.live, 8);
    assert_int_equal(w.memory_used_bytes, 8 * GRANULE);
    // As if nothing were allocated: the client takes off what is.
    {
        RUN(memory_info, 0);
        assert_int_equal(o.free_bytes, DEVICE_GRANULES * GRANULE);
        assert_int_equal(o.total_bytes, DEVICE_GRANULES * GRANULE);
    }
    EXPECT(memory_map, CUDA_SUCCESS, .address = BASE, .size_bytes = 3 * GRANULE);
    EXPECT(memory_map, CUDA_SUCCESS, .address = BASE + 10 * GRANULE, .size_bytes = 5 * GRANULE);
    assert_int_equal(v.accessible, 8);
    EXPECT(memory_unmap, CUDA_SUCCESS, .address = BASE + 11 * GRANULE, .size_bytes = 2 * GRANULE, .release = 0);
    EXPECT(memory_map, CUDA_SUCCESS, .address = BASE + 20 * GRANULE, .size_bytes = 2 * GRANULE); // out of what was unmapped
    EXPECT(memory_unmap, CUDA_SUCCESS, .address = BASE, .size_bytes = 3 * GRANULE, .release = 1);
    assert_int_equal(v.live, 5);
    assert_int_equal(w.memory_used_bytes, 5 * GRANULE);
    EXPECT(memory_unmap, CUDA_SUCCESS, .address = BASE + 20 * GRANULE, .size_bytes = GRANULE, .release = 0);
    EXPECT(memory_return, CUDA_SUCCESS, .device = 0, .size_bytes = GRANULE);
    assert_int_equal(v.live, 4);
    {
        RUN(memory_info, 0);
        assert_int_equal(o.free_bytes, DEVICE_GRANULES * GRANULE);
    }
    gn_run_close(&w);
}

#define VIOLATION(what, ...)                                                                                 \
    do {                                                                                                     \
        struct gn_worker w = mapping();                                                                      \
        agreed(&w);                                                                                          \
        EXPECT(memory_map, CUDA_SUCCESS, .address = BASE + 4 * GRANULE, .size_bytes = 2 * GRANULE);          \
        ENDS(what, __VA_ARGS__);                                                                             \
        assert_int_equal(v.live, 8); /* nothing else is harmed */                                            \
        assert_int_equal(v.accessible, 2);                                                                   \
        gn_run_close(&w);                                                                                    \
    } while (0)

static void what_no_client_sends_ends_the_session(void **s)
{
    (void)s;
    uint64_t end = BASE + 2 * DEVICE_GRANULES * GRANULE;
    VIOLATION(memory_map, .address = BASE - GRANULE, .size_bytes = GRANULE);
    VIOLATION(memory_map, .address = end, .size_bytes = GRANULE);
    VIOLATION(memory_map, .address = end - GRANULE, .size_bytes = 2 * GRANULE);
    VIOLATION(memory_map, .address = BASE, .size_bytes = UINT64_MAX - GRANULE + 1);
    VIOLATION(memory_map, .address = BASE, .size_bytes = 0);
    VIOLATION(memory_map, .address = BASE + 512, .size_bytes = GRANULE);
    VIOLATION(memory_map, .address = BASE, .size_bytes = GRANULE + 512);
    VIOLATION(memory_map, .address = BASE + 4 * GRANULE, .size_bytes = GRANULE);     // twice
    VIOLATION(memory_map, .address = BASE + 3 * GRANULE, .size_bytes = 2 * GRANULE); // overlapping
    VIOLATION(memory_map, .address = BASE + 8 * GRANULE, .size_bytes = 7 * GRANULE); // six are left
    VIOLATION(memory_unmap, .address = BASE, .size_bytes = GRANULE);
    VIOLATION(memory_unmap, .address = BASE + 5 * GRANULE, .size_bytes = 2 * GRANULE);
    VIOLATION(memory_unmap, .address = BASE + 4 * GRANULE, .size_bytes = 0);
    VIOLATION(memory_unmap, .address = end - GRANULE, .size_bytes = 3 * GRANULE, .release = 1);
    VIOLATION(memory_return, .device = 0, .size_bytes = 7 * GRANULE);
    VIOLATION(memory_return, .device = 0, .size_bytes = GRANULE / 2);
    VIOLATION(memory_return, .device = 1, .size_bytes = GRANULE);
    VIOLATION(memory_return, .device = UINT32_MAX, .size_bytes = 0);
    VIOLATION(memory_range, .attempt = 1); // something is mapped
    VIOLATION(memory_range, .attempt = 0); // again
    VIOLATION(vmm_unmap, .address = BASE + 4 * GRANULE, .size_bytes = GRANULE);
    VIOLATION(vmm_free, .address = BASE, .size_bytes = 2 * DEVICE_GRANULES * GRANULE);
    VIOLATION(vmm_access, .address = BASE - GRANULE, .size_bytes = 6 * GRANULE, .device = 0, .flags = 0);
    VIOLATION(vmm_map, .address = BASE, .size_bytes = GRANULE, .allocation = id(GN_KIND_ALLOCATION, 0, 1));
}

static void another_place_for_the_range(void **s)
{
    (void)s;
    struct gn_worker w = mapping();
    agreed(&w);
    {
        RUN(memory_range, .attempt = 1, .want_bytes = 1);
        assert_int_equal(r, CUDA_SUCCESS);
        assert_int_equal(o.start, BASE / 2);
        assert_int_equal(o.credit_bytes, 8 * GRANULE);
        assert_int_equal(v.live, 8); // not twice as much
        assert_int_equal(v.frees, 1);
    }
    ENDS(memory_range, .attempt = 1);
    gn_run_close(&w);
}

static void where_there_is_none(void **s)
{
    (void)s;
    for (int i = 0; i < 3; i++) {
        struct gn_worker w = mapping();
        v.has_vmm = i == 1;
        if (i == 1)
            w.driver.calls.cuMemAddressReserve = NULL;
        if (i == 2)
            w.driver.calls.cuDeviceGetAttribute = NULL;
        struct gn_out_memory_range range = agreed(&w);
        assert_int_equal(range.size_bytes, 0);
        assert_int_equal(range.credit_bytes, 0);
        assert_int_equal(v.live, 0);
        ENDS(memory_map, .address = BASE, .size_bytes = GRANULE);
        gn_run_close(&w);
    }
}

static void limits_hold_for_what_is_made_ahead(void **s)
{
    (void)s;
    struct gn_worker w = mapping();
    w.limits.memory_bytes = 48 * GRANULE;
    struct gn_out_memory_range range = agreed(&w);
    assert_int_equal(range.unused_bytes_max, 3 * GRANULE);
    assert_int_equal(range.credit_bytes, 3 * GRANULE);
    {
        RUN(memory_info, 0);
        assert_int_equal(o.free_bytes, 48 * GRANULE);
        assert_int_equal(o.total_bytes, 48 * GRANULE);
    }
    EXPECT(memory_alloc, CUDA_ERROR_OUT_OF_MEMORY, .size_bytes = 46 * GRANULE);
    EXPECT(memory_alloc, CUDA_SUCCESS, .size_bytes = 40 * GRANULE);
    {
        RUN(memory_info, 0);
        assert_int_equal(o.free_bytes, 8 * GRANULE);
    }
    gn_run_close(&w);

    w = mapping();
    v.creates_left = 5; // and the driver's
    range = agreed(&w);
    assert_int_equal(range.credit_bytes, 5 * GRANULE);
    assert_int_equal(w.memory_used_bytes, 5 * GRANULE);
    gn_run_close(&w);
}

static void a_driver_that_fails_a_map(void **s)
{
    (void)s;
    struct gn_worker w = mapping();
    agreed(&w);
    v.refuses_map = true;
    EXPECT(memory_map, CUDA_ERROR_UNKNOWN, .address = BASE, .size_bytes = GRANULE);
    gn_run_close(&w);
}

static void a_barrier_waits_for_what_there_is(void **s)
{
    (void)s;
    struct gn_worker w = mapping();
    w.work = 1;
    EXPECT(memory_barrier, CUDA_SUCCESS, .address = BASE);
    assert_int_equal(v.syncs, 1);
    EXPECT(memory_barrier, CUDA_SUCCESS, .address = BASE); // nothing has come since
    assert_int_equal(v.syncs, 1);
    w.work++;
    EXPECT(memory_barrier, CUDA_SUCCESS, .address = BASE);
    assert_int_equal(v.syncs, 2);
    w.scope = NULL;
    EXPECT(memory_barrier, CUDA_ERROR_INVALID_CONTEXT, .address = BASE);
    gn_run_close(&w);
}

static void allocations_of_the_program_are_charged(void **s)
{
    (void)s;
    struct gn_worker w = mapping();
    w.limits.memory_bytes = 10 * GRANULE;
    uint64_t first = id(GN_KIND_ALLOCATION, 1, 1), second = id(GN_KIND_ALLOCATION, 2, 1);
    EXPECT(vmm_create, CUDA_SUCCESS, .allocation = first, .size_bytes = GRANULE, .device = 0);
    assert_int_equal(w.memory_used_bytes, GRANULE);
    EXPECT(vmm_create, CUDA_ERROR_OUT_OF_MEMORY, .allocation = second, .size_bytes = 10 * GRANULE, .device = 0);
    assert_int_equal(w.memory_used_bytes, GRANULE);
    ENDS(vmm_create, .allocation = first, .size_bytes = GRANULE, .device = 0); // a name in use
    ENDS(vmm_create, .allocation = id(GN_KIND_STREAM, 1, 1), .size_bytes = GRANULE, .device = 0);
    assert_int_equal(v.live, 1);
    EXPECT(vmm_release, CUDA_SUCCESS, .allocation = first);
    assert_int_equal(w.memory_used_bytes, 0);
    EXPECT(vmm_release, CUDA_ERROR_INVALID_VALUE, .allocation = first);
    EXPECT(vmm_map, CUDA_ERROR_INVALID_VALUE, .allocation = second, .address = BASE, .size_bytes = GRANULE);
    assert_int_equal(v.live, 0);
    gn_run_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_range_and_its_credit),
        cmocka_unit_test(what_no_client_sends_ends_the_session),
        cmocka_unit_test(another_place_for_the_range),
        cmocka_unit_test(where_there_is_none),
        cmocka_unit_test(limits_hold_for_what_is_made_ahead),
        cmocka_unit_test(a_driver_that_fails_a_map),
        cmocka_unit_test(a_barrier_waits_for_what_there_is),
        cmocka_unit_test(allocations_of_the_program_are_charged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
