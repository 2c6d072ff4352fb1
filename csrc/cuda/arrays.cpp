// What Call does in both modules.
#include "cuda/arrays.h"

namespace fc::cuda {
namespace {

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text = "(";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + (shape.size() == 1 ? ",)" : ")");
}

}  // namespace

void Call::refuse_shape(const char* name, const std::vector<int64_t>& shape,
                        const Array& came) const {
  refuse(full_name(name), "shape " + shape_text(shape), shape_text(came.shape));
}

void* Call::workspace(const py::handle& a, int64_t bytes) {
  if (a.is_none()) {
    if (bytes > 0) refuse(full_name("workspace"), std::to_string(bytes) + " bytes", "None");
    return nullptr;
  }
  const Array array = checked_type<uint8_t>(a, "workspace");
  if (array.bytes < bytes) {
    refuse(full_name("workspace"), std::to_string(bytes) + " bytes", std::to_string(array.bytes));
  }
  return take(array, "workspace", Use::kWorkspace);
}

}  // namespace fc::cuda
