// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>

#include "compile/pass.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "ops/all.h"

namespace tutti {
namespace {

// The names of the collectives, in the order after merging; outputs are y and z.
std::vector<std::string> merged(std::string_view body) {
  const std::string text = "tutti.graph 1\nfunction run(%x : f32[4]) {\n" + std::string(body) +
                           "\noutput y = %y\noutput z = %z\n}\n";
  Program program;
  program.graph = parse_graph(text, make_op);
  program.mesh = "tp=2";
  const CompileOptions options;
  Compilation c{program, program.graph.functions[0], options};
  merge_collectives(c.function, {});
  verify(program.graph, c.function);
  std::vector<std::string> names;
  for (const Node& node : c.function.nodes)
    if (node.op.has_effects()) names.emplace_back(node.op.name());
  return names;
}

using Names = std::vector<std::string>;

TEST(MergeCollectives, MakesOneOfThoseThatAreReadyTogether) {
  EXPECT_EQ(merged(R"(%a : f32[4] = exp(%x)
    %y : f32[4] = all_reduce(%a, size=2)
    %b : f32[4] = neg(%x)
    %z : f32[4] = all_reduce(%b, size=2))"),
            (Names{"all_reduce"}));
}

TEST(MergeCollectives, LeavesThoseOfWhichOneFollowsFromAnother) {
  EXPECT_EQ(merged(R"(%y : f32[4] = all_reduce(%x, size=2)
    %b : f32[4] = neg(%y)
    %z : f32[4] = all_reduce(%b, size=2))"),
            (Names{"all_reduce", "all_reduce"}));
}

// What waits for a message must not come before what is sent meanwhile: the peer waits for that.
TEST(MergeCollectives, LeavesMessagesInTheirOrder) {
  const Names names = merged(R"(%first : f32[4] = all_reduce(%x, size=2)
    %y : f32[4] = all_reduce(%first, size=2)
    send(%x, to=1, size=2)
    %got : f32[4] = recv(from=1, dtype=f32, shape=[4], size=2)
    %b : f32[4] = neg(%got)
    %z : f32[4] = all_reduce(%b, size=2))");
  const auto send = std::find(names.begin(), names.end(), "send");
  EXPECT_LT(send, std::find(names.begin(), names.end(), "recv"));
}

}  // namespace
}  // namespace tutti
