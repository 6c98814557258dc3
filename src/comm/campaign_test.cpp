// SPDX-License-Identifier: Apache-2.0
// Faults at random points of random collectives: every rank ends in time with one error that names
// the rank at fault, and nothing is left.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <map>
#include <numeric>
#include <random>

#include "comm/ranks_for_tests.h"

namespace tutti::comm {
namespace {

constexpr double kDeadline = 0.3;
// What a rank may take longer than it should, on a machine that does other things.
constexpr double kGrace = 1;

enum class Fault { killed, stopped, exits, late, leaves };
constexpr const char* kFaults[] = {"killed", "stopped", "exits", "late", "leaves"};

/// Whether it ends by the deadline, not at once.
bool waits_for_deadline(Fault fault) { return fault == Fault::stopped || fault == Fault::late; }

struct Trial {
  Place place;
  Fault fault;
  Kind kind;  // send stands for a ring of sends and recvs
  int size, victim;
  int calls;       // of the victim before it is late, exits or leaves
  double after_s;  // of the signal
  unsigned seed;   // of sizes and roots: the same on all ranks
};

std::string to_string(const Trial& trial) {
  return join(kFaults[static_cast<int>(trial.fault)], " rank ", trial.victim, " of ", trial.size,
              " ", to_string(trial.place), " in ", to_string(trial.kind), ", seed ", trial.seed);
}

void call(Communicator& g, Kind kind, std::mt19937& random, std::vector<float>& in,
          std::vector<float>& out) {
  constexpr int64_t kCounts[] = {0, 1, 300, 5000, 40000};
  const int64_t count = kCounts[random() % 5];
  const int root = static_cast<int>(random() % static_cast<unsigned>(g.size()));
  const std::vector<int64_t> counts(static_cast<size_t>(g.size()), count);
  if (kind != Kind::send)
    return g.run({.kind = kind, .root = root, .count = count, .sends = counts, .receives = counts},
                 in.data(), out.data());
  const int next = (g.rank() + 1) % g.size(), last = (g.rank() + g.size() - 1) % g.size();
  const Request sent = g.start({.kind = kind, .root = next, .count = count}, in.data(), nullptr);
  g.wait(g.start({.kind = Kind::recv, .root = last, .count = count}, nullptr, out.data()));
  g.wait(sent);
}

/// Collectives until one fails.
void body(Communicator& g, const Trial& trial) {
  std::mt19937 random(trial.seed);
  std::vector<float> in(40000u * static_cast<size_t>(g.size())), out(in.size());
  const int64_t start = now_ns();
  for (int i = 0; now_ns() - start < 10'000'000'000; ++i) {
    const bool now = g.rank() == trial.victim && i == trial.calls;
    if (now && trial.fault == Fault::exits) _exit(3);
    if (now && trial.fault == Fault::leaves) return;
    if (now && trial.fault == Fault::late)
      std::this_thread::sleep_for(std::chrono::duration<double>(2.5 * kDeadline));
    call(g, trial.kind, random, in, out);
  }
}

void check(const Trial& trial, const std::vector<Outcome>& outcomes) {
  const bool waits = waits_for_deadline(trial.fault);
  const bool silent = !waits;  // the rank at fault tells nothing
  const auto witness = static_cast<size_t>(trial.victim == 0 ? 1 : 0);
  const std::string& error = outcomes[witness].error;
  EXPECT_THAT(error, testing::StartsWith(join("rank ", trial.victim, " "))) << to_string(trial);
  for (size_t r = 0; r < outcomes.size(); ++r) {
    if (silent && static_cast<int>(r) == trial.victim) continue;
    EXPECT_TRUE(outcomes[r].ended) << to_string(trial) << " rank " << r;
    EXPECT_EQ(outcomes[r].error, error) << to_string(trial) << " rank " << r;
    EXPECT_EQ(outcomes[r].code, waits ? Errc::timeout : Errc::comm) << to_string(trial);
    // Calls before the fault take no time to speak of.
    const double limit = trial.after_s + (waits ? 2.5 * kDeadline : 0) + 1 + kGrace;
    EXPECT_LT(outcomes[r].seconds, limit) << to_string(trial) << " rank " << r;
  }
  EXPECT_EQ(leftovers(), "") << to_string(trial);
}

/// Files that this process has open, and its threads.
size_t entries_in(const char* folder) {
  const std::filesystem::directory_iterator begin(folder), end;
  return static_cast<size_t>(std::distance(begin, end));
}

void execute(const Trial& trial) {
  const size_t files = entries_in("/proc/self/fd"), threads = entries_in("/proc/self/task");
  GroupOptions options;
  options.deadline_s = waits_for_deadline(trial.fault) ? kDeadline : 20;
  options.shm.chunk_bytes = 16 << 10;
  options.tcp = {16 << 10, 8 << 10, 1 << 10, 8 << 10};
  const SharedCount joined;
  check(trial, run_ranks(
                   trial.place, trial.size, options,
                   [&](Communicator& g) {
                     ++joined.count();
                     body(g, trial);
                   },
                   [&](std::vector<pid_t>& ids) {
                     if (trial.fault != Fault::killed && trial.fault != Fault::stopped) return;
                     joined.await(trial.size);
                     std::this_thread::sleep_for(std::chrono::duration<double>(trial.after_s));
                     const pid_t id = ids[static_cast<size_t>(trial.victim)];
                     kill(id, trial.fault == Fault::killed ? SIGKILL : SIGSTOP);
                     if (trial.fault == Fault::killed) return;
                     std::this_thread::sleep_for(std::chrono::duration<double>(2.5 * kDeadline));
                     kill(id, SIGCONT);
                   }));
  EXPECT_EQ(entries_in("/proc/self/fd"), files) << to_string(trial);
  EXPECT_EQ(entries_in("/proc/self/task"), threads) << to_string(trial);
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << to_string(trial) << ": a process is left";
}

struct Row {
  Place place;
  Fault fault;
};
std::vector<Row> rows() {
  std::vector<Row> all;
  for (Place place : built({Place::processes, Place::tcp_hosts, Place::tcp_processes,
                            Place::threads, Place::tcp_threads})) {
    for (Fault fault : {Fault::killed, Fault::stopped, Fault::exits, Fault::late, Fault::leaves})
      if (!are_threads(place) || fault >= Fault::late) all.push_back({place, fault});
  }
  return all;
}
constexpr int kKinds = static_cast<int>(Kind::send) + 1;
constexpr int kSlices = 10;

bool is_long() { return std::getenv("TUTTI_LONG") != nullptr; }
int trials() { return is_long() ? 500 : 40; }

/// Fault and kind of trial i: all pairs come in turn, as the numbers of both have no common factor.
Trial cell(int i) {
  static const std::vector<Row> kRows = rows();
  const auto [place, fault] = kRows[static_cast<size_t>(i) % kRows.size()];
  return {place, fault, static_cast<Kind>(i % kKinds)};
}

class Campaign : public testing::TestWithParam<int> {};

TEST_P(Campaign, FaultsAtRandomPointsAreNamedByAllInTime) {
  const unsigned seed = is_long() ? std::random_device()() : static_cast<unsigned>(GetParam());
  std::cout << "seed " << seed << "\n";
  std::mt19937 random(seed);
  for (int i = GetParam(); i < trials(); i += kSlices) {
    Trial trial = cell(i);
    trial.size = 2 + static_cast<int>(random() % 3);
    trial.victim = static_cast<int>(random() % static_cast<unsigned>(trial.size));
    trial.calls = static_cast<int>(random() % 40);
    trial.after_s = 0.01 + static_cast<double>(random() % 50) * 1e-3;
    trial.seed = static_cast<unsigned>(random());
    execute(trial);
  }
}

INSTANTIATE_TEST_SUITE_P(Slices, Campaign, testing::Range(0, kSlices));

TEST(CampaignCells, AreAllMetInALongRun) {
  std::map<std::string, std::map<std::string, int>> histogram;
  for (int i = 0; i < trials(); ++i) {
    const Trial trial = cell(i);
    ++histogram[join(kFaults[static_cast<int>(trial.fault)], " ", to_string(trial.place))]
               [std::string(to_string(trial.kind))];
  }
  for (const auto& [fault, row] : histogram) {
    std::cout << fault << ":";
    for (const auto& [kind, count] : row) std::cout << " " << kind << " " << count;
    std::cout << "\n";
    EXPECT_TRUE(!is_long() || row.size() == static_cast<size_t>(kKinds)) << fault;
  }
  EXPECT_EQ(histogram.size(), rows().size());
  EXPECT_EQ(std::gcd(rows().size(), size_t{kKinds}), 1u);
}

}  // namespace
}  // namespace tutti::comm
