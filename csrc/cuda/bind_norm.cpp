// batch_norm_prepare, batch_norm_fold, batch_norm_apply, batch_norm_bwd, layer_norm_fwd,
// layer_norm_bwd, lrn_fwd, lrn_bwd
#include "cuda/arguments.h"
#include "cuda/bindings.h"
#include "cuda/norm/norm.h"

namespace fc::cuda {
namespace {

// Arrays with as many elements as another one, or None.
const float* optional_input_like(Call& call, const py::handle& a, const char* name, const Rows& d) {
  return a.is_none() ? nullptr : call.input_of_size<float>(a, name, d.size());
}
float* optional_output_like(Call& call, const py::handle& a, const char* name, const Rows& d) {
  return a.is_none() ? nullptr : call.output_of_size<float>(a, name, d.size());
}

void bind_batch_norm(py::module_& m) {
  m.def("batch_norm_prepare",
        [](const py::object& sums, double count, const py::object& mean, const py::object& rstd,
           const py::object& running_mean, const py::object& running_var, double momentum,
           double eps, uintptr_t stream) {
          Call call("batch_norm_prepare", stream);
          const int64_t c = look_at(mean, "batch_norm_prepare: mean").size();
          const auto* sp = call.input<double>(sums, "sums", {2, c});
          auto* mp = call.output<float>(mean, "mean", {c});
          auto* rp = call.output<float>(rstd, "rstd", {c});
          auto* rm = call.optional_inout<float>(running_mean, "running_mean", {c});
          auto* rv = call.optional_inout<float>(running_var, "running_var", {c});
          batch_norm_prepare(sp, count, mp, rp, rm, rv, c, momentum, eps, call.stream());
          call.finish();
        });

  m.def("batch_norm_fold",
        [](const py::object& mean, const py::object& var, const py::object& gamma,
           const py::object& beta, const py::object& b, double eps, const py::object& scale,
           const py::object& shift, uintptr_t stream) {
          Call call("batch_norm_fold", stream);
          const int64_t c = look_at(scale, "batch_norm_fold: scale").size();
          const auto* mp = call.input<float>(mean, "mean", {c});
          const auto* vp = call.input<float>(var, "var", {c});
          const auto* gp = call.optional_input<float>(gamma, "gamma", {c});
          const auto* bp = call.optional_input<float>(beta, "beta", {c});
          const auto* bias = call.optional_input<float>(b, "b", {c});
          auto* factor = call.output<float>(scale, "scale", {c});
          auto* term = call.optional_output<float>(shift, "shift", {c});
          batch_norm_fold(mp, vp, gp, bp, bias, eps, factor, term, c, call.stream());
          call.finish();
        });

  m.def("batch_norm_apply", [](const py::object& x, const py::object& mean, const py::object& rstd,
                               const py::object& gamma, const py::object& beta,
                               const py::object& residual, const py::object& y,
                               const py::object& act, uintptr_t stream) {
    Call call("batch_norm_apply", stream);
    const Rows d(x, "batch_norm_apply: x");
    const auto* xp = call.input_of_size<float>(x, "x", d.size());
    const auto* mp = call.input<float>(mean, "mean", {d.c});
    const auto* rp = call.input<float>(rstd, "rstd", {d.c});
    const auto* gp = call.optional_input<float>(gamma, "gamma", {d.c});
    const auto* bp = call.optional_input<float>(beta, "beta", {d.c});
    const auto* add = optional_input_like(call, residual, "residual", d);
    auto* yp = call.output_of_size<float>(y, "y", d.size());
    batch_norm_apply(xp, mp, rp, gp, bp, add, yp, d.rows, d.c, activation_of(act), call.stream());
    call.finish();
  });

  m.def("batch_norm_bwd_workspace", batch_norm_bwd_workspace);

  // y is None where the gradient of act is taken at the recomputed pre-activation
  m.def("batch_norm_bwd",
        [](const py::object& gy, const py::object& x, const py::object& y,
           const py::object& residual, const py::object& gamma, const py::object& beta,
           const py::object& mean, const py::object& rstd, const py::object& act, bool training,
           const py::object& gx, const py::object& ggamma, const py::object& gbeta,
           const py::object& gresidual, const py::object& workspace, uintptr_t stream) {
          Call call("batch_norm_bwd", stream);
          const Rows d(gy, "batch_norm_bwd: gy");
          BatchNormGrad<float> a;
          a.rows = d.rows, a.channels = d.c;
          a.gy = call.input_of_size<float>(gy, "gy", d.size());
          a.x = optional_input_like(call, x, "x", d);
          a.y = optional_input_like(call, y, "y", d);
          a.residual = optional_input_like(call, residual, "residual", d);
          a.gamma = call.optional_input<float>(gamma, "gamma", {d.c});
          a.beta = call.optional_input<float>(beta, "beta", {d.c});
          a.mean = call.input<float>(mean, "mean", {d.c});
          a.rstd = call.input<float>(rstd, "rstd", {d.c});
          a.act = activation_of(act);
          a.training = training;
          a.gx = optional_output_like(call, gx, "gx", d);
          a.ggamma = call.optional_output<float>(ggamma, "ggamma", {d.c});
          a.gbeta = call.optional_output<float>(gbeta, "gbeta", {d.c});
          a.gresidual = optional_output_like(call, gresidual, "gresidual", d);
          if (x.is_none() && a.needs_x()) {
            refuse("batch_norm_bwd: x", "an array: ggamma, gx or the activation needs it", "None");
          }
          if (a.gx && a.gx == a.gy) refuse("batch_norm_bwd: gx", "another array than gy", "gy");
          void* scratch = call.workspace(workspace, batch_norm_bwd_workspace(d.size(), d.c));
          batch_norm_bwd(a, scratch, call.stream());
          call.finish();
        });
}

void bind_layer_norm(py::module_& m) {
  m.def("layer_norm_fwd", [](const py::object& x, const py::object& gamma, const py::object& beta,
                             const py::object& y, const py::object& mean, const py::object& rstd,
                             double eps, uintptr_t stream) {
    Call call("layer_norm_fwd", stream);
    const Rows d(x, "layer_norm_fwd: x");
    const auto* xp = call.input_of_size<float>(x, "x", d.size());
    const auto* gp = call.optional_input<float>(gamma, "gamma", {d.c});
    const auto* bp = call.optional_input<float>(beta, "beta", {d.c});
    auto* yp = call.output_of_size<float>(y, "y", d.size());
    auto* mp = call.output<float>(mean, "mean", {d.rows});
    auto* rp = call.output<float>(rstd, "rstd", {d.rows});
    layer_norm_fwd(xp, gp, bp, yp, mp, rp, d.rows, d.c, eps, call.stream());
    call.finish();
  });

  m.def("layer_norm_bwd_workspace", layer_norm_bwd_workspace);

  m.def("layer_norm_bwd", [](const py::object& gy, const py::object& x, const py::object& gamma,
                             const py::object& mean, const py::object& rstd, const py::object& gx,
                             const py::object& ggamma, const py::object& gbeta,
                             const py::object& workspace, uintptr_t stream) {
    Call call("layer_norm_bwd", stream);
    const Rows d(gy, "layer_norm_bwd: gy");
    LayerNormGrad<float> a;
    a.rows = d.rows, a.channels = d.c;
    a.gy = call.input_of_size<float>(gy, "gy", d.size());
    a.x = call.input_of_size<float>(x, "x", d.size());
    a.gamma = call.optional_input<float>(gamma, "gamma", {d.c});
    a.mean = call.input<float>(mean, "mean", {d.rows});
    a.rstd = call.input<float>(rstd, "rstd", {d.rows});
    a.gx = optional_output_like(call, gx, "gx", d);
    a.ggamma = call.optional_output<float>(ggamma, "ggamma", {d.c});
    a.gbeta = call.optional_output<float>(gbeta, "gbeta", {d.c});
    void* scratch = call.workspace(workspace, layer_norm_bwd_workspace(d.rows, d.c));
    layer_norm_bwd(a, scratch, call.stream());
    call.finish();
  });
}

void bind_lrn(py::module_& m) {
  m.def("lrn_fwd", [](const py::object& x, const py::object& y, const py::object& scale,
                      int64_t size, double alpha, double beta, double k, uintptr_t stream) {
    Call call("lrn_fwd", stream);
    const Rows d(x, "lrn_fwd: x");
    const auto* xp = call.input_of_size<float>(x, "x", d.size());
    auto* yp = call.output_of_size<float>(y, "y", d.size());
    auto* sp = optional_output_like(call, scale, "scale", d);
    if (yp == xp) refuse("lrn_fwd: y", "another array than x", "x");
    lrn_fwd(xp, yp, sp, d.rows, d.c, size, alpha, beta, k, call.stream());
    call.finish();
  });

  m.def("lrn_bwd",
        [](const py::object& gy, const py::object& x, const py::object& scale, const py::object& gx,
           int64_t size, double alpha, double beta, uintptr_t stream) {
          Call call("lrn_bwd", stream);
          const Rows d(gy, "lrn_bwd: gy");
          const auto* gyp = call.input_of_size<float>(gy, "gy", d.size());
          const auto* xp = call.input_of_size<float>(x, "x", d.size());
          const auto* sp = call.input_of_size<float>(scale, "scale", d.size());
          auto* gxp = call.output_of_size<float>(gx, "gx", d.size());
          if (gxp == gyp || gxp == xp || gxp == sp) {
            refuse("lrn_bwd: gx", "an array of its own", "an input");
          }
          lrn_bwd(gyp, xp, sp, gxp, d.rows, d.c, size, alpha, beta, call.stream());
          call.finish();
        });
}

}  // namespace

void bind_norm(py::module_& m) {
  bind_batch_norm(m);
  bind_layer_norm(m);
  bind_lrn(m);
}

}  // namespace fc::cuda
