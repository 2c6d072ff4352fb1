// y[n,p,q,k]  = sum_{r,s,j} x[n, p*stride+r*dilation-pad, ..., k/kg*cg + j] * w[k,r,s,j]
// gx[n,h,w,c] = sum_{r,s,j} gy[n,p,q, c/cg*kg + j] * w[c/cg*kg + j, r, s, c%cg]
//               over the (p,q) that reach (h,w)
//
// Both are a Pass (lanes_plan.h). A thread takes items: a band of rows and a strip of columns of an
// image, for a block of vectors. It stages source rows and multiplies while they are in the cache.
#include "cpu/kernels/lanes.h"

#include "cpu/kernels/lanes_stage.h"
#include "cpu/kernels/lanes_tile.h"
#include "cpu/parallel.h"

namespace fc::FC_ISA {
namespace {

template <class T>
struct Workspace {
  Entries entries;
  T* weights;       // (vectors, entries, kVw)
  double* partial;  // (units, 2, vectors * kVw): sums of each unit
  T* buffers;       // (threads, buffer)
  int64_t bytes;

  Workspace(const Pass& pass, const Blocks<T>& b, int threads, void* base)
      : Workspace(pass, b, threads, Carve(base)) {}

 private:
  Workspace(const Pass& pass, const Blocks<T>& b, int threads, Carve carve)
      : entries(pass, carve),
        weights(carve.take<T>(b.vectors * pass.entries() * kVw<T>)),
        partial(carve.take<double>(b.units(pass) * 2 * b.vectors * kVw<T>)),
        buffers(carve.take<T>(threads * b.buffer())),
        bytes(carve.bytes()) {}
};

// weights (vectors, entries, kVw) from w, in the order of the entries
template <class T>
void pack(const Pass& pass, const Blocks<T>& b, const Entries& entries, const T* w, T* weights) {
  const int64_t count = pass.entries();
  parallel(b.vectors, grain_for(8 * count * kVw<T>), [&](int64_t begin, int64_t end, int) {
    for (int64_t v = begin; v < end; ++v) {
      T* to = weights + v * count * kVw<T>;
      for (int64_t l = 0; l < kVw<T>; ++l) {
        const int64_t lane = v * kVw<T> + l;
        if (lane >= pass.lanes) {
          for (int64_t e = 0; e < count; ++e) to[e * kVw<T> + l] = 0;
          continue;
        }
        const T* from = w + pass.weight_of(lane);
        for (int64_t e = 0; e < count; ++e) to[e * kVw<T> + l] = from[entries.weight[e]];
      }
    }
  });
}

template <class T>
struct Run {
  const Pass& pass;
  const Blocks<T>& b;
  const Workspace<T>& ws;
  const T* source;
  T* out;
  const Prologue<T>& prologue;
  const Epilogue<T>& epilogue;

  void item(int64_t unit, int64_t block, T* buffer) const {
    const Unit u(pass, b, unit);
    const int64_t first = block * b.block, last = min_of(first + b.block, b.vectors);
    const T* image = source + u.n * pass.h.source * pass.w.source * pass.channels;
    if (epilogue.sums) {
      fill(sums_of(unit, first), 2 * (last - first) * kVw<T>, 0.0);
    }
    int64_t staged = 0;  // rows
    for (int64_t i = u.i0; i < u.i1; ++i) {
      const int64_t need = (i - u.i0) * pass.h.step() + pass.h.span() + 1;
      for (int64_t v = first; v < last; ++v) {
        const Stager<T> stager(pass, b, prologue, v);
        T* rows = buffer + (v - first) * b.vector_pitch;
        for (int64_t r = staged; r < need; ++r) {
          stager.row(image, u.i0 * pass.h.step() + pass.h.lo + r, u.j0, rows + r * b.row_pitch);
        }
      }
      staged = need;
      for (int64_t v = first; v < last; ++v) {
        const T* rows = buffer + (v - first) * b.vector_pitch;
        multiply_rows(unit, u, i, v, rows + (i - u.i0) * pass.h.step() * b.row_pitch);
      }
    }
  }

  // (2, kVw) per vector
  double* sums_of(int64_t unit, int64_t vector) const {
    return ws.partial + (unit * b.vectors + vector) * 2 * kVw<T>;
  }

  // the output pixels of position row i
  void multiply_rows(int64_t unit, const Unit& u, int64_t i, int64_t v, const T* rows) const {
    const int64_t lane = v * kVw<T>, phases_w = pass.w.phases();
    const Part<T> part(min_of<int64_t>(pass.lanes - lane, kVw<T>));
    const int64_t pixel = phases_w * pass.lanes;
    const Output<T> output(out + lane, pixel, lane, part, epilogue,
                           epilogue.sums ? sums_of(unit, v) : nullptr);
    for (int64_t phase = 0; phase < pass.phases(); ++phase) {
      const int64_t oh = i * pass.h.phases() + phase / phases_w;
      const int64_t ow = u.j0 * phases_w + phase % phases_w;
      // the last positions may lack this phase
      const int64_t cols = min_of(u.j1 - u.j0, ceil_div(pass.w.out - ow, phases_w));
      if (oh >= pass.h.out || cols <= 0) continue;
      const int64_t e = ws.entries.begin[phase], count = ws.entries.begin[phase + 1] - e;
      const int64_t at = ((u.n * pass.h.out + oh) * pass.w.out + ow) * pass.lanes;
      row(rows, ws.entries.offset + e, count, ws.weights + (v * pass.entries() + e) * kVw<T>, cols,
          at, pixel, output);
    }
  }

  // units in order
  void add_sums() const {
    for (int64_t k = 0; k < pass.lanes; ++k) {
      double sum = 0, square = 0;
      for (int64_t unit = 0; unit < b.units(pass); ++unit) {
        const double* s = sums_of(unit, k / kVw<T>) + k % kVw<T>;
        sum += s[0];
        square += s[kVw<T>];
      }
      epilogue.sums[k] = sum;
      epilogue.sums[pass.lanes + k] = square;
    }
  }
};

template <class T>
void run(const Conv2dProblem& p, Direction d, const T* source, const T* w, T* out, int threads,
         void* workspace, const Prologue<T>& prologue, const Epilogue<T>& epilogue) {
  const Pass pass(p, d);
  const Blocks<T> b(pass, false);
  const Workspace<T> ws(pass, b, threads, workspace);
  ws.entries.fill(pass, b);
  pack(pass, b, ws.entries, w, ws.weights);
  const Run<T> r{pass, b, ws, source, out, prologue, epilogue};
  const int64_t cost = b.band * b.strip * b.block * kVw<T> * (pass.entries() + 4);
  parallel(b.units(pass) * b.blocks, grain_for(cost), [&](int64_t begin, int64_t end, int thread) {
    T* buffer = ws.buffers + thread * b.buffer();
    for (int64_t i = begin; i < end; ++i) r.item(i / b.blocks, i % b.blocks, buffer);
  });
  if (epilogue.sums) r.add_sums();
}

template <class T>
void fwd(const Conv2dProblem& p, const T* x, const T* w, T* y, int threads, void* workspace,
         const Prologue<T>& prologue, const Epilogue<T>& epilogue) {
  run(p, Direction::kFwd, x, w, y, threads, workspace, prologue, epilogue);
}

template <class T>
void dgrad(const Conv2dProblem& p, const T* gy, const T* w, T* gx, int threads, void* workspace) {
  run(p, Direction::kDgrad, gy, w, gx, threads, workspace, Prologue<T>(), Epilogue<T>());
}

template <class T>
int64_t workspace(const Conv2dProblem& p, Direction d, int threads) {
  if (d == Direction::kWgrad) return lanes_wgrad_workspace(p, threads, T());
  const Pass pass(p, d);
  const Blocks<T> b(pass, false);
  return Workspace<T>(pass, b, threads, nullptr).bytes;
}

template <class T>
LaneFunctions<T> functions() {
  return {workspace<T>, fwd<T>, dgrad<T>, lanes_wgrad};
}

}  // namespace

LaneKernels lane_kernels() { return {functions<float>(), functions<double>()}; }

}  // namespace fc::FC_ISA
