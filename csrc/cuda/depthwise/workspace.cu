// Bytes of scratch memory, for any alignment of the arrays.
#include "cuda/depthwise/depthwise.h"
#include "cuda/depthwise/wgrad_workspace.h"
#include "cuda/depthwise/workspace.h"

namespace fc::cuda {
namespace {

template <bool kBackward>
int64_t image_bytes(const Conv2dProblem& p, bool vectors, bool sums) {
  int64_t bytes = 0;
  with_window<kBackward>(p, vectors, [&](auto window, auto channels) {
    bytes =
        ImageWorkspace<decltype(window), decltype(channels)::value, float>(p, nullptr, sums).bytes;
  });
  return bytes;
}

int64_t wgrad_bytes(const Conv2dProblem& p, bool vectors) {
  int64_t bytes = 0;
  with_wgrad_window(p, vectors, [&](auto window, auto channels) {
    const auto tiles = decltype(window)::template tiles<decltype(channels)::value>(p);
    bytes = WgradWorkspace(p, tiles.strips.splits, nullptr).bytes;
  });
  return bytes;
}

int64_t bytes_of(const Conv2dProblem& p, Direction direction, bool sums, bool vectors) {
  if (direction == Direction::kWgrad) return wgrad_bytes(p, vectors);
  return direction == Direction::kFwd ? image_bytes<false>(p, vectors, sums)
                                      : image_bytes<true>(p, vectors, false);
}

}  // namespace

int64_t depthwise_workspace(const Conv2dProblem& p, Direction direction, bool sums) {
  if (p.n * p.p * p.q * p.c == 0) return 0;
  const int64_t scalar = bytes_of(p, direction, sums, false);
  return p.c % kChannels ? scalar : std::max(scalar, bytes_of(p, direction, sums, true));
}

}  // namespace fc::cuda
