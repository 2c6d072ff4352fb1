// y = epilogue(conv(prologue(x), w)): the formula is in image_kernel.h.
#include "cuda/depthwise/depthwise.h"
#include "cuda/depthwise/workspace.h"

namespace fc::cuda {

template <class T>
void depthwise_fwd(const Conv2dProblem& p, const T* x, const T* w, T* y,
                   const Prologue<T>& prologue, const Epilogue<T>& epilogue, void* workspace,
                   Stream stream) {
  if (p.n * p.p * p.q * p.c == 0) {
    if (epilogue.sums) fill_zero(epilogue.sums, 2 * p.c * sizeof(double), stream);
    return;
  }
  const bool vectors = all_fit(p.c, x, y, epilogue.residual, epilogue.scale, epilogue.shift,
                               prologue.scale, prologue.shift);
  OutputMap<T> output{epilogue.scale, epilogue.shift, epilogue.residual, epilogue.act, nullptr};
  with_window<false>(p, vectors, [&](auto window, auto channels) {
    using Window = decltype(window);
    constexpr int kN = decltype(channels)::value;
    const ImageWorkspace<Window, kN, T> parts(p, workspace, epilogue.sums != nullptr);
    output.partial = parts.partial;
    launch_image<Window, kN>(p, x, parts.weights(p, w, stream), y, prologue, output, stream);
    if (epilogue.sums) {
      sum_rows(parts.partial, parts.blocks, 2 * p.c, 2 * p.c, epilogue.sums, parts.scratch, stream);
    }
  });
}

template void depthwise_fwd(const Conv2dProblem&, const float*, const float*, float*,
                            const Prologue<float>&, const Epilogue<float>&, void*, Stream);

}  // namespace fc::cuda
