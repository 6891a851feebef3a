// SPDX-License-Identifier: Apache-2.0
// Reads safetensors files (layout: https://github.com/huggingface/safetensors, README, "Format").
//
// The header is JSON of one fixed form, {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
// ...}, with "__metadata__", an object of strings, as the one other member. Exactly that form is parsed;
// nothing else is skipped over.
#include "bench/apps/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
    const char *name;
    enum st_dtype dtype;
    uint32_t bytes;
} dtypes[] = {
    {"F32", ST_F32, 4},   {"F16", ST_F16, 2},       {"BF16", ST_BF16, 2},     {"BOOL", ST_OTHER, 1},
    {"U8", ST_OTHER, 1},  {"I8", ST_OTHER, 1},      {"U16", ST_OTHER, 2},     {"I16", ST_OTHER, 2},
    {"U32", ST_OTHER, 4}, {"I32", ST_OTHER, 4},     {"U64", ST_OTHER, 8},     {"I64", ST_OTHER, 8},
    {"F64", ST_OTHER, 8}, {"F8_E4M3", ST_OTHER, 1}, {"F8_E5M2", ST_OTHER, 1},
};

// The text being parsed. Once `status` is not 0 every reader returns at once, so callers check it only where
// they loop or keep something.
struct reader {
    const char *text;
    size_t size, at;
    int status;
    struct st_error *error;
};

struct span {
    const char *text;
    size_t size;
};

__attribute__((format(printf, 3, 4))) static void fail(struct reader *r, int status, const char *format, ...)
{
    if (r->status)
        return;
    r->status = status;
    r->error->offset_bytes = r->at;
    va_list args;
    va_start(args, format);
    vsnprintf(r->error->text, sizeof r->error->text, format, args);
    va_end(args);
}

static char peek(struct reader *r)
{
    while (r->at < r->size && (r->text[r->at] == ' ' || r->text[r->at] == '\t' || r->text[r->at] == '\n' ||
                               r->text[r->at] == '\r'))
        r->at++;
    return r->status || r->at == r->size ? '\0' : r->text[r->at];
}

static bool take(struct reader *r, char c)
{
    if (peek(r) != c || c == '\0')
        return false;
    r->at++;
    return true;
}

static void expect(struct reader *r, char c)
{
    if (!take(r, c))
        fail(r, -EINVAL, "expected '%c'", c);
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

// Steps over one escape, r->at behind the backslash.
static void skip_escape(struct reader *r)
{
    if (r->at < r->size && r->text[r->at] == 'u') {
        for (int i = 1; i <= 4; i++)
            if (r->at + i >= r->size || !is_hex(r->text[r->at + i]))
                return fail(r, -EINVAL, "\\u needs four hexadecimal digits");
        r->at += 5;
    } else if (r->at < r->size && r->text[r->at] && strchr("\"\\/bfnrt", r->text[r->at])) {
        r->at++;
    } else {
        fail(r, -EINVAL, "unknown escape");
    }
}

// A string; the span has its bytes between the quotes, escapes as they stand.
static struct span string(struct reader *r, bool escapes_allowed)
{
    struct span span = {"", 0};
    expect(r, '"');
    size_t start = r->at;
    while (!r->status) {
        if (r->at == r->size) {
            fail(r, -EINVAL, "the string does not end");
        } else if ((unsigned char)r->text[r->at] < 0x20) {
            fail(r, -EINVAL, "control character in a string");
        } else if (r->text[r->at] == '"') {
            span = (struct span){r->text + start, r->at - start};
            r->at++;
            break;
        } else if (r->text[r->at] == '\\') {
            if (!escapes_allowed)
                fail(r, -EINVAL, "escapes in names are not supported");
            r->at++;
            skip_escape(r);
        } else {
            r->at++;
        }
    }
    return span;
}

static bool same(struct span span, const char *text)
{
    return span.size == strlen(text) && memcmp(span.text, text, span.size) == 0;
}

static uint64_t number(struct reader *r)
{
    char c = peek(r);
    if (c < '0' || c > '9') {
        fail(r, -EINVAL, "expected a whole number");
        return 0;
    }
    size_t start = r->at;
    uint64_t value = 0;
    for (; r->at < r->size && r->text[r->at] >= '0' && r->text[r->at] <= '9'; r->at++) {
        if (__builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(r->text[r->at] - '0'), &value)) {
            fail(r, -EINVAL, "the number does not fit 64 bits");
            return 0;
        }
    }
    if (r->text[start] == '0' && r->at > start + 1)
        fail(r, -EINVAL, "a number begins with 0");
    return value;
}

// [n, ...] with at most max numbers. Returns how many.
static uint32_t numbers(struct reader *r, uint64_t *out, uint32_t max, const char *what)
{
    uint32_t count = 0;
    expect(r, '[');
    if (take(r, ']'))
        return 0;
    do {
        if (count == max) {
            fail(r, -E2BIG, "%s has more than %u numbers", what, max);
            break;
        }
        out[count++] = number(r);
    } while (!r->status && take(r, ','));
    expect(r, ']');
    return count;
}

static uint32_t dtype(struct reader *r, enum st_dtype *out)
{
    struct span name = string(r, false);
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes && !r->status; i++) {
        if (same(name, dtypes[i].name)) {
            *out = dtypes[i].dtype;
            return dtypes[i].bytes;
        }
    }
    fail(r, -EINVAL, "unknown dtype \"%.*s\"", (int)(name.size < 32 ? name.size : 32), name.text);
    return 0;
}

enum { HAS_DTYPE = 1, HAS_SHAPE = 2, HAS_OFFSETS = 4, HAS_ALL = 7 };

// Checks that the range is in the data part and has the size that shape and dtype give.
static void check_range(struct reader *r, struct st_tensor *tensor, uint32_t element_bytes,
                        uint64_t data_bytes)
{
    uint64_t bytes;
    tensor->elements = 1;
    for (uint32_t i = 0; i < tensor->rank; i++)
        if (__builtin_mul_overflow(tensor->elements, tensor->shape[i], &tensor->elements))
            return fail(r, -EINVAL, "the shape has more than 2^64 elements");
    if (__builtin_mul_overflow(tensor->elements, element_bytes, &bytes))
        return fail(r, -EINVAL, "the shape has more than 2^64 bytes");
    if (tensor->begin_bytes > tensor->end_bytes || tensor->end_bytes > data_bytes)
        return fail(r, -EINVAL, "data_offsets [%llu, %llu] lie outside the %llu bytes of data",
                    (unsigned long long)tensor->begin_bytes, (unsigned long long)tensor->end_bytes,
                    (unsigned long long)data_bytes);
    if (tensor->end_bytes - tensor->begin_bytes != bytes)
        fail(r, -EINVAL, "shape and dtype need %llu bytes, data_offsets give %llu", (unsigned long long)bytes,
             (unsigned long long)(tensor->end_bytes - tensor->begin_bytes));
}

// What stands behind a tensor's name.
static void description(struct reader *r, uint64_t data_bytes, struct st_tensor *tensor)
{
    unsigned has = 0;
    uint32_t element_bytes = 0;
    uint64_t offsets[2] = {0, 0};
    expect(r, '{');
    do {
        struct span key = string(r, false);
        unsigned now = same(key, "dtype")          ? HAS_DTYPE
                       : same(key, "shape")        ? HAS_SHAPE
                       : same(key, "data_offsets") ? HAS_OFFSETS
                                                   : 0;
        if (!now)
            fail(r, -EINVAL, "expected dtype, shape or data_offsets");
        if (has & now)
            fail(r, -EINVAL, "\"%.*s\" appears twice", (int)key.size, key.text);
        has |= now;
        expect(r, ':');
        if (now == HAS_DTYPE)
            element_bytes = dtype(r, &tensor->dtype);
        else if (now == HAS_SHAPE)
            tensor->rank = numbers(r, tensor->shape, ST_RANK_MAX, "shape");
        else if (now == HAS_OFFSETS && numbers(r, offsets, 2, "data_offsets") != 2)
            fail(r, -EINVAL, "data_offsets needs two numbers");
    } while (!r->status && take(r, ','));
    expect(r, '}');
    if (has != HAS_ALL)
        fail(r, -EINVAL, "dtype, shape or data_offsets is missing");
    tensor->begin_bytes = offsets[0];
    tensor->end_bytes = offsets[1];
    if (!r->status)
        check_range(r, tensor, element_bytes, data_bytes);
}

static void metadata(struct reader *r)
{
    expect(r, '{');
    if (take(r, '}'))
        return;
    do {
        string(r, true);
        expect(r, ':');
        string(r, true);
    } while (!r->status && take(r, ','));
    expect(r, '}');
}

// Makes room for one more; `capacity` doubles.
static struct st_tensor *grow(struct reader *r, struct st_index *index, size_t *capacity)
{
    if (index->count == ST_TENSORS_MAX) {
        fail(r, -E2BIG, "more than %d tensors", ST_TENSORS_MAX);
        return NULL;
    }
    if (index->count == *capacity) {
        size_t more = *capacity ? *capacity * 2 : 64;
        struct st_tensor *tensors = realloc(index->tensors, more * sizeof *tensors);
        if (!tensors) {
            fail(r, -ENOMEM, "out of memory");
            return NULL;
        }
        index->tensors = tensors;
        *capacity = more;
    }
    struct st_tensor *tensor = &index->tensors[index->count++];
    memset(tensor, 0, sizeof *tensor);
    return tensor;
}

// The header's members. Names go, NUL-terminated, into index->names, which is as large as the header: a name
// takes one byte more than its text, and its two quotes make up for that.
static void members(struct reader *r, uint64_t data_bytes, struct st_index *index)
{
    size_t capacity = 0, names_bytes = 0;
    bool has_metadata = false;
    expect(r, '{');
    if (take(r, '}'))
        return;
    do {
        struct span name = string(r, false);
        expect(r, ':');
        if (r->status)
            return;
        if (same(name, "__metadata__")) {
            if (has_metadata)
                fail(r, -EINVAL, "__metadata__ appears twice");
            has_metadata = true;
            metadata(r);
            continue;
        }
        if (name.size == 0 || name.size > ST_NAME_BYTES_MAX || memchr(name.text, '\0', name.size))
            return fail(r, -EINVAL, "a tensor's name must have 1 to %d bytes", ST_NAME_BYTES_MAX);
        struct st_tensor *tensor = grow(r, index, &capacity);
        if (!tensor)
            return;
        char *copy = index->names + names_bytes;
        memcpy(copy, name.text, name.size);
        copy[name.size] = '\0';
        names_bytes += name.size + 1;
        tensor->name = copy;
        description(r, data_bytes, tensor);
    } while (!r->status && take(r, ','));
    expect(r, '}');
}

static int by_place(const void *a, const void *b)
{
    const struct st_tensor *x = a, *y = b;
    if (x->begin_bytes != y->begin_bytes)
        return x->begin_bytes < y->begin_bytes ? -1 : 1;
    return (x->end_bytes > y->end_bytes) - (x->end_bytes < y->end_bytes);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct st_tensor *)a)->name, ((const struct st_tensor *)b)->name);
}

// The ranges must fill the data part, each beginning where the one before ends; and no name may stand twice.
static void check_whole(struct reader *r, uint64_t data_bytes, struct st_index *index)
{
    uint64_t end = 0;
    qsort(index->tensors, index->count, sizeof *index->tensors, by_place);
    for (size_t i = 0; i < index->count; i++) {
        const struct st_tensor *tensor = &index->tensors[i];
        if (tensor->begin_bytes != end)
            return fail(r, -EINVAL, "tensor %.64s begins at byte %llu of the data, where %llu was expected",
                        tensor->name, (unsigned long long)tensor->begin_bytes, (unsigned long long)end);
        end = tensor->end_bytes;
    }
    if (end != data_bytes)
        return fail(r, -EINVAL, "the tensors end at byte %llu of %llu bytes of data", (unsigned long long)end,
                    (unsigned long long)data_bytes);
    qsort(index->tensors, index->count, sizeof *index->tensors, by_name);
    for (size_t i = 1; i < index->count; i++)
        if (strcmp(index->tensors[i - 1].name, index->tensors[i].name) == 0)
            return fail(r, -EINVAL, "tensor %.64s appears twice", index->tensors[i].name);
}

int st_parse(const char *header, size_t header_bytes, uint64_t data_bytes, struct st_index *index,
             struct st_error *error)
{
    struct reader r = {.text = header, .size = header_bytes, .error = error};
    *index = (struct st_index){0};
    *error = (struct st_error){0};
    if (header_bytes > ST_HEADER_BYTES_MAX)
        fail(&r, -E2BIG, "the header has more than %d bytes", ST_HEADER_BYTES_MAX);
    else if (header_bytes == 0 || header[0] != '{')
        fail(&r, -EINVAL, "the header does not begin with '{'");
    if (!r.status && !(index->names = malloc(header_bytes)))
        fail(&r, -ENOMEM, "out of memory");
    if (!r.status)
        members(&r, data_bytes, index);
    if (!r.status && (peek(&r), r.at != r.size))
        fail(&r, -EINVAL, "text behind the header's end");
    if (!r.status && index->count)
        check_whole(&r, data_bytes, index);
    else if (!r.status && data_bytes)
        fail(&r, -EINVAL, "%llu bytes of data and no tensor", (unsigned long long)data_bytes);
    if (r.status)
        st_index_free(index);
    return r.status;
}

void st_index_free(struct st_index *index)
{
    free(index->tensors);
    free(index->names);
    *index = (struct st_index){0};
}

const struct st_tensor *st_index_find(const struct st_index *index, const char *name)
{
    struct st_tensor key = {.name = name};
    return index->count ? bsearch(&key, index->tensors, index->count, sizeof key, by_name) : NULL;
}

// Reads exactly size_bytes, or returns -EIO at the file's end.
static int read_at(int fd, void *out, uint64_t size_bytes, uint64_t offset_bytes)
{
    char *to = out;
    while (size_bytes) {
        size_t piece = size_bytes < (64u << 20) ? size_bytes : (64u << 20);
        ssize_t got = pread(fd, to, piece, (off_t)offset_bytes);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            return -EIO;
        to += got;
        size_bytes -= (uint64_t)got;
        offset_bytes += (uint64_t)got;
    }
    return 0;
}

static int say(struct st_error *error, int status, const char *text)
{
    *error = (struct st_error){0};
    snprintf(error->text, sizeof error->text, "%s", text);
    return status;
}

// With the system's reason.
static int say_why(struct st_error *error, int status, const char *what)
{
    *error = (struct st_error){0};
    snprintf(error->text, sizeof error->text, "%s: %s", what, strerror(-status));
    return status;
}

// Reads and parses the header of the open file.
static int open_header(struct st_file *file, struct st_error *error)
{
    struct stat stat;
    unsigned char prefix[8];
    if (fstat(file->fd, &stat))
        return say_why(error, -errno, "fstat");
    if (!S_ISREG(stat.st_mode))
        return say(error, -EINVAL, "not a regular file");
    uint64_t file_bytes = (uint64_t)stat.st_size, header_bytes = 0;
    if (file_bytes < sizeof prefix)
        return say(error, -EINVAL, "shorter than the 8 bytes that give the header's length");
    int status = read_at(file->fd, prefix, sizeof prefix, 0);
    if (status)
        return say_why(error, status, "reading the header's length");
    for (int i = 7; i >= 0; i--)
        header_bytes = header_bytes << 8 | prefix[i];
    if (header_bytes > ST_HEADER_BYTES_MAX)
        return say(error, -E2BIG, "the header's length is over the limit (is this a safetensors file?)");
    if (header_bytes > file_bytes - sizeof prefix)
        return say(error, -EINVAL, "the header is longer than the file");
    char *header = malloc(header_bytes + 1);
    if (!header)
        return say_why(error, -ENOMEM, "header");
    file->data_offset_bytes = sizeof prefix + header_bytes;
    status = read_at(file->fd, header, header_bytes, sizeof prefix);
    if (status)
        say_why(error, status, "reading the header");
    else
        status = st_parse(header, header_bytes, file_bytes - file->data_offset_bytes, &file->index, error);
    free(header);
    return status;
}

int st_open(const char *path, struct st_file *file, struct st_error *error)
{
    *file = (struct st_file){.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    if (file->fd < 0)
        return say_why(error, -errno, "open");
    int status = open_header(file, error);
    if (status)
        st_close(file);
    return status;
}

void st_close(struct st_file *file)
{
    st_index_free(&file->index);
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
}

static float float_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

// binary16 to float32, exactly: subnormals become normal, infinities and not-a-numbers stay what they are.
static float float_of_half(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, magnitude = half & 0x7fff;
    if (magnitude >= 0x7c00)
        return float_of_bits(sign | 0x7f800000 | (magnitude & 0x3ff) << 13);
    if (magnitude >= 0x0400)
        return float_of_bits(sign | ((magnitude << 13) + ((127 - 15) << 23)));
    float value = (float)magnitude * 0x1p-24f;
    return sign ? -value : value;
}

int st_read(const struct st_file *file, const struct st_tensor *tensor, float *out)
{
    if (tensor->dtype == ST_OTHER)
        return -ENOTSUP;
    // Two-byte values are read into the upper half of `out` and widened from the front: value i is read
    // before floats up to i are written.
    uint64_t bytes = tensor->end_bytes - tensor->begin_bytes;
    char *to = tensor->dtype == ST_F32 ? (char *)out : (char *)out + bytes;
    int status = read_at(file->fd, to, bytes, file->data_offset_bytes + tensor->begin_bytes);
    for (uint64_t i = 0; i < tensor->elements && !status && tensor->dtype != ST_F32; i++) {
        uint16_t narrow;
        memcpy(&narrow, to + 2 * i, sizeof narrow);
        float wide = tensor->dtype == ST_F16 ? float_of_half(narrow) : float_of_bits((uint32_t)narrow << 16);
        memcpy(out + i, &wide, sizeof wide);
    }
    return status;
}
