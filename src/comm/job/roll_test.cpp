// SPDX-License-Identifier: Apache-2.0
#include "comm/job/roll.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "core/error.h"

namespace tutti::comm {
namespace {

using testing::HasSubstr;

constexpr double kPatience_s = 30;

struct Result {
  std::vector<Member> members;
  Errc code = Errc::internal;
  std::string error;
};

// Ranks that say they are number `rank` of `size`, as threads.
std::vector<Result> call(const std::vector<std::pair<int, int>>& ranks,
                         double deadline_s = kPatience_s) {
  const auto store = local_store();
  std::vector<std::future<Result>> running;
  for (const auto& [rank, size] : ranks)
    running.push_back(
        std::async(std::launch::async, [&store, rank = rank, size = size, deadline_s] {
          Result result;
          const Member self{join("host ", rank / 2), join("10.0.0.", rank), "10.0.0.0"};
          try {
            result.members = call_roll(*store, "job", rank, size, self, Deadline(deadline_s));
          } catch (const Error& error) {
            result.code = error.code();
            result.error = error.what();
          }
          return result;
        }));
  std::vector<Result> results;
  for (auto& rank : running) results.push_back(rank.get());
  return results;
}

TEST(Roll, TellsAllRanksAboutAll) {
  for (const Result& result : call({{0, 4}, {1, 4}, {2, 4}, {3, 4}})) {
    ASSERT_EQ(result.members.size(), 4u) << result.error;
    for (size_t r = 0; r < 4; ++r) {
      EXPECT_EQ(result.members[r].host, join("host ", r / 2));
      EXPECT_EQ(result.members[r].address, join("10.0.0.", r));
      EXPECT_EQ(result.members[r].store_address, "10.0.0.0");
    }
  }
}

TEST(Roll, NamesTheRanksThatDidNotComeToAllWhoCame) {
  for (const Result& result : call({{0, 5}, {2, 5}, {3, 5}}, 0.2)) {
    EXPECT_EQ(result.code, Errc::timeout);
    EXPECT_THAT(result.error, HasSubstr("ranks 1, 4 of 5 did not come within 0.2 s"));
  }
}

TEST(Roll, RefusesAnotherSizeOnAllRanks) {
  for (const Result& result : call({{0, 3}, {1, 3}, {2, 4}})) {
    EXPECT_EQ(result.code, Errc::invalid_argument);
    EXPECT_THAT(result.error, HasSubstr("rank 2 wants 4 ranks, rank 0 wants 3"));
  }
}

TEST(Roll, RefusesANumberThatWasGivenTwice) {
  const std::vector<Result> results = call({{0, 2}, {1, 2}, {1, 2}});
  EXPECT_EQ(results[1].error.empty() + results[2].error.empty(), 1);
  EXPECT_THAT(results[1].error + results[2].error, HasSubstr("two ranks say they are number 1"));
}

TEST(Roll, KnowsWhenAllHaveSaidFarewell) {
  const auto store = local_store();
  say_farewell(*store, "job", 0);
  EXPECT_FALSE(await_farewells(*store, "job", 2, Deadline(0.05)));
  say_farewell(*store, "job", 1);
  EXPECT_TRUE(await_farewells(*store, "job", 2, Deadline(kPatience_s)));
}

TEST(Roll, ReachesRankZeroTheWayOthersFoundTheStore) {
  const std::vector<Member> members = {{"a", "127.0.0.1", "127.0.0.1"},
                                       {"a", "127.0.0.1", "127.0.0.1"},
                                       {"b", "10.0.0.9", "10.0.0.1"}};
  EXPECT_EQ(address_of(members, 0), "10.0.0.1");
  EXPECT_EQ(address_of(members, 1), "10.0.0.1");
  EXPECT_EQ(address_of(members, 2), "10.0.0.9");
  EXPECT_EQ(address_of({members[0], members[1]}, 1), "127.0.0.1");
}

TEST(HostIdentity, IsTheSameInAllCalls) {
  EXPECT_EQ(host_identity(), host_identity());
  EXPECT_GT(host_identity().size(), 40u) << host_identity();
}

}  // namespace
}  // namespace tutti::comm
