// C[i,j] = epilogue(sum_l A[l,i] * B[l,j]): the weight gradient, and @ with a transposed A.
//
// l runs over pixels in chunks that the shape fixes. For each chunk B is packed in panels of two
// vectors: of the image's lines, which all taps of a window then share, or (one tap, or few
// channels) of the windows themselves. A is packed in columns of a tile if enough panels use it. If
// C is small, l is cut into splits, also fixed by the shape; each has a C of its own, and they are
// added in order.
//
// Error bound: as tile.h, c = 1; a chunk is summed in order, then the chunks, then the splits.
#include "cpu/kernels/epilogue.h"
#include "cpu/kernels/gemm_parts.h"
#include "cpu/kernels/pack.h"
#include "cpu/kernels/reduce_tile.h"
#include "cpu/kernels/rows.h"
#include "cpu/parallel.h"

namespace fc::FC_ISA {
namespace {

constexpr int64_t kChunkPixels = 384;
// of a panel of B, for huge windows: chunks are made smaller
constexpr uint64_t kPanelBytes = uint64_t{2} << 20;
constexpr int64_t kWantedTasks = 16;
// panels times taps of a task that make packing A worth its time
constexpr int64_t kPackedUses = 8;
constexpr int64_t kMostSplits = 16;
// of all splits' C together
constexpr int64_t kSplitBytes = int64_t{16} << 20;
template <class T>
constexpr int64_t kNr = 2 * kVw<T>;

template <class T>
struct Plan {
  bool packs_a;
  bool windowed;                  // lines of the image are packed, not windows
  int64_t taps1, taps2, columns;  // windowed: taps and columns of each; else 1, 1, n
  int64_t unit, units;            // pixels cut as one: a line of windows if windowed
  int64_t chunk;                  // units of a chunk
  int64_t panels, column_groups, splits;
  int64_t partials;                  // workspace, bytes: shared ...
  int64_t packed_a, packed_b, runs;  // ... and per thread

  explicit Plan(const GemmJob<T>& job) {
    const Source<T>& b = job.b;
    const int64_t taps = b.run > 0 ? job.n / b.run : 0;
    windowed = job.b_by_k && taps > 1 && b.run >= kVw<T> && b.d2 <= kChunkPixels;
    taps2 = windowed ? b.taps2 : 1;
    taps1 = windowed ? taps / taps2 : 1;
    columns = windowed ? b.run : job.n;
    unit = windowed ? b.d2 : 1;
    units = ceil_div(job.k, unit);
    chunk = most(1, least(kChunkPixels / unit, units));
    panels = ceil_div(columns, kNr<T>);
    while (windowed && chunk > 1 && panel_pixels(b) * kNr<T> * sizeof(T) > kPanelBytes) chunk /= 2;

    const int64_t chunks = ceil_div(units, chunk), c_bytes = job.groups * job.m * job.n * sizeof(T);
    splits = least(least(chunks, kMostSplits), ceil_div(kWantedTasks, job.groups));
    splits = most(1, least(splits, kSplitBytes / most(1, c_bytes)));
    column_groups = least(panels, ceil_div(kWantedTasks, most(1, job.groups * splits)));

    packs_a = taps1 * taps2 * panels / column_groups >= kPackedUses;
    partials = splits > 1 ? round_up(splits * c_bytes, kAlign) : 0;
    packed_a = packs_a ? round_up(chunk * unit * job.m * sizeof(T), kAlign) : 0;
    packed_b = round_up(panel_pixels(b) * kNr<T> * sizeof(T), kAlign);
    runs = round_up(taps1 * taps2 * (chunk + 1) * sizeof(Run), kAlign);
  }

  // Pixels of a panel of B: windowed, of the lines that the windows of a chunk reach.
  int64_t panel_pixels(const Source<T>& b) const {
    if (!windowed) return chunk;
    const int64_t images = ceil_div(chunk, b.d1) + 1, window = (taps1 - 1) * b.step1 + 1;
    return least(chunk * b.mul1 + images * window, images * b.h_end) * b.w_end;
  }
  int64_t shared_bytes() const { return partials; }
  int64_t thread_bytes() const { return packed_a + packed_b + runs; }
};

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
    const Plan<T>& plan;
    int64_t split, group, column_group;
    T *c, *a, *b;
    int64_t ldc;
    Run* runs;  // (taps, chunk + 1)
    Ahead ahead_a, ahead_b;
    int64_t tiles;

    Task(const Product& product, int64_t task, char* buffer)
        : job(product.job_), plan(product.plan_) {
      column_group = task % plan.column_groups;
      group = task / plan.column_groups % job.groups;
      split = task / plan.column_groups / job.groups;
      tiles = ceil_div(job.m, plan.columns > kVw<T> ? kMr : kMrNarrow);
      a = reinterpret_cast<T*>(buffer);
      b = reinterpret_cast<T*>(buffer + plan.packed_a);
      runs = reinterpret_cast<Run*>(buffer + plan.packed_a + plan.packed_b);
      const bool whole = plan.splits == 1;
      c = whole ? product.row(group, 0)
                : product.partials_ + (split * job.groups + group) * job.m * job.n;
      ldc = whole ? job.c.s2 : job.n;
    }

    int64_t first_row(int64_t tile) const { return job.m * tile / tiles; }

    void run() {
      const int64_t last = plan.units * (split + 1) / plan.splits;
      int64_t unit = plan.units * split / plan.splits;
      bool accumulate = plan.splits == 1 && job.accumulate;
      do {  // once even if there are no pixels: C is then 0
        const int64_t end = least(unit + plan.chunk, last);
        if (plan.packs_a) pack_a(unit * plan.unit, (end - unit) * plan.unit);
        look_ahead(end, last);
        const int64_t panel_end = plan.panels * (column_group + 1) / plan.column_groups;
        for (int64_t panel = plan.panels * column_group / plan.column_groups; panel < panel_end;
             ++panel) {
          multiply_panel(unit, end, panel, accumulate);
        }
        accumulate = true;
        unit = end;
      } while (unit < last);
    }

    // What the next chunk reads, over the steps of this one.
    void look_ahead(int64_t unit, int64_t last) {
      ahead_a = ahead_b = {};
      if (unit >= last) return;
      const int64_t end = least(unit + plan.chunk, last);
      const int64_t panels = plan.panels / plan.column_groups;
      const int64_t steps = panels * plan.taps1 * plan.taps2 * tiles * plan.chunk * plan.unit;
      const Source<T>& s = job.b;
      const auto line_of = [&](int64_t u) {
        const Cursor at(s, least(u * plan.unit, job.k - 1), job.k, false);
        return s.base + s.offset + at.i0 * s.s0 + at.i1 * s.mul1 * s.s1 + at.i2 * s.mul2 * s.s2;
      };
      ahead_a = Ahead(pixel_of_a(unit * plan.unit), pixel_of_a(end * plan.unit), steps);
      if (job.b_by_k) ahead_b = Ahead(line_of(unit), line_of(end), steps);
    }

    const T* pixel_of_a(int64_t pixel) const {
      const Source<T>& s = job.a;
      return s.base + s.offset + group * s.group_stride + (s.first_row + pixel) * s.s2;
    }

    // a: for each tile (pixels, rows of the tile)
    void pack_a(int64_t pixel, int64_t count) {
      const int64_t lda = job.a.s2;
      const T* base = pixel_of_a(pixel);
      for (int64_t tile = 0; tile < tiles; ++tile) {
        const int64_t first = first_row(tile), rows = first_row(tile + 1) - first;
        T* dst = a + first * count;
        for (int64_t i = 0; i < count; ++i) copy(dst + i * rows, base + i * lda + first, rows);
      }
    }

    void multiply_panel(int64_t unit, int64_t end, int64_t panel, bool accumulate) {
      const int64_t column = panel * kNr<T>, columns = least(kNr<T>, plan.columns - column);
      const int vecs = columns > kVw<T> ? 2 : 1;
      const int64_t width = vecs * kVw<T>, pixels = (end - unit) * plan.unit;
      ReduceTile<T> t;
      t.b = b;
      t.step = plan.windowed ? job.b.mul2 : 1;
      t.ldc = ldc;
      t.last = columns - (vecs - 1) * kVw<T>;
      t.accumulate = accumulate;
      t.ahead_a = ahead_a;
      t.ahead_b = ahead_b;
      if (plan.windowed) {
        pack_lines(unit, end, column, columns, width);
      } else {
        runs[0] = {0, 0, static_cast<int32_t>(pixels)};
        t.runs = runs;
        t.run_count = 1;
        pack_windows(unit, pixels, column, columns, width);
      }
      for (int64_t tap = 0; tap < plan.taps1 * plan.taps2; ++tap) {
        if (plan.windowed) {
          t.runs = runs + tap * (plan.chunk + 1);
          t.run_count = find_runs(unit, end, tap / plan.taps2, tap % plan.taps2);
        }
        for (int64_t tile = 0; tile < tiles; ++tile) {
          const int64_t first = first_row(tile), rows = first_row(tile + 1) - first;
          t.a = plan.packs_a ? a + first * pixels : pixel_of_a(unit * plan.unit) + first;
          t.lda = plan.packs_a ? rows : job.a.s2;
          t.c = c + first * ldc + tap * plan.columns + column;
          reduce(static_cast<int>(rows), vecs, t);
        }
      }
      ahead_a = t.ahead_a;
      ahead_b = t.ahead_b;
    }

    // Windows of one pixel, all inside the image.
    bool is_pixels() const {
      const Source<T>& s = job.b;
      return job.n == s.run && s.off1 == 0 && s.off2 == 0 && (s.d1 - 1) * s.mul1 < s.h_end &&
             (s.d2 - 1) * s.mul2 < s.w_end && !s.prologue.scale;
    }

    // b (pixels, width) for whole panels of such windows
    void pack_pixels(int64_t pixel, int64_t count, int64_t column, int64_t width) {
      const Source<T>& s = job.b;
      Cursor at(s, pixel, job.k, false);
      const T* base = s.base + s.offset + group * s.group_stride + column;
      T* dst = b;
      while (count > 0) {
        const T* from = base + at.i0 * s.s0 + at.i1 * s.mul1 * s.s1 + at.i2 * s.mul2 * s.s2;
        const int64_t line = at.take(count);
        for (int64_t i = 0; i < line; ++i, from += s.mul2 * s.s2, dst += width) {
          for (int64_t j = 0; j < width; j += kVw<T>) store(dst + j, load(from + j));
        }
        count -= line;
      }
    }

    // b (pixels, width): columns of the windows
    void pack_windows(int64_t pixel, int64_t count, int64_t column, int64_t columns,
                      int64_t width) {
      if (job.b_by_k) {
        if (is_pixels() && columns == width) return pack_pixels(pixel, count, column, width);
        return pack_piece(job, group, column, columns, pixel, count, width, b);
      }
      for (int64_t i = 0; i < count; i += kPackRows) {
        pack_piece(job, group, column, columns, pixel + i, least(kPackRows, count - i), width,
                   b + i * width);
      }
    }

    // The lines of one image that the windows of lines [p, p_end) reach.
    struct Lines {
      int64_t begin, end;

      Lines(const Source<T>& s, int64_t taps1, int64_t p, int64_t p_end) {
        begin = p * s.mul1 + s.off1;
        end = (p_end - 1) * s.mul1 + s.off1 + (taps1 - 1) * s.step1 + 1;
        begin = begin < 0 ? 0 : begin > s.h_end ? s.h_end : begin;
        end = end < begin ? begin : end > s.h_end ? s.h_end : end;
      }
    };

    // f(image, first and end line of its windows, place of unit `first`): the images of the chunk
    template <class F>
    void for_images(int64_t unit, int64_t end, F&& f) const {
      const int64_t p_count = job.b.d1;
      for (int64_t u = unit; u < end;) {
        const int64_t image = u / p_count, p = u % p_count;
        const int64_t p_end = least(p_count, p + end - u);
        f(image, p, p_end, u - unit);
        u += p_end - p;
      }
    }

    // b (lines, w, width)
    void pack_lines(int64_t unit, int64_t end, int64_t column, int64_t columns, int64_t width) {
      const Source<T>& s = job.b;
      const int64_t channel = group * s.run + column;
      const T* base = s.base + s.offset + group * s.group_stride + column;
      T* dst = b;
      for_images(unit, end, [&](int64_t image, int64_t p, int64_t p_end, int64_t) {
        const Lines lines(s, plan.taps1, p, p_end);
        const T* from = base + image * s.s0;
        for (int64_t i = lines.begin * s.w_end; i < lines.end * s.w_end; ++i, dst += width) {
          copy(dst, from + i * s.s2, columns);
          if (s.prologue.scale) apply_prologue(s.prologue, channel, dst, columns);
          zero(dst + columns, width - columns);
        }
      });
    }

    // Runs of the chunk's pixels whose tap lies inside the image.
    int64_t find_runs(int64_t unit, int64_t end, int64_t t1, int64_t t2) {
      const Source<T>& s = job.b;
      Run* run = runs + (t1 * plan.taps2 + t2) * (plan.chunk + 1);
      const Run* first = run;
      const int64_t w0 = s.off2 + t2 * s.step2;  // of pixel 0 of a line
      const int64_t q = w0 < 0 ? ceil_div(-w0, s.mul2) : 0;
      const int64_t q_end = w0 < s.w_end ? least(s.d2, (s.w_end - 1 - w0) / s.mul2 + 1) : 0;
      int64_t line = 0;  // of b, where the image's lines begin
      for_images(unit, end, [&](int64_t, int64_t p, int64_t p_end, int64_t place) {
        const Lines lines(s, plan.taps1, p, p_end);
        for (int64_t i = p; i < p_end && q < q_end; ++i) {
          const int64_t h = i * s.mul1 + s.off1 + t1 * s.step1;
          if (h < 0 || h >= s.h_end) continue;
          const int64_t b_line = line + h - lines.begin;
          *run++ = {static_cast<int32_t>((place + i - p) * s.d2 + q),
                    static_cast<int32_t>(b_line * s.w_end + w0 + q * s.mul2),
                    static_cast<int32_t>(q_end - q)};
        }
        line += lines.end - lines.begin;
      });
      return run - first;
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
    const int64_t channel = group * job_.n + column;
    double* sums = e.sums ? e.sums + channel : nullptr;
    double* squares = sums + job_.groups * job_.n;
    if (sums) {
      zero(sums, count);
      zero(squares, count);
    }
    for (int64_t i = 0; i < job_.m; ++i) {
      T* c = row(group, i) + column;
      affine_row<T>(c, count, e.scale ? e.scale + channel : nullptr,
                    e.shift ? e.shift + channel : nullptr, nullptr);
      for (int64_t j = 0; sums && j < count; ++j) {
        const double v = c[j];
        sums[j] += v;
        squares[j] += v * v;
      }
      affine_row<T>(c, count, nullptr, nullptr,
                    e.residual ? e.residual + (c - job_.c.base) : nullptr);
      act_row(e.act, c, count);
    }
  }

  const GemmJob<T>& job_;
  const Plan<T> plan_;
  const int threads_;
  T* partials_;    // (splits, groups, m, n)
  char* buffers_;  // per thread: a, b, runs
};

template <class T>
int64_t workspace(const GemmJob<T>& job, int threads) {
  return workspace_bytes(Plan<T>(job), threads);
}

template <class T>
void product(const GemmJob<T>& job, int threads, void* workspace) {
  Product<T>(job, threads, workspace).run();
}

}  // namespace

GemmWays reduce_way() {
  return {{workspace<float>, product<float>}, {workspace<double>, product<double>}};
}

}  // namespace fc::FC_ISA
