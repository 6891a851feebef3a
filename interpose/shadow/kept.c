// SPDX-License-Identifier: Apache-2.0
// Kept copies: naming them and posting what fills and spills them.
#include "interpose/shadow/kept.h"

#include <string.h>

#include "api_wire.h"
#include "interpose/options.h"
#include "interpose/shim.h"

CUresult gn_kept_open(struct gn_call *c, uint64_t size_bytes, struct gn_kept *kept)
{
    struct gn_args_kept_open a = {.size_bytes = size_bytes};
    struct gn_out_kept_open o = {0};
    kept->id = 0;
    CUresult r = gn_handle_new_here(c, GN_KIND_KEPT, 0, &a.kept);
    if (r)
        return r;
    r = gn_ask(c, GN_OP_kept_open, &a, &o);
    if (!o.place) {
        gn_handle_drop(a.kept);
        return r == CUDA_ERROR_OUT_OF_MEMORY ? CUDA_SUCCESS : r; // of handles, at the server: refused as well
    }
    kept->id = a.kept;
    kept->context = gn_context_id(c);
    kept->size_bytes = size_bytes;
    kept->on_device = o.place == 1;
    atomic_store_explicit(&kept->fills, 0, memory_order_relaxed);
    return r;
}

CUresult gn_kept_fill(struct gn_call *c, struct gn_kept *kept, uint64_t stream, uint64_t offset_bytes, uint64_t address, uint64_t size_bytes)
{
    // Before it is posted: who sees the count too early waits a little longer.
    atomic_fetch_add_explicit(&kept->fills, 1, memory_order_release);
    return gn_post(c, GN_OP_kept_fill,
                   &(struct gn_args_kept_fill){
                       .stream = stream, .kept = kept->id, .offset_bytes = offset_bytes, .address = address, .size_bytes = size_bytes});
}

CUresult gn_kept_spill(struct gn_call *c, const struct gn_kept *kept, uint64_t stream, uint64_t offset_bytes, uint64_t address, uint64_t size_bytes)
{
    return gn_post(c, GN_OP_kept_spill,
                   &(struct gn_args_kept_spill){
                       .stream = stream, .kept = kept->id, .offset_bytes = offset_bytes, .address = address, .size_bytes = size_bytes});
}

void gn_kept_close(struct gn_kept *kept)
{
    int32_t code; // nobody is told
    bool remote = atomic_load_explicit(&gn_shim.mode, memory_order_acquire) == GN_MODE_REMOTE;
    if (kept->id && remote && gn_handle_slot((void *)(uintptr_t)kept->id, GN_KIND_KEPT)) {
        gn_session_post(gn_shim.session, kept->context, GN_OP_kept_close, &(struct gn_args_kept_close){.kept = kept->id}, &code);
        gn_handle_drop(kept->id);
    }
    kept->id = 0;
}

bool gn_kept_possible(void)
{
    static const uint8_t none[GN_LANE_KEY_BYTES];
    return gn_options_on(GN_OPT_THREADS) && memcmp(gn_shim.welcome.lane_key, none, sizeof none);
}

int gn_kept_channel(struct gn_fetch *fetch)
{
    const struct gn_welcome *w = &gn_shim.welcome;
    return gn_fetch_open(fetch, gn_options.server, gn_options.connect_timeout_ms, w->worker_id, w->lane_key);
}
