// y[n,p,q,k] = act(sum_{r,s,c} x[n, p*stride+r-pad, q*stride+s-pad, c] * w[k,r,s,c] * scale[k]
//                  + shift[k] + residual[n,p,q,k])
//
// x (N,H,W,C) of few C, w (K,R,S,C), y (N,P,Q,K).
//
// A block computes tiles of 2*pairs rows x strips*4 columns of pixels x lanes*8 channels: the patch
// of x that a tile reads (image.h) and the weights lie in shared memory, those of some window rows
// where all do not fit. A thread owns two quads of pixels, of rows `pairs` apart, x 8 channels, and
// per position of the window does 64 multiply-adds for one vector of x and two of weights.
//
// Results go straight from registers to memory: whole sectors where a block has 16 channels or more
// and 4 divides K; of fewer, or other K, the second-level cache puts the sectors together.
//
// Error bound: |y - y64| <= c * sqrt(R*S*C) * eps * sum |x w| with c = 1 (a sum in order).
// Not measured on a GPU.
#include "cuda/gemm/output.h"
#include "cuda/gemm/sum_rows.h"
#include "cuda/stem/stem.h"
#include "cuda/stem/tile_sums.h"

namespace fc::cuda {
namespace {

constexpr int kPixels = 2 * kQuad;  // of a thread; pixel i is column i % kQuad of quad i / kQuad

// The plan as the kernel reads it.
struct FwdTiles {
  StemPatch patch;
  Divider by_strips;
  int strips, pairs, window_rows, steps, patch_floats;
};

// Weights of window rows r0 .. r0 + rows - 1 and the block's channels: to (rows*run, pitch),
// transposed. A warp reads 8 positions of 4 channels, and writes to 32 banks.
template <int kLanes, class T>
FC_DEVICE void stage_weights(const StemImage& image, const T* w, int k0, int r0, int rows,
                             float* to) {
  constexpr int kPitch = StemFwdPlan::pitch(kLanes), kTogether = 8;
  const int depth = image.r * image.run, count = rows * image.run;
  const int first = static_cast<int>(threadIdx.x) % kTogether;
  for (int c = static_cast<int>(threadIdx.x) / kTogether; c < kLanes * 8;
       c += static_cast<int>(blockDim.x) / kTogether) {
    const T* from = w + int64_t{k0 + c} * depth + r0 * image.run;
    const bool there = k0 + c < image.k;
#pragma unroll 4
    for (int j = first; j < count; j += kTogether) {
      to[j * kPitch + c] = there ? widen(from[j]) : 0.f;
    }
  }
}

// acc += the products of `rows` window rows. x: the thread's first quad in the first of them, and
// second_quad floats on the other one; w: the thread's channels.
template <int kLanes>
FC_DEVICE void add_products(const StemImage& image, int pitch, int second_quad, int rows,
                            const float* x, const float* w, Vec<float, kQuad> (&acc)[2 * kPixels]) {
  constexpr int kPitch = StemFwdPlan::pitch(kLanes);
  for (int r = 0; r < rows; ++r) {
    for (int b = 0; b < image.planes; ++b) {
      const float *at = x, *weights = w + b * kPitch;
#pragma unroll 1
      for (int j = b; j < image.run; j += kQuad * image.step) {
        const Vec<float, kQuad> in[2][2] = {
            {load<kQuad>(at), load<kQuad>(at + kQuad)},
            {load<kQuad>(at + second_quad), load<kQuad>(at + second_quad + kQuad)}};
#pragma unroll
        for (int d = 0; d < kQuad; ++d) {
          if (j + d * image.step >= image.run) break;
          const Vec<float, kQuad> weight[2] = {load<kQuad>(weights),
                                               load<kQuad>(weights + kLanes * kQuad)};
#pragma unroll
          for (int i = 0; i < kPixels; ++i) {
            const int place = i % kQuad + d;
            const float v = in[i / kQuad][place / kQuad][place % kQuad];
#pragma unroll
            for (int c = 0; c < 2 * kQuad; ++c) {
              float& sum = acc[2 * i + c / kQuad][c % kQuad];
              sum = fmaf(v, weight[c / kQuad][c % kQuad], sum);
            }
          }
          weights += image.step * kPitch;
        }
        at += kQuad;
      }
      x += pitch;
    }
    w += image.run * kPitch;
  }
}

// Where a thread's results belong.
struct Results {
  int channel[2];   // first ones of the two groups
  int row, column;  // of the first quad
  int64_t offset;   // of its first pixel, channel 0
  int count;        // its pixels that exist

  FC_DEVICE Results(const StemImage& image, const StemPlace& place, int pair, int strip,
                    int channel0, int channel1)
      : channel{channel0, channel1}, row(place.p + pair), column(place.q + strip * kQuad) {
    offset = ((int64_t{place.n} * image.p + row) * image.q + column) * image.k;
    count = image.q - column;
  }
};

template <class T>
FC_DEVICE void scale_and_shift(const StemImage& image, const Results& at,
                               const StoredThrough<T>& out, Vec<float, kQuad> (&acc)[2 * kPixels]) {
  if (!out.scale && !out.shift) return;
#pragma unroll
  for (int g = 0; g < 2; ++g) {
#pragma unroll
    for (int c = 0; c < kQuad; ++c) {
      const int channel = at.channel[g] + c;
      if (channel >= image.k) continue;
      const float scale = out.scale ? widen(out.scale[channel]) : 1.f;
      const float shift = out.shift ? widen(out.shift[channel]) : 0.f;
#pragma unroll
      for (int i = 0; i < kPixels; ++i) {
        acc[2 * i + g][c] = acc[2 * i + g][c] * scale + shift;
      }
    }
  }
}

// Calls f(vector of v, first channel in it, offset) for all kVec channels of the quad's pixels that
// exist.
template <int kVec, class F>
FC_DEVICE void each_vector(const StemImage& image, const Results& at, int64_t offset, F f) {
#pragma unroll
  for (int i = 0; i < 2 * kQuad; ++i) {
    if (i / 2 >= at.count) continue;
#pragma unroll
    for (int c = 0; c < kQuad; c += kVec) {
      const int channel = at.channel[i % 2] + c;
      if (channel < image.k) f(i, c, offset + i / 2 * image.k + channel);
    }
  }
}

template <int kVec, class T>
FC_DEVICE void add_residual(const StemImage& image, const Results& at, int64_t offset,
                            const T* residual, Vec<float, kQuad> (&v)[2 * kQuad]) {
  each_vector<kVec>(image, at, offset, [&](int i, int c, int64_t from) {
    const Vec<float, kVec> more = widen(load<kVec>(residual + from));
#pragma unroll
    for (int j = 0; j < kVec; ++j) v[i][c + j] += more[j];
  });
}

template <int kVec, class T>
FC_DEVICE void store_quad(const StemImage& image, const Results& at, int64_t offset,
                          const Vec<float, kQuad> (&v)[2 * kQuad], T* y) {
  each_vector<kVec>(image, at, offset, [&](int i, int c, int64_t to) {
    Vec<float, kVec> some;
#pragma unroll
    for (int j = 0; j < kVec; ++j) some[j] = v[i][c + j];
    store(y + to, narrow<T>(some));
  });
}

// partial (tiles, 2, K) or null
template <class T, int kLanes>
__global__ void __launch_bounds__(kBlock, 2)
    stem_fwd_kernel(const __grid_constant__ StemImage image, const __grid_constant__ FwdTiles tiles,
                    const T* x, const T* w, T* y, const __grid_constant__ LoadedThrough<T> through,
                    const __grid_constant__ StoredThrough<T> out, bool vectors, double* partial) {
  float* const patch = shared_memory<float>();        // (height, planes, pitch)
  float* const weights = patch + tiles.patch_floats;  // (window_rows*run, pitch)
  const int k0 = static_cast<int>(blockIdx.y) * kLanes * 8;
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  int pair, strip;
  tiles.by_strips.split(static_cast<int>(threadIdx.x) / kLanes, pair, strip);
  const int row_floats = image.planes * tiles.patch.pitch;
  const int second_quad = tiles.pairs * image.stride_h * row_floats;
  const float* const my_patch = patch + pair * image.stride_h * row_floats + strip * kQuad;

#pragma unroll 1
  for (int step = 0; step < tiles.steps; ++step) {
    const int64_t tile = int64_t{blockIdx.x} * tiles.steps + step;
    if (tile >= tiles.patch.tiles) break;
    const StemPlace place(tiles.patch, tile);
    __syncthreads();  // everybody has done with the tile before
    stage_patch(image, tiles.patch, place, x, through, patch);

    Vec<float, kQuad> acc[2 * kPixels];
#pragma unroll
    for (int i = 0; i < 2 * kPixels; ++i) acc[i] = Vec<float, kQuad>::all(0.f);
#pragma unroll 1
    for (int r = 0; r < image.r; r += tiles.window_rows) {
      const int rows = std::min(tiles.window_rows, image.r - r);
      if (r > 0) __syncthreads();
      if (step == 0 || rows < image.r) stage_weights<kLanes>(image, w, k0, r, rows, weights);
      __syncthreads();
      add_products<kLanes>(image, tiles.patch.pitch, second_quad, rows, my_patch + r * row_floats,
                           weights + lane * kQuad, acc);
    }

    const Results at(image, place, pair, strip, k0 + lane * kQuad, k0 + (lane + kLanes) * kQuad);
    scale_and_shift(image, at, out, acc);
    if (partial) {
      const int rows = image.p - place.p, pixels = std::min(tiles.patch.rows, rows) *
                                                   std::min(tiles.patch.columns, image.q - place.q);
      const auto there = [&](int i) {
        return i % kQuad < at.count && at.row + i / kQuad * tiles.pairs < image.p;
      };
      store_tile_sums<kLanes>(acc, there, pixels, k0, image.k, patch, partial + tile * 2 * image.k);
    }
    // one quad after the other moves through the first half of acc, since registers have no index
#pragma unroll 1
    for (int i = 0; i < 2; ++i) {
      Vec<float, kQuad> quad[2 * kQuad];
#pragma unroll
      for (int j = 0; j < 2 * kQuad; ++j) quad[j] = acc[j], acc[j] = acc[j + 2 * kQuad];
      if (at.row + i * tiles.pairs >= image.p) continue;
      const int64_t offset = at.offset + int64_t{i * tiles.pairs} * image.q * image.k;
      if (out.residual) {
        if (vectors) {
          add_residual<kQuad>(image, at, offset, out.residual, quad);
        } else {
          add_residual<1>(image, at, offset, out.residual, quad);
        }
      }
      activate(out.act, quad);
      if (vectors) {
        store_quad<kQuad>(image, at, offset, quad, y);
      } else {
        store_quad<1>(image, at, offset, quad, y);
      }
    }
  }
}

template <class T>
auto kernel_of(int lanes) {
  switch (lanes) {
    case 8:
      return stem_fwd_kernel<T, 8>;
    case 4:
      return stem_fwd_kernel<T, 4>;
    case 2:
      return stem_fwd_kernel<T, 2>;
  }
  return stem_fwd_kernel<T, 1>;
}

}  // namespace

template <class T>
void stem_fwd(const Conv2dProblem& p, const T* x, const T* w, T* y, const Prologue<T>& prologue,
              const Epilogue<T>& epilogue, void* workspace, Stream stream) {
  if (p.n * p.p * p.q * p.k == 0) {
    if (epilogue.sums) fill_zero(epilogue.sums, 2 * p.k * sizeof(double), stream);
    return;
  }
  const StemImage image(p);
  StemFwdPlan plan(p, image);
  plan.patch.finish(image, vectors_fit<kQuad>(x, image.width));
  const FwdTiles tiles{
      plan.patch, Divider(plan.strips),    plan.strips, plan.patch.rows / 2, plan.window_rows,
      plan.steps, plan.patch_floats(image)};
  const bool vectors = vectors_fit<kQuad>(y, p.k) && vectors_fit<kQuad>(epilogue.residual, p.k);
  auto* partial = epilogue.sums ? static_cast<double*>(workspace) : nullptr;
  const dim3 grid(static_cast<unsigned>(plan.blocks), static_cast<unsigned>(plan.channel_blocks));
  launch(kernel_of<T>(plan.lanes), grid, plan.threads, plan.shared_bytes(image), stream, image,
         tiles, x, w, y, LoadedThrough<T>(prologue), StoredThrough<T>(epilogue), vectors, partial);
  if (epilogue.sums) {
    void* const scratch = static_cast<char*>(workspace) + plan.sums_bytes(p);
    sum_rows(partial, plan.patch.tiles, 2 * p.k, 2 * p.k, epilogue.sums, scratch, stream);
  }
}

template void stem_fwd(const Conv2dProblem&, const float*, const float*, float*,
                       const Prologue<float>&, const Epilogue<float>&, void*, Stream);

}  // namespace fc::cuda
