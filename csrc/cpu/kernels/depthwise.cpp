// C[i,c] = epilogue(sum_l A[i,l,c] * B[l,c]): depthwise convolution, forward and input gradient.
//
// The job is that of gemm.h with a channel per group and l the taps. Rows are cut into tiles and
// blocks as in gemm_rows.cpp; a tile takes all channels, or a part of them where blocks are few, so
// that memory is read along. How it is cut depends on the shape alone.
#include "cpu/kernels/depth_tile.h"
#include "cpu/kernels/gemm_parts.h"
#include "cpu/kernels/rows.h"
#include "cpu/parallel.h"

namespace fc::FC_ISA {
namespace {

constexpr int64_t kBlockTiles = 8;
constexpr int64_t kWantedTasks = 32;
// of weights that a task goes through for each tile
constexpr int64_t kWeightBytes = int64_t{32} << 10;

template <class T>
struct Plan {
  Taps<T> taps;
  int64_t channels, pitch;       // pitch: channels in whole vectors
  int64_t tiles, block, blocks;  // tiles: all, of a block at most; blocks
  int64_t parts;                 // of the channels
  bool lines_first;
  int64_t zeros, weights, sums;  // workspace, bytes: shared ...
  int64_t table, around;         // ... and per thread

  explicit Plan(const GemmJob<T>& job) : taps(job.a, job.k), channels(job.groups) {
    const Source<T>& a = job.a;
    pitch = round_up(channels, kVw<T>);
    tiles = ceil_div(job.m, kMr);
    lines_first = a.d1 == job.c.d1 && a.d2 == job.c.d2 && a.d2 < kMr && taps.count() > 1;
    const int64_t vectors = pitch / kVw<T>;
    parts = ceil_div(taps.count() * pitch * static_cast<int64_t>(sizeof(T)), kWeightBytes);
    block = kBlockTiles;
    while (block > 2 && ceil_div(tiles, block) * parts < kWantedTasks) block /= 2;
    while (parts < vectors && ceil_div(tiles, block) * parts < kWantedTasks) ++parts;
    if (parts > vectors) parts = vectors;
    blocks = ceil_div(tiles, block);
    block = ceil_div(tiles, blocks);
    const auto bytes = [](int64_t n) { return round_up(n, kAlign); };
    zeros = bytes(pitch * sizeof(T));
    weights = bytes(taps.count() * pitch * sizeof(T));
    sums = job.epilogue.sums ? bytes(blocks * 2 * channels * sizeof(double)) : 0;
    table = bytes(taps.count() * kMr * sizeof(T*)) + bytes(taps.count() * sizeof(int32_t)) +
            bytes(kMr * sizeof(T*));
    around = job.epilogue.sums ? bytes(3 * pitch * sizeof(T)) : 0;
  }
  int64_t tasks() const { return blocks * parts; }
  int64_t shared_bytes() const { return zeros + weights + sums; }
  int64_t thread_bytes() const { return block * table + around; }
};

template <class T>
class Product {
 public:
  Product(const GemmJob<T>& job, int threads, void* workspace)
      : job_(job), plan_(job), threads_(threads) {
    const auto address = reinterpret_cast<uintptr_t>(workspace);
    char* p = reinterpret_cast<char*>((address + kAlign - 1) / kAlign * kAlign);
    zeros_ = reinterpret_cast<T*>(p);
    weights_ = reinterpret_cast<T*>(p + plan_.zeros);
    sums_ = reinterpret_cast<double*>(p + plan_.zeros + plan_.weights);
    buffers_ = p + plan_.shared_bytes();
  }

  void run() {
    zero(zeros_, plan_.pitch);
    pack_weights();
    const int64_t cost = plan_.block * kMr * plan_.pitch / plan_.parts * (job_.k + 4) / kVw<T>;
    parallel(plan_.tasks(), grain_for(cost), threads_, [&](int64_t begin, int64_t end, int thread) {
      Worker(*this, thread).run(begin, end);
    });
    if (job_.epilogue.sums) combine_sums();
  }

 private:
  struct Worker {
    const Product& product;
    const GemmJob<T>& job;
    const Plan<T>& plan;
    char* buffer;
    int64_t block = -1;
    TileRows<T> tiles[kBlockTiles];
    Ahead ahead;

    Worker(const Product& product, int thread)
        : product(product),
          job(product.job_),
          plan(product.plan_),
          buffer(product.buffers_ + thread * plan.thread_bytes()) {}

    void run(int64_t begin, int64_t end) {
      for (int64_t task = begin; task < end; ++task) {
        if (task / plan.parts != block) enter(task / plan.parts);
        multiply_part(task % plan.parts);
      }
    }

    int64_t first_tile() const { return plan.tiles * block / plan.blocks; }
    int64_t last_tile() const { return plan.tiles * (block + 1) / plan.blocks; }
    int64_t first_row(int64_t tile) const { return job.m * tile / plan.tiles; }

    void enter(int64_t new_block) {
      block = new_block;
      const int64_t row = first_row(first_tile());
      Cursor from(job.a, row, job.m, plan.lines_first), to(job.c, row, job.m, plan.lines_first);
      for (int64_t tile = first_tile(); tile < last_tile(); ++tile) {
        TileRows<T>& t = tiles[tile - first_tile()];
        char* p = buffer + (tile - first_tile()) * plan.table;
        t.rows = reinterpret_cast<const T**>(p);
        p += round_up(plan.taps.count() * kMr * sizeof(T*), kAlign);
        t.out = reinterpret_cast<T**>(p);
        t.taps = reinterpret_cast<int32_t*>(p + round_up(kMr * sizeof(T*), kAlign));
        const int64_t count = first_row(tile + 1) - first_row(tile);
        find_rows(job.a, plan.taps, from, count, product.zeros_, static_cast<T*>(nullptr), t);
        find_targets(job.c, to, count, t.out);
      }
      ahead = next_block();
    }

    // What the next block reads and this one does not, over the steps of this block.
    Ahead next_block() const {
      const Source<T>& a = job.a;
      if (plan.lines_first || last_tile() == plan.tiles) return {};
      const int64_t window = (plan.taps.count1 - 1) * a.step1;
      const auto end_of = [&](int64_t tile) {
        const Cursor last(a, first_row(tile < plan.tiles ? tile : plan.tiles) - 1, job.m, false);
        const int64_t h = last.i1 * a.mul1 + a.off1 + (window > 0 ? window : 0);
        const int64_t line = h < 0 ? 0 : h < a.h_end ? h + 1 : a.h_end;
        return a.base + a.offset + last.i0 * a.s0 + line * a.s1;
      };
      const int64_t steps = (last_tile() - first_tile()) * plan.taps.count() * kFetches *
                            (plan.pitch / kVw<T> + 1) / 2;
      return {end_of(last_tile()), end_of(last_tile() + plan.block), steps};
    }

    void multiply_part(int64_t part) {
      const int64_t vectors = plan.pitch / kVw<T>, last = vectors * (part + 1) / plan.parts;
      DepthTile<T> t;
      t.w = product.weights_;
      t.pitch = plan.pitch;
      t.begin = vectors * part / plan.parts * kVw<T>;
      t.end = last == vectors ? plan.channels : last * kVw<T>;
      t.c = job.c.base;
      t.epilogue = &job.epilogue;
      t.around =
          job.epilogue.sums ? reinterpret_cast<T*>(buffer + plan.block * plan.table) : nullptr;
      t.ahead = ahead;
      const int64_t part_end = t.end;
      for (; t.begin < part_end; t.begin += 2 * kVw<T>) {
        t.end = part_end - t.begin < 2 * kVw<T> ? part_end : t.begin + 2 * kVw<T>;
        for (int64_t tile = first_tile(); tile < last_tile(); ++tile) {
          t.rows = tiles[tile - first_tile()];
          t.first = tile == first_tile();
          depth_tile_of(static_cast<int>(first_row(tile + 1) - first_row(tile)), t);
        }
      }
      t.begin = vectors * part / plan.parts * kVw<T>;
      ahead = t.ahead;
      if (t.around) store_sums(t);
    }

    // the block's sums in float64, its pivot taken out again
    void store_sums(const DepthTile<T>& t) const {
      const double count = first_row(last_tile()) - first_row(first_tile());
      double* sums = product.sums_ + 2 * block * plan.channels;
      for (int64_t c = t.begin; c < t.end; ++c) {
        const double a = t.around[c], b = t.around[plan.pitch + c];
        sums[c] = count * a + b;
        sums[plan.channels + c] = count * a * a + 2 * a * b + t.around[2 * plan.pitch + c];
      }
    }
  };

  // weights (taps, pitch); a tap of a channel is one element of B
  void pack_weights() const {
    const Source<T>& b = job_.b;
    parallel(job_.k, grain_for(plan_.channels), [&](int64_t begin, int64_t end, int) {
      for (int64_t l = begin; l < end; ++l) {
        const int64_t at = job_.b_by_k ? l / b.d1 * b.s0 + l % b.d1 * b.s1 : l;
        const T* from = b.base + b.offset + at;
        T* to = weights_ + l * plan_.pitch;
        for (int64_t c = 0; c < plan_.channels; ++c) to[c] = from[c * b.group_stride];
        zero(to + plan_.channels, plan_.pitch - plan_.channels);
      }
    });
  }

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
  T* zeros_;       // a pixel outside the image
  T* weights_;     // (taps, pitch)
  double* sums_;   // (blocks, 2, channels)
  char* buffers_;  // per thread: tables of a block's tiles, sums of a block
};

template <class T>
int64_t workspace(const GemmJob<T>& job, int threads) {
  if (job.m == 0 || job.groups == 0) return 0;
  const Plan<T> p(job);
  return kAlign + p.shared_bytes() + threads * p.thread_bytes();
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
void depthwise_product(const GemmJob<float>& job, int threads, void* ws) {
  product(job, threads, ws);
}
void depthwise_product(const GemmJob<double>& job, int threads, void* ws) {
  product(job, threads, ws);
}

}  // namespace fc::FC_ISA
