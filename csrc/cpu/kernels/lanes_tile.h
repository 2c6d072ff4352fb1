// out[q] = sum_e buffer[offset[e] + q] * weight[e], tiles of positions in registers, and what then
// happens to them on their way to memory.
//
// Error bound: |y - y64| <= c * sqrt(L) * eps * sum |a b| with c = 1: a lane sums its L products in
// order.
#pragma once

#include "cpu/kernels/act_block.h"
#include "cpu/kernels/lanes_ahead.h"
#include "cpu/kernels/partial.h"
#include "cpu/kernels/spread.h"

namespace fc::FC_ISA {
namespace {

// The positions of a phase in a group of rows and a strip.
struct Patch {
  int64_t first, rows, cols;  // rows from the unit's row `first` on
  int64_t x_pitch;            // of position rows in the buffer
  int64_t at;                 // the first one's element in the output
  int64_t y_pitch, pixel;     // of its rows and pixels
  Ahead ahead;
};

// Entries of neighbouring columns that share loads: where there are registers for it, else 1. Else
// every multiplication is a load too.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kShared = 3;
#else
constexpr int kShared = 1;
#endif

// acc[q] += sum_{s < kTaps, j < kSpread} spread_j(x[q + s]) * w[s, j]
template <class T, int kCount, int kTaps, int kSpread, int kPlane = 0>
__attribute__((always_inline)) inline void multiply_taps(const T* x, const T* w, Vec<T>* acc) {
  if constexpr (kPlane < kSpread) {
    constexpr int kPart = kTaps > 1 && kCount > 7 ? 7 : kCount;
#pragma GCC unroll 2
    for (int first = 0; first < kCount; first += kPart) {
      Vec<T> xs[kPart + kTaps - 1];
#pragma GCC unroll 16
      for (int q = 0; q < kPart + kTaps - 1; ++q) {
        xs[q] = load(x + (first + q) * kVw<T>);
        if constexpr (kSpread > 1) xs[q] = spread<T, kSpread, kPlane>(xs[q]);
      }
#pragma GCC unroll 3
      for (int s = 0; s < kTaps; ++s) {
        const Vec<T> ws = load(w + (s * kSpread + kPlane) * kVw<T>);
#pragma GCC unroll 14
        for (int q = 0; q < kPart; ++q) acc[first + q] = madd<T>(xs[q + s], ws, acc[first + q]);
      }
    }
    multiply_taps<T, kCount, kTaps, kSpread, kPlane + 1>(x, w, acc);
  }
}

// rows of kCount neighbouring positions from column q on; those of y are y_pitch and pixel elements
// apart
template <class T, int kCount, int kSpread>
__attribute__((noinline)) void multiply(const Patch& p, int64_t i0, int64_t i1, int64_t q0,
                                        const T* x, const int64_t* offset, int64_t entries,
                                        const T* w, T* y, int64_t y_pitch, int64_t pixel) {
  for (int64_t i = i0; i < i1; ++i, y += y_pitch) {
    p.ahead.fetch(p.first + i, q0, kCount);
    const T* xi = x + i * p.x_pitch + q0 * kVw<T>;
    Vec<T> acc[kCount] = {};
    for (int64_t e = 0; e < entries;) {
      const T *xe = xi + offset[e], *we = w + e * kSpread * kVw<T>;
      const auto next = [&](int64_t s) { return offset[e + s] - offset[e] == s * kVw<T>; };
      if (kShared == 3 && e + 2 < entries && next(1) && next(2)) {
        multiply_taps<T, kCount, 3, kSpread>(xe, we, acc);
        e += 3;
      } else if (kShared == 3 && e + 1 < entries && next(1)) {
        multiply_taps<T, kCount, 2, kSpread>(xe, we, acc);
        e += 2;
      } else {
        multiply_taps<T, kCount, 1, kSpread>(xe, we, acc);
        e += 1;
      }
    }
#pragma GCC unroll 14
    for (int q = 0; q < kCount; ++q) store(y + q * pixel, acc[q]);
  }
}

// From accumulators to memory, for one vector of channels.
template <class T>
class Output {
 public:
  // sums (2, kVw) or null: grows by what is stored, before residual and activation
  Output(T* y, int64_t pixel, int64_t lane, const Part<T>& part, const Epilogue<T>& e, double* sums)
      : y_(y), pixel_(pixel), part_(part), e_(e), sums_(sums) {
    if (e.residual) residual_ = e.residual + lane;
    if (e.scale) scale_ = part.load(e.scale + lane);
    if (e.shift) shift_ = part.load(e.shift + lane);
    plain_ = !e.scale && !e.shift && !e.residual && e.act.code == kIdentity && !sums;
  }

  // products go to memory as they are, whole vectors
  bool plain() const { return plain_ && part_.full(); }
  T* plain_at(int64_t at) const { return y_ + at; }

  // count products (count, kVw) for the pixel at element `at` of y and those after it
  __attribute__((noinline)) void finish(int64_t at, int64_t count, T* tile) const {
    if (!plain_) {
      for (int64_t q = 0; q < count; ++q) {
        Vec<T> v = load(tile + q * kVw<T>);
        if (e_.scale) v = v * scale_;
        if (e_.shift) v = v + shift_;
        store(tile + q * kVw<T>, v);
      }
      if (sums_) add_sums(count, tile);
      if (residual_) {
        for (int64_t q = 0; q < count; ++q) {
          const Vec<T> v = load(tile + q * kVw<T>);
          store(tile + q * kVw<T>, v + part_.load(residual_ + at + q * pixel_));
        }
      }
      if (e_.act.code != kIdentity) act_block(tile, tile, count * kVw<T>, e_.act);
    }
    if (part_.full()) {
      for (int64_t q = 0; q < count; ++q) store(y_ + at + q * pixel_, load(tile + q * kVw<T>));
    } else {
      for (int64_t q = 0; q < count; ++q) {
        part_.store(y_ + at + q * pixel_, load(tile + q * kVw<T>));
      }
    }
  }

 private:
  void add_sums(int64_t count, const T* tile) const {
    double sum[kVw<T>], square[kVw<T>];
    for (int l = 0; l < kVw<T>; ++l) sum[l] = sums_[l], square[l] = sums_[kVw<T> + l];
    for (int64_t q = 0; q < count; ++q) {
      for (int l = 0; l < kVw<T>; ++l) {
        const double v = tile[q * kVw<T> + l];
        sum[l] += v;
        square[l] += v * v;
      }
    }
    for (int l = 0; l < kVw<T>; ++l) sums_[l] = sum[l], sums_[kVw<T> + l] = square[l];
  }

  T* y_;
  int64_t pixel_;
  const Part<T>& part_;
  const Epilogue<T>& e_;
  double* sums_;
  const T* residual_ = nullptr;
  Vec<T> scale_{}, shift_{};
  bool plain_;
};

// kCount columns from q on, of which only `wanted` are stored
template <class T, int kSpread, int kCount>
void tile(const Patch& p, int64_t q, int64_t wanted, const T* x, const int64_t* offset,
          int64_t entries, const T* w, const Output<T>& out) {
  const int64_t at = p.at + q * p.pixel;
  if (out.plain() && wanted == kCount) {
    multiply<T, kCount, kSpread>(p, 0, p.rows, q, x, offset, entries, w, out.plain_at(at),
                                 p.y_pitch, p.pixel);
    return;
  }
  alignas(64) T products[kCount * kVw<T>];
  for (int64_t i = 0; i < p.rows; ++i) {
    multiply<T, kCount, kSpread>(p, i, i + 1, q, x, offset, entries, w, products, 0, kVw<T>);
    out.finish(at + i * p.y_pitch, wanted, products);
  }
}

template <class T, int kSpread>
void multiply_patch(const Patch& p, const T* x, const int64_t* offset, int64_t entries, const T* w,
                    const Output<T>& out) {
  for (int64_t q = 0; q < p.cols;) {
    const int64_t left = p.cols - q;
    if (left > kTile - 4) {
      tile<T, kSpread, kTile>(p, q, min_of<int64_t>(left, kTile), x, offset, entries, w, out);
      q += kTile;
    } else if (left > 4) {
      tile<T, kSpread, kTile / 2>(p, q, min_of<int64_t>(left, kTile / 2), x, offset, entries, w,
                                  out);
      q += kTile / 2;
    } else {
      tile<T, kSpread, 4>(p, q, left, x, offset, entries, w, out);
      q += 4;
    }
  }
}

}  // namespace
}  // namespace fc::FC_ISA
