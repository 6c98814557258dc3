// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "compiled_model.h"
#include "core/test_data.h"
#include "tutti/tutti.h"

// Programs that PyTorch exported with collectives, one file for each rank, beside their outputs of
// true processes.
namespace tutti {
namespace {

struct RankModel {
  std::string name;  // {rank} stands for the number of the rank
  int ranks;
  RankGroups groups;
  std::string inputs, outputs;
  double tolerance = 5e-5;
};

void PrintTo(const RankModel& m, std::ostream* os) { *os << m.name; }

const RankModel kModels[] = {
    {"tp/tp_block.rank{rank}of2", 2, {{"0", {0, 1}}}, "tp/tp_block", "tp/tp_block"},
    {"tp/tp_block.rank{rank}of2", 2, {}, "tp/tp_block", "tp/tp_block"},
    {"tp/tp_sub.rank{rank}of4",
     4,
     {{"1", {0, 1}}, {"2", {2, 3}}},
     "tp/tp_sub.rank{rank}of4",
     "tp/tp_sub.rank{rank}of4"},
    {"versions/subgroup_rank{rank}of4",
     4,
     {{"0", {0, 1, 2, 3}}, {"1", {0, 1}}, {"2", {2, 3}}, {"3", {0, 2}}, {"4", {1, 3}}},
     "versions/subgroup_rank{rank}of4",
     "versions/subgroup_rank{rank}of4"},
    {"collective_forms.rank{rank}of2",
     2,
     {{"0", {0, 1}}},
     "collective_forms.rank{rank}of2",
     "collective_forms.rank{rank}of2"},
};

std::string file(std::string name, int rank, const std::string& end) {
  const size_t at = name.find("{rank}");
  if (at != std::string::npos) name.replace(at, 6, std::to_string(rank));
  return test_model(name) + end;
}

class RankModels : public testing::TestWithParam<std::tuple<RankModel, bool>> {};

TEST_P(RankModels, GiveTheStoredOutputs) {
  const auto& [m, fuse] = GetParam();
  run_ranks(m.ranks, [&, &m = m, fuse = fuse](Communicator& ranks) {
    BuildOptions options;
    options.fuse = fuse;
    Engine engine = Engine::build(file(m.name, ranks.rank(), ".pt2"), options);
    TensorMap inputs;
    InputShapes shapes;
    const TensorMap stored = load_tensors(file(m.inputs, ranks.rank(), ".inputs.safetensors"));
    for (const PortInfo& port : engine.inputs()) {
      inputs[port.name] = stored.at(port.name);
      shapes.emplace_back(port.name, stored.at(port.name).shape);
    }
    engine.plan(shapes);
    Session session = engine.session(1);
    session.bind(ranks, m.groups);
    const TensorMap expected = load_tensors(file(m.outputs, ranks.rank(), ".outputs.safetensors"));
    EXPECT_FALSE(expected.empty());
    for (int run = 0; run < 3; ++run) {
      session.reset();  // some keep state
      const TensorMap found = session.run(inputs);
      for (const auto& [name, tensor] : expected) {
        ASSERT_TRUE(found.count(name)) << name;
        EXPECT_LE(relative_error(found.at(name), tensor), m.tolerance)
            << "rank " << ranks.rank() << ", " << name;
      }
    }
  });
}

INSTANTIATE_TEST_SUITE_P(Threads, RankModels,
                         testing::Combine(testing::ValuesIn(kModels), testing::Bool()));

TEST(RankModels, AreRefusedWhileTheirGroupsAreNames) {
  run_ranks(4, [](Communicator& ranks) {
    const Engine engine = Engine::build(file("tp/tp_sub.rank{rank}of4", ranks.rank(), ".pt2"));
    Session session = engine.session(1);
    try {
      session.bind(ranks);
      ADD_FAILURE() << "bound";
    } catch (const Error& error) {
      EXPECT_STREQ(error.what(),
                   "groups have names and no ranks: rank 0 uses '1' of 2 ranks; rank 1 uses '1' of "
                   "2 ranks; rank 2 uses '2' of 2 ranks; rank 3 uses '2' of 2 ranks; of 4 ranks, "
                   "say which each name has (--group NAME=0,1)");
    }
  });
}

}  // namespace
}  // namespace tutti
