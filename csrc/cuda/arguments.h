// What the bindings of several families read from their Python arguments.
#pragma once

#include "activation_arguments.h"
#include "cuda/arrays.h"

namespace fc::cuda {

// An array (..., C) seen as (rows, C).
struct Rows {
  int64_t rows = 1, c = 0;

  Rows(const py::handle& a, const std::string& name) {
    const Array array = look_at(a, name);
    if (array.shape.empty()) refuse(name, "at least one axis", "a scalar");
    c = array.shape.back();
    for (size_t i = 0; i + 1 < array.shape.size(); ++i) rows *= array.shape[i];
  }
  int64_t size() const { return rows * c; }
};

// An array (N, H, W, C).
struct Image {
  int64_t n, h, w, c;

  Image(const py::handle& a, const std::string& name) {
    const Array array = look_at(a, name);
    const auto& s = array.shape;
    if (s.size() != 4) refuse(name, "4 axes", std::to_string(s.size()));
    n = s[0], h = s[1], w = s[2], c = s[3];
  }
};

}  // namespace fc::cuda
