// SPDX-License-Identifier: Apache-2.0
// Device malloc and free: one heap of the process, as large as a device's by default, that outlives launches.
#include "ptx_run.h"

#include <sys/mman.h>

enum { HEAP_BYTES = 8 << 20, GRAIN = 16 }; // 8 MiB is cudaLimitMallocHeapSize's default

// Blocks tile the heap; each begins with its size, whose lowest bit says that it is in use.
struct header {
    uint64_t size_used;
    uint64_t check;
};
#define CHECK_VALUE UINT64_C(0x70747868656170a5)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; // guards the heap's headers and `base`
static uint8_t *_Atomic base;

static struct header *at(uint64_t offset) { return (struct header *)(base + offset); }

static bool start(void)
{
    if (base)
        return true;
    void *memory =
        mmap(NULL, HEAP_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return false;
    *(struct header *)memory = (struct header){HEAP_BYTES, CHECK_VALUE};
    base = memory;
    return true;
}

// A kernel can write over headers: every size is checked before it is believed.
static bool sane(uint64_t offset)
{
    const struct header *h = at(offset);
    uint64_t size = h->size_used & ~(uint64_t)1;
    return h->check == CHECK_VALUE && size >= sizeof *h && !(size % GRAIN) && size <= HEAP_BYTES - offset;
}

uint64_t ptx_heap_alloc(uint64_t size_bytes)
{
    uint64_t result = 0;
    if (!size_bytes || size_bytes > HEAP_BYTES)
        return 0;
    uint64_t want = (size_bytes + sizeof(struct header) + GRAIN - 1) / GRAIN * GRAIN;
    pthread_mutex_lock(&lock);
    for (uint64_t o = 0; start() && o < HEAP_BYTES && sane(o) && !result;) {
        struct header *h = at(o);
        uint64_t size = h->size_used & ~(uint64_t)1;
        if (!(h->size_used & 1)) {
            while (o + size < HEAP_BYTES && sane(o + size) &&
                   !(at(o + size)->size_used & 1)) // join free neighbours
                size += at(o + size)->size_used;
            h->size_used = size;
            if (size >= want) {
                if (size > want)
                    *at(o + want) = (struct header){size - want, CHECK_VALUE};
                h->size_used = want | 1;
                result = (uint64_t)(uintptr_t)(h + 1);
                break;
            }
        }
        o += size;
    }
    pthread_mutex_unlock(&lock);
    return result;
}

bool ptx_heap_free(uint64_t address)
{
    if (!address)
        return true;
    bool ok = false;
    pthread_mutex_lock(&lock);
    uint64_t offset = address - (uint64_t)(uintptr_t)base - sizeof(struct header);
    if (base && offset < HEAP_BYTES && !(offset % GRAIN) && sane(offset) && at(offset)->size_used & 1) {
        at(offset)->size_used &= ~(uint64_t)1;
        ok = true;
    }
    pthread_mutex_unlock(&lock);
    return ok;
}

bool ptx_heap_find(uint64_t address, uint64_t *start_of, uint64_t *end)
{
    const uint64_t from = (uint64_t)(uintptr_t)base;
    if (!from || address - from >= HEAP_BYTES)
        return false;
    *start_of = from;
    *end = from + HEAP_BYTES;
    return true;
}
