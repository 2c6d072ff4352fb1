// Which of the instruction sets that kernels/*.cpp were compiled for runs on this machine.
#pragma once

#include <vector>

namespace fc {

enum class Isa { kBaseline, kAvx2, kAvx512 };  // elsewhere than on x86 kBaseline only

// Those that this machine runs, the best one last.
std::vector<Isa> isas();

// The best one that the machine has, or the one that FASTCONV_ISA names. Decided once, at import;
// throws std::runtime_error if the name is unknown or the machine lacks it.
Isa isa();
const char* isa_name(Isa which);  // "baseline", "avx2", "avx512"; "neon" on aarch64

template <class F>
static inline F select_isa(F baseline, F avx2, F avx512) {
  const Isa chosen = isa();
  return chosen == Isa::kAvx512 ? avx512 : chosen == Isa::kAvx2 ? avx2 : baseline;
}

}  // namespace fc

// FC_FOR_ISA(factory): fc::<isa>::factory for the chosen instruction set.
#ifdef FC_X86
#define FC_FOR_ISA(factory) \
  (fc::select_isa(&fc::baseline::factory, &fc::avx2::factory, &fc::avx512::factory))
#else
#define FC_FOR_ISA(factory) (&fc::baseline::factory)
#endif
