#include "emulator/report.h"

#include <dlfcn.h>
#include <link.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>

namespace fc::emulator {
namespace {

struct Span {
  uintptr_t begin, end;
};

// The parts of this module that are mapped without the right to write.
int find_constants(dl_phdr_info* info, size_t, void* data) {
  if (info->dlpi_addr != reinterpret_cast<uintptr_t>(__ehdr_start)) return 0;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const auto& header = info->dlpi_phdr[i];
    if (header.p_type != PT_LOAD || header.p_flags & PF_W) continue;
    const uintptr_t begin = info->dlpi_addr + header.p_vaddr;
    static_cast<std::vector<Span>*>(data)->push_back({begin, begin + header.p_memsz});
  }
  return 1;
}

std::string module_path() {
  Dl_info info;
  dladdr(__ehdr_start, &info);
  return info.dli_fname;
}

// Without the line's end; false behind the last one.
bool read_line(FILE* pipe, std::string& line) {
  line.clear();
  int c;
  while ((c = std::fgetc(pipe)) != EOF && c != '\n') line += static_cast<char>(c);
  return c != EOF;
}

// As seen from the repository, if the file lies in it.
std::string short_path(const std::string& path) {
  const std::string here = __FILE__, root = here.substr(0, here.rfind("csrc/emulator/"));
  return path.compare(0, root.size(), root) ? path : path.substr(root.size());
}

// addr2line's place, "FILE:LINE" or "??:0", maybe with a remark behind
void read_place(const std::string& place, std::string& file, int& line) {
  const size_t colon = place.rfind(':');
  if (colon == std::string::npos || place[0] == '?') return;
  file = short_path(place.substr(0, colon));
  line = std::atoi(place.c_str() + colon + 1);
}

// The answers of one addr2line: after each address, innermost first, a function and its place.
void ask(const std::vector<uint32_t>& offsets, std::map<uint32_t, Location>& known) {
  // a path in single quotes cannot end them
  std::string quoted = module_path();
  for (size_t at = 0; (at = quoted.find('\'', at)) != std::string::npos; at += 4) {
    quoted.replace(at, 1, "'\\''");
  }
  char list[] = "/tmp/fastconv-addressesXXXXXX";
  const int file = mkstemp(list);
  if (file < 0) return;
  FILE* addresses = fdopen(file, "w");
  for (uint32_t offset : offsets) std::fprintf(addresses, "0x%x\n", offset - 1);
  std::fclose(addresses);
  const std::string command =
      "addr2line -a -i -C -f -e '" + quoted + "' < " + list + " 2>/dev/null";
  if (FILE* pipe = popen(command.c_str(), "r")) {
    Location* location = nullptr;
    for (std::string text, place; read_line(pipe, text);) {
      if (text.compare(0, 2, "0x") == 0) {
        location = &known[static_cast<uint32_t>(std::stoul(text, nullptr, 16)) + 1];
        continue;
      }
      read_line(pipe, place);
      if (location->function.empty()) {
        location->function = text;
        read_place(place, location->file, location->line);
      } else {
        Location caller;
        read_place(place, caller.file, caller.line);
        location->callers.push_back(caller.text());
      }
    }
    pclose(pipe);
  }
  unlink(list);
}

}  // namespace

std::string Location::text() const {
  if (file.empty()) return "unknown line (no addr2line)";
  std::string all = file + ":" + std::to_string(line);
  for (const std::string& caller : callers) all += ", called at " + caller;
  return all;
}

bool in_constants(uintptr_t address) {
  static const std::vector<Span> spans = [] {
    std::vector<Span> found;
    dl_iterate_phdr(find_constants, &found);
    return found;
  }();
  return std::any_of(spans.begin(), spans.end(),
                     [&](const Span& s) { return address >= s.begin && address < s.end; });
}

std::vector<Location> locate(const std::vector<uint32_t>& offsets) {
  static std::map<uint32_t, Location> known;
  std::vector<uint32_t> unknown;
  for (uint32_t offset : offsets) {
    if (known.try_emplace(offset).second) unknown.push_back(offset);
  }
  if (!unknown.empty()) ask(unknown, known);
  std::vector<Location> found;
  for (uint32_t offset : offsets) found.push_back(known[offset]);
  return found;
}

Location locate(uint32_t offset) { return locate(std::vector<uint32_t>{offset})[0]; }

}  // namespace fc::emulator
