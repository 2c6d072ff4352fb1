// gx from gy and w: the formula is in image_kernel.h.
#include "cuda/depthwise/depthwise.h"
#include "cuda/depthwise/workspace.h"

namespace fc::cuda {

template <class T>
void depthwise_dgrad(const Conv2dProblem& p, const T* gy, const T* w, T* gx, void* workspace,
                     Stream stream) {
  const int64_t size = p.n * p.h * p.w * p.c;
  if (size == 0) return;
  if (p.p * p.q == 0) return fill_zero(gx, size * sizeof(T), stream);
  const bool vectors = all_fit(p.c, gy, gx);
  with_window<true>(p, vectors, [&](auto window, auto channels) {
    using Window = decltype(window);
    constexpr int kN = decltype(channels)::value;
    const ImageWorkspace<Window, kN, T> parts(p, workspace, false);
    launch_image<Window, kN>(p, gy, parts.weights(p, w, stream), gx, Prologue<T>(), OutputMap<T>(),
                             stream);
  });
}

template void depthwise_dgrad(const Conv2dProblem&, const float*, const float*, float*, void*,
                              Stream);

}  // namespace fc::cuda
