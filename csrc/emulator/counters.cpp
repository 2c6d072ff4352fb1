#include "emulator/counters.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <unordered_map>

#include "emulator/machine.h"
#include "emulator/report.h"

namespace fc::emulator {
namespace {

constexpr uintptr_t kSector = 32, kBank = 4, kBanks = 32;

struct Access {
  uint32_t place;
  uint16_t warp;
  uint16_t lane;
  uint32_t turn;  // the lane's how-manieth at this place
  uint32_t kind_and_space;
  uint32_t bytes;
  uintptr_t address;

  auto request() const { return std::tie(place, warp, turn, kind_and_space, bytes); }
};

struct Log {
  uint32_t kernel = 0;
  std::vector<Access> accesses;
  std::unordered_map<uint64_t, uint32_t> turns;  // by place and thread
  std::map<std::tuple<uint32_t, uint32_t, uint32_t, uint32_t>, Counter> sums;
  std::map<uint32_t, KernelCount> kernels;
};

Log& log() {
  static Log l;
  return l;
}

int64_t distinct(std::vector<uintptr_t>& values) {
  std::sort(values.begin(), values.end());
  return std::unique(values.begin(), values.end()) - values.begin();
}

// first..last: the accesses of one request
void add_sectors(const Access* first, const Access* last, Counter& c) {
  std::vector<uintptr_t> sectors, bytes;
  for (const Access* a = first; a != last; ++a) {
    for (uintptr_t b = a->address; b < a->address + a->bytes; ++b) {
      bytes.push_back(b);
      sectors.push_back(b / kSector);
    }
  }
  c.transfers += distinct(sectors);
  c.ideal += (distinct(bytes) + kSector - 1) / kSector;
}

void add_wavefronts(const Access* first, const Access* last, Counter& c) {
  const int lanes_at_once = first->bytes <= 4 ? 32 : static_cast<int>(128 / first->bytes);
  for (int begin = 0; begin < 32; begin += lanes_at_once) {
    std::vector<uintptr_t> words;
    for (const Access* a = first; a != last; ++a) {
      if (a->lane < begin || a->lane >= begin + lanes_at_once) continue;
      for (uintptr_t b = a->address; b < a->address + a->bytes; b += kBank) {
        words.push_back(b / kBank);
      }
    }
    if (words.empty()) continue;
    words.resize(distinct(words));
    int64_t per_bank[kBanks] = {};
    for (uintptr_t word : words) ++per_bank[word % kBanks];
    c.transfers += *std::max_element(per_bank, per_bank + kBanks);
    c.ideal += 1;
  }
}

}  // namespace

void begin_counting(uint32_t kernel, size_t shared_bytes) {
  Log& l = log();
  l.kernel = kernel;
  l.accesses.clear();
  l.turns.clear();
  if (!now.count) return;
  KernelCount& k = l.kernels.try_emplace(kernel, KernelCount{kernel, 0, 0, 0}).first->second;
  ++k.launches;
  k.shared_bytes = std::max(k.shared_bytes, shared_bytes);
}

void count(Space space, uintptr_t address, size_t bytes, AccessKind kind, const void* pc) {
  Log& l = log();
  const int me = now.thread;
  const uint32_t place = code_offset(pc);
  const uint32_t turn = l.turns[uint64_t{place} << 16 | static_cast<uint64_t>(me)]++;
  l.accesses.push_back({place, static_cast<uint16_t>(me / warpSize),
                        static_cast<uint16_t>(me % warpSize), turn,
                        static_cast<uint32_t>(kind) << 1 | static_cast<uint32_t>(space),
                        static_cast<uint32_t>(bytes), address});
}

void count_block() {
  if (!now.count) return;
  Log& l = log();
  ++l.kernels[l.kernel].blocks;
  std::sort(l.accesses.begin(), l.accesses.end(), [](const Access& a, const Access& b) {
    return std::tuple_cat(a.request(), std::tie(a.lane)) <
           std::tuple_cat(b.request(), std::tie(b.lane));
  });
  const Access* end = l.accesses.data() + l.accesses.size();
  for (const Access* first = l.accesses.data(); first != end;) {
    const Access* last = first;
    while (last != end && last->request() == first->request()) ++last;
    const auto space = static_cast<Space>(first->kind_and_space & 1);
    const auto kind = static_cast<AccessKind>(first->kind_and_space >> 1);
    const auto key = std::make_tuple(l.kernel, first->place, first->kind_and_space, first->bytes);
    Counter& c =
        l.sums.try_emplace(key, Counter{l.kernel, first->place, space, kind, first->bytes, 0, 0, 0})
            .first->second;
    ++c.requests;
    space == Space::kGlobal ? add_sectors(first, last, c) : add_wavefronts(first, last, c);
    first = last;
  }
  l.accesses.clear();
  l.turns.clear();
}

std::vector<Counter> counters() {
  std::vector<Counter> all;
  for (const auto& [key, counter] : log().sums) all.push_back(counter);
  return all;
}

std::vector<KernelCount> kernel_counts() {
  std::vector<KernelCount> all;
  for (const auto& [key, count] : log().kernels) all.push_back(count);
  return all;
}

void reset_counters() { log() = {}; }

}  // namespace fc::emulator
