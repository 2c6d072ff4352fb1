// Conv2dProblem as Python has it: for the bindings of every native module.
#pragma once

#include <pybind11/pybind11.h>

#include <stdexcept>
#include <string>

#include "conv2d.h"

namespace fc {

// A fastconv.backend.problem.Conv2dProblem.
inline Conv2dProblem parse_conv2d_problem(const pybind11::tuple& t) {
  namespace py = pybind11;
  const auto size = [&](int i) { return py::cast<int64_t>(t[i]); };
  const auto part = [&](int i, int j) { return py::cast<int64_t>(py::cast<py::tuple>(t[i])[j]); };
  Conv2dProblem p;
  p.n = size(0);
  p.h = size(1);
  p.w = size(2);
  p.c = size(3);
  p.k = size(4);
  p.r = size(5);
  p.s = size(6);
  p.p = size(7);
  p.q = size(8);
  p.stride_h = part(9, 0);
  p.stride_w = part(9, 1);
  p.pad_top = part(10, 0);
  p.pad_bottom = part(10, 1);
  p.pad_left = part(10, 2);
  p.pad_right = part(10, 3);
  p.dilation_h = part(11, 0);
  p.dilation_w = part(11, 1);
  p.groups = size(12);
  if (p.groups < 1 || p.c % p.groups || p.k % p.groups || p.stride_h < 1 || p.stride_w < 1 ||
      p.dilation_h < 1 || p.dilation_w < 1) {
    throw std::invalid_argument(
        "problem: expected strides, dilations and dividing groups of at least 1, came " +
        std::string(py::repr(t)));
  }
  return p;
}

}  // namespace fc
