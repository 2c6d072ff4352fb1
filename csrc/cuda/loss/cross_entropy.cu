// Cross-entropy of logits x (rows, c) against labels (rows,), a the smoothing; m = max of the row:
//
//   lse = m + log sum e^(x - m); loss = lse - (1-a)*x[label] - a*mean(x)
//   gx = g * (e^(x - lse) - (1-a)*[column = label] - a/c)
//
// A label that is no class makes its row's loss and gradient NaN.
#include "cuda/loss/loss.h"
#include "cuda/loss/row_plan.h"
#include "cuda/loss/total.h"

namespace fc::cuda {
namespace {

FC_DEVICE bool is_class(int64_t label, int c) { return label >= 0 && label < c; }

// One of loss (rows,) and partial (blocks,), the sum over a block's rows, is null.
template <class Plan, class T>
__global__ void __launch_bounds__(Plan::Team::kBlockThreads)
    cross_entropy_kernel(const Matrices<T, 1> in, const int64_t* labels, T* loss, double* partial,
                         float* lse, float at_label, float smoothing) {
  using Team = typename Plan::Team;
  double total = 0;
  const int64_t step = int64_t{gridDim.x} * Team::kRows;
  for (int64_t first = int64_t{blockIdx.x} * Team::kRows; first < in.rows; first += step) {
    const typename Plan::template Row<T, 1> row(in, first);
    const ExpSum s = exp_sum(row);
    float below = 0;  // the weights of the formula add up to 1: every x may be taken relative to m
    if (smoothing != 0.f) {
      row.scan([&](int, float x) { below += s.top - x; });
      below = Team::reduce(below, Plus());
    }
    const int64_t at = first + Team::index();
    if (at < in.rows && Team::thread() == 0) {
      const int64_t label = labels[at];
      const float log_sum = ::logf(s.sum);
      float value = NAN;
      if (is_class(label, in.c)) {
        value = log_sum + at_label * (s.top - row.at(static_cast<int>(label)));
        if (smoothing != 0.f) value += smoothing * (below / static_cast<float>(in.c));
      }
      lse[at] = s.top + log_sum;
      if (loss) loss[at] = narrow<T>(value);
      total += value;
    }
  }
  if (partial) {
    total = block_reduce(total, shared_memory<double>(), Plus());
    if (threadIdx.x == 0) partial[blockIdx.x] = total;
  }
}

// gloss: (rows,) if `each`, else one value, to be divided by `divisor`
template <class Plan, class T>
__global__ void __launch_bounds__(Plan::Team::kBlockThreads)
    cross_entropy_gradient_kernel(const Matrices<T, 1> in, const T* gloss, const int64_t* labels,
                                  const float* lse, T* gx, float at_label, float spread, bool each,
                                  float divisor) {
  const int64_t first = int64_t{blockIdx.x} * Plan::Team::kRows;
  const typename Plan::template Row<T, 1> row(in, first);
  const int64_t last = in.rows - 1, mine = first + Plan::Team::index();
  const int64_t at = mine < last ? mine : last;  // threads without a row follow along
  const int64_t label = labels[at];
  const float total = lse[at], g = widen(gloss[each ? at : 0]) / divisor;
  const float scale = is_class(label, in.c) ? g : NAN;
  row.write(gx, [&](int column, float x) {
    return (::expf(x - total) - (column == label ? at_label : 0.f) - spread) * scale;
  });
}

}  // namespace

template <class T>
void cross_entropy_fwd(const T* logits, const int64_t* labels, T* loss, float* lse, int64_t rows,
                       int c, double smoothing, Reduction reduction, double* partial,
                       Stream stream) {
  const bool each = reduction == Reduction::kNone;
  int64_t blocks = 0;
  if (rows > 0) {
    with_plan(c, [&](auto plan) {
      using Plan = decltype(plan);
      blocks = std::min(ceil_div(rows, int64_t{Plan::Team::kRows}), kMaxPartials);
      launch(cross_entropy_kernel<Plan, T>, static_cast<unsigned>(blocks),
             Plan::Team::kBlockThreads, Plan::template shared_bytes<T, 1>(c), stream,
             matrices({logits}, rows, c), labels, each ? loss : nullptr, each ? nullptr : partial,
             lse, static_cast<float>(1 - smoothing), static_cast<float>(smoothing));
    });
  }
  if (!each) total(partial, blocks, rows, reduction, loss, stream);
}

template <class T>
void cross_entropy_bwd(const T* gloss, const T* logits, const int64_t* labels, const float* lse,
                       T* glogits, int64_t rows, int c, double smoothing, Reduction reduction,
                       Stream stream) {
  if (rows == 0 || c == 0) return;
  const float divisor = reduction == Reduction::kMean ? static_cast<float>(rows) : 1.f;
  with_plan(c, [&](auto plan) {
    using Plan = decltype(plan);
    launch(cross_entropy_gradient_kernel<Plan, T>, blocks_for(rows, Plan::Team::kRows),
           Plan::Team::kBlockThreads, Plan::template shared_bytes<T, 1>(c), stream,
           matrices({logits}, rows, c, glogits), gloss, labels, lse, glogits,
           static_cast<float>(1 - smoothing), static_cast<float>(smoothing / c),
           reduction == Reduction::kNone, divisor);
  });
}

template void cross_entropy_fwd(const float*, const int64_t*, float*, float*, int64_t, int, double,
                                Reduction, double*, Stream);
template void cross_entropy_bwd(const float*, const float*, const int64_t*, const float*, float*,
                                int64_t, int, double, Reduction, Stream);

}  // namespace fc::cuda
