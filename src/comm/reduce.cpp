// SPDX-License-Identifier: Apache-2.0
#include "comm/reduce.h"

#include <cstring>

#include "comm/reduce_kernel.h"
#include "core/error.h"
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

}  // namespace

void reduce_elements(DType dtype, Reduce op, std::span<const void* const> ins, void* out,
                     int64_t n) {
  if (n == 0) return;
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
