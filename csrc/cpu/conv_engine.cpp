// A convolution is its jobs (conv_jobs.h), one after another: "implicit" reads windows where they
// lie; "im2col" first stores them, kColumnBytes at a time. Depthwise ones are the same jobs with a
// channel per group.
#include "cpu/conv_engine.h"

#include <algorithm>

#include "cpu/conv_jobs.h"

namespace fc {
namespace {

constexpr int64_t kColumnBytes = int64_t{32} << 20;

// A product in pieces whose windows fit the column buffer. The operand with windows is b for wgrad
// (rows l), else a (rows i).
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
  if (algorithm == Algorithm::kWinograd) return gemm_.winograd_workspace(job, threads);
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
  if (algorithm == Algorithm::kWinograd) return gemm_.winograd(job, threads, workspace);
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
    GemmJob<T> job = ConvJobs<T>::fwd(p, algorithm, none, none, out, prologue, epilogue);
    job.packed_b = packed ? &any_scale : nullptr;
    return std::max(staged, job_workspace(job, algorithm, threads));
  }
  if (direction == Direction::kWgrad) {
    const GemmJob<T> job = ConvJobs<T>::wgrad(p, algorithm, none, none, out, {});
    return std::max(staged, job_workspace(job, algorithm, threads));
  }
  int64_t bytes = 0;
  for (const GemmJob<T>& job : ConvJobs<T>::dgrad(p, algorithm, none, none, out)) {
    bytes = std::max(bytes, job_workspace(job, algorithm, threads));
  }
  return bytes;
}

template <class T>
int64_t ConvEngine<T>::packed_elements(const Conv2dProblem& p, Algorithm algorithm) const {
  if (algorithm == Algorithm::kIm2col || algorithm == Algorithm::kLanes) return 0;
  const T* none = nullptr;
  const GemmJob<T> job =
      ConvJobs<T>::fwd(p, algorithm, none, none, static_cast<T*>(nullptr), {}, {});
  if (algorithm == Algorithm::kDepthwise) return gemm_.depthwise_packed_elements(job);
  if (algorithm == Algorithm::kWinograd) return gemm_.winograd_packed_elements(job);
  return gemm_.packed_elements(job);
}

template <class T>
void ConvEngine<T>::pack(const Conv2dProblem& p, Algorithm algorithm, const T* w, T* packed) const {
  const T* none = nullptr;
  const GemmJob<T> job = ConvJobs<T>::fwd(p, algorithm, none, w, static_cast<T*>(nullptr), {}, {});
  if (algorithm == Algorithm::kDepthwise) return gemm_.depthwise_pack(job, packed);
  if (algorithm == Algorithm::kWinograd) return gemm_.winograd_pack(job, packed);
  gemm_.pack(job, packed);
}

template <class T>
void ConvEngine<T>::fwd(const Conv2dProblem& p, Algorithm algorithm, const T* x, const T* w,
                        const T* packed, T* y, const Prologue<T>& prologue,
                        const Epilogue<T>& epilogue, int threads, void* workspace) const {
  if (algorithm == Algorithm::kLanes || (algorithm == Algorithm::kDepthwise && prologue.scale)) {
    lanes_.fwd(p, x, w, y, threads, workspace, prologue, epilogue);
  } else {
    GemmJob<T> job = ConvJobs<T>::fwd(p, algorithm, x, w, y, prologue, epilogue);
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
  for (const GemmJob<T>& job : ConvJobs<T>::dgrad(p, algorithm, gy, w, gx)) {
    run(job, algorithm, threads, workspace);
  }
}

template <class T>
void ConvEngine<T>::wgrad(const Conv2dProblem& p, Algorithm algorithm, const T* x, const T* gy,
                          T* gw, const Prologue<T>& prologue, int threads, void* workspace) const {
  if (algorithm == Algorithm::kLanes || (algorithm == Algorithm::kDepthwise && prologue.scale)) {
    lanes_.wgrad(p, x, gy, gw, threads, workspace, prologue);
  } else {
    run(ConvJobs<T>::wgrad(p, algorithm, x, gy, gw, prologue), algorithm, threads, workspace);
  }
}

template class ConvEngine<float>;
template class ConvEngine<double>;

}  // namespace fc
