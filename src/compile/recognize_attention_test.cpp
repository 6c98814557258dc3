// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "compile/pass.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "ops/all.h"
#include "ops/attention.h"

namespace tutti {
namespace {

// The attention found in a function of q, k (transposed) and v; nothing where none is.
std::optional<Node> found(
    const std::string& body,
    const std::string& inputs =
        "%q : f32[2, 3, 5, 8], %k : f32[2, 3, 8, 7], %v : f32[2, 3, 7, 8], %m : f32[5, 7], "
        "%b : bool[2, 1, 5, 7]") {
  Program program;
  program.graph = parse_graph(
      "tutti.graph 1\nfunction run(" + inputs + ") {\n" + body + "\noutput y = %y\n}\n", make_op);
  const CompileOptions options;
  Compilation c{program, program.graph.functions[0], options};
  recognize_attention(c);
  c.function.remove_dead();
  verify(program.graph, c.function);
  for (const Node& node : c.function.nodes)
    if (node.op.as<Attention>()) return node;
  return std::nullopt;
}

const std::string kScores = "%s : f32[2, 3, 5, 7] = matmul(%q, %k)\n";
const std::string kHalf = "%half : f32[] = full(value=0.5, dtype=f32, shape=[])\n";
const std::string kEnd =
    "%p : f32[2, 3, 5, 7] = softmax(%z, axis=3)\n"
    "%y : f32[2, 3, 5, 8] = matmul(%p, %v)";

TEST(RecognizeAttention, FindsScaleAndMask) {
  const auto node = found(kScores + kHalf +
                          "%t : f32[2, 3, 5, 7] = mul(%s, %half)\n"
                          "%z : f32[2, 3, 5, 7] = add(%t, %m)\n" +
                          kEnd);
  ASSERT_TRUE(node);
  EXPECT_EQ(node->op.as<Attention>()->scale, 0.5);
  EXPECT_EQ(node->inputs.size(), 4u);
}

TEST(RecognizeAttention, DividesByAScale) {
  const auto node = found(kScores + kHalf + "%z : f32[2, 3, 5, 7] = div(%s, %half)\n" + kEnd);
  ASSERT_TRUE(node);
  EXPECT_EQ(node->op.as<Attention>()->scale, 2);
}

TEST(RecognizeAttention, TakesABooleanForAnAddendOfZeroAndMinusInfinity) {
  const auto node = found(kScores + R"(%zero : f32[] = full(value=0, dtype=f32, shape=[])
    %none : f32[] = full(value=-inf, dtype=f32, shape=[])
    %a : f32[2, 1, 5, 7] = select(%b, %zero, %none)
    %z : f32[2, 3, 5, 7] = add(%s, %a)
)" + kEnd);
  ASSERT_TRUE(node);
  EXPECT_EQ(node->inputs[3], 4);  // %b
}

TEST(RecognizeAttention, TakesTheFirstOfThreeAxesForHeads) {
  const auto node = found(R"(%s : f32[6, 5, 7] = matmul(%q, %k)
    %p : f32[6, 5, 7] = softmax(%s, axis=2)
    %y : f32[6, 5, 8] = matmul(%p, %v))",
                          "%q : f32[6, 5, 8], %k : f32[6, 8, 7], %v : f32[6, 7, 8]");
  ASSERT_TRUE(node);
}

TEST(RecognizeAttention, LeavesAnotherAxisTheLogarithmAndScoresThatOthersRead) {
  EXPECT_FALSE(found(kScores + "%p : f32[2, 3, 5, 7] = softmax(%s, axis=2)\n"
                               "%y : f32[2, 3, 5, 8] = matmul(%p, %v)"));
  EXPECT_FALSE(found(kScores + "%p : f32[2, 3, 5, 7] = softmax(%s, axis=3, log=true)\n"
                               "%y : f32[2, 3, 5, 8] = matmul(%p, %v)"));
  EXPECT_FALSE(found(kScores + "%p : f32[2, 3, 5, 7] = softmax(%s, axis=3)\n"
                               "%o : f32[2, 3, 5, 8] = matmul(%p, %v)\n"
                               "%sum : f32[2, 3, 5, 1] = reduce(%s, axes=[3], keep=true)\n"
                               "%y : f32[2, 3, 5, 8] = add(%o, %sum)"));
}

TEST(RecognizeAttention, LeavesAScaleThatIsComputed) {
  EXPECT_FALSE(found(kScores + "%t : f32[2, 3, 5, 7] = mul(%s, %m)\n"
                               "%p : f32[2, 3, 5, 7] = softmax(%t, axis=3)\n"
                               "%y : f32[2, 3, 5, 8] = matmul(%p, %v)"));
}

}  // namespace
}  // namespace tutti
