// max_pool2d, avg_pool2d, adaptive_avg_pool2d, adaptive_max_pool2d: _fwd and _bwd
#include "cuda/arguments.h"
#include "cuda/bindings.h"
#include "cuda/pool/pool.h"
#include "pool2d_arguments.h"

namespace fc::cuda {
namespace {

// Indices inside an image are int.
constexpr int64_t kMost = int64_t{1} << 31;

Pool2d checked(const Pool2d& g, const char* function) {
  if (g.h * g.w * g.c >= kMost || g.p * g.q * g.c >= kMost) {
    refuse(function, "images of fewer than 2^31 elements",
           std::to_string(g.h) + " x " + std::to_string(g.w) + " x " + std::to_string(g.c));
  }
  return g;
}

Pool2d sliding(const py::tuple& problem, const char* function) {
  const Pool2d g = checked(parse_pool2d_problem(problem), function);
  // what the kernels add up
  for (int64_t far : {g.r * g.s, g.r * g.dilation_h + g.h + g.pad_top + g.pad_bottom + g.stride_h,
                      g.s * g.dilation_w + g.w + g.pad_left + g.pad_right + g.stride_w,
                      g.p * g.stride_h, g.q * g.stride_w}) {
    if (far >= kMost) refuse(function, "windows below 2^31", std::to_string(far));
  }
  return g;
}

Pool2d adaptive(const py::object& x, const py::object& y, const char* function) {
  const auto x_shape = look_at(x, function).shape, y_shape = look_at(y, function).shape;
  if (x_shape.size() != 4 || y_shape.size() != 4) refuse(function, "4 axes", "others");
  Pool2d g{};
  g.n = x_shape[0], g.h = x_shape[1], g.w = x_shape[2], g.c = x_shape[3];
  g.p = y_shape[1], g.q = y_shape[2];
  if ((g.h + 1) * (g.p + 1) >= kMost || (g.w + 1) * (g.q + 1) >= kMost) {
    refuse(function, "products of sides below 2^31", "longer ones");
  }
  return checked(g, function);
}

// Calls f with an argmax array of either type.
template <class F>
void with_index(const py::object& argmax, const Pool2d& g, const char* function, F f) {
  if (argmax.is_none()) return f(uint8_t());
  const Array array = look_at(argmax, function);
  if (array.kind != 'u' || array.itemsize != 1) return f(int32_t());
  if (g.r * g.s > 256) {
    refuse(std::string(function) + ": argmax", "int32 for windows of more than 256 taps", "uint8");
  }
  f(uint8_t());
}

void bind_max_pool(py::module_& m) {
  m.def("max_pool2d_fwd", [](const py::object& x, const py::object& y, const py::object& argmax,
                             const py::tuple& problem, uintptr_t stream) {
    Call call("max_pool2d_fwd", stream);
    const Pool2d g = sliding(problem, "max_pool2d_fwd");
    const auto* xp = call.input<float>(x, "x", {g.n, g.h, g.w, g.c});
    auto* yp = call.output<float>(y, "y", {g.n, g.p, g.q, g.c});
    with_index(argmax, g, "max_pool2d_fwd", [&](auto zero) {
      auto* index = call.optional_output<decltype(zero)>(argmax, "argmax", {g.n, g.p, g.q, g.c});
      max_pool2d_fwd(xp, yp, index, g, call.stream());
    });
    call.finish();
  });

  m.def("max_pool2d_bwd", [](const py::object& gy, const py::object& argmax, const py::object& gx,
                             const py::tuple& problem, uintptr_t stream) {
    Call call("max_pool2d_bwd", stream);
    const Pool2d g = sliding(problem, "max_pool2d_bwd");
    const auto* gyp = call.input<float>(gy, "gy", {g.n, g.p, g.q, g.c});
    auto* gxp = call.output<float>(gx, "gx", {g.n, g.h, g.w, g.c});
    with_index(argmax, g, "max_pool2d_bwd", [&](auto zero) {
      const auto* index = call.input<decltype(zero)>(argmax, "argmax", {g.n, g.p, g.q, g.c});
      max_pool2d_bwd(gyp, index, gxp, g, call.stream());
    });
    call.finish();
  });
}

void bind_avg_pool(py::module_& m) {
  m.def("avg_pool2d_fwd", [](const py::object& x, const py::object& y, const py::tuple& problem,
                             bool count_include_pad, uintptr_t stream) {
    Call call("avg_pool2d_fwd", stream);
    const Pool2d g = sliding(problem, "avg_pool2d_fwd");
    const auto* xp = call.input<float>(x, "x", {g.n, g.h, g.w, g.c});
    auto* yp = call.output<float>(y, "y", {g.n, g.p, g.q, g.c});
    avg_pool2d_fwd(xp, yp, g, count_include_pad, call.stream());
    call.finish();
  });

  m.def("avg_pool2d_bwd", [](const py::object& gy, const py::object& gx, const py::tuple& problem,
                             bool count_include_pad, uintptr_t stream) {
    Call call("avg_pool2d_bwd", stream);
    const Pool2d g = sliding(problem, "avg_pool2d_bwd");
    const auto* gyp = call.input<float>(gy, "gy", {g.n, g.p, g.q, g.c});
    auto* gxp = call.output<float>(gx, "gx", {g.n, g.h, g.w, g.c});
    avg_pool2d_bwd(gyp, gxp, g, count_include_pad, call.stream());
    call.finish();
  });
}

void bind_adaptive_avg_pool(py::module_& m) {
  m.def("adaptive_avg_pool2d_fwd", [](const py::object& x, const py::object& y, uintptr_t stream) {
    Call call("adaptive_avg_pool2d_fwd", stream);
    const Pool2d g = adaptive(x, y, "adaptive_avg_pool2d_fwd");
    const auto* xp = call.input<float>(x, "x", {g.n, g.h, g.w, g.c});
    auto* yp = call.output<float>(y, "y", {g.n, g.p, g.q, g.c});
    adaptive_avg_pool2d_fwd(xp, yp, g, call.stream());
    call.finish();
  });

  m.def("adaptive_avg_pool2d_bwd",
        [](const py::object& gy, const py::object& gx, uintptr_t stream) {
          Call call("adaptive_avg_pool2d_bwd", stream);
          const Pool2d g = adaptive(gx, gy, "adaptive_avg_pool2d_bwd");
          const auto* gyp = call.input<float>(gy, "gy", {g.n, g.p, g.q, g.c});
          auto* gxp = call.output<float>(gx, "gx", {g.n, g.h, g.w, g.c});
          adaptive_avg_pool2d_bwd(gyp, gxp, g, call.stream());
          call.finish();
        });
}

void bind_adaptive_max_pool(py::module_& m) {
  m.def("adaptive_max_pool2d_fwd",
        [](const py::object& x, const py::object& y, const py::object& argmax, uintptr_t stream) {
          Call call("adaptive_max_pool2d_fwd", stream);
          const Pool2d g = adaptive(x, y, "adaptive_max_pool2d_fwd");
          const auto* xp = call.input<float>(x, "x", {g.n, g.h, g.w, g.c});
          auto* yp = call.output<float>(y, "y", {g.n, g.p, g.q, g.c});
          auto* index = call.optional_output<int32_t>(argmax, "argmax", {g.n, g.p, g.q, g.c});
          adaptive_max_pool2d_fwd(xp, yp, index, g, call.stream());
          call.finish();
        });

  m.def("adaptive_max_pool2d_bwd",
        [](const py::object& gy, const py::object& argmax, const py::object& gx, uintptr_t stream) {
          Call call("adaptive_max_pool2d_bwd", stream);
          const Pool2d g = adaptive(gx, gy, "adaptive_max_pool2d_bwd");
          const auto* gyp = call.input<float>(gy, "gy", {g.n, g.p, g.q, g.c});
          const auto* index = call.input<int32_t>(argmax, "argmax", {g.n, g.p, g.q, g.c});
          auto* gxp = call.output<float>(gx, "gx", {g.n, g.h, g.w, g.c});
          adaptive_max_pool2d_bwd(gyp, index, gxp, g, call.stream());
          call.finish();
        });
}

}  // namespace

void bind_pool(py::module_& m) {
  bind_max_pool(m);
  bind_avg_pool(m);
  bind_adaptive_avg_pool(m);
  bind_adaptive_max_pool(m);
}

}  // namespace fc::cuda
