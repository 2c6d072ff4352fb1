// What the lane kernels (lanes.cpp, lanes_wgrad.cpp) do, as numbers.
//
// Forward and input gradient are one computation. Positions (i,j) step over the source; at each
// position every phase makes one output pixel from its taps:
//
//   out[i*phases_h + fh, j*phases_w + fw, l] =
//       sum_{taps of (fh,fw)} sum_{g < planes} source[i*step_h + dh, j*step_w + dw, channel(l, g)]
//                                              * weight(tap, g, l)
//   channel(l, g) = l / lane_group * planes + g
//
// fwd: one phase, step = stride. dgrad: step 1, a phase per remainder of the output pixel by the
// stride: no multiplications with the zeros between.
//
// Groups of 2, 4 or 8 that a vector holds: fwd and dgrad stage one plane and spread it over the
// lanes in registers (`spread` planes); everything else stages all planes.
//
// Source rows are first staged: zero-padded, through the prologue, one vector of lanes at a time,
// in `staged` copies whose lanes are what the output lanes multiply (plane g, lane l: channel(l,
// g)). Columns are parted by their remainder by step_w, so that neighbouring positions read
// neighbouring vectors whatever the stride:
//
//   buffer (slots, staged, step_w, columns, kVw)     row r of a unit in slot r % slots
#pragma once

#include "cpu/kernels/simd.h"
#include "cpu/kernels/vmath.h"
#include "cpu/lanes.h"

namespace fc::FC_ISA {
namespace {

constexpr int kTile = 14;  // positions of a register tile; 7, 14, 28, ... are what networks have

// Rows or columns.
struct Axis {
  int64_t source, out, window, stride, dilation, pad;
  bool back;       // dgrad
  int64_t lo, hi;  // the least and the greatest displacement of a tap

  Axis(int64_t source_, int64_t out_, int64_t window_, int64_t stride_, int64_t dilation_,
       int64_t pad_, bool back_)
      : source(source_),
        out(out_),
        window(window_),
        stride(stride_),
        dilation(dilation_),
        pad(pad_),
        back(back_) {
    const int64_t reach = (window - 1) * dilation;
    if (!back) {
      lo = -pad;
      hi = reach - pad;
      return;
    }
    lo = INT64_MAX, hi = INT64_MIN;
    for (int64_t f = 0; f < stride; ++f) {
      for (int64_t r = 0; r < window; ++r) {
        int64_t d;
        if (!tap(f, r, &d)) continue;
        lo = min_of(lo, d);
        hi = max_of(hi, d);
      }
    }
  }

  int64_t step() const { return back ? 1 : stride; }
  int64_t phases() const { return back ? stride : 1; }
  int64_t positions() const { return ceil_div(out, phases()); }
  int64_t span() const { return hi - lo; }

  // Is window element r a tap of the phase, and how far from the position does it read?
  bool tap(int64_t phase, int64_t r, int64_t* displacement) const {
    const int64_t t = back ? phase + pad - r * dilation : r * dilation - pad;
    *displacement = back ? t / stride : t;
    return !back || t % stride == 0;
  }
};

struct Pass {
  Axis h, w;
  int64_t n, channels;  // images; channels of the source
  int64_t lanes, lane_group, planes;
  int64_t staged, spread;  // planes = staged * spread
  bool in_vector;          // a vector holds whole groups of 1, 2, 4 or 8
  int64_t outer, inner;    // strides of the weights (pack)

  // wgrad stages what fwd does
  Pass(const Conv2dProblem& p, Direction d, int64_t vw)
      : h(d == Direction::kDgrad ? p.p : p.h, d == Direction::kDgrad ? p.h : p.p, p.r, p.stride_h,
          p.dilation_h, p.pad_top, d == Direction::kDgrad),
        w(d == Direction::kDgrad ? p.q : p.w, d == Direction::kDgrad ? p.w : p.q, p.s, p.stride_w,
          p.dilation_w, p.pad_left, d == Direction::kDgrad),
        n(p.n) {
    const bool back = d == Direction::kDgrad;
    const int64_t filter = p.r * p.s * p.cg();
    channels = back ? p.k : p.c;
    lanes = back ? p.c : p.k;
    lane_group = back ? p.cg() : p.kg();
    planes = back ? p.kg() : p.cg();
    outer = p.kg() * filter;
    inner = back ? 1 : filter;
    plane_stride = back ? filter : 1;
    tap_stride = p.cg();
    in_vector = lane_group == planes && vw % planes == 0 && planes <= 8;
    spread = in_vector && d != Direction::kWgrad ? planes : 1;
    staged = planes / spread;
  }

  int64_t channel(int64_t lane, int64_t plane) const { return lane / lane_group * planes + plane; }
  int64_t entries() const { return h.window * w.window * planes; }  // weights of a lane
  int64_t phases() const { return h.phases() * w.phases(); }

  // Where w keeps the weight of (tap r,s; plane; lane): weight_of(lane) + entry_of(r, s, plane).
  int64_t weight_of(int64_t lane) const {
    return lane / lane_group * outer + lane % lane_group * inner;
  }
  int64_t entry_of(int64_t r, int64_t s, int64_t plane) const {
    return (r * w.window + s) * tap_stride + plane * plane_stride;
  }

 private:
  int64_t plane_stride, tap_stride;
};

// How the work is cut: by the shape (and the vector width) alone. A unit is an image's band of rows
// and strip of columns; an item is one vector of lanes of one unit.
template <class T>
struct Blocks {
  int64_t vectors;
  int64_t strip, strips, band, bands;
  int64_t columns, row_pitch;  // of the buffer; elements
  int64_t out_pitch;           // staged rows of gy behind it; 0: none
  int64_t group, slots;        // position rows that are staged, then multiplied; rows of the buffer

  Blocks(const Pass& pass, bool stage_out) {
    constexpr int64_t kActive = 24 << 10;  // rows in use at a time: in the first-level cache
    constexpr int64_t kBand = 96 << 10;    // all rows of a band: in the second-level cache
    constexpr int64_t kUnit = 400 << 10;   // what a unit reads, all vectors
    constexpr int64_t kItems = 32;         // work for that many threads, if there is enough
    constexpr int64_t kManyEntries = 18;   // wgrad reads the rows once for every 9 of them
    vectors = ceil_div(pass.lanes, kVw<T>);
    const int64_t positions = pass.w.positions(), rows = pass.h.positions();
    const int64_t step = pass.w.step(), span = pass.w.span() / step;
    const int64_t window = pass.h.span() + 1;
    const int64_t fit = kActive / (window * pass.staged * step * kVectorBytes) - span;
    const int64_t most = max_of<int64_t>(fit / kTile, 1) * kTile;
    strips = ceil_div(positions, most);
    strip = strips <= 1 ? positions : ceil_div(ceil_div(positions, strips), kTile) * kTile;
    strips = strip > 0 ? ceil_div(positions, strip) : 0;
    columns = strip + span;
    row_pitch = pass.staged * step * columns * kVw<T>;
    out_pitch = stage_out ? strip * kVw<T> : 0;

    const int64_t row_bytes = row_pitch * sizeof(T), out_bytes = out_pitch * sizeof(T);
    cut((kBand - pass.h.span() * row_bytes) / (pass.h.step() * row_bytes + out_bytes + 1), rows);
    if (pass.h.step() > 1 && band > 0) {  // little is read twice: the next unit comes in meanwhile
      const int64_t row = pass.h.step() * pass.w.source * pass.channels * sizeof(T);
      cut(min_of(band, max_of(kUnit / (row + 1), window)), rows);
    }
    while (units(pass) * vectors < kItems && band >= 2 * window) cut(ceil_div(band, 2), rows);

    const int64_t staged = band > 0 ? (band - 1) * pass.h.step() + window : 0;
    const bool ring = stage_out && staged * row_bytes > kActive && pass.entries() >= kManyEntries;
    group = ring ? 1 : band;
    slots = ring ? window : staged;
  }

  int64_t units(const Pass& pass) const { return pass.n * bands * strips; }
  // of a thread; a tile may read beyond the last column
  int64_t buffer() const { return slots * row_pitch + group * out_pitch + kTile * kVw<T>; }

 private:
  void cut(int64_t most, int64_t rows) {
    bands = ceil_div(rows, max_of<int64_t>(most, 1));
    band = bands > 0 ? ceil_div(rows, bands) : 0;
    bands = band > 0 ? ceil_div(rows, band) : 0;
  }
};

// A unit's place.
struct Unit {
  int64_t n, i0, i1, j0, j1;

  template <class T>
  Unit(const Pass& pass, const Blocks<T>& b, int64_t unit) {
    const int64_t strip = unit % b.strips, band = unit / b.strips % b.bands;
    n = unit / b.strips / b.bands;
    i0 = band * b.band;
    i1 = min_of(i0 + b.band, pass.h.positions());
    j0 = strip * b.strip;
    j1 = min_of(j0 + b.strip, pass.w.positions());
  }
};

// Aligned arrays out of one workspace; with base null it only counts.
class Carve {
 public:
  explicit Carve(void* base)
      : start_(reinterpret_cast<uintptr_t>(base)), at_((start_ + 63) / 64 * 64) {}
  template <class U>
  U* take(int64_t count) {
    U* p = reinterpret_cast<U*>(at_);
    at_ += (count * sizeof(U) + 63) / 64 * 64;
    return p;
  }
  int64_t bytes() const { return static_cast<int64_t>(at_ - start_) + 64; }

 private:
  uintptr_t start_, at_;
};

// For each phase its entries: offsets into the buffer and, in that order, into a lane's weights
// (`spread` for each).
// A table of offsets for every slot that a group's first row may have.
struct Entries {
  int64_t *offset, *weight, *begin;  // (tables, entries), (entries), (phases + 1)

  template <class T>
  Entries(const Pass& pass, const Blocks<T>& b, Carve& carve)
      : offset(carve.take<int64_t>(tables(b) * pass.entries())),
        weight(carve.take<int64_t>(pass.entries())),
        begin(carve.take<int64_t>(pass.phases() + 1)) {}

  template <class T>
  void fill(const Pass& pass, const Blocks<T>& b) const {
    const int64_t step = pass.w.step();
    int64_t count = 0;
    for (int64_t phase = 0; phase < pass.phases(); ++phase) {
      begin[phase] = count;
      for (int64_t r = 0; r < pass.h.window; ++r) {
        int64_t dh, dw;
        if (!pass.h.tap(phase / pass.w.phases(), r, &dh)) continue;
        // taps of neighbouring columns one after the other: they share loads (lanes_tile.h)
        for (int64_t f = 0; f < step; ++f) {
          for (int64_t g = 0; g < pass.staged; ++g) {
            for (int64_t u = f; u <= pass.w.span(); u += step) {
              for (int64_t s = 0; s < pass.w.window; ++s) {
                const bool tap = pass.w.tap(phase % pass.w.phases(), s, &dw);
                if (!tap || dw - pass.w.lo != u) continue;
                for (int64_t slot = 0; slot < tables(b); ++slot) {
                  offset[slot * pass.entries() + count] =
                      (slot + dh - pass.h.lo) % b.slots * b.row_pitch +
                      ((g * step + f) * b.columns + u / step) * kVw<T>;
                }
                for (int64_t j = 0; j < pass.spread; ++j) {
                  weight[count * pass.spread + j] = pass.entry_of(r, s, g + j);
                }
                ++count;
              }
            }
          }
        }
      }
    }
    begin[pass.phases()] = count;
  }

 private:
  template <class T>
  static int64_t tables(const Blocks<T>& b) {
    return b.group < b.band ? b.slots : 1;
  }
};

}  // namespace
}  // namespace fc::FC_ISA
