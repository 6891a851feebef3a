// SPDX-License-Identifier: Apache-2.0
// The client's configuration file.
#ifndef GN_INTERPOSE_OPTIONS_FILE_H
#define GN_INTERPOSE_OPTIONS_FILE_H

#include "core/config.h"
#include "interpose/options.h"

extern const struct gn_config_schema gn_options_schema; // its keys, in core/config.h's terms

// Reads the TOML file over what *options holds. 0, or -EINVAL with a sentence that names file, line and
// column.
int gn_options_file(struct gn_options *options, const char *path, char *why);

#endif
