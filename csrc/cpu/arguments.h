// What the bindings of several families read from their Python arguments.
#pragma once

#include <string>

#include "activation_arguments.h"
#include "cpu/arrays.h"

namespace fc {

// a (..., C) seen as (rows, C)
struct Matrix {
  int64_t rows = 1, c = 0;

  Matrix(const py::array& a, const char* name) {
    if (a.ndim() < 1) refuse(name, "at least one axis", "a scalar");
    c = a.shape(a.ndim() - 1);
    for (py::ssize_t i = 0; i + 1 < a.ndim(); ++i) rows *= a.shape(i);
  }
};

inline void check_like(const py::array& a, const char* name, const py::array& model) {
  bool same = a.ndim() == model.ndim();
  for (py::ssize_t i = 0; same && i < a.ndim(); ++i) same = a.shape(i) == model.shape(i);
  if (!same) refuse(name, "shape " + shape_text(model), shape_text(a));
}

// Arrays that must have the shape of another one.
template <class T>
const T* input_like(const py::array& a, const char* name, const py::array& model) {
  check_like(a, name, model);
  return input<T>(a, name);
}

template <class T>
T* output_like(py::array& a, const char* name, const py::array& model) {
  check_like(a, name, model);
  return output<T>(a, name);
}

template <class T>
const T* optional_input_like(const py::object& a, const char* name, const py::array& model) {
  return a.is_none() ? nullptr : input_like<T>(py::cast<py::array>(a), name, model);
}

template <class T>
T* optional_output_like(const py::object& a, const char* name, const py::array& model) {
  if (a.is_none()) return nullptr;
  py::array array = py::cast<py::array>(a);
  return output_like<T>(array, name, model);
}

enum class Reduction { kNone, kSum, kMean };

inline Reduction reduction_of(const std::string& name) {
  if (name == "none") return Reduction::kNone;
  if (name == "sum") return Reduction::kSum;
  if (name == "mean") return Reduction::kMean;
  refuse("reduction", "none, sum or mean", name);
}

}  // namespace fc
