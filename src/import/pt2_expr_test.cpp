// SPDX-License-Identifier: Apache-2.0
#include "import/pt2_expr.h"

#include <gtest/gtest.h>

#include "import/zip_for_tests.h"

namespace tutti::pt2 {
namespace {

int64_t value(std::string_view text) {
  return evaluate(parse_expr(text), [](std::string_view name) -> int64_t {
    if (name == "s0") return 7;
    if (name == "s27") return 10;
    return -100;
  });
}

std::string corrupt(std::string_view text) {
  return error_of(Errc::corrupt, [&] { parse_expr(text); });
}

TEST(Pt2Expr, EvaluatesSrepr) {
  EXPECT_EQ(value("Integer(-3)"), -3);
  EXPECT_EQ(value("Symbol('s27', positive=True, integer=True)"), 10);
  EXPECT_EQ(value("Add(Mul(Integer(3072), Symbol('s0', positive=True, integer=True)), "
                  "Integer(1572864))"),
            3072 * 7 + 1572864);
  EXPECT_EQ(value("Mul(Integer(2), Symbol('s0'), Symbol('s27'))"), 140);
  EXPECT_EQ(value("Pow(Symbol('s0'), Integer(3))"), 343);
  EXPECT_EQ(value("Min(Integer(64), Mul(Integer(64), Symbol('s0')))"), 64);
  EXPECT_EQ(value("Max(Integer(1), Symbol('s0'), Integer(2))"), 7);
  EXPECT_EQ(value("Mod(Symbol('s27'), Integer(4))"), 2);
  EXPECT_EQ(value("FloorDiv(Symbol('s27'), Integer(4))"), 2);
  EXPECT_EQ(value("CleanDiv(Symbol('s27'), Integer(5))"), 2);
}

TEST(Pt2Expr, EvaluatesInfix) {
  EXPECT_EQ(value("2*s27 + 1"), 21);
  EXPECT_EQ(value("s0 + 1"), 8);
  EXPECT_EQ(value("s0 - 2 - 3"), 2);
  EXPECT_EQ(value("-s0**2"), -49);
  EXPECT_EQ(value("2**3**2"), 512);
  EXPECT_EQ(value("(s0 + 1)*(s27 - 1)"), 72);
  EXPECT_EQ(value("((s27//4))"), 2);
  EXPECT_EQ(value("s27/5 + s27%3"), 3);
  EXPECT_EQ(value("Max(1, s0) + Mod(s27, 4)"), 9);
}

TEST(Pt2Expr, RoundsDownAndTakesTheDivisorsSign) {
  EXPECT_EQ(value("FloorDiv(Integer(-7), Integer(2))"), -4);
  EXPECT_EQ(value("FloorDiv(Integer(7), Integer(-2))"), -4);
  EXPECT_EQ(value("FloorDiv(Integer(-7), Integer(-2))"), 3);
  EXPECT_EQ(value("PythonMod(Integer(-7), Integer(3))"), 2);
  EXPECT_EQ(value("PythonMod(Integer(7), Integer(-3))"), -2);
  EXPECT_EQ(value("PythonMod(Integer(-6), Integer(3))"), 0);
}

TEST(Pt2Expr, RefusesWhatHasNoValue) {
  const auto refusal = [](std::string_view text) {
    return error_of(Errc::invalid_argument, [&] { value(text); });
  };
  EXPECT_NE(refusal("s0//0").find("expression s0//0: divides by zero"), std::string::npos);
  EXPECT_NE(refusal("CleanDiv(Symbol('s0'), Integer(2))").find("7 / 2 leaves a rest"),
            std::string::npos);
  EXPECT_NE(refusal("9223372036854775807 + s0").find("does not fit"), std::string::npos);
  EXPECT_NE(refusal("s0**1000000000000").find("does not fit"), std::string::npos);
  EXPECT_NE(refusal("(-9223372036854775807 - 1)//(-1)").find("does not fit"), std::string::npos);
  EXPECT_NE(refusal("s0**(-1)").find("negative exponent"), std::string::npos);
  EXPECT_EQ(value("1**1000000000000"), 1);
  EXPECT_EQ(value("(-1)**1000000000001"), -1);
}

TEST(Pt2Expr, KeepsOtherFunctionsUntilTheyAreEvaluated) {
  const Expr expr = parse_expr("Add(Integer(1), ToFloat(Symbol('s0')))");
  EXPECT_EQ(to_string(expr), "1 + ToFloat(s0)");
  EXPECT_EQ(expr.args[1].kind, Expr::Kind::other);
  EXPECT_EQ(error_of(Errc::unsupported, [] { value("ToFloat(s0)"); }),
            "expression ToFloat(s0): cannot be evaluated");
}

TEST(Pt2Expr, PrintsWhatItParsesAgain) {
  for (const char* text : {"2*s27 + 1", "s0*(s0 + 1)", "(s0//4)*3", "Max(s0, 4)", "(-1)*s0 + s27",
                           "Mod(s0, 2)", "s0**2", "PythonMod(s0, 3)", "(s0/2)//3"}) {
    EXPECT_EQ(to_string(parse_expr(text)), text);
  }
  EXPECT_EQ(to_string(parse_expr("Add(Symbol('s0', integer=True), Integer(-1))")), "s0 + -1");
}

TEST(Pt2Expr, RefusesWhatIsNoExpression) {
  for (const char* text :
       {"", "2*", "(s0", "s0)", "s0 s1", "Integer(s0)", "Symbol(s0)", "Symbol('s0", "Add()",
        "Pow(s0)", "Mod(1, 2, 3)", "1.5", "99999999999999999999", "Add(1,)"})
    EXPECT_NE(corrupt(text).find("expression "), std::string::npos) << text;
  EXPECT_NE(corrupt(std::string(100000, '(')).find("too many levels"), std::string::npos);
  EXPECT_NE(corrupt(std::string(100000, '-')).find("too many levels"), std::string::npos);
  std::string powers = "2";
  for (int i = 0; i < 100000; ++i) powers += "**2";
  EXPECT_NE(corrupt(powers).find("too many levels"), std::string::npos);
}

TEST(Pt2Expr, AnyDamageIsAnErrorOrHarmless) {
  damage_everywhere("Add(Mul(Integer(2), Symbol('s0', positive=True)), Integer(-1)) + s27**2//3",
                    [](const std::string& damaged) { value(damaged); });
}

}  // namespace
}  // namespace tutti::pt2
