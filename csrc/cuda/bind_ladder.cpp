// ladder_depthwise, ladder_conv2d
#include <initializer_list>
#include <limits>
#include <string>

#include "cuda/bindings.h"
#include "cuda/conv_arguments.h"
#include "cuda/ladder/conv2d/steps.h"
#include "cuda/ladder/depthwise/steps.h"

namespace fc::cuda {
namespace {

using Step = void (*)(const Conv2dProblem&, const float* x, const float* w, float* y, Stream);

constexpr Step kDepthwiseSteps[] = {ladder::depthwise_step1, ladder::depthwise_step2,
                                    ladder::depthwise_step3, ladder::depthwise_step4};
constexpr Step kConv2dSteps[] = {ladder::conv2d_step1, ladder::conv2d_step2, ladder::conv2d_step3,
                                 ladder::conv2d_step4};

bool is_empty(const Conv2dProblem& p) { return p.n * p.p * p.q * p.c * p.k == 0; }

void check_depthwise(const Conv2dProblem& p) {
  const bool window = p.r == ladder::kWindow && p.s == ladder::kWindow && p.dilation_h == 1 &&
                      p.dilation_w == 1 && p.stride_h == 1 && p.stride_w == 1;
  if (!window || p.groups != p.c || p.k != p.c || p.c % 4 || is_empty(p) || p.n > 65535) {
    refuse("ladder_depthwise: problem",
           "depthwise, 3x3, stride 1, C a multiple of 4, 1 to 65535 images", "another one");
  }
}

void check_conv2d(const Conv2dProblem& p) {
  const bool window =
      p.r == p.s && (p.r == 1 || p.r == 3) && p.dilation_h == 1 && p.dilation_w == 1;
  // 16 outputs per block of the smallest tile, 65535 blocks along the grid's second axis
  if (!window || p.groups != 1 || p.c % 4 || is_empty(p) || p.k > 16 * 65535 ||
      p.n * p.p * p.q * p.k > std::numeric_limits<int>::max()) {
    refuse("ladder_conv2d: problem",
           "dense, 3x3 or 1x1, dilation 1, C a multiple of 4, 1 to 2^31 - 1 outputs, "
           "K at most 1048560",
           "another one");
  }
}

void check_alignment(const char* name, std::initializer_list<const float*> arrays) {
  for (const float* a : arrays) {
    if (reinterpret_cast<uintptr_t>(a) % 16) {
      refuse(std::string(name) + ": x, w and y", "arrays aligned to 16 bytes", "another one");
    }
  }
}

template <size_t kCount>
void bind_steps(py::module_& m, const char* name, void (*check)(const Conv2dProblem&),
                const Step (&steps)[kCount]) {
  m.def(name, [name, check, &steps](int step, const py::object& x, const py::object& w,
                                    const py::object& y, const py::tuple& problem,
                                    uintptr_t stream) {
    Call call(name, stream);
    const Conv2dProblem p = parse_conv2d_problem(problem);
    check(p);
    if (step < 1 || step > static_cast<int>(kCount)) {
      refuse(std::string(name) + ": step", "1 to " + std::to_string(kCount), std::to_string(step));
    }
    const auto* xp = call.input<float>(x, "x", {p.n, p.h, p.w, p.c});
    const auto* wp = call.input<float>(w, "w", {p.k, p.r, p.s, p.cg()});
    auto* yp = call.output<float>(y, "y", {p.n, p.p, p.q, p.k});
    check_alignment(name, {xp, wp, yp});
    steps[step - 1](p, xp, wp, yp, call.stream());
    call.finish();
  });
}

}  // namespace

void bind_ladder(py::module_& m) {
  bind_steps(m, "ladder_depthwise", check_depthwise, kDepthwiseSteps);
  bind_steps(m, "ladder_conv2d", check_conv2d, kConv2dSteps);
}

}  // namespace fc::cuda
