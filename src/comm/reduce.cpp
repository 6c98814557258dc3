// SPDX-License-Identifier: Apache-2.0
#include "comm/reduce.h"

#include <array>
#include <cstring>

#include "comm/reduce_kernel.h"
#include "core/dispatch.h"
#include "device/cpu/isa.h"

namespace tutti::comm {

namespace portable {
const Kernels& kernels();
}
namespace avx2 {
const Kernels& kernels();
}
namespace avx512 {
const Kernels& kernels();
}

namespace {

const Kernels& chosen() {
  const cpu::Isa isa = cpu::current_isa();
  if constexpr (cpu::kIsX86) {
    if (isa == cpu::Isa::avx512) return avx512::kernels();
    if (isa == cpu::Isa::avx2) return avx2::kernels();
  }
  return portable::kernels();
}

float combine(Reduce op, float a, float b) {
  switch (op) {
    case Reduce::prod:
      return a * b;
    case Reduce::max:
      return a > b || a != a ? a : b;
    case Reduce::min:
      return a < b || a != a ? a : b;
    default:
      return a + b;
  }
}

/// All values of an 8-bit float, by their bits.
template <class T>
const std::array<float, 256>& values_of() {
  static const std::array<float, 256> kValues = [] {
    std::array<float, 256> values;
    for (int i = 0; i < 256; ++i) {
      T element;
      element.bits = static_cast<uint8_t>(i);
      values[static_cast<size_t>(i)] = element;
    }
    return values;
  }();
  return kValues;
}

template <class T>
void reduce_f8(Reduce op, std::span<const void* const> ins, void* out, int64_t n) {
  const std::array<float, 256>& values = values_of<T>();
  for (int64_t i = 0; i < n; ++i) {
    float sum = values[static_cast<const uint8_t*>(ins[0])[i]];
    for (size_t k = 1; k < ins.size(); ++k)
      sum = combine(op, sum, values[static_cast<const uint8_t*>(ins[k])[i]]);
    if (op == Reduce::avg) sum /= static_cast<float>(ins.size());
    static_cast<T*>(out)[i] = T(sum);
  }
}

}  // namespace

void reduce_elements(DType dtype, Reduce op, std::span<const void* const> ins, void* out,
                     int64_t n) {
  if (n == 0) return;
  if (dtype == DType::f8_e4m3) return reduce_f8<f8_e4m3>(op, ins, out, n);
  if (dtype == DType::f8_e5m2) return reduce_f8<f8_e5m2>(op, ins, out, n);
  const auto kernel = chosen().reduce[static_cast<int>(dtype)][static_cast<int>(op)];
  require(kernel != nullptr, Errc::internal, to_string(op), " of ", to_string(dtype),
          " is not defined");
  kernel(ins.data(), ins.size(), out, n);
}

void copy_bytes(void* to, const void* from, size_t bytes, bool stream) {
  if (bytes == 0 || to == from) return;
  if (stream) {
    chosen().stream(to, from, bytes);
  } else {
    std::memcpy(to, from, bytes);
  }
}

}  // namespace tutti::comm
