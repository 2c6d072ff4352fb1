// Module fastconv._emulator: the functions of _cuda over NumPy arrays, and the emulator's own.
#include "cuda/bindings.h"
#include "emulator/counters.h"
#include "emulator/machine.h"
#include "emulator/report.h"

namespace py = pybind11;
using namespace fc::emulator;

namespace {

Schedule schedule_of(const std::string& name) {
  if (name == "fifo") return Schedule::kFifo;
  if (name == "lifo") return Schedule::kLifo;
  if (name == "random") return Schedule::kRandom;
  throw std::invalid_argument("set_options: schedule must be fifo, lifo or random, got " + name);
}

py::list counter_list() {
  const std::vector<Counter> all = counters();
  std::vector<uint32_t> offsets;
  for (const Counter& c : all) {
    offsets.push_back(c.kernel + 1);
    offsets.push_back(c.place);
  }
  const std::vector<Location> places = locate(offsets);
  py::list result;
  const char* kinds[] = {"read", "write", "atomic"};
  for (size_t i = 0; i < all.size(); ++i) {
    const Counter& c = all[i];
    py::dict row;
    row["kernel"] = places[2 * i].function;
    row["file"] = places[2 * i + 1].file;
    row["line"] = places[2 * i + 1].line;
    row["space"] = c.space == Space::kGlobal ? "global" : "shared";
    row["kind"] = kinds[static_cast<int>(c.kind)];
    row["bytes"] = c.bytes;
    row["requests"] = c.requests;
    row["transfers"] = c.transfers;
    row["ideal"] = c.ideal;
    result.append(row);
  }
  return result;
}

py::list kernel_list() {
  py::list result;
  for (const KernelCount& k : kernel_counts()) {
    py::dict row;
    row["kernel"] = locate(k.kernel + 1).function;
    row["launches"] = k.launches;
    row["blocks"] = k.blocks;
    row["threads"] = k.threads;
    row["shared_bytes"] = k.shared_bytes;
    result.append(row);
  }
  return result;
}

}  // namespace

PYBIND11_MODULE(_emulator, m) {
  py::register_exception<KernelError>(m, "KernelError",
                                      py::module_::import("fastconv.errors").attr("EmulatorError"));
  fc::cuda::bind_kernels(m);

  m.def(
      "set_options",
      [](const std::string& schedule, uint64_t seed, bool eager_copies, bool count,
         size_t shared_limit) {
        options() = {schedule_of(schedule), seed, eager_copies, count, shared_limit};
      },
      py::kw_only(), py::arg("schedule") = "fifo", py::arg("seed") = 0,
      py::arg("eager_copies") = false, py::arg("count") = false,
      py::arg("shared_limit") = Options().shared_limit);
  m.def("counters", counter_list);
  m.def("kernel_counts", kernel_list);
  m.def("reset_counters", reset_counters);
}
