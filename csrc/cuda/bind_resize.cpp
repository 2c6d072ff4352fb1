// resize_fwd, resize_bwd
#include "cuda/arguments.h"
#include "cuda/bindings.h"
#include "cuda/resize/resize.h"

namespace fc::cuda {
namespace {

ResizeMode mode_of(const std::string& mode, bool align_corners) {
  if (mode == "nearest") return ResizeMode::kNearest;
  if (mode != "bilinear") refuse("resize: mode", "nearest or bilinear", mode);
  return align_corners ? ResizeMode::kCorners : ResizeMode::kHalfPixel;
}

// x (n, h, w, c) is the input of the forward pass, y (n, p, q, c) its output
ResizeShape resize_of(const py::object& x, const py::object& y, const std::string& mode,
                      bool align_corners) {
  const auto in = look_at(x, "resize: x").shape, out = look_at(y, "resize: y").shape;
  if (in.size() != 4 || out.size() != 4) refuse("resize", "4 axes", "others");
  const ResizeShape g{in[0], in[1], in[2], out[1], out[2], in[3], mode_of(mode, align_corners)};
  if (g.h * g.w == 0 && g.p * g.q != 0) refuse("resize: x", "at least one pixel", "none");
  if (!resize_fits(g)) {
    refuse("resize", "images of fewer than 2^31 elements and products of sides below 2^30",
           "larger ones");
  }
  return g;
}

}  // namespace

void bind_resize(py::module_& m) {
  m.def("resize_fwd", [](const py::object& x, const py::object& y, const std::string& mode,
                         bool align_corners, uintptr_t stream) {
    Call call("resize_fwd", stream);
    const ResizeShape g = resize_of(x, y, mode, align_corners);
    const auto* xp = call.input<float>(x, "x", {g.n, g.h, g.w, g.c});
    auto* yp = call.output<float>(y, "y", {g.n, g.p, g.q, g.c});
    resize_fwd(xp, yp, g, call.stream());
    call.finish();
  });

  m.def("resize_bwd", [](const py::object& gy, const py::object& gx, const std::string& mode,
                         bool align_corners, uintptr_t stream) {
    Call call("resize_bwd", stream);
    const ResizeShape g = resize_of(gx, gy, mode, align_corners);
    const auto* gyp = call.input<float>(gy, "gy", {g.n, g.p, g.q, g.c});
    auto* gxp = call.output<float>(gx, "gx", {g.n, g.h, g.w, g.c});
    resize_bwd(gyp, gxp, g, call.stream());
    call.finish();
  });
}

}  // namespace fc::cuda
