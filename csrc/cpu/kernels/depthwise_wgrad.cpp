// C[l,c] = sum_i A[i,c] * B[i,l,c]: the gradient by w of a depthwise convolution.
//
// The job is that of gemm.h with a channel per group, i the pixels of the result and l the taps. A
// task sums a block of bands for a part of the channels (depth_bands.h), blocks are added in order:
// the shape alone fixes both.
//
// Error bound: |gw - gw64| <= c * sqrt(L) * eps * sum |a b| with c = 1: the products of a patch are
// summed in order, then the patches of a block, then the blocks.
#include "cpu/kernels/depth_bands.h"
#include "cpu/kernels/depth_sums.h"
#include "cpu/kernels/gemm_parts.h"
#include "cpu/kernels/pack.h"
#include "cpu/parallel.h"

namespace fc::FC_ISA {
namespace {

template <class T>
struct Plan {
  Bands<T> bands;
  DepthTasks tasks;
  int64_t zeros, totals;  // workspace, bytes: shared ...
  int64_t table, inside;  // ... and per thread

  explicit Plan(const GemmJob<T>& job) : bands(job.b, job.n, job.k, job.groups), tasks(bands) {
    zeros = round_up(bands.pitch * sizeof(T), kAlign);
    totals = round_up(tasks.blocks * job.n * bands.pitch * sizeof(T), kAlign);
    table = bands.table_bytes();
    inside = bands.inside_bytes();
  }
  int64_t shared_bytes() const { return zeros + totals; }
  int64_t thread_bytes() const { return table + inside; }
};

template <class T>
class Product {
 public:
  Product(const GemmJob<T>& job, int threads, void* workspace)
      : job_(job), plan_(job), threads_(threads) {
    char* p = aligned(workspace);
    zeros_ = reinterpret_cast<T*>(p);
    totals_ = reinterpret_cast<T*>(p + plan_.zeros);
    buffers_ = p + plan_.shared_bytes();
  }

  void run() {
    zero(zeros_, plan_.bands.pitch);
    const int64_t tasks = plan_.tasks.count(), parts = plan_.tasks.parts;
    const int64_t cost = tasks > 0 ? job_.k * plan_.bands.pitch / tasks * (job_.n + 4) / kVw<T> : 1;
    parallel(tasks, grain_for(cost), threads_, [&](int64_t begin, int64_t end, int thread) {
      Worker worker(*this, buffers_ + thread * plan_.thread_bytes());
      for (int64_t i = begin; i < end; ++i) worker.run(i / parts, i % parts);
    });
    combine();
  }

 private:
  struct Worker {
    const Product& product;
    const GemmJob<T>& job;
    char* buffer;
    SumPatch<T> t;

    Worker(const Product& product, char* buffer)
        : product(product), job(product.job_), buffer(buffer), t(product.plan_.bands) {}

    void run(int64_t block, int64_t part) {
      const DepthTasks& tasks = product.plan_.tasks;
      t.begin = tasks.first_channel(part);
      t.end = tasks.last_channel(part);
      t.total = product.totals_ + block * job.n * t.pitch;
      const int64_t whole = round_up(t.end - t.begin, kVw<T>);
      for (int64_t l = 0; l < job.n; ++l) zero(t.total + l * t.pitch + t.begin, whole);
      for (int64_t i = tasks.first_band(block); i < tasks.first_band(block + 1); ++i) add_band(i);
    }

    void add_band(int64_t band) {
      const Source<T>& s = job.b;
      const Bands<T>& bands = product.plan_.bands;
      const int64_t pixel = job.a.s2, width = s.d2 * pixel;
      for_patches(bands, band, product.zeros_, buffer, t,
                  [&](int64_t image, int64_t line, int64_t rows, int64_t column, int columns) {
                    const T* gy = job.a.base + job.a.offset + (image * s.d1 + line) * width;
                    const T** to = t.g;
                    for (int64_t i = 0; i < rows; ++i) {
                      for (int j = 0; j < columns; ++j)
                        *to++ = gy + i * width + (column + j) * pixel;
                    }
                    run_patch<DepthSums>(bands, rows, columns, t);
                  });
    }
  };

  // C = the blocks' totals, in order
  void combine() const {
    constexpr int64_t kChannels = 64;
    const int64_t pitch = plan_.bands.pitch, blocks = plan_.tasks.blocks;
    const Target<T>& c = job_.c;
    parallel(ceil_div(job_.groups, kChannels), grain_for((blocks + 4) * job_.n * kChannels),
             [&](int64_t begin, int64_t end, int) {
               for (int64_t i = begin; i < end; ++i) {
                 const int64_t first = i * kChannels, left = job_.groups - first;
                 const int64_t count = left < kChannels ? left : kChannels;
                 for (int64_t l = 0; l < job_.n; ++l) {
                   T sums[kChannels] = {};
                   for (int64_t block = 0; block < blocks; ++block) {
                     const T* from = totals_ + (block * job_.n + l) * pitch + first;
                     for (int64_t j = 0; j < count; ++j) sums[j] += from[j];
                   }
                   T* to = c.base + c.offset + first * c.group_stride + l;
                   for (int64_t j = 0; j < count; ++j) to[j * c.group_stride] = sums[j];
                 }
               }
             });
  }

  const GemmJob<T>& job_;
  const Plan<T> plan_;
  const int threads_;
  T* zeros_;       // a pixel outside the image
  T* totals_;      // (blocks, taps, pitch)
  char* buffers_;  // per thread: table of a band's pixels
};

}  // namespace

GemmWays depthwise_wgrad_way() {
  return {way_of<Plan<float>, Product<float>, float>(),
          way_of<Plan<double>, Product<double>, double>()};
}

}  // namespace fc::FC_ISA
