// SPDX-License-Identifier: Apache-2.0
// Replaces the allocation functions of this test program to count calls.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "comm/ranks_for_tests.h"

namespace {
std::atomic<bool> counting{false};
std::atomic<long> allocations{0};
}  // namespace

[[gnu::noinline]] void* operator new(size_t bytes) {
  if (counting) ++allocations;
  void* memory = std::malloc(bytes == 0 ? 1 : bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace tutti::comm {
namespace {

class Allocations : public testing::TestWithParam<Place> {};

TEST_P(Allocations, NoneInWarmCollectivesStartedOrNot) {
  const auto body = [](Communicator& g) {
    std::vector<float> in(40000), out(40000);
    const std::vector<int64_t> counts(static_cast<size_t>(g.size()), 100);
    const auto all = [&](int64_t count) {
      for (Kind kind : {Kind::all_reduce, Kind::reduce_scatter, Kind::all_gather, Kind::all_to_all,
                        Kind::all_to_all_v, Kind::broadcast}) {
        const Collective c{.kind = kind,
                           .count = count,
                           .sends = counts,
                           .receives = counts,
                           .label = "a label longer than a short string holds"};
        g.run(c, in.data(), out.data());
        g.wait(g.start(c, in.data(), out.data()));
      }
      const Collective to{.kind = Kind::send, .root = 1 - g.rank(), .count = count};
      const Collective from{.kind = Kind::recv, .root = 1 - g.rank(), .count = count};
      const Request sent = g.start(to, in.data(), nullptr);
      g.wait(g.start(from, nullptr, out.data()));
      g.wait(sent);
    };
    all(10);
    g.barrier();
    if (g.rank() == 0) allocations = 0;
    g.barrier();
    counting = true;
    all(10);
    all(20000);
    g.barrier();
    counting = false;
    expect(allocations == 0, join(allocations.load(), " allocations"));
  };
  for (const Outcome& outcome : run_ranks(GetParam(), 2, {}, body)) EXPECT_EQ(outcome.error, "");
}

TEST_P(Allocations, AreCounted) {
  counting = true;
  int* volatile number = new int(1);
  delete number;
  counting = false;
  EXPECT_GE(allocations.exchange(0), 1);
}

// Beside these, Gloo's queue and the frames of beats allocate.
INSTANTIATE_TEST_SUITE_P(Ranks, Allocations, testing::Values(Place::threads, Place::processes),
                         PlaceName());

}  // namespace
}  // namespace tutti::comm
