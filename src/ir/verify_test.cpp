// SPDX-License-Identifier: Apache-2.0
#include "ir/verify.h"

#include <gtest/gtest.h>

#include "ir/ops_for_tests.h"

namespace tutti {
namespace {

const TensorType kMatrix{DType::f32, {2, 3}};

// x -> join(x, w) -> two copies -> join -> output; cache is updated with a copy.
Graph small_graph() {
  Graph graph;
  graph.symbols["s0"] = {2, 128};
  graph.add_resident({"w", kMatrix, Resident::Kind::bound, {}});
  graph.add_resident({"cache", kMatrix, Resident::Kind::carried, {}});
  Function& f = graph.functions.emplace_back();
  f.name = "run";
  const ValueId x = f.add_input("x", kMatrix);
  const ValueId sum = f.add1(test_ops::Join{}, {x, f.read(0, "w", kMatrix)}, "sum", "block.0");
  const auto copies = f.add(test_ops::Copies{2}, {sum});
  const ValueId y = f.add1(test_ops::Join{}, {copies[0], copies[1]});
  f.outputs = {{"y", y}, {"nothing", kNone}};
  f.updates = {{1, copies[0]}};
  return graph;
}

// The message of the refusal after `change`, or "" when the graph is accepted.
std::string refusal(const std::function<void(Graph&, Function&)>& change) {
  Graph graph = small_graph();
  change(graph, graph.functions[0]);
  try {
    verify(graph);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::invalid_argument);
    return error.what();
  }
  return "";
}

void expect_refusal(const std::function<void(Graph&, Function&)>& change,
                    std::initializer_list<std::string_view> parts) {
  const std::string message = refusal(change);
  for (std::string_view part : parts)
    EXPECT_NE(message.find(part), std::string::npos) << message << " lacks " << part;
}

TEST(Verify, AcceptsAGraph) {
  EXPECT_EQ(refusal([](Graph&, Function&) {}), "");
}

TEST(Verify, NamesNodeScopeAndOperandOfAnIdOutOfRange) {
  expect_refusal([](Graph&, Function& f) { f.nodes[0].inputs[1] = 99; },
                 {"function run", "node 0 (join, block.0)", "operand 1", "value 99", "0 to 5"});
  expect_refusal([](Graph&, Function& f) { f.nodes[0].inputs[1] = kNone; }, {"operand 1"});
  expect_refusal([](Graph&, Function& f) { f.nodes[1].outputs[1] = 77; }, {"result 1", "77"});
  expect_refusal([](Graph&, Function& f) { f.outputs[0].value = 99; }, {"output y", "99"});
  expect_refusal([](Graph&, Function& f) { f.inputs[0] = -7; }, {"an input", "-7"});
  expect_refusal([](Graph&, Function& f) { f.updates[0].resident = 5; }, {"resident 5", "0 to 1"});
}

TEST(Verify, RefusesAUseBeforeTheDefinition) {
  expect_refusal([](Graph&, Function& f) { f.nodes[0].inputs[1] = f.nodes[2].outputs[0]; },
                 {"node 0", "operand 1", "join_3", "not defined before"});
  expect_refusal([](Graph&, Function& f) { f.nodes[2].inputs[0] = f.nodes[2].outputs[0]; },
                 {"node 2", "not defined before"});
}

TEST(Verify, RefusesTwoProducersOfOneValue) {
  expect_refusal([](Graph&, Function& f) { f.nodes[1].outputs[1] = f.nodes[1].outputs[0]; },
                 {"node 1", "result 1", "copies_1", "second time"});
  expect_refusal([](Graph&, Function& f) { f.value(f.nodes[0].outputs[0]).producer = 2; },
                 {"node 0", "sum_0", "names node 2", "0 is wanted"});
}

TEST(Verify, RefusesAValueWithoutOrigin) {
  expect_refusal(
      [](Graph&, Function& f) {
        f.values.push_back({"stray", kMatrix, kNone, kNone});
      },
      {"stray", "no input"});
}

TEST(Verify, ComparesTypesWithInference) {
  expect_refusal([](Graph&, Function& f) { f.value(f.nodes[2].outputs[0]).type.shape[1] = 4; },
                 {"node 2", "join_3", "f32[2, 4]", "f32[2, 3] is wanted"});
  expect_refusal([](Graph&, Function& f) { f.value(f.inputs[0]).type.dtype = DType::i64; },
                 {"node 0 (join, block.0)", "f32[2, 3]", "i64[2, 3]"});
  expect_refusal([](Graph&, Function& f) { f.nodes[1].outputs.pop_back(); },
                 {"node 1", "1 results", "2 are wanted"});
}

TEST(Verify, RefusesNamesThatAreThereTwice) {
  expect_refusal([](Graph&, Function& f) { f.value(f.inputs[0]).name = "sum_0"; }, {"'sum_0'"});
  expect_refusal([](Graph&, Function& f) { f.outputs[1].name = "y"; }, {"output 'y'"});
  expect_refusal([](Graph& g, Function&) { g.residents[1].name = "w"; }, {"resident 'w'"});
  expect_refusal([](Graph& g, Function&) { g.functions.push_back(g.functions[0]); },
                 {"function 'run'"});
  expect_refusal([](Graph&, Function& f) { f.outputs[0].name = ""; }, {"empty"});
}

TEST(Verify, ChecksResidentsAgainstTheirReads) {
  expect_refusal([](Graph& g, Function&) { g.residents[0].type.shape[0] = 5; },
                 {"value w is f32[2, 3]", "f32[5, 3] is wanted"});
  expect_refusal(
      [](Graph& g, Function&) {
        g.residents[0].data = Tensor::zeros(DType::f16, {2, 3});
      },
      {"resident w", "data f16[2, 3]", "f32[2, 3]"});
}

TEST(Verify, ChecksUpdates) {
  expect_refusal([](Graph& g, Function&) { g.residents[1].kind = Resident::Kind::bound; },
                 {"update of cache", "bound"});
  expect_refusal([](Graph&, Function& f) { f.updates.push_back(f.updates[0]); },
                 {"update of cache", "twice"});
  expect_refusal([](Graph& g, Function&) { g.residents[1].type.dtype = DType::f16; },
                 {"update of cache is f32[2, 3]", "f16[2, 3] is wanted"});
}

TEST(Verify, WantsSymbolsDeclaredWithARange) {
  const auto use = [](std::string name) {
    return [name](Graph& g, Function&) { g.residents[1].type.shape[0] = Dim::symbol(name); };
  };
  expect_refusal(use("t"), {"resident cache", "symbol t", "not declared"});
  expect_refusal([](Graph& g, Function&) { g.symbols["s0"].min = 200; }, {"s0", "200 to 128"});
  expect_refusal([](Graph& g, Function&) { g.symbols["s 0"]; }, {"'s 0'"});
  expect_refusal([](Graph& g, Function&) { g.symbols["min"]; }, {"'min'"});
  expect_refusal(
      [](Graph& g, Function&) {
        g.constraints.push_back({Constraint::Kind::divisible, Dim::symbol("q"), 0, 0, 8, ""});
      },
      {"constraint on q", "not declared"});
}

TEST(Function, NamesStayUniqueWhenDeadNodesAreRemoved) {
  Graph graph = small_graph();
  Function& f = graph.functions[0];
  f.add1(test_ops::Join{}, {f.inputs[0]});
  f.outputs[0].value = f.nodes[0].outputs[0];
  f.remove_dead();
  for (int i = 0; i < 5; ++i) f.outputs[0].value = f.add1(test_ops::Join{}, {f.outputs[0].value});
  verify(graph);
}

TEST(Function, NewNamesAreNotThoseOfInputs) {
  Graph graph;
  Function& f = graph.functions.emplace_back();
  f.name = "run";
  const ValueId x = f.add_input("join_0", kMatrix);
  f.outputs = {{"y", f.add1(test_ops::Join{}, {x})}};
  verify(graph);
}

}  // namespace
}  // namespace tutti
