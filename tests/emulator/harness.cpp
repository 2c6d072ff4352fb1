#include "harness.h"

#include <cstring>
#include <exception>
#include <map>
#include <string>

#include "emulator/counters.h"
#include "emulator/machine.h"
#include "emulator/memory.h"
#include "emulator/report.h"

namespace fc::selftest {
namespace {

std::map<std::string, Function>& functions() {
  static std::map<std::string, Function> all;
  return all;
}

// What the last call returned to Python.
std::string& text() {
  static std::string t;
  return t;
}

}  // namespace

Register::Register(const char* name, Function function) { functions()[name] = function; }

// As Python has it (library.py).
struct Array {
  void* data;
  int64_t bytes;
  int content;
  const char* name;
  int64_t offset;  // of the device buffer from an aligned address
};

}  // namespace fc::selftest

using namespace fc;
using namespace fc::selftest;

#define EXPORT __attribute__((visibility("default")))

extern "C" {

EXPORT void selftest_options(int schedule, uint64_t seed, bool eager_copies, bool count) {
  emulator::Options& o = emulator::options();
  o = {};
  o.schedule = static_cast<emulator::Schedule>(schedule);
  o.seed = seed;
  o.eager_copies = eager_copies;
  o.count = count;
}

// Null, or what the emulator reports.
EXPORT const char* selftest_call(const char* name, int count, const Array* arrays,
                                 const int64_t* numbers) {
  const char* report = nullptr;
  try {
    Arguments a{};
    for (int i = 0; i < count; ++i) {
      const Array& from = arrays[i];
      const auto content = static_cast<emulator::Content>(from.content);
      a.arrays[i] = emulator::allocate(from.bytes, content, from.name, from.offset);
      if (content == emulator::Content::kInput || content == emulator::Content::kInOut) {
        std::memcpy(a.arrays[i], from.data, from.bytes);
      }
    }
    std::memcpy(a.numbers, numbers, sizeof a.numbers);
    functions().at(name)(a);
    for (int i = 0; i < count; ++i) {
      const auto content = static_cast<emulator::Content>(arrays[i].content);
      if (content == emulator::Content::kOutput) emulator::check_written(a.arrays[i], name);
      if (content == emulator::Content::kOutput || content == emulator::Content::kInOut) {
        std::memcpy(arrays[i].data, a.arrays[i], arrays[i].bytes);
      }
    }
  } catch (const std::exception& error) {
    report = (text() = error.what()).c_str();
  }
  emulator::free_all();
  return report;
}

// A line per counter, its fields with tabs between; the counters begin anew.
EXPORT const char* selftest_counters() {
  text().clear();
  for (const emulator::Counter& c : emulator::counters()) {
    const emulator::Location place = emulator::locate(c.place);
    text() += place.file + "\t" + std::to_string(place.line) + "\t" +
              std::to_string(static_cast<int>(c.space)) + "\t" +
              std::to_string(static_cast<int>(c.kind)) + "\t" + std::to_string(c.bytes) + "\t" +
              std::to_string(c.requests) + "\t" + std::to_string(c.transfers) + "\t" +
              std::to_string(c.ideal) + "\n";
  }
  emulator::reset_counters();
  return text().c_str();
}

}  // extern "C"
