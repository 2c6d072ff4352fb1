// channel_sum, channel_stats, scale_channels_fwd, scale_channels_bwd
#include "cuda/arguments.h"
#include "cuda/bindings.h"
#include "cuda/channel/channel.h"

namespace fc::cuda {
namespace {

void bind_sums(py::module_& m) {
  m.def("channel_sums_workspace", channel_sums_workspace);

  m.def("channel_sum", [](const py::object& x, const py::object& y, const py::object& workspace,
                          uintptr_t stream) {
    Call call("channel_sum", stream);
    const Rows d(x, "channel_sum: x");
    const auto* xp = call.input_of_size<float>(x, "x", d.size());
    auto* yp = call.output<float>(y, "y", {d.c});
    void* scratch = call.workspace(workspace, channel_sums_workspace(d.size(), d.c));
    channel_sum(xp, yp, d.rows, d.c, scratch, call.stream());
    call.finish();
  });

  m.def("channel_stats", [](const py::object& x, const py::object& sums,
                            const py::object& workspace, uintptr_t stream) {
    Call call("channel_stats", stream);
    const Rows d(x, "channel_stats: x");
    const auto* xp = call.input_of_size<float>(x, "x", d.size());
    auto* sp = call.output<double>(sums, "sums", {2, d.c});
    void* scratch = call.workspace(workspace, channel_sums_workspace(d.size(), d.c));
    channel_stats(xp, sp, d.rows, d.c, scratch, call.stream());
    call.finish();
  });
}

void bind_scale(py::module_& m) {
  m.def("scale_channels_fwd",
        [](const py::object& x, const py::object& s, const py::object& y, uintptr_t stream) {
          Call call("scale_channels_fwd", stream);
          const Image d(x, "scale_channels_fwd: x");
          const auto* xp = call.input<float>(x, "x", {d.n, d.h, d.w, d.c});
          const auto* sp = call.input<float>(s, "s", {d.n, 1, 1, d.c});
          auto* yp = call.output<float>(y, "y", {d.n, d.h, d.w, d.c});
          scale_channels_fwd(xp, sp, yp, d.n, d.h * d.w * d.c, d.c, call.stream());
          call.finish();
        });

  m.def("scale_channels_bwd_workspace", scale_channels_bwd_workspace);

  m.def("scale_channels_bwd",
        [](const py::object& gy, const py::object& x, const py::object& s, const py::object& gx,
           const py::object& gs, const py::object& workspace, uintptr_t stream) {
          Call call("scale_channels_bwd", stream);
          const Image d(gy, "scale_channels_bwd: gy");
          const int64_t size = d.h * d.w * d.c;
          const auto* gyp = call.input<float>(gy, "gy", {d.n, d.h, d.w, d.c});
          const auto* xp = call.optional_input<float>(x, "x", {d.n, d.h, d.w, d.c});
          const auto* sp = call.optional_input<float>(s, "s", {d.n, 1, 1, d.c});
          auto* gxp = call.optional_output<float>(gx, "gx", {d.n, d.h, d.w, d.c});
          auto* gsp = call.optional_output<float>(gs, "gs", {d.n, 1, 1, d.c});
          if (gxp && !sp) refuse("scale_channels_bwd: s", "an array for gx", "None");
          if (gsp && !xp) refuse("scale_channels_bwd: x", "an array for gs", "None");
          const int64_t bytes = gsp ? scale_channels_bwd_workspace(d.n, size, d.c) : 0;
          void* scratch = call.workspace(workspace, bytes);
          scale_channels_bwd(gyp, xp, sp, gxp, gsp, d.n, size, d.c, scratch, call.stream());
          call.finish();
        });
}

}  // namespace

void bind_channel(py::module_& m) {
  bind_sums(m);
  bind_scale(m);
}

}  // namespace fc::cuda
