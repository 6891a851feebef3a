// SPDX-License-Identifier: Apache-2.0
// genie-micro's beginning and its conversation: lines over a socket, whose descriptor is the first argument.
//   to it     rows | run NAME | counts | quit
//   from it   ready FIRST_CALL_US ROUND_TRIPS MODULE_US DEVICE, once
//             row NAME UNIT STAMPED ABOUT .. end | values CALLS V V .. | counts ROUND_TRIPS COMMANDS SENT
//             RECEIVED | failed WHY
// Without an argument it runs every row once and prints the medians: for a look without genie-bench.
#include "bench/micro.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "tests/mock/mock_stamp.h"

enum { ROWS_MAX = 128, LINE_BYTES = 16 << 10, STATS_BYTES = 64 << 10 };

static struct gn_micro micro;
static struct gn_micro_row rows[ROWS_MAX];
static unsigned row_count;

const char gn_micro_image[] =
    ".version 6.4\n.target sm_75\n.address_size 64\n"
    ".visible .entry none() { ret; }\n"
    ".visible .entry eight(.param .u64 a, .param .u64 b, .param .u32 c, .param .u32 d, .param .u32 e, .param "
    ".u32 f, .param .f32 g,"
    " .param .f32 h) { ret; }\n"
    ".visible .entry many(.param .u64 a0, .param .u64 a1, .param .u64 a2, .param .u64 a3, .param .u64 a4, "
    ".param .u64 a5,"
    " .param .u64 a6, .param .u64 a7, .param .u64 a8, .param .u64 a9, .param .u64 a10, .param .u64 a11, "
    ".param .u64 a12,"
    " .param .u64 a13, .param .u64 a14, .param .u64 a15, .param .u64 a16, .param .u64 a17, .param .u64 a18, "
    ".param .u64 a19,"
    " .param .u64 a20, .param .u64 a21, .param .u64 a22, .param .u64 a23, .param .u64 a24, .param .u64 a25, "
    ".param .u64 a26,"
    " .param .u64 a27, .param .u64 a28, .param .u64 a29, .param .u64 a30, .param .u64 a31) { ret; }\n";

double gn_micro_now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

void gn_micro_value(struct gn_micro_result *result, double value)
{
    if (result->count < GN_MICRO_VALUES_MAX)
        result->values[result->count++] = value;
}

bool gn_micro_good(struct gn_micro_result *result, CUresult code, const char *what)
{
    const char *name = NULL;
    if (code == CUDA_SUCCESS)
        return true;
    if (cuGetErrorName(code, &name) != CUDA_SUCCESS || !name)
        name = "an unknown error";
    if (!*result->failed)
        snprintf(result->failed, sizeof result->failed, "%s: %s", what, name);
    return false;
}

// --- counts of the client library, where there is one

struct counts {
    long long round_trips, commands, sent, received;
};

static long long number_after(const char *text, const char *key)
{
    const char *at = strstr(text, key);
    return at ? strtoll(at + strlen(key), NULL, 10) : 0;
}

// false: this is no program of Genie's.
static bool read_counts(struct counts *c)
{
    static char text[STATS_BYTES];
    static int fd = -1;
    char path[64];
    int (*write_stats)(const char *) = (int (*)(const char *))dlsym(RTLD_DEFAULT, "genie_stats_write");
    if (fd < 0)
        fd = memfd_create("stats", MFD_CLOEXEC);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (!write_stats || fd < 0 || write_stats(path))
        return false;
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = 0;
    if (!strstr(text, "\"mode\": \"remote\""))
        return false;
    c->round_trips = number_after(text, "\"round_trips\": ");
    c->commands = number_after(text, "\"commands\": ");
    const char *sent = strstr(text, "\"bytes_sent\""), *received = strstr(text, "\"bytes_received\"");
    if (!sent || !received)
        return false;
    c->sent = number_after(sent, "\"commands\": ") + number_after(sent, "\"payload\": ");
    c->received = number_after(received, "\"commands\": ") + number_after(received, "\"payload\": ");
    return true;
}

// --- the beginning

static const struct mock_stamps *open_stamps(const char *mock)
{
    const char *at = mock ? strstr(mock, "stamp=") : NULL;
    char path[256];
    if (!at)
        return NULL;
    snprintf(path, sizeof path, "%.*s", (int)strcspn(at + 6, ","), at + 6);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    void *map = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(struct mock_stamps), PROT_READ, MAP_SHARED, fd, 0);
    if (fd >= 0)
        close(fd);
    return map == MAP_FAILED ? NULL : map;
}

static void open_device(struct gn_micro_result *result, CUdevice *device)
{
    TRY(cuInit(0));
    TRY(cuDeviceGet(device, 0));
    TRY(cuDevicePrimaryCtxRetain(&micro.context, *device));
    TRY(cuCtxSetCurrent(micro.context));
    TRY(cuMemAlloc(&micro.memory, 4096));
}

static void load_kernels(struct gn_micro_result *result)
{
    static const char *const names[GN_MICRO_KERNELS] = {"none", "eight", "many"};
    TRY(cuModuleLoadData(&micro.module, gn_micro_image));
    for (int i = 0; i < GN_MICRO_KERNELS; i++)
        TRY(cuModuleGetFunction(&micro.kernels[i], micro.module, names[i]));
}

// Bytes without any pattern (xorshift): what compresses would be another measurement.
static void fill_random(uint8_t *bytes, size_t n)
{
    uint64_t x = 0x9e3779b97f4a7c15;
    for (size_t i = 0; i < n; i++) {
        if (!(i % 8)) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
        }
        bytes[i] = (uint8_t)(x >> 8 * (i % 8));
    }
}

static void fill_memory(struct gn_micro_result *result, size_t bytes)
{
    TRY(cuMemFree(micro.memory));
    TRY(cuMemAlloc(&micro.memory, bytes));
    TRY(cuMemAlloc(&micro.repeating_memory, GN_MICRO_REPEATING_BYTES));
    TRY(cuMemAllocHost((void **)&micro.pinned, bytes));
    TRY(cuStreamCreate(&micro.stream, CU_STREAM_NON_BLOCKING));
    micro.memory_bytes = bytes;
    micro.pageable = malloc(bytes);
    micro.repeating = malloc(GN_MICRO_REPEATING_BYTES);
    if (!micro.pageable || !micro.repeating) {
        snprintf(result->failed, sizeof result->failed, "no memory");
        return;
    }
    fill_random(micro.pageable, bytes);
    memcpy(micro.pinned, micro.pageable, bytes);
    for (size_t i = 0; i < GN_MICRO_REPEATING_BYTES; i++)
        micro.repeating[i] = (uint8_t)(i >> 6);
}

static void collect_rows(uint64_t max_bytes)
{
    static const struct gn_micro_row *const tables[] = {gn_micro_launch_rows, gn_micro_object_rows};
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
        for (const struct gn_micro_row *r = tables[t]; r->name[0] && row_count < ROWS_MAX; r++)
            rows[row_count++] = *r;
    row_count += gn_micro_copy_rows(rows + row_count, ROWS_MAX - row_count, max_bytes);
}

static bool begin(FILE *out, size_t max_bytes)
{
    static struct gn_micro_result result;
    static uint64_t values[32];
    char name[128] = "?";
    CUdevice device = 0;
    struct counts first = {.round_trips = -1};
    for (int i = 0; i < 32; i++)
        micro.parameters[i] = &values[i];
    double start = gn_micro_now_us();
    open_device(&result, &device);
    double first_us = gn_micro_now_us() - start;
    if (!*result.failed && !read_counts(&first))
        first.round_trips = -1;
    start = gn_micro_now_us();
    if (!*result.failed)
        load_kernels(&result);
    if (!*result.failed)
        gn_micro_good(&result, cuCtxSynchronize(), "cuCtxSynchronize"); // posted loads end here
    double module_us = gn_micro_now_us() - start;
    if (!*result.failed)
        fill_memory(&result, max_bytes);
    if (!*result.failed)
        gn_micro_good(&result, cuDeviceGetName(name, sizeof name, device), "cuDeviceGetName");
    micro.stamps = open_stamps(getenv("GENIE_MOCK"));
    if (*result.failed)
        fprintf(out, "failed %s\n", result.failed);
    else
        fprintf(out, "ready %.3f %lld %.3f %s\n", first_us, first.round_trips, module_us, name);
    fflush(out);
    return !*result.failed;
}

// --- the conversation

static const struct gn_micro_row *find_row(const char *name)
{
    for (unsigned i = 0; i < row_count; i++)
        if (!strcmp(rows[i].name, name))
            return &rows[i];
    return NULL;
}

static void run_row(const struct gn_micro_row *row, struct gn_micro_result *result)
{
    result->count = 0;
    result->calls = 0;
    *result->failed = 0;
    if (row->stamped && !micro.stamps)
        snprintf(result->failed, sizeof result->failed,
                 "the driver does not stamp its launches (only the mock does)");
    else
        row->run(&micro, row, result);
}

static void answer_run(FILE *out, const char *name)
{
    static struct gn_micro_result result;
    const struct gn_micro_row *row = find_row(name);
    if (row)
        run_row(row, &result);
    else
        snprintf(result.failed, sizeof result.failed, "there is no row %.60s", name);
    if (*result.failed) {
        fprintf(out, "failed %s\n", result.failed);
        return;
    }
    fprintf(out, "values %llu", (unsigned long long)result.calls);
    for (unsigned i = 0; i < result.count; i++)
        fprintf(out, " %.6g", result.values[i]);
    fprintf(out, "\n");
}

static void answer(FILE *out, const char *line)
{
    struct counts c;
    if (!strncmp(line, "run ", 4)) {
        answer_run(out, line + 4);
    } else if (!strcmp(line, "rows")) {
        for (unsigned i = 0; i < row_count; i++)
            fprintf(out, "row %s %s %d %s\n", rows[i].name, rows[i].unit, rows[i].stamped, rows[i].about);
        fprintf(out, "end\n");
    } else if (!strcmp(line, "counts")) {
        if (read_counts(&c))
            fprintf(out, "counts %lld %lld %lld %lld\n", c.round_trips, c.commands, c.sent, c.received);
        else
            fprintf(out, "failed no counts\n");
    } else {
        fprintf(out, "failed what is '%s'?\n", line);
    }
    fflush(out);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int look(void)
{
    static struct gn_micro_result result;
    for (unsigned i = 0; i < row_count; i++) {
        run_row(&rows[i], &result); // once to warm up
        run_row(&rows[i], &result);
        qsort(result.values, result.count, sizeof *result.values, by_value);
        if (*result.failed)
            printf("%-28s %s\n", rows[i].name, result.failed);
        else if (result.count)
            printf("%-28s %12.3f %s\n", rows[i].name, result.values[result.count / 2], rows[i].unit);
    }
    return 0;
}

int main(int argc, char **argv)
{
    static char line[LINE_BYTES];
    uint64_t max_bytes = argc > 2 ? strtoull(argv[2], NULL, 10) : 64 << 20;
    FILE *out = argc > 1 ? fdopen(atoi(argv[1]), "w") : stdout,
         *in = argc > 1 ? fdopen(dup(atoi(argv[1])), "r") : NULL;
    if (!out || (argc > 1 && !in)) {
        fprintf(stderr, "genie-micro: %s is no descriptor to talk over\n", argv[1]);
        return 2;
    }
    collect_rows(max_bytes);
    if (!begin(out, max_bytes < 1 << 20 ? 1 << 20 : max_bytes))
        return 1;
    if (argc == 1)
        return look();
    while (fgets(line, sizeof line, in)) {
        line[strcspn(line, "\n")] = 0;
        if (!strcmp(line, "quit"))
            break;
        answer(out, line);
    }
    return 0;
}
