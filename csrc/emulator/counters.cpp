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
constexpr int kMostThreads = 1024;  // of a block

// What the lanes of a warp access together.
struct Request {
  uint32_t lanes = 0;
  uintptr_t address[warpSize];
};

// An instruction, and its requests of the block that runs.
struct Instruction {
  Counter counter;
  std::vector<uint32_t> turns;              // of each thread: how often it came here
  std::vector<std::vector<Request>> warps;  // by turn
};

struct Log {
  uint32_t kernel = 0;
  std::unordered_map<uint64_t, Instruction> instructions;  // of this launch
  std::map<std::tuple<uint32_t, uint32_t, Space, AccessKind, unsigned>, Counter> sums;
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

// Accesses of a request are aligned and of one size: each lies in one sector, and two of them are
// the same bytes or have none in common.
void add_sectors(const Request& r, Counter& c) {
  std::vector<uintptr_t> sectors, places;
  for (int lane = 0; lane < warpSize; ++lane) {
    if (!(r.lanes >> lane & 1)) continue;
    sectors.push_back(r.address[lane] / kSector);
    places.push_back(r.address[lane]);
  }
  c.transfers += distinct(sectors);
  c.ideal += (distinct(places) * c.bytes + kSector - 1) / kSector;
}

void add_wavefronts(const Request& r, Counter& c) {
  const int lanes_at_once = c.bytes <= kBank ? warpSize : kBank * warpSize / c.bytes;
  std::vector<uintptr_t> words;
  for (int begin = 0; begin < warpSize; begin += lanes_at_once) {
    words.clear();
    for (int lane = begin; lane < begin + lanes_at_once; ++lane) {
      if (!(r.lanes >> lane & 1)) continue;
      for (uintptr_t b = 0; b < c.bytes; b += kBank) {
        words.push_back((r.address[lane] + b) / kBank);
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

void begin_counting(uint32_t kernel, int threads, size_t shared_bytes) {
  Log& l = log();
  l.kernel = kernel;
  l.instructions.clear();
  if (!now.count) return;
  KernelCount& k = l.kernels.try_emplace(kernel, KernelCount{kernel, 0, 0, 0, 0}).first->second;
  ++k.launches;
  k.threads = std::max(k.threads, threads);
  k.shared_bytes = std::max(k.shared_bytes, shared_bytes);
}

void count(Space space, uintptr_t address, size_t bytes, AccessKind kind, const void* pc) {
  Log& l = log();
  const uint32_t place = code_offset(pc);
  const uint64_t key = uint64_t{place} << 32 | bytes << 8 | static_cast<uint64_t>(kind) << 1 |
                       static_cast<uint64_t>(space);
  Instruction& i = l.instructions[key];
  if (i.turns.empty()) {
    i.counter = {l.kernel, place, space, kind, static_cast<unsigned>(bytes), 0, 0, 0};
    i.turns.resize(kMostThreads);
    i.warps.resize(kMostThreads / warpSize);
  }
  const int lane = now.thread % warpSize;
  const uint32_t turn = i.turns[now.thread]++;
  std::vector<Request>& requests = i.warps[now.thread / warpSize];
  if (turn >= requests.size()) requests.resize(turn + 1);
  requests[turn].lanes |= 1u << lane;
  requests[turn].address[lane] = address;
}

void count_block() {
  if (!now.count) return;
  Log& l = log();
  ++l.kernels[l.kernel].blocks;
  for (auto& [key, i] : l.instructions) {
    Counter& c = i.counter;
    Counter& sum =
        l.sums.try_emplace({c.kernel, c.place, c.space, c.kind, c.bytes}, c).first->second;
    for (std::vector<Request>& requests : i.warps) {
      for (const Request& r : requests) {
        ++sum.requests;
        c.space == Space::kGlobal ? add_sectors(r, sum) : add_wavefronts(r, sum);
      }
      requests.clear();
    }
    std::fill(i.turns.begin(), i.turns.end(), 0);
  }
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
