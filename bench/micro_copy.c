// SPDX-License-Identifier: Apache-2.0
// Copies between host and device, by size, pageable and pinned.
//
// To the device: the time includes the synchronise that says that the bytes are there. Small ones come in
// bursts with one synchronise, as programs make them.
#include <stdio.h>
#include <string.h>

#include "bench/micro.h"

enum { SMALL_BURST = 20, SAMPLES = 5, SEEN_MAX = 64 };
static const uint64_t small_bytes = 1 << 20; // from here on a row is a bandwidth
static const double turn_us = 20000;

// A row's first turn in this process proves that the bytes arrive; the later ones are copies and nothing
// else.
static bool is_first(const struct gn_micro_row *row)
{
    static const struct gn_micro_row *seen[SEEN_MAX];
    unsigned i = 0;
    while (i < SEEN_MAX && seen[i] && seen[i] != row)
        i++;
    bool first = i < SEEN_MAX && !seen[i];
    if (first)
        seen[i] = row;
    return first;
}

static void compare(const uint8_t *a, const uint8_t *b, uint64_t bytes, struct gn_micro_result *result)
{
    if (!*result->failed && memcmp(a, b, bytes))
        snprintf(result->failed, sizeof result->failed,
                 "the bytes that came back are not those that were sent");
}

static const uint8_t *source_of(const struct gn_micro *m, const struct gn_micro_row *row)
{
    return row->repeats ? m->repeating : row->pinned ? m->pinned : m->pageable;
}

static void prove_htod(struct gn_micro *m, const struct gn_micro_row *row, struct gn_micro_result *result)
{
    uint64_t bytes = row->number;
    const uint8_t *from = source_of(m, row);
    CUdeviceptr to = row->repeats ? m->repeating_memory : m->memory;
    uint8_t *back = row->pinned ? m->pageable : m->pinned; // the other one, which holds the same
    TRY(cuMemsetD8(to, 0, bytes));
    TRY(cuCtxSynchronize()); // the stream does not wait for it
    if (row->pinned)
        TRY(cuMemcpyHtoDAsync(to, from, bytes, m->stream));
    else
        TRY(cuMemcpyHtoD(to, from, bytes));
    TRY(cuCtxSynchronize());
    memset(back, 0, bytes);
    TRY(cuMemcpyDtoH(back, to, bytes));
    compare(from, back, bytes, result);
    memcpy(back, row->pinned ? m->pinned : m->pageable, bytes); // as it was
}

static double to_unit(double us, uint64_t bytes)
{
    return bytes < small_bytes ? us : (double)bytes / us / 1e3;
}

static void run_htod(struct gn_micro *m, const struct gn_micro_row *row, struct gn_micro_result *result)
{
    uint64_t bytes = row->number;
    const uint8_t *from = source_of(m, row);
    CUdeviceptr to = row->repeats ? m->repeating_memory : m->memory;
    int burst = bytes < small_bytes ? SMALL_BURST : 1;
    if (is_first(row))
        prove_htod(m, row, result);
    double begin = gn_micro_now_us();
    for (int i = 0; i < SAMPLES && gn_micro_goes_on(i, begin, turn_us); i++) {
        double start = gn_micro_now_us();
        for (int k = 0; k < burst; k++)
            if (row->pinned)
                TRY(cuMemcpyHtoDAsync(to, from, bytes, m->stream));
            else
                TRY(cuMemcpyHtoD(to, from, bytes));
        TRY(cuCtxSynchronize());
        gn_micro_value(result, to_unit((gn_micro_now_us() - start) / burst, bytes));
        result->calls += (uint64_t)burst;
    }
}

static void run_dtoh(struct gn_micro *m, const struct gn_micro_row *row, struct gn_micro_result *result)
{
    uint64_t bytes = row->number;
    uint8_t *to = row->pinned ? m->pinned : m->pageable;
    const uint8_t *other = row->pinned ? m->pageable : m->pinned;
    bool first = is_first(row);
    if (first) {
        TRY(cuMemcpyHtoD(m->memory, other, bytes));
        TRY(cuCtxSynchronize());
        memset(to, 0, bytes);
    }
    double begin = gn_micro_now_us();
    for (int i = 0; i < SAMPLES && gn_micro_goes_on(i, begin, turn_us); i++) {
        double start = gn_micro_now_us();
        if (row->pinned) {
            TRY(cuMemcpyDtoHAsync(to, m->memory, bytes, m->stream));
            TRY(cuStreamSynchronize(m->stream));
        } else {
            TRY(cuMemcpyDtoH(to, m->memory, bytes));
        }
        gn_micro_value(result, to_unit(gn_micro_now_us() - start, bytes));
        result->calls++;
    }
    if (first)
        compare(to, other, bytes, result);
}

static void name_size(char *out, size_t room, uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB"};
    int unit = 0;
    while (bytes >= 1024 && unit < 3) {
        bytes /= 1024;
        unit++;
    }
    snprintf(out, room, "%llu%s", (unsigned long long)bytes, units[unit]);
}

unsigned gn_micro_copy_rows(struct gn_micro_row *rows, unsigned room, uint64_t max_bytes)
{
    static const uint64_t sizes[] = {4,       1 << 10,  16 << 10, 64 << 10,  256 << 10,
                                     1 << 20, 16 << 20, 64 << 20, 256 << 20, 1 << 30};
    static const struct {
        const char *name, *about;
        void (*run)(struct gn_micro *, const struct gn_micro_row *, struct gn_micro_result *);
        bool pinned, repeats;
    } kinds[] = {
        {"htod_pageable", "copy to the device, pageable", run_htod, .pinned = false},
        {"htod_pinned", "copy to the device, pinned and asynchronous", run_htod, .pinned = true},
        {"htod_repeating", "copy to the device, pageable, bytes that compress well", run_htod,
         .repeats = true},
        {"dtoh_pageable", "copy to the host, pageable", run_dtoh, .pinned = false},
        {"dtoh_pinned", "copy to the host, pinned and asynchronous", run_dtoh, .pinned = true},
    };
    unsigned n = 0;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes && sizes[s] <= max_bytes && n < room; s++) {
            char size[16];
            if (kinds[k].repeats && (sizes[s] < small_bytes || sizes[s] > GN_MICRO_REPEATING_BYTES))
                continue;
            struct gn_micro_row *row = &rows[n++];
            *row = (struct gn_micro_row){.unit = sizes[s] < small_bytes ? "us" : "GB/s",
                                         .about = kinds[k].about,
                                         .run = kinds[k].run,
                                         .number = sizes[s],
                                         .pinned = kinds[k].pinned,
                                         .repeats = kinds[k].repeats};
            name_size(size, sizeof size, sizes[s]);
            snprintf(row->name, sizeof row->name, "%s_%s", kinds[k].name, size);
        }
    return n;
}
