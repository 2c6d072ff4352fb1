// One bind_ function per op family, each in its own bind_<family>.cpp.
#pragma once

#include <pybind11/pybind11.h>

namespace fc {

void bind_memory(pybind11::module_& m);
void bind_threads(pybind11::module_& m);
void bind_conv2d(pybind11::module_& m);
void bind_channel(pybind11::module_& m);
void bind_gemm(pybind11::module_& m);
void bind_pool(pybind11::module_& m);
void bind_norm(pybind11::module_& m);
void bind_elementwise(pybind11::module_& m);
void bind_loss(pybind11::module_& m);
void bind_optim(pybind11::module_& m);
void bind_resize(pybind11::module_& m);
void bind_peak(pybind11::module_& m);

}  // namespace fc
