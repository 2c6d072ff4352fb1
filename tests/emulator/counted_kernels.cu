// Accesses whose cost every textbook tells, one warp each. Lines that test_emulator_counts.py looks
// at carry "counts" and a name.
#include "cuda/device/async_copy.h"
#include "cuda/device/vector.h"
#include "harness.h"

namespace fc::selftest {
namespace {

using namespace fc::cuda;

// x (kWarp, kWarp), y (2, kWarp, kWarp)
__global__ void global_patterns(const float* x, float* y) {
  const int i = static_cast<int>(threadIdx.x);
  float sum = 0;
  sum += x[i];                   // counts neighbours
  sum += x[2 * i];               // counts every_second
  sum += x[i + 1];               // counts shifted
  sum += x[7];                   // counts global_broadcast
  sum += x[kWarp - 1 - i];       // counts turned_round
  sum += load<2>(x + 2 * i)[0];  // counts pairs
  sum += load<4>(x + 4 * i)[0];  // counts vectors
  if (i < 8) sum += x[i];        // counts a_quarter
  for (int row = 0; row < 3; ++row) {
    sum += x[row * kWarp + i];  // counts rows
  }
  y[i * kWarp] = sum;                                         // counts transposed_store
  store(y + 4 * i + kWarp * kWarp, Vec<float, 4>::all(sum));  // counts vector_stores
}

__global__ void narrow_patterns(const uint16_t* x, uint16_t* y) {
  const int i = static_cast<int>(threadIdx.x);
  y[i] = x[i];  // counts halves
}

// x (kWarp, kWarp), y = x^T; the tile's rows are kPitch apart
template <int kPitch>
FC_DEVICE void transpose(const float* x, float* y) {
  float* tile = shared_memory<float>();  // (kWarp, kPitch)
  const int i = static_cast<int>(threadIdx.x);
  for (int row = 0; row < kWarp; ++row) tile[row * kPitch + i] = x[row * kWarp + i];
  __syncthreads();
  for (int row = 0; row < kWarp; ++row) {
    y[row * kWarp + i] = tile[i * kPitch + row];  // counts columns
  }
}
__global__ void transpose_unpadded(const float* x, float* y) { transpose<kWarp>(x, y); }
__global__ void transpose_padded(const float* x, float* y) { transpose<kWarp + 1>(x, y); }

__global__ void shared_patterns(const float* x, float* y) {
  float* s = shared_memory<float>();  // (kWarp, 4)
  const int i = static_cast<int>(threadIdx.x);
  copy_async<4>(s + 4 * i, x + 4 * i);  // counts copies
  commit_copies();
  wait_copies<0>();
  __syncthreads();
  float sum = 0;
  sum += s[i];                   // counts shared_neighbours
  sum += s[5];                   // counts shared_broadcast
  sum += s[2 * i];               // counts two_banks
  sum += s[4 * (i % 8)];         // counts repeated
  sum += load<2>(s + 2 * i)[0];  // counts shared_pairs
  sum += load<4>(s + 4 * i)[0];  // counts shared_vectors
  sum += load<4>(s + 8)[0];      // counts shared_vector_broadcast
  y[i] = sum;
}

template <class T, void (*kKernel)(const T*, T*), int kShared = 0>
void one_warp(const Arguments& a) {
  launch(kKernel, 1, kWarp, kShared * sizeof(float), nullptr, a.array<T>(0), a.array<T>(1));
}

const Register all[] = {
    {"global_patterns", one_warp<float, global_patterns>},
    {"narrow_patterns", one_warp<uint16_t, narrow_patterns>},
    {"transpose_unpadded", one_warp<float, transpose_unpadded, kWarp * kWarp>},
    {"transpose_padded", one_warp<float, transpose_padded, kWarp*(kWarp + 1)>},
    {"shared_patterns", one_warp<float, shared_patterns, 4 * kWarp>},
};

}  // namespace
}  // namespace fc::selftest
