// SPDX-License-Identifier: Apache-2.0
#include "ops/bitcast.h"

#include "core/strided.h"
#include "ops/infer.h"

namespace tutti {

std::vector<TensorType> Bitcast::infer(Types in) const {
  require_operands(in, 1, 1);
  const TensorType& x = in[0];
  const bool from_boolean = x.dtype == DType::boolean && dtype != DType::u8;
  require_argument(dtype == x.dtype || (dtype != DType::boolean && !from_boolean), "x is ", x,
                   "; its bytes are no ", dtype);
  TensorType y{dtype, x.shape};
  const auto from = static_cast<int64_t>(size_of(x.dtype)),
             to = static_cast<int64_t>(size_of(dtype));
  if (from == to) return {y};
  require_argument(x.rank() > 0, "x is ", x, "; an axis to change is wanted");
  Dim& last = y.shape.back();
  const Dim rest = mod(last * from, to);
  require_argument(rest == Dim(0) || !rest.is_constant(), "x is ", x, "; a last extent of whole ",
                   dtype, " is wanted");
  last = floor_div(last * from, to);
  return {y};
}

size_t Bitcast::workspace(Types in) const {
  return static_cast<size_t>(elements(in[0].shape).value()) * size_of(in[0].dtype);
}

void Bitcast::cpu(const KernelArgs& args) const {
  const Tensor &x = args.in[0], &y = args.out[0];
  copy_strided(x.shape, x.data, x.dtype, x.strides, args.workspace, x.dtype,
               contiguous_strides(x.shape));
  copy_strided(y.shape, args.workspace, y.dtype, contiguous_strides(y.shape), y.data, y.dtype,
               y.strides);
}

}  // namespace tutti
