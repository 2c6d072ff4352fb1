// y = epilogue(conv(prologue(x), w)): the formula is in image_kernel.h.
#include "cuda/conv2d/implicit.h"
#include "cuda/grouped/grouped.h"
#include "cuda/grouped/image_kernel.h"

namespace fc::cuda {

template <class T>
void grouped_fwd(const Conv2dProblem& p, const T* x, const T* w, T* y, const Prologue<T>& prologue,
                 const Epilogue<T>& epilogue, void* workspace, Stream stream) {
  if (p.n * p.p * p.q == 0) {
    if (epilogue.sums) fill_zero(epilogue.sums, 2 * p.k * sizeof(double), stream);
    return;
  }
  if (!all_fit(kChannels, x, w, y, epilogue.residual, epilogue.scale, epilogue.shift,
               prologue.scale, prologue.shift)) {
    return implicit_fwd(p, x, w, y, prologue, epilogue, workspace, stream);
  }
  OutputMap<T> output{epilogue.scale, epilogue.shift, epilogue.residual, epilogue.act, nullptr};
  with_grouped_window<false>(p, [&](auto window) {
    using Window = decltype(window);
    const Tiles tiles = grouped_tiles<Window>(p);
    const GroupedSums sums(p, tiles, workspace);
    if (epilogue.sums) output.partial = sums.partial;
    launch_grouped<Window>(p, tiles, x, w, y, prologue, output, stream);
    if (epilogue.sums) {
      sum_rows(sums.partial, sums.blocks, 2 * p.k, 2 * p.k, epilogue.sums, sums.scratch, stream);
    }
  });
}

template void grouped_fwd(const Conv2dProblem&, const float*, const float*, float*,
                          const Prologue<float>&, const Epilogue<float>&, void*, Stream);

}  // namespace fc::cuda
