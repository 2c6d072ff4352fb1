// Element-wise kernels on contiguous arrays:
//
//   activation  y = act(x); gx = gy * act'(saved)         add  y = act(a + b)
//   channel_shuffle  y[..., i*groups + g] = x[..., g*(C/groups) + i]
//   scale_channels   y = x * s, gx = gy * s, gs[n,c] = sum_{hw} gy*x;  x (N,HW,C), s (N,C)
#include "cpu/elementwise.h"

#include "cpu/kernels/act_block.h"
#include "cpu/kernels/stream.h"
#include "cpu/kernels/vmath.h"
#include "cpu/parallel.h"

namespace fc::FC_ISA {
namespace {

constexpr int64_t kBlock = 1024;  // values that stay in the L1 cache between two loops

// f(at, size, block) computes the values [at, at + size) of y, which is an output of n values, into
// block
template <class T, class F>
inline void for_blocks(T* y, int64_t n, bool in_place, F f) {
  const bool past = !in_place && streams<T>(n);
  parallel(ceil_div(n, kBlock), grain_for(4 * kBlock), [&](int64_t begin, int64_t end, int) {
    Blocks<T, kBlock> out(past);
    for (int64_t at = begin * kBlock; at < min_of(n, end * kBlock); at += kBlock) {
      const int64_t size = min_of(kBlock, n - at);
      f(at, size, out.begin(y + at));
      out.end(y + at, size);
    }
  });
}

template <class T>
void activation(const T* x, T* y, int64_t n, const Activation& act) {
  for_blocks(y, n, x == y,
             [&](int64_t at, int64_t size, T* block) { act_block(x + at, block, size, act); });
}

template <class T>
void activation_grad(const T* gy, const T* saved, T* gx, int64_t n, const Activation& act) {
  const bool in_place = gx == gy || gx == saved;
  for_blocks(gx, n, in_place, [&](int64_t at, int64_t size, T* block) {
    act_grad_block(gy + at, saved + at, block, size, act);
  });
}

template <class T>
void add(const T* a, const T* b, T* y, int64_t n, const Activation& act) {
  for_blocks(y, n, a == y || b == y, [&](int64_t at, int64_t size, T* block) {
    FC_INDEPENDENT
    for (int64_t i = 0; i < size; ++i) block[i] = a[at + i] + b[at + i];
    if (act.code != kIdentity) act_block(block, block, size, act);
  });
}

template <class T>
void channel_shuffle(const T* x, T* y, int64_t rows, int64_t c, int64_t groups) {
  const int64_t size = c / groups;
  parallel(rows, grain_for(2 * c), [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      const T* in = x + row * c;
      T* out = y + row * c;
      for (int64_t i = 0; i < size; ++i) {
        for (int64_t g = 0; g < groups; ++g) out[i * groups + g] = in[g * size + i];
      }
    }
  });
}

template <class T>
void scale_channels(const T* x, const T* s, T* y, int64_t n, int64_t hw, int64_t c) {
  parallel(n * hw, grain_for(c), [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      const T *in = x + row * c, *scale = s + row / hw * c;
      T* out = y + row * c;
      FC_INDEPENDENT
      for (int64_t i = 0; i < c; ++i) out[i] = in[i] * scale[i];
    }
  });
}

// one piece of work is a block of channels of one image
template <class T>
void scale_channels_gs(const T* gy, const T* x, T* gs, int64_t n, int64_t hw, int64_t c) {
  constexpr int64_t kChannels = 128, kRows = 64;  // kRows are summed in T, blocks in double
  const int64_t blocks = ceil_div(c, kChannels);
  parallel(n * blocks, grain_for(hw * min_of(c, kChannels)), [&](int64_t begin, int64_t end, int) {
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t image = unit / blocks, c0 = unit % blocks * kChannels;
      const int64_t width = min_of(kChannels, c - c0);
      double total[kChannels] = {};
      T part[kChannels];
      for (int64_t row = 0; row < hw; row += kRows) {
        fill(part, width, T(0));
        for (int64_t r = row; r < min_of(hw, row + kRows); ++r) {
          const int64_t at = (image * hw + r) * c + c0;
          for (int64_t i = 0; i < width; ++i) part[i] += gy[at + i] * x[at + i];
        }
        for (int64_t i = 0; i < width; ++i) total[i] += part[i];
      }
      for (int64_t i = 0; i < width; ++i) gs[image * c + c0 + i] = static_cast<T>(total[i]);
    }
  });
}

}  // namespace

ElementwiseKernels elementwise_kernels() {
  return {{activation<float>, activation_grad<float>, add<float>, channel_shuffle<float>,
           scale_channels<float>, scale_channels_gs<float>},
          {activation<double>, activation_grad<double>, add<double>, channel_shuffle<double>,
           scale_channels<double>, scale_channels_gs<double>}};
}

}  // namespace fc::FC_ISA
