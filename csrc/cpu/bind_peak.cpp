// run_fma, copy
#include <cstring>
#include <vector>

#include "cpu/arrays.h"
#include "cpu/bindings.h"
#include "cpu/isa.h"
#include "cpu/parallel.h"
#include "cpu/peak.h"

namespace fc {

void bind_peak(py::module_& m) {
  const PeakKernels kernels = FC_FOR_ISA(peak_kernels)();
  m.def(
      "run_fma",
      [kernels](int64_t rounds) {
        const int threads = num_threads(), pieces = 64 * threads;
        std::vector<float> sums(threads);
        parallel(pieces, 1, threads, [&](int64_t begin, int64_t end, int thread) {
          sums[thread] += kernels.fma(rounds * (end - begin));
        });
        return kernels.flops_per_round * rounds * pieces;
      },
      py::arg("rounds"), py::call_guard<py::gil_scoped_release>(),
      "Multiply-adds on registers on every thread; returns how many float32 operations that were.");
  m.def(
      "copy",
      [](const py::array& from, py::array to) {
        const char* source = reinterpret_cast<const char*>(input<uint8_t>(from, "source"));
        char* target = reinterpret_cast<char*>(output<uint8_t>(to, "target", {from.size()}));
        py::gil_scoped_release release;
        parallel(from.size(), 1 << 20, [&](int64_t begin, int64_t end, int) {
          std::memcpy(target + begin, source + begin, end - begin);
        });
      },
      py::arg("source"), py::arg("target"), "Copies uint8 arrays of equal length on every thread.");
}

}  // namespace fc
