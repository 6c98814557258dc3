// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <iostream>

#include "compile/pass.h"
#include "compiled_model.h"
#include "device/cpu/pool.h"
#include "ir/text.h"
#include "ops/interpret.h"
#include "random_network.h"
#include "shard/check.h"
#include "shard/elements_for_tests.h"
#include "shard/localize.h"
#include "shard/shard.h"
#include "tutti/communicator.h"

// Random networks on random meshes with random tables, beside the plain interpreter on one rank.
namespace tutti {
namespace {

using shard::AxisSet;
using shard::Mesh;
using shard::Ranges;
using shard::Table;

struct Placed {
  Function function;
  Mesh mesh;
  shard::Placements placements;
};

class RandomPlacements {
 public:
  RandomPlacements(const Function& f, unsigned seed)
      : random_(seed), function_(f), mesh_(random_mesh()) {
    for (size_t a = 0; a < mesh_.axes().size(); ++a)
      context_.push_back(static_cast<shard::Context>(pick(0, 2)));
    for (int i = pick(1, 10); i > 0; --i) {
      const auto id = static_cast<ValueId>(pick(0, static_cast<int>(f.values.size()) - 1));
      const int rank = f.type(id).rank();
      const auto axes = static_cast<AxisSet>(pick(1, (1 << mesh_.axes().size()) - 1));
      if (rank == 0) continue;
      const int dim = pick(0, rank - 1);
      seeds_.push_back(
          {id, dim, random_table(axes, f.type(id).shape[static_cast<size_t>(dim)].value())});
    }
    shard::decompose_asked(function_, seeded());
    const shard::Desires desires = seeded();
    shard::States states = desires.states();
    for (auto& [resident, placement] : states)
      if (pick(0, 2) == 0) placement = random_state(function_, resident);
    placements_ = shard::place_values(function_, mesh_, desires, context_,
                                      static_cast<AxisSet>(pick(0, (1 << mesh_.axes().size()) - 1)),
                                      std::move(states));
    shard::check_placements(function_, mesh_, placements_);
  }

  Placed placed() const { return {function_, mesh_, placements_}; }

 private:
  struct Seed {
    ValueId value;
    int dim;
    Table table;
  };

  shard::Desires seeded() const {
    shard::Desires desires(function_, mesh_);
    for (const Seed& seed : seeds_) desires.seed(seed.value, seed.dim, seed.table);
    return desires;
  }

  int pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }

  // Elsewhere than the function wants it, as another one may have left it.
  shard::Placement random_state(const Function& f, ResidentId resident) {
    const auto value = std::find_if(f.values.begin(), f.values.end(),
                                    [&](const Value& v) { return v.resident == resident; });
    shard::Placement placement = shard::Placement::whole(value->type.rank());
    const int dim = pick(0, value->type.rank() - 1);
    const auto axes = static_cast<AxisSet>(pick(1, (1 << mesh_.axes().size()) - 1));
    placement.dims[static_cast<size_t>(dim)] =
        random_table(axes, value->type.shape[static_cast<size_t>(dim)].value());
    return placement;
  }

  Mesh random_mesh() {
    static const char* const kMeshes[] = {"a=1",     "a=2",     "a=3",        "a=4",     "a=5",
                                          "a=6",     "a=7",     "a=8",        "a=2,b=2", "a=2,b=3",
                                          "a=3,b=2", "a=2,b=4", "a=2,b=2,c=2"};
    return Mesh::parse(kMeshes[pick(0, static_cast<int>(std::size(kMeshes)) - 1)]);
  }

  Table random_table(AxisSet axes, int64_t extent) {
    const int64_t half = extent / 2;
    switch (pick(0, 9)) {
      case 0:
        return Table::block(mesh_, axes, extent, pick(2, 3));
      case 2:
        return Table::zigzag(mesh_, axes, extent);
      case 3:
        return Table::joined(
            {Table::block(mesh_, axes, half), Table::block(mesh_, axes, extent - half)});
      case 4:
        return dealt(axes, extent, pick(0, mesh_.size(axes) - 1));
      case 5:
        return dealt(axes, extent, -1);
      case 6:
        return window(axes, extent);
      default:
        return Table::block(mesh_, axes, extent);
    }
  }

  // Blocks that reach into their neighbours.
  Table window(AxisSet axes, int64_t extent) {
    const Table block = Table::block(mesh_, axes, extent);
    std::vector<Ranges> by_rank(static_cast<size_t>(mesh_.size()));
    for (int r = 0; r < mesh_.size(); ++r)
      for (const shard::Range& x : block.on(r).list())
        by_rank[static_cast<size_t>(r)].add(
            {std::max<int64_t>(x.begin - 1, 0), std::min(x.end + 1, extent)});
    return {extent, axes, std::move(by_rank)};
  }

  // Every index to one rank of those that differ: `owner`, or any.
  Table dealt(AxisSet axes, int64_t extent, int owner) {
    std::vector<Ranges> by_position(static_cast<size_t>(mesh_.size(axes)));
    for (int64_t i = 0; i < extent; ++i) {
      const int to = owner >= 0 ? owner : pick(0, mesh_.size(axes) - 1);
      by_position[static_cast<size_t>(to)].add({i, i + 1});
    }
    std::vector<Ranges> by_rank;
    for (int r = 0; r < mesh_.size(); ++r)
      by_rank.push_back(by_position[static_cast<size_t>(mesh_.position(r, axes))]);
    return {extent, axes, std::move(by_rank)};
  }

  std::mt19937 random_;
  Function function_;
  Mesh mesh_;
  std::vector<shard::Context> context_;
  std::vector<Seed> seeds_;
  shard::Placements placements_;
};

// Outputs, then all values of the function in its order of nodes; updates.
Interpretation interpreted(const Graph& graph, const std::vector<Tensor>& inputs) {
  Function f = graph.function("run");
  for (const Node& node : f.nodes) f.outputs.push_back({"", node.outputs[0]});
  std::vector<Tensor> residents;
  for (const Resident& resident : graph.residents) residents.push_back(resident.data);
  cpu::Pool pool(1);
  return interpret(f, inputs, residents, pool);
}

double largest(const Tensor& t) {
  const Tensor wide = cast(t, DType::f64);
  double result = 0;
  for (int64_t i = 0; i < wide.elements(); ++i)
    result = std::max(result, std::abs(wide.as<double>()[i]));
  return result;
}

// What a rank holds of a whole tensor, by plain loops.
Tensor part_of(const Tensor& whole, const shard::Placement& placement, int rank) {
  const Tensor from = contiguous(whole);
  const Tensor part = Tensor::zeros(from.dtype, shard::local_shape(placement, from.shape, rank));
  const std::vector<int64_t> elements = shard::elements_of(from.shape, placement.dims, rank);
  for (size_t i = 0; i < elements.size(); ++i) part.as<float>()[i] = from.as<float>()[elements[i]];
  return part;
}

// Outputs, and what state becomes.
std::vector<Tensor> run_on_rank(const Graph& graph, const Placed& placed,
                                const std::vector<Tensor>& inputs, Communicator& ranks) {
  auto program = std::make_shared<Program>();
  program->graph = graph;
  for (const auto& [id, placement] : placed.placements.states) {
    Resident& state = program->graph.residents[static_cast<size_t>(id)];
    state.data = part_of(state.data, placement, ranks.rank());
    state.type.shape = to_shape(state.data.shape);
  }
  Function& f = program->graph.functions[0];
  auto [part, rounds] =
      shard::localize(placed.function, placed.mesh, placed.placements, ranks.rank());
  const CompileOptions options;
  Compilation c{*program, std::move(part), options};
  lower_collectives(c);
  merge_collectives(c.function, rounds);
  f = std::move(c.function);
  program->plans.push_back(compile_plan(*program, {}, {}));
  compute_derived(*program);
  runtime::Session session(program, 1);
  session.bind(ranks, {}, 20);
  std::vector<Tensor> outputs;
  for (const Port& port : program->plans[0].outputs)
    outputs.push_back(Tensor::zeros(port.dtype, port.shape));
  session.run(0, inputs, outputs);
  for (const auto& [id, placement] : placed.placements.states)
    outputs.push_back(session.carried(graph.residents[static_cast<size_t>(id)].name));
  return outputs;
}

void check(unsigned seed, const RandomNetwork& network, const Placed& placed) {
  const Graph& graph = network.graph();
  SCOPED_TRACE(testing::Message() << "seed " << seed << ", " << placed.mesh.text() << "\n"
                                  << print_graph(graph, 40));
  const Interpretation whole = interpreted(graph, network.inputs());
  double scale = 0;
  for (const Tensor& value : whole.outputs)
    if (is_float(value.dtype)) scale = std::max(scale, largest(value));
  try {
    run_ranks(placed.mesh.size(), [&](Communicator& ranks) {
      const std::vector<Tensor> found = run_on_rank(graph, placed, network.inputs(), ranks);
      const size_t outputs = graph.function("run").outputs.size();
      std::vector<Tensor> expected(whole.outputs.begin(),
                                   whole.outputs.begin() + static_cast<std::ptrdiff_t>(outputs));
      // States are numbered as they were added.
      for (const auto& [id, placement] : placed.placements.states)
        expected.push_back(
            part_of(whole.updates[expected.size() - outputs], placement, ranks.rank()));
      ASSERT_EQ(found.size(), expected.size());
      for (size_t o = 0; o < found.size(); ++o) {
        ASSERT_EQ(found[o].shape, expected[o].shape);
        const double most = largest(expected[o]);
        // Where terms cancel, f32 knows what is left to a part of the terms.
        EXPECT_LE(relative_error(found[o], expected[o]) * (most == 0 ? 1 : most),
                  2e-4 * std::max(most, scale / 50))
            << "rank " << ranks.rank() << ", output " << o;
      }
    });
  } catch (const Error& e) {
    FAIL() << e.what();
  }
}

void check(unsigned seed) {
  const RandomNetwork network(seed);
  check(seed, network, RandomPlacements(network.graph().function("run"), seed + 1).placed());
}

int networks() { return std::getenv("TUTTI_LONG") != nullptr ? 500 : 60; }

TEST(RandomSharding, GivesWhatOneRankGives) {
  for (int seed = 0; seed < networks(); ++seed) {
    check(static_cast<unsigned>(seed));
    if (HasFailure()) return;
  }
}

TEST(RandomSharding, GivesWhatOneRankGivesForAFreshSeed) {
  const unsigned seed = std::random_device{}();
  std::cout << "seed " << seed << "\n";
  for (int i = 0; i < networks() / 4 && !HasFailure(); ++i) check(seed + static_cast<unsigned>(i));
}

// Sizes below the number of ranks, sequences of 1, heads fewer than ranks: networks have them all.
TEST(RandomSharding, GivesWhatOneRankGivesByStrategiesOfAnyNumberOfRanks) {
  const int seeds = networks() / 30;
  for (int ranks = 1; ranks <= 8; ++ranks)
    for (const char* axis : {"tp", "cp", "dp"})
      for (const char* context : {"ulysses", "gather_kv", "ring"})
        for (int i = 0; i < seeds && !HasFailure(); ++i) {
          if (std::string_view(axis) != "cp" && std::string_view(context) != "ring") continue;
          const auto seed = static_cast<unsigned>(1000 + 10 * ranks + i);
          const RandomNetwork network(seed);
          const shard::Ways ways = shard::ways_of({Mesh::parse(join(axis, "=", ranks)), context});
          Function f = network.graph().function("run");
          const shard::Placements placements = shard::shard(f, ways);
          check(seed, network, {f, ways.mesh, placements});
        }
}

}  // namespace
}  // namespace tutti
