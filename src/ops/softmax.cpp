// SPDX-License-Identifier: Apache-2.0
#include "ops/softmax.h"

#include "ops/infer.h"
#include "ops/loops.h"

namespace tutti {
namespace {

template <class T>
void softmax_line(const T* x, int64_t x_step, T* y, int64_t y_step, int64_t n, bool log) {
  using Value = ComputeType<T>;
  Value max = -std::numeric_limits<Value>::infinity();
  for (int64_t i = 0; i < n; ++i) max = std::max(max, static_cast<Value>(x[i * x_step]));
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += std::exp(static_cast<Value>(x[i * x_step]) - max);
  const auto divisor = static_cast<Value>(sum), logarithm = static_cast<Value>(std::log(sum));
  for (int64_t i = 0; i < n; ++i) {
    const Value shifted = static_cast<Value>(x[i * x_step]) - max;
    y[i * y_step] = static_cast<T>(log ? shifted - logarithm : std::exp(shifted) / divisor);
  }
}

}  // namespace

std::vector<TensorType> Softmax::infer(Types in) const {
  require_operands(in, 1, 1);
  require_float("x", in[0]);
  require_axis(axis, "x", in[0]);
  return {in[0]};
}

void Softmax::cpu(const KernelArgs& args) const {
  const Tensor& x = args.in[0];
  const Tensor& y = args.out[0];
  const int at = static_cast<int>(axis);
  Dims lines = x.shape;
  lines[at] = std::min<int64_t>(lines[at], 1);
  with_dtype(x.dtype, [&](auto element) {
    using T = decltype(element);
    if constexpr (!std::is_integral_v<T>)
      parallel_offsets<2>(args.pool, lines, {x.strides, y.strides}, x.shape[at],
                          [&](const auto& to) {
                            softmax_line(x.as<const T>() + to[0], x.strides[at], y.as<T>() + to[1],
                                         y.strides[at], x.shape[at], log);
                          });
  });
}

}  // namespace tutti
