// SPDX-License-Identifier: Apache-2.0
#include "ops/elementwise.h"
#include "ops/ops_for_tests.h"

namespace tutti {
namespace {

using E = Elementwise;

Values compute(E fn, DType dtype, const std::vector<Values>& operands) {
  std::vector<Tensor> in;
  for (const Values& values : operands)
    in.push_back(tensor_of(dtype, {static_cast<int64_t>(values.size())}, values));
  return values_of(run_op(ElementwiseOp{fn}, in)[0]);
}

/// Exact equality but for NaN; zeros have the same sign.
void expect_same(const Values& found, const Values& wanted) {
  ASSERT_EQ(found.size(), wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (std::isnan(wanted[i])) {
      EXPECT_TRUE(std::isnan(found[i])) << "element " << i << ": " << found[i];
    } else {
      EXPECT_EQ(found[i], wanted[i]) << "element " << i;
      EXPECT_EQ(std::signbit(found[i]), std::signbit(wanted[i])) << "element " << i;
    }
  }
}

TEST(ElementwiseCpu, ComputesFloatFunctionsOfOneValue) {
  struct {
    E fn;
    double low, high;
    double (*wanted)(double);
  } const cases[] = {
      {E::exp, -4, 4, [](double x) { return std::exp(x); }},
      {E::exp2, -4, 4, [](double x) { return std::exp(x * M_LN2); }},
      {E::expm1, -4, 4, [](double x) { return std::exp(x) - 1; }},
      {E::log, 0.1, 9, [](double x) { return std::log(x); }},
      {E::log2, 0.1, 9, [](double x) { return std::log(x) / M_LN2; }},
      {E::log1p, -0.9, 9, [](double x) { return std::log(1 + x); }},
      {E::sqrt, 0, 9, [](double x) { return std::pow(x, 0.5); }},
      {E::rsqrt, 0.1, 9, [](double x) { return std::pow(x, -0.5); }},
      {E::sin, -4, 4, [](double x) { return std::sin(x); }},
      {E::cos, -4, 4, [](double x) { return std::cos(x); }},
      {E::tan, -1, 1, [](double x) { return std::sin(x) / std::cos(x); }},
      {E::asin, -1, 1, [](double x) { return std::asin(x); }},
      {E::acos, -1, 1, [](double x) { return M_PI / 2 - std::asin(x); }},
      {E::atan, -9, 9, [](double x) { return std::atan2(x, 1); }},
      {E::sinh, -4, 4, [](double x) { return (std::exp(x) - std::exp(-x)) / 2; }},
      {E::cosh, -4, 4, [](double x) { return (std::exp(x) + std::exp(-x)) / 2; }},
      {E::tanh, -4, 4, [](double x) { return 1 - 2 / (std::exp(2 * x) + 1); }},
      {E::erf, -3, 3, [](double x) { return 1 - std::erfc(x); }},
      {E::erfc, -3, 3, [](double x) { return 1 - std::erf(x); }},
      {E::sigmoid, -9, 9, [](double x) { return 0.5 + 0.5 * std::tanh(x / 2); }},
      {E::silu, -9, 9, [](double x) { return x * (0.5 + 0.5 * std::tanh(x / 2)); }},
      {E::gelu, -4, 4, [](double x) { return x * 0.5 * std::erfc(-x * M_SQRT1_2); }},
      {E::gelu_tanh, -4, 4,
       [](double x) {
         return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * std::pow(x, 3))));
       }},
      {E::softplus, -9, 40, [](double x) { return x > 20 ? x : std::log(1 + std::exp(x)); }},
      {E::reciprocal, 0.25, 9, [](double x) { return 1 / x; }},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(info(c.fn).name);
    Values numbers;
    for (int i = 0; i < 6 * 7; ++i) numbers.push_back(c.low + (c.high - c.low) * i / 41);
    for (DType dtype : kFloats) {
      // Rounding to 8 bits may leave the domain of a function: the ends are cut.
      const Tensor x = tensor_of(dtype, {6, 7}, numbers);
      Values wanted;
      for (double value : values_of(x)) wanted.push_back(c.wanted(value));
      expect_in_all_layouts(ElementwiseOp{c.fn}, {x}, wanted, rounding_of(dtype));
    }
  }
}

TEST(ElementwiseCpu, RoundsSmallFloatsOnce) {
  for (DType dtype : {DType::f16, DType::bf16}) {
    Values numbers;
    for (int i = 1; i <= 500; ++i) numbers.push_back(i * 0.017);
    const Tensor x = tensor_of(dtype, {500}, numbers);
    Values wanted;
    for (double value : values_of(x)) wanted.push_back(std::exp(static_cast<float>(value)));
    expect_values(run_op(ElementwiseOp{E::exp}, {x})[0],
                  values_of(tensor_of(dtype, {500}, wanted)));
  }
  // 0.1 + 0.2 in f16: the exact sum of the rounded operands, rounded.
  const Values a = values_of(tensor_of(DType::f16, {1}, {0.1}));
  const Values b = values_of(tensor_of(DType::f16, {1}, {0.2}));
  EXPECT_EQ(compute(E::add, DType::f16, {{0.1}, {0.2}}),
            values_of(tensor_of(DType::f16, {1}, {a[0] + b[0]})));
}

TEST(ElementwiseCpu, GivesWhatPyTorchGivesForSpecialValues) {
  const Values x{kNan, kInf, -kInf, 0.0, -0.0};
  for (DType dtype : {DType::f64, DType::f32, DType::f16, DType::bf16}) {
    const auto unary = [&](E fn) { return compute(fn, dtype, {x}); };
    expect_same(unary(E::exp), {kNan, kInf, 0, 1, 1});
    expect_same(unary(E::log), {kNan, kInf, kNan, -kInf, -kInf});
    expect_same(unary(E::sqrt), {kNan, kInf, kNan, 0, -0.0});
    expect_same(unary(E::rsqrt), {kNan, 0, kNan, kInf, -kInf});
    expect_same(unary(E::reciprocal), {kNan, 0, -0.0, kInf, -kInf});
    expect_same(unary(E::tanh), {kNan, 1, -1, 0, -0.0});
    expect_same(unary(E::sigmoid), {kNan, 1, 0, 0.5, 0.5});
    expect_same(unary(E::silu), {kNan, kInf, kNan, 0, -0.0});
    expect_same(unary(E::softplus), {kNan, kInf, 0, compute(E::softplus, dtype, {{0}})[0],
                                     compute(E::softplus, dtype, {{0}})[0]});
    expect_same(unary(E::relu), {kNan, kInf, 0, 0, -0.0});
    expect_same(unary(E::sign), {0, 1, -1, 0, 0});
    expect_same(unary(E::neg), {kNan, -kInf, kInf, -0.0, 0.0});
    expect_same(unary(E::abs), {kNan, kInf, kInf, 0, 0});
    expect_same(unary(E::floor), {kNan, kInf, -kInf, 0, -0.0});
    expect_same(unary(E::is_nan), {1, 0, 0, 0, 0});
    expect_same(unary(E::is_inf), {0, 1, 1, 0, 0});
    expect_same(unary(E::is_finite), {0, 0, 0, 1, 1});
    expect_same(unary(E::logical_not), {0, 0, 0, 1, 1});
  }
}

TEST(ElementwiseCpu, RoundsToIntegersAsItSays) {
  const Values x{0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 2.25, -2.25, 2.75};
  for (DType dtype : {DType::f64, DType::f32, DType::f16, DType::bf16, DType::f8_e4m3}) {
    expect_same(compute(E::round, dtype, {x}), {0, 2, 2, -0.0, -2, -2, 2, -2, 3});
    expect_same(compute(E::floor, dtype, {x}), {0, 1, 2, -1, -2, -3, 2, -3, 2});
    expect_same(compute(E::ceil, dtype, {x}), {1, 2, 3, -0.0, -1, -2, 3, -2, 3});
    expect_same(compute(E::trunc, dtype, {x}), {0, 1, 2, -0.0, -1, -2, 2, -2, 2});
  }
  for (E fn : {E::round, E::floor, E::ceil, E::trunc})
    EXPECT_EQ(compute(fn, DType::i16, {{-3, 0, 7}}), (Values{-3, 0, 7}));
}

TEST(ElementwiseCpu, DividesFloatsAsPython) {
  const Values a{7, -7, 7, -7, 6, -6, 1, 0, -1, kInf, 5, -5, -0.0};
  const Values b{3, 3, -3, -3, 3, 3, 0, 0, 0, 2, kInf, kInf, 3};
  for (DType dtype : {DType::f64, DType::f32, DType::f16, DType::bf16}) {
    expect_same(compute(E::div_floor, dtype, {a, b}),
                {2, -3, -3, 2, 2, -2, kInf, kNan, -kInf, kNan, 0, -1, -0.0});
    expect_same(compute(E::div_trunc, dtype, {a, b}),
                {2, -2, -2, 2, 2, -2, kInf, kNan, -kInf, kInf, 0, -0.0, -0.0});
    expect_same(compute(E::remainder, dtype, {a, b}),
                {1, 2, -2, -1, 0, -0.0, kNan, kNan, kNan, kNan, 5, kInf, -0.0});
    expect_same(compute(E::fmod, dtype, {a, b}),
                {1, -1, 1, -1, 0, -0.0, kNan, kNan, kNan, kNan, 5, -5, -0.0});
  }
  // The quotient 10 is the nearest f64, yet too large.
  EXPECT_EQ(compute(E::div_floor, DType::f64, {{1}, {0.1}}), (Values{9}));
}

TEST(ElementwiseCpu, ComparesNanAsUnequal) {
  const Values a{1, 2, 2, kNan, 1, kNan}, b{2, 1, 2, 1, kNan, kNan};
  for (DType dtype : {DType::f64, DType::f32, DType::f16, DType::bf16, DType::f8_e5m2}) {
    expect_same(compute(E::equal, dtype, {a, b}), {0, 0, 1, 0, 0, 0});
    expect_same(compute(E::not_equal, dtype, {a, b}), {1, 1, 0, 1, 1, 1});
    expect_same(compute(E::less, dtype, {a, b}), {1, 0, 0, 0, 0, 0});
    expect_same(compute(E::less_equal, dtype, {a, b}), {1, 0, 1, 0, 0, 0});
    expect_same(compute(E::greater, dtype, {a, b}), {0, 1, 0, 0, 0, 0});
    expect_same(compute(E::greater_equal, dtype, {a, b}), {0, 1, 1, 0, 0, 0});
    expect_same(compute(E::minimum, dtype, {a, b}), {1, 1, 2, kNan, kNan, kNan});
    expect_same(compute(E::maximum, dtype, {a, b}), {2, 2, 2, kNan, kNan, kNan});
    expect_same(compute(E::logical_and, dtype, {a, {0, 1, 2, 3, 0, 1}}), {0, 1, 1, 1, 0, 1});
  }
}

TEST(ElementwiseCpu, ComputesFloatFunctionsOfTwoValues) {
  const Values a{2, 2, 0, 0, -8, 1, kNan, -2}, b{3, -1, 0, -1, 1.0 / 3, kNan, 0, 3};
  expect_same(compute(E::pow, DType::f32, {a, b}), {8, 0.5, 1, kInf, kNan, 1, 1, -8});
  const Values y = compute(E::atan2, DType::f64, {{1, 1, -1, 0}, {1, -1, 0, -1}});
  const Values wanted{M_PI / 4, 3 * M_PI / 4, -M_PI / 2, M_PI};
  for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(y[i], wanted[i], 1e-15);
  expect_same(compute(E::div, DType::f32, {{1, -1, 0, 3}, {0, 0, 0, 2}}), {kInf, -kInf, kNan, 1.5});
}

TEST(ElementwiseCpu, ComputesBooleansByTruthTable) {
  const Values a{0, 0, 1, 1}, b{0, 1, 0, 1};
  struct {
    E fn;
    Values wanted;
  } const cases[] = {{E::add, {0, 1, 1, 1}},         {E::mul, {0, 0, 0, 1}},
                     {E::minimum, {0, 0, 0, 1}},     {E::maximum, {0, 1, 1, 1}},
                     {E::bitwise_and, {0, 0, 0, 1}}, {E::bitwise_or, {0, 1, 1, 1}},
                     {E::bitwise_xor, {0, 1, 1, 0}}, {E::logical_and, {0, 0, 0, 1}},
                     {E::logical_or, {0, 1, 1, 1}},  {E::logical_xor, {0, 1, 1, 0}},
                     {E::equal, {1, 0, 0, 1}},       {E::not_equal, {0, 1, 1, 0}},
                     {E::less, {0, 1, 0, 0}},        {E::greater_equal, {1, 0, 1, 1}}};
  for (const auto& c : cases) {
    SCOPED_TRACE(info(c.fn).name);
    expect_same(compute(c.fn, DType::boolean, {a, b}), c.wanted);
  }
  expect_same(compute(E::bitwise_not, DType::boolean, {{0, 1}}), {1, 0});
  expect_same(compute(E::logical_not, DType::boolean, {{0, 1}}), {1, 0});
  expect_same(compute(E::sign, DType::boolean, {{0, 1}}), {0, 1});
  expect_same(compute(E::is_finite, DType::boolean, {{0, 1}}), {1, 1});
}

TEST(ElementwiseCpu, SelectsByTheCondition) {
  const Tensor condition = tensor_of(DType::boolean, {2, 1}, {1, 0});
  for (DType dtype : kAllDTypes) {
    const Tensor a = random_tensor(dtype, {3}, 1), b = random_tensor(dtype, {4, 1, 1}, 2);
    const Values as = values_of(a), bs = values_of(b);
    Values wanted;
    for (size_t i = 0; i < 4; ++i)
      for (size_t j = 0; j < 2; ++j)
        for (size_t k = 0; k < 3; ++k) wanted.push_back(j == 0 ? as[k] : bs[i]);
    expect_in_all_layouts(ElementwiseOp{E::select}, {condition, a, b}, wanted);
  }
}

TEST(ElementwiseCpu, SelectKeepsEveryBit) {
  const Tensor condition = tensor_of(DType::boolean, {2}, {1, 0});
  Tensor a = Tensor::zeros(DType::f16, {2}), b = Tensor::zeros(DType::f16, {2});
  a.as<uint16_t>()[0] = 0x7c01;
  b.as<uint16_t>()[1] = 0xfdab;
  const Tensor y = run_op(ElementwiseOp{E::select}, {condition, a, b})[0];
  EXPECT_EQ(y.as<uint16_t>()[0], 0x7c01);
  EXPECT_EQ(y.as<uint16_t>()[1], 0xfdab);
}

TEST(ElementwiseCpu, BroadcastsOperandsOfEveryTypeInEveryLayout) {
  for (DType dtype : kAllDTypes) {
    const Tensor a = random_tensor(dtype, {4, 1, 3}, 1), b = random_tensor(dtype, {5, 1}, 2);
    const Values as = values_of(a), bs = values_of(b);
    Values wanted;
    for (size_t i = 0; i < 4; ++i)
      for (size_t j = 0; j < 5; ++j)
        for (size_t k = 0; k < 3; ++k) wanted.push_back(std::max(as[i * 3 + k], bs[j]));
    expect_in_all_layouts(ElementwiseOp{E::maximum}, {a, b}, wanted);
  }
}

TEST(ElementwiseCpu, TakesNoElementOneAndMany) {
  for (DType dtype : {DType::f32, DType::f16, DType::i8}) {
    EXPECT_EQ(compute(E::add, dtype, {{}, {}}), Values());
    expect_in_all_layouts(ElementwiseOp{E::add},
                          {tensor_of(dtype, {}, {2}), tensor_of(dtype, {}, {3})}, {5});
    EXPECT_EQ(run_op(ElementwiseOp{E::add},
                     {Tensor::zeros(dtype, {3, 0, 2}), Tensor::zeros(dtype, {1, 2})})[0]
                  .shape,
              Dims({3, 0, 2}));
  }
  const Tensor a = random_tensor(DType::f32, {37, 1, 1001}, 1);
  const Tensor b = random_tensor(DType::f32, {3, 1}, 2);
  const Values as = values_of(a), bs = values_of(b);
  Values wanted;
  for (size_t i = 0; i < 37; ++i)
    for (size_t j = 0; j < 3; ++j)
      for (size_t k = 0; k < 1001; ++k) wanted.push_back(as[i * 1001 + k] - bs[j]);
  expect_in_all_layouts(ElementwiseOp{E::sub}, {a, b}, wanted);
}

}  // namespace
}  // namespace tutti
