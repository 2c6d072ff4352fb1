#include "cpu/cache.h"

#include <unistd.h>

#include <atomic>
#include <fstream>
#include <string>

namespace fc {
namespace {

constexpr int64_t kUsual = int64_t{32} << 20;

// Bytes of the third-level cache that this machine's first CPU reaches. The kernel's tables say so;
// sysconf adds up what several chiplets have, on some machines.
int64_t last_level_bytes() {
  const std::string folder = "/sys/devices/system/cpu/cpu0/cache/index";
  for (int i = 0; i < 8; ++i) {
    int level = 0;
    int64_t size = 0;
    char unit = ' ';
    std::ifstream(folder + std::to_string(i) + "/level") >> level;
    std::ifstream(folder + std::to_string(i) + "/size") >> size >> unit;
    if (level == 3 && size > 0) return size << (unit == 'M' ? 20 : unit == 'K' ? 10 : 0);
  }
#ifdef _SC_LEVEL3_CACHE_SIZE
  const int64_t bytes = sysconf(_SC_LEVEL3_CACHE_SIZE);
  if (bytes > 0) return bytes;
#endif
  return kUsual;
}

std::atomic<int64_t> cache_bytes{last_level_bytes()};

}  // namespace

bool outgrows_cache(int64_t bytes) { return bytes >= cache_bytes.load() / 2; }

int64_t set_cache_bytes(int64_t bytes) { return cache_bytes.exchange(bytes); }

}  // namespace fc
