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
constexpr int64_t kTile = 1024;   // channels whose sums are kept on the stack

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
    out.finish();
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
  parallel(n * hw, grain_for(4 * c), [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      const T *in = x + row * c, *scale = s + row / hw * c;
      T* out = y + row * c;
      FC_INDEPENDENT
      for (int64_t i = 0; i < c; ++i) out[i] = in[i] * scale[i];
    }
  });
}

// An image's rows are cut into chunks that the shape alone fixes.
constexpr int64_t kMostChunks = 16, kPartRows = 64;
int64_t rows_of_chunk(int64_t hw) { return max_of(kPartRows, ceil_div(hw, kMostChunks)); }

// doubles: (n, chunks, C) partial sums
int64_t scale_channels_scratch(int64_t n, int64_t hw, int64_t c) {
  return n * ceil_div(hw, rows_of_chunk(hw)) * c;
}

// Up to kTile channels of rows [begin, end) of gy and x (rows, C), and their sums of gy * x:
// kPartRows are summed in T, those in double.
template <class T>
void scale_grad_chunk(const T* gy, const T* x, const T* s, T* gx, double* sums, int64_t begin,
                      int64_t end, int64_t c, int64_t width) {
  T part[kTile];
  if (sums) fill(sums, width, 0.0);
  for (int64_t first = begin; first < end; first += kPartRows) {
    fill(part, width, T(0));
    for (int64_t at = first * c; at < min_of(end, first + kPartRows) * c; at += c) {
      if (gx) {
        FC_INDEPENDENT
        for (int64_t i = 0; i < width; ++i) gx[at + i] = gy[at + i] * s[i];
      }
      if (sums) {
        FC_INDEPENDENT
        for (int64_t i = 0; i < width; ++i) part[i] += gy[at + i] * x[at + i];
      }
    }
    if (sums) {
      for (int64_t i = 0; i < width; ++i) sums[i] += part[i];
    }
  }
}

template <class T>
void scale_channels_grad(const T* gy, const T* x, const T* s, T* gx, T* gs, int64_t n, int64_t hw,
                         int64_t c, double* scratch) {
  const int64_t size = rows_of_chunk(hw), chunks = ceil_div(hw, size);
  parallel(n * chunks, grain_for(4 * size * c), [&](int64_t begin, int64_t end, int) {
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t image = unit / chunks, first = unit % chunks * size;
      for (int64_t c0 = 0; c0 < c; c0 += kTile) {
        const int64_t at = image * hw * c + c0;
        scale_grad_chunk(gy + at, gs ? x + at : nullptr, gx ? s + image * c + c0 : nullptr,
                         gx ? gx + at : nullptr, gs ? scratch + unit * c + c0 : nullptr, first,
                         min_of(hw, first + size), c, min_of(kTile, c - c0));
      }
    }
  });
  for (int64_t i = 0; gs && i < n * c; ++i) {
    double total = 0;
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      total += scratch[(i / c * chunks + chunk) * c + i % c];
    }
    gs[i] = static_cast<T>(total);
  }
}

}  // namespace

ElementwiseKernels elementwise_kernels() {
  return {{activation<float>, activation_grad<float>, add<float>, channel_shuffle<float>,
           scale_channels<float>, scale_channels_grad<float>, scale_channels_scratch},
          {activation<double>, activation_grad<double>, add<double>, channel_shuffle<double>,
           scale_channels<double>, scale_channels_grad<double>, scale_channels_scratch}};
}

}  // namespace fc::FC_ISA
