// c[m][n] = act(sum_k a[m][k] b[k][n] * scale[n] + shift[n] + residual[m][n])
//
// Both operands are matrices, either way round: linear layers, 1x1 convolutions and what they turn
// into backwards, the explicit im2col convolution.
#include "cuda/gemm/gemm.h"
#include "cuda/gemm/matrix_loader.h"
#include "cuda/gemm/product.h"

namespace fc::cuda {
namespace {

template <class Type, Major kMajorA, Major kMajorB, int kVec>
struct GemmProblem {
  using T = Type;
  using A = MatrixLoader<T, kMajorA, kVec>;
  using B = MatrixLoader<T, kMajorB, kVec>;
  A left;
  B right;
  Output<T> out;

  FC_DEVICE const A& a(int) const { return left; }
  FC_DEVICE const B& b(int) const { return right; }
  FC_DEVICE const Output<T>& output(int) const { return out; }
  FC_DEVICE int rows(int) const { return left.rows; }
  FC_DEVICE int depth(int) const { return left.depth; }
};

// Copies of 16 bytes: the sizes allow them (so says the plan), and so do the places in memory.
bool sizes_fit(const GemmSizes& s) {
  return (s.trans_a ? s.m : s.k) % 4 == 0 && (s.trans_b ? s.k : s.n) % 4 == 0;
}
template <class T>
bool operands_fit(const GemmSizes& s, const T* a, const T* b) {
  return vectors_fit<kVector<T>>(a, s.line_a()) && vectors_fit<kVector<T>>(b, s.line_b());
}

ProductPlan plan_of(const GemmSizes& s, bool sums) {
  return ProductPlan(s.m, s.n, s.k, 1, sizes_fit(s), /*may_split=*/!sums);
}

template <class T, Major kMajorA, Major kMajorB, int kVec>
void run(const GemmSizes& s, const T* a, const T* b, const LoadedThrough<T>& through, bool on_b,
         const Output<T>& out, const ProductPlan& plan, Stream stream) {
  const int m = static_cast<int>(s.m), n = static_cast<int>(s.n), k = static_cast<int>(s.k);
  GemmProblem<T, kMajorA, kMajorB, kVec> problem{
      {a, m, k, s.line_a(), on_b ? LoadedThrough<T>() : through},
      {b, n, k, s.line_b(), on_b ? through : LoadedThrough<T>()},
      out};
  run_product(problem, plan, s.m, s.n, 1, out.vectors, stream);
}

template <class T, int kVec>
void run(const GemmSizes& s, const T* a, const T* b, const LoadedThrough<T>& through, bool on_b,
         const Output<T>& out, const ProductPlan& plan, Stream stream) {
  const auto with = [&](auto f) { f(s, a, b, through, on_b, out, plan, stream); };
  if (s.trans_a && s.trans_b) return with(run<T, Major::kMN, Major::kK, kVec>);
  if (s.trans_a) return with(run<T, Major::kMN, Major::kMN, kVec>);
  if (s.trans_b) return with(run<T, Major::kK, Major::kK, kVec>);
  with(run<T, Major::kK, Major::kMN, kVec>);
}

}  // namespace

int64_t gemm_workspace(const GemmSizes& s, bool sums) {
  const ProductPlan plan = plan_of(s, sums);
  return sums ? ProductPlan::sums_bytes(s.m, s.n) : plan.parts_bytes(s.m, s.n, 1);
}

template <class T>
void gemm(const GemmSizes& s, const T* a, const T* b, T* c, const Prologue<T>& prologue, bool on_b,
          const Epilogue<T>& epilogue, void* workspace, Stream stream) {
  const bool sums = epilogue.sums != nullptr;
  const bool vectors = sizes_fit(s) && operands_fit(s, a, b);
  ProductPlan plan = plan_of(s, sums);
  if (!vectors) plan = plan.scalar(s.m, s.n);
  Output<T> out{};
  out.base = c;
  out.place = plain_rows(s.m, s.line_c());
  out.columns = static_cast<int>(s.n);
  out.vectors = s.n % kGroup == 0 && vectors_fit<kGroup>(c, s.line_c()) &&
                vectors_fit<kGroup>(epilogue.residual, s.line_c());
  out.through = StoredThrough<T>(epilogue);
  out.sums = sums ? static_cast<double*>(workspace) : nullptr;
  out.pitch_sums = static_cast<int>(s.n);
  out.parts = plan.splits.count > 1 ? static_cast<float*>(workspace) : nullptr;
  const LoadedThrough<T> through(prologue);
  if (vectors) {
    run<T, kVector<T>>(s, a, b, through, on_b, out, plan, stream);
  } else {
    run<T, 1>(s, a, b, through, on_b, out, plan, stream);
  }
  if (sums) add_tile_sums(plan, s.m, s.n, workspace, epilogue.sums, stream);
}

template void gemm(const GemmSizes&, const float*, const float*, float*, const Prologue<float>&,
                   bool, const Epilogue<float>&, void*, Stream);

}  // namespace fc::cuda
