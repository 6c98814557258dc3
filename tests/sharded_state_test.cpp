// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <random>

#include "compiled_model.h"
#include "core/test_data.h"
#include "networks_for_tests.h"
#include "shard/mesh.h"

// State of networks on a mesh of ranks: who has which part, and what then goes between ranks.
namespace tutti {
namespace {

constexpr int64_t kLength = 8;  // positions of a cache

Tensor some(const Dims& shape, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 0.3f);
  const Tensor t = Tensor::zeros(DType::f32, shape);
  std::generate_n(t.as<float>(), t.elements(), [&] { return normal(random); });
  return t;
}

// Attention of n heads over m heads of keys, which are kept: x [1, tokens, 8 n] at positions pos.
GraphBuilder cached(int64_t n, int64_t m, const Extent& tokens) {
  constexpr int64_t kHead = 8;
  const int64_t h = n * kHead;
  GraphBuilder graph;
  const Expression x = graph.input("x", DType::f32, {1, tokens, h});
  const Expression pos = graph.input("pos", DType::i64, {tokens});
  const Expression mask = graph.input("mask", DType::f32, {tokens, kLength});
  const auto heads = [&](const char* name, int64_t count, unsigned seed) {
    const Expression y = linear(x, graph.weight(name, some({count * kHead, h}, seed)));
    return permute(reshape(y, {1, tokens, count, kHead}), {0, 2, 1, 3});
  };
  const auto keep = [&](const char* name, const Expression& news, unsigned seed) {
    const Expression cache = graph.state(name, some({1, m, kLength, kHead}, seed));
    const Expression next =
        graph.add("index_put", {cache, news, pos}, {{"axes", {2}}, {"accumulate", false}})[0];
    graph.update(cache, next);
    return next;
  };
  const Expression k = keep("k", heads("wk", m, 2), 5), v = keep("v", heads("wv", m, 3), 6);
  const Expression a = attention(heads("wq", n, 1), k, v, mask);
  const Expression joined = reshape(permute(a, {0, 2, 1, 3}), {1, tokens, h});
  graph.output("y", linear(joined, graph.weight("wo", some({h, h}, 4))));
  return graph;
}

// A run of some tokens that follow `first` others.
TensorMap tokens(int64_t n, int64_t first, int64_t count) {
  const Tensor pos = Tensor::zeros(DType::i64, {count});
  const Tensor mask = filled({count, kLength}, 0);
  for (int64_t i = 0; i < count; ++i) {
    pos.as<int64_t>()[i] = first + i;
    for (int64_t t = first + i + 1; t < kLength; ++t) mask.as<float>()[i * kLength + t] = -INFINITY;
  }
  return {{"x", some({1, count, 8 * n}, 10 + static_cast<unsigned>(first))},
          {"pos", pos},
          {"mask", mask}};
}

BuildOptions on_mesh(const std::string& mesh, const std::vector<int64_t>& counts = {}) {
  BuildOptions options;
  options.mesh = mesh;
  for (const int64_t s : counts) options.shapes.push_back({{"pos", {s}}});
  return options;
}

// Runs of so many tokens, one after the other, beside those of an engine of one rank. They see what
// state starts with at the first positions.
void expect_as_one_rank(const Engine& engine, const Engine& one, int ranks, int64_t n,
                        const std::vector<int64_t>& counts) {
  run_ranks(ranks, [&](Communicator& communicator) {
    Session session = engine.session(1), alone = one.session(1);
    session.bind(communicator);
    for (int round = 0; round < 2; ++round) {
      int64_t first = 2;
      for (const int64_t count : counts) {
        const TensorMap inputs = tokens(n, first, count);
        EXPECT_LE(relative_error(session.run(inputs).at("y"), alone.run(inputs).at("y")), 2e-5)
            << "rank " << communicator.rank() << ", round " << round << ", token " << first;
        first += count;
      }
      session.reset();
      alone.reset();
    }
  });
}

std::vector<std::string> collectives_of(const PlanInfo& plan) {
  std::vector<std::string> names;
  for (const StepInfo& step : plan.steps)
    if (!step.ranks.empty()) names.push_back(step.operation);
  return names;
}

struct Case {
  std::string model, mesh, context = "ulysses";
};

void PrintTo(const Case& c, std::ostream* os) {
  *os << c.model << " " << c.mesh << " " << c.context;
}

class ShardedState : public testing::TestWithParam<Case> {};

TEST_P(ShardedState, GivesWhatPyTorchGivesStepByStep) {
  const Case& c = GetParam();
  const TensorMap stored = load_tensors(test_model(c.model) + ".inputs.safetensors");
  const TensorMap expected = load_tensors(test_model(c.model) + ".outputs.safetensors");
  BuildOptions options = on_mesh(c.mesh);
  options.context = c.context;
  const Engine engine = Engine::build(test_model(c.model) + ".pt2", options);
  run_ranks(mesh_size(c.mesh, c.context), [&](Communicator& ranks) {
    Session session = engine.session(1);
    session.bind(ranks);
    for (int step = 0; step < 4; ++step) {
      TensorMap inputs;
      for (const PortInfo& port : engine.inputs())
        inputs[port.name] = stored.at(join("step", step, ".", port.name));
      for (const auto& [name, tensor] : session.run(inputs))
        EXPECT_LE(relative_error(tensor, expected.at(join("step", step, ".", name))), 5e-5)
            << "rank " << ranks.rank() << " step " << step << " " << name;
    }
  });
}

std::vector<Case> cases() {
  std::vector<Case> list;
  for (const char* model : {"versions/kv_cache", "versions/kv_cache_functional"}) {
    for (const char* mesh : {"tp=2", "tp=3", "tp=4", "dp=2", "tp=2,cp=2"})
      list.push_back({model, mesh});
    for (const char* context : {"ulysses", "gather_kv", "ring"})
      list.push_back({model, "cp=2", context});
  }
  return list;
}

INSTANTIATE_TEST_SUITE_P(Models, ShardedState, testing::ValuesIn(cases()));

TEST(ShardedStateOf, HeadsThatARankHasTakeItsMemoryOnly) {
  for (const char* mesh : {"tp=2", "tp=3", "tp=4"}) {
    const Engine engine = Engine::build(test_model("versions/kv_cache") + ".pt2", on_mesh(mesh));
    const size_t ranks = engine.plans().size();
    for (const PlanInfo& plan : engine.plans()) {
      const size_t rank = static_cast<size_t>(plan.rank);
      const size_t heads = 4 / ranks + (rank < 4 % ranks ? 1 : 0);
      // Two caches of 8 positions of 8 floats for each head, and a count of 8 bytes.
      EXPECT_EQ(plan.state_bytes, 2 * heads * 8 * 8 * 4 + 8) << mesh << " rank " << rank;
    }
  }
}

TEST(ShardedStateOf, HeadsGoesToNoOtherRank) {
  for (const char* model : {"versions/kv_cache", "versions/kv_cache_functional"})
    for (const PlanInfo& plan : Engine::build(test_model(model) + ".pt2", on_mesh("tp=2")).plans())
      // As the block has without a cache: the sum after attention.
      EXPECT_EQ(collectives_of(plan), std::vector<std::string>{"all_reduce"}) << model;
}

// Two heads of keys on up to four ranks: each has the one that its queries read.
TEST(ShardedStateOf, FewerHeadsOfKeysThanRanksIsSharedByThem) {
  const std::map<std::string, std::vector<size_t>> heads = {
      {"tp=2", {1, 1}}, {"tp=3", {1, 1, 1}}, {"tp=4", {1, 1, 1, 1}}};
  const Engine one = Engine::build(cached(4, 2, 1));
  for (const auto& [mesh, by_rank] : heads) {
    SCOPED_TRACE(mesh);
    const Engine engine = Engine::build(cached(4, 2, 1), on_mesh(mesh));
    for (const PlanInfo& plan : engine.plans()) {
      EXPECT_EQ(plan.state_bytes, 2 * by_rank[static_cast<size_t>(plan.rank)] * kLength * 8 * 4);
      EXPECT_EQ(collectives_of(plan), std::vector<std::string>{"all_reduce"});
    }
    expect_as_one_rank(engine, one, mesh_size(mesh), 4, {1, 1, 1});
  }
}

// Each step that writes state is one that puts what is new into it where it is.
TEST(ShardedStateOf, ARankIsUpdatedInPlace) {
  Program program;
  program.graph = import_pt2(test_model("versions/kv_cache") + ".pt2");
  program.mesh = "tp=2";
  const Plan plan = compile_plan(program, {}, {});
  int puts = 0;
  for (const Step& step : plan.run) {
    if (step.out.empty() || step.out[0].place != Place::resident) continue;
    const Operand& out = step.out[0];
    if (out.shape.empty()) continue;  // the count of steps
    ++puts;
    EXPECT_EQ(step.op.name(), "index_put");
    EXPECT_EQ(out.shape, (Dims{1, 2, 8, 8}));
    EXPECT_TRUE(step.in[0].place == Place::resident && step.in[0].index == out.index);
  }
  EXPECT_EQ(puts, 2);
}

// Which need not be where a plan alone would have it.
TEST(ShardedStateOf, PlansMadeLaterIsWhereTheFirstLeftIt) {
  Program program;
  program.graph = import_pt2(test_model("versions/kv_cache") + ".pt2");
  program.mesh = "tp=2";
  const ResidentId k = program.graph.find_resident("k");
  for (const ResidentId id : {k, program.graph.find_resident("v")})
    program.states[id] = {
        {std::nullopt, shard::Table(4, 1, {{{0, 3}}, {{3, 4}}}), std::nullopt, std::nullopt}, 0};
  const shard::States states = program.states;
  program.plans.push_back(compile_plan(program, {}, {}));
  EXPECT_EQ(program.states, states);
  int puts = 0;
  for (const Step& step : program.plans[0].run) {
    if (step.op.name() != "index_put") continue;
    EXPECT_EQ(step.out[0].shape, (Dims{1, 3, 8, 8}));
    EXPECT_EQ(step.out[0].place, Place::resident);
    ++puts;
  }
  EXPECT_EQ(puts, 2);
}

TEST(ShardedStateOf, PlansOfOtherLengthsIsTheSame) {
  const Engine one = Engine::build(cached(4, 4, "s"), on_mesh("", {3, 1}));
  for (const char* mesh : {"tp=2", "cp=2", "tp=2,cp=2"})
    for (const bool prompt_first : {true, false}) {
      SCOPED_TRACE(testing::Message() << mesh << (prompt_first ? ", prompt first" : ""));
      const auto lengths = prompt_first ? std::vector<int64_t>{3, 1} : std::vector<int64_t>{1, 3};
      const Engine engine = Engine::build(cached(4, 4, "s"), on_mesh(mesh, lengths));
      expect_as_one_rank(engine, one, mesh_size(mesh), 4, {3, 1, 1});
    }
}

TEST(ShardedStateOf, AnEngineFileIsThatOfPlansMadeLater) {
  const std::string path = testing::TempDir() + "state.tutti";
  Engine::build(cached(4, 4, "s"), on_mesh("tp=2", {3})).save(path);
  Engine engine = Engine::load(path);
  engine.plan({{"pos", {1}}});
  for (const PlanInfo& plan : engine.plans()) EXPECT_EQ(plan.state_bytes, 2u * 2 * 8 * 8 * 4);
  const Engine one = Engine::build(cached(4, 4, "s"), on_mesh("", {3, 1}));
  expect_as_one_rank(engine, one, 2, 4, {3, 1, 1});
}

TEST(ShardedStateOf, SplitHeadsIsNotReadAsAWhole) {
  const Engine engine = Engine::build(cached(4, 4, 1), on_mesh("tp=2"));
  EXPECT_EQ(error_of([&] { engine.session(1).read("k"); }),
            "state k is split over ranks of tp=2: this one has f32[1, 2, 8, 8] of f32[1, 4, 8, 8]; "
            "wanted: state that is whole, or an output that gives it");
  EXPECT_EQ(error_of([&] { engine.session(1).read("kk"); }),
            "state kk is not known; nearest: k, v");
}

// Where nothing reads it in the network, somebody else will.
TEST(ShardedStateOf, NoReaderIsWhole) {
  GraphBuilder graph;
  const Expression x = graph.input("x", DType::f32, {4, 2});
  const Expression last = graph.state("last", filled({4, 2}, 0));
  const Expression y = tanh(x);
  graph.update(last, y);
  graph.output("y", y);
  const Engine engine = Engine::build(graph, on_mesh("dp=2"));
  run_ranks(2, [&](Communicator& ranks) {
    Session session = engine.session(1);
    session.bind(ranks);
    const Tensor found = session.run({{"x", some({4, 2}, 1)}}).at("y");
    EXPECT_EQ(values_of(session.read("last")), values_of(found));
  });
}

}  // namespace
}  // namespace tutti
