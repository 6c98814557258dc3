// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/unary_isa.h"

namespace tutti::cpu::TUTTI_ISA {

void apply_unary(Unary f, const float* x, float* y, int64_t n) {
  with_unary(f, [=](auto function) {
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) store(y + i, function(load(x + i)));
    const int rest = static_cast<int>(n - i);
    if (rest > 0) store_first(y + i, function(load_first(x + i, rest)), rest);
  });
}

}  // namespace tutti::cpu::TUTTI_ISA
