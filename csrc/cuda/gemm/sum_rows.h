// out[j] = sum_i partial[i, j]: the second half of every sum over blocks.
#pragma once

#include <cstdint>

#include "cuda/stream.h"

namespace fc::cuda {

// Bytes of scratch memory for sum_rows.
int64_t sum_rows_workspace(int64_t rows, int64_t columns);

// partial (rows, columns), float64 accumulators, in an order that the sizes fix. Element j of the
// result goes to out[j % inner * (columns / inner) + j / inner]: seen as (outer, inner) it is
// written transposed; inner = columns leaves the order as it is. columns < 2^31; nothing may be
// empty.
template <class In, class Out>
void sum_rows(const In* partial, int64_t rows, int64_t columns, int64_t inner, Out* out,
              void* workspace, Stream stream);

}  // namespace fc::cuda
