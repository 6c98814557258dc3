// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>

#include "compile/pass.h"
#include "ir/text.h"
#include "ops/all.h"

namespace tutti {
namespace {

// The names of the operators left when a pass has run over a function of x : f32[3, 5].
std::vector<std::string> after(bool (*pass)(Compilation&), std::string_view body,
                               std::string_view inputs = "%x : f32[3, 5]") {
  const std::string text = "tutti.graph 1\nfunction run(" + std::string(inputs) + ") {\n" +
                           std::string(body) + "\noutput y = %y\n}\n";
  Program program;
  program.graph = parse_graph(text, make_op);
  const CompileOptions options;
  Compilation c{program, program.graph.functions[0], options};
  pass(c);
  c.function.remove_dead();
  std::vector<std::string> names;
  for (const Node& node : c.function.nodes) names.emplace_back(node.op.name());
  return names;
}

std::string gelu_tanh(std::string_view cubic_factor) {
  return R"(%half : f32[] = full(value=0.5, dtype=f32, shape=[])
    %one : f32[] = full(value=1, dtype=f32, shape=[])
    %k : f32[] = full(value=0.7978845608028654, dtype=f32, shape=[])
    %c : f32[] = full(value=)" +
         std::string(cubic_factor) + R"(, dtype=f32, shape=[])
    %a : f32[3, 5] = mul(%x, %half)
    %x2 : f32[3, 5] = mul(%x, %x)
    %x3 : f32[3, 5] = mul(%x2, %x)
    %s : f32[3, 5] = mul(%x3, %c)
    %sum : f32[3, 5] = add(%x, %s)
    %inner : f32[3, 5] = mul(%sum, %k)
    %t : f32[3, 5] = tanh(%inner)
    %t1 : f32[3, 5] = add(%t, %one)
    %y : f32[3, 5] = mul(%a, %t1))";
}

using Names = std::vector<std::string>;

TEST(RecognizeActivations, FindsGeluOfTanh) {
  EXPECT_EQ(after(recognize_activations, gelu_tanh("0.044715")), Names{"gelu_tanh"});
}

TEST(RecognizeActivations, LeavesOtherFactorsAsTheyAre) {
  EXPECT_EQ(after(recognize_activations, gelu_tanh("0.0448")).size(), 13);
}

TEST(RecognizeActivations, FindsGeluOfErf) {
  EXPECT_EQ(after(recognize_activations, R"(%half : f32[] = full(value=0.5, dtype=f32, shape=[])
    %one : f32[] = full(value=1, dtype=f32, shape=[])
    %root : f32[] = full(value=1.4142135623730951, dtype=f32, shape=[])
    %scaled : f32[3, 5] = div(%x, %root)
    %t : f32[3, 5] = erf(%scaled)
    %t1 : f32[3, 5] = add(%t, %one)
    %xt : f32[3, 5] = mul(%x, %t1)
    %y : f32[3, 5] = mul(%xt, %half))"),
            Names{"gelu"});
}

TEST(RecognizeActivations, FindsSilu) {
  EXPECT_EQ(after(recognize_activations, R"(%t : f32[3, 5] = sigmoid(%x)
    %y : f32[3, 5] = mul(%t, %x))"),
            Names{"silu"});
}

TEST(RecognizeActivations, KeepsWhatOthersUse) {
  EXPECT_EQ(after(recognize_activations, R"(%t : f32[3, 5] = sigmoid(%x)
    %s : f32[3, 5] = mul(%t, %x)
    %y : f32[3, 5] = add(%s, %t))"),
            (Names{"sigmoid", "silu", "add"}));
}

TEST(RecognizeActivations, LeavesRoundedTypesAsTheyAre) {
  EXPECT_EQ(after(recognize_activations, R"(%t : bf16[3, 5] = sigmoid(%x)
    %y : bf16[3, 5] = mul(%t, %x))",
                  "%x : bf16[3, 5]"),
            (Names{"sigmoid", "mul"}));
}

TEST(ShareHeads, ReadsRepeatedHeadsWhereTheyAre) {
  EXPECT_EQ(after(share_heads, R"(%k1 : f32[2, 3, 1, 7, 4] = reshape(%k, shape=[2, 3, 1, 7, 4])
    %k2 : f32[2, 3, 2, 7, 4] = expand(%k1, shape=[2, 3, 2, 7, 4])
    %k3 : f32[2, 6, 7, 4] = reshape(%k2, shape=[2, 6, 7, 4])
    %y : f32[2, 6, 5, 4] = attention(%q, %k3, %k3, scale=1))",
                  "%q : f32[2, 6, 5, 4], %k : f32[2, 3, 7, 4]"),
            Names{"attention"});
}

// Before heads are put in their place; one head for all.
TEST(ShareHeads, ReadsRepeatedHeadsHoweverTheyAreWritten) {
  const std::string attention = "%y : f32[2, 6, 5, 4] = attention(%q, %k9, %k9, scale=1)";
  EXPECT_EQ(after(share_heads, R"(%k1 : f32[2, 7, 3, 1, 4] = reshape(%k, shape=[2, 7, 3, 1, 4])
    %k2 : f32[2, 7, 3, 2, 4] = expand(%k1, shape=[2, 7, 3, 2, 4])
    %k3 : f32[2, 7, 6, 4] = reshape(%k2, shape=[2, 7, 6, 4])
    %k9 : f32[2, 6, 7, 4] = permute(%k3, axes=[0, 2, 1, 3])
    )" + attention,
                  "%q : f32[2, 6, 5, 4], %k : f32[2, 7, 3, 4]"),
            (Names{"permute", "permute", "attention"}));
  EXPECT_EQ(after(share_heads,
                  "%k1 : f32[2, 6, 7, 4] = expand(%k, shape=[2, 6, 7, 4])\n"
                  "%k9 : f32[2, 6, 7, 4] = cast(%k1, dtype=f32)\n" +
                      attention,
                  "%q : f32[2, 6, 5, 4], %k : f32[2, 1, 7, 4]"),
            (Names{"cast", "cast", "attention"}));
}

// Whole groups one after another are no heads repeated one by one.
TEST(ShareHeads, LeavesRepeatedGroupsAsTheyAre) {
  EXPECT_EQ(after(share_heads, R"(%k1 : f32[2, 1, 3, 7, 4] = reshape(%k, shape=[2, 1, 3, 7, 4])
    %k2 : f32[2, 2, 3, 7, 4] = expand(%k1, shape=[2, 2, 3, 7, 4])
    %k3 : f32[2, 6, 7, 4] = reshape(%k2, shape=[2, 6, 7, 4])
    %y : f32[2, 6, 5, 4] = attention(%q, %k3, %k3, scale=1))",
                  "%q : f32[2, 6, 5, 4], %k : f32[2, 3, 7, 4]"),
            (Names{"reshape", "expand", "reshape", "attention"}));
}

TEST(SinkReshapes, PutsFunctionsBeforeTheReshapeOfAProduct) {
  EXPECT_EQ(after(sink_reshapes, R"(%p : f32[6, 5] = matmul(%x, %w)
    %r : f32[2, 3, 5] = reshape(%p, shape=[2, 3, 5])
    %g : f32[2, 3, 5] = silu(%r)
    %y : f32[2, 3, 5] = add(%g, %z))",
                  "%x : f32[6, 4], %w : f32[4, 5], %z : f32[2, 3, 5]"),
            (Names{"matmul", "silu", "reshape", "add", "reshape"}));
}

TEST(SinkReshapes, LeavesBroadcastsAsTheyAre) {
  EXPECT_EQ(after(sink_reshapes, R"(%p : f32[6, 5] = matmul(%x, %w)
    %r : f32[2, 3, 5] = reshape(%p, shape=[2, 3, 5])
    %y : f32[2, 3, 5] = mul(%r, %z))",
                  "%x : f32[6, 4], %w : f32[4, 5], %z : f32[2, 1, 5]"),
            (Names{"matmul", "reshape", "mul"}));
}

TEST(Fuse, ComputesOnceWhatSeveralSeeThroughAView) {
  const Names names = after(fuse, R"(%c : f32[3, 5] = cos(%x)
    %v : f32[1, 3, 5] = reshape(%c, shape=[1, 3, 5])
    %a : f32[1, 3, 5] = add(%v, %v)
    %m : f32[1, 3, 4] = matmul(%a, %w)
    %b : f32[1, 3, 5] = mul(%v, %v)
    %n : f32[1, 3, 4] = matmul(%b, %w)
    %y : f32[1, 3, 4] = add(%m, %n))",
                            "%x : f32[3, 5], %w : f32[5, 4]");
  EXPECT_EQ(std::count(names.begin(), names.end(), "region"), 4);  // of c, a, b and y
}

// Collectives that look dead, equal, constant, and computed from weights alone.
constexpr std::string_view kCollectives = R"(tutti.graph 1
bound @w : f32[4, 4]
function run(%x : f32[4, 4]) {
  %n : f32[4, 4] = full(value=2, dtype=f32, shape=[4, 4])
  %a : f32[4, 4] = all_reduce(@w, reduce="sum", size=2)
  %b : f32[4, 4] = all_reduce(@w, reduce="sum", size=2)
  %c : f32[8, 4] = all_gather(%n, size=2)
  %d : f32[8, 4] = all_gather(%n, size=2)
  send(%x, to=1, size=2)
  %r : f32[4, 4] = recv(from=1, shape=[4, 4], size=2)
  %s : f32[4, 4] = broadcast(%r, size=2)
  %i : i64[] = rank(size=2)
  %j : f32[] = cast(%i, dtype=f32)
  %k : f32[4, 4] = mul(@w, %j)
  %l : f32[4, 4] = matmul(%x, %k)
  %m : f32[4, 4] = matmul(%x, %a)
  %o : f32[4, 4] = add(%l, %m)
  %y : f32[4, 4] = add(%o, %b)
  output y = %y
  output d = %d
}
)";

Program compiled(std::string_view text, Function& function) {
  Program program;
  program.graph = parse_graph(text, make_op);
  const CompileOptions options;
  Compilation c{program, program.graph.functions[0], options};
  run_passes(c, network_passes());
  run_passes(c, part_passes());
  function = c.function;
  return program;
}

// The operators with effects, and how often the result of each is used.
Names effects(const Function& f) {
  Names names;
  const std::vector<int> uses = f.use_counts();
  for (const Node& node : f.nodes) {
    if (!node.op.has_effects()) continue;
    names.emplace_back(node.op.name());
    for (ValueId id : node.outputs) names.back() += join(' ', uses[static_cast<size_t>(id)]);
  }
  return names;
}

TEST(Pipeline, KeepsCollectivesAndTheirOrder) {
  Function f;
  const Program program = compiled(kCollectives, f);
  EXPECT_EQ(effects(f), (Names{"all_reduce 1", "all_reduce 1", "all_gather 0", "all_gather 1",
                               "send", "recv 1", "broadcast 0"}));
  for (const Function& other : program.graph.functions)
    EXPECT_TRUE(other.name == "run" || other.nodes.empty()) << other.name;
}

TEST(Pipeline, KeepsWhatEachRankComputesOutOfTheWeights) {
  Function f;
  compiled(kCollectives, f);
  Names names;
  for (const Node& node : f.nodes) names.emplace_back(node.op.name());
  EXPECT_EQ(std::count(names.begin(), names.end(), "rank"), 1);
  EXPECT_EQ(std::count(names.begin(), names.end(), "pack_matrix"), 0);
}

}  // namespace
}  // namespace tutti
