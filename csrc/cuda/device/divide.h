// Division by a number that the host knows: a multiplication and a shift instead of ~20
// instructions. Granlund and Montgomery 1994, "Division by invariant integers using
// multiplication".
#pragma once

#include <cstdint>

#include "cuda/device/platform.h"

namespace fc::cuda {

// For 0 <= a < 2^31 and 1 <= divisor < 2^31; a divisor of 0, of an empty array, counts as 1.
class Divider {
 public:
  Divider() = default;
  explicit Divider(int64_t divisor) : divisor_(divisor > 0 ? static_cast<uint32_t>(divisor) : 1) {
    while ((uint64_t{1} << shift_) < divisor_) ++shift_;
    // (2^32 (2^shift - divisor)) / divisor + 1
    multiplier_ = static_cast<uint32_t>(
        ((uint64_t{1} << 32) * ((uint64_t{1} << shift_) - divisor_)) / divisor_ + 1);
  }

  FC_DEVICE int divide(int a) const {
    const auto n = static_cast<uint32_t>(a);
    return static_cast<int>((__umulhi(n, multiplier_) + n) >> shift_);
  }
  // a = quotient * divisor + remainder
  FC_DEVICE void split(int a, int& quotient, int& remainder) const {
    quotient = divide(a);
    remainder = a - quotient * static_cast<int>(divisor_);
  }

 private:
  uint32_t divisor_ = 1, multiplier_ = 1, shift_ = 0;
};

}  // namespace fc::cuda
