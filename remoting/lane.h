// SPDX-License-Identifier: Apache-2.0
// Lanes: further connections of a session that carry large payload, where one stream does not fill the network.
//
// Commands stay on the first connection, in their order; a command with payload says on which lane that comes. A lane is a queue: its pieces lie
// on it in the order of their commands. The other way it carries data of copies that a thread of the client waits for. The client opens lanes beside the session, so they delay nothing, and fills whichever has least to send.
#ifndef GN_REMOTING_LANE_H
#define GN_REMOTING_LANE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    GN_LANES_MAX = 7,               // beside the first connection: more do not help, and each is a thread at the server
    GN_LANE_KEY_BYTES = 16,
    GN_LANE_BYTES_MIN = 64 << 10,   // smaller payload stays with its command
    GN_LANE_HELLO_BYTES = 40,       // with its prefix
};

#define GN_LANE_MAGIC  0x0031304e4c4e4547ull // in memory: "GENLN01", NUL
#define GN_FETCH_MAGIC 0x00313054464e4547ull // in memory: "GENFT01", NUL

enum gn_lane_purpose { // what a further connection of a session is for: its magic says so
    GN_LANE_PAYLOAD,
    GN_LANE_FETCH, // remoting/fetch.h
    GN_LANE_PURPOSES,
};

struct gn_lane_hello { // u64 magic, u64 bytes that follow, u32 session, u32 lane, the key
    enum gn_lane_purpose purpose;
    uint32_t session, lane; // lane: from 1; 0 for a fetch channel
    uint8_t key[GN_LANE_KEY_BYTES];
};
void gn_lane_hello_encode(uint8_t to[GN_LANE_HELLO_BYTES], const struct gn_lane_hello *hello);
// Whether a prefix is that of a lane or a fetch channel; then what follows it is as long as it must be.
bool gn_lane_prefix(const void *prefix);
void gn_lane_hello_decode(const uint8_t from[GN_LANE_HELLO_BYTES], struct gn_lane_hello *hello);
bool gn_lane_key_right(const uint8_t *key, const uint8_t *given); // in the same time whatever differs

struct gn_lane_piece { // in front of each piece of payload; its bytes follow, and zeros up to 8
    uint32_t size_bytes;
    uint32_t number; // of the lane's pieces, from 0
};

// Whether it may stand in front of the lane's piece `number` at a server with such chunks.
bool gn_lane_piece_right(const struct gn_lane_piece *head, uint32_t number, uint64_t chunk_bytes);

struct gn_lane_data { // the other way: in front of each piece of data of a copy to the host; its bytes follow, and zeros up to 8
    uint64_t transfer, offset;
    uint32_t size_bytes;
    uint32_t number; // of the lane's pieces, from 0
};
static_assert(sizeof(struct gn_lane_data) == 24, "header of data on a lane");
bool gn_lane_data_right(const struct gn_lane_data *head, uint32_t number, uint64_t chunk_bytes); // whether its copy wants it is another question

int gn_lane_unsent(int fd); // bytes that wait in the socket
int gn_lane_read(int fd, void *to, size_t size_bytes); // all of it; 0, -errno, or -ECONNRESET at the end
int gn_lane_write(int fd, const void *head, size_t head_bytes, const void *data, size_t size_bytes); // with zeros up to 8; 0 or -errno

// --- the client's lanes
struct gn_lanes;

// Begins to open `count` of them, one after the other. Each has a thread, which opens it, starts the next one's, and calls `receive`. 0 or -errno.
int gn_lanes_open(struct gn_lanes **lanes, const char *address, int timeout_ms, uint32_t session, const uint8_t *key, unsigned count,
                  void (*receive)(void *ctx, int fd), void *ctx);
// The lane that has least to send, as its number, or 0 when none is open yet; it is the caller's until given back.
unsigned gn_lanes_take(struct gn_lanes *lanes);
int gn_lanes_send(struct gn_lanes *lanes, unsigned lane, const void *data, size_t size_bytes); // 0 or -errno
void gn_lanes_give(struct gn_lanes *lanes, unsigned lane);
unsigned gn_lanes_ready(const struct gn_lanes *lanes);
void gn_lanes_shut(struct gn_lanes *lanes);    // every send fails from now on; from any thread
void gn_lanes_close(struct gn_lanes *lanes);   // frees it; nobody may be sending
void gn_lanes_abandon(struct gn_lanes *lanes); // in a forked child: closes the descriptors

#endif
