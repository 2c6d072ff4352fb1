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
    const Bands<T>& bands;
    const DepthTasks& tasks;
    const T** table;
    bool* inside;
    SumPatch<T> t;

    Worker(const Product& product, char* buffer)
        : product(product),
          job(product.job_),
          bands(product.plan_.bands),
          tasks(product.plan_.tasks) {
      table = reinterpret_cast<const T**>(buffer);
      inside = reinterpret_cast<bool*>(buffer + product.plan_.table);
      t.inside = inside;
      t.width = bands.columns;
      t.taps1 = bands.taps1;
      t.taps2 = bands.taps2;
      t.mul2 = job.b.mul2;
      t.step2 = bands.step2;
      t.pitch = bands.pitch;
    }

    void run(int64_t block, int64_t part) {
      t.begin = tasks.first_channel(part);
      t.end = tasks.last_channel(part);
      t.total = product.totals_ + block * job.n * t.pitch;
      const int64_t whole = round_up(t.end - t.begin, kVw<T>);
      for (int64_t l = 0; l < job.n; ++l) zero(t.total + l * t.pitch + t.begin, whole);
      for (int64_t i = tasks.first_band(block); i < tasks.first_band(block + 1); ++i) {
        add_band(i / bands.count, i % bands.count);
      }
    }

    void add_band(int64_t image, int64_t band) {
      const Source<T>& s = job.b;
      const int64_t line = bands.first_line(band), rows = bands.first_line(band + 1) - line;
      bands.find_pixels(image, line, rows, product.zeros_, table, inside);
      t.ahead = {};
      if (t.begin == 0) {
        t.ahead = bands.next_band(image, line, rows, ceil_div(t.end - t.begin, kVw<T>));
      }
      const T* gy = job.a.base + job.a.offset + (image * s.d1 + line) * s.d2 * job.a.s2;
      for (int64_t column = 0; column < s.d2;) {
        const int columns = bands.width_at(column);
        t.x = table + column * s.mul2;
        const T** to = t.g;
        for (int64_t i = 0; i < rows; ++i) {
          for (int j = 0; j < columns; ++j) *to++ = gy + (i * s.d2 + column + j) * job.a.s2;
        }
        run_patch<DepthSums>(bands, rows, columns, t);
        column += columns;
      }
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

template <class T>
int64_t workspace(const GemmJob<T>& job, int threads) {
  return workspace_bytes(Plan<T>(job), threads);
}

template <class T>
void product(const GemmJob<T>& job, int threads, void* workspace) {
  Product<T>(job, threads, workspace).run();
}

}  // namespace

GemmWays depthwise_wgrad_way() {
  return {{workspace<float>, product<float>}, {workspace<double>, product<double>}};
}

}  // namespace fc::FC_ISA
