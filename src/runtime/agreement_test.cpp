// SPDX-License-Identifier: Apache-2.0
#include "runtime/agreement.h"

#include <gtest/gtest.h>

#include "core/error.h"

namespace tutti::runtime {
namespace {

using comm::Kind;
using Members = std::vector<std::vector<int>>;

PlannedCall call(Kind kind, int32_t list, int64_t count, std::string label = "x", int root = 0) {
  PlannedCall c;
  c.list = list;
  c.what.kind = kind;
  c.what.count = count;
  c.what.root = root;
  c.label = std::move(label);
  return c;
}

RankList named(std::string name, int64_t size = 0) { return {std::move(name), {}, size}; }
RankList listed(std::vector<int64_t> ranks, int64_t size) { return {"", std::move(ranks), size}; }

Manifest manifest(std::vector<RankList> lists, std::vector<PlannedCall> calls,
                  RankGroups groups = {}) {
  return {std::move(groups), std::move(lists), {std::move(calls)}};
}

std::string refusal(std::vector<Manifest> manifests) {
  try {
    agree(std::move(manifests));
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::invalid_argument);
    return error.what();
  }
  return "agreed";
}

TEST(Agreement, TakesNoListForAllRanksInOrder) {
  const Manifest m = manifest({RankList{}}, {call(Kind::all_reduce, 0, 4)});
  EXPECT_EQ(agree({m, m, m}).members[2], (Members{{0, 1, 2}}));
}

TEST(Agreement, CutsListsIntoGroupsAndKeepsTheirOrder) {
  const Manifest m = manifest({listed({2, 0, 1, 3}, 2)}, {call(Kind::all_reduce, 0, 4)});
  const Agreement agreement = agree({m, m, m, m, m});
  EXPECT_EQ(agreement.members[0], (Members{{2, 0}}));
  EXPECT_EQ(agreement.members[3], (Members{{1, 3}}));
  EXPECT_EQ(agreement.members[4], (Members{{}}));
}

TEST(Agreement, BindsNamesThatMeanOtherRanksOnOtherRanks) {
  const auto calls = {call(Kind::all_reduce, 0, 4)};
  const Manifest low = manifest({named("1")}, calls, {{"1", {0, 1}}});
  const Manifest high = manifest({named("1")}, calls, {{"1", {3, 2}}});
  const Agreement agreement = agree({low, low, high, high});
  EXPECT_EQ(agreement.members[1], (Members{{0, 1}}));
  EXPECT_EQ(agreement.members[2], (Members{{3, 2}}));
}

TEST(Agreement, CutsANamedListWhereAnyOperatorSaysTheSize) {
  const Manifest m = manifest({named("tp"), named("tp", 2)}, {call(Kind::all_reduce, 0, 4)},
                              {{"tp", {0, 1, 2, 3}}});
  EXPECT_EQ(agree({m, m, m, m}).members[3], (Members{{2, 3}, {2, 3}}));
}

TEST(Agreement, TakesOneNameOfAllForAllRanks) {
  const Manifest m = manifest({named("0"), named("0", 2)}, {call(Kind::all_reduce, 0, 4)});
  EXPECT_EQ(agree({m, m}).members[0], (Members{{0, 1}, {0, 1}}));
}

TEST(Agreement, RefusesNamesThatDifferBetweenRanks) {
  const auto calls = {call(Kind::all_gather, 0, 4)};
  const Manifest a = manifest({named("1", 2)}, calls), b = manifest({named("2", 2)}, calls);
  EXPECT_EQ(refusal({a, a, b, b}),
            "groups have names and no ranks: rank 0 uses '1' of 2 ranks; rank 1 uses '1' of 2 "
            "ranks; rank 2 uses '2' of 2 ranks; rank 3 uses '2' of 2 ranks; of 4 ranks, say which "
            "each name has (--group NAME=0,1)");
}

TEST(Agreement, RefusesOneNameOfFewerRanksThanThereAre) {
  const Manifest m = manifest({named("0", 2)}, {call(Kind::all_gather, 0, 4)});
  EXPECT_NE(refusal({m, m, m, m}).find("rank 3 uses '0' of 2 ranks"), std::string::npos);
}

TEST(Agreement, RefusesANameThatOneRankLacks) {
  const Manifest with = manifest({named("0")}, {call(Kind::all_reduce, 0, 4)});
  EXPECT_NE(refusal({with, manifest({}, {})}).find("groups have names"), std::string::npos);
}

TEST(Agreement, RefusesAGroupThatTheRankIsNotIn) {
  const Manifest m = manifest({named("tp")}, {call(Kind::all_reduce, 0, 4)}, {{"tp", {0, 1}}});
  EXPECT_EQ(refusal({m, m, m}), "rank 2 uses group 'tp', which is ranks 0, 1");
}

TEST(Agreement, RefusesRanksThatAreNotThereOrTwice) {
  const Manifest far = manifest({listed({0, 7}, 2)}, {}), twice = manifest({listed({1, 1}, 2)}, {});
  EXPECT_EQ(refusal({far, far}),
            "rank 0: a group of given ranks is ranks 0, 2; ranks 0 to 1 are there");
  EXPECT_EQ(refusal({twice, twice}),
            "rank 0: a group of given ranks is ranks 1, 1; rank 1 is there twice");
}

TEST(Agreement, RefusesAGroupOfAnotherSizeThanTheNetworkWants) {
  const Manifest m = manifest({named("tp", 2)}, {}, {{"tp", {0, 1, 2}}});
  EXPECT_EQ(refusal({m, m, m}),
            "rank 0: group 'tp' is ranks 0, 1, 2; the network wants groups of 2 ranks");
}

TEST(Agreement, ShowsBothSidesOfTheFirstDifference) {
  const Manifest a = manifest(
      {RankList{}}, {call(Kind::all_reduce, 0, 4, "a"), call(Kind::all_reduce, 0, 8, "b")});
  const Manifest b = manifest(
      {RankList{}}, {call(Kind::all_reduce, 0, 4, "a"), call(Kind::all_gather, 0, 8, "b")});
  EXPECT_EQ(refusal({a, b}),
            "engines do not fit each other: plan 0, collective #2 of ranks 0, 1: rank 0 runs "
            "all_reduce sum f32 x 8 'b'; rank 1 runs all_gather f32 x 8 'b'");
}

TEST(Agreement, ComparesCountDtypeReductionAndRoot) {
  const PlannedCall wanted = call(Kind::reduce, 0, 4);
  const auto differs = [&](auto change) {
    PlannedCall other = wanted;
    change(other.what);
    return refusal({manifest({RankList{}}, {wanted}), manifest({RankList{}}, {other})}) != "agreed";
  };
  EXPECT_FALSE(differs([](comm::Collective&) {}));
  EXPECT_TRUE(differs([](comm::Collective& c) { c.count = 5; }));
  EXPECT_TRUE(differs([](comm::Collective& c) { c.dtype = DType::f16; }));
  EXPECT_TRUE(differs([](comm::Collective& c) { c.reduce = comm::Reduce::max; }));
  EXPECT_TRUE(differs([](comm::Collective& c) { c.root = 1; }));
}

TEST(Agreement, ComparesEveryPairOfCounts) {
  PlannedCall a = call(Kind::all_to_all_v, 0, 0), b = a;
  a.sends = {1, 2};
  a.receives = {1, 3};
  b.sends = {3, 5};
  b.receives = {4, 5};
  EXPECT_EQ(refusal({manifest({RankList{}}, {a}), manifest({RankList{}}, {b})}),
            "engines do not fit each other: plan 0, collective #1 of ranks 0, 1: rank 0 sends 2 "
            "elements to rank 1, which expects 4");
}

TEST(Agreement, RefusesACollectiveThatOneRankLacks) {
  const Manifest a = manifest({RankList{}}, {call(Kind::all_reduce, 0, 4)});
  EXPECT_EQ(refusal({a, manifest({RankList{}}, {})}),
            "engines do not fit each other: in plan 0 ranks would wait for ever: rank 0 runs "
            "all_reduce sum f32 x 4 'x' with ranks 0, 1; rank 1 runs no more");
}

TEST(Agreement, RefusesGroupsInAnOrderThatNeverEnds) {
  // Each waits for its first collective before it starts its second.
  const std::vector<RankList> lists = {listed({0, 1}, 2), listed({1, 0}, 2)};
  PlannedCall first = call(Kind::all_reduce, 0, 4), second = call(Kind::all_reduce, 1, 4);
  second.waits = {0};
  PlannedCall other_first = call(Kind::all_reduce, 1, 4),
              other_second = call(Kind::all_reduce, 0, 4);
  const Manifest a = manifest(lists, {first, second});
  EXPECT_EQ(refusal({a, manifest(lists, {other_first, other_second})}), "agreed");
  other_second.waits = {0};
  EXPECT_NE(refusal({a, manifest(lists, {other_first, other_second})}).find("wait for ever"),
            std::string::npos);
}

TEST(Agreement, LetsMessagesOfARingPass) {
  const auto ring = [](int rank) {
    PlannedCall send = call(Kind::send, 0, 4, "s", (rank + 1) % 3);
    PlannedCall recv = call(Kind::recv, 0, 4, "r", (rank + 2) % 3);
    return manifest({RankList{}}, {send, recv});
  };
  EXPECT_EQ(refusal({ring(0), ring(1), ring(2)}), "agreed");
}

TEST(Agreement, RefusesMessagesThatDiffer) {
  const Manifest a = manifest({RankList{}}, {call(Kind::send, 0, 4, "s", 1)});
  const Manifest b = manifest({RankList{}}, {call(Kind::recv, 0, 5, "r", 0)});
  EXPECT_EQ(refusal({a, b}),
            "engines do not fit each other: plan 0, ranks 0, 1: rank 0 runs send f32 x 4 to 1 's'; "
            "rank 1 runs recv f32 x 5 from 0 'r'");
}

TEST(Agreement, RefusesASendBeforeACollectiveWhoseRecvComesAfterIt) {
  const Manifest a =
      manifest({RankList{}}, {call(Kind::send, 0, 4, "s", 1), call(Kind::barrier, 0, 0)});
  const Manifest b =
      manifest({RankList{}}, {call(Kind::barrier, 0, 0), call(Kind::recv, 0, 4, "r", 0)});
  EXPECT_NE(refusal({a, b}).find("wait for ever"), std::string::npos);
}

TEST(Agreement, GivesAllRanksTheLabelOfTheFirst) {
  const Manifest a = manifest({RankList{}}, {call(Kind::all_reduce, 0, 4, "left")});
  const Manifest b = manifest({RankList{}}, {call(Kind::all_reduce, 0, 4, "right")});
  EXPECT_EQ(agree({a, b}).labels[1][0][0], "left");
}

TEST(Agreement, DividesTheCountOfAnAllToAllOfUnknownSize) {
  const Manifest m = manifest({RankList{}}, {call(Kind::all_to_all, 0, 12)});
  EXPECT_EQ(agree({m, m, m}).manifests[1].plans[0][0].what.count, 4);
  EXPECT_NE(refusal({m, m, m, m, m}).find("a multiple of 5 is wanted"), std::string::npos);
}

TEST(Agreement, DividesWholeRowsOnly) {
  PlannedCall exchange = call(Kind::all_to_all, 0, 6);
  exchange.row = 2;
  const Manifest m = manifest({RankList{}}, {exchange});
  EXPECT_EQ(refusal({m, m}),
            "rank 0: all_to_all 'x' of 3 indices on ranks 0, 1; a multiple of 2 is wanted");
  EXPECT_EQ(refusal({m, m, m}), "agreed");
}

TEST(Agreement, RefusesARankThatIsItsOwnPeer) {
  const Manifest m = manifest({RankList{}}, {call(Kind::send, 0, 4, "s", 0)});
  EXPECT_EQ(refusal({m}),
            "rank 0 runs send f32 x 4 to 0 's', which is itself; another rank is wanted");
}

TEST(Agreement, RefusesMoreOutstandingCallsThanAGroupTakes) {
  // Rank 0 starts n calls of one group and then one of the other, which rank 1 waits for first.
  const std::vector<RankList> lists = {listed({0, 1}, 2), listed({1, 0}, 2)};
  const auto refused = [&](int n) {
    std::vector<PlannedCall> many(static_cast<size_t>(n), call(Kind::all_reduce, 0, 4));
    const PlannedCall other = call(Kind::all_reduce, 1, 4);
    std::vector<PlannedCall> first = many, last = many;
    first.push_back(other);
    last.insert(last.begin(), other);
    last[1].waits = {0};
    return refusal({manifest(lists, first), manifest(lists, last)});
  };
  EXPECT_EQ(refused(Communicator::kOutstanding), "agreed");
  EXPECT_NE(refused(Communicator::kOutstanding + 1).find("wait for ever"), std::string::npos);
}

TEST(Agreement, RefusesOtherNumbersOfPlans) {
  const Manifest one = manifest({}, {}), none;
  EXPECT_EQ(
      refusal({one, none}),
      "rank 0 has 1 plans, rank 1 has 0; the same shapes in the same order are wanted on all");
}

TEST(Manifest, SurvivesBeingSent) {
  PlannedCall c = call(Kind::all_to_all_v, 1, 7, "label", 2);
  c.sends = {1, 2};
  c.receives = {3};
  c.waits = {0};
  c.row = 9;
  const Manifest m = manifest({named("a", 2), listed({3, 1}, 1)}, {c, c}, {{"a", {1, 0}}});
  const std::string text = encode(m);
  const Manifest back = decode_manifest(std::as_bytes(std::span(text)), "test");
  EXPECT_EQ(encode(back), text);
  EXPECT_EQ(back.lists, m.lists);
  EXPECT_EQ(back.groups, m.groups);
  EXPECT_EQ(back.plans[0][1].receives, c.receives);
  EXPECT_EQ(back.plans[0][1].waits, c.waits);
  EXPECT_EQ(back.plans[0][1].row, 9);
  EXPECT_EQ(back.plans[0][1].label, "label");
}

}  // namespace
}  // namespace tutti::runtime
