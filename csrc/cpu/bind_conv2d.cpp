// conv2d_workspace, conv2d_packed_elements, conv2d_pack, conv2d_fwd, conv2d_dgrad, conv2d_wgrad
#include "cpu/bindings.h"
#include "cpu/conv_arguments.h"
#include "cpu/conv_engine.h"
#include "cpu/finish_sums.h"
#include "cpu/isa.h"
#include "cpu/parallel.h"

namespace fc {
namespace {

Direction parse_direction(const std::string& name) {
  if (name == "fwd") return Direction::kFwd;
  if (name == "dgrad") return Direction::kDgrad;
  if (name == "wgrad") return Direction::kWgrad;
  refuse("direction", "fwd, dgrad or wgrad", name);
}

Algorithm parse_algorithm(const std::string& name, const Conv2dProblem& p) {
  if (name == "implicit") return Algorithm::kImplicit;
  if (name == "im2col") return Algorithm::kIm2col;
  if (name == "direct_depthwise" && p.groups == p.c && p.k == p.c) return Algorithm::kDepthwise;
  if (name == "staged_depthwise" && p.groups == p.c) return Algorithm::kLanes;
  if (name == "staged_grouped" && p.groups > 1) return Algorithm::kLanes;
  if (name == "1x1" && p.r == 1 && p.s == 1 && p.groups == 1 && p.stride_h == 1 &&
      p.stride_w == 1 && p.p == p.h && p.q == p.w && p.pad_top == 0 && p.pad_left == 0) {
    return Algorithm::kMatrix;
  }
  if (name == "winograd" && p.r == 3 && p.s == 3 && p.groups == 1 && p.stride_h == 1 &&
      p.stride_w == 1 && p.dilation_h == 1 && p.dilation_w == 1) {
    return Algorithm::kWinograd;
  }
  refuse("algorithm", "one that fits the problem", name);
}

}  // namespace

void bind_conv2d(py::module_& m) {
  const GemmKernels gemm = FC_FOR_ISA(gemm_kernels)();
  const LaneKernels lanes = FC_FOR_ISA(lane_kernels)();
  const ChannelKernels channel = FC_FOR_ISA(channel_kernels)();
  const auto engine = [gemm, lanes](auto zero) {
    using T = decltype(zero);
    return ConvEngine<T>(functions<T>(gemm), functions<T>(lanes));
  };

  m.def("conv2d_workspace", [engine](const py::tuple& problem, const std::string& direction,
                                     const std::string& algorithm, int itemsize, bool packed) {
    const Conv2dProblem p = parse_conv2d_problem(problem);
    const Direction d = parse_direction(direction);
    const Algorithm a = parse_algorithm(algorithm, p);
    return with_float_size(itemsize, [&](auto zero) {
      return engine(zero).workspace(p, d, a, num_threads(), packed);
    });
  });

  m.def("conv2d_packed_elements", [engine](const py::tuple& problem, const std::string& algorithm,
                                           int itemsize) {
    const Conv2dProblem p = parse_conv2d_problem(problem);
    const Algorithm a = parse_algorithm(algorithm, p);
    return with_float_size(itemsize, [&](auto zero) { return engine(zero).packed_elements(p, a); });
  });

  m.def("conv2d_pack", [engine](const py::array& w, const py::tuple& problem,
                                const std::string& algorithm, py::array packed) {
    const Conv2dProblem p = parse_conv2d_problem(problem);
    const Algorithm a = parse_algorithm(algorithm, p);
    with_float_type(w, "conv2d_pack: w", [&](auto zero) {
      using T = decltype(zero);
      const T* wp = input<T>(w, "conv2d_pack: w", {p.k, p.r, p.s, p.cg()});
      T* out = output<T>(packed, "conv2d_pack: packed", {engine(zero).packed_elements(p, a)});
      py::gil_scoped_release release;
      engine(zero).pack(p, a, wp, out);
    });
  });

  m.def("conv2d_fwd", [=](const py::array& x, const py::array& w, py::array y,
                          const py::tuple& problem, const std::string& algorithm,
                          const py::object& workspace, const py::tuple& epilogue,
                          const py::object& prologue, const py::object& packed) {
    const Conv2dProblem p = parse_conv2d_problem(problem);
    const Algorithm a = parse_algorithm(algorithm, p);
    with_float_type(x, "conv2d_fwd: x", [&](auto zero) {
      using T = decltype(zero);
      const T* xp = input<T>(x, "conv2d_fwd: x", {p.n, p.h, p.w, p.c});
      const T* wp = input<T>(w, "conv2d_fwd: w", {p.k, p.r, p.s, p.cg()});
      T* yp = output<T>(y, "conv2d_fwd: y", {p.n, p.p, p.q, p.k});
      const Epilogue<T> e = parse_epilogue<T>(epilogue, {p.n, p.p, p.q, p.k});
      const Prologue<T> pro = parse_prologue<T>(prologue, p.c);
      const T* packed_w =
          optional_input<T>(packed, "conv2d_fwd: packed", {engine(zero).packed_elements(p, a)});
      const int threads = num_threads();
      const int64_t bytes =
          engine(zero).workspace(p, Direction::kFwd, a, threads, packed_w != nullptr);
      void* ws = parse_workspace(workspace, bytes);
      py::gil_scoped_release release;
      if (ConvEngine<T>::fuses_sums(a)) {
        engine(zero).fwd(p, a, xp, wp, packed_w, yp, pro, e, threads, ws);
      } else {
        engine(zero).fwd(p, a, xp, wp, packed_w, yp, pro, before_sums(e), threads, ws);
        finish_sums(functions<T>(channel), functions<T>(gemm), e, yp, p.n * p.p * p.q, p.k);
      }
    });
  });

  m.def("conv2d_dgrad",
        [=](const py::array& gy, const py::array& w, py::array gx, const py::tuple& problem,
            const std::string& algorithm, const py::object& workspace) {
          const Conv2dProblem p = parse_conv2d_problem(problem);
          const Algorithm a = parse_algorithm(algorithm, p);
          with_float_type(gy, "conv2d_dgrad: gy", [&](auto zero) {
            using T = decltype(zero);
            const T* gyp = input<T>(gy, "conv2d_dgrad: gy", {p.n, p.p, p.q, p.k});
            const T* wp = input<T>(w, "conv2d_dgrad: w", {p.k, p.r, p.s, p.cg()});
            T* gxp = output<T>(gx, "conv2d_dgrad: gx", {p.n, p.h, p.w, p.c});
            const int threads = num_threads();
            const int64_t bytes = engine(zero).workspace(p, Direction::kDgrad, a, threads, false);
            void* ws = parse_workspace(workspace, bytes);
            py::gil_scoped_release release;
            engine(zero).dgrad(p, a, gyp, wp, gxp, threads, ws);
          });
        });

  m.def("conv2d_wgrad",
        [=](const py::array& x, const py::array& gy, py::array gw, const py::tuple& problem,
            const std::string& algorithm, const py::object& workspace, const py::object& prologue) {
          const Conv2dProblem p = parse_conv2d_problem(problem);
          const Algorithm a = parse_algorithm(algorithm, p);
          with_float_type(x, "conv2d_wgrad: x", [&](auto zero) {
            using T = decltype(zero);
            const T* xp = input<T>(x, "conv2d_wgrad: x", {p.n, p.h, p.w, p.c});
            const T* gyp = input<T>(gy, "conv2d_wgrad: gy", {p.n, p.p, p.q, p.k});
            T* gwp = output<T>(gw, "conv2d_wgrad: gw", {p.k, p.r, p.s, p.cg()});
            const Prologue<T> pro = parse_prologue<T>(prologue, p.c);
            const int threads = num_threads();
            const int64_t bytes = engine(zero).workspace(p, Direction::kWgrad, a, threads, false);
            void* ws = parse_workspace(workspace, bytes);
            py::gil_scoped_release release;
            engine(zero).wgrad(p, a, xp, gyp, gwp, pro, threads, ws);
          });
        });
}

}  // namespace fc
