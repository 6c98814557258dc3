// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "device/cpu/isa.h"

namespace tutti::cpu {

/// Functions of one f32; accuracies are those of vector_math.h.
enum class Unary {
  relu,
  gelu_erf,
  gelu_tanh,
  silu,
  quick_gelu,
  tanh,
  sigmoid,
  exp,
  log,
  erf,
  sin,
  cos
};

inline constexpr int kUnaryCount = 12;

/// "relu", "gelu_erf", ...
std::string_view to_string(Unary f);

/// The function of that name, or nothing.
std::optional<Unary> parse_unary(std::string_view name);

/// y[i] = f(x[i]) for i in [0, n), with the vectors of `isa`; y may be x.
void apply(Isa isa, Unary f, const float* x, float* y, int64_t n);

}  // namespace tutti::cpu
