// SPDX-License-Identifier: Apache-2.0
// One launch while it runs: what its workers share.
#ifndef GN_TESTS_MOCK_PTX_RUN_H
#define GN_TESTS_MOCK_PTX_RUN_H

#include <pthread.h>
#include <stdatomic.h>

#include "ptx_warp.h"

struct ptx_run {
    const struct ptx_launch *launch;
    const struct ptx_function *func;
    uint8_t *params; // a copy, aligned
    uint64_t block_total;
    _Atomic uint64_t next_block;
    _Atomic bool stop;    // a fault, or the caller's stop: every worker ends at its next slice
    pthread_mutex_t lock; // guards `fault` and `faulted`
    bool faulted;
    struct ptx_fault fault;
    int error;           // -ENOMEM of a worker; under the lock
    uint32_t warp_count; // of a block
    uint32_t shared_bytes;
    uint64_t grid_id;
    uint64_t start_ns;
    _Alignas(64) uint8_t workspace[256]; // what %envreg1/2 point to: the grid barrier of cooperative launches
    _Atomic uint64_t executed;
};

uint64_t ptx_now_ns(void);
// --- ptx_heap.c --- device malloc
uint64_t ptx_heap_alloc(uint64_t size_bytes);
bool ptx_heap_free(uint64_t address);
bool ptx_heap_find(uint64_t address, uint64_t *start, uint64_t *end);
// --- ptx_printf.c ---
const struct ptx_insn *ptx_vprintf(struct ptx_warp *w, const struct ptx_insn *in, const uint64_t *format,
                                   const uint64_t *args, uint32_t *result);
void ptx_print_assert(struct ptx_warp *w, const struct ptx_insn *in, uint32_t lane, uint64_t message,
                      uint64_t file, uint32_t line, uint64_t function);
// --- ptx_exec.c ---
void ptx_thread_of(const struct ptx_warp *w, uint32_t lane, uint32_t thread[3]);
uint64_t ptx_executed(void); // warp instructions of all launches so far, for benchmarks

#endif
