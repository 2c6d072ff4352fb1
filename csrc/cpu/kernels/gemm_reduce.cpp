// C[i,j] = epilogue(sum_l A[l,i] * B[l,j]): the weight gradient, and @ with a transposed A.
//
// l runs over pixels in chunks that the shape fixes. For each chunk B is packed in panels of two
// vectors: of the image's lines, which all taps of a window then share, or of the windows
// themselves (one tap, or few channels). Windows of one pixel are packed by the first tile that
// reads them. If C has few columns, l is cut into splits, also fixed by the shape; each has a C of
// its own, and they are added in order.
//
// Error bound: as tile.h, c = 1; a chunk is summed in order, then the chunks, then the splits.
#include "cpu/kernels/epilogue.h"
#include "cpu/kernels/gemm_parts.h"
#include "cpu/kernels/pack.h"
#include "cpu/kernels/reduce_chunk.h"
#include "cpu/kernels/reduce_plan.h"
#include "cpu/kernels/reduce_tile.h"
#include "cpu/kernels/rows.h"
#include "cpu/parallel.h"

namespace fc::FC_ISA {
namespace {

template <class T>
class Product {
 public:
  Product(const GemmJob<T>& job, int threads, void* workspace)
      : job_(job), plan_(job), threads_(threads) {
    char* p = aligned(workspace);
    partials_ = reinterpret_cast<T*>(p);
    buffers_ = p + plan_.partials;
  }

  void run() {
    const int64_t tasks = plan_.splits * job_.groups * plan_.column_groups;
    const int64_t cost = job_.m * job_.n * job_.k * job_.groups / (tasks * kVw<T>);
    parallel(tasks, grain_for(cost), threads_, [&](int64_t begin, int64_t end, int thread) {
      for (int64_t task = begin; task < end; ++task) {
        Task(*this, task, buffers_ + thread * plan_.thread_bytes()).run();
      }
      if (plan_.stream) stream_fence();
    });
    if (plan_.splits > 1) combine();
    const Epilogue<T>& e = job_.epilogue;
    if (e.scale || e.shift || e.residual || e.sums || e.act.code != kIdentity) finish();
  }

 private:
  T* row(int64_t group, int64_t i) const {
    const Target<T>& c = job_.c;
    return c.base + c.offset + group * c.group_stride + (c.first_row + i) * c.s2;
  }

  struct Task {
    const GemmJob<T>& job;
    const ReducePlan<T>& plan;
    int64_t split, column_group;
    ReduceChunk<T> chunk;
    T* c;
    int64_t ldc;
    Ahead ahead_a, ahead_b;

    Task(const Product& product, int64_t task, char* buffer)
        : job(product.job_),
          plan(product.plan_),
          split(task / plan.column_groups / job.groups),
          column_group(task % plan.column_groups),
          chunk(job, plan, task / plan.column_groups % job.groups, buffer) {
      const bool whole = plan.splits == 1;
      c = whole ? product.row(chunk.group, 0)
                : product.partials_ + (split * job.groups + chunk.group) * job.m * job.n;
      ldc = whole ? job.c.s2 : job.n;
    }

    // Inlined into the caller's loop, the tiles' inner loops have fewer registers.
    __attribute__((noinline)) void run() {
      bool accumulate = plan.splits == 1 && job.accumulate;
      for (int64_t i = 0; i < plan.chunks; ++i) {
        const int64_t unit = first_unit(i), end = first_unit(i + 1);
        look_ahead(i + 1);
        const int64_t panel_end = plan.panels * (column_group + 1) / plan.column_groups;
        for (int64_t panel = plan.panels * column_group / plan.column_groups; panel < panel_end;
             ++panel) {
          multiply_panel(unit, end, panel, accumulate);
        }
        accumulate = true;
      }
    }

    // of a chunk of the split
    int64_t first_unit(int64_t i) const {
      const int64_t begin = plan.units * split / plan.splits;
      const int64_t end = plan.units * (split + 1) / plan.splits;
      return begin + (end - begin) * i / plan.chunks;
    }

    // What the next chunk reads, over the steps of this one.
    void look_ahead(int64_t i) {
      ahead_a = ahead_b = {};
      if (i >= plan.chunks) return;
      const int64_t unit = first_unit(i), end = first_unit(i + 1);
      const int64_t panels = plan.panels / plan.column_groups;
      const int64_t steps = panels * plan.taps1 * plan.taps2 * chunk.tiles * plan.chunk * plan.unit;
      const Source<T>& s = job.b;
      const auto line_of = [&](int64_t u) {
        const Cursor at(s, least(u * plan.unit, job.k - 1), job.k, false);
        return s.base + s.offset + at.i0 * s.s0 + at.i1 * s.mul1 * s.s1 + at.i2 * s.mul2 * s.s2;
      };
      ahead_a = Ahead(chunk.pixel_of_a(unit * plan.unit), chunk.pixel_of_a(end * plan.unit), steps);
      if (job.b_by_k) ahead_b = Ahead(line_of(unit), line_of(end), steps);
    }

    void multiply_panel(int64_t unit, int64_t end, int64_t panel, bool accumulate) {
      const int64_t column = panel * kNr<T>, columns = least(kNr<T>, plan.columns - column);
      const int vecs = columns > kVw<T> ? 2 : 1;
      const int64_t width = vecs * kVw<T>, pixels = (end - unit) * plan.unit;
      ReduceTile<T> t;
      t.lda = job.a.s2;
      t.ldc = ldc;
      t.last = columns - (vecs - 1) * kVw<T>;
      t.accumulate = accumulate;
      t.stream = plan.stream;
      t.ahead_a = ahead_a;
      t.ahead_b = ahead_b;
      const Run whole = {0, 0, static_cast<int32_t>(pixels)};
      const auto read_packed = [&] {
        t.b = chunk.b;
        t.pitch = width;
        t.step = 1;
        t.copy = nullptr;
        t.runs = &whole;
        t.run_count = 1;
      };
      if (plan.windowed) {
        chunk.pack_lines(unit, end, column, columns, width);
        read_packed();
        t.step = job.b.mul2;
      } else if (columns == kNr<T> && chunk.reads_in_place()) {
        // the first tile packs what it reads
        t.b = chunk.pixel_of_b(unit) + column;
        t.pitch = job.b.s2;
        t.step = job.b.mul2;
        t.copy = chunk.b;
        t.runs = chunk.runs;
        t.run_count = chunk.find_pixel_runs(unit, pixels);
      } else {
        chunk.pack_windows(unit, pixels, column, columns, width);
        read_packed();
      }
      for (int64_t tap = 0; tap < plan.taps1 * plan.taps2; ++tap) {
        if (plan.windowed) {
          t.runs = chunk.runs + tap * (plan.chunk + 1);
          t.run_count = chunk.find_runs(unit, end, tap / plan.taps2, tap % plan.taps2);
        }
        for (int64_t tile = 0; tile < chunk.tiles; ++tile) {
          const int64_t first = chunk.first_row(tile), rows = chunk.first_row(tile + 1) - first;
          t.a = chunk.pixel_of_a(unit * plan.unit) + first;
          t.c = c + first * ldc + tap * plan.columns + column;
          reduce(static_cast<int>(rows), vecs, t);
          if (t.copy) read_packed();
        }
      }
      ahead_a = t.ahead_a;
      ahead_b = t.ahead_b;
    }
  };

  // C = the splits' sums, in order
  void combine() const {
    const int64_t size = job_.groups * job_.m * job_.n;
    parallel(job_.groups * job_.m, grain_for(job_.n * plan_.splits),
             [&](int64_t begin, int64_t end, int) {
               for (int64_t i = begin; i < end; ++i) {
                 T* c = row(i / job_.m, i % job_.m);
                 const T* part = partials_ + i * job_.n;
                 for (int64_t split = 0; split < plan_.splits; ++split, part += size) {
                   if (split == 0 && !job_.accumulate) {
                     copy(c, part, job_.n);
                   } else {
                     for (int64_t j = 0; j < job_.n; ++j) c[j] += part[j];
                   }
                 }
               }
             });
  }

  // The epilogue as a pass of its own: C is small here.
  void finish() const {
    constexpr int64_t kBlock = 256;
    const int64_t blocks = ceil_div(job_.n, kBlock);
    parallel(job_.groups * blocks, grain_for(job_.m * kBlock),
             [&](int64_t begin, int64_t end, int) {
               for (int64_t i = begin; i < end; ++i) {
                 const int64_t group = i / blocks, column = i % blocks * kBlock;
                 finish_columns(group, column, least(kBlock, job_.n - column));
               }
             });
  }

  void finish_columns(int64_t group, int64_t column, int64_t count) const {
    const Epilogue<T>& e = job_.epilogue;
    const int64_t channel = group * job_.n + column, channels = job_.groups * job_.n;
    if (e.sums) {
      zero(e.sums + channel, count);
      zero(e.sums + channels + channel, count);
    }
    for (int64_t i = 0; i < job_.m; ++i) {
      T* c = row(group, i) + column;
      finish_row<T>(e, channel, channels, count,
                    e.residual ? e.residual + (c - job_.c.base) : nullptr, c);
    }
  }

  const GemmJob<T>& job_;
  const ReducePlan<T> plan_;
  const int threads_;
  T* partials_;    // (splits, groups, m, n)
  char* buffers_;  // per thread: b, runs
};

}  // namespace

GemmWays reduce_way() {
  return {way_of<ReducePlan<float>, Product<float>, float>(),
          way_of<ReducePlan<double>, Product<double>, double>()};
}

}  // namespace fc::FC_ISA
