// Epilogue sums as a pass of their own: the product has stored acc * scale + shift, then
// sums[0,k] = sum y, sums[1,k] = sum y^2, then y = act(y + residual).
#pragma once

#include "cpu/allocator.h"
#include "cpu/channel.h"
#include "cpu/gemm.h"

namespace fc {

// What the product itself applies: everything, or without what comes after the sums.
template <class T>
Epilogue<T> before_sums(Epilogue<T> e) {
  if (!e.sums) return e;
  e.residual = nullptr;
  e.act = Activation();
  e.sums = nullptr;
  return e;
}

template <class T>
void finish_sums(const ChannelFunctions<T>& channel, const GemmFunctions<T>& gemm,
                 const Epilogue<T>& e, T* y, int64_t rows, int64_t channels) {
  if (!e.sums) return;
  Scratch<double> scratch(channel_scratch(rows, channels));
  channel.stats(y, rows, channels, e.sums, scratch.data());
  if (e.residual || e.act.code != kIdentity) gemm.finish(y, rows * channels, e.residual, e.act);
}

}  // namespace fc
