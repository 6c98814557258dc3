// SPDX-License-Identifier: Apache-2.0
#include "ops/fused_conv.h"

#include "core/error.h"
#include "core/strided.h"
#include "device/cpu/conv.h"
#include "device/cpu/packed_matrix.h"
#include "ops/infer.h"

namespace tutti {
namespace {

cpu::PackedLayout layout_named(std::string_view name) {
  const auto layout = cpu::parse_packed_layout(name);
  require_argument(layout.has_value() && layout->dtype == DType::f32, "fused_conv: packed layout ",
                   name, " is not known");
  return *layout;
}

Tensor contiguous_copy(const Tensor& t, DType dtype) {
  Tensor copy = Tensor::zeros(dtype, t.shape);
  copy_strided(t.shape, t.data, t.dtype, t.strides, copy.data, dtype, copy.strides);
  return copy;
}

// The weights [o, c, 3, 3] of a packed matrix, in f64.
Tensor unpack_weights(const Tensor& packed, std::string_view layout, int64_t outputs,
                      int64_t channels) {
  const Tensor matrix = Tensor::zeros(DType::f32, {16 * channels, outputs});
  cpu::unpack_matrix(layout_named(layout), 16 * channels, outputs,
                     contiguous_copy(packed, DType::f32).data, matrix.data,
                     {DType::f32, outputs, 1, {}});
  const Tensor weights = Tensor::zeros(DType::f32, {outputs, channels, 3, 3});
  cpu::winograd_weights_back(matrix.as<float>(), outputs, channels, weights.as<float>());
  return contiguous_copy(weights, DType::f64);
}

}  // namespace

std::vector<TensorType> FusedConv::infer(Types in) const {
  require_argument(in.size() >= 2 && epilogues.size() == 1, "fused_conv: ", in.size(),
                   " inputs and ", epilogues.size(), " epilogues; 2 and 1 are wanted");
  const TensorType& x = in[0];
  require_argument(is_float(x.dtype), "fused_conv: x is ", x, "; floats are wanted");
  TensorType w = in[1];
  if (!packed.empty()) {
    require_argument(x.rank() == 4 && x.shape[1].is_constant() && outputs > 0 && groups == 1 &&
                         !transposed && stride == std::vector<int64_t>{1, 1} &&
                         dilation == std::vector<int64_t>{1, 1},
                     "fused_conv: x is ", x, " and w is packed; images, constant channels, ",
                     "1 group and stride 1 are wanted");
    const int64_t channels = x.shape[1].value();
    const Dim wanted = layout_named(packed).elements(16 * channels, outputs);
    require_argument(w.dtype == DType::f32 && w.shape == Shape{wanted}, "fused_conv: packed w is ",
                     w, "; ", wanted, " elements are wanted");
    w = {x.dtype, {outputs, channels, 3, 3}};
  }
  const std::vector<TensorType> out = Conv::infer(std::vector<TensorType>{x, w});
  check_epilogue(kName, epilogues[0], in, 2, out[0].shape);
  return out;
}

void FusedConv::cpu(const KernelArgs& args) const {
  const Tensor x = contiguous_copy(args.in[0], DType::f64);
  const Tensor w = packed.empty() ? contiguous_copy(args.in[1], DType::f64)
                                  : unpack_weights(args.in[1], packed, outputs, x.shape[1]);
  const Tensor& y = args.out[0];
  const Tensor sums = Tensor::zeros(DType::f64, y.shape);
  const Tensor in[] = {x, w}, out[] = {sums};
  Conv::cpu({in, out, nullptr, args.pool});
  std::vector<int64_t> index(static_cast<size_t>(y.rank()), 0);
  for (int64_t i = 0; i < sums.elements(); ++i) {
    double& value = sums.as<double>()[i];
    value = apply_epilogue(epilogues[0], args.in, y, index, value);
    for (int axis = y.rank() - 1; axis >= 0; --axis) {
      if (++index[static_cast<size_t>(axis)] < y.shape[axis]) break;
      index[static_cast<size_t>(axis)] = 0;
    }
  }
  copy_strided(y.shape, sums.data, DType::f64, sums.strides, y.data, y.dtype, y.strides);
}

std::vector<TensorType> WinogradWeights::infer(Types in) const {
  require_operands(in, 1, 1);
  const TensorType& w = in[0];
  require_argument((w.dtype == DType::f32 || w.dtype == DType::f16 || w.dtype == DType::bf16) &&
                       w.rank() == 4 && w.shape[2] == Dim(3) && w.shape[3] == Dim(3),
                   "winograd_weights: w is ", w, "; f32, f16 or bf16 [o, c, 3, 3] is wanted");
  return {{DType::f32, {w.shape[1] * Dim(16), w.shape[0]}}};
}

void WinogradWeights::cpu(const KernelArgs& args) const {
  const Tensor w = contiguous_copy(args.in[0], DType::f32);
  const Tensor& y = args.out[0];
  const Tensor matrix = Tensor::zeros(DType::f32, y.shape);
  cpu::winograd_weights(w.data, DType::f32, w.shape[0], w.shape[1], matrix.as<float>());
  copy_strided(y.shape, matrix.data, DType::f32, matrix.strides, y.data, y.dtype, y.strides);
}

}  // namespace tutti
