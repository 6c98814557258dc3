// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "networks_for_tests.h"

// Where the operands and results of collectives lie while these run beside other steps.
namespace tutti {
namespace {

constexpr int64_t kRows = 32;
const Dims kShape = {kRows, kRows};

// Runs on three ranks whose x is their number + 1, several times, as fused and as plain steps.
void on_three(const std::function<void(GraphBuilder&, const Expression&)>& build,
              const std::function<void(const TensorMap& y, float rank, int run)>& check) {
  for (const bool fuse : {true, false}) {
    GraphBuilder graph;
    build(graph, graph.input("x", DType::f32, {kRows, kRows}));
    BuildOptions options;
    options.fuse = fuse;
    const Engine engine = Engine::build(graph, options);
    run_ranks(3, [&](Communicator& ranks) {
      Session session = engine.session(1);
      session.bind(ranks);
      const auto rank = static_cast<float>(ranks.rank());
      for (int run = 0; run < 5; ++run)
        check(session.run({{"x", filled(kShape, rank + 1)}}), rank, run);
    });
  }
}

void expect_all(const Tensor& t, float wanted) {
  EXPECT_EQ(values_of(t), std::vector<float>(static_cast<size_t>(t.elements()), wanted));
}

TEST(RankMemory, AResultIsAnOutputTwiceAndAViewOfItOnce) {
  on_three(
      [](GraphBuilder& graph, const Expression& x) {
        const Expression sum = all_reduce(x);
        graph.output("a", sum);
        graph.output("b", sum);
        graph.output("c", transpose(slice(sum, 0, 1, 4), 0, 1));
        graph.output("d", sum * 2);
      },
      [](const TensorMap& y, float, int) {
        expect_all(y.at("a"), 6);
        expect_all(y.at("b"), 6);
        EXPECT_EQ(y.at("c").shape, (Dims{kRows, 4}));
        expect_all(y.at("c"), 6);
        expect_all(y.at("d"), 12);
      });
}

TEST(RankMemory, OperandsAreInputsWeightsConstantsAndOtherResults) {
  on_three(
      [](GraphBuilder& graph, const Expression& x) {
        const Expression weight = graph.weight("w", filled(kShape, 2));
        graph.output("input", all_reduce(x));
        graph.output("weight", all_reduce(weight));
        graph.output("turned", all_reduce(transpose(weight, 0, 1)));
        graph.output("constant", all_reduce(graph.constant(filled({3}, 5))));
        graph.output("scalar", all_reduce(graph.constant(7)));
        graph.output("spread", all_reduce(operation("expand", {graph.constant(filled({1}, 4))},
                                                    {{"shape", Extents{6}}})));
        graph.output("twice", all_reduce(all_reduce(x)));
        graph.output("product", matmul(x, weight));
      },
      [](const TensorMap& y, float rank, int) {
        expect_all(y.at("input"), 6);
        expect_all(y.at("weight"), 6);
        expect_all(y.at("turned"), 6);
        expect_all(y.at("constant"), 15);
        expect_all(y.at("scalar"), 21);
        expect_all(y.at("spread"), 12);
        expect_all(y.at("twice"), 18);
        expect_all(y.at("product"), 64 * (rank + 1));
      });
}

TEST(RankMemory, StateThatACollectiveReadsIsWrittenAfterIt) {
  // The sum reads the state, which other steps and the end of the run overwrite, whole or a part.
  on_three(
      [](GraphBuilder& graph, const Expression& x) {
        const Expression whole = graph.state("whole", filled(kShape, 0));
        const Expression part = graph.state("part", filled(kShape, 0));
        graph.output("whole", all_reduce(whole));
        graph.output("part", all_reduce(part));
        graph.update(whole, x + whole);
        graph.update(part, operation("slice_update", {part, slice(x, 0, 0, 4)},
                                     {{"axis", 0}, {"start", Extent(0)}}));
      },
      [](const TensorMap& y, float, int run) {
        expect_all(y.at("whole"), 6.f * static_cast<float>(run));
        const auto part = values_of(y.at("part"));
        EXPECT_EQ(part[0], run == 0 ? 0 : 6);
        EXPECT_EQ(part[4 * kRows - 1], run == 0 ? 0 : 6);
        EXPECT_EQ(part[4 * kRows], 0);
      });
}

TEST(RankMemory, StateBecomesTheResultOfACollective) {
  on_three(
      [](GraphBuilder& graph, const Expression& x) {
        const Expression a = graph.state("a", filled(kShape, 1)),
                         b = graph.state("b", filled(kShape, 2));
        // They change places, and one grows on the way.
        graph.update(a, all_reduce(b, {}, "max"));
        graph.update(b, all_reduce(a, {}, "max") + 2);
        graph.output("a", a);
        graph.output("x", x);
      },
      [](const TensorMap& y, float, int run) {
        const float wanted[] = {1, 2, 3, 4, 5};
        expect_all(y.at("a"), wanted[run]);
      });
}

TEST(RankMemory, PartsOfAConcatenationAreResults) {
  on_three(
      [](GraphBuilder& graph, const Expression& x) {
        const Expression sum = all_reduce(x), most = all_reduce(x * 2, {}, "max");
        graph.output("rows", concat({sum, x * 3, most}, 0));
        graph.output("columns", concat({most, sum}, 1));
      },
      [](const TensorMap& y, float rank, int) {
        const auto rows = values_of(y.at("rows")), columns = values_of(y.at("columns"));
        for (int64_t i = 0; i < 3 * kRows * kRows; ++i)
          ASSERT_EQ(rows[static_cast<size_t>(i)], i / (kRows * kRows) == 1 ? 3 * (rank + 1) : 6.f)
              << i;
        EXPECT_EQ(columns, std::vector<float>(columns.size(), 6));
      });
}

TEST(RankMemory, WhatManyCollectivesReadStaysUntilTheyEnd) {
  // More than may be outstanding, each of its own operand; nobody waits before the end.
  on_three(
      [](GraphBuilder& graph, const Expression& x) {
        std::vector<Expression> sums;
        for (int i = 0; i < 100; ++i) sums.push_back(all_reduce(x * (i + 1.0)));
        for (int i = 0; i < 100; ++i)
          graph.output("y" + std::to_string(i), sums[static_cast<size_t>(i)]);
      },
      [](const TensorMap& y, float, int) {
        for (int i = 0; i < 100; ++i)
          expect_all(y.at("y" + std::to_string(i)), 6.f * static_cast<float>(i + 1));
      });
}

TEST(RankMemory, UnusedResultsHaveMemoryOfTheirOwn) {
  on_three(
      [](GraphBuilder& graph, const Expression& x) {
        all_reduce(x * 5);
        const Expression twice = x * 2;
        all_gather(x + 1, {"", {}, 3});
        graph.output("y", twice + all_reduce(twice));
        reduce_to(twice, {}, 1);
      },
      [](const TensorMap& y, float rank, int) { expect_all(y.at("y"), 12 + 2 * (rank + 1)); });
}

TEST(RankMemory, TensorsOfNoElementsPass) {
  on_three(
      [](GraphBuilder& graph, const Expression& x) {
        const Expression none = slice(x, 0, 0, 0);
        const Ranks all = {"", {}, 3};
        graph.output("sum", all_reduce(none));
        graph.output("rows", all_gather(none, all));
        graph.output("columns", all_gather(none, all, 1));
        graph.output("blocks", all_to_all(none, all));
        graph.output("cut", reduce_scatter(none, all));
        graph.output("sent", all_to_all_v(none, all, {0, 0, 0}, {0, 0, 0}));
        graph.output("root", gather_to(none, all, 1, 1));
        graph.output("y", all_reduce(x));
      },
      [](const TensorMap& y, float, int) {
        EXPECT_EQ(y.at("rows").shape, (Dims{0, kRows}));
        EXPECT_EQ(y.at("columns").shape, (Dims{0, 3 * kRows}));
        EXPECT_EQ(y.at("root").shape, (Dims{0, 3 * kRows}));
        expect_all(y.at("y"), 6);
      });
}

}  // namespace
}  // namespace tutti
