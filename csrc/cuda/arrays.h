// Arrays as the bindings of _cuda and _emulator take them: checked, never converted.
//
// A Call is one use of a table function: it turns Python's arrays into device pointers, launchers
// run on them, and finish() ends it. On the GPU the pointers are CuPy's. In the emulator every
// array gets its own buffer of emulated device memory: inputs are copied in, outputs start as
// "never written" and are copied back by finish(), which also looks whether a kernel wrote every
// byte.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "cuda/stream.h"

namespace fc::cuda {

namespace py = pybind11;
using Shape = std::initializer_list<int64_t>;

[[noreturn]] inline void refuse(const std::string& name, const std::string& expected,
                                const std::string& came) {
  throw std::invalid_argument(name + ": expected " + expected + ", came " + came);
}

// An array of the module's array library, looked at.
struct Array {
  void* data;
  int64_t bytes;
  char kind;  // NumPy's dtype.kind
  int itemsize;
  std::vector<int64_t> shape;
  bool contiguous, writeable;

  int64_t size() const { return bytes / itemsize; }
};
Array look_at(const py::handle& array, const std::string& name);

template <class T>
struct Dtype;
template <>
struct Dtype<float> {
  static constexpr char kind = 'f';
  static constexpr const char* name = "float32";
};
template <>
struct Dtype<double> {
  static constexpr char kind = 'f';
  static constexpr const char* name = "float64";
};
template <>
struct Dtype<uint8_t> {
  static constexpr char kind = 'u';
  static constexpr const char* name = "uint8";
};
template <>
struct Dtype<int32_t> {
  static constexpr char kind = 'i';
  static constexpr const char* name = "int32";
};
template <>
struct Dtype<int64_t> {
  static constexpr char kind = 'i';
  static constexpr const char* name = "int64";
};

class Call {
 public:
  // function begins every error; stream as Python has it (cupy.cuda.Stream.ptr)
  Call(const char* function, uintptr_t stream);
  ~Call();
  Call(const Call&) = delete;

  Stream stream() const { return stream_; }

  // Device memory of an argument. An output is written whole; an inout is read and written.
  template <class T>
  const T* input(const py::handle& a, const char* name, Shape shape) {
    return static_cast<T*>(take(checked<T>(a, name, shape), name, Use::kInput));
  }
  template <class T>
  T* output(const py::handle& a, const char* name, Shape shape) {
    return static_cast<T*>(take(checked<T>(a, name, shape), name, Use::kOutput));
  }
  template <class T>
  T* inout(const py::handle& a, const char* name, Shape shape) {
    return static_cast<T*>(take(checked<T>(a, name, shape), name, Use::kInOut));
  }

  // None gives a null pointer.
  template <class T>
  const T* optional_input(const py::handle& a, const char* name, Shape shape) {
    return a.is_none() ? nullptr : input<T>(a, name, shape);
  }
  template <class T>
  T* optional_output(const py::handle& a, const char* name, Shape shape) {
    return a.is_none() ? nullptr : output<T>(a, name, shape);
  }
  template <class T>
  T* optional_inout(const py::handle& a, const char* name, Shape shape) {
    return a.is_none() ? nullptr : inout<T>(a, name, shape);
  }

  // Any shape of this many elements.
  template <class T>
  const T* input_of_size(const py::handle& a, const char* name, int64_t size) {
    return static_cast<T*>(take(checked_size<T>(a, name, size), name, Use::kInput));
  }
  template <class T>
  T* output_of_size(const py::handle& a, const char* name, int64_t size) {
    return static_cast<T*>(take(checked_size<T>(a, name, size), name, Use::kOutput));
  }
  template <class T>
  T* inout_of_size(const py::handle& a, const char* name, int64_t size) {
    return static_cast<T*>(take(checked_size<T>(a, name, size), name, Use::kInOut));
  }

  // uint8, at least this many bytes; None only for 0. Nothing is copied in or out.
  void* workspace(const py::handle& a, int64_t bytes);

  // The outputs are there when the stream has run.
  void finish();

 private:
  enum class Use { kInput, kOutput, kInOut, kWorkspace };
  struct Taken;  // the emulator's buffers

  template <class T>
  Array checked(const py::handle& a, const char* name, Shape shape) {
    Array array = checked_type<T>(a, name);
    if (array.shape != std::vector<int64_t>(shape)) refuse_shape(name, shape, array);
    return array;
  }
  template <class T>
  Array checked_size(const py::handle& a, const char* name, int64_t size) {
    Array array = checked_type<T>(a, name);
    if (array.size() != size) refuse_shape(name, {size}, array);
    return array;
  }
  template <class T>
  Array checked_type(const py::handle& a, const char* name) {
    Array array = look_at(a, full_name(name));
    if (array.kind != Dtype<T>::kind || array.itemsize != static_cast<int>(sizeof(T))) {
      refuse(full_name(name), Dtype<T>::name, std::string(py::str(py::object(a.attr("dtype")))));
    }
    if (!array.contiguous) refuse(full_name(name), "a C-contiguous array", "another layout");
    return array;
  }
  std::string full_name(const char* name) const { return function_ + ": " + name; }
  [[noreturn]] void refuse_shape(const char* name, const std::vector<int64_t>& shape,
                                 const Array& came) const;
  void* take(const Array& array, const char* name, Use use);

  std::string function_;
  Stream stream_;
  std::unique_ptr<std::vector<Taken>> taken_;
};

}  // namespace fc::cuda
