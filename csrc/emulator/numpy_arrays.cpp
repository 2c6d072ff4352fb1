// Call over NumPy arrays: every array is copied into a buffer of the emulated device and back.
#include <pybind11/numpy.h>

#include <cstring>

#include "cuda/arrays.h"
#include "emulator/memory.h"

namespace fc::cuda {

namespace {
constexpr size_t kVectorBytes = 16;  // of the widest load
}

struct Call::Taken {
  Array array;
  void* buffer;
  std::string name;
  bool copied_back, written_whole;
};

Array look_at(const py::handle& a, const std::string& name) {
  if (!py::isinstance<py::array>(a)) {
    refuse(name, "a NumPy array", std::string(py::str(py::type::of(a))));
  }
  const auto numpy = py::reinterpret_borrow<py::array>(a);
  Array array{};
  array.data = const_cast<void*>(numpy.data());
  array.bytes = numpy.nbytes();
  array.kind = numpy.dtype().kind();
  array.itemsize = static_cast<int>(numpy.itemsize());
  array.shape.assign(numpy.shape(), numpy.shape() + numpy.ndim());
  array.contiguous = numpy.flags() & py::array::c_style;
  array.writeable = numpy.writeable();
  return array;
}

Call::Call(const char* function, uintptr_t)
    : function_(function), stream_(nullptr), taken_(std::make_unique<std::vector<Taken>>()) {}
Call::~Call() { emulator::free_all(); }

void* Call::take(const Array& array, const char* name, Use use) {
  const bool writes = use == Use::kOutput || use == Use::kInOut;
  if (writes && !array.writeable) refuse(full_name(name), "a writeable array", "a read-only one");
  const auto* begin = static_cast<const char*>(array.data);
  for (Taken& t : *taken_) {
    const auto* other = static_cast<const char*>(t.array.data);
    if (other == begin && t.array.bytes == array.bytes) {  // in place: y is x
      if (writes) {
        emulator::make_writable(t.buffer);
        t.copied_back = true;
      }
      return t.buffer;
    }
    if (begin < other + t.array.bytes && other < begin + array.bytes) {
      refuse(full_name(name), "arrays that are the same or do not overlap", "a part of " + t.name);
    }
  }
  using emulator::Content;
  const Content content = use == Use::kInput    ? Content::kInput
                          : use == Use::kOutput ? Content::kOutput
                          : use == Use::kInOut  ? Content::kInOut
                                                : Content::kWorkspace;
  // a view that begins inside a vector does so there, too
  const size_t offset = reinterpret_cast<uintptr_t>(begin) % kVectorBytes;
  void* buffer = emulator::allocate(array.bytes, content, name, offset);
  if (use == Use::kInput || use == Use::kInOut) std::memcpy(buffer, array.data, array.bytes);
  taken_->push_back({array, buffer, name, writes, use == Use::kOutput});
  return buffer;
}

void Call::finish() {
  for (const Taken& t : *taken_) {
    if (t.written_whole) emulator::check_written(t.buffer, function_);
    if (t.copied_back) std::memcpy(t.array.data, t.buffer, t.array.bytes);
  }
}

}  // namespace fc::cuda
