// Rows of a matrix (rows, c) as kernels of softmax and cross-entropy see them.
//
// A Team of threads shares a row. A Row is one thread's part of one row of each input:
//
//   scan(f)        f(column, a...) for each of its columns, a the inputs' values there
//   write(y, f)    y[column] = f(column, a...)
//   at(column)     the first input's value at any column of the row
//
// HeldRow keeps them in registers. StreamedRow reads them anew every time, for rows too long to be
// held. StagedRow has a row per thread, for rows so short that a warp would be idle: the block
// brings its rows to shared memory and back in one piece, so that accesses coalesce.
#pragma once

#include "cuda/device/divide.h"
#include "cuda/device/dtype.h"
#include "cuda/device/launch.h"
#include "cuda/device/warp.h"

namespace fc::cuda {

// The first bytes of shared memory are for block_reduce, in any kernel on rows.
constexpr int kScratchBytes = 16 * sizeof(double);

template <class T, int kInputs>
struct Matrices {
  const T* input[kInputs];  // (rows, c)
  int64_t rows;
  int c;
  bool aligned;  // whether inputs and outputs allow vectors; the results are the same if not
  Divider by_c;
};

template <int kThreads_>
struct Team {
  static constexpr int kThreads = kThreads_;
  static constexpr int kBlockThreads = kThreads == 1 ? 128 : kThreads <= kWarp ? 64 : kThreads;
  static constexpr int kRows = kBlockThreads / kThreads;  // of a block
  static_assert(kBlockThreads / kWarp * sizeof(double) <= kScratchBytes);

  static FC_DEVICE int index() { return static_cast<int>(threadIdx.x) / kThreads; }
  static FC_DEVICE int thread() { return static_cast<int>(threadIdx.x) % kThreads; }

  // Every thread of the block calls it, and gets its team's result.
  template <class Combine>
  static FC_DEVICE float reduce(float value, Combine combine) {
    if constexpr (kThreads == 1) {
      return value;
    } else if constexpr (kThreads == kWarp) {
      return warp_reduce(value, combine);
    } else {
      return block_reduce(value, shared_memory<float>(), combine);
    }
  }
};

template <int N, class T>
FC_DEVICE Vec<T, N> load_neighbours(const T* p, bool aligned) {
  if constexpr (N > 1) {
    if (!aligned) {
      Vec<T, N> v;
#pragma unroll
      for (int j = 0; j < N; ++j) v[j] = p[j];
      return v;
    }
  }
  return load<N>(p);
}
template <int N, class T>
FC_DEVICE void store_neighbours(T* p, const Vec<T, N>& v, bool aligned) {
  if constexpr (N > 1) {
    if (!aligned) {
#pragma unroll
      for (int j = 0; j < N; ++j) p[j] = v[j];
      return;
    }
  }
  store(p, v);
}

// f at one of the kN columns that v holds of each input
template <class F, int kN>
FC_DEVICE auto call_at(F& f, int column, const Vec<float, kN> (&v)[1], int j) {
  return f(column + j, v[0][j]);
}
template <class F, int kN>
FC_DEVICE auto call_at(F& f, int column, const Vec<float, kN> (&v)[2], int j) {
  return f(column + j, v[0][j], v[1][j]);
}

// What HeldRow and StreamedRow share. A thread's columns come kN at a time, kStride apart.
template <class Team_, int kN, class T, int kInputs>
class PartOfRow {
 public:
  using Team = Team_;

  FC_DEVICE PartOfRow(const Matrices<T, kInputs>& in, int64_t first_row)
      : in_(in), offset_((first_row + Team::index()) * in.c), c_(in.c) {
    if (first_row + Team::index() >= in.rows) c_ = 0;
  }
  FC_DEVICE float at(int column) const { return widen(in_.input[0][offset_ + column]); }

 protected:
  static constexpr int kStride = Team::kThreads * kN;
  using Values = Vec<float, kN>[kInputs];

  static FC_DEVICE int first_column() { return Team::thread() * kN; }
  FC_DEVICE void read(int column, Values& v) const {
#pragma unroll
    for (int i = 0; i < kInputs; ++i) {
      v[i] = widen(load_neighbours<kN>(in_.input[i] + offset_ + column, in_.aligned));
    }
  }
  template <class F>
  static FC_DEVICE void scan_values(int column, const Values& v, F& f) {
#pragma unroll
    for (int j = 0; j < kN; ++j) call_at(f, column, v, j);
  }
  template <class F>
  FC_DEVICE void write_values(int column, const Values& v, T* y, F& f) const {
    Vec<float, kN> out;
#pragma unroll
    for (int j = 0; j < kN; ++j) out[j] = call_at(f, column, v, j);
    store_neighbours(y + offset_ + column, narrow<T>(out), in_.aligned);
  }

  const Matrices<T, kInputs>& in_;
  int64_t offset_;  // of the row
  int c_;           // 0 where the matrix has no more rows
};

template <class Team, int kN, int kSteps, class T, int kInputs>
class HeldRow : public PartOfRow<Team, kN, T, kInputs> {
  using Part = PartOfRow<Team, kN, T, kInputs>;

 public:
  FC_DEVICE HeldRow(const Matrices<T, kInputs>& in, int64_t first_row) : Part(in, first_row) {
#pragma unroll
    for (int s = 0; s < kSteps; ++s) {
      if (column(s) < this->c_) this->read(column(s), held_[s]);
    }
  }
  template <class F>
  FC_DEVICE void scan(F f) const {
#pragma unroll
    for (int s = 0; s < kSteps; ++s) {
      if (column(s) < this->c_) this->scan_values(column(s), held_[s], f);
    }
  }
  template <class F>
  FC_DEVICE void write(T* y, F f) const {
#pragma unroll
    for (int s = 0; s < kSteps; ++s) {
      if (column(s) < this->c_) this->write_values(column(s), held_[s], y, f);
    }
  }

 private:
  static FC_DEVICE int column(int s) { return Part::first_column() + s * Part::kStride; }
  typename Part::Values held_[kSteps];
};

template <class Team, int kN, class T, int kInputs>
class StreamedRow : public PartOfRow<Team, kN, T, kInputs> {
  using Part = PartOfRow<Team, kN, T, kInputs>;

 public:
  using Part::Part;

  template <class F>
  FC_DEVICE void scan(F f) const {
    typename Part::Values v;
    for (int column = Part::first_column(); column < this->c_; column += Part::kStride) {
      this->read(column, v);
      this->scan_values(column, v, f);
    }
  }
  template <class F>
  FC_DEVICE void write(T* y, F f) const {
    typename Part::Values v;
    for (int column = Part::first_column(); column < this->c_; column += Part::kStride) {
      this->read(column, v);
      this->write_values(column, v, y, f);
    }
  }
};

template <class T, int kInputs>
class StagedRow {
 public:
  using Team = cuda::Team<1>;

  // An odd pitch: the threads of a warp, each in its row, meet 32 different banks.
  static __host__ __device__ constexpr int pitch(int c) { return c | 1; }
  static int shared_bytes(int c) { return kInputs * Team::kRows * pitch(c) * sizeof(float); }

  FC_DEVICE StagedRow(const Matrices<T, kInputs>& in, int64_t first_row)
      : in_(in),
        offset_(first_row * in.c),
        rows_(in.rows - first_row < Team::kRows ? static_cast<int>(in.rows - first_row)
                                                : Team::kRows),
        c_(Team::index() < rows_ ? in.c : 0) {
    __syncthreads();  // the rows before these were read
    each_value([&](int i, int shared_at) {
#pragma unroll
      for (int k = 0; k < kInputs; ++k) staged(k)[shared_at] = widen(in_.input[k][offset_ + i]);
    });
    __syncthreads();
  }
  FC_DEVICE float at(int column) const { return row(0)[column]; }
  template <class F>
  FC_DEVICE void scan(F f) const {
    for (int column = 0; column < c_; ++column) call(f, column);
  }
  template <class F>
  FC_DEVICE void write(T* y, F f) const {
    for (int column = 0; column < c_; ++column) row(0)[column] = call(f, column);
    __syncthreads();
    each_value([&](int i, int shared_at) { y[offset_ + i] = narrow<T>(staged(0)[shared_at]); });
  }

 private:
  // (Team::kRows, pitch)
  FC_DEVICE float* staged(int input) const {
    return shared_memory<float>() + kScratchBytes / sizeof(float) +
           input * Team::kRows * pitch(in_.c);
  }
  FC_DEVICE float* row(int input) const { return staged(input) + Team::index() * pitch(in_.c); }
  // f(index, index in staged) for every value of the block's rows
  template <class F>
  FC_DEVICE void each_value(F f) const {
    for (int i = threadIdx.x; i < rows_ * in_.c; i += Team::kBlockThreads) {
      int r, column;
      in_.by_c.split(i, r, column);
      f(i, r * pitch(in_.c) + column);
    }
  }
  template <class F>
  FC_DEVICE auto call(F& f, int column) const {
    if constexpr (kInputs == 1) {
      return f(column, row(0)[column]);
    } else {
      return f(column, row(0)[column], row(1)[column]);
    }
  }

  const Matrices<T, kInputs>& in_;
  int64_t offset_;  // of the block's first row
  int rows_, c_;    // of the block; of this thread, 0 where the matrix has no more rows
};

// max and sum e^(x - max) of a row, in one pass; the sum is NaN if the maximum is not finite, as
// inf - inf is. Milakov and Gimelshein 2018, "Online normalizer calculation for softmax".
struct ExpSum {
  float top, sum;
};
template <class Row>
FC_DEVICE ExpSum exp_sum(const Row& row) {
  constexpr float kLowest = -3.402823466e+38f;  // finite, so that -inf is as far below as it should
  float top = kLowest, sum = 0;
  row.scan([&](int, float x) {
    const bool larger = x > top;
    const float e = ::expf(larger ? top - x : x - top);
    sum = larger ? sum * e + 1.f : sum + e;
    top = larger ? x : top;
  });
  const float all = Row::Team::reduce(top, Larger());
  sum = Row::Team::reduce(sum * ::expf(top - all), Plus());
  return {all, sum > 0.f && all < INFINITY ? sum : NAN};
}

}  // namespace fc::cuda
