// y[n,p,q,k] = act(sum_{r,s,c} x[n, p+r-pad, q+s-pad, c] * w[k,r,s,c] * scale[k] + shift[k]
//                  + residual[n,p,q,k])
//
// x (N,H,W,C), w (K,3,3,C), y (N,P,Q,K), in tiles of 4 x 4 outputs, F(4x4, 3x3):
//
//   y = A' [sum_c (G w G') .* (B' d B)] A,   d: 6 x 6 pixels of x      Lavin, Gray 2015
//
// 36 multiplications for 16 outputs instead of 144. gx is the same of gy, with the window turned
// round and the roles of C and K exchanged. All of it is one kernel but the weights, which another
// one transforms first; its structure (all frequencies of a tile in one block, pixels fetched into
// registers while the ones before are multiplied) is that of Yan, Wang, Chu 2020, "Optimizing
// batched Winograd convolution on GPUs".
//
// Error bound: |y - y64| <= c * sqrt(9*C) * eps * max over the tile of (|x| conv |w|) with c = 8:
// outputs of a tile share their rounding errors. (In the emulator: up to 3.7 with one channel, 0.2
// in the layers of ResNet, whose errors are below 3e-5 x rms(y).) For the same reason an infinity
// or NaN in x makes its whole tile NaN, also where the tile's other windows do not reach it.
//
// Occupancy: 255 registers a thread and 63 KB of shared memory, so that a block of eight warps has
// a multiprocessor for itself; they hide latencies by 144 independent accumulators a thread. V is
// not double-buffered: that would take 99 KB. Not measured on a GPU.
#include "cuda/gemm/sum_rows.h"
#include "cuda/winograd/patch.h"
#include "cuda/winograd/store.h"
#include "cuda/winograd/weights.h"
#include "cuda/winograd/winograd.h"

namespace fc::cuda {
namespace winograd {
namespace {

template <class T>
struct Arguments {
  Image image;
  const T* x;
  const float* u;  // (column blocks, channels / kStep, kBlockStep)
  T* y;
  LoadedThrough<T> loaded;
  StoredThrough<T> stored;
  double* partial;  // (tile blocks, 2, columns) or null
  Divider by_columns;
};

// grid: column blocks of the first tile block, of the next one, ...: blocks that run side by side
// read the same pixels, and all of the weights, which the second-level cache holds.
template <class T, bool kPrologue>
__global__ void __launch_bounds__(kThreads, 1)
    winograd_kernel(const __grid_constant__ Arguments<T> a) {
  float* const image = shared_memory<float>();  // V: (36, kDepth, 32)
  int tile_block, column_block;
  a.by_columns.split(static_cast<int>(blockIdx.x), tile_block, column_block);
  const int depths = a.image.depths(), steps = depths * kSteps;

  WeightRing ring(a.u + int64_t{column_block} * steps * kBlockStep, steps, image + kImageElements);
  Patch<T> patch(a.x, a.image, tile_block * kTiles);
  patch.load_next();
  const Place place;
  Accumulators acc;
  for (int depth = 0; depth < depths; ++depth) {
    if constexpr (kPrologue) patch.prologue(a.loaded);
    __syncthreads();  // V has been read
    patch.store_transformed(image);
    __syncthreads();
    // they arrive during the multiplications
    patch.load_next();
#pragma unroll 1
    for (int c = 0; c < kDepth; c += kStep) {
      const float* const weights = ring.next();
#pragma unroll
      for (int i = 0; i < kStep; ++i) {
        acc.multiply(image, weights + i * kWarpLine, c + i, place);
      }
    }
  }
  wait_copies<0>();
  store_output(acc, place, a.image, a.stored, a.y, tile_block, column_block, a.partial, image);
}

// The transformed weights, partial sums, and the scratch memory of their sum.
struct Workspace {
  float* u = nullptr;
  double* partial = nullptr;
  void* scratch = nullptr;
  int64_t bytes = 0;

  Workspace(const Image& image, void* base, bool sums) {
    const auto take = [&](int64_t size) {
      void* at = reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(base) + bytes);
      bytes += ceil_div(size, kAlign) * kAlign;
      return at;
    };
    u = static_cast<float*>(take(weight_elements(image) * sizeof(float)));
    if (!sums) return;
    const int64_t rows = image.tile_blocks(), columns = 2 * image.out_c;
    partial = static_cast<double*>(take(rows * columns * sizeof(double)));
    scratch = take(sum_rows_workspace(rows, columns));
  }

 private:
  static constexpr int64_t kAlign = 16;
};

template <bool kBackward, class T>
void run(const Image& image, const T* x, const T* w, T* y, const Prologue<T>& prologue,
         const Epilogue<T>& epilogue, void* base, Stream stream) {
  const Workspace workspace(image, base, epilogue.sums != nullptr);
  transform_all_weights<kBackward>(image, w, workspace.u, stream);
  const Arguments<T> arguments{image,
                               x,
                               workspace.u,
                               y,
                               LoadedThrough<T>(prologue),
                               StoredThrough<T>(epilogue),
                               workspace.partial,
                               Divider(image.column_blocks())};
  const auto grid = static_cast<unsigned>(image.tile_blocks() * image.column_blocks());
  const auto kernel = prologue.scale ? winograd_kernel<T, true> : winograd_kernel<T, false>;
  launch(kernel, grid, kThreads, kSharedBytes, stream, arguments);
  if (!epilogue.sums) return;
  const int64_t columns = 2 * image.out_c;
  sum_rows(workspace.partial, image.tile_blocks(), columns, columns, epilogue.sums,
           workspace.scratch, stream);
}

}  // namespace
}  // namespace winograd

template <class T>
void winograd_fwd(const Conv2dProblem& p, const T* x, const T* w, T* y, const Prologue<T>& prologue,
                  const Epilogue<T>& epilogue, void* workspace, Stream stream) {
  if (p.n * p.p * p.q * p.k == 0) {
    if (epilogue.sums) fill_zero(epilogue.sums, 2 * p.k * sizeof(double), stream);
    return;
  }
  winograd::run<false>(winograd::Image(p, false), x, w, y, prologue, epilogue, workspace, stream);
}

template <class T>
void winograd_dgrad(const Conv2dProblem& p, const T* gy, const T* w, T* gx, void* workspace,
                    Stream stream) {
  const int64_t size = p.n * p.h * p.w * p.c;
  if (size == 0) return;
  if (p.p * p.q == 0) return fill_zero(gx, size * sizeof(T), stream);
  winograd::run<true>(winograd::Image(p, true), gy, w, gx, Prologue<T>(), Epilogue<T>(), workspace,
                      stream);
}

template void winograd_fwd(const Conv2dProblem&, const float*, const float*, float*,
                           const Prologue<float>&, const Epilogue<float>&, void*, Stream);
template void winograd_dgrad(const Conv2dProblem&, const float*, const float*, float*, void*,
                             Stream);

int64_t winograd_workspace(const Conv2dProblem& p, Direction direction, bool sums) {
  return winograd::Workspace(winograd::Image(p, direction == Direction::kDgrad), nullptr, sums)
      .bytes;
}

}  // namespace fc::cuda
