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

void combine(const Kernels::Combine (&table)[kDTypeCount][kReduceCount], DType dtype, Reduce op,
             std::span<const void* const> ins, void* out, int64_t n, size_t ranks) {
  if (n == 0) return;
  const auto kernel = table[static_cast<int>(dtype)][static_cast<int>(op)];
  require(kernel != nullptr, Errc::internal, to_string(op), " of ", to_string(dtype),
          " is not defined");
  kernel(ins.data(), ins.size(), out, n, ranks);
}

bool is_small_float(DType dtype) { return is_float(dtype) && size_of(dtype) < sizeof(float); }

}  // namespace

void reduce_elements(DType dtype, Reduce op, std::span<const void* const> ins, void* out,
                     int64_t n) {
  combine(chosen().reduce, dtype, op, ins, out, n, ins.size());
}

DType partial_dtype(DType dtype) { return is_small_float(dtype) ? DType::f32 : dtype; }

void reduce_to_partial(DType dtype, Reduce op, std::span<const void* const> ins, void* partial,
                       int64_t n) {
  if (op == Reduce::avg) op = Reduce::sum;
  const Kernels& k = chosen();
  combine(is_small_float(dtype) ? k.to_partial : k.reduce, dtype, op, ins, partial, n, ins.size());
}

void reduce_from_partial(DType dtype, Reduce op, std::span<const void* const> partials, void* out,
                         int64_t n, int ranks) {
  const Kernels& k = chosen();
  combine(is_small_float(dtype) ? k.from_partial : k.reduce, dtype, op, partials, out, n,
          static_cast<size_t>(ranks));
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
