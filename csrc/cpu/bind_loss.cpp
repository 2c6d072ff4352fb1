// softmax_fwd, softmax_bwd, cross_entropy_fwd, cross_entropy_bwd, bce_with_logits_fwd,
// bce_with_logits_bwd, mse_fwd, mse_bwd
#include "cpu/allocator.h"
#include "cpu/arguments.h"
#include "cpu/bindings.h"
#include "cpu/isa.h"
#include "cpu/loss.h"

namespace fc {
namespace {

// What comes from above for `count` values: gloss has one value, or for "none" one each.
template <class T>
Upstream<T> upstream_of(const py::array& gloss, int64_t count, Reduction reduction) {
  const T* g = input<T>(gloss, "gloss");
  const int64_t expected = reduction == Reduction::kNone ? count : 1;
  if (gloss.size() != expected) {
    refuse("gloss", std::to_string(expected) + " values", shape_text(gloss));
  }
  if (reduction == Reduction::kNone) return {g, T(0)};
  return {nullptr,
          reduction == Reduction::kMean ? *g / static_cast<T>(std::max<int64_t>(1, count)) : *g};
}

// loss of `count` values that are not kept apart
template <class T>
T* check_loss(py::array& loss, int64_t count, Reduction reduction) {
  T* out = output<T>(loss, "loss");
  const int64_t expected = reduction == Reduction::kNone ? count : 1;
  if (loss.size() != expected) {
    refuse("loss", std::to_string(expected) + " values", shape_text(loss));
  }
  return out;
}

// 0/0 for the mean of nothing, as torch has it
double reduced(double sum, int64_t count, Reduction reduction) {
  return reduction == Reduction::kMean ? sum / static_cast<double>(count) : sum;
}

Matrix matrix_of(const py::array& a, const char* name) {
  if (a.ndim() != 2) refuse(name, "2 axes (rows, classes)", shape_text(a));
  return Matrix(a, name);
}

// The first row whose label is not a class, or -1.
int64_t bad_label(const int64_t* labels, int64_t rows, int64_t classes) {
  for (int64_t row = 0; row < rows; ++row) {
    if (labels[row] < 0 || labels[row] >= classes) return row;
  }
  return -1;
}

void bind_softmax(py::module_& m) {
  const SoftmaxKernels kernels = FC_FOR_ISA(softmax_kernels)();

  m.def("softmax_fwd", [kernels](const py::array& x, py::array y, bool log) {
    with_float_type(x, "softmax: x", [&](auto zero) {
      using T = decltype(zero);
      const Matrix d = matrix_of(x, "softmax: x");
      const T* xp = input<T>(x, "softmax: x");
      T* yp = output_like<T>(y, "softmax: y", x);
      py::gil_scoped_release release;
      functions<T>(kernels).softmax(xp, yp, d.rows, d.c, log);
    });
  });

  m.def("softmax_bwd", [kernels](const py::array& gy, const py::array& y, py::array gx, bool log) {
    with_float_type(gy, "softmax: gy", [&](auto zero) {
      using T = decltype(zero);
      const Matrix d = matrix_of(gy, "softmax: gy");
      const T* gyp = input<T>(gy, "softmax: gy");
      const T* yp = input_like<T>(y, "softmax: y", gy);
      T* gxp = output_like<T>(gx, "softmax: gx", gy);
      py::gil_scoped_release release;
      functions<T>(kernels).softmax_grad(gyp, yp, gxp, d.rows, d.c, log);
    });
  });

  // Both return the first row whose label is out of range, having done nothing, or -1.
  m.def("cross_entropy_fwd",
        [kernels](const py::array& logits, const py::array& labels, py::array loss, py::array lse,
                  double smoothing, const std::string& reduction) {
          return with_float_type(logits, "cross_entropy: logits", [&](auto zero) {
            using T = decltype(zero);
            const Reduction kind = reduction_of(reduction);
            const Matrix d = matrix_of(logits, "cross_entropy: logits");
            const T* x = input<T>(logits, "cross_entropy: logits");
            const auto* t = input<int64_t>(labels, "cross_entropy: labels", {d.rows});
            T* out = check_loss<T>(loss, d.rows, kind);
            T* total = output<T>(lse, "cross_entropy: lse", {d.rows});
            py::gil_scoped_release release;
            const int64_t bad = bad_label(t, d.rows, d.c);
            if (bad >= 0) return bad;
            Scratch<double> each(d.rows);
            functions<T>(kernels).cross_entropy(x, t, each.data(), total, d.rows, d.c, smoothing);
            double sum = 0;
            for (int64_t row = 0; row < d.rows; ++row) sum += each.data()[row];
            if (kind != Reduction::kNone) {
              *out = static_cast<T>(reduced(sum, d.rows, kind));
            } else {
              for (int64_t row = 0; row < d.rows; ++row)
                out[row] = static_cast<T>(each.data()[row]);
            }
            return int64_t{-1};
          });
        });

  m.def("cross_entropy_bwd",
        [kernels](const py::array& gloss, const py::array& logits, const py::array& labels,
                  const py::array& lse, py::array glogits, double smoothing,
                  const std::string& reduction) {
          return with_float_type(logits, "cross_entropy: logits", [&](auto zero) {
            using T = decltype(zero);
            const Matrix d = matrix_of(logits, "cross_entropy: logits");
            const Upstream<T> g = upstream_of<T>(gloss, d.rows, reduction_of(reduction));
            const T* x = input<T>(logits, "cross_entropy: logits");
            const auto* t = input<int64_t>(labels, "cross_entropy: labels", {d.rows});
            const T* total = input<T>(lse, "cross_entropy: lse", {d.rows});
            T* gx = output_like<T>(glogits, "cross_entropy: glogits", logits);
            py::gil_scoped_release release;
            const int64_t bad = bad_label(t, d.rows, d.c);
            if (bad >= 0) return bad;
            functions<T>(kernels).cross_entropy_grad(g, x, t, total, gx, d.rows, d.c, smoothing);
            return int64_t{-1};
          });
        });
}

// One pair of bindings per loss; each, sum and grad are members of LossFunctions.
template <class Each, class Sum, class Grad>
void bind_pair(py::module_& m, const std::string& name, Each each, Sum sum, Grad grad) {
  m.def((name + "_fwd").c_str(),
        [=](const py::array& x, const py::array& t, py::array loss, const std::string& reduction) {
          with_float_type(x, "x", [&](auto zero) {
            using T = decltype(zero);
            const Reduction kind = reduction_of(reduction);
            const int64_t n = x.size();
            const T* xp = input<T>(x, "x");
            const T* tp = input_like<T>(t, "t", x);
            T* out = check_loss<T>(loss, n, kind);
            py::gil_scoped_release release;
            if (kind == Reduction::kNone) {
              each(xp, tp, out, n);
            } else {
              *out = static_cast<T>(reduced(sum(xp, tp, n), n, kind));
            }
          });
        });

  m.def((name + "_bwd").c_str(), [=](const py::array& gloss, const py::array& x, const py::array& t,
                                     py::array gx, const std::string& reduction) {
    with_float_type(x, "x", [&](auto zero) {
      using T = decltype(zero);
      const Upstream<T> g = upstream_of<T>(gloss, x.size(), reduction_of(reduction));
      const T* xp = input<T>(x, "x");
      const T* tp = input_like<T>(t, "t", x);
      T* gxp = output_like<T>(gx, "gx", x);
      const int64_t n = x.size();
      py::gil_scoped_release release;
      grad(g, xp, tp, gxp, n);
    });
  });
}

void bind_pairs(py::module_& m) {
  const LossKernels kernels = FC_FOR_ISA(loss_kernels)();
  const auto summed = [kernels](auto member) {
    return [kernels, member](const auto* x, const auto* t, int64_t n) {
      using T = std::remove_const_t<std::remove_reference_t<decltype(*x)>>;
      const auto& f = functions<T>(kernels);
      Scratch<double> scratch(f.scratch_size(n));
      return member(f)(x, t, n, scratch.data());
    };
  };
  bind_pair(
      m, "bce_with_logits",
      [kernels](const auto* x, const auto* t, auto* loss, int64_t n) {
        functions<std::remove_reference_t<decltype(*loss)>>(kernels).bce_each(x, t, loss, n);
      },
      summed([](const auto& f) { return f.bce_sum; }),
      [kernels](const auto& g, const auto* x, const auto* t, auto* gx, int64_t n) {
        functions<std::remove_reference_t<decltype(*gx)>>(kernels).bce_grad(g, x, t, gx, n);
      });
  bind_pair(
      m, "mse",
      [kernels](const auto* x, const auto* t, auto* loss, int64_t n) {
        functions<std::remove_reference_t<decltype(*loss)>>(kernels).mse_each(x, t, loss, n);
      },
      summed([](const auto& f) { return f.mse_sum; }),
      [kernels](const auto& g, const auto* x, const auto* t, auto* gx, int64_t n) {
        functions<std::remove_reference_t<decltype(*gx)>>(kernels).mse_grad(g, x, t, gx, n);
      });
}

}  // namespace

void bind_loss(py::module_& m) {
  bind_softmax(m);
  bind_pairs(m);
}

}  // namespace fc
