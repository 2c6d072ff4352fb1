// The sizes that both kernels of a first layer read, and the patch of x that a block holds.
//
// In memory, a window row of S pixels and C channels is one run of S*C floats, and the run of the
// next output pixel begins step = stride*C floats on. In shared memory, element e of a row lies in
// plane e % step at place e / step. So what neighbouring output pixels read at position b < step of
// their runs lies side by side in plane b, and what they read at position b + d*step lies there,
// too, d places on:
//
//   pixel q, position b + d*step   ->   plane b, place q + d
//
// Two vectors of a plane, 8 floats, serve 4 pixels at 4 positions, whatever stride, window and
// number of channels are: no window needs a kernel of its own.
#pragma once

#include "conv2d.h"
#include "cuda/device/divide.h"
#include "cuda/gemm/prologue.h"

namespace fc::cuda {

constexpr int kQuad = 4;          // pixels, and positions, that two vectors serve
constexpr int kSectorFloats = 8;  // of x are loaded from the first to the last, by two threads

struct StemImage {
  int h, width;  // of x: rows, floats of a row (W*C)
  int p, q, k;
  int r, run, step;  // window rows; floats of a window row; floats from window to window
  int channels, stride_h, pad_top;
  int margin;          // floats of the padding on the left
  int planes, shifts;  // that windows meet: b, d
  Divider by_step, by_channels;

  explicit StemImage(const Conv2dProblem& c)
      : h(static_cast<int>(c.h)),
        width(static_cast<int>(c.w * c.c)),
        p(static_cast<int>(c.p)),
        q(static_cast<int>(c.q)),
        k(static_cast<int>(c.k)),
        r(static_cast<int>(c.r)),
        run(static_cast<int>(c.s * c.c)),
        step(static_cast<int>(c.stride_w * c.c)),
        channels(static_cast<int>(c.c)),
        stride_h(static_cast<int>(c.stride_h)),
        pad_top(static_cast<int>(c.pad_top)),
        margin(static_cast<int>(c.pad_left * c.c)),
        planes(step < run ? step : run),
        shifts(ceil_div(run, step)),
        by_step(step),
        by_channels(channels) {}
};

// What `rows` x `columns` output pixels read: (height, planes, pitch) floats.
struct StemPatch {
  int rows, columns;  // output pixels; columns a multiple of kQuad
  int height, pitch;
  int needed;  // floats of a row of x
  int chunks;  // that cover a row of the patch, wherever it begins
  bool vectors;
  int64_t tiles;  // of all images
  Divider by_chunks, by_columns, by_rows;

  StemPatch(const StemImage& image, int64_t n, int rows, int columns)
      : rows(rows), columns(columns), vectors(false) {
    height = (rows - 1) * image.stride_h + image.r;
    // an odd number of vectors: the same place of neighbouring planes lies in different banks
    const int wanted = columns + ceil_div(image.shifts, kQuad) * kQuad;
    pitch = wanted % 8 == 0 ? wanted + kQuad : wanted;
    needed = (columns - 1) * image.step + image.run;
    tiles = n * ceil_div(image.p, rows) * ceil_div(image.q, columns);
  }
  // Before it goes to a kernel; fit: rows of x begin where vectors may.
  void finish(const StemImage& image, bool fit) {
    vectors = fit;
    const int floats = pitch * image.step;
    chunks = fit ? ceil_div(floats + kSectorFloats - 1, kSectorFloats) * 2 : floats;
    by_chunks = Divider(chunks);
    by_columns = Divider(ceil_div(image.q, columns));
    by_rows = Divider(ceil_div(image.p, rows));
  }
  int floats(const StemImage& image) const { return height * image.planes * pitch; }
};

// A tile of output pixels.
struct StemPlace {
  int n, p, q;  // image and first pixel

  FC_DEVICE StemPlace(const StemPatch& patch, int64_t tile) {
    int rest;
    patch.by_columns.split(static_cast<int>(tile), rest, q);
    patch.by_rows.split(rest, n, p);
    p *= patch.rows;
    q *= patch.columns;
  }
};

// prologue(v) of neighbouring floats of a row, the first one of this channel
template <int kVec, class T>
FC_DEVICE Vec<float, kVec> treated(const StemImage& image, const LoadedThrough<T>& through,
                                   int channel, const Vec<float, kVec>& value) {
  Vec<float, kVec> v[1] = {value};
#pragma unroll
  for (int i = 0; i < kVec; ++i) {
    v[0][i] = v[0][i] * widen(through.scale[channel]) + widen(through.shift[channel]);
    channel = channel + 1 == image.channels ? 0 : channel + 1;
  }
  activate(through.act, v);
  return v[0];
}

// Vectors begin at whole sectors where rows of x do, and so before the patch.
template <int kVec, class T>
FC_DEVICE void stage_chunks(const StemImage& image, const StemPatch& patch, const StemPlace& place,
                            const T* x, const LoadedThrough<T>& through, float* to) {
  const int begin = place.q * image.step - image.margin;  // may be negative
  const int before = kVec == 1 ? 0 : begin & (kSectorFloats - 1);
  const int row0 = place.p * image.stride_h - image.pad_top;
  const T* from = x + int64_t{place.n} * image.h * image.width;
#pragma unroll 2
  for (int i = static_cast<int>(threadIdx.x); i < patch.height * patch.chunks;
       i += static_cast<int>(blockDim.x)) {
    int row, chunk, at, plane;
    patch.by_chunks.split(i, row, chunk);
    const int e = chunk * kVec - before, column = begin + e;
    // some steps further, so that nothing is negative
    image.by_step.split(e + kSectorFloats * image.step, at, plane);
    at -= kSectorFloats;
    Vec<float, kVec> v = Vec<float, kVec>::all(0.f);
    if (static_cast<unsigned>(row0 + row) < static_cast<unsigned>(image.h) &&
        static_cast<unsigned>(column) < static_cast<unsigned>(image.width) && e < patch.needed) {
      v = widen(load<kVec>(from + int64_t{row0 + row} * image.width + column));
      if (through.there()) {
        int pixel, channel;
        image.by_channels.split(column, pixel, channel);
        v = treated(image, through, channel, v);
      }
    }
#pragma unroll
    for (int j = 0; j < kVec; ++j) {
      if (static_cast<unsigned>(at) < static_cast<unsigned>(patch.pitch) && plane < image.planes) {
        to[(row * image.planes + plane) * patch.pitch + at] = v[j];
      }
      if (++plane == image.step) plane = 0, ++at;
    }
  }
}

// The patch of this place; zeros outside of the image. Every thread of the block calls this.
template <class T>
FC_DEVICE void stage_patch(const StemImage& image, const StemPatch& patch, const StemPlace& place,
                           const T* x, const LoadedThrough<T>& through, float* to) {
  if (patch.vectors) {
    stage_chunks<kQuad>(image, patch, place, x, through, to);
  } else {
    stage_chunks<1>(image, patch, place, x, through, to);
  }
}

}  // namespace fc::cuda
