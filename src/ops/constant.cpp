// SPDX-License-Identifier: Apache-2.0
#include "ops/constant.h"

#include "ops/infer.h"
#include "ops/loops.h"

namespace tutti {
namespace {

void require_shape(const Shape& shape) {
  for (const Dim& extent : shape)
    require_argument(!extent.is_constant() || extent.value() >= 0, "shape is ", shape,
                     "; extents of at least 0 are wanted");
}

/// Writes value(i) to the i-th element in row-major order.
template <class F>
void fill(const Tensor& y, const F& value) {
  with_dtype(y.dtype, [&](auto element) {
    using T = decltype(element);
    T* out = y.as<T>();
    int64_t i = 0;
    for_each_offset<1>(y.shape, {y.strides},
                       [&](const auto& at) { out[at[0]] = convert<T>(value(i++)); });
  });
}

}  // namespace

std::vector<TensorType> Constant::infer(Types in) const {
  require_operands(in, 0, 0);
  return {{value.dtype, to_shape(value.shape)}};
}

void Constant::cpu(const KernelArgs& args) const { copy_tensor(args.pool, value, args.out[0]); }

std::vector<TensorType> Full::infer(Types in) const {
  require_operands(in, 0, 0);
  require_shape(shape);
  return {{dtype, shape}};
}

void Full::cpu(const KernelArgs& args) const {
  fill(args.out[0], [&](int64_t) { return value; });
}

std::vector<TensorType> Arange::infer(Types in) const {
  require_operands(in, 0, 0);
  require_argument(dtype != DType::boolean, "dtype is ", dtype,
                   "; a float or integer type is wanted");
  require_shape({size});
  return {{dtype, {size}}};
}

void Arange::cpu(const KernelArgs& args) const {
  const Tensor& y = args.out[0];
  if (is_float(dtype)) {
    fill(y, [&](int64_t i) { return float_start + static_cast<double>(i) * float_step; });
    return;
  }
  const auto first = static_cast<uint64_t>(start.value()), by = static_cast<uint64_t>(step.value());
  fill(y, [&](int64_t i) { return static_cast<int64_t>(first + static_cast<uint64_t>(i) * by); });
}

}  // namespace tutti
