// SPDX-License-Identifier: Apache-2.0
// A client that misuses its fetch channel: fetch_misuse WHAT. It keeps some bytes at the server, misuses the channel, and then looks whether the
// session goes on and the bytes are still there: it prints "fine", or what is wrong.
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "interpose/options.h"
#include "interpose/shadow/kept.h"
#include "interpose/shim.h"
#include "remoting/link/link.h"

CUresult cuInit(unsigned flags);
CUresult cuDevicePrimaryCtxRetain(CUcontext *c, CUdevice device);
CUresult cuCtxSetCurrent(CUcontext c);
CUresult cuCtxSynchronize(void);
CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t size_bytes);
CUresult cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t size_bytes);
CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t size_bytes);

enum { BYTES = 4 << 20, TIMEOUT_MS = 8000 };

static struct gn_kept kept;
static CUdeviceptr device;
static struct gn_fetch channel;
static uint8_t pattern[BYTES], got[BYTES];

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    printf("%s\n", what);
    exit(1);
}

static CUresult enter(struct gn_call *c) { return gn_enter(c, GN_OP_cuMemcpyAsync, GN_SYMBOL_cuMemcpyAsync, CU_STREAM_LEGACY); }

static void keep_some(void)
{
    CUcontext context;
    struct gn_call c;
    for (size_t i = 0; i < BYTES; i++)
        pattern[i] = (uint8_t)(i * 7 + i / 4096);
    must(!cuInit(0) && !cuDevicePrimaryCtxRetain(&context, 0) && !cuCtxSetCurrent(context) && !cuMemAlloc_v2(&device, BYTES), "no device");
    must(!cuMemcpyHtoD_v2(device, pattern, BYTES), "no copy");
    must(!enter(&c) && !gn_kept_open(&c, BYTES, &kept) && kept.id, "not kept");
    must(!gn_kept_fill(&c, &kept, 1, 0, device, BYTES), "not filled");
    must(!gn_leave(&c, CUDA_SUCCESS), "an error");
    must(!gn_kept_channel(&channel), "no channel");
}

static int fetch(void *to, size_t bytes) { return gn_fetch(&channel, kept.id, kept.fills, 0, to, bytes); }

static void still_fine(void)
{
    must(!fetch(got, BYTES), "the bytes cannot be fetched any more");
    must(!memcmp(got, pattern, BYTES), "other bytes");
    must(!cuCtxSynchronize(), "the session does not go on");
}

static void put(const void *bytes, size_t size_bytes) { must(send(channel.fd, bytes, size_bytes, MSG_NOSIGNAL) == (ssize_t)size_bytes, "not sent"); }

// The server has hung up, and has said nothing.
static void hung_up(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char byte;
    must(poll(&p, 1, TIMEOUT_MS) == 1, "the server does not hang up");
    must(recv(fd, &byte, 1, 0) <= 0, "the server answers");
}

static void wrong(struct gn_fetch_request r)
{
    put(&r, sizeof r);
    hung_up(channel.fd);
    still_fine();
}

static struct gn_fetch_request right(void) { return (struct gn_fetch_request){.kept = kept.id, .size_bytes = 4096, .fills = kept.fills}; }

static void number(void)
{
    struct gn_fetch_request r = right();
    r.number = 1;
    wrong(r);
}
static void none(void)
{
    struct gn_fetch_request r = right();
    r.size_bytes = 0;
    wrong(r);
}
static void one_more(void)
{
    struct gn_fetch_request r = right();
    r.size_bytes = GN_FETCH_BYTES_MAX + 1;
    wrong(r);
}
static void huge(void)
{
    struct gn_fetch_request r = right();
    r.size_bytes = UINT32_MAX;
    wrong(r);
}
static void reserved(void)
{
    struct gn_fetch_request r = right();
    r.zero = 1;
    wrong(r);
}
static void garbage(void)
{
    static uint8_t bytes[32];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 37 + 11);
    put(bytes, sizeof bytes);
    hung_up(channel.fd);
    still_fine();
}

static void out_of_range(void)
{
    static const uint64_t at[] = {BYTES, BYTES - 1, UINT64_MAX, UINT64_MAX - 4096, 1ull << 63};
    for (size_t i = 0; i < sizeof at / sizeof *at; i++)
        must(gn_fetch(&channel, kept.id, kept.fills, at[i], got, 4096) == CUDA_ERROR_INVALID_VALUE, "bytes from outside");
    for (unsigned bit = 0; bit < 64; bit++)
        must(gn_fetch(&channel, kept.id ^ 1ull << bit, 0, 0, got, 4096) == CUDA_ERROR_INVALID_HANDLE, "bytes of what is not there");
    still_fine();
}

// Who shows the key in another way than it must be shown.
static int shows(enum gn_lane_purpose purpose, uint32_t session, uint32_t lane, unsigned spoilt)
{
    char why[256];
    uint8_t bytes[GN_LANE_HELLO_BYTES];
    struct gn_lane_hello h = {.purpose = purpose, .session = session, .lane = lane};
    memcpy(h.key, gn_shim.welcome.lane_key, sizeof h.key);
    h.key[spoilt / 8 % sizeof h.key] ^= (uint8_t)(spoilt < 128 ? 1u << spoilt % 8 : 0);
    gn_lane_hello_encode(bytes, &h);
    int fd = gn_link_connect(gn_options.server, 5000, why, sizeof why);
    must(fd >= 0 && send(fd, bytes, sizeof bytes, MSG_NOSIGNAL) == sizeof bytes, "connecting");
    return fd;
}
static void refused(enum gn_lane_purpose purpose, uint32_t session, uint32_t lane, unsigned spoilt)
{
    int fd = shows(purpose, session, lane, spoilt);
    hung_up(fd);
    close(fd);
}
static void keys(void)
{
    uint32_t mine = gn_shim.welcome.worker_id;
    for (unsigned bit = 0; bit < 128; bit += 13)
        refused(GN_LANE_FETCH, mine, 0, bit);
    refused(GN_LANE_FETCH, mine + 1, 0, 128);
    refused(GN_LANE_FETCH, 0, 0, 128);
    refused(GN_LANE_FETCH, mine, 1, 128);
    refused(GN_LANE_FETCH, mine, UINT32_MAX, 128);
    refused(GN_LANE_PAYLOAD, mine, 0, 128);
    still_fine();
}

static void many(void) // each takes the place of the one before; at last there are no more
{
    for (int i = 0; i < 80; i++) {
        uint64_t said = 0;
        int fd = shows(GN_LANE_FETCH, gn_shim.welcome.worker_id, 0, 128);
        ssize_t n = recv(fd, &said, sizeof said, MSG_WAITALL);
        must(n <= 0 || said == GN_FETCH_MAGIC, "something else is said");
        close(fd);
    }
    must(fetch(got, 1) < 0, "the 81st channel");
    must(!cuCtxSynchronize(), "the session does not go on");
}

static void half(void) // a request that does not end, then another channel
{
    struct gn_fetch_request r = right();
    struct gn_fetch second;
    put(&r, sizeof r / 2);
    must(!gn_kept_channel(&second), "no second channel");
    must(!gn_fetch(&second, kept.id, kept.fills, 0, got, BYTES) && !memcmp(got, pattern, BYTES), "the second channel has other bytes");
    hung_up(channel.fd);
    gn_fetch_close(&second);
    still_fine();
}

static void deaf(void) // asks and does not listen
{
    for (uint32_t i = 0; i < 64; i++) {
        struct gn_fetch_request r = right();
        r.number = i;
        r.size_bytes = GN_FETCH_BYTES_MAX;
        put(&r, sizeof r);
    }
    usleep(200000);
    must(!cuCtxSynchronize(), "the session waits for it");
    channel.lost = true;
    still_fine();
}

static void unfilled(void) // waits for a fill that does not come; the session does not
{
    struct gn_fetch_request r = right();
    r.fills = 1000;
    put(&r, sizeof r);
    usleep(100000);
    must(!cuCtxSynchronize(), "the session waits for it");
    channel.lost = true;
    still_fine();
}

static void foreign(void) { must(gn_fetch(&channel, strtoull(getenv("FOREIGN"), NULL, 0), 0, 0, got, 1) == CUDA_ERROR_INVALID_HANDLE, "another session's bytes"); }

static void forever(void) // of a copy whose name the other session, which has only one, does not use
{
    struct gn_call c;
    for (int i = 0; i < 5; i++)
        must(!enter(&c) && !gn_kept_open(&c, 4096, &kept) && !gn_leave(&c, CUDA_SUCCESS), "not kept");
    must(!enter(&c) && !gn_kept_fill(&c, &kept, 1, 0, device, 4096) && !gn_leave(&c, CUDA_SUCCESS), "not filled");
    printf("%#llx\n", (unsigned long long)kept.id);
    fflush(stdout);
    while (!fetch(got, 4096))
        ;
}

// What fetches, fills and spills take: for people.
static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}
static CUresult fill_or_spill(size_t bytes, bool fills)
{
    struct gn_call c;
    CUresult r = enter(&c);
    r = r ? r : (fills ? gn_kept_fill(&c, &kept, 1, 0, device, bytes) : gn_kept_spill(&c, &kept, 1, 0, device, bytes));
    return gn_leave(&c, r);
}

static void measure_copies(void)
{
    static const size_t sizes[] = {4096, 1 << 20, BYTES};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int what = 0; what < 3; what++) { // copied as usual, filled, spilled; waited for each time
            enum { TIMES = 300 };
            double best = 1e12, sum = 0;
            for (int k = 0; k < TIMES; k++) {
                double began = now_us();
                must(!(what ? fill_or_spill(sizes[i], what == 1) : cuMemcpyDtoH_v2(got, device, sizes[i])) && (!what || !cuCtxSynchronize()), "copy");
                double took = now_us() - began;
                best = took < best ? took : best;
                sum += took;
            }
            printf("%s %zu bytes: mean %.1f us, least %.1f us\n", what == 2 ? "spill" : what ? "fill" : "copy to the host", sizes[i], sum / TIMES, best);
        }
    double began = now_us();
    for (int k = 0; k < 20000; k++)
        must(!fill_or_spill(4096, k & 1), "post");
    double posted = now_us() - began;
    must(!cuCtxSynchronize(), "copy");
    printf("20000 fills and spills of a page: %.2f us each to post, %.2f us each until done\n", posted / 20000, (now_us() - began) / 20000);
}

static void measure(void)
{
    static const size_t sizes[] = {4096, 65536, 262144, 1 << 20, BYTES};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        enum { TIMES = 500 };
        double best = 1e12, sum = 0;
        for (int k = 0; k < TIMES; k++) {
            double began = now_us();
            must(!fetch(got, sizes[i]), "fetch");
            double took = now_us() - began;
            best = took < best ? took : best;
            sum += took;
        }
        printf("%zu bytes: mean %.1f us, least %.1f us\n", sizes[i], sum / TIMES, best);
    }
    measure_copies();
}

static const struct {
    const char *name;
    void (*run)(void);
    bool first; // its request is to be the channel's first
} misuses[] = {
    {"number", number, true},     {"none", none, true},         {"one-more", one_more, true}, {"huge", huge, true},
    {"reserved", reserved, true}, {"garbage", garbage, true},   {"half", half, true},         {"deaf", deaf, true},
    {"unfilled", unfilled, true}, {"out-of-range", out_of_range, false}, {"keys", keys, false}, {"many", many, false},
    {"foreign", foreign, false},  {"forever", forever, false}, {"measure", measure, false},
};

int main(int argc, char **argv)
{
    must(argc == 2, "usage: fetch_misuse WHAT");
    keep_some();
    for (size_t i = 0; i < sizeof misuses / sizeof *misuses; i++)
        if (!strcmp(misuses[i].name, argv[1])) {
            if (!misuses[i].first)
                still_fine();
            misuses[i].run();
            printf("fine\n");
            return 0;
        }
    must(false, "no such misuse");
    return 1;
}
