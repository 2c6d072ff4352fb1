// C[i,j] = epilogue(sum_l A[i,l] * B[l,j]), A by rows: forward, input gradient, linear, @.
//
// The rows of C are cut into tiles of at most kMr, tiles into blocks whose part of A stays in the
// second-level cache while all of B passes by, panel by panel. How C is cut depends on the shape
// alone, and an element is summed by one tile: its bits do not depend on the threads.
#include "cpu/kernels/block_sums.h"
#include "cpu/kernels/gemm_parts.h"
#include "cpu/kernels/rows.h"
#include "cpu/kernels/rows_plan.h"
#include "cpu/kernels/tile.h"
#include "cpu/parallel.h"

namespace fc::FC_ISA {
namespace {

// bytes of the next block per row of B: below, the hardware's own prefetching keeps up (measured)
constexpr int64_t kWorthFetching = 16;

template <class T>
class Product {
 public:
  Product(const GemmJob<T>& job, int threads, void* workspace)
      : job_(job), plan_(job), threads_(threads) {
    char* p = aligned(workspace);
    zeros_ = reinterpret_cast<T*>(p);
    packed_ = job.packed_b ? job.packed_b : reinterpret_cast<T*>(p + plan_.zeros);
    sums_ = reinterpret_cast<double*>(p + plan_.zeros + plan_.packed);
    buffers_ = p + plan_.shared_bytes();
  }

  void run() {
    zero(zeros_, plan_.zeros / static_cast<int64_t>(sizeof(T)));
    if (plan_.packed > 0) pack(job_, const_cast<T*>(packed_));
    const int64_t all_panels = job_.groups * plan_.panels;
    const int64_t tasks = plan_.by_panel ? all_panels : plan_.blocks * all_panels;
    const int64_t cost = plan_.block * kMr * job_.k * kTileVecs;
    parallel(tasks, grain_for(cost), threads_, [&](int64_t begin, int64_t end, int thread) {
      Worker worker(*this, thread);
      plan_.by_panel ? worker.run_panels(begin, end) : worker.run(begin, end);
      if (plan_.stream) stream_fence();
    });
    if (job_.epilogue.sums) {
      const int64_t count = 2 * job_.groups * job_.n;
      combine_block_sums(sums_, plan_.blocks, count, job_.epilogue.sums);
    }
  }

 private:
  // What a thread keeps between its tasks: the tables of one block.
  struct Worker {
    const Product& product;
    const GemmJob<T>& job;
    const Plan<T>& plan;
    char* buffer;
    int64_t block = -1;

    Worker(const Product& product, int thread)
        : product(product),
          job(product.job_),
          plan(product.plan_),
          buffer(product.buffers_ + thread * plan.thread_bytes()) {}

    void run(int64_t begin, int64_t end) {
      const int64_t per_block = job.groups * plan.panels;
      for (int64_t task = begin; task < end; ++task) {
        if (task / per_block != block) enter(task / per_block);
        const int64_t group = task % per_block / plan.panels, panel = task % plan.panels;
        const T* b = product.packed_ + (group * plan.padded + panel * kNr<T>)*job.k;
        multiply_panel(group, panel, b);
      }
    }

    void run_panels(int64_t begin, int64_t end) {
      T* own = reinterpret_cast<T*>(buffer + plan.thread_bytes() - plan.panel);
      for (int64_t task = begin; task < end; ++task) {
        const int64_t group = task / plan.panels, panel = task % plan.panels;
        for (int64_t piece = 0; piece < ceil_div(job.k, kPackRows); ++piece) {
          pack_rows(job, group, panel, piece, own);
        }
        for (int64_t i = 0; i < plan.blocks; ++i) {
          enter(i);
          multiply_panel(group, panel, own);
        }
      }
    }

    int64_t first_tile() const { return plan.tiles * block / plan.blocks; }
    int64_t last_tile() const { return plan.tiles * (block + 1) / plan.blocks; }
    int64_t first_row(int64_t tile) const { return job.m * tile / plan.tiles; }

    TileRows<T> table(int64_t tile) const {
      char* p = buffer + (tile - first_tile()) * plan.table;
      TileRows<T> t;
      t.rows = reinterpret_cast<const T**>(p);
      p += round_up(plan.taps.count() * kMr * sizeof(T*), kAlign);
      t.out = reinterpret_cast<T**>(p);
      p += round_up(kMr * sizeof(T*), kAlign);
      t.taps = reinterpret_cast<int32_t*>(p);
      t.tap_count = 0;
      return t;
    }
    T* border(int64_t tile) const {
      return reinterpret_cast<T*>(buffer + plan.block * plan.table +
                                  (tile - first_tile()) * plan.border);
    }

    int64_t tap_counts[kBlockTiles];
    Ahead ahead;

    void enter(int64_t new_block) {
      block = new_block;
      const int64_t row = first_row(first_tile());
      Cursor from(job.a, row, job.m, plan.lines_first), to(job.c, row, job.m, plan.lines_first);
      const Source<T> source = plan.staged ? stage() : job.a;
      ahead = next_block();
      for (int64_t tile = first_tile(); tile < last_tile(); ++tile) {
        TileRows<T> t = table(tile);
        const int64_t count = first_row(tile + 1) - first_row(tile);
        find_rows(source, plan.taps, from, count, product.zeros_, border(tile), t);
        tap_counts[tile - first_tile()] = t.tap_count;
        find_targets(job.c, to, count, t.out);
      }
    }

    // What the next block reads of A and this one does not, over the steps of this block.
    Ahead next_block() const {
      const Source<T>& a = job.a;
      if (plan.by_panel || plan.lines_first || plan.staged || last_tile() == plan.tiles ||
          a.mul1 * a.mul2 != 1) {
        return {};
      }
      const bool one_line = a.h_end == 1;  // a matrix: its rows are the pixels of a line
      const int64_t window = one_line ? 0 : (plan.taps.count1 - 1) * a.step1;
      const auto end_of = [&](int64_t tile) {
        const Cursor last(a, first_row(tile < plan.tiles ? tile : plan.tiles) - 1, job.m, false);
        const int64_t at = one_line ? last.i2 + a.off2 : last.i1 + a.off1;
        const int64_t count = one_line ? a.w_end : a.h_end, next = at + (window > 0 ? window : 0);
        const int64_t end = next < 0 ? 0 : next < count ? next + 1 : count;
        return a.base + a.offset + last.i0 * a.s0 + end * (one_line ? a.s2 : a.s1);
      };
      const int64_t steps = (last_tile() - first_tile()) * plan.panels * job.groups * job.k;
      const Ahead next(end_of(last_tile()), end_of(last_tile() + plan.block), steps);
      return next.step >= kWorthFetching ? next : Ahead();
    }

    // A with the lines that the block's windows reach in the buffer, after the prologue.
    Source<T> stage() {
      const Source<T>& a = job.a;
      const int64_t window = (plan.taps.count1 - 1) * a.step1;
      const Cursor first(a, first_row(first_tile()), job.m, false);
      const Cursor last(a, first_row(last_tile()) - 1, job.m, false);
      const auto line_of = [&](const Cursor& at, int64_t offset, int64_t low, int64_t high) {
        const int64_t h = at.i1 * a.mul1 + a.off1 + offset;
        return at.i0 * a.h_end + (h < low ? low : h > high ? high : h);
      };
      int64_t begin = first.i2, end = last.i2 + 1;  // of a matrix
      if (a.h_end > 1 || a.d1 > 1) {
        begin = line_of(first, 0, 0, a.h_end) * a.w_end;
        end = (line_of(last, window, -1, a.h_end - 1) + 1) * a.w_end;
      }
      T* pixels = reinterpret_cast<T*>(buffer + plan.block * (plan.table + plan.border));
      for (int64_t i = begin; i < end; ++i) {
        T* pixel = pixels + (i - begin) * a.s2;
        copy(pixel, a.base + a.offset + i * a.s2, a.s2);
        apply_prologue(a.prologue, 0, pixel, a.s2);
      }
      Source<T> staged = a;
      staged.prologue = {};
      staged.base = pixels - begin * a.s2;
      staged.offset = 0;
      return staged;
    }

    // The tile after `tile`: in this panel or the next one.
    void set_next(Tile<T>& t, int64_t tile, int64_t column) const {
      const bool here = tile + 1 < last_tile();
      const int64_t next = here ? tile + 1 : first_tile();
      t.next_out = table(next).out;
      t.next_column = here ? t.column : t.column + kNr<T>;
      t.next_rows = here || column + kNr<T> < job.n ? first_row(next + 1) - first_row(next) : 0;
    }

    void multiply_panel(int64_t group, int64_t panel, const T* b) {
      const Epilogue<T>& e = job.epilogue;
      const int64_t column = panel * kNr<T>;
      const int64_t columns = job.n - column < kNr<T> ? job.n - column : kNr<T>;
      const int vecs = columns > kVw<T> ? 2 : 1;
      const int64_t channel = group * job.n + column;
      alignas(64) T around[3 * kNr<T>];
      int64_t summed = 0;  // rows there
      const int64_t channels = job.groups * job.n;
      double* sums = product.sums_ + 2 * block * channels + channel;
      if (e.sums) {
        zero(sums, columns);
        zero(sums + channels, columns);
      }
      Tile<T> t;
      t.run = plan.taps.run;
      t.skip = group * job.a.group_stride;
      t.b = b;
      t.column = group * job.c.group_stride + column;
      t.last = columns - (vecs - 1) * kVw<T>;
      t.accumulate = job.accumulate;
      t.stream = plan.stream && columns == kNr<T>;
      t.scale = e.scale ? e.scale + channel : nullptr;
      t.shift = e.shift ? e.shift + channel : nullptr;
      t.residual = e.residual;
      t.c = job.c.base;
      t.act = e.act;
      t.around = e.sums ? around : nullptr;
      t.ahead = ahead;
      for (int64_t tile = first_tile(); tile < last_tile(); ++tile) {
        const TileRows<T> rows = table(tile);
        t.rows = rows.rows;
        t.taps = rows.taps;
        t.tap_count = tap_counts[tile - first_tile()];
        t.out = rows.out;
        t.first = summed == 0;
        set_next(t, tile, column);
        const int64_t count = first_row(tile + 1) - first_row(tile);
        multiply(static_cast<int>(count), vecs, t);
        summed += count;
        if (t.around && (summed >= kPivotRows || tile + 1 == last_tile())) {
          add_to_sums(around, kNr<T>, summed, columns, sums, sums + channels);
          summed = 0;
        }
      }
      ahead = t.ahead;
    }
  };

  const GemmJob<T>& job_;
  const Plan<T> plan_;
  const int threads_;
  T* zeros_;         // a row of zeros for taps outside the image
  const T* packed_;  // B, see pack
  double* sums_;     // (blocks, 2, channels)
  char* buffers_;    // per thread: tables and borders of a block's tiles, staged lines
};

template <class T>
GemmWay<T> way() {
  GemmWay<T> way = way_of<Plan<T>, Product<T>, T>();
  way.packed_elements = packed_elements<T>;
  way.pack = pack<T>;
  return way;
}

}  // namespace

GemmWays rows_way() { return {way<float>(), way<double>()}; }

}  // namespace fc::FC_ISA
