// C[i,j] = epilogue(sum_l A[i,l] * B[l,j])
//
// l runs in blocks of kKc, always in order, so an element's bits do not depend on how rows and
// columns are cut into tasks. If there are few tasks, l is also cut into chunks that the shape
// alone fixes; each chunk's product goes to the workspace, and they are added in order.
#include "cpu/gemm.h"

#include "cpu/kernels/dot.h"
#include "cpu/kernels/epilogue.h"
#include "cpu/kernels/gemm_plan.h"
#include "cpu/kernels/micro_kernel.h"
#include "cpu/kernels/pack.h"
#include "cpu/kernels/simd.h"
#include "cpu/parallel.h"

namespace fc::FC_ISA {
namespace {

template <class T>
int64_t workspace(const GemmJob<T>& job, int threads) {
  const Plan p = make_plan(job, threads);
  return kAlign + p.packed_b + p.partials + p.threads * (p.task_a + p.task_b);
}

// ---- one product

template <class T>
class Product {
 public:
  Product(const GemmJob<T>& job, int threads, void* workspace)
      : job_(job), plan_(make_plan(job, threads)) {
    const auto address = reinterpret_cast<uintptr_t>(workspace);
    char* p = reinterpret_cast<char*>((address + kAlign - 1) / kAlign * kAlign);
    packed_b_ = reinterpret_cast<T*>(p);
    partials_ = reinterpret_cast<T*>(p + plan_.packed_b);
    buffers_ = p + plan_.packed_b + plan_.partials;
  }

  void run() {
    if (job_.m == 0 || job_.n == 0 || job_.groups == 0) return;
    if (is_dots(job_)) return dots();
    if (plan_.prepacked) pack_all_b();
    const int64_t tasks = plan_.tasks(job_.groups);
    parallel(plan_.threads, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t slot = begin; slot < end; ++slot) {
        const int64_t last = tasks * (slot + 1) / plan_.threads;
        for (int64_t t = tasks * slot / plan_.threads; t < last; ++t) run_task(t, slot);
      }
    });
    if (plan_.chunks > 1) combine();
  }

 private:
  int64_t panels() const { return ceil_div(job_.n, kNr<T>); }

  // (group, block of l, panel): blocks before this one are full
  T* packed_panel(int64_t group, int64_t l0, int64_t kc, int64_t panel) const {
    return packed_b_ + (group * job_.k + l0) * panels() * kNr<T> + panel * kc * kNr<T>;
  }

  void pack_all_b() {
    const int64_t blocks = ceil_div(job_.k, kKc<T>), count = job_.groups * blocks * panels();
    parallel(count, grain_for(kKc<T> * kNr<T>), [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t panel = i % panels(), block = i / panels() % blocks;
        const int64_t group = i / panels() / blocks, l0 = block * kKc<T>;
        const int64_t kc = min(kKc<T>, job_.k - l0), column = panel * kNr<T>;
        pack_b(job_, group, column, min(kNr<T>, job_.n - column), l0, kc,
               packed_panel(group, l0, kc, panel));
      }
    });
  }

  void run_task(int64_t task, int64_t slot) {
    const int64_t in = task % plan_.blocks_n;
    const int64_t im = task / plan_.blocks_n % plan_.blocks_m;
    const int64_t chunk = task / plan_.blocks_n / plan_.blocks_m % plan_.chunks;
    const int64_t group = task / plan_.blocks_n / plan_.blocks_m / plan_.chunks;
    const int64_t row = im * plan_.mb, rows = min(plan_.mb, job_.m - row);
    const int64_t column = in * plan_.nb, columns = min(plan_.nb, job_.n - column);
    const int64_t begin = chunk * plan_.chunk, end = min(begin + plan_.chunk, job_.k);
    char* buffer = buffers_ + slot * (plan_.task_a + plan_.task_b);
    T* a = reinterpret_cast<T*>(buffer);
    T* b = reinterpret_cast<T*>(buffer + plan_.task_a);

    int64_t l0 = begin;
    do {  // once even if k is 0: C is then the epilogue of 0
      const int64_t kc = min(kKc<T>, end - l0);
      pack_a(job_, group, row, rows, l0, kc, a);
      for (int64_t j = 0; j < columns; j += kNr<T>) {
        const int64_t count = min(kNr<T>, columns - j);
        const T* panel = b;
        if (plan_.prepacked) {
          panel = packed_panel(group, l0, kc, (column + j) / kNr<T>);
        } else {
          pack_b(job_, group, column + j, count, l0, kc, b);
        }
        for (int64_t i = 0; i < rows; i += kMr) {
          alignas(64) T tile[kMr * kNr<T>];
          const T* a_panel = a + i * kLda<T>;
          job_.a_by_k ? micro_kernel<T, true>(kc, a_panel, panel, tile)
                      : micro_kernel<T, false>(kc, a_panel, panel, tile);
          const Where where = {group, chunk, row + i, min(kMr, rows - i), column + j, count};
          put(tile, where, l0 == begin, l0 + kc == end);
        }
      }
      l0 += kc;
    } while (l0 < end);
  }

  struct Where {
    int64_t group, chunk, row, rows, column, columns;
  };

  T* partial(int64_t chunk, int64_t group, int64_t row) const {
    return partials_ + ((chunk * job_.groups + group) * job_.m + row) * job_.n;
  }

  // Adds a tile to what earlier blocks of l left, and finishes it after the last one.
  void put(T* tile, const Where& at, bool first, bool last) {
    const bool whole = plan_.chunks == 1;
    const bool add = !first || (whole && job_.accumulate);
    Cursor cursor(job_.c, at.row);
    for (int64_t i = 0; i < at.rows; ++i, cursor.next()) {
      T* v = tile + i * kNr<T>;
      T* c = whole ? target(cursor, at.group) : partial(at.chunk, at.group, at.row + i);
      c += at.column;
      if (add) affine_row<T>(v, at.columns, nullptr, nullptr, c);
      if (whole && last) finish(v, c, at.group, at.column, at.columns);
      copy(c, v, at.columns);
    }
  }

  // v = act(v * scale + shift + residual) for columns [column, column + count) of the row at c
  void finish(T* v, const T* c, int64_t group, int64_t column, int64_t count) const {
    const Epilogue<T>& e = job_.epilogue;
    const int64_t channel = group * job_.n + column;
    affine_row(v, count, e.scale ? e.scale + channel : nullptr,
               e.shift ? e.shift + channel : nullptr,
               e.residual ? e.residual + (c - job_.c.base) : nullptr);
    act_row(e.act, v, count);
  }

  // Walks the rows of the target without dividing.
  struct Cursor {
    const Target<T>& t;
    int64_t i0, i1, i2;

    Cursor(const Target<T>& target, int64_t row) : t(target) {
      row += t.first_row;
      i2 = row % t.d2;
      i1 = row / t.d2 % t.d1;
      i0 = row / t.d2 / t.d1;
    }
    int64_t offset() const { return i0 * t.s0 + i1 * t.s1 + i2 * t.s2; }
    void next() {
      if (++i2 < t.d2) return;
      i2 = 0;
      if (++i1 < t.d1) return;
      i1 = 0;
      ++i0;
    }
  };

  T* target(const Cursor& cursor, int64_t group) const {
    return job_.c.base + job_.c.offset + group * job_.c.group_stride + cursor.offset();
  }

  void dots() {
    const Source<T>&a = job_.a, &b = job_.b;
    const T *a0 = a.base + a.offset + a.first_row * a.s2, *b0 = b.base + b.offset;
    parallel(panels(), grain_for(job_.m * kNr<T> * job_.k / 4),
             [&](int64_t begin, int64_t end, int) {
               for (int64_t panel = begin; panel < end; ++panel) {
                 const int64_t column = panel * kNr<T>, count = min(kNr<T>, job_.n - column);
                 Cursor cursor(job_.c, 0);
                 for (int64_t i = 0; i < job_.m; ++i, cursor.next()) {
                   T v[kNr<T>];
                   T* c = target(cursor, 0) + column;
                   for (int64_t j = 0; j < count; ++j) {
                     v[j] = dot(a0 + i * a.s2, b0 + (column + j) * b.s2, job_.k);
                   }
                   if (job_.accumulate) affine_row<T>(v, count, nullptr, nullptr, c);
                   finish(v, c, 0, column, count);
                   copy(c, v, count);
                 }
               }
             });
  }

  void combine() {
    parallel(job_.groups * job_.m, grain_for(job_.n * plan_.chunks),
             [&](int64_t begin, int64_t end, int) {
               for (int64_t i = begin; i < end; ++i) {
                 const int64_t group = i / job_.m, row = i % job_.m;
                 T* c = target(Cursor(job_.c, row), group);
                 for (int64_t j = 0; j < job_.n; j += kNb<T>) {
                   const int64_t count = min(kNb<T>, job_.n - j);
                   T v[kNb<T>];
                   copy(v, partial(0, group, row) + j, count);
                   for (int64_t chunk = 1; chunk < plan_.chunks; ++chunk) {
                     affine_row<T>(v, count, nullptr, nullptr, partial(chunk, group, row) + j);
                   }
                   if (job_.accumulate) affine_row<T>(v, count, nullptr, nullptr, c + j);
                   finish(v, c + j, group, j, count);
                   copy(c + j, v, count);
                 }
               }
             });
  }

  static int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }

  const GemmJob<T>& job_;
  const Plan plan_;
  T* packed_b_;    // (groups, blocks of l, panels, kc, kNr)
  T* partials_;    // (chunks, groups, m, n)
  char* buffers_;  // per thread: panels of A, one panel of B
};

template <class T>
void run(const GemmJob<T>& job, int threads, void* workspace) {
  Product<T>(job, threads, workspace).run();
}

template <class T>
void gather(const Source<T>& source, int64_t row, int64_t rows, int64_t columns, T* dst) {
  parallel(rows, grain_for(columns), [&](int64_t begin, int64_t end, int) {
    for (int64_t first = 0; first < columns; first += kKc<T>) {
      const int64_t count = columns - first < kKc<T> ? columns - first : kKc<T>;
      const Slice<T> slice(source, first, count);
      gather_slice(source, 0, slice, row + begin, end - begin, dst + begin * columns + first,
                   columns);
    }
  });
}

template <class T>
void finish(T* y, int64_t count, const T* residual, Activation act) {
  constexpr int64_t kBlock = 4096;
  parallel(ceil_div(count, kBlock), 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin * kBlock; i < end * kBlock && i < count; i += kBlock) {
      const int64_t n = count - i < kBlock ? count - i : kBlock;
      affine_row<T>(y + i, n, nullptr, nullptr, residual ? residual + i : nullptr);
      act_row(act, y + i, n);
    }
  });
}

}  // namespace

GemmKernels gemm_kernels() {
  return {{workspace<float>, run<float>, gather<float>, finish<float>},
          {workspace<double>, run<double>, gather<double>, finish<double>}};
}

}  // namespace fc::FC_ISA
