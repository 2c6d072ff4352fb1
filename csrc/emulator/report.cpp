#include "emulator/report.h"

#include <dlfcn.h>
#include <link.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace fc::emulator {
namespace {

struct Module {
  uintptr_t base = 0, begin = 0, end = 0;
  std::string path;
};

int find_module(dl_phdr_info* info, size_t, void* data) {
  auto* module = static_cast<Module*>(data);
  if (info->dlpi_addr != module->base) return 0;
  module->begin = UINTPTR_MAX;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const auto& header = info->dlpi_phdr[i];
    if (header.p_type != PT_LOAD) continue;
    const uintptr_t begin = info->dlpi_addr + header.p_vaddr;
    module->begin = std::min(module->begin, begin);
    module->end = std::max(module->end, begin + header.p_memsz);
  }
  return 1;
}

const Module& module() {
  static const Module found = [] {
    Module m;
    Dl_info info;
    dladdr(reinterpret_cast<void*>(&find_module), &info);
    m.base = reinterpret_cast<uintptr_t>(info.dli_fbase);
    m.path = info.dli_fname;
    dl_iterate_phdr(find_module, &m);
    return m;
  }();
  return found;
}

std::string line_of(FILE* pipe) {
  std::string line;
  for (int c; (c = std::fgetc(pipe)) != EOF && c != '\n';) line += static_cast<char>(c);
  return line;
}

// From csrc/ on, where the path goes through one.
std::string short_path(const std::string& path) {
  const size_t at = path.rfind("/csrc/");
  return at == std::string::npos ? path : path.substr(at + 1);
}

}  // namespace

std::string Location::text() const {
  return file.empty() ? "unknown line (no addr2line)" : file + ":" + std::to_string(line);
}

uint32_t code_offset(const void* pc) {
  return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(pc) - module().base);
}

bool in_module(uintptr_t address) { return address >= module().begin && address < module().end; }

std::vector<Location> locate(const std::vector<uint32_t>& offsets) {
  std::vector<Location> found(offsets.size());
  if (offsets.empty()) return found;
  // a path in single quotes cannot end them
  std::string quoted = module().path;
  for (size_t at = 0; (at = quoted.find('\'', at)) != std::string::npos; at += 4) {
    quoted.replace(at, 1, "'\\''");
  }
  char list[] = "/tmp/fastconv-addressesXXXXXX";
  const int file = mkstemp(list);
  if (file < 0) return found;
  FILE* addresses = fdopen(file, "w");
  for (uint32_t offset : offsets) std::fprintf(addresses, "0x%x\n", offset - 1);
  std::fclose(addresses);
  const std::string command = "addr2line -C -f -e '" + quoted + "' < " + list + " 2>/dev/null";
  if (FILE* pipe = popen(command.c_str(), "r")) {
    for (Location& location : found) {
      location.function = line_of(pipe);
      const std::string place = line_of(pipe);
      const size_t colon = place.rfind(':');
      if (colon == std::string::npos || place[0] == '?') continue;
      location.file = short_path(place.substr(0, colon));
      location.line = std::atoi(place.c_str() + colon + 1);
    }
    pclose(pipe);
  }
  unlink(list);
  return found;
}

Location locate(uint32_t offset) { return locate(std::vector<uint32_t>{offset})[0]; }

}  // namespace fc::emulator
