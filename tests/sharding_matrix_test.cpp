// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "compiled_model.h"
#include "core/test_data.h"
#include "networks_for_tests.h"
#include "tutti/tutti.h"

// Every network by every way to share its work, beside one rank. Left out, because they are no
// different: axes of one rank, and products of axes where the number of ranks is prime.
namespace tutti {
namespace {

struct Network {
  std::string model;
  std::string weights = "";
  std::string inputs = "";  // prefix of names in the file of stored inputs
  double tolerance = 2e-5;
  Dims shape = {};  // of an input that may vary
};

void PrintTo(const Network& n, std::ostream* os) { *os << n.model; }

const Network kNetworks[] = {
    {"flux"},
    {"flux_uneven"},
    {"flux_bf16", "", "", 2e-2},
    {"flux_tiny/graphs/transformer", "flux_tiny/model/transformer"},
    {"flux_tiny/graphs/vae_decoder_dynamic", "flux_tiny/model/vae", "", 2e-5, {1, 16, 12, 10}},
    {"llama"},
    {"gpt2"},
    {"t5_encoder"},
    {"clip_text"},
    {"vae_decoder"},
    {"versions/dynamic", "", "step1."},
    {"versions/nested"},
    {"versions/tied"},
    {"versions/kv_cache", "", "step0."},
    {"versions/kv_cache_functional", "", "step0."},
    {"versions/llama_decomposed"},
    {"versions/llama_torch213"},
    {"versions/llama_torch215"},
};

// The stored inputs of a network, by name or by number, or random ones where there are none.
TensorMap inputs_of(const Network& network) {
  const Graph graph = import_pt2(test_model(network.model) + ".pt2");
  const Function& run = graph.function("run");
  Tensors stored;
  if (network.weights.empty())
    stored = tensors_of(test_model(network.model) + ".inputs.safetensors", network.inputs);
  TensorMap inputs;
  for (size_t i = 0; i < run.inputs.size(); ++i) {
    const std::string& name = run.value(run.inputs[i]).name;
    const auto found = stored.count(name) ? stored.find(name) : stored.find(join("in_", i));
    inputs[name] =
        found != stored.end()
            ? contiguous(found->second)
            : some_numbers(network.shape.rank() > 0 ? network.shape
                                                    : constant_dims(run.type(run.inputs[i]).shape));
  }
  return inputs;
}

Engine build(const Network& network, const TensorMap& inputs, const MeshChoice& choice,
             const char* matmul = "auto") {
  BuildOptions options;
  options.mesh = choice.mesh;
  options.context = choice.context;
  options.matmul = matmul;
  if (!network.weights.empty()) {
    options.weights = test_model(network.weights);
    options.weights_dtype = DType::f32;
  }
  for (InputShapes* shapes = &options.shapes.emplace_back(); const auto& [name, tensor] : inputs)
    shapes->emplace_back(name, tensor.shape);
  return Engine::build(test_model(network.model) + ".pt2", options);
}

class ShardingMatrix : public testing::TestWithParam<std::tuple<Network, int>> {};

TEST_P(ShardingMatrix, GivesWhatOneRankGivesAndSendsWhatItsPlansSay) {
  const auto& [network, ranks] = GetParam();
  const TensorMap inputs = inputs_of(network);
  const TensorMap expected = build(network, inputs, {}).session(1).run(inputs);
  for (const MeshChoice& choice : mesh_choices(ranks)) {
    SCOPED_TRACE(choice.mesh + " " + choice.context);
    const Engine engine = build(network, inputs, choice);
    std::vector<uint64_t> told(static_cast<size_t>(ranks)), sent(told);
    const std::vector<PlanInfo> plans = engine.plans();
    ASSERT_EQ(plans.size(), told.size());
    for (const PlanInfo& plan : plans)
      for (const StepInfo& step : plan.steps) {
        told[static_cast<size_t>(plan.rank)] += step.bytes_sent;
        const bool among = std::count(step.ranks.begin(), step.ranks.end(), plan.rank) == 1;
        EXPECT_EQ(among, step.implementation == "ranks") << step.operation << " " << step.scope;
      }
    run_ranks(ranks, [&](Communicator& all) {
      Session session = engine.session(1);
      session.bind(all, {}, 60);
      const TensorMap found = session.run(inputs);
      sent[static_cast<size_t>(all.rank())] = session.bytes_sent();
      for (const auto& [name, tensor] : expected)
        EXPECT_LE(relative_error(found.at(name), tensor), network.tolerance)
            << "rank " << all.rank() << ", " << name;
    });
    EXPECT_EQ(told, sent);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, ShardingMatrix,
                         testing::Combine(testing::ValuesIn(kNetworks), testing::Values(2, 3, 4)));

// Rows of products, and queries, are computed alike wherever they are. Left out: networks that join
// sequences, whose keys are in another order on ranks; few rows, which other kernels take.
TEST(ShardingMatrix, IsEqualToTheBitWhereNoSumIsSplit) {
  struct Case {
    const char *model, *mesh, *context;
  };
  for (const auto& [model, mesh, context] : {Case{"llama", "cp=2", "ulysses"},
                                             {"llama", "cp=3", "ulysses"},
                                             {"llama", "dp=2", ""},
                                             {"gpt2", "cp=4", "ulysses"},
                                             {"gpt2", "cp=3", "ulysses"},
                                             {"gpt2", "dp=3", ""},
                                             {"t5_encoder", "cp=2", "ulysses"},
                                             {"t5_encoder", "cp=2", "gather_kv"},
                                             {"clip_text", "cp=2", "ulysses"},
                                             {"vae_decoder", "dp=2", ""}}) {
    SCOPED_TRACE(join(model, " ", mesh, " ", context));
    const Network network{model};
    const TensorMap inputs = inputs_of(network);
    const TensorMap expected = build(network, inputs, {}, "own").session(1).run(inputs);
    MeshChoice choice;
    choice.mesh = mesh;
    choice.context = context;
    const Engine engine = build(network, inputs, choice, "own");
    run_ranks(mesh_size(mesh), [&](Communicator& all) {
      Session session = engine.session(1);
      session.bind(all, {}, 60);
      const TensorMap found = session.run(inputs);
      for (const auto& [name, tensor] : expected)
        EXPECT_EQ(relative_error(found.at(name), tensor), 0) << name;
    });
  }
}

}  // namespace
}  // namespace tutti
