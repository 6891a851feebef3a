// SPDX-License-Identifier: Apache-2.0
// What the parts of genie-ctl share. Each command gets the words behind its name and returns the exit status.
#ifndef GN_SERVER_CTL_H
#define GN_SERVER_CTL_H

#include <stddef.h>
#include <stdint.h>

int gn_ctl_hints(int argc, char **argv);         // check, keys, explain: the table in server/ctl/ctl_hints.c
int gn_ctl_hints_explain(int argc, char **argv); // server/ctl/ctl_explain.c

int gn_ctl_hints_usage(int status);

// "1.5 MiB"
const char *gn_ctl_bytes(double bytes, char *text, size_t text_bytes);

#endif
