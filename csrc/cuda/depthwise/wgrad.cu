// gw from prologue(x) and gy: the formula is in fixed_wgrad.h.
#include "cuda/depthwise/depthwise.h"
#include "cuda/depthwise/wgrad_workspace.h"

namespace fc::cuda {

template <class T>
void depthwise_wgrad(const Conv2dProblem& p, const T* x, const T* gy, T* gw,
                     const Prologue<T>& prologue, void* workspace, Stream stream) {
  const int64_t results = p.r * p.s * p.c;
  if (results == 0) return;
  if (p.n * p.p * p.q == 0) return fill_zero(gw, results * sizeof(T), stream);
  const bool vectors = all_fit(p.c, x, gy, prologue.scale, prologue.shift);
  with_wgrad_window(p, vectors, [&](auto window, auto channels) {
    using Window = decltype(window);
    constexpr int kN = decltype(channels)::value;
    const auto tiles = Window::template tiles<kN>(p);
    const WgradWorkspace parts(p, tiles.strips.splits, workspace);
    const auto run = [&](auto kernel) {
      launch(kernel, tiles.grid, kBlock, Window::template shared_bytes<kN>(tiles), stream,
             Image(p, false), tiles, x, gy, InputMap<T>(prologue), parts.partial);
    };
    if (prologue.scale) {
      run(Window::template kernel<kN, true>(x));
    } else {
      run(Window::template kernel<kN, false>(x));
    }
    // (R*S, C) to (C, R*S)
    sum_rows(parts.partial, tiles.strips.splits, results, p.c, gw, parts.scratch, stream);
  });
}

template void depthwise_wgrad(const Conv2dProblem&, const float*, const float*, float*,
                              const Prologue<float>&, void*, Stream);

}  // namespace fc::cuda
