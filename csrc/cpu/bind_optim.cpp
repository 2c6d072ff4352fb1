// sgd_step, adam_step: one call for the lists of all parameters
#include <cmath>
#include <vector>

#include "cpu/arguments.h"
#include "cpu/bindings.h"
#include "cpu/isa.h"
#include "cpu/optim.h"
#include "cpu/parallel.h"

namespace fc {
namespace {

constexpr int64_t kPiece = 16384;  // values: small enough to share out, large enough for a thread

// n values of one parameter with its gradient and up to two states
template <class T>
struct Piece {
  T* p;
  const T* g;
  T *a, *b;
  int64_t n;
};

template <class T>
T* state_of(const py::object& list, size_t i, const char* name, const py::array& p) {
  if (list.is_none()) return nullptr;
  py::array state = py::sequence(list)[i].cast<py::array>();
  return output_like<T>(state, name, p);
}

// Both element types of one call.
struct Pieces {
  std::vector<Piece<float>> f32;
  std::vector<Piece<double>> f64;

  // a, b: lists of states as long as params, or None
  Pieces(const py::sequence& params, const py::sequence& grads, const py::object& a,
         const py::object& b) {
    const size_t count = params.size();
    for (const py::object& list : {py::object(grads), a, b}) {
      if (!list.is_none() && py::len(list) != count) {
        refuse("optimizer step", std::to_string(count) + " arrays in each list",
               std::to_string(py::len(list)));
      }
    }
    for (size_t i = 0; i < count; ++i) {
      py::array p = params[i].cast<py::array>();
      const py::array g = grads[i].cast<py::array>();
      with_float_type(p, "optimizer step: params", [&](auto zero) {
        using T = decltype(zero);
        T* pp = output<T>(p, "optimizer step: params");
        const T* gp = input_like<T>(g, "optimizer step: grads", p);
        T* ap = state_of<T>(a, i, "optimizer step: state", p);
        T* bp = state_of<T>(b, i, "optimizer step: state", p);
        for (int64_t at = 0; at < p.size(); at += kPiece) {
          list<T>().push_back({pp + at, gp + at, ap ? ap + at : nullptr, bp ? bp + at : nullptr,
                               std::min<int64_t>(kPiece, p.size() - at)});
        }
      });
    }
  }

  template <class T>
  std::vector<Piece<T>>& list() {
    if constexpr (std::is_same_v<T, float>) {
      return f32;
    } else {
      return f64;
    }
  }

  // f(piece) for all of them; elements do not depend on each other, so any cut gives the same bits.
  // Threads share the values evenly, not the pieces: half of a network's parameters are short.
  template <class F>
  void run(F f) const {
    const auto all = [&](const auto& pieces) {
      std::vector<size_t> starts;  // of units of about kPiece values
      int64_t unit = kPiece;
      for (size_t i = 0; i < pieces.size(); unit += pieces[i++].n) {
        if (unit < kPiece) continue;
        starts.push_back(i);
        unit = 0;
      }
      const int64_t units = starts.size();
      starts.push_back(pieces.size());
      parallel(units, grain_for(4 * kPiece), [&](int64_t begin, int64_t end, int) {
        for (size_t i = starts[begin]; i < starts[end]; ++i) f(pieces[i]);
      });
    };
    all(f32);
    all(f64);
  }
};

}  // namespace

void bind_optim(py::module_& m) {
  const OptimKernels kernels = FC_FOR_ISA(optim_kernels)();

  m.def("sgd_step", [kernels](const py::sequence& params, const py::sequence& grads,
                              const py::object& momenta, double lr, double momentum,
                              double dampening, double weight_decay, bool nesterov, bool first) {
    const Pieces pieces(params, grads, momenta, py::none());
    const SgdStep step{lr, momentum, dampening, weight_decay, nesterov, first};
    py::gil_scoped_release release;
    pieces.run([&](const auto& x) {
      functions<std::remove_reference_t<decltype(*x.p)>>(kernels).sgd(x.p, x.g, x.a, x.n, step);
    });
  });

  m.def("adam_step", [kernels](const py::sequence& params, const py::sequence& grads,
                               const py::sequence& exp_avgs, const py::sequence& exp_avg_sqs,
                               double lr, double beta1, double beta2, double eps,
                               double weight_decay, bool decoupled, double count) {
    const Pieces pieces(params, grads, exp_avgs, exp_avg_sqs);
    const AdamStep step{lr,
                        beta1,
                        beta2,
                        eps,
                        weight_decay,
                        decoupled,
                        lr / (1 - std::pow(beta1, count)),
                        std::sqrt(1 - std::pow(beta2, count))};
    py::gil_scoped_release release;
    pieces.run([&](const auto& x) {
      functions<std::remove_reference_t<decltype(*x.p)>>(kernels).adam(x.p, x.g, x.a, x.b, x.n,
                                                                       step);
    });
  });
}

}  // namespace fc
