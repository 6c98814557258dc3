// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "compiled_model.h"
#include "core/test_data.h"
#include "networks_for_tests.h"
#include "shard/mesh.h"
#include "tutti/tutti.h"

// Networks of one device on a mesh of ranks, beside what one rank gives.
namespace tutti {
namespace {

TEST(ShardedEngine, ServesEveryRankFromOneFile) {
  BuildOptions options;
  options.mesh = "tp=2,cp=2";
  const std::string path = testing::TempDir() + "sharded.tutti";
  Engine::build(test_model("flux") + ".pt2", options).save(path);
  const Engine engine = Engine::load(path);
  const TensorMap stored = load_tensors(test_model("flux") + ".inputs.safetensors");
  const TensorMap expected = load_tensors(test_model("flux") + ".outputs.safetensors");
  TensorMap inputs;
  for (const PortInfo& port : engine.inputs()) inputs[port.name] = stored.at(port.name);
  run_ranks(4, [&](Communicator& ranks) {
    Session session = engine.session(1);
    session.bind(ranks);
    const TensorMap found = session.run(inputs);
    for (const auto& [name, tensor] : expected)
      EXPECT_LE(relative_error(found.at(name), tensor), 5e-5) << "rank " << ranks.rank();
  });
  run_ranks(2, [&](Communicator& ranks) {
    Session session = engine.session(1);
    try {
      session.bind(ranks);
      ADD_FAILURE() << "bound";
    } catch (const Error& error) {
      EXPECT_STREQ(error.what(), "the engine is made for 4 ranks (tp=2,cp=2), and is bound to 2");
    }
  });
}

// The fourth rank has none of three columns, so that its part of their mean waits for nothing.
TEST(ShardedEngine, KeepsOneOrderOfCollectivesWhereARankHasNothing) {
  GraphBuilder graph;
  const auto ones = [&](const std::string& name, const Dims& shape) {
    return graph.weight(name, filled(shape, 1));
  };
  const Expression x = graph.input("x", DType::f32, {2, 4});
  const Expression first = matmul(matmul(x, ones("a", {4, 8})), ones("b", {8, 5}));
  const Expression columns = matmul(first, ones("c", {5, 3}));
  graph.output("mean", mean(exp(columns), {1}));
  graph.output("y", matmul(columns, ones("d", {3, 4})));
  BuildOptions options;
  options.mesh = "tp=4";
  const Engine engine = Engine::build(graph, options);
  run_ranks(4, [&](Communicator& ranks) {
    Session session = engine.session(1);
    session.bind(ranks);
    const TensorMap found = session.run({{"x", filled({2, 4}, 1 / 64.f)}});
    EXPECT_LE(relative_error(found.at("mean"), filled({2}, std::exp(4 * 8 * 5 / 64.f))), 5e-6);
    EXPECT_EQ(values_of(found.at("y")), std::vector<float>(8, 4 * 8 * 5 * 3 / 64.f));
  });
}

// Two files of a program with collectives of its own, each on two ranks that share its sequence.
TEST(ShardedEngine, KeepsTheCollectivesThatANetworkHas) {
  const TensorMap stored = load_tensors(test_model("tp/tp_block") + ".inputs.safetensors");
  const TensorMap expected = load_tensors(test_model("tp/tp_block") + ".outputs.safetensors");
  run_ranks(4, [&](Communicator& ranks) {
    BuildOptions options;
    options.mesh = "cp=2,own=2";
    options.context = "ring";
    options.rank = ranks.rank();
    const Engine engine = Engine::build(
        join(test_model("tp/tp_block"), ".rank", ranks.rank() % 2, "of2.pt2"), options);
    TensorMap inputs;
    for (const PortInfo& port : engine.inputs()) inputs[port.name] = stored.at(port.name);
    Session session = engine.session(1);
    session.bind(ranks, {{"0", {0, 1, 2, 3}}});
    const TensorMap found = session.run(inputs);
    for (const auto& [name, tensor] : expected)
      EXPECT_LE(relative_error(found.at(name), tensor), 5e-5) << "rank " << ranks.rank();
    EXPECT_NE(session.history().find("send"), std::string::npos);
  });
}

TEST(ShardedEngine, TakesARequestOfEachRankAlongDp) {
  TensorMap whole = load_tensors(test_model("flux") + ".inputs.safetensors");
  BuildOptions options;
  const Engine one = Engine::build(test_model("flux") + ".pt2", options);
  options.mesh = "dp=2,tp=2";
  options.per_rank_inputs = true;
  const Engine engine = Engine::build(test_model("flux") + ".pt2", options);
  run_ranks(4, [&](Communicator& ranks) {
    TensorMap inputs;
    for (const PortInfo& port : one.inputs()) inputs[port.name] = contiguous(whole.at(port.name));
    if (ranks.rank() >= 2) {
      Tensor& x = inputs.at("hidden_states");
      x = contiguous(x);
      for (int64_t i = 0; i < x.elements(); ++i) x.as<float>()[i] *= 0.5f;
    }
    Session alone = one.session(1), session = engine.session(1);
    session.bind(ranks);
    const TensorMap expected = alone.run(inputs), found = session.run(inputs);
    for (const auto& [name, tensor] : expected)
      EXPECT_LE(relative_error(found.at(name), tensor), 2e-5) << "rank " << ranks.rank();
  });
}

TEST(ShardedEngine, TakesRequestsOfDifferentShapes) {
  const TensorMap stored = load_tensors(test_model("gpt2.lengths.inputs.safetensors"));
  const TensorMap expected = load_tensors(test_model("gpt2.lengths.outputs.safetensors"));
  run_ranks(4, [&](Communicator& ranks) {
    const std::string length = ranks.rank() < 2 ? "len7." : "len31.";
    const TensorMap inputs = {{"input_ids", contiguous(stored.at(length + "input_ids"))}};
    BuildOptions options;
    options.mesh = "dp=2,tp=2";
    options.per_rank_inputs = true;
    options.rank = ranks.rank();
    options.shapes = {{{"input_ids", inputs.at("input_ids").shape}}};
    const Engine engine = Engine::build(test_model("gpt2") + ".pt2", options);
    Session session = engine.session(1);
    session.bind(ranks);
    EXPECT_LE(relative_error(session.run(inputs).at("out"), expected.at(length + "out")), 5e-5);
  });
}

TEST(ShardedEngine, WantsAnAxisForRequestsOfRanks) {
  BuildOptions options;
  options.mesh = "tp=2";
  options.per_rank_inputs = true;
  try {
    Engine::build(test_model("gpt2") + ".pt2", options);
    ADD_FAILURE() << "built";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "per_rank_inputs with mesh tp=2; an axis dp is wanted");
  }
}

// What ranks of a group make of their own number is not shared out among them.
TEST(ShardedEngine, LeavesAxesToTheCollectivesOfANetwork) {
  constexpr int64_t kWidth = 512;
  GraphBuilder graph;
  const Expression x = graph.input("x", DType::f32, {1, kWidth});
  const Expression rank =
      graph.add("cast", {graph.add("rank", {}, {{"group", "tp"}})[0]}, {{"dtype", DType::f32}})[0];
  Tensor w = Tensor::zeros(DType::f32, {kWidth, kWidth});
  for (int64_t i = 0; i < w.elements(); ++i) w.as<float>()[i] = static_cast<float>(i % 7);
  graph.output("y", all_reduce(linear(x * rank, graph.weight("w", w)), {"tp"}));
  BuildOptions options;
  options.mesh = "tp=3";
  const Engine engine = Engine::build(graph, options);
  Tensor ones = Tensor::zeros(DType::f32, {1, kWidth});
  std::fill_n(ones.as<float>(), kWidth, 1.f);
  run_ranks(3, [&](Communicator& ranks) {
    Session session = engine.session(1);
    session.bind(ranks);
    const Tensor y = session.run({{"x", ones}}).at("y");
    for (int64_t i = 0; i < kWidth; ++i) {
      float sum = 0;  // of a row of w, times 0 + 1 + 2
      for (int64_t k = 0; k < kWidth; ++k) sum += 3 * static_cast<float>((i * kWidth + k) % 7);
      EXPECT_EQ(y.as<float>()[i], sum);
    }
  });
}

TEST(ShardedEngine, BindsNamesToAxesOfItsMesh) {
  GraphBuilder graph;
  const Expression x = graph.input("x", DType::f32, {1});
  graph.output("y", graph.add("all_reduce", {x}, {{"group", "own"}})[0]);
  BuildOptions options;
  options.mesh = "cp=2,own=2";
  const Engine engine = Engine::build(graph, options);
  run_ranks(4, [&](Communicator& ranks) {
    Session session = engine.session(1);
    session.bind(ranks);
    const Tensor x1 = Tensor::zeros(DType::f32, {1});
    x1.as<float>()[0] = static_cast<float>(1 << ranks.rank());
    const float wanted = ranks.rank() < 2 ? 1 + 2 : 4 + 8;
    EXPECT_EQ(session.run({{"x", x1}}).at("y").as<float>()[0], wanted);
  });
}

TEST(ShardedEngine, SaysWhereAnAxisSplitsNothing) {
  GraphBuilder graph;
  const Expression x = graph.input("x", DType::f32, {4, 4});
  graph.output("y", x + x);
  std::string said;
  set_log(LogLevel::warning, [&](LogLevel, std::string_view text) { said += text; });
  BuildOptions options;
  options.mesh = "cp=2,dp=2";
  Engine::build(graph, options);
  set_log(LogLevel::warning, nullptr);
  EXPECT_EQ(said,
            "mesh cp=2,dp=2: nothing of the network is split along cp; those ranks all compute the "
            "same");
}

TEST(ShardedEngine, RefusesMeshesThatAreNone) {
  const auto error = [](const std::string& mesh, const std::string& context) {
    BuildOptions options;
    options.mesh = mesh;
    options.context = context;
    try {
      Engine::build(test_model("llama") + ".pt2", options);
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string("built");
  };
  EXPECT_EQ(error("tp", ""), "mesh tp; NAME=RANKS is wanted, as in tp=2,cp=4");
  EXPECT_EQ(error("tp=2,tp=2", ""), "mesh: axis tp is there twice");
  EXPECT_EQ(error("cp=4", "ulysses:2,ring:3"), "context ulysses:2,ring:3 is of 6 ranks; cp has 4");
  EXPECT_EQ(error("cp=2", "star"), "context star; gather_kv, ulysses or ring is wanted");
}

}  // namespace
}  // namespace tutti
