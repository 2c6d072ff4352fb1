// Staging of source rows (lanes_plan.h): zero-padded, through the prologue, plane by plane.
#pragma once

#include "cpu/kernels/act_block.h"
#include "cpu/kernels/lanes_plan.h"
#include "cpu/kernels/partial.h"
#include "cpu/kernels/spread.h"

namespace fc::FC_ISA {
namespace {

// plane g of count vectors = spread of x; x may be the last plane
template <class T, int kGroup, int kPlane = 0>
inline void spread_all(Vec<T> v, T* out, int64_t plane_pitch) {
  if constexpr (kPlane < kGroup) {
    store(out + kPlane * plane_pitch, spread<T, kGroup, kPlane>(v));
    spread_all<T, kGroup, kPlane + 1>(v, out, plane_pitch);
  }
}

// Where the lanes of one vector come from.
template <class T>
class Stager {
 public:
  Stager(const Pass& pass, const Blocks<T>& b, const Prologue<T>& prologue, int64_t vector)
      : pass_(pass),
        b_(b),
        prologue_(prologue),
        lane_(vector * kVw<T>),
        part_(min_of<int64_t>(pass.lanes - lane_, kVw<T>)) {}

  // rows [begin, end) of what the unit reads of its image (H,W,C)
  __attribute__((noinline)) void rows(const T* image, const Unit& u, int64_t begin, int64_t end,
                                      T* buffer) const {
    const int64_t first = u.i0 * pass_.h.step() + pass_.h.lo;
    for (int64_t r = begin; r < end; ++r) {
      row(image, first + r, u.j0, buffer + r % b_.slots * b_.row_pitch);
    }
  }

 private:
  // one source row for the strip that begins at position j0
  void row(const T* image, int64_t ih, int64_t j0, T* out) const {
    const int64_t step = pass_.w.step(), phase_pitch = b_.columns * kVw<T>;
    if (ih < 0 || ih >= pass_.h.source) return zero(out, b_.row_pitch / kVw<T>);
    const int64_t plane_pitch = step * phase_pitch;
    for (int64_t f = 0; f < step; ++f) {
      // column u of this remainder is the source's first + u * step
      const int64_t first = j0 * step + pass_.w.lo + f, left = pass_.w.source - first;
      const auto steps = [step](int64_t n) { return step == 1 ? n : ceil_div(n, step); };
      const int64_t begin = min_of(first < 0 ? steps(-first) : 0, b_.columns);
      const int64_t end = max_of(min_of(left > 0 ? steps(left) : 0, b_.columns), begin);
      T* row = out + f * phase_pitch;
      for (int64_t g = 0; g < pass_.staged; ++g) {
        zero(row + g * plane_pitch, begin);
        zero(row + g * plane_pitch + end * kVw<T>, b_.columns - end);
      }
      if (begin == end) continue;
      const T* x = image + (ih * pass_.w.source + first + begin * step) * pass_.channels;
      columns(x, step * pass_.channels, end - begin, row + begin * kVw<T>, plane_pitch);
    }
  }

  static void zero(T* out, int64_t vectors) {
    for (int64_t u = 0; u < vectors; ++u) store(out + u * kVw<T>, Vec<T>{});
  }

  void columns(const T* x, int64_t pixel, int64_t count, T* out, int64_t plane_pitch) const {
    if (!pass_.in_vector) return gather(x, pixel, count, out, plane_pitch);
    x += lane_;
    switch (pass_.staged) {
      case 1:
        return copy(x, pixel, count, out);
      case 2:
        return copy_and_spread<2>(x, pixel, count, out, plane_pitch);
      case 4:
        return copy_and_spread<4>(x, pixel, count, out, plane_pitch);
      default:
        return copy_and_spread<8>(x, pixel, count, out, plane_pitch);
    }
  }

  // out (count, kVw) = act(x * scale + shift)
  void copy(const T* x, int64_t pixel, int64_t count, T* out) const {
    if (!prologue_.scale && part_.full()) {
      for (int64_t u = 0; u < count; ++u) store(out + u * kVw<T>, load(x + u * pixel));
      return;
    }
    Vec<T> scale = broadcast(T(1)), shift{};
    if (prologue_.scale) {
      scale = part_.load(prologue_.scale + lane_);
      shift = part_.load(prologue_.shift + lane_);
    }
    for (int64_t u = 0; u < count; ++u) {
      const Vec<T> v = part_.load(x + u * pixel);
      store(out + u * kVw<T>, prologue_.scale ? v * scale + shift : v);
    }
    activate(out, count);
  }

  template <int kGroup>
  void copy_and_spread(const T* x, int64_t pixel, int64_t count, T* out,
                       int64_t plane_pitch) const {
    if constexpr (kVw<T> % kGroup == 0) {
      if (!prologue_.scale && part_.full()) {
        for (int64_t u = 0; u < count; ++u) {
          spread_all<T, kGroup>(load(x + u * pixel), out + u * kVw<T>, plane_pitch);
        }
        return;
      }
      T* last = out + (kGroup - 1) * plane_pitch;
      copy(x, pixel, count, last);
      for (int64_t u = 0; u < count; ++u) {
        spread_all<T, kGroup>(load(last + u * kVw<T>), out + u * kVw<T>, plane_pitch);
      }
    }
  }

  // any other relation of lanes and channels, lane by lane
  void gather(const T* x, int64_t pixel, int64_t count, T* out, int64_t plane_pitch) const {
    for (int64_t g = 0; g < pass_.planes; ++g, out += plane_pitch) {
      int64_t at[kVw<T>];
      alignas(64) T scale[kVw<T>] = {}, shift[kVw<T>] = {};
      for (int l = 0; l < part_.count(); ++l) {
        at[l] = pass_.channel(lane_ + l, g);
        scale[l] = prologue_.scale ? prologue_.scale[at[l]] : T(1);
        shift[l] = prologue_.scale ? prologue_.shift[at[l]] : T(0);
      }
      for (int64_t u = 0; u < count; ++u) {
        alignas(64) T v[kVw<T>] = {};
        if (part_.full()) {
          for (int l = 0; l < kVw<T>; ++l) v[l] = x[u * pixel + at[l]];
        } else {
          for (int l = 0; l < part_.count(); ++l) v[l] = x[u * pixel + at[l]];
        }
        const Vec<T> raw = load(v);
        store(out + u * kVw<T>, prologue_.scale ? raw * load(scale) + load(shift) : raw);
      }
      activate(out, count);
    }
  }

  void activate(T* out, int64_t count) const {
    if (prologue_.scale && prologue_.act.code != kIdentity) {
      act_block(out, out, count * kVw<T>, prologue_.act);
    }
  }

  const Pass& pass_;
  const Blocks<T>& b_;
  const Prologue<T>& prologue_;
  int64_t lane_;
  Part<T> part_;
};

}  // namespace
}  // namespace fc::FC_ISA
