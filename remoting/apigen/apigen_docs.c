// SPDX-License-Identifier: Apache-2.0
// What apigen writes for people and for checks: docs/COVERAGE.md and the comparison of every signature with cuda.h.
#include "remoting/apigen/apigen.h"

#include <string.h>

static int count_class(enum class class)
{
    int n = 0;
    for (int i = 0; i < entry_count; i++)
        n += entries[i].is_call && entries[i].class == class ? 1 + !!entries[i].variant : 0;
    return n;
}

void write_coverage(FILE *f)
{
    static const char *const meaning[CLASSES] = {
        "answered in the client, nothing is sent",     "one round trip ever, then remembered",
        "sent without waiting for a reply",            "one round trip",
        "an older name of another symbol",             "returns `CUDA_ERROR_NOT_SUPPORTED`, logged once by name",
    };
    int symbols = 0;
    for (int c = 0; c < CLASSES; c++)
        symbols += count_class((enum class)c);
    fprintf(f, "# Coverage of the CUDA driver API\n\nWritten from `remoting/cuda.api`; do not edit. %d symbols of CUDA 13.0, `_ptds` and `_ptsz` variants included.\n\n"
               "| class | symbols | meaning |\n|---|---:|---|\n", symbols);
    for (int c = 0; c < CLASSES; c++)
        fprintf(f, "| %s | %d | %s |\n", class_names[c], count_class((enum class)c), meaning[c]);
    fprintf(f, "\n| symbol | since | class | note |\n|---|---|---|---|\n");
    for (int i = 0; i < entry_count; i++) {
        const struct entry *e = &entries[i];
        if (!e->is_call)
            continue;
        fprintf(f, "| `%s`%s%s%s | %d.%d | %s | %s%s |\n", e->name, e->variant ? ", `_" : "", e->variant ? e->variant : "", e->variant ? "`" : "",
                e->since / 1000, e->since % 1000 / 10, class_names[e->class], e->of ? "is " : "", e->why ? e->why : e->of ? e->of : "");
    }
}

void write_signatures(FILE *f)
{
    fprintf(f, "#define __CUDA_API_VERSION_INTERNAL\n#include <cuda.h>\n#include <cudaProfiler.h>\n\n");
    for (int i = 0; i < entry_count; i++)
        for (int v = 0; v < 1 + !!entries[i].variant && entries[i].is_call; v++) {
            const struct entry *e = &entries[i];
            fprintf(f, "_Static_assert(__builtin_types_compatible_p(__typeof__(&%s%s%s), CUresult (*)(", e->name, v ? "_" : "", v ? e->variant : "");
            for (int k = 0; k < e->arg_count; k++)
                fprintf(f, "%s%s", k ? ", " : "", e->args[k].type);
            fprintf(f, "%s)), \"%s%s%s differs from cuda.h\");\n", e->arg_count ? "" : "void", e->name, v ? "_" : "", v ? e->variant : "");
        }
}
