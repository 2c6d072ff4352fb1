// resize_fwd, resize_bwd
#include "cpu/allocator.h"
#include "cpu/arguments.h"
#include "cpu/bindings.h"
#include "cpu/isa.h"
#include "cpu/resize.h"

namespace fc {
namespace {

// x (n, h, w, c) is the input of the forward pass, y (n, p, q, c) its output
ResizeShape resize_of(const py::array& x, const py::array& y, const std::string& mode,
                      bool align_corners) {
  if (x.ndim() != 4 || y.ndim() != 4) refuse("resize: x", "4 axes", shape_text(x));
  ResizeShape g;
  g.n = x.shape(0), g.h = x.shape(1), g.w = x.shape(2), g.c = x.shape(3);
  g.p = y.shape(1), g.q = y.shape(2);
  check_shape(y, "resize: y", {g.n, g.p, g.q, g.c});
  if (g.h * g.w == 0 && g.p * g.q != 0) refuse("resize: x", "at least one pixel", shape_text(x));
  if (mode == "nearest") {
    g.mode = ResizeMode::kNearest;
  } else if (mode == "bilinear") {
    g.mode = align_corners ? ResizeMode::kCorners : ResizeMode::kHalfPixel;
  } else {
    refuse("resize: mode", "nearest or bilinear", mode);
  }
  return g;
}

}  // namespace

void bind_resize(py::module_& m) {
  const ResizeKernels kernels = FC_FOR_ISA(resize_kernels)();

  m.def("resize_fwd",
        [kernels](const py::array& x, py::array y, const std::string& mode, bool align_corners) {
          with_float_type(x, "resize: x", [&](auto zero) {
            using T = decltype(zero);
            const ResizeShape g = resize_of(x, y, mode, align_corners);
            const T* xp = input<T>(x, "resize: x");
            T* yp = output<T>(y, "resize: y");
            py::gil_scoped_release release;
            Scratch<ResizeSource> sources(resize_sources(g));
            functions<T>(kernels).fwd(xp, yp, g, sources.data());
          });
        });

  m.def("resize_bwd",
        [kernels](const py::array& gy, py::array gx, const std::string& mode, bool align_corners) {
          with_float_type(gy, "resize: gy", [&](auto zero) {
            using T = decltype(zero);
            const ResizeShape g = resize_of(gx, gy, mode, align_corners);
            const T* gyp = input<T>(gy, "resize: gy");
            T* gxp = output<T>(gx, "resize: gx");
            py::gil_scoped_release release;
            Scratch<ResizeSource> sources(resize_sources(g));
            functions<T>(kernels).bwd(gyp, gxp, g, sources.data());
          });
        });
}

}  // namespace fc
