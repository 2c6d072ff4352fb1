// activation_fwd, activation_bwd, add, dropout, channel_shuffle
#include <cmath>

#include "cuda/arguments.h"
#include "cuda/bindings.h"
#include "cuda/elementwise/dropout.h"
#include "cuda/elementwise/elementwise.h"

namespace fc::cuda {

void bind_elementwise(py::module_& m) {
  m.def("activation_fwd",
        [](const py::object& x, const py::object& y, const py::object& act, uintptr_t stream) {
          Call call("activation_fwd", stream);
          const int64_t size = look_at(x, "activation_fwd: x").size();
          const auto* xp = call.input_of_size<float>(x, "x", size);
          auto* yp = call.output_of_size<float>(y, "y", size);
          activation_fwd(xp, yp, size, activation_of(act), call.stream());
          call.finish();
        });

  m.def("activation_bwd", [](const py::object& gy, const py::object& saved, const py::object& gx,
                             const py::object& act, uintptr_t stream) {
    Call call("activation_bwd", stream);
    const int64_t size = look_at(gy, "activation_bwd: gy").size();
    const auto* gyp = call.input_of_size<float>(gy, "gy", size);
    const auto* savedp = call.input_of_size<float>(saved, "saved", size);
    auto* gxp = call.output_of_size<float>(gx, "gx", size);
    activation_bwd(gyp, savedp, gxp, size, activation_of(act), call.stream());
    call.finish();
  });

  m.def("add", [](const py::object& a, const py::object& b, const py::object& y,
                  const py::object& act, uintptr_t stream) {
    Call call("add", stream);
    const int64_t size = look_at(a, "add: a").size();
    const auto* ap = call.input_of_size<float>(a, "a", size);
    const auto* bp = call.input_of_size<float>(b, "b", size);
    auto* yp = call.output_of_size<float>(y, "y", size);
    add(ap, bp, yp, size, activation_of(act), call.stream());
    call.finish();
  });

  m.def("dropout", [](const py::object& x, const py::object& y, double p, uint64_t seed,
                      uint64_t offset, int64_t group, uintptr_t stream) {
    Call call("dropout", stream);
    if (!(p >= 0 && p <= 1)) refuse("dropout: p", "0 to 1", std::to_string(p));
    if (group < 1) refuse("dropout: group", "at least 1", std::to_string(group));
    const int64_t size = look_at(x, "dropout: x").size();
    const auto* xp = call.input_of_size<float>(x, "x", size);
    auto* yp = call.output_of_size<float>(y, "y", size);
    // the least multiple of 2^-24 that is not below p: uniform numbers are such multiples
    const auto threshold = static_cast<uint32_t>(std::ceil(std::ldexp(p, 24)));
    dropout(xp, yp, size, {seed, offset, threshold, static_cast<float>(1 - p), group},
            call.stream());
    call.finish();
  });

  m.def("channel_shuffle",
        [](const py::object& x, const py::object& y, int64_t groups, uintptr_t stream) {
          Call call("channel_shuffle", stream);
          const Array array = look_at(x, "channel_shuffle: x");
          const int64_t c = array.shape.empty() ? 0 : array.shape.back();
          if (groups < 1 || c % groups != 0) {
            refuse("channel_shuffle: groups", "a divisor of the " + std::to_string(c) + " channels",
                   std::to_string(groups));
          }
          if (c >= int64_t{1} << 31) refuse("channel_shuffle: x", "fewer channels", "2^31");
          const auto* xp = call.input_of_size<float>(x, "x", array.size());
          auto* yp = call.output_of_size<float>(y, "y", array.size());
          channel_shuffle(xp, yp, c == 0 ? 0 : array.size() / c, c, groups, call.stream());
          call.finish();
        });
}

}  // namespace fc::cuda
