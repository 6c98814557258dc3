// SPDX-License-Identifier: Apache-2.0
// Groups, groups split from them and requests end in any order on any rank: nothing hangs, and who
// was left in the middle of something is told so.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <random>

#include "comm/ranks_for_tests.h"

namespace tutti::comm {
namespace {

constexpr int kSlices = 2;

int trials() { return std::getenv("TUTTI_LONG") != nullptr ? 1000 : 100; }

/// What one rank holds: groups, and data that outlives what was started.
struct Holdings {
  std::vector<std::vector<float>> data;
  std::vector<std::optional<Communicator>> groups;
};

/// Splits some of what is there, the same on all ranks.
void split_some(Holdings& held, std::mt19937& together) {
  const unsigned splits = together() % 4;
  for (unsigned i = 0; i < splits; ++i) {
    const size_t from = together() % held.groups.size();
    const int colours = 1 + static_cast<int>(together() % 2);
    // A rank that is not in that group has nothing to split, and none of its own.
    std::optional<Communicator> part;
    if (auto& group = held.groups[from]) part = group->split(group->rank() % colours, 0);
    held.groups.push_back(std::move(part));
  }
}

void start_some(Holdings& held, std::mt19937& together, std::mt19937& alone) {
  for (unsigned i = together() % 4; i > 0; --i) {
    auto& group = held.groups[together() % held.groups.size()];
    const auto count = static_cast<int64_t>(together() % 20000);
    const bool waits = alone() % 4 != 0;
    if (!group) continue;
    auto& data = held.data.emplace_back(static_cast<size_t>(count));
    const Request request =
        group->start({.kind = Kind::all_reduce, .count = count}, data.data(), data.data());
    if (waits) group->wait(request);
  }
}

/// One rank's life in trial `seed`.
void live(const Meeting& meeting, const std::string& name, int rank, int size, unsigned seed) {
  std::mt19937 together(seed), alone(seed + 1000u * static_cast<unsigned>(rank + 1));
  GroupOptions options;
  options.deadline_s = options.join_deadline_s = 10;
  Holdings held;
  held.data.reserve(4);
  try {
    held.groups.push_back(meeting.join(name, rank, size, options));
    split_some(held, together);
    start_some(held, together, alone);
  } catch (const Error&) {
    // Another rank has left already, be it that it came sooner.
  }
  std::shuffle(held.groups.begin(), held.groups.end(), alone);
  for (auto& group : held.groups) {
    if (alone() % 4 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(alone() % 5));
    group.reset();
  }
}

class Teardown : public testing::TestWithParam<std::tuple<Place, int>> {};

TEST_P(Teardown, InAnyOrderOnAnyRankEnds) {
  const auto [place, slice] = GetParam();
  for (int i = slice; i < trials() / 5; i += kSlices) {
    const auto seed = static_cast<unsigned>(i);
    const int size = 2 + i % 3;
    const std::string name = fresh_name();
    const Meeting meeting(place);
    const auto body = [&](int r) { live(meeting, name, r, size, seed); };
    const auto outcomes =
        are_threads(place) ? thread_ranks(size, body) : fork_ranks(size, 30, body);
    for (size_t r = 0; r < outcomes.size(); ++r) {
      EXPECT_TRUE(outcomes[r].ended) << "seed " << seed << " rank " << r;
      EXPECT_EQ(outcomes[r].error, "") << "seed " << seed << " rank " << r;
      // Not by waiting for a deadline.
      EXPECT_LT(outcomes[r].seconds, 8) << "seed " << seed << " rank " << r;
    }
    EXPECT_EQ(leftovers(), "");
  }
}

INSTANTIATE_TEST_SUITE_P(Ranks, Teardown,
                         testing::Combine(all_places(), testing::Range(0, kSlices)), PlaceName());

}  // namespace
}  // namespace tutti::comm
