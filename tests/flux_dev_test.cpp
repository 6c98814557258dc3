// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "compile/compile.h"
#include "core/test_data.h"
#include "import/pt2.h"

namespace tutti {
namespace {

// FLUX.1-dev of full size without weights: 19 double blocks, 38 single ones.
constexpr size_t kMostSteps = 19 * 20 + 38 * 8;

Plan plan_for(Program& program, int64_t tokens) {
  std::vector<Dims> shapes;
  const Function& run = program.graph.function("run");
  for (ValueId id : run.inputs) {
    Dims shape;
    for (const Dim& extent : run.type(id).shape)
      shape.push_back(extent.is_constant() ? extent.value() : tokens);
    shapes.push_back(shape);
  }
  return compile_plan(program, bind_symbols(program.graph, run, shapes), {});
}

TEST(FluxDev, CompilesIntoAtMost20StepsPerDoubleBlockAnd8PerSingleBlock) {
  Program program;
  program.graph = import_pt2(test_model("flux_dev_graph") + ".pt2");
  EXPECT_LE(plan_for(program, 0).run.size(), kMostSteps);
}

TEST(FluxDev, OfAnySizeIsPlannedFor4096And16384Tokens) {
  Program program;
  program.graph = import_pt2(TUTTI_BINARY_DIR "/models/flux_dev_dynamic.pt2");
  for (int64_t tokens : {4096, 16384}) {
    const Plan plan = plan_for(program, tokens);
    EXPECT_EQ(plan.outputs.at(0).shape, (Dims{1, tokens, 64}));
    EXPECT_LE(plan.run.size(), kMostSteps);
    // Not one matrix of scores, 24 heads wide, fits in it.
    EXPECT_LT(plan.arena_bytes, 24 * (tokens + 512) * (tokens + 512) * 2);
  }
}

}  // namespace
}  // namespace tutti
