// An activation as Python has it: for the bindings of every native module.
#pragma once

#include <pybind11/pybind11.h>

#include "activation.h"

namespace fc {

// A fastconv.backend.activation.Activation.
inline Activation activation_of(const pybind11::handle& act) {
  Activation a;
  a.code = act.attr("code").cast<int>();
  a.alpha = act.attr("alpha").cast<double>();
  a.beta = act.attr("beta").cast<double>();
  return a;
}

}  // namespace fc
