// y[n,p,q,k] = act(sum_{r,s,c} x[n, p*stride+r*dilation-pad, ..., c] * w[k,r,s,c] * scale[k]
//                  + shift[k] + residual[n,p,q,k])
//
// x (N,H,W,C), w (K,R,S,C/groups), y (N,P,Q,K). As a matrix product, group by group:
// gemm_m = N*P*Q, gemm_n = K/groups, gemm_k = R*S*C/groups.
#include "cuda/conv2d/implicit.h"
#include "cuda/conv2d/implicit_plan.h"
#include "cuda/conv2d/window_loader.h"
#include "cuda/gemm/matrix_loader.h"

namespace fc::cuda {
namespace {

template <class Type, int kVec>
struct ForwardProblem {
  using T = Type;
  using A = WindowLoader<T, kVec, true>;
  using B = MatrixLoader<T, Major::kK, kVec>;
  // all of the first group
  const T* x;
  Windows windows;
  LoadedThrough<T> through;
  B weights;  // (K/groups, R*S*C/groups)
  Output<T> out;
  int64_t part_elements;

  FC_DEVICE A a(int group) const {
    const int first = group * windows.channels;
    return {x + first, windows, through.from(first)};
  }
  FC_DEVICE B b(int group) const {
    B loader = weights;
    loader.base += int64_t{group} * weights.rows * weights.depth;
    return loader;
  }
  FC_DEVICE Output<T> output(int group) const {
    Output<T> o = out;
    const int first = group * out.columns;
    o.base += first;
    if (o.through.scale) o.through.scale += first;
    if (o.through.shift) o.through.shift += first;
    if (o.through.residual) o.through.residual += first;
    if (o.sums) o.sums += first;
    if (o.parts) o.parts += group * part_elements;
    return o;
  }
  FC_DEVICE int rows(int) const { return out.place.rows; }
  FC_DEVICE int depth(int) const { return weights.depth; }
};

template <class T, int kVec>
void run(const Conv2dProblem& p, const T* x, const T* w, const Prologue<T>& prologue,
         const Output<T>& out, const ProductPlan& plan, Stream stream) {
  const auto kg = static_cast<int>(p.kg()), depth = static_cast<int>(p.r * p.s * p.cg());
  const int64_t rows = p.n * p.p * p.q;
  const ForwardProblem<T, kVec> problem{x,
                                        forward_windows(p),
                                        LoadedThrough<T>(prologue),
                                        {w, kg, depth, depth, LoadedThrough<T>()},
                                        out,
                                        plan.splits.count * rows * kg};
  run_product(problem, plan, rows, p.kg(), p.groups, out.vectors, stream);
}

}  // namespace

template <class T>
void implicit_fwd(const Conv2dProblem& p, const T* x, const T* w, T* y, const Prologue<T>& prologue,
                  const Epilogue<T>& epilogue, void* workspace, Stream stream) {
  const bool sums = epilogue.sums != nullptr;
  constexpr int kVec = kVector<T>;
  const bool vectors = vectors_of_channels(p, Direction::kFwd) && vectors_fit<kVec>(x, p.c) &&
                       vectors_fit<kVec>(w, p.cg());
  ProductPlan plan = forward_plan(p, sums);
  if (!vectors) plan = plan.scalar(p.n * p.p * p.q, p.kg());
  Output<T> out{};
  out.base = y;
  out.place = plain_rows(p.n * p.p * p.q, p.k);
  out.columns = static_cast<int>(p.kg());
  out.vectors = p.kg() % kGroup == 0 && vectors_fit<kGroup>(y, p.k) &&
                vectors_fit<kGroup>(epilogue.residual, p.k);
  out.through = StoredThrough<T>(epilogue);
  out.sums = sums ? static_cast<double*>(workspace) : nullptr;
  out.pitch_sums = static_cast<int>(p.k);
  out.parts = plan.splits.count > 1 ? static_cast<float*>(workspace) : nullptr;
  if (vectors) {
    run<T, kVec>(p, x, w, prologue, out, plan, stream);
  } else {
    run<T, 1>(p, x, w, prologue, out, plan, stream);
  }
  if (sums) add_tile_sums(plan, p.n * p.p * p.q, p.k, workspace, epilogue.sums, stream);
}

template void implicit_fwd(const Conv2dProblem&, const float*, const float*, float*,
                           const Prologue<float>&, const Epilogue<float>&, void*, Stream);

int64_t implicit_workspace(const Conv2dProblem& p, Direction direction, bool sums) {
  if (direction == Direction::kDgrad) return 0;
  if (direction == Direction::kWgrad) {
    return weight_gradient_plan(p).parts_bytes(p.kg(), p.r * p.s * p.cg(), p.groups);
  }
  const ProductPlan plan = forward_plan(p, sums);
  return sums ? ProductPlan::sums_bytes(p.n * p.p * p.q, p.k)
              : plan.parts_bytes(p.n * p.p * p.q, p.kg(), p.groups);
}

}  // namespace fc::cuda
