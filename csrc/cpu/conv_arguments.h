// The epilogue, prologue and workspace arguments of convolution and matrix product.
#pragma once

#include "conv2d.h"
#include "conv2d_arguments.h"
#include "cpu/arguments.h"

namespace fc {

// A fastconv.backend.problem.Prologue or None.
template <class T>
Prologue<T> parse_prologue(const py::object& prologue, int64_t channels) {
  Prologue<T> result;
  if (prologue.is_none()) return result;
  const auto fields = py::cast<py::tuple>(prologue);  // scale, shift, act
  result.scale = input<T>(py::cast<py::array>(fields[0]), "prologue.scale", {channels});
  result.shift = input<T>(py::cast<py::array>(fields[1]), "prologue.shift", {channels});
  result.act = activation_of(fields[2]);
  return result;
}

// A fastconv.backend.problem.Epilogue; channels run along the last axis of the output.
template <class T>
Epilogue<T> parse_epilogue(const py::tuple& fields, Shape y_shape) {
  const int64_t channels = *(y_shape.end() - 1);
  Epilogue<T> e;  // scale, shift, residual, act, sums
  e.scale = optional_input<T>(fields[0], "epilogue.scale", {channels});
  e.shift = optional_input<T>(fields[1], "epilogue.shift", {channels});
  e.residual = optional_input<T>(fields[2], "epilogue.residual", y_shape);
  e.act = activation_of(fields[3]);
  e.sums = optional_output<double>(fields[4], "epilogue.sums", {2, channels});
  return e;
}

// Calls f(float()) or f(double()), as the bytes of a dtype say, where there is no array yet.
template <class F>
auto with_float_size(int itemsize, F&& f) {
  if (itemsize == 4) return f(float());
  if (itemsize == 8) return f(double());
  refuse("dtype", "4 or 8 bytes", std::to_string(itemsize));
}

// The memory of a workspace argument: None, or a writeable uint8 array of at least bytes.
inline void* parse_workspace(const py::object& workspace, int64_t bytes) {
  if (workspace.is_none()) {
    if (bytes > 0) refuse("workspace", std::to_string(bytes) + " bytes", "None");
    return nullptr;
  }
  auto array = py::cast<py::array>(workspace);
  void* data = output<uint8_t>(array, "workspace");
  if (array.size() < bytes) {
    refuse("workspace", std::to_string(bytes) + " bytes", std::to_string(array.size()));
  }
  return data;
}

}  // namespace fc
