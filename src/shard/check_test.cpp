// SPDX-License-Identifier: Apache-2.0
#include "shard/check.h"

#include "ops/attention.h"
#include "ops/concat.h"
#include "ops/conv.h"
#include "ops/elementwise.h"
#include "ops/matmul.h"
#include "ops/ops_for_tests.h"
#include "ops/reduce.h"
#include "ops/softmax.h"
#include "ops/views.h"

// Placements that are right pass; with one fault each they do not.
namespace tutti::shard {
namespace {

const Mesh kMesh = Mesh::parse("tp=2");
constexpr AxisSet kTp = 1;

Table blocks(int64_t extent) { return Table::block(kMesh, kTp, extent); }

// A function, its placements from seeds, and what the check says of them after a change.
class Network {
 public:
  ValueId input(std::vector<int64_t> shape) {
    return f_.add_input(join("x", f_.inputs.size()),
                        {DType::f32, Shape(shape.begin(), shape.end())});
  }
  // A value that ranks make in the parts that are desired.
  ValueId made(std::vector<int64_t> shape) {
    return f_.add1(ElementwiseOp{Elementwise::tanh}, {input(std::move(shape))}, "made");
  }
  // What a run finds in state that becomes it again.
  ValueId state(std::vector<int64_t> shape) {
    const TensorType type{DType::f32, Shape(shape.begin(), shape.end())};
    f_.updates = {{0, f_.read(0, "s", type)}};
    return f_.updates[0].value;
  }
  ValueId add(Op op, std::vector<ValueId> in) {
    f_.outputs = {{"y", f_.add1(std::move(op), std::move(in), "y", "layer")}};
    return f_.outputs[0].value;
  }

  void place(ValueId value, int dim, const Table& table, Context context = Context::gather_kv) {
    Desires desires(f_, kMesh);
    desires.seed(value, dim, table);
    placements = place_values(f_, kMesh, desires, {context}, 0, desires.states());
    check_placements(f_, kMesh, placements);
  }
  /// The placements of the last node.
  NodePlacement& node() { return placements.nodes.back(); }
  void set_result(const Placement& p) {
    node().out[0] = node().settled[0] = p;
    placements.values[static_cast<size_t>(f_.outputs[0].value)] = p;
  }
  void expect_refused(const std::vector<std::string>& words) {
    expect_error([&] { check_placements(f_, kMesh, placements); }, words);
  }

  void expect_accepted() { EXPECT_NO_THROW(check_placements(f_, kMesh, placements)); }

  Placements placements;

 private:
  Function f_;
};

TEST(Check, RefusesATableThatLeavesOutAnIndex) {
  Network n;
  const ValueId x = n.input({4, 6});
  n.add(ElementwiseOp{Elementwise::tanh}, {x});
  n.place(x, 0, blocks(4));
  const Table short_one(4, kTp, {{{0, 2}}, {{2, 3}}});
  n.node().in[0].dims[0] = short_one;
  n.set_result(n.node().in[0]);
  n.expect_refused({"value y_0", "dimension 0 of 4", "0:2 | 2:3", "every index"});
}

TEST(Check, RefusesATableOfAnotherExtentAndRangesOutside) {
  Network n;
  const ValueId x = n.input({4, 6});
  n.add(ElementwiseOp{Elementwise::tanh}, {x});
  n.place(x, 0, blocks(4));
  n.node().in[0].dims[0] = blocks(6);
  n.expect_refused({"value x0", "dimension 0 of 4", "table of 6"});
  n.node().in[0].dims[0] = Table(4, kTp, {{{0, 2}}, {{2, 5}}});
  n.expect_refused({"rank 1 holds 2:5"});
}

TEST(Check, RefusesATableThatDiffersAlongAxesItDoesNotName) {
  Network n;
  const ValueId x = n.input({4, 6});
  n.add(ElementwiseOp{Elementwise::tanh}, {x});
  n.place(x, 0, blocks(4));
  n.node().in[0].dims[0] = Table(4, 0, {{{0, 2}}, {{2, 4}}});
  n.expect_refused({"rank 1", "rank 0"});
}

TEST(Check, RefusesStateThatIsReadWhereItIsNot) {
  Network n;
  const ValueId s = n.state({4, 6});
  n.add(ElementwiseOp{Elementwise::tanh}, {s});
  n.place(s, 0, blocks(4));
  n.expect_accepted();
  n.placements.states.at(0).dims[0] = Table(4, kTp, {{{0, 3}}, {{3, 4}}});
  n.expect_refused(
      {"value s is given as [tp 0:2 | 2:4, whole]", "[tp 0:3 | 3:4, whole] is wanted"});
}

TEST(Check, RefusesAddendsAsState) {
  Network n;
  const ValueId s = n.state({4, 6});
  n.add(ElementwiseOp{Elementwise::tanh}, {s});
  n.place(s, 0, blocks(4));
  n.placements.values[static_cast<size_t>(s)] = Placement::whole(2);
  n.placements.values[static_cast<size_t>(s)].partial = kTp;
  n.placements.states.at(0) = n.placements.values[static_cast<size_t>(s)];
  n.expect_refused({"as state", "no sum is wanted"});
}

TEST(Check, RefusesElementsThatNoRankHas) {
  Network n;
  const ValueId x = n.input({4, 6});
  n.add(ElementwiseOp{Elementwise::tanh}, {x});
  n.place(x, 0, blocks(4));
  n.node().in[0].dims[1] = blocks(6);  // only the blocks of the diagonal
  n.set_result(n.node().in[0]);
  n.expect_refused({"value y_0", "axes tp are used twice"});
}

TEST(Check, RefusesAResultInOtherPartsThanItsOperand) {
  Network n;
  const ValueId x = n.input({4, 6});
  n.add(ElementwiseOp{Elementwise::tanh}, {x});
  n.place(x, 0, blocks(4));
  Placement other = Placement::whole(2);
  other.dims[1] = blocks(6);
  n.set_result(other);
  n.expect_refused({"layer", "value y_0", "dimension 0 is whole; 0:2 | 2:4 is wanted"});
}

TEST(Check, RefusesANormalizedDimensionInParts) {
  Network n;
  const ValueId x = n.input({4, 6});
  n.add(Softmax{1}, {x});
  n.place(x, 0, blocks(4));
  n.node().in[0].dims = {{}, blocks(6)};
  n.set_result(n.node().in[0]);
  n.expect_refused({"softmax", "value x0, dimension 1", "rank 0 holds 3 of 6"});
}

TEST(Check, RefusesATermOfASumThatIsCountedTwice) {
  Network n;
  const ValueId a = n.made({4, 6}), b = n.input({6, 5});
  n.add(Matmul{}, {a, b});
  n.place(a, 1, blocks(6));
  const Table twice(6, kTp, {{{0, 4}}, {{3, 6}}});
  n.node().in[0].dims[1] = n.node().in[1].dims[0] = twice;
  n.expect_refused({"matmul", "value made_0, dimension 1", "count 7 indices of 6"});
}

TEST(Check, RefusesASumThatIsNotAddedUp) {
  Network n;
  const ValueId a = n.made({4, 6}), b = n.input({6, 5});
  n.add(Matmul{}, {a, b});
  n.place(a, 1, blocks(6));
  EXPECT_EQ(n.node().out[0].partial, kTp);
  n.set_result(Placement::whole(2));
  n.expect_refused({"value y_1", "is a sum over ''; over 'tp' is wanted"});
}

TEST(Check, RefusesABiasThatIsAddedByEachRank) {
  Network n;
  const ValueId a = n.made({4, 6}), b = n.input({6, 5}), c = n.input({5});
  n.add(Matmul{}, {a, b, c});
  n.place(a, 1, blocks(6));
  EXPECT_EQ(n.node().reduced_within, kTp);
  n.node().reduced_within = 0;
  Placement sum = Placement::whole(2);
  sum.partial = kTp;
  n.set_result(sum);
  n.expect_refused({"matmul", "addend", "once", "'tp' is wanted"});
}

TEST(Check, RefusesABiasInOtherPartsThanItsSum) {
  Network n;
  const ValueId a = n.made({4, 6}), b = n.input({6, 5}), c = n.input({5});
  n.add(Matmul{}, {a, b, c});
  n.place(a, 1, blocks(6));
  n.node().in[2].dims[0] = blocks(5);
  n.expect_refused({"value x2, dimension 0 is 0:3 | 3:5; whole is wanted"});
}

// Its channels are split nowhere.
TEST(Check, AcceptsTheBiasOfAGroupedConvolution) {
  Network n;
  const ValueId x = n.made({2, 4, 5}), w = n.input({4, 2, 3}), b = n.input({4});
  n.add(Conv{{1}, {1}, {1}, {1}, 2}, {x, w, b});
  n.place(x, 0, blocks(2));
  n.expect_accepted();
}

// A sum over ranks, and one operator after it that is said to pass it on.
Network after_a_sum(const Op& op, bool twice = false) {
  Network n;
  const ValueId a = n.made({4, 6}), b = n.input({6, 5});
  const ValueId sum = n.add(Matmul{}, {a, b});
  std::vector<ValueId> in(twice ? 2 : 1, sum);
  n.add(op, in);
  n.place(a, 1, blocks(6));
  // The planner adds up at once where it has to.
  NodePlacement& product = n.placements.nodes.end()[-2];
  product.settled = product.out;
  n.placements.values[static_cast<size_t>(sum)] = product.out[0];
  for (Placement& p : n.node().in) p.partial = kTp;
  Placement result = n.node().out[0];
  result.partial = kTp;
  n.set_result(result);
  return n;
}

TEST(Check, RefusesPartialSumsThroughWhatIsNotLinear) {
  after_a_sum(Cast{DType::bf16}).expect_refused({"cast", "sums over tp", "passes none"});
  after_a_sum(ElementwiseOp{Elementwise::gelu}).expect_refused({"gelu", "passes none"});
  after_a_sum(Reduce{"max", {0}}).expect_refused({"reduce", "passes none"});
  after_a_sum(ElementwiseOp{Elementwise::mul}, true).expect_refused({"mul", "product of two sums"});
  after_a_sum(ElementwiseOp{Elementwise::div}, true).expect_refused({"div", "divides nothing"});
}

TEST(Check, LetsPartialSumsThroughWhatIsLinear) {
  for (const Op& op : {Op(ElementwiseOp{Elementwise::neg}), Op(Permute{{1, 0}}),
                       Op(Reshape{{2, 2, 5}}), Op(Slice{0, 1, 2, 1}), Op(Reduce{"sum", {0}})}) {
    after_a_sum(op).expect_accepted();
  }
  after_a_sum(ElementwiseOp{Elementwise::add}, true).expect_accepted();
}

TEST(Check, RefusesASumOverRanksThatOnlySomeOperandsAre) {
  Network n = after_a_sum(ElementwiseOp{Elementwise::add}, true);
  n.node().in[1].partial = 0;
  n.expect_refused({"add", "the same of all operands"});
}

TEST(Check, RefusesAReshapeThatMixesParts) {
  Network n;
  const ValueId x = n.input({4, 6});
  n.add(Reshape{{24}}, {x});
  n.place(x, 0, blocks(4));
  Placement p = Placement::whole(1);
  p.dims[0] = Table(24, kTp, {{{0, 11}}, {{11, 24}}});
  n.set_result(p);
  n.expect_refused({"reshape", "rank 0 would hold other elements"});
}

TEST(Check, RefusesWrongPartsOfSlicesAndConcatenations) {
  Network cut;
  const ValueId x = cut.input({8, 6});
  cut.add(Slice{0, 2, 4, 1}, {x});
  cut.place(x, 0, blocks(8));
  Placement p = Placement::whole(2);
  p.dims[0] = Table(4, kTp, {{{0, 1}}, {{1, 4}}});
  cut.set_result(p);
  cut.expect_refused({"slice", "value y_0", "0:1 | 1:4", "rank 0"});

  Network joined;
  const ValueId a = joined.input({4, 6}), b = joined.input({4, 6});
  joined.add(Concat{0}, {a, b});
  joined.place(a, 0, blocks(4));
  p.dims[0] = blocks(8);
  joined.set_result(p);
  joined.expect_refused({"concat", "value y_0", "rank 0"});
}

class CheckAttention : public testing::Test {
 protected:
  void build(Context context, Band band = {}) {
    q_ = n_.input({1, 4, 8, 2});
    const ValueId k = n_.input({1, 2, 8, 2}), v = n_.input({1, 2, 8, 2});
    Attention op;
    op.set_band(band);
    n_.add(op, {q_, k, v});
    n_.place(q_, 2, blocks(8), context);
  }
  void set_keys(const Table& table) { n_.node().in[1].dims[2] = n_.node().in[2].dims[2] = table; }

  Network n_;
  ValueId q_ = kNone;
};

TEST_F(CheckAttention, RefusesAKeyThatIsCountedTwice) {
  build(Context::ring);
  n_.node().travels = kTp;
  set_keys(Table(8, kTp, {{{0, 5}}, {{4, 8}}}));
  n_.expect_refused({"attention", "value x1", "queries 0:4 of rank 0 meet key 4 twice"});
  n_.node().travels = 0;
  set_keys(Table(8, 0, {{{0, 8}, {3, 4}}, {{0, 8}, {3, 4}}}));
  n_.expect_refused({"meet key 3 twice"});
}

TEST_F(CheckAttention, RefusesKeysInAnotherOrderWhereOrderMatters) {
  build(Context::gather_kv, {-1, 0});
  set_keys(Table(8, 0, {{{4, 8}, {0, 4}}, {{4, 8}, {0, 4}}}));
  n_.expect_refused({"value x1", "rank 0", "in order"});
}

TEST_F(CheckAttention, RefusesAKeyThatAWindowLacks) {
  build(Context::gather_kv, {2, 1});  // 0:5 | 2:8
  set_keys(Table(8, kTp, {{{0, 5}}, {{3, 8}}}));
  n_.expect_refused({"queries 4:8 of rank 1 meet key 2 not at all", "each of 2:8"});
  set_keys(Table(8, kTp, {{{0, 4}}, {{2, 8}}}));
  n_.expect_refused({"queries 0:4 of rank 0 meet key 4 not at all", "each of 0:5"});
  set_keys(Table(8, kTp, {{{0, 3}, {4, 5}}, {{2, 8}}}));
  n_.expect_refused({"rank 0 meet key 3 not at all"});
  set_keys(Table(8, kTp, {{{0, 5}}, {{2, 5}, {4, 8}}}));
  n_.expect_refused({"rank 1 meet key 4 twice"});
}

TEST_F(CheckAttention, RefusesKeysThatDoNotComeAround) {
  build(Context::ring, {-1, 0});
  set_keys(blocks(8));
  n_.node().travels = kTp;
  n_.expect_accepted();
  n_.node().travels = 0;
  n_.expect_refused({"queries 4:8 of rank 1 meet key 0 not at all"});
  build(Context::gather_kv, {-1, 0});
  n_.node().travels = kTp;
  n_.expect_refused({"queries 0:4 of rank 0 meet key 0 twice"});
}

TEST_F(CheckAttention, RefusesValuesOfOtherKeys) {
  build(Context::ring);
  n_.node().in[1].dims[2] = blocks(8);
  n_.node().in[2].dims[2] = Table(8, kTp, {{{4, 8}}, {{0, 4}}});
  n_.expect_refused({"value x2, dimension 2"});
}

TEST_F(CheckAttention, RefusesQueriesWithoutTheHeadsOfTheirKeys) {
  build(Context::gather_kv);
  n_.node().in[1].dims[1] = n_.node().in[2].dims[1] = blocks(2);
  n_.expect_refused({"rank 0 has heads 0:4 of 4 queries", "0:2 are wanted"});
}

TEST_F(CheckAttention, AcceptsHeadsAndKeysInParts) {
  build(Context::ulysses);
  build(Context::ring);
  build(Context::gather_kv);
  for (const Context context : {Context::ring, Context::gather_kv})
    for (const Band& band : {Band{-1, 0}, Band{2, 0}, Band{1, 2}, Band{2, -1, 1}, Band{1, 0, -5}})
      build(context, band);
}

}  // namespace
}  // namespace tutti::shard
