// The stream that launchers are given, for host code that no CUDA header reaches.
#pragma once

namespace fc::cuda {

// A cudaStream_t; null is the default stream. The emulator has no streams.
using Stream = void*;

}  // namespace fc::cuda
