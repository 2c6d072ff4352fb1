// gw[k,r,s,c] = sum_{n,p,q} gy[n,p,q,k] * prologue(x)[n, p*stride+r-pad, q*stride+s-pad, c]
//
// x (N,H,W,C) of few C, gy (N,P,Q,K), gw (K,R,S,C). A block holds the patch of x that a tile of
// output pixels reads (image.h) and the tile of gy, goes through some of the tiles (a split), and
// has its sums in registers all the while. A line of the window is positions b, b + step, ... of
// one plane, up to kShifts of them; a thread owns a few lines x 8 channels: up to two vectors of
// x per line and eight of gy serve a quad of pixels, 192 multiply-adds, 256 where lines have 4
// positions. Quads are dealt out to parts of the block where the window has fewer lines than the
// block threads. Parts are added in shared memory, splits through the workspace, both in their
// order.
//
// Error bound: |gw - gw64| <= c * sqrt(N*P*Q) * eps * sum |x gy| with c = 1.
// Not measured on a GPU.
#include "cuda/gemm/sum_rows.h"
#include "cuda/stem/plan.h"
#include "cuda/stem/stem.h"

namespace fc::cuda {
namespace {

struct WgradTiles {
  StemPatch patch;
  Divider by_owners, by_strips, by_lines;
  int lines, owners, parts, quads, patch_floats;
  int64_t each;
  bool vectors;  // of gy
};

// gy of the tile's pixels and the block's channels: to (rows, columns, kLanes*8). Pixels that do
// not exist are left out: nobody reads them. Channels that do not exist are 0.
template <int kVec, int kLanes, class T>
FC_DEVICE void stage_gradients(const StemImage& image, const StemPatch& patch,
                               const StemPlace& place, const T* gy, int k0, float* to) {
  constexpr int kChannels = kLanes * 8, kPieces = kChannels / kVec;
  const int columns = std::min(patch.columns, image.q - place.q);
  const int rows = std::min(patch.rows, image.p - place.p);
  const int channel = k0 + static_cast<int>(threadIdx.x) % kPieces * kVec;
  const int beside = static_cast<int>(blockDim.x) / kPieces;
  const int first = static_cast<int>(threadIdx.x) / kPieces;
  if (first >= beside) return;
  for (int row = 0; row < rows; ++row) {
    const T* from =
        gy + ((int64_t{place.n} * image.p + place.p + row) * image.q + place.q) * image.k;
    float* line = to + row * patch.columns * kChannels + channel - k0;
#pragma unroll 2
    for (int column = first; column < columns; column += beside) {
      Vec<float, kVec> v = Vec<float, kVec>::all(0.f);
      if (channel < image.k) v = widen(load<kVec>(from + int64_t{column} * image.k + channel));
      store(line + column * kChannels, v);
    }
  }
}

// What a thread owns.
template <int kLines>
struct Lines {
  int group[kLines], row[kLines], plane[kLines];  // position = plane + (group*kShifts + d) * step
  bool there[kLines];

  FC_DEVICE Lines(const StemImage& image, const WgradTiles& tiles, int owner) {
    const int first = static_cast<int>(blockIdx.y) * tiles.owners * kLines + owner;
#pragma unroll
    for (int l = 0; l < kLines; ++l) {
      const int line = first + l * tiles.owners;
      there[l] = line < tiles.lines;
      int rest;
      tiles.by_lines.split(there[l] ? line : 0, group[l], rest);
      row[l] = rest / image.planes;
      plane[l] = rest % image.planes;
    }
  }
};

// acc[l][d] += gy * x of the quads first, first + tiles.parts, ... of the tile. x: the thread's
// lines in the patch; gy: the thread's channels.
template <int kLanes, int kShifts, int kLines>
FC_DEVICE void add_products(const StemImage& image, const WgradTiles& tiles, int first,
                            const StemPlace& place, const float* const (&x)[kLines],
                            const float* gy, Vec<float, kQuad> (&acc)[kLines][kShifts][2]) {
  constexpr int kChannels = kLanes * 8;
  // a quad reads kQuad - 1 + kShifts floats
  constexpr int kMore = kShifts == kQuad ? kQuad : kShifts - 1;
  const int row_floats = image.stride_h * image.planes * tiles.patch.pitch;
#pragma unroll 1
  for (int quad = first; quad < tiles.quads; quad += tiles.parts) {
    int row, strip;
    tiles.by_strips.split(quad, row, strip);
    if (place.p + row >= image.p) return;
    // pixels that do not exist are left out, rather than 0: x may be infinite
    const int count = image.q - place.q - strip * kQuad;
    if (count <= 0) continue;
    const int at = row * row_floats + strip * kQuad;
    Vec<float, kQuad> in[kLines];
    Vec<float, kMore> more[kLines];
#pragma unroll
    for (int l = 0; l < kLines; ++l) {
      in[l] = load<kQuad>(x[l] + at);
      more[l] = load<kMore>(x[l] + at + kQuad);
    }
    const float* gradients = gy + quad * kQuad * kChannels;
#pragma unroll
    for (int i = 0; i < kQuad; ++i) {
      if (i >= count) break;
      const Vec<float, kQuad> g[2] = {load<kQuad>(gradients + i * kChannels),
                                      load<kQuad>(gradients + i * kChannels + kLanes * kQuad)};
#pragma unroll
      for (int l = 0; l < kLines; ++l) {
#pragma unroll
        for (int d = 0; d < kShifts; ++d) {
          const float v = i + d < kQuad ? in[l][(i + d) % kQuad] : more[l][(i + d) % kQuad % kMore];
#pragma unroll
          for (int c = 0; c < 2 * kQuad; ++c) {
            float& sum = acc[l][d][c / kQuad][c % kQuad];
            sum = fmaf(v, g[c / kQuad][c % kQuad], sum);
          }
        }
      }
    }
  }
}

// The sum over the block's parts, of one position and 8 channels, by the threads of part 0.
FC_DEVICE void add_parts(const WgradTiles& tiles, int part, int per_part,
                         Vec<float, kQuad> (&v)[2]) {
  if (tiles.parts == 1) return;
  float* shared = shared_memory<float>();  // (2, threads, kQuad)
  const int me = static_cast<int>(threadIdx.x), half = static_cast<int>(blockDim.x) * kQuad;
  __syncthreads();
  store(shared + me * kQuad, v[0]);
  store(shared + half + me * kQuad, v[1]);
  __syncthreads();
  if (part > 0) return;
  for (int i = 1; i < tiles.parts; ++i) {
    const float* other = shared + (me + i * per_part) * kQuad;
    const Vec<float, kQuad> more[2] = {load<kQuad>(other), load<kQuad>(other + half)};
#pragma unroll
    for (int c = 0; c < 2 * kQuad; ++c) v[c / kQuad][c % kQuad] += more[c / kQuad][c % kQuad];
  }
}

// partial (splits, R*S*C, K)
template <class T, int kLanes, int kShifts>
__global__ void __launch_bounds__(kBlock, 2)
    stem_wgrad_kernel(const __grid_constant__ StemImage image,
                      const __grid_constant__ WgradTiles tiles, const T* x, const T* gy,
                      const __grid_constant__ LoadedThrough<T> through, float* partial) {
  constexpr int kLines = lines_of_thread(kShifts), kChannels = kLanes * 8;
  float* const patch = shared_memory<float>();          // (height, planes, pitch)
  float* const gradients = patch + tiles.patch_floats;  // (rows, columns, kChannels)
  const int k0 = static_cast<int>(blockIdx.z) * kChannels;
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  int part, owner;
  tiles.by_owners.split(static_cast<int>(threadIdx.x) / kLanes, part, owner);
  const Lines<kLines> lines(image, tiles, owner);
  const float* my_patch[kLines];
#pragma unroll
  for (int l = 0; l < kLines; ++l) {
    const int line = lines.row[l] * image.planes + lines.plane[l];
    my_patch[l] = patch + line * tiles.patch.pitch + lines.group[l] * kQuad;
  }

  Vec<float, kQuad> acc[kLines][kShifts][2];
#pragma unroll
  for (int i = 0; i < kLines * kShifts * 2; ++i) {
    acc[i / 2 / kShifts][i / 2 % kShifts][i % 2] = Vec<float, kQuad>::all(0.f);
  }
  const int64_t first = blockIdx.x * tiles.each;
  const int64_t last = std::min(first + tiles.each, tiles.patch.tiles);
#pragma unroll 1
  for (int64_t tile = first; tile < last; ++tile) {
    const StemPlace place(tiles.patch, tile);
    __syncthreads();  // everybody has done with the tile before
    stage_patch(image, tiles.patch, place, x, through, patch);
    if (tiles.vectors) {
      stage_gradients<kQuad, kLanes>(image, tiles.patch, place, gy, k0, gradients);
    } else {
      stage_gradients<1, kLanes>(image, tiles.patch, place, gy, k0, gradients);
    }
    __syncthreads();
    if (part < tiles.parts) {
      add_products<kLanes, kShifts, kLines>(image, tiles, part, place, my_patch,
                                            gradients + lane * kQuad, acc);
    }
  }

  float* const to = partial + int64_t{blockIdx.x} * image.r * image.run * image.k;
#pragma unroll
  for (int l = 0; l < kLines; ++l) {
#pragma unroll
    for (int d = 0; d < kShifts; ++d) {
      add_parts(tiles, part, tiles.owners * kLanes, acc[l][d]);
      const int position = lines.plane[l] + (lines.group[l] * kQuad + d) * image.step;
      if (part > 0 || !lines.there[l] || position >= image.run) continue;
      float* at = to + int64_t{lines.row[l] * image.run + position} * image.k;
#pragma unroll
      for (int g = 0; g < 2; ++g) {
        const int channel = k0 + (lane + g * kLanes) * kQuad;
        if (image.k % kQuad == 0) {
          if (channel < image.k) store(at + channel, acc[l][d][g]);
          continue;
        }
#pragma unroll
        for (int c = 0; c < kQuad; ++c) {
          if (channel + c < image.k) at[channel + c] = acc[l][d][g][c];
        }
      }
    }
  }
}

template <class T, int kShifts>
auto kernel_of(int lanes) {
  switch (lanes) {
    case 8:
      return stem_wgrad_kernel<T, 8, kShifts>;
    case 4:
      return stem_wgrad_kernel<T, 4, kShifts>;
    case 2:
      return stem_wgrad_kernel<T, 2, kShifts>;
  }
  return stem_wgrad_kernel<T, 1, kShifts>;
}

}  // namespace

template <class T>
void stem_wgrad(const Conv2dProblem& p, const T* x, const T* gy, T* gw, const Prologue<T>& prologue,
                void* workspace, Stream stream) {
  const int64_t results = p.r * p.s * p.c * p.k;
  if (results == 0) return;
  if (p.n * p.p * p.q == 0) return fill_zero(gw, results * sizeof(T), stream);
  const StemImage image(p);
  StemWgradPlan plan(p, image);
  plan.patch.finish(image, vectors_fit<kQuad>(x, image.width));
  const WgradTiles tiles{plan.patch,
                         plan.by_owners,
                         plan.by_strips,
                         plan.by_lines,
                         plan.lines,
                         plan.owners,
                         plan.parts,
                         plan.quads(),
                         plan.patch.floats(image),
                         plan.each,
                         vectors_fit<kQuad>(gy, p.k)};
  auto* partial = static_cast<float*>(workspace);
  const dim3 grid(static_cast<unsigned>(plan.splits), static_cast<unsigned>(plan.line_blocks),
                  static_cast<unsigned>(plan.channel_blocks));
  const auto kernel = plan.shifts == 2   ? kernel_of<T, 2>(plan.lanes)
                      : plan.shifts == 3 ? kernel_of<T, 3>(plan.lanes)
                                         : kernel_of<T, 4>(plan.lanes);
  launch(kernel, grid, plan.threads(), plan.shared_bytes(image), stream, image, tiles, x, gy,
         LoadedThrough<T>(prologue), partial);
  void* const scratch = static_cast<char*>(workspace) + plan.partial_bytes(p);
  // (R*S*C, K) to (K, R*S*C)
  sum_rows(partial, plan.splits, results, p.k, gw, scratch, stream);
}

template void stem_wgrad(const Conv2dProblem&, const float*, const float*, float*,
                         const Prologue<float>&, void*, Stream);

}  // namespace fc::cuda
