// Which kind of Row fits how many columns.
#pragma once

#include "cuda/loss/row.h"

namespace fc::cuda {

// A plan names the Row of its kernels. Columns come four at a time where c is a multiple.
struct Staged {
  static constexpr int kColumns = 32;  // at most
  using Team = cuda::Team<1>;
  template <class T, int kInputs>
  using Row = StagedRow<T, kInputs>;
  template <class T, int kInputs>
  static int shared_bytes(int c) {
    return kScratchBytes + Row<T, kInputs>::shared_bytes(c);
  }
};

template <int kThreads, int kN, int kSteps>
struct Held {
  static constexpr int kColumns = kThreads * kN * kSteps;
  using Team = cuda::Team<kThreads>;
  template <class T, int kInputs>
  using Row = HeldRow<Team, kN, kSteps, T, kInputs>;
  template <class T, int kInputs>
  static int shared_bytes(int) {
    return kScratchBytes;
  }
};

template <int kThreads, int kN>
struct Streamed {
  using Team = cuda::Team<kThreads>;
  template <class T, int kInputs>
  using Row = StreamedRow<Team, kN, T, kInputs>;
  template <class T, int kInputs>
  static int shared_bytes(int) {
    return kScratchBytes;
  }
};

// f(plan) with the plan for c columns, which alone decides the order of every sum
template <int kN, class F>
void with_long_plan(int c, F f) {
  using Warp = Held<kWarp, kN, 8 / kN>;
  using LongWarp = Held<kWarp, kN, 32 / kN>;
  using Block = Held<kBlock, kN, 32 / kN>;
  if (c <= Warp::kColumns) return f(Warp());
  if (c <= LongWarp::kColumns) return f(LongWarp());
  if (c <= Block::kColumns) return f(Block());
  f(Streamed<2 * kBlock, kN>());
}
template <class F>
void with_plan(int c, F f) {
  if (c <= Staged::kColumns) return f(Staged());
  if (c % 4 == 0) return with_long_plan<4>(c, f);
  with_long_plan<1>(c, f);
}

template <class T, int kInputs, class... Out>
Matrices<T, kInputs> matrices(const T* const (&input)[kInputs], int64_t rows, int c,
                              const Out*... outputs) {
  Matrices<T, kInputs> in{{}, rows, c, (vectors_fit<4>(outputs, 0) && ...), Divider(c > 0 ? c : 1)};
  for (int i = 0; i < kInputs; ++i) {
    in.input[i] = input[i];
    in.aligned &= vectors_fit<4>(input[i], 0);
  }
  return in;
}

}  // namespace fc::cuda
