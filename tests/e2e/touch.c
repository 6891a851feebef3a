// SPDX-License-Identifier: Apache-2.0
// Is a host buffer that a copy went into what it is with a local driver, whatever the program does with it? Ordinary CUDA programs, a case
// each (`touch CASE...`, `touch list`, or all): what they print is the same on every way to a device, with hints and without.
#include "tests/e2e/touch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static const struct touch_case *const subjects[] = {touch_ranges,  touch_calls, touch_maps,   touch_places, touch_children, touch_signals,
                                                    touch_crowd,   touch_ring,  touch_device, touch_pinned, touch_same,     touch_random};

CUcontext touch_context;
CUdeviceptr touch_source, touch_sink;
CUfunction touch_fill, touch_add;
uint8_t *touch_model;
static uint8_t *looking; // what touch_device_is looks through

void touch_truth(void *to, size_t offset, size_t size_bytes, unsigned seed)
{
    uint8_t *at = to;
    for (size_t i = 0; i < size_bytes;) {
        size_t word = (offset + i) / 4, within = (offset + i) % 4, n = 4 - within;
        uint32_t value = seed + (uint32_t)word;
        n = n < size_bytes - i ? n : size_bytes - i;
        memcpy(at + i, (uint8_t *)&value + within, n);
        i += n;
    }
}

void touch_seed(CUdeviceptr at, size_t size_bytes, unsigned seed) { e2e_fill(touch_fill, NULL, at, (unsigned)(size_bytes / 4), seed); }

void touch_down(void *host, size_t size_bytes, unsigned seed)
{
    touch_seed(touch_source, (size_bytes + 3) & ~3u, seed);
    touch_truth(touch_model, 0, size_bytes, seed);
    CU(cuMemcpyDtoH(host, touch_source, size_bytes));
}

bool touch_device_is(CUdeviceptr at, const void *wanted, size_t size_bytes)
{
    CU(cuMemcpyDtoH(looking, at, size_bytes));
    if (!memcmp(looking, wanted, size_bytes))
        return true;
    size_t first = 0, wrong = 0;
    for (size_t i = size_bytes; i-- > 0;)
        if (looking[i] != ((const uint8_t *)wanted)[i])
            first = i, wrong++;
    printf("  %zu of %zu bytes are wrong, the first at %zu\n", wrong, size_bytes, first);
    return false;
}

bool touch_arrives(const void *part, size_t offset, size_t size_bytes)
{
    CU(cuMemcpyHtoD(touch_sink + offset, part, size_bytes));
    return touch_device_is(touch_sink + offset, touch_model + offset, size_bytes);
}

uint64_t touch_digest(const void *bytes, size_t size_bytes)
{
    uint64_t digest = 14695981039346656037ull;
    for (size_t i = 0; i < size_bytes; i++)
        digest = (digest ^ ((const uint8_t *)bytes)[i]) * 1099511628211ull;
    return digest;
}

void touch_print(const char *what, const void *bytes, size_t size_bytes)
{
    printf("%s: %016llx\n", what, (unsigned long long)touch_digest(bytes, size_bytes));
}

void touch_up(const char *what, const void *host, size_t size_bytes)
{
    bool arrives = touch_arrives(host, 0, size_bytes);
    EXPECT(arrives);
    if (!arrives)
        printf("  in: %s\n", what);
    touch_print(what, looking, size_bytes);
}

uint8_t *touch_map(size_t size_bytes)
{
    void *at = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) {
        printf("no memory\n");
        exit(1);
    }
    return at;
}

void touch_unmap(void *at, size_t size_bytes) { munmap(at, size_bytes); }

static void run_case(const struct touch_case *c)
{
    printf("-- %s\n", c->name);
    fflush(stdout); // a child that is forked has nothing to write again, and a crash has a name
    touch_context = e2e_open(0);
    CUmodule module = e2e_module();
    CU(cuModuleGetFunction(&touch_fill, module, "fill"));
    CU(cuModuleGetFunction(&touch_add, module, "add"));
    touch_source = e2e_alloc(TOUCH_MOST);
    touch_sink = e2e_alloc(TOUCH_MOST);
    c->run();
    if (touch_context)
        CU(cuCtxDestroy(touch_context));
}

static bool is_wanted(const char *name, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (!strcmp(name, argv[i]))
            return true;
    return argc < 2;
}

int main(int argc, char **argv)
{
    bool lists = argc == 2 && !strcmp(argv[1], "list");
    touch_model = touch_map(TOUCH_MOST);
    looking = touch_map(TOUCH_MOST);
    for (size_t s = 0; s < sizeof subjects / sizeof *subjects; s++)
        for (const struct touch_case *c = subjects[s]; c->name; c++) {
            if (lists)
                printf("%s\n", c->name);
            else if (is_wanted(c->name, argc, argv))
                run_case(c);
        }
    return lists ? 0 : e2e_finish();
}
