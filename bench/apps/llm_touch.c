// SPDX-License-Identifier: Apache-2.0
// --touch-kv: reads or changes the host's copy of the cache between steps, at random.
#include "bench/apps/llm_touch.h"

#include <string.h>

enum { ROW_FLOATS_MAX = 4096, CHANGED_ROWS_MAX = 8 };

static uint64_t draw(struct llm_touch *touch, uint64_t below) // xorshift64*
{
    touch->state ^= touch->state >> 12;
    touch->state ^= touch->state << 25;
    touch->state ^= touch->state >> 27;
    return (touch->state * 0x2545f4914f6cdd1du >> 11) % below;
}

void llm_touch_begin(struct llm_touch *touch, uint64_t seed)
{
    *touch = (struct llm_touch){.state = seed * 2 + 1, .checksum = 0xcbf29ce484222325u};
}

static void read_floats(struct llm_touch *touch, const float *at, uint64_t count)
{
    uint64_t sum = touch->checksum;
    for (uint64_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, at + i, sizeof bits);
        sum = (sum ^ bits) * 0x100000001b3u; // as FNV-1a, of words
    }
    touch->checksum = sum;
}

// A row that holds a token: other values there change what comes next.
static uint64_t live_row(struct llm_touch *touch, const struct llm_host_state *s)
{
    uint64_t layer_and_sequence = draw(touch, s->rows / s->context);
    return (layer_and_sequence * s->context + draw(touch, s->position)) * s->width;
}

static void change(struct llm_touch *touch, const struct llm_host_state *s)
{
    uint64_t rows = 1 + draw(touch, CHANGED_ROWS_MAX);
    for (uint64_t i = 0; i < rows; i++) {
        uint64_t to = live_row(touch, s), from = live_row(touch, s), first = draw(touch, s->width),
                 count = 1 + draw(touch, s->width - first);
        float *cache = draw(touch, 2) ? s->k : s->v;
        switch (draw(touch, 3)) {
        case 0:
            memmove(cache + to + first, cache + from + first, count * sizeof(float));
            break; // reads and writes
        case 1: memset(cache + to + first, 0, count * sizeof(float)); break;
        default: cache[to + first] = -cache[to + first]; break; // a single value of a page
        }
    }
    touch->changes++;
}

static void read_some(struct llm_touch *touch, const struct llm_host_state *s)
{
    uint64_t all = s->rows * s->width, first = draw(touch, all), most = draw(touch, 4) ? ROW_FLOATS_MAX : all,
             count = 1 + draw(touch, all - first < most ? all - first : most);
    read_floats(touch, (draw(touch, 2) ? s->k : s->v) + first, count);
    if (s->logits)
        read_floats(touch, s->logits + draw(touch, s->logit_count), 1);
    touch->reads++;
}

void llm_touch_step(struct llm_touch *touch, const struct llm_host_state *s)
{
    touch->steps++;
    switch (draw(touch, 4)) {
    case 0: read_some(touch, s); break;
    case 1: change(touch, s); break;
    case 2:
        change(touch, s);
        read_some(touch, s);
        break;
    default: break;
    }
}

void llm_touch_end(struct llm_touch *touch, const struct llm_host_state *s)
{
    read_floats(touch, s->k, s->rows * s->width);
    read_floats(touch, s->v, s->rows * s->width);
}
