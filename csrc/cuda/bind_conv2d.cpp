#include "cuda/arguments.h"
#include "cuda/bindings.h"

namespace fc::cuda {

void bind_conv2d(py::module_&) {}

}  // namespace fc::cuda
