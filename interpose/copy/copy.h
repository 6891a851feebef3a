// SPDX-License-Identifier: Apache-2.0
// One copy, whatever call asked for it: between host and device, in either direction, within either, in one,
// two or three dimensions.
#ifndef GN_INTERPOSE_COPY_H
#define GN_INTERPOSE_COPY_H

#include "interpose/copy/copy_box.h"
#include "interpose/hints/hints.h"
#include "interpose/shim.h"

enum gn_side { // what the program says about an address; the memory maps know better where they know it
    GN_SIDE_HOST,
    GN_SIDE_DEVICE,
    GN_SIDE_ANY,
};

struct gn_copy {
    struct gn_shape shape;
    struct gn_end from, to;
    enum gn_side from_side, to_side;
    bool async; // in `stream`; otherwise in the default stream, and done on return where CUDA says so
    CUstream stream;
};

// The codes that a driver gives at the call: CUDA_ERROR_INVALID_VALUE for a range outside one allocation,
// CUDA_ERROR_INVALID_HANDLE for a bad stream; and, where the copy waits, whatever the server says.
CUresult gn_copy_run(struct gn_call *c, const struct gn_copy *copy);

// One line without any look at what is known of the host's end: to the device (captured when it returns), and to the host, waited for or not.
CUresult gn_copy_send(struct gn_call *c, uint64_t stream, uint64_t address, const void *data, uint64_t size_bytes, struct gn_meaning m);
CUresult gn_copy_receive(struct gn_call *c, uint64_t stream, uint64_t address, uint64_t to, uint64_t size_bytes, bool waits);

// Between contexts a synchronous copy is in order with everything that is queued in both of them: `begin` before it and `end` after it. NULL
// for an end that is the host's.
CUresult gn_copy_peer_begin(struct gn_call *c, CUcontext from, CUcontext to);
CUresult gn_copy_peer_end(struct gn_call *c, CUresult copied);

#endif
