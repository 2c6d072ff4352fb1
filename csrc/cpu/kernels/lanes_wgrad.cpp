// gw[k,r,s,j] = sum_{n,p,q} gy[n,p,q,k] * x[n, p*stride+r*dilation-pad, ..., k/kg*cg + j]
//
// x is staged as in the forward pass, gy beside it. Up to kEntries gradients are summed in
// registers over all positions of a unit. Units are summed in chunks, chunks in order: the shape
// alone fixes both.
//
// Error bound: |gw - gw64| <= c * sqrt(L) * eps * sum |a b| with c = 1: the products of a unit are
// summed in order, then the units of a chunk, then the chunks.
#include "cpu/kernels/lanes.h"
#include "cpu/kernels/lanes_ahead.h"
#include "cpu/kernels/lanes_stage.h"
#include "cpu/parallel.h"

namespace fc::FC_ISA {
namespace {

constexpr int kEntries = 9;  // a 3x3 window: sums, gy and their addresses fit the registers

// Units in chunks that are summed apart: only where the vectors are too few to go round.
template <class T>
struct Chunks {
  int64_t units, count;

  Chunks(const Pass& pass, const Blocks<T>& b) : units(b.units(pass)) {
    constexpr int64_t kItems = 32;
    count = min_of(units, ceil_div(kItems, b.vectors));
  }
  int64_t begin(int64_t chunk) const { return units * chunk / count; }
};

template <class T>
struct Workspace {
  Entries entries;
  T* partial;  // (chunks, vectors, entries, kVw)
  T* buffers;  // (threads, buffer)
  int64_t bytes;

  Workspace(const Pass& pass, const Blocks<T>& b, int threads, Carve carve)
      : entries(pass, b, carve),
        partial(carve.take<T>(Chunks<T>(pass, b).count * b.vectors * pass.entries() * kVw<T>)),
        buffers(carve.take<T>(threads * b.buffer())),
        bytes(carve.bytes()) {}
};

// total (kCount, kVw) += the sum over rows x cols positions
template <class T, int kCount>
void sum_products(const T* x, int64_t x_pitch, const T* gy, int64_t gy_pitch, int64_t gy_pixel,
                  int64_t rows, int64_t cols, const int64_t* offset, T* total) {
  Vec<T> acc[kCount] = {};
  for (int64_t i = 0; i < rows; ++i) {
    const T* xe[kCount];
#pragma GCC unroll 9
    for (int e = 0; e < kCount; ++e) xe[e] = x + i * x_pitch + offset[e];
    const T* g = gy + i * gy_pitch;
    for (int64_t at = 0; at < cols * kVw<T>; at += kVw<T>, g += gy_pixel) {
      const Vec<T> v = load(g);
#pragma GCC unroll 9
      for (int e = 0; e < kCount; ++e) acc[e] = madd<T>(load(xe[e] + at), v, acc[e]);
    }
  }
#pragma GCC unroll 9
  for (int e = 0; e < kCount; ++e) {
    store(total + e * kVw<T>, load(total + e * kVw<T>) + acc[e]);
  }
}

template <class T>
using SumProducts = void (*)(const T*, int64_t, const T*, int64_t, int64_t, int64_t, int64_t,
                             const int64_t*, T*);

template <class T>
SumProducts<T> sum_products_of(int64_t count) {
  static constexpr SumProducts<T> table[kEntries] = {
      sum_products<T, 1>, sum_products<T, 2>, sum_products<T, 3>,
      sum_products<T, 4>, sum_products<T, 5>, sum_products<T, 6>,
      sum_products<T, 7>, sum_products<T, 8>, sum_products<T, 9>};
  return table[count - 1];
}

template <class T>
struct Run {
  const Pass& pass;
  const Blocks<T>& b;
  const Workspace<T>& ws;
  const T *x, *gy;
  const Prologue<T>& prologue;

  // partial sums of one chunk, for the vectors [v0, v1)
  void items(const Chunks<T>& chunks, int64_t chunk, int64_t v0, int64_t v1, T* buffer) const {
    const int64_t pitch = pass.entries() * kVw<T>;
    T* totals = ws.partial + chunk * b.vectors * pitch;
    fill(totals + v0 * pitch, (v1 - v0) * pitch, T(0));
    const int64_t end = chunks.begin(chunk + 1);
    for (int64_t unit = chunks.begin(chunk); unit < end; ++unit) {
      const Unit u(pass, b, unit), next(pass, b, min_of(unit + 1, b.units(pass) - 1));
      const bool whole = v1 - v0 == b.vectors;
      for (int64_t v = v0; v < v1; ++v) item(u, next, v, whole, buffer, totals + v * pitch);
    }
  }

  void item(const Unit& u, const Unit& next, int64_t v, bool whole, T* buffer, T* total) const {
    const T* image = x + u.n * pass.h.source * pass.w.source * pass.channels;
    const Stager<T> stager(pass, b, prologue, v);
    const Ahead ahead = source_ahead(pass, x, u, next, whole, v);
    const Ahead out_ahead(gy + next.n * pass.h.out * pass.w.out * pass.lanes, pass.w.out,
                          pass.lanes, next.i0, next.j0, 1, 1, next.j1 - next.j0, whole, v);
    const int64_t count = pass.entries(), pieces = ceil_div(count, kEntries);
    // gy that is read once and fills the vector is read where it lies
    const bool direct = pieces == 1 && (v + 1) * kVw<T> <= pass.lanes;
    const int64_t pitch = direct ? pass.w.out * pass.lanes : b.out_pitch;
    const int64_t pixel = direct ? pass.lanes : kVw<T>;
    T* out_rows = buffer + b.slots * b.row_pitch;
    int64_t staged = 0;
    for (int64_t i = u.i0; i < u.i1; i += b.group) {
      const int64_t end = min_of(i + b.group, u.i1), top = (i - u.i0) * pass.h.step();
      const int64_t need = (end - 1 - u.i0) * pass.h.step() + pass.h.span() + 1;
      stager.rows(image, u, max_of(staged, top), need, buffer);
      staged = need;
      if (!direct) stage_out(u, i, end, v, out_rows);
      const T* from = direct ? out_of(u, i, v) : out_rows;
      for (int64_t r = i; r < end; ++r) {
        ahead.fetch(r - u.i0, 0, u.j1 - u.j0);
        out_ahead.fetch(r - u.i0, 0, u.j1 - u.j0);
      }
      const int64_t* offset = ws.entries.offset + top % b.slots * count;
      for (int64_t piece = 0; piece < pieces; ++piece) {
        const int64_t e = count * piece / pieces, stop = count * (piece + 1) / pieces;
        sum_products_of<T>(stop - e)(buffer, pass.h.step() * b.row_pitch, from, pitch, pixel,
                                     end - i, u.j1 - u.j0, offset + e, total + e * kVw<T>);
      }
    }
  }

  const T* out_of(const Unit& u, int64_t i, int64_t v) const {
    return gy + ((u.n * pass.h.out + i) * pass.w.out + u.j0) * pass.lanes + v * kVw<T>;
  }

  __attribute__((noinline)) void stage_out(const Unit& u, int64_t i0, int64_t i1, int64_t v,
                                           T* rows) const {
    const Part<T> part(min_of<int64_t>(pass.lanes - v * kVw<T>, kVw<T>));
    for (int64_t i = i0; i < i1; ++i, rows += b.out_pitch) {
      const T* from = out_of(u, i, v);
      for (int64_t j = 0; j < u.j1 - u.j0; ++j) {
        store(rows + j * kVw<T>, part.load(from + j * pass.lanes));
      }
    }
  }

  // gw of one vector: chunks in order
  void finish(const Chunks<T>& chunks, int64_t v, T* gw) const {
    const int64_t count = pass.entries();
    const int64_t lanes = min_of<int64_t>(pass.lanes - v * kVw<T>, kVw<T>);
    for (int64_t e = 0; e < count; ++e) {
      Vec<T> total{};
      for (int64_t chunk = 0; chunk < chunks.count; ++chunk) {
        total += load(ws.partial + ((chunk * b.vectors + v) * count + e) * kVw<T>);
      }
      for (int64_t l = 0; l < lanes; ++l) {
        gw[pass.weight_of(v * kVw<T> + l) + ws.entries.weight[e]] = total[l];
      }
    }
  }
};

template <class T>
void wgrad(const Conv2dProblem& p, const T* x, const T* gy, T* gw, int threads, void* workspace,
           const Prologue<T>& prologue) {
  const Pass pass(p, Direction::kWgrad, kVw<T>);
  const Blocks<T> b(pass, true);
  const Workspace<T> ws(pass, b, threads, Carve(workspace));
  ws.entries.fill(pass, b);
  const Chunks<T> chunks(pass, b);
  const Run<T> r{pass, b, ws, x, gy, prologue};
  const int64_t unit_cost = b.band * b.strip * kVw<T> * (pass.entries() + 4);
  const int64_t units = chunks.count > 0 ? ceil_div(chunks.units, chunks.count) : 0;
  parallel(chunks.count * b.vectors, grain_for(units * unit_cost), threads,
           [&](int64_t begin, int64_t end, int thread) {
             T* buffer = ws.buffers + thread * b.buffer();
             for (int64_t i = begin; i < end;) {
               const int64_t v0 = i % b.vectors, v1 = min_of(v0 + end - i, b.vectors);
               r.items(chunks, i / b.vectors, v0, v1, buffer);
               i += v1 - v0;
             }
           });
  parallel(b.vectors, grain_for((8 + chunks.count) * pass.entries() * kVw<T>),
           [&](int64_t begin, int64_t end, int) {
             for (int64_t v = begin; v < end; ++v) r.finish(chunks, v, gw);
           });
}

template <class T>
int64_t workspace_of(const Conv2dProblem& p, int threads) {
  const Pass pass(p, Direction::kWgrad, kVw<T>);
  const Blocks<T> b(pass, true);
  return Workspace<T>(pass, b, threads, Carve(nullptr)).bytes;
}

}  // namespace

int64_t lanes_wgrad_workspace(const Conv2dProblem& p, int threads, float) {
  return workspace_of<float>(p, threads);
}
int64_t lanes_wgrad_workspace(const Conv2dProblem& p, int threads, double) {
  return workspace_of<double>(p, threads);
}
void lanes_wgrad(const Conv2dProblem& p, const float* x, const float* gy, float* gw, int threads,
                 void* workspace, const Prologue<float>& prologue) {
  wgrad(p, x, gy, gw, threads, workspace, prologue);
}
void lanes_wgrad(const Conv2dProblem& p, const double* x, const double* gy, double* gw, int threads,
                 void* workspace, const Prologue<double>& prologue) {
  wgrad(p, x, gy, gw, threads, workspace, prologue);
}

}  // namespace fc::FC_ISA
