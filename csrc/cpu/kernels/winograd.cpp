// Winograd's F(4x4, 3x3): windows of 3 x 3 with stride 1, forward and gradient by x.
//
//   V[f] (tiles, channels) = B' d B of every patch of 6 x 6 inputs, for each of 36 frequencies f
//   U[f] (channels, n)     = G w G'
//   M[f] (tiles, n)        = V[f] U[f]
//   y    4 x 4 outputs     = A' M A
//
// 36 multiplications for 16 outputs instead of 144. A block of tiles goes through all of it while V
// and M stay in the caches. How tiles are cut depends on the shape alone, and every product is
// summed by one register tile (tile.h): the bits do not depend on the threads.
//
// Error bound: |y - y64| <= 8 * sqrt(L) * eps * the largest sum |a b| among the tile's outputs. A
// sum over up to 512 channels is off by less than 3e-5 * rms(y); it grows with their root.
#include "cpu/kernels/block_sums.h"
#include "cpu/kernels/prefetch.h"
#include "cpu/kernels/winograd_patch.h"
#include "cpu/kernels/winograd_plan.h"

namespace fc::FC_ISA {
namespace {

template <class T>
class Convolution {
 public:
  Convolution(const GemmJob<T>& job, int threads, void* workspace)
      : job_(job), plan_(job), threads_(threads) {
    char* p = aligned(workspace);
    zeros_ = reinterpret_cast<T*>(p);
    p += plan_.zeros;
    packed_ = job.packed_b ? job.packed_b : reinterpret_cast<T*>(p);
    p += plan_.packed;
    sums_ = reinterpret_cast<double*>(p);
    p += plan_.sums;
    round_ = reinterpret_cast<T*>(p);
    buffers_ = p + plan_.round;
  }

  void run() {
    zero(zeros_, plan_.row);
    if (plan_.packed > 0) transform_all_weights(job_, const_cast<T*>(packed_));
    plan_.alone ? run_blocks() : run_rounds();
    if (job_.epilogue.sums) {
      combine_block_sums(sums_, plan_.blocks, 2 * job_.n, job_.epilogue.sums);
    }
  }

 private:
  // Blocks of one thread each, V in its second-level cache.
  void run_blocks() {
    parallel(plan_.blocks, 1, threads_, [&](int64_t begin, int64_t end, int thread) {
      T* v = reinterpret_cast<T*>(buffers_ + thread * plan_.thread_bytes());
      T* m = reinterpret_cast<T*>(buffers_ + thread * plan_.thread_bytes() + plan_.v);
      for (int64_t block = begin; block < end; ++block) {
        const int64_t first = plan_.first_tile(block);
        transform_patches(first, plan_.first_tile(block + 1), first, v);
        for (int64_t panel = 0; panel < plan_.panels; ++panel) {
          multiply(block, panel, panel_of(packed_, panel), v, m);
        }
      }
      if (plan_.stream) stream_fence();
    });
  }

  // Many channels: U would be read from afar for every block, so that all threads share larger
  // parts of V and walk through U once per round.
  void run_rounds() {
    for (int64_t round = 0; round < plan_.rounds; ++round) {
      const int64_t b0 = round * plan_.round_blocks;
      const int64_t blocks = least(plan_.blocks - b0, plan_.round_blocks);
      const int64_t first = plan_.first_tile(b0), count = plan_.first_tile(b0 + blocks) - first;
      parallel(count, grain_for(kFrequencies * plan_.row), threads_,
               [&](int64_t begin, int64_t end, int) {
                 transform_patches(first + begin, first + end, first, round_);
               });
      // a panel's weights are transformed once for all blocks, unless there are too few panels
      const int64_t parts =
          plan_.by_panel ? least(blocks, ceil_div(2 * threads_, plan_.panels)) : blocks;
      parallel(plan_.panels * parts, 1, threads_, [&](int64_t begin, int64_t end, int thread) {
        char* buffer = buffers_ + thread * plan_.thread_bytes();
        T* m = reinterpret_cast<T*>(buffer);
        T* own = reinterpret_cast<T*>(buffer + plan_.m);
        int64_t owned = -1;
        for (int64_t i = begin; i < end; ++i) {
          const int64_t panel = i / parts, part = i % parts;
          if (plan_.by_panel && panel != owned) transform_panel(owned = panel, own);
          const T* u = plan_.by_panel ? own : panel_of(packed_, panel);
          for (int64_t block = b0 + blocks * part / parts; block < b0 + blocks * (part + 1) / parts;
               ++block) {
            multiply(block, panel, u, round_ + (plan_.first_tile(block) - first) * plan_.row, m);
          }
        }
        if (plan_.stream) stream_fence();
      });
    }
  }

  const T* panel_of(const T* packed, int64_t panel) const {
    return packed + panel * Plan<T>::panel_elements(plan_.channels, kTileVecs);
  }

  void transform_panel(int64_t panel, T* to) const {
    for (int64_t i = 0; i < ceil_div(plan_.channels, kPackChannels); ++i) {
      transform_piece(job_, panel, i, to);
    }
  }

  // V of the tiles [begin, end); that of tile `first` is at v.
  void transform_patches(int64_t begin, int64_t end, int64_t first, T* v) const {
    const Patches<T> patches(job_.a, zeros_);
    TilePixels<T> next;
    if (begin < end) patches.find(plan_.grid.place(job_.a, begin), next);
    for (int64_t tile = begin; tile < end; ++tile) {
      const TilePixels<T> pixels = next;
      if (tile + 1 < end) patches.find(plan_.grid.place(job_.a, tile + 1), next);
      T* to = v + (tile - first) * plan_.row;
      const Part<T> last(plan_.channels - (plan_.row - kVw<T>));
      for (int64_t c = 0; c < plan_.row; c += kVw<T>) {
        next.ask(c);
        patches.transform(pixels, c, c + kVw<T> < plan_.row ? Part<T>(kVw<T>) : last, to + c,
                          plan_.v_stride);
      }
    }
  }

  // A panel of the outputs of a block. u: its weights; v: of the block's first tile.
  void multiply(int64_t block, int64_t panel, const T* u, const T* v, T* m) const {
    const int64_t column = panel * kNr<T>;
    const int64_t columns = least(job_.n - column, kNr<T>);
    const int vecs = columns > kVw<T> ? 2 : 1;
    const int64_t width = vecs * kVw<T>, first = plan_.first_tile(block);
    const int64_t count = plan_.first_tile(block + 1) - first, parts = ceil_div(count, kMr);
    const T* rows[kMr];
    T* out[kMr];
    const int32_t tap = 0;
    Tile<T> t{};
    t.rows = rows;
    t.taps = &tap;
    t.tap_count = 1;
    t.run = plan_.channels;
    t.out = out;
    t.last = kVw<T>;
    for (int f = 0; f < kFrequencies; ++f) {
      t.b = u + f * frequency_stride<T>(plan_.channels, vecs);
      for (int64_t i = count * f / kFrequencies; i < count * (f + 1) / kFrequencies; ++i) {
        ask_for_outputs(plan_.grid.place(job_.a, first + i), column, columns);
      }
      for (int64_t part = 0; part < parts; ++part) {
        const int64_t begin = count * part / parts, end = count * (part + 1) / parts;
        for (int64_t i = begin; i < end; ++i) {
          rows[i - begin] = v + f * plan_.v_stride + i * plan_.row;
          out[i - begin] = m + f * plan_.m_stride + i * width;
        }
        fc::FC_ISA::multiply(static_cast<int>(end - begin), vecs, t);
      }
    }
    Results results(*this, column, columns, m, width);
    for (int64_t i = 0; i < count; ++i) results.finish(plan_.grid.place(job_.a, first + i), i);
    if (job_.epilogue.sums) results.keep_sums(sums_ + block * 2 * job_.n + column);
  }

  // What a tile will be stored to comes while the products are made.
  void ask_for_outputs(const TilePlace& place, int64_t column, int64_t columns) const {
    if (plan_.stream) return;
    const Target<T>& c = job_.c;
    T* corner = c.base + c.offset + place.image * c.s0 + place.h * c.s1 + place.w * c.s2 + column;
    for (int64_t i = 0; i < place.lines; ++i) {
      for (int64_t j = 0; j < place.columns; ++j) {
        for (int64_t v = 0; v < columns; v += 64 / static_cast<int64_t>(sizeof(T))) {
          prefetch_early(corner + i * c.s1 + j * c.s2 + v);
        }
      }
    }
  }

  // From M of a panel to what is stored.
  struct Results {
    const GemmJob<T>& job;
    const Plan<T>& plan;
    const int64_t column, columns, width;
    const T* m;
    alignas(64) T around[3 * kNr<T>];
    int64_t rows = 0;  // summed there
    double sums[kNr<T>] = {}, squares[kNr<T>] = {};

    Results(const Convolution& c, int64_t column, int64_t columns, const T* m, int64_t width)
        : job(c.job_), plan(c.plan_), column(column), columns(columns), width(width), m(m) {}

    void finish(const TilePlace& place, int64_t tile) {
      T* out[kTileOutputs];
      const Target<T>& c = job.c;
      T* corner = c.base + c.offset + place.image * c.s0 + place.h * c.s1 + place.w * c.s2;
      int count = 0;
      for (int64_t i = 0; i < place.lines; ++i) {
        for (int64_t j = 0; j < place.columns; ++j) out[count++] = corner + i * c.s1 + j * c.s2;
      }
      for (int64_t v = 0; v < width; v += kVw<T>) {
        Vec<T> y[kTileOutputs][1];
        transform(m + tile * width + v, place, y);
        store_some(count, y, out, v);
      }
      rows += count;
      if (rows >= kPivotRows) add_up();
    }

    void add_up() {
      if (job.epilogue.sums && rows > 0) {
        add_to_sums(around, kNr<T>, rows, columns, sums, squares);
      }
      rows = 0;
    }

    // The outputs that exist, one after another.
    void transform(const T* from, const TilePlace& place, Vec<T> (&y)[kTileOutputs][1]) const {
      Vec<T> half[kOutputs][kPoints];
      for (int j = 0; j < kPoints; ++j) {
        Vec<T> points[kPoints], column[kOutputs];
        for (int i = 0; i < kPoints; ++i) {
          points[i] = load(from + (i * kPoints + j) * plan.m_stride);
        }
        winograd::transform_output<T>(points, column, Fused<T>());
        for (int i = 0; i < kOutputs; ++i) half[i][j] = column[i];
      }
      for (int i = 0; i < kOutputs; ++i) {
        Vec<T> line[kOutputs];
        winograd::transform_output<T>(half[i], line, Fused<T>());
        if (i >= place.lines) continue;
        for (int j = 0; j < kOutputs; ++j) {
          if (j < place.columns) y[i * place.columns + j][0] = line[j];
        }
      }
    }

    template <int R = kTileOutputs>
    void store_some(int count, Vec<T> (&y)[kTileOutputs][1], T* const* out, int64_t v) {
      if constexpr (R > 1) {
        if (count < R) return store_some<R - 1>(count, y, out, v);
      }
      const Epilogue<T>& e = job.epilogue;
      const int64_t channel = column + v;
      const Part<T> part(least(columns - v, kVw<T>));
      auto& acc = reinterpret_cast<Vec<T>(&)[R][1]>(y);
      scale_and_shift<T, R, 1>(acc, e.scale ? e.scale + channel : nullptr,
                               e.shift ? e.shift + channel : nullptr, part);
      if (e.sums) add_around<T, R, 1>(acc, around + v, kNr<T>, rows == 0);
      finish_rows<T, R, 1>(acc, out, channel, e.residual, job.c.base, e.act,
                           plan.stream && part.full(), part);
    }

    void keep_sums(double* to) {
      add_up();
      copy(to, sums, columns);
      copy(to + job.n, squares, columns);
    }
  };

  const GemmJob<T>& job_;
  const Plan<T> plan_;
  const int threads_;
  T* zeros_;         // a pixel outside the image
  const T* packed_;  // U
  double* sums_;     // (blocks, 2, n)
  T* round_;         // V of a round
  char* buffers_;    // per thread: V of a block, M of a panel, U of one
};

template <class T>
GemmWay<T> way() {
  GemmWay<T> way = way_of<Plan<T>, Convolution<T>, T>();
  way.packed_elements = Plan<T>::elements;
  way.pack = transform_all_weights<T>;
  return way;
}

}  // namespace

GemmWays winograd_way() { return {way<float>(), way<double>()}; }

}  // namespace fc::FC_ISA
