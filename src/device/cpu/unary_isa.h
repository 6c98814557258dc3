// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "device/cpu/unary.h"
#include "device/cpu/vector.h"
#include "device/cpu/vector_math.h"

namespace tutti::cpu::TUTTI_ISA {

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
      return body([](VecF x) { return math::sin(x); });
    case Unary::cos:
      return body([](VecF x) { return math::cos(x); });
  }
}

}  // namespace tutti::cpu::TUTTI_ISA
