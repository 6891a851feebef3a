// SPDX-License-Identifier: Apache-2.0
// Question: do contexts, handles, memory and launches stay in order at the server, whatever a client sends?
// Method: the handlers themselves on a driver of this test's own.
#include "server/worker/box.h"
#include "tests/unit/server_driver.h"

// --- contexts

static void primary_contexts_are_counted(void **s)
{
    struct gn_worker w = fresh();
    (void)s;
    {
        RUN(primary_retain, .device = 0, .context = PRIMARY);
        assert_int_equal(r, CUDA_SUCCESS);
        assert_int_equal(o.id, 1000 + 0x70);
        assert_int_equal(o.flags, 8);
        assert_int_equal(o.greatest_priority, -5);
    }
    EXPECT(primary_retain, CUDA_SUCCESS, .device = 0, .context = PRIMARY);
    assert_int_equal(d.primaries, 1);
    EXPECT(primary_release, CUDA_SUCCESS, .context = PRIMARY);
    assert_int_equal(d.primaries, 1);
    EXPECT(primary_release, CUDA_SUCCESS, .context = PRIMARY);
    assert_int_equal(d.primaries, 0);
    EXPECT(primary_release, CUDA_ERROR_INVALID_CONTEXT, .context = PRIMARY);
    EXPECT(primary_retain, CUDA_ERROR_INVALID_DEVICE, .device = 7, .context = id(GN_KIND_CONTEXT, 1, 1));
    EXPECT(primary_retain, CUDA_SUCCESS, .device = 0, .context = PRIMARY); // the same name again
    ENDS(primary_retain, .device = 1, .context = PRIMARY);                 // another device under it
    EXPECT(context_destroy, CUDA_ERROR_INVALID_CONTEXT, .context = PRIMARY);
    gn_run_close(&w);
}

static void a_reset_ends_a_primary_context(void **s)
{
    struct gn_worker w = ready();
    uint64_t address, size;
    (void)s;
    EXPECT(primary_retain, CUDA_SUCCESS, .device = 0, .context = PRIMARY); // twice: a reset ends both
    EXPECT(stream_create, CUDA_SUCCESS, .stream = id(GN_KIND_STREAM, 1, 1));
    {
        RUN(memory_alloc, .size_bytes = 100);
        address = o.address;
    }
    EXPECT(primary_reset, CUDA_SUCCESS, .device = 0, .context = PRIMARY);
    assert_int_equal(d.primaries, 0);
    assert_false(gn_memory_find(&w, address, &size));
    assert_int_equal(w.memory_used_bytes, 0);
    assert_null(w.scope);
    EXPECT(stream_destroy, CUDA_ERROR_INVALID_HANDLE, .stream = id(GN_KIND_STREAM, 1, 1));
    EXPECT(primary_release, CUDA_ERROR_INVALID_CONTEXT, .context = PRIMARY);
    EXPECT(primary_retain, CUDA_SUCCESS, .device = 0, .context = PRIMARY); // under the same name
    assert_non_null(w.scope);
    EXPECT(stream_create, CUDA_SUCCESS, .stream = id(GN_KIND_STREAM, 1, 2));
    EXPECT(primary_release, CUDA_SUCCESS, .context = PRIMARY);
    assert_int_equal(d.primaries, 0);
    EXPECT(primary_reset, CUDA_SUCCESS, .device = 1, .context = 0); // never retained
    gn_run_close(&w);
}

static void the_scope_comes_back_with_its_context(void **s)
{
    struct gn_worker w = ready();
    (void)s;
    EXPECT(primary_release, CUDA_SUCCESS, .context = PRIMARY);
    assert_null(w.scope);
    EXPECT(primary_retain, CUDA_SUCCESS, .device = 0, .context = PRIMARY);
    assert_non_null(w.scope);
    assert_ptr_equal(d.current, number(0x70));
    gn_run_close(&w);
}

static void a_destroyed_context_takes_all_along(void **s)
{
    struct gn_worker w = ready();
    uint64_t mine = id(GN_KIND_CONTEXT, 7, 1), other, size;
    (void)s;
    {
        RUN(memory_alloc, .size_bytes = 1);
        other = o.address;
    }
    EXPECT(context_create, CUDA_ERROR_NOT_SUPPORTED, .context = mine, .flags = CU_CTX_COREDUMP_ENABLE);
    EXPECT(context_create, CUDA_ERROR_INVALID_VALUE, .context = mine, .flags = 0x10000);
    EXPECT(context_create, CUDA_SUCCESS, .context = mine);
    enter(&w, mine);
    for (uint32_t i = 0; i < 500; i++) {
        EXPECT(stream_create, CUDA_SUCCESS, .stream = id(GN_KIND_STREAM, 100 + i, 1));
        EXPECT(memory_alloc, CUDA_SUCCESS, .size_bytes = 1000);
    }
    assert_int_equal(atomic_load(&status.handles), 502);
    EXPECT(context_destroy, CUDA_SUCCESS, .context = mine);
    assert_int_equal(d.contexts, 0);
    assert_null(w.scope);
    assert_int_equal(atomic_load(&status.handles), 1);
    assert_int_equal(w.memory_used_bytes, 512);
    assert_true(gn_memory_find(&w, other, &size));
    EXPECT(memory_alloc, CUDA_ERROR_INVALID_CONTEXT, .size_bytes = 1);
    EXPECT(context_destroy, CUDA_ERROR_INVALID_CONTEXT, .context = mine);
    gn_run_close(&w);
}

// --- handles

static void names_that_cannot_be_end_the_session(void **s)
{
    static const uint64_t bad[] = {0,          3,          0x7f1234567890,
                                   UINT64_MAX, 1ull << 32, (uint64_t)GN_KINDS << 24 | 1ull << 32};
    struct gn_worker w = ready();
    (void)s;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ENDS(stream_destroy, .stream = bad[i]);
        ENDS(stream_create, .stream = bad[i]);
        ENDS(launch, .function = bad[i], .stream = 1);
        assert_int_equal(d.streams, 0); // what was made for a bad name is not kept
    }
    ENDS(stream_destroy, .stream = 1); // default streams are not destroyed
    ENDS(stream_destroy, .stream = id(GN_KIND_EVENT, 1, 1));
    ENDS(stream_create, .stream = id(GN_KIND_STREAM, 1, 0));
    ENDS(stream_create, .stream = id(GN_KIND_STREAM, 1, GN_HANDLE_GENERATIONS));
    ENDS(stream_create, .stream = id(GN_KIND_STREAM, GN_HANDLE_CHUNKS_MAX * GN_HANDLE_CHUNK_SLOTS, 1));
    EXPECT(stream_create, CUDA_SUCCESS, .stream = id(GN_KIND_STREAM, 1, 1));
    ENDS(stream_create, .stream = id(GN_KIND_STREAM, 1, 1)); // twice
    ENDS(stream_create, .stream = id(GN_KIND_STREAM, 1, 2)); // over a live one
    assert_int_equal(d.streams, 1);
    gn_run_close(&w);
}

static void a_failed_creation_makes_a_name_that_does_nothing(void **s)
{
    struct gn_worker w = ready();
    uint64_t name = id(GN_KIND_STREAM, 1, 1);
    (void)s;
    d.fail = CUDA_ERROR_OUT_OF_MEMORY;
    EXPECT(stream_create, CUDA_ERROR_OUT_OF_MEMORY, .stream = name);
    {
        RUN(launch, .function = id(GN_KIND_FUNCTION, 3, 1), .stream = name);
        assert_int_equal(r, CUDA_ERROR_INVALID_HANDLE);
        assert_true(q.dropped);
        assert_null(q.error);
    }
    EXPECT(stream_destroy, CUDA_ERROR_INVALID_HANDLE, .stream = name);
    EXPECT(stream_create, CUDA_SUCCESS, .stream = id(GN_KIND_STREAM, 1, 2));
    gn_run_close(&w);
}

static void handles_are_limited(void **s)
{
    struct gn_worker w = ready();
    (void)s;
    EXPECT(stream_create, CUDA_SUCCESS, .stream = id(GN_KIND_STREAM, 4999, 1));
    EXPECT(stream_create, CUDA_ERROR_OUT_OF_MEMORY, .stream = id(GN_KIND_STREAM, 5000, 1));
    assert_int_equal(d.streams, 1);
    assert_true(w.handles.chunk_count <= 5);
    EXPECT(stream_destroy, CUDA_ERROR_INVALID_HANDLE, .stream = id(GN_KIND_STREAM, 5000, 1));
    gn_run_close(&w);
}

// --- memory

static void memory_is_accounted(void **s)
{
    struct gn_worker w = ready();
    uint64_t a, b, size;
    (void)s;
    w.limits.memory_bytes = 4096;
    {
        RUN(memory_alloc, .size_bytes = 3000);
        assert_int_equal(r, CUDA_SUCCESS);
        a = o.address;
    }
    assert_int_equal(atomic_load(&status.memory_bytes), 3072);
    EXPECT(memory_alloc, CUDA_ERROR_OUT_OF_MEMORY, .size_bytes = 1025);
    EXPECT(memory_alloc, CUDA_ERROR_OUT_OF_MEMORY, .size_bytes = UINT64_MAX);
    EXPECT(memory_alloc, CUDA_ERROR_INVALID_VALUE, .size_bytes = 0); // the driver's own word
    {
        RUN(memory_alloc, .size_bytes = 1024);
        assert_int_equal(r, CUDA_SUCCESS);
        b = o.address;
    }
    EXPECT(memory_alloc, CUDA_ERROR_OUT_OF_MEMORY, .size_bytes = 1);
    EXPECT(memory_free, CUDA_ERROR_INVALID_VALUE, .address = a + 8); // not the beginning
    EXPECT(memory_free, CUDA_ERROR_INVALID_VALUE, .address = 0xdead0000);
    EXPECT(memory_free, CUDA_SUCCESS, .address = 0);
    EXPECT(memory_free, CUDA_SUCCESS, .address = a);
    EXPECT(memory_free, CUDA_ERROR_INVALID_VALUE, .address = a); // twice
    assert_true(gn_memory_find(&w, b, &size));
    assert_int_equal(size, 1024);
    assert_int_equal(w.memory_used_bytes, 1024);
    // 300 wide is 512 of pitch, which only the driver knows
    EXPECT(memory_alloc_pitch, CUDA_SUCCESS, .width_bytes = 300, .height = 5, .element_bytes = 4);
    uint64_t alive = d.memory;
    EXPECT(memory_alloc_pitch, CUDA_ERROR_OUT_OF_MEMORY, .width_bytes = 10, .height = 3, .element_bytes = 4);
    assert_int_equal(d.memory, alive); // given back
    EXPECT(memory_alloc_pitch, CUDA_ERROR_OUT_OF_MEMORY, .width_bytes = UINT64_MAX / 2, .height = 3,
           .element_bytes = 4);
    gn_run_close(&w);
}

static void many_allocations_come_and_go(void **s)
{
    enum { MANY = 100000 };
    static uint64_t addresses[MANY];
    struct gn_worker w = ready();
    uint64_t mine = id(GN_KIND_CONTEXT, 7, 1), size;
    (void)s;
    EXPECT(context_create, CUDA_SUCCESS, .context = mine);
    for (int i = 0; i < MANY; i++) {
        enter(&w, i % 3 ? PRIMARY : mine);
        RUN(memory_alloc, .size_bytes = 512);
        assert_int_equal(r, CUDA_SUCCESS);
        addresses[i] = o.address;
    }
    for (int i = 1; i < MANY; i += 7) {
        EXPECT(memory_free, CUDA_SUCCESS, .address = addresses[i]);
        addresses[i] = 0;
    }
    EXPECT(context_destroy, CUDA_SUCCESS, .context = mine);
    uint64_t left = 0;
    for (int i = 0; i < MANY; i++) {
        bool there = addresses[i] && i % 3;
        if (addresses[i])
            assert_int_equal(gn_memory_find(&w, addresses[i], &size), there);
        left += there;
    }
    assert_int_equal(w.memory_used_bytes, 512 * left);
    for (int i = MANY - 1; i >= 0; i--)
        if (addresses[i] && i % 3)
            EXPECT(memory_free, CUDA_SUCCESS, .address = addresses[i]);
    assert_int_equal(w.memory_used_bytes, 0);
    gn_run_close(&w);
}

// --- launches

static void launches_carry_parameters_and_attributes(void **s)
{
    struct gn_worker w = ready();
    uint64_t module = id(GN_KIND_MODULE, 1, 1), f = id(GN_KIND_FUNCTION, 2, 1),
             event = id(GN_KIND_EVENT, 3, 1);
    CUlaunchAttribute list[GN_LAUNCH_ATTRIBUTES_MAX + 1] = {0};
    struct gn_request made = request(GN_OP_cuEventCreate);
    (void)s;
    give(&w, 1, ptx, sizeof ptx);
    EXPECT(module_load, CUDA_SUCCESS, .module = module, .upload = 1);
    EXPECT(module_get_function, CUDA_SUCCESS, .module = module, .function = f, .name = "k", .name_bytes = 1);
    gn_keep(&w, &made, GN_KIND_EVENT, event, number(0xe7e7), CUDA_SUCCESS);
    d.events = 1;
    EXPECT(launch, CUDA_SUCCESS, .function = f, .stream = 1, .params = "12345678", .params_bytes = 8);
    assert_int_equal(d.params_bytes, 8);
    assert_memory_equal(d.params, "12345678", 8);
    EXPECT(launch, CUDA_SUCCESS, .function = f, .stream = 1);
    assert_int_equal(d.params_bytes, 0);
    list[0].id = CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT;
    list[0].value.launchCompletionEvent.event = number(event);
    EXPECT(launch, CUDA_SUCCESS, .function = f, .stream = 2, .grid_x = 9, .attributes = list,
           .attributes_bytes = 72);
    assert_int_equal(d.config.gridDimX, 9);
    assert_int_equal(d.config.numAttrs, 1);
    assert_ptr_equal(d.attribute.value.launchCompletionEvent.event, number(0xe7e7));
    assert_int_equal(atomic_load(&status.launches), 3);
    EXPECT(launch, CUDA_SUCCESS, .function = f, .stream = 2, .attributes = list + 1,
           .attributes_bytes = 72 * GN_LAUNCH_ATTRIBUTES_MAX);
    list[0].value.launchCompletionEvent.event = number(0x41414141); // no event: nothing the driver may follow
    ENDS(launch, .function = f, .stream = 2, .attributes = list, .attributes_bytes = 72);
    ENDS(launch, .function = f, .stream = 2, .attributes = list, .attributes_bytes = 71);
    ENDS(launch, .function = f, .stream = 2, .attributes = list,
         .attributes_bytes = 72 * (GN_LAUNCH_ATTRIBUTES_MAX + 1));
    static const unsigned refused[] = {CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE, 15, 17, 0x7fffffff,
                                       0xffffffff};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        memcpy(&list[0].id, &refused[i], sizeof refused[i]);
        EXPECT(launch, CUDA_ERROR_NOT_SUPPORTED, .function = f, .stream = 2, .attributes = list,
               .attributes_bytes = 72);
    }
    assert_int_equal(d.launches, 4);
    EXPECT(event_destroy, CUDA_SUCCESS, .event = event);
    assert_int_equal(d.events, 0);
    gn_run_close(&w);
}

static void boxes_that_cannot_be_are_refused(void **s)
{
    static const struct {
        struct gn_device_box box;
        uint64_t bytes; // 0: refused
    } cases[] = {
        {{0x1000, 0, 0, 100, 1, 1}, 100}, // of one row and one slice the distances mean nothing
        {{0x1000, 64, 0, 64, 10, 1}, 640},
        {{0x1000, 63, 0, 64, 10, 1}, 0}, // rows that overlap
        {{0x1000, 0, 0, 1, 2, 1}, 0},
        {{0x1000, 100, 964, 64, 10, 3}, 1920}, // 9 * 100 + 64: the next slice begins where the last row ends
        {{0x1000, 100, 963, 64, 10, 3}, 0},
        {{0x1000, 0, 64, 64, 1, 3}, 192},
        {{0x1000, 0, 63, 64, 1, 3}, 0},
        {{0x1000, 64, 64, 0, 1, 1}, 0},
        {{0x1000, 64, 64, 1, 0, 1}, 0},
        {{0x1000, 64, 64, 1, 1, 0}, 0},
        {{0x1000, (uint64_t)1 << 47, 0, 1, 2, 1}, 2},
        {{0x1000, (uint64_t)1 << 47, 0, 1, 3, 1}, 0}, // it reaches too far
        {{0x1000, (uint64_t)1 << 63, 0, 1, 3, 1}, 0}, // and the end wraps
        {{0x1000, 1, (uint64_t)1 << 63, 1, 1, 3}, 0},
        {{0x1000, 1, 1, (uint64_t)1 << 48, 1, 1}, 0},
    };
    (void)s;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t bytes = 0;
        bool possible = gn_device_box_bytes(&cases[i].box, &bytes);
        if (possible != (cases[i].bytes != 0) || bytes != cases[i].bytes)
            fail_msg("case %zu: %llu", i, (unsigned long long)bytes);
    }
}

static void a_driver_may_lack_functions(void **s)
{
    struct gn_worker w = ready();
    (void)s;
    memset(&w.driver.calls, 0, sizeof w.driver.calls);
    EXPECT(stream_create, CUDA_ERROR_NOT_SUPPORTED, .stream = id(GN_KIND_STREAM, 1, 1));
    EXPECT(memory_alloc, CUDA_ERROR_NOT_SUPPORTED, .size_bytes = 1);
    EXPECT(context_get_limit, CUDA_ERROR_NOT_SUPPORTED, .limit = 0);
    EXPECT(context_create, CUDA_ERROR_NOT_SUPPORTED, .context = id(GN_KIND_CONTEXT, 5, 1));
    gn_run_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(primary_contexts_are_counted),
        cmocka_unit_test(a_reset_ends_a_primary_context),
        cmocka_unit_test(the_scope_comes_back_with_its_context),
        cmocka_unit_test(a_destroyed_context_takes_all_along),
        cmocka_unit_test(names_that_cannot_be_end_the_session),
        cmocka_unit_test(a_failed_creation_makes_a_name_that_does_nothing),
        cmocka_unit_test(handles_are_limited),
        cmocka_unit_test(memory_is_accounted),
        cmocka_unit_test(many_allocations_come_and_go),
        cmocka_unit_test(launches_carry_parameters_and_attributes),
        cmocka_unit_test(boxes_that_cannot_be_are_refused),
        cmocka_unit_test(a_driver_may_lack_functions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
