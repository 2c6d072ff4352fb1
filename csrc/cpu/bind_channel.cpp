// channel_sum, channel_stats
#include "cpu/allocator.h"
#include "cpu/arrays.h"
#include "cpu/bindings.h"
#include "cpu/channel.h"
#include "cpu/isa.h"

namespace fc {
namespace {

// x (..., C) seen as (rows, C)
struct Rows {
  int64_t rows = 1, channels = 0;

  explicit Rows(const py::array& x) {
    if (x.ndim() < 1) refuse("x", "at least one axis", "a scalar");
    channels = x.shape(x.ndim() - 1);
    for (py::ssize_t i = 0; i + 1 < x.ndim(); ++i) rows *= x.shape(i);
  }
};

}  // namespace

void bind_channel(py::module_& m) {
  const ChannelKernels kernels = FC_FOR_ISA(channel_kernels)();

  m.def("channel_sum", [kernels](const py::array& x, py::array y) {
    with_float_type(x, "channel_sum: x", [&](auto zero) {
      using T = decltype(zero);
      const Rows r(x);
      const T* xp = input<T>(x, "channel_sum: x");
      T* yp = output<T>(y, "channel_sum: y", {r.channels});
      py::gil_scoped_release release;
      Scratch<double> scratch(channel_scratch(r.rows, r.channels));
      functions<T>(kernels).sum(xp, r.rows, r.channels, yp, scratch.data());
    });
  });

  m.def("channel_stats", [kernels](const py::array& x, py::array sums) {
    with_float_type(x, "channel_stats: x", [&](auto zero) {
      using T = decltype(zero);
      const Rows r(x);
      const T* xp = input<T>(x, "channel_stats: x");
      double* sp = output<double>(sums, "channel_stats: sums", {2, r.channels});
      py::gil_scoped_release release;
      Scratch<double> scratch(channel_scratch(r.rows, r.channels));
      functions<T>(kernels).stats(xp, r.rows, r.channels, sp, scratch.data());
    });
  });
}

}  // namespace fc
