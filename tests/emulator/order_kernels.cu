// In which order the emulator runs threads and blocks.
#include <algorithm>

#include "harness.h"

namespace fc::selftest {
namespace {

using namespace fc::cuda;

// Who came when, before and after a barrier: kept by the host, behind the emulator's back.
struct Queue {
  int size, who[1024];
} came[2];
__attribute__((noinline, no_sanitize("thread"))) void note(Queue& queue, int who) {
  queue.who[queue.size++] = who;
}
__global__ void order() {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  note(came[0], i);
  __syncthreads();
  note(came[1], i);
}
// numbers: blocks, threads; came (2, threads of the grid)
const Register order_("order", [](const Arguments& a) {
  for (Queue& queue : came) queue.size = 0;
  launch(order, a.number(0), a.number(1), 0, nullptr);
  int* to = a.array<int>(0);
  for (const Queue& queue : came) to = std::copy(queue.who, queue.who + queue.size, to);
});

}  // namespace
}  // namespace fc::selftest
