// gx from gy and w: the formula is in image_kernel.h.
#include "cuda/conv2d/implicit.h"
#include "cuda/grouped/grouped.h"
#include "cuda/grouped/image_kernel.h"

namespace fc::cuda {

template <class T>
void grouped_dgrad(const Conv2dProblem& p, const T* gy, const T* w, T* gx, void* workspace,
                   Stream stream) {
  const int64_t size = p.n * p.h * p.w * p.c;
  if (size == 0) return;
  if (p.p * p.q == 0) return fill_zero(gx, size * sizeof(T), stream);
  if (!all_fit(kChannels, gy, w, gx)) return implicit_dgrad(p, gy, w, gx, workspace, stream);
  with_grouped_window<true>(p, [&](auto window) {
    using Window = decltype(window);
    launch_grouped<Window>(p, grouped_tiles<Window>(p), gy, w, gx, Prologue<T>(), OutputMap<T>(),
                           stream);
  });
}

template void grouped_dgrad(const Conv2dProblem&, const float*, const float*, float*, void*,
                            Stream);

}  // namespace fc::cuda
