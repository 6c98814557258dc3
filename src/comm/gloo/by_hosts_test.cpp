// SPDX-License-Identifier: Apache-2.0
#include "comm/gloo/by_hosts.h"

#include <gtest/gtest.h>

#include "comm/ranks_for_tests.h"
#include "core/small_float.h"

namespace tutti::comm {
namespace {

GroupOptions small_options() {
  GroupOptions options;
  options.deadline_s = options.join_deadline_s = 20;
  options.tcp = {2048, 1024, 96, 512};
  return options;
}

/// Element i of what rank r gives: sums of these depend on the order of additions.
float value(int r, int64_t i) {
  return static_cast<float>((r * 7919 + i * 104729) % 1009 - 504) * 0.37f;
}

/// Of ranks on the hosts of Meeting: first those of each host, then the hosts.
float sum_by_hosts(int size, int64_t i) {
  float sum = 0;
  bool first_host = true;
  for (char host : std::string("abc")) {
    float partial = 0;
    bool first = true;
    for (int r = 0; r < size; ++r) {
      if ("abaabca"[r] != host) continue;
      partial = first ? value(r, i) : partial + value(r, i);
      first = false;
    }
    if (first) continue;
    sum = first_host ? partial : sum + partial;
    first_host = false;
  }
  return sum;
}

void expect_ok(const std::vector<Outcome>& outcomes) {
  for (const Outcome& outcome : outcomes) EXPECT_EQ(outcome.error, "");
}

class ByHosts : public testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    if (!has_gloo()) GTEST_SKIP() << "this build has no Gloo";
  }
};

TEST_P(ByHosts, ReductionsAddWithinHostsThenHostByHost) {
  expect_ok(run_ranks(Place::tcp_hosts, GetParam(), small_options(), [](Communicator& g) {
    for (int64_t count : {200, 1000, 5001, 40000}) {
      std::vector<float> in(static_cast<size_t>(count)), out(in.size());
      for (int64_t i = 0; i < count; ++i) in[static_cast<size_t>(i)] = value(g.rank(), i);
      g.run({.kind = Kind::all_reduce, .count = count}, in.data(), out.data());
      int differs = 0;
      for (int64_t i = 0; i < count; ++i) {
        differs += out[static_cast<size_t>(i)] != sum_by_hosts(g.size(), i);
        if (differs == 1) expect(false, join("all_reduce of ", count, ": element ", i));
      }
    }
    const int64_t count = 3001;
    std::vector<float> in(static_cast<size_t>(count * g.size())), out(static_cast<size_t>(count));
    for (size_t i = 0; i < in.size(); ++i) in[i] = value(g.rank(), static_cast<int64_t>(i));
    g.run({.kind = Kind::reduce_scatter, .count = count}, in.data(), out.data());
    for (int64_t i = 0; i < count; ++i)
      if (out[static_cast<size_t>(i)] != sum_by_hosts(g.size(), g.rank() * count + i))
        expect(false, join("reduce_scatter: element ", i));
  }));
}

TEST_P(ByHosts, SmallFloatsTravelAsF32AndAreRoundedOnce) {
  expect_ok(run_ranks(Place::tcp_hosts, GetParam(), small_options(), [](Communicator& g) {
    const int64_t count = 5000;
    std::vector<bf16> in(static_cast<size_t>(count)), out(in.size());
    for (Reduce op : {Reduce::sum, Reduce::avg}) {
      // 256 + 1 is lost in bf16, as is each partial sum of them.
      in.assign(in.size(), bf16(g.rank() == 0 ? 256.0f : 1.0f));
      g.run({.kind = Kind::all_reduce, .dtype = DType::bf16, .reduce = op, .count = count},
            in.data(), out.data());
      const auto sum = static_cast<float>(255 + g.size());
      const bf16 wanted(op == Reduce::sum ? sum : sum / static_cast<float>(g.size()));
      for (bf16 x : out)
        if (x.bits != wanted.bits)
          expect(false, join("sum ", float(x), ", wanted ", float(wanted)));
    }
  }));
}

INSTANTIATE_TEST_SUITE_P(Ranks, ByHosts, testing::Values(3, 4, 7));

TEST(HostMap, SharesOutWhoReceives) {
  const HostMap map({0, 1, 0, 0, 1, 2, 0});
  EXPECT_EQ(map.count(), 3);
  EXPECT_EQ(map.ranks_of(0), 4);
  EXPECT_EQ(map.index[6], 3);
  EXPECT_EQ(map.least_shared, 2);
  // Ranks 1, 4, 5 are not on host 0; 0, 2, 3, 5, 6 not on host 1.
  EXPECT_EQ(map.receiver(1, 0), 0);
  EXPECT_EQ(map.receiver(4, 0), 2);
  EXPECT_EQ(map.receiver(5, 0), 3);
  EXPECT_EQ(map.receiver(0, 1), 1);
  EXPECT_EQ(map.receiver(2, 1), 4);
  EXPECT_EQ(map.receiver(5, 1), 4);
  EXPECT_EQ(map.receiver(6, 1), 1);
}

}  // namespace
}  // namespace tutti::comm
