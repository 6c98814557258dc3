// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/unary.h"

namespace tutti::cpu {

namespace portable {
void apply_unary(Unary f, const float* x, float* y, int64_t n);
}
namespace avx2 {
void apply_unary(Unary f, const float* x, float* y, int64_t n);
}
namespace avx512 {
void apply_unary(Unary f, const float* x, float* y, int64_t n);
}

namespace {

constexpr std::string_view kNames[kUnaryCount] = {"relu",       "gelu_erf", "gelu_tanh", "silu",
                                                  "quick_gelu", "tanh",     "sigmoid",   "exp",
                                                  "log",        "erf",      "sin",       "cos"};

}  // namespace

std::string_view to_string(Unary f) { return kNames[static_cast<int>(f)]; }

std::optional<Unary> parse_unary(std::string_view name) {
  for (int i = 0; i < kUnaryCount; ++i) {
    if (name == kNames[i]) return static_cast<Unary>(i);
  }
  return std::nullopt;
}

void apply(Isa isa, Unary f, const float* x, float* y, int64_t n) {
  if constexpr (kIsX86) {
    if (isa == Isa::avx512) return avx512::apply_unary(f, x, y, n);
    if (isa == Isa::avx2) return avx2::apply_unary(f, x, y, n);
  }
  portable::apply_unary(f, x, y, n);
}

}  // namespace tutti::cpu
