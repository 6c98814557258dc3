// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "compiled_model.h"
#include "core/test_data.h"
#include "networks_for_tests.h"

// How evenly plans share work and tokens out, and with how few collectives.
namespace tutti {
namespace {

Engine build(const std::string& model, const std::string& mesh, const std::string& context,
             const InputShapes& shapes = {}) {
  BuildOptions options;
  options.mesh = mesh;
  options.context = context;
  options.shapes = {shapes};
  return Engine::build(test_model(model) + ".pt2", options);
}

double flops_of(const PlanInfo& plan) {
  double sum = 0;
  for (const StepInfo& step : plan.steps) sum += step.flops;
  return sum;
}

struct Share {
  std::string model, mesh, context;
  double units;  // what the rank with most has of the units that are dealt out
  InputShapes shapes = {};
};

void PrintTo(const Share& s, std::ostream* os) { *os << s.model << " " << s.mesh << s.context; }

class RanksShare : public testing::TestWithParam<Share> {};

TEST_P(RanksShare, IsNoMoreThanARanksUnits) {
  const Share& s = GetParam();
  for (const PlanInfo& plan : build(s.model, s.mesh, s.context, s.shapes).plans())
    EXPECT_LE(flops_of(plan), (s.units + 0.02) * plan.network_flops) << "rank " << plan.rank;
}

const InputShapes kTokens16 = {{"input_ids", {2, 16}}};

// flux: 4 heads, 64 + 24 tokens; flux_uneven: 3 heads, 63 + 25; t5: 4 heads, 24 tokens; llama:
// batch 2, 4 heads in 2 groups.
INSTANTIATE_TEST_SUITE_P(
    , RanksShare,
    testing::Values(
        Share{"flux", "tp=2", "", 1 / 2.}, Share{"flux", "tp=4", "", 1 / 4.},
        Share{"flux", "tp=3", "", 2 / 4.}, Share{"flux", "cp=2", "ulysses", 1 / 2.},
        Share{"flux", "cp=2", "ring", 1 / 2.}, Share{"flux", "cp=4", "gather_kv", 1 / 4.},
        Share{"flux", "cp=4", "ulysses", 1 / 4.}, Share{"flux", "cp=4", "ring", 1 / 4.},
        Share{"flux", "cp=3", "ring", 30 / 88.}, Share{"flux", "cp=3", "gather_kv", 30 / 88.},
        Share{"flux", "tp=2,cp=2", "ring", 1 / 4.},
        Share{"flux", "cp=4", "ulysses:2,ring:2", 1 / 4.},
        Share{"flux_uneven", "cp=2", "gather_kv", 45 / 88.},
        Share{"flux_uneven", "cp=4", "ring", 23 / 88.}, Share{"flux_uneven", "tp=3", "", 1 / 3.},
        Share{"t5_encoder", "tp=4", "", 1 / 4.}, Share{"t5_encoder", "cp=3", "gather_kv", 1 / 3.},
        Share{"llama", "dp=2", "", 1 / 2., kTokens16},
        Share{"llama", "tp=2", "", 1 / 2., kTokens16},
        Share{"llama", "dp=2,tp=2", "", 1 / 4., kTokens16},
        Share{"llama", "cp=4", "ring", 1 / 4., kTokens16},
        Share{"llama", "cp=4", "gather_kv", 1 / 4., kTokens16},
        Share{"gpt2", "cp=2", "ring", 1 / 2., kTokens16}));

TEST(SharedWork, OfOneRankIsWhatTheNetworkSays) {
  for (const char* model : {"flux", "gpt2", "t5_encoder", "clip_text", "vae_decoder"}) {
    const Engine engine =
        build(model, "", "", model == std::string("gpt2") ? kTokens16 : InputShapes{});
    const PlanInfo plan = engine.plans().at(0);
    EXPECT_GT(plan.network_flops, 1e5) << model;
    EXPECT_EQ(flops_of(plan), plan.network_flops) << model;
    EXPECT_EQ(plan.rank, 0);
  }
}

// Both dimensions of a matrix between two split products, so that halves of weights are read.
TEST(SharedWork, OfTensorParallelRanksHasHalvesOfWeights) {
  const PlanInfo one = build("flux", "", "").plans().at(0);
  for (const PlanInfo& plan : build("flux", "tp=2", "").plans()) {
    EXPECT_LT(flops_of(plan), 0.65 * one.network_flops) << plan.rank;
    EXPECT_EQ(plan.network_flops, one.network_flops) << plan.rank;
    EXPECT_LT(plan.weight_bytes, 0.75 * static_cast<double>(one.weight_bytes)) << plan.rank;
  }
}

// Whether a type or a list of extents has one of these.
bool has_extent(const std::string& type, std::initializer_list<int> extents) {
  return std::any_of(extents.begin(), extents.end(), [&](int extent) {
    const std::string number = std::to_string(extent);
    for (const char* before : {"[", " "})
      for (const char* after : {"]", ","})
        if (type.find(before + number + after) != std::string::npos) return true;
    return false;
  });
}

// 63 and 25 tokens, 88 together: no other dimension is as long.
TEST(SharedTokens, AreWholeInNoValueButInputs) {
  for (const char* mesh : {"cp=2", "cp=3", "cp=4"})
    for (const char* context : {"ulysses", "ring", "gather_kv"})
      for (const PlacementInfo& value : build("flux_uneven", mesh, context).placements()) {
        if (value.operation == "input" || !has_extent(value.type, {63, 25, 88})) continue;
        EXPECT_NE(value.placement.find("cp "), std::string::npos)
            << value.value << " " << value.type << " " << value.placement;
      }
}

std::map<std::string, int> collectives_of(const Engine& engine) {
  std::map<std::string, int> counts;
  for (const StepInfo& step : engine.plans()[0].steps)
    if (step.implementation == "ranks") ++counts[step.operation];
  return counts;
}

// Two blocks of two streams, two of one. Beside blocks: what the modulations and embeddings of both
// streams are made of, and the output.
TEST(SharedTokens, OfAFluxAreExchangedTwiceInEachBlock) {
  const auto counts = collectives_of(build("flux", "cp=2", "ulysses"));
  EXPECT_EQ(counts, (std::map<std::string, int>{{"all_to_all", 2 * 4}, {"all_gather", 4}}));
}

// One more sum is of the embedding of time.
TEST(SharedWork, OfAFluxIsAddedUpTwiceInEachDoubleBlockAndOnceInEachSingle) {
  const auto counts = collectives_of(build("flux", "tp=2", ""));
  EXPECT_EQ(counts, (std::map<std::string, int>{{"all_reduce", 2 * 2 + 2 + 1}, {"all_gather", 3}}));
}

// Tokens that attend to each other, then to those of another sequence, shorter than some numbers of
// ranks: y = x + attention(...) twice.
GraphBuilder two_sequences(int64_t tokens, int64_t others) {
  constexpr int64_t kHeads = 3, kWidth = 12;
  GraphBuilder graph;
  int seed = 0;
  const auto weight = [&](int64_t in, int64_t out) {
    ++seed;
    Tensor w = some_numbers({out, in}, seed);
    for (int64_t i = 0; i < w.elements(); ++i) w.as<float>()[i] *= 0.3f;
    return graph.weight(join("w", seed), w);
  };
  const auto heads = [&](const Expression& x, int64_t n) {
    return permute(reshape(x, {2, n, kHeads, kWidth / kHeads}), {0, 2, 1, 3});
  };
  const auto attend = [&](const Expression& x, int64_t n, const Expression& to, int64_t t,
                          int64_t width) {
    const Expression q = heads(linear(x, weight(kWidth, kWidth)), n);
    const Expression k = heads(linear(to, weight(width, kWidth)), t);
    const Expression v = heads(linear(to, weight(width, kWidth)), t);
    const Expression joined = reshape(permute(attention(q, k, v), {0, 2, 1, 3}), {2, n, kWidth});
    return x + linear(joined, weight(kWidth, kWidth));
  };
  const Expression x = graph.input("x", DType::f32, {2, tokens, kWidth});
  const Expression context = graph.input("context", DType::f32, {2, others, 10});
  const Expression own = attend(x, tokens, x, tokens, kWidth);
  graph.output("y", attend(own, tokens, context, others, 10));
  return graph;
}

TEST(SharedTokens, AttendToSequencesOfOtherLengths) {
  for (const auto& [tokens, others] : {std::pair<int64_t, int64_t>{20, 7}, {1, 3}, {5, 1}}) {
    const GraphBuilder graph = two_sequences(tokens, others);
    const TensorMap inputs = {{"x", some_numbers({2, tokens, 12}, 1)},
                              {"context", some_numbers({2, others, 10}, 2)}};
    const Tensor expected = Engine::build(graph).session(1).run(inputs).at("y");
    for (const int ranks : {2, 3, 4})
      for (const MeshChoice& choice : mesh_choices(ranks)) {
        BuildOptions options;
        options.mesh = choice.mesh;
        options.context = choice.context;
        const Engine engine = Engine::build(graph, options);
        run_ranks(ranks, [&](Communicator& all) {
          Session session = engine.session(1);
          session.bind(all, {}, 60);
          EXPECT_LE(relative_error(session.run(inputs).at("y"), expected), 2e-5)
              << choice.mesh << " " << choice.context << ": " << tokens << " and " << others;
        });
      }
  }
}

// A guided step: the batch is the pair of a prompt and none.
TEST(SharedWork, OfABatchOfTwoNeedsOnlyItsResultsGathered) {
  BuildOptions options;
  options.mesh = "dp=2";
  const Engine engine = Engine::build(two_sequences(20, 7), options);
  EXPECT_EQ(collectives_of(engine), (std::map<std::string, int>{{"all_gather", 1}}));
  for (const PlanInfo& plan : engine.plans())
    EXPECT_EQ(flops_of(plan), 0.5 * plan.network_flops) << plan.rank;
}

// x -> table of 96 rows -> products; each rank reads its rows of the table only.
TEST(SharedWork, SplitsTheRowsOfAnEmbedding) {
  GraphBuilder graph;
  const Expression ids = graph.input("ids", DType::i64, {5});
  const Expression table = graph.weight("table", some_numbers({96, 8}, 3));
  graph.output("y", embedding(table, ids));
  Tensor given = Tensor::zeros(DType::i64, {5});
  for (int64_t i = 0; i < 5; ++i) given.as<int64_t>()[i] = i * 23 - 4;  // -4: from the end
  BuildOptions options;
  options.mesh = "tp=3";
  const Engine engine = Engine::build(graph, options);
  for (const PlanInfo& plan : engine.plans()) EXPECT_EQ(plan.weight_bytes, 32 * 8 * sizeof(float));
  run_ranks(3, [&](Communicator& all) {
    Session session = engine.session(1);
    session.bind(all, {}, 60);
    const Tensor y = session.run({{"ids", given}}).at("y");
    for (int64_t i = 0; i < 5; ++i)
      for (int64_t d = 0; d < 8; ++d) {
        const int64_t row = (i * 23 - 4 + 96) % 96, at = row * 8 + d;
        EXPECT_EQ(y.as<float>()[i * 8 + d], std::sin(static_cast<float>((at * at + 3) % 8191)));
      }
  });
}

}  // namespace
}  // namespace tutti
