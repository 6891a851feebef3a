// SPDX-License-Identifier: Apache-2.0
// What the parts of the model have in common. A function that returns bool and takes the model to be changed says false when the outcome of the
// operation is not determined; m->conflict is then the lane that it would have to be ordered behind, if there is one.
#ifndef GN_DIFFERENTIAL_MODEL_PARTS_H
#define GN_DIFFERENTIAL_MODEL_PARTS_H

#include "tests/differential/model.h"

enum { FREE_OWNER = 0xff };

struct touch {
    struct memory *at;
    bool write, is_host;
};

enum verdict { FAILS, WORKS, RACES, MAYBE };

// --- clocks, contexts and lanes (model_clocks.c)
void model_merge(struct clock *c, const struct clock *more);
bool model_covers(const struct clock *c, const struct clock *of);
bool model_refuse(struct model *m, uint8_t lane);
bool model_take(struct model *m, uint8_t *owner, const struct op *op);
void model_enter_section(struct model *m, const struct op *op);
bool model_is_usable(const struct model *m, uint8_t context);
uint8_t model_lane_context(const struct model *m, uint8_t lane);
bool model_lane_blocks(const struct model *m, uint8_t lane);
struct clock model_before(const struct model *m, const struct op *op, uint8_t lane);
bool model_enqueue(struct model *m, const struct op *op, uint8_t lane);
void model_host_sees(struct model *m, const struct op *op, uint8_t lane);
bool model_context_is_done(struct model *m, const struct op *op, uint8_t context);

// --- the gate (model_gate.c)
bool model_is_gated(const struct model *m, const struct clock *k);
// What new work of the lane, or a wait for it, may have to wait for: as model_before, and by what other lanes only wait for.
struct clock model_may_meet(const struct model *m, const struct op *op, uint8_t lane);
bool model_lane_is_gated(const struct model *m, uint8_t lane);
bool model_passes_gate(const struct model *m, const struct op *op);
bool model_gate_close(struct model *m, struct op *op);
bool model_gate_open(struct model *m);

// --- memory (model_memory.c)
enum verdict model_address(struct model *m, const struct op *op, unsigned i, uint64_t bytes, struct touch *t);
bool model_transfer(struct model *m, struct op *op);
bool model_host_access(struct model *m, struct op *op, bool write);
bool model_launch(struct model *m, struct op *op);
bool model_host_function(struct model *m, struct op *op);

// --- what lives and dies (model_life.c)
void model_bear(struct model *m, struct memory *at, uint8_t context, uint64_t size_bytes);
void model_module_gone(struct model *m, unsigned module);
bool model_alone(struct model *m, const struct op *op);
bool model_memory_ops(struct model *m, struct op *op);
bool model_context_ops(struct model *m, struct op *op);

// --- streams and events (model_streams.c)
bool model_stream_ops(struct model *m, struct op *op);
bool model_event_ops(struct model *m, struct op *op);

// --- modules and questions (model_modules.c)
bool model_module_ops(struct model *m, struct op *op);
bool model_ask_ops(struct model *m, struct op *op);

#endif
