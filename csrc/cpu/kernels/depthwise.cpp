// C[i,c] = epilogue(sum_l A[i,l,c] * B[l,c]): depthwise convolution, forward and input gradient.
//
// The job is that of gemm.h with a channel per group and l the taps. The lines of the result are
// cut into bands of kPatchRows, bands into patches, and the channels into parts whose weights stay
// in the first-level cache. Bands that follow each other are a block: a task is a block of one
// part. How it is cut depends on the shape alone.
#include "cpu/cache.h"
#include "cpu/kernels/depth_patch.h"
#include "cpu/kernels/gemm_parts.h"
#include "cpu/kernels/pack.h"
#include "cpu/parallel.h"

namespace fc::FC_ISA {
namespace {

constexpr int64_t kWantedTasks = 32;
// of channels that a part has at least, only to make more tasks: a patch costs something by itself
constexpr int64_t kPartVectors = 4;
// of weights that a task goes through for each patch
constexpr int64_t kWeightBytes = int64_t{24} << 10;

int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

template <class T>
struct Plan {
  int64_t taps1, taps2;
  int64_t step1, step2;     // between taps, down and along the image; taps are walked forwards
  int64_t off1, off2;       // of the first one
  bool special;             // the window has instances of its own
  int64_t rows;             // of a patch
  int64_t images, bands;    // bands: of an image
  int64_t columns;          // of the image that a line of windows reaches
  int64_t channels, pitch;  // pitch: channels in whole vectors
  int64_t parts, blocks;
  bool far;                       // the image and the result are more than the caches hold
  int64_t zeros, weights, sums;   // workspace, bytes: shared ...
  int64_t table, inside, around;  // ... and per thread

  explicit Plan(const GemmJob<T>& job) : channels(job.groups) {
    const Source<T>& a = job.a;
    taps2 = a.taps2;
    taps1 = job.k / taps2;
    step1 = magnitude(a.step1);
    step2 = magnitude(a.step2);
    off1 = a.off1 + (a.step1 < 0 ? (taps1 - 1) * a.step1 : 0);
    off2 = a.off2 + (a.step2 < 0 ? (taps2 - 1) * a.step2 : 0);
    images = job.m / (a.d1 * a.d2);
    far = outgrows_cache((images * a.s0 + job.m * channels) * sizeof(T) * 2 / 3);
    // a line of one, two or five pixels cannot be cut into threes and fours
    const bool cuts = a.d2 == 3 || a.d2 == 4 || a.d2 > 5;
    special = cuts && (step2 == 1 || taps2 == 1) && has_patch(taps2, a.mul2);
    rows = special ? kPatchRows : 1;
    bands = ceil_div(a.d1, rows);
    columns = (a.d2 - 1) * a.mul2 + (taps2 - 1) * step2 + 1;
    pitch = round_up(channels, kVw<T>);
    const int64_t vectors = pitch / kVw<T>, all = images * bands;
    parts = ceil_div(taps1 * taps2 * pitch * static_cast<int64_t>(sizeof(T)), kWeightBytes);
    if (parts < 1) parts = 1;
    blocks = ceil_div(kWantedTasks, parts);
    if (blocks > all) blocks = all;
    while (vectors / (parts + 1) >= kPartVectors && blocks * parts < kWantedTasks) ++parts;
    if (parts > vectors) parts = vectors;
    const auto bytes = [](int64_t n) { return round_up(n, kAlign); };
    zeros = bytes(pitch * sizeof(T));
    weights = job.packed_b ? 0 : bytes(taps1 * taps2 * pitch * sizeof(T));
    sums = job.epilogue.sums ? bytes(blocks * 2 * channels * sizeof(double)) : 0;
    table = bytes(rows * taps1 * columns * sizeof(T*));
    inside = bytes(rows * taps1 * sizeof(bool));
    around = job.epilogue.sums ? bytes(3 * pitch * sizeof(T)) : 0;
  }
  static int64_t magnitude(int64_t a) { return a < 0 ? -a : a; }
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
    const auto address = reinterpret_cast<uintptr_t>(workspace);
    char* p = reinterpret_cast<char*>((address + kAlign - 1) / kAlign * kAlign);
    zeros_ = reinterpret_cast<T*>(p);
    weights_ = job.packed_b ? job.packed_b : reinterpret_cast<T*>(p + plan_.zeros);
    sums_ = reinterpret_cast<double*>(p + plan_.zeros + plan_.weights);
    buffers_ = p + plan_.shared_bytes();
  }

  void run() {
    zero(zeros_, plan_.pitch);
    if (!job_.packed_b) pack(job_, const_cast<T*>(weights_));
    const int64_t tasks = plan_.blocks * plan_.parts;
    const int64_t cost = job_.m * plan_.pitch / tasks * (job_.k + 4) / kVw<T>;
    parallel(tasks, grain_for(cost), threads_, [&](int64_t begin, int64_t end, int thread) {
      Worker worker(*this, buffers_ + thread * plan_.thread_bytes());
      for (int64_t i = begin; i < end; ++i) worker.run(i / plan_.parts, i % plan_.parts);
    });
    if (job_.epilogue.sums) combine_sums();
  }

 private:
  struct Worker {
    const Product& product;
    const GemmJob<T>& job;
    const Plan<T>& plan;
    const T** table;  // (rows, taps1, columns)
    bool* inside;     // (rows, taps1)
    Patch<T> t;

    Worker(const Product& product, char* buffer)
        : product(product), job(product.job_), plan(product.plan_) {
      table = reinterpret_cast<const T**>(buffer);
      inside = reinterpret_cast<bool*>(buffer + plan.table);
      t.inside = inside;
      t.width = plan.columns;
      t.taps1 = plan.taps1;
      t.taps2 = plan.taps2;
      t.mul2 = job.a.mul2;
      t.step2 = plan.step2;
      t.w = product.weights_;
      t.pitch = plan.pitch;
      t.c = job.c.base;
      t.epilogue = &job.epilogue;
      t.around = plan.around ? reinterpret_cast<T*>(buffer + plan.table + plan.inside) : nullptr;
    }

    void run(int64_t block, int64_t part) {
      const int64_t vectors = plan.pitch / kVw<T>, last = vectors * (part + 1) / plan.parts;
      t.begin = vectors * part / plan.parts * kVw<T>;
      t.end = last == vectors ? plan.channels : last * kVw<T>;
      t.first = true;
      const int64_t all = plan.images * plan.bands;
      const int64_t begin = all * block / plan.blocks, end = all * (block + 1) / plan.blocks;
      int64_t pixels = 0;
      for (int64_t band = begin; band < end; ++band) {
        pixels += multiply_band(band / plan.bands, band % plan.bands);
      }
      if (t.around) store_sums(block, pixels);
    }

    // Returns the band's pixels.
    int64_t multiply_band(int64_t image, int64_t band) {
      const Source<T>& a = job.a;
      const int64_t line = a.d1 * band / plan.bands;
      const int rows = static_cast<int>(a.d1 * (band + 1) / plan.bands - line);
      find_pixels(image, line, rows);
      t.ahead = next_band(image, line, rows);
      const Target<T>& c = job.c;
      T* out = c.base + c.offset + image * c.s0 + line * c.s1;
      for (int64_t column = 0; column < a.d2;) {
        const int columns = width_at(column);
        t.x = table + column * a.mul2;
        T** to = t.out;
        for (int i = 0; i < rows; ++i) {
          for (int j = 0; j < columns; ++j) *to++ = out + i * c.s1 + (column + j) * c.s2;
        }
        patch_by_window(plan.special, rows, columns, t);
        t.first = false;
        column += columns;
      }
      return rows * a.d2;
    }

    // What the next band reads and this one does not, over the patches of this one.
    Ahead next_band(int64_t image, int64_t line, int rows) const {
      const Source<T>& a = job.a;
      if (!plan.far || t.begin > 0 || line + rows + plan.rows > a.d1) return {};
      const int64_t h = (line + rows - 1) * a.mul1 + plan.off1 + (plan.taps1 - 1) * plan.step1 + 1;
      const int64_t end = h + rows * a.mul1 < a.h_end ? h + rows * a.mul1 : a.h_end;
      if (h < 0 || h >= end) return {};
      const T* from = a.base + a.offset + image * a.s0;
      const int64_t steps = ceil_div(a.d2, kPatchColumns) * ceil_div(t.end - t.begin, 2 * kVw<T>);
      return {from + h * a.s1, from + end * a.s1, steps};
    }

    // Of the patch that begins at this column: as many fours as leave only threes.
    int width_at(int64_t column) const {
      const int64_t left = job.a.d2 - column;
      if (!plan.special) return left < kPatchColumns ? 1 : kPatchColumns;
      const int64_t threes = (kPatchColumns - left % kPatchColumns) % kPatchColumns;
      return left > threes * (kPatchColumns - 1) ? kPatchColumns : kPatchColumns - 1;
    }

    void find_pixels(int64_t image, int64_t line, int rows) {
      const Source<T>& a = job.a;
      const T** to = table;
      for (int64_t i = 0; i < rows * plan.taps1; ++i, to += plan.columns) {
        const int64_t h =
            (line + i / plan.taps1) * a.mul1 + plan.off1 + i % plan.taps1 * plan.step1;
        inside[i] = h >= 0 && h < a.h_end;
        const int64_t left = inside[i] ? clamp(-plan.off2) : plan.columns;
        const int64_t right = inside[i] ? clamp(a.w_end - plan.off2) : plan.columns;
        for (int64_t j = 0; j < left; ++j) to[j] = product.zeros_;
        const T* from = a.base + a.offset + image * a.s0 + h * a.s1 + plan.off2 * a.s2;
        for (int64_t j = left; j < right; ++j) to[j] = from + j * a.s2;
        for (int64_t j = right; j < plan.columns; ++j) to[j] = product.zeros_;
      }
    }
    int64_t clamp(int64_t column) const {
      return column < 0 ? 0 : column < plan.columns ? column : plan.columns;
    }

    // the block's sums in float64, its pivot taken out again
    void store_sums(int64_t block, double count) const {
      double* sums = product.sums_ + 2 * block * plan.channels;
      for (int64_t c = t.begin; c < t.end; ++c) {
        const double a = t.around[c], b = t.around[plan.pitch + c];
        sums[c] = count * a + b;
        sums[plan.channels + c] = count * a * a + 2 * a * b + t.around[2 * plan.pitch + c];
      }
    }
  };

  // The blocks' sums, in order.
  void combine_sums() const {
    const int64_t count = 2 * plan_.channels;
    zero(job_.epilogue.sums, count);
    for (int64_t block = 0; block < plan_.blocks; ++block) {
      for (int64_t i = 0; i < count; ++i) job_.epilogue.sums[i] += sums_[block * count + i];
    }
  }

  const GemmJob<T>& job_;
  const Plan<T> plan_;
  const int threads_;
  T* zeros_;          // a pixel outside the image
  const T* weights_;  // (taps, pitch)
  double* sums_;      // (blocks, 2, channels)
  char* buffers_;     // per thread: table of a band's pixels, sums of a block
};

template <class T>
int64_t workspace(const GemmJob<T>& job, int threads) {
  if (job.m == 0 || job.groups == 0) return 0;
  const Plan<T> p(job);
  return kAlign + p.shared_bytes() + threads * p.thread_bytes();
}

template <class T>
int64_t packed_elements(const GemmJob<T>& job) {
  return job.k * round_up(job.groups, kVw<T>);
}

template <class T>
void product(const GemmJob<T>& job, int threads, void* workspace) {
  if (job.m == 0 || job.groups == 0) {
    if (job.epilogue.sums) zero(job.epilogue.sums, 2 * job.groups);
    return;
  }
  Product<T>(job, threads, workspace).run();
}

}  // namespace

int64_t depthwise_workspace(const GemmJob<float>& job, int threads) {
  return workspace(job, threads);
}
int64_t depthwise_workspace(const GemmJob<double>& job, int threads) {
  return workspace(job, threads);
}
int64_t depthwise_packed_elements(const GemmJob<float>& job) { return packed_elements(job); }
int64_t depthwise_packed_elements(const GemmJob<double>& job) { return packed_elements(job); }
void depthwise_pack(const GemmJob<float>& job, float* packed) { pack(job, packed); }
void depthwise_pack(const GemmJob<double>& job, double* packed) { pack(job, packed); }
void depthwise_product(const GemmJob<float>& job, int threads, void* ws) {
  product(job, threads, ws);
}
void depthwise_product(const GemmJob<double>& job, int threads, void* ws) {
  product(job, threads, ws);
}

}  // namespace fc::FC_ISA
