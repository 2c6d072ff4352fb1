// Kernels whose threads do not wait for each other where they must. `bug` switches the one bug of
// each on. The lines that the emulator has to name carry "finds" and the kernel's name, which
// test_emulator_finds.py reads.
#include "broken.h"
#include "cuda/device/async_copy.h"
#include "cuda/device/warp.h"

namespace fc::selftest {
namespace {

using namespace fc::cuda;

// ---- barriers: y is x turned round, through shared memory

__global__ void missing_barrier(bool bug, const float* x, float* y) {
  float* s = shared_memory<float>();  // (kThreads)
  s[me()] = 0;
  __syncthreads();
  s[me()] = x[me()];  // finds missing_barrier
  if (!bug) __syncthreads();
  y[me()] = s[kThreads - 1 - me()];  // finds missing_barrier
}

__global__ void missing_trailing_barrier(bool bug, const float* x, float* y) {
  float* s = shared_memory<float>();  // (kThreads)
  float sum = 0;
  for (int i = 0; i < 3; ++i) {
    s[me()] = x[me()] + static_cast<float>(i);  // finds missing_trailing_barrier
    __syncthreads();
    sum += s[kThreads - 1 - me()];  // finds missing_trailing_barrier
    if (!bug) __syncthreads();
  }
  y[me()] = sum;
}

__global__ void divergent_barrier(bool bug, const float* x, float* y) {
  if (bug && me() < 32) {
    __syncthreads();  // finds divergent_barrier
  } else {
    __syncthreads();  // finds divergent_barrier
  }
  y[me()] = x[me()];
}

FC_DEVICE void wait_for_all() { __syncthreads(); }  // finds divergent_function

// One line of the source, inlined into two.
__global__ void divergent_function(bool bug, const float* x, float* y) {
  if (bug && me() < 32) {
    wait_for_all();  // finds divergent_function
  } else {
    wait_for_all();  // finds divergent_function
  }
  y[me()] = x[me()];
}

__global__ void early_exit(bool bug, const float* x, float* y) {
  y[me()] = x[me()];
  if (bug && me() >= 40) return;
  __syncthreads();  // finds early_exit
}

__global__ void barrier_beside_shuffle(bool bug, const float* x, float* y) {
  y[me()] = x[me()];
  if (!bug || me() >= 16) {
    y[me()] = shuffle_xor(x[me()], 16);  // finds barrier_beside_shuffle
  }
  __syncthreads();  // finds barrier_beside_shuffle
}

// ---- copies

__global__ void missing_wait(bool bug, const float* x, float* y) {
  float* s = shared_memory<float>();  // (kThreads)
  copy_async<1>(s + me(), x + me());  // finds missing_wait
  commit_copies();
  if (!bug) wait_copies<0>();
  __syncthreads();
  y[me()] = s[kThreads - 1 - me()];  // finds missing_wait
}

__global__ void missing_commit(bool bug, const float* x, float* y) {
  float* s = shared_memory<float>();  // (kThreads)
  copy_async<1>(s + me(), x + me());  // finds missing_commit
  if (!bug) commit_copies();
  wait_copies<0>();
  __syncthreads();
  y[me()] = s[kThreads - 1 - me()];  // finds missing_commit
}

__global__ void wait_for_too_few(bool bug, const float* x, float* y) {
  float* s = shared_memory<float>();  // (2, kThreads)
  copy_async<1>(s + me(), x + me());
  commit_copies();
  copy_async<1>(s + kThreads + me(), x + me());  // finds wait_for_too_few
  commit_copies();
  if (!bug) wait_copies<0>();
  if (bug) wait_copies<1>();
  __syncthreads();
  const int other = kThreads - 1 - me();
  const float first = s[other];
  y[me()] = first + s[kThreads + other];  // finds wait_for_too_few
  wait_copies<0>();
}

__global__ void copies_at_the_end(bool bug, const float* x, float* y) {
  copy_async<1>(shared_memory<float>() + me(), x + me());  // finds copies_at_the_end
  commit_copies();
  if (!bug) wait_copies<0>();
  y[me()] = x[me()];
}

__global__ void missing_barrier_after_wait(bool bug, const float* x, float* y) {
  float* s = shared_memory<float>();  // (kThreads)
  s[me()] = 0;
  __syncthreads();
  copy_async<1>(s + me(), x + me());  // finds missing_barrier_after_wait
  commit_copies();
  wait_copies<0>();
  if (!bug) __syncthreads();
  y[me()] = s[kThreads - 1 - me()];  // finds missing_barrier_after_wait
}

// The second copy goes where others still read the first one.
__global__ void copy_into_a_used_buffer(bool bug, const float* x, float* y) {
  float* s = shared_memory<float>();  // (kThreads)
  float sum = 0;
  for (int i = 0; i < 2; ++i) {
    copy_async<1>(s + me(), x + me());  // finds copy_into_a_used_buffer
    commit_copies();
    wait_copies<0>();
    __syncthreads();
    sum += s[kThreads - 1 - me()];  // finds copy_into_a_used_buffer
    if (!bug) __syncthreads();
  }
  y[me()] = sum;
}

__global__ void copy_past_shared_memory(bool bug, const float* x, float* y) {
  float* s = shared_memory<float>();                   // (kThreads)
  copy_async<1>(bug ? y + me() : s + me(), x + me());  // finds copy_past_shared_memory
  commit_copies();
  wait_copies<0>();
  y[me()] = s[me()];
}

// ---- warps

__global__ void missing_syncwarp(bool bug, const float* x, float* y) {
  float* s = shared_memory<float>();  // (kThreads)
  s[me()] = 0;
  __syncwarp();
  s[me()] = x[me()];  // finds missing_syncwarp
  if (!bug) __syncwarp();
  y[me()] = s[me() ^ 1];  // finds missing_syncwarp
}

__global__ void shuffle_as_barrier(bool bug, const float* x, float* y) {
  float* s = shared_memory<float>();  // (kThreads)
  s[me()] = 0;
  __syncwarp();
  s[me()] = x[me()];  // finds shuffle_as_barrier
  const float sum = warp_reduce(x[me()], Plus());
  if (!bug) __syncwarp();
  y[me()] = s[me() ^ 1] + sum;  // finds shuffle_as_barrier
}

// What orders a warp does not order the block.
__global__ void syncwarp_for_a_block(bool bug, const float* x, float* y) {
  float* s = shared_memory<float>();  // (kThreads)
  s[me()] = 0;
  __syncthreads();
  s[me()] = x[me()];  // finds syncwarp_for_a_block
  __syncwarp();
  if (!bug) __syncthreads();
  y[me()] = s[kThreads - 1 - me()];  // finds syncwarp_for_a_block
}

// Two lanes read in turn, then the second one writes: no race. With the bug the first one reads
// once more.
__global__ void reads_in_turn(bool bug, const float* x, float* y) {
  float* s = shared_memory<float>();  // (kThreads / kWarp)
  const int lane = lane_of_thread(), warp = warp_of_thread();
  if (lane == 0) s[warp] = x[me()];
  __syncwarp();
  float seen = lane == 0 ? s[warp] : 0;
  __syncwarp();
  if (bug && lane == 0) seen = s[warp];  // finds reads_in_turn
  if (lane == 1) seen = s[warp];
  if (lane == 1) s[warp] = seen + 1;  // finds reads_in_turn
  y[me()] = seen;
}

__global__ void exited_lane(bool bug, const float* x, float* y) {
  y[me()] = x[me()];
  if (bug && me() == 7) return;
  y[me()] = shuffle_xor(x[me()], 1);  // finds exited_lane
}

__global__ void mask_without_me(bool bug, const float* x, float* y) {
  const unsigned lanes = bug && me() == 7 ? ~(1u << 7) : kAllLanes;
  y[me()] = shuffle_xor(x[me()], 1, lanes);  // finds mask_without_me
}

__global__ void different_shuffles(bool bug, const float* x, float* y) {
  if (bug && lane_of_thread() < 16) {
    y[me()] = shuffle_down(x[me()], 1);  // finds different_shuffles
  } else {
    y[me()] = shuffle_xor(x[me()], 1);  // finds different_shuffles
  }
}

// ---- blocks

__global__ void blocks_write_the_same(bool bug, const float* x, float* y) {
  const int i = global_index();
  y[i] = x[i];                   // finds blocks_write_the_same
  if (bug && i == 5) y[69] = 0;  // finds blocks_write_the_same
}

template <class T>
FC_DEVICE void write_the_same(bool bug, T* y) {
  // narrower than a word: neighbours are others'
  const int i = global_index();
  y[bug ? i % kThreads : i] = T{1};  // finds blocks_write_the_same_half blocks_write_the_same_byte
}
__global__ void blocks_write_the_same_half(bool bug, const float*, float* y) {
  auto* halves = reinterpret_cast<uint16_t*>(y);
  write_the_same(bug, halves);  // finds blocks_write_the_same_half
  if (global_index() < kThreads) y[kThreads + me()] = 0;
}
__global__ void blocks_write_the_same_byte(bool bug, const float*, float* y) {
  auto* bytes = reinterpret_cast<uint8_t*>(y);
  write_the_same(bug, bytes);  // finds blocks_write_the_same_byte
  if (global_index() < kThreads) y[kThreads + me()] = 0;
  if (global_index() < kThreads / 2) y[kThreads / 2 + me()] = 0;
}

__global__ void block_reads_anothers(bool bug, const float* x, float* y) {
  const int i = global_index();
  y[i] = x[i];                                         // finds block_reads_anothers
  if (bug) y[i] = y[(i + kThreads) % (2 * kThreads)];  // finds block_reads_anothers
}

const Register all[] = {
    {"missing_barrier", on_x_and_y<missing_barrier>},
    {"missing_trailing_barrier", on_x_and_y<missing_trailing_barrier>},
    {"divergent_barrier", on_x_and_y<divergent_barrier>},
    {"divergent_function", on_x_and_y<divergent_function>},
    {"early_exit", on_x_and_y<early_exit>},
    {"barrier_beside_shuffle", on_x_and_y<barrier_beside_shuffle>},
    {"missing_wait", on_x_and_y<missing_wait>},
    {"missing_commit", on_x_and_y<missing_commit>},
    {"wait_for_too_few", on_x_and_y<wait_for_too_few, 1, 2 * kShared>},
    {"copies_at_the_end", on_x_and_y<copies_at_the_end>},
    {"missing_barrier_after_wait", on_x_and_y<missing_barrier_after_wait>},
    {"copy_into_a_used_buffer", on_x_and_y<copy_into_a_used_buffer>},
    {"copy_past_shared_memory", on_x_and_y<copy_past_shared_memory>},
    {"missing_syncwarp", on_x_and_y<missing_syncwarp>},
    {"shuffle_as_barrier", on_x_and_y<shuffle_as_barrier>},
    {"syncwarp_for_a_block", on_x_and_y<syncwarp_for_a_block>},
    {"reads_in_turn", on_x_and_y<reads_in_turn>},
    {"exited_lane", on_x_and_y<exited_lane>},
    {"mask_without_me", on_x_and_y<mask_without_me>},
    {"different_shuffles", on_x_and_y<different_shuffles>},
    {"blocks_write_the_same", on_x_and_y<blocks_write_the_same, 2>},
    {"blocks_write_the_same_half", on_x_and_y<blocks_write_the_same_half, 2>},
    {"blocks_write_the_same_byte", on_x_and_y<blocks_write_the_same_byte, 2>},
    {"block_reads_anothers",
     [](const Arguments& a) {
       fill_zero(a.array<float>(1), 2 * kShared, nullptr);
       on_x_and_y<block_reads_anothers, 2>(a);
     }},
};

}  // namespace
}  // namespace fc::selftest
