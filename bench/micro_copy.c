// SPDX-License-Identifier: Apache-2.0
// Copies between host and device, by size, pageable and pinned.
//
// To the device: the time includes the synchronise that says that the bytes are there. Small ones come in
// bursts with one synchronise, as programs make them.
#include <stdio.h>
#include <string.h>

#include "bench/micro.h"

enum { SMALL_BURST = 20, SAMPLES = 5 };
static const uint64_t small_bytes = 1 << 20; // from here on a row is a bandwidth
static const double turn_us = 20000;

// The device's bytes are compared once a row and process.
static void check_bytes(struct gn_micro *m, uint64_t bytes, bool pinned, struct gn_micro_result *result)
{
    const uint8_t *want = m->pageable, *got = m->pinned;
    if (pinned) {
        want = m->pinned;
        got = m->pageable;
    }
    if (!*result->failed && memcmp(want, got, bytes))
        snprintf(result->failed, sizeof result->failed,
                 "the bytes that came back are not those that were sent");
}

static double to_unit(double us, uint64_t bytes)
{
    return bytes < small_bytes ? us : (double)bytes / us / 1e3;
}

static void run_htod(struct gn_micro *m, const struct gn_micro_row *row, struct gn_micro_result *result)
{
    uint64_t bytes = row->number;
    const uint8_t *from = row->pinned ? m->pinned : m->pageable;
    int burst = bytes < small_bytes ? SMALL_BURST : 1;
    double begin = gn_micro_now_us();
    for (int i = 0; i < SAMPLES && (!i || gn_micro_now_us() - begin < turn_us); i++) {
        double start = gn_micro_now_us();
        for (int k = 0; k < burst; k++)
            if (row->pinned)
                TRY(cuMemcpyHtoDAsync(m->memory, from, bytes, m->stream));
            else
                TRY(cuMemcpyHtoD(m->memory, from, bytes));
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
    TRY(cuMemcpyHtoD(m->memory, other, bytes));
    TRY(cuCtxSynchronize());
    memset(to, 0, bytes);
    double begin = gn_micro_now_us();
    for (int i = 0; i < SAMPLES && (!i || gn_micro_now_us() - begin < turn_us); i++) {
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
    check_bytes(m, bytes, row->pinned, result);
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
        bool pinned;
    } kinds[] = {
        {"htod_pageable", "copy to the device, pageable", run_htod, false},
        {"htod_pinned", "copy to the device, pinned and asynchronous", run_htod, true},
        {"dtoh_pageable", "copy to the host, pageable", run_dtoh, false},
        {"dtoh_pinned", "copy to the host, pinned and asynchronous", run_dtoh, true},
    };
    unsigned n = 0;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes && sizes[s] <= max_bytes && n < room; s++) {
            char size[16];
            struct gn_micro_row *row = &rows[n++];
            *row = (struct gn_micro_row){.unit = sizes[s] < small_bytes ? "us" : "GB/s",
                                         .about = kinds[k].about,
                                         .run = kinds[k].run,
                                         .number = sizes[s],
                                         .pinned = kinds[k].pinned};
            name_size(size, sizeof size, sizes[s]);
            snprintf(row->name, sizeof row->name, "%s_%s", kinds[k].name, size);
        }
    return n;
}
