// activation_fwd, activation_bwd, add, dropout, channel_shuffle, scale_channels_fwd,
// scale_channels_bwd
#include <cmath>

#include "cpu/allocator.h"
#include "cpu/arguments.h"
#include "cpu/bindings.h"
#include "cpu/elementwise.h"
#include "cpu/isa.h"

namespace fc {
namespace {

void bind_activation(py::module_& m) {
  const ElementwiseKernels kernels = FC_FOR_ISA(elementwise_kernels)();

  m.def("activation_fwd", [kernels](const py::array& x, py::array y, const py::object& act) {
    with_float_type(x, "activation: x", [&](auto zero) {
      using T = decltype(zero);
      const T* xp = input<T>(x, "activation: x");
      T* yp = output_like<T>(y, "activation: y", x);
      const Activation a = activation_of(act);
      const int64_t n = x.size();
      py::gil_scoped_release release;
      functions<T>(kernels).activation(xp, yp, n, a);
    });
  });

  m.def("activation_bwd", [kernels](const py::array& gy, const py::array& saved, py::array gx,
                                    const py::object& act) {
    with_float_type(gy, "activation: gy", [&](auto zero) {
      using T = decltype(zero);
      const T* gyp = input<T>(gy, "activation: gy");
      const T* sp = input_like<T>(saved, "activation: saved", gy);
      T* gxp = output_like<T>(gx, "activation: gx", gy);
      const Activation a = activation_of(act);
      const int64_t n = gy.size();
      py::gil_scoped_release release;
      functions<T>(kernels).activation_grad(gyp, sp, gxp, n, a);
    });
  });

  m.def("add",
        [kernels](const py::array& a, const py::array& b, py::array y, const py::object& act) {
          with_float_type(a, "add: a", [&](auto zero) {
            using T = decltype(zero);
            const T* ap = input<T>(a, "add: a");
            const T* bp = input_like<T>(b, "add: b", a);
            T* yp = output_like<T>(y, "add: y", a);
            const Activation f = activation_of(act);
            const int64_t n = a.size();
            py::gil_scoped_release release;
            functions<T>(kernels).add(ap, bp, yp, n, f);
          });
        });
}

void bind_dropout(py::module_& m) {
  const DropoutKernels kernels = FC_FOR_ISA(dropout_kernels)();

  m.def("dropout", [kernels](const py::array& x, py::array y, double p, uint64_t seed,
                             uint64_t offset, int64_t group) {
    with_float_type(x, "dropout: x", [&](auto zero) {
      using T = decltype(zero);
      if (!(p >= 0 && p <= 1)) refuse("dropout: p", "0 to 1", std::to_string(p));
      if (group < 1) refuse("dropout: group", "at least 1", std::to_string(group));
      const T* xp = input<T>(x, "dropout: x");
      T* yp = output_like<T>(y, "dropout: y", x);
      // the least multiple of 2^-24 that is not below p: uniform numbers are such multiples
      const auto threshold = static_cast<uint32_t>(std::ceil(std::ldexp(p, 24)));
      const PhiloxStream stream{seed, offset, threshold, 1 - p};
      const int64_t n = x.size();
      py::gil_scoped_release release;
      functions<T>(kernels).dropout(xp, yp, n, group, stream);
    });
  });
}

// x (N,H,W,C)
struct Image {
  int64_t n, h, w, c;

  Image(const py::array& x, const char* name) {
    if (x.ndim() != 4) refuse(name, "4 axes", shape_text(x));
    n = x.shape(0), h = x.shape(1), w = x.shape(2), c = x.shape(3);
  }
};

void bind_channels(py::module_& m) {
  const ElementwiseKernels kernels = FC_FOR_ISA(elementwise_kernels)();

  m.def("channel_shuffle", [kernels](const py::array& x, py::array y, int64_t groups) {
    with_float_type(x, "channel_shuffle: x", [&](auto zero) {
      using T = decltype(zero);
      const Matrix d(x, "channel_shuffle: x");
      if (groups < 1 || d.c % groups != 0) {
        refuse("channel_shuffle: groups", "a divisor of the " + std::to_string(d.c) + " channels",
               std::to_string(groups));
      }
      const T* xp = input<T>(x, "channel_shuffle: x");
      T* yp = output_like<T>(y, "channel_shuffle: y", x);
      py::gil_scoped_release release;
      functions<T>(kernels).channel_shuffle(xp, yp, d.rows, d.c, groups);
    });
  });

  m.def("scale_channels_fwd", [kernels](const py::array& x, const py::array& s, py::array y) {
    with_float_type(x, "scale_channels: x", [&](auto zero) {
      using T = decltype(zero);
      const Image d(x, "scale_channels: x");
      const T* xp = input<T>(x, "scale_channels: x");
      const T* sp = input<T>(s, "scale_channels: s", {d.n, 1, 1, d.c});
      T* yp = output_like<T>(y, "scale_channels: y", x);
      py::gil_scoped_release release;
      functions<T>(kernels).scale_channels(xp, sp, yp, d.n, d.h * d.w, d.c);
    });
  });

  m.def("scale_channels_bwd",
        [kernels](const py::array& gy, const py::object& x, const py::object& s,
                  const py::object& gx, const py::object& gs) {
          with_float_type(gy, "scale_channels: gy", [&](auto zero) {
            using T = decltype(zero);
            const Image d(gy, "scale_channels: gy");
            const T* gyp = input<T>(gy, "scale_channels: gy");
            const T* xp = optional_input_like<T>(x, "scale_channels: x", gy);
            const T* sp = optional_input<T>(s, "scale_channels: s", {d.n, 1, 1, d.c});
            T* gxp = optional_output_like<T>(gx, "scale_channels: gx", gy);
            T* gsp = optional_output<T>(gs, "scale_channels: gs", {d.n, 1, 1, d.c});
            if (!gx.is_none() && s.is_none())
              refuse("scale_channels: s", "an array for gx", "None");
            if (!gs.is_none() && x.is_none())
              refuse("scale_channels: x", "an array for gs", "None");
            py::gil_scoped_release release;
            const auto& f = functions<T>(kernels);
            const int64_t hw = d.h * d.w;
            Scratch<double> scratch(gsp ? f.scale_channels_scratch(d.n, hw, d.c) : 0);
            f.scale_channels_grad(gyp, xp, sp, gxp, gsp, d.n, hw, d.c, scratch.data());
          });
        });
}

}  // namespace

void bind_elementwise(py::module_& m) {
  bind_activation(m);
  bind_dropout(m);
  bind_channels(m);
}

}  // namespace fc
