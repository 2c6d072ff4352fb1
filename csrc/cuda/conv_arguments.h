// The problem, epilogue, prologue and direction arguments of convolution and matrix product.
#pragma once

#include "conv2d_arguments.h"
#include "cuda/arguments.h"
#include "cuda/conv2d/direction.h"

namespace fc::cuda {

inline Direction parse_direction(const std::string& name) {
  if (name == "fwd") return Direction::kFwd;
  if (name == "dgrad") return Direction::kDgrad;
  if (name == "wgrad") return Direction::kWgrad;
  refuse("direction", "fwd, dgrad or wgrad", name);
}

// A fastconv.backend.problem.Prologue or None.
template <class T>
Prologue<T> parse_prologue(Call& call, const py::object& prologue, int64_t channels) {
  Prologue<T> result;
  if (prologue.is_none()) return result;
  const auto fields = py::cast<py::tuple>(prologue);  // scale, shift, act
  result.scale = call.input<T>(fields[0], "prologue.scale", {channels});
  result.shift = call.input<T>(fields[1], "prologue.shift", {channels});
  result.act = activation_of(fields[2]);
  return result;
}

// A fastconv.backend.problem.Epilogue; channels run along the last axis of the output.
template <class T>
Epilogue<T> parse_epilogue(Call& call, const py::tuple& fields, Shape y_shape) {
  const int64_t channels = *(y_shape.end() - 1);
  Epilogue<T> e;  // scale, shift, residual, act, sums
  e.scale = call.optional_input<T>(fields[0], "epilogue.scale", {channels});
  e.shift = call.optional_input<T>(fields[1], "epilogue.shift", {channels});
  e.residual = call.optional_input<T>(fields[2], "epilogue.residual", y_shape);
  e.act = activation_of(fields[3]);
  e.sums = call.optional_output<double>(fields[4], "epilogue.sums", {2, channels});
  return e;
}

}  // namespace fc::cuda
