#include "cpu/isa.h"

#include <cstdlib>
#include <stdexcept>
#include <string>

namespace fc {
namespace {

#ifdef __aarch64__
constexpr const char* kNames[] = {"neon"};  // every aarch64 machine has it: its baseline
#else
constexpr const char* kNames[] = {"baseline", "avx2", "avx512"};
#endif

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
  const std::vector<Isa> here = isas();
  const char* forced = std::getenv("FASTCONV_ISA");
  if (!forced || !*forced) return here.back();
  std::string known;
  for (Isa candidate : here) {
    const std::string name = isa_name(candidate);
    if (name == forced) return candidate;
    known += (known.empty() ? "" : ", ") + name;
  }
  throw std::runtime_error("FASTCONV_ISA is '" + std::string(forced) +
                           "'; this machine runs: " + known);
}

}  // namespace

std::vector<Isa> isas() {
  std::vector<Isa> here;
  for (Isa candidate : {Isa::kBaseline, Isa::kAvx2, Isa::kAvx512}) {
    if (supported(candidate)) here.push_back(candidate);
  }
  return here;
}

Isa isa() {
  static const Isa chosen = decide();
  return chosen;
}

const char* isa_name(Isa which) { return kNames[static_cast<int>(which)]; }

}  // namespace fc
