/* SPDX-License-Identifier: Apache-2.0
 * Genie's own interface, beside the CUDA driver API that libgenie_shim.so and libgenie.a provide. A program
 * needs none of it: everything can be set in the environment. It serves programs that link libgenie.a and
 * have no environment to speak of, and programs that want to see figures while they run. All functions may be
 * called from any thread. */
#ifndef GENIE_H
#define GENIE_H

#ifdef __cplusplus
extern "C" {
#endif

#define GENIE_VERSION "0.1.0"

/* The version of the library that is loaded, as GENIE_VERSION. Never NULL; lives as long as the program. */
const char *genie_version(void);

/* Sets an option, before cuInit (the option mode before anything of CUDA); it overrides the environment and
 * the configuration file. `name` is one of server, profile, token, mode, driver, opt, trace, stats, log,
 * ring, timeout: GENIE_SERVER and so on without the prefix, with the same values (configs/client.toml explains them
 * all). Both texts are copied. Returns 0; -EINVAL: no such option, or not a value of it (NULL included);
 * -EBUSY: the options are in use, it is too late; -ENOSPC: set too often. The reason is logged. */
int genie_set_option(const char *name, const char *value);

/* genie_set_option("profile", "embedded") makes the client small: less than 256 KiB of heap (a ring of 64 KiB, a
 * receive buffer of 16 KiB), and no thread of its own. All calls give the same results. What differs is when
 * things happen:
 * - Posted commands (launches, memsets, asynchronous copies) are sent by the next call that waits for the server,
 *   or when half of the ring is full. To start what was posted without waiting for it, ask: cuStreamQuery or
 *   cuEventQuery.
 * - Host functions and callbacks run inside calls that wait, in the thread that waits. So a host function must not
 *   wait for something that this thread does after its call; and it runs only once some call waits
 *   (cuStreamSynchronize, a copy, cuStreamQuery in a loop).
 * - What kernels print, asynchronous copies to the host and the word that the server is gone arrive in such calls,
 *   too.
 * - Pinned memory that the server fetches later is sent from where it lies; if it has a pitch, a copy of up to
 *   512 KiB is made. */

/* Writes what has been counted so far to a file, as JSON, over what it held: calls by name and class, round
 * trips, commands, bytes, kernels.
 * "%p" in `path` stands for the process id. `shim_ns` counts only while the option stats is set, since a
 * clock costs more than most calls. Returns 0 or -errno of the file. */
int genie_stats_write(const char *path);

#ifdef __cplusplus
}
#endif
#endif
