// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cfloat>
#include <cmath>
#include <functional>

#include "compile/pass.h"
#include "core/dispatch.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "ops/all.h"
#include "ops/attention.h"
#include "ops/constant.h"
#include "ops/elementwise.h"

namespace tutti {
namespace {

constexpr double kInf = INFINITY;

// What the pass leaves of an attention of s queries and t keys, after checking the types.
Node classified(const Function& f) {
  Program program;
  const CompileOptions options;
  Compilation c{program, f, options};
  classify_masks(c);
  c.function.remove_dead();
  verify(program.graph, c.function);
  return c.function.nodes.back();
}

Function operands(int64_t s, int64_t t, DType dtype) {
  Function f;
  f.name = "run";
  f.add_input("q", {dtype, {2, 3, s, 4}});
  f.add_input("k", {dtype, {2, 3, t, 4}});
  return f;
}

Node classified(Function f, ValueId mask, const Band& band = {}) {
  Attention op;
  op.set_band(band);
  f.outputs = {{"y", f.add1(op, {0, 1, 1, mask})}};
  return classified(f);
}

// A mask of this shape whose last two axes are queries and keys: value(i, j) for all others.
using Value = std::function<double(int64_t, int64_t)>;
Tensor mask_of(DType dtype, const Dims& shape, const Value& value) {
  Tensor mask = Tensor::zeros(dtype, shape);
  const int64_t s = shape[shape.rank() - 2], t = shape[shape.rank() - 1];
  with_dtype(dtype, [&](auto zero) {
    using T = decltype(zero);
    for (int64_t i = 0; i < mask.elements(); ++i)
      mask.as<T>()[i] = static_cast<T>(static_cast<float>(value(i / t % s, i % t)));
  });
  return mask;
}

Node classified(const Tensor& mask, DType dtype = DType::f32, const Band& band = {}) {
  Function f = operands(mask.shape[mask.rank() - 2], mask.shape[mask.rank() - 1], dtype);
  return classified(f, f.add1(Constant{mask}, {}), band);
}

bool is_left(const Node& node) { return node.inputs.size() == 4; }

// Whether a query sees what the mask lets it see, pair by pair.
void expect_band(const Node& node, int64_t s, int64_t t, const Value& sees) {
  ASSERT_FALSE(is_left(node));
  const Attention& op = *node.op.as<Attention>();
  for (int64_t i = 0; i < s; ++i)
    for (int64_t j = 0; j < t; ++j) {
      const int64_t p = i + op.offset;
      const bool found = (op.left < 0 || j >= p - op.left) && (op.right < 0 || j <= p + op.right);
      EXPECT_EQ(found, sees(i, j) != 0) << i << " " << j;
    }
}

const std::vector<Value> kBands = {
    [](int64_t i, int64_t j) { return j <= i; },
    [](int64_t i, int64_t j) { return j <= i && j > i - 3; },
    [](int64_t i, int64_t j) { return std::abs(i - j) <= 2; },
    [](int64_t i, int64_t j) { return j <= i + 2 && j >= i + 1; },
    [](int64_t i, int64_t j) { return j >= i - 1; },
    [](int64_t, int64_t) { return 1; },
};

TEST(ClassifyMasks, FindsBandsOfBooleans) {
  for (const Value& sees : kBands)
    for (const Dims& shape :
         {Dims{6, 9}, Dims{1, 1, 6, 9}, Dims{2, 3, 6, 9}, Dims{9, 9}, Dims{9, 6}, Dims{1, 9}})
      expect_band(classified(mask_of(DType::boolean, shape, sees)),
                  shape.rank() == 2 ? shape[0] : 6, shape[shape.rank() - 1], sees);
}

TEST(ClassifyMasks, NamesCausalAndWindowsAsPeopleDo) {
  const auto band = [](const Value& sees) {
    return classified(mask_of(DType::boolean, {9, 9}, sees)).op.as<Attention>()->band();
  };
  EXPECT_EQ(band(kBands[0]), (Band{-1, 0, 0}));
  EXPECT_EQ(band(kBands[1]), (Band{2, 0, 0}));
  EXPECT_EQ(band(kBands[2]), (Band{2, 2, 0}));
  EXPECT_EQ(band(kBands.back()), (Band{}));
}

TEST(ClassifyMasks, FindsBandsOfAddends) {
  struct Low {
    DType dtype;
    double lowest;
  };
  for (const auto& [dtype, lowest] :
       {Low{DType::f32, -kInf}, Low{DType::f32, -FLT_MAX}, Low{DType::f32, -3.39e38},
        Low{DType::bf16, -3.38e38}, Low{DType::f16, -65504}})
    for (const Value& sees : {kBands[0], kBands[1], kBands[2]}) {
      const auto added = [&](int64_t i, int64_t j) { return sees(i, j) != 0 ? 0 : lowest; };
      expect_band(classified(mask_of(dtype, {1, 1, 7, 7}, added), dtype), 7, 7, sees);
    }
}

TEST(ClassifyMasks, LeavesWhatIsNoBand) {
  const auto general = [](const Value& value, DType dtype = DType::boolean) {
    return is_left(classified(mask_of(dtype, {7, 7}, value)));
  };
  EXPECT_TRUE(general([](int64_t i, int64_t j) { return j <= i && j != 2; }));
  EXPECT_TRUE(general([](int64_t i, int64_t j) { return j <= i || (i == 3 && j == 4); }));
  EXPECT_TRUE(general([](int64_t, int64_t j) { return j < 4; }));
  EXPECT_TRUE(general([](int64_t i, int64_t j) { return j <= i - 5 || (j < i && j > i - 3); }));
  EXPECT_TRUE(
      general([](int64_t i, int64_t j) { return j <= i ? 0.25 * (j - i) : -kInf; }, DType::f32));
  EXPECT_TRUE(general([](int64_t i, int64_t j) { return j <= i ? 0 : -1e4; }, DType::f32));
  EXPECT_TRUE(general([](int64_t, int64_t) { return 0; }));
  Tensor heads = mask_of(DType::boolean, {1, 3, 7, 7}, kBands[0]);
  heads.as<bool>()[7 * 7 + 1] = true;
  EXPECT_TRUE(is_left(classified(heads)));
}

// A row of very low addends is the mean of all values, one that sees nothing is 0.
TEST(ClassifyMasks, LeavesRowsOfLowestAddends) {
  const Value sees = [](int64_t i, int64_t j) { return j + 2 <= i; };
  const auto added = [&](double lowest) {
    return mask_of(DType::f32, {7, 7},
                   [=](int64_t i, int64_t j) { return sees(i, j) != 0 ? 0 : lowest; });
  };
  expect_band(classified(mask_of(DType::boolean, {7, 7}, sees)), 7, 7, sees);
  expect_band(classified(added(-kInf)), 7, 7, sees);
  EXPECT_TRUE(is_left(classified(added(-FLT_MAX))));
}

TEST(ClassifyMasks, JoinsAMaskWithABand) {
  expect_band(
      classified(mask_of(DType::boolean, {7, 7}, [](int64_t i, int64_t j) { return j > i - 3; }),
                 DType::f32, {-1, 0}),
      7, 7, kBands[1]);
}

// A band and what only comes with the inputs: the input is what is left.
TEST(ClassifyMasks, TakesABandOutOfAConjunction) {
  for (const Elementwise fn : {Elementwise::bitwise_and, Elementwise::logical_and}) {
    Function f = operands(7, 7, DType::f32);
    const ValueId padding = f.add_input("padding", {DType::boolean, {2, 1, 1, 7}});
    const ValueId causal = f.add1(Constant{mask_of(DType::boolean, {1, 1, 7, 7}, kBands[0])}, {});
    Node node = classified(f, f.add1(ElementwiseOp{fn}, {causal, padding}));
    ASSERT_TRUE(is_left(node));
    EXPECT_EQ(node.inputs[3], padding);
    node.inputs.pop_back();
    expect_band(node, 7, 7, kBands[0]);
  }
}

TEST(ClassifyMasks, TakesABandOutOfASum) {
  const auto sum = [](double lowest) {
    Function f = operands(7, 7, DType::f32);
    const ValueId bias = f.add_input("bias", {DType::f32, {1, 3, 7, 7}});
    const ValueId causal =
        f.add1(Constant{mask_of(DType::f32, {7, 7},
                                [=](int64_t i, int64_t j) { return j <= i ? 0 : lowest; })},
               {});
    return classified(f, f.add1(ElementwiseOp{Elementwise::add}, {bias, causal}));
  };
  EXPECT_EQ(sum(-kInf).op.as<Attention>()->right, 0);
  EXPECT_EQ(sum(-kInf).inputs[3], 2);
  EXPECT_EQ(sum(-FLT_MAX).op.as<Attention>()->right, -1);
}

TEST(ClassifyMasks, TakesABandOutOfAChoice) {
  for (const double hidden : {-kInf, double{-FLT_MAX}}) {
    Function f = operands(7, 7, DType::f32);
    const ValueId padding = f.add_input("padding", {DType::boolean, {2, 1, 1, 7}});
    const ValueId causal = f.add1(Constant{mask_of(DType::boolean, {7, 7}, kBands[0])}, {});
    const ValueId both = f.add1(ElementwiseOp{Elementwise::bitwise_and}, {padding, causal});
    const ValueId zero = f.add1(Full{0, DType::f32, {}}, {}),
                  low = f.add1(Full{hidden, DType::f32, {}}, {});
    const Node node = classified(f, f.add1(ElementwiseOp{Elementwise::select}, {both, zero, low}));
    ASSERT_TRUE(is_left(node));
    EXPECT_EQ(node.op.as<Attention>()->right, hidden == -kInf ? 0 : -1);
    EXPECT_EQ(node.inputs[3] == padding, hidden == -kInf);
  }
}

// As models write it, and too large to be folded.
TEST(ClassifyMasks, EvaluatesLargeMasks) {
  const std::string text = R"(tutti.graph 1
function run(%q : f32[1, 1, 4096, 8]) {
  %i : i64[4096] = arange(start=0, step=1, size=4096, dtype=i64)
  %row : i64[4096, 1] = reshape(%i, shape=[4096, 1])
  %le : bool[4096, 4096] = less_equal(%i, %row)
  %w : i64[] = full(value=512, dtype=i64, shape=[])
  %from : i64[4096, 1] = sub(%row, %w)
  %gt : bool[4096, 4096] = greater(%i, %from)
  %m : bool[4096, 4096] = bitwise_and(%le, %gt)
  %wide : bool[1, 1, 4096, 4096] = expand(%m, shape=[1, 1, 4096, 4096])
  %y : f32[1, 1, 4096, 8] = attention(%q, %q, %q, %wide)
  output y = %y
}
)";
  const Node node = classified(parse_graph(text, make_op).functions[0]);
  EXPECT_FALSE(is_left(node));
  EXPECT_EQ(node.op.as<Attention>()->band(), (Band{511, 0, 0}));
}

}  // namespace
}  // namespace tutti
