// One bind_ function per family, each in its own bind_<family>.cpp: the same in _cuda and
// _emulator.
#pragma once

#include <pybind11/pybind11.h>

namespace fc::cuda {

void bind_channel(pybind11::module_& m);
void bind_conv2d(pybind11::module_& m);
void bind_elementwise(pybind11::module_& m);
void bind_gemm(pybind11::module_& m);
void bind_ladder(pybind11::module_& m);
void bind_loss(pybind11::module_& m);
void bind_norm(pybind11::module_& m);
void bind_optim(pybind11::module_& m);
void bind_pool(pybind11::module_& m);
void bind_resize(pybind11::module_& m);

// Every one of them.
inline void bind_kernels(pybind11::module_& m) {
  bind_channel(m);
  bind_conv2d(m);
  bind_elementwise(m);
  bind_gemm(m);
  bind_ladder(m);
  bind_loss(m);
  bind_norm(m);
  bind_optim(m);
  bind_pool(m);
  bind_resize(m);
}

}  // namespace fc::cuda
