// The weights as the gradient by the input multiplies them: the sum runs over output channels.
//
//   b[(t1, t2, k)][c] = w[k, tap1(t1), tap2(t2), c]
#pragma once

#include "cuda/conv2d/windows.h"
#include "cuda/gemm/tile.h"

namespace fc::cuda {

// Those of a phase.
struct Taps {
  int channels;  // C/groups, the columns
  int r, s;
  int tap1_0, tap1_step, tap2_0, tap2_step, taps1;
  Divider by_outputs, by_taps2;
};

template <class T, int kWidth>
struct TapLoader {
  static constexpr Major kMajor = Major::kMN;
  static constexpr int kVec = kWidth;
  static constexpr bool kFinishes = false;

  const T* base;     // (K/groups, R, S, C/groups) of the group
  const Taps& taps;  // in the kernel's arguments

  struct Row {
    int c;  // below 0: not there
  };
  struct Column {
    const T* p;
    bool valid;
  };

  FC_DEVICE Row row(int c) const { return {c < taps.channels ? c : -1}; }
  FC_DEVICE Column column(int i) const {
    int tap, t1, t2, k;
    taps.by_outputs.split(i, tap, k);
    taps.by_taps2.split(tap, t1, t2);
    const int at1 = taps.tap1_0 + t1 * taps.tap1_step;
    const int at2 = taps.tap2_0 + t2 * taps.tap2_step;
    return {base + ((int64_t{k} * taps.r + at1) * taps.s + at2) * taps.channels, t1 < taps.taps1};
  }
  FC_DEVICE void copy(T* to, const Row& row, const Column& column) const {
    const bool valid = row.c >= 0 && column.valid;
    copy_async<kVec>(to, valid ? column.p + row.c : base, valid);
  }
};

}  // namespace fc::cuda
