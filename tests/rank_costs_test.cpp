// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>

#include "compiled_model.h"
#include "core/test_data.h"
#include "tutti/tutti.h"

// What engines say that ranks send and compute, beside what they do.
namespace tutti {
namespace {

TensorMap inputs_of(const std::string& model) {
  const Graph graph = import_pt2(test_model(model) + ".pt2");
  const Tensors stored = tensors_of(test_model(model) + ".inputs.safetensors");
  TensorMap inputs;
  const Function& run = graph.function("run");
  for (const ValueId id : run.inputs) {
    const std::string& name = run.value(id).name;
    inputs[name] = contiguous(stored.at(name));
  }
  return inputs;
}

Engine build(const std::string& model, const TensorMap& inputs, const std::string& mesh,
             const std::string& context) {
  BuildOptions options;
  options.mesh = mesh;
  options.context = context;
  for (InputShapes* shapes = &options.shapes.emplace_back(); const auto& [name, tensor] : inputs)
    shapes->emplace_back(name, tensor.shape);
  return Engine::build(test_model(model) + ".pt2", options);
}

double flops_of(const PlanInfo& plan) {
  double sum = 0;
  for (const StepInfo& step : plan.steps) sum += step.flops;
  return sum;
}

TEST(RankCosts, OneRankComputesWhatTheNetworkSays) {
  for (const char* model : {"flux", "gpt2", "t5_encoder", "clip_text", "vae_decoder"}) {
    const Engine engine = build(model, inputs_of(model), "", "ulysses");
    const PlanInfo plan = engine.plans().at(0);
    EXPECT_GT(plan.network_flops, 1e5) << model;
    EXPECT_EQ(flops_of(plan), plan.network_flops) << model;
    EXPECT_EQ(plan.rank, 0);
  }
}

// Both dimensions of a matrix between two split products, so that halves of weights are read.
TEST(RankCosts, TensorParallelRanksShareWorkAndWeights) {
  const TensorMap inputs = inputs_of("flux");
  const PlanInfo one = build("flux", inputs, "", "").plans().at(0);
  for (const PlanInfo& plan : build("flux", inputs, "tp=2", "").plans()) {
    EXPECT_LT(flops_of(plan), 0.65 * one.network_flops) << plan.rank;
    EXPECT_EQ(plan.network_flops, one.network_flops) << plan.rank;
    EXPECT_LT(plan.weight_bytes, 0.75 * static_cast<double>(one.weight_bytes)) << plan.rank;
  }
}

}  // namespace
}  // namespace tutti
