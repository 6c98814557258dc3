// SPDX-License-Identifier: Apache-2.0
#include "tutti/graph.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "core/error.h"

namespace tutti {
namespace {

std::string refusal(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::invalid_argument);
    return error.what();
  }
  return "accepted";
}

void expect_refusal(const std::function<void()>& action,
                    std::initializer_list<std::string_view> parts) {
  const std::string message = refusal(action);
  for (std::string_view part : parts)
    EXPECT_NE(message.find(part), std::string::npos) << message << " lacks " << part;
}

TEST(GraphBuilder, BuildsTheGraphThatItsCallsName) {
  GraphBuilder graph;
  graph.symbol("batch", 1, 64, 4);
  const Expression x = graph.input("x", DType::f32, {"batch", 3});
  const Expression w = graph.weight("layer.w", DType::f32, {2, 3});
  const Expression b = graph.weight("layer.b", DType::f32, {2});
  graph.set_scope("layer");
  graph.output("y", relu(linear(x, w, b)) * 0.5);
  EXPECT_EQ(graph.text(), R"graph(tutti.graph 1
symbol batch in 1..64
constraint divisible(batch, 4) "symbol batch"
bound @layer.w : f32[2, 3]
bound @layer.b : f32[2]

function run(%x : f32[batch, 3]) {
  %permute_0 : f32[3, 2] = permute(@layer.w, axes=[1, 0]) scope="layer"
  %matmul_1 : f32[batch, 2] = matmul(%x, %permute_0, @layer.b) scope="layer"
  %relu_2 : f32[batch, 2] = relu(%matmul_1) scope="layer"
  %full_3 : f32[] = full(value=0.5, dtype=f32, shape=[]) scope="layer"
  %mul_4 : f32[batch, 2] = mul(%relu_2, %full_3) scope="layer"
  output y = %mul_4
}
)graph");
}

TEST(GraphBuilder, KeepsStateFromRunToRun) {
  GraphBuilder graph;
  const Expression total = graph.state("total", Tensor::zeros(DType::f32, {2}));
  const Expression sum = total + graph.input("x", DType::f32, {2});
  graph.update(total, sum);
  graph.output("sum", sum);
  EXPECT_NE(graph.text().find("carried @total : f32[2]"), std::string::npos);
  EXPECT_NE(graph.text().find("update @total = %add_0"), std::string::npos);
}

TEST(GraphBuilder, AddsAnyOperatorByName) {
  GraphBuilder graph;
  const Expression x = graph.input("x", DType::f32, {"n", 6});
  const auto y = graph.add("reshape", {x}, {{"shape", {"n", 2, 3}}});
  ASSERT_EQ(y.size(), 1u);
  EXPECT_EQ(y[0].describe(), "f32[n, 2, 3]");
  EXPECT_EQ(operation("permute", {y[0]}, {{"axes", {2, 0, 1}}}).describe(), "f32[3, n, 2]");
  EXPECT_EQ(operation("cast", {x}, {{"dtype", DType::i64}}).dtype(), DType::i64);
}

TEST(Expression, TellsItsType) {
  GraphBuilder graph;
  const Expression x = graph.input("x", DType::f16, {"2*n + 1", 4});
  EXPECT_EQ(x.dtype(), DType::f16);
  EXPECT_EQ(x.rank(), 2);
  EXPECT_EQ(x.shape()[0].text, "2*n + 1");
  EXPECT_EQ(x.describe(), "f16[2*n + 1, 4]");
  EXPECT_FALSE(Expression());
}

TEST(Expression, NumbersTakeTheTypeOfTheOtherOperand) {
  GraphBuilder graph;
  const Expression x = graph.input("x", DType::bf16, {4});
  for (const Expression& y : {x + 1, 1 - x, x * 2, 2 / x, -x}) EXPECT_EQ(y.describe(), "bf16[4]");
}

TEST(Expression, CountsNegativeAxesFromTheBack) {
  GraphBuilder graph;
  const Expression x = graph.input("x", DType::f32, {2, 3, 5});
  EXPECT_EQ(transpose(x, -1, -3).describe(), "f32[5, 3, 2]");
  EXPECT_EQ(permute(x, {-1, 0, 1}).describe(), "f32[5, 2, 3]");
  EXPECT_EQ(slice(x, -2, 1, 2).describe(), "f32[2, 2, 5]");
  expect_refusal([&] { transpose(x, 3, 0); }, {"axis 3", "f32[2, 3, 5]", "-3 to 2"});
}

TEST(Expression, AttentionScalesByTheHeadWidth) {
  GraphBuilder graph;
  const Expression q = graph.input("q", DType::f32, {1, 4, "s", 16});
  const Expression k = graph.input("k", DType::f32, {1, 2, "t", 16});
  EXPECT_EQ(attention(q, k, k).describe(), "f32[1, 4, s, 16]");
  EXPECT_NE(graph.text().find("attention(%q, %k, %k, scale=0.25"), std::string::npos);
  attention(q, k, k, {}, {7, 0, 3});
  EXPECT_NE(graph.text().find("left=7, right=0, offset=3"), std::string::npos);
}

TEST(GraphBuilder, RefusesWhatDoesNotFitByName) {
  GraphBuilder graph, other;
  const Expression x = graph.input("x", DType::f32, {2, 3});
  const Expression h = graph.input("h", DType::f16, {2, 3});
  const Expression w = graph.weight("w", DType::f32, {2, 3});
  expect_refusal([&] { x + h; }, {"add", "f16"});
  expect_refusal([&] { matmul(x, x); }, {"matmul", "f32[2, 3]"});
  expect_refusal([&] { x + other.input("x", DType::f32, {3}); }, {"another network"});
  expect_refusal([&] { x + Expression(); }, {"made by default"});
  expect_refusal([&] { graph.input("x", DType::f32, {1}); }, {"input x", "taken"});
  expect_refusal([&] { graph.weight("w", DType::f32, {1}); }, {"w", "taken"});
  expect_refusal([&] { graph.weight("v", Tensor{}); }, {"weight v"});
  expect_refusal([&] { graph.input("z", DType::f32, {"2*"}); }, {"input z", "2*"});
  expect_refusal([&] { graph.input("z", DType::f32, {"7up"}); }, {"input z", "7up"});
  expect_refusal([&] { graph.input("z", DType::f32, {-1}); }, {"input z", "-1"});
  expect_refusal([&] { graph.update(w, x); }, {"w is a weight"});
  expect_refusal([&] { graph.update(x, x); }, {"x is no state"});
  expect_refusal([&] { graph.symbol("s", 5, 4); }, {"symbol s", "5 to 4"});
  graph.output("y", x);
  expect_refusal([&] { graph.output("y", x); }, {"output y", "taken"});
  expect_refusal([&] { graph.add("cast", {x}, {{"type", "f32"}}); }, {"cast", "type"});
  try {
    graph.add("matmull", {x});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::not_found);
    EXPECT_NE(std::string(error.what()).find("matmul"), std::string::npos);
  }
}

TEST(GraphBuilder, AddsCollectivesOfTheRanksNamed) {
  GraphBuilder graph;
  const Expression x = graph.input("x", DType::f32, {"2*n", 4});
  const Ranks all, tp{"tp", {}, 2}, listed{"", {1, 0}};
  graph.output("a", all_reduce(x, all, "avg"));
  graph.output("b", reduce_to(x, tp, 1, "max"));
  graph.output("c", all_gather(x, tp, -1));
  graph.output("d", gather_to(x, tp, 1));
  graph.output("e", reduce_scatter(x, listed));
  graph.output("f", scatter_from(x, listed, 1, -1));
  graph.output("g", all_to_all(x, tp, -1, 0));
  graph.output("h", all_to_all_v(x, tp, {1, 3}, {0, 2}, 1));
  graph.output("i", broadcast(x));
  send(graph, x, listed, 1);
  graph.output("j", recv(graph, tp, 1, DType::i8, {"n", 3}));
  graph.output("k", rank_in(graph, tp));
  const std::string text = graph.text();
  EXPECT_EQ(
      text.substr(text.find("{\n") + 2, text.find("  output") - text.find("{\n") - 2),
      R"graph(  %all_reduce_0 : f32[2*n, 4] = all_reduce(%x, reduce="avg", group="", ranks=[], size=0)
  %reduce_to_1 : f32[2*n, 4] = reduce_to(%x, reduce="max", root=1, group="tp", ranks=[], size=2)
  %all_gather_2 : f32[2*n, 8] = all_gather(%x, axis=1, group="tp", ranks=[], size=2)
  %gather_to_3 : f32[4*n, 4] = gather_to(%x, root=1, axis=0, group="tp", ranks=[], size=2)
  %reduce_scatter_4 : f32[n, 4] = reduce_scatter(%x, reduce="sum", axis=0, group="", ranks=[1, 0], size=2)
  %scatter_from_5 : f32[2*n, 2] = scatter_from(%x, root=1, axis=1, group="", ranks=[1, 0], size=2)
  %all_to_all_6 : f32[4*n, 2] = all_to_all(%x, split_axis=1, concat_axis=0, group="tp", ranks=[], size=2)
  %all_to_all_v_7 : f32[2*n, 2] = all_to_all_v(%x, axis=1, sends=[1, 3], receives=[0, 2], group="tp", ranks=[], size=2)
  %broadcast_8 : f32[2*n, 4] = broadcast(%x, root=0, group="", ranks=[], size=0)
  send(%x, to=1, group="", ranks=[1, 0], size=2)
  %recv_9 : i8[n, 3] = recv(from=1, dtype=i8, shape=[n, 3], group="tp", ranks=[], size=2)
  %rank_10 : i64[] = rank(group="tp", ranks=[], size=2)
)graph");
}

TEST(GraphBuilder, RefusesCollectivesThatCannotBe) {
  GraphBuilder graph;
  const Expression x = graph.input("x", DType::f32, {3, 4});
  const Expression i = graph.input("i", DType::i32, {4});
  const Ranks two{"", {}, 2};
  expect_refusal([&] { all_reduce(i, two, "avg"); }, {"all_reduce", "i32[4]", "avg"});
  expect_refusal([&] { reduce_to(x, two, 0, "mean"); }, {"reduce_to", "mean"});
  expect_refusal([&] { all_gather(x, {}); }, {"all_gather", "size is 0"});
  expect_refusal([&] { all_gather(x, two, 2); }, {"all_gather", "axis 2", "f32[3, 4]"});
  expect_refusal([&] { gather_to(x, two, 2); }, {"gather_to", "root is 2"});
  expect_refusal([&] { reduce_scatter(x, two); }, {"reduce_scatter", "f32[3, 4]", "multiple of 2"});
  expect_refusal([&] { scatter_from(x, two, 0, 0); }, {"scatter_from", "multiple of 2"});
  expect_refusal([&] { all_to_all(x, two, 0, 1); }, {"all_to_all", "multiple of 2"});
  expect_refusal([&] { all_to_all_v(x, two, {1, 1}, {1, 1}); }, {"all_to_all_v", "extent 2"});
  expect_refusal([&] { broadcast(x, {"", {0, 1}}, 2); }, {"broadcast", "root is 2"});
  expect_refusal([&] { all_reduce(x, {"", {0, 1, 2}, 2}); }, {"all_reduce", "[0, 1, 2]"});
  expect_refusal([&] { all_reduce(x, {"", {1, 1}}); }, {"all_reduce", "at most once"});
  expect_refusal([&] { send(graph, x, two, 2); }, {"send", "to is 2"});
  expect_refusal([&] { recv(graph, two, -1, DType::f32, {2}); }, {"recv", "from is -1"});
  expect_refusal([&] { rank_in(graph, {"", {}, -1}); }, {"rank", "size is -1"});
}

TEST(GraphBuilder, StateIsUpdatedOnceWithItsType) {
  GraphBuilder graph;
  const Expression s = graph.state("s", Tensor::zeros(DType::f32, {2}));
  const Expression x = graph.input("x", DType::f32, {3});
  expect_refusal([&] { graph.update(s, x); }, {"f32[3]", "f32[2] is wanted"});
  graph.update(s, s + 1);
  expect_refusal([&] { graph.update(s, s); }, {"already"});
}

TEST(Operators, ListAttributesWithDefaultsAndImplementations) {
  const std::vector<OperatorInfo> list = operators();
  const auto cast = std::find_if(list.begin(), list.end(),
                                 [](const OperatorInfo& info) { return info.name == "cast"; });
  ASSERT_NE(cast, list.end());
  ASSERT_EQ(cast->attributes.size(), 1u);
  EXPECT_EQ(cast->attributes[0].name, "dtype");
  EXPECT_EQ(cast->attributes[0].default_value, "f32");
  EXPECT_EQ(cast->implementations.back(), "plain");
}

}  // namespace
}  // namespace tutti
