// The second step of per-channel sums: what every row tile found, added in a fixed order.
//
//   sums[i] = sum_t parts[t][i]
#pragma once

#include <cstdint>

#include "cuda/stream.h"

namespace fc::cuda {

// parts (tiles, columns), sums (columns,)
void add_column_sums(const double* parts, double* sums, int64_t tiles, int64_t columns,
                     Stream stream);

}  // namespace fc::cuda
