// SPDX-License-Identifier: Apache-2.0
// Question: do the trace and the statistics say what was called, once and in the promised form? Method: the
// client library over a session of our own; calls with awkward arguments; the trace is compared line by line,
// the statistics are read with a JSON parser.
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "include/cuda_prototypes.h"
#include "interpose/genie.h"
#include "interpose/options.h"
#include "interpose/shim.h"
#include "interpose/stats.h"
#include "interpose/trace.h"
#include "tests/unit/fake_session.h"

static struct gn_device_snapshot device;
static char trace_path[] = "/tmp/genie-trace-XXXXXX", stats_path[] = "/tmp/genie-stats-XXXXXX";

// What the trace has grown by since the last time.
static const char *traced(void)
{
    static char text[1 << 20];
    static long seen;
    gn_trace_flush();
    FILE *f = fopen(trace_path, "r");
    assert_non_null(f);
    fseek(f, seen, SEEK_SET);
    size_t n = fread(text, 1, sizeof text - 1, f);
    text[n] = 0;
    seen = ftell(f);
    fclose(f);
    return text;
}

static void expect_line(const char *want)
{
    char line[4000];
    snprintf(line, sizeof line, "%d %s\n", (int)gettid(), want);
    assert_string_equal(traced(), line);
}

static void one_line_a_call(void **state)
{
    (void)state;
    int number = 0;
    char want[300];
    traced();
    cuDeviceGetCount(&number);
    expect_line("cuDeviceGetCount(count=>1) = CUDA_SUCCESS");
    cuDeviceGetAttribute(&number, CU_DEVICE_ATTRIBUTE_WARP_SIZE, 5);
    snprintf(want, sizeof want,
             "cuDeviceGetAttribute(pi=0x%llx, attrib=10, dev=5) = CUDA_ERROR_INVALID_DEVICE",
             (unsigned long long)(uintptr_t)&number);
    expect_line(want);
    cuDeviceGetAttribute(NULL, CU_DEVICE_ATTRIBUTE_WARP_SIZE, 0);
    expect_line("cuDeviceGetAttribute(pi=0x0, attrib=10, dev=0) = CUDA_ERROR_INVALID_VALUE");
    CUuuid uuid;
    cuDeviceGetUuid_v2(&uuid, 0);
    expect_line("cuDeviceGetUuid_v2(uuid=>abababababababababababababababab, dev=0) = CUDA_SUCCESS");
    cuCtxSetCurrent(NULL);
    expect_line("cuCtxSetCurrent(ctx=0x0) = CUDA_SUCCESS");
    cuProfilerStart();
    expect_line("cuProfilerStart() = CUDA_SUCCESS");
    cuMemcpyHtoD_v2_ptds(0x1000, NULL, 7); // a variant under its own name
    expect_line(
        "cuMemcpyHtoD_v2_ptds(dstDevice=0x1000, srcHost=0x0, ByteCount=7) = CUDA_ERROR_INVALID_CONTEXT");
}

static void texts_are_escaped_and_cut(void **state)
{
    (void)state;
    CUdevice found;
    char longest[1000], want[1000];
    traced();
    cuDeviceGetByPCIBusId(&found, "a\"b\\c\n\x80");
    const char *line = traced();
    assert_non_null(strstr(line, "pciBusId=\"a\\x22b\\x5cc\\x0a\\x80\") = CUDA_ERROR_INVALID_VALUE\n"));
    cuDeviceGetByPCIBusId(&found, NULL);
    assert_non_null(strstr(traced(), "pciBusId=NULL)"));
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    cuDeviceGetByPCIBusId(&found, longest);
    snprintf(want, sizeof want, "pciBusId=\"%.120s...\")", longest);
    assert_non_null(strstr(traced(), want));
}

static void *call_often(void *unused)
{
    (void)unused;
    int number;
    for (int i = 0; i < 2000; i++)
        cuDeviceGetCount(&number);
    return NULL;
}

static void lines_of_threads_stay_whole(void **state)
{
    (void)state;
    pthread_t threads[4];
    traced();
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, call_often, NULL);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    unsigned lines = 0;
    char *text = strdup(traced());
    for (char *at = text, *end; (end = strchr(at, '\n')); at = end + 1, lines++) {
        *end = 0;
        char *call = strchr(at, ' ');
        assert_non_null(call);
        assert_string_equal(call, " cuDeviceGetCount(count=>1) = CUDA_SUCCESS");
    }
    free(text);
    assert_int_equal(lines, 8000);
}

static json_t *read_stats(void)
{
    json_error_t error;
    assert_int_equal(genie_stats_write(stats_path), 0);
    json_t *root = json_load_file(stats_path, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        fail_msg("line %d: %s", error.line, error.text);
    return root;
}

static long long number_at(json_t *root, const char *a, const char *b, const char *c)
{
    json_t *at = json_object_get(root, a);
    if (b)
        at = json_object_get(at, b);
    if (c)
        at = json_object_get(at, c);
    return json_is_integer(at) ? (long long)json_integer_value(at) : -1;
}

static void calls_are_counted(void **state)
{
    (void)state;
    CUcontext c;
    int number;
    json_t *before = read_stats();
    for (int i = 0; i < 5; i++)
        cuDeviceGetCount(&number);
    cuDeviceGetCount(NULL);
    cuCtxDestroy(NULL); // an alias: its own name, its target's class
    cuGraphCreate(NULL, 0);
    assert_int_equal(cuCtxCreate_v2(&c, 0, 0), CUDA_SUCCESS);
    fake.code = CUDA_ERROR_NOT_READY; // an answer, not an error
    cuCtxSynchronize();
    assert_int_equal(cuCtxDestroy_v2(c), CUDA_SUCCESS);
    pthread_t thread;
    pthread_create(&thread, NULL, call_often, NULL);
    pthread_join(thread, NULL);
    json_t *after = read_stats();
#define GREW(a, b, c)                                                                                        \
    (number_at(after, a, b, c) - (number_at(before, a, b, c) < 0 ? 0 : number_at(before, a, b, c)))
    assert_int_equal(GREW("calls", "cuDeviceGetCount", "count"), 2006);
    assert_int_equal(GREW("calls", "cuDeviceGetCount", "errors"), 1);
    assert_int_equal(GREW("calls", "cuCtxDestroy", "count"), 1);
    assert_int_equal(GREW("calls", "cuCtxDestroy", "errors"), 1);
    assert_int_equal(GREW("calls", "cuCtxSynchronize", "count"), 1);
    assert_int_equal(GREW("calls", "cuCtxSynchronize", "errors"), 0);
    assert_int_equal(GREW("calls_by_class", "local", NULL), 2006);
    assert_int_equal(GREW("calls_by_class", "sync", NULL), 4);
    assert_int_equal(GREW("calls_by_class", "unsupported", NULL), 1);
    assert_true(number_at(after, "shim_ns", NULL, NULL) > number_at(before, "shim_ns", NULL, NULL));
    json_decref(before);
    json_decref(after);
}

static void calls_inside_calls_do_not_count(void **state)
{
    (void)state;
    CUuuid id;
    void *const *table;
    uint64_t answer[2];
    memcpy(&id, "\xd4\x08\x20\x55\xbd\xe6\x70\x4b\x8d\x34\xba\x12\x3c\x66\xe1\xf2", sizeof id);
    cuGetExportTable((const void **)&table, &id);
    struct gn_call c; // as if inside a call: the table asks for devices through the entry points
    json_t *before = read_stats();
    traced();
    assert_int_equal(gn_enter(&c, GN_OP_cuDeviceGetCount, GN_SYMBOL_cuDeviceGetCount, NULL), CUDA_SUCCESS);
    assert_int_equal(((CUresult(*)(uint32_t, uint64_t, uint64_t *))table[1])(2, 3, answer), CUDA_SUCCESS);
    gn_leave(&c, CUDA_SUCCESS);
    json_t *after = read_stats();
    assert_int_equal(GREW("calls", "cuDeviceGetCount", "count"), 1);
    assert_int_equal(number_at(after, "calls", "cuDeviceGetUuid", "count"),
                     number_at(before, "calls", "cuDeviceGetUuid", "count"));
    assert_string_equal(traced(), "");
    json_decref(before);
    json_decref(after);
}

static void odd_names_stay_json(void **state)
{
    (void)state;
    strcpy(gn_options.server, "unix:/tmp/a \"b\"\\c\n\x01\xff");
    json_t *root = read_stats();
    assert_string_equal(json_string_value(json_object_get(root, "server")),
                        "unix:/tmp/a \"b\"\\c\n\x01\xc3\xbf");
    assert_string_equal(json_string_value(json_object_get(root, "mode")), "remote");
    assert_string_equal(json_string_value(json_object_get(root, "genie")), GENIE_VERSION);
    assert_int_equal(number_at(root, "process", NULL, NULL), getpid());
    static const char *const numbers[][2] = {
        {"round_trips", NULL},
        {"commands", NULL},
        {"kernels", NULL},
        {"sends", NULL},
        {"receives", NULL},
        {"wakeups", NULL},
        {"bytes_sent", "commands"},
        {"bytes_sent", "payload"},
        {"bytes_received", "commands"},
        {"bytes_received", "payload"},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        assert_int_equal(number_at(root, numbers[i][0], numbers[i][1], NULL), 0);
    json_decref(root);
    assert_int_equal(genie_stats_write("/nonexistent/stats"), -ENOENT);
    assert_int_equal(genie_stats_write("/dev/full"), -ENOSPC);
}

static void a_trace_that_cannot_be_opened(void **state)
{
    (void)state;
    assert_int_equal(gn_trace_start("/nonexistent/trace"), -ENOENT);
}

int main(void)
{
    int trace_fd = mkstemp(trace_path), stats_fd = mkstemp(stats_path);
    if (trace_fd < 0 || stats_fd < 0 || gn_trace_start(trace_path))
        return 1;
    close(trace_fd);
    close(stats_fd);
    memset(&device.uuid, 0xab, sizeof device.uuid);
    memset(device.attribute_known, 1, sizeof device.attribute_known);
    gn_shim.welcome = (struct gn_welcome){.driver_version = 13000, .device_count = 1, .devices = &device};
    gn_shim.session = (struct gn_session *)&fake;
    gn_options.optimisations = GN_OPT_ALL;
    atomic_store(&gn_shim.mode, GN_MODE_REMOTE);
    atomic_fetch_or(&gn_watching, GN_WATCH_TIME);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_line_a_call),
        cmocka_unit_test(texts_are_escaped_and_cut),
        cmocka_unit_test(lines_of_threads_stay_whole),
        cmocka_unit_test(calls_are_counted),
        cmocka_unit_test(calls_inside_calls_do_not_count),
        cmocka_unit_test(odd_names_stay_json),
        cmocka_unit_test(a_trace_that_cannot_be_opened),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(trace_path);
    unlink(stats_path);
    return failed;
}
