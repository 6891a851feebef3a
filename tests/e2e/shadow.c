// SPDX-License-Identifier: Apache-2.0
// What stays at the server when host buffers are hardly touched: each way of using one, so often that counters tell exactly what travelled. The
// ways are run one at a time (`shadow WAY`), so that a report is about one of them; what is printed is the same locally.
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/e2e/e2e.h"

enum { PAGE = 4096, BYTES = 1 << 20, ROUNDS = 10 };

static CUdeviceptr from, to;
static uint8_t *host;
static CUfunction fill;
static bool pinned;

static void seed(unsigned value) { e2e_fill(fill, NULL, from, BYTES / 4, value); }

// A few words, so few that they come as usual.
static void look(unsigned value)
{
    static const unsigned at[] = {0, PAGE / 4 - 1, BYTES / 8, BYTES / 4 - 1};
    for (unsigned i = 0; i < sizeof at / sizeof *at; i++) {
        uint32_t word = 0;
        CU(cuMemcpyDtoH(&word, to + 4 * at[i], 4));
        EXPECT(word == value + at[i]);
    }
}

static void down(void)
{
    if (!pinned) {
        CU(cuMemcpyDtoH(host, from, BYTES));
        return;
    }
    CU(cuMemcpyDtoHAsync(host, from, BYTES, NULL));
    CU(cuStreamSynchronize(NULL));
}

static void up(void) { CU(cuMemcpyHtoD(to, host, BYTES)); }

static void untouched(void) // down and up again
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        seed(100 * i);
        down();
        up();
        look(100 * i);
    }
}

static void one_page(void) // is read of each copy
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        seed(100 * i);
        down();
        EXPECT(((uint32_t *)host)[BYTES / 8] == 100 * i + BYTES / 8);
    }
}

static void one_byte(void) // is written to each copy
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        seed(100 * i);
        down();
        host[BYTES / 2 + PAGE] = 255;
        up();
        up();
        look(100 * i);
    }
}

static void in_order(void)
{
    seed(7);
    down();
    EXPECT(e2e_is_filled((uint32_t *)host, BYTES / 4, 7));
}

static void all_read(void) // of each copy, so that it does not pay
{
    for (unsigned i = 0; i < 2 * ROUNDS; i++) {
        seed(100 * i);
        down();
        EXPECT(e2e_is_filled((uint32_t *)host, BYTES / 4, 100 * i));
    }
}

static void again(void) // the same upload
{
    for (unsigned i = 0; i < BYTES / 4; i++)
        ((uint32_t *)host)[i] = 5 + i;
    for (unsigned i = 0; i < ROUNDS; i++)
        up();
    look(5);
    volatile uint8_t *byte = &host[BYTES / 2];
    *byte = *byte; // written, though with what it was
    up();
    look(5);
}

static uint8_t byte_at(unsigned at)
{
    uint8_t byte = 0;
    CU(cuMemcpyDtoH(&byte, to + at, 1));
    return byte;
}

static void edges(void) // of uploads that fill no whole pages at either end
{
    enum { FRONT = 24, BEHIND = 40, LAST = BYTES - BEHIND - 1 };
    volatile uint8_t *bytes = host;
    for (unsigned i = 0; i < BYTES; i++)
        bytes[i] = (uint8_t)(i * 7);
    for (unsigned i = 0; i < ROUNDS; i++)
        CU(cuMemcpyHtoD(to + FRONT, host + FRONT, LAST + 1 - FRONT));
    EXPECT(byte_at(FRONT) == bytes[FRONT] && byte_at(LAST) == bytes[LAST]);
    const unsigned at[] = {FRONT, PAGE - 1, LAST};
    for (unsigned i = 0; i < sizeof at / sizeof *at; i++) { // changed here, then there
        uint8_t other = (uint8_t)(bytes[at[i]] + 2);
        bytes[at[i]]++;
        CU(cuMemcpyHtoD(to + FRONT, host + FRONT, LAST + 1 - FRONT));
        EXPECT(byte_at(at[i]) == bytes[at[i]]);
        CU(cuMemcpyHtoD(to + at[i], &other, 1));
        CU(cuMemcpyHtoD(to + FRONT, host + FRONT, LAST + 1 - FRONT));
        EXPECT(byte_at(at[i]) == bytes[at[i]]);
    }
    uint8_t was = bytes[FRONT]; // and what a copy to the host brings is not what was uploaded
    CU(cuMemsetD8(to, 1, BYTES));
    CU(cuMemcpyDtoH(host + FRONT, to + FRONT, LAST + 1 - FRONT));
    EXPECT(bytes[FRONT] == 1);
    bytes[FRONT] = was;
    CU(cuMemcpyHtoD(to + FRONT, host + FRONT, LAST + 1 - FRONT));
    EXPECT(byte_at(FRONT) == was && byte_at(LAST) == 1);
}

static void crowd(void) // of buffers, more than the server may keep
{
    enum { CROWD = 6 };
    uint8_t *all[CROWD];
    for (unsigned i = 0; i < CROWD; i++)
        EXPECT((all[i] = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) != MAP_FAILED);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < CROWD; i++) {
            seed(1000 * round + i);
            CU(cuMemcpyDtoH(all[i], from, BYTES));
        }
        for (unsigned i = 0; i < CROWD; i++) {
            CU(cuMemcpyHtoD(to, all[i], BYTES));
            look(1000 * round + i);
        }
    }
    for (unsigned i = 0; i < CROWD; i++)
        EXPECT(e2e_is_filled((uint32_t *)all[i], BYTES / 4, 2000 + i));
}

static sigjmp_buf back;
static void on_bus(int number)
{
    (void)number;
    siglongjmp(back, 1);
}

static void over(void) // the server ends while it has pages: by the command in SHADOW_END
{
    seed(1);
    down();
    EXPECT(((uint32_t *)host)[0] == 1);
    EXPECT(!system(getenv("SHADOW_END")));
    signal(SIGBUS, on_bus);
    EXPECT(cuCtxSynchronize() != CUDA_SUCCESS);
    if (!sigsetjmp(back, 1))
        printf("the last word is there: %u\n", ((volatile uint32_t *)host)[BYTES / 4 - 1]);
    else
        printf("SIGBUS\n");
    EXPECT(((uint32_t *)host)[1] == 2); // what has been here stays
}

static const struct {
    const char *name;
    void (*run)(void);
} ways[] = {{"untouched", untouched}, {"one_page", one_page}, {"one_byte", one_byte}, {"in_order", in_order},
            {"all_read", all_read},   {"again", again},       {"edges", edges},       {"crowd", crowd},
            {"over", over}};

int main(int argc, char **argv)
{
    e2e_open(0);
    fill = e2e_kernel("fill");
    from = e2e_alloc(BYTES);
    to = e2e_alloc(BYTES);
    CU(cuMemsetD8(from, 0, BYTES));
    CU(cuCtxSynchronize());
    pinned = argc > 2;
    if (pinned)
        CU(cuMemAllocHost((void **)&host, BYTES));
    else
        host = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (unsigned i = 0; argc > 1 && i < sizeof ways / sizeof *ways; i++)
        if (!strcmp(argv[1], ways[i].name))
            ways[i].run();
    return e2e_finish();
}
