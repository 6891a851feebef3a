// SPDX-License-Identifier: Apache-2.0
// Question: do the private tables hold what the CUDA runtime calls, with its rules? Method: a small driver of
// our own behind them; every slot is called the way the runtime calls it; storage also from many threads at
// once; the integrity answer against a second computation.
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "interpose/md2.h"
#include "interpose/tables.h"

static CUcontext current;
static int refused_slot, loaded;
static CUresult device_error;

static CUcontext context(uintptr_t n) { return (CUcontext)(n << 12); }

static CUresult primary_context(CUcontext *c, CUdevice device)
{
    if (device > 1)
        return CUDA_ERROR_INVALID_DEVICE;
    *c = context(100 + (uintptr_t)device);
    return CUDA_SUCCESS;
}
static CUresult current_context(CUcontext *c)
{
    *c = current;
    return CUDA_SUCCESS;
}
static CUresult context_device(CUcontext c, CUdevice *device)
{
    (void)c;
    *device = 0;
    return CUDA_SUCCESS;
}
static CUresult context_id(CUcontext c, unsigned long long *id)
{
    if (c != context(100))
        return CUDA_ERROR_INVALID_CONTEXT;
    *id = 77;
    return CUDA_SUCCESS;
}
static CUresult module_load(CUmodule *module, const void *image)
{
    loaded++;
    *module = (CUmodule)(uintptr_t)image;
    return CUDA_SUCCESS;
}
static CUresult module_functions(CUmodule module, CUfunction *functions, unsigned *count)
{
    if (module != (CUmodule)0x5000)
        return CUDA_ERROR_INVALID_HANDLE;
    for (unsigned i = 0; functions && i < *count; i++)
        functions[i] = (CUfunction)(uintptr_t)(0x9000 + i);
    *count = 5;
    return CUDA_SUCCESS;
}
static CUresult driver_version(int *version)
{
    *version = 13000;
    return CUDA_SUCCESS;
}
static CUresult device_count(int *count)
{
    *count = 2;
    return device_error;
}
static CUresult device_uuid(CUuuid *uuid, CUdevice device)
{
    memset(uuid, 0x40 + device, sizeof *uuid);
    return CUDA_SUCCESS;
}
static CUresult device_attribute(int *value, CUdevice_attribute attribute, CUdevice device)
{
    *value = (int)attribute * 10 + device;
    return CUDA_SUCCESS;
}
static void refused(int slot) { refused_slot = slot; }

static const struct gn_table_driver fake = {
    primary_context, current_context, context_device, context_id,       module_load, module_functions,
    driver_version,  device_count,    device_uuid,    device_attribute, refused,
};

#define CUDART    "\x6b\xd5\xfb\x6c\x5b\xf4\xe7\x4a\x89\x87\xd9\x39\x12\xfd\x9d\xf9"
#define HOOKS     "\xa0\x94\x79\x8c\x2e\x74\x2e\x74\x93\xf2\x08\x00\x20\x0c\x0a\x66"
#define TLS       "\x42\xd8\x5a\x81\x23\xf6\xcb\x47\x82\x98\xf6\xe7\x8a\x3a\xec\xdc"
#define STORAGE   "\xc6\x93\x33\x6e\x11\x21\xdf\x11\xa8\xc3\x68\xf3\x55\xd8\x95\x93"
#define CHECKS    "\x26\x3e\x88\x60\x7c\xd2\x61\x43\x92\xf6\xbb\xd5\x00\x6d\xfa\x7e"
#define INTEGRITY "\xd4\x08\x20\x55\xbd\xe6\x70\x4b\x8d\x34\xba\x12\x3c\x66\xe1\xf2"
#define CONTEXTS  "\x21\x31\x8c\x60\x97\x14\x32\x48\x8c\xa6\x41\xff\x73\x24\xc8\xf2"
#define MODULES   "\x6e\x16\x3f\xbe\xb9\x58\x44\x4d\x83\x5c\xe1\x82\xaf\xf1\x99\x1e"

static void *const *table(const char *id)
{
    CUuuid uuid;
    const void *found = NULL;
    memcpy(&uuid, id, sizeof uuid);
    assert_int_equal(gn_tables_find(&found, &uuid), CUDA_SUCCESS);
    assert_non_null(found);
    return found;
}

static void sizes_and_no_empty_slot(void **state)
{
    (void)state;
    static const struct {
        const char *id;
        size_t slots;
    } cases[] = {{CUDART, 13},   {HOOKS, 7},     {TLS, 4},    {CHECKS, 4},
                 {INTEGRITY, 3}, {CONTEXTS, 94}, {MODULES, 8}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        void *const *t = table(cases[i].id);
        size_t slots = (size_t)t[0] / sizeof(void *);
        assert_in_range(slots, cases[i].slots, 128);
        for (size_t s = 1; s < slots; s++)
            assert_non_null(t[s]);
    }
    for (int s = 0; s < 4; s++)
        assert_non_null(table(STORAGE)[s]);
}

static void unknown_tables_are_refused(void **state)
{
    (void)state;
    static const uint8_t ids[][4] = {{0xf8, 0xcf, 0xf9, 0x51}, {0xda, 0x91, 0x51, 0xd3},
                                     {0x0c, 0xa5, 0x0b, 0x8c}, {0x19, 0x5b, 0xcb, 0xf4},
                                     {0xb1, 0x05, 0x41, 0xe1}, {0, 0, 0, 0}};
    const void *found = &found;
    CUuuid uuid = {{0}};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        memcpy(&uuid, ids[i], 4);
        assert_int_equal(gn_tables_find(&found, &uuid), CUDA_ERROR_INVALID_VALUE);
        assert_ptr_equal(found, &found);
    }
    memcpy(&uuid, CUDART, sizeof uuid);
    ((uint8_t *)&uuid)[15] ^= 1; // the last byte counts, too
    assert_int_equal(gn_tables_find(&found, &uuid), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(gn_tables_find(NULL, &uuid), CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(gn_tables_find(&found, NULL), CUDA_ERROR_INVALID_VALUE);
}

static void a_slot_without_an_answer_says_so(void **state)
{
    (void)state;
    CUresult (*slot)(void *, int, void *) = table(CONTEXTS)[93];
    refused_slot = 0;
    assert_int_equal(slot(&current, 3, NULL), CUDA_ERROR_NOT_SUPPORTED);
    assert_int_equal(refused_slot, 93);
    slot = table(CUDART)[7];
    assert_int_equal(slot(NULL, 0, NULL), CUDA_ERROR_NOT_SUPPORTED);
    assert_int_equal(refused_slot, 7);
}

static void cudart_interface(void **state)
{
    (void)state;
    void *const *t = table(CUDART);
    CUcontext c = NULL;
    CUmodule m = NULL;
    assert_int_equal(((CUresult(*)(CUcontext *, CUdevice))t[2])(&c, 1), CUDA_SUCCESS);
    assert_ptr_equal(c, context(101));
    assert_int_equal(((CUresult(*)(CUcontext *, CUdevice))t[2])(&c, 2), CUDA_ERROR_INVALID_DEVICE);
    loaded = 0;
    assert_int_equal(((CUresult(*)(CUmodule *, const void *))t[1])(&m, (void *)1), CUDA_SUCCESS);
    assert_ptr_equal(m, 1);
    assert_int_equal(
        ((CUresult(*)(CUmodule *, const void *, void *, void *, uint32_t))t[6])(&m, (void *)2, NULL, NULL, 0),
        0);
    assert_ptr_equal(m, 2);
    assert_int_equal(
        ((CUresult(*)(const void *, CUmodule *, void *, void *, uint32_t))t[8])((void *)3, &m, NULL, NULL, 0),
        0);
    assert_ptr_equal(m, 3);
    assert_int_equal(loaded, 3);
    assert_int_equal(((CUresult(*)(void))t[12])(), CUDA_SUCCESS);
}

static void hooks_are_zeroed_and_counted_in_elements(void **state)
{
    (void)state;
    static const size_t counts[] = {[2] = 1024, [6] = 64};
    for (int slot = 2; slot <= 6; slot += 4) {
        CUresult (*get)(void **, size_t *) = table(HOOKS)[slot];
        uint32_t *array = NULL;
        size_t count = 0;
        assert_int_equal(get((void **)&array, &count), CUDA_SUCCESS);
        assert_int_equal(count, counts[slot]);
        for (size_t i = 0; i < count; i++)
            assert_int_equal(array[i], 0);
        assert_int_equal(get(NULL, &count), CUDA_ERROR_INVALID_VALUE);
        assert_int_equal(get((void **)&array, NULL), CUDA_ERROR_INVALID_VALUE);
    }
}

static void contexts_checks_and_modules(void **state)
{
    (void)state;
    CUcontext c = NULL;
    current = context(3);
    CUresult (*tls)(CUcontext *) = table(TLS)[2];
    assert_int_equal(tls(&c), CUDA_SUCCESS);
    assert_ptr_equal(c, current);
    assert_int_equal(tls(NULL), CUDA_ERROR_INVALID_VALUE);

    uint32_t bad = 9;
    const void *reason = NULL;
    assert_int_equal(((CUresult(*)(CUcontext, uint32_t *, const void **))table(CHECKS)[2])(c, &bad, &reason),
                     CUDA_SUCCESS);
    assert_int_equal(bad, 0);
    assert_int_equal(((CUresult(*)(void))table(CHECKS)[3])(), CUDA_SUCCESS);

    uint64_t id = 1;
    CUresult (*get_id)(CUcontext, uint64_t *) = table(CONTEXTS)[4];
    assert_int_equal(get_id(context(100), &id), CUDA_SUCCESS);
    assert_int_equal(id, 77);
    assert_int_equal(get_id(context(5), &id), CUDA_ERROR_INVALID_CONTEXT);
    assert_int_equal(id, 77);
    assert_int_equal(get_id(context(100), NULL), CUDA_ERROR_INVALID_VALUE);
}

static unsigned seen;
static void see(void *opaque, CUfunction function)
{
    assert_ptr_equal(opaque, &seen);
    assert_ptr_equal(function, (CUfunction)(uintptr_t)(0x9000 + seen));
    seen++;
}

static void module_table_calls_back_for_each_function(void **state)
{
    (void)state;
    int (*each)(CUcontext, CUmodule, void (*)(void *, CUfunction), void *) = table(MODULES)[7];
    seen = 0;
    assert_int_equal(each(NULL, (CUmodule)0x5000, see, &seen), 5);
    assert_int_equal(seen, 5);
    assert_int_equal(each(NULL, (CUmodule)0x5000, NULL, NULL), 5);
    assert_int_equal(each(NULL, (CUmodule)0x6000, see, &seen), 0);
    assert_int_equal(seen, 5);
}

// --- storage

typedef void destructor(CUcontext context, void *key, void *value);
static CUresult put(CUcontext c, void *key, void *value, destructor *d)
{
    return ((CUresult(*)(CUcontext, void *, void *, destructor *))table(STORAGE)[0])(c, key, value, d);
}
static CUresult delete (CUcontext c, void *key)
{
    return ((CUresult(*)(CUcontext, void *))table(STORAGE)[1])(c, key);
}
static CUresult get(void **value, CUcontext c, void *key)
{
    return ((CUresult(*)(void **, CUcontext, void *))table(STORAGE)[2])(value, c, key);
}

static _Atomic int destroyed;
static void count_destroyed(CUcontext c, void *key, void *value)
{
    assert_non_null(c);
    assert_ptr_equal((char *)key + 1, value);
    destroyed++;
}

static void storage_by_context_and_key(void **state)
{
    (void)state;
    char keys[4];
    void *value = keys;
    assert_int_equal(get(&value, context(1), &keys[0]), CUDA_ERROR_INVALID_HANDLE);
    assert_ptr_equal(value, keys); // untouched
    assert_int_equal(put(context(1), &keys[0], &keys[1], count_destroyed), CUDA_SUCCESS);
    assert_int_equal(put(context(1), &keys[2], &keys[3], count_destroyed), CUDA_SUCCESS);
    assert_int_equal(get(&value, context(1), &keys[0]), CUDA_SUCCESS);
    assert_ptr_equal(value, &keys[1]);
    assert_int_equal(get(&value, context(2), &keys[0]), CUDA_ERROR_INVALID_HANDLE);
    current = context(1); // NULL is the current one
    assert_int_equal(get(&value, NULL, &keys[2]), CUDA_SUCCESS);
    assert_ptr_equal(value, &keys[3]);
    current = NULL;
    assert_int_equal(get(&value, NULL, &keys[2]), CUDA_ERROR_INVALID_CONTEXT);
    assert_int_equal(put(NULL, &keys[0], NULL, NULL), CUDA_ERROR_INVALID_CONTEXT);
    assert_int_equal(get(NULL, context(1), &keys[0]), CUDA_ERROR_INVALID_VALUE);

    assert_int_equal(put(context(1), &keys[0], NULL, NULL), CUDA_SUCCESS); // again: the new value holds
    assert_int_equal(get(&value, context(1), &keys[0]), CUDA_SUCCESS);
    assert_null(value);
    destroyed = 0;
    assert_int_equal(delete (context(1), &keys[0]), CUDA_SUCCESS);
    assert_int_equal(get(&value, context(1), &keys[0]), CUDA_ERROR_INVALID_HANDLE);
    assert_int_equal(delete (context(1), &keys[0]), CUDA_SUCCESS); // nothing there: nothing to do
    assert_int_equal(destroyed, 0);
    gn_tables_context_gone(context(1));
    assert_int_equal(destroyed, 1);
    assert_int_equal(get(&value, context(1), &keys[2]), CUDA_ERROR_INVALID_HANDLE);
    gn_tables_context_gone(context(1));
    gn_tables_context_gone(NULL);
    assert_int_equal(destroyed, 1);
}

static void put_again(CUcontext c, void *key, void *value)
{
    void *found;
    assert_int_equal(get(&found, c, key), CUDA_ERROR_INVALID_HANDLE); // it is gone when its destructor runs
    if (value)
        assert_int_equal(put(c, key, NULL, put_again), CUDA_SUCCESS);
    destroyed++;
}

static void a_destructor_may_use_the_storage(void **state)
{
    (void)state;
    char key;
    destroyed = 0;
    assert_int_equal(put(context(8), &key, &key, put_again), CUDA_SUCCESS);
    gn_tables_context_gone(context(8));
    assert_int_equal(destroyed, 2);
}

static void many_contexts_and_keys(void **state)
{
    (void)state;
    static char keys[50];
    void *value;
    for (int round = 0; round < 3; round++) {
        for (uintptr_t c = 1; c <= 40; c++)
            for (int k = 0; k < 50; k++)
                assert_int_equal(put(context(c), &keys[k], (void *)(c * 1000 + (uintptr_t)k), NULL),
                                 CUDA_SUCCESS);
        for (uintptr_t c = 1; c <= 40; c++)
            for (int k = 0; k < 50; k++) {
                assert_int_equal(get(&value, context(c), &keys[k]), CUDA_SUCCESS);
                assert_int_equal((uintptr_t)value, c * 1000 + (uintptr_t)k);
            }
        for (uintptr_t c = 1; c <= 40; c++)
            gn_tables_context_gone(context(c));
        assert_int_equal(get(&value, context(40), &keys[49]), CUDA_ERROR_INVALID_HANDLE);
    }
}

static char shared_keys[8];
static _Atomic bool stop;

// A value always belongs to its context and key, or there is none; whatever writers do meanwhile.
static void *reader(void *unused)
{
    (void)unused;
    intptr_t wrong = 0;
    for (unsigned n = 0; !atomic_load(&stop); n++) {
        void *value;
        uintptr_t c = 1 + n % 5;
        char *key = &shared_keys[n % 8];
        CUresult r = get(&value, context(c), key);
        if (r == CUDA_SUCCESS ? (uintptr_t)value % 1000 != c * 10 + n % 8 : r != CUDA_ERROR_INVALID_HANDLE)
            wrong++;
    }
    return (void *)wrong;
}

static void readers_see_whole_entries(void **state)
{
    (void)state;
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, reader, NULL), 0);
    for (unsigned n = 0; n < 30000; n++) {
        uintptr_t c = 1 + n % 5;
        if (n % 7 < 4)
            put(context(c), &shared_keys[n % 8], (void *)(n / 8 * 1000 + c * 10 + n % 8), NULL);
        else if (n % 7 < 6)
            delete (context(c), &shared_keys[n % 8]);
        else
            gn_tables_context_gone(context(c));
    }
    atomic_store(&stop, true);
    for (int i = 0; i < 3; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
}

// --- integrity

static void integrity_is_the_hmac_of_what_is_there(void **state)
{
    (void)state;
    void *const *t = table(INTEGRITY);
    CUresult (*check)(uint32_t, uint64_t, uint64_t[2]) = t[1];
    uint8_t message[48 + 2 * 28], want[GN_MD2_BYTES], *at = message;
    const uint32_t numbers[4] = {13000, 1032, (uint32_t)getpid(), (uint32_t)pthread_self()};
    const void *addresses[3] = {table(CUDART), t, t[1]};
    const uint64_t time_s = 1763700000;
    memcpy(at, numbers, 16);
    memcpy(at + 16, addresses, 24);
    memcpy(at + 40, &time_s, 8);
    for (int d = 0; d < 2; d++) {
        const int32_t place[3] = {500 + d, 330 + d, 340 + d};
        memset(at + 48 + 28 * d, 0x40 + d, 16);
        memcpy(at + 48 + 28 * d + 16, place, 12);
    }
    struct gn_hmac_md2 h;
    gn_hmac_md2_begin(&h, "\x14\x6a\xdd\xae\x53\xa9\xa7\x52\xaa\x08\x41\x36\x0b\xf5\x5a\x9f", 16);
    gn_hmac_md2_add(&h, message, sizeof message);
    gn_hmac_md2_end(&h, want);
    uint64_t answer[2] = {0, 0}, other[2];
    assert_int_equal(check(1032, time_s, answer), CUDA_SUCCESS);
    assert_memory_equal(answer, want, sizeof want);
    assert_int_equal(check(1032, time_s + 1, other), CUDA_SUCCESS);
    assert_memory_not_equal(answer, other, sizeof want);
    assert_int_equal(check(1031, time_s, other), CUDA_SUCCESS);
    assert_memory_not_equal(answer, other, sizeof want);
    assert_int_equal(check(1032, time_s, NULL), CUDA_ERROR_INVALID_VALUE);
    device_error = CUDA_ERROR_NOT_INITIALIZED;
    assert_int_equal(check(1032, time_s, answer), CUDA_ERROR_NOT_INITIALIZED);
    device_error = CUDA_SUCCESS;
}

int main(void)
{
    gn_tables_use(&fake);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_and_no_empty_slot),
        cmocka_unit_test(unknown_tables_are_refused),
        cmocka_unit_test(a_slot_without_an_answer_says_so),
        cmocka_unit_test(cudart_interface),
        cmocka_unit_test(hooks_are_zeroed_and_counted_in_elements),
        cmocka_unit_test(contexts_checks_and_modules),
        cmocka_unit_test(module_table_calls_back_for_each_function),
        cmocka_unit_test(storage_by_context_and_key),
        cmocka_unit_test(a_destructor_may_use_the_storage),
        cmocka_unit_test(many_contexts_and_keys),
        cmocka_unit_test(readers_see_whole_entries),
        cmocka_unit_test(integrity_is_the_hmac_of_what_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
