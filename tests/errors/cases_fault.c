// SPDX-License-Identifier: Apache-2.0
// Error cases: the driver itself fails a call that is posted through Genie. run.sh tells the mock which call of which name is to fail with
// which code (the counts are those of the set-up, fixture.c, and one more).
#include "tests/errors/table.h"

void cases_fault(struct table *t)
{
    struct fixture *f = &t->f;
    section(t, "The driver fails a call", A_FAULT, ALONE);
    CASE("a launch", CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, WHENEVER, DOCUMENTED, "cuLaunchKernel: returns", launch(f, f->nothing, f->stream));
}
