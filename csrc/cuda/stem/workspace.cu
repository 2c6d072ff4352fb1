// Bytes of scratch memory, for any alignment of the arrays.
#include "cuda/gemm/sum_rows.h"
#include "cuda/stem/plan.h"
#include "cuda/stem/stem.h"

namespace fc::cuda {

int64_t stem_workspace(const Conv2dProblem& p, Direction direction) {
  if (p.n * p.p * p.q * p.k == 0) return 0;
  const StemImage image(p);
  if (direction == Direction::kWgrad) {
    const StemWgradPlan plan(p, image);
    return plan.partial_bytes(p) + sum_rows_workspace(plan.splits, p.r * p.s * p.c * p.k);
  }
  const StemFwdPlan plan(p, image);
  return plan.sums_bytes(p) + sum_rows_workspace(plan.patch.tiles, 2 * p.k);
}

}  // namespace fc::cuda
