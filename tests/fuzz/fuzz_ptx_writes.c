// SPDX-License-Identifier: Apache-2.0
// Fuzzes the analysis of what kernels write. With little room for names it may say "unknown" more often, but never less than with much.
#include <stdlib.h>
#include <string.h>

#include "core/ptx/ptx_writes.h"

enum { CELLS = 1 << 10, CELLS_FEW = 1 << 5, KERNELS_MAX = 64 };

static struct gn_ptx_walk walk;
static struct gn_ptx_cell cells[CELLS];
static struct gn_ptx_writes much[KERNELS_MAX], few[KERNELS_MAX];

static unsigned analyse(const char *text, size_t size_bytes, uint32_t cell_count, struct gn_ptx_writes *to)
{
    unsigned count = 0;
    gn_ptx_writes_begin(&walk, text, size_bytes, cells, cell_count);
    while (count < KERNELS_MAX && gn_ptx_writes_next(&walk, &to[count]) == 1) {
        const struct gn_ptx_writes *w = &to[count++];
        if (w->word_count > GN_PTX_WORDS_MAX || w->name < text || w->name + w->name_bytes > text + size_bytes)
            abort();
        for (uint32_t i = 0; i < w->word_count; i++)
            if (w->word_bytes[i] > GN_IMAGE_PARAM_BYTES_MAX * 2)
                abort();
    }
    return count;
}

static bool has(const struct gn_ptx_writes *w, uint16_t word)
{
    for (uint32_t i = 0; i < w->word_count; i++)
        if (w->word_bytes[i] == word)
            return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size ? size : 1); // exactly so long: reading beyond it is seen
    if (size)
        memcpy(text, data, size);
    unsigned count = analyse(text, size, CELLS, much);
    if (count != analyse(text, size, CELLS_FEW, few))
        abort();
    for (unsigned i = 0; i < count; i++)
        for (uint32_t j = 0; !few[i].unknown && j < much[i].word_count; j++)
            if (!has(&few[i], much[i].word_bytes[j]))
                abort();
    for (unsigned i = 0; i < count; i++)
        if (much[i].unknown && !few[i].unknown)
            abort();
    free(text);
    return 0;
}
