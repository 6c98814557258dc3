// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "compiled_model.h"
#include "core/test_data.h"
#include "shard/mesh.h"
#include "tutti/tutti.h"

// Networks of one device on a mesh of ranks, beside what one rank gives.
namespace tutti {
namespace {

struct Case {
  std::string model;
  std::string mesh;
  std::string context = "ulysses";
};

void PrintTo(const Case& c, std::ostream* os) {
  *os << c.model << " " << c.mesh << " " << c.context;
}

double tolerance(const Tensor& t) { return t.dtype == DType::bf16 ? 2e-2 : 2e-5; }

class Sharding : public testing::TestWithParam<Case> {};

Tensors run_on(const Graph& graph, const Tensors& inputs, const Case& c, Communicator* ranks) {
  auto program = std::make_shared<Program>();
  program->graph = graph;
  CompileOptions options;
  if (ranks != nullptr) {
    program->mesh = c.mesh;
    program->context = c.context;
    options.rank = ranks->rank();
  }
  const Function& function = program->graph.function("run");
  std::vector<Tensor> given;
  std::vector<Dims> shapes;
  for (ValueId id : function.inputs) {
    given.push_back(contiguous(inputs.at(function.value(id).name)));
    shapes.push_back(given.back().shape);
  }
  const SymbolValues symbols = bind_symbols(program->graph, function, shapes);
  Plan plan = compile_plan(*program, symbols, options);
  program->plans.push_back(std::move(plan));
  compute_derived(*program);
  runtime::Session session(program, 1);
  if (ranks != nullptr) session.bind(*ranks, {}, 60);
  std::vector<Tensor> outputs;
  for (const Port& port : program->plans[0].outputs)
    outputs.push_back(port.present ? Tensor::zeros(port.dtype, port.shape) : Tensor{});
  session.run(0, given, outputs);
  Tensors result;
  for (size_t i = 0; i < outputs.size(); ++i)
    if (program->plans[0].outputs[i].present)
      result[program->plans[0].outputs[i].name] = outputs[i];
  if (ranks != nullptr && std::getenv("TUTTI_SHOW") != nullptr && ranks->rank() == 0)
    for (const Step& step : program->plans[0].run) {
      std::cout << step.op.name() << " " << step.scope;
      for (const Operand& o : step.in) std::cout << " " << describe(o.dtype, o.shape);
      std::cout << "\n";
    }
  return result;
}

TEST_P(Sharding, GivesWhatOneRankGives) {
  const Case& c = GetParam();
  const Graph graph = import_pt2(test_model(c.model) + ".pt2");
  const Tensors inputs = tensors_of(test_model(c.model) + ".inputs.safetensors");
  const Tensors expected = run_on(graph, inputs, c, nullptr);
  run_ranks(shard::Mesh::parse(c.mesh).size(), [&](Communicator& ranks) {
    const Tensors found = run_on(graph, inputs, c, &ranks);
    for (const auto& [name, tensor] : expected)
      EXPECT_LE(relative_error(found.at(name), tensor), tolerance(tensor))
          << "rank " << ranks.rank() << ", " << name;
  });
}

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
  EXPECT_EQ(error("tp", ""), "mesh tp: tp; NAME=RANKS is wanted, as in tp=2,cp=4");
  EXPECT_EQ(error("tp=2,tp=2", ""), "mesh: axis tp is there twice");
  EXPECT_EQ(error("cp=4", "ulysses:2,ring:3"), "context ulysses:2,ring:3 is of 6 ranks; cp has 4");
  EXPECT_EQ(error("cp=2", "star"), "context star: star; gather_kv, ulysses or ring is wanted");
}

std::vector<Case> cases() {
  std::vector<Case> list;
  for (const char* model : {"flux", "llama", "gpt2", "t5_encoder", "clip_text", "flux_uneven"})
    for (const char* mesh : {"tp=2", "cp=2", "tp=3", "cp=3", "tp=2,cp=2", "dp=2"})
      for (const char* context : {"ulysses", "gather_kv", "ring"})
        if (std::string_view(mesh).find("cp") != std::string_view::npos ||
            std::string_view(context) == "ulysses")
          list.push_back({model, mesh, context});
  for (const char* mesh : {"tp=2", "tp=3", "dp=2"}) list.push_back({"vae_decoder", mesh});
  for (const char* model : {"flux_bf16", "versions/llama_decomposed"})
    for (const char* mesh : {"tp=2", "cp=2"}) list.push_back({model, mesh});
  for (const char* model : {"flux", "llama", "flux_uneven"})
    for (const char* context : {"ulysses:2,ring:2", "ring:2,gather_kv:2"})
      list.push_back({model, "cp=4", context});
  return list;
}

INSTANTIATE_TEST_SUITE_P(Models, Sharding, testing::ValuesIn(cases()));

}  // namespace
}  // namespace tutti
