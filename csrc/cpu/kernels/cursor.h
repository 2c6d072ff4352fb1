// Walking through the rows of a Source or a Target.
#pragma once

#include <cstdint>

#include "cpu/gemm.h"

namespace fc::FC_ISA {
namespace {

// Row numbers, walked without dividing. Rows are numbered (i0, i1, i2), or (i1, i0, i2) if
// lines_first: the same line of all images, one image after another. Tiles of small images then lie
// on few lines, and taps that fall outside the image are left out.
struct Cursor {
  int64_t d0, d1, d2, i0, i1, i2;
  bool lines_first;

  template <class Map>
  Cursor(const Map& map, int64_t row, int64_t rows, bool lines_first)
      : d1(map.d1), d2(map.d2), lines_first(lines_first) {
    row += map.first_row;
    i2 = row % d2;
    row /= d2;
    d0 = lines_first ? rows / (d1 * d2) : 1;
    i0 = lines_first ? row % d0 : row / d1;
    i1 = lines_first ? row / d0 : row % d1;
  }

  // Moves on by at most `rows` rows of one line, and says by how many.
  int64_t take(int64_t rows) {
    const int64_t left = d2 - i2;
    if (rows < left) {
      i2 += rows;
      return rows;
    }
    next_line();
    return left;
  }

 private:
  void next_line() {
    i2 = 0;
    if (lines_first) {
      if (++i0 < d0) return;
      i0 = 0;
      ++i1;
    } else {
      if (++i1 < d1) return;
      i1 = 0;
      ++i0;
    }
  }
};

// Where row (i0, i1, i2) of a Source begins if its windows are pixels.
template <class T>
const T* pixel_at(const Source<T>& s, int64_t group, const Cursor& at) {
  return s.base + s.offset + group * s.group_stride + at.i0 * s.s0 + at.i1 * s.mul1 * s.s1 +
         at.i2 * s.mul2 * s.s2;
}

// Whether the windows of a Source with so many columns are pixels, all inside the image and taken
// as they are.
template <class T>
bool is_pixels(const Source<T>& s, int64_t columns) {
  return columns == s.run && s.off1 == 0 && s.off2 == 0 && (s.d1 - 1) * s.mul1 < s.h_end &&
         (s.d2 - 1) * s.mul2 < s.w_end && !s.prologue.scale;
}

}  // namespace
}  // namespace fc::FC_ISA
