// gemm_workspace, gemm
#include "cuda/bindings.h"
#include "cuda/conv_arguments.h"
#include "cuda/gemm/gemm.h"

namespace fc::cuda {

void bind_gemm(py::module_& m) {
  // the wrapper does not know yet whether sums are wanted: enough for both
  m.def("gemm_workspace", [](int64_t rows, int64_t columns, int64_t depth) {
    int64_t bytes = 0;
    for (int i = 0; i < 8; ++i) {
      const int64_t b = gemm_workspace({rows, columns, depth, (i & 1) != 0, (i & 2) != 0}, i & 4);
      bytes = b > bytes ? b : bytes;
    }
    return bytes;
  });

  m.def("gemm", [](const py::object& a, const py::object& b, const py::object& c, bool trans_a,
                   bool trans_b, const py::object& workspace, const py::tuple& epilogue,
                   uintptr_t stream) {
    Call call("gemm", stream);
    const Array left = look_at(a, "gemm: a"), out = look_at(c, "gemm: c");
    if (left.shape.size() != 2) refuse("gemm: a", "two axes", std::to_string(left.shape.size()));
    if (out.shape.size() != 2) refuse("gemm: c", "two axes", std::to_string(out.shape.size()));
    const GemmSizes s{out.shape[0], out.shape[1], left.shape[trans_a ? 0 : 1], trans_a, trans_b};
    const auto* ap =
        trans_a ? call.input<float>(a, "a", {s.k, s.m}) : call.input<float>(a, "a", {s.m, s.k});
    const auto* bp =
        trans_b ? call.input<float>(b, "b", {s.n, s.k}) : call.input<float>(b, "b", {s.k, s.n});
    auto* cp = call.output<float>(c, "c", {s.m, s.n});
    const Epilogue<float> e = parse_epilogue<float>(call, epilogue, {s.m, s.n});
    void* ws = call.workspace(workspace, gemm_workspace(s, e.sums != nullptr));
    gemm<float>(s, ap, bp, cp, {}, false, e, ws, call.stream());
    call.finish();
  });
}

}  // namespace fc::cuda
