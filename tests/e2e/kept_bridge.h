// SPDX-License-Identifier: Apache-2.0
// The shim's kept copies for a program of the tests, without the shim's own headers: they and cuda.h define the same types.
#ifndef GN_TESTS_E2E_KEPT_BRIDGE_H
#define GN_TESTS_E2E_KEPT_BRIDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bridge_kept;
struct bridge_kept *bridge_open(uint64_t size_bytes, int *code); // NULL: refused
int bridge_fill(struct bridge_kept *k, const void *stream, uint64_t offset, uint64_t address, uint64_t size_bytes);
int bridge_spill(struct bridge_kept *k, const void *stream, uint64_t offset, uint64_t address, uint64_t size_bytes);
bool bridge_on_device(const struct bridge_kept *k);
uint64_t bridge_id(const struct bridge_kept *k);
uint32_t bridge_fills(const struct bridge_kept *k);
void bridge_close(struct bridge_kept *k);

bool bridge_possible(void);
int bridge_channel(void); // opens the program's one channel
int bridge_fetch(const struct bridge_kept *k, uint64_t offset, void *to, size_t bytes);
int bridge_fetch_raw(uint64_t kept, uint32_t fills, uint64_t offset, void *to, size_t bytes);
int bridge_ask(const struct bridge_kept *k, uint64_t offset, size_t bytes);
int bridge_take(void *to);
int bridge_channel_fd(void);
void bridge_shut(void);
void bridge_channel_close(void);

#endif
