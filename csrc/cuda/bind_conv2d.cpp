// conv2d_workspace, conv2d_fwd, conv2d_dgrad, conv2d_wgrad
#include "cuda/bindings.h"
#include "cuda/conv_arguments.h"
#include "cuda/depthwise/depthwise.h"

namespace fc::cuda {
namespace {

void check_algorithm(const std::string& name, const Conv2dProblem& p) {
  if (name == "depthwise" && p.groups == p.c && p.k == p.c) return;
  refuse("algorithm", "one that fits the problem", name);
}

}  // namespace

void bind_conv2d(py::module_& m) {
  // forward: enough for an epilogue with sums
  m.def("conv2d_workspace",
        [](const py::tuple& problem, const std::string& direction, const std::string& algorithm) {
          const Conv2dProblem p = parse_conv2d_problem(problem);
          check_algorithm(algorithm, p);
          return depthwise_workspace(p, parse_direction(direction), true);
        });

  m.def("conv2d_fwd",
        [](const py::object& x, const py::object& w, const py::object& y, const py::tuple& problem,
           const std::string& algorithm, const py::object& workspace, const py::tuple& epilogue,
           const py::object& prologue, uintptr_t stream) {
          Call call("conv2d_fwd", stream);
          const Conv2dProblem p = parse_conv2d_problem(problem);
          check_algorithm(algorithm, p);
          const auto* xp = call.input<float>(x, "x", {p.n, p.h, p.w, p.c});
          const auto* wp = call.input<float>(w, "w", {p.k, p.r, p.s, p.cg()});
          auto* yp = call.output<float>(y, "y", {p.n, p.p, p.q, p.k});
          const auto e = parse_epilogue<float>(call, epilogue, {p.n, p.p, p.q, p.k});
          const auto pro = parse_prologue<float>(call, prologue, p.c);
          void* ws =
              call.workspace(workspace, depthwise_workspace(p, Direction::kFwd, e.sums != nullptr));
          depthwise_fwd(p, xp, wp, yp, pro, e, ws, call.stream());
          call.finish();
        });

  m.def("conv2d_dgrad", [](const py::object& gy, const py::object& w, const py::object& gx,
                           const py::tuple& problem, const std::string& algorithm,
                           const py::object& workspace, uintptr_t stream) {
    Call call("conv2d_dgrad", stream);
    const Conv2dProblem p = parse_conv2d_problem(problem);
    check_algorithm(algorithm, p);
    const auto* gyp = call.input<float>(gy, "gy", {p.n, p.p, p.q, p.k});
    const auto* wp = call.input<float>(w, "w", {p.k, p.r, p.s, p.cg()});
    auto* gxp = call.output<float>(gx, "gx", {p.n, p.h, p.w, p.c});
    void* ws = call.workspace(workspace, depthwise_workspace(p, Direction::kDgrad, false));
    depthwise_dgrad(p, gyp, wp, gxp, ws, call.stream());
    call.finish();
  });

  m.def("conv2d_wgrad",
        [](const py::object& x, const py::object& gy, const py::object& gw,
           const py::tuple& problem, const std::string& algorithm, const py::object& workspace,
           const py::object& prologue, uintptr_t stream) {
          Call call("conv2d_wgrad", stream);
          const Conv2dProblem p = parse_conv2d_problem(problem);
          check_algorithm(algorithm, p);
          const auto* xp = call.input<float>(x, "x", {p.n, p.h, p.w, p.c});
          const auto* gyp = call.input<float>(gy, "gy", {p.n, p.p, p.q, p.k});
          auto* gwp = call.output<float>(gw, "gw", {p.k, p.r, p.s, p.cg()});
          const auto pro = parse_prologue<float>(call, prologue, p.c);
          void* ws = call.workspace(workspace, depthwise_workspace(p, Direction::kWgrad, false));
          depthwise_wgrad(p, xp, gyp, gwp, pro, ws, call.stream());
          call.finish();
        });
}

}  // namespace fc::cuda
