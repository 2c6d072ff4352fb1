// ladder_depthwise
#include <iterator>

#include "cuda/bindings.h"
#include "cuda/conv_arguments.h"
#include "cuda/ladder/depthwise/steps.h"

namespace fc::cuda {
namespace {

constexpr decltype(&ladder::depthwise_step1) kDepthwiseSteps[] = {
    ladder::depthwise_step1, ladder::depthwise_step2, ladder::depthwise_step3,
    ladder::depthwise_step4};

void check_depthwise(const Conv2dProblem& p, int step) {
  const bool window = p.r == ladder::kWindow && p.s == ladder::kWindow && p.dilation_h == 1 &&
                      p.dilation_w == 1 && p.stride_h == 1 && p.stride_w == 1;
  if (!window || p.groups != p.c || p.k != p.c || p.c % 4 || p.n * p.p * p.q * p.c == 0 ||
      p.n > 65535) {
    refuse("ladder_depthwise: problem",
           "depthwise, 3x3, stride 1, C a multiple of 4, 1 to 65535 images", "another one");
  }
  if (step < 1 || step > static_cast<int>(std::size(kDepthwiseSteps))) {
    refuse("ladder_depthwise: step", "1 to 4", std::to_string(step));
  }
}

}  // namespace

void bind_ladder(py::module_& m) {
  m.def("ladder_depthwise", [](int step, const py::object& x, const py::object& w,
                               const py::object& y, const py::tuple& problem, uintptr_t stream) {
    Call call("ladder_depthwise", stream);
    const Conv2dProblem p = parse_conv2d_problem(problem);
    check_depthwise(p, step);
    const auto* xp = call.input<float>(x, "x", {p.n, p.h, p.w, p.c});
    const auto* wp = call.input<float>(w, "w", {p.k, p.r, p.s, p.cg()});
    auto* yp = call.output<float>(y, "y", {p.n, p.p, p.q, p.k});
    kDepthwiseSteps[step - 1](p, xp, wp, yp, call.stream());
    call.finish();
  });
}

}  // namespace fc::cuda
