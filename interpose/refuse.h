// SPDX-License-Identifier: Apache-2.0
// What a hand-written call does not do for a certain use: said once for each place, by the call's name, with
// the reason.
#ifndef GN_INTERPOSE_REFUSE_H
#define GN_INTERPOSE_REFUSE_H

#include "interpose/log.h"

// CUDA_ERROR_NOT_SUPPORTED. `why`: a literal.
#define gn_refuse(c, why)                                                                                    \
    ({                                                                                                       \
        gn_log_once(GN_LOG_WARN, "%s is not supported: " why, gn_symbol_names[(c)->symbol]);                 \
        CUDA_ERROR_NOT_SUPPORTED;                                                                            \
    })

#endif
