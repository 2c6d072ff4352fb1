// batch_norm_prepare, batch_norm_fold, batch_norm_apply, batch_norm_bwd, layer_norm_fwd,
// layer_norm_bwd, lrn_fwd, lrn_bwd
#include "cpu/allocator.h"
#include "cpu/arguments.h"
#include "cpu/bindings.h"
#include "cpu/isa.h"
#include "cpu/norm.h"

namespace fc {
namespace {

void bind_batch_norm(py::module_& m) {
  const BatchNormKernels kernels = FC_FOR_ISA(batch_norm_kernels)();

  m.def("batch_norm_prepare",
        [kernels](const py::array& sums, double count, py::array mean, py::array rstd,
                  const py::object& running_mean, const py::object& running_var, double momentum,
                  double eps) {
          with_float_type(mean, "batch_norm: mean", [&](auto zero) {
            using T = decltype(zero);
            const int64_t c = mean.size();
            const double* s = input<double>(sums, "batch_norm: sums", {2, c});
            T* mp = output<T>(mean, "batch_norm: mean", {c});
            T* rp = output<T>(rstd, "batch_norm: rstd", {c});
            T* rm = optional_output<T>(running_mean, "batch_norm: running_mean", {c});
            T* rv = optional_output<T>(running_var, "batch_norm: running_var", {c});
            functions<T>(kernels).prepare(s, count, mp, rp, rm, rv, c, momentum, eps);
          });
        });

  m.def("batch_norm_fold",
        [kernels](const py::array& mean, const py::array& var, const py::object& gamma,
                  const py::object& beta, const py::object& b, double eps, py::array scale,
                  const py::object& shift) {
          with_float_type(scale, "batch_norm: scale", [&](auto zero) {
            using T = decltype(zero);
            const int64_t c = scale.size();
            const T* mp = input<T>(mean, "batch_norm: mean", {c});
            const T* vp = input<T>(var, "batch_norm: var", {c});
            const T* gp = optional_input<T>(gamma, "batch_norm: gamma", {c});
            const T* bp = optional_input<T>(beta, "batch_norm: beta", {c});
            const T* bias = optional_input<T>(b, "batch_norm: b", {c});
            T* factor = output<T>(scale, "batch_norm: scale", {c});
            T* term = optional_output<T>(shift, "batch_norm: shift", {c});
            functions<T>(kernels).fold(mp, vp, gp, bp, bias, eps, factor, term, c);
          });
        });

  m.def("batch_norm_apply",
        [kernels](const py::array& x, const py::array& mean, const py::array& rstd,
                  const py::object& gamma, const py::object& beta, const py::object& residual,
                  py::array y, const py::object& act) {
          with_float_type(x, "batch_norm: x", [&](auto zero) {
            using T = decltype(zero);
            const Matrix d(x, "batch_norm: x");
            const T* xp = input<T>(x, "batch_norm: x");
            const T* mp = input<T>(mean, "batch_norm: mean", {d.c});
            const T* rp = input<T>(rstd, "batch_norm: rstd", {d.c});
            const T* gp = optional_input<T>(gamma, "batch_norm: gamma", {d.c});
            const T* bp = optional_input<T>(beta, "batch_norm: beta", {d.c});
            const T* add = optional_input_like<T>(residual, "batch_norm: residual", x);
            T* yp = output_like<T>(y, "batch_norm: y", x);
            const Activation a = activation_of(act);
            py::gil_scoped_release release;
            functions<T>(kernels).apply(xp, mp, rp, gp, bp, add, yp, d.rows, d.c, a);
          });
        });

  // y is None where the gradient of act is taken at the recomputed pre-activation
  m.def("batch_norm_bwd",
        [kernels](const py::array& gy, const py::object& x, const py::object& y,
                  const py::object& residual, const py::object& gamma, const py::object& beta,
                  const py::array& mean, const py::array& rstd, const py::object& act,
                  bool training, const py::object& gx, const py::object& ggamma,
                  const py::object& gbeta, const py::object& gresidual) {
          with_float_type(gy, "batch_norm: gy", [&](auto zero) {
            using T = decltype(zero);
            const Matrix d(gy, "batch_norm: gy");
            BatchNormGrad<T> a;
            a.rows = d.rows, a.c = d.c;
            a.gy = input<T>(gy, "batch_norm: gy");
            a.x = optional_input_like<T>(x, "batch_norm: x", gy);
            a.y = optional_input_like<T>(y, "batch_norm: y", gy);
            a.residual = optional_input_like<T>(residual, "batch_norm: residual", gy);
            a.gamma = optional_input<T>(gamma, "batch_norm: gamma", {d.c});
            a.beta = optional_input<T>(beta, "batch_norm: beta", {d.c});
            a.mean = input<T>(mean, "batch_norm: mean", {d.c});
            a.rstd = input<T>(rstd, "batch_norm: rstd", {d.c});
            a.act = activation_of(act);
            a.training = training;
            a.gx = optional_output_like<T>(gx, "batch_norm: gx", gy);
            a.ggamma = optional_output<T>(ggamma, "batch_norm: ggamma", {d.c});
            a.gbeta = optional_output<T>(gbeta, "batch_norm: gbeta", {d.c});
            a.gresidual = optional_output_like<T>(gresidual, "batch_norm: gresidual", gy);
            const bool recomputes = a.act.code != kIdentity && !a.y;
            if (x.is_none() && (recomputes || a.ggamma || (a.gx && training))) {
              refuse("batch_norm: x", "an array: ggamma, gx or the activation needs it", "None");
            }
            py::gil_scoped_release release;
            const auto& f = functions<T>(kernels);
            Scratch<double> scratch(f.scratch_size(a.rows, a.c));
            f.bwd(a, scratch.data());
          });
        });
}

void bind_layer_norm(py::module_& m) {
  const LayerNormKernels kernels = FC_FOR_ISA(layer_norm_kernels)();

  m.def("layer_norm_fwd",
        [kernels](const py::array& x, const py::object& gamma, const py::object& beta, py::array y,
                  py::array mean, py::array rstd, double eps) {
          with_float_type(x, "layer_norm: x", [&](auto zero) {
            using T = decltype(zero);
            const Matrix d(x, "layer_norm: x");
            const T* xp = input<T>(x, "layer_norm: x");
            const T* gp = optional_input<T>(gamma, "layer_norm: gamma", {d.c});
            const T* bp = optional_input<T>(beta, "layer_norm: beta", {d.c});
            T* yp = output_like<T>(y, "layer_norm: y", x);
            T* mp = output<T>(mean, "layer_norm: mean", {d.rows});
            T* rp = output<T>(rstd, "layer_norm: rstd", {d.rows});
            py::gil_scoped_release release;
            functions<T>(kernels).fwd(xp, gp, bp, yp, mp, rp, d.rows, d.c, eps);
          });
        });

  m.def("layer_norm_bwd",
        [kernels](const py::array& gy, const py::array& x, const py::object& gamma,
                  const py::array& mean, const py::array& rstd, const py::object& gx,
                  const py::object& ggamma, const py::object& gbeta) {
          with_float_type(gy, "layer_norm: gy", [&](auto zero) {
            using T = decltype(zero);
            const Matrix d(gy, "layer_norm: gy");
            LayerNormGrad<T> a;
            a.rows = d.rows, a.c = d.c;
            a.gy = input<T>(gy, "layer_norm: gy");
            a.x = input_like<T>(x, "layer_norm: x", gy);
            a.gamma = optional_input<T>(gamma, "layer_norm: gamma", {d.c});
            a.mean = input<T>(mean, "layer_norm: mean", {d.rows});
            a.rstd = input<T>(rstd, "layer_norm: rstd", {d.rows});
            a.gx = optional_output_like<T>(gx, "layer_norm: gx", gy);
            a.ggamma = optional_output<T>(ggamma, "layer_norm: ggamma", {d.c});
            a.gbeta = optional_output<T>(gbeta, "layer_norm: gbeta", {d.c});
            py::gil_scoped_release release;
            const auto& f = functions<T>(kernels);
            Scratch<double> scratch(f.scratch_size(a.rows, a.c));
            f.bwd(a, scratch.data());
          });
        });
}

void bind_lrn(py::module_& m) {
  const LrnKernels kernels = FC_FOR_ISA(lrn_kernels)();

  m.def("lrn_fwd", [kernels](const py::array& x, py::array y, const py::object& scale, int64_t size,
                             double alpha, double beta, double k) {
    with_float_type(x, "lrn: x", [&](auto zero) {
      using T = decltype(zero);
      const Matrix d(x, "lrn: x");
      const T* xp = input<T>(x, "lrn: x");
      T* yp = output_like<T>(y, "lrn: y", x);
      T* sp = optional_output_like<T>(scale, "lrn: scale", x);
      py::gil_scoped_release release;
      const auto& f = functions<T>(kernels);
      Scratch<T> scratch(f.scratch_size(d.rows, d.c));
      f.fwd(xp, yp, sp, d.rows, d.c, size, alpha, beta, k, scratch.data());
    });
  });

  m.def("lrn_bwd", [kernels](const py::array& gy, const py::array& x, const py::array& scale,
                             py::array gx, int64_t size, double alpha, double beta) {
    with_float_type(gy, "lrn: gy", [&](auto zero) {
      using T = decltype(zero);
      const Matrix d(gy, "lrn: gy");
      const T* gyp = input<T>(gy, "lrn: gy");
      const T* xp = input_like<T>(x, "lrn: x", gy);
      const T* sp = input_like<T>(scale, "lrn: scale", gy);
      T* gxp = output_like<T>(gx, "lrn: gx", gy);
      py::gil_scoped_release release;
      const auto& f = functions<T>(kernels);
      Scratch<T> scratch(f.scratch_size(d.rows, d.c));
      f.bwd(gyp, xp, sp, gxp, d.rows, d.c, size, alpha, beta, scratch.data());
    });
  });
}

}  // namespace

void bind_norm(py::module_& m) {
  bind_batch_norm(m);
  bind_layer_norm(m);
  bind_lrn(m);
}

}  // namespace fc
