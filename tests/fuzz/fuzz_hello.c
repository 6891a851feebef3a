// SPDX-License-Identifier: Apache-2.0
// Fuzzes the first exchange: prefix, hello and welcome; the first byte chooses. Beyond not crashing: texts
// end within their fields, counts are within their limits, and what decodes encodes to something that decodes
// to the same.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/frame.h"
#include "remoting/hello.h"
#include "remoting/lane.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static struct gn_device_snapshot devices[2][GN_DEVICES_MAX];
static uint8_t buffer[GN_WELCOME_BYTES_MAX];

static void hello(const uint8_t *body, size_t size)
{
    struct gn_hello h, again;
    if (gn_hello_decode(body, size, &h))
        return;
    require(memchr(h.program, 0, sizeof h.program) && memchr(h.token, 0, sizeof h.token));
    int n = gn_hello_encode(buffer, sizeof buffer, &h);
    require(n == (int)(size + GN_PREFIX_BYTES));
    require(!gn_hello_decode(buffer + GN_PREFIX_BYTES, size, &again) && !memcmp(&h, &again, sizeof h));
    for (int room = 0; room < n; room += 8)
        require(gn_hello_encode(buffer, (size_t)room, &h) < 0);
}

static void welcome(const uint8_t *body, size_t size)
{
    struct gn_welcome w = {.devices = devices[0]}, again = {.devices = devices[1]};
    if (gn_welcome_decode(body, size, &w))
        return;
    require(w.device_count <= GN_DEVICES_MAX && memchr(w.text, 0, sizeof w.text));
    require(w.status ||
            (w.chunk_bytes && w.chunk_bytes <= GN_PAYLOAD_BYTES_MAX && w.window_bytes / w.chunk_bytes > 0));
    int n = gn_welcome_encode(buffer, sizeof buffer, &w);
    require(n == (int)(size + GN_PREFIX_BYTES));
    require(!gn_welcome_decode(buffer + GN_PREFIX_BYTES, size, &again));
    require(!memcmp(devices[0], devices[1], w.device_count * sizeof devices[0][0]));
    again.devices = w.devices;
    require(!memcmp(&w, &again, sizeof w));
}

static void lane(const uint8_t *bytes)
{
    struct gn_lane_hello h;
    uint8_t again[GN_LANE_HELLO_BYTES];
    gn_lane_hello_decode(bytes, &h);
    gn_lane_hello_encode(again, &h);
    require(gn_lane_prefix(again) && !memcmp(again + GN_PREFIX_BYTES, bytes + GN_PREFIX_BYTES, GN_LANE_HELLO_BYTES - GN_PREFIX_BYTES));
    require(gn_lane_prefix(bytes) == !memcmp(again, bytes, GN_PREFIX_BYTES));
    require(gn_lane_key_right(h.key, bytes + GN_LANE_HELLO_BYTES - GN_LANE_KEY_BYTES));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    if (size > GN_LANE_HELLO_BYTES)
        lane(data + 1);
    if (data[0] & 2 && size > GN_PREFIX_BYTES) { // as it comes from a socket
        size_t most = data[0] & 1 ? GN_WELCOME_BYTES_MAX : GN_HELLO_BYTES_MAX;
        int64_t n = gn_prefix_decode(data + 1, most);
        require(n < 0 || ((size_t)n <= most && n % 8 == 0));
        if (n < 0 || (size_t)n > size - 1 - GN_PREFIX_BYTES)
            return 0;
        (data[0] & 1 ? welcome : hello)(data + 1 + GN_PREFIX_BYTES, (size_t)n);
        return 0;
    }
    (data[0] & 1 ? welcome : hello)(data + 1, size - 1);
    return 0;
}
