// The problem argument of pooling, as the bindings of every native module read it.
#pragma once

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <stdexcept>
#include <string>

#include "pool2d.h"

namespace fc {

// A fastconv.backend.problem.Pool2dProblem.
inline Pool2d parse_pool2d_problem(const pybind11::tuple& t) {
  using Axes = std::array<int64_t, 2>;
  using Sides = std::array<int64_t, 4>;
  const auto refuse = [&](const char* expected) {
    throw std::invalid_argument(std::string("problem: expected ") + expected + ", came " +
                                std::string(pybind11::repr(t)));
  };
  if (t.size() != 11) refuse("a Pool2dProblem");
  Pool2d g;
  int64_t* sizes[] = {&g.n, &g.h, &g.w, &g.c, &g.r, &g.s, &g.p, &g.q};
  for (size_t i = 0; i < 8; ++i) *sizes[i] = t[i].cast<int64_t>();
  const auto stride = t[8].cast<Axes>(), dilation = t[10].cast<Axes>();
  const auto pad = t[9].cast<Sides>();
  g.stride_h = stride[0], g.stride_w = stride[1];
  g.pad_top = pad[0], g.pad_bottom = pad[1], g.pad_left = pad[2], g.pad_right = pad[3];
  g.dilation_h = dilation[0], g.dilation_w = dilation[1];
  for (int64_t step : {g.stride_h, g.stride_w, g.dilation_h, g.dilation_w}) {
    if (step < 1) refuse("strides and dilations of at least 1");
  }
  return g;
}

}  // namespace fc
