// NumPy arrays as the bindings take them: checked, never copied, never converted.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <initializer_list>
#include <stdexcept>
#include <string>

namespace fc {

namespace py = pybind11;
using Shape = std::initializer_list<int64_t>;

inline std::string shape_text(const int64_t* begin, const int64_t* end) {
  std::string text = "(";
  for (const int64_t* d = begin; d != end; ++d)
    text += (d == begin ? "" : ", ") + std::to_string(*d);
  return text + (end - begin == 1 ? ",)" : ")");
}

inline std::string shape_text(const py::array& a) {
  return shape_text(reinterpret_cast<const int64_t*>(a.shape()),
                    reinterpret_cast<const int64_t*>(a.shape()) + a.ndim());
}

[[noreturn]] inline void refuse(const char* name, const std::string& expected,
                                const std::string& came) {
  throw std::invalid_argument(std::string(name) + ": expected " + expected + ", came " + came);
}

template <class T>
inline void check_dtype(const py::array& a, const char* name) {
  if (!py::isinstance<py::array_t<T>>(a)) {
    refuse(name, py::str(py::dtype::of<T>()), py::str(a.dtype()));
  }
}

inline void check_contiguous(const py::array& a, const char* name) {
  if (!(a.flags() & py::array::c_style)) refuse(name, "a C-contiguous array", "another layout");
}

inline void check_shape(const py::array& a, const char* name, Shape shape) {
  bool same = a.ndim() == static_cast<py::ssize_t>(shape.size());
  for (py::ssize_t i = 0; same && i < a.ndim(); ++i) same = a.shape(i) == shape.begin()[i];
  if (!same) refuse(name, "shape " + shape_text(shape.begin(), shape.end()), shape_text(a));
}

// The data of an input: dtype T and C-contiguous, else std::invalid_argument naming the argument.
template <class T>
const T* input(const py::array& a, const char* name) {
  check_dtype<T>(a, name);
  check_contiguous(a, name);
  return static_cast<const T*>(a.data());
}

template <class T>
const T* input(const py::array& a, const char* name, Shape shape) {
  check_shape(a, name, shape);
  return input<T>(a, name);
}

// The data of an output: also writeable.
template <class T>
T* output(py::array& a, const char* name) {
  check_dtype<T>(a, name);
  check_contiguous(a, name);
  if (!a.writeable()) refuse(name, "a writeable array", "a read-only one");
  return static_cast<T*>(a.mutable_data());
}

template <class T>
T* output(py::array& a, const char* name, Shape shape) {
  check_shape(a, name, shape);
  return output<T>(a, name);
}

// None gives a null pointer.
template <class T>
const T* optional_input(const py::object& a, const char* name, Shape shape) {
  return a.is_none() ? nullptr : input<T>(py::cast<py::array>(a), name, shape);
}

template <class T>
T* optional_output(const py::object& a, const char* name, Shape shape) {
  if (a.is_none()) return nullptr;
  py::array array = py::cast<py::array>(a);
  return output<T>(array, name, shape);
}

// Calls f(T()) with T float or double, as the array's dtype says.
template <class F>
auto with_float_type(const py::array& a, const char* name, F&& f) {
  if (py::isinstance<py::array_t<float>>(a)) return f(float());
  if (py::isinstance<py::array_t<double>>(a)) return f(double());
  refuse(name, "float32 or float64", py::str(a.dtype()));
}

// The half of a kernel table for T.
template <class T, class Kernels>
const auto& functions(const Kernels& kernels) {
  if constexpr (std::is_same_v<T, float>) {
    return kernels.f32;
  } else {
    return kernels.f64;
  }
}

}  // namespace fc
