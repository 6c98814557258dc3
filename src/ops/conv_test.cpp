// SPDX-License-Identifier: Apache-2.0
#include "ops/conv.h"

#include "ops/ops_for_tests.h"

namespace tutti {
namespace {

// Every product of an input element and a weight is sent to the output element where it belongs:
// input index i and kernel index k meet output o where o * stride + k * dilation - padding == i,
// transposed: i * stride + k * dilation - padding == o.
Values convolution(const Conv& op, const Tensor& x, const Tensor& w, const Tensor* bias,
                   const Dims& y_shape) {
  const Values xs = values_of(x), ws = values_of(w);
  Values y(static_cast<size_t>(elements(y_shape)), 0.0);
  if (bias) {
    const Values bs = values_of(*bias);
    const size_t space = y.size() / static_cast<size_t>(y_shape[0] * y_shape[1]);
    for (size_t i = 0; i < y.size(); ++i) y[i] = bs[i / space % bs.size()];
  }
  const int axes = x.rank() - 2;
  const int64_t c_in_group = x.shape[1] / op.groups, o_in_group = y_shape[1] / op.groups;
  const auto index_of = [](size_t flat, const Dims& shape) {
    Dims index = shape;
    for (int a = shape.rank() - 1; a >= 0; --a) {
      index[a] = static_cast<int64_t>(flat) % shape[a];
      flat /= static_cast<size_t>(shape[a]);
    }
    return index;
  };
  for (size_t xi = 0; xi < xs.size(); ++xi)
    for (size_t wi = 0; wi < ws.size(); ++wi) {
      const Dims at = index_of(xi, x.shape), k = index_of(wi, w.shape);
      const int64_t group = at[1] / c_in_group, c = at[1] % c_in_group;
      Dims out = at;
      if (op.transposed ? k[0] != at[1] : (k[1] != c || k[0] / o_in_group != group)) continue;
      out[1] = op.transposed ? group * o_in_group + k[1] : k[0];
      bool inside = true;
      for (int a = 0; a < axes; ++a) {
        const auto i = static_cast<size_t>(a);
        const int64_t shift = k[2 + a] * op.dilation[i] - op.padding_before[i];
        int64_t o = op.transposed ? at[2 + a] * op.stride[i] + shift : at[2 + a] - shift;
        if (!op.transposed) {
          inside = inside && o >= 0 && o % op.stride[i] == 0;
          o /= op.stride[i];
        }
        inside = inside && o >= 0 && o < y_shape[2 + a];
        out[2 + a] = o;
      }
      if (!inside) continue;
      size_t flat = 0;
      for (int a = 0; a < out.rank(); ++a)
        flat = flat * static_cast<size_t>(y_shape[a]) + static_cast<size_t>(out[a]);
      y[flat] += xs[xi] * ws[wi];
    }
  return y;
}

void expect_convolution(const Conv& op, const Tensor& x, const Tensor& w, const Dims& y_shape,
                        double tolerance = 1e-5) {
  EXPECT_EQ(run_op(op, {x, w})[0].shape, y_shape);
  expect_in_all_layouts(op, {x, w}, convolution(op, x, w, nullptr, y_shape), tolerance);
  const Tensor bias = random_tensor(x.dtype, {y_shape[1]}, 99);
  expect_in_all_layouts(op, {x, w, bias}, convolution(op, x, w, &bias, y_shape), tolerance);
}

Conv conv2d(std::vector<int64_t> stride, std::vector<int64_t> before, std::vector<int64_t> after,
            std::vector<int64_t> dilation, int64_t groups = 1) {
  return {stride, before, after, dilation, groups};
}

TEST(Conv, FollowsItsDefinitionInOneDimension) {
  const Tensor x = random_tensor(DType::f32, {2, 3, 150}, 1),
               w = random_tensor(DType::f32, {4, 3, 5}, 2);
  expect_convolution({{1}, {2}, {2}, {1}}, x, w, {2, 4, 150});
  expect_convolution({{2}, {0}, {3}, {3}}, x, w, {2, 4, 71});
}

TEST(Conv, FollowsItsDefinitionInTwoDimensions) {
  const Tensor x = random_tensor(DType::f32, {2, 4, 7, 9}, 3);
  expect_convolution(conv2d({1, 1}, {1, 1}, {1, 1}, {1, 1}), x,
                     random_tensor(DType::f32, {3, 4, 3, 3}, 4), {2, 3, 7, 9});
  expect_convolution(conv2d({2, 3}, {0, 2}, {1, 0}, {2, 1}), x,
                     random_tensor(DType::f32, {3, 4, 2, 4}, 5), {2, 3, 3, 3});
  expect_convolution(conv2d({1, 1}, {0, 0}, {0, 0}, {1, 1}), x,
                     random_tensor(DType::f32, {5, 4, 1, 1}, 6), {2, 5, 7, 9});
}

TEST(Conv, FollowsItsDefinitionInThreeDimensions) {
  const Tensor x = random_tensor(DType::f32, {1, 2, 4, 5, 6}, 7);
  expect_convolution({{1, 2, 1}, {1, 0, 2}, {0, 1, 2}, {1, 1, 2}}, x,
                     random_tensor(DType::f32, {3, 2, 2, 3, 3}, 8), {1, 3, 4, 2, 6});
}

TEST(Conv, SplitsChannelsIntoGroups) {
  const Tensor x = random_tensor(DType::f32, {2, 6, 5, 4}, 9);
  expect_convolution(conv2d({1, 1}, {1, 1}, {1, 1}, {1, 1}, 3), x,
                     random_tensor(DType::f32, {9, 2, 3, 3}, 10), {2, 9, 5, 4});
  expect_convolution(conv2d({1, 1}, {1, 1}, {1, 1}, {1, 1}, 6), x,
                     random_tensor(DType::f32, {6, 1, 3, 3}, 11), {2, 6, 5, 4});
}

TEST(Conv, ComputesEveryType) {
  for (DType dtype : kAllDTypes) {
    if (dtype == DType::boolean || dtype == DType::i8 || dtype == DType::u8) continue;
    SCOPED_TRACE(to_string(dtype));
    expect_convolution(conv2d({1, 2}, {1, 0}, {0, 1}, {1, 1}),
                       random_tensor(dtype, {1, 2, 4, 5}, 12),
                       random_tensor(dtype, {2, 2, 2, 3}, 13), {1, 2, 4, 2}, rounding_of(dtype));
  }
}

TEST(Conv, FollowsItsDefinitionTransposed) {
  Conv op{{2, 3}, {1, 0}, {0, 2}, {1, 2}, 2, true, {1, 2}};
  const Tensor x = random_tensor(DType::f32, {2, 4, 3, 5}, 14),
               w = random_tensor(DType::f32, {4, 3, 2, 3}, 15);
  expect_convolution(op, x, w, {2, 6, 6, 17});
  Conv line{{2}, {1}, {1}, {1}, 1, true};
  expect_convolution(line, random_tensor(DType::f32, {1, 2, 90}, 16),
                     random_tensor(DType::f32, {2, 3, 4}, 17), {1, 3, 180});
  Conv cube{{1, 2, 1}, {0, 1, 1}, {0, 1, 1}, {1, 1, 1}, 1, true, {0, 1, 0}};
  expect_convolution(cube, random_tensor(DType::f32, {1, 2, 2, 3, 4}, 18),
                     random_tensor(DType::f32, {2, 2, 1, 3, 3}, 19), {1, 2, 2, 6, 4});
}

TEST(Conv, GivesPyTorchsNumbers) {
  const Tensor x = tensor_of(DType::f32, {1, 1, 3, 3}, {1, 2, 3, 4, 5, 6, 7, 8, 9});
  const Tensor w = tensor_of(DType::f32, {1, 1, 2, 2}, {1, 2, 3, 4});
  expect_values(run_op(conv2d({1, 1}, {0, 0}, {0, 0}, {1, 1}), {x, w})[0], {37, 47, 67, 77});
  Conv transposed{{2}, {0}, {0}, {1}, 1, true};
  const Tensor line = tensor_of(DType::f32, {1, 1, 2}, {1, 10});
  expect_values(run_op(transposed, {line, tensor_of(DType::f32, {1, 1, 3}, {1, 2, 3})})[0],
                {1, 2, 13, 20, 30});
}

TEST(Conv, RoundsOnceWithTheBiasIncluded) {
  const Tensor x = tensor_of(DType::bf16, {1, 3, 1}, {1, 0x1p-9, 0x1p-9});
  const Tensor w = tensor_of(DType::bf16, {1, 3, 1}, {1, 1, 1});
  const Tensor bias = tensor_of(DType::bf16, {1}, {0x1p-8});
  expect_values(run_op(Conv{{1}, {0}, {0}, {1}}, {x, w, bias})[0], {1 + 0x1p-7});
}

TEST(Conv, WrapsIntegers) {
  const Tensor x = tensor_of(DType::i8, {1, 1, 2}, {100, 100}),
               w = tensor_of(DType::i8, {1, 1, 2}, {1, 1});
  expect_values(run_op(Conv{{1}, {0}, {0}, {1}}, {x, w})[0], {200 - 256});
}

TEST(Conv, AcceptsABatchOrChannelsWithoutElements) {
  const Conv op{{1}, {0}, {0}, {1}};
  const Tensor w = Tensor::zeros(DType::f32, {4, 3, 2});
  EXPECT_EQ(run_op(op, {Tensor::zeros(DType::f32, {0, 3, 5}), w})[0].shape, Dims({0, 4, 4}));
  const Tensor bias = tensor_of(DType::f32, {1}, {3});
  expect_values(run_op(op, {Tensor::zeros(DType::f32, {1, 0, 2}),
                            Tensor::zeros(DType::f32, {1, 0, 2}), bias})[0],
                {3});
}

TEST(Conv, NamesWhatDoesNotFit) {
  const TensorType x{DType::f32, {2, 4, 7, 9}}, w{DType::f32, {6, 2, 3, 3}};
  const auto infer = [&](auto change, std::vector<TensorType> in) {
    Conv op = conv2d({1, 1}, {0, 0}, {0, 0}, {1, 1}, 2);
    change(op);
    return [=] { Op(op).infer(in); };
  };
  const auto same = [](Conv&) {};
  expect_error(infer([](Conv& op) { op.groups = 1; }, {x, w}),
               {"conv: x is", "extent 2", "axis 1"});
  expect_error(infer(same, {x, {DType::f32, {5, 2, 3, 3}}}), {"w is f32[5, 2, 3, 3]", "2 groups"});
  expect_error(infer(same, {x, {DType::f32, {6, 2, 3}}}), {"w is f32[6, 2, 3]", "rank 4"});
  expect_error(infer(same, {x, {DType::f16, {6, 2, 3, 3}}}), {"w is f16", "f32"});
  expect_error(infer(same, {x, w, {DType::f32, {4}}}), {"bias is f32[4]", "extent 6"});
  expect_error(infer(same, {x, {DType::f32, {6, 2, 8, 3}}}), {"extent 0", "axis 2"});
  expect_error(infer([](Conv& op) { op.stride = {1}; }, {x, w}), {"stride is [1]", "2 numbers"});
  expect_error(infer([](Conv& op) { op.stride = {1, 0}; }, {x, w}), {"stride is [1, 0]"});
  expect_error(infer([](Conv& op) { op.padding_before = {-1, 0}; }, {x, w}), {"padding_before"});
  expect_error(infer([](Conv& op) { op.output_padding = {1, 0}; }, {x, w}), {"output_padding"});
  expect_error(infer(same, {{DType::f32, {4, 7}}, w}), {"x is f32[4, 7]", "rank 3 to 5"});
}

TEST(Conv, KeepsSymbols) {
  const Dim b = Dim::symbol("b"), s = Dim::symbol("s");
  const auto y = conv2d({2, 1}, {1, 1}, {1, 1}, {1, 1})
                     .infer(std::vector<TensorType>{{DType::f32, {b, 3, s * 2, s}},
                                                    {DType::f32, {8, 3, 3, 3}}})[0];
  EXPECT_EQ(y.shape[0], b);
  EXPECT_EQ(y.shape[1], Dim(8));
  EXPECT_EQ(y.shape[2].evaluate({{"s", 5}}), 5);
  EXPECT_EQ(y.shape[3], s);
}

}  // namespace
}  // namespace tutti
