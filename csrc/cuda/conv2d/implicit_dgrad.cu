// gx[n,h,w,c] = sum_{r,s,k} gy[n,p,q,k] * w[k,r,s,c]   over p*stride = h + pad - r*dilation, and so
// q
//
// Pixels with the same h mod stride and w mod stride are a phase: they have the same taps, so a
// phase is a product without zeros: gemm_m = its pixels, gemm_n = C/groups, gemm_k = its taps *
// K/groups.
#include "cuda/conv2d/implicit.h"
#include "cuda/conv2d/implicit_plan.h"
#include "cuda/conv2d/tap_loader.h"
#include "cuda/conv2d/window_loader.h"

namespace fc::cuda {
namespace {

// Kernel arguments end at 4 KB: the phases of a stride of 2 go together, more of them one after
// another.
constexpr int kPhasesAtOnce = 4;

template <class T>
struct Phase {
  Windows windows;
  Taps taps;
  Output<T> out;
};

template <class Type, int kVec>
struct InputGradientProblem {
  using T = Type;
  using A = WindowLoader<T, kVec, false>;
  using B = TapLoader<T, kVec>;
  const T *gy, *w;
  Phase<T> phases[kPhasesAtOnce];
  int groups;
  int64_t weights_of_group;

  // batch = phase * groups + group
  FC_DEVICE const Phase<T>& phase(int batch) const { return phases[batch / groups]; }
  FC_DEVICE A a(int batch) const {
    const Windows& windows = phase(batch).windows;
    return {gy + batch % groups * windows.channels, windows, LoadedThrough<T>()};
  }
  FC_DEVICE B b(int batch) const {
    return {w + batch % groups * weights_of_group, phase(batch).taps};
  }
  FC_DEVICE Output<T> output(int batch) const {
    Output<T> out = phase(batch).out;
    out.base += batch % groups * out.columns;
    return out;
  }
  FC_DEVICE int rows(int batch) const { return phase(batch).windows.count; }
  FC_DEVICE int depth(int batch) const { return phase(batch).windows.depth(); }
};

template <class T>
Phase<T> phase_of(const Conv2dProblem& p, T* gx, const PhaseAxis& h, const PhaseAxis& v,
                  bool vectors) {
  Phase<T> phase{};
  phase.windows = gradient_windows(p, h, v);
  phase.taps = {static_cast<int>(p.cg()),
                static_cast<int>(p.r),
                static_cast<int>(p.s),
                h.tap0,
                h.tap_step,
                v.tap0,
                v.tap_step,
                h.taps,
                Divider(p.kg()),
                Divider(v.taps > 0 ? v.taps : 1)};
  Output<T>& out = phase.out;
  out.base = gx + (h.first * p.w + v.first) * p.c;
  out.place = {static_cast<int>(p.n * h.count * v.count),
               p.h * p.w * p.c,
               p.stride_h * p.w * p.c,
               p.stride_w * p.c,
               Divider(int64_t{h.count} * v.count),
               Divider(v.count)};
  out.columns = static_cast<int>(p.cg());
  out.vectors = vectors;
  return phase;
}

template <class T, int kVec>
void run(const Conv2dProblem& p, const T* gy, const T* w, T* gx, Stream stream) {
  const ProductPlan plan = input_gradient_plan(p);
  const bool vectors = p.cg() % kGroup == 0 && vectors_fit<kGroup>(gx, p.c);
  InputGradientProblem<T, kVec> problem{};
  problem.gy = gy;
  problem.w = w;
  problem.groups = static_cast<int>(p.groups);
  problem.weights_of_group = p.kg() * p.r * p.s * p.cg();
  int filled = 0;
  int64_t rows = 0;
  const auto flush = [&] {
    run_product(problem, plan, rows, p.cg(), filled * p.groups, vectors, stream);
    filled = 0;
    rows = 0;
  };
  for (int64_t i = 0; i < p.stride_h; ++i) {
    const PhaseAxis h = phase_axis(i, p.h, p.stride_h, p.pad_top, p.dilation_h, p.r);
    for (int64_t j = 0; j < p.stride_w; ++j) {
      const PhaseAxis v = phase_axis(j, p.w, p.stride_w, p.pad_left, p.dilation_w, p.s);
      const int64_t pixels = p.n * h.count * v.count;
      if (pixels == 0) continue;
      problem.phases[filled++] = phase_of(p, gx, h, v, vectors);
      rows = pixels > rows ? pixels : rows;
      if (filled == kPhasesAtOnce) flush();
    }
  }
  if (filled) flush();
}

}  // namespace

template <class T>
void implicit_dgrad(const Conv2dProblem& p, const T* gy, const T* w, T* gx, void*, Stream stream) {
  constexpr int kVec = kVector<T>;
  if (vectors_of_channels(p, Direction::kDgrad) && vectors_fit<kVec>(gy, p.k) &&
      vectors_fit<kVec>(w, p.cg())) {
    run<T, kVec>(p, gy, w, gx, stream);
  } else {
    run<T, 1>(p, gy, w, gx, stream);
  }
}

template void implicit_dgrad(const Conv2dProblem&, const float*, const float*, float*, void*,
                             Stream);

}  // namespace fc::cuda
