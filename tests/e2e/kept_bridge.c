// SPDX-License-Identifier: Apache-2.0
// The shim's kept copies behind plain functions.
#include "tests/e2e/kept_bridge.h"

#include <stdlib.h>

#include "interpose/shadow/kept.h"

struct bridge_kept {
    struct gn_kept kept;
};

static struct gn_fetch channel;

// As an entry point does: these are calls of the program's.
static CUresult enter(struct gn_call *c) { return gn_enter(c, GN_OP_cuMemcpyAsync, GN_SYMBOL_cuMemcpyAsync, CU_STREAM_LEGACY); }

struct bridge_kept *bridge_open(uint64_t size_bytes, int *code)
{
    struct gn_call c;
    struct bridge_kept *k = calloc(1, sizeof *k);
    CUresult r = enter(&c);
    r = r ? r : gn_kept_open(&c, size_bytes, &k->kept);
    *code = (int)gn_leave(&c, r);
    if (k->kept.id)
        return k;
    free(k);
    return NULL;
}

int bridge_fill(struct bridge_kept *k, const void *stream, uint64_t offset, uint64_t address, uint64_t size_bytes)
{
    struct gn_call c;
    uint64_t id;
    CUresult r = enter(&c);
    r = r ? r : gn_id_stream(&c, (CUstream)(uintptr_t)stream, &id);
    r = r ? r : gn_kept_fill(&c, &k->kept, id, offset, address, size_bytes);
    return (int)gn_leave(&c, r);
}

int bridge_spill(struct bridge_kept *k, const void *stream, uint64_t offset, uint64_t address, uint64_t size_bytes)
{
    struct gn_call c;
    uint64_t id;
    CUresult r = enter(&c);
    r = r ? r : gn_id_stream(&c, (CUstream)(uintptr_t)stream, &id);
    r = r ? r : gn_kept_spill(&c, &k->kept, id, offset, address, size_bytes);
    return (int)gn_leave(&c, r);
}

bool bridge_on_device(const struct bridge_kept *k) { return k->kept.on_device; }
uint64_t bridge_id(const struct bridge_kept *k) { return k->kept.id; }
uint32_t bridge_fills(const struct bridge_kept *k) { return atomic_load(&k->kept.fills); }

void bridge_close(struct bridge_kept *k)
{
    gn_kept_close(&k->kept);
    free(k);
}

bool bridge_possible(void) { return gn_kept_possible(); }
int bridge_channel(void) { return gn_kept_channel(&channel); }

int bridge_fetch(const struct bridge_kept *k, uint64_t offset, void *to, size_t bytes)
{
    return gn_fetch(&channel, k->kept.id, atomic_load(&k->kept.fills), offset, to, bytes);
}

int bridge_fetch_raw(uint64_t kept, uint32_t fills, uint64_t offset, void *to, size_t bytes) { return gn_fetch(&channel, kept, fills, offset, to, bytes); }

int bridge_ask(const struct bridge_kept *k, uint64_t offset, size_t bytes)
{
    return gn_fetch_ask(&channel, k->kept.id, atomic_load(&k->kept.fills), offset, bytes);
}

int bridge_take(void *to) { return gn_fetch_take(&channel, to); }
int bridge_channel_fd(void) { return atomic_load(&channel.fd); }
void bridge_shut(void) { gn_fetch_shut(&channel); }
void bridge_channel_close(void) { gn_fetch_close(&channel); }
