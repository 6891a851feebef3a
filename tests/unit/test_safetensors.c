// SPDX-License-Identifier: Apache-2.0
// Question: does bench/apps/safetensors.c take what the format allows and refuse everything else, with a
// place and a reason? Method: header texts, each with its verdict; files of our own making, whole and
// damaged; conversions against their definition.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/apps/safetensors.h"

static void takes_what_the_format_allows(void **state)
{
    (void)state;
    static const char header[] =
        "{ \"__metadata__\" : {\"format\":\"pt\", \"note\":\"a \\\"quoted\\\" \\u00e9\\n\"} ,\n"
        "\"b\":{\"dtype\":\"F16\",\"shape\":[2,3],\"data_offsets\":[4,16]},\t"
        "\"a\":{\"shape\":[],\"data_offsets\":[0,4],\"dtype\":\"F32\"},"
        "\"none\":{\"dtype\":\"I64\",\"shape\":[0,7],\"data_offsets\":[16,16]},"
        "\"h.0.x\":{\"dtype\":\"BF16\",\"shape\":[1],\"data_offsets\":[16,18]}}   ";
    struct st_index index;
    struct st_error error;
    assert_int_equal(st_parse(header, strlen(header), 18, &index, &error), 0);
    assert_int_equal(index.count, 4);
    const struct st_tensor *a = st_index_find(&index, "a"), *b = st_index_find(&index, "b");
    assert_non_null(a);
    assert_int_equal(a->rank, 0);
    assert_int_equal(a->elements, 1);
    assert_int_equal(a->dtype, ST_F32);
    assert_non_null(b);
    assert_int_equal(b->rank, 2);
    assert_int_equal(b->shape[0], 2);
    assert_int_equal(b->shape[1], 3);
    assert_int_equal(b->begin_bytes, 4);
    assert_int_equal(b->end_bytes, 16);
    assert_int_equal(st_index_find(&index, "none")->elements, 0);
    assert_int_equal(st_index_find(&index, "none")->dtype, ST_OTHER);
    assert_int_equal(st_index_find(&index, "h.0.x")->dtype, ST_BF16);
    assert_null(st_index_find(&index, "h.0"));
    assert_null(st_index_find(&index, "__metadata__"));
    st_index_free(&index);
    assert_int_equal(st_parse("{}", 2, 0, &index, &error), 0);
    assert_null(st_index_find(&index, "a"));
    st_index_free(&index);
}

#define A(rest) "{\"a\":{" rest "}}"
#define OK_A    "\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}"

static const struct {
    const char *header;
    uint64_t data_bytes;
    int status;
    int offset; // where, or -1: anywhere
    const char *reason;
} refused[] = {
    {"", 0, -EINVAL, 0, "begin with"},
    {" {}", 0, -EINVAL, 0, "begin with"},
    {"[]", 0, -EINVAL, 0, "begin with"},
    {"{", 0, -EINVAL, 1, "expected '\"'"},
    {"{}x", 0, -EINVAL, 2, "behind the header"},
    {"{}{}", 0, -EINVAL, 2, "behind the header"},
    {"{}", 1, -EINVAL, -1, "no tensor"},
    {"{,}", 0, -EINVAL, 1, "expected '\"'"},
    {"{\"a\"}", 0, -EINVAL, 4, "expected ':'"},
    {"{\"a\":1}", 0, -EINVAL, 5, "expected '{'"},
    {"{\"a\":{}}", 0, -EINVAL, 6, "expected '\"'"},
    {"{\"a", 0, -EINVAL, 3, "does not end"},
    {"{\"a\n\":{}}", 0, -EINVAL, 3, "control character"},
    {"{\"\\u0061\":{}}", 0, -EINVAL, 2, "not supported"},
    {"{\"\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}", 4, -EINVAL, -1, "1 to 255"},
    {"{" OK_A ",}", 4, -EINVAL, -1, "expected '\"'"},
    {"{" OK_A " " OK_A "}", 4, -EINVAL, -1, "expected '}'"},
    {"{" OK_A, 4, -EINVAL, -1, "expected '}'"},
    {"{\"__metadata__\":{\"x\":1}}", 0, -EINVAL, -1, "expected '\"'"},
    {"{\"__metadata__\":{\"x\":\"\\x\"}}", 0, -EINVAL, -1, "unknown escape"},
    {"{\"__metadata__\":{\"x\":\"\\u12g4\"}}", 0, -EINVAL, -1, "four hexadecimal"},
    {"{\"__metadata__\":{\"x\":\"\\", 0, -EINVAL, -1, "unknown escape"},
    {"{\"__metadata__\":{\"x\":\"\\u12", 0, -EINVAL, -1, "four hexadecimal"},
    {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, -EINVAL, -1, "twice"},
    {A("\"dtype\":\"U8\",\"shape\":[4]"), 4, -EINVAL, -1, "missing"},
    {A("\"shape\":[4],\"data_offsets\":[0,4]"), 4, -EINVAL, -1, "missing"},
    {A("\"dtype\":\"U8\",\"data_offsets\":[0,4]"), 4, -EINVAL, -1, "missing"},
    {A("\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]"), 4, -EINVAL, -1, "twice"},
    {A("\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4],\"x\":1"), 4, -EINVAL, -1, "expected dtype"},
    {A("\"dtype\":\"F31\",\"shape\":[1],\"data_offsets\":[0,4]"), 4, -EINVAL, -1, "unknown dtype \"F31\""},
    {A("\"dtype\":5,\"shape\":[1],\"data_offsets\":[0,4]"), 4, -EINVAL, -1, "expected '\"'"},
    {A("\"dtype\":\"U8\",\"shape\":4,\"data_offsets\":[0,4]"), 4, -EINVAL, -1, "expected '['"},
    {A("\"dtype\":\"U8\",\"shape\":[4,],\"data_offsets\":[0,4]"), 4, -EINVAL, -1, "whole number"},
    {A("\"dtype\":\"U8\",\"shape\":[-4],\"data_offsets\":[0,4]"), 4, -EINVAL, -1, "whole number"},
    {A("\"dtype\":\"U8\",\"shape\":[4.0],\"data_offsets\":[0,4]"), 4, -EINVAL, -1, "expected ']'"},
    {A("\"dtype\":\"U8\",\"shape\":[04],\"data_offsets\":[0,4]"), 4, -EINVAL, -1, "begins with 0"},
    {A("\"dtype\":\"U8\",\"shape\":[4e0],\"data_offsets\":[0,4]"), 4, -EINVAL, -1, "expected ']'"},
    {A("\"dtype\":\"U8\",\"shape\":[99999999999999999999],\"data_offsets\":[0,4]"), 4, -EINVAL, -1,
     "64 bits"},
    {A("\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,4],\"data_offsets\":[0,4]"), 4, -E2BIG, -1,
     "more than 8"},
    {A("\"dtype\":\"U8\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,4]"), 4, -EINVAL, -1,
     "2^64 elements"},
    {A("\"dtype\":\"F64\",\"shape\":[4611686018427387904],\"data_offsets\":[0,4]"), 4, -EINVAL, -1,
     "2^64 bytes"},
    {A("\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[4,0]"), 4, -EINVAL, -1, "lie outside"},
    {A("\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[1,5]"), 4, -EINVAL, -1, "lie outside"},
    {A("\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[18446744073709551612,0]"), 4, -EINVAL, -1,
     "lie outside"},
    {A("\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0]"), 4, -EINVAL, -1, "two numbers"},
    {A("\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[]"), 4, -EINVAL, -1, "two numbers"},
    {A("\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4,8]"), 4, -E2BIG, -1, "more than 2"},
    {A("\"dtype\":\"U8\",\"shape\":[5],\"data_offsets\":[0,4]"), 4, -EINVAL, -1,
     "need 5 bytes, data_offsets give 4"},
    {A("\"dtype\":\"F16\",\"shape\":[4],\"data_offsets\":[0,4]"), 4, -EINVAL, -1, "need 8 bytes"},
    {"{" OK_A "}", 5, -EINVAL, -1, "end at byte 4 of 5"},
    {"{" OK_A "}", 3, -EINVAL, -1, "lie outside"},
    {"{" OK_A "," OK_A "}", 8, -EINVAL, -1, "begins at byte 0"},
    {"{" OK_A ",\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[2,6]}}", 6, -EINVAL, -1,
     "begins at byte 2"},
    {"{" OK_A ",\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[5,7]}}", 7, -EINVAL, -1,
     "begins at byte 5"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]},\"a\":{\"dtype\":\"U8\",\"shape\":[0],"
     "\"data_offsets\":[0,0]}}",
     0, -EINVAL, -1, "appears twice"},
};

static void refuses_the_rest(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct st_index index;
        struct st_error error;
        size_t size = strlen(refused[i].header);
        char *exact = malloc(size + 1); // the sanitizer sees a read behind the text
        memcpy(exact + 1, refused[i].header, size);
        int status = st_parse(exact + 1, size, refused[i].data_bytes, &index, &error);
        if (status != refused[i].status || !strstr(error.text, refused[i].reason) ||
            (refused[i].offset >= 0 && error.offset_bytes != (uint64_t)refused[i].offset))
            fail_msg("%s: got %d at %llu, %s", refused[i].header, status,
                     (unsigned long long)error.offset_bytes, error.text);
        assert_int_equal(index.count, 0);
        assert_null(index.tensors);
        free(exact);
    }
}

// Every beginning of a good header is refused, and so is a good one with any byte missing.
static void refuses_every_truncation(void **state)
{
    (void)state;
    static const char header[] = "{\"__metadata__\":{\"k\":\"\\u0041\"},\"b\":{\"dtype\":\"F16\",\"shape\":["
                                 "2,3],\"data_offsets\":[0,12]}}";
    struct st_index index;
    struct st_error error;
    for (size_t size = 0; size < strlen(header); size++) {
        char *exact = malloc(size + 1);
        memcpy(exact + 1, header, size);
        assert_int_equal(st_parse(exact + 1, size, 12, &index, &error), -EINVAL);
        assert_true(error.text[0] != '\0');
        free(exact);
    }
    assert_int_equal(st_parse(header, strlen(header), 12, &index, &error), 0);
    st_index_free(&index);
}

static void limits_are_kept(void **state)
{
    (void)state;
    struct st_index index;
    struct st_error error;
    char *text = malloc(ST_HEADER_BYTES_MAX + 1);
    memset(text, ' ', ST_HEADER_BYTES_MAX + 1);
    memcpy(text, "{}", 2);
    assert_int_equal(st_parse(text, ST_HEADER_BYTES_MAX, 0, &index, &error), 0);
    st_index_free(&index);
    assert_int_equal(st_parse(text, ST_HEADER_BYTES_MAX + 1, 0, &index, &error), -E2BIG);
    for (int count = ST_TENSORS_MAX; count <= ST_TENSORS_MAX + 1; count++) {
        size_t size = 1;
        for (int i = 0; i < count; i++)
            size += (size_t)sprintf(text + size,
                                    "\"%d\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]},", i);
        text[size - 1] = '}';
        assert_int_equal(st_parse(text, size, 0, &index, &error), count > ST_TENSORS_MAX ? -E2BIG : 0);
        st_index_free(&index);
    }
    for (int length = ST_NAME_BYTES_MAX; length <= ST_NAME_BYTES_MAX + 1; length++) {
        int size =
            sprintf(text, "{\"%0*d\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}", length, 0);
        assert_int_equal(st_parse(text, (size_t)size, 0, &index, &error),
                         length > ST_NAME_BYTES_MAX ? -EINVAL : 0);
        st_index_free(&index);
    }
    free(text);
}

// Writes a file of a length prefix, a header and data, and returns its path.
static const char *write_file(uint64_t prefix, const char *header, const void *data, size_t data_bytes)
{
    static char path[] = "/tmp/test_safetensors.XXXXXX";
    memcpy(path + sizeof path - 7, "XXXXXX", 6);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, &prefix, sizeof prefix), sizeof prefix);
    assert_int_equal(write(fd, header, strlen(header)), (ssize_t)strlen(header));
    assert_int_equal(write(fd, data, data_bytes), (ssize_t)data_bytes);
    close(fd);
    return path;
}

static void widens_exactly(void **state)
{
    (void)state;
    // 65,536 halves, every pattern there is; then the same as bfloat16; then three floats.
    static const char header[] =
        "{\"h\":{\"dtype\":\"F16\",\"shape\":[256,256],\"data_offsets\":[0,131072]},"
        "\"b\":{\"dtype\":\"BF16\",\"shape\":[65536],\"data_offsets\":[131072,262144]},"
        "\"f\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[262144,262156]},"
        "\"i\":{\"dtype\":\"I32\",\"shape\":[1],\"data_offsets\":[262156,262160]}}";
    static const float floats[3] = {1.5f, -0.0f, 3.4e38f};
    static uint16_t data[131072 + 8];
    for (uint32_t i = 0; i < 65536; i++)
        data[i] = data[65536 + i] = (uint16_t)i;
    memcpy(data + 131072, floats, sizeof floats);
    const char *path = write_file(strlen(header), header, data, sizeof data);
    struct st_file file;
    struct st_error error;
    assert_int_equal(st_open(path, &file, &error), 0);
    float *out = malloc(65536 * sizeof *out);

    assert_int_equal(st_read(&file, st_index_find(&file.index, "h"), out), 0);
    for (uint32_t i = 0; i < 65536; i++) {
        int exponent = i >> 10 & 31, fraction = i & 1023;
        float expected = exponent == 31 ? (fraction ? NAN : INFINITY)
                         : exponent     ? ldexpf((float)(1024 + fraction), exponent - 25)
                                        : ldexpf((float)fraction, -24);
        assert_true(i >> 15 ? signbit(out[i]) : !signbit(out[i]));
        assert_true(isnan(expected) ? isnan(out[i]) : fabsf(out[i]) == expected);
    }
    assert_int_equal(st_read(&file, st_index_find(&file.index, "b"), out), 0);
    for (uint32_t i = 0; i < 65536; i++) {
        uint32_t bits;
        memcpy(&bits, &out[i], sizeof bits);
        assert_int_equal(bits, i << 16);
    }
    assert_int_equal(st_read(&file, st_index_find(&file.index, "f"), out), 0);
    assert_memory_equal(out, floats, sizeof floats);
    assert_int_equal(st_read(&file, st_index_find(&file.index, "i"), out), -ENOTSUP);

    assert_int_equal(truncate(path, (off_t)(8 + strlen(header) + 262144 + 8)),
                     0); // after opening: in the middle of "f"
    assert_int_equal(st_read(&file, st_index_find(&file.index, "h"), out), 0);
    assert_int_equal(st_read(&file, st_index_find(&file.index, "f"), out), -EIO);
    st_close(&file);
    free(out);
    unlink(path);
}

static void refuses_damaged_files(void **state)
{
    (void)state;
    static const char good[] = "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}";
    static const struct {
        uint64_t prefix;
        size_t data_bytes;
        int status;
        const char *reason;
    } cases[] = {
        {sizeof good - 1, 4, 0, ""},
        {sizeof good - 1, 3, -EINVAL, "lie outside"},
        {sizeof good - 1, 5, -EINVAL, "end at byte"},
        {sizeof good - 2, 4, -EINVAL, "expected"},
        {sizeof good, 5, -EINVAL, "behind the header"},
        {sizeof good - 1 + 5, 4, -EINVAL, "longer than the file"},
        {ST_HEADER_BYTES_MAX + 1, 4, -E2BIG, "over the limit"},
        {UINT64_MAX, 4, -E2BIG, "over the limit"},
        {0, 4, -EINVAL, "begin with"},
    };
    struct st_file file;
    struct st_error error;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *path = write_file(cases[i].prefix, good, "\1\2\3\4\5", cases[i].data_bytes);
        int status = st_open(path, &file, &error);
        if (status != cases[i].status || !strstr(error.text, cases[i].reason))
            fail_msg("case %zu: %d, %s", i, status, error.text);
        if (!status)
            st_close(&file);
        unlink(path);
    }
    const char *path = write_file(1, "", "", 0);
    assert_int_equal(truncate(path, 7), 0);
    assert_int_equal(st_open(path, &file, &error), -EINVAL);
    unlink(path);
    assert_int_equal(st_open(path, &file, &error), -ENOENT);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(st_open(path, &file, &error), -EINVAL); // and does not wait for a writer
    unlink(path);
    assert_int_equal(st_open("/tmp", &file, &error), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_what_the_format_allows),
        cmocka_unit_test(refuses_the_rest),
        cmocka_unit_test(refuses_every_truncation),
        cmocka_unit_test(limits_are_kept),
        cmocka_unit_test(widens_exactly),
        cmocka_unit_test(refuses_damaged_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
