#include "cpu/cache.h"

#include <unistd.h>

namespace fc {
namespace {

int64_t last_level_bytes() {
#ifdef _SC_LEVEL3_CACHE_SIZE
  const long bytes = sysconf(_SC_LEVEL3_CACHE_SIZE);
  if (bytes > 0) return bytes;
#endif
  return 32 << 20;
}

const int64_t most = last_level_bytes() / 2;

}  // namespace

bool outgrows_cache(int64_t bytes) { return bytes >= most; }

}  // namespace fc
