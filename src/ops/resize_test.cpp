// SPDX-License-Identifier: Apache-2.0
#include "ops/resize.h"

#include "ops/ops_for_tests.h"

namespace tutti {
namespace {

// The weight of input i for output o along one axis, in double.
double weight(const Resize& op, size_t axis, int64_t in, int64_t o, int64_t i) {
  const auto out = static_cast<double>(op.size[axis].value());
  const double scale = op.scale.empty() ? 0 : op.scale[axis];
  double step = scale > 0 ? 1 / scale : static_cast<double>(in) / out;
  if (op.align_corners) step = out > 1 ? static_cast<double>(in - 1) / (out - 1) : 0;
  const auto position = static_cast<double>(o);
  const double last = static_cast<double>(in - 1);
  if (op.mode == "nearest") return i == std::min(std::floor(position * step), last);
  if (op.mode == "nearest_exact") return i == std::min(std::floor((position + 0.5) * step), last);
  const double place = op.align_corners ? position * step : (position + 0.5) * step - 0.5;
  if (op.mode == "linear")  // a tent, with the border repeated
    return std::max(0.0, 1 - std::abs(std::clamp(place, 0.0, last) - static_cast<double>(i)));
  double total = 0;
  for (int64_t k = -8; k < in + 8; ++k) {
    if (std::clamp<int64_t>(k, 0, in - 1) != i) continue;
    const double x = std::abs(place - static_cast<double>(k)), a = -0.75;
    if (x < 1)
      total += (a + 2) * x * x * x - (a + 3) * x * x + 1;
    else if (x < 2)
      total += a * (x * x * x - 5 * x * x + 8 * x - 4);
  }
  return total;
}

// One axis after the other.
Values resized(const Resize& op, const Tensor& x) {
  Values values = values_of(x);
  int64_t outer = x.shape[0] * x.shape[1];
  for (size_t axis = 0; axis < op.size.size(); ++axis) {
    const int64_t in = x.shape[2 + static_cast<int>(axis)], out = op.size[axis].value();
    const int64_t inner = static_cast<int64_t>(values.size()) / outer / in;
    Values next;
    for (int64_t a = 0; a < outer; ++a)
      for (int64_t o = 0; o < out; ++o)
        for (int64_t b = 0; b < inner; ++b) {
          double sum = 0;
          for (int64_t i = 0; i < in; ++i)
            sum +=
                weight(op, axis, in, o, i) * values[static_cast<size_t>((a * in + i) * inner + b)];
          next.push_back(sum);
        }
    values = next;
    outer *= out;
  }
  return values;
}

Shape shape_of(std::initializer_list<int64_t> extents) {
  return Shape(extents.begin(), extents.end());
}

void check(const Resize& op, const Tensor& x, double tolerance = 2e-5) {
  SCOPED_TRACE(testing::Message() << op.mode << " " << to_string(x.shape) << " to "
                                  << to_string(op.size) << (op.align_corners ? " corners" : ""));
  Dims shape = x.shape;
  for (size_t i = 0; i < op.size.size(); ++i) shape[2 + static_cast<int>(i)] = op.size[i].value();
  EXPECT_EQ(run_op(op, {x})[0].shape, shape);
  expect_in_all_layouts(op, {x}, resized(op, x), tolerance);
}

TEST(Resize, FollowsItsDefinition) {
  const Tensor line = random_tensor(DType::f32, {2, 3, 8}, 1);
  const Tensor plane = random_tensor(DType::f32, {2, 3, 4, 8}, 2);
  const Tensor space = random_tensor(DType::f32, {1, 2, 4, 2, 8}, 3);
  for (const char* mode : {"nearest", "nearest_exact", "linear"}) {
    for (int64_t out : {1, 2, 4, 5, 8, 13, 16, 64}) check({mode, shape_of({out})}, line);
    check({mode, shape_of({8, 16})}, plane);
    check({mode, shape_of({3, 5})}, plane);
    check({mode, shape_of({8, 3, 4})}, space);
  }
  for (const auto& size : {shape_of({8, 16}), shape_of({3, 5}), shape_of({1, 1}), shape_of({4, 8})})
    check({"cubic", size}, plane);
}

TEST(Resize, KeepsCornersWhenAligned) {
  const Tensor line = random_tensor(DType::f32, {2, 3, 9}, 4);
  const Tensor plane = random_tensor(DType::f32, {2, 3, 5, 9}, 5);
  for (int64_t out : {1, 2, 5, 9, 17, 33}) {
    check({"linear", shape_of({out}), {}, true}, line);
    check({"cubic", shape_of({3, out}), {}, true}, plane);
  }
  check({"linear", shape_of({9, 3}), {}, true}, plane);
}

TEST(Resize, UsesGivenFactors) {
  const Tensor line = random_tensor(DType::f32, {1, 2, 10}, 6);
  const Tensor plane = random_tensor(DType::f32, {1, 2, 10, 5}, 7);
  for (const char* mode : {"nearest", "nearest_exact", "linear"}) {
    check({mode, shape_of({24}), {2.4}}, line);
    check({mode, shape_of({12}), {1.28}}, line);
    check({mode, shape_of({12, 5}), {1.28, 0}}, plane);
  }
  check({"cubic", shape_of({12, 12}), {1.28, 2.4}}, plane);
}

TEST(Resize, ComputesEveryType) {
  for (DType dtype : kAllDTypes) {
    SCOPED_TRACE(to_string(dtype));
    const Tensor x = random_tensor(dtype, {1, 3, 4, 4}, 8);
    check({"nearest", shape_of({8, 3})}, x, 0);
    check({"nearest_exact", shape_of({8, 3})}, x, 0);
    if (!is_float(dtype)) continue;
    check({"linear", shape_of({8, 3})}, x, std::max(rounding_of(dtype), 1e-12));
    check({"cubic", shape_of({8, 3})}, x, std::max(rounding_of(dtype), 1e-12));
  }
}

TEST(Resize, HandlesChannelsThatAreContiguous) {
  Tensor x = random_tensor(DType::f32, {2, 4, 4, 70}, 9);
  x.shape = {2, 70, 4, 4};
  x.strides = {4 * 4 * 70, 1, 4 * 70, 70};
  for (const char* mode : {"nearest", "linear", "cubic"}) {
    const Resize op{mode, shape_of({8, 5})};
    Tensor y = Tensor::zeros(DType::f32, {2, 8, 5, 70});
    y.shape = {2, 70, 8, 5};
    y.strides = {8 * 5 * 70, 1, 5 * 70, 70};
    std::vector<char> workspace(op.workspace({}));
    cpu::Pool pool(2);
    const std::vector<Tensor> in{x}, out{y};
    op.cpu({in, out, workspace.data(), pool});
    expect_values(y, resized(op, x), 2e-5);
  }
}

TEST(Resize, GivesPyTorchsNumbers) {
  const Tensor line = tensor_of(DType::f32, {1, 1, 5}, {1, 2, 4, 8, 16});
  const auto run = [&](const char* mode, int64_t out, double scale = 0) {
    return run_op(Resize{mode, {out}, {scale}}, {line})[0];
  };
  expect_values(run("nearest", 8), {1, 1, 2, 2, 4, 8, 8, 16});
  expect_values(run("nearest", 3), {1, 2, 8});
  expect_values(run("nearest", 7, 1.5), {1, 1, 2, 4, 4, 8, 16});
  expect_values(run("nearest_exact", 8), {1, 1, 2, 4, 4, 8, 16, 16});
  expect_values(run("nearest_exact", 3), {1, 4, 16});
  expect_values(run("nearest_exact", 7, 1.5), {1, 2, 2, 4, 8, 8, 16});
  expect_values(run("linear", 8), {1, 1.4375, 2.125, 3.375, 5.25, 7.75, 12.5, 16}, 1e-6);
  expect_values(run("linear", 7, 1.5), {1, 1.5, 7.0 / 3, 11.0 / 3, 6, 28.0 / 3, 44.0 / 3}, 1e-6);
  const Tensor plane = tensor_of(DType::f32, {1, 1, 2, 3}, {1, 2, 4, 8, 16, 32});
  expect_values(run_op(Resize{"linear", {3, 4}}, {plane})[0],
                {1, 1.625, 2.75, 4, 4.5, 7.3125, 12.375, 18, 8, 13, 22, 32}, 1e-6);
  expect_values(run_op(Resize{"cubic", {3, 4}}, {plane})[0],
                {0.3641985, 0.5571221, 1.1106042, 1.6257697, 4.177002, 6.3896484, 12.7375488,
                 18.6459961, 7.9898047, 12.2221737, 24.3644924, 35.6662178},
                1e-6);
  expect_values(
      run_op(Resize{"cubic", {3, 4}, {}, true}, {plane})[0],
      {1, 1.462963, 2.7407398, 4, 4.5, 6.5833335, 12.3333282, 18, 8, 11.7037039, 21.9259186, 32},
      1e-6);
}

TEST(Resize, AcceptsALeadWithoutElements) {
  for (const char* mode : {"nearest", "linear", "cubic"})
    EXPECT_EQ(run_op(Resize{mode, {5, 2}}, {Tensor::zeros(DType::f32, {0, 3, 4, 4})})[0].shape,
              Dims({0, 3, 5, 2}));
}

TEST(Resize, NamesWhatDoesNotFit) {
  const auto infer = [](Resize op, TensorType x) {
    return [=] { Op(op).infer(std::vector<TensorType>{x}); };
  };
  const TensorType x{DType::f32, {1, 3, 4, 4}};
  expect_error(infer({"area", {2, 2}}, x), {"resize: mode is area", "cubic"});
  expect_error(infer({"linear", {2}}, x), {"x is f32[1, 3, 4, 4]", "rank 3"});
  expect_error(infer({"cubic", {2}}, {DType::f32, {1, 3, 4}}), {"2 extents", "cubic"});
  expect_error(infer({"nearest", {0, 2}}, x), {"size is [0, 2]", "at least 1"});
  expect_error(infer({"nearest", {2, 2}}, {DType::f32, {1, 3, 0, 4}}), {"f32[1, 3, 0, 4]"});
  expect_error(infer({"nearest", {2, 2}, {}, true}, x), {"align_corners", "nearest"});
  expect_error(infer({"nearest", {2, 2}, {2.0}}, x), {"scale is [2]", "2 factors"});
  expect_error(infer({"linear", {2, 2}}, {DType::i32, {1, 3, 4, 4}}), {"x is i32", "float"});
}

TEST(Resize, KeepsSymbols) {
  const Dim b = Dim::symbol("b"), h = Dim::symbol("h");
  EXPECT_EQ(
      (Resize{"nearest", {h * 2, h}}.infer(std::vector<TensorType>{{DType::f32, {b, 3, h, 8}}})[0]),
      (TensorType{DType::f32, {b, 3, h * 2, h}}));
}

}  // namespace
}  // namespace tutti
