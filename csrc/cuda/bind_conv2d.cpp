// conv2d_workspace, conv2d_fwd, conv2d_dgrad, conv2d_wgrad
#include "cuda/bindings.h"
#include "cuda/conv2d/algorithms.h"
#include "cuda/conv_arguments.h"

namespace fc::cuda {

void bind_conv2d(py::module_& m) {
  m.def("conv2d_workspace",
        [](const py::tuple& problem, const std::string& direction, const std::string& algorithm) {
          const Conv2dProblem p = parse_conv2d_problem(problem);
          const Direction d = parse_direction(direction);
          return conv2d_workspace(p, d, parse_algorithm(algorithm, p, d));
        });

  m.def("conv2d_fwd",
        [](const py::object& x, const py::object& w, const py::object& y, const py::tuple& problem,
           const std::string& algorithm, const py::object& workspace, const py::tuple& epilogue,
           const py::object& prologue, uintptr_t stream) {
          Call call("conv2d_fwd", stream);
          const Conv2dProblem p = parse_conv2d_problem(problem);
          const Algorithm a = parse_algorithm(algorithm, p, Direction::kFwd);
          const auto* xp = call.input<float>(x, "x", {p.n, p.h, p.w, p.c});
          const auto* wp = call.input<float>(w, "w", {p.k, p.r, p.s, p.cg()});
          auto* yp = call.output<float>(y, "y", {p.n, p.p, p.q, p.k});
          const Epilogue<float> e = parse_epilogue<float>(call, epilogue, {p.n, p.p, p.q, p.k});
          const Prologue<float> pro = parse_prologue<float>(call, prologue, p.c);
          void* ws = call.workspace(workspace, conv2d_workspace(p, Direction::kFwd, a));
          conv2d_fwd(p, a, xp, wp, yp, pro, e, ws, call.stream());
          call.finish();
        });

  m.def("conv2d_dgrad", [](const py::object& gy, const py::object& w, const py::object& gx,
                           const py::tuple& problem, const std::string& algorithm,
                           const py::object& workspace, uintptr_t stream) {
    Call call("conv2d_dgrad", stream);
    const Conv2dProblem p = parse_conv2d_problem(problem);
    const Algorithm a = parse_algorithm(algorithm, p, Direction::kDgrad);
    const auto* gyp = call.input<float>(gy, "gy", {p.n, p.p, p.q, p.k});
    const auto* wp = call.input<float>(w, "w", {p.k, p.r, p.s, p.cg()});
    auto* gxp = call.output<float>(gx, "gx", {p.n, p.h, p.w, p.c});
    void* ws = call.workspace(workspace, conv2d_workspace(p, Direction::kDgrad, a));
    conv2d_dgrad(p, a, gyp, wp, gxp, ws, call.stream());
    call.finish();
  });

  m.def("conv2d_wgrad",
        [](const py::object& x, const py::object& gy, const py::object& gw,
           const py::tuple& problem, const std::string& algorithm, const py::object& workspace,
           const py::object& prologue, uintptr_t stream) {
          Call call("conv2d_wgrad", stream);
          const Conv2dProblem p = parse_conv2d_problem(problem);
          const Algorithm a = parse_algorithm(algorithm, p, Direction::kWgrad);
          const auto* xp = call.input<float>(x, "x", {p.n, p.h, p.w, p.c});
          const auto* gyp = call.input<float>(gy, "gy", {p.n, p.p, p.q, p.k});
          auto* gwp = call.output<float>(gw, "gw", {p.k, p.r, p.s, p.cg()});
          const Prologue<float> pro = parse_prologue<float>(call, prologue, p.c);
          void* ws = call.workspace(workspace, conv2d_workspace(p, Direction::kWgrad, a));
          conv2d_wgrad(p, a, xp, gyp, gwp, pro, ws, call.stream());
          call.finish();
        });
}

}  // namespace fc::cuda
