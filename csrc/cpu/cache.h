// When a kernel should write past the caches.
#pragma once

#include <cstdint>

namespace fc {

// Whether an output of so many bytes and an input as large do not fit into the last-level cache
// together: then a store that first reads the line it overwrites costs a third of the traffic, and
// the output would not be found there by the next kernel anyway.
bool outgrows_cache(int64_t bytes);

// Takes the last-level cache for so large, and returns what it was taken for: tests make small
// outputs outgrow it.
int64_t set_cache_bytes(int64_t bytes);

}  // namespace fc
