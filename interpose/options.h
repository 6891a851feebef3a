// SPDX-License-Identifier: Apache-2.0
// What the user may set: by genie_set_option, by the environment, by the client's configuration file, in this
// order of precedence.
#ifndef GN_INTERPOSE_OPTIONS_H
#define GN_INTERPOSE_OPTIONS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "interpose/log.h"
#include "remoting/hello.h"

// The optimisations that GENIE_OPT can switch off, by name. Each changes speed only.
#define GN_OPTIMISATIONS(X)                                                                                  \
    X(POST, "post")       /* posted commands are not waited for */                                          \
    X(BATCH, "batch")     /* commands that follow each other soon go out together */                        \
    X(URING, "uring")     /* io_uring instead of plain sockets */                                           \
    X(THREADS, "threads") /* a sender and a receiver thread of the session's own */                         \
    X(SHM, "shm")         /* shared memory with a server on this machine */                                 \
    X(LANES, "lanes")     /* further connections for large payload */                                       \
    X(LZ4, "lz4")         /* large payload goes packed where that pays */                                   \
    X(CONTENT, "content") /* what the server has already is named instead of sent */                        \
    X(CACHE, "cache")     /* occupancy and the attributes of functions are kept */                          \
    X(SPIN, "spin")       /* a thread that waits for its reply looks for it before it sleeps */               \
    X(ALLOC, "alloc")     /* device memory from addresses and memory granted in advance */                   \
    X(MARKS, "marks")     /* queries of events and streams are answered by what the server has told */ \
    X(PROOF, "proof")     /* which device memory kernels may have written is told from their PTX */     \
    X(HINTS, "hints")     /* the sidecar */                                                                   \
    X(SHADOW, "shadow")   /* copies to the host whose bytes stay at the server until they are touched */      \
    X(UNCHANGED, "unchanged") /* sources that were not written since their last upload do not travel */

enum gn_opt_number {
#define X(symbol, name) GN_OPT_NUMBER_##symbol,
    GN_OPTIMISATIONS(X)
#undef X
        GN_OPT_NUMBERS
};

enum gn_opt {
#define X(symbol, name) GN_OPT_##symbol = 1 << GN_OPT_NUMBER_##symbol,
    GN_OPTIMISATIONS(X)
#undef X
        GN_OPT_ALL = (1 << GN_OPT_NUMBERS) - 1,
};

// What the embedded profile leaves off: threads, memory shared with a server on this machine (which is no heap, but no less memory), and
// packing, whose buffers hold a whole piece of payload each; uploads by content, whose books grow with what is uploaded; tracked host memory,
// which takes a thread, a connection and a buffer of 1 MiB.
#define GN_OPT_NOT_EMBEDDED (GN_OPT_THREADS | GN_OPT_SHM | GN_OPT_LANES | GN_OPT_LZ4 | GN_OPT_CONTENT | GN_OPT_SHADOW | GN_OPT_UNCHANGED | GN_OPT_PROOF)

enum {
    GN_ADDRESS_BYTES = 512,       // a host name has 253 bytes at most, the path of a Unix socket 107
    GN_RING_BYTES_MIN = 64 << 10, // one command of the largest size and some small ones
    GN_RING_BYTES = 1 << 20,
    GN_RING_BYTES_MAX = 256 << 20,
    GN_RECEIVE_BYTES = 64 << 10,          // of the buffer that messages are received into
    GN_RECEIVE_BYTES_EMBEDDED = 16 << 10, // the largest small message has 4 KiB
    GN_TIMEOUT_MS_MAX = 3600 * 1000,
    GN_WHY_BYTES = 512,
};

struct gn_options {
    char server[GN_ADDRESS_BYTES];
    char token[GN_TOKEN_BYTES];
    bool local;
    char driver[PATH_MAX];                 // of the local mode; empty: search
    bool embedded;                         // the profile, which gives ring_bytes, receive_bytes and optimisations
                                           // where nothing else is asked for
    unsigned asked_on, asked_off;          // enum gn_opt, by `opt`
    uint64_t asked_ring_bytes;             // by `ring`; 0: not
    unsigned optimisations;                // enum gn_opt, those that are on
    char trace[PATH_MAX], stats[PATH_MAX]; // empty: none. "%p" in them is the process id
    char hints[PATH_MAX];                  // the sidecar, or a folder of them; empty: none
    char explain[PATH_MAX];                // where a report of what its rules met goes; empty: nowhere
    enum gn_log_level log_level;
    char log_path[PATH_MAX]; // empty: stderr
    uint64_t ring_bytes, receive_bytes;
    int connect_timeout_ms;
    unsigned connections; // of a session in all; 0: as the network needs
};

extern struct gn_options gn_options; // constant once gn_options_load has returned 0

static inline bool gn_options_on(enum gn_opt opt) { return gn_options.optimisations & opt; }

// Sets an option by its name: 0, or -EINVAL with a sentence in `why` (GN_WHY_BYTES), which names what would
// have been right.
int gn_options_set(struct gn_options *options, const char *name, const char *value, char *why);

// The same for values that are numbers already.
int gn_options_set_ring(struct gn_options *options, uint64_t bytes, char *why);
int gn_options_set_lanes(struct gn_options *options, uint64_t connections, char *why);
int gn_options_set_timeout(struct gn_options *options, uint64_t ns, char *why);

// The defaults, then the file (path, or NULL for none), then the environment as `get` gives it. 0 or -EINVAL
// with a sentence.
int gn_options_read(struct gn_options *options, const char *path, char *(*get)(const char *name), char *why);

// Fills gn_options for this process, once; later calls give the same answer. 0 or -EINVAL with a sentence.
int gn_options_load(char *why);

bool gn_options_loaded(void); // and good
// Before that: whether genie_set_option or, where it was not called, the environment asks for the local mode.
bool gn_options_early_local(void);

// genie_set_option: remembered until gn_options_load. 0, -EINVAL (with a sentence), -EBUSY when that has
// been, -ENOSPC for too many.
int gn_options_override(const char *name, const char *value, char *why);

// `path` with every "%p" replaced by the process id. 0 or -ENAMETOOLONG.
int gn_options_path(const char *path, char *out, size_t out_bytes);

#endif
