// Kernels that touch what they must not, compute what int cannot hold, or ask for too much. `bug`
// switches the one bug of each on. The lines that the emulator has to name carry "finds" and the
// kernel's name, which test_emulator_finds.py reads.
#include <vector>

#include "broken.h"
#include "cuda/device/vector.h"
#include "emulator/memory.h"

namespace fc::selftest {
namespace {

using namespace fc::cuda;

// ---- bounds

template <int kOffset>
__global__ void read_outside(bool bug, const float* x, float* y) {
  y[me()] = x[me() + (bug ? kOffset : 0)];  // finds read_before read_after read_far
}

template <int kOffset>
__global__ void write_outside(bool bug, const float* x, float* y) {
  y[me()] = x[me()];
  if (bug && me() == 0) y[kOffset] = 0;  // finds write_before write_after write_far
}

template <int kOffset>
__global__ void shared_outside(bool bug, const float* x, float* y) {
  float* s = shared_memory<float>();        // (kThreads)
  s[me() + (bug ? kOffset : 0)] = x[me()];  // finds shared_before shared_after shared_far
  y[me()] = 1;
}

__global__ void vector_past_the_end(bool bug, const float* x, float* y) {
  const int i = me() / 4 * 4 + (bug ? 4 : 0);
  y[me()] = load<4>(x + i)[me() % 4];  // finds vector_past_the_end
}

__global__ void local_array(bool bug, const float* x, float* y) {
  float few[4];
  for (int i = 0; i < 4; ++i) few[i] = x[i];
  y[me()] = few[me() % (bug ? 5 : 4)];  // finds local_array
}

// ---- alignment

__global__ void misaligned_load(bool bug, const float* x, float* y) {
  y[me()] = load<4>(x + 4 * (me() % 8) + (bug ? 1 : 0))[0];  // finds misaligned_load
}

__global__ void misaligned_store(bool bug, const float*, float* y) {
  const int i = 4 * me() + (bug ? 2 : 0);
  if (me() < 8) store(y + i, Vec<float, 4>::all(0));  // finds misaligned_store
  if (me() >= 32) y[me()] = 0;
}

__global__ void misaligned_shared_load(bool bug, const float* x, float* y) {
  float* s = shared_memory<float>();  // (kThreads)
  s[me()] = x[me()];
  __syncthreads();
  y[me()] = load<2>(s + 2 * (me() % 8) + (bug ? 1 : 0))[0];  // finds misaligned_shared_load
}

// ---- whose memory

__global__ void write_into_input(bool bug, const float* x, float* y) {
  y[me()] = x[me()];
  if (bug) const_cast<float*>(x)[me()] = 0;  // finds write_into_input
}

__global__ void null_pointer(bool bug, const float* x, float* y) {
  const float* from = bug ? nullptr : x;
  y[me()] = from[me()];  // finds null_pointer
}

__global__ void read_from(const float* x, float* y) {
  y[me()] = x[me()];  // finds host_pointer static_pointer
}
__global__ void write_to(float* to, float* y) {
  y[me()] = 0;
  to[me()] = 0;  // finds write_to_constant
}

__global__ void anothers_local(bool bug, const float* x, float* y) {
  auto** s = shared_memory<const volatile float*>();  // (1)
  volatile float mine = x[me()];
  if (me() == 0) s[0] = &mine;
  __syncthreads();
  const volatile float* from = bug ? s[0] : &mine;
  y[me()] = *from;  // finds anothers_local
  __syncthreads();
}

// ---- what nobody wrote

__global__ void uninitialised_shared(bool bug, const float* x, float* y) {
  float* s = shared_memory<float>();  // (kThreads)
  if (!bug || me() != 9) s[me()] = x[me()];
  __syncthreads();
  y[me()] = s[kThreads - 1 - me()];  // finds uninitialised_shared
}

// A byte beside written ones.
__global__ void uninitialised_shared_byte(bool bug, const float* x, float* y) {
  auto* s = shared_memory<uint8_t>();  // (kThreads)
  if (!bug || me() != 9) s[me()] = static_cast<uint8_t>(x[me()]);
  __syncthreads();
  y[me()] = s[kThreads - 1 - me()];  // finds uninitialised_shared_byte
}

// What a block leaves in shared memory is not there for the next one.
__global__ void shared_of_the_last_block(bool bug, const float* x, float* y) {
  float* s = shared_memory<float>();  // (kThreads)
  if (!bug) s[me()] = x[global_index()];
  y[global_index()] = s[me()];  // finds shared_of_the_last_block
  s[me()] = 1;
}

__global__ void read_output(bool bug, const float* x, float* y) {
  if (!bug) y[me()] = x[me()];
  y[me()] = y[me()] + 1;  // finds read_output
}

__global__ void unwritten_output(bool bug, const float* x, float* y) {
  if (!bug || me() != 13) y[me()] = x[me()];
}

// ---- arithmetic

__global__ void index_overflow(bool bug, const float* x, float* y) {
  const int rows = bug ? 70000 : 7, row = me() + rows;
  const int64_t at = row * rows;  // finds index_overflow
  y[me()] = x[at % kThreads];
}

__global__ void wide_shift(bool bug, const float* x, float* y) {
  const int distance = me() % (bug ? 33 : 32);
  const int bit = static_cast<int>(1u << distance);  // finds wide_shift
  y[me()] = x[me()] + static_cast<float>(bit);
}

__global__ void division_by_zero(bool bug, const float* x, float* y) {
  const int divisor = bug ? me() / 2 : me() / 2 + 1;
  y[me()] = x[me()] + static_cast<float>(100 / divisor);  // finds division_by_zero
}

// ---- the stack: it ends at any of these lines

__attribute__((noinline)) int deep(int n) {  // finds endless_recursion
  volatile int here[64] = {n};               // finds endless_recursion
  return n ? deep(n - 1) + here[n % 64] : 0;
}
__global__ void endless_recursion(bool bug, const float* x, float* y) {
  y[me()] = x[me()] + static_cast<float>(deep(bug ? 1 << 20 : 3));
}

__attribute__((noinline)) float large(const float* x) {  // finds large_frame
  volatile float here[1 << 16];                          // finds large_frame
  here[0] = x[0];
  return here[0];
}
__global__ void large_frame(bool bug, const float* x, float* y) { y[me()] = bug ? large(x) : x[0]; }

// ---- launches

// numbers: bug, then the launch
template <bool kManyThreads, bool kManyBlocks, bool kMuchShared>
void launch_too_much(const Arguments& a) {
  const bool bug = a.number(0) != 0;
  const dim3 grid = kManyBlocks ? dim3(1, bug ? 65536 : 1) : 1;
  const dim3 block = kManyThreads && bug ? dim3(kThreads, 17) : kThreads;
  const size_t bytes = kMuchShared && bug ? (size_t{99} << 10) + 1 : 0;
  launch(unwritten_output, grid, block, bytes, nullptr, false, a.array<float>(0),
         a.array<float>(1));
}

const Register all[] = {
    {"read_before", on_x_and_y<read_outside<-1>>},
    {"read_after", on_x_and_y<read_outside<1>>},
    {"read_far", on_x_and_y<read_outside<10000>>},
    {"write_before", on_x_and_y<write_outside<-1>>},
    {"write_after", on_x_and_y<write_outside<kThreads>>},
    {"write_far", on_x_and_y<write_outside<-10000>>},
    {"shared_before", on_x_and_y<shared_outside<-1>>},
    {"shared_after", on_x_and_y<shared_outside<1>>},
    {"shared_far", on_x_and_y<shared_outside<-10000>>},
    {"vector_past_the_end", on_x_and_y<vector_past_the_end>},
    {"local_array", on_x_and_y<local_array>},
    {"misaligned_load", on_x_and_y<misaligned_load>},
    {"misaligned_store", on_x_and_y<misaligned_store>},
    {"misaligned_shared_load", on_x_and_y<misaligned_shared_load>},
    {"write_into_input", on_x_and_y<write_into_input>},
    {"null_pointer", on_x_and_y<null_pointer>},
    {"host_pointer",
     [](const Arguments& a) {
       const std::vector<float> host(kThreads);
       launch(read_from, 1, kThreads, 0, nullptr, a.number(0) ? host.data() : a.array<float>(0),
              a.array<float>(1));
     }},
    {"static_pointer",
     [](const Arguments& a) {
       static float host[kThreads];
       launch(read_from, 1, kThreads, 0, nullptr, a.number(0) ? host : a.array<float>(0),
              a.array<float>(1));
     }},
    {"write_to_constant",
     [](const Arguments& a) {
       static const float host[kThreads] = {1};
       launch(write_to, 1, kThreads, 0, nullptr,
              a.number(0) ? const_cast<float*>(host) : a.array<float>(1), a.array<float>(1));
     }},
    {"anothers_local", on_x_and_y<anothers_local>},
    {"uninitialised_shared", on_x_and_y<uninitialised_shared>},
    {"uninitialised_shared_byte", on_x_and_y<uninitialised_shared_byte>},
    {"shared_of_the_last_block", on_x_and_y<shared_of_the_last_block, 2>},
    {"read_output", on_x_and_y<read_output>},
    {"unwritten_output", on_x_and_y<unwritten_output>},
    {"index_overflow", on_x_and_y<index_overflow>},
    {"wide_shift", on_x_and_y<wide_shift>},
    {"division_by_zero", on_x_and_y<division_by_zero>},
    {"endless_recursion", on_x_and_y<endless_recursion>},
    {"large_frame", on_x_and_y<large_frame>},
    {"too_many_threads", launch_too_much<true, false, false>},
    {"too_many_blocks", launch_too_much<false, true, false>},
    {"too_much_shared_memory", launch_too_much<false, false, true>},
};

}  // namespace
}  // namespace fc::selftest
