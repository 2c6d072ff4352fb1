// While a unit is multiplied, what the thread stages next comes into the second-level cache.
#pragma once

#include "cpu/kernels/lanes_plan.h"
#include "cpu/kernels/prefetch.h"

namespace fc::FC_ISA {
namespace {

// Rows of the thread's next unit: some with every vector of the present one, and of those some with
// every position, so that loads and multiplications overlap.
class Ahead {
 public:
  Ahead() = default;
  // Image (.., w, channels) from (row, column) on: `rows` rows and `width` lines per position row
  // and column. whole: the thread has all vectors, and vector v is in charge of a piece that is
  // contiguous (there the machine's own prefetching helps); else of its own lines.
  template <class T>
  Ahead(const T* image, int64_t w, int64_t channels, int64_t row, int64_t column, int64_t rows,
        int64_t width, int64_t positions, bool whole, int64_t v)
      : rows_(rows), width_(width), pitch_(w * channels * sizeof(T)) {
    const int64_t pixel = channels * sizeof(T);
    line_ = whole ? kVectorBytes : pixel;
    at_ = reinterpret_cast<uintptr_t>(image) + row * pitch_ + column * pixel +
          v * kVectorBytes * (whole ? positions * width : 1);
  }

  // while `count` positions of row i from column q on are multiplied
  void fetch(int64_t i, int64_t q, int64_t count) const {
    for (int64_t r = i * rows_; r < (i + 1) * rows_; ++r) {
      uintptr_t line = at_ + r * pitch_ + q * width_ * line_;
      for (int64_t left = count * width_; left > 0; --left, line += line_) {
        prefetch_early(reinterpret_cast<const void*>(line));
      }
    }
  }

 private:
  int64_t rows_ = 0, width_ = 0, pitch_ = 0, line_ = 0;
  uintptr_t at_ = 0;
};

// What `next` stages of its image and `now` has not. whole: the thread has all vectors of it.
template <class T>
Ahead source_ahead(const Pass& pass, const T* source, const Unit& now, const Unit& next, bool whole,
                   int64_t v) {
  const bool below = next.n == now.n && next.i0 == now.i1;
  const int64_t row = next.i0 * pass.h.step() + (below ? pass.h.hi - pass.h.step() + 1 : pass.h.lo);
  const T* image = source + next.n * pass.h.source * pass.w.source * pass.channels;
  return Ahead(image, pass.w.source, pass.channels, max_of<int64_t>(row, 0),
               next.j0 * pass.w.step(), pass.h.step(), pass.w.step(), next.j1 - next.j0, whole, v);
}

}  // namespace
}  // namespace fc::FC_ISA
