// SPDX-License-Identifier: Apache-2.0
// The digest of content: XXH3-128. It tells pieces of data apart, it does not stand up to somebody who looks for a collision: so a store is
// shared only among those who trust each other (one tenant), and files content under the digest that it has taken itself.
#ifndef GN_REMOTING_DIGEST_H
#define GN_REMOTING_DIGEST_H

#include "core/content.h"

struct gn_content gn_content_of(const void *data, size_t size_bytes);

#endif
