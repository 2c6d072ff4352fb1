// y[n,p,q,k]  = sum_{r,s,j} x[n, p*stride+r*dilation-pad, ..., k/kg*cg + j] * w[k,r,s,j]
// gx[n,h,w,c] = sum_{r,s,j} gy[n,p,q, c/cg*kg + j] * w[c/cg*kg + j, r, s, c%cg]
//               over the (p,q) that reach (h,w)
//
// Both are a Pass (lanes_plan.h). A thread takes items: a band of rows and a strip of columns of an
// image, for one vector of channels. It stages source rows and multiplies while they are in the
// cache.
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
  double* partial;  // (units, vectors, 2, kVw): sums of each item
  T* buffers;       // (threads, buffer)
  int64_t bytes;

  Workspace(const Pass& pass, const Blocks<T>& b, int threads, Carve carve)
      : entries(pass, b, carve),
        weights(carve.take<T>(b.vectors * pass.entries() * kVw<T>)),
        partial(carve.take<double>(b.units(pass) * b.vectors * 2 * kVw<T>)),
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

  void item(int64_t unit, int64_t v, T* buffer) const {
    const Unit u(pass, b, unit);
    const T* image = source + u.n * pass.h.source * pass.w.source * pass.channels;
    const int64_t lane = v * kVw<T>;
    const Part<T> part(min_of<int64_t>(pass.lanes - lane, kVw<T>));
    double* sums = epilogue.sums ? sums_of(unit, v) : nullptr;
    if (sums) fill(sums, 2 * kVw<T>, 0.0);
    const Output<T> output(out + lane, pass.w.phases() * pass.lanes, lane, part, epilogue, sums);
    const Stager<T> stager(pass, b, prologue, v);
    const T* weights = ws.weights + v * pass.entries() * kVw<T>;
    Patch patch;
    if (unit + 1 < b.units(pass)) {
      patch.ahead = source_ahead(pass, source, u, Unit(pass, b, unit + 1), true, v);
    }
    int64_t staged = 0;
    for (int64_t i = u.i0; i < u.i1; i += b.group) {
      const int64_t end = min_of(i + b.group, u.i1), top = (i - u.i0) * pass.h.step();
      const int64_t need = (end - 1 - u.i0) * pass.h.step() + pass.h.span() + 1;
      stager.rows(image, u, max_of(staged, top), need, buffer);
      staged = need;
      patch.first = i - u.i0;
      const int64_t* offset = ws.entries.offset + top % b.slots * pass.entries();
      multiply(u, i, end, buffer, offset, weights, output, patch);
    }
  }

  // (2, kVw)
  double* sums_of(int64_t unit, int64_t v) const {
    return ws.partial + (unit * b.vectors + v) * 2 * kVw<T>;
  }

  // position rows [i0, i1) of all phases
  void multiply(const Unit& u, int64_t i0, int64_t i1, const T* buffer, const int64_t* offset,
                const T* weights, const Output<T>& output, Patch& patch) const {
    const int64_t phases_h = pass.h.phases(), phases_w = pass.w.phases();
    patch.x_pitch = pass.h.step() * b.row_pitch;
    patch.y_pitch = phases_h * pass.w.out * pass.lanes;
    patch.pixel = phases_w * pass.lanes;
    const Ahead ahead = patch.ahead;
    for (int64_t fh = 0; fh < phases_h; ++fh) {
      for (int64_t fw = 0; fw < phases_w; ++fw) {
        const int64_t oh = i0 * phases_h + fh, ow = u.j0 * phases_w + fw;
        // the last positions may lack this phase
        patch.rows = i1 - i0 - ((i1 - 1) * phases_h + fh >= pass.h.out);
        patch.cols = u.j1 - u.j0 - ((u.j1 - 1) * phases_w + fw >= pass.w.out);
        patch.at = ((u.n * pass.h.out + oh) * pass.w.out + ow) * pass.lanes;
        const int64_t* begin = ws.entries.begin + fh * phases_w + fw;
        multiply_by_spread(patch, buffer, offset + begin[0], begin[1] - begin[0],
                           weights + begin[0] * pass.spread * kVw<T>, output);
        patch.ahead = Ahead();  // once is enough
      }
    }
    patch.ahead = ahead;
  }

  void multiply_by_spread(const Patch& patch, const T* x, const int64_t* offset, int64_t entries,
                          const T* w, const Output<T>& output) const {
    if (pass.spread == 1) return multiply_patch<T, 1>(patch, x, offset, entries, w, output);
    if constexpr (kVw<T> % 2 == 0) {
      if (pass.spread == 2) return multiply_patch<T, 2>(patch, x, offset, entries, w, output);
    }
    if constexpr (kVw<T> % 4 == 0) {
      if (pass.spread == 4) return multiply_patch<T, 4>(patch, x, offset, entries, w, output);
    }
    if constexpr (kVw<T> % 8 == 0) {
      if (pass.spread == 8) return multiply_patch<T, 8>(patch, x, offset, entries, w, output);
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
  const Pass pass(p, d, kVw<T>);
  const Blocks<T> b(pass, false);
  const Workspace<T> ws(pass, b, threads, Carve(workspace));
  ws.entries.fill(pass, b);
  pack(pass, b, ws.entries, w, ws.weights);
  const Run<T> r{pass, b, ws, source, out, prologue, epilogue};
  const int64_t cost = b.band * b.strip * kVw<T> * (pass.entries() + 4);
  parallel(b.units(pass) * b.vectors, grain_for(cost), threads,
           [&](int64_t begin, int64_t end, int thread) {
             T* buffer = ws.buffers + thread * b.buffer();
             for (int64_t i = begin; i < end; ++i) r.item(i / b.vectors, i % b.vectors, buffer);
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
  const Pass pass(p, d, kVw<T>);
  const Blocks<T> b(pass, false);
  return Workspace<T>(pass, b, threads, Carve(nullptr)).bytes;
}

template <class T>
LaneFunctions<T> functions() {
  return {workspace<T>, fwd<T>, dgrad<T>, lanes_wgrad};
}

}  // namespace

LaneKernels lane_kernels() { return {functions<float>(), functions<double>()}; }

}  // namespace fc::FC_ISA
