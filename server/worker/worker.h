// SPDX-License-Identifier: Apache-2.0
// A worker: the process that serves one session. It reads commands in their order, gives them to the driver and never blocks there for the
// client's sake: what waits, waits elsewhere (server/worker/wait.h), what may block in the driver runs while another thread goes on reading.
#ifndef GN_SERVER_WORKER_H
#define GN_SERVER_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "api_ids.h"
#include "core/handle.h"
#include "server/driver.h"
#include "server/status.h"

struct gn_limits { // of one session, from server.toml
    uint64_t memory_bytes;  // device memory; 0: the device's
    uint64_t image_bytes;   // of module images being uploaded
    uint64_t window_bytes;  // payload under way
    uint32_t chunk_bytes;   // payload of one frame
    uint32_t handles;       // live handles
    uint32_t spin_us;       // how long a worker looks for commands before it sleeps
    uint32_t kept_percent;  // of a device's memory, for bytes kept for the client (server/kept/kept.h)
    uint64_t kept_host_bytes; // all that is kept, wherever it is; 0: nothing is
    bool kept_content;        // content that is uploaded again and again stays on the device (server/kept/resident.h)
};

struct gn_server_context { // the object of a handle of kind context
    uint64_t id;
    CUcontext context;
    CUdevice device;
    bool primary;
    uint64_t settled_at; // the worker's `work` when all of it was known to be done
    CUstream left;     // waits for what destroyed streams had still to do; NULL: nothing yet
    CUevent left_event;
    uint32_t retained; // primary: by the client; at the driver it is retained once as long as this object lives
};

struct gn_worker {
    struct gn_driver driver;
    struct gn_limits limits;
    struct gn_status *status;       // shared with the front door
    struct gn_handle_table handles; // ids of the client -> objects of the driver; object NULL: its creation failed
    struct gn_server_context *scope; // the context of the commands being run, or NULL
    int near_waits;                 // looked at for every command: server/worker/wait.h,
    _Atomic int busy_gates;         // server/worker/gate.h
    _Atomic uint64_t memory_used_bytes; // device memory of the session, all contexts (server/worker/pool.h)
    uint64_t work;                  // commands so far that may have given a device something to do
    struct gn_output *output;       // server/worker/output.h
    struct gn_staging *staging;     // server/worker/staging.h
    struct gn_marks *marks;         // server/worker/marks.h
    struct gn_waiters *waiters;     // server/worker/wait.h
    struct gn_gates *gates;         // server/worker/gate.h
    struct gn_pulls *pulls;         // server/worker/host.h: what the client has been asked to do or to send
    struct gn_commands *commands;   // server/worker/commands.h
    struct gn_lanes_in *lanes;      // server/worker/lanes.h, or NULL
    struct gn_lanes_out *lanes_out; // server/worker/lanes_out.h; NULL: no data to the client over lanes
    struct gn_memory_list *memory;  // server/run/run_memory.c: the session's allocations
    struct gn_pools *pools;         // server/worker/pool.h: ranges that the client allocates from
    struct gn_kepts *kepts;         // server/kept/kept.h: bytes kept for the client
    bool waits_for_values;          // of the thread that runs commands: the program has made a stream wait for a word of memory
    struct gn_contents *contents;   // server/store/contents.h, or NULL: there is no content store
    struct gn_images *images;       // server/run/run_image.c: images being uploaded
    struct gn_run_state *run;       // server/worker/handles.c: results on their way to a reply, parameter layouts
};

#endif
