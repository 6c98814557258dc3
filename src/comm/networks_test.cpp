// SPDX-License-Identifier: Apache-2.0
// Ranks in two networks: namespaces joined by a cable, which can be cut. Where these cannot be made
// (they need root and its capabilities), two addresses of the loopback device stand in.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <cstdlib>
#include <iostream>

#include "comm/ranks_for_tests.h"

namespace tutti::comm {
namespace {

constexpr const char* kSecret = "a secret of networks";

/// Two hosts, or what stands in for them.
class Networks {
 public:
  Networks() : tag_(join("tutti", getpid())) {
    const std::string a = name(0), b = name(1), cable = join("t", getpid());
    made_ = runs(join("ip netns add ", a, " && ip netns add ", b, " && ip link add ", cable,
                      "a netns ", a, " type veth peer name ", cable, "b netns ", b)) &&
            runs(join("ip -n ", a, " addr add 10.213.0.1/24 dev ", cable, "a && ip -n ", b,
                      " addr add 10.213.0.2/24 dev ", cable, "b && ip -n ", a, " link set ", cable,
                      "a up && ip -n ", b, " link set ", cable, "b up && ip -n ", a,
                      " link set lo up && ip -n ", b, " link set lo up"));
    cable_ = cable + "a";
    if (!made_)
      std::cout << "no network namespaces can be made here: 127.0.0.1 and 127.0.0.2 stand in\n";
    // Its socket stays in the network of the thread that made it.
    const Fd home(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
    enter(0);
    server_ = std::make_unique<TcpStoreServer>(address(0), 0, kSecret);
    setns(home.get(), CLONE_NEWNET);
  }
  ~Networks() {
    runs(join("ip netns del ", name(0)));
    runs(join("ip netns del ", name(1)));
  }

  bool are_made() const { return made_; }
  std::string address(int host) const { return join(made_ ? "10.213.0." : "127.0.0.", host + 1); }
  /// Puts this process on a host.
  void enter(int host) const {
    if (!made_) return;
    const Fd there(open(join("/run/netns/", name(host)).c_str(), O_RDONLY | O_CLOEXEC));
    require(setns(there.get(), CLONE_NEWNET) == 0, Errc::io, "setns: ", strerror(errno));
  }
  void cut() const {
    require(runs(join("ip -n ", name(0), " link set ", cable_, " down")), Errc::io,
            "the cable cannot be cut");
  }

  /// Four ranks, two on each host, that run body; `watch` runs beside them.
  std::vector<Outcome> run(bool hierarchical, const GroupOptions& options,
                           const std::function<void(Communicator&)>& body,
                           const std::function<void()>& watch = {}) const {
    const std::string group = fresh_name();
    return fork_ranks(
        4, 40,
        [&](int r) {
          const int host = r / 2;
          enter(host);
          const auto store = connect_store({address(0), server_->port()}, kSecret, 10);
          Communicator g =
              join_over_tcp(*store, group, r, 4, name(host), address(host), options, hierarchical);
          body(g);
        },
        [&](std::vector<pid_t>&) {
          if (watch) watch();
        });
  }

 private:
  std::string name(int host) const { return tag_ + (host == 0 ? "a" : "b"); }
  static bool runs(const std::string& command) {
    return std::system(("(" + command + ") >/dev/null 2>&1").c_str()) == 0;
  }

  std::string tag_, cable_;
  bool made_ = false;
  std::unique_ptr<TcpStoreServer> server_;
};

void collectives(Communicator& g) {
  const auto n = static_cast<size_t>(g.size());
  const int64_t count = 100'001;
  std::vector<int64_t> in(static_cast<size_t>(count) * n), out(in.size());
  for (size_t i = 0; i < in.size(); ++i) in[i] = static_cast<int64_t>(i) * (g.rank() + 1);
  const Collective c{.kind = Kind::all_reduce, .dtype = DType::i64, .count = count};
  const int64_t ranks = g.size() * (g.size() + 1) / 2;
  const auto check = [&](Kind kind, int64_t elements, const std::function<int64_t(int64_t)>& f) {
    Collective what = c;
    what.kind = kind;
    g.run(what, in.data(), out.data());
    for (int64_t i = 0; i < elements; ++i)
      if (out[static_cast<size_t>(i)] != f(i)) expect(false, join(to_string(kind), " at ", i));
  };
  check(Kind::all_reduce, count, [&](int64_t i) { return i * ranks; });
  check(Kind::reduce_scatter, count, [&](int64_t i) { return (g.rank() * count + i) * ranks; });
  check(Kind::all_gather, count * g.size(), [&](int64_t i) { return i % count * (i / count + 1); });
  check(Kind::all_to_all, count * g.size(),
        [&](int64_t i) { return (g.rank() * count + i % count) * (i / count + 1); });
  check(Kind::broadcast, count, [&](int64_t i) { return i; });
}

GroupOptions usual() {
  GroupOptions options;
  options.join_deadline_s = options.deadline_s = 20;
  return options;
}

class TwoNetworks : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (!has_gloo()) GTEST_SKIP() << "this build has no Gloo";
  }
};

TEST_P(TwoNetworks, CollectivesAreRight) {
  const Networks networks;
  for (const Outcome& outcome : networks.run(GetParam(), usual(), collectives)) {
    EXPECT_TRUE(outcome.ended);
    EXPECT_EQ(outcome.error, "");
  }
}

TEST_P(TwoNetworks, ACutCableIsNoticedOnBothSidesWithin5Seconds) {
  const Networks networks;
  if (!networks.are_made()) GTEST_SKIP() << "the loopback device cannot be cut";
  int64_t cut = 0;
  const SharedCount joined;
  const auto outcomes = networks.run(
      GetParam(), usual(),
      [&](Communicator& g) {
        ++joined.count();
        std::vector<float> x(1000);
        const int64_t start = now_ns();
        while (now_ns() - start < 30'000'000'000)
          g.run({.kind = Kind::all_reduce, .count = 1000}, x.data(), x.data());
      },
      [&] {
        joined.await(4);
        std::this_thread::sleep_for(std::chrono::milliseconds(300));
        networks.cut();
        cut = now_ns();
      });
  EXPECT_LT(now_ns() - cut, 5'000'000'000);
  for (size_t r = 0; r < 4; ++r) {
    EXPECT_TRUE(outcomes[r].ended);
    EXPECT_EQ(outcomes[r].code, Errc::comm);
    EXPECT_EQ(outcomes[r].error, outcomes[r / 2 * 2].error);
    EXPECT_THAT(outcomes[r].error,
                testing::MatchesRegex(join(
                    "rank ", r < 2 ? "[23]" : "[01]",
                    " cannot be reached (in|before) all_reduce #[0-9]+.*, last seen [0-9.]+ s ago;"
                    ".* waiting there")));
  }
}

INSTANTIATE_TEST_SUITE_P(Ways, TwoNetworks, testing::Bool(),
                         [](const auto& info) { return info.param ? "by_hosts" : "flat"; });

}  // namespace
}  // namespace tutti::comm
