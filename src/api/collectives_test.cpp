// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "core/test_data.h"
#include "core/text.h"
#include "tutti/engine.h"
#include "tutti/error.h"

namespace tutti {
namespace {

using Names = std::vector<std::string>;

// The collectives of a plan, in the order of its steps.
Names collectives(const Engine& engine) {
  Names names;
  const std::vector<PlanInfo> plans = engine.plans();
  for (const StepInfo& step : plans.at(0).steps)
    for (const char* kind :
         {"all_reduce", "all_gather", "reduce_scatter", "all_to_all", "all_to_all_v", "broadcast"})
      if (step.operation == kind) names.push_back(step.operation);
  return names;
}

struct Case {
  std::string model;
  int ranks;
  Names wanted;  // in the order of the program
  InputShapes shapes;
};

void PrintTo(const Case& c, std::ostream* os) { *os << c.model; }

class RankPrograms : public testing::TestWithParam<Case> {};

TEST_P(RankPrograms, CompileInOneProcess) {
  const Case& c = GetParam();
  for (int rank = 0; rank < c.ranks; ++rank)
    for (bool fuse : {true, false}) {
      BuildOptions options;
      options.fuse = fuse;
      if (!c.shapes.empty()) options.shapes.push_back(c.shapes);
      const Engine engine =
          Engine::build(test_model(join(c.model, rank, "of", c.ranks, ".pt2")), options);
      EXPECT_EQ(collectives(engine), c.wanted) << rank;
    }
}

INSTANTIATE_TEST_SUITE_P(
    Stored, RankPrograms,
    testing::Values(
        Case{"tp/tp_block.rank", 2, {"all_reduce", "reduce_scatter", "all_gather"}, {}},
        Case{"tp/tp_sub.rank", 4, {"all_reduce", "reduce_scatter", "all_gather"}, {}},
        Case{"versions/subgroup_rank",
             4,
             {"all_reduce", "all_gather", "reduce_scatter", "all_to_all", "all_to_all_v",
              "broadcast", "all_reduce", "all_reduce", "all_reduce", "all_reduce"},
             {}},
        Case{"collective_forms.rank",
             2,
             {"all_gather",     "all_gather", "all_reduce",     "all_reduce",     "all_reduce",
              "all_reduce",     "broadcast",  "all_reduce",     "all_reduce",     "all_reduce",
              "all_reduce",     "all_gather", "all_gather",     "reduce_scatter", "reduce_scatter",
              "reduce_scatter", "all_gather", "reduce_scatter", "all_gather",     "reduce_scatter",
              "all_to_all",     "all_to_all", "all_reduce",     "all_gather",     "all_to_all",
              "all_to_all_v"},
             {{"x", {8, 3}}}}));

// What a collective gives on each rank, out of the operands of all, by slices and concatenations.
using Truth = std::function<Expression(const std::vector<Expression>& x, int rank)>;
using Applied = std::function<Expression(const Expression& x, const Ranks& ranks)>;

constexpr int kRanks = 3;
constexpr int64_t kExtent = 6;

Expression block(const Expression& x, int64_t axis, int rank) {
  const int64_t size = kExtent / kRanks;
  return slice(x, axis, rank * size, size);
}

Expression total(const std::vector<Expression>& x) {
  Expression sum = x[0];
  for (size_t i = 1; i < x.size(); ++i) sum = sum + x[i];
  return sum;
}

// Views and functions of elements on both sides of a collective, which compilation may absorb.
Expression before(const Expression& x) { return relu(permute(x, {2, 0, 1})) * 0.5; }
Expression after(const Expression& y) { return transpose(y, 0, 1) + 1; }

// Each rank's operand, and the results of all ranks computed in one place.
struct Alone {
  std::vector<Tensor> x;
  TensorMap y;
};

Alone run_alone(const Truth& truth) {
  Alone alone;
  GraphBuilder graph;
  std::vector<Expression> all;
  TensorMap inputs;
  std::mt19937 random(1);
  for (int r = 0; r < kRanks; ++r) {
    const std::string name = join("x", r);
    all.push_back(before(graph.input(name, DType::f32, {kExtent, kExtent, kExtent})));
    alone.x.push_back(Tensor::zeros(DType::f32, {kExtent, kExtent, kExtent}));
    for (int64_t i = 0; i < alone.x.back().elements(); ++i)
      alone.x.back().as<float>()[i] = static_cast<float>(random() % 2001) / 1000 - 1;
    inputs[name] = alone.x.back();
  }
  for (int r = 0; r < kRanks; ++r) graph.output(join("y", r), after(truth(all, r)));
  alone.y = Engine::build(graph).session(1).run(inputs);
  return alone;
}

void expect_same_on_ranks(const Applied& applied, const Truth& truth) {
  const Alone alone = run_alone(truth);
  for (bool fuse : {true, false}) {
    GraphBuilder graph;
    const Expression x = graph.input("x", DType::f32, {kExtent, kExtent, kExtent});
    graph.output("y", after(applied(before(x), {"", {2, 0, 1}})));
    BuildOptions options;
    options.fuse = fuse;
    const Engine engine = Engine::build(graph, options);
    run_ranks(kRanks, [&](Communicator& ranks) {
      Session session = engine.session(1);
      session.bind(ranks);
      const int position = (ranks.rank() + 1) % kRanks;  // in the list 2, 0, 1
      const Tensor y = session.run({{"x", alone.x[static_cast<size_t>(position)]}}).at("y");
      const Tensor& wanted = alone.y.at(join("y", position));
      ASSERT_EQ(y.shape, wanted.shape);
      for (int64_t i = 0; i < y.elements(); ++i)
        ASSERT_EQ(y.as<float>()[i], wanted.as<float>()[i]) << "rank " << ranks.rank() << ", " << i;
    });
  }
}

TEST(CollectivesOnAnyAxis, GiveWhatSlicesAndConcatenationsGive) {
  for (int64_t axis = 0; axis < 3; ++axis) {
    SCOPED_TRACE(axis);
    expect_same_on_ranks([&](const auto& x, const auto& r) { return all_gather(x, r, axis); },
                         [&](const auto& x, int) { return concat(x, axis); });
    expect_same_on_ranks(
        [&](const auto& x, const auto& r) { return reduce_scatter(x, r, "sum", axis); },
        [&](const auto& x, int r) { return block(total(x), axis, r); });
    expect_same_on_ranks([&](const auto& x, const auto& r) { return scatter_from(x, r, 1, axis); },
                         [&](const auto& x, int r) { return block(x[1], axis, r); });
    expect_same_on_ranks(
        [&](const auto& x, const auto& r) { return gather_to(x, r, 2, axis); },
        [&](const auto& x, int r) { return r == 2 ? concat(x, axis) : concat(x, axis) * 0.0; });
    for (int64_t to = 0; to < 3; ++to)
      expect_same_on_ranks([&](const auto& x, const auto& r) { return all_to_all(x, r, axis, to); },
                           [&](const auto& x, int r) {
                             std::vector<Expression> blocks;
                             for (const Expression& from : x)
                               blocks.push_back(block(from, axis, r));
                             return concat(blocks, to);
                           });
  }
}

TEST(CollectivesWithoutAxis, GiveTheSameAsOperatorsInOnePlace) {
  expect_same_on_ranks([](const auto& x, const auto& r) { return all_reduce(x, r); },
                       [](const auto& x, int) { return total(x); });
  expect_same_on_ranks([](const auto& x, const auto& r) { return broadcast(x, r, 2); },
                       [](const auto& x, int) { return x[2]; });
  expect_same_on_ranks([](const auto& x, const auto& r) { return reduce_to(x, r, 1); },
                       [](const auto& x, int r) { return total(x) * (r == 1 ? 1.0 : 0.0); });
}

TEST(SymbolicExtents, AreDividedWhenAPlanIsMade) {
  GraphBuilder graph;
  const Expression x = graph.input("x", DType::f32, {2, "n"});
  graph.output("y", all_gather(reduce_scatter(x, {"", {}, 4}, "sum", 1), {"", {}, 4}, 0));
  Engine engine = Engine::build(graph);
  engine.plan({{"x", {2, 12}}});
  EXPECT_EQ(engine.plans().at(0).outputs.at(0).second, (Dims{8, 3}));
  try {
    engine.plan({{"x", {2, 10}}});
    ADD_FAILURE() << "planned";
  } catch (const Error& error) {
    const std::string_view message = error.what();
    EXPECT_NE(message.find("reduce_scatter"), message.npos) << message;
    EXPECT_NE(message.find("f32[2, 10]; a multiple of 4"), message.npos) << message;
  }
}

}  // namespace
}  // namespace tutti
