#include "cpu/isa.h"

#include <cstdlib>
#include <stdexcept>
#include <string>

namespace fc {
namespace {

constexpr const char* kNames[] = {"baseline", "avx2", "avx512"};

bool supported(Isa isa) {
#ifdef FC_X86
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (isa == Isa::kAvx2) return avx2;
  if (isa == Isa::kAvx512) {
    return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
  }
#endif
  return isa == Isa::kBaseline;
}

Isa decide() {
  Isa best = Isa::kBaseline;
  std::string known;
  const char* forced = std::getenv("FASTCONV_ISA");
  for (Isa candidate : {Isa::kBaseline, Isa::kAvx2, Isa::kAvx512}) {
    const std::string name = kNames[static_cast<int>(candidate)];
    if (!supported(candidate)) continue;
    if (forced && name == forced) return candidate;
    known += (known.empty() ? "" : ", ") + name;
    best = candidate;
  }
  if (forced && *forced) {
    throw std::runtime_error("FASTCONV_ISA is '" + std::string(forced) +
                             "'; this machine runs: " + known);
  }
  return best;
}

}  // namespace

Isa isa() {
  static const Isa chosen = decide();
  return chosen;
}

const char* isa_name() { return kNames[static_cast<int>(isa())]; }

}  // namespace fc
