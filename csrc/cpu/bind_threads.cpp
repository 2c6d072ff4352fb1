// set_num_threads, num_threads, isa, isas, activation_codes
#include "activation.h"
#include "cpu/bindings.h"
#include "cpu/isa.h"
#include "cpu/parallel.h"

namespace fc {

namespace py = pybind11;

void bind_threads(py::module_& m) {
  isa();
  m.def("isa", [] { return isa_name(isa()); });
  m.def("isas", [] {
    py::list names;
    for (Isa which : isas()) names.append(isa_name(which));
    return names;
  });
  m.def("num_threads", &num_threads);
  m.def("set_num_threads", &set_num_threads, py::arg("n"),
        py::call_guard<py::gil_scoped_release>());
  m.def("activation_codes", [] {
    py::dict codes;
    for (int code = 0; code < kActCount; ++code) codes[kActNames[code]] = code;
    return codes;
  });
}

}  // namespace fc
