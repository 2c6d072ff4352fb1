// The three directions as matrix products, per group; windows are rows of a virtual matrix
// (gemm.h).
//
//   fwd    y  (N*P*Q, K)   = windows(x) (N*P*Q, R*S*C) @ w^T (R*S*C, K)
//   dgrad  gx (N*H*W, C)   = windows(gy) (.., R*S*K) @ w (R*S*K, C), once per phase of the stride
//   wgrad  gw (K, R*S*C)   = gy^T (K, N*P*Q) @ windows(x) (N*P*Q, R*S*C)
//
// "implicit" reads windows where they lie; "im2col" first stores them, kColumnBytes at a time.
// Depthwise ones are the same jobs with a channel per group.
#include "cpu/conv_engine.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace fc {
namespace {

constexpr int64_t kColumnBytes = int64_t{32} << 20;

// x as the matrix of its windows: rows (n,p,q), columns (r,s,c)
template <class T>
Source<T> windows(const Conv2dProblem& p, const T* x, const Prologue<T>& prologue) {
  Source<T> s;
  s.base = x;
  s.group_stride = p.cg();
  s.d1 = std::max<int64_t>(p.p, 1);
  s.d2 = std::max<int64_t>(p.q, 1);
  s.s0 = p.h * p.w * p.c;
  s.s1 = p.w * p.c;
  s.s2 = p.c;
  s.h_end = p.h;
  s.w_end = p.w;
  s.mul1 = p.stride_h;
  s.mul2 = p.stride_w;
  s.off1 = -p.pad_top;
  s.off2 = -p.pad_left;
  s.step1 = p.dilation_h;
  s.step2 = p.dilation_w;
  s.taps2 = p.s;
  s.run = p.cg();
  s.prologue = prologue;
  return s;
}

template <class T>
GemmJob<T> fwd_job(const Conv2dProblem& p, Algorithm algorithm, const T* x, const T* w, T* y,
                   const Prologue<T>& prologue, const Epilogue<T>& epilogue) {
  GemmJob<T> job;
  job.m = p.n * p.p * p.q;
  job.n = p.kg();
  job.k = p.r * p.s * p.cg();
  job.groups = p.groups;
  job.a = windows(p, x, prologue);
  if (algorithm == Algorithm::kMatrix) {
    job.a = matrix_source(x, job.m, p.c, p.c);
    job.a.prologue = prologue;
  }
  job.b = matrix_source(w, p.kg(), job.k, job.k, p.kg() * job.k);
  job.b_by_k = false;
  Target<T>& c = job.c;
  c.base = y;
  c.group_stride = p.kg();
  c.d1 = job.a.d1;
  c.d2 = job.a.d2;
  c.s0 = p.p * p.q * p.k;
  c.s1 = p.q * p.k;
  c.s2 = p.k;
  job.epilogue = epilogue;
  return job;
}

template <class T>
GemmJob<T> wgrad_job(const Conv2dProblem& p, Algorithm algorithm, const T* x, const T* gy, T* gw,
                     const Prologue<T>& prologue) {
  GemmJob<T> job;
  job.m = p.kg();
  job.n = p.r * p.s * p.cg();
  job.k = p.n * p.p * p.q;
  job.groups = p.groups;
  job.a = matrix_source(gy, job.k, p.kg(), p.k, p.kg());
  job.a_by_k = true;
  job.b = windows(p, x, prologue);
  if (algorithm == Algorithm::kMatrix) {
    job.b = matrix_source(x, job.k, p.c, p.c);
    job.b.prologue = prologue;
  }
  job.c = matrix_target(gw, p.kg(), job.n, p.kg() * job.n);
  return job;
}

// The taps r with (h + pad - r*dilation) divisible by stride, for the rows h = phase, phase+stride,
// ...: r = first, first+step, ... (count of them). Row i of the phase meets tap j at the output row
// i + offset - j*shift.
struct Phase {
  int64_t rows, first, step, count, offset, shift;

  Phase(int64_t phase, int64_t size, int64_t window, int64_t pad, int64_t stride,
        int64_t dilation) {
    rows = size > phase ? (size - phase + stride - 1) / stride : 0;
    const auto misses = [&](int64_t r) { return (phase + pad - r * dilation) % stride != 0; };
    for (first = 0; first < window && misses(first);) ++first;
    step = stride / std::gcd(stride, dilation);
    count = first < window ? (window - first + step - 1) / step : 0;
    offset = (phase + pad - first * dilation) / stride;
    shift = step * dilation / stride;
  }
};

// One product per phase of the stride: no multiplications with the zeros between the steps.
template <class T>
std::vector<GemmJob<T>> dgrad_jobs(const Conv2dProblem& p, Algorithm algorithm, const T* gy,
                                   const T* w, T* gx) {
  std::vector<GemmJob<T>> jobs;
  for (int64_t i = 0; i < p.stride_h * p.stride_w; ++i) {
    const int64_t phase_h = i / p.stride_w, phase_w = i % p.stride_w;
    const Phase v(phase_h, p.h, p.r, p.pad_top, p.stride_h, p.dilation_h);
    const Phase u(phase_w, p.w, p.s, p.pad_left, p.stride_w, p.dilation_w);
    if (v.rows == 0 || u.rows == 0) continue;
    GemmJob<T> job;
    job.m = p.n * v.rows * u.rows;
    job.n = p.cg();
    job.k = v.count * u.count * p.kg();
    job.groups = p.groups;

    // rows (n, i, j) of the phase; columns (tap row, tap column, k)
    Source<T>& a = job.a;
    a.base = gy;
    a.group_stride = p.kg();
    a.d1 = v.rows;
    a.d2 = u.rows;
    a.s0 = p.p * p.q * p.k;
    a.s1 = p.q * p.k;
    a.s2 = p.k;
    a.h_end = p.p;
    a.w_end = p.q;
    a.off1 = v.offset;
    a.off2 = u.offset;
    a.step1 = -v.shift;
    a.step2 = -u.shift;
    a.taps2 = std::max<int64_t>(u.count, 1);
    a.run = p.kg();
    if (algorithm == Algorithm::kMatrix) job.a = matrix_source(gy, job.m, p.k, p.k);

    // rows (tap row, tap column, k); columns c
    Source<T>& b = job.b;
    b.base = w;
    b.offset = (v.first * p.s + u.first) * p.cg();
    b.group_stride = p.kg() * p.r * p.s * p.cg();
    b.d1 = b.h_end = std::max<int64_t>(u.count, 1);
    b.d2 = b.w_end = p.kg();
    b.s0 = v.step * p.s * p.cg();
    b.s1 = u.step * p.cg();
    b.s2 = p.r * p.s * p.cg();
    b.run = p.cg();

    Target<T>& c = job.c;
    c.base = gx;
    c.offset = (phase_h * p.w + phase_w) * p.c;
    c.group_stride = p.cg();
    c.d1 = v.rows;
    c.d2 = u.rows;
    c.s0 = p.h * p.w * p.c;
    c.s1 = p.stride_h * p.w * p.c;
    c.s2 = p.stride_w * p.c;
    jobs.push_back(job);
  }
  return jobs;
}

// ---- im2col: a product in pieces whose windows fit the column buffer

// The operand with windows is b for wgrad (rows l), else a (rows i).
template <class T>
struct Pieces {
  const GemmJob<T>& job;
  bool of_b;
  int64_t columns, total, rows;  // rows of windows: in all, per piece

  explicit Pieces(const GemmJob<T>& j) : job(j), of_b(j.a_by_k) {
    columns = of_b ? job.n : job.k;
    total = of_b ? job.k : job.m;
    const int64_t fit = kColumnBytes / std::max<int64_t>(1, columns * sizeof(T));
    rows = std::min(total, std::max<int64_t>(fit, 256));
  }
  int64_t buffer_bytes() const { return (rows * columns * sizeof(T) + 63) / 64 * 64; }

  // The product over window rows [first, first + count) of one group, windows stored at buffer.
  GemmJob<T> piece(int64_t group, int64_t first, int64_t count, const T* buffer) const {
    GemmJob<T> part = job;
    part.groups = 1;
    part.a.offset += group * job.a.group_stride;
    part.b.offset += group * job.b.group_stride;
    part.c.offset += group * job.c.group_stride;
    Epilogue<T>& e = part.epilogue;
    if (e.scale) e.scale += group * job.n;
    if (e.shift) e.shift += group * job.n;
    if (of_b) {
      part.k = count;
      part.a.first_row = first;
      part.b = matrix_source(buffer, count, columns, columns);
      part.accumulate = first > 0;
    } else {
      part.m = count;
      part.c.first_row = first;
      part.a = matrix_source(buffer, count, columns, columns);
    }
    return part;
  }

  Source<T> windows_of(int64_t group) const {
    Source<T> source = of_b ? job.b : job.a;
    source.offset += group * source.group_stride;
    if (source.prologue.scale) {
      source.prologue.scale += group * source.run;
      source.prologue.shift += group * source.run;
    }
    return source;
  }
};

}  // namespace

template <class T>
int64_t ConvEngine<T>::job_workspace(const GemmJob<T>& job, Algorithm algorithm,
                                     int threads) const {
  if (algorithm == Algorithm::kDepthwise) return gemm_.depthwise_workspace(job, threads);
  if (algorithm != Algorithm::kIm2col) return gemm_.workspace(job, threads);
  const Pieces<T> pieces(job);
  int64_t bytes = gemm_.workspace(pieces.piece(0, 0, pieces.rows, nullptr), threads);
  if (pieces.rows > 0 && pieces.total % pieces.rows != 0) {
    bytes = std::max(
        bytes, gemm_.workspace(pieces.piece(0, 0, pieces.total % pieces.rows, nullptr), threads));
  }
  return 64 + pieces.buffer_bytes() + bytes;
}

template <class T>
void ConvEngine<T>::run(const GemmJob<T>& job, Algorithm algorithm, int threads,
                        void* workspace) const {
  if (algorithm == Algorithm::kDepthwise) return gemm_.depthwise(job, threads, workspace);
  if (algorithm != Algorithm::kIm2col) return gemm_.run(job, threads, workspace);
  const Pieces<T> pieces(job);
  const auto address = (reinterpret_cast<uintptr_t>(workspace) + 63) / 64 * 64;
  T* buffer = reinterpret_cast<T*>(address);
  void* rest = reinterpret_cast<char*>(address) + pieces.buffer_bytes();
  for (int64_t group = 0; group < job.groups; ++group) {
    int64_t first = 0;
    do {  // once even without windows: an empty sum is 0
      const int64_t count = std::min(pieces.rows, pieces.total - first);
      gemm_.gather(pieces.windows_of(group), first, count, pieces.columns, buffer);
      gemm_.run(pieces.piece(group, first, count, buffer), threads, rest);
      first += count;
    } while (first < pieces.total);
  }
}

template <class T>
int64_t ConvEngine<T>::workspace(const Conv2dProblem& p, Direction direction, Algorithm algorithm,
                                 int threads, bool packed) const {
  const T* none = nullptr;
  T* out = nullptr;
  if (algorithm == Algorithm::kLanes) return lanes_.workspace(p, direction, threads);
  // with a prologue the lane kernels do it
  const bool is_depthwise = algorithm == Algorithm::kDepthwise;
  const int64_t staged = is_depthwise ? lanes_.workspace(p, direction, threads) : 0;
  if (direction == Direction::kFwd) {
    // enough for any prologue and epilogue; what they point at is not read
    static const T any_scale = 0;
    static double any_sum = 0;
    Prologue<T> prologue;
    Epilogue<T> epilogue;
    prologue.scale = &any_scale;
    epilogue.sums = &any_sum;
    GemmJob<T> job = fwd_job(p, algorithm, none, none, out, prologue, epilogue);
    job.packed_b = packed ? &any_scale : nullptr;
    return std::max(staged, job_workspace(job, algorithm, threads));
  }
  if (direction == Direction::kWgrad) {
    const GemmJob<T> job = wgrad_job(p, algorithm, none, none, out, {});
    return std::max(staged, job_workspace(job, algorithm, threads));
  }
  int64_t bytes = 0;
  for (const GemmJob<T>& job : dgrad_jobs(p, algorithm, none, none, out)) {
    bytes = std::max(bytes, job_workspace(job, algorithm, threads));
  }
  return bytes;
}

template <class T>
int64_t ConvEngine<T>::packed_elements(const Conv2dProblem& p, Algorithm algorithm) const {
  if (algorithm == Algorithm::kIm2col || algorithm == Algorithm::kLanes) return 0;
  const T* none = nullptr;
  const GemmJob<T> job = fwd_job(p, algorithm, none, none, static_cast<T*>(nullptr), {}, {});
  return algorithm == Algorithm::kDepthwise ? gemm_.depthwise_packed_elements(job)
                                            : gemm_.packed_elements(job);
}

template <class T>
void ConvEngine<T>::pack(const Conv2dProblem& p, Algorithm algorithm, const T* w, T* packed) const {
  const T* none = nullptr;
  const GemmJob<T> job = fwd_job(p, algorithm, none, w, static_cast<T*>(nullptr), {}, {});
  if (algorithm == Algorithm::kDepthwise) return gemm_.depthwise_pack(job, packed);
  gemm_.pack(job, packed);
}

template <class T>
void ConvEngine<T>::fwd(const Conv2dProblem& p, Algorithm algorithm, const T* x, const T* w,
                        const T* packed, T* y, const Prologue<T>& prologue,
                        const Epilogue<T>& epilogue, int threads, void* workspace) const {
  if (algorithm == Algorithm::kLanes || (algorithm == Algorithm::kDepthwise && prologue.scale)) {
    lanes_.fwd(p, x, w, y, threads, workspace, prologue, epilogue);
  } else {
    GemmJob<T> job = fwd_job(p, algorithm, x, w, y, prologue, epilogue);
    job.packed_b = packed;
    run(job, algorithm, threads, workspace);
  }
}

template <class T>
void ConvEngine<T>::dgrad(const Conv2dProblem& p, Algorithm algorithm, const T* gy, const T* w,
                          T* gx, int threads, void* workspace) const {
  if (algorithm == Algorithm::kLanes) {
    lanes_.dgrad(p, gy, w, gx, threads, workspace);
    return;
  }
  for (const GemmJob<T>& job : dgrad_jobs(p, algorithm, gy, w, gx)) {
    run(job, algorithm, threads, workspace);
  }
}

template <class T>
void ConvEngine<T>::wgrad(const Conv2dProblem& p, Algorithm algorithm, const T* x, const T* gy,
                          T* gw, const Prologue<T>& prologue, int threads, void* workspace) const {
  if (algorithm == Algorithm::kLanes || (algorithm == Algorithm::kDepthwise && prologue.scale)) {
    lanes_.wgrad(p, x, gy, gw, threads, workspace, prologue);
  } else {
    run(wgrad_job(p, algorithm, x, gy, gw, prologue), algorithm, threads, workspace);
  }
}

template class ConvEngine<float>;
template class ConvEngine<double>;

}  // namespace fc
