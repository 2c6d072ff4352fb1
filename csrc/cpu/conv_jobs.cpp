#include "cpu/conv_jobs.h"

#include <algorithm>
#include <numeric>

namespace fc {
namespace {

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

}  // namespace

template <class T>
GemmJob<T> ConvJobs<T>::fwd(const Conv2dProblem& p, Algorithm algorithm, const T* x, const T* w,
                            T* y, const Prologue<T>& prologue, const Epilogue<T>& epilogue) {
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
std::vector<GemmJob<T>> ConvJobs<T>::dgrad(const Conv2dProblem& p, Algorithm algorithm, const T* gy,
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

template <class T>
GemmJob<T> ConvJobs<T>::wgrad(const Conv2dProblem& p, Algorithm algorithm, const T* x, const T* gy,
                              T* gw, const Prologue<T>& prologue) {
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

template struct ConvJobs<float>;
template struct ConvJobs<double>;

}  // namespace fc
