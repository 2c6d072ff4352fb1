// Sets of addresses as disjoint ranges in order: what the heap of allocator.cpp is made of.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <vector>

namespace fc {

struct Range {
  uintptr_t begin;
  uintptr_t end;

  size_t bytes() const { return end - begin; }
};

// Ranges that touch become one. Only make_room and copies allocate.
class Ranges {
 public:
  size_t bytes() const { return bytes_; }
  size_t count() const { return ranges_.size(); }
  std::vector<Range>::const_iterator begin() const { return ranges_.begin(); }
  std::vector<Range>::const_iterator end() const { return ranges_.end(); }

  // For so many ranges: add needs room for one more than there are, or it may fail.
  void make_room(size_t count) {
    if (count > ranges_.capacity()) ranges_.reserve(2 * count);
  }

  // The smallest range of at least so many bytes, of equal ones the highest, or null.
  const Range* best_fit(size_t bytes) const {
    const Range* best = nullptr;
    for (auto range = ranges_.rbegin(); range != ranges_.rend(); ++range) {
      if (range->bytes() >= bytes && (!best || range->bytes() < best->bytes())) best = &*range;
    }
    return best;
  }

  // No part of it may be here already.
  void add(Range range) {
    bytes_ += range.bytes();
    const auto next = ending_behind(range.begin);
    const bool joins_next = next != ranges_.end() && next->begin == range.end;
    if (next != ranges_.begin() && std::prev(next)->end == range.begin) {
      std::prev(next)->end = joins_next ? next->end : range.end;
      if (joins_next) ranges_.erase(next);
    } else if (joins_next) {
      next->begin = range.begin;
    } else {
      ranges_.insert(next, range);
    }
  }

  // Takes out what is here of it, and returns how many bytes that was. No range here may meet it
  // and end behind it.
  size_t remove(Range range) {
    const size_t before = bytes_;
    auto first = ending_behind(range.begin);
    if (first != ranges_.end() && first->begin < range.begin) {
      bytes_ -= first->end - range.begin;
      first->end = range.begin;
      ++first;
    }
    auto last = first;
    for (; last != ranges_.end() && last->end <= range.end; ++last) bytes_ -= last->bytes();
    ranges_.erase(first, last);
    return before - bytes_;
  }

 private:
  std::vector<Range>::iterator ending_behind(uintptr_t address) {
    const auto before = [](uintptr_t a, const Range& range) { return a < range.end; };
    return std::upper_bound(ranges_.begin(), ranges_.end(), address, before);
  }

  std::vector<Range> ranges_;
  size_t bytes_ = 0;
};

}  // namespace fc
