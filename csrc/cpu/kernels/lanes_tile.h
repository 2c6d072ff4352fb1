// out[q] = sum_e buffer[offset[e] + q] * weight[e], tiles of positions in registers, and what then
// happens to them on their way to memory.
//
// Error bound: |y - y64| <= c * sqrt(L) * eps * sum |a b| with c = 1: a lane sums its L products in
// order.
#pragma once

#include "cpu/kernels/act_block.h"
#include "cpu/kernels/lanes_plan.h"
#include "cpu/kernels/partial.h"

namespace fc::FC_ISA {
namespace {

template <class T, int kCount>
inline void multiply(const T* x, const int64_t* offset, int64_t entries, const T* w, Vec<T>* acc) {
#pragma GCC unroll 14
  for (int q = 0; q < kCount; ++q) acc[q] = Vec<T>{};
  for (int64_t e = 0; e < entries; ++e) {
    const T* xe = x + offset[e];
    const Vec<T> we = load(w + e * kVw<T>);
#pragma GCC unroll 14
    for (int q = 0; q < kCount; ++q) acc[q] = madd<T>(load(xe + q * kVw<T>), we, acc[q]);
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

  // count accumulators for the pixels at element `at` of y, and after
  template <int kCount>
  void put(int64_t at, int64_t count, const Vec<T>* acc) const {
    if (plain_ && part_.full() && count == kCount) {
#pragma GCC unroll 14
      for (int q = 0; q < kCount; ++q) store(y_ + at + q * pixel_, acc[q]);
      return;
    }
    alignas(64) T tile[kCount * kVw<T>];
#pragma GCC unroll 14
    for (int q = 0; q < kCount; ++q) store(tile + q * kVw<T>, acc[q]);
    finish(at, count, tile);
  }

 private:
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

// count neighbouring positions, the first at element `at` of the output
template <class T>
void row(const T* x, const int64_t* offset, int64_t entries, const T* w, int64_t count, int64_t at,
         int64_t pixel, const Output<T>& out) {
  const auto tile = [&](auto size, int64_t q, int64_t wanted) {
    constexpr int kCount = sizeof(size);
    Vec<T> acc[kCount];
    multiply<T, kCount>(x + q * kVw<T>, offset, entries, w, acc);
    out.template put<kCount>(at + q * pixel, wanted, acc);
  };
  struct Full {
    char _[kTile];
  };
  struct Half {
    char _[kTile / 2];
  };
  struct Quarter {
    char _[4];
  };
  for (int64_t q = 0; q < count;) {
    const int64_t left = count - q;
    if (left > kTile - 4) {
      tile(Full(), q, min_of<int64_t>(left, kTile));
      q += kTile;
    } else if (left > 4) {
      tile(Half(), q, min_of<int64_t>(left, kTile / 2));
      q += kTile / 2;
    } else {
      tile(Quarter(), q, left);
      q += 4;
    }
  }
}

}  // namespace
}  // namespace fc::FC_ISA
