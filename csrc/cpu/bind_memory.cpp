// empty, set_writeable, memory_stats, reset_peak_memory, empty_cache
#include <vector>

#include "cpu/allocator.h"
#include "cpu/arrays.h"
#include "cpu/bindings.h"
#include "cpu/cache.h"

namespace fc {
namespace {

// The capsule's context is the block's size.
void release_capsule(PyObject* capsule) {
  const auto bytes = reinterpret_cast<size_t>(PyCapsule_GetContext(capsule));
  release(PyCapsule_GetPointer(capsule, nullptr), bytes);
}

// shape: an int or a sequence of ints
py::array empty(const py::object& shape_like, const py::object& dtype_like) {
  const py::dtype dtype = py::dtype::from_args(dtype_like);
  std::vector<py::ssize_t> shape;
  if (py::isinstance<py::int_>(shape_like)) {
    shape.push_back(py::cast<py::ssize_t>(shape_like));
  } else {
    for (py::handle d : shape_like) shape.push_back(py::cast<py::ssize_t>(d));
  }
  if (dtype.attr("hasobject").cast<bool>()) refuse("empty: dtype", "numbers", py::str(dtype));
  py::ssize_t bytes = dtype.itemsize();
  for (py::ssize_t d : shape) {
    if (d < 0) refuse("empty: shape", "sizes of 0 or more", std::to_string(d));
    if (__builtin_mul_overflow(bytes, d, &bytes)) throw std::bad_alloc();
  }
  void* block = allocate(bytes);
  PyObject* capsule = PyCapsule_New(block, nullptr, release_capsule);
  if (!capsule) {
    release(block, bytes);
    throw py::error_already_set();
  }
  const auto base = py::reinterpret_steal<py::object>(capsule);
  PyCapsule_SetContext(capsule, reinterpret_cast<void*>(bytes));
  return py::array(dtype, shape, block, base);
}

py::dict stats() {
  const MemoryStats s = memory_stats();
  py::dict d;
  d["live_bytes"] = s.live_bytes;
  d["peak_bytes"] = s.peak_bytes;
  d["cached_bytes"] = s.cached_bytes;
  d["allocations"] = s.allocations;
  return d;
}

// NumPy does not give write access back to an array that lies in a capsule.
void set_writeable(py::array& a, bool writeable) {
  int& flags = py::detail::array_proxy(a.ptr())->flags;
  if (writeable) {
    flags |= py::detail::npy_api::NPY_ARRAY_WRITEABLE_;
  } else {
    flags &= ~py::detail::npy_api::NPY_ARRAY_WRITEABLE_;
  }
}

}  // namespace

void bind_memory(py::module_& m) {
  m.def("empty", &empty, py::arg("shape"), py::arg("dtype"));
  m.def("set_writeable", &set_writeable);
  m.def("memory_stats", &stats);
  m.def("reset_peak_memory", &reset_peak_memory);
  m.def("empty_cache", &empty_cache);
  m.def("set_cache_bytes", &set_cache_bytes, py::arg("bytes"),
        "Takes the last-level cache for so large; returns what it was taken for. For tests.");
}

}  // namespace fc
