// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/vector_math.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "device/cpu/unary.h"

namespace tutti::cpu {
namespace {

using Reference = double (*)(double);

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

double gelu_erf(double x) { return 0.5 * x * std::erfc(-x / std::sqrt(2.0)); }
double gelu_tanh(double x) {
  return x / (1 + std::exp(-2 * std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}
double silu(double x) { return x / (1 + std::exp(-x)); }
double quick_gelu(double x) { return x / (1 + std::exp(-1.702 * x)); }
double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double relu(double x) { return x > 0 ? x : 0; }

/// Floats over [-limit, limit]: dense around 0 on a logarithmic scale, and evenly spread.
std::vector<float> samples(float lowest, float highest) {
  std::vector<float> x;
  for (int i = 0; i <= 20000; ++i) {
    x.push_back(lowest + (highest - lowest) * static_cast<float>(i) / 20000);
  }
  for (float magnitude = 1e-44f; magnitude < highest; magnitude = magnitude * 1.01f + 1e-45f) {
    x.push_back(magnitude);
    if (-magnitude >= lowest) x.push_back(-magnitude);
  }
  return x;
}

double ulp_of(double value) {
  const float rounded = std::fabs(static_cast<float>(value));
  if (std::isinf(rounded)) return std::ldexp(1.0, 104);
  return static_cast<double>(std::nextafter(rounded, kInf)) - rounded;
}

/// Largest |f(x) - reference(x)| / scale(x, reference(x)) over all samples and instruction sets.
template <class Scale>
void expect_within(Unary f, Reference reference, float lowest, float highest, double limit,
                   Scale scale) {
  const std::vector<float> x = samples(lowest, highest);
  std::vector<float> y(x.size());
  for (int i = 0; i < kIsaCount; ++i) {
    const Isa isa = static_cast<Isa>(i);
    if (!is_supported(isa)) continue;
    apply(isa, f, x.data(), y.data(), static_cast<int64_t>(x.size()));
    double worst = 0;
    float at = 0;
    for (size_t k = 0; k < x.size(); ++k) {
      const double exact = reference(x[k]);
      const double error = std::fabs(y[k] - exact) / scale(x[k], exact);
      if (!(error <= worst)) worst = error, at = x[k];
    }
    EXPECT_LE(worst, limit) << to_string(f) << " on " << to_string(isa) << " at " << at;
  }
}

double ulps(double, double exact) { return ulp_of(exact); }
double absolute(double, double) { return 1; }
double of_x(double x, double) { return std::fabs(x) + 1e-37; }

TEST(VectorMath, ExpIsWithinTwoUlp) { expect_within(Unary::exp, std::exp, -103, 88.7f, 1.5, ulps); }
TEST(VectorMath, LogIsWithinTwoUlp) {
  expect_within(Unary::log, std::log, 1e-44f, 3e38f, 2, ulps);
  expect_within(Unary::log, std::log, 0.5f, 2, 2, ulps);
}
TEST(VectorMath, TanhIsWithinTwoUlp) { expect_within(Unary::tanh, std::tanh, -12, 12, 2, ulps); }
TEST(VectorMath, ErfIsWithinTwoUlp) { expect_within(Unary::erf, std::erf, -6, 6, 2, ulps); }
TEST(VectorMath, SigmoidIsWithinThreeUlp) {
  expect_within(Unary::sigmoid, sigmoid, -87, 87, 3, ulps);
}
TEST(VectorMath, SineAndCosineAreWithinOneRoundingUpTo1e5) {
  expect_within(Unary::sin, std::sin, -1e5f, 1e5f, 1.2e-7, absolute);
  expect_within(Unary::cos, std::cos, -1e5f, 1e5f, 1.2e-7, absolute);
  expect_within(Unary::sin, std::sin, -0.7f, 0.7f, 1.5, ulps);
}
TEST(VectorMath, ActivationsKeepTheirPrecision) {
  expect_within(Unary::gelu_erf, gelu_erf, -40, 40, 1.5e-7, of_x);
  expect_within(Unary::gelu_tanh, gelu_tanh, -5, 40, 4e-6,
                [](double, double exact) { return std::fabs(exact) + 1e-37; });
  expect_within(Unary::gelu_tanh, gelu_tanh, -1e6f, 1e6f, 2e-7, of_x);
  expect_within(Unary::silu, silu, -80, 80, 3.5, ulps);
  expect_within(Unary::quick_gelu, quick_gelu, -80, 80, 2e-7, of_x);
  expect_within(Unary::relu, relu, -3, 3, 0, ulps);
}

TEST(VectorMath, HandlesInfinitiesAndNan) {
  const float x[4] = {kInf, -kInf, kNan, 0};
  const struct {
    Unary f;
    float expected[4];
  } rows[] = {
      {Unary::exp, {kInf, 0, kNan, 1}},         {Unary::log, {kInf, kNan, kNan, -kInf}},
      {Unary::tanh, {1, -1, kNan, 0}},          {Unary::erf, {1, -1, kNan, 0}},
      {Unary::sigmoid, {1, 0, kNan, 0.5f}},     {Unary::relu, {kInf, 0, kNan, 0}},
      {Unary::sin, {kNan, kNan, kNan, 0}},      {Unary::cos, {kNan, kNan, kNan, 1}},
      {Unary::silu, {kInf, kNan, kNan, 0}},     {Unary::quick_gelu, {kInf, kNan, kNan, 0}},
      {Unary::gelu_erf, {kInf, kNan, kNan, 0}}, {Unary::gelu_tanh, {kInf, kNan, kNan, 0}},
  };
  for (const auto& row : rows) {
    for (int i = 0; i < kIsaCount; ++i) {
      const Isa isa = static_cast<Isa>(i);
      if (!is_supported(isa)) continue;
      float y[4];
      apply(isa, row.f, x, y, 4);
      for (int k = 0; k < 4; ++k) {
        const bool same = std::isnan(row.expected[k]) ? std::isnan(y[k]) : y[k] == row.expected[k];
        EXPECT_TRUE(same) << to_string(row.f) << "(" << x[k] << ") = " << y[k] << " on "
                          << to_string(isa);
      }
    }
  }
}

TEST(VectorMath, SineAndCosineReachTheLargestNumbers) {
  expect_within(Unary::sin, std::sin, -1.5e38f, 1.5e38f, 1.2e-7, absolute);
  expect_within(Unary::cos, std::cos, -1.5e38f, 1.5e38f, 1.2e-7, absolute);
}

TEST(VectorMath, ActivationsOfLargeNegativeNumbersVanish) {
  for (const Unary f : {Unary::silu, Unary::gelu_erf, Unary::gelu_tanh, Unary::quick_gelu})
    for (int i = 0; i < kIsaCount; ++i) {
      if (!is_supported(static_cast<Isa>(i))) continue;
      const float x[3] = {-1e4f, -1e30f, std::numeric_limits<float>::lowest()};
      float y[3];
      apply(static_cast<Isa>(i), f, x, y, 3);
      for (float value : y) EXPECT_EQ(value, 0) << to_string(f);
    }
}

TEST(VectorMath, ScalarsAndVectorsAgree) {
  using V [[gnu::vector_size(16)]] = float;
  for (float x : samples(-20, 20)) {
    const V v = math::splat<V>(x);
    EXPECT_EQ(math::exp(x), math::exp(v)[1]);
    EXPECT_EQ(math::gelu_erf(x), math::gelu_erf(v)[1]);
    EXPECT_EQ(math::tanh(x), math::tanh(v)[2]);
    EXPECT_EQ(math::sin(x), math::sin(v)[3]);
  }
}

TEST(VectorMath, NamesOfFunctionsParseToThemselves) {
  for (int i = 0; i < kUnaryCount; ++i) {
    EXPECT_EQ(parse_unary(to_string(static_cast<Unary>(i))), static_cast<Unary>(i));
  }
}

}  // namespace
}  // namespace tutti::cpu
