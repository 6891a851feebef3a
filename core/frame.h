// SPDX-License-Identifier: Apache-2.0
// The frames of both directions, byte by byte. remoting/WIRE.md is the prose, tests/golden the samples.
//
// Little-endian. A frame begins at a multiple of 8 bytes of its stream and its size is one; payload after a frame is padded to 8 as well.
// The protocol is for little-endian hosts only: the structures are sent as they lie in memory.
#ifndef GN_CORE_FRAME_H
#define GN_CORE_FRAME_H

#include <assert.h>
#include <stdint.h>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "frames are sent as they lie in memory");

#define GN_WIRE_MAGIC   0x00313045494e4547ull // in memory: "GENIE01", NUL; a connection that begins otherwise is not Genie
#define GN_WIRE_VERSION 3u

enum {
    GN_COMMAND_BYTES_MAX = 48 << 10, // a command without payload: 32,764 bytes of kernel parameters, attributes and names fit
    GN_PAYLOAD_BYTES_MAX = 1 << 20,  // payload of one frame; larger copies are several frames
    GN_SMALL_PAYLOAD_BYTES = 4096,   // payload up to here lies in the client's ring and takes a small slot of the server's staging
    GN_SMALL_SLOTS = 1024,           // small payloads under way at most
    GN_MARKS_MAX = 1024,             // marks out at once: events that a program has recorded and may ask for
    GN_REPLY_BYTES_MAX = 16 << 20,   // body of a reply: lists of kernel names of large libraries
};

enum gn_command_flags {
    GN_COMMAND_PAYLOAD = 1, // the first u64 of the body is the payload's length; the payload follows the frame
    GN_COMMAND_CONTROL = 2, // handled at once, out of order; has no sequence number and is not counted in positions
    GN_COMMAND_CONFIRM = 4, // a posted command that wants a reply all the same (the optimisation `post` is off)
    GN_COMMAND_PACKED = 8,  // with PAYLOAD: it is packed (remoting/session/pack.h), and takes a large slot whatever its size
    GN_COMMAND_LANE_SHIFT = 12, // with PAYLOAD: the four bits from here are the lane that it comes on (remoting/lane.h); 0: behind the frame
};

// client -> server. Commands are numbered from 1 in the order sent; the number is not on the wire. Op 0 is padding: a frame without a number.
struct gn_command {
    uint32_t size_bytes; // of this header and the body, a multiple of 8
    uint16_t op;         // enum gn_op, or enum gn_control with GN_COMMAND_CONTROL
    uint16_t flags;
};
static_assert(sizeof(struct gn_command) == 8, "command header");

enum gn_control { // client -> server
    GN_CONTROL_HOST_DONE = 1, // body: u64 token; the host function has returned
    GN_CONTROL_PULLED = 2,    // body: u64 payload length, u64 transfer, u64 offset; payload: the bytes asked for
    GN_CONTROL_STARVED = 3,   // no body: the client waits for room; acknowledge whatever is taken or freed, as soon as it is
};

enum gn_message_kind { // server -> client
    GN_MESSAGE_REPLY = 1, // id: sequence number of the command; body: its results
    GN_MESSAGE_DATA,      // id: transfer, value: offset; body: bytes of a copy to the host
    GN_MESSAGE_DONE,      // id: transfer; a posted copy to the host is complete, or failed with code
    GN_MESSAGE_HOST,      // id: token; run the host function
    GN_MESSAGE_PULL,      // id: transfer, value: offset; body: u64 length; send these bytes of the host's buffer
    GN_MESSAGE_PRINT,     // body: what kernels printed
    GN_MESSAGE_ACK,       // nothing but the counters
    GN_MESSAGE_GOODBYE,   // code and body (text): the session is over, and why
    GN_MESSAGE_PACKED,    // as GN_MESSAGE_DATA, the body packed (remoting/session/pack.h)
    GN_MESSAGE_CREDIT,    // id: device, value: bytes; so much more device memory may be mapped without asking
    GN_MESSAGE_MARK,      // body: names of marks, u64 each, that have passed; with a code: that are to be asked for
    GN_MESSAGE_KINDS,
};

// In the value of a reply: whatever marked thing had passed before it has been told of.
#define GN_REPLY_SWEPT 1u

struct gn_message {
    uint32_t size_bytes; // of the body after this header, not padded; the stream is, to 8
    uint16_t kind;
    uint16_t latched_op; // the command that `latched` is about
    uint64_t id, value;
    int32_t code;         // CUresult of this message
    int32_t latched;      // CUresult of the first posted command that failed since the last message that told of one; 0 = none
    uint64_t acked_bytes; // command bytes (small payload included) taken so far: the client may use their room again
    uint32_t freed_small; // staging slots that are free again, counted from the session's start, modulo 2^32
    uint32_t freed_large;
};
static_assert(sizeof(struct gn_message) == 48, "message header");

#endif
