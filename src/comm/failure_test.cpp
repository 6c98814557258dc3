// SPDX-License-Identifier: Apache-2.0
// Ranks that die, stop, lag, disagree or do not come: what the others say, and when.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "comm/ranks_for_tests.h"

namespace tutti::comm {
namespace {

constexpr double kDeadline = 0.5;

GroupOptions short_options() {
  GroupOptions options;
  options.deadline_s = kDeadline;
  options.join_deadline_s = 5;
  options.shm.chunk_bytes = 4096;
  return options;
}

void sum(Communicator& g, std::string_view label, int64_t count = 16, DType dtype = DType::f32) {
  std::vector<double> data(static_cast<size_t>(count));
  g.run({.kind = Kind::all_reduce, .dtype = dtype, .count = count, .label = label}, data.data(),
        data.data());
}

void sleep_s(double seconds) {
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
}

/// All ranks but `silent` end with exactly this error.
void expect_all(const std::vector<Outcome>& outcomes, int silent, Errc code,
                const std::string& text) {
  for (size_t r = 0; r < outcomes.size(); ++r) {
    if (static_cast<int>(r) == silent) continue;
    EXPECT_TRUE(outcomes[r].ended) << "rank " << r;
    EXPECT_EQ(outcomes[r].error, text) << "rank " << r;
    EXPECT_EQ(to_string(outcomes[r].code), to_string(code)) << "rank " << r;
  }
  EXPECT_EQ(leftovers(), "");
}

/// The same error on all ranks that matches a pattern: where a duration is in it.
void expect_all_match(const std::vector<Outcome>& outcomes, int silent, Errc code,
                      const std::string& pattern) {
  const size_t first = silent == 0 ? 1 : 0;
  EXPECT_THAT(outcomes[first].error, testing::MatchesRegex(pattern));
  expect_all(outcomes, silent, code, outcomes[first].error);
}

class Failures : public testing::TestWithParam<Place> {};

TEST_P(Failures, ALateRankIsNamedAtTheDeadlineByAll) {
  const auto outcomes = run_ranks(GetParam(), 4, short_options(), [](Communicator& g) {
    sum(g, "first");
    const int64_t start = now_ns();
    if (g.rank() == 2) sleep_s(2 * kDeadline);
    const Outcome o = outcome_of([&] { sum(g, "second"); });
    const double seconds = static_cast<double>(now_ns() - start) * 1e-9;
    expect(g.rank() == 2 || (seconds >= kDeadline / 2 && seconds < kDeadline + 0.9),
           join("after ", seconds, " s"));
    // And every later call says the same.
    const Outcome again = outcome_of([&] { g.barrier(); });
    expect(o.error == again.error, again.error);
    fail(o.code, o.error);
  });
  expect_all_match(outcomes, -1, Errc::timeout,
                   "rank 2 has not come to all_reduce #2 'second', after all_reduce #1 'first', "
                   "last seen 0\\.[5-9] s ago; ranks 0, 1, 3 are waiting there");
}

TEST_P(Failures, SeveralLateRanksAreAllNamed) {
  const auto outcomes = run_ranks(GetParam(), 4, short_options(), [](Communicator& g) {
    if (g.rank() % 2 == 1) sleep_s(2 * kDeadline);
    g.barrier();
  });
  expect_all_match(outcomes, -1, Errc::timeout,
                   "rank 1 has not come to barrier #1, last seen 0\\.[5-9] s ago; "
                   "rank 3 has not come to barrier #1, last seen 0\\.[5-9] s ago; "
                   "ranks 0, 2 are waiting there");
}

TEST_P(Failures, ARankThatLeavesIsNamedAtOnce) {
  GroupOptions options = short_options();
  options.deadline_s = 20;
  const auto outcomes = run_ranks(GetParam(), 3, options, [](Communicator& g) {
    sum(g, "a");
    if (g.rank() == 1) return sleep_s(0.3);
    sum(g, "b");
  });
  expect_all(outcomes, 1, Errc::comm,
             "rank 1 left the group before all_reduce #2 'b', after all_reduce #1 'a'; "
             "ranks 0, 2 are waiting there");
  EXPECT_LT(outcomes[0].seconds, 1);
}

TEST_P(Failures, AnotherOrderIsRefusedWithBothSides) {
  const auto outcomes = run_ranks(GetParam(), 3, short_options(),
                                  [](Communicator& g) { sum(g, g.rank() == 1 ? "b" : "a"); });
  expect_all(outcomes, -1, Errc::invalid_argument,
             "rank 1 runs all_reduce #1 'b' (sum f32 x 16), rank 0 runs all_reduce #1 'a' "
             "(sum f32 x 16): ranks of group '" +
                 given_names().back() + "' must run the same in the same order");
}

TEST_P(Failures, AnotherKindShapeOrDtypeIsRefusedBeforeAnythingIsWritten) {
  for (int64_t count : {1, 100000}) {
    for (int what = 0; what < 5; ++what) {
      const auto outcomes = run_ranks(GetParam(), 3, short_options(), [&](Communicator& g) {
        std::vector<float> in(static_cast<size_t>(count) * 6, 1), out(in.size(), 7);
        Collective c{.kind = Kind::all_reduce, .count = count};
        if (g.rank() == 2) {
          if (what == 0) c.kind = Kind::all_gather;
          if (what == 1) c.dtype = DType::i32;
          if (what == 2) c.count = count + 1;
          if (what == 3) c.reduce = Reduce::max;
          if (what == 4) c.kind = Kind::broadcast, c.root = 1;
        }
        const Outcome o = outcome_of([&] { g.run(c, in.data(), out.data()); });
        for (float x : out) expect(x == 7, "something was written");
        fail(o.code, o.error);
      });
      EXPECT_EQ(outcomes[0].error.find("rank 2 runs "), 0u) << outcomes[0].error;
      EXPECT_NE(outcomes[0].error.find(join("rank 0 runs all_reduce #1 (sum f32 x ", count)),
                std::string::npos)
          << outcomes[0].error;
      expect_all(outcomes, -1, Errc::invalid_argument, outcomes[0].error);
    }
  }
}

TEST_P(Failures, CountsOfAllToAllVThatDoNotMeetAreRefused) {
  const auto outcomes = run_ranks(GetParam(), 3, short_options(), [](Communicator& g) {
    std::vector<int64_t> sends(3, 2), receives(3, 2);
    if (g.rank() == 2) receives[1] = 3;
    float data[9], out[9];
    g.run({.kind = Kind::all_to_all_v, .sends = sends, .receives = receives, .label = "x"}, data,
          out);
  });
  expect_all(outcomes, -1, Errc::invalid_argument,
             "all_to_all_v #1 'x': rank 1 sends 2 elements to rank 2, which receives 3");
}

TEST_P(Failures, ASendThatDoesNotFitItsRecvIsRefused) {
  const auto outcomes = run_ranks(GetParam(), 2, short_options(), [](Communicator& g) {
    float data[4] = {};
    if (g.rank() == 0)
      g.run({.kind = Kind::send, .root = 1, .count = 4, .label = "s"}, data, nullptr);
    if (g.rank() == 1)
      g.run({.kind = Kind::recv, .root = 0, .count = 3, .label = "s"}, nullptr, data);
    g.barrier();
  });
  expect_all(outcomes, -1, Errc::invalid_argument,
             "rank 1 runs recv #1 's' (f32 x 3 from 0), rank 0 runs send #1 's' (f32 x 4 to 1): "
             "a send and its recv must be of the same");
}

TEST_P(Failures, ARecvWithoutASendNamesTheSender) {
  const auto outcomes = run_ranks(GetParam(), 2, short_options(), [](Communicator& g) {
    float x = 0;
    if (g.rank() == 0) sleep_s(2 * kDeadline);
    if (g.rank() == 1)
      g.run({.kind = Kind::recv, .root = 0, .count = 1, .label = "s"}, nullptr, &x);
    g.barrier();
  });
  expect_all_match(outcomes, -1, Errc::timeout,
                   "rank 0 has not come to recv #1 's', last seen 0\\.[5-9] s ago; "
                   "rank 1 is waiting there");
}

TEST_P(Failures, WhoWaitsForALateRankIsNotBlamedForIt) {
  // Rank 0 waits for 1, which waits for 2, which is late: in sends, and in groups of two.
  for (bool groups : {false, true}) {
    const auto outcomes = run_ranks(GetParam(), 3, short_options(), [&](Communicator& g) {
      auto low = g.split(g.rank() < 2 ? 0 : -1, 0), high = g.split(g.rank() > 0 ? 0 : -1, 0);
      float x = 0;
      const auto recv = [&](int from) {
        g.run({.kind = Kind::recv, .root = from, .count = 1}, nullptr, &x);
      };
      if (g.rank() == 2) sleep_s(2 * kDeadline);
      if (g.rank() == 1) sleep_s(0.1);
      if (g.rank() == 1) groups ? high->barrier("h") : recv(2);
      if (g.rank() == 0) groups ? low->barrier("l") : recv(1);
      g.barrier();
    });
    expect_all_match(outcomes, -1, Errc::timeout,
                     "rank 2 stopped or is late, last seen 0.[5-9] s ago, and rank 1 waits for it; "
                     "rank 0 is waiting there.*");
  }
}

TEST_P(Failures, AbortEndsAllWithItsReason) {
  GroupOptions options = short_options();
  options.deadline_s = 20;
  const auto outcomes = run_ranks(GetParam(), 3, options, [](Communicator& g) {
    g.barrier();
    if (g.rank() == 1) g.abort_group("out of memory");
    sum(g, "a");
  });
  expect_all(outcomes, -1, Errc::comm, "rank 1 ended the group: out of memory");
  EXPECT_LT(outcomes[0].seconds, 1);
}

TEST_P(Failures, AFailureReachesStartedCollectivesAndGroupsSplitOff) {
  const auto outcomes = run_ranks(GetParam(), 4, short_options(), [](Communicator& g) {
    std::optional<Communicator> half = g.split(g.rank() / 2, 0);
    float x = 0;
    if (g.rank() == 3) sleep_s(2 * kDeadline);
    const Request request =
        half->start({.kind = Kind::all_reduce, .count = 1, .label = "h"}, &x, &x);
    // Ranks 0 and 1 are well among themselves, but not with all.
    const Outcome o = outcome_of([&] { half->wait(request); });
    if (g.rank() >= 2) fail(o.code, o.error);
    sleep_s(kDeadline / 2);
    g.barrier();
  });
  expect_all_match(outcomes, -1, Errc::timeout,
                   "rank 3 has not come to all_reduce #1 'h', last seen 0\\.[5-9] s ago; "
                   "rank 2 is waiting there \\(group '.*\\.1\\.1'\\)");
}

TEST_P(Failures, ClosingWithCollectivesOutstandingFailsTheGroup) {
  GroupOptions options = short_options();
  options.deadline_s = 20;
  const auto outcomes = run_ranks(GetParam(), 2, options, [](Communicator& g) {
    float x[2] = {};
    if (g.rank() == 0) {
      g.start({.kind = Kind::all_reduce, .count = 1}, x, x);
      return;
    }
    sleep_s(0.2);
    g.barrier();
  });
  EXPECT_NE(outcomes[1].error.find("was closed with 1 collectives outstanding"), std::string::npos)
      << outcomes[1].error;
}

INSTANTIATE_TEST_SUITE_P(Ranks, Failures, all_places(), PlaceName());

// Meeting.

class Meetings : public testing::TestWithParam<Place> {
 protected:
  /// Ranks (number, size) that try to meet at once.
  std::vector<Outcome> meet(const std::vector<std::pair<int, int>>& ranks, double deadline_s) {
    const std::string name = fresh_name();
    GroupOptions options;
    options.join_deadline_s = deadline_s;
    const Meeting meeting(GetParam());
    const auto body = [&](int i) {
      const auto [rank, size] = ranks[static_cast<size_t>(i)];
      // In the order of the list, so that texts are known.
      sleep_s(0.2 * i);
      meeting.join(name, rank, size, options);
    };
    const int count = static_cast<int>(ranks.size());
    return are_threads(GetParam()) ? thread_ranks(count, body) : fork_ranks(count, 20, body);
  }
};

TEST_P(Meetings, SayWhoIsMissing) {
  const auto outcomes = meet({{0, 4}, {2, 4}}, 0.4);
  expect_all(outcomes, -1, Errc::timeout,
             "group '" + given_names().back() + "': ranks 1, 3 of 4 did not come within 0.4 s");
  for (const Outcome& outcome : outcomes) EXPECT_LT(outcome.seconds, 1.4);
}

TEST_P(Meetings, SayThatRank0IsMissing) {
  const auto outcomes = meet({{1, 2}}, 0.3);
  expect_all(outcomes, -1, Errc::timeout,
             "group '" + given_names().back() + "': rank 0 of 2 did not come within 0.3 s");
}

TEST_P(Meetings, RefuseAnotherWorldSize) {
  const auto outcomes = meet({{0, 3}, {1, 3}, {2, 4}}, 5);
  expect_all(
      outcomes, -1, Errc::invalid_argument,
      "group '" + given_names().back() + "': rank 2 wants 4 ranks, others that came before want 3");
}

TEST_P(Meetings, RefuseTwoRanksWithOneNumber) {
  for (int twice : {0, 1}) {
    const auto outcomes = meet({{0, 3}, {1, 3}, {twice, 3}}, 5);
    expect_all(outcomes, -1, Errc::invalid_argument,
               "group '" + given_names().back() + "': two ranks say they are number " +
                   std::to_string(twice));
  }
}

TEST_P(Meetings, RefuseOtherSizesOfMessages) {
  const std::string name = fresh_name();
  const Meeting meeting(GetParam());
  const auto body = [&](int r) {
    GroupOptions options;
    options.join_deadline_s = 5;
    if (r == 1) options.shm.chunk_bytes = options.tcp.piece_bytes = 4096;
    sleep_s(0.2 * r);
    meeting.join(name, r, 2, options);
  };
  const auto outcomes = are_threads(GetParam()) ? thread_ranks(2, body) : fork_ranks(2, 20, body);
  EXPECT_THAT(outcomes[0].error, testing::HasSubstr("wants"));
  EXPECT_THAT(outcomes[0].error, testing::HasSubstr("4096"));
  expect_all(outcomes, -1, Errc::invalid_argument, outcomes[0].error);
}

INSTANTIATE_TEST_SUITE_P(Ranks, Meetings, all_places(), PlaceName());

// What happens to processes only.

class Processes : public testing::TestWithParam<Place> {
 protected:
  /// Ranks that run `body`; `act` may do things to them meanwhile.
  std::vector<Outcome> forked(int size, const GroupOptions& options,
                              const std::function<void(Communicator&)>& body,
                              const std::function<void(std::vector<pid_t>&)>& act = {}) {
    return run_ranks(GetParam(), size, options, body, act);
  }

  /// Ranks 0 and 1 of 3 meet, and `victim` is killed before the third comes.
  void kill_while_meeting(size_t victim) {
    const std::string name = fresh_name();
    GroupOptions options;
    options.join_deadline_s = 5;
    const Meeting meeting(GetParam());
    const auto outcomes = fork_ranks(
        2, 20, [&](int r) { meeting.join(name, r, 3, options); },
        [&](std::vector<pid_t>& ids) {
          sleep_s(0.2);
          kill(ids[victim], SIGKILL);
        });
    EXPECT_EQ(outcomes[1 - victim].error,
              join("group '", name, "': rank ", victim, " died or left while the group was made"));
    EXPECT_EQ(leftovers(), "");
  }
};

TEST_P(Processes, AKilledRankIsNamedInLessThanASecond) {
  GroupOptions options = short_options();
  options.deadline_s = 20;
  const auto body = [](Communicator& g) {
    sum(g, "first");
    const int64_t start = now_ns();
    // The others are there by then.
    if (g.rank() == 2) sleep_s(0.3), raise(SIGKILL);
    const Outcome o = outcome_of([&] { sum(g, "second"); });
    expect(now_ns() - start < 1'300'000'000, "late");
    fail(o.code, o.error);
  };
  const auto outcomes = forked(4, options, body);
  expect_all(outcomes, 2, Errc::comm,
             "rank 2 died before all_reduce #2 'second', after all_reduce #1 'first'; "
             "ranks 0, 1, 3 are waiting there");
  EXPECT_FALSE(outcomes[2].ended);
}

TEST_P(Processes, ARankKilledInsideACollectiveIsNamed) {
  GroupOptions options = short_options();
  options.deadline_s = 20;
  // 64 ms or more of chunks, in whose middle the signal comes.
  const auto outcomes = forked(
      3, options,
      [](Communicator& g) {
        for (int i = 0; i < 1000; ++i) sum(g, "long", 1 << 20);
      },
      [](std::vector<pid_t>& ids) {
        sleep_s(0.3);
        kill(ids[1], SIGKILL);
      });
  expect_all_match(outcomes, 1, Errc::comm,
                   "rank 1 died (in all_reduce #[0-9]+ 'long'|before all_reduce .*); "
                   "(ranks 0, 2 are|rank [02] is) waiting there");
  EXPECT_LT(outcomes[0].seconds, 1.5);
}

TEST_P(Processes, AStoppedRankIsNamedAtTheDeadlineAndEndsLikewiseWhenItGoesOn) {
  const auto outcomes = forked(
      3, short_options(),
      [](Communicator& g) {
        for (int i = 0; i < 100000; ++i) sum(g, "step", 4096);
      },
      [](std::vector<pid_t>& ids) {
        sleep_s(0.3);
        kill(ids[1], SIGSTOP);
        sleep_s(2 * kDeadline);
        kill(ids[1], SIGCONT);
      });
  expect_all_match(outcomes, -1, Errc::timeout,
                   "rank 1 stopped (in|before) all_reduce #[0-9]+ 'step'.*, last seen 0\\.[5-9] s "
                   "ago; ranks 0, 2 are waiting there");
}

TEST_P(Processes, ARankStoppedBetweenCollectivesIsNotCalledLate) {
  const auto outcomes = forked(
      3, short_options(),
      [](Communicator& g) {
        g.barrier();
        if (g.rank() == 1) sleep_s(1.5);
        g.barrier();
      },
      [](std::vector<pid_t>& ids) {
        sleep_s(0.3);
        kill(ids[1], SIGSTOP);
        sleep_s(1.2);
        kill(ids[1], SIGCONT);
      });
  expect_all_match(outcomes, -1, Errc::timeout,
                   "rank 1 stopped before barrier #2, after barrier #1, last seen 0\\.[5-9] s ago; "
                   "ranks 0, 2 are waiting there");
}

TEST_P(Processes, ARankThatDiesWhileAGroupSplitsIsNamedInLessThanASecond) {
  for (int victim : {0, 2}) {
    GroupOptions options = short_options();
    options.deadline_s = 20;
    const auto outcomes = forked(
        3, options,
        [&](Communicator& g) {
          if (g.rank() == victim) {
            // What split exchanges, and no more.
            const int64_t mine[2] = {0, 0};
            int64_t all[6];
            g.run({.kind = Kind::all_gather, .dtype = DType::i64, .count = 2, .label = "split"},
                  mine, all);
            raise(SIGKILL);
          }
          g.split(0, 0);
        },
        {});
    const std::string text = join("group '", given_names().back(), ".1.0': rank ", victim,
                                  " died or left while the group was made");
    expect_all(outcomes, victim, Errc::comm, text);
    EXPECT_LT(outcomes[1].seconds, 1);
  }
}

TEST_P(Processes, WhoDiesBeforeTheGroupIsMadeIsNamed) {
  kill_while_meeting(0);
  kill_while_meeting(1);
}

INSTANTIATE_TEST_SUITE_P(Ranks, Processes, process_places(), PlaceName());

}  // namespace
}  // namespace tutti::comm
