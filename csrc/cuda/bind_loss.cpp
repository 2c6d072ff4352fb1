// softmax_fwd, softmax_bwd, cross_entropy_fwd, cross_entropy_bwd, bce_with_logits_fwd,
// bce_with_logits_bwd, mse_fwd, mse_bwd, and the workspaces of the losses
#include "cuda/arguments.h"
#include "cuda/bindings.h"
#include "cuda/loss/loss.h"

namespace fc::cuda {
namespace {

Reduction reduction_of(const std::string& name) {
  if (name == "none") return Reduction::kNone;
  if (name == "sum") return Reduction::kSum;
  if (name == "mean") return Reduction::kMean;
  refuse("reduction", "none, sum or mean", name);
}

// How many values a loss of `count` values gives, or its gradient takes.
int64_t kept(int64_t count, Reduction reduction) {
  return reduction == Reduction::kNone ? count : 1;
}

struct Matrix {
  int64_t rows, c;

  Matrix(const py::handle& array, const std::string& name) {
    const Array a = look_at(array, name);
    if (a.shape.size() != 2) {
      refuse(name, "2 axes (rows, classes)", std::to_string(a.shape.size()) + " axes");
    }
    rows = a.shape[0], c = a.shape[1];
    // a column's index is an int, with room for a block's stride
    if (c > INT32_MAX / 2) refuse(name, "at most 2^30 classes", std::to_string(c));
  }
};

void bind_softmax(py::module_& m) {
  m.def("softmax_fwd", [](const py::object& x, const py::object& y, bool log, uintptr_t stream) {
    Call call("softmax_fwd", stream);
    const Matrix d(x, "softmax_fwd: x");
    const auto* xp = call.input<float>(x, "x", {d.rows, d.c});
    auto* yp = call.output<float>(y, "y", {d.rows, d.c});
    softmax_fwd(xp, yp, d.rows, static_cast<int>(d.c), log, call.stream());
    call.finish();
  });

  m.def("softmax_bwd", [](const py::object& gy, const py::object& y, const py::object& gx, bool log,
                          uintptr_t stream) {
    Call call("softmax_bwd", stream);
    const Matrix d(gy, "softmax_bwd: gy");
    const auto* gyp = call.input<float>(gy, "gy", {d.rows, d.c});
    const auto* yp = call.input<float>(y, "y", {d.rows, d.c});
    auto* gxp = call.output<float>(gx, "gx", {d.rows, d.c});
    softmax_bwd(gyp, yp, gxp, d.rows, static_cast<int>(d.c), log, call.stream());
    call.finish();
  });
}

void bind_cross_entropy(py::module_& m) {
  m.def("cross_entropy_workspace", [](int64_t rows, const std::string& reduction) {
    return cross_entropy_workspace(rows, reduction_of(reduction));
  });

  m.def("cross_entropy_fwd",
        [](const py::object& logits, const py::object& labels, const py::object& loss,
           const py::object& lse, double smoothing, const std::string& reduction,
           const py::object& workspace, uintptr_t stream) {
          Call call("cross_entropy_fwd", stream);
          const Reduction kind = reduction_of(reduction);
          const Matrix d(logits, "cross_entropy_fwd: logits");
          const auto* x = call.input<float>(logits, "logits", {d.rows, d.c});
          const auto* t = call.input<int64_t>(labels, "labels", {d.rows});
          auto* out = call.output_of_size<float>(loss, "loss", kept(d.rows, kind));
          auto* total = call.output<float>(lse, "lse", {d.rows});
          void* partial = call.workspace(workspace, cross_entropy_workspace(d.rows, kind));
          cross_entropy_fwd(x, t, out, total, d.rows, static_cast<int>(d.c), smoothing, kind,
                            static_cast<double*>(partial), call.stream());
          call.finish();
        });

  m.def("cross_entropy_bwd",
        [](const py::object& gloss, const py::object& logits, const py::object& labels,
           const py::object& lse, const py::object& glogits, double smoothing,
           const std::string& reduction, uintptr_t stream) {
          Call call("cross_entropy_bwd", stream);
          const Reduction kind = reduction_of(reduction);
          const Matrix d(logits, "cross_entropy_bwd: logits");
          const auto* g = call.input_of_size<float>(gloss, "gloss", kept(d.rows, kind));
          const auto* x = call.input<float>(logits, "logits", {d.rows, d.c});
          const auto* t = call.input<int64_t>(labels, "labels", {d.rows});
          const auto* total = call.input<float>(lse, "lse", {d.rows});
          auto* gx = call.output<float>(glogits, "glogits", {d.rows, d.c});
          cross_entropy_bwd(g, x, t, total, gx, d.rows, static_cast<int>(d.c), smoothing, kind,
                            call.stream());
          call.finish();
        });
}

using Forward = void (*)(const float* x, const float* t, float* loss, int64_t size,
                         Reduction reduction, double* partial, Stream stream);
using Backward = void (*)(const float* gloss, const float* x, const float* t, float* gx,
                          int64_t size, Reduction reduction, Stream stream);

void bind_pair(py::module_& m, const std::string& name, Forward forward, Backward backward) {
  m.def((name + "_fwd").c_str(),
        [=](const py::object& x, const py::object& t, const py::object& loss,
            const std::string& reduction, const py::object& workspace, uintptr_t stream) {
          Call call((name + "_fwd").c_str(), stream);
          const Reduction kind = reduction_of(reduction);
          const int64_t size = look_at(x, name + "_fwd: x").size();
          const auto* xp = call.input_of_size<float>(x, "x", size);
          const auto* tp = call.input_of_size<float>(t, "t", size);
          auto* out = call.output_of_size<float>(loss, "loss", kept(size, kind));
          void* partial = call.workspace(workspace, loss_workspace(size, kind));
          forward(xp, tp, out, size, kind, static_cast<double*>(partial), call.stream());
          call.finish();
        });

  m.def((name + "_bwd").c_str(),
        [=](const py::object& gloss, const py::object& x, const py::object& t, const py::object& gx,
            const std::string& reduction, uintptr_t stream) {
          Call call((name + "_bwd").c_str(), stream);
          const Reduction kind = reduction_of(reduction);
          const int64_t size = look_at(x, name + "_bwd: x").size();
          const auto* g = call.input_of_size<float>(gloss, "gloss", kept(size, kind));
          const auto* xp = call.input_of_size<float>(x, "x", size);
          const auto* tp = call.input_of_size<float>(t, "t", size);
          auto* gxp = call.output_of_size<float>(gx, "gx", size);
          backward(g, xp, tp, gxp, size, kind, call.stream());
          call.finish();
        });
}

}  // namespace

void bind_loss(py::module_& m) {
  bind_softmax(m);
  bind_cross_entropy(m);
  m.def("loss_workspace", [](int64_t size, const std::string& reduction) {
    return loss_workspace(size, reduction_of(reduction));
  });
  bind_pair(m, "bce_with_logits", bce_with_logits_fwd<float>, bce_with_logits_bwd<float>);
  bind_pair(m, "mse", mse_fwd<float>, mse_bwd<float>);
}

}  // namespace fc::cuda
