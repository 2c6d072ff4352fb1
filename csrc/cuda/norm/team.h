// A row per team: kTeam neighbouring threads of a block, each with every kTeam-th vector of the
// row. For norms over the last axis of x (rows, C).
#pragma once

#include <type_traits>

#include "cuda/device/launch.h"
#include "cuda/device/vector.h"
#include "cuda/device/warp.h"

namespace fc::cuda {

// kVectors: vectors of a row that a thread keeps in registers; 0: rows of any length, whose
// elements are read again each time.
template <int kTeamThreads, int kVectorsHeld, int kElements>
struct Team {
  static constexpr int kTeam = kTeamThreads, kVectors = kVectorsHeld, kN = kElements;
  static constexpr int kRows = kBlock / kTeam;  // of a block
  static constexpr int kHeld = kVectors ? kVectors : 1;
  static_assert(kTeam <= kWarp || kTeam == kBlock, "lanes of a warp, or a whole block");

  int64_t row;
  bool there;
  int member, channels;

  FC_DEVICE Team(int64_t rows, int c)
      : row(int64_t{blockIdx.x} * kRows + static_cast<int>(threadIdx.x) / kTeam),
        there(row < rows),
        member(static_cast<int>(threadIdx.x) % kTeam),
        channels(c) {}

  // f(i, c) for this thread's vectors: the i-th held one, channels c to c + kN
  template <class F>
  FC_DEVICE void for_vectors(F f) const {
    if (!there) return;
    if constexpr (kVectors > 0) {
#pragma unroll
      for (int i = 0; i < kVectors; ++i) {
        const int c = (i * kTeam + member) * kN;
        if (c < channels) f(i, c);
      }
    } else {
      for (int c = member * kN; c < channels; c += kTeam * kN) f(0, c);
    }
  }

  // Every member gets the sum. scratch: a float per warp of the block
  FC_DEVICE float sum(float value, float* scratch) const {
    if constexpr (kTeam == kBlock) {
      return block_reduce(value, scratch, Plus());
    } else {
#pragma unroll
      for (int mask = kTeam / 2; mask > 0; mask /= 2) value += shuffle_xor(value, mask);
      return value;
    }
  }
};

constexpr size_t kTeamScratch = kBlock / kWarp * sizeof(float);

template <class T>
struct ChosenTeam {
  using type = T;
};

// Calls f with the smallest team that holds a row in kVectors vectors per thread (team.type).
template <int kVectors, int kN, class F>
void with_team(int64_t channels, F f) {
  constexpr int64_t kPerThread = int64_t{kVectors} * kN;
  if (channels <= 8 * kPerThread) {
    f(ChosenTeam<Team<8, kVectors, kN>>());
  } else if (channels <= kWarp * kPerThread) {
    f(ChosenTeam<Team<kWarp, kVectors, kN>>());
  } else if (channels <= kBlock * kPerThread) {
    f(ChosenTeam<Team<kBlock, kVectors, kN>>());
  } else {
    f(ChosenTeam<Team<kBlock, 0, kN>>());
  }
}

// Calls f with the elements of a vector that all rows of T and the parameters can be moved by, as a
// constant. gamma, beta may be null.
template <class T, class F, class... P>
void with_row_vectors(int64_t channels, F f, const float* gamma, const float* beta, const P*... p) {
  constexpr int kN = kVector<T>;
  if ((vectors_fit<kN>(p, channels) && ...) && vectors_fit<kN>(gamma, 0) &&
      vectors_fit<kN>(beta, 0)) {
    f(std::integral_constant<int, kN>());
  } else {
    f(std::integral_constant<int, 1>());
  }
}

}  // namespace fc::cuda
