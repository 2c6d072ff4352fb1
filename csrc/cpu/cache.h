// When a kernel should write past the caches.
#pragma once

#include <cstdint>

namespace fc {

// Whether an output of so many bytes and an input as large do not fit into the last-level cache
// together: then a store that first reads the line it overwrites costs a third of the traffic, and
// the output would not be found there by the next kernel anyway.
bool outgrows_cache(int64_t bytes);

}  // namespace fc
