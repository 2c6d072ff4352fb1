// Call over CuPy arrays: their memory is the device's, nothing has to be copied.
#include "cuda/arrays.h"

namespace fc::cuda {

struct Call::Taken {};

Array look_at(const py::handle& a, const std::string& name) {
  if (!py::hasattr(a, "__cuda_array_interface__")) {
    refuse(name, "a CuPy array", std::string(py::str(py::type::of(a))));
  }
  const py::object dtype = a.attr("dtype");
  Array array{};
  array.data = reinterpret_cast<void*>(a.attr("data").attr("ptr").cast<uintptr_t>());
  array.bytes = a.attr("nbytes").cast<int64_t>();
  array.kind = dtype.attr("kind").cast<char>();
  array.itemsize = dtype.attr("itemsize").cast<int>();
  array.shape = a.attr("shape").cast<std::vector<int64_t>>();
  array.contiguous = a.attr("flags").attr("c_contiguous").cast<bool>();
  array.writeable = true;  // CuPy has no read-only arrays
  return array;
}

Call::Call(const char* function, uintptr_t stream)
    : function_(function), stream_(reinterpret_cast<Stream>(stream)) {}
Call::~Call() = default;

void* Call::take(const Array& array, const char*, Use) { return array.data; }
void Call::finish() {}

}  // namespace fc::cuda
