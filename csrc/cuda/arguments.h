// What the bindings of several families read from their Python arguments.
#pragma once

#include "activation.h"
#include "cuda/arrays.h"

namespace fc::cuda {

// A fastconv.backend.activation.Activation.
inline Activation activation_of(const py::handle& act) {
  Activation a;
  a.code = act.attr("code").cast<int>();
  a.alpha = act.attr("alpha").cast<double>();
  a.beta = act.attr("beta").cast<double>();
  return a;
}

}  // namespace fc::cuda
