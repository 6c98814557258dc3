// SPDX-License-Identifier: Apache-2.0
#include "ir/dim.h"

#include <gtest/gtest.h>

#include <random>

#include "core/error.h"

namespace tutti {
namespace {

const Dim s = Dim::symbol("s"), t = Dim::symbol("t");

TEST(Dim, EqualPolynomialsCompareEqual) {
  EXPECT_EQ((s + 1) * (s - 1), s * s - 1);
  EXPECT_EQ(s * 2 + t - s, t + s);
  EXPECT_NE(s, t);
  EXPECT_TRUE((s - s).is_constant());
}

TEST(Dim, DividesExactlyWhatDivides) {
  EXPECT_EQ(floor_div(s * 48, 16), s * 3);
  EXPECT_EQ(floor_div(s * t * 6, s), t * 6);
  EXPECT_EQ(mod(s * 4, 2), Dim(0));
  EXPECT_EQ(floor_div(s * t * 6 + s * 4, s * 2), t * 3 + 2);
  EXPECT_EQ(floor_div(s * 3, s * 2).evaluate({{"s", 5}}), 1);
}

TEST(Dim, RoundsQuotientsDown) {
  EXPECT_EQ(floor_div(Dim(-7), 2).value(), -4);
  EXPECT_EQ(mod(Dim(-7), 2).value(), 1);
}

TEST(Dim, EvaluatesAsTheFormulaItWasBuiltFrom) {
  std::mt19937 random(1);
  for (int i = 0; i < 200; ++i) {
    const int64_t a = random() % 20 + 1, b = random() % 20 + 1;
    const SymbolValues values{{"s", a}, {"t", b}};
    const Dim e = floor_div(s * 3 + t, 4) * 2 + mod(t * t + 1, 5) - min(s, t) * max(s, 7);
    const int64_t expected =
        (3 * a + b) / 4 * 2 + (b * b + 1) % 5 - std::min(a, b) * std::max<int64_t>(a, 7);
    EXPECT_EQ(e.evaluate(values), expected);
    EXPECT_EQ(e.substitute({{"s", a}}).evaluate(values), expected);
    EXPECT_EQ(Dim::parse(to_string(e)), e) << to_string(e);
  }
}

TEST(Dim, NamesASymbolWithoutAValue) {
  try {
    s.evaluate({});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::not_found);
    EXPECT_NE(std::string(error.what()).find("symbol s"), std::string::npos);
  }
}

TEST(Dim, RefusesTextThatIsNoExpression) {
  for (const char* text : {"", "2 +", "(s", "s s", "99999999999999999999", "min(s)", "%"})
    EXPECT_THROW(Dim::parse(text), Error) << text;
}

TEST(Dim, RefusesExpressionsThatGrowWithoutBound) {
  Dim product = 1, power = s, quotient = s * s + t;
  EXPECT_THROW(
      {
        for (int i = 0; i < 20; ++i)
          product = product * (Dim::symbol(join("a", i)) + Dim::symbol(join("b", i)));
      },
      Error);
  EXPECT_THROW(for (int i = 0; i < 1000; ++i) power = power * s, Error);
  EXPECT_THROW(for (int i = 0; i < 1000; ++i) quotient = floor_div(quotient, 7) + t, Error);
}

TEST(Dim, OverflowIsAnError) { EXPECT_THROW(Dim(INT64_MAX) * 2, Error); }

}  // namespace
}  // namespace tutti
