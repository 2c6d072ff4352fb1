// step(element) for every element of many tensors, whatever their sizes, in few launches.
//
// The pointers of up to kTensors tensors travel by value in the launch's parameters, of which there
// are 4 KB. Each tensor is cut into chunks, a block each; a block finds its tensor by bisection.
#pragma once

#include <algorithm>
#include <vector>

#include "cuda/device/dtype.h"
#include "cuda/device/launch.h"
#include "cuda/optim/optim.h"

namespace fc::cuda {

constexpr int kStepVector = 4, kChunk = 4 * kStepVector * kBlock;

template <class T, int kArrays>
struct TensorTable {
  static constexpr int kParameterBytes = 4096, kOtherBytes = 128;
  static constexpr int kTensors =
      (kParameterBytes - kOtherBytes) / (sizeof(Tensor<T, kArrays>) + sizeof(int));

  Tensor<T, kArrays> tensor[kTensors];
  int first_chunk[kTensors];  // of the launch
  int count = 0;

  // The last tensor that begins at the chunk or before it.
  FC_DEVICE int tensor_of(int chunk) const {
    int low = 0, high = count;
    while (high - low > 1) {
      const int middle = (low + high) / 2;
      if (first_chunk[middle] <= chunk) {
        low = middle;
      } else {
        high = middle;
      }
    }
    return low;
  }
};

// kN elements: read, stepped, written. Step::kReadsStates: else states are only written.
template <int kN, class Step, class T, int kArrays>
FC_DEVICE void step_neighbours(const Step& step, T* const (&array)[kArrays], int64_t at) {
  Vec<float, kN> v[kArrays];
#pragma unroll
  for (int a = 0; a < kArrays; ++a) {
    if (a < 2 || Step::kReadsStates) v[a] = widen(load<kN>(array[a] + at));
  }
#pragma unroll
  for (int j = 0; j < kN; ++j) {
    float element[kArrays];
#pragma unroll
    for (int a = 0; a < kArrays; ++a) element[a] = v[a][j];
    step(element);
#pragma unroll
    for (int a = 0; a < kArrays; ++a) v[a][j] = element[a];
  }
#pragma unroll
  for (int a = 0; a < kArrays; ++a) {
    if (a != 1) store(array[a] + at, narrow<T>(v[a]));
  }
}

template <class Step, class T, int kArrays>
__global__ void __launch_bounds__(kBlock)
    step_kernel(const TensorTable<T, kArrays> table, const Step step) {
  const int chunk = static_cast<int>(blockIdx.x), thread = static_cast<int>(threadIdx.x);
  const int t = table.tensor_of(chunk);
  const int64_t begin = int64_t{chunk - table.first_chunk[t]} * kChunk;
  const int64_t left = table.tensor[t].size - begin;
  const int size = left < kChunk ? static_cast<int>(left) : kChunk;
  T* array[kArrays];
  bool aligned = true;
#pragma unroll
  for (int a = 0; a < kArrays; ++a) {
    array[a] = table.tensor[t].array[a] + begin;
    aligned &= reinterpret_cast<uintptr_t>(array[a]) % (sizeof(T) * kStepVector) == 0;
  }
  const int vectors = aligned ? size / kStepVector : 0;
  for (int i = thread; i < vectors; i += kBlock) {
    step_neighbours<kStepVector>(step, array, i * kStepVector);
  }
  for (int i = vectors * kStepVector + thread; i < size; i += kBlock) {
    step_neighbours<1>(step, array, i);
  }
}

template <class Step, class T, int kArrays>
void step_all(const std::vector<Tensor<T, kArrays>>& tensors, const Step& step, Stream stream) {
  using Table = TensorTable<T, kArrays>;
  static_assert(sizeof(Table) + sizeof(Step) <= Table::kParameterBytes);
  Table table;
  int64_t chunks = 0;
  const auto launch_table = [&] {
    if (table.count == 0) return;
    launch(step_kernel<Step, T, kArrays>, dim3(static_cast<unsigned>(chunks)), kBlock, 0, stream,
           table, step);
    table.count = 0;
    chunks = 0;
  };
  for (const auto& tensor : tensors) {
    if (tensor.size == 0) continue;
    const int64_t more = ceil_div(tensor.size, kChunk);
    if (table.count == Table::kTensors || chunks + more > INT32_MAX) launch_table();
    table.tensor[table.count] = tensor;
    table.first_chunk[table.count++] = static_cast<int>(chunks);
    chunks += more;
  }
  launch_table();
}

}  // namespace fc::cuda
