// sgd_step, adam_step: one call for the lists of all parameters
#include "cuda/arguments.h"
#include "cuda/bindings.h"
#include "cuda/optim/optim.h"

namespace fc::cuda {
namespace {

// A list of arrays, one per parameter.
struct Role {
  const char* name;
  const py::sequence& list;
  bool read, written;
};

// roles: the parameters, their gradients, their states
template <int kArrays>
std::vector<Tensor<float, kArrays>> tensors_of(Call& call, const char* function,
                                               const Role (&roles)[kArrays]) {
  const size_t count = roles[0].list.size();
  for (const Role& role : roles) {
    if (role.list.size() != count) {
      refuse(std::string(function) + ": " + role.name, std::to_string(count) + " arrays",
             std::to_string(role.list.size()));
    }
  }
  std::vector<Tensor<float, kArrays>> tensors(count);
  for (size_t i = 0; i < count; ++i) {
    const auto name_of = [&](const Role& role) {
      return std::string(role.name) + "[" + std::to_string(i) + "]";
    };
    const int64_t size = look_at(roles[0].list[i], name_of(roles[0])).size();
    tensors[i].size = size;
    for (int a = 0; a < kArrays; ++a) {
      const Role& role = roles[a];
      const std::string name = name_of(role);
      const py::object array = role.list[i];
      tensors[i].array[a] =
          role.written && role.read ? call.inout_of_size<float>(array, name.c_str(), size)
          : role.written ? call.output_of_size<float>(array, name.c_str(), size)
                         : const_cast<float*>(call.input_of_size<float>(array, name.c_str(), size));
    }
  }
  return tensors;
}

}  // namespace

void bind_optim(py::module_& m) {
  m.def("sgd_step", [](const py::sequence& params, const py::sequence& grads,
                       const py::object& momenta, double lr, double momentum, double dampening,
                       double weight_decay, bool nesterov, bool first, uintptr_t stream) {
    Call call("sgd_step", stream);
    const SgdStep step{lr, momentum, dampening, weight_decay, nesterov, first};
    const Role param{"params", params, true, true}, grad{"grads", grads, true, false};
    if (momenta.is_none()) {
      sgd_step(tensors_of<2>(call, "sgd_step", {param, grad}), step, call.stream());
    } else {
      const py::sequence states = momenta;
      const Role state{"momenta", states, !first, true};
      sgd_step(tensors_of<3>(call, "sgd_step", {param, grad, state}), step, call.stream());
    }
    call.finish();
  });

  m.def("adam_step", [](const py::sequence& params, const py::sequence& grads,
                        const py::sequence& exp_avgs, const py::sequence& exp_avg_sqs, double lr,
                        double beta1, double beta2, double eps, double weight_decay, bool decoupled,
                        double count, uintptr_t stream) {
    Call call("adam_step", stream);
    const AdamStep step{lr, beta1, beta2, eps, weight_decay, decoupled, count};
    const Role param{"params", params, true, true}, grad{"grads", grads, true, false};
    const Role first{"exp_avgs", exp_avgs, true, true},
        second{"exp_avg_sqs", exp_avg_sqs, true, true};
    adam_step(tensors_of<4>(call, "adam_step", {param, grad, first, second}), step, call.stream());
    call.finish();
  });
}

}  // namespace fc::cuda
