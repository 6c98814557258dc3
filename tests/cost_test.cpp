// SPDX-License-Identifier: Apache-2.0
#include "shard/cost.h"

#include <gtest/gtest.h>

#include "compiled_model.h"
#include "core/test_data.h"

// What is judged best moves in the expected direction with made-up machines and sizes.
namespace tutti::shard {
namespace {

Function function_of(const std::string& model, const SymbolValues& extra = {}) {
  const Graph graph = import_pt2(test_model(model) + ".pt2");
  const Function& run = graph.function("run");
  SymbolValues symbols = extra;
  for (const auto& [name, range] : graph.symbols) symbols.emplace(name, range.min);
  return specialize(run, symbols);
}

const Judged& best(const std::vector<Judged>& all) { return all.at(0); }

const Judged& of_mesh(const std::vector<Judged>& all, const std::string& mesh,
                      const std::string& context) {
  for (const Judged& judged : all)
    if (judged.strategy.mesh.text() == mesh && judged.strategy.context == context) return judged;
  throw std::out_of_range(mesh);
}

constexpr Profile kFastLinks = {1e10, 1e10, 1e12, 0};
constexpr Profile kSlowLinks = {1e13, 1e13, 1e6, 0};

TEST(Cost, CountsTheSumsOfEachRank) {
  const Function f = function_of("flux");
  const double whole = price(f, {}).sums;
  for (const Judged& judged : judge(f, 2, {})) {
    if (judged.strategy.mesh.has("dp")) continue;  // it has a batch of one
    EXPECT_LE(judged.cost.sums, whole * 0.51) << judged.strategy.mesh.text();
  }
}

TEST(Cost, TakesTheStrategyThatSendsLeastWhenLinksAreSlow) {
  const auto all = judge(function_of("flux"), 4, kSlowLinks);
  for (const Judged& judged : all)
    EXPECT_LE(best(all).cost.sent_bytes, judged.cost.sent_bytes) << judged.strategy.mesh.text();
}

TEST(Cost, TakesTheStrategyThatSharesMostWhenLinksAreFast) {
  const auto all = judge(function_of("flux"), 4, kFastLinks);
  for (const Judged& judged : all)
    EXPECT_LE(best(all).cost.sums, judged.cost.sums * 1.01) << judged.strategy.mesh.text();
}

// Keys of few heads are small: gathering them sends less than exchanging queries too.
TEST(Cost, GathersKeysOfFewHeadsOnTwoRanks) {
  const auto grouped = judge(function_of("llama"), 2, kSlowLinks);
  EXPECT_LT(of_mesh(grouped, "cp=2", "gather_kv").cost.sent_bytes,
            of_mesh(grouped, "cp=2", "ulysses").cost.sent_bytes);
}

TEST(Cost, ExchangesHeadsOnManyRanks) {
  const Function f = function_of("flux_dev_graph");
  const Mesh mesh = Mesh::parse("cp=8");
  EXPECT_LT(price(f, {mesh, "ulysses"}, kSlowLinks).sent_bytes,
            price(f, {mesh, "gather_kv"}, kSlowLinks).sent_bytes);
}

// Bytes that leave each of 8 ranks in a step at 1024 x 1024, in 16 bits: 0.71 GB by Ulysses, 2.82
// by gathered keys; twice as many in f32 here. The ends of the network send a little more.
TEST(Cost, CountsTheBytesOfFlux) {
  const Function f = function_of("flux_dev_graph");
  const double element = f.type(f.inputs[0]).dtype == DType::f32 ? 4 : 2;
  const double keys = 57 * 4608 * 3072 * element / 8 * 7;
  const Mesh mesh = Mesh::parse("cp=8");
  EXPECT_NEAR(price(f, {mesh, "ulysses"}, {}).sent_bytes / (keys / 2), 1, 0.01);
  EXPECT_NEAR(price(f, {mesh, "gather_kv"}, {}).sent_bytes / (keys * 2), 1, 0.01);
}

TEST(Cost, SplitsWeightsWhenMemoryIsSmall) {
  const Function f = function_of("flux");
  const auto free = judge(f, 4, kFastLinks);
  int64_t least = INT64_MAX;
  for (const Judged& judged : free) least = std::min(least, judged.cost.memory_bytes());
  const auto limited = judge(f, 4, kFastLinks, least);
  EXPECT_TRUE(best(limited).fits);
  EXPECT_TRUE(best(limited).strategy.mesh.has("tp") || best(limited).strategy.mesh.has("dp"))
      << best(limited).strategy.mesh.text();
  EXPECT_FALSE(limited.back().fits);
}

// A sum over hidden dimensions sends as much for each token as it did; a longer sequence makes
// attention the larger part, which both share.
TEST(Cost, LongSequencesMakeSendingCheaperBesideComputing) {
  const Graph graph = import_pt2(test_model("gpt2") + ".pt2");
  ASSERT_EQ(graph.symbols.size(), 1u);
  const std::string symbol = graph.symbols.begin()->first;
  const auto ratio = [&](int64_t length) {
    const Function f = specialize(graph.function("run"), {{symbol, length}});
    const auto all = judge(f, 2, kFastLinks);
    const Cost& cost = of_mesh(all, "cp=2", "ulysses").cost;
    return static_cast<double>(cost.sent_bytes) / cost.sums;
  };
  EXPECT_LT(ratio(64), ratio(8));
}

TEST(Cost, SlicesOfWeightsCountAsTheirParts) {
  const auto all = judge(function_of("flux"), 4, {});
  const auto whole = price(function_of("flux"), {}).weight_bytes;
  EXPECT_LE(of_mesh(all, "tp=4", "").cost.weight_bytes, whole * 3 / 10);
}

}  // namespace
}  // namespace tutti::shard
