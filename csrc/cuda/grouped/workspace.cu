// Which problems fit, and bytes of scratch memory: those of implicit GEMM too, which arrays of any
// alignment may need.
#include "cuda/conv2d/implicit.h"
#include "cuda/grouped/grouped.h"
#include "cuda/grouped/image_kernel.h"
#include "cuda/grouped/wgrad_workspace.h"

namespace fc::cuda {
namespace {

constexpr int64_t kMostChannels = 32;  // of a group

bool few_fours(int64_t channels) {
  return channels > 0 && channels % kChannels == 0 && channels <= kMostChannels;
}

int64_t bytes_of(const Conv2dProblem& p, Direction direction, bool sums) {
  int64_t bytes = 0;
  if (direction == Direction::kFwd && sums) {
    with_grouped_window<false>(p, [&](auto window) {
      bytes = GroupedSums(p, grouped_tiles<decltype(window)>(p), nullptr).bytes;
    });
  } else if (direction == Direction::kWgrad) {
    with_grouped_wgrad(p, [&](auto window) {
      const GroupedWgradTiles tiles(p, decltype(window)::kColumns);
      bytes = GroupedWgradWorkspace(tiles, nullptr).bytes;
    });
  }
  return bytes;
}

}  // namespace

bool grouped_fits(const Conv2dProblem& p) {
  return p.groups > 1 && few_fours(p.cg()) && few_fours(p.kg()) && p.s == 3 &&
         fixed_window(p) / 10 == 3;
}

int64_t grouped_workspace(const Conv2dProblem& p, Direction direction, bool sums) {
  if (p.n * p.p * p.q == 0) return 0;
  return std::max(bytes_of(p, direction, sums), implicit_workspace(p, direction, sums));
}

}  // namespace fc::cuda
