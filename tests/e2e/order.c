// SPDX-License-Identifier: Apache-2.0
// Do commands keep the order in which the program's threads issued them, and do copies from and to pageable
// and pinned memory see what CUDA says they see?
//
// Every try has data of its own, so that a command that comes too early or too late shows in the result,
// whatever the timing was.
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/e2e/e2e.h"

enum {
    WORDS = 64,
    HAND_OVERS = 600,
    LARGE_BYTES = (3 << 20) + 4,
    UPLOAD_BYTES = E2E_SIZE(8 << 20, 3 << 20),
    CHAINS = 64,
};

static CUcontext context;
static CUfunction fill, add;

static CUstream new_stream(void)
{
    CUstream stream;
    CU(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    return stream;
}

static void *pinned(size_t size_bytes)
{
    void *at;
    CU(cuMemAllocHost(&at, size_bytes));
    return at;
}

// --- hand-over: the first thread issues a command and wakes the second, which issues the one that must come
// after it

static sem_t first_turn, second_turn;
static CUstream shared_stream, other_stream;
static CUdeviceptr shared_words, results;
static CUevent shared_event;
static unsigned hand_overs;
static uint8_t *large;

struct step {
    const char *name;
    unsigned tries;
    void (*first)(unsigned i);
    void (*second)(unsigned i);
};
static const struct step *step;

static void keep(CUstream stream, unsigned i)
{
    CU(cuMemcpyDtoDAsync(results + (CUdeviceptr)i * WORDS * 4, shared_words, WORDS * 4, stream));
}

static void first_memset(unsigned i) { CU(cuMemsetD32Async(shared_words, i, WORDS, shared_stream)); }
static void first_launch(unsigned i) { e2e_fill(fill, shared_stream, shared_words, WORDS, i); }
static void first_upload(unsigned i)
{
    uint32_t words[WORDS];
    for (unsigned k = 0; k < WORDS; k++)
        words[k] = i + k;
    CU(cuMemcpyHtoDAsync(shared_words, words, sizeof words, shared_stream));
}

static void first_large_upload(unsigned i) // the words that matter are its last ones
{
    uint32_t words[WORDS];
    for (unsigned k = 0; k < WORDS; k++)
        words[k] = i + k;
    memcpy(large + LARGE_BYTES - sizeof words, words, sizeof words);
    CU(cuMemcpyHtoDAsync(shared_words + WORDS * 4 - LARGE_BYTES, large, LARGE_BYTES, shared_stream));
}

static void first_record(unsigned i)
{
    e2e_fill(fill, shared_stream, shared_words, WORDS, i);
    CU(cuEventRecord(shared_event, shared_stream));
}

static void second_launch(unsigned i)
{
    e2e_add(add, shared_stream, shared_words, WORDS, 1000);
    keep(shared_stream, i);
}

static void second_copy(unsigned i)
{
    keep(shared_stream, i);
    CU(cuMemsetD8Async(shared_words, 0xee, WORDS * 4, shared_stream));
}

static void second_elsewhere(unsigned i) // in another stream, behind the first one's event
{
    CU(cuStreamWaitEvent(other_stream, shared_event, 0));
    keep(other_stream, i);
    CU(cuStreamSynchronize(other_stream));
}

static void hand_over_thread(unsigned number)
{
    CU(cuCtxSetCurrent(context));
    for (unsigned i = 0; i < hand_overs; i++) {
        sem_wait(number ? &second_turn : &first_turn);
        (number ? step->second : step->first)(i);
        sem_post(number ? &first_turn : &second_turn);
    }
}

static void hand_over(const struct step *s, bool counts, unsigned more)
{
    size_t size_bytes = (size_t)s->tries * WORDS * 4;
    uint32_t *got = malloc(size_bytes);
    unsigned wrong = 0;
    step = s;
    hand_overs = e2e_tries(s->tries);
    results = e2e_alloc(size_bytes);
    sem_init(&first_turn, 0, 1);
    sem_init(&second_turn, 0, 0);
    e2e_threads(2, hand_over_thread);
    CU(cuStreamSynchronize(shared_stream));
    CU(cuMemcpyDtoH(got, results, (size_t)hand_overs * WORDS * 4));
    for (unsigned i = 0; i < hand_overs; i++)
        for (unsigned k = 0; k < WORDS; k++)
            wrong += got[i * WORDS + k] != i + more + (counts ? k : 0);
    EXPECT(!wrong);
    printf("hand-over, %s: %s\n", s->name, wrong ? "out of order" : "in order");
    CU(cuMemFree(results));
    free(got);
}

static void hand_overs_all(void)
{
    CUdeviceptr block = e2e_alloc(LARGE_BYTES);
    shared_words = block + LARGE_BYTES - WORDS * 4;
    shared_stream = new_stream();
    other_stream = new_stream();
    large = calloc(1, LARGE_BYTES);
    CU(cuEventCreate(&shared_event, CU_EVENT_DISABLE_TIMING));
    hand_over(&(struct step){"memset and launch", HAND_OVERS, first_memset, second_launch}, false, 1000);
    hand_over(&(struct step){"launch and launch", HAND_OVERS, first_launch, second_launch}, true, 1000);
    hand_over(&(struct step){"launch and copy", HAND_OVERS, first_launch, second_copy}, true, 0);
    hand_over(&(struct step){"upload and launch", HAND_OVERS, first_upload, second_launch}, true, 1000);
    hand_over(&(struct step){"large upload and copy", 40, first_large_upload, second_copy}, true, 0);
    hand_over(&(struct step){"record and wait", HAND_OVERS, first_record, second_elsewhere}, true, 0);
    CU(cuEventDestroy(shared_event));
    CU(cuStreamDestroy(shared_stream));
    CU(cuStreamDestroy(other_stream));
    CU(cuMemFree(block));
    free(large);
}

// --- threads that upload large buffers while others download

static void upload_or_download(unsigned number)
{
    CU(cuCtxSetCurrent(context));
    uint8_t *host = malloc(UPLOAD_BYTES);
    CUdeviceptr device = e2e_alloc(UPLOAD_BYTES);
    bool uploads = number % 2 == 0;
    unsigned tries = e2e_tries(6);
    if (!uploads) {
        e2e_pattern(host, UPLOAD_BYTES, number);
        CU(cuMemcpyHtoD(device, host, UPLOAD_BYTES));
    }
    for (unsigned i = 0; i < tries; i++) {
        if (uploads) {
            e2e_pattern(host, UPLOAD_BYTES, number + i);
            CU(cuMemcpyHtoD(device, host, UPLOAD_BYTES));
        } else {
            memset(host, 0, UPLOAD_BYTES);
            CU(cuMemcpyDtoH(host, device, UPLOAD_BYTES));
            EXPECT(e2e_is_pattern(host, UPLOAD_BYTES, number));
        }
    }
    if (uploads) {
        memset(host, 0, UPLOAD_BYTES);
        CU(cuMemcpyDtoH(host, device, UPLOAD_BYTES));
        EXPECT(e2e_is_pattern(host, UPLOAD_BYTES, number + tries - 1));
    }
    CU(cuMemFree(device));
    free(host);
}

// --- pinned memory

struct change { // what a host function does between the two copies of a chain
    uint32_t *words;
    unsigned count, by;
};

static void CUDA_CB change_words(void *data)
{
    struct change *change = data;
    for (unsigned i = 0; i < change->count; i++)
        change->words[i] += change->by;
}

// device -> pinned buffer -> other device memory, all queued at once; each round has another value.
static void pinned_chain(unsigned count, unsigned most, bool with_function)
{
    const size_t size_bytes = count * 4;
    unsigned tries = e2e_tries(most);
    CUstream stream = new_stream();
    CUdeviceptr from = e2e_alloc(size_bytes), to = e2e_alloc(size_bytes);
    uint32_t *buffer = pinned(size_bytes), *out = pinned(size_bytes);
    struct change changes[CHAINS];
    for (unsigned i = 0; i < tries; i++) {
        changes[i] = (struct change){buffer, count, 5};
        e2e_fill(fill, stream, from, count, 100 * i);
        CU(cuMemcpyDtoHAsync(buffer, from, size_bytes, stream));
        if (with_function)
            CU(cuLaunchHostFunc(stream, change_words, &changes[i]));
        CU(cuMemcpyHtoDAsync(to, buffer, size_bytes, stream));
        e2e_add(add, stream, to, count, 1);
        CU(cuMemcpyDtoHAsync(out, to, size_bytes, stream));
        if (i % 8 != 7) // now and then a round is looked at; the others only pile up
            continue;
        CU(cuStreamSynchronize(stream));
        EXPECT(e2e_is_filled(out, count, 100 * i + 1 + (with_function ? 5 : 0)));
    }
    CU(cuStreamSynchronize(stream));
    EXPECT(e2e_is_filled(out, count, 100 * (tries - 1) + 1 + (with_function ? 5 : 0)));
    EXPECT(e2e_is_filled(buffer, count, 100 * (tries - 1) + (with_function ? 5 : 0)));
    CU(cuStreamDestroy(stream));
    CU(cuMemFreeHost(buffer));
    CU(cuMemFreeHost(out));
    CU(cuMemFree(from));
    CU(cuMemFree(to));
    printf("chain through a pinned buffer of %u words%s: done\n", count,
           with_function ? ", with a host function" : "");
}

// A synchronous copy from pinned memory is done when the call returns: any stream finds the data, and the
// buffer is free again.
static void pinned_synchronous(void)
{
    enum { COUNT = E2E_SIZE(200000, 50000) };
    unsigned tries = e2e_tries(30);
    CUstream streams[2] = {new_stream(), new_stream()};
    uint32_t *buffer = pinned(COUNT * 4), *out = pinned(COUNT * 4);
    CUdeviceptr a = e2e_alloc(COUNT * 4), b = e2e_alloc(COUNT * 4);
    for (unsigned i = 0; i < tries; i++) {
        unsigned count = i % 3 ? 700 : COUNT;
        for (unsigned k = 0; k < count; k++)
            buffer[k] = i + k;
        CU(cuMemcpyHtoD(a, buffer, count * 4));
        memset(buffer, 0xaa, count * 4);
        CU(cuMemcpyDtoDAsync(b, a, count * 4, streams[i % 2]));
        CU(cuMemcpyDtoHAsync(out, b, count * 4, streams[i % 2]));
        CU(cuStreamSynchronize(streams[i % 2]));
        EXPECT(e2e_is_filled(out, count, i));
    }
    for (unsigned i = 0; i < 2; i++)
        CU(cuStreamDestroy(streams[i]));
    CU(cuMemFreeHost(buffer));
    CU(cuMemFreeHost(out));
    CU(cuMemFree(a));
    CU(cuMemFree(b));
    printf("synchronous copies from pinned memory: done\n");
}

// --- a pageable source is the program's again when the call returns

static void pageable_overwritten(void)
{
    static const size_t sizes[] = {1, 64, 4096, 4097, 70001, (1 << 20) + 3, (5 << 20) + 1};
    CUstream stream = new_stream();
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t n = sizes[i];
        uint8_t *host = malloc(n);
        CUdeviceptr a = e2e_alloc(n), b = e2e_alloc(n);
        e2e_pattern(host, n, 1);
        CU(cuMemcpyHtoD(a, host, n));
        e2e_pattern(host, n, 2);
        CU(cuMemcpyHtoDAsync(b, host, n, stream));
        memset(host, 0x55, n);
        CU(cuStreamSynchronize(stream));
        CU(cuMemcpyDtoH(host, a, n));
        EXPECT(e2e_is_pattern(host, n, 1));
        CU(cuMemcpyDtoHAsync(host, b, n, stream)); // into pageable memory: there when the call returns
        EXPECT(e2e_is_pattern(host, n, 2));
        CU(cuMemFree(a));
        CU(cuMemFree(b));
        free(host);
    }
    CU(cuStreamDestroy(stream));
    printf("pageable memory overwritten after the call: done\n");
}

// --- host functions

struct log {
    unsigned next, wrong;
    const uint32_t *words; // as the copy in front of the function left them
};
struct entry {
    struct log *log;
    unsigned number;
};

static void look(struct entry *entry)
{
    entry->log->wrong += entry->log->next != entry->number || entry->log->words[0] != entry->number;
    entry->log->next = entry->number + 1;
}
static void CUDA_CB in_order(void *data) { look(data); }
static void CUDA_CB callback_in_order(CUstream stream, CUresult status, void *data)
{
    struct entry *entry = data;
    entry->log->wrong += !stream || status != CUDA_SUCCESS;
    look(entry);
}

static void host_functions_in_order(void)
{
    enum { COUNT = 300 };
    unsigned tries = e2e_tries(COUNT);
    static struct entry entries[COUNT];
    CUstream stream = new_stream();
    CUdeviceptr words = e2e_alloc(WORDS * 4);
    uint32_t *host = pinned(WORDS * 4);
    struct log log = {.words = host};
    for (unsigned i = 0; i < tries; i++) {
        entries[i] = (struct entry){&log, i};
        e2e_fill(fill, stream, words, WORDS, i);
        CU(cuMemcpyDtoHAsync(host, words, WORDS * 4, stream));
        if (i % 2)
            CU(cuStreamAddCallback(stream, callback_in_order, &entries[i], 0));
        else
            CU(cuLaunchHostFunc(stream, in_order, &entries[i]));
    }
    CU(cuStreamSynchronize(stream));
    EXPECT(log.next == tries);
    EXPECT(!log.wrong);
    CU(cuStreamDestroy(stream));
    CU(cuMemFree(words));
    CU(cuMemFreeHost(host));
    printf("host functions and callbacks in the order of their stream: done\n");
}

struct hold {
    sem_t entered, go_on;
    uint32_t *words;
};

static void CUDA_CB hold_up(void *data)
{
    struct hold *hold = data;
    sem_post(&hold->entered);
    sem_wait(&hold->go_on);
    hold->words[0] = 77; // before whatever follows in the stream
}

// One stream stands still in a host function; the others go on, whatever is called meanwhile.
static void others_go_on(void)
{
    enum { LAUNCHES = 1300 };
    unsigned tries = e2e_tries(LAUNCHES);
    struct hold hold = {.words = pinned(4)};
    CUstream held = new_stream(), streams[3] = {new_stream(), new_stream(), new_stream()};
    CUdeviceptr blocks[64] = {0}, target = e2e_alloc(4), counts[3];
    CUevent behind, ahead;
    uint32_t got[3];
    sem_init(&hold.entered, 0, 0);
    sem_init(&hold.go_on, 0, 0);
    hold.words[0] = 1;
    CU(cuEventCreate(&behind, CU_EVENT_DISABLE_TIMING));
    CU(cuEventCreate(&ahead, CU_EVENT_DISABLE_TIMING));
    for (unsigned k = 0; k < 3; k++) {
        counts[k] = e2e_alloc(4);
        CU(cuMemsetD32Async(counts[k], 0, 1, streams[k]));
    }
    CU(cuLaunchHostFunc(held, hold_up, &hold));
    CU(cuMemcpyHtoDAsync(target, hold.words, 4, held));
    CU(cuEventRecord(behind, held));
    while (sem_trywait(
        &hold.entered)) // calls that wait give Genie its chance, should it have no threads of its own
        EXPECT_CODE(CUDA_SUCCESS, cuStreamSynchronize(streams[0]));
    for (unsigned i = 0; i < tries; i++) {
        e2e_add(add, streams[i % 3], counts[i % 3], 1, 1);
        if (i % 20 == 0)
            blocks[i / 20 % 64] = blocks[i / 20 % 64] ? blocks[i / 20 % 64] : e2e_alloc(1000 + i);
        if (i % 50 == 0) {
            CU(cuEventRecord(ahead, streams[i % 3]));
            CU(cuEventSynchronize(ahead));
            EXPECT_CODE(CUDA_ERROR_NOT_READY, cuEventQuery(behind));
            EXPECT_CODE(CUDA_ERROR_NOT_READY, cuStreamQuery(held));
        }
    }
    for (unsigned k = 0; k < 3; k++) {
        CU(cuStreamSynchronize(streams[k]));
        CU(cuMemcpyDtoHAsync(&got[k], counts[k], 4, streams[k]));
        EXPECT(got[k] == (tries - k + 2) / 3);
    }
    sem_post(&hold.go_on);
    CU(cuStreamSynchronize(held));
    CU(cuMemcpyDtoH(&got[0], target, 4));
    EXPECT(got[0] == 77);
    for (unsigned i = 0; i < 64; i++)
        CU(cuMemFree(blocks[i]));
    for (unsigned k = 0; k < 3; k++) {
        CU(cuMemFree(counts[k]));
        CU(cuStreamDestroy(streams[k]));
    }
    CU(cuStreamDestroy(held));
    CU(cuEventDestroy(behind));
    CU(cuEventDestroy(ahead));
    CU(cuMemFree(target));
    CU(cuMemFreeHost(hold.words));
    printf("a stream that stands still in a host function, others going on: done\n");
}

// Frees wait for the work that is queued, so here the functions come to an end by themselves.
static void CUDA_CB count_slowly(void *data)
{
    volatile unsigned spin = 0;
    while (++spin < 20000) {
    }
    ++*(unsigned *)data;
}

static void allocations_meanwhile(void)
{
    enum { ROUNDS = 1200 };
    unsigned tries = e2e_tries(ROUNDS), ran = 0;
    CUstream slow = new_stream(), other = new_stream();
    CUdeviceptr count = e2e_alloc(4);
    uint32_t got;
    CU(cuMemsetD32Async(count, 0, 1, other));
    for (unsigned i = 0; i < tries; i++) {
        CU(cuLaunchHostFunc(slow, count_slowly, &ran));
        CUdeviceptr block = e2e_alloc(100 + i);
        e2e_add(add, other, count, 1, 1);
        CU(cuMemFree(block));
    }
    CU(cuStreamSynchronize(slow));
    CU(cuStreamSynchronize(other));
    CU(cuMemcpyDtoH(&got, count, 4));
    EXPECT(got == tries);
    EXPECT(ran == tries);
    CU(cuStreamDestroy(slow));
    CU(cuStreamDestroy(other));
    CU(cuMemFree(count));
    printf("allocations and frees while host functions run: done\n");
}

int main(void)
{
    context = e2e_open(0);
    CUmodule module = e2e_module();
    CU(cuModuleGetFunction(&fill, module, "fill"));
    CU(cuModuleGetFunction(&add, module, "add"));
    hand_overs_all();
    e2e_threads(4, upload_or_download);
    printf("uploads while others download: done\n");
    pinned_chain(1, CHAINS, false);
    pinned_chain(1000, CHAINS, true);
    pinned_chain(E2E_SIZE(100000, 20000), CHAINS, false);
    pinned_chain(E2E_SIZE(700001, 300001), 16, true);
    pinned_synchronous();
    pageable_overwritten();
    host_functions_in_order();
    if (!e2e_waits_inside())
        others_go_on();
    allocations_meanwhile();
    CU(cuModuleUnload(module));
    CU(cuCtxDestroy(context));
    return e2e_finish();
}
