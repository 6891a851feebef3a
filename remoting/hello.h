// SPDX-License-Identifier: Apache-2.0
// The first exchange of a connection: who speaks, in which version, what the server has. One request, one answer, before any command.
#ifndef GN_REMOTING_HELLO_H
#define GN_REMOTING_HELLO_H

#include <stdint.h>

#include "core/cursor.h"
#include "remoting/cuda_types.h"
#include "remoting/lane.h"

enum {
    GN_HELLO_BYTES_MAX = 4 << 10,         // a request: names and a token
    GN_WELCOME_BYTES_MAX = 256 << 10,     // an answer: a snapshot of every device
    GN_DEVICES_MAX = 64,
    GN_DEVICE_ATTRIBUTES_MAX = 192,       // CUDA 13.0 has numbers up to 148
    GN_NAME_BYTES = 256,
    GN_TOKEN_BYTES = 128,
};

enum gn_wants { // what a client can do beyond the protocol, and the server may grant; unknown bits are ignored
    GN_WANTS_SHM = 1, // to go on through shared memory (remoting/link/link_shm.h)
    GN_WANTS_PACKED = 2, // GN_MESSAGE_PACKED, where that pays
    GN_WANTS_LANES = 4,  // to open further connections for large payload (remoting/lane.h)
    GN_WANTS_LANES_BACK = 8, // with these: data of copies to the host may come over them
    GN_WANTS_FETCH = 16, // to open a connection that fetches kept bytes (remoting/fetch.h)
};

struct gn_hello {
    uint32_t version_low, version_high; // protocol versions that the client speaks
    uint64_t wire_digest;               // gn_wire_digest
    uint64_t ring_bytes;                // most command bytes that the client has unacknowledged
    uint32_t process_id;
    uint32_t wants;                     // enum gn_wants
    char program[GN_NAME_BYTES];        // base name of the program, for the server's log and status
    char token[GN_TOKEN_BYTES];         // what the server's `token` asks for, or empty
};

struct gn_device_snapshot {
    char name[GN_NAME_BYTES];
    CUuuid uuid;
    char luid[8];
    uint32_t luid_mask, has_luid;
    char pci_bus_id[32];
    uint64_t memory_bytes;
    int32_t attributes[GN_DEVICE_ATTRIBUTES_MAX]; // by CUdevice_attribute; filtered by what Genie carries
    uint8_t attribute_known[GN_DEVICE_ATTRIBUTES_MAX];
};

struct gn_welcome {
    int32_t status;          // 0, or a CUresult: refused, with the reason in text
    uint32_t version;        // the protocol version chosen
    uint32_t driver_version; // as cuDriverGetVersion: of the server's driver, at most Genie's own 13000
    uint32_t worker_id;      // the session's number at the server
    uint64_t window_bytes;   // payload in large slots that may be under way; a multiple of chunk_bytes
    uint64_t chunk_bytes;    // payload of one frame, the size of a large slot
    uint64_t shm_bytes;      // not 0: the descriptor of shared memory with two rings of this size is beside the first byte; the client answers
    uint64_t lanes;          // lanes that the client may open, 0 to GN_LANES_MAX, showing the key
    uint8_t lane_key[GN_LANE_KEY_BYTES]; // for lanes and for the fetch channel; zeros: neither may be opened
    char text[GN_NAME_BYTES];
    uint32_t device_count;
    struct gn_device_snapshot *devices; // GN_DEVICES_MAX of the caller's
};

// On the wire: u64 magic, u64 bytes that follow (a multiple of 8), then the fields. `size_bytes` of the result, or -EMSGSIZE.
int gn_hello_encode(void *buffer, size_t buffer_bytes, const struct gn_hello *hello);
int gn_welcome_encode(void *buffer, size_t buffer_bytes, const struct gn_welcome *welcome);

enum { GN_PREFIX_BYTES = 16 }; // magic and length, read first

// What a client answers, as a u64, to a welcome with shm_bytes, and to no other: before anything else it sends.
enum gn_shm_answer { GN_SHM_DECLINED, GN_SHM_TAKEN };

// The bytes that follow a prefix, or -EPROTO (not Genie) or -EMSGSIZE (over `most_bytes`).
int64_t gn_prefix_decode(const void *prefix, size_t most_bytes);

// Decode what followed the prefix. 0 or -EBADMSG.
int gn_hello_decode(const void *body, size_t body_bytes, struct gn_hello *hello);
int gn_welcome_decode(const void *body, size_t body_bytes, struct gn_welcome *welcome);

#endif
