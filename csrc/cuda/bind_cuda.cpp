// Module fastconv._cuda. Importing it touches neither driver nor device.
#include <pybind11/stl.h>

#include "cuda/bindings.h"
#include "cuda/device_info.h"
#include "cuda/error.h"

namespace py = pybind11;

PYBIND11_MODULE(_cuda, m) {
  py::register_exception<fc::cuda::CudaError>(
      m, "CudaError", py::module_::import("fastconv.errors").attr("DeviceError"));
  fc::cuda::bind_kernels(m);

  m.attr("architectures") = FC_CUDA_ARCHS;
  m.def("runtime_version", fc::cuda::runtime_version);
  m.def("driver_version", fc::cuda::driver_version);
  m.def("devices", [] {
    std::string reason;
    py::list found;
    for (const fc::cuda::Device& d : fc::cuda::devices(reason)) {
      py::dict row;
      row["name"] = d.name;
      row["capability"] = d.capability;
      row["multiprocessors"] = d.multiprocessors;
      row["shared_bytes"] = d.shared_bytes;
      found.append(row);
    }
    return py::make_tuple(found, reason);
  });
}
