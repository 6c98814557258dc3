// SPDX-License-Identifier: Apache-2.0
#include "shard/explain.h"

#include <gtest/gtest.h>

#include "ir/text.h"
#include "ops/all.h"
#include "shard/shard.h"

namespace tutti::shard {
namespace {

// What is told of a value of a function's body.
std::vector<std::string> told(const std::string& mesh, const std::string& context,
                              const std::string& body, const std::string& name) {
  const Graph graph = parse_graph(
      "tutti.graph 1\nbound @m : f32[4, 4]\nbound @b : f32[4]\ncarried @s : f32[1, 2, 8, 4]\n"
      "function run(%x : f32[1, 2, 8, 4], "
      "%k : f32[1, 2, 8, "
      "4], %w : f32[4, 4]) "
      "{\n" +
          body + "output y = %y\n}\n",
      make_op);
  Function f = graph.functions[0];
  const Ways ways = ways_of({Mesh::parse(mesh), context});
  const Sharding sharding = sharding_of(f, ways);
  for (size_t id = 0; id < f.values.size(); ++id)
    if (f.values[id].name == name)
      return explain(f, ways.mesh, sharding.desires, sharding.placements, static_cast<ValueId>(id));
  return {"no such value"};
}

using Lines = std::vector<std::string>;

const std::string kAttention = R"(%q : f32[1, 2, 8, 4] = relu(%x)
  %a : f32[1, 2, 8, 4] = attention(%q, %k, %k, scale=1, left=-1, right=-1, offset=0, lse=false)
  %y : f32[1, 2, 8, 4] = exp(%a)
)";

TEST(Explain, GoesBackThroughOperatorsToWhatAskedForATable) {
  EXPECT_EQ(
      told("tp=2", "ulysses", kAttention, "y"),
      (Lines{"dimension 1 is tp 0:1 | 1:2, as was asked for", "  through exp y from a, dimension 1",
             "  through attention a from q, dimension 1",
             "  asked for at relu q, dimension 1: heads of attention"}));
}

TEST(Explain, GoesBackThroughWhatStateBecomes) {
  const std::string body = R"(%q : f32[1, 2, 8, 4] = relu(%x)
  %n : f32[1, 2, 8, 4] = relu(%k)
  %a : f32[1, 2, 8, 4] = attention(%q, %n, %n, scale=1, left=-1, right=-1, offset=0, lse=false)
  %y : f32[1, 2, 8, 4] = add(%a, @s)
  update @s = %n
)";
  EXPECT_EQ(told("tp=2", "", body, "s"),
            (Lines{"dimension 1 is tp 0:1 | 1:2, as was asked for",
                   "  through the update of state s from n, dimension 1",
                   "  through attention a from q, dimension 1",
                   "  asked for at relu q, dimension 1: heads of attention"}));
}

TEST(Explain, TellsOfInputsThatAreGivenWhole) {
  EXPECT_EQ(told("cp=2", "gather_kv", kAttention, "x"),
            (Lines{"dimension 2 is given whole to all ranks; who reads it takes cp 0:4 | 4:8, as "
                   "was asked for",
                   "  asked for at input x, dimension 2: queries or keys of attention come from "
                   "this dimension of an input"}));
}

TEST(Explain, TellsOfWhatIsExchangedAndOfSums) {
  EXPECT_EQ(told("cp=2", "ulysses", kAttention, "a").back(),
            "attention a gives [whole, cp 0:1 | 1:2, whole, whole], which is exchanged at once");
  const std::string pair = R"(%h : f32[1, 2, 8, 4] = matmul(%x, @m)
  %y : f32[1, 2, 8, 4] = matmul(%h, @m)
)";
  EXPECT_EQ(told("tp=2", "", pair, "y")[0],
            "a sum over tp: matmul y gives addends, which are added where they are needed");
}

TEST(Explain, TellsHowAttentionMeetsKeys) {
  const auto keys = [](const std::string& band) {
    const std::string body = R"(%q : f32[1, 2, 8, 4] = relu(%x)
  %n : f32[1, 2, 8, 4] = relu(%k)
  %a : f32[1, 2, 8, 4] = attention(%q, %n, %n, )" +
                             band + ")\n  %y : f32[1, 2, 8, 4] = exp(%a)\n";
    return told("cp=2", "ring", body, "a").back();
  };
  EXPECT_EQ(keys("scale=1"),
            "keys and values are cp 0:4 | 4:8, and go around cp as far as queries see them");
  EXPECT_EQ(keys("left=2, right=0"),
            "each rank gets the keys and values that its queries see at once: cp 0:4 | 2:8");
}

TEST(Explain, TellsOfSumsThatABiasWaitsFor) {
  const std::string pair = R"(%h : f32[1, 2, 8, 4] = matmul(%x, @m)
  %y : f32[1, 2, 8, 4] = matmul(%h, @m, @b)
)";
  EXPECT_EQ(told("tp=2", "", pair, "y")[0], "addends of tp from matmul y are added at once");
}

TEST(Explain, SaysWhyAnOperatorRunsWhole) {
  const std::string body = R"(%u : f32[1, 2, 8, 2, 3] = unfold(%x, axis=3, size=3, step=1)
  %r : f32[1, 2, 8, 2] = reduce(%u, fn="sum", axes=[4], keep=false)
  %y : f32[1, 2, 8, 4] = concat(%r, %r, axis=3)
)";
  EXPECT_EQ(told("cp=2", "", body, "u")[0], "unfold u runs whole on all ranks: windows overlap");
}

TEST(Explain, SaysSoWhereNothingAskedForAPart) {
  EXPECT_EQ(told("cp=2", "ring", kAttention, "w"),
            (Lines{"whole on all ranks: nothing asked for a part of it"}));
}

TEST(Explain, FollowsNoTableThroughADimensionThatStaysWhole) {
  const std::string body = R"(%q : f32[1, 2, 8, 4] = relu(%x)
  %a : f32[1, 2, 8, 4] = attention(%q, %k, %k, scale=1, left=-1, right=-1, offset=0, lse=false)
  %r : f32[1, 2, 4, 8] = permute(%a, axes=[0, 1, 3, 2])
  %y : f32[1, 2, 4, 8] = scan(%r, fn="sum", axis=3)
)";
  EXPECT_EQ(told("cp=2", "ring", body, "y"),
            (Lines{"whole on all ranks: nothing asked for a part of it"}));
  EXPECT_EQ(told("cp=2", "ring", body, "r")[0], "dimension 3 is cp 0:4 | 4:8, as was asked for");
}

}  // namespace
}  // namespace tutti::shard
