// SPDX-License-Identifier: Apache-2.0
#include "core/small_float.h"

#include <gtest/gtest.h>

namespace tutti {
namespace {

// The value of a float of the given layout by its definition, in f64.
double by_definition(uint32_t bits, int exponent_bits, int mantissa_bits, bool has_inf) {
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const int top = (1 << exponent_bits) - 1;
  const double sign = (bits >> (exponent_bits + mantissa_bits)) & 1 ? -1 : 1;
  const int exponent = static_cast<int>(bits >> mantissa_bits) & top;
  const int mantissa = static_cast<int>(bits) & ((1 << mantissa_bits) - 1);
  if (exponent == top && has_inf) return mantissa ? NAN : sign * INFINITY;
  if (exponent == top && mantissa == (1 << mantissa_bits) - 1) return NAN;
  const double fraction = mantissa / std::ldexp(1.0, mantissa_bits);
  if (exponent == 0) return sign * std::ldexp(fraction, 1 - bias);
  return sign * std::ldexp(1 + fraction, exponent - bias);
}

template <class T>
void check_all(int bits, int exponent_bits, int mantissa_bits, bool has_inf) {
  for (uint32_t i = 0; i < (1u << bits); ++i) {
    T value;
    value.bits = static_cast<decltype(value.bits)>(i);
    const double expected = by_definition(i, exponent_bits, mantissa_bits, has_inf);
    const float wide = value;
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(wide)) << i;
      EXPECT_TRUE(std::isnan(static_cast<float>(T(wide)))) << i;
      continue;
    }
    EXPECT_EQ(static_cast<double>(wide), expected) << i;
    EXPECT_EQ(T(wide).bits, value.bits) << i;
  }
}

TEST(SmallFloat, EveryF16HasItsIeeeValueAndComesBack) { check_all<f16>(16, 5, 10, true); }
TEST(SmallFloat, EveryBf16HasItsValueAndComesBack) { check_all<bf16>(16, 8, 7, true); }
TEST(SmallFloat, EveryE4m3HasItsValueAndComesBack) { check_all<f8_e4m3>(8, 4, 3, false); }
TEST(SmallFloat, EveryE5m2HasItsValueAndComesBack) { check_all<f8_e5m2>(8, 5, 2, true); }

TEST(SmallFloat, TiesRoundToEven) {
  EXPECT_EQ(static_cast<float>(bf16(1.00390625f)), 1.0f);
  EXPECT_EQ(static_cast<float>(bf16(1.01171875f)), 1.015625f);
  EXPECT_EQ(static_cast<float>(f16(2049.0f)), 2048.0f);
  EXPECT_EQ(static_cast<float>(f16(2051.0f)), 2052.0f);
}

TEST(SmallFloat, TooLargeBecomesInfinityOrTheLargestNumber) {
  EXPECT_TRUE(std::isinf(static_cast<float>(f16(65520.0f))));
  EXPECT_EQ(static_cast<float>(f16(65519.0f)), 65504.0f);
  EXPECT_EQ(static_cast<float>(f8_e4m3(464.0f)), 448.0f);
  EXPECT_EQ(static_cast<float>(f8_e4m3(1000.0f)), 448.0f);
  EXPECT_EQ(static_cast<float>(f8_e4m3(-INFINITY)), -448.0f);
  EXPECT_TRUE(std::isnan(static_cast<float>(f8_e4m3(NAN))));
  EXPECT_TRUE(std::isinf(static_cast<float>(f8_e5m2(65000.0f))));
}

}  // namespace
}  // namespace tutti
