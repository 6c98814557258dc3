// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <math.h>

#include "device/cpu/unary.h"
#include "device/cpu/vector.h"
#include "device/cpu/vector_math.h"

namespace tutti::cpu::TUTTI_ISA {

/// vector(x), but exact(x) where the vector code does not reach.
template <class F>
[[gnu::always_inline]] inline VecF with_large(VecF x, const F& vector, float (*exact)(float)) {
  VecF y = vector(x);
  const auto far = math::abs(x) > math::splat<VecF>(math::kSineLimit);
  int any = 0;
  for (int i = 0; i < kLanes; ++i) any |= far[i];
  if (any != 0) [[unlikely]] {
    for (int i = 0; i < kLanes; ++i)
      if (far[i]) y[i] = exact(x[i]);
  }
  return y;
}

/// Calls `body` with a function object for `f`: the choice is made once, outside of loops.
template <class Body>
[[gnu::always_inline]] inline void with_unary(Unary f, const Body& body) {
  switch (f) {
    case Unary::relu:
      return body([](VecF x) { return x > VecF{} ? x : (x == x ? VecF{} : x); });
    case Unary::gelu_erf:
      return body([](VecF x) { return math::gelu_erf(x); });
    case Unary::gelu_tanh:
      return body([](VecF x) { return math::gelu_tanh(x); });
    case Unary::silu:
      return body([](VecF x) { return math::silu(x); });
    case Unary::quick_gelu:
      return body([](VecF x) { return math::quick_gelu(x); });
    case Unary::tanh:
      return body([](VecF x) { return math::tanh(x); });
    case Unary::sigmoid:
      return body([](VecF x) { return math::sigmoid(x); });
    case Unary::exp:
      return body([](VecF x) { return math::exp(x); });
    case Unary::log:
      return body([](VecF x) { return math::log(x); });
    case Unary::erf:
      return body([](VecF x) { return math::erf(x); });
    case Unary::sin:
      return body([](VecF x) {
        return with_large(
            x, [](VecF v) { return math::sin(v); }, ::sinf);
      });
    case Unary::cos:
      return body([](VecF x) {
        return with_large(
            x, [](VecF v) { return math::cos(v); }, ::cosf);
      });
  }
}

}  // namespace tutti::cpu::TUTTI_ISA
