// The gradient by w of a convolution whose windows of 3 x 3 have stride 1, by the transpose of
// Winograd's F(4x4, 3x3):
//
//   V[f] (tiles, channels) = B' x B    of every patch of 6 x 6 inputs, for each of 36 frequencies f
//   W[f] (tiles, filters)  = A gy A'   of every tile of 4 x 4 gradients
//   S[f] (filters, channels) = W[f]' V[f]
//   gw   3 x 3                = G' S G
//
// Tiles are taken in rounds, so that V and W stay in the third-level cache; S of several rounds is
// added up in memory. How it is cut depends on the shape alone, and an element of S is summed in
// the order of the tiles: the bits do not depend on the threads.
//
// Error bound: |gw - gw64| <= 8 * sqrt(L) * eps * the largest sum |a b| among the taps.
#include "cpu/kernels/gemm_parts.h"
#include "cpu/kernels/pack.h"
#include "cpu/kernels/reduce_tile.h"
#include "cpu/kernels/winograd_patch.h"
#include "cpu/parallel.h"

namespace fc::FC_ISA {
namespace {

// V and W of a round, in the third-level cache: the fewer, the nearer, but each round reads and
// writes S, which is near too if it is small
constexpr int64_t kRoundBytes = int64_t{4} << 20, kLongRoundBytes = int64_t{10} << 20;

template <class T>
struct Plan {
  TileGrid<T> grid;
  int64_t channels, filters;
  int64_t panels;             // of the channels
  int64_t row_tiles;          // of the filters
  int64_t rounds, round;      // of tiles: how many, and tiles of one at most
  int64_t v_panel, v_stride;  // elements between panels of V, and frequencies of one
  int64_t w_row, w_stride;    // elements between tiles of W, and frequencies
  int64_t zeros, v, w, sums;  // workspace, bytes: shared ...
  int64_t own_sums;           // ... and per thread

  explicit Plan(const GemmJob<T>& job) : grid(job.k, job.b.d1, job.b.d2) {
    channels = job.b.run;
    filters = job.m;
    panels = ceil_div(channels, kNr<T>);
    row_tiles = ceil_div(filters, kMr);
    w_row = round_up(filters, kVw<T>);

    const int64_t tile_bytes = kFrequencies * (panels * kNr<T> + w_row) * sizeof(T);
    const int64_t sums_bytes = panels * row_tiles * sums_elements() * sizeof(T);
    rounds = ceil_div(grid.tiles * tile_bytes,
                      sums_bytes <= kRoundBytes ? kRoundBytes : kLongRoundBytes);
    rounds = most(1, rounds);
    round = ceil_div(grid.tiles, rounds);
    const int64_t offset = kOffset / static_cast<int64_t>(sizeof(T));
    v_stride = round * kNr<T> + offset;
    v_panel = kFrequencies * v_stride;
    w_stride = round * w_row + offset;

    const auto bytes = [](int64_t n) { return round_up(n * sizeof(T), kAlign); };
    zeros = bytes(round_up(channels, kVw<T>));
    v = bytes(panels * v_panel);
    w = bytes(kFrequencies * w_stride);
    sums = rounds > 1 ? round_up(sums_bytes, kAlign) : 0;
    own_sums = rounds > 1 ? 0 : bytes(sums_elements());
  }

  int64_t first_tile(int64_t r) const { return grid.tiles * r / rounds; }
  int64_t first_row(int64_t tile) const { return filters * tile / row_tiles; }
  // S of a tile of filters in a panel
  static int64_t sums_elements() { return kFrequencies * kMr * kNr<T>; }
  int64_t shared_bytes() const { return zeros + v + w + sums; }
  int64_t thread_bytes() const { return own_sums; }
};

template <class T>
class Gradient {
 public:
  Gradient(const GemmJob<T>& job, int threads, void* workspace)
      : job_(job), plan_(job), threads_(threads) {
    char* p = aligned(workspace);
    zeros_ = reinterpret_cast<T*>(p);
    p += plan_.zeros;
    v_ = reinterpret_cast<T*>(p);
    p += plan_.v;
    w_ = reinterpret_cast<T*>(p);
    p += plan_.w;
    sums_ = reinterpret_cast<T*>(p);
    buffers_ = p + plan_.sums;
  }

  void run() {
    zero(zeros_, plan_.zeros / static_cast<int64_t>(sizeof(T)));
    for (int64_t round = 0; round < plan_.rounds; ++round) {
      const int64_t first = plan_.first_tile(round);
      const int64_t count = plan_.first_tile(round + 1) - first;
      const int64_t grain = grain_for(kFrequencies * (plan_.channels + plan_.filters));
      parallel(count, grain, threads_, [&](int64_t begin, int64_t end, int) {
        transform_patches(first + begin, first + end, first);
        transform_gradients(first + begin, first + end, first);
      });
      parallel(plan_.panels * plan_.row_tiles, 1, threads_,
               [&](int64_t begin, int64_t end, int thread) {
                 for (int64_t i = begin; i < end; ++i) {
                   T* own = reinterpret_cast<T*>(buffers_ + thread * plan_.thread_bytes());
                   T* s = plan_.rounds > 1 ? sums_ + i * plan_.sums_elements() : own;
                   multiply(i / plan_.row_tiles, i % plan_.row_tiles, count, round, s);
                 }
               });
    }
  }

 private:
  // V of the tiles [begin, end); `first` is that of the round.
  void transform_patches(int64_t begin, int64_t end, int64_t first) const {
    const Patches<T> patches(job_.b, zeros_);
    TilePixels<T> next;
    if (begin < end) patches.find(plan_.grid.place(job_.b, begin), next);
    for (int64_t tile = begin; tile < end; ++tile) {
      const TilePixels<T> pixels = next;
      if (tile + 1 < end) patches.find(plan_.grid.place(job_.b, tile + 1), next);
      for (int64_t c = 0; c < plan_.channels; c += kVw<T>) {
        next.ask(c);
        T* to = v_ + c / kNr<T> * plan_.v_panel + (tile - first) * width(c / kNr<T>) + c % kNr<T>;
        patches.transform(pixels, c, Part<T>(least(plan_.channels - c, kVw<T>)), to,
                          plan_.v_stride);
      }
    }
  }

  // columns of a panel, those that fill the last vector too
  int64_t width(int64_t panel) const {
    return plan_.channels - panel * kNr<T> > kVw<T> ? kNr<T> : kVw<T>;
  }

  // W of the tiles [begin, end)
  void transform_gradients(int64_t begin, int64_t end, int64_t first) const {
    const Source<T>& a = job_.a;
    for (int64_t tile = begin; tile < end; ++tile) {
      const TilePlace place = plan_.grid.place(job_.b, tile);
      const int64_t corner = (place.image * plan_.grid.d1 + place.h) * plan_.grid.d2 + place.w;
      const T* from = a.base + a.offset + corner * a.s2;
      T* to = w_ + (tile - first) * plan_.w_row;
      for (int64_t k = 0; k < plan_.filters; k += kVw<T>) {
        transform_gradient(from + k, place, Part<T>(least(plan_.filters - k, kVw<T>)), to + k);
      }
    }
  }

  // A gy A' of one vector of filters; gradients outside are 0.
  void transform_gradient(const T* corner, const TilePlace& place, const Part<T>& part,
                          T* to) const {
    const int64_t line_stride = plan_.grid.d2 * job_.a.s2;
    Vec<T> half[kOutputs][kPoints] = {};
    for (int64_t i = 0; i < place.lines; ++i) {
      Vec<T> line[kOutputs] = {};
      for (int64_t j = 0; j < place.columns; ++j) {
        line[j] = part.load(corner + i * line_stride + j * job_.a.s2);
      }
      winograd::transform_gradient<T>(line, half[i], Fused<T>());
    }
    for (int j = 0; j < kPoints; ++j) {
      Vec<T> column[kOutputs], points[kPoints];
      for (int i = 0; i < kOutputs; ++i) column[i] = half[i][j];
      winograd::transform_gradient<T>(column, points, Fused<T>());
      for (int i = 0; i < kPoints; ++i) store(to + (i * kPoints + j) * plan_.w_stride, points[i]);
    }
  }

  // S of one tile of filters in a panel, over the tiles of a round; after the last one, gw.
  void multiply(int64_t panel, int64_t row_tile, int64_t count, int64_t round, T* s) const {
    const int64_t first = plan_.first_row(row_tile), rows = plan_.first_row(row_tile + 1) - first;
    const int vecs = width(panel) > kVw<T> ? 2 : 1;
    const Run all = {0, 0, static_cast<int32_t>(count)};
    ReduceTile<T> t;
    t.runs = &all;
    t.run_count = 1;
    t.lda = plan_.w_row;
    t.pitch = width(panel);
    t.step = 1;
    t.ldc = kNr<T>;
    t.last = kVw<T>;
    t.accumulate = round > 0;
    for (int f = 0; f < kFrequencies; ++f) {
      t.a = w_ + f * plan_.w_stride + first;
      t.b = v_ + panel * plan_.v_panel + f * plan_.v_stride;
      t.c = s + f * kMr * kNr<T>;
      reduce(static_cast<int>(rows), vecs, t);
    }
    if (round + 1 < plan_.rounds) return;
    const int64_t column = panel * kNr<T>, columns = least(plan_.channels - column, kNr<T>);
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t v = 0; v < columns; v += kVw<T>) {
        const Part<T> part(least(columns - v, kVw<T>));
        finish(s + i * kNr<T> + v, first + i, column + v, part);
      }
    }
  }

  // G' S G of the channels [column, column + part) of one filter.
  void finish(const T* s, int64_t filter, int64_t column, const Part<T>& part) const {
    Vec<T> half[kTaps][kPoints];
    for (int j = 0; j < kPoints; ++j) {
      Vec<T> points[kPoints], taps[kTaps];
      for (int i = 0; i < kPoints; ++i) points[i] = load(s + (i * kPoints + j) * kMr * kNr<T>);
      winograd::transform_sums<T>(points, taps, Fused<T>());
      for (int i = 0; i < kTaps; ++i) half[i][j] = taps[i];
    }
    const Target<T>& c = job_.c;
    T* to = c.base + c.offset + filter * c.s2 + column;
    for (int i = 0; i < kTaps; ++i) {
      Vec<T> taps[kTaps];
      winograd::transform_sums<T>(half[i], taps, Fused<T>());
      for (int j = 0; j < kTaps; ++j) {
        part.store(to + (i * kTaps + j) * plan_.channels, taps[j]);
      }
    }
  }

  const GemmJob<T>& job_;
  const Plan<T> plan_;
  const int threads_;
  T* zeros_;       // a pixel outside the image
  T* v_;           // (panels, frequencies, tiles of a round, columns of the panel)
  T* w_;           // (frequencies, tiles of a round, filters)
  T* sums_;        // S of all, where there are several rounds
  char* buffers_;  // per thread: S of one tile of filters in a panel
};

}  // namespace

GemmWays winograd_wgrad_way() {
  return {way_of<Plan<float>, Gradient<float>, float>(),
          way_of<Plan<double>, Gradient<double>, double>()};
}

}  // namespace fc::FC_ISA
