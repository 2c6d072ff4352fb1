// gw from prologue(x) and gy: the formula is in wgrad_kernel.h.
#include "cuda/conv2d/implicit.h"
#include "cuda/grouped/grouped.h"
#include "cuda/grouped/wgrad_workspace.h"

namespace fc::cuda {

template <class T>
void grouped_wgrad(const Conv2dProblem& p, const T* x, const T* gy, T* gw,
                   const Prologue<T>& prologue, void* workspace, Stream stream) {
  if (p.n * p.p * p.q == 0) {
    return fill_zero(gw, p.k * p.r * p.s * p.cg() * sizeof(T), stream);
  }
  if (!all_fit(kChannels, x, gy, prologue.scale, prologue.shift)) {
    return implicit_wgrad(p, x, gy, gw, prologue, workspace, stream);
  }
  with_grouped_wgrad(p, [&](auto window) {
    using Window = decltype(window);
    const GroupedWgradTiles tiles(p, Window::kColumns);
    const GroupedWgradWorkspace parts(tiles, workspace);
    const auto run = [&](auto kernel) {
      launch(kernel, tiles.grid(), tiles.threads(), tiles.shared_bytes(), stream, Image(p, false),
             tiles, x, gy, InputMap<T>(prologue), parts.partial);
    };
    if (prologue.scale) {
      run(grouped_wgrad_kernel<T, Window, true>);
    } else {
      run(grouped_wgrad_kernel<T, Window, false>);
    }
    const int64_t results = tiles.results();
    sum_rows(parts.partial, tiles.strips.splits, results, results, gw, parts.scratch, stream);
  });
}

template void grouped_wgrad(const Conv2dProblem&, const float*, const float*, float*,
                            const Prologue<float>&, void*, Stream);

}  // namespace fc::cuda
