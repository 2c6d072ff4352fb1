// max_pool2d, avg_pool2d, adaptive_avg_pool2d, adaptive_max_pool2d: _fwd and _bwd
#include <limits>

#include "cpu/arguments.h"
#include "cpu/bindings.h"
#include "cpu/isa.h"
#include "cpu/pool.h"
#include "pool2d_arguments.h"

namespace fc {
namespace {

Pool2d adaptive_of(const py::array& x, const py::array& y) {
  if (x.ndim() != 4 || y.ndim() != 4) refuse("adaptive pooling", "4 axes", shape_text(x));
  Pool2d g{};
  g.n = x.shape(0), g.h = x.shape(1), g.w = x.shape(2), g.c = x.shape(3);
  g.p = y.shape(1), g.q = y.shape(2);
  check_shape(y, "y", {g.n, g.p, g.q, g.c});
  if (g.h * g.w > std::numeric_limits<int32_t>::max()) {
    refuse("adaptive pooling", "H*W below 2^31", shape_text(x));
  }
  return g;
}

bool is_byte(const py::array& argmax, const Pool2d& g) {
  if (!py::isinstance<py::array_t<uint8_t>>(argmax)) return false;
  if (g.r * g.s > 256) refuse("argmax", "int32 for windows of more than 256 taps", "uint8");
  return true;
}

void bind_max_pool(py::module_& m) {
  const MaxPoolKernels kernels = FC_FOR_ISA(max_pool_kernels)();

  m.def("max_pool2d_fwd", [kernels](const py::array& x, py::array y, const py::object& argmax,
                                    const py::tuple& problem) {
    with_float_type(x, "max_pool2d: x", [&](auto zero) {
      using T = decltype(zero);
      const Pool2d g = parse_pool2d_problem(problem);
      const T* xp = input<T>(x, "max_pool2d: x", {g.n, g.h, g.w, g.c});
      T* yp = output<T>(y, "max_pool2d: y", {g.n, g.p, g.q, g.c});
      uint8_t* bytes = nullptr;
      int32_t* words = nullptr;
      if (!argmax.is_none()) {
        py::array index = py::cast<py::array>(argmax);
        if (is_byte(index, g)) {
          bytes = output_like<uint8_t>(index, "max_pool2d: argmax", y);
        } else {
          words = output_like<int32_t>(index, "max_pool2d: argmax", y);
        }
      }
      py::gil_scoped_release release;
      if (words) {
        functions<T>(kernels).fwd_i32(xp, yp, words, g);
      } else {
        functions<T>(kernels).fwd_u8(xp, yp, bytes, g);
      }
    });
  });

  m.def("max_pool2d_bwd", [kernels](const py::array& gy, const py::array& argmax, py::array gx,
                                    const py::tuple& problem) {
    with_float_type(gy, "max_pool2d: gy", [&](auto zero) {
      using T = decltype(zero);
      const Pool2d g = parse_pool2d_problem(problem);
      const T* gyp = input<T>(gy, "max_pool2d: gy", {g.n, g.p, g.q, g.c});
      T* gxp = output<T>(gx, "max_pool2d: gx", {g.n, g.h, g.w, g.c});
      const bool byte = is_byte(argmax, g);
      const auto* bytes = byte ? input_like<uint8_t>(argmax, "max_pool2d: argmax", gy) : nullptr;
      const auto* words = byte ? nullptr : input_like<int32_t>(argmax, "max_pool2d: argmax", gy);
      py::gil_scoped_release release;
      if (byte) {
        functions<T>(kernels).bwd_u8(gyp, bytes, gxp, g);
      } else {
        functions<T>(kernels).bwd_i32(gyp, words, gxp, g);
      }
    });
  });
}

void bind_avg_pool(py::module_& m) {
  const AvgPoolKernels kernels = FC_FOR_ISA(avg_pool_kernels)();

  m.def("avg_pool2d_fwd", [kernels](const py::array& x, py::array y, const py::tuple& problem,
                                    bool count_include_pad) {
    with_float_type(x, "avg_pool2d: x", [&](auto zero) {
      using T = decltype(zero);
      const Pool2d g = parse_pool2d_problem(problem);
      const T* xp = input<T>(x, "avg_pool2d: x", {g.n, g.h, g.w, g.c});
      T* yp = output<T>(y, "avg_pool2d: y", {g.n, g.p, g.q, g.c});
      py::gil_scoped_release release;
      functions<T>(kernels).fwd(xp, yp, g, count_include_pad);
    });
  });

  m.def("avg_pool2d_bwd", [kernels](const py::array& gy, py::array gx, const py::tuple& problem,
                                    bool count_include_pad) {
    with_float_type(gy, "avg_pool2d: gy", [&](auto zero) {
      using T = decltype(zero);
      const Pool2d g = parse_pool2d_problem(problem);
      const T* gyp = input<T>(gy, "avg_pool2d: gy", {g.n, g.p, g.q, g.c});
      T* gxp = output<T>(gx, "avg_pool2d: gx", {g.n, g.h, g.w, g.c});
      py::gil_scoped_release release;
      functions<T>(kernels).bwd(gyp, gxp, g, count_include_pad);
    });
  });
}

void bind_adaptive_pool(py::module_& m) {
  const AdaptivePoolKernels kernels = FC_FOR_ISA(adaptive_pool_kernels)();

  m.def("adaptive_avg_pool2d_fwd", [kernels](const py::array& x, py::array y) {
    with_float_type(x, "adaptive_avg_pool2d: x", [&](auto zero) {
      using T = decltype(zero);
      const Pool2d g = adaptive_of(x, y);
      const T* xp = input<T>(x, "adaptive_avg_pool2d: x");
      T* yp = output<T>(y, "adaptive_avg_pool2d: y");
      py::gil_scoped_release release;
      functions<T>(kernels).avg_fwd(xp, yp, g);
    });
  });

  m.def("adaptive_avg_pool2d_bwd", [kernels](const py::array& gy, py::array gx) {
    with_float_type(gy, "adaptive_avg_pool2d: gy", [&](auto zero) {
      using T = decltype(zero);
      const Pool2d g = adaptive_of(gx, gy);
      const T* gyp = input<T>(gy, "adaptive_avg_pool2d: gy");
      T* gxp = output<T>(gx, "adaptive_avg_pool2d: gx");
      py::gil_scoped_release release;
      functions<T>(kernels).avg_bwd(gyp, gxp, g);
    });
  });

  m.def("adaptive_max_pool2d_fwd",
        [kernels](const py::array& x, py::array y, const py::object& argmax) {
          with_float_type(x, "adaptive_max_pool2d: x", [&](auto zero) {
            using T = decltype(zero);
            const Pool2d g = adaptive_of(x, y);
            const T* xp = input<T>(x, "adaptive_max_pool2d: x");
            T* yp = output<T>(y, "adaptive_max_pool2d: y");
            auto* index = optional_output_like<int32_t>(argmax, "adaptive_max_pool2d: argmax", y);
            py::gil_scoped_release release;
            functions<T>(kernels).max_fwd(xp, yp, index, g);
          });
        });

  m.def("adaptive_max_pool2d_bwd",
        [kernels](const py::array& gy, const py::array& argmax, py::array gx) {
          with_float_type(gy, "adaptive_max_pool2d: gy", [&](auto zero) {
            using T = decltype(zero);
            const Pool2d g = adaptive_of(gx, gy);
            const T* gyp = input<T>(gy, "adaptive_max_pool2d: gy");
            const auto* index = input_like<int32_t>(argmax, "adaptive_max_pool2d: argmax", gy);
            T* gxp = output<T>(gx, "adaptive_max_pool2d: gx");
            py::gil_scoped_release release;
            functions<T>(kernels).max_bwd(gyp, index, gxp, g);
          });
        });
}

}  // namespace

void bind_pool(py::module_& m) {
  bind_max_pool(m);
  bind_avg_pool(m);
  bind_adaptive_pool(m);
}

}  // namespace fc
