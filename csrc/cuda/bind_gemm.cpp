#include "cuda/arguments.h"
#include "cuda/bindings.h"

namespace fc::cuda {

void bind_gemm(py::module_&) {}

}  // namespace fc::cuda
