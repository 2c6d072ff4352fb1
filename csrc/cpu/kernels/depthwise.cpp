// y[n,p,q,c*m+j]  = sum_{r,s} x[n, p*stride+r*dilation-pad, ..., c] * w[c*m+j,r,s]
// gx[n,h,w,c]     = sum_{r,s,j} gy[n,p,q,c*m+j] * w[c*m+j,r,s]   over the (p,q) that reach (h,w)
// gw[c*m+j,r,s]   = sum_{n,p,q} gy[n,p,q,c*m+j] * x[n, p*stride+r*dilation-pad, ..., c]
//
// m = K / C. Vectors run along c; weights are first brought into the layout (R,S,m,C).
#include "cpu/depthwise.h"

#include "cpu/kernels/epilogue.h"
#include "cpu/kernels/simd.h"
#include "cpu/parallel.h"

namespace fc::FC_ISA {
namespace {

// Channels of a block: kV vectors, the last one partial if count is smaller.
template <class T, int kV, bool kTail>
struct Block {
  static constexpr int kWidth = kV * kVw<T>;
  int count;

  // elements p[0], p[stride], ...; 0 beyond the block
  Vec<T> get(const T* p, int v, int64_t stride) const {
    if (stride == 1 && !kTail) return load(p + v * kVw<T>);
    Vec<T> x{};
    for (int i = 0; i < kVw<T> && v * kVw<T> + i < count; ++i) x[i] = p[(v * kVw<T> + i) * stride];
    return x;
  }
  void put(T* p, int v, int64_t stride, Vec<T> x) const {
    if (stride == 1 && !kTail) return store(p + v * kVw<T>, x);
    for (int i = 0; i < kVw<T> && v * kVw<T> + i < count; ++i) p[(v * kVw<T> + i) * stride] = x[i];
  }
  // x after the prologue
  Vec<T> get(const T* p, int v, const Prologue<T>& prologue, int64_t channel) const {
    Vec<T> x = get(p, v, 1);
    if (!prologue.scale) return x;
    const T *scale = prologue.scale + channel, *shift = prologue.shift + channel;
    alignas(64) T buffer[kVw<T>];
    store(buffer, x * get(scale, v, 1) + get(shift, v, 1));
    act_row(prologue.act, buffer, kVw<T>);
    return load(buffer);
  }
};

// f(block, first channel) over all channels: four vectors at a time, then one, then the rest.
template <class T, class F>
void for_blocks(int64_t channels, F&& f) {
  int64_t c = 0;
  for (; c + 4 * kVw<T> <= channels; c += 4 * kVw<T>) f(Block<T, 4, false>{4 * kVw<T>}, c);
  for (; c + kVw<T> <= channels; c += kVw<T>) f(Block<T, 1, false>{kVw<T>}, c);
  if (c < channels) f(Block<T, 1, true>{static_cast<int>(channels - c)}, c);
}

// wt (R*S, m, C) from w (C*m, R*S)
template <class T>
void transpose_weights(const Conv2dProblem& p, const T* w, T* wt) {
  const int64_t taps = p.r * p.s, m = p.k / p.c;
  for (int64_t c = 0; c < p.c; ++c) {
    for (int64_t j = 0; j < m; ++j) {
      for (int64_t t = 0; t < taps; ++t) wt[(t * m + j) * p.c + c] = w[(c * m + j) * taps + t];
    }
  }
}

template <class T>
void fwd(const Conv2dProblem& p, const T* x, const T* w, T* y, T* wt, const Prologue<T>& prologue,
         const Epilogue<T>& e) {
  transpose_weights(p, w, wt);
  const int64_t m = p.k / p.c;
  const auto pixel = [&](int64_t n, int64_t ip, int64_t iq) {
    const int64_t h0 = ip * p.stride_h - p.pad_top, w0 = iq * p.stride_w - p.pad_left;
    const int64_t offset = ((n * p.p + ip) * p.q + iq) * p.k;
    for_blocks<T>(p.c, [&](auto block, int64_t c) {
      constexpr int kV = decltype(block)::kWidth / kVw<T>;
      for (int64_t j = 0; j < m; ++j) {
        Vec<T> acc[kV] = {};
        for (int64_t r = 0; r < p.r; ++r) {
          const int64_t ih = h0 + r * p.dilation_h;
          if (ih < 0 || ih >= p.h) continue;
          for (int64_t s = 0; s < p.s; ++s) {
            const int64_t iw = w0 + s * p.dilation_w;
            if (iw < 0 || iw >= p.w) continue;
            const T* xp = x + ((n * p.h + ih) * p.w + iw) * p.c + c;
            const T* wp = wt + ((r * p.s + s) * m + j) * p.c + c;
#pragma GCC unroll 4
            for (int v = 0; v < kV; ++v) {
              acc[v] = madd<T>(block.get(xp, v, prologue, c), block.get(wp, v, 1), acc[v]);
            }
          }
        }
#pragma GCC unroll 4
        for (int v = 0; v < kV; ++v) block.put(y + offset + c * m + j, v, m, acc[v]);
      }
      const int64_t k = c * m, count = block.count * m;
      affine_row(y + offset + k, count, e.scale ? e.scale + k : nullptr,
                 e.shift ? e.shift + k : nullptr, e.residual ? e.residual + offset + k : nullptr);
      act_row(e.act, y + offset + k, count);
    });
  };
  parallel(p.n * p.p, grain_for(p.q * p.k * p.r * p.s), [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      for (int64_t iq = 0; iq < p.q; ++iq) pixel(row / p.p, row % p.p, iq);
    }
  });
}

// The output row that input row h reaches through tap offset r*dilation, or -1.
inline int64_t reached(int64_t h, int64_t pad, int64_t offset, int64_t stride, int64_t size) {
  const int64_t t = h + pad - offset;
  if (t < 0) return -1;
  if (stride == 1) return t < size ? t : -1;
  return t % stride == 0 && t / stride < size ? t / stride : -1;
}

template <class T>
void dgrad(const Conv2dProblem& p, const T* gy, const T* w, T* gx, T* wt) {
  transpose_weights(p, w, wt);
  const int64_t m = p.k / p.c;
  const auto pixel = [&](int64_t n, int64_t ih, int64_t iw) {
    for_blocks<T>(p.c, [&](auto block, int64_t c) {
      constexpr int kV = decltype(block)::kWidth / kVw<T>;
      Vec<T> acc[kV] = {};
      for (int64_t r = 0; r < p.r; ++r) {
        const int64_t ip = reached(ih, p.pad_top, r * p.dilation_h, p.stride_h, p.p);
        if (ip < 0) continue;
        for (int64_t s = 0; s < p.s; ++s) {
          const int64_t iq = reached(iw, p.pad_left, s * p.dilation_w, p.stride_w, p.q);
          if (iq < 0) continue;
          const T* gyp = gy + ((n * p.p + ip) * p.q + iq) * p.k + c * m;
          const T* wp = wt + (r * p.s + s) * m * p.c + c;
          for (int64_t j = 0; j < m; ++j) {
#pragma GCC unroll 4
            for (int v = 0; v < kV; ++v) {
              acc[v] = madd<T>(block.get(gyp + j, v, m), block.get(wp + j * p.c, v, 1), acc[v]);
            }
          }
        }
      }
      T* out = gx + ((n * p.h + ih) * p.w + iw) * p.c + c;
#pragma GCC unroll 4
      for (int v = 0; v < kV; ++v) block.put(out, v, 1, acc[v]);
    });
  };
  parallel(p.n * p.h, grain_for(p.w * p.k * p.r * p.s), [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      for (int64_t iw = 0; iw < p.w; ++iw) pixel(row / p.h, row % p.h, iw);
    }
  });
}

template <class T>
void wgrad(const Conv2dProblem& p, const T* x, const T* gy, T* gw, T* partials,
           const Prologue<T>& prologue) {
  const int64_t m = p.k / p.c, taps = p.r * p.s, size = taps * p.k;
  const int64_t rows = p.n * p.p, chunks = depthwise_chunks(p);
  // gt (R*S, m, C) += the sum over one row (n,p)
  const auto add_row = [&](int64_t n, int64_t ip, T* gt) {
    for_blocks<T>(p.c, [&](auto block, int64_t c) {
      constexpr int kV = decltype(block)::kWidth / kVw<T>;
      for (int64_t t = 0; t < taps * m; ++t) {
        const int64_t j = t % m, s = t / m % p.s, r = t / m / p.s;
        const int64_t ih = ip * p.stride_h + r * p.dilation_h - p.pad_top;
        if (ih < 0 || ih >= p.h) continue;
        Vec<T> acc[kV] = {};
        for (int64_t iq = 0; iq < p.q; ++iq) {
          const int64_t iw = iq * p.stride_w + s * p.dilation_w - p.pad_left;
          if (iw < 0 || iw >= p.w) continue;
          const T* xp = x + ((n * p.h + ih) * p.w + iw) * p.c + c;
          const T* gyp = gy + ((n * p.p + ip) * p.q + iq) * p.k + c * m + j;
#pragma GCC unroll 4
          for (int v = 0; v < kV; ++v) {
            acc[v] = madd<T>(block.get(xp, v, prologue, c), block.get(gyp, v, m), acc[v]);
          }
        }
        T* out = gt + t * p.c + c;
#pragma GCC unroll 4
        for (int v = 0; v < kV; ++v) block.put(out, v, 1, block.get(out, v, 1) + acc[v]);
      }
    });
  };
  parallel(chunks, grain_for(p.q * p.k * taps), [&](int64_t begin, int64_t end, int) {
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      T* gt = partials + chunk * size;
      for (int64_t i = 0; i < size; ++i) gt[i] = 0;
      for (int64_t row = rows * chunk / chunks; row < rows * (chunk + 1) / chunks; ++row) {
        add_row(row / p.p, row % p.p, gt);
      }
    }
  });
  parallel(p.k, grain_for(taps * chunks), [&](int64_t begin, int64_t end, int) {
    for (int64_t k = begin; k < end; ++k) {
      for (int64_t t = 0; t < taps; ++t) {
        T total = 0;
        for (int64_t chunk = 0; chunk < chunks; ++chunk) {
          total += partials[chunk * size + (t * m + k % m) * p.c + k / m];
        }
        gw[k * taps + t] = total;
      }
    }
  });
}

}  // namespace

DepthwiseKernels depthwise_kernels() {
  return {{fwd<float>, dgrad<float>, wgrad<float>}, {fwd<double>, dgrad<double>, wgrad<double>}};
}

}  // namespace fc::FC_ISA
