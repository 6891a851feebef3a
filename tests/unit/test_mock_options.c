// SPDX-License-Identifier: Apache-2.0
// Does GENIE_MOCK give the device that it asks for, and is everything else refused with a line that names the key?
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api_ids.h"
#include "remoting/cuda_types.h"
#include "tests/mock/mock_options.h"

static struct mock_options o;
static char error[512];

static void defaults_are_a_device(void **unused)
{
    (void)unused;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(mock_options_parse(&o, i ? "" : NULL, error, sizeof error), 0);
        assert_int_equal(o.devices, 1);
        assert_true(o.mem_bytes >= (uint64_t)16 << 30);
        assert_int_equal(o.sm, 90);
        assert_true(o.threads >= 1);
        assert_true(o.exec);
        assert_false(o.is_virtual);
        assert_int_equal(o.kernel_ns, -1);
        assert_int_equal(o.fault_count, 0);
    }
}

static void every_key_is_read(void **unused)
{
    (void)unused;
    const char *text = "devices=3,mem=512M,sms=4,sm=75,threads=2,exec=off,sass=skip,kernel_us=1.5,copy_gbps=25,"
                       "fail=cuMemAlloc_v2:2:2,fail=cuInit:1:999,hang=7,fall_off=100,leaks=1,verbose=1,log=/tmp/x,stamp=/tmp/y";
    assert_int_equal(mock_options_parse(&o, text, error, sizeof error), 0);
    assert_int_equal(o.devices, 3);
    assert_int_equal(o.mem_bytes, 512 << 20);
    assert_int_equal(o.sms, 4);
    assert_int_equal(o.sm, 75);
    assert_int_equal(o.threads, 2);
    assert_false(o.exec);
    assert_true(o.sass_skip);
    assert_int_equal(o.kernel_ns, 1500);
    assert_true(o.copy_bytes_per_ns == 25);
    assert_true(o.is_virtual);
    assert_int_equal(o.fault_count, 2);
    assert_int_equal(o.faults[0].op, GN_OP_cuMemAlloc_v2);
    assert_int_equal(o.faults[0].call_index, 2);
    assert_int_equal(o.faults[0].code, CUDA_ERROR_OUT_OF_MEMORY);
    assert_int_equal(o.faults[1].op, GN_OP_cuInit);
    assert_int_equal(o.hang_launch, 7);
    assert_int_equal(o.fall_off_call, 100);
    assert_true(o.leaks && o.verbose);
    assert_true(o.moves);
    assert_string_equal(o.log_path, "/tmp/x");
    assert_string_equal(o.stamp_path, "/tmp/y");
}

static void a_device_has_its_time(void **unused)
{
    (void)unused;
    assert_int_equal(mock_options_parse(&o, "time=h200", error, sizeof error), 0);
    assert_true(o.is_virtual && o.kernel_ns == 2500 && o.copy_ns == 2500);
    assert_true(o.copy_bytes_per_ns == 55 && o.memory_bytes_per_ns == 4800);
    assert_int_equal(mock_options_parse(&o, "time=h200,kernel_us=4,exec=off,moves=off,copy_us=1", error, sizeof error), 0);
    assert_true(o.kernel_ns == 4000 && o.copy_ns == 1000 && o.memory_bytes_per_ns == 4800 && !o.moves);
    assert_int_equal(mock_options_parse(&o, "memory_gbps=100", error, sizeof error), 0);
    assert_true(o.is_virtual && o.memory_bytes_per_ns == 100 && o.kernel_ns == -1);
}

static void sizes_have_units(void **unused)
{
    (void)unused;
    static const struct {
        const char *text;
        uint64_t bytes;
    } cases[] = {{"mem=1048576", 1 << 20}, {"mem=2048K", 2 << 20}, {"mem=1G", 1 << 30}, {"mem=1T", (uint64_t)1 << 40}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(mock_options_parse(&o, cases[i].text, error, sizeof error), 0);
        assert_int_equal(o.mem_bytes, cases[i].bytes);
    }
}

static void what_is_wrong_is_named(void **unused)
{
    (void)unused;
    static const struct {
        const char *text, *named;
    } cases[] = {
        {"device=1", "device"},           {"devices", "devices"},           {"devices=", "devices"},
        {"devices=17", "devices"},        {"devices=-1", "devices"},        {"devices=1x", "devices"},
        {"mem=2T", "mem"},                {"mem=1", "mem"},                 {"mem=1GB", "mem"},
        {"mem=99999999999999999999", "mem"}, {"mem=18446744073709551615K", "mem"}, {"sm=76", "sm"},
        {"sm=120", "sm"},                 {"sms=0", "sms"},                 {"threads=0", "threads"},
        {"exec=yes", "exec"},             {"sass=run", "sass"},             {"kernel_us=-1", "kernel_us"},
        {"kernel_us=nan", "kernel_us"},   {"kernel_us=", "kernel_us"},      {"copy_gbps=0", "copy_gbps"},
        {"time=abacus", "time"},          {"memory_gbps=0", "memory_gbps"}, {"copy_us=-1", "copy_us"},
        {"moves=off", "moves"},           {"exec=off,moves=no", "moves"},
        {"copy_gbps=fast", "copy_gbps"},  {"fail=cuMemAlloc_v2", "fail"},   {"fail=cuMemAlloc_v2:1", "fail"},
        {"fail=cuMemAlloc_v2:0:2", "fail"}, {"fail=cuNothing:1:2", "cuNothing"}, {"fail=cuInit:1:0", "fail"},
        {"hang=0", "hang"},               {"fall_off=0", "fall_off"},       {"leaks=2", "leaks"},
        {"log=", "log"}, {"stamp=", "stamp"},                  {"devices=1,,sms=2,oops=1", "oops"}, {"verbose=on", "verbose"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (mock_options_parse(&o, cases[i].text, error, sizeof error) != -EINVAL)
            fail_msg("%s was taken", cases[i].text);
        if (!strstr(error, cases[i].named) || strchr(error, '\n'))
            fail_msg("%s: '%s'", cases[i].text, error);
    }
}

static void there_are_limits(void **unused)
{
    (void)unused;
    char text[4096] = "";
    for (int i = 0; i <= MOCK_FAULTS_MAX; i++)
        strcat(text, "fail=cuInit:1:1,");
    assert_int_equal(mock_options_parse(&o, text, error, sizeof error), -EINVAL);
    memset(text, 'x', 1000);
    text[1000] = '\0';
    assert_int_equal(mock_options_parse(&o, text, error, sizeof error), -EINVAL);
    assert_int_equal(mock_options_parse(&o, "oops=1", error, 8), -EINVAL); // a small buffer is not overrun
    assert_true(strlen(error) < 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_a_device), cmocka_unit_test(every_key_is_read),
        cmocka_unit_test(a_device_has_its_time), cmocka_unit_test(sizes_have_units),      cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(there_are_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
