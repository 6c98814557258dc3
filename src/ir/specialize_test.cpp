// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "core/error.h"
#include "ir/graph.h"

namespace tutti {
namespace {

const Dim s = Dim::symbol("s"), t = Dim::symbol("t");

Function of_inputs(const std::vector<Shape>& shapes) {
  Function function{"run"};
  for (const Shape& shape : shapes)
    function.add_input("x" + std::to_string(function.inputs.size()), {DType::f32, shape});
  return function;
}

SymbolValues bind(const std::vector<Shape>& declared, const std::vector<Dims>& found) {
  return bind_symbols(Graph{}, of_inputs(declared), found);
}

TEST(BindSymbols, TakesSymbolsFromExtents) {
  const SymbolValues values = bind({{s, 2 * s}, {t}}, {{3, 6}, {5}});
  EXPECT_EQ(values.at("s"), 3);
  EXPECT_EQ(values.at("t"), 5);
}

TEST(BindSymbols, SolvesForASymbolThatOnlyStandsInAnExpression) {
  EXPECT_EQ(bind({{s * 2 + 1}}, {{7}}).at("s"), 3);
  EXPECT_EQ(bind({{s * t}, {t}}, {{12}, {4}}).at("s"), 3);
}

TEST(BindSymbols, RefusesExtentsThatContradictEachOther) {
  EXPECT_THROW(bind({{s, s}}, {{3, 4}}), Error);
  EXPECT_THROW(bind({{s, 2 * s}}, {{3, 7}}), Error);
  EXPECT_THROW(bind({{s * 2}}, {{7}}), Error);
}

}  // namespace
}  // namespace tutti
