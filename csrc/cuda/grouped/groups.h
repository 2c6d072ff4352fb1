// The groups of a convolution in fours of channels, and how many of them a block takes.
#pragma once

#include <algorithm>

#include "conv2d.h"
#include "cuda/depthwise/choose.h"
#include "cuda/device/divide.h"

namespace fc::cuda {

// As many groups as a block has room for, but so that all blocks have about as many, and, where
// these are several, an even number of fours of channels: whole sectors of 32 bytes.
inline int groups_of_block(int64_t groups, int64_t room, int64_t fours_of_group) {
  int64_t each = ceil_div(groups, ceil_div(groups, std::min(groups, room)));
  const bool odd = each * fours_of_group % 2 != 0;
  if (odd && each > 1 && each < groups) each += each < room ? 1 : -1;
  return static_cast<int>(each);
}

// A convolution's image that is read, group by group: x forwards, gy backwards.
struct InputGroups {
  int channels;   // of the image
  int fours;      // of a group
  int out_fours;  // of a group of the image that is written
  Divider by_fours, by_out_fours;

  InputGroups(const Conv2dProblem& p, bool backward)
      : channels(static_cast<int>(backward ? p.k : p.c)),
        fours(static_cast<int>((backward ? p.kg() : p.cg()) / kChannels)),
        out_fours(static_cast<int>((backward ? p.cg() : p.kg()) / kChannels)),
        by_fours(fours),
        by_out_fours(out_fours) {}
};

}  // namespace fc::cuda
