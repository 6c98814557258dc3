// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "compile/pass.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "ops/all.h"

namespace tutti {
namespace {

// The names of the first results of all nodes, in the order after scheduling.
std::vector<std::string> scheduled(std::string_view body) {
  const std::string text =
      "tutti.graph 1\nfunction run(%x : f32[4]) {\n" + std::string(body) + "\noutput y = %y\n}\n";
  Program program;
  program.graph = parse_graph(text, make_op);
  const CompileOptions options;
  Compilation c{program, program.graph.functions[0], options};
  schedule(c);
  verify(program.graph, c.function);
  std::vector<std::string> names;
  for (const Node& node : c.function.nodes) names.push_back(c.function.value(node.outputs[0]).name);
  return names;
}

using Names = std::vector<std::string>;

TEST(Schedule, RunsWhatIsIndependentBeforeWhatWaits) {
  EXPECT_EQ(scheduled(R"(%g : f32[4] = all_reduce(%x)
    %used : f32[4] = exp(%g)
    %a : f32[4] = exp(%x)
    %b : f32[4] = neg(%a)
    %y : f32[4] = add(%used, %b))"),
            (Names{"g", "a", "b", "used", "y"}));
}

TEST(Schedule, StartsACollectiveAsSoonAsItsOperandIsThere) {
  EXPECT_EQ(scheduled(R"(%a : f32[4] = exp(%x)
    %b : f32[4] = neg(%a)
    %sent : f32[4] = sqrt(%x)
    %g : f32[4] = all_reduce(%sent)
    %y : f32[4] = add(%g, %b))"),
            (Names{"sent", "g", "a", "b", "y"}));
}

TEST(Schedule, KeepsTheOrderOfCollectives) {
  EXPECT_EQ(scheduled(R"(%slow : f32[4] = exp(%x)
    %first : f32[4] = all_reduce(%slow)
    %second : f32[4] = all_gather(%x, size=1)
    %y : f32[4] = add(%first, %second))"),
            (Names{"slow", "first", "second", "y"}));
}

TEST(Schedule, WaitsForOneCollectiveWhileALaterOneRuns) {
  EXPECT_EQ(scheduled(R"(%first : f32[4] = all_reduce(%x)
    %second : f32[4] = all_reduce(%x, reduce="max")
    %of_second : f32[4] = exp(%second)
    %of_first : f32[4] = exp(%first)
    %more : f32[4] = neg(%of_first)
    %y : f32[4] = add(%more, %of_second))"),
            (Names{"first", "second", "of_first", "more", "of_second", "y"}));
}

TEST(Schedule, LetsViewsOfAResultOnItsWayPass) {
  EXPECT_EQ(scheduled(R"(%g : f32[4] = all_reduce(%x)
    %v : f32[2, 2] = reshape(%g, shape=[2, 2])
    %a : f32[2, 2] = reshape(%x, shape=[2, 2])
    %b : f32[2, 2] = exp(%a)
    %y : f32[2, 2] = add(%v, %b))"),
            (Names{"g", "v", "a", "b", "y"}));
}

TEST(Schedule, LeavesANetworkWithoutCollectivesAsItIs) {
  EXPECT_EQ(scheduled(R"(%b : f32[4] = neg(%x)
    %a : f32[4] = exp(%x)
    %y : f32[4] = add(%a, %b))"),
            (Names{"b", "a", "y"}));
}

}  // namespace
}  // namespace tutti
