// y = act(x), gx = gy * act'(saved), y = act(a + b), element by element.
#include "cuda/elementwise/act_backward.h"
#include "cuda/elementwise/elementwise.h"
#include "cuda/elementwise/map.h"

namespace fc::cuda {
namespace {

template <int kCode>
struct Forward {
  float alpha, beta;
  FC_DEVICE float operator()(float x) const { return act_forward<float>(kCode, alpha, beta, x); }
};

template <int kCode>
struct Backward {
  float alpha, beta;
  FC_DEVICE float operator()(float gy, float saved) const {
    return act_backward<kCode>(gy, saved, alpha, beta);
  }
};

template <int kCode>
struct AddForward {
  float alpha, beta;
  FC_DEVICE float operator()(float a, float b) const {
    return act_forward<float>(kCode, alpha, beta, a + b);
  }
};

}  // namespace

template <class T>
void activation_fwd(const T* x, T* y, int64_t size, const Activation& act, Stream stream) {
  const auto alpha = static_cast<float>(act.alpha), beta = static_cast<float>(act.beta);
  with_act(act.code, [&](auto code) {
    map(Forward<decltype(code)::value>{alpha, beta}, size, stream, y, x);
  });
}

template <class T>
void activation_bwd(const T* gy, const T* saved, T* gx, int64_t size, const Activation& act,
                    Stream stream) {
  const auto alpha = static_cast<float>(act.alpha), beta = static_cast<float>(act.beta);
  with_act(act.code, [&](auto code) {
    map(Backward<decltype(code)::value>{alpha, beta}, size, stream, gx, gy, saved);
  });
}

template <class T>
void add(const T* a, const T* b, T* y, int64_t size, const Activation& act, Stream stream) {
  const auto alpha = static_cast<float>(act.alpha), beta = static_cast<float>(act.beta);
  with_act(act.code, [&](auto code) {
    map(AddForward<decltype(code)::value>{alpha, beta}, size, stream, y, a, b);
  });
}

template void activation_fwd(const float*, float*, int64_t, const Activation&, Stream);
template void activation_bwd(const float*, const float*, float*, int64_t, const Activation&,
                             Stream);
template void add(const float*, const float*, float*, int64_t, const Activation&, Stream);

}  // namespace fc::cuda
