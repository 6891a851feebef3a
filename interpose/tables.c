// SPDX-License-Identifier: Apache-2.0
// The private tables. Their layout and what is called of them were found by experiment; a slot that is never
// called by a known library answers CUDA_ERROR_NOT_SUPPORTED, because an empty one would crash its caller.
#include "interpose/tables.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "interpose/md2.h"

static const struct gn_table_driver *driver;

void gn_tables_use(const struct gn_table_driver *the_driver) { driver = the_driver; }

// --- slots without an answer: callable with any arguments, whose number and types nobody knows

static CUresult refuse(int slot)
{
    if (driver->refused)
        driver->refused(slot);
    return CUDA_ERROR_NOT_SUPPORTED;
}

// clang-format off
#define EACH_OF_10(X, tens) \
    X(tens##0) X(tens##1) X(tens##2) X(tens##3) X(tens##4) \
    X(tens##5) X(tens##6) X(tens##7) X(tens##8) X(tens##9)
#define FROM_10_TO_99(X) \
    EACH_OF_10(X, 1) EACH_OF_10(X, 2) EACH_OF_10(X, 3) EACH_OF_10(X, 4) EACH_OF_10(X, 5) \
    EACH_OF_10(X, 6) EACH_OF_10(X, 7) EACH_OF_10(X, 8) EACH_OF_10(X, 9)
#define FROM_1_TO_9(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9)
#define REFUSER(n) \
    static CUresult refuse_##n(void) { return refuse(n); }
FROM_1_TO_9(REFUSER)
FROM_10_TO_99(REFUSER)
// clang-format on

// --- CUDART_INTERFACE

static CUresult load_wrapper(CUmodule *module, const void *wrapper)
{
    return driver->module_load(module, wrapper);
}

static CUresult primary_context(CUcontext *context, CUdevice device)
{
    return driver->primary_context(context, device);
}

static CUresult load_wrapper_ex(CUmodule *module, const void *wrapper, void *a, void *b, uint32_t c)
{
    (void)a, (void)b, (void)c;
    return driver->module_load(module, wrapper);
}

static CUresult load_fatbin(const void *fatbin, CUmodule *module, void *a, void *b, uint32_t c)
{
    (void)a, (void)b, (void)c;
    return driver->module_load(module, fatbin);
}

static CUresult load_compilers(void) { return CUDA_SUCCESS; }

// --- TOOLS_RUNTIME_CALLBACK_HOOKS: switches of a profiler, all off. Sizes are counts of elements.

static uint32_t hooks_wide[1024], hooks_narrow[64];

static CUresult give_hooks(void **array, size_t *count, uint32_t *hooks, size_t hook_count)
{
    if (!array || !count)
        return CUDA_ERROR_INVALID_VALUE;
    *array = hooks;
    *count = hook_count;
    return CUDA_SUCCESS;
}

static CUresult hooks_2(void **array, size_t *count) { return give_hooks(array, count, hooks_wide, 1024); }
static CUresult hooks_6(void **array, size_t *count) { return give_hooks(array, count, hooks_narrow, 64); }

// --- TOOLS_TLS, CONTEXT_CHECKS, and the context and module tables

static CUresult current_context(CUcontext *context)
{
    return context ? driver->current_context(context) : CUDA_ERROR_INVALID_VALUE;
}

static CUresult check_context(CUcontext context, uint32_t *bad, const void **reason)
{
    (void)context, (void)reason;
    if (bad)
        *bad = 0;
    return CUDA_SUCCESS;
}

static CUresult check_all(void) { return CUDA_SUCCESS; }

static CUresult context_id(CUcontext context, uint64_t *id)
{
    unsigned long long value = 0;
    if (!id)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult r = driver->context_id(context, &value);
    if (!r)
        *id = value;
    return r;
}

// Calls back for every function of the module and returns how many there are; none when the module is bad.
static int each_function(CUcontext context, CUmodule module, void (*call)(void *opaque, CUfunction function),
                         void *opaque)
{
    (void)context;
    unsigned count = 0;
    if (driver->module_functions(module, NULL, &count) || !count)
        return 0;
    CUfunction *functions = calloc(count, sizeof *functions);
    if (!functions || driver->module_functions(module, functions, &count))
        count = 0;
    for (unsigned i = 0; call && i < count; i++)
        call(opaque, functions[i]);
    free(functions);
    return (int)count;
}

// --- CONTEXT_LOCAL_STORAGE: values by (context, key). Reading takes no lock, as the runtime reads before
// most calls; entries are never freed, so that a reader may stand on one that is being used again, which its
// version tells.

typedef void destructor(CUcontext context, void *key, void *value);

struct entry {
    _Atomic uint32_t version;   // odd while a writer is at it
    _Atomic(CUcontext) context; // NULL: free
    _Atomic(void *) key, value;
    destructor *destroy;        // the lock's
    struct entry *_Atomic next; // of the same bucket; set once
};

enum {
    BUCKETS = 64,   // contexts times copies of the runtime: a handful in a program, some hundred in a test of
                    // contexts
    PASSES_MAX = 8, // destructors that put values again are run again; two that do so for each other are not
                    // run for ever
};

static struct entry *_Atomic buckets[BUCKETS];
static pthread_mutex_t storage_lock =
    PTHREAD_MUTEX_INITIALIZER; // guards writing of entries; nothing is called under it

static struct entry *_Atomic *bucket_of(CUcontext context, const void *key)
{
    uint64_t mixed = ((uintptr_t)context * 31 + (uintptr_t)key) * 0x9e3779b97f4a7c15u;
    return &buckets[mixed >> 58];
}

// The writer's side of the version; pairs with the reader's two loads in look_up. Each field is stored with
// release after the version is odd, so a reader that sees a new field sees the odd (or a later) version when
// it looks again.
static void entry_set(struct entry *e, CUcontext context, void *key, void *value, destructor *destroy)
{
    atomic_fetch_add_explicit(&e->version, 1, memory_order_acq_rel);
    atomic_store_explicit(&e->context, context, memory_order_release);
    atomic_store_explicit(&e->key, key, memory_order_release);
    atomic_store_explicit(&e->value, value, memory_order_release);
    e->destroy = destroy;
    atomic_fetch_add_explicit(&e->version, 1, memory_order_release);
}

// For a writer, under the lock.
static struct entry *entry_find(CUcontext context, const void *key)
{
    struct entry *e = atomic_load_explicit(bucket_of(context, key), memory_order_acquire);
    while (e && (atomic_load_explicit(&e->context, memory_order_relaxed) != context ||
                 atomic_load_explicit(&e->key, memory_order_relaxed) != key))
        e = atomic_load_explicit(&e->next, memory_order_acquire);
    return e;
}

static bool look_up(CUcontext context, const void *key, void **value)
{
    struct entry *e = atomic_load_explicit(bucket_of(context, key), memory_order_acquire);
    while (e) {
        uint32_t before = atomic_load_explicit(&e->version, memory_order_acquire);
        bool same = atomic_load_explicit(&e->context, memory_order_acquire) == context &&
                    atomic_load_explicit(&e->key, memory_order_acquire) == key;
        void *found = atomic_load_explicit(&e->value, memory_order_acquire);
        if (before & 1 || atomic_load_explicit(&e->version, memory_order_relaxed) != before)
            continue; // a writer was at it; it holds no lock for longer than three stores
        if (same) {
            *value = found;
            return true;
        }
        e = atomic_load_explicit(&e->next, memory_order_acquire);
    }
    return false;
}

static CUresult resolve(CUcontext *context)
{
    if (!*context && driver->current_context(context))
        *context = NULL;
    return *context ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}

static CUresult storage_put(CUcontext context, void *key, void *value, destructor *destroy)
{
    CUresult r = resolve(&context);
    if (r)
        return r;
    pthread_mutex_lock(&storage_lock);
    struct entry *_Atomic *bucket = bucket_of(context, key);
    struct entry *e = entry_find(context, key);
    for (struct entry *any = atomic_load_explicit(bucket, memory_order_relaxed); any && !e;
         any = atomic_load_explicit(&any->next, memory_order_relaxed))
        if (!atomic_load_explicit(&any->context, memory_order_relaxed))
            e = any;
    if (e) {
        entry_set(e, context, key, value, destroy);
    } else if ((e = calloc(1, sizeof *e))) {
        entry_set(e, context, key, value, destroy);
        atomic_store_explicit(&e->next, atomic_load_explicit(bucket, memory_order_relaxed),
                              memory_order_relaxed);
        atomic_store_explicit(bucket, e, memory_order_release);
    }
    pthread_mutex_unlock(&storage_lock);
    return e ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

// The destructor belongs to a dying context; a key that is taken back leaves its value to its owner.
static CUresult storage_delete(CUcontext context, void *key)
{
    CUresult r = resolve(&context);
    if (r)
        return r;
    pthread_mutex_lock(&storage_lock);
    struct entry *e = entry_find(context, key);
    if (e)
        entry_set(e, NULL, NULL, NULL, NULL);
    pthread_mutex_unlock(&storage_lock);
    return CUDA_SUCCESS;
}

static CUresult storage_get(void **value, CUcontext context, void *key)
{
    if (!value)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult r = resolve(&context);
    if (r)
        return r;
    return look_up(context, key, value) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

// With the lock: an entry of the context in the buckets from *bucket on.
static struct entry *next_of_context(CUcontext context, unsigned *bucket)
{
    for (; *bucket < BUCKETS; ++*bucket)
        for (struct entry *e = atomic_load_explicit(&buckets[*bucket], memory_order_relaxed); e;
             e = atomic_load_explicit(&e->next, memory_order_relaxed))
            if (atomic_load_explicit(&e->context, memory_order_relaxed) == context)
                return e;
    return NULL;
}

// Takes one value out and destroys it without the lock: a destructor may use the storage itself. Whether
// there was one.
static bool destroy_next(CUcontext context, unsigned *bucket)
{
    pthread_mutex_lock(&storage_lock);
    struct entry *e = next_of_context(context, bucket);
    destructor *destroy = e ? e->destroy : NULL;
    void *key = e ? atomic_load_explicit(&e->key, memory_order_relaxed) : NULL;
    void *value = e ? atomic_load_explicit(&e->value, memory_order_relaxed) : NULL;
    if (e)
        entry_set(e, NULL, NULL, NULL, NULL);
    pthread_mutex_unlock(&storage_lock);
    if (destroy)
        destroy(context, key, value);
    return e != NULL;
}

void gn_tables_context_gone(CUcontext context)
{
    bool any = context != NULL; // NULL marks free entries
    for (int pass = 0; any && pass < PASSES_MAX; pass++) {
        any = false;
        for (unsigned bucket = 0; destroy_next(context, &bucket);)
            any = true;
    }
}

void gn_tables_forked(void) { pthread_mutex_init(&storage_lock, NULL); }

// --- INTEGRITY_CHECK

static CUresult integrity(uint32_t version, uint64_t unix_time_s, uint64_t answer[2]);

// --- the tables themselves. Slot 0 is the size in bytes, but for CONTEXT_LOCAL_STORAGE.

#define BYTES(slots) ((void *)((slots) * sizeof(void *)))
#define REFUSED(n)   (void *)refuse_##n,

static void *const cudart_interface[13] = {
    BYTES(13),
    (void *)load_wrapper,
    (void *)primary_context,
    (void *)refuse_3,
    (void *)refuse_4,
    (void *)refuse_5,
    (void *)load_wrapper_ex,
    (void *)refuse_7,
    (void *)load_fatbin,
    (void *)refuse_9,
    (void *)refuse_10,
    (void *)refuse_11,
    (void *)load_compilers,
};
static void *const callback_hooks[7] = {
    BYTES(7),         (void *)refuse_1, (void *)hooks_2, (void *)refuse_3,
    (void *)refuse_4, (void *)refuse_5, (void *)hooks_6,
};
static void *const tools_tls[4] = {BYTES(4), (void *)refuse_1, (void *)current_context, (void *)refuse_3};
static void *const context_local_storage[4] = {
    (void *)storage_put,
    (void *)storage_delete,
    (void *)storage_get,
    (void *)refuse_3,
};
static void *const context_checks[4] = {BYTES(4), (void *)refuse_1, (void *)check_context, (void *)check_all};
static void *const integrity_check[3] = {BYTES(3), (void *)integrity, (void *)refuse_2};
static void *const module_table[8] = {
    BYTES(8),         (void *)refuse_1, (void *)refuse_2, (void *)refuse_3,
    (void *)refuse_4, (void *)refuse_5, (void *)refuse_6, (void *)each_function,
};
// clang-format off
static void *const context_table[100] = { // of 94 or so
    BYTES(100), REFUSED(1) REFUSED(2) REFUSED(3) (void *)context_id,
    REFUSED(5) REFUSED(6) REFUSED(7) REFUSED(8) REFUSED(9)
    FROM_10_TO_99(REFUSED)
};
// clang-format on

static const struct {
    uint8_t id[16];
    void *const *table;
} tables[] = {
    {{0x6b, 0xd5, 0xfb, 0x6c, 0x5b, 0xf4, 0xe7, 0x4a, 0x89, 0x87, 0xd9, 0x39, 0x12, 0xfd, 0x9d, 0xf9},
     cudart_interface},
    {{0xa0, 0x94, 0x79, 0x8c, 0x2e, 0x74, 0x2e, 0x74, 0x93, 0xf2, 0x08, 0x00, 0x20, 0x0c, 0x0a, 0x66},
     callback_hooks},
    {{0x42, 0xd8, 0x5a, 0x81, 0x23, 0xf6, 0xcb, 0x47, 0x82, 0x98, 0xf6, 0xe7, 0x8a, 0x3a, 0xec, 0xdc},
     tools_tls},
    {{0xc6, 0x93, 0x33, 0x6e, 0x11, 0x21, 0xdf, 0x11, 0xa8, 0xc3, 0x68, 0xf3, 0x55, 0xd8, 0x95, 0x93},
     context_local_storage},
    {{0x26, 0x3e, 0x88, 0x60, 0x7c, 0xd2, 0x61, 0x43, 0x92, 0xf6, 0xbb, 0xd5, 0x00, 0x6d, 0xfa, 0x7e},
     context_checks},
    {{0xd4, 0x08, 0x20, 0x55, 0xbd, 0xe6, 0x70, 0x4b, 0x8d, 0x34, 0xba, 0x12, 0x3c, 0x66, 0xe1, 0xf2},
     integrity_check},
    {{0x21, 0x31, 0x8c, 0x60, 0x97, 0x14, 0x32, 0x48, 0x8c, 0xa6, 0x41, 0xff, 0x73, 0x24, 0xc8, 0xf2},
     context_table},
    {{0x6e, 0x16, 0x3f, 0xbe, 0xb9, 0x58, 0x44, 0x4d, 0x83, 0x5c, 0xe1, 0x82, 0xaf, 0xf1, 0x99, 0x1e},
     module_table},
};

CUresult gn_tables_find(const void **table, const CUuuid *id)
{
    if (!table || !id)
        return CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if (!memcmp(tables[i].id, id, sizeof tables[i].id)) {
            *table = tables[i].table;
            return CUDA_SUCCESS;
        }
    return CUDA_ERROR_INVALID_VALUE;
}

// What the runtime hashes to see that the driver is the one it has been talking to: the same values, through
// the same calls.
static CUresult add_devices(struct gn_hmac_md2 *h)
{
    static const CUdevice_attribute places[3] = {
        CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID,
        CU_DEVICE_ATTRIBUTE_PCI_BUS_ID,
        CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID,
    };
    int count = 0;
    CUresult r = driver->device_count(&count);
    for (int device = 0; !r && device < count; device++) {
        CUuuid uuid;
        int place[3] = {0};
        r = driver->device_uuid(&uuid, device);
        for (int i = 0; !r && i < 3; i++)
            r = driver->device_attribute(&place[i], places[i], device);
        gn_hmac_md2_add(h, &uuid, sizeof uuid);
        gn_hmac_md2_add(h, place, sizeof place);
    }
    return r;
}

static CUresult integrity(uint32_t version, uint64_t unix_time_s, uint64_t answer[2])
{
    static const uint8_t key[16] = {0x14, 0x6a, 0xdd, 0xae, 0x53, 0xa9, 0xa7, 0x52,
                                    0xaa, 0x08, 0x41, 0x36, 0x0b, 0xf5, 0x5a, 0x9f};
    int driver_version = 0;
    if (!answer)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult r = driver->driver_version(&driver_version);
    if (r)
        return r;
    const uint32_t numbers[4] = {(uint32_t)driver_version, version, (uint32_t)getpid(),
                                 (uint32_t)pthread_self()};
    const void *addresses[3] = {cudart_interface, integrity_check, integrity_check[1]};
    struct gn_hmac_md2 h;
    gn_hmac_md2_begin(&h, key, sizeof key);
    gn_hmac_md2_add(&h, numbers, sizeof numbers);
    gn_hmac_md2_add(&h, addresses, sizeof addresses);
    gn_hmac_md2_add(&h, &unix_time_s, sizeof unix_time_s);
    r = add_devices(&h);
    uint8_t digest[GN_MD2_BYTES];
    gn_hmac_md2_end(&h, digest);
    if (!r)
        memcpy(answer, digest, sizeof digest);
    return r;
}
