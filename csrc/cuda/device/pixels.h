// A flat grid over images: one item per pixel and vector of channels, channels fastest, so that
// neighbouring threads move neighbouring bytes.
#pragma once

#include "cuda/device/divide.h"

namespace fc::cuda {

// Where an item lies. Indices inside an image are int: an image has fewer than 2^31 elements.
struct Place {
  int64_t image;
  int row, column, vector;
};

class PixelGrid {
 public:
  PixelGrid(int64_t first_image, int64_t images, int64_t rows, int64_t columns, int64_t vectors)
      : first_image_(first_image),
        items_(static_cast<int>(images * rows * columns * vectors)),
        rows_(rows),
        columns_(columns),
        vectors_(vectors) {}

  // constexpr: for the host and for kernels
  constexpr int items() const { return items_; }

  FC_DEVICE Place place(int item) const {
    Place at;
    int pixel, row, image;
    vectors_.split(item, pixel, at.vector);
    columns_.split(pixel, row, at.column);
    rows_.split(row, image, at.row);
    at.image = first_image_ + image;
    return at;
  }

 private:
  int64_t first_image_;
  int items_;
  Divider rows_, columns_, vectors_;
};

// f(grid) for grids that cover all images, of at most 2^30 items each: one, unless the arrays are
// huge.
template <class F>
void for_pixel_grids(int64_t images, int64_t rows, int64_t columns, int64_t vectors, F f) {
  const int64_t per_image = rows * columns * vectors;
  if (images * per_image == 0) return;
  constexpr int64_t kMostItems = int64_t{1} << 30;
  const int64_t at_once = per_image < kMostItems ? kMostItems / per_image : 1;
  for (int64_t first = 0; first < images; first += at_once) {
    const int64_t some = images - first < at_once ? images - first : at_once;
    f(PixelGrid(first, some, rows, columns, vectors));
  }
}

}  // namespace fc::cuda
