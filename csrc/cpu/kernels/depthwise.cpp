// C[i,c] = epilogue(sum_l A[i,l,c] * B[l,c]): depthwise convolution, forward and input gradient.
//
// The job is that of gemm.h with a channel per group and l the taps. How it is cut into tasks
// (depth_bands.h) depends on the shape alone.
#include "cpu/kernels/block_sums.h"
#include "cpu/kernels/depth_bands.h"
#include "cpu/kernels/depth_patch.h"
#include "cpu/kernels/gemm_parts.h"
#include "cpu/kernels/pack.h"
#include "cpu/parallel.h"

namespace fc::FC_ISA {
namespace {

template <class T>
struct Plan {
  Bands<T> bands;
  DepthTasks tasks;
  bool stream;                    // the result is written past the caches
  int64_t zeros, weights, sums;   // workspace, bytes: shared ...
  int64_t table, inside, around;  // ... and per thread

  explicit Plan(const GemmJob<T>& job) : bands(job.a, job.k, job.m, job.groups), tasks(bands) {
    const Target<T>& c = job.c;
    stream = bands.pitch == bands.channels &&
             streams_rows<T>(job.m * job.groups, 1, c.base + c.offset, c.s0, c.s1, c.s2);
    const auto bytes = [](int64_t n) { return round_up(n, kAlign); };
    zeros = bytes(bands.pitch * sizeof(T));
    weights = job.packed_b ? 0 : bytes(job.k * bands.pitch * sizeof(T));
    sums = job.epilogue.sums ? bytes(tasks.blocks * 2 * bands.channels * sizeof(double)) : 0;
    table = bands.table_bytes();
    inside = bands.inside_bytes();
    around = job.epilogue.sums ? bytes(3 * bands.pitch * sizeof(T)) : 0;
  }
  int64_t shared_bytes() const { return zeros + weights + sums; }
  int64_t thread_bytes() const { return table + inside + around; }
};

// packed (taps, pitch), taps forwards; a tap of a channel is one element of B
template <class T>
void pack(const GemmJob<T>& job, T* packed) {
  constexpr int64_t kChannels = 64;
  const Source<T>&a = job.a, &b = job.b;
  const int64_t taps1 = job.k / a.taps2, pitch = round_up(job.groups, kVw<T>);
  parallel(ceil_div(pitch, kChannels), grain_for(job.k * kChannels * 4),
           [&](int64_t begin, int64_t end, int) {
             for (int64_t block = begin; block < end; ++block) {
               const int64_t first = block * kChannels;
               const int64_t last = least(first + kChannels, job.groups);
               for (int64_t l = 0; l < job.k; ++l) {
                 const int64_t at = job.b_by_k ? l / b.d1 * b.s0 + l % b.d1 * b.s1 : l;
                 const T* from = b.base + b.offset + at;
                 const int64_t r = l / a.taps2, s = l % a.taps2;
                 T* to = packed + ((a.step1 < 0 ? taps1 - 1 - r : r) * a.taps2 +
                                   (a.step2 < 0 ? a.taps2 - 1 - s : s)) *
                                      pitch;
                 for (int64_t c = first; c < last; ++c) to[c] = from[c * b.group_stride];
                 zero(to + last, least(first + kChannels, pitch) - last);
               }
             }
           });
}

template <class T>
class Product {
 public:
  Product(const GemmJob<T>& job, int threads, void* workspace)
      : job_(job), plan_(job), threads_(threads) {
    char* p = aligned(workspace);
    zeros_ = reinterpret_cast<T*>(p);
    weights_ = job.packed_b ? job.packed_b : reinterpret_cast<T*>(p + plan_.zeros);
    sums_ = reinterpret_cast<double*>(p + plan_.zeros + plan_.weights);
    buffers_ = p + plan_.shared_bytes();
  }

  void run() {
    zero(zeros_, plan_.bands.pitch);
    if (!job_.packed_b) pack(job_, const_cast<T*>(weights_));
    const int64_t tasks = plan_.tasks.count(), parts = plan_.tasks.parts;
    const int64_t cost = job_.m * plan_.bands.pitch / tasks * (job_.k + 4) / kVw<T>;
    parallel(tasks, grain_for(cost), threads_, [&](int64_t begin, int64_t end, int thread) {
      Worker worker(*this, buffers_ + thread * plan_.thread_bytes());
      for (int64_t i = begin; i < end; ++i) worker.run(i / parts, i % parts);
      if (plan_.stream) stream_fence();
    });
    if (job_.epilogue.sums) {
      const int64_t count = 2 * plan_.bands.channels;
      combine_block_sums(sums_, plan_.tasks.blocks, count, job_.epilogue.sums);
    }
  }

 private:
  struct Worker {
    const Product& product;
    const GemmJob<T>& job;
    const Bands<T>& bands;
    char* buffer;
    ProductPatch<T> t;
    int64_t pixels = 0;  // summed around the pivot so far

    Worker(const Product& product, char* buffer)
        : product(product),
          job(product.job_),
          bands(product.plan_.bands),
          buffer(buffer),
          t(bands) {
      const Plan<T>& plan = product.plan_;
      t.w = product.weights_;
      t.stream = plan.stream;
      t.c = job.c.base;
      t.epilogue = &job.epilogue;
      t.around = plan.around ? reinterpret_cast<T*>(buffer + plan.table + plan.inside) : nullptr;
    }

    void run(int64_t block, int64_t part) {
      const DepthTasks& tasks = product.plan_.tasks;
      t.begin = tasks.first_channel(part);
      t.end = tasks.last_channel(part);
      double* sums = product.sums_ + 2 * block * bands.channels;
      if (t.around) {
        zero(sums + t.begin, t.end - t.begin);
        zero(sums + bands.channels + t.begin, t.end - t.begin);
      }
      for (int64_t i = tasks.first_band(block); i < tasks.first_band(block + 1); ++i) {
        multiply_band(i, sums);
      }
      if (t.around && pixels > 0) keep_sums(sums);
      pixels = 0;
    }

    void multiply_band(int64_t band, double* sums) {
      const Target<T>& c = job.c;
      for_patches(bands, band, product.zeros_, buffer, t,
                  [&](int64_t image, int64_t line, int64_t rows, int64_t column, int columns) {
                    T* out = c.base + c.offset + image * c.s0 + line * c.s1 + column * c.s2;
                    T** to = t.out;
                    for (int64_t i = 0; i < rows; ++i) {
                      for (int j = 0; j < columns; ++j) *to++ = out + i * c.s1 + j * c.s2;
                    }
                    t.first = pixels == 0;
                    run_patch<DepthProduct>(bands, rows, columns, t);
                    pixels += rows * columns;
                    if (t.around && pixels >= kPivotRows) keep_sums(sums);
                  });
    }

    void keep_sums(double* sums) {
      add_to_sums(t.around + t.begin, bands.pitch, pixels, t.end - t.begin, sums + t.begin,
                  sums + bands.channels + t.begin);
      pixels = 0;
    }
  };

  const GemmJob<T>& job_;
  const Plan<T> plan_;
  const int threads_;
  T* zeros_;          // a pixel outside the image
  const T* weights_;  // (taps, pitch)
  double* sums_;      // (blocks, 2, channels)
  char* buffers_;     // per thread: table of a band's pixels, sums of a block
};

template <class T>
int64_t packed_elements(const GemmJob<T>& job) {
  return job.k * round_up(job.groups, kVw<T>);
}

template <class T>
GemmWay<T> way() {
  GemmWay<T> way = way_of<Plan<T>, Product<T>, T>();
  way.packed_elements = packed_elements<T>;
  way.pack = pack<T>;
  return way;
}

}  // namespace

GemmWays depthwise_way() { return {way<float>(), way<double>()}; }

}  // namespace fc::FC_ISA
