// An operand that is a matrix, stored either way round.
#pragma once

#include "cuda/gemm/prologue.h"
#include "cuda/gemm/tile.h"

namespace fc::cuda {

// (rows, depth): the sum runs along depth. kK: depth is contiguous; kMN: rows are.
template <class T, Major kOrder, int kWidth>
struct MatrixLoader {
  static constexpr Major kMajor = kOrder;
  static constexpr int kVec = kWidth;
  static constexpr bool kFinishes = true;

  const T* base;
  int rows, depth;
  int64_t pitch;             // elements from one line to the next
  LoadedThrough<T> through;  // channels run along the contiguous index

  struct Row {
    int index;  // below 0: not there
  };
  struct Column {
    int64_t offset;
    int index;
    bool valid;
  };

  FC_DEVICE Row row(int i) const { return {i < rows ? i : -1}; }
  FC_DEVICE Column column(int k) const {
    return {kMajor == Major::kK ? k : k * pitch, k, k < depth};
  }
  FC_DEVICE void copy(T* to, const Row& r, const Column& c) const {
    const bool valid = r.index >= 0 && c.valid;
    const int64_t line = kMajor == Major::kK ? r.index * pitch : r.index;
    copy_async<kVec>(to, valid ? base + line + c.offset : base, valid);
  }
  FC_DEVICE bool finishes() const { return through.there(); }
  FC_DEVICE void finish(T* at, const Row& r, const Column& c) const {
    if (r.index < 0 || !c.valid) return;
    through.template apply_at<kVec>(at, kMajor == Major::kK ? c.index : r.index);
  }
};

}  // namespace fc::cuda
