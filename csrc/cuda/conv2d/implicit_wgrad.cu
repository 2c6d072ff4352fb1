// gw[k,r,s,c] = sum_{n,p,q} gy[n,p,q,k] * x[n, p*stride+r*dilation-pad, q*stride+s*dilation-pad, c]
//
// As a matrix product, group by group: gemm_m = K/groups, gemm_n = R*S*C/groups, gemm_k = N*P*Q.
// The result is small and the sum long, so the sum is cut into splits, which are added in their
// order.
#include "cuda/conv2d/implicit.h"
#include "cuda/conv2d/implicit_plan.h"
#include "cuda/conv2d/pixel_loader.h"
#include "cuda/gemm/matrix_loader.h"

namespace fc::cuda {
namespace {

template <class Type, int kVec>
struct WeightGradientProblem {
  using T = Type;
  using A = MatrixLoader<T, Major::kMN, kVec>;
  using B = PixelLoader<T, kVec>;
  // all of the first group
  A gradients;  // (K/groups, N*P*Q)
  const T* x;
  Windows windows;
  LoadedThrough<T> through;
  Output<T> out;
  int64_t part_elements;

  FC_DEVICE A a(int group) const {
    A loader = gradients;
    loader.base += group * gradients.rows;
    return loader;
  }
  FC_DEVICE B b(int group) const {
    const int first = group * windows.channels;
    return {x + first, windows, through.from(first)};
  }
  FC_DEVICE Output<T> output(int group) const {
    Output<T> o = out;
    o.base += int64_t{group} * o.place.rows * o.columns;
    if (o.parts) o.parts += group * part_elements;
    return o;
  }
  FC_DEVICE int rows(int) const { return out.place.rows; }
  FC_DEVICE int depth(int) const { return gradients.depth; }
};

template <class T, int kVec>
void run(const Conv2dProblem& p, const T* x, const T* gy, T* gw, const Prologue<T>& prologue,
         void* workspace, Stream stream) {
  const ProductPlan plan = weight_gradient_plan(p);
  const auto kg = static_cast<int>(p.kg()), pixels = static_cast<int>(p.n * p.p * p.q);
  const int64_t columns = p.r * p.s * p.cg();
  Output<T> out{};
  out.base = gw;
  out.place = plain_rows(kg, columns);
  out.columns = static_cast<int>(columns);
  out.vectors = vectors_fit<kGroup>(gw, columns);
  out.parts = plan.splits.count > 1 ? static_cast<float*>(workspace) : nullptr;
  const WeightGradientProblem<T, kVec> problem{{gy, kg, pixels, p.k, LoadedThrough<T>()},
                                               x,
                                               forward_windows(p),
                                               LoadedThrough<T>(prologue),
                                               out,
                                               plan.splits.count * kg * columns};
  run_product(problem, plan, kg, columns, p.groups, out.vectors, stream);
}

}  // namespace

template <class T>
void implicit_wgrad(const Conv2dProblem& p, const T* x, const T* gy, T* gw,
                    const Prologue<T>& prologue, void* workspace, Stream stream) {
  constexpr int kVec = kVector<T>;
  if (vectors_of_channels(p, Direction::kWgrad) && vectors_fit<kVec>(x, p.c) &&
      vectors_fit<kVec>(gy, p.k)) {
    run<T, kVec>(p, x, gy, gw, prologue, workspace, stream);
  } else {
    run<T, 1>(p, x, gy, gw, prologue, workspace, stream);
  }
}

template void implicit_wgrad(const Conv2dProblem&, const float*, const float*, float*,
                             const Prologue<float>&, void*, Stream);

}  // namespace fc::cuda
