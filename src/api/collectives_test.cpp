// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "core/test_data.h"
#include "core/text.h"
#include "tutti/engine.h"

namespace tutti {
namespace {

using Names = std::vector<std::string>;

// The collectives of a plan, in the order of its steps.
Names collectives(const Engine& engine) {
  Names names;
  const std::vector<PlanInfo> plans = engine.plans();
  for (const StepInfo& step : plans.at(0).steps)
    for (const char* kind :
         {"all_reduce", "all_gather", "reduce_scatter", "all_to_all", "all_to_all_v", "broadcast"})
      if (step.operation == kind) names.push_back(step.operation);
  return names;
}

struct Case {
  std::string model;
  int ranks;
  Names wanted;  // in the order of the program
  InputShapes shapes;
};

void PrintTo(const Case& c, std::ostream* os) { *os << c.model; }

class RankPrograms : public testing::TestWithParam<Case> {};

TEST_P(RankPrograms, CompileInOneProcess) {
  const Case& c = GetParam();
  for (int rank = 0; rank < c.ranks; ++rank)
    for (bool fuse : {true, false}) {
      BuildOptions options;
      options.fuse = fuse;
      if (!c.shapes.empty()) options.shapes.push_back(c.shapes);
      const Engine engine =
          Engine::build(test_model(join(c.model, rank, "of", c.ranks, ".pt2")), options);
      EXPECT_EQ(collectives(engine), c.wanted) << rank;
    }
}

INSTANTIATE_TEST_SUITE_P(
    Stored, RankPrograms,
    testing::Values(
        Case{"tp/tp_block.rank", 2, {"all_reduce", "reduce_scatter", "all_gather"}, {}},
        Case{"tp/tp_sub.rank", 4, {"all_reduce", "reduce_scatter", "all_gather"}, {}},
        Case{"versions/subgroup_rank",
             4,
             {"all_reduce", "all_gather", "reduce_scatter", "all_to_all", "all_to_all_v",
              "broadcast", "all_reduce", "all_reduce", "all_reduce", "all_reduce"},
             {}},
        Case{"collective_forms.rank",
             2,
             {"all_gather",     "all_gather", "all_reduce",     "all_reduce",     "all_reduce",
              "all_reduce",     "broadcast",  "all_reduce",     "all_reduce",     "all_reduce",
              "all_reduce",     "all_gather", "all_gather",     "reduce_scatter", "reduce_scatter",
              "reduce_scatter", "all_gather", "reduce_scatter", "all_gather",     "reduce_scatter",
              "all_to_all",     "all_to_all", "all_reduce",     "all_gather",     "all_to_all",
              "all_to_all_v"},
             {{"x", {8, 3}}}}));

}  // namespace
}  // namespace tutti
