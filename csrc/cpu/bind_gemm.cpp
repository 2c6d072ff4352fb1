// gemm_workspace, gemm
#include "cpu/bindings.h"
#include "cpu/conv_arguments.h"
#include "cpu/gemm.h"
#include "cpu/isa.h"
#include "cpu/parallel.h"

namespace fc {
namespace {

template <class T>
GemmJob<T> make_job(int64_t m, int64_t n, int64_t k, const T* a, const T* b, T* c, bool trans_a,
                    bool trans_b) {
  GemmJob<T> job;
  job.m = m;
  job.n = n;
  job.k = k;
  job.a = trans_a ? matrix_source(a, k, m, m) : matrix_source(a, m, k, k);
  job.a_by_k = trans_a;
  job.b = trans_b ? matrix_source(b, n, k, k) : matrix_source(b, k, n, n);
  job.b_by_k = !trans_b;
  job.c = matrix_target(c, m, n);
  return job;
}

// The most that any of the four transpositions needs.
template <class T>
int64_t workspace_bytes(const GemmFunctions<T>& gemm, int64_t m, int64_t n, int64_t k) {
  int64_t bytes = 0;
  for (int trans = 0; trans < 4; ++trans) {
    const T* none = nullptr;
    static double any_sum = 0;  // the most: with sums; they are not written here
    GemmJob<T> job = make_job(m, n, k, none, none, static_cast<T*>(nullptr), trans & 1, trans & 2);
    job.epilogue.sums = &any_sum;
    bytes = std::max(bytes, gemm.workspace(job, num_threads()));
  }
  return bytes;
}

void check_matrix(const py::array& a, const char* name) {
  if (a.ndim() != 2) refuse(name, "two axes", shape_text(a));
}

}  // namespace

void bind_gemm(py::module_& module) {
  const GemmKernels gemm = FC_FOR_ISA(gemm_kernels)();

  module.def("gemm_workspace", [gemm](int64_t m, int64_t n, int64_t k, int itemsize) {
    return with_float_size(itemsize, [&](auto zero) {
      return workspace_bytes(functions<decltype(zero)>(gemm), m, n, k);
    });
  });

  module.def("gemm", [gemm](const py::array& a, const py::array& b, py::array c, bool trans_a,
                            bool trans_b, const py::object& workspace, const py::tuple& epilogue) {
    with_float_type(a, "gemm: a", [&](auto zero) {
      using T = decltype(zero);
      check_matrix(a, "gemm: a");
      check_matrix(c, "gemm: c");
      const int64_t m = c.shape(0), n = c.shape(1), k = a.shape(trans_a ? 0 : 1);
      const T* ap = trans_a ? input<T>(a, "gemm: a", {k, m}) : input<T>(a, "gemm: a", {m, k});
      const T* bp = trans_b ? input<T>(b, "gemm: b", {n, k}) : input<T>(b, "gemm: b", {k, n});
      T* cp = output<T>(c, "gemm: c", {m, n});
      GemmJob<T> job = make_job(m, n, k, ap, bp, cp, trans_a, trans_b);
      job.epilogue = parse_epilogue<T>(epilogue, {m, n});
      const int threads = num_threads();
      void* ws = parse_workspace(workspace, functions<T>(gemm).workspace(job, threads));
      py::gil_scoped_release release;
      functions<T>(gemm).run(job, threads, ws);
    });
  });
}

}  // namespace fc
