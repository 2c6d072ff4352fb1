// How batch normalisation walks over (rows, C): in tiles of up to kTile values, a slice of the
// channels, or several rows where C is small, so that the inner loop stays long.
#pragma once

#include "cpu/kernels/prefetch.h"
#include "cpu/kernels/vmath.h"

namespace fc::FC_ISA {
namespace {

constexpr int64_t kTile = 512;

// How one thread walks over (rows, C): tile t holds channels [c0, c0 + width) of `rep` rows a step.
struct Tiling {
  int64_t rows, c, rep, width, tiles;

  Tiling(int64_t rows_, int64_t c_) : rows(rows_), c(c_) {
    rep = max_of<int64_t>(1, kTile / max_of<int64_t>(c, 1));
    const int64_t slices = max_of<int64_t>(1, ceil_div(c, kTile));
    width = slices == 1 ? c : ceil_div(ceil_div(c, slices), kLanes) * kLanes;
    tiles = width == 0 ? 0 : ceil_div(c, width);
  }
  int64_t begin(int64_t tile) const { return tile * width; }
  int64_t size(int64_t tile) const { return min_of(width, c - tile * width); }
};

// out[k*width + i] = v[c0 + i] for each of the rep rows of a step; `fallback` where v is null
template <class From, class T>
void spread(const From* v, T fallback, const Tiling& t, int64_t tile, T* out) {
  const int64_t width = t.size(tile), c0 = t.begin(tile);
  for (int64_t k = 0; k < t.rep; ++k) {
    for (int64_t i = 0; i < width; ++i)
      out[k * width + i] = v ? static_cast<T>(v[c0 + i]) : fallback;
  }
}

// The per-channel values of one tile.
template <class T>
struct Coefficients {
  T mean[kTile], rstd[kTile], scale[kTile], beta[kTile];

  Coefficients(const T* mean_, const T* rstd_, const T* gamma, const T* beta_, const Tiling& t,
               int64_t tile) {
    spread(mean_, T(0), t, tile, mean);
    spread(rstd_, T(1), t, tile, rstd);
    spread(gamma, T(1), t, tile, scale);
    spread(beta_, T(0), t, tile, beta);
    for (int64_t i = 0; i < t.rep * t.size(tile); ++i) scale[i] *= rstd[i];
  }
};

// f(offset, len) for the steps of rows [begin, end): len contiguous values at x[offset]
template <class F>
inline void for_steps(const Tiling& t, int64_t tile, int64_t begin, int64_t end, F f) {
  for (int64_t row = begin; row < end; row += t.rep) {
    f(row * t.c + t.begin(tile), min_of(t.rep, end - row) * t.size(tile));
  }
}

// f(tile, first, last) for blocks of the rows [begin, end), from the last to the first: what the
// pass before read last lies in the cache still, and what the next will read first is written last
constexpr int64_t kBlockRows = 128;

template <class F>
inline void for_blocks_backwards(const Tiling& t, int64_t begin, int64_t end, F f) {
  const int64_t size = kBlockRows * t.rep;
  for (int64_t block = ceil_div(end - begin, size) - 1; block >= 0; --block) {
    const int64_t first = begin + block * size;
    for (int64_t tile = 0; tile < t.tiles; ++tile) f(tile, first, min_of(end, first + size));
  }
}

template <class T>
inline void normalise(const T* x, const T* residual, T* y, int64_t n, const Coefficients<T>& k) {
  if (residual) {
    FC_INDEPENDENT
    for (int64_t i = 0; i < n; ++i) {
      y[i] = (x[i] - k.mean[i]) * k.scale[i] + k.beta[i] + residual[i];
    }
  } else {
    FC_INDEPENDENT
    for (int64_t i = 0; i < n; ++i) y[i] = (x[i] - k.mean[i]) * k.scale[i] + k.beta[i];
  }
}

// Asks for what a later step reads: several arrays are walked through at once, further apart than
// the machine's own prefetchers follow.
template <class T>
inline void ask_ahead(const T* p, int64_t n) {
  constexpr int64_t kAhead = 8192 / sizeof(T), kLine = 64 / sizeof(T);
  for (int64_t i = 0; i < n; i += kLine) prefetch(p + kAhead + i);
}

}  // namespace
}  // namespace fc::FC_ISA
