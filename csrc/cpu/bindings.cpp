#include "cpu/bindings.h"

PYBIND11_MODULE(_cpu, m) {
  m.doc() = "fastconv's kernels for the CPU. fastconv/backend/cpu.py is the way in.";
  fc::bind_threads(m);  // first: refuses a bad FASTCONV_ISA
  fc::bind_memory(m);
  fc::bind_conv2d(m);
  fc::bind_channel(m);
  fc::bind_gemm(m);
  fc::bind_pool(m);
  fc::bind_norm(m);
  fc::bind_elementwise(m);
  fc::bind_loss(m);
  fc::bind_optim(m);
  fc::bind_resize(m);
  fc::bind_peak(m);
}
