// Batch normalisation over the rows of x (rows, C), rows = N*H*W:
//
//   prepare  mean = sums[0]/rows; var = sums[1]/rows - mean^2; rstd = 1/sqrt(var + eps)
//   fold     scale = gamma/sqrt(var + eps); shift = beta + (b - mean)*scale; running statistics
//   apply    y = act((x - mean) * (gamma*rstd) + beta + residual)
//   bwd      gz = gy * act'; gbeta = sum gz; ggamma = sum gz*xhat; xhat = (x - mean)*rstd
//            training: gx = gamma*rstd * (gz - gbeta/rows - xhat*ggamma/rows), else gamma*rstd * gz
//
// Rows are handled in tiles (batch_norm_tiles.h). The sums of bwd run over chunks of rows that the
// shape fixes, in blocks of T inside double, and are combined in order.
#include "cpu/kernels/act_block.h"
#include "cpu/kernels/batch_norm_tiles.h"
#include "cpu/kernels/stream.h"
#include "cpu/kernels/vmath.h"
#include "cpu/norm.h"
#include "cpu/parallel.h"

namespace fc::FC_ISA {
namespace {

constexpr int64_t kBlockSteps = 32;  // steps summed in T before they go into double

// nothing to average (count 0): mean 0, variance 0, and the running statistics stay
template <class T>
void prepare(const double* sums, double count, T* mean, T* rstd, T* running_mean, T* running_var,
             int64_t c, double momentum, double eps) {
  const double size = max_of(1.0, count), unbias = size / max_of(1.0, count - 1);
  for (int64_t i = 0; i < c; ++i) {
    const double m = sums[i] / size;
    const double raw = sums[c + i] / size - m * m;
    const double var = raw < 0 ? 0 : raw;
    mean[i] = static_cast<T>(m);
    rstd[i] = static_cast<T>(1 / ::sqrt(var + eps));
    if (count == 0) continue;
    if (running_mean) {
      running_mean[i] = static_cast<T>((1 - momentum) * running_mean[i] + momentum * m);
    }
    if (running_var) {
      running_var[i] = static_cast<T>((1 - momentum) * running_var[i] + momentum * (var * unbias));
    }
  }
}

template <class T>
void fold(const T* mean, const T* var, const T* gamma, const T* beta, const T* b, double eps,
          T* scale, T* shift, int64_t c) {
  for (int64_t i = 0; i < c; ++i) {
    const double rstd = 1 / ::sqrt(var[i] + eps), factor = gamma ? rstd * gamma[i] : rstd;
    scale[i] = static_cast<T>(factor);
    if (!shift) continue;
    const double offset = (b ? static_cast<double>(b[i]) : 0) - mean[i];
    shift[i] = static_cast<T>(offset * factor + (beta ? beta[i] : 0));
  }
}

template <class T>
void apply(const T* x, const T* mean, const T* rstd, const T* gamma, const T* beta,
           const T* residual, T* y, int64_t rows, int64_t c, const Activation& act) {
  const Tiling t(rows, c);
  const bool past = y != x && y != residual && streams<T>(rows * c);
  parallel(rows, grain_for(4 * c), [&](int64_t begin, int64_t end, int) {
    Blocks<T, kTile> out(past);
    for_blocks_backwards(t, begin, end, [&](int64_t tile, int64_t first, int64_t last) {
      const Coefficients<T> k(mean, rstd, gamma, beta, t, tile);
      for_steps(t, tile, first, last, [&](int64_t at, int64_t n) {
        ask_ahead(x + at, n);
        if (residual) ask_ahead(residual + at, n);
        T* block = out.begin(y + at);
        normalise(x + at, residual ? residual + at : nullptr, block, n, k);
        if (act.code != kIdentity) act_block(block, block, n, act);
        out.end(y + at, n);
      });
    });
    out.finish();
  });
}

// gz of n values: gy itself, or written to buffer
template <class T>
inline const T* gradient_of_z(const BatchNormGrad<T>& a, int64_t at, int64_t n,
                              const Coefficients<T>& k, T* buffer) {
  ask_ahead(a.gy + at, n);
  if (a.x) ask_ahead(a.x + at, n);
  if (a.y) ask_ahead(a.y + at, n);
  if (a.act.code == kIdentity) return a.gy + at;
  const T* saved = a.y ? a.y + at : buffer;
  if (!a.y) normalise(a.x + at, a.residual ? a.residual + at : nullptr, buffer, n, k);
  act_grad_block(a.gy + at, saved, buffer, n, a.act);
  return buffer;
}

// The sums of up to kBlockSteps steps in T.
template <class T>
struct BlockSums {
  T g[kTile], gx[kTile];

  // kSteps steps at once: the sums are loaded and stored once for all of them
  template <int kSteps>
  void add(const T* const* gz, const T* x, int64_t stride, const T* mean, int64_t n) {
    const T* rows[kSteps];
    for (int s = 0; s < kSteps; ++s) rows[s] = gz[s];
    FC_INDEPENDENT
    for (int64_t i = 0; i < n; ++i) {
      T sum = g[i], weighted = gx[i];
#pragma GCC unroll 4
      for (int s = 0; s < kSteps; ++s) {
        const T v = rows[s][i];
        sum += v;
        weighted += v * (x[s * stride + i] - mean[i]);
      }
      g[i] = sum;
      gx[i] = weighted;
    }
  }
};

// sums over rows [begin, end) of gz -> partial[0, c], gz*(x - mean) -> partial[1, c]; gresidual =
// gz
template <class T>
void sum_chunk(const BatchNormGrad<T>& a, const Tiling& t, int64_t tile, int64_t begin, int64_t end,
               bool past, double* partial) {
  constexpr int kSteps = 4;
  const Coefficients<T> k(a.mean, a.rstd, a.gamma, a.beta, t, tile);
  const T* x = a.x ? a.x : a.gy;  // without x nobody reads the sums of gx
  Blocks<T, kTile> out(past);
  T buffer[kSteps][kTile];
  BlockSums<T> block;
  double sum_g[kTile] = {}, sum_gx[kTile] = {};
  const int64_t len = t.rep * t.size(tile), stride = t.rep * t.c;
  const auto gradient = [&](int64_t at, int64_t n, T* to) {
    const T* gz = gradient_of_z(a, at, n, k, to);
    if (a.gresidual) {
      T* copy = out.begin(a.gresidual + at);
      for (int64_t i = 0; i < n; ++i) copy[i] = gz[i];
      out.end(a.gresidual + at, n);
    }
    return gz;
  };
  for (int64_t first = begin; first < end; first += kBlockSteps * t.rep) {
    const int64_t last = min_of(end, first + kBlockSteps * t.rep);
    fill(block.g, len, T(0));
    fill(block.gx, len, T(0));
    int64_t row = first;
    for (; row + kSteps * t.rep <= last; row += kSteps * t.rep) {
      const int64_t at = row * t.c + t.begin(tile);
      const T* gz[kSteps];
      for (int s = 0; s < kSteps; ++s) gz[s] = gradient(at + s * stride, len, buffer[s]);
      block.template add<kSteps>(gz, x + at, stride, k.mean, len);
    }
    for_steps(t, tile, row, last, [&](int64_t at, int64_t n) {
      const T* gz = gradient(at, n, buffer[0]);
      block.template add<1>(&gz, x + at, stride, k.mean, n);
    });
    for (int64_t i = 0; i < len; ++i) sum_g[i] += block.g[i];
    for (int64_t i = 0; i < len; ++i) sum_gx[i] += block.gx[i];
  }
  const int64_t width = t.size(tile), c0 = t.begin(tile);
  for (int64_t i = 0; i < width; ++i) {
    double g = 0, gx = 0;
    for (int64_t r = 0; r < t.rep; ++r) {
      g += sum_g[r * width + i];
      gx += sum_gx[r * width + i];
    }
    partial[c0 + i] = g;
    partial[t.c + c0 + i] = gx;
  }
  out.finish();
}

int64_t rows_of_chunk(int64_t rows) { return max_of<int64_t>(256, ceil_div(rows, 128)); }

// doubles: (chunks, 2, C) partial sums; at least one chunk
int64_t scratch_size(int64_t rows, int64_t c) {
  return max_of<int64_t>(1, ceil_div(rows, rows_of_chunk(rows))) * 2 * c;
}

// partial (chunks, 2, C) -> its sum over chunks, in order, in partial's first row
template <class T>
void reduce_chunks(const BatchNormGrad<T>& a, double* partial) {
  const Tiling t(a.rows, a.c);
  const int64_t size = rows_of_chunk(a.rows), chunks = ceil_div(a.rows, size);
  const bool past = streams<T>(a.rows * a.c);
  fill(partial, 2 * a.c, 0.0);
  parallel(chunks * t.tiles, grain_for(4 * size * t.width), [&](int64_t begin, int64_t end, int) {
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t chunk = unit / t.tiles, first = chunk * size;
      sum_chunk(a, t, unit % t.tiles, first, min_of(a.rows, first + size), past,
                partial + chunk * 2 * a.c);
    }
  });
  for (int64_t chunk = 1; chunk < chunks; ++chunk) {
    const double* from = partial + chunk * 2 * a.c;
    for (int64_t i = 0; i < 2 * a.c; ++i) partial[i] += from[i];
  }
}

template <class T>
void input_gradient(const BatchNormGrad<T>& a, const double* slopes) {
  const Tiling t(a.rows, a.c);
  const bool past = streams<T>(a.rows * a.c);
  parallel(a.rows, grain_for(4 * a.c), [&](int64_t begin, int64_t end, int) {
    Blocks<T, kTile> out(past);
    T buffer[kTile], offset[kTile], slope[kTile];
    for_blocks_backwards(t, begin, end, [&](int64_t tile, int64_t first, int64_t last) {
      const Coefficients<T> k(a.mean, a.rstd, a.gamma, a.beta, t, tile);
      spread(slopes, T(0), t, tile, offset);
      spread(slopes + a.c, T(0), t, tile, slope);
      for_steps(t, tile, first, last, [&](int64_t at, int64_t n) {
        if (a.gresidual) {
          ask_ahead(a.gresidual + at, n);
          if (a.training) ask_ahead(a.x + at, n);
        }
        const T* gz = a.gresidual ? a.gresidual + at : gradient_of_z(a, at, n, k, buffer);
        T* gx = out.begin(a.gx + at);
        if (a.training) {
          const T* x = a.x + at;
          FC_INDEPENDENT
          for (int64_t i = 0; i < n; ++i) {
            gx[i] = k.scale[i] * (gz[i] - offset[i] - (x[i] - k.mean[i]) * slope[i]);
          }
        } else {
          FC_INDEPENDENT
          for (int64_t i = 0; i < n; ++i) gx[i] = k.scale[i] * gz[i];
        }
        out.end(a.gx + at, n);
      });
    });
    out.finish();
  });
}

template <class T>
void backward(const BatchNormGrad<T>& a, double* scratch) {
  if (a.gbeta || a.ggamma || a.gresidual || (a.gx && a.training)) {
    reduce_chunks(a, scratch);
  } else {
    fill(scratch, 2 * a.c, 0.0);
  }
  const double rows = static_cast<double>(max_of<int64_t>(1, a.rows));
  for (int64_t i = 0; i < a.c; ++i) {
    const double rstd = a.rstd[i], sum_g = scratch[i], ggamma = scratch[a.c + i] * rstd;
    if (a.gbeta) a.gbeta[i] = static_cast<T>(sum_g);
    if (a.ggamma) a.ggamma[i] = static_cast<T>(ggamma);
    scratch[i] = sum_g / rows;
    scratch[a.c + i] = ggamma * rstd / rows;
  }
  if (a.gx) input_gradient(a, scratch);
}

}  // namespace

BatchNormKernels batch_norm_kernels() {
  return {{prepare<float>, fold<float>, apply<float>, scratch_size, backward<float>},
          {prepare<double>, fold<double>, apply<double>, scratch_size, backward<double>}};
}

}  // namespace fc::FC_ISA
