// SPDX-License-Identifier: Apache-2.0
#include "ops/elementwise.h"

#include "ops/ops_for_tests.h"

namespace tutti {
namespace {

const Dim s = Dim::symbol("s"), t = Dim::symbol("t");

std::vector<Elementwise> all_functions() {
  std::vector<Elementwise> list;
  for (int i = 0; i < elementwise_count(); ++i) list.push_back(static_cast<Elementwise>(i));
  return list;
}

TEST(Elementwise, FindsEveryFunctionByItsName) {
  EXPECT_EQ(elementwise_count(), static_cast<int>(Elementwise::select) + 1);
  EXPECT_EQ(info(Elementwise::gelu_tanh).name, "gelu_tanh");
  EXPECT_EQ(info(Elementwise::shift_right).name, "shift_right");
  EXPECT_EQ(info(Elementwise::logical_xor).name, "logical_xor");
  for (Elementwise fn : all_functions()) {
    ElementwiseOp op{Elementwise::select};
    op.set_name(info(fn).name);
    EXPECT_EQ(op.fn, fn);
    EXPECT_EQ(Op(op).name(), info(fn).name);
  }
  expect_error([] { ElementwiseOp().set_name("sinus"); }, {"sinus"});
}

TEST(Elementwise, RunsOnEveryTypeItTakesAndRefusesOthers) {
  for (Elementwise fn : all_functions()) {
    const ElementwiseInfo& row = info(fn);
    for (DType dtype : kAllDTypes) {
      std::vector<Tensor> in(static_cast<size_t>(row.arity), Tensor::zeros(dtype, {3}));
      if (fn == Elementwise::select) in[0] = Tensor::zeros(DType::boolean, {3});
      const bool takes = is_float(dtype)     ? row.floats
                         : is_integer(dtype) ? row.integers
                                             : row.booleans;
      if (!takes) {
        expect_error([&] { run_op(ElementwiseOp{fn}, in); },
                     {std::string(row.name), std::string(to_string(dtype)) + "[3]", "wanted"});
        continue;
      }
      const Tensor y = run_op(ElementwiseOp{fn}, in)[0];
      EXPECT_EQ(y.dtype, gives_boolean(fn) ? DType::boolean : dtype) << row.name;
    }
  }
}

TEST(Elementwise, TakesTheTypesOfPyTorch) {
  for (Elementwise fn : {Elementwise::exp, Elementwise::erf, Elementwise::div, Elementwise::atan2,
                         Elementwise::reciprocal, Elementwise::sqrt})
    EXPECT_FALSE(info(fn).integers || info(fn).booleans) << info(fn).name;
  for (Elementwise fn : {Elementwise::neg, Elementwise::abs, Elementwise::sub, Elementwise::floor,
                         Elementwise::remainder, Elementwise::pow})
    EXPECT_TRUE(info(fn).floats && info(fn).integers && !info(fn).booleans) << info(fn).name;
  for (Elementwise fn : {Elementwise::bitwise_and, Elementwise::bitwise_not})
    EXPECT_TRUE(!info(fn).floats && info(fn).integers && info(fn).booleans) << info(fn).name;
  EXPECT_TRUE(!info(Elementwise::shift_left).floats && !info(Elementwise::shift_left).booleans);
}

TEST(Elementwise, RefusesOperandsOfTwoTypes) {
  const Op add(ElementwiseOp{Elementwise::add});
  expect_error(
      [&] {
        add.infer(std::vector<TensorType>{{DType::f32, {2}}, {DType::f16, {2}}});
      },
      {"add", "b is f16[2]", "f32"});
  expect_error(
      [&] {
        add.infer(std::vector<TensorType>{{DType::f32, {2}}});
      },
      {"add", "1 operands", "2"});
  const Op select(ElementwiseOp{Elementwise::select});
  expect_error(
      [&] {
        select.infer(std::vector<TensorType>{{DType::i64, {}}, {DType::f32, {}}, {DType::f32, {}}});
      },
      {"select", "condition is i64[]", "bool"});
  expect_error(
      [&] {
        select.infer(
            std::vector<TensorType>{{DType::boolean, {}}, {DType::f32, {}}, {DType::i8, {}}});
      },
      {"select", "b is i8[]", "f32"});
}

TEST(Broadcast, GivesTheExtentsOfNumPy) {
  EXPECT_EQ(broadcast({4, 1, 3}, {5, 1}), (Shape{4, 5, 3}));
  EXPECT_EQ(broadcast({}, {2}), (Shape{2}));
  EXPECT_EQ(broadcast({2}, {}), (Shape{2}));
  EXPECT_EQ(broadcast({0}, {1}), (Shape{0}));
  EXPECT_EQ(broadcast({1, 0}, {3, 1}), (Shape{3, 0}));
}

TEST(Broadcast, KeepsTheConstantElseTheFirstOfExtentsThatMayBeEqual) {
  EXPECT_EQ(broadcast({s}, {1}), (Shape{s}));
  EXPECT_EQ(broadcast({1}, {s}), (Shape{s}));
  EXPECT_EQ(broadcast({s}, {4}), (Shape{4}));
  EXPECT_EQ(broadcast({4}, {s}), (Shape{4}));
  EXPECT_EQ(broadcast({s}, {t}), (Shape{s}));
  EXPECT_EQ(broadcast({s}, {2, t}), (Shape{2, s}));
  EXPECT_EQ(broadcast({2, s}, {t}), (Shape{2, s}));
}

TEST(Broadcast, RefusesExtentsThatDiffer) {
  expect_error([] { broadcast({2, 3}, {4, 3}); }, {"[2, 3]", "[4, 3]"});
  expect_error([] { broadcast({0}, {2}); }, {"[0]", "[2]"});
  const Op add(ElementwiseOp{Elementwise::add});
  expect_error(
      [&] {
        add.infer(std::vector<TensorType>{{DType::f32, {2}}, {DType::f32, {s, 3}}});
      },
      {"add", "[2]", "[s, 3]"});
}

TEST(Cast, KeepsTheExtents) {
  EXPECT_EQ(Op(Cast{DType::i8}).infer(std::vector<TensorType>{{DType::f32, {s, 2}}})[0],
            (TensorType{DType::i8, {s, 2}}));
}

TEST(Cast, ConvertsSmallNumbersBetweenAllTypes) {
  const Values numbers{0, 1, 2, 3, 5, 7};
  for (DType from : kAllDTypes)
    for (DType to : kAllDTypes) {
      Values wanted = numbers;
      if (from == DType::boolean || to == DType::boolean) wanted = {0, 1, 1, 1, 1, 1};
      expect_in_all_layouts(Cast{to}, {tensor_of(from, {2, 3}, numbers)}, wanted);
    }
}

TEST(Cast, ConvertsAsPyTorchWhatDoesNotFit) {
  const auto convert = [](DType from, Values values, DType to) {
    return values_of(
        run_op(Cast{to}, {tensor_of(from, {static_cast<int64_t>(values.size())}, values)})[0]);
  };
  EXPECT_EQ(convert(DType::f32, {2.9, -2.9, 0.5, -0.5}, DType::i32), (Values{2, -2, 0, 0}));
  EXPECT_EQ(convert(DType::f16, {-2.75, 1.5}, DType::i64), (Values{-2, 1}));
  EXPECT_EQ(convert(DType::i32, {300, -1, 256}, DType::u8), (Values{44, 255, 0}));
  EXPECT_EQ(convert(DType::i32, {300, -1, 200}, DType::i8), (Values{44, -1, -56}));
  EXPECT_EQ(convert(DType::f32, {0, -0.0, 0.1, kNan, kInf}, DType::boolean),
            (Values{0, 0, 1, 1, 1}));
  EXPECT_EQ(convert(DType::f32, {65520, 65519, 0x1p-25}, DType::f16), (Values{kInf, 65504, 0}));
  EXPECT_EQ(convert(DType::f32, {1 + 0x1p-8, 1 + 0x1p-8 + 0x1p-16}, DType::bf16),
            (Values{1, 1 + 0x1p-7}));
  EXPECT_EQ(convert(DType::i64, {0x1p53}, DType::f32), (Values{0x1p53}));
}

TEST(Cast, TakesManyAndNoElements) {
  const Tensor x = random_tensor(DType::f32, {37, 1001}, 5);
  expect_values(run_op(Cast{DType::f64}, {x})[0], values_of(x));
  EXPECT_EQ(run_op(Cast{DType::i8}, {Tensor::zeros(DType::f32, {0, 3})})[0].shape, Dims({0, 3}));
}

}  // namespace
}  // namespace tutti
