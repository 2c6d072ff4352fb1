#include "cpu/cache.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>

namespace fc {
namespace {

constexpr int64_t kUsual = int64_t{32} << 20;

// Bytes of the last-level cache that this machine's first CPU reaches. The kernel's tables say so;
// sysconf adds up what several chiplets have, on some machines.
int64_t last_level_bytes() {
  int64_t most = 0;
  for (int i = 0; i < 8; ++i) {
    std::ifstream file("/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(i) + "/size");
    int64_t size = 0;
    char unit = ' ';
    if (!(file >> size)) break;
    file >> unit;
    most = std::max(most, size << (unit == 'M' ? 20 : unit == 'K' ? 10 : 0));
  }
#ifdef _SC_LEVEL3_CACHE_SIZE
  if (most == 0) most = sysconf(_SC_LEVEL3_CACHE_SIZE);
#endif
  return most > 0 ? most : kUsual;
}

const int64_t most = last_level_bytes() / 2;

}  // namespace

bool outgrows_cache(int64_t bytes) { return bytes >= most; }

}  // namespace fc
