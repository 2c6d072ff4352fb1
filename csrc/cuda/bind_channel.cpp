#include "cuda/arguments.h"
#include "cuda/bindings.h"

namespace fc::cuda {

void bind_channel(py::module_&) {}

}  // namespace fc::cuda
