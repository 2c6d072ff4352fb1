// Which thread does what in the kernels that write an image (forward, gradient by x).
//
// A thread owns N channels (a vector) of kColumns neighbouring pixels of one row (a patch). A block
// owns a few vectors, neighbouring threads neighbouring vectors, of as many patches as fit; they
// lie side by side in a band about 16 pixels wide and below each other, so that the rows that
// windows share are read from L1. Bands go on from image to image: small images leave no thread
// idle. Where few blocks are wanted, as when they sum what they compute, a block does several such
// tiles in turn (steps).
#pragma once

#include <algorithm>
#include <stdexcept>

#include "cuda/device/divide.h"
#include "cuda/device/launch.h"

namespace fc::cuda {

constexpr int kBandPixels = 16;
constexpr int64_t kSummingBlocks = 2048;

// Vectors of per_vector channels in a block: even, so that they fill whole sectors, and with few
// of them idle.
inline int vectors_of_block(int64_t channels, int per_vector) {
  const int64_t vectors = ceil_div(channels, per_vector), most = per_vector == 1 ? kWarp : 16;
  if (vectors <= most) return static_cast<int>(vectors);
  const int64_t each = ceil_div(vectors, ceil_div(vectors, most));
  return static_cast<int>(each + each % 2);
}

// Dividers and indices have 31 bits.
inline void check_count(int64_t count) {
  if (count > INT32_MAX - kBlock) throw std::invalid_argument("convolution: more than 2^31 pixels");
}

struct Patch {
  int vector;   // of the block
  int channel;  // the first one of the vector
  bool inside;  // there is such a patch and vector
  int n, row, column;
};

struct Tiles {
  int channels, rows, columns;  // of the output
  int shift;                    // the first patch of a row begins at column -shift
  int vectors, patches, steps;  // of a block; patches of a step
  int band, groups;             // patches side by side in a band, in a row
  int64_t total;                // patches, those beyond the right edge too
  Divider by_vectors, by_band, by_rows, by_bands;

  Tiles(int64_t n, int64_t rows, int64_t columns, int64_t channels, int per_vector, int vectors,
        int per_patch, int shift, int64_t most_blocks)
      : channels(static_cast<int>(channels)),
        rows(static_cast<int>(rows)),
        columns(static_cast<int>(columns)),
        shift(shift),
        vectors(vectors) {
    patches = kBlock / vectors;
    groups = static_cast<int>(ceil_div(columns + shift, per_patch));
    const int bands = ceil_div(groups, std::max(1, kBandPixels / per_patch));
    band = ceil_div(groups, bands);
    total = n * bands * rows * band;
    check_count(total);
    const int64_t blocks = ceil_div(total, patches) * ceil_div(channels, per_vector * vectors);
    steps = static_cast<int>((blocks - 1) / most_blocks + 1);
    by_vectors = Divider(vectors);
    by_band = Divider(band);
    by_rows = Divider(rows);
    by_bands = Divider(bands);
  }

  dim3 grid(int per_vector) const {
    return dim3(static_cast<unsigned>(ceil_div(total, int64_t{patches} * steps)),
                static_cast<unsigned>(ceil_div(channels, per_vector * vectors)));
  }

  // The first channel of the block.
  template <int N>
  FC_DEVICE int first_channel() const {
    return static_cast<int>(blockIdx.y) * vectors * N;
  }

  // Of the running thread, whatever the step.
  template <int N>
  FC_DEVICE int channel() const {
    int index, vector;
    by_vectors.split(static_cast<int>(threadIdx.x), index, vector);
    return first_channel<N>() + vector * N;
  }

  template <int N, int kColumns>
  FC_DEVICE Patch patch(int step) const {
    Patch p;
    int index;
    by_vectors.split(static_cast<int>(threadIdx.x), index, p.vector);
    p.channel = first_channel<N>() + p.vector * N;
    const int64_t at = (int64_t{blockIdx.x} * steps + step) * patches + index;
    p.inside = index < patches && at < total && p.channel < channels;
    // n, band, row, place in the band
    int rest, in_band, band_of_row;
    by_band.split(p.inside ? static_cast<int>(at) : 0, rest, in_band);
    by_rows.split(rest, rest, p.row);
    by_bands.split(rest, p.n, band_of_row);
    const int group = band_of_row * band + in_band;
    p.inside = p.inside && group < groups;
    p.column = group * kColumns - shift;
    return p;
  }
};

}  // namespace fc::cuda
