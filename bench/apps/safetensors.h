// SPDX-License-Identifier: Apache-2.0
// Reads safetensors files: a header that names tensors, then their bytes. The file is taken as hostile:
// everything is checked at opening.
#ifndef BENCH_APPS_SAFETENSORS_H
#define BENCH_APPS_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

enum {
    ST_HEADER_BYTES_MAX = 8 << 20, // GPT-2 XL's is about 60 KB; the format itself allows 100 MB, which
                                   // nobody's model of this shape needs
    ST_TENSORS_MAX = 65536,        // what fits such a header, with names of ordinary length
    ST_RANK_MAX = 8,
    ST_NAME_BYTES_MAX = 255,
    ST_ERROR_BYTES = 256,
};

enum st_dtype { // those that st_read converts come first
    ST_F32,
    ST_F16,
    ST_BF16,
    ST_OTHER,
};

struct st_tensor {
    const char *name; // NUL-terminated, owned by the index
    enum st_dtype dtype;
    uint32_t rank;
    uint64_t shape[ST_RANK_MAX];
    uint64_t elements;
    uint64_t begin_bytes, end_bytes; // in the data part; end - begin fits shape and dtype
};

struct st_index { // sorted by name
    struct st_tensor *tensors;
    size_t count;
    char *names;
};

struct st_error {
    uint64_t offset_bytes; // in the header text; 0 where a place means nothing
    char text[ST_ERROR_BYTES];
};

// Parses the header text (what follows the file's first 8 bytes), of a file whose data part has data_bytes.
// Checks that every tensor's range fits its shape and that the ranges fill the data part without gap or
// overlap. Returns 0, or -EINVAL (error says where and why), -E2BIG over a limit above, -ENOMEM; then *index
// is empty.
int st_parse(const char *header, size_t header_bytes, uint64_t data_bytes, struct st_index *index,
             struct st_error *error);
void st_index_free(struct st_index *index);
const struct st_tensor *st_index_find(const struct st_index *index, const char *name); // or NULL

struct st_file {
    struct st_index index;
    uint64_t data_offset_bytes;
    int fd;
};

// Returns 0, or a negative errno with *error filled in; then there is nothing to close.
int st_open(const char *path, struct st_file *file, struct st_error *error);
void st_close(struct st_file *file);

// Reads the whole tensor as float32: tensor->elements floats to `out`. Returns 0, -ENOTSUP for ST_OTHER, -EIO
// when the file has become shorter, or another negative errno.
int st_read(const struct st_file *file, const struct st_tensor *tensor, float *out);

#endif
